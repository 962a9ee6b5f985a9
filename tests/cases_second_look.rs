//! A list that moves while it is read is normal: before anybody is told, it is read a second time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::Said;
use support::company::Company;
use support::gateway::Gateway;

/// A settled company of 60 users, read by pages of 20, one after the other.
fn company() -> Company {
    let company = Company::of(60);
    company.world.write("jobs/corp.toml", job(&company));
    company.settle();
    company
}

fn job(company: &Company) -> String {
    let settings = "kind = \"scim\"\npage_size = 20\npages_in_flight = 1\npaging = \"index\"\n";
    company.job_text("").replace("kind = \"scim\"\n", settings)
}

/// Lets something happen at the vault before its list of users is asked for from a row on: each time that is done, up
/// to so many times, with the number of the time.
fn meanwhile(
    company: &Company,
    start: u32,
    times: usize,
    happens: impl Fn(&str, usize) + Send + Sync + 'static,
) -> Gateway {
    let (server, seen) = (company.vault.url.clone(), AtomicUsize::new(0));
    let page = format!("startIndex={start}&");
    let gateway = Gateway::with(company.vault.address(), move |request| {
        if request.starts_with("GET ") && request.contains("/Users?") && request.contains(&page) {
            let time = seen.fetch_add(1, Ordering::SeqCst);
            if time < times {
                happens(&server, time);
            }
        }
    });
    let text = job(company).replace(company.vault.address(), &gateway.address.to_string());
    company.world.write("jobs/corp.toml", text);
    gateway
}

fn add(server: &str, login: &str) {
    let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "active": true});
    let (status, said) = support::send("POST", &format!("{server}/Users"), Some(support::TOKEN), Some(body));
    assert_eq!(status, 201, "{said}");
}

fn remove(server: &str, id: &str) {
    assert_eq!(support::send("DELETE", &format!("{server}/Users/{id}"), Some(support::TOKEN), None).0, 204);
}

/// A run that reads everything.
fn run(company: &Company) -> Said {
    company.world.muster(&["--verbose", "run", "corp", "--mode", "complete"])
}

fn export(company: &Company) -> Said {
    company.world.muster(&["--verbose", "export", "corp"])
}

/// What the newest export's manifest says of the vault's users: evidence and verdict.
fn users(company: &Company) -> (Value, Value) {
    let run = company.world.newest_run("corp");
    let text = company.world.read(&format!("state/export/corp/{run}/manifest.json"));
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let users = &manifest["systems"]["vault"]["users"];
    (users["evidence"].clone(), users["completeness"].clone())
}

