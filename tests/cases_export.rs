//! What operators run into between a system and its snapshot.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};

#[test]
fn case_x1_a_failed_export_is_never_taken_for_a_whole_one() {
    let company = Company::with(60, "[apply]\nretry_budget = \"1s\"\n");
    company.settle();
    let before = company.vault.all("Users").len();
    company.vault.faults(json!({"rules": [
        {"method": "GET", "prefix": "/Users", "action": {"status": {"code": 500, "body": "boom"}}}]}));
    let said = company.world.muster(&["run", "corp", "--mode", "complete"]).ended(1);
    let said = said.says(&[
        "the export of vault failed",
        "500",
        "boom",
        "[server",
        "nothing was planned from vault",
        "not planned, as what they need is not there: hr.users->vault.users",
    ]);
    assert_eq!(said.err.matches("boom").count(), 1, "a failure is told once:\n{}", said.err);
    let said = company.world.muster(&["review", "corp"]).says(&["vault: ", "boom", "muster check corp"]);
    said.never_says(&["vault: vault:"]);
    assert_eq!(company.world.muster(&["status", "corp"]).out.matches("boom").count(), 1);
    let run = company.world.newest_run("corp");
    let log = std::fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
    assert!(log.contains("500"), "the error is in the run's log:\n{log}");
    assert!(!company.world.run_file("corp", &run, "plan.json").exists(), "nothing is planned from a failed export");
    company.world.muster(&["status", "corp"]).says(&["failed", "hr.users", "date", "rows", "size", " B"]);
    let status = company.world.muster(&["status", "corp", "--format", "json"]).json();
    let exports = status["exports"].as_array().unwrap();
    assert!(exports.iter().all(|e| e["bytes"].as_u64() > Some(0) && e["rows"].is_u64()), "{exports:#?}");
    assert_eq!(status["failed_exports"][0]["system"], "vault");
    // Nothing changed at the target, and the next run goes complete by itself.
    company.vault.faults(json!({"rules": []}));
    assert_eq!(company.vault.all("Users").len(), before);
    let said = company.world.muster(&["--verbose", "run", "corp", "--mode", "incremental"]).ended(0);
    said.says(&["vault is read completely: its export of", "failed"]);
    let run = company.world.newest_run("corp");
    let manifest = company.world.read(&format!("state/export/corp/{run}/manifest.json"));
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["systems"]["vault"]["users"]["mode"], "complete");
    // And the one after that is an increment again.
    company.world.muster(&["--verbose", "run", "corp"]).ended(0).never_says(&["completely"]);
}

#[test]
fn case_x2_missing_data_is_noticed_and_said_and_a_complete_run_repairs_it() {
    let company = Company::of(60);
    company.settle();
    // A deletion leaves no trace in what changed since, and where the vault does not say who is there only the totals show it.
    let refused = json!({"contains": "attributes=id", "action": {"status": {"code": 400}}});
    company.vault.faults(json!({"rules": [refused]}));
    let id = company.vault.user("user0007@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(company.vault.send("DELETE", &format!("/Users/{id}"), None).0, 204);
    let said = company.world.muster(&["--verbose", "run", "corp", "--mode", "incremental"]).ended(3);
    said.says(&["vault was read completely", "vault.users holds 59 rows, the increments make 60"]);
    // The complete read found the gap: the account is wanted again.
    let run = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &run);
    assert!(orders.iter().any(|o| o["operation"] == "create" && o["key"] == "E0007"), "{orders:#?}");
}

