//! Why an object is as it is, from outside: each step with its inputs and its verdict.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, Person, people};
use support::orders::by_hand;

/// The company's job with one text in place of another, and these lines at its end.
fn job(company: &Company, from: &str, to: &str) {
    let text = company.job_text("");
    assert!(text.contains(from), "{text}");
    company.world.write("jobs/corp.toml", text.replacen(from, to, 1));
}

/// Explains, as JSON.
#[track_caller]
fn explain(company: &Company, args: &[&str]) -> Value {
    let args = [&["explain", "corp"], args, &["--format", "json"]].concat();
    company.world.muster(&args).ended(0).json()
}

#[track_caller]
fn step<'v>(explained: &'v Value, name: &str) -> &'v Value {
    let steps = explained["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name} in {explained:#}"))
}

/// What a step says of one thing.
#[track_caller]
fn fact<'v>(explained: &'v Value, name: &str, about: &str) -> &'v Value {
    let facts = step(explained, name)["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["about"].as_str().unwrap().contains(about));
    found.unwrap_or_else(|| panic!("nothing about {about} in {:#}", step(explained, name)))
}

#[track_caller]
fn has(value: &Value, texts: &[&str]) {
    let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for text in texts {
        assert!(said.contains(text), "`{text}` is not in: {said}");
    }
}

fn with(n: usize, change: impl FnOnce(&mut Vec<Person>)) -> Vec<Person> {
    let mut all = people(n);
    change(&mut all);
    all
}

fn run(company: &Company, status: i32) -> String {
    company.world.muster(&["run", "corp"]).ended(status);
    company.world.newest_run("corp")
}

