//! What operators run into between an approved order and its target.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::company::{Company, people};
use support::orders::{approve, by_hand, order, planned, settled, standing, user};

/// A company whose users, groups and memberships are approved and not applied yet; the run's id.
fn approved(people: usize, further: &str) -> (Company, String) {
    let company = Company::with(people, further);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = approve_all(&company);
    (company, run)
}

fn approve_all(company: &Company) -> String {
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    company.world.newest_run("corp")
}

/// One rule for requests of a method below a path.
fn fault(company: &Company, method: &str, prefix: &str, when: Value, action: Value) {
    company.vault.faults(json!({ "rules": [
        { "method": method, "prefix": prefix, "when": when, "action": action }] }));
}

fn no_faults(company: &Company) {
    company.vault.faults(json!({ "rules": [] }));
}

/// Orders of a run by state.
fn states(company: &Company, run: &str) -> Value {
    report(company, run)["orders_by_state"].clone()
}

fn report(company: &Company, run: &str) -> Value {
    company.world.muster(&["report", run, "--format", "json"]).ended(0).json()
}

/// errors.json of a run.
fn errors(company: &Company, run: &str) -> Vec<Value> {
    let file = company.world.run_file("corp", run, "errors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// How many entries of a kind the log holds.
fn log_entries(company: &Company, kind: &str) -> Vec<Value> {
    let log = company.world.muster(&["log", "corp", "--limit", "0", "--format", "json"]).ended(0).json();
    log.as_array().unwrap().iter().filter(|entry| entry["kind"] == kind).cloned().collect()
}

/// Every user and every membership is at the vault once.
#[track_caller]
fn all_there_once(company: &Company, people: usize) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for user in company.vault.all("Users") {
        *seen.entry(user["externalId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let members: usize = company.vault.all("Groups").iter().map(|g| g["members"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((seen.len(), seen.values().max().copied(), members), (people, Some(1), people));
}

#[test]
fn case_p14_what_changed_at_the_target_after_the_review_is_stale_and_the_rest_goes_on() {
    let company = Company::of(12);
    company.settle();
    let mut staff = people(12);
    for person in &mut staff[..3] {
        person.family = format!("{}-Smith", person.family);
    }
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = approve_all(&company);
    // Somebody else was there between the review and the apply.
    let id = company.vault.user("user0002@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    let by_hand = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "name.familyName", "value": "Handmade" }] });
    company.vault.send("PATCH", &format!("/Users/{id}"), Some(by_hand));
    company.world.muster(&["--verbose", "apply", "corp"]).says(&["2 applied", "1 stale"]);
    let failed = errors(&company, &run);
    assert_eq!(failed.len(), 1);
    assert_eq!((&failed[0]["key"], &failed[0]["class"]), (&json!("E0002"), &json!("stale")));
    let message = failed[0]["message"].as_str().unwrap();
    for part in ["name.familyName", "Family2", "Handmade"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(company.vault.user("user0002@corp.example").unwrap()["name"]["familyName"], "Handmade");
    // The next run plans it anew from what is there now.
    company.world.muster(&["run", "corp"]).ended(3);
    let again = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!((again.len(), &again[0]["changes"][0]["before"]), (1, &json!("Handmade")), "{again:#?}");
}

#[test]
fn case_d1_each_status_is_classified_and_the_servers_own_words_are_kept() {
    let (company, run) =
        approved(4, "[apply]\nconcurrency = 1\nretry_budget = \"1s\"\nstop_after = { same_cause = 1 }\n");
    // Status, class, exit status, and whether the order is errored: what concerns everything stays approved.
    for (code, class, exit, errored) in [
        (400, "data", 5, true),
        (403, "permission", 5, true),
        (404, "configuration", 5, true),
        (409, "conflict", 5, true),
        (500, "server", 5, true),
        (401, "credential", 1, false),
        (503, "server", 1, false),
    ] {
        let words = format!("own words {code}");
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": code.to_string(),
            "scimType": if code == 400 { "invalidValue" } else { "" }, "detail": words })
        .to_string();
        fault(
            &company,
            "POST",
            "/Users",
            json!("every"),
            json!({ "status": { "code": code, "body": body, "headers": { "x-request-id": "req-77" } } }),
        );
        let said = company.world.muster(&["apply", "corp"]).ended(exit);
        let failed = errors(&company, &run);
        if errored {
            assert_eq!(failed.len(), 1, "{code}: {failed:#?}");
            let row = &failed[0];
            assert_eq!((&row["class"], &row["status"], &row["message"]), (&json!(class), &json!(code), &json!(words)));
            assert_eq!(row["scim_type"].as_str().unwrap_or_default(), if code == 400 { "invalidValue" } else { "" });
            assert_eq!(row["request_id"], "req-77");
            assert!(row["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{row}");
            company.world.muster(&["retry", "corp"]).ended(0);
        } else {
            said.says(&[&words, class, "stay approved"]);
            assert!(failed.is_empty(), "{failed:#?}");
        }
        let left = states(&company, &run);
        let live: u64 = ["approved", "in-flight", "blocked"].iter().filter_map(|state| left[*state].as_u64()).sum();
        assert_eq!(live + left["applied"].as_u64().unwrap(), 11, "{code}: {left}");
    }
    no_faults(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 4);
}

#[test]
fn case_d2_a_delete_of_what_is_already_gone_is_done() {
    let company = Company::with(60, "");
    let job = company.job_text("").replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
    company.world.write("jobs/corp.toml", job);
    company.settle();
    let mut staff = people(60);
    staff.truncate(58);
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = approve_all(&company);
    let id = company.vault.user("user0060@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(company.vault.send("DELETE", &format!("/Users/{id}"), None).0, 204);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 58);
    assert!(errors(&company, &run).is_empty());
    let deleted: Vec<Value> =
        log_entries(&company, "order-applied").into_iter().filter(|e| e["detail"]["operation"] == "delete").collect();
    assert_eq!(deleted.len(), 2);
    let absent = deleted.iter().find(|e| e["detail"]["key"] == "E0060").unwrap();
    assert_eq!(absent["detail"]["effected"], "already-so", "{absent}");
    assert!(absent["detail"]["note"].as_str().unwrap().contains("absent"), "{absent}");
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_d3_a_linked_object_that_was_deleted_is_stale_and_correlated_again() {
    let company = Company::of(12);
    company.settle();
    let mut staff = people(12);
    staff[6].family = "Moved".into();
    staff[7].family = "Moved".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = approve_all(&company);
    // One is gone when it is read; the other vanishes between the reading and the change.
    let id = |login: &str| company.vault.user(login).unwrap()["id"].as_str().unwrap().to_owned();
    let (gone, vanishing) = (id("user0007@corp.example"), id("user0008@corp.example"));
    company.vault.send("DELETE", &format!("/Users/{gone}"), None);
    fault(&company, "PATCH", &format!("/Users/{vanishing}"), json!("every"), json!({ "status": { "code": 404 } }));
    company.world.muster(&["apply", "corp"]);
    let failed = errors(&company, &run);
    assert_eq!(failed.iter().map(|row| row["class"].as_str().unwrap()).collect::<Vec<_>>(), ["stale", "stale"]);
    assert_eq!(states(&company, &run)["stale"], 2);
    no_faults(&company);
    // The next export proves which is gone: that one is created again, the other is planned anew.
    company.world.muster(&["run", "corp"]).ended(3);
    let again = company.world.orders("corp", &company.world.newest_run("corp"));
    let planned = |key: &str| again.iter().find(|o| o["key"] == key && o["resource"] == "vault.users").unwrap();
    assert_eq!(planned("E0007")["operation"], "create", "{again:#?}");
    assert_eq!(planned("E0008")["operation"], "update", "{again:#?}");
    approve_all(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    all_there_once(&company, 12);
}

#[test]
fn case_d3_a_wrong_404_loses_no_leaver() {
    let company = Company::of(12);
    company.settle();
    company.hr(&people(11));
    company.world.muster(&["run", "corp"]).ended(3);
    approve_all(&company);
    let leaver = company.vault.user("user0012@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    fault(&company, "GET", &format!("/Users/{leaver}"), json!("every"), json!({ "status": { "code": 404 } }));
    company.world.muster(&["apply", "corp"]);
    assert_eq!(company.vault.user("user0012@corp.example").unwrap()["active"], true);
    no_faults(&company);
    // The account is there after all, and still known as this leaver's: its disable is planned anew.
    company.world.muster(&["run", "corp"]).ended(3);
    approve_all(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0012@corp.example").unwrap()["active"], false);
}

#[test]
fn case_d4_an_unavailable_target_is_waited_for_as_it_asks() {
    let (company, _) = approved(10, "");
    fault(&company, "POST", "/Users", json!({ "first": 2 }), json!({ "unavailable": { "retry_after": 1 } }));
    let begun = Instant::now();
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
    all_there_once(&company, 10);
}

#[test]
fn case_d4_an_unavailable_target_stops_the_apply_and_nothing_is_errored() {
    let (company, run) = approved(20, "[apply]\nretry_budget = \"1s\"\n");
    let down = |method: &str, prefix: &str| {
        fault(&company, method, prefix, json!("every"), json!({ "unavailable": { "retry_after": 0 } }));
        company.world.muster(&["apply", "corp"]).ended(1).says(&["503", "the apply stopped", "stay approved"]);
        let left = states(&company, &run);
        for state in ["errored", "uncertain", "stale", "blocked", "pending-review"] {
            assert!(left[state].is_null(), "{method} {prefix}: {left}");
        }
    };
    down("POST", "/Users");
    down("GET", "/Users");
    // It goes down with requests under way: they are looked up before anything is sent again.
    company.vault.faults(json!({ "rules": [
        { "method": "POST", "prefix": "/Users", "when": { "after": 3 }, "action": "drop-after" },
        { "method": "GET", "prefix": "/Users", "when": { "after": 30 }, "action": { "unavailable": { "retry_after": 0 } } }] }));
    company.world.muster(&["apply", "corp"]).ended(1);
    let left = states(&company, &run);
    assert!(left["errored"].is_null() && left["uncertain"].is_null(), "{left}");
    down("PATCH", "/Groups");
    no_faults(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 20);
    assert_eq!(states(&company, &run), json!({ "applied": 43 }));
}

#[test]
fn case_d4_throttling_is_obeyed_and_costs_nothing() {
    let (company, run) = approved(30, "[apply]\nretry_budget = \"5s\"\n");
    company.vault.faults(json!({ "rules": [
        { "method": "POST", "prefix": "/Users", "when": { "every-nth": 9 }, "action": { "throttle": { "retry_after": 1 } } },
        { "method": "PATCH", "prefix": "/Groups", "when": { "first": 1 }, "action": { "throttle": { "retry_after": 1 } } }] }));
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(states(&company, &run), json!({ "applied": 63 }));
    all_there_once(&company, 30);
}

#[test]
fn case_p13_a_connection_cut_after_the_effect_repeats_nothing() {
    let (company, run) = approved(15, "");
    for (at, action) in [json!("drop-after"), json!({ "fail-after": { "code": 500 } })].into_iter().enumerate() {
        company.vault.faults(json!({ "rules": [
            { "method": "POST", "when": { "every-nth": 2 }, "action": action },
            { "method": "PATCH", "when": { "every-nth": 2 }, "action": action }] }));
        if at == 0 {
            company.world.muster(&["apply", "corp"]).ended(0);
            assert_eq!(states(&company, &run), json!({ "applied": 33 }));
            let found = log_entries(&company, "order-applied");
            let found = found.iter().filter(|e| e["detail"]["effected"] == "recovered").count();
            assert!(found >= 8, "{found} were looked up");
            all_there_once(&company, 15);
            // Further people, further updates.
            let mut staff = people(18);
            for person in &mut staff[..2] {
                person.family = "Changed".into();
            }
            company.hr(&staff);
            company.world.muster(&["run", "corp"]).ended(3);
            approve_all(&company);
        } else {
            company.world.muster(&["apply", "corp"]).ended(0);
        }
    }
    no_faults(&company);
    all_there_once(&company, 18);
    company.world.muster(&["run", "corp"]).ended(0);
    // Memberships whose answer was lost are muster's own all the same: it removes them when they are not wanted.
    company.hr(&people(18)
        .into_iter()
        .map(|mut p| {
            p.team = "T1".into();
            p
        })
        .collect::<Vec<_>>()[..]);
    company.world.muster(&["run", "corp"]);
    let moved = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!(moved.iter().filter(|o| o["operation"] == "remove").count(), 12, "{moved:#?}");
}

#[test]
fn case_p13_a_create_whose_object_is_there_already_is_adopted_or_a_conflict() {
    let (company, run) = approved(6, "[apply]\nconcurrency = 1\n");
    // The same as wanted, made by somebody else meanwhile; and one whose name is taken by another.
    let equal = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": "E0003",
        "userName": "user0003@corp.example", "name": { "familyName": "Family3" }, "active": true,
        "emails": [{ "value": "user0003@corp.example" }] });
    assert_eq!(company.vault.send("POST", "/Users", Some(equal)).0, 201);
    company.vault.add_user("user0005@corp.example");
    company.world.muster(&["apply", "corp"]).ended(5);
    let failed = errors(&company, &run);
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!((&failed[0]["key"], &failed[0]["class"]), (&json!("E0005"), &json!("conflict")));
    assert!(failed[0]["message"].as_str().unwrap().contains("user0005@corp.example"), "{failed:#?}");
    let adopted = log_entries(&company, "order-applied");
    let adopted =
        adopted.iter().find(|e| e["detail"]["key"] == "E0003" && e["detail"]["operation"] == "create").unwrap();
    assert_eq!(adopted["detail"]["effected"], "already-so");
    assert_eq!(company.vault.all("Users").len(), 6);
    // The row that needs the one that failed waits for it, and says so.
    assert_eq!(states(&company, &run)["blocked"], 1);
}

#[test]
fn case_p13_a_second_apply_waits_for_the_first_or_says_that_it_is_under_way() {
    let (company, run) = approved(12, "[apply]\nconcurrency = 1\n");
    fault(&company, "POST", "/Users", json!("every"), json!({ "delay": { "ms": 400 } }));
    let mut first = company.world.command(&["apply", "corp"]).stderr(Stdio::null()).spawn().unwrap();
    let log = company.world.run_file("corp", &run, "run.log");
    while !std::fs::read_to_string(&log).unwrap_or_default().contains("create vault.users") {
        assert!(first.try_wait().unwrap().is_none(), "the first apply ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    company.world.muster(&["apply", "corp", "--wait", "0s"]).ended(75).says(&["under way", "apply"]);
    company.world.muster(&["run", "corp"]).ended(75);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(log_entries(&company, "order-applied").len(), 27);
    all_there_once(&company, 12);
}

#[test]
fn case_d8_filters_that_cannot_be_used_are_replaced_by_reading_and_said() {
    for action in ["refuse-filter", "ignore-filter", "empty-filter"] {
        let (company, run) = approved(4, "");
        fault(&company, "GET", "/", json!("every"), json!(action));
        company.vault.add_user("somebody@corp.example");
        company.world.muster(&["apply", "corp"]).ended(0);
        assert_eq!(company.vault.all("Users").len(), 5);
        let log = std::fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
        let said = log.lines().filter(|line| line.contains("filter on users")).count();
        assert!((1..=2).contains(&said), "said once for each attribute ({action}):\n{log}");
    }
}

#[test]
fn case_d9_without_bulk_single_requests_go_together_and_keep_to_the_rate() {
    let (company, _) = approved(24, "[apply]\nconcurrency = 8\nwaves = [1, 100]\n");
    let config = company.vault.send("GET", "/ServiceProviderConfig", None).1;
    assert_eq!(config["bulk"]["supported"], false);
    // 23 creates that take so long each are not sent one after another.
    let delay = Duration::from_millis(600);
    fault(&company, "POST", "/Users", json!("every"), json!({ "delay": { "ms": 600 } }));
    let begun = Instant::now();
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(begun.elapsed() < 24 * delay, "{:?}", begun.elapsed());
    all_there_once(&company, 24);
    // And with a rate, never faster: at least two requests an order, ten a second.
    let (slow, _) = approved(5, "[apply]\nrate = \"10/s\"\n");
    let begun = Instant::now();
    slow.world.muster(&["apply", "corp"]).ended(0);
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    all_there_once(&slow, 5);
}

#[test]
fn case_i10_the_per_order_error_report_is_a_csv_and_a_json() {
    let (company, run) = approved(5, "[apply]\nconcurrency = 1\n");
    let refused = json!({ "status": { "code": 400, "headers": { "x-request-id": "req-1" },
        "body": "{\"scimType\":\"invalidValue\",\"detail\":\"=cmd|' /C calc'!A0, no\"}" } });
    fault(&company, "POST", "/Users", json!({ "nth": 2 }), refused);
    company.world.muster(&["apply", "corp"]).ended(5).says(&["errors.csv"]);
    let file = company.world.run_file("corp", &run, "errors.csv");
    let mut csv = csv::Reader::from_path(&file).unwrap();
    let header = csv.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 1);
    let cell = |name: &str| rows[0].get(header.iter().position(|column| column == name).unwrap()).unwrap().to_owned();
    let order = company.world.orders("corp", &run).into_iter().find(|o| o["id"] == cell("order").as_str()).unwrap();
    assert_eq!((order["key"].as_str().unwrap(), cell("key").as_str()), ("E0002", "E0002"));
    assert_eq!(
        (cell("operation"), cell("resource"), cell("class")),
        ("create".into(), "vault.users".into(), "data".into())
    );
    assert_eq!((cell("status"), cell("tries"), cell("request_id")), ("400".into(), "1".into(), "req-1".into()));
    assert!(!cell("message").starts_with('=') && cell("message").contains("=cmd|"), "{}", cell("message"));
    assert!(!cell("remedy").is_empty());
    let twin = errors(&company, &run);
    assert_eq!(twin[0]["message"], "=cmd|' /C calc'!A0, no");
    assert_eq!((&twin[0]["order"], &twin[0]["status"]), (&order["id"], &json!(400)));
    let shown = company.world.muster(&["report", &run, "--format", "csv"]).ended(0).out;
    assert_eq!(shown, std::fs::read_to_string(&file).unwrap());
    // Mended: the report is empty again.
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(errors(&company, &run).is_empty());
}

#[test]
fn a_row_that_was_so_already_is_applied_though_its_group_cannot_be_read_for_the_others() {
    let company = settled(9, "[apply]\nprotect = [\"vault.groups/Network\"]\nwaves = []\n");
    let mut staff = people(9);
    (staff[0].team, staff[3].team) = ("T2".into(), "T2".into());
    company.hr(&staff);
    let orders = planned(&company);
    approve(&company).ended(0);
    let network = company.vault.all("Groups").into_iter().find(|group| group["displayName"] == "Network").unwrap();
    let path = format!("/Groups/{}", network["id"].as_str().unwrap());
    let gone = format!("members[value eq \"{}\"]", user(&company, 1)["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "remove", "path": gone }));
    // Read once for its rows, and once more for who would be left.
    fault(&company, "GET", &path, json!({ "nth": 2 }), json!({ "status": { "code": 403 } }));
    company.world.muster(&["apply", "corp"]).ended(5);
    no_faults(&company);
    let ended = |key: &str| standing(&company, order(&orders, "remove", key)).0;
    assert_eq!((ended("T1 → E0001"), ended("T1 → E0004")), ("applied".to_owned(), "errored".to_owned()));
    let row = user(&company, 4)["id"].clone();
    let members = company.vault.all("Groups").into_iter().find(|group| group["id"] == network["id"]).unwrap();
    assert!(members["members"].as_array().unwrap().iter().any(|member| member["value"] == row), "taken unseen");
}
