//! What a job's memory says about how a command ends, and what comes next.

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::exit::Ending;
use crate::model::order::OrderState;
use crate::model::record::RunRecord;
use crate::model::run::RunState;
use crate::report::next_steps::NextSteps;
pub(super) use crate::report::next_steps::{they_wait_for_review as they_wait, waits_for_review as waits};
use crate::store::database::Store;

/// How a command ends for what the job's runs left behind, of this run and older ones.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn of_job(store: &Store, job: &str, now: DateTime<Utc>) -> Result<Ending> {
    Ok(of(&steps(store, job, now)?))
}

/// How a command ends that leaves these steps to be taken.
pub(super) fn of(steps: &NextSteps) -> Ending {
    if !steps.held.is_empty() {
        Ending::Held
    } else if !steps.errored.is_empty() || !steps.uncertain.is_empty() {
        Ending::OrderErrors
    } else if steps.review > 0 {
        Ending::Waits
    } else {
        Ending::Done
    }
}

/// What the live orders of all runs of a job wait for.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn steps(store: &Store, job: &str, now: DateTime<Utc>) -> Result<NextSteps> {
    let mut runs = store.runs(job, 0)?;
    runs.reverse();
    let mut steps = holds(store, job, &runs)?;
    for kind in store.live_kinds(job, None)? {
        steps.add(&kind, now);
    }
    tell_lost(store, &mut steps)?;
    Ok(steps)
}

/// What the live orders of one run wait for.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn steps_of_run(store: &Store, run: &RunRecord, now: DateTime<Utc>) -> Result<NextSteps> {
    let mut steps = holds(store, &run.job, std::slice::from_ref(run))?;
    for kind in store.live_kinds(&run.job, Some(&run.id))? {
        steps.add(&kind, now);
    }
    tell_lost(store, &mut steps)?;
    Ok(steps)
}

/// Names what to settle of the runs that cannot be reviewed, because their plan is lost.
fn tell_lost(store: &Store, steps: &mut NextSteps) -> Result<()> {
    for run in steps.uncertain.keys() {
        if store.verify_plan(run).is_err_and(|error| error.is_lost_plan()) {
            let first = store.orders_of(run)?.into_iter().find(|order| order.state == OrderState::Uncertain);
            steps.to_settle.extend(first.map(|order| (run.clone(), order.id)));
        }
    }
    Ok(())
}

/// The holds of runs: those that nobody accepted, and those whose run goes on once it is called.
fn holds(store: &Store, job: &str, runs: &[RunRecord]) -> Result<NextSteps> {
    let mut steps = NextSteps::of(job);
    for run in runs.iter().filter(|run| run.state.is_held()) {
        if is_held(store, run)? {
            steps.held.push(run.id.clone());
        } else if run.state == RunState::HeldSnapshot {
            steps.accepted.push(run.id.clone());
        }
    }
    Ok(steps)
}

/// Whether a run is held by something that nobody accepted yet.
pub(super) fn is_held(store: &Store, run: &RunRecord) -> Result<bool> {
    Ok(run.state.is_held() && !store.unaccepted_holds(&run.id)?.is_empty())
}
