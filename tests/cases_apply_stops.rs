//! An apply that has to stop in its middle: what was not sent stays approved, what was sent is known.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use support::Said;
use support::company::{Company, people};
use support::gateway::Gateway;

fn approved(people: usize, further: &str) -> (Company, String) {
    let company = Company::with(people, further);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    let run = company.world.newest_run("corp");
    (company, run)
}

/// Starts an apply, and comes back when its log says `text` so many times.
fn apply_up_to(company: &Company, run: &str, text: &str, times: usize) -> Child {
    let mut command = company.world.command(&["apply", "corp"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = company.world.run_file("corp", run, "run.log");
    while std::fs::read_to_string(&log).unwrap_or_default().matches(text).count() < times {
        assert!(child.try_wait().unwrap().is_none(), "the apply ended before");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn end(child: Child) -> Said {
    child.wait_with_output().unwrap().into()
}

fn states(company: &Company, run: &str) -> Value {
    company.world.muster(&["report", run, "--format", "json"]).ended(0).json()["orders_by_state"].clone()
}

#[track_caller]
fn all_there_once(company: &Company, people: usize) {
    let users = company.vault.all("Users");
    let names: std::collections::BTreeSet<&str> = users.iter().map(|u| u["externalId"].as_str().unwrap()).collect();
    let members: usize = company.vault.all("Groups").iter().map(|g| g["members"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((users.len(), names.len(), members), (people, people, people));
}

fn slow_creates(company: &Company, ms: u64) {
    company.vault.faults(json!({ "rules": [
        { "method": "POST", "prefix": "/Users", "when": "every", "action": { "delay": { "ms": ms } } }] }));
}

#[test]
fn case_p13_a_target_that_dies_leaves_nothing_lost_and_nothing_errored() {
    let apply = "[apply]\nretry_budget = \"1s\"\n";
    let (company, run) = approved(30, apply);
    slow_creates(&company, 200);
    let child = apply_up_to(&company, &run, "create vault.users", 12);
    let Company { world, vault } = company;
    let address = vault.address().to_owned();
    vault.kill();
    let said = end(child).ended(1);
    said.says(&["vault", "the apply stopped", "stay approved"]);
    let vault = world.server_again(&address);
    let company = Company { world, vault };
    let left = states(&company, &run);
    let kept: u64 = ["approved", "in-flight", "applied"].iter().filter_map(|state| left[*state].as_u64()).sum();
    assert_eq!(kept, 63, "{left}");
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(states(&company, &run), json!({ "applied": 63 }));
    all_there_once(&company, 30);
}

#[test]
fn case_p13_an_approval_that_expires_under_way_sends_nothing_more() {
    let (company, run) = approved(30, "[review]\nexpires = \"15s\"\n[apply]\nconcurrency = 1\nwaves = [1, 9]\n");
    // Long enough for a busy machine to begin, and over within the second wave.
    slow_creates(&company, 4_000);
    // Nothing failed: what is left waits for a person.
    let said = company.world.muster(&["apply", "corp"]).ended(3);
    let said = said.says(&["expired", "muster approve"]);
    assert!(said.err.matches("expired").count() <= 2, "said once, not for each order:\n{}", said.err);
    let left = states(&company, &run);
    let applied = left["applied"].as_u64().unwrap();
    assert!((4..30).contains(&applied), "{left}");
    assert_eq!(company.vault.all("Users").len() as u64 + 3, applied, "{left}");
    assert_eq!(left["approved"].as_u64(), Some(63 - applied), "{left}");
    // Approved again, it goes on where it was; the old approval is nobody's trouble any more.
    company.vault.faults(json!({ "rules": [] }));
    company.job("");
    company.world.muster(&["approve", "corp", "--all", "--comment", "still right"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 30);
}

#[test]
fn case_p13_an_approval_that_is_altered_under_way_sends_no_further_wave() {
    let (company, run) = approved(30, "[apply]\nwaves = [1, 10]\nconcurrency = 1\n");
    slow_creates(&company, 150);
    let child = apply_up_to(&company, &run, "create vault.users", 3);
    let file = company.world.run_file("corp", &run, "approval-1.json");
    let sealed = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&sealed[..], b"\n"].concat()).unwrap();
    end(child).ended(1).says(&["approval 1", "altered", "approve again"]);
    assert!(company.vault.all("Users").len() <= 11, "the wave that was under way ends, no other begins");
    std::fs::write(&file, sealed).unwrap();
    company.vault.faults(json!({ "rules": [] }));
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 30);
}

#[test]
fn what_is_rejected_while_the_apply_is_under_way_is_a_decision_and_no_error() {
    let (company, run) = approved(30, "[apply]\nwaves = [1, 10]\nconcurrency = 1\n");
    slow_creates(&company, 150);
    let child = apply_up_to(&company, &run, "create vault.users", 3);
    let which = "resource == 'vault.users' && key == 'E0030'";
    let late = company.world.muster(&["reject", &run, "--where", which, "--comment", "she does not come"]);
    late.says(&["1 order rejected"]);
    let said = end(child).ended(0);
    let said = said.says(&[
        "1 rejected meanwhile",
        "rejected while the apply was under way, and not sent:",
        "`create vault.users E0030`: rejected by tester since (she does not come)",
    ]);
    said.never_says(&["refused", "not approved", "still approved"]);
    assert_eq!(company.vault.all("Users").len(), 29);
    // Her membership is blocked with it; nothing waits for anybody.
    assert_eq!(states(&company, &run), json!({ "applied": 61, "blocked": 1, "rejected": 1 }));
}

#[test]
fn case_p6_too_many_errors_of_any_kind_stop_the_apply() {
    let (company, run) = approved(30, "[apply]\nconcurrency = 1\nstop_after = { errors = 4 }\n");
    let refuse = |nth: u64, words: &str| {
        let body = json!({ "scimType": "invalidValue", "detail": words }).to_string();
        json!({ "method": "POST", "prefix": "/Users", "when": { "nth": nth },
            "action": { "status": { "code": 400, "body": body } } })
    };
    let words = ["bad name", "bad mail", "bad family", "bad day", "never reached"];
    let rules: Vec<Value> = words.iter().zip(3..).map(|(words, nth)| refuse(nth, words)).collect();
    company.vault.faults(json!({ "rules": rules }));
    company.world.muster(&["apply", "corp"]).ended(1).says(&["4 orders failed", "stay approved", "4 errored"]);
    let left = states(&company, &run);
    assert_eq!(left["errored"], 4, "{left}");
    assert_eq!(company.vault.all("Users").len(), 2);
    company.vault.faults(json!({ "rules": [] }));
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    all_there_once(&company, 30);
}

#[test]
fn case_p6_one_bad_row_of_a_request_is_found_and_the_others_go_through() {
    let company = Company::of(24);
    company.settle();
    // Everybody of the first team changes to the second.
    let moved = |p: &mut support::company::Person| p.team = if p.team == "T0" { "T1".into() } else { p.team.clone() };
    let mut staff = people(24);
    staff.iter_mut().for_each(moved);
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let adds = company.world.orders("corp", &run).iter().filter(|o| o["operation"] == "add").count();
    assert_eq!(adds, 8);
    company.world.muster(&["approve", "corp", "--where", "operation == 'add'", "--comment", "adds"]).ended(3);
    // One of the accounts is gone before its row is added.
    let id = company.vault.user("user0009@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    company.vault.send("DELETE", &format!("/Users/{id}"), None);
    let said = company.world.muster(&["--verbose", "apply", "corp"]);
    said.says(&["7 applied"]);
    let left = states(&company, &run);
    assert_eq!(left["applied"], 7, "{left}");
    assert_eq!(left["errored"].as_u64().unwrap_or(0) + left["stale"].as_u64().unwrap_or(0), 1, "{left}");
}

#[test]
fn a_target_that_is_asked_too_much_at_once_is_asked_less_and_gets_everything() {
    let company = Company::of(60);
    let gateway = Gateway::before(company.vault.address(), 4, Duration::from_millis(40));
    let text = company.job_text("[apply]\nconcurrency = 16\nwaves = []\n");
    company.world.write("jobs/corp.toml", text.replace(company.vault.address(), &gateway.address.to_string()));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 60);
    let (passed, refused) = gateway.counts();
    assert!(refused > 0, "16 at once are more than 4");
    assert!(refused * 8 < passed, "{refused} requests were refused, {passed} let through");
}
