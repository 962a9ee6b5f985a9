//! What a job's memory says about how a command ends.

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::exit::Ending;
use crate::model::order::{OrderState, Remedy};
use crate::model::record::{OrderRecord, RunRecord};
use crate::store::database::Store;

/// How a command ends for what the job's runs left behind, of this run and older ones.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn of_job(store: &Store, job: &str, now: DateTime<Utc>) -> Result<Ending> {
    let mut endings = Vec::new();
    for run in store.runs(job, 0)? {
        if is_held(store, &run)? {
            endings.push(Ending::Held);
            break;
        }
    }
    for order in store.live_orders(job)? {
        if matches!(order.state, OrderState::Errored | OrderState::Uncertain) {
            endings.push(Ending::OrderErrors);
        } else if waits(&order, now) {
            endings.push(Ending::Waits);
        }
    }
    Ok(Ending::worst(endings))
}

/// Whether a run is held by something that nobody accepted yet.
pub(super) fn is_held(store: &Store, run: &RunRecord) -> Result<bool> {
    Ok(run.state.is_held() && !store.unaccepted_holds(&run.id)?.is_empty())
}

/// Whether an order waits for a person's word on itself, for the first time or because its approval is over. One that
/// only a threshold blocks waits for the threshold; one that nobody can lift waits for nobody.
pub(super) fn waits(order: &OrderRecord, now: DateTime<Utc>) -> bool {
    match order.state {
        OrderState::PendingReview => true,
        OrderState::Approved => order.approval_expires.is_none_or(|expires| expires <= now),
        OrderState::Blocked => {
            order.block.as_ref().is_none_or(|block| matches!(block.reason.remedy(), Remedy::Approval | Remedy::Choice))
        }
        _ => false,
    }
}
