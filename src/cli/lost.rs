//! Runs whose plan is lost: what is said of one, and when a command goes on without it.

use anyhow::{Error, Result};

use super::selection::{self, PlannedOrder};
use crate::model::order::{OrderId, OrderState};
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::report::figures::{counted, examples};
use crate::report::safe_text;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// How many uncertain orders are named.
const NAMED: usize = 3;

/// What lives of a run.
#[derive(Default)]
struct Left {
    /// Orders that were never sent: the next run of the job gives them up.
    unsent: u64,
    /// Orders whose request may have left.
    in_flight: u64,
    /// Orders of which only a person can tell.
    uncertain: Vec<OrderId>,
}

impl Left {
    fn of(store: &Store, run: &RunRecord) -> Result<Self> {
        let mut left = Self::default();
        for order in store.orders_of(&run.id)? {
            match order.state {
                OrderState::Uncertain => left.uncertain.push(order.id),
                OrderState::InFlight => left.in_flight += 1,
                state if state.is_live() => left.unsent += 1,
                _ => {}
            }
        }
        Ok(left)
    }

    /// Whether no run of the job will end what lives: it waits for a look at the target, however long that takes.
    fn is_under_way(&self) -> bool {
        self.unsent == 0 && (self.in_flight > 0 || !self.uncertain.is_empty())
    }
}

/// The orders of a run that `name` means. `None` where that is a job's name and nothing of the lost plan can be decided
/// any more: the job's other runs need not wait for what only a look at the target ends.
///
/// # Errors
/// A plan whose files were changed is refused, with what to do about it.
pub(super) fn orders(store: &Store, run: &RunRecord, name: &str) -> Result<Option<Vec<PlannedOrder>>> {
    let error = match selection::orders(store, run) {
        Ok(orders) => return Ok(Some(orders)),
        Err(error) => error,
    };
    let Some(why) = selection::lost_plan(&error) else { return Err(error) };
    let text = told(store, run, why)?;
    if RunId::is_id(name) || !Left::of(store, run)?.is_under_way() {
        return Err(Error::msg(text));
    }
    eprintln!("muster: warning: run {} is passed over: {}", run.id, safe_text::line(&text));
    Ok(None)
}

/// Why the plan of a run is lost, what became of its orders, and what to do about those that live.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn told(store: &Store, run: &RunRecord, why: &StoreError) -> Result<String> {
    // What was removed in its time says all there is to say.
    let Some(mut text) = why.plan_loss() else { return Ok(why.to_string()) };
    let left = Left::of(store, run)?;
    let job = safe_text::line(&run.job);
    if left.unsent > 0 {
        text = why.to_string();
    } else if let Some(by) = given_up_by(store, run)? {
        text.push_str(&format!(
            "; what was not sent of it was given up by run {by}, which planned anew what was still wanted"
        ));
        if !left.is_under_way() {
            text.push_str(&format!(": `muster status {job}` tells what waits now"));
        }
    } else if !left.is_under_way() {
        text.push_str(&format!("; nothing of it waits any more: `muster report {}` tells how it ended", run.id));
    }
    if left.in_flight > 0 {
        text.push_str(&format!(
            "; {} of it {} in flight: `muster apply {job}` looks up what came of that",
            counted(left.in_flight, "order"),
            if left.in_flight == 1 { "is" } else { "are" }
        ));
    }
    if let Some(first) = left.uncertain.first() {
        let number = left.uncertain.len() as u64;
        let which = match number {
            1 => "is uncertain".to_owned(),
            _ => {
                format!("are uncertain ({})", examples(left.uncertain.iter().map(|id| id.0.as_str()), number, NAMED))
            }
        };
        text.push_str(&format!(
            "; {} of it {which}: look at the target, then `muster settle {first} --took-effect --comment …`, or `--had-no-effect`",
            counted(number, "order")
        ));
    }
    Ok(text)
}

/// The run that gave up what was not sent of a lost one.
fn given_up_by(store: &Store, run: &RunRecord) -> Result<Option<RunId>> {
    let Some(entry) = store.last_of_kind(&run.id, "orders-stale")? else { return Ok(None) };
    // A job runs once at a time: it was the one that had begun last, by the log and not by the clock.
    for other in selection::history(store, &run.job)? {
        if other.id != run.id && store.begun(&other.id)?.cast_unsigned() < entry.seq {
            return Ok(Some(other.id));
        }
    }
    Ok(None)
}