fn approve_and_apply(company: &Company) {
    company.world.muster(&["approve", "corp", "--all", "--comment", "ticket 7"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn case_k5_a_user_out_of_scope_is_told_each_condition_and_the_clause_that_failed() {
    let company = Company::of(4);
    job(
        &company,
        "required =",
        "scope = [\"enabled && family != 'Family4'\", \"login == 'root' && enabled\"]\nrequired =",
    );
    run(&company, 3);
    let explained = explain(&company, &["E0004"]);
    has(&step(&explained, "scope")["verdict"], &["out of scope", "none of its 2 conditions holds"]);
    let first = fact(&explained, "scope", "enabled && family");
    has(first, &["does not hold", "family != 'Family4'", "family = `Family4`"]);
    assert!(!first["details"].to_string().contains("enabled ="), "the clause that holds is not blamed: {first}");
    has(fact(&explained, "scope", "login == 'root'"), &["login = `user0004@corp.example`"]);
    has(&step(&explained, "decide")["verdict"], &["neither wanted nor managed"]);
    has(fact(&explained, "read", "hr.users"), &["row 5 of ", "users.csv", "complete, 4 rows"]);
    // For people: whole, and no line but a command is wider than the terminal.
    let said = company.world.muster(&["explain", "corp", "user0004@corp.example"]).ended(0);
    for line in said.out.lines().filter(|line| !line.contains("muster ") && !line.contains("users.csv")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    said.says(&["vault.users `E0004`", "scope      out of scope", "assign     the job has no assignment"]);
    // Whoever is in scope is told so, and what is to come.
    let other = explain(&company, &["E0003"]);
    assert_eq!((other["situation"].as_str(), other["steps"].as_array().unwrap().len()), (Some("missing"), 9));
    has(&step(&other, "order")["verdict"], &["pending-review", "still wanted"]);
    has(&other["next"], &["muster approve"]);
    company.world.muster(&["explain", "corp", "nobody"]).ended(1).says(&["`nobody` is in no snapshot of run"]);
}

#[test]
fn case_k6_a_group_that_is_not_assigned_is_named() {
    let company = Company::of(4);
    job(&company, "from = \"hr.groups\"", "from = \"hr.groups\"\nscope = [\"name != 'Network'\"]");
    company.world.settle("corp");
    let explained = explain(&company, &["E0001", "--entitlement", "T1"]);
    has(&step(&explained, "assign")["verdict"], &["`T1` of hr.groups is not assigned"]);
    has(&step(&explained, "assign")["facts"], &["name != 'Network'", "name = `Network`"]);
    has(&step(&explained, "decide")["verdict"], &["a link is missing", "`T1` is not assigned"]);
    // Another one is, and is there.
    let explained = explain(&company, &["E0002", "--entitlement", "Payments"]);
    has(&step(&explained, "assign")["verdict"], &["is assigned"]);
    assert_eq!(explained["situation"], "confirmed");
    let group = explain(&company, &["T1"]);
    has(&step(&group, "scope")["verdict"], &["out of scope"]);
}

#[test]
fn case_k7_a_member_through_groups_in_groups_is_told_the_path_and_the_setting() {
    let company = Company::of(4);
    let ends = "ends = { user";
    job(&company, ends, "nested = \"direct\"\nends = { user");
    let nest = || {
        let text = company.world.read("hr/memberships.csv");
        company.world.write("hr/memberships.csv", text + "T2,T0\nT1,T2\n");
    };
    nest();
    company.world.settle("corp");
    // E0003 is in T0, which is in T2, which is in T1.
    let explained = explain(&company, &["E0003", "--entitlement", "T1"]);
    has(&step(&explained, "read")["verdict"], &["`T0` in `T2` in `T1`"]);
    has(&step(&explained, "decide")["verdict"], &["direct members only", "nested = \"flatten\""]);
    has(fact(&explained, "map", "nested"), &["direct: only direct members count"]);
    // With `flatten` the same question has another answer.
    job(&company, ends, "nested = \"flatten\"\nends = { user");
    run(&company, 3);
    let explained = explain(&company, &["E0003", "--entitlement", "T1"]);
    has(&step(&explained, "order")["verdict"], &["pending-review"]);
    assert_eq!(explained["situation"], Value::Null);
    approve_and_apply(&company);
    run(&company, 0);
    assert_eq!(explain(&company, &["E0003", "--entitlement", "T1"])["situation"], "confirmed");
}

#[test]
fn case_k7_groups_in_groups_may_be_rows_of_their_own() {
    let company = Company::of(4);
    company.world.write("hr/nestings.csv", "parent,child\nT2,T0\nT1,T2\n");
    let ends = "ends = { user";
    let with = |word: &str| {
        job(&company, ends, &format!("nested = \"{word}\"\nnestings = \"hr.nestings\"\nends = {{ user"));
    };
    with("flatten");
    company.world.settle("corp");
    // E0003 is in T0, which is in T2, which is in T1.
    let explained = explain(&company, &["E0003", "--entitlement", "T1"]);
    has(&step(&explained, "read")["verdict"], &["`T0` in `T2` in `T1`"]);
    assert_eq!(explained["situation"], "confirmed");
    // Whoever is taken out of the inner group leaves the outer ones.
    company.world.write("hr/nestings.csv", "parent,child\nT2,T0\n");
    run(&company, 3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(!orders.is_empty() && orders.iter().all(|order| order["operation"] == "remove"), "{orders:#?}");
    approve_and_apply(&company);
    with("refuse");
    company.world.muster(&["run", "corp"]).ended(1).says(&["1 nested group and nested = \"refuse\"", "`T0` in `T2`"]);
    job(&company, "[[sync]]\nfrom = \"hr.users\"", "[[sync]]\nnestings = \"hr.nestings\"\nfrom = \"hr.users\"");
    company.world.muster(&["check", "corp"]).ended(2).says(&["`nestings` belongs to an association"]);
}

#[test]
fn case_k8_one_user_on_demand_goes_through_the_same_review() {
    let company = Company::of(4);
    run(&company, 3);
    let explained = explain(&company, &["E0002"]);
    for (name, text) in [
        ("read", "it is in hr.users, and not in vault.users"),
        ("scope", "the job takes every row"),
        ("map", "5 rules"),
        ("correlate", "no object of vault.users belongs to it"),
        ("compare", "nothing to compare"),
        ("decide", "missing: create"),
        ("outcome", "nothing was sent yet"),
    ] {
        has(&step(&explained, name)["verdict"], &[text]);
    }
    has(fact(&explained, "map", "name.familyName"), &["`Family2`", "family = `Family2`", "\"rule\":\"family\""]);
    has(fact(&explained, "correlate", "id = externalId"), &["no candidate for `E0002`"]);
    // Its order waits already: nothing new is raised, and nothing is sent before somebody approves it.
    company.world.muster(&["explain", "corp", "E0002", "--apply"]).ended(3);
    assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty());
    let order = explained["order"].as_str().unwrap();
    company.world.muster(&["explain", "corp", "E0002", "--apply"]).ended(3);
    assert!(company.vault.all("Users").is_empty());
    company.world.muster(&["approve", "corp", "--all", "--comment", "all of them"]).ended(0);
    // All are approved, and only this one is sent.
    company.world.muster(&["explain", "corp", "E0002", "--apply"]).says(&[order]);
    let users = company.vault.all("Users");
    assert_eq!(users.len(), 1, "{users:#?}");
    assert_eq!(users[0]["externalId"], "E0002");
    let after = explain(&company, &["E0002"]);
    has(&step(&after, "decide")["verdict"], &["taken before order", "was applied"]);
    has(&step(&after, "outcome")["verdict"], &["applied, create"]);
    let live = explain(&company, &["E0002", "--live"]);
    assert_eq!((live["situation"].as_str(), &live["run"]), (Some("confirmed"), &Value::Null));
    // A newcomer alone, from the command that explains it.
    company.hr(&people(5));
    company.world.muster(&["explain", "corp", "E0005", "--live", "--apply"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(orders.iter().all(|order| order["key"].as_str().unwrap().contains("E0005")), "{orders:#?}");
    assert_eq!(orders[0]["operation"], "create");
}

#[test]
fn case_k9_an_update_that_is_not_reflected_is_told_why() {
    let company = Company::of(3);
    let file = |phone: &str, family: &str| {
        let row = |(n, phone, family): (usize, &str, &str)| {
            format!("E{n:04},user{n}@corp.example,user{n}@corp.example,{family},true,{phone}\n")
        };
        let others = (2..=20).map(|n| row((n, "0", "Other")));
        format!("id,login,email,family,enabled,phone\n{}{}", row((1, phone, family)), others.collect::<String>())
    };
    company.world.write("hr/memberships.csv", "group,user\nT0,E0001\n");
    company.world.write("hr/users.csv", file("1", "Family1"));
    job(&company, "active = \"enabled\"", "active = \"enabled\"\ntitle = \"family == 'X' ? 'Boss' : ''\"");
    company.world.settle("corp");
    // No rule reads it.
    company.world.write("hr/users.csv", file("2", "Family1"));
    let changed = run(&company, 0);
    let explained = explain(&company, &["E0001"]);
    assert_eq!(explained["situation"], "confirmed");
    has(fact(&explained, "read", "hr.users phone"), &["from `1` to `2`", &changed, "no rule of the mapping"]);
    has(&step(&explained, "compare")["verdict"], &["no mapped attribute differs"]);
    // A rule swallows it.
    company.world.write("hr/users.csv", file("2", ""));
    run(&company, 0);
    let explained = explain(&company, &["E0001"]);
    has(fact(&explained, "map", "name.familyName"), &["left as it is: the rule yields nothing", "family is empty"]);
    has(fact(&explained, "compare", "name.familyName"), &["left as it is", "`Family1`"]);
    has(fact(&explained, "map", "title"), &["left as it is"]);
}

#[test]
fn case_p4_a_correlation_below_100_percent_shows_its_candidates_and_rules() {
    let company = Company::of(2);
    company.vault.add_user("user0001@corp.example");
    job(
        &company,
        "match = [{ source = \"id\", target = \"externalId\" }]\nrequired",
        "match = [{ source = \"id\", target = \"externalId\" }, { source = \"login\", target = \"userName\", confidence = 80 }]\nrequired",
    );
    run(&company, 3);
    let explained = explain(&company, &["E0001"]);
    has(fact(&explained, "correlate", "id = externalId (100 %)"), &["no candidate for `E0001`"]);
    has(fact(&explained, "correlate", "login = userName (80 %)"), &["1 candidate", "(user0001@corp.example)"]);
    has(&step(&explained, "order")["facts"], &["low-confidence", "80 % only"]);
    // What would be compared once a person says that they are one.
    has(step(&explained, "read"), &["it is on both sides"]);
    has(step(&explained, "correlate"), &["not surely", "a person confirms it"]);
    has(fact(&explained, "compare", "externalId"), &["differs", "`E0001`"]);
    has(&explained["next"], &["muster approve"]);
    // By its login the row and the stranger are two that may be one: the person chooses.
    company.world.muster(&["explain", "corp", "user0001@corp.example"]).ended(2).says(&["2 objects go by", "E0001"]);
}

#[test]
fn case_p8_one_user_is_planned_and_the_orders_of_others_stay_as_they_are() {
    let company = Company::of(5);
    company.settle();
    company.hr(&with(5, |all| all[1].family = "First".into()));
    let first = run(&company, 3);
    // Both change, and one more leaves: a whole plan would replace the first order and raise two.
    company.hr(&with(5, |all| {
        all[1].family = "Second".into();
        all[2].family = "Third".into();
        all.remove(4);
    }));
    company.world.muster(&["plan", "corp", "--only", "E0003"]).ended(3);
    let alone = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &alone);
    assert_eq!(orders.len(), 1, "{orders:#?}");
    assert_eq!((&orders[0]["key"], &orders[0]["operation"]), (&json!("E0003"), &json!("update")));
    let states = |run: &str| -> Vec<String> {
        let listed = company.world.muster(&["review", run, "--all", "--format", "json"]).json();
        listed.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (states(&first), states(&alone)),
        (vec!["pending-review".to_owned()], vec!["pending-review".to_owned()])
    );
    // By a login, and one that leaves with its memberships.
    company.world.muster(&["plan", "corp", "--only", "user0005@corp.example"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let keys: Vec<&str> = orders.iter().map(|order| order["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"E0005") && keys.iter().all(|key| key.contains("E0005")), "{keys:?}");
    assert_eq!(states(&first), ["pending-review"]);
    company
        .world
        .muster(&["plan", "corp", "--only", "nobody"])
        .ended(1)
        .says(&["in no snapshot", "nothing was planned"]);
    // Limits count what lives of others too: two updates are waiting, a third one is over the limit.
    job(&company, "active = \"enabled\"", "active = \"enabled\"\n\n[sync.thresholds]\nupdate = { count = 2 }");
    company.hr(&with(5, |all| {
        all[1].family = "First".into();
        all[2].family = "Third".into();
        all[3].family = "Fourth".into();
    }));
    company.world.muster(&["plan", "corp", "--only", "E0004"]).ended(4).says(&["vault.users/update/count"]);
    let held = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!((held.len(), &held[0]["block"]["reason"]), (1, &json!("threshold")), "{held:#?}");
    assert_eq!(
        (states(&first), states(&alone)),
        (vec!["pending-review".to_owned()], vec!["pending-review".to_owned()])
    );
    company.world.muster(&["reject", "corp", "--order", held[0]["id"].as_str().unwrap(), "--comment", "no"]);
    company.hr(&with(5, |all| {
        all[1].family = "Second".into();
        all[2].family = "Third".into();
        all.remove(4);
    }));
    // A plan of all of them does what it would have done.
    run(&company, 3);
    assert_eq!((states(&first), states(&alone)), (vec!["superseded".to_owned()], vec!["pending-review".to_owned()]));
}

#[test]
fn case_p9_a_value_tells_its_source_its_rule_and_the_run_at_which_it_changed() {
    let company = Company::of(3);
    company.settle();
    company.hr(&with(3, |all| all[0].family = "Newname".into()));
    let changed = run(&company, 3);
    approve_and_apply(&company);
    run(&company, 0);
    let explained = explain(&company, &["E0001"]);
    let family = fact(&explained, "compare", "name.familyName");
    has(family, &["confirmed", "`Newname`", "`Family1` → `Newname` (source)", &changed]);
    has(fact(&explained, "map", "name.familyName"), &["hr.users: family = `Newname`", "family"]);
    has(fact(&explained, "read", "hr.users family"), &["from `Family1` to `Newname`", &changed, "name.familyName"]);
    let history = company.world.muster(&["history", "corp", "E0001", "--format", "json"]).ended(0).json();
    let entries = history["entries"].as_array().unwrap();
    let find = |kind: &str, what: &str| {
        entries
            .iter()
            .find(|e| e["kind"] == kind && e["what"] == what && e["after"] == "Newname")
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(find("source", "family")["run"], changed.as_str(), "{history:#}");
    let order = find("order", "update name.familyName");
    assert_eq!(
        (&order["before"], &order["cause"], &order["state"]),
        (&json!("Family1"), &json!("source"), &json!("applied"))
    );
    assert_eq!(order["who"], "tester");
    // What the target shows is carried by that order.
    assert_eq!(find("target", "name.familyName")["order"], order["order"]);
    assert!(entries.is_sorted_by_key(|entry| entry["at"].as_str().unwrap().to_owned()));
    company.world.muster(&["history", "corp", "E0001"]).ended(0).says(&["`Family1` → `Newname`", "approved by tester"]);
    let csv = company.world.muster(&["history", "corp", "E0001", "--format", "csv", "--since", "1h"]).ended(0);
    assert!(csv.out.starts_with("at,run,kind,what,before,after,cause,order,state,who\n"), "{}", csv.out);
}

#[test]
fn case_p10_wrong_values_are_told_by_identity_data_rule_or_target() {
    let company = Company::of(4);
    company.settle();
    let id = company.vault.user("user0003@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    by_hand(
        &company,
        &format!("/Users/{id}"),
        &json!({ "op": "replace", "path": "name.familyName", "value": "Local" }),
    );
    company.hr(&with(4, |all| all[0].family = "Moved".into()));
    run(&company, 3);
    has(fact(&explain(&company, &["E0001"]), "compare", "name.familyName"), &["source (changed in the identity data)"]);
    let drift = explain(&company, &["E0003"]);
    has(
        fact(&drift, "compare", "name.familyName"),
        &["drift (changed at the target)", "`Local`", "holds something else"],
    );
    // Now the rule is another, and the row of E0002 is as it was.
    job(&company, "\"name.familyName\" = \"family\"", "\"name.familyName\" = \"family + '!'\"");
    let with_rule = run(&company, 3);
    let ruled = explain(&company, &["E0002"]);
    let family = fact(&ruled, "compare", "name.familyName");
    has(
        family,
        &[
            "rule (the job's rules make something else",
            "`Family2!`",
            "the job file changed",
            "family + '!'",
            &with_rule,
        ],
    );
    let history = company.world.muster(&["history", "corp", "E0002", "--format", "json"]).ended(0).json();
    let entries = history["entries"].as_array().unwrap();
    let edit = entries.iter().find(|entry| entry["kind"] == "job-file").unwrap();
    has(&edit["before"], &["\"name.familyName\" = \"family\""]);
    has(&edit["after"], &["family + '!'"]);
    assert_eq!(edit["run"], with_rule.as_str());
    // The rule changed and so did the row, in what the rule does not read: it is the rule that changes the value.
    approve_and_apply(&company);
    company.hr(&with(4, |all| all[3].enabled = false));
    job(&company, "\"name.familyName\" = \"family\"", "\"name.familyName\" = \"family + '?'\"");
    let both = run(&company, 3);
    let orders = company.world.orders("corp", &both);
    let order = orders.iter().find(|order| order["key"] == "E0004").unwrap();
    let causes = order["changes"].as_array().unwrap().iter().map(|c| (&c["attribute"], &c["cause"]));
    assert_eq!(
        causes.collect::<Vec<_>>(),
        [(&json!("active"), &json!("source")), (&json!("name.familyName"), &json!("rule"))],
        "{order:#}"
    );
    let explained = explain(&company, &["E0004"]);
    has(fact(&explained, "compare", "name.familyName"), &["rule (the job's rules make something else"]);
}

#[test]
fn what_is_asked_for_one_object_says_what_came_of_it() {
    let company = Company::of(3);
    company.settle();
    company.world.muster(&["explain", "corp", "E0001", "--apply"]).ended(0).says(&["no new order"]);
    company.hr(&with(3, |all| all[0].family = "Newname".into()));
    company
        .world
        .muster(&["explain", "corp", "E0001", "--apply"])
        .ended(3)
        .says(&["planned in run", "update E0001, pending-review; muster review"]);
    // That somebody asks for what is not there is no failure of the job.
    company.world.muster(&["plan", "corp", "--only", "E9999"]).ended(1).says(&["in no snapshot"]);
    company.world.muster(&["status", "--no-good-run-since", "1h"]).ended(0);
    let status = company.world.muster(&["status", "corp", "--format", "json"]).ended(0).json();
    assert!(!status.to_string().contains("\"failed\""), "{status:#}");
    // What the target shows of an applied order is told once, and who changed a row at the source nobody knows.
    approve_and_apply(&company);
    run(&company, 0);
    let told = company.world.muster(&["history", "corp", "E0001"]).ended(0).out;
    assert_eq!(told.matches("name.familyName: `Family1` → `Newname`").count(), 1, "{told}");
    assert!(!told.contains("started by"), "{told}");
}

#[test]
fn case_p12_an_entitlement_tells_its_chain_and_who_approved_it() {
    let company = Company::of(4);
    company.world.write("hr/groups.csv", "id,name,owner\nT0,Databases,ann@corp.example\nT1,Network,\nT2,Payments,\n");
    company.world.muster(&["run", "corp"]).ended(3);
    let first = company.world.newest_run("corp");
    approve_and_apply(&company);
    run(&company, 0);
    let explained = explain(&company, &["E0003", "--entitlement", "T0"]);
    assert_eq!(explained["situation"], "confirmed");
    has(&step(&explained, "read")["verdict"], &["`E0003` is in `T0` of hr.memberships directly"]);
    has(fact(&explained, "assign", "owner"), &["ann@corp.example"]);
    has(&step(&explained, "map")["verdict"], &["hr.memberships → vault.memberships"]);
    has(&step(&explained, "correlate")["verdict"], &["both ends have their object"]);
    let order = &step(&explained, "order")["facts"][0];
    has(order, &["add, applied", &first, "by tester at", "ticket 7", "approval-1.json"]);
    has(&step(&explained, "outcome")["verdict"], &["applied, add"]);
    // Nobody put this one in: it says which link is missing.
    let explained = explain(&company, &["E0003", "--entitlement", "Network"]);
    has(&step(&explained, "decide")["verdict"], &["no row of hr.memberships puts `E0003` into `T1`"]);
    has(&step(&explained, "read")["facts"], &["`T0`"]);
}

#[test]
fn a_plan_of_one_object_leaves_what_a_person_accepted_to_the_plan_of_all() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(30));
    company.world.muster(&["run", "corp"]).ended(4);
    let held = company.world.newest_run("corp");
    let mut accept = vec!["approve", &held, "--comment", "a team was dissolved"];
    accept.extend(["--accept", "hr.users/deleted/percent", "--accept", "hr.memberships/deleted/percent"]);
    company.world.muster(&accept).says(&["accepted"]);
    company.world.muster(&["plan", "corp", "--only", "E0040"]);
    company.world.muster(&["run", "corp"]).never_says(&["hr.users/deleted"]);
    let disabled = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!(disabled.iter().filter(|order| order["operation"] == "disable").count(), 30);
}
