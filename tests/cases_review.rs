//! Review and thresholds, from outside: what waits, what is blocked, who lifts it, one run after another.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::company::{Company, Person, people};

/// The orders of the newest run with this operation, by key.
fn planned(company: &Company, operation: &str) -> Vec<Value> {
    let run = company.world.newest_run("corp");
    company.world.orders("corp", &run).into_iter().filter(|o| o["operation"] == operation).collect()
}

/// One order of a run, by its operation and key.
#[track_caller]
fn order(company: &Company, run: &str, operation: &str, key: &str) -> Value {
    let orders = company.world.orders("corp", run);
    let found = orders.iter().find(|o| o["operation"] == operation && o["key"] == key);
    found.unwrap_or_else(|| panic!("no {operation} of {key} in {orders:#?}")).clone()
}

fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

/// Every order of a run as the review lists it.
fn listed(company: &Company, run: &str) -> Vec<Value> {
    let said = company.world.muster(&["review", run, "--all", "--format", "json"]).ended(0);
    said.json().as_array().unwrap().clone()
}

/// Where an order stands.
#[track_caller]
fn state(company: &Company, run: &str, id: &str) -> String {
    let all = listed(company, run);
    let row = all.iter().find(|row| row["order"] == id).unwrap_or_else(|| panic!("{id} is not in {all:#?}"));
    row["state"].as_str().unwrap().to_owned()
}

/// A settled company of `n`, and its staff to change.
fn settled(n: usize) -> (Company, Vec<Person>) {
    let company = Company::of(n);
    company.settle();
    (company, people(n))
}

/// Changes family names and plans; gives the run.
fn renamed(company: &Company, staff: &mut [Person], at: &[usize], to: &str) -> String {
    for i in at {
        staff[*i].family = format!("{to}{i}");
    }
    company.hr(staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.newest_run("corp")
}

fn family(company: &Company, login: &str) -> String {
    company.vault.user(login).unwrap()["name"]["familyName"].as_str().unwrap().to_owned()
}

#[test]
fn case_k4_a_mandatory_value_that_is_missing_blocks_its_order_alone() {
    let company = Company::of(4);
    let mut staff = people(4);
    staff[1].email = String::new();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let blocked = order(&company, &run, "create", "E0002");
    assert_eq!(blocked["block"]["reason"], "incomplete", "{blocked:#}");
    let detail = blocked["block"]["detail"].as_str().unwrap();
    // The attribute, its source and its rule.
    for text in ["emails", "hr.users", "E0002", "email"] {
        assert!(detail.contains(text), "`{text}` is not in: {detail}");
    }
    let said = company.world.muster(&["approve", &run, "--order", id(&blocked), "--comment", "anyhow"]).ended(3);
    said.says(&["refused", "incomplete", "emails"]);
    let said = company.world.muster(&["approve", &run, "--all", "--comment", "the rest"]);
    said.ended(0).says(&["incomplete", "left out"]);
    company.world.muster(&["apply", "corp"]);
    assert_eq!(company.vault.all("Users").len(), 3);
    // It clears itself when its cause is gone, and never causes prior-order.
    staff[1].email = "back@corp.example".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let next = order(&company, &company.world.newest_run("corp"), "create", "E0002");
    assert!(next["block"].is_null(), "{next:#}");
}

#[test]
fn case_k4_what_the_target_needs_is_needed_without_the_job_saying_so() {
    let company = Company::of(4);
    // The same job, silent about what is required.
    let job = company.job_text("").replace("required = [\"userName\", \"emails\"]\n", "");
    company.world.write("jobs/corp.toml", job);
    let mut staff = people(4);
    staff[1].login = String::new();
    company.hr(&staff);
    company.world.write("hr/groups.csv", "id,name\nT0,Databases\nT1,\nT2,Payments\n");
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    for (key, attribute) in [("E0002", "`userName`"), ("T1", "`displayName`")] {
        let blocked = order(&company, &run, "create", key);
        assert_eq!(blocked["block"]["reason"], "incomplete", "{blocked:#}");
        let detail = blocked["block"]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("{attribute} is required by the target")), "{detail}");
    }
    company.world.muster(&["approve", "corp", "--all", "--comment", "the rest"]).ended(0);
    // Nothing of it fails at the server.
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!((company.vault.all("Users").len(), company.vault.all("Groups").len()), (3, 2));
}

