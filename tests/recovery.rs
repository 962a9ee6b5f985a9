//! `kill -9` in the middle of an apply, again and again: no order is lost, none is in effect twice.
//!
//! `MUSTER_KILLS` and `MUSTER_ORDERS` make it larger.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::company::Company;
use support::dice::Dice;

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

/// Lines of a file so far.
fn lines(file: &std::path::Path) -> usize {
    std::fs::read(file).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Starts an apply and kills it once the run's log has grown by so many lines; false where it ended before.
fn apply_until_killed(company: &Company, log: &std::path::Path, after_lines: usize, after: Duration) -> bool {
    let from = lines(log);
    let mut child =
        company.world.command(&["apply", "corp"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
            assert_eq!(status.code(), Some(0), "{said}");
            return false;
        }
        if lines(log) >= from + after_lines {
            std::thread::sleep(after);
            child.kill().unwrap();
            let killed = child.wait().unwrap().code().is_none();
            return killed;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn case_p13_whatever_is_killed_no_order_is_lost_and_none_is_in_effect_twice() {
    let (kills, orders) = (number("MUSTER_KILLS", 8), number("MUSTER_ORDERS", 150));
    // Three groups; a user and a membership each.
    let people = orders.saturating_sub(3) / 2;
    let company = Company::of(people);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "all of it"]).ended(0);
    let run = company.world.newest_run("corp");
    let planned = company.world.orders("corp", &run);
    assert_eq!(planned.len(), 2 * people + 3);

    // An order has two lines in the log; the last kill comes before the end.
    let (mut dice, mut killed) = (Dice(20_261_122), 0);
    let log = company.world.run_file("corp", &run, "run.log");
    let stride = (2 * planned.len() * 3 / 4 / kills.max(1)).max(2);
    let mut ended = false;
    while killed < kills && !ended {
        let micros = u64::try_from(dice.below(8_000)).unwrap();
        ended = !apply_until_killed(&company, &log, dice.below(2 * stride), Duration::from_micros(micros));
        killed += usize::from(!ended);
    }
    if !ended {
        company.world.muster(&["apply", "corp"]).ended(0);
    }
    assert!(killed * 10 >= kills * 8, "{killed} of {kills} kills hit a living apply");

    // At the target: each user once, each membership once, nothing else.
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for user in company.vault.all("Users") {
        *users.entry(user["externalId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(users.len(), people, "every user is there");
    assert!(users.values().all(|count| *count == 1), "no user is there twice: {users:?}");
    let mut members: BTreeMap<String, usize> = BTreeMap::new();
    let groups = company.vault.all("Groups");
    assert_eq!(groups.len(), 3);
    for member in groups.iter().flat_map(|group| group["members"].as_array().unwrap()) {
        *members.entry(member["value"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(members.len(), people, "every membership is there");
    assert!(members.values().all(|count| *count == 1), "no membership is there twice");

    // In the record: each order applied, once.
    let told: Value = company.world.muster(&["log", "corp", "--limit", "0", "--format", "json"]).ended(0).json();
    let mut applied: BTreeMap<&str, usize> = planned.iter().map(|o| (o["id"].as_str().unwrap(), 0)).collect();
    let (mut recovered, mut released, mut begun) = (0, 0, 0);
    for entry in told.as_array().unwrap() {
        let orders = entry["orders"].as_array().unwrap();
        match entry["kind"].as_str().unwrap() {
            "order-applied" => {
                recovered += usize::from(entry["detail"]["effected"] == "recovered");
                for order in orders {
                    *applied.get_mut(order.as_str().unwrap()).expect("only what was planned is applied") += 1;
                }
            }
            "order-released" => released += orders.len(),
            "orders-begun" => begun += orders.len(),
            "order-errored" | "order-stale" | "order-uncertain" => panic!("{entry}"),
            _ => {}
        }
    }
    assert!(applied.values().all(|count| *count == 1), "{applied:?}");
    assert_eq!(begun, planned.len() + released, "each attempt has an end");
    company.world.muster(&["log", "--verify"]).ended(0).says(&["the log is whole"]);
    company.world.muster(&["log", "corp", "--verify"]).ended(0).says(&["the log is whole", "of all jobs"]);
    company.world.muster(&["log", "crop", "--verify"]).never_says(&["the log is whole"]);
    let report = company.world.muster(&["report", &run, "--format", "json"]).ended(0).json();
    assert_eq!(report["orders_by_state"], json!({ "applied": planned.len() }), "{report:#}");
    eprintln!(
        "{killed} kills, {} orders: {} found in effect after a kill, {released} not sent before it; each applied once",
        planned.len(),
        recovered
    );

    // Both sides agree: nothing is left to do.
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty());
}

#[test]
fn a_disk_without_room_is_told_with_what_to_do_and_loses_nothing() {
    let company = Company::of(120);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.cramped(0, &["run", "corp"]).ended(1).says(&["muster.db", "ulimit -f", "run the same command again"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    let said = company.world.cramped(1_000, &["apply", "corp"]).ended(1);
    said.says(&["muster.db", "all before it stays recorded", "ulimit -f", "looks up first what was under way"]);
    let sent = company.vault.all("Users").len();
    assert!((1..120).contains(&sent), "the room ended in the middle of the work, not after {sent} users");
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!((company.vault.all("Users").len(), company.vault.all("Groups").len()), (120, 3));
}

/// Three groups with three members each; the answers to their changes never come.
#[test]
fn rows_in_flight_are_looked_up_together_and_one_that_cannot_be_told_keeps_no_other_from_its_answer() {
    for refused in [false, true] {
        let company = Company::with(9, "[apply]\nwaves = [100]\n");
        company.world.muster(&["run", "corp"]).ended(3);
        company.world.muster(&["approve", "corp", "--all", "--comment", "all of it"]).ended(0);
        let run = company.world.newest_run("corp");
        company.vault.faults(json!({ "rules": [
            { "method": "PATCH", "prefix": "/Groups", "when": "every", "action": { "delay-after": { "ms": 60_000 } } }] }));
        let mut apply = company.world.command(&["apply", "corp"]).spawn().unwrap();
        let states = || company.world.muster(&["report", &run, "--format", "json"]).json()["orders_by_state"].clone();
        let members = || {
            let groups = company.vault.all("Groups");
            groups.iter().map(|group| group["members"].as_array().map_or(0, Vec::len)).sum::<usize>()
        };
        while members() < 9 {
            assert!(apply.try_wait().unwrap().is_none(), "the apply ended before");
            std::thread::sleep(Duration::from_millis(5));
        }
        apply.kill().unwrap();
        apply.wait().unwrap();
        assert_eq!(states()["in-flight"], 9);

        let group = company.vault.all("Groups")[0]["id"].as_str().unwrap().to_owned();
        let rules = if refused {
            json!([{ "method": "GET", "prefix": format!("/Groups/{group}"), "when": "every", "action": { "status": { "code": 403 } } }])
        } else {
            json!([])
        };
        company.vault.faults(json!({ "rules": rules }));
        let log = company.world.run_file("corp", &run, "requests.ndjson");
        let before = lines(&log);
        company.world.muster(&["apply", "corp"]).ended(if refused { 5 } else { 0 });
        let text = std::fs::read_to_string(&log).unwrap();
        let asked = text.lines().skip(before).filter(|line| line.contains("GET") && line.contains("/Groups/")).count();
        if refused {
            assert_eq!(states(), json!({ "applied": 18, "uncertain": 3 }));
        } else {
            assert_eq!((states(), asked), (json!({ "applied": 21 }), 3));
        }
    }
}
