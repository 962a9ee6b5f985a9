//! `plan --from RUN`: from snapshots of an earlier run, as long as nothing overtook them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::company::{Company, people};
use support::undo::change;

/// The operations that the newest run planned, with their keys.
fn planned(company: &Company) -> Vec<String> {
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let word = |order: &Value, name: &str| order[name].as_str().unwrap().to_owned();
    orders.iter().map(|order| format!("{} {}", word(order, "operation"), word(order, "key"))).collect()
}

/// Plans from a run, which is refused with these words: before anything begins, and with the command for new snapshots.
#[track_caller]
fn refused(company: &Company, from: &str, words: &[&str]) {
    let runs = company.world.runs("corp").len();
    let said = company.world.muster(&["plan", "corp", "--from", from]).ended(1);
    said.says(&["cannot plan from the snapshots of run", from, "taken at", "muster plan corp"]).says(words);
    assert_eq!(company.world.runs("corp").len(), runs, "no run begins");
}

#[test]
fn nobody_who_came_back_is_disabled_from_an_old_snapshot() {
    let company = Company::of(6);
    company.settle();
    // The sixth leaves for a while.
    let gone = change(&company, &people(5));
    change(&company, &people(6));
    company.world.muster(&["run", "corp"]).ended(0);
    refused(&company, &gone, &["a later snapshot of", "is accepted since"]);
    company.world.muster(&["status", "corp"]).ended(0).says(&["nothing waits"]);
    assert_eq!(company.vault.user("user0006@corp.example").unwrap()["active"], true);
}

#[test]
fn an_export_is_planned_from_until_it_is_overtaken() {
    let company = Company::of(6);
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["export", "corp"]).ended(0);
    let exported = company.world.newest_run("corp");
    // As often as one likes.
    company.world.muster(&["plan", "corp", "--from", &exported]).ended(3);
    assert_eq!(planned(&company).len(), 2);
    let plan = company.world.newest_run("corp");
    company.world.muster(&["plan", "corp", "--from", &exported]).ended(3);
    company.world.muster(&["plan", "corp", "--from", &plan]).ended(3);
    company.world.muster(&["plan", "corp", "--only", "E0006", "--from", &exported]).ended(3);
    // Somebody changes what is linked: the snapshots know nothing of that.
    company.world.muster(&["unlink", "corp", "E0001", "--to", "vault.users"]).ended(0);
    refused(&company, &exported, &["tester changed what is linked since"]);
    company.world.muster(&["run", "corp"]).ended(3);
    refused(&company, &exported, &["a later snapshot of"]);
    // Orders are sent of what a newer export was planned from.
    company.hr(&people(4));
    company.world.muster(&["export", "corp"]).ended(0);
    let exported = company.world.newest_run("corp");
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    refused(&company, &exported, &["orders were sent since", "E0006"]);
    company.world.muster(&["plan", "corp"]).ended(3);
    assert_eq!(planned(&company).len(), 2);
}

#[test]
fn an_export_is_overtaken_by_the_next_one_though_nobody_planned_from_that() {
    let company = Company::of(6);
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["export", "corp"]).ended(0);
    let gone = company.world.newest_run("corp");
    // The sixth is back.
    company.hr(&people(6));
    company.world.muster(&["export", "corp"]).ended(0);
    let back = company.world.newest_run("corp");
    let instead = format!("muster plan corp --from {back}");
    refused(&company, &gone, &["a later snapshot of hr.", "was taken since", &instead]);
    company.world.muster(&["plan", "corp", "--from", &back]).ended(0);
    assert_eq!(planned(&company), Vec::<String>::new());
}
