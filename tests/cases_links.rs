//! Links as operators see and mend them, accounts that do not work, and what is new since an earlier plan.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, people};

/// `source_key trouble` of what `links --check` finds.
fn troubles(company: &Company) -> Vec<String> {
    let found = company.world.muster(&["links", "corp", "--check", "--format", "json"]).ended(0).json();
    let of = |link: &Value| format!("{} {}", link["source_key"].as_str().unwrap(), link["trouble"].as_str().unwrap());
    found.as_array().unwrap().iter().map(of).collect()
}

#[test]
fn links_are_listed_by_how_they_came_and_by_either_key() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    // What was made since the snapshots were taken is not dead.
    company.world.muster(&["links", "corp", "--check"]).ended(0).says(&["6 links, none to look at", "applied since"]);
    company.world.muster(&["run", "corp"]).ended(0);
    let all = company.world.muster(&["links", "corp", "--format", "json"]).ended(0).json();
    assert_eq!(all.as_array().unwrap().len(), 6, "{all}");
    let one = company.world.muster(&["links", "corp", "--key", "E0002", "--format", "json"]).json();
    assert_eq!((one.as_array().unwrap().len(), &one[0]["how"]), (1, &json!("applied")));
    let id = one[0]["target_id"].as_str().unwrap().to_owned();
    let same = company.world.muster(&["links", "corp", "--key", &id, "--format", "json"]).json();
    assert_eq!(one, same);
    assert_eq!(company.world.muster(&["links", "corp", "--how", "person", "--format", "csv"]).out.lines().count(), 1);
    company.world.muster(&["links", "corp", "--how", "guess"]).ended(2).says(&["matched, person, applied, adopted"]);
    company.world.muster(&["links", "corp", "--check"]).ended(0).says(&["6 links, none to look at"]);
}

#[test]
fn links_that_todays_rules_would_make_otherwise_are_told_before_any_is_moved() {
    let company = Company::of(3);
    company.settle();
    let id =
        |n: usize| company.vault.user(&format!("user{n:04}@corp.example")).unwrap()["id"].as_str().unwrap().to_owned();
    // Two were linked the wrong way round by hand.
    let (first, second) = (id(1), id(2));
    let forget = || {
        for key in ["E0001", "E0002"] {
            company.world.muster(&["unlink", "corp", key, "--to", "vault.users"]).ended(0);
        }
    };
    forget();
    for (key, id) in [("E0001", &second), ("E0002", &first)] {
        company.world.muster(&["link", "corp", key, id, "--to", "vault.users"]).ended(0);
    }
    assert_eq!(troubles(&company), ["E0001 differs", "E0002 differs"]);
    let said = company.world.muster(&["links", "corp", "--check"]).ended(0);
    let why = format!("it would belong to `{first}`, which is linked with `E0002` now");
    said.says(&["2 of 6 links to look at; nothing was moved", "muster unlink corp E0001 --to vault.users"]);
    let listed = company.world.muster(&["links", "corp", "--check", "--format", "csv"]).says(&[&why]);
    assert_eq!(listed.out.lines().count(), 3);
    // An edited job file tells it with its first plan, and moves nothing.
    let text = company.world.read("jobs/corp.toml");
    company.world.write("jobs/corp.toml", format!("{text}\n# edited\n"));
    let said = company
        .world
        .muster(&["plan", "corp"])
        .says(&["by its match rules 2 links would lead elsewhere, first `E0001`"]);
    said.says(&["none is moved", "muster links corp --check"]);
    // Forgotten, both are paired by the rules again.
    forget();
    company.world.muster(&["plan", "corp"]);
    assert!(troubles(&company).is_empty());
    let matched = company.world.muster(&["links", "corp", "--how", "matched", "--format", "csv"]);
    assert_eq!(matched.out.lines().count(), 3, "a header and two links");
}