/// The ids of the newest export's users, as the file has them.
fn ids(company: &Company) -> Vec<String> {
    let run = company.world.newest_run("corp");
    let text = company.world.read(&format!("state/export/corp/{run}/vault/users.csv"));
    let mut ids: Vec<String> = text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn ids_there(company: &Company) -> Vec<String> {
    let mut ids: Vec<String> =
        company.vault.all("Users").iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn case_x2_a_user_deleted_between_two_pages_is_explained_by_a_second_look() {
    let company = company();
    // One of the first page goes away before the second is read: one row slips to the page that was read already.
    let first = company.vault.all("Users")[3]["id"].as_str().unwrap().to_owned();
    let _gateway = meanwhile(&company, 21, 1, move |server, _| remove(server, &first));
    let said = export(&company).ended(0);
    said.says(&["exported vault.users: 59 rows, read twice (at first the server's own total moved from 60 to 59)"])
        .never_says(&["total-moved"]);
    assert_eq!(ids(&company), ids_there(&company), "nobody is missed, and nobody who is gone is there");
    let (evidence, verdict) = users(&company);
    assert_eq!(verdict["verdict"], "complete", "{evidence:#}");
    let look = &evidence["first_look"];
    assert_eq!(
        (&look["total_start"], &look["total_end"], &look["rows_received"]),
        (&json!(60), &json!(59), &json!(59))
    );
    assert_eq!((&evidence["total_start"], &evidence["total_end"]), (&json!(59), &json!(59)));
    assert_eq!((&evidence["pages_asked"], &look["statuses"]["200"]), (&json!(3), &json!(4)), "{evidence:#}");
    let run = company.world.newest_run("corp");
    let said = company.world.muster(&["report", &run]);
    said.says(&["exported vault.users: 59 rows in 3 pages, the server's own total is 59, complete; read twice"]);
    let report = company.world.muster(&["report", &run, "--format", "json"]).json();
    let export = report["exports"].as_array().unwrap().iter().find(|e| e["resource"] == "vault.users").unwrap();
    assert_eq!(export["read_again"], "the server's own total moved from 60 to 59", "{report:#}");
}

#[test]
fn case_x2_a_user_added_while_the_list_is_read_is_explained_though_it_grows_each_time() {
    let company = company();
    let _gateway = meanwhile(&company, 41, 2, |server, time| add(server, &format!("new{time}@corp.example")));
    export(&company)
        .ended(0)
        .says(&["moved from 60 to 61", "exported vault.users: 62 rows"])
        .never_says(&["total-moved"]);
    assert_eq!(ids(&company), ids_there(&company));
    let (evidence, verdict) = users(&company);
    assert_eq!(verdict["verdict"], "complete", "{evidence:#}");
    assert_eq!((&evidence["total_start"], &evidence["total_end"]), (&json!(61), &json!(62)));
}

#[test]
fn case_x2_a_list_from_which_users_go_at_each_look_stays_suspect_with_both_looks() {
    let company = company();
    let gone: Vec<String> =
        company.vault.all("Users")[..2].iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
    let gone = Mutex::new(gone);
    let _gateway = meanwhile(&company, 21, 2, move |server, _| remove(server, &gone.lock().unwrap().remove(0)));
    run(&company).ended(4).says(&[
        "vault.users/total-moved",
        "the server's own total was 59 at the start and 58 at the end of the export",
        "when the list was read before, it was 60 and then 59",
    ]);
    let (evidence, verdict) = users(&company);
    assert_eq!(verdict["suspicions"][0]["figure"], "59 to 58");
    assert_eq!(evidence["first_look"]["total_end"], 59);
}

#[test]
fn case_x5_a_page_that_fails_once_holds_nothing_and_one_that_always_does_is_told_with_both_looks() {
    let company = company();
    company.world.write("jobs/corp.toml", job(&company).replace("\"index\"", "\"cursor\""));
    let rule = |when: Value, action: Value| json!({"rules": [{"method": "GET", "prefix": "/Users", "when": when, "action": action}]});
    let fewer = json!({"truncate-page": {"keep": 10}});
    for (action, why) in [
        (fewer.clone(), "50 rows of the server's own total of 60 came"),
        (json!("repeat-page"), "a page came again in another's place"),
    ] {
        company.vault.faults(rule(json!({"nth": 3}), action));
        export(&company).ended(0).says(&["read twice (at first", why]);
        let (evidence, verdict) = users(&company);
        assert_eq!(verdict["verdict"], "complete", "{evidence:#}");
        assert_eq!(ids(&company), ids_there(&company), "{why}");
    }
    // At both looks, with one page fewer at the second: behind the first the total is read once more.
    let both = |action: &Value| [3, 6].map(|nth| rule(json!({"nth": nth}), action.clone())["rules"][0].clone());
    company.vault.faults(json!({"rules": both(&fewer)}));
    run(&company).ended(4).says(&[
        "vault.users/total: 30 rows received, the server's own total is 60",
        "when the list was read before, 50 rows of 60",
    ]);
    // A page that is merely shorter than asked for is none to doubt.
    company.vault.faults(rule(json!("every"), json!({"clip-page": {"max": 3}})));
    export(&company).ended(0).never_says(&["read twice"]);
}

#[test]
fn case_x5_an_increment_of_which_a_page_comes_again_is_looked_at_again() {
    let company = company();
    let many = "[snapshot.\"vault.users\"]\nthresholds = { updated = \"off\" }\n";
    company.world.write("jobs/corp.toml", job(&company) + many);
    let by_hand = |from: usize, name: &str| {
        for user in &company.vault.all("Users")[from..] {
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "replace", "path": "displayName", "value": name}]});
            company.vault.send("PATCH", &format!("/Users/{}", user["id"].as_str().unwrap()), Some(body));
        }
    };
    let again = |when: Value| {
        // Of what changed, not of the ids of all.
        let page = json!({"method": "GET", "prefix": "/Users", "contains": "%22&startIndex=21&", "when": when,
            "action": "repeat-page"});
        company.vault.faults(json!({"rules": [page]}));
    };
    let incremental = || company.world.muster(&["--verbose", "run", "corp", "--mode", "incremental"]);
    by_hand(5, "Once");
    again(json!({"nth": 1}));
    incremental().ended(0).says(&["exported vault.users: 60 rows, read twice (at first a page came again"]);
    let (evidence, verdict) = users(&company);
    assert_eq!(verdict["verdict"], "complete", "{evidence:#}");
    let run = company.world.newest_run("corp");
    let text = company.world.read(&format!("state/export/corp/{run}/vault/users.csv"));
    assert_eq!(text.matches("Once").count(), 55, "what lay behind the page that came again is there");
    // At both looks: held by its name.
    by_hand(5, "Twice");
    again(json!("every"));
    incremental().ended(4).says(&["vault.users/repeated-page"]);
}
