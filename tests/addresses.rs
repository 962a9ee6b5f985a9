//! What was planned for one address is for that address: another one in the job file gets nothing of it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;

use serde_json::json;
use support::company::{Company, job_text, people};
use support::{Server, World};

/// Writes the job with a server's address.
fn name(world: &World, server: &Server) {
    world.write("jobs/corp.toml", job_text(&server.url, ""));
}

fn is_empty(server: &Server) -> bool {
    server.all("Users").is_empty() && server.all("Groups").is_empty()
}

#[test]
fn what_was_approved_for_one_target_is_never_sent_to_another() {
    let company = Company::of(5);
    let other = company.world.server_on("other.db", &[]);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    name(&company.world, &other);
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&[company.vault.address(), other.address(), "put the address back", "muster run"])
        .never_says(&["next: muster apply"]);
    assert!(is_empty(&company.vault) && is_empty(&other));
    // A run plans anew, for a person to look at; what stood approved does not stand there.
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(is_empty(&company.vault) && is_empty(&other));
    company.world.muster(&["approve", "corp", "--all", "--comment", "the new one"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert!(is_empty(&company.vault));
    assert_eq!(other.all("Users").len(), 5);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn an_approval_holds_again_when_the_address_is_back() {
    let company = Company::of(5);
    let other = company.world.server_on("other.db", &[]);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    name(&company.world, &other);
    company.world.muster(&["apply", "corp"]).ended(1);
    name(&company.world, &company.vault);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 5);
    assert!(is_empty(&other));
}

#[test]
fn snapshots_of_another_address_are_not_planned_from() {
    let company = Company::of(60);
    company.settle();
    // Half of the company seems to have left, and a person says that it is so.
    company.hr(&people(40));
    company.world.muster(&["run", "corp"]).ended(4);
    let run = company.world.newest_run("corp");
    let accepted = ["hr.users/deleted/percent", "hr.memberships/deleted/percent"];
    let args = ["approve", "corp", "--comment", "true", "--accept", accepted[0], "--accept", accepted[1]];
    company.world.muster(&args).says(&["accepted"]);
    let other = company.world.server_on("other.db", &[]);
    name(&company.world, &other);
    let said = company.world.muster(&["plan", "corp", "--from", &run]);
    said.says(&["cannot plan from the snapshots of run", company.vault.address(), other.address()]);
    // What was accepted was accepted of the other server, too.
    let said = company.world.muster(&["run", "corp", "--verbose"]).ended(4);
    said.says(&["holds no more", company.vault.address(), other.address()]);
    assert!(is_empty(&other));
}

#[test]
fn what_was_in_flight_is_not_looked_up_at_another_address() {
    let company = Company::of(5);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    // The answer comes too late for whoever waits for it.
    company.vault.faults(json!({ "rules": [
        { "method": "POST", "prefix": "/Groups", "when": "every", "action": { "delay": { "ms": 20_000 } } }] }));
    let mut apply = company.world.command(&["apply", "corp"]).spawn().unwrap();
    let run = company.world.newest_run("corp");
    let states = || company.world.muster(&["report", &run, "--format", "json"]).json()["orders_by_state"].clone();
    while states()["in-flight"].as_u64().is_none() {
        assert!(apply.try_wait().unwrap().is_none(), "the apply ended before");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    apply.kill().unwrap();
    apply.wait().unwrap();
    let other = company.world.server_on("other.db", &[]);
    name(&company.world, &other);
    let said = company.world.muster(&["apply", "corp"]).ended(1);
    said.says(&["in flight to", company.vault.address(), other.address(), "muster settle"]);
    assert!(is_empty(&other));
}

#[test]
fn a_rule_approves_nothing_at_an_address_where_no_person_ever_decided() {
    let rule = "[review]\nrequire = \"blocked-or-held\"\n";
    let company = Company::with(5, rule);
    company.settle();
    // A copy of the vault: nothing about it is suspect.
    for end in ["", "-wal"] {
        let copied = std::fs::copy(
            company.world.path().join(format!("vault.db{end}")),
            company.world.path().join(format!("other.db{end}")),
        );
        assert!(copied.is_ok() || !end.is_empty());
    }
    let other = company.world.server_on("other.db", &[]);
    company.world.write("jobs/corp.toml", job_text(&other.url, rule));
    company.hr(&people(6));
    for _ in 0..3 {
        company.world.muster(&["run", "corp"]).ended(3);
        assert_eq!(other.all("Users").len(), 5, "a rule wrote to a system that nobody ever saw");
    }
    company.world.muster(&["approve", "corp", "--all", "--comment", "it is ours"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    // Now somebody did, and the rule goes on.
    company.hr(&people(7));
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(other.all("Users").len(), 7);
    assert_eq!(company.vault.all("Users").len(), 5);
}