#[test]
fn links_that_lead_nowhere_are_found_and_mended() {
    let company = Company::of(4);
    // Before anything was planned, nothing tells what there is to link.
    company.world.muster(&["link", "corp", "E0004", "x", "--to", "vault.users"]).ended(1).says(&["muster run"]);
    company.settle();
    let unlink = || company.world.muster(&["unlink", "corp", "E0004", "--to", "vault.users"]).ended(0);
    unlink();
    // What is in no snapshot is linked with nothing: the next run would only drop it.
    let link = |row: &str, id: &str| company.world.muster(&["link", "corp", row, id, "--to", "vault.users"]);
    link("E0004", "no-such-id").ended(2).says(&["`no-such-id` is in no row of vault.users", "muster run corp"]);
    link("E0005", "no-such-id").ended(2).says(&["`E0005` is in no row of hr.users", "`no-such-id`"]);
    let id = company.vault.user("user0004@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    link("E0004", &id).ended(0);
    link("E0004", &id).ended(0).says(&["linked already"]);
    let told = company.world.muster(&["history", "corp", "E0004", "--resource", "vault.users"]).ended(0);
    told.says(&["link      unlink\n"]).says(&[&format!("link: (empty) → `{id}`"), "by tester"]);
    // Its object goes, and only another object is planned.
    company.vault.send("DELETE", &format!("/Users/{id}"), None);
    company.world.muster(&["plan", "corp", "--only", "E0001"]);
    assert_eq!(troubles(&company), ["E0004 dead"]);
    company.world.muster(&["links", "corp", "--check"]).says(&["muster unlink corp E0004 --to vault.users"]);
    unlink();
    assert!(troubles(&company).is_empty());
}

#[test]
fn case_k11_accounts_that_do_not_work_are_listed_with_what_is_missing_and_whether_it_is_mended() {
    let company = Company::of(4);
    company.settle();
    company
        .world
        .muster(&["list", "corp", "--incomplete"])
        .ended(0)
        .says(&["every managed account that is wanted works"]);
    let id =
        |n: usize| company.vault.user(&format!("user{n:04}@corp.example")).unwrap()["id"].as_str().unwrap().to_owned();
    let patch = |id: &str, operation: Value| {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
        assert!(company.vault.send("PATCH", &format!("/Users/{id}"), Some(body)).0 < 300);
    };
    patch(&id(1), json!({ "op": "replace", "path": "active", "value": false }));
    patch(&id(2), json!({ "op": "remove", "path": "emails" }));
    // Nobody knows this one's address at the source either, and one is disabled as it should be.
    patch(&id(3), json!({ "op": "remove", "path": "emails" }));
    let mut people = people(4);
    people[2].email.clear();
    people[3].enabled = false;
    company.hr(&people);
    company.world.muster(&["run", "corp"]).ended(3);
    let listed = company.world.muster(&["list", "corp", "--incomplete", "--format", "json"]).ended(0).json();
    let told: Vec<(&str, &Value, bool)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["key"].as_str().unwrap(), &one["missing"], one["mends"].as_bool().unwrap()))
        .collect();
    let (disabled, address) = (json!(["disabled at the target"]), json!(["no emails"]));
    assert_eq!(told, [("E0001", &disabled, true), ("E0002", &address, true), ("E0003", &address, false)]);
    assert!(listed[0]["mended_by"][0].as_str().unwrap().starts_with("enable o-"), "{listed}");
    assert_eq!(listed[2]["mended_by"][0], "nothing: `email` yields no value; complete row `E0003` of hr.users");
    company
        .world
        .muster(&["list", "corp", "--incomplete"])
        .says(&["3 accounts that do not work, of which orders that wait mend 2"]);
}

