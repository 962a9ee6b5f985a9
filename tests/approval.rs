//! Nothing is sent that a sealed, unexpired, unaltered approval of exactly this plan does not cover.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use support::company::{Company, people};

/// A company whose first run waits for review.
fn waiting(further: &str) -> (Company, String) {
    let company = Company::with(4, further);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    (company, run)
}

/// The same, with everything approved.
fn approved(further: &str) -> (Company, String) {
    let (company, run) = waiting(further);
    company.world.muster(&["approve", &run, "--all", "--comment", "first load"]).ended(0);
    (company, run)
}

/// Nothing reached the vault.
#[track_caller]
fn nothing_sent(company: &Company) {
    assert_eq!(company.vault.all("Users").len() + company.vault.all("Groups").len(), 0, "something was sent");
}

/// Replaces a text in a file of a run.
#[track_caller]
fn edit(company: &Company, run: &str, file: &str, old: &str, new: &str) {
    let path = company.world.run_file("corp", run, file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} does not hold `{old}`:\n{text}");
    fs::write(path, text.replacen(old, new, 1)).unwrap();
}

fn database(company: &Company) -> Connection {
    Connection::open(company.world.state().join("muster.db")).unwrap()
}

/// The ids of a run's orders with this operation, as planned.
fn ids(company: &Company, run: &str, operation: &str) -> Vec<String> {
    let orders = company.world.orders("corp", run).into_iter().filter(|o| o["operation"] == operation);
    orders.map(|o| o["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_edited_order_is_refused_before_the_review_and_after_it() {
    let (company, run) = waiting("");
    edit(&company, &run, "orders.ndjson", "user0001@corp.example", "root@corp.example");
    let refused = company.world.muster(&["approve", &run, "--all", "--comment", "x"]).ended(1);
    refused.says(&["orders.ndjson", "changed after it was written", "muster run"]);
    edit(&company, &run, "orders.ndjson", "root@corp.example", "user0001@corp.example");
    company.world.muster(&["approve", &run, "--all", "--comment", "x"]).ended(0);
    edit(&company, &run, "orders.ndjson", "user0001@corp.example", "root@corp.example");
    for name in [run.as_str(), "corp"] {
        company.world.muster(&["apply", name]).ended(1).says(&["orders.ndjson", "changed after it was written"]);
    }
    nothing_sent(&company);
    // The folder restored: what was approved is what is sent.
    edit(&company, &run, "orders.ndjson", "root@corp.example", "user0001@corp.example");
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(company.vault.user("root@corp.example").is_none());
    assert_eq!(company.vault.all("Users").len(), 4);
}

#[test]
fn an_edited_plan_and_a_missing_file_are_refused() {
    let (company, run) = approved("");
    edit(&company, &run, "plan.json", "\"orders\"", "\"orders\" ");
    company.world.muster(&["apply", "corp"]).ended(1).says(&["plan.json", "changed after it was written"]);
    edit(&company, &run, "plan.json", "\"orders\" ", "\"orders\"");
    for file in ["orders.ndjson", "plan.json", "approval-1.json"] {
        let path = company.world.run_file("corp", &run, file);
        let away = path.with_extension("away");
        fs::rename(&path, &away).unwrap();
        company.world.muster(&["apply", "corp"]).ended(1).says(&[file, "is gone"]);
        nothing_sent(&company);
        fs::rename(away, path).unwrap();
    }
    company.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn an_altered_approval_is_refused() {
    let (company, run) = waiting("");
    let creates = ids(&company, &run, "create");
    company.world.muster(&["reject", &run, "--order", &creates[0], "--comment", "not this one"]);
    company.world.muster(&["approve", &run, "--all", "--comment", "the others"]);
    edit(&company, &run, "approval-2.json", "the others", "the otherz");
    company.world.muster(&["apply", "corp"]).ended(1).says(&["approval 2", "was altered", "approve again"]);
    nothing_sent(&company);
    // What the refusal says to do works.
    let again = company.world.muster(&["approve", &run, "--all", "--comment", "again"]).ended(0);
    again.says(&["9 orders approved", "approval-3.json"]);
    // Decisions turned round in the file alone do not help either.
    edit(&company, &run, "approval-2.json", "the otherz", "the others");
    edit(&company, &run, "approval-1.json", "\"reject\"", "\"approve\"");
    company.world.muster(&["apply", "corp"]).ended(1).says(&["approval 1", "was altered"]);
    assert_eq!(company.vault.all("Users").len() + company.vault.all("Groups").len(), 6, "the rest goes on");
    let rejected = creates[0].clone();
    let key = company.world.orders("corp", &run).into_iter().find(|o| o["id"] == rejected.as_str()).unwrap();
    assert!(company.vault.user(key["name"].as_str().unwrap()).is_none(), "a rejected order was sent");
}

#[test]
fn an_approval_of_another_run_is_refused() {
    let (company, first) = approved("");
    company.world.muster(&["apply", "corp"]).ended(0);
    let mut changed = people(4);
    changed[0].family = "Married".into();
    company.hr(&changed);
    company.world.muster(&["run", "corp"]).ended(3);
    let second = company.world.newest_run("corp");
    let copied = fs::read(company.world.run_file("corp", &first, "approval-1.json")).unwrap();
    fs::write(company.world.run_file("corp", &second, "approval-1.json"), &copied).unwrap();
    // By itself it is nothing: the order still waits.
    company.world.muster(&["apply", &second]).ended(3);
    // In the place of the sealed one it is refused by its name.
    company.world.muster(&["approve", &second, "--all", "--comment", "wedding"]).ended(0);
    fs::write(company.world.run_file("corp", &second, "approval-1.json"), &copied).unwrap();
    company.world.muster(&["apply", &second]).ended(1).says(&["belongs to run", &first, &second]);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["name"]["familyName"], "Family1");
}

#[test]
fn what_the_database_says_alone_is_not_enough() {
    let (company, run) = waiting("");
    let creates = ids(&company, &run, "create");
    company.world.muster(&["approve", &run, "--order", &creates[0], "--comment", "one"]).ended(3);
    let db = database(&company);
    let forge = "UPDATE orders SET state = 'approved', approved_by = ?, approval_expires = '2999-01-01T00:00:00Z'";
    // Under the approval that is there: its file does not name them.
    db.execute(forge, [1]).unwrap();
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["refused", "approval 1", "does not approve 10 orders", "muster log --verify", "muster approve"]);
    let created = company.vault.all("Users").len() + company.vault.all("Groups").len();
    assert_eq!(created, 1, "the one that was approved, and no other");
    // Under one that never was.
    db.execute(&format!("{forge} WHERE state = 'approved'"), [7]).unwrap();
    company.world.muster(&["apply", "corp"]).ended(1).says(&["approval 7", "does not approve 10 orders"]);
    assert_eq!(company.vault.all("Users").len() + company.vault.all("Groups").len(), created);
}

#[test]
fn an_expired_approval_sends_nothing_and_can_be_given_again() {
    let (company, run) = approved("[review]\nexpires = \"1s\"\n");
    std::thread::sleep(Duration::from_millis(1_100));
    let said = company.world.muster(&["apply", "corp"]).ended(3);
    said.says(&["approval 1", "expired at", &format!("muster approve {run}")]);
    company.world.muster(&["status", "corp"]).says(&["expired"]);
    nothing_sent(&company);
    // The job gives more time, the reviewer the same word again.
    company.job("");
    company.world.muster(&["approve", &run, "--all", "--comment", "again"]).ended(0).says(&["11 orders approved"]);
    company.world.muster(&["apply", "corp", "--first", "1"]).ended(0).never_says(&["expired"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 4);
}

#[test]
fn an_approval_is_used_up_by_its_orders() {
    let (company, run) = approved("");
    company.world.muster(&["apply", "corp"]).ended(0);
    let versions = |company: &Company| {
        let all = company.vault.all("Users").into_iter().chain(company.vault.all("Groups"));
        all.map(|o| o["meta"]["lastModified"].clone()).collect::<Vec<Value>>()
    };
    let before = versions(&company);
    company.world.muster(&["apply", "corp"]).ended(0).says(&["nothing is approved"]);
    company.world.muster(&["apply", &run]).ended(0).says(&["nothing is approved"]);
    assert_eq!(versions(&company), before);
    // The sealed file covers them still; that they took effect is known, too.
    database(&company).execute("UPDATE orders SET state = 'approved'", []).unwrap();
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["it was applied before", "somebody changed the database", "muster log --verify"]);
    assert_eq!(versions(&company), before);
    database(&company).execute("UPDATE orders SET state = 'applied'", []).unwrap();
    // Undone at the target by hand: the old approval does not do it again.
    let id = company.vault.user("user0001@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    company.vault.send("DELETE", &format!("/Users/{id}"), None);
    company.world.muster(&["apply", &run]).ended(0);
    company.world.muster(&["approve", &run, "--all", "--comment", "again"]).says(&["nothing to decide"]);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(company.vault.all("Users").len(), 3);
}

#[test]
fn what_its_review_rejected_stays_rejected_whatever_the_database_calls_it() {
    let (company, run) = approved("");
    company.world.muster(&["reject", &run, "--all", "--comment", "not these"]).ended(0);
    // The first approval names them still; it is not the last word.
    database(&company).execute("UPDATE orders SET state = 'approved', approved_by = 1", []).unwrap();
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["11 orders of run", "rejected by tester in approval 2", "somebody changed the database"])
        .says(&["nothing is sent", "muster log --verify"]);
    nothing_sent(&company);
    let listed = company.world.muster(&["review", &run, "--all", "--format", "json"]).ended(0).json();
    assert!(listed.as_array().unwrap().iter().all(|order| order["state"] == "rejected"), "{listed:#}");
    company.world.muster(&["apply", "corp"]).ended(0).says(&["nothing is approved"]);
}

#[test]
fn a_decision_needs_words() {
    let (company, run) = waiting("");
    for command in ["approve", "reject"] {
        company.world.muster(&[command, &run, "--all"]).ended(2).says(&["--comment"]);
        company.world.muster(&[command, &run, "--all", "--comment", " "]).ended(2).says(&["--comment is empty"]);
        company.world.muster(&[command, &run, "--comment", "x"]).ended(2).says(&["--all", "--where", "--order"]);
    }
    let typo = company.world.muster(&["approve", &run, "--order", "o-1", "--comment", "x"]).ended(2);
    typo.says(&["o-1", "no such order"]);
    company.world.muster(&["approve", &run[..run.len() - 1], "--all", "--comment", "x"]).ended(2);
    assert!(!company.world.run_file("corp", &run, "approval-1.json").exists());
    nothing_sent(&company);
}

#[test]
fn a_seal_names_who_when_and_why_and_the_log_holds_it() {
    let (company, run) = approved("");
    let path = company.world.run_file("corp", &run, "approval-1.json");
    let seal: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((&seal["run"], &seal["comment"]), (&Value::from(run.as_str()), &Value::from("first load")));
    assert_eq!(seal["decisions"].as_object().unwrap().len(), 11);
    for field in ["plan", "decisions_digest", "reviewer", "at", "expires"] {
        assert!(seal[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {seal}");
    }
    company.world.muster(&["log", "--verify"]).ended(0);
    database(&company).execute("UPDATE log SET who = 'nobody' WHERE kind = 'approval-sealed'", []).unwrap();
    company.world.muster(&["log", "--verify"]).ended(1);
}

#[test]
fn a_rule_approves_only_what_it_may() {
    let company = Company::with(60, "[review]\nrequire = \"blocked-or-held\"\n");
    // The first run waits for a person, whatever the rule says.
    company.world.muster(&["run", "corp"]).ended(3);
    nothing_sent(&company);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    let mut staff = people(60);
    staff[0].family = "Married".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["name"]["familyName"], "Married");
    let run = company.world.newest_run("corp");
    let seal = fs::read_to_string(company.world.run_file("corp", &run, "approval-1.json")).unwrap();
    assert!(seal.contains("rule review.require"), "{seal}");
    // Held: the rule does not speak.
    for person in &mut staff[..40] {
        person.family.push('x');
    }
    company
        .job("[review]\nrequire = \"blocked-or-held\"\n[snapshot.\"hr.users\"]\nthresholds = { updated = \"off\" }\n");
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/update/percent"]);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["name"]["familyName"], "Married");
    let run = company.world.newest_run("corp");
    assert!(!company.world.run_file("corp", &run, "approval-1.json").exists());
}

#[test]
fn a_list_of_operations_leaves_the_others_to_the_rule() {
    let company = Company::with(60, "[review]\nrequire = [\"disable\", \"delete\"]\n");
    company.world.muster(&["run", "corp"]).ended(3);
    nothing_sent(&company);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    let mut staff = people(59);
    staff[0].family = "Married".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["name"]["familyName"], "Married");
    assert_eq!(company.vault.user("user0060@corp.example").unwrap()["active"], true, "a disable waits for a person");
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0060@corp.example").unwrap()["active"], false);
}

/// How many requests for lists the vault has had since it was told to count them.
fn lists(company: &Company) -> u64 {
    let address = format!("http://{}/_faults", company.vault.address());
    let (_, counts) = support::send("GET", &address, Some(support::TOKEN), None);
    counts["rules"][0]["seen"].as_u64().unwrap()
}

fn count_lists(company: &Company) {
    let rule = json!({"method": "GET", "contains": "startIndex", "action": {"delay": {"ms": 0}}});
    company.vault.faults(json!({"rules": [rule]}));
}

fn active(company: &Company) -> usize {
    company.vault.all("Users").iter().filter(|user| user["active"] == true).count()
}

#[test]
fn an_edited_limit_and_a_complete_run_open_no_review() {
    let unlimited = "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n";
    let company = Company::with(60, unlimited);
    company.settle();
    company.hr(&people(50));
    company.world.muster(&["run", "corp"]).ended(4);
    let limits =
        "[sync.thresholds]\ndisable = \"off\"\ndelete = \"off\"\n\n[sync.attributes]\nexternalId = \"id\"\nuserName";
    let text = company.job_text("").replace("[sync.attributes]\nexternalId = \"id\"\nuserName", limits);
    let off = "thresholds = { deleted = \"off\" }";
    let more = format!("[snapshot.\"hr.users\"]\n{off}\n[snapshot.\"hr.memberships\"]\n{off}\n");
    company.world.write("jobs/corp.toml", text + &more);
    company.world.muster(&["apply", "corp"]);
    for mode in ["incremental", "complete"] {
        company.world.muster(&["run", "corp", "--mode", mode]);
        assert_eq!(active(&company), 60, "somebody was disabled without a word");
    }
    assert!(ids(&company, &company.world.runs("corp")[2], "disable").len() == 10, "the run was about them");
}

#[test]
fn an_accepted_snapshot_is_planned_from_without_another_export() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(50));
    company.world.muster(&["run", "corp"]).ended(4);
    count_lists(&company);
    let held = company.world.newest_run("corp");
    let names = ["hr.users/deleted/percent", "hr.memberships/deleted/percent"];
    let accept = ["approve", &held, "--accept", names[0], "--accept", names[1], "--comment", "team dissolved"];
    company.world.muster(&accept).says(&["accepted"]);
    // What the source says by now does not matter: people accepted what they saw.
    company.hr(&people(20));
    company.world.muster(&["run", "corp"]);
    let run = company.world.newest_run("corp");
    assert_ne!(run, held);
    assert_eq!((ids(&company, &run, "disable").len(), lists(&company)), (10, 0));
    company.world.muster(&["run", "corp"]);
    assert!(lists(&company) > 0, "the next run exports, and would have been seen");
}

#[test]
fn whoever_rejects_all_withdraws_what_was_approved_and_is_not_sent() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "looked at"]).ended(0);
    company.world.muster(&["reject", "corp", "--all", "--comment", "stop"]).says(&["rejected"]);
    company.world.muster(&["apply", "corp"]).says(&["nothing is approved"]);
    assert_eq!(company.vault.all("Users"), Vec::<Value>::new());
}
