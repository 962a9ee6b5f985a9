//! What a live order of an earlier run means for the one that a plan wants of the same object.

use crate::model::order::{Block, BlockReason, Change, EndRef, Operation, Order, OrderState, Remedy};

use super::input::LiveOrder;

/// Blocks that come from earlier runs or from the whole plan, not from the object.
pub(crate) fn set_by_history(reason: BlockReason) -> bool {
    matches!(reason, BlockReason::RunBlocked | BlockReason::PriorOrder | BlockReason::Threshold | BlockReason::Capacity)
}

/// Whether a person can lift it together with the rows that need the object.
pub(super) fn liftable(reason: BlockReason) -> bool {
    matches!(reason.remedy(), Remedy::Approval | Remedy::Acceptance)
}

/// Whether a live order is to undo something once a person lets it, as nobody else may drop it.
pub(super) fn waits_to_undo(live: &LiveOrder, identity: &str) -> bool {
    live.undoes && live.identity == identity && live.block.is_none_or(liftable)
}

/// Whether an operation takes access away.
pub(super) fn takes_access(operation: Operation) -> bool {
    matches!(operation, Operation::Disable | Operation::Delete | Operation::Remove)
}

/// Whether an undo that waits is dropped for what is wanted now: access that is to be taken away does not wait until
/// somebody decides on another question. An undo that takes access away itself is no worse than what is wanted.
pub(super) fn gives_way(undoing: &LiveOrder, wanted: &Order) -> bool {
    let can_go = wanted.block.as_ref().is_none_or(|block| liftable(block.reason));
    can_go && takes_access(wanted.operation) && !takes_access(undoing.operation)
}

/// Whether a live order of the same job is to take access away from the object of an undo, which must not replace it.
pub(super) fn takes_access_first(live: &LiveOrder, undoing: &Order) -> bool {
    let can_go = live.state.is_live() && live.block.is_none_or(liftable);
    can_go && !live.undoes && takes_access(live.operation) && live.fingerprint != undoing.fingerprint
}

/// Why rows that need the object of a kept order cannot go.
pub(super) fn refused(live: &LiveOrder, now: Option<&Block>) -> Option<String> {
    if live.state == OrderState::Errored {
        return Some(format!("order {} of run {}, which would make it, errored", live.id, live.run));
    }
    let lasting = live.block.filter(|before| live.state == OrderState::Blocked && set_by_history(*before));
    let reason = now.map(|b| b.reason).or(lasting).filter(|reason| !liftable(*reason))?;
    Some(format!("order {} of run {}, which would make it, is blocked ({reason})", live.id, live.run))
}

/// Whether a replaced order was open in a way that a person should see before the new one goes.
pub(super) fn still_open(replaced: &LiveOrder, new: &Order) -> Option<String> {
    match (replaced.state, replaced.block) {
        // What was to be undone says nothing against what is wanted.
        _ if replaced.undoes && new.undoes.is_none() => None,
        (OrderState::Blocked, Some(reason)) if liftable(reason) => Some(format!("is blocked ({reason})")),
        (OrderState::Errored, _) if replaced.operation == new.operation => {
            let asked_again = |old: &Change| {
                new.changes
                    .iter()
                    .any(|c| (&c.attribute, &c.before, &c.after) == (&old.attribute, &old.before, &old.after))
            };
            let repeated = replaced.changes.as_ref().is_some_and(|changes| changes.iter().all(asked_again));
            repeated.then(|| "errored, and everything that it asked for is asked for again".to_owned())
        }
        _ => None,
    }
}

/// Whether an end of a wanted row is another object than the live order names: that one is gone, and the same source row
/// has a new one; or another order is to create it, as the one that was to will not any more.
pub(super) fn is_anew(live: &LiveOrder, wanted: &Order) -> bool {
    let another = |(live, wanted): (&EndRef, &EndRef)| match (live, wanted) {
        // What the order created is what is there now.
        (EndRef::Order(_), EndRef::Target(_)) => false,
        (live, wanted) => live != wanted,
    };
    live.ends.iter().zip(wanted.ends.iter().map(|end| &end.object)).any(another)
}
