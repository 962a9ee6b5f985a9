//! What a job's memory says about how a command ends.

use anyhow::Result;

use super::exit::Ending;
use crate::model::order::{OrderState, Remedy};
use crate::model::record::{OrderRecord, RunRecord};
use crate::store::database::Store;

/// How a command ends for what the job's runs left behind, of this run and older ones.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn of_job(store: &Store, job: &str) -> Result<Ending> {
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
        } else if waits(&order) {
            endings.push(Ending::Waits);
        }
    }
    Ok(Ending::worst(endings))
}

/// Whether a run is held by something that nobody accepted yet.
pub(super) fn is_held(store: &Store, run: &RunRecord) -> Result<bool> {
    Ok(run.state.is_held() && !store.unaccepted_holds(&run.id)?.is_empty())
}

/// Whether an order waits for a person's word on itself. One that only a threshold blocks waits for the threshold; one
/// that nobody can lift waits for nobody.
pub(super) fn waits(order: &OrderRecord) -> bool {
    match order.state {
        OrderState::PendingReview => true,
        OrderState::Blocked => {
            order.block.as_ref().is_none_or(|block| matches!(block.reason.remedy(), Remedy::Approval | Remedy::Choice))
        }
        _ => false,
    }
}