#[test]
fn case_k10_a_user_who_is_gone_is_disabled_and_not_deleted() {
    let (company, _) = settled(60);
    company.hr(&people(59));
    company.world.muster(&["run", "corp"]).ended(3);
    let orders = planned(&company, "disable");
    assert_eq!(orders.iter().map(|o| &o["key"]).collect::<Vec<_>>(), ["E0060"]);
    assert!(planned(&company, "delete").is_empty());
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0060@corp.example").unwrap()["active"], false);
    company.world.muster(&["run", "corp"]).ended(0);
    // Switched off by HR, still in the file: the same.
    let mut staff = people(59);
    staff[0].enabled = false;
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "leave"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["active"], false);
    assert_eq!(company.vault.all("Users").len(), 60);
}

#[test]
fn case_k13_what_is_managed_is_told_from_what_is_local_and_local_is_left_alone() {
    let company = Company::of(4);
    let local = company.vault.add_user("break-glass@corp.example");
    company.settle();
    let managed = company.world.muster(&["list", "corp", "--managed"]).ended(0);
    managed.says(&["E0001", "E0004"]).never_says(&[&local]);
    let unmanaged = company.world.muster(&["list", "corp", "--unmanaged", "--format", "csv"]).ended(0);
    unmanaged.says(&["break-glass@corp.example"]).never_says(&["user0001"]);
    let (status, body) = company.vault.send("GET", &format!("/Users/{local}"), None);
    assert_eq!((status, &body["active"]), (200, &json!(true)));
    assert_eq!(body["meta"]["created"], body["meta"]["lastModified"], "a local account was changed: {body}");
}

#[test]
fn case_p7_two_people_with_one_login_are_both_named_before_anything_is_sent() {
    let company = Company::of(4);
    let mut staff = people(4);
    staff[2].login = staff[1].login.to_uppercase();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    for (key, other) in [("E0002", "E0003"), ("E0003", "E0002")] {
        let blocked = order(&company, &run, "create", key);
        assert_eq!(blocked["block"]["reason"], "conflict", "{blocked:#}");
        let detail = blocked["block"]["detail"].as_str().unwrap();
        assert!(detail.contains(other) && detail.to_lowercase().contains("user0002@corp.example"), "{detail}");
    }
    // Their memberships have a parent that will not be there, and say which.
    for key in ["T2 → E0002", "T0 → E0003"] {
        let row = order(&company, &run, "add", key);
        assert_eq!(row["block"]["reason"], "missing-reference", "{row:#}");
        assert!(row["block"]["detail"].as_str().unwrap().contains(&key[key.len() - 5..]), "{row:#}");
    }
    company.world.muster(&["review", &run]).says(&["conflict", "missing-reference"]);
    company.world.muster(&["approve", &run, "--all", "--comment", "the others"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 2);
}

#[test]
fn case_p7_a_parent_that_is_missing_is_named() {
    let company = Company::of(4);
    company.world.write("hr/groups.csv", "id,name\nT0,Databases\nT1,Network\n");
    let said = company.world.muster(&["--verbose", "run", "corp"]).ended(3);
    said.says(&["hr.memberships", "1 row names an object that is in no snapshot: `T2` as group"]);
    assert!(planned(&company, "add").iter().all(|row| !row["key"].as_str().unwrap().starts_with("T2")));
    assert!(company.vault.all("Users").is_empty());
}

#[test]
fn case_p1_nothing_is_sent_before_the_review() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let rows = listed(&company, &run);
    assert_eq!(rows.len(), 11);
    assert!(rows.iter().all(|row| row["state"] == "pending-review"), "{rows:#?}");
    let review = std::fs::read_to_string(company.world.run_file("corp", &run, "review.csv")).unwrap();
    assert!(rows.iter().all(|row| review.contains(row["order"].as_str().unwrap())));
    company.world.muster(&["apply", "corp"]).ended(3).says(&["nothing is approved", "muster review corp"]);
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(3);
    assert!(company.vault.all("Users").is_empty());
}

#[test]
fn case_p2_a_run_that_was_told_to_block_blocks_everything_until_a_person_lifts_it() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp", "--block"]).ended(3);
    let run = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &run);
    assert_eq!(orders.len(), 11);
    assert!(orders.iter().all(|o| o["block"]["reason"] == "run-blocked"), "{orders:#?}");
    company.world.muster(&["review", &run]).says(&["run-blocked"]);
    company.world.muster(&["apply", "corp"]).ended(3);
    assert!(company.vault.all("Users").is_empty());
    company.world.muster(&["approve", &run, "--all", "--comment", "window is open"]).ended(0).says(&["11 orders"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 4);
}