#[test]
fn case_x4_a_synchronization_threshold_holds_until_a_person_accepts_or_the_data_is_fixed() {
    let company = Company::of(100);
    company.settle();
    // A quarter of the company is not in the file any more.
    company.hr(&people(75));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["hr.users/deleted/percent", "hr.memberships/deleted/percent", "25", "E0076", "muster approve"]);
    let held = company.world.newest_run("corp");
    assert!(planned(&company, &held).is_empty(), "nothing is planned from a held snapshot");
    assert_eq!(active(&company), 100);

    // The data is fixed in the managed system: the next run is clean, and nothing is held any more.
    company.hr(&people(100));
    company.world.muster(&["run", "corp"]).ended(0);

    // It is legitimate: a person accepts with a reason, and the run goes on from its own snapshots.
    company.hr(&people(75));
    company.world.muster(&["run", "corp"]).ended(4);
    let held = company.world.newest_run("corp");
    company.world.muster(&["approve", &held, "--accept", "hr.users/deleted/percent"]).ended(2).says(&["--comment"]);
    let accept = ["approve", &held, "--comment", "branch closed", "--accept"];
    let said = company.world.muster(&[&accept[..], &["hr.users/deleted/percent"]].concat());
    // One of two: still held by the other.
    said.ended(4).says(&["accepted", "hr.memberships/deleted/percent"]);
    company.world.muster(&[&accept[..], &["hr.memberships/deleted/percent"]].concat()).says(&["accepted"]);
    company.hr(&people(100)); // what the file says now does not matter: there is no new export
    // So many leavers are also more than the job may disable without a word: the other kind of threshold.
    company.world.muster(&["--verbose", "run", "corp"]).ended(4).says(&[&held, "vault.users/disable/percent"]);
    let orders = planned(&company, &company.world.newest_run("corp"));
    assert_eq!(orders.iter().filter(|o| o["operation"] == "disable").count(), 25, "{orders:#?}");
    assert_eq!(active(&company), 100, "accepting a snapshot approves no order");
    // What was accepted stands in the log, with who and why.
    company.world.muster(&["log"]).says(&["hr.users/deleted/percent", "tester", "branch closed"]);
}

/// Orders that a run planned; none where it planned nothing.
fn planned(company: &Company, run: &str) -> Vec<Value> {
    match company.world.run_file("corp", run, "orders.ndjson").exists() {
        true => company.world.orders("corp", run),
        false => Vec::new(),
    }
}

fn active(company: &Company) -> usize {
    company.vault.all("Users").iter().filter(|user| user["active"] == true).count()
}

#[test]
fn case_x5_an_empty_or_truncated_export_is_held_whatever_the_thresholds_say() {
    let company = Company::with(
        60,
        "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\", inserted = \"off\", updated = \"off\" }\n",
    );
    company.settle();
    company.hr(&[]);
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/empty"]);
    // Cut in the middle of a record: the file and the row are named, nothing is used.
    company.hr(&people(60));
    let whole = company.world.read("hr/users.csv");
    company.world.write("hr/users.csv", &whole[..whole.len() - 30]);
    company.world.muster(&["run", "corp"]).ended(1).says(&["users.csv", "row 61", "email"]);
    company.world.write("hr/users.csv", "");
    company.world.muster(&["run", "corp"]).ended(1).says(&["users.csv", "empty"]);
    assert_eq!(company.vault.all("Users").iter().filter(|u| u["active"] == true).count(), 60);
    // Unless the job says that empty is legitimate.
    let second = World::new();
    second.write("hr/users.csv", "id,login\n");
    second.write(
        "jobs/out.toml",
        "name = \"out\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.desk]\nkind = \"csv\"\npath = \"../desk\"\norders = \"../orders\"\n[[sync]]\nfrom = \"hr.users\"\nto = \"desk.users\"\nmatch = [{ source = \"id\", target = \"id\" }]\n[sync.attributes]\nid = \"id\"\nlogin = \"login\"\n[snapshot.\"hr.users\"]\nallow_empty = true\n",
    );
    second.write("desk/users.csv", "id,login\n");
    second.muster(&["run", "out"]).ended(0);
}

