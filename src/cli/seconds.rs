//! Who approved an order, and how many still have to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::context::Context;
use super::sealing;
use crate::model::order::OrderId;
use crate::model::record::RunRecord;
use crate::store::database::Store;

/// Who approved an order of how many.
pub(super) struct Seconds {
    /// Those who did.
    pub(super) by: Vec<String>,
    /// How many have to.
    pub(super) of: u32,
}

impl Seconds {
    /// `1 of 2`.
    pub(super) fn figure(&self) -> String {
        format!("{} of {}", self.by.len(), self.of)
    }

    /// `1 of 2: jane@example.com`.
    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.figure(), self.by.join(", "))
    }
}

/// The orders of a run that wait for further reviewers.
///
/// # Errors
/// When the database cannot be read. What cannot be verified just now counts for nothing.
pub(super) fn of(context: &Context, store: &Store, run: &RunRecord) -> Result<BTreeMap<OrderId, Seconds>> {
    let asked = store.review_terms(&run.id)?.reviewers;
    if asked < 2 {
        return Ok(BTreeMap::new());
    }
    let Ok(rules) = sealing::rules(context, store, run) else { return Ok(BTreeMap::new()) };
    let of = rules.terms.reviewers.max(asked);
    let seconded = store.seconded(&run.id, &rules, context.now()).unwrap_or_default();
    Ok(seconded.into_iter().map(|(order, by)| (order, Seconds { by, of })).collect())
}

/// By order of a run, the reviewers that the review shows: `jane@example.com, joe@example.com`, or for an order that
/// waits for further ones `1 of 2: jane@example.com`.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn shown(context: &Context, store: &Store, run: &RunRecord) -> Result<BTreeMap<OrderId, String>> {
    let waiting = of(context, store, run)?;
    let mut shown: BTreeMap<OrderId, String> = waiting.into_iter().map(|(order, by)| (order, by.sentence())).collect();
    let approvers = store.approvers(&run.id)?;
    let several = if store.review_terms(&run.id)?.reviewers > 1 {
        let rules = sealing::rules(context, store, run).ok();
        rules.and_then(|rules| store.verified_approvals(&run.id, &rules, context.now()).ok())
    } else {
        None
    };
    for (order, last) in approvers {
        let mut all: BTreeSet<&str> = BTreeSet::from([last.as_str()]);
        if let Some(approvals) = &several {
            all.extend(approvals.reviewers(&order, 0, context.now()).into_keys());
        }
        let all = all.into_iter().collect::<Vec<_>>().join(", ");
        shown.insert(order, all);
    }
    Ok(shown)
}
