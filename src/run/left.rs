//! What an apply leaves approved, kind by kind, with why.

use std::collections::{BTreeMap, HashSet};

use super::approved::Plans;
use super::tally::Tally;
use super::wave::Kind;
use crate::model::apply_end::KindLeft;
use crate::model::failure_cause::FailureCause;
use crate::model::order::OrderId;
use crate::model::run::RunId;

/// What an apply remembers from kind to kind.
pub(super) struct UnderWay {
    pub(super) tally: Tally,
    pub(super) left: Left,
    /// Orders that failed before and were approved again.
    pub(super) retried: HashSet<OrderId>,
}

/// What an apply leaves approved, by run.
#[derive(Default)]
pub(super) struct Left(Vec<(RunId, KindLeft)>);

impl Left {
    /// Orders of a kind are left: what to call them, and whether any of their like was tried.
    pub(super) fn add(
        &mut self,
        (kind, label, is_started): (&Kind, &str, bool),
        why: &str,
        cause: Option<FailureCause>,
        orders: &[OrderId],
        plans: &Plans,
    ) {
        let mut by_run: BTreeMap<RunId, u64> = BTreeMap::new();
        for run in orders.iter().filter_map(|order| plans.run_of(order)) {
            *by_run.entry(run.clone()).or_default() += 1;
        }
        let why = cause.as_ref().map_or_else(|| why.to_owned(), |cause| format!("orders failed: see {}", cause.name()));
        for (run, orders) in by_run {
            let left = KindLeft {
                kind: label.to_owned(),
                operation: kind.operation,
                resource: kind.resource.clone(),
                orders,
                is_started,
                why: why.clone(),
                cause: cause.clone(),
            };
            self.0.push((run, left));
        }
    }

    /// What is left of a run.
    pub(super) fn of(&self, run: &RunId) -> Vec<KindLeft> {
        self.0.iter().filter(|(of, _)| of == run).map(|(_, left)| left.clone()).collect()
    }
}
