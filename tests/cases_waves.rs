//! Canaries and waves, from outside: in which sequence a target is asked, and what one cause costs.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, Person, people};

/// A company whose server writes down what it is asked; nothing is planned yet.
fn company(n: usize, further: &str) -> Company {
    let world = World::new();
    let log = world.path().join("requests.ndjson");
    let vault = world.server_with(&["--log", log.to_str().unwrap()]);
    let company = Company { world, vault };
    company.hr(&people(n));
    company.job(further);
    company
}

/// Plans and approves everything; the run's id.
fn approve(company: &Company) -> String {
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    company.world.newest_run("corp")
}

/// What the server was asked so far, in the sequence of its answers.
fn requests(company: &Company) -> Vec<Value> {
    company.world.read("requests.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where requests of a method below a path stand among those of the server.
fn places(requests: &[Value], method: &str, path: &str) -> Vec<usize> {
    let fits = |r: &Value| r["method"] == method && r["path"].as_str().unwrap().starts_with(path);
    (0..requests.len()).filter(|at| fits(&requests[*at])).collect()
}

/// A company whose orders are approved; the run's id.
fn approved(n: usize, further: &str) -> (Company, String) {
    let company = company(n, further);
    let run = approve(&company);
    (company, run)
}

/// One rule for requests of a method below a path.
fn fault(company: &Company, method: &str, prefix: &str, when: Value, action: Value) {
    company.vault.faults(json!({ "rules": [
        { "method": method, "prefix": prefix, "when": when, "action": action }] }));
}

/// Orders of a run by state.
fn states(company: &Company, run: &str) -> Value {
    report(company, run)["orders_by_state"].clone()
}

/// errors.json of a run.
fn errors(company: &Company, run: &str) -> Vec<Value> {
    let file = company.world.run_file("corp", run, "errors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Every user and every membership is at the vault once.
#[track_caller]
fn all_there_once(company: &Company, people: usize) {
    let users = company.vault.all("Users");
    let names: std::collections::BTreeSet<&str> = users.iter().map(|u| u["externalId"].as_str().unwrap()).collect();
    let members: usize = company.vault.all("Groups").iter().map(|g| g["members"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((users.len(), names.len(), members), (people, people, people));
}

fn report(company: &Company, run: &str) -> Value {
    company.world.muster(&["report", run, "--format", "json"]).ended(0).json()
}

fn run_log(company: &Company, run: &str) -> String {
    std::fs::read_to_string(company.world.run_file("corp", run, "run.log")).unwrap()
}

/// A refusal in words.
fn refusal(method: &str, when: Value, code: u16, words: &str) -> Value {
    let body = json!({ "detail": words, "scimType": if code == 400 { "invalidValue" } else { "" } }).to_string();
    json!({ "method": method, "prefix": "/Users", "when": when, "action": { "status": { "code": code, "body": body } } })
}

fn no_faults(company: &Company) {
    company.vault.faults(json!({ "rules": [] }));
}

#[test]
fn case_p6_one_cause_for_150_orders_is_one_errored_order_and_one_line() {
    let (company, run) = approved(150, "");
    let full = json!({ "status": { "code": 403, "body": "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"403\",\"detail\":\"provisioning user may not create accounts\"}" } });
    fault(&company, "POST", "/Users", json!("every"), full);
    let said = company.world.muster(&["apply", "corp"]).ended(5);
    let said = said.says(&["1 errored", "errors.csv", "muster retry", "create vault.users stopped: ", "298 not tried"]);
    assert_eq!(said.err.matches("may not create accounts").count(), 1, "{}", said.err);
    assert!(company.vault.all("Users").is_empty());
    let told = report(&company, &run);
    assert_eq!(told["errors"], "1 cause, 1 order failed, 149 not tried", "{told:#}");
    assert_eq!(told["orders_by_state"]["errored"], 1);
    assert_eq!(told["error_groups"][0]["cause"]["class"], "permission");
    assert_eq!(told["error_groups"][0]["example"], "provisioning user may not create accounts");
    company.world.muster(&["report", &run]).ended(0).says(&[
        "1 failed, 149 not tried",
        "298 orders were not tried and stay approved",
        "muster retry",
    ]);

    // The cause has a short name, the same everywhere, and the command to type.
    let group = told["error_groups"][0]["name"].as_str().unwrap().to_owned();
    assert!(group.starts_with("permission-"), "{group}");
    let command = format!("muster retry {run} --group {group} --first");
    let sentence = format!("{group}, create vault.users: 1 failed, 149 not tried");
    for place in [&said.err, &company.world.muster(&["report", &run]).ended(0).out] {
        assert!(place.contains(&command) && place.contains(&sentence), "{place}");
    }
    assert_eq!(told["error_groups"][0]["retry"], command.as_str());
    assert_eq!((&errors(&company, &run)[0]["group"], errors(&company, &run).len()), (&json!(group), 1));
    let csv = std::fs::read_to_string(company.world.run_file("corp", &run, "errors.csv")).unwrap();
    assert!(csv.contains(&format!("{group},\"1 failed, 149 not tried\"")), "{csv}");
    let log = std::fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
    assert!(
        log.contains(&format!(
            "errors: 1 cause, 1 order failed, 149 not tried; {sentence}; not started: add vault.memberships"
        )),
        "{log}"
    );
    // Which kinds were not started.
    let kinds = told["left"].as_array().unwrap();
    let left: Vec<_> = kinds.iter().map(|k| (k["kind"].as_str().unwrap(), &k["is_started"], &k["orders"])).collect();
    let (yes, no, rest) = (json!(true), json!(false), json!(149));
    assert_eq!(left, [("create vault.users", &yes, &rest), ("add vault.memberships", &no, &rest)]);

    // While the cause lasts, one try costs one order: the same one, ahead of the 149.
    company.world.muster(&["retry", &run, "--group", "data-0000"]).ended(2).says(&["--group data-0000", &group]);
    let retried = company.world.muster(&["retry", &run, "--group", &group, "--first"]).ended(0);
    retried.says(&["1 order approved again: `create vault.users E0001`", "next: muster apply"]);
    company.world.muster(&["apply", "corp"]).ended(5);
    assert_eq!(errors(&company, &run)[0]["key"], "E0001");
    assert_eq!(states(&company, &run)["errored"], 1);
    company.world.muster(&["retry", &run, "--group", &group, "--first"]).ended(0);
    company.world.muster(&["apply", "corp", "--first", "1"]).ended(5);
    assert_eq!(report(&company, &run)["errors"], "1 cause, 1 order failed, 149 not tried");

    // The cause is mended: one first, then the rest.
    no_faults(&company);
    company.world.muster(&["retry", &run, "--group", &group, "--first"]).ended(0);
    company.world.muster(&["apply", "corp", "--first", "1"]).ended(0);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["externalId"], "E0001");
    assert_eq!(company.vault.all("Users").len(), 1);
    let nothing = company.world.muster(&["retry", &run, "--group", &group]).ended(0);
    nothing.says(&["nothing of group", "errored any more", "muster apply"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 150);
}

#[test]
fn case_p6_retry_goes_back_to_review_where_the_approval_is_over_and_says_so() {
    let (company, run) = approved(3, "[review]\nexpires = \"15s\"\n");
    // Long enough for a busy machine to begin, and over when the answer comes.
    let slow =
        json!({ "method": "POST", "prefix": "/Users", "when": "every", "action": { "delay": { "ms": 15_500 } } });
    company.vault.faults(json!({ "rules": [slow, refusal("POST", json!("every"), 403, "not you")] }));
    company.world.muster(&["apply", "corp"]).ended(5);
    no_faults(&company);
    let said = company.world.muster(&["retry", &run]).ended(3);
    said.says(&["1 order waits for review again, because the approval has expired", "E0001", "muster review"]);
    company.world.muster(&["apply", "corp"]).ended(3);
    assert!(company.vault.all("Users").is_empty(), "nothing is sent under an approval that is over");
    company.world.muster(&["approve", "corp", "--all", "--comment", "again"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 3);
}

#[test]
fn case_p6_the_same_cause_in_the_data_of_many_stops_after_a_few() {
    let (company, run) = approved(40, "[apply]\nwaves = [1, 40]\nconcurrency = 1\nstop_after = { same_cause = 3 }\n");
    let refused = json!({ "status": { "code": 400, "body": "{\"scimType\":\"invalidValue\",\"detail\":\"value of 'emails' is not allowed\"}" } });
    fault(&company, "POST", "/Users", json!("every"), refused);
    company.world.muster(&["apply", "corp"]).ended(5);
    let told = report(&company, &run);
    assert_eq!(
        (&told["orders_by_state"]["errored"], &told["errors"]),
        (&json!(3), &json!("1 cause, 3 orders failed, 37 not tried"))
    );
    no_faults(&company);
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 40);
}

#[test]
fn case_p6_groups_then_users_then_rows_and_no_wave_before_the_one_before_it_is_read_back() {
    let company = company(30, "[apply]\nwaves = [1, 3, 9]\n");
    approve(&company);
    let before = requests(&company).len();
    company.world.muster(&["apply", "corp"]).ended(0);
    let asked = &requests(&company)[before..];
    let (groups, users) = (places(asked, "POST", "/Groups"), places(asked, "POST", "/Users"));
    let rows = places(asked, "PATCH", "/Groups");
    assert_eq!((groups.len(), users.len()), (3, 30));
    assert!(groups.iter().max() < users.iter().min() && users.iter().max() < rows.iter().min());
    // Read back by id: the canary, then 3, then 9 before the next wave begins.
    let read = places(asked, "GET", "/Users/");
    for sent in [1, 4, 13] {
        let back = read.iter().filter(|at| **at < users[sent]).count();
        assert!(back >= sent, "{back} of {sent} were read back before the next wave: {users:?} {read:?}");
    }
    // The rows of one group travel together, but for the first row of all.
    let members = |at: &usize| asked[*at]["body"]["Operations"][0]["value"].as_array().map_or(0, Vec::len);
    assert_eq!(members(&rows[0]), 1, "{}", asked[rows[0]]);
}

/// Six with another address, four with another name.
fn changed(company: &Company) {
    let mut staff = people(12);
    staff[..6].iter_mut().for_each(|p| p.email = format!("new-{}", p.email));
    staff[6..10].iter_mut().for_each(|p| p.family = format!("New{}", p.family));
    company.hr(&staff);
}

#[test]
fn case_p6_each_rule_of_an_update_has_a_canary_and_a_broken_one_stops_no_other() {
    let company = company(12, "");
    company.settle();
    changed(&company);
    let run = approve(&company);
    // The canary of the addresses: what most of the updates change.
    company.vault.faults(json!({ "rules": [refusal("PATCH", json!({ "nth": 1 }), 403, "addresses are ours")] }));
    let said = company.world.muster(&["apply", "corp"]).ended(5);
    said.says(&["update vault.users (emails) stopped", "5 further orders were not tried", "4 applied, 1 errored"]);
    let log = run_log(&company, &run);
    for wave in ["(emails), wave 1: 1 order", "(name.familyName), wave 2: 1 order", "users, wave 3: 3 orders"] {
        assert!(log.contains(wave), "`{wave}` is not in\n{log}");
    }
    let told = report(&company, &run);
    assert_eq!(told["errors"], "1 cause, 1 order failed, 5 not tried", "{told:#}");
    assert_eq!(told["orders_by_state"], json!({ "applied": 4, "approved": 5, "errored": 1 }));
    // Mended: the one that failed goes first.
    no_faults(&company);
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(report(&company, &run)["orders_by_state"], json!({ "applied": 10 }));
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_p6_a_canary_that_its_own_data_kills_is_followed_by_another_one() {
    let company = company(10, "");
    let run = approve(&company);
    company.vault.faults(json!({ "rules": [
        refusal("POST", json!({ "nth": 1 }), 400, "the name is not allowed"),
        refusal("POST", json!({ "nth": 2 }), 400, "the address is not allowed")] }));
    company.world.muster(&["apply", "corp"]).ended(5);
    assert_eq!(company.vault.all("Users").len(), 8);
    let log = run_log(&company, &run);
    for wave in ["users, wave 1: 1 order", "users, wave 2: 1 order", "users, wave 3: 1 order", "users, wave 4: 7"] {
        assert!(log.contains(&format!("create vault.{wave}")), "`{wave}` is not in\n{log}");
    }
    assert_eq!(report(&company, &run)["errors"], "2 causes, 2 orders failed");
}

#[test]
fn case_p6_what_one_object_lacks_the_right_for_does_not_stop_a_kind_that_was_proved() {
    let company = company(10, "[apply]\nconcurrency = 1\n");
    let run = approve(&company);
    company.vault.faults(json!({ "rules": [refusal("POST", json!({ "nth": 4 }), 403, "not in your container")] }));
    company.world.muster(&["apply", "corp"]).ended(5);
    let left = report(&company, &run)["orders_by_state"].clone();
    assert_eq!((&left["errored"], company.vault.all("Users").len()), (&json!(1), 9), "{left}");
}

#[test]
fn case_p6_a_target_is_left_alone_after_ten_failures_in_a_row() {
    // Some vaults switch themselves off after 20 errors one after another, whatever these are about.
    let words: Vec<String> = ('a'..='z').map(|c| format!("value {c} is bad")).collect();
    for (from, lanes, good) in [(1, 1, 0), (12, 8, 11)] {
        let company = company(60, &format!("[apply]\nconcurrency = {lanes}\n"));
        let run = approve(&company);
        let rules: Vec<Value> =
            words.iter().zip(from..).map(|(words, nth)| refusal("POST", json!({ "nth": nth }), 400, words)).collect();
        company.vault.faults(json!({ "rules": rules }));
        let before = requests(&company).len();
        let said = company.world.muster(&["apply", "corp"]).ended(1);
        said.says(&["10 orders in a row failed at vault", "the limit of this job is 10", "stay approved"]);
        let told = report(&company, &run);
        assert_eq!(told["orders_by_state"]["errored"], 10, "{told:#}");
        let asked = &requests(&company)[before..];
        let failed = places(asked, "POST", "/Users").into_iter().filter(|at| asked[*at]["status"] == 400).count();
        assert_eq!((failed, company.vault.all("Users").len()), (10, good));
        assert!(told["stopped"].as_str().unwrap().contains("10 orders in a row"), "{told:#}");
        assert!(told["left"].as_array().unwrap().iter().any(|kind| kind["kind"] == "add vault.memberships"));
        no_faults(&company);
        company.world.muster(&["retry", "corp"]).ended(0);
        company.world.muster(&["apply", "corp"]).ended(0);
        assert_eq!(company.vault.all("Users").len(), 60);
    }
}

#[test]
fn case_k3_no_room_stops_further_creates_and_nothing_else() {
    let company = company(12, "[apply]\nconcurrency = 1\n");
    company.settle();
    let mut staff: Vec<Person> = people(22);
    staff[0].family = "Married".into();
    staff[1].enabled = false;
    company.hr(&staff);
    company.world.write(
        "jobs/corp.toml",
        company.job_text("[apply]\nconcurrency = 1\n").replacen(
            "[sync.attributes]",
            "thresholds = { create = \"off\" }\n[sync.attributes]",
            1,
        ),
    );
    let run = approve(&company);
    company.vault.faults(json!({ "rules": [refusal("POST", json!({ "after": 3 }), 403, "Not enough licences")] }));
    let said = company.world.muster(&["apply", "corp"]).ended(5);
    said.says(&["create vault.users stopped: there is no room", "1 errored", "Not enough licences"]);
    assert_eq!(company.vault.all("Users").len(), 15);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["name"]["familyName"], "Married");
    assert_eq!(company.vault.user("user0002@corp.example").unwrap()["active"], false);
    let told = report(&company, &run);
    assert_eq!(told["errors"], "1 cause, 1 order failed, 6 not tried", "{told:#}");
    assert_eq!(told["error_groups"][0]["cause"]["class"], "capacity");
    // Seats were bought.
    no_faults(&company);
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_d4_what_an_outage_leaves_is_counted_to_no_cause() {
    let company = company(20, "[apply]\nconcurrency = 1\nretry_budget = \"1s\"\n");
    let run = approve(&company);
    company.vault.faults(json!({ "rules": [
        refusal("POST", json!({ "nth": 3 }), 400, "the name is not allowed"),
        { "method": "POST", "prefix": "/Users", "when": { "after": 6 }, "action": { "unavailable": { "retry_after": 0 } } }] }));
    company.world.muster(&["apply", "corp"]).ended(1).says(&[
        "503",
        "errors: 1 cause, 1 order failed",
        "not started: add",
    ]);
    let told = report(&company, &run);
    assert_eq!((&told["errors"], &told["orders_by_state"]["errored"]), (&json!("1 cause, 1 order failed"), &json!(1)));
    assert!(told["stopped"].as_str().unwrap().contains("503"), "{told:#}");
}

/// Groups in groups, planned together with the groups themselves.
fn nested(company: &Company) {
    company.world.write("hr/nestings.csv", "parent,child\nT0,T1\nT1,T2\n");
    company.job(
        "[[sync]]\nfrom = \"hr.nestings\"\nto = \"vault.nestings\"\n\
         ends = { parent = [\"hr.groups\", \"vault.groups\"], child = [\"hr.groups\", \"vault.groups\"] }\n",
    );
}

#[test]
fn case_k7_groups_in_groups_come_in_the_run_that_makes_them() {
    let company = company(6, "");
    nested(&company);
    approve(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    let group = |name: &str| company.vault.all("Groups").into_iter().find(|g| g["displayName"] == name).unwrap();
    let holds = |outer: &str, inner: &str| {
        let id = group(inner)["id"].clone();
        group(outer)["members"].as_array().unwrap().iter().any(|member| member["value"] == id)
    };
    assert!(holds("Databases", "Network") && holds("Network", "Payments") && !holds("Databases", "Payments"));
    company.world.muster(&["run", "corp"]).ended(0);
    // How one came into another is told as of people.
    company
        .world
        .muster(&["explain", "corp", "T2", "--resource", "vault.groups", "--entitlement", "T0"])
        .ended(0)
        .says(&["T1", "hr.nestings"]);
    company.world.write("hr/nestings.csv", "parent,child\nT0,T1\nT1,T2\nT2,T0\n");
    company.world.muster(&["run", "corp"]).ended(3).says(&["contain each other: `T0` ↔ `T1` ↔ `T2`"]);
}

#[test]
fn case_p7_rows_whose_end_will_not_come_are_blocked_and_sealing_says_so() {
    let company = company(6, "");
    nested(&company);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &run);
    let create = orders.iter().find(|o| o["operation"] == "create" && o["key"] == "T1").unwrap()["id"].clone();
    let said = company.world.muster(&["reject", &run, "--order", create.as_str().unwrap(), "--comment", "no"]).ended(3);
    said.says(&["missing-reference", "it needs T1"]);
    company.world.muster(&["approve", &run, "--all", "--comment", "the rest"]).says(&["missing-reference"]);
    company.world.muster(&["apply", "corp"]);
    let left = report(&company, &run)["orders_by_state"].clone();
    // Two people are in the group, and it is in one group and holds another.
    assert_eq!(left, json!({ "applied": 12, "blocked": 4, "rejected": 1 }));
    assert_eq!(company.vault.all("Groups").len(), 2);
}