#[test]
fn pages_asked_for_at_once_give_what_one_after_the_other_gives_whatever_the_server_does() {
    let company = Company::of(95);
    company.settle();
    let export = |in_flight: usize| {
        let settings = format!("kind = \"scim\"\npage_size = 10\npaging = \"index\"\npages_in_flight = {in_flight}\n");
        company.world.write("jobs/corp.toml", company.job_text("").replace("kind = \"scim\"\n", &settings));
        let said = company.world.muster(&["export", "corp"]);
        let run = company.world.newest_run("corp");
        let folder = format!("state/export/corp/{run}");
        let manifest: Value = serde_json::from_str(&company.world.read(&format!("{folder}/manifest.json"))).unwrap();
        let users = manifest["systems"]["vault"]["users"].clone();
        (said.status, company.world.read(&format!("{folder}/vault/users.csv")), users["evidence"].clone())
    };
    let rule = |contains: &str, when: Value, action: Value| json!({"method": "GET", "prefix": "/Users", "contains": contains, "when": when, "action": action});
    let every = || json!("every");
    let faults = [
        ("all is well", vec![]),
        (
            "answers out of order",
            vec![
                rule("startIndex=11&", every(), json!({"delay": {"ms": 150}})),
                rule("startIndex=31&", every(), json!({"delay": {"ms": 100}})),
            ],
        ),
        (
            "429 in the middle",
            vec![rule("startIndex=41&", json!({"first": 1}), json!({"throttle": {"retry_after": 0}}))],
        ),
        ("a total that is too large", vec![rule("startIndex", every(), json!({"wrong-total": {"by": 25}}))]),
        ("a total that is too small", vec![rule("startIndex", every(), json!({"wrong-total": {"by": -35}}))]),
        ("a page that repeats", vec![rule("startIndex=51&", every(), json!("repeat-page"))]),
        ("pages shorter than asked", vec![rule("startIndex", every(), json!({"clip-page": {"max": 7}}))]),
        ("one page shorter than asked", vec![rule("startIndex=31&", every(), json!({"clip-page": {"max": 3}}))]),
        ("a page cut short", vec![rule("startIndex=61&", every(), json!({"truncate-page": {"keep": 4}}))]),
    ];
    for (name, rules) in faults {
        company.vault.faults(json!({ "rules": rules }));
        let (one_status, one_rows, mut one_seen) = export(1);
        company.vault.faults(json!({ "rules": rules }));
        let (status, rows, mut seen) = export(4);
        assert!(one_rows.lines().count() > 1, "{name}: nothing was read");
        assert_eq!((status, &rows), (one_status, &one_rows), "{name}");
        // That pages are not asked for ahead any more is said only where they were.
        for evidence in [&mut one_seen, &mut seen] {
            let notes = evidence["notes"].as_array_mut().unwrap();
            notes.retain(|note| !note.as_str().unwrap().contains("one after the other"));
        }
        assert_eq!(seen, one_seen, "{name}");
    }
}

#[test]
fn a_file_s_snapshot_is_written_in_one_way_however_the_file_is() {
    let world = World::new();
    let job = "name = \"out\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.desk]\nkind = \"csv\"\npath = \"../desk\"\norders = \"../orders\"\n[[sync]]\nfrom = \"hr.users\"\nto = \"desk.users\"\nmatch = [{ source = \"id\", target = \"id\" }]\n[sync.attributes]\nid = \"id\"\n";
    world.write("jobs/out.toml", job);
    world.write("desk/users.csv", "id\nx\n");
    let plain = "1,ann,\n2,b\u{f6}b,a]b\n";
    let rows = "\"3\",\"cy\",\"\"\r\n4,\"d, e\",\"[\"\"z\"\",\"\"a\"\"]\"\n\n5,\"say \"\"no\"\"\",[]\r\n6,f,g";
    world.write("hr/users.csv", format!("\u{feff}id,\"name\",groups\n{plain}{rows}"));
    world.muster(&["export", "out"]).ended(0);
    let snapshot = world.read(&format!("state/export/out/{}/hr/users.csv", world.newest_run("out")));
    let written = "3,cy,\n4,\"d, e\",\"[\"\"a\"\",\"\"z\"\"]\"\n5,\"say \"\"no\"\"\",\n6,f,g\n";
    assert_eq!(snapshot, format!("id,name,groups\n{plain}{written}"));
}