#[test]
fn case_k13_accounts_of_the_vault_are_managed_or_local() {
    let company = Company::of(2);
    company.settle();
    let local = company.vault.add_user("local@corp.example");
    company.world.muster(&["run", "corp"]).ended(0);
    let ids = |which: &str| -> Vec<String> {
        let listed = company.world.muster(&["list", "corp", which, "--format", "json"]).ended(0).json();
        let users = listed.as_array().unwrap().iter().filter(|one| one["resource"] == "vault.users");
        users.map(|one| one["target_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("--unmanaged"), std::slice::from_ref(&local));
    assert_eq!(ids("--managed").len(), 2);
    company.hr(&people(1));
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(ids("--orphans").len(), 1);
    assert!(company.vault.user("local@corp.example").unwrap()["active"].as_bool().unwrap(), "never touched");
}

#[test]
fn a_plan_tells_what_is_new_since_an_earlier_one() {
    let company = Company::of(3);
    company.settle();
    let mut people = people(4);
    people[0].family = "First".to_owned();
    people[1].family = "Second".to_owned();
    company.hr(&people);
    company.world.muster(&["plan", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    // What an earlier run had raised already is not new.
    company.world.muster(&["plan", "corp"]).ended(3);
    let later = company.world.newest_run("corp");
    let said = company.world.muster(&["plan", "corp", "--diff", &later]).ended(3);
    said.says(&["0 orders added, 0 changed, 0 gone, 4 the same"]);
    people[0].family = "Other".to_owned();
    people[1].family = "Family2".to_owned();
    people[2].family = "Third".to_owned();
    company.hr(&people);
    let said = company.world.muster(&["plan", "corp", "--diff", &run, "--format", "json"]).ended(3);
    let told = said.json();
    let told: Vec<(&str, &str, &str)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["change"].as_str().unwrap(), one["operation"].as_str().unwrap(), one["key"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("added", "update", "E0003"), ("changed", "update", "E0001"), ("gone", "update", "E0002")]);
    let said = company.world.muster(&["plan", "corp", "--diff", &run]).ended(3);
    said.says(&["1 order added, 1 changed, 1 gone, 2 the same", "was update", "superseded now"]);
    company.world.muster(&["plan", "corp", "--diff", "yesterday"]).ended(2).says(&["`yesterday` is no run"]);
}

#[test]
fn case_p4_rules_that_weigh_together_say_how_sure_a_match_is_and_tell_other_candidates() {
    let company = Company::of(3);
    let user = |login: &str, family: &str, email: &str| {
        let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "active": true,
            "name": { "familyName": family }, "title": email });
        let (status, body) = company.vault.send("POST", "/Users", Some(user));
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    };
    // One agrees in both with the first, one is a namesake; one has no more than the third's address, which is too light.
    let first = user("a", "Family1", "user0001@corp.example");
    let namesake = user("b", "Family1", "");
    user("c", "Other", "user0003@corp.example");
    let text = company.world.read("jobs/corp.toml");
    let tier = r#"match = [
  { source = "id", target = "externalId" },
  { tier = "who", source = "email", target = "title", weight = 35 },
  { tier = "who", source = "family", target = "name.familyName", weight = 55 },
]"#;
    let with = |tier: &str| {
        company
            .world
            .write("jobs/corp.toml", text.replacen(r#"match = [{ source = "id", target = "externalId" }]"#, tier, 1));
    };
    with(tier);
    company.world.muster(&["run", "corp"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let order = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap();
    assert_eq!((&order("E0001")["target_id"], &order("E0001")["confidence"]), (&json!(first), &json!(90)));
    assert_eq!((&order("E0002")["operation"], &order("E0003")["operation"]), (&json!("create"), &json!("create")));
    let why = order("E0001")["block"]["detail"].as_str().unwrap();
    assert!(why.contains("`email = title (35) + family = name.familyName (55)` with 90 % only"), "{why}");
    let other = format!("(other candidates: `{namesake}` (b) with 55 % by `family = name.familyName (55)`)");
    assert!(why.contains(&other), "{why}");
    // Two that weigh the same are for a person to choose from.
    let twin = user("d", "Family1", "user0001@corp.example");
    company.world.muster(&["run", "corp"]).ended(3);
    let said = company.world.muster(&["review", "corp"]);
    said.says(&["ambiguous", &twin, &first, "next: muster link corp E0001 TARGET"]).never_says(&["confidence 0"]);
    // A namesake is too light, and says so.
    let said = company.world.muster(&["explain", "corp", "E0001", "--format", "json"]).ended(0);
    said.says(&["weigh 55 together", "those of another 90", "as another does", "muster link corp E0001 TARGET"]);
    with(&tier.replace(", weight = 35", ""));
    company.world.muster(&["check", "corp"]).ended(2).says(&["is of the tier `who` and has no `weight`"]);
}

#[test]
fn who_is_said_to_be_two_is_two_and_whom_a_rule_cannot_find_is_not_made_anew() {
    let company = Company::of(1);
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "old", "active": true,
        "name": { "familyName": "Family1" } });
    assert_eq!(company.vault.send("POST", "/Users", Some(user)).0, 201);
    let text = company.world.read("jobs/corp.toml");
    let with = |rule: &str| {
        let rules = r#"match = [{ source = "id", target = "externalId" }]"#;
        company.world.write("jobs/corp.toml", text.replacen(rules, &rules.replace(" }]", &format!(" }}, {rule}]")), 1));
    };
    let order = || {
        let orders = company.world.orders("corp", &company.world.newest_run("corp"));
        orders.into_iter().find(|order| order["key"] == "E0001").unwrap()
    };
    // What is no attribute there matches nobody: everybody would be made a second time.
    with(r#"{ source = "login", target = "usrName" }"#);
    company.world.muster(&["run", "corp"]).ended(1).says(&["has no attribute `usrName`", "did you mean `userName`?"]);
    with(r#"{ source = "family.parseDate('%Y-%m-%d')", target = "name.familyName" }"#);
    company.world.muster(&["run", "corp"]);
    assert_eq!(order()["block"]["reason"], "incomplete", "{}", order());
    assert!(
        order()["block"]["detail"]
            .as_str()
            .unwrap()
            .contains("`family.parseDate('%Y-%m-%d') = name.familyName` failed")
    );
    with(r#"{ source = "family", target = "name.familyName", confidence = 80 }"#);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(order()["block"]["reason"], "low-confidence");
    let run = company.world.newest_run("corp");
    // Approving it says that they are the same; rejecting it afterwards takes that back.
    let approved = company.world.muster(&["approve", &run, "--where", "key == 'E0001'", "--comment", "one"]).ended(0);
    approved.says(&["of these 1 matched or classed with less than 100 %"]);
    let links = || company.world.muster(&["links", "corp", "--format", "json"]).ended(0).json().to_string();
    assert!(links().contains("E0001"), "{}", links());
    let reject = ["reject", &run, "--where", "key == 'E0001'", "--comment", "two people"];
    company.world.muster(&reject).ended(0);
    assert!(!links().contains("E0001"), "{}", links());
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!((order()["operation"].as_str(), order()["block"].is_null()), (Some("create"), true));
    company.world.muster(&["approve", "corp", "--all", "--comment", "new"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(company.vault.user("old").unwrap()["externalId"], Value::Null);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["externalId"], "E0001");
}
