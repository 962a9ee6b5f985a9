//! What operators run into between a system and its snapshot.

mod support;

use support::World;
use support::company::{Company, people, person};

#[test]
fn case_x1_a_failed_export_is_never_taken_for_a_whole_one() {
    let company = Company::of(60);
    company.settle();
    let before = company.vault.all("Users").len();
    // The second page of users never comes.
    company.vault.faults(serde_json::json!({"rules": [
        {"method": "GET", "prefix": "/Users", "when": "every", "action": {"status": {"code": 500, "body": "boom"}}}]}));
    let said = company.world.muster(&["run", "corp", "--mode", "complete"]).ended(1);
    let said = said.says(&["vault", "500"]);
    assert!(said.err.contains("export"), "{}", said.err);
    let run = company.world.newest_run("corp");
    let log = std::fs::read_to_string(company.world.run_file("corp", &run, "run.log")).unwrap();
    assert!(log.contains("500"), "the error is in the run's log:\n{log}");
    assert!(!company.world.run_file("corp", &run, "plan.json").exists(), "nothing is planned from a failed export");
    company.world.muster(&["status", "corp"]).says(&["failed", "users", "rows", "bytes"]);
    // Nothing changed at the target, and the next run goes complete by itself.
    company.vault.faults(serde_json::json!({"rules": []}));
    assert_eq!(company.vault.all("Users").len(), before);
    company.world.muster(&["--verbose", "run", "corp", "--mode", "incremental"]).ended(0).says(&["complete", "failed"]);
}

#[test]
fn case_x2_missing_data_after_incremental_runs_is_noticed_and_said() {
    let company = Company::of(60);
    company.settle();
    // A source of the same kind as the target can be read by increments: the vault's own users.
    // A deletion leaves no trace in what changed since: only the totals show it.
    let id = company.vault.user("user0007@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(company.vault.send("DELETE", &format!("/Users/{id}"), None).0, 204);
    let said = company.world.muster(&["--verbose", "run", "corp", "--mode", "incremental"]).ended(3);
    said.says(&["complete", "vault.users"]);
    // The complete read found the gap: the account is wanted again.
    let run = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &run);
    assert!(orders.iter().any(|o| o["operation"] == "create" && o["key"] == "E0007"), "{orders:#?}");
    company.world.muster(&["--verbose", "run", "corp", "--mode", "complete"]).ended(3).says(&["missed"]);
}

#[test]
fn case_x4_a_synchronization_threshold_holds_until_a_person_accepts_or_the_data_is_fixed() {
    let company = Company::of(100);
    company.settle();
    // A quarter of the company is not in the file any more.
    company.hr(&people(75));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["hr.users/deleted/percent", "25", "E0076", "approve"]);
    let held = company.world.newest_run("corp");
    assert!(
        !company.world.run_file("corp", &held, "orders.ndjson").exists(),
        "nothing is planned from a held snapshot"
    );
    assert_eq!(company.vault.all("Users").iter().filter(|u| u["active"] == true).count(), 100);

    // The data is fixed in the managed system: the next run is clean.
    company.hr(&people(100));
    company.world.muster(&["run", "corp"]).ended(0);

    // It is legitimate: a person accepts, and the run goes on from its own snapshots.
    company.hr(&people(75));
    company.world.muster(&["run", "corp"]).ended(4);
    let held = company.world.newest_run("corp");
    company.world.muster(&["approve", &held, "--accept", "hr.users/deleted/percent"]).ended(2).says(&["--comment"]);
    company
        .world
        .muster(&[
            "approve",
            &held,
            "--accept",
            "hr.users/deleted/percent",
            "--accept",
            "hr.memberships/deleted/percent",
            "--comment",
            "branch closed",
        ])
        .says(&["accepted"]);
    company.hr(&people(100)); // what the file says now does not matter: no new export
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let orders = company.world.orders("corp", &run);
    assert_eq!(orders.iter().filter(|o| o["operation"] == "disable").count(), 25, "{orders:#?}");
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
    company.world.muster(&["run", "corp"]).ended(1).says(&["users.csv", "row 60"]);
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
    let _ = person(1);
}