#[test]
fn case_p3_a_new_order_waits_behind_an_earlier_one_that_is_blocked_or_errored() {
    let (company, mut staff) = settled(8);
    // Blocked for a person to lift.
    staff[0].family = "One".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp", "--block"]).ended(3);
    let first = company.world.newest_run("corp");
    let old = order(&company, &first, "update", "E0001");
    let second = renamed(&company, &mut staff, &[0], "Two");
    let new = order(&company, &second, "update", "E0001");
    assert_eq!(new["block"]["reason"], "prior-order", "{new:#}");
    let detail = new["block"]["detail"].as_str().unwrap();
    assert!(detail.contains(id(&old)) && detail.contains(&first), "{detail}");
    assert_eq!(state(&company, &first, id(&old)), "superseded");
    company.world.muster(&["approve", &second, "--order", id(&new), "--comment", "looked at it"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(family(&company, "user0001@corp.example"), "Two0");
}

#[test]
fn case_p5_the_first_one_then_by_order_by_filter_and_the_rest() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let say = |args: &[&str]| company.world.muster(&[&["approve", run.as_str()], args, &["--comment", "p5"]].concat());
    let sent = || company.vault.all("Users").len() + company.vault.all("Groups").len();
    say(&["--first", "1"]).ended(3).says(&["1 order approved", "10 orders still wait", "muster apply"]);
    company.world.muster(&["apply", &run]).ended(3);
    assert_eq!(sent(), 1);
    let create = order(&company, &run, "create", "E0003");
    say(&["--order", id(&create)]).ended(3).says(&["1 order approved"]);
    say(&["--order", id(&create)]).ended(3).says(&["skipped", "covers it already"]);
    company.world.muster(&["apply", "corp"]).ended(3);
    assert!(company.vault.user("user0003@corp.example").is_some());
    say(&["--where", "operation == 'create' && resource == 'vault.groups'"]).ended(3);
    company.world.muster(&["apply", "corp"]).ended(3);
    assert_eq!(company.vault.all("Groups").len(), 3);
    say(&["--all"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(sent(), 7);
    // Every decision has a person, a time, a comment.
    let log = company.world.muster(&["log", "--format", "json"]).ended(0).json();
    let seals: Vec<&Value> =
        log.as_array().unwrap().iter().filter(|entry| entry["kind"] == "approval-sealed").collect();
    assert_eq!(seals.len(), 4, "{log:#}");
    assert!(seals.iter().all(|s| s["who"] == "tester" && s["at"].is_string() && s.to_string().contains("p5")));
}

#[test]
fn case_p11_an_exceeded_threshold_holds_the_whole_plan_until_it_is_accepted() {
    let (company, mut staff) = settled(60);
    // 9 leave: more than 5 %, within the snapshot's limits; one marries.
    staff.truncate(51);
    staff[0].family = "Married".into();
    company.hr(&staff);
    company.job("[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n");
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/disable/percent", "9 of 60", "--accept"]);
    let run = company.world.newest_run("corp");
    let names = ["vault.memberships/remove/percent", "vault.users/disable/percent", "vault.users/removal/percent"];
    // Approving orders does not accept a threshold, and the answer says what would.
    let said = company.world.muster(&["approve", &run, "--all", "--comment", "all of it"]).ended(4);
    let command = said.err.lines().find(|line| line.contains("--accept")).unwrap().to_owned();
    assert!(names.iter().all(|name| said.err.contains(&format!("--accept {name}"))), "{}", said.err);
    assert!(command.contains("muster approve"), "{command}");
    company.world.muster(&["apply", "corp"]).ended(4).says(&["held", "muster review"]);
    assert_eq!(family(&company, "user0001@corp.example"), "Family1", "nothing of a held plan is applied");
    // One of three is not enough; the reason is asked for.
    company.world.muster(&["approve", &run, "--accept", names[1]]).ended(2).says(&["--comment"]);
    company.world.muster(&["approve", &run, "--accept", names[1], "--comment", "team dissolved"]).ended(4);
    company.world.muster(&["apply", "corp"]).ended(4);
    let typo = company.world.muster(&["approve", &run, "--accept", "vault.users/disable", "--comment", "x"]).ended(2);
    typo.says(&["did you mean", "vault.users/"]);
    // All of them, and the orders in the same word: it goes on without a new export.
    let mut all = vec!["approve", run.as_str(), "--all", "--comment", "team dissolved"];
    all.extend(names.iter().flat_map(|name| ["--accept", name]));
    company.world.muster(&all).ended(0).says(&["accepted at 9", "muster apply"]);
    company.hr(&people(60)); // what the file says now does not matter to this plan
    company.world.muster(&["apply", &run]).ended(0);
    assert_eq!(company.vault.all("Users").iter().filter(|u| u["active"] == true).count(), 51);
    assert_eq!(family(&company, "user0001@corp.example"), "Married");
}

#[test]
fn case_p11_a_newer_run_within_the_limits_replaces_a_held_one() {
    let (company, mut staff) = settled(60);
    let open = "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n";
    company.job(open);
    company.hr(&people(50));
    company.world.muster(&["run", "corp"]).ended(4);
    let held = company.world.newest_run("corp");
    // The same again: still held, and told once.
    company.world.muster(&["run", "corp"]).ended(4);
    // HR mends its file, and something small is left.
    staff[0].family = "Married".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["held"]);
    company.world.muster(&["status", "corp"]).says(&["replaced"]).never_says(&["is held"]);
    company.world.muster(&["approve", &held, "--all", "--comment", "too late"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "wedding"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").iter().filter(|u| u["active"] == true).count(), 60);
    assert_eq!(family(&company, "user0001@corp.example"), "Married");
}

#[test]
fn runs_one_after_another_never_ask_twice_for_the_same() {
    let (company, mut staff) = settled(20);
    let first = renamed(&company, &mut staff, &[0, 1], "New");
    // Live: it stays where it is being reviewed.
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(planned(&company, "update").is_empty(), "raised again");
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(3);
    assert!(planned(&company, "update").is_empty(), "raised again by a complete run");
    // Rejected: not again until its content changes.
    let rejected = order(&company, &first, "update", "E0001");
    company.world.muster(&["reject", &first, "--order", id(&rejected), "--comment", "not yet"]).ended(3);
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(planned(&company, "update").is_empty(), "a rejected order was raised again");
    company.world.muster(&["plan", "corp", "--ask-again"]).ended(3);
    let again = order(&company, &company.world.newest_run("corp"), "update", "E0001");
    assert_eq!(again["fingerprint"], rejected["fingerprint"]);
    assert!(id(&again).ends_with("-2"), "{again:#}");
    // A different order for the same object replaces the live one.
    let other = renamed(&company, &mut staff, &[0], "Other");
    assert_ne!(id(&order(&company, &other, "update", "E0001")), id(&again));
    let waiting: Vec<Value> = company
        .world
        .muster(&["review", "corp", "--order-state", "pending-review", "--format", "json"])
        .ended(0)
        .json()
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        waiting.iter().filter(|o| o["key"] == "E0001").count(),
        1,
        "two live orders for one object: {waiting:#?}"
    );
    // No longer wanted: superseded.
    company.hr(&people(20));
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(state(&company, &other, id(&order(&company, &other, "update", "E0001"))), "superseded");
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(family(&company, "user0001@corp.example"), "Family1");
}

#[test]
fn an_approved_order_that_a_newer_run_does_not_want_is_not_sent() {
    let (company, mut staff) = settled(20);
    let run = renamed(&company, &mut staff, &[0, 1], "New");
    company.world.muster(&["approve", &run, "--all", "--comment", "wedding"]).ended(0);
    staff[0].family = "Family1".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(family(&company, "user0001@corp.example"), "Family1");
    assert_eq!(family(&company, "user0002@corp.example"), "New1");
}

#[test]
fn a_stale_order_is_planned_anew() {
    let (company, mut staff) = settled(20);
    let run = renamed(&company, &mut staff, &[0], "New");
    company.world.muster(&["approve", &run, "--all", "--comment", "wedding"]).ended(0);
    let user = company.vault.user("user0001@corp.example").unwrap();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "name.familyName", "value": "Meddled"}]});
    let path = format!("/Users/{}", user["id"].as_str().unwrap());
    assert!(company.vault.send("PATCH", &path, Some(body)).0 < 300);
    company.world.muster(&["apply", "corp"]);
    assert_eq!(family(&company, "user0001@corp.example"), "Meddled");
    assert_eq!(state(&company, &run, id(&order(&company, &run, "update", "E0001"))), "stale");
    company.world.muster(&["run", "corp"]).ended(3);
    let anew = order(&company, &company.world.newest_run("corp"), "update", "E0001");
    assert_eq!(anew["changes"][0]["before"], "Meddled", "{anew:#}");
    assert_eq!(anew["changes"][0]["cause"], "both", "{anew:#}");
}
