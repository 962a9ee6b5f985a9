//! What a person may decide on, as it stands: the same for every door that takes decisions.

use std::collections::BTreeMap;

use crate::model::order::{Block, OrderState, Remedy};
use crate::model::record::HoldKind;
use crate::model::run::RunId;
use crate::store::database::Store;
use crate::store::error::StoreError;

/// The provisioning thresholds that held a run, each with whether it still does once these are accepted.
///
/// # Errors
/// When the database cannot be read.
pub fn thresholds(
    store: &Store,
    run: &RunId,
    accepted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, bool>, StoreError> {
    let open = store.unaccepted_holds(run)?;
    let holds = store.holds(run)?.into_iter().filter(|hold| hold.kind == HoldKind::Plan);
    let holds = holds.map(|hold| {
        let still = open.iter().any(|other| other.name == hold.name) && !accepted.contains_key(&hold.name);
        (hold.name, still)
    });
    Ok(holds.collect())
}

/// Whether a person may approve an order as it stands. `thresholds` are those of [`thresholds`]; `covered` says that an
/// approval which holds covers it.
pub fn approvable(
    state: OrderState,
    block: Option<&Block>,
    thresholds: &BTreeMap<String, bool>,
    covered: bool,
) -> bool {
    match state {
        OrderState::PendingReview => true,
        // Its approval is over, or is not what was sealed: it needs a new one.
        OrderState::Approved => !covered,
        OrderState::Blocked => block.is_none_or(|block| match block.reason.remedy() {
            Remedy::Approval => true,
            Remedy::Acceptance => {
                // A block that names none depends on all of them, as it does when the review is sealed.
                let names = |name: &String| block.detail.contains(name.as_str());
                let any = thresholds.keys().any(names);
                !thresholds.iter().any(|(name, holds)| *holds && (!any || names(name)))
            }
            Remedy::Choice | Remedy::CauseGone => false,
        }),
        _ => false,
    }
}
