//! Runs that are undone.

use super::Said;
use super::company::{Company, Person};

/// Approves and applies all that waits.
#[track_caller]
pub fn carry_out(company: &Company) {
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]);
    company.world.muster(&["apply", "corp"]).ended(0);
}

/// Plans, approves and applies what HR dropped; gives the run.
#[track_caller]
pub fn change(company: &Company, staff: &[Person]) -> String {
    company.hr(staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    carry_out(company);
    run
}

/// Plans the undoing of a run; gives the run that plans it, and what was said.
#[track_caller]
pub fn revert(company: &Company, run: &str) -> (String, Said) {
    let said = company.world.muster(&["revert", run]);
    (company.world.newest_run("corp"), said)
}
