//! What happened before, for thresholds over time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use crate::job::SyncKind;
use crate::model::order::OrderState;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::model::threshold::{Threshold, Window};
use crate::reconcile::policy::OrderThresholds;
use crate::reconcile::threshold::{Bygone, GROUPS};
use crate::reconcile::{BygoneOrders, Past};

impl Conductor {
    /// Orders that were applied within the longest window of the job's thresholds, but for those of first loads: nobody
    /// limits a system for a week because it was filled.
    pub(super) fn past(&self) -> Result<Past, RunError> {
        let Some(longest) = self.longest_window() else { return Ok(Past::default()) };
        let now = (self.clock)();
        let found = self.store.orders_by_kind(&self.job.name, Some(OrderState::Applied), now - longest)?;
        let mut first_loads: HashMap<RunId, HashSet<String>> = HashMap::new();
        let mut applied = Vec::new();
        for orders in found {
            let first = first_loads.entry(orders.run.clone()).or_insert_with(|| self.first_loads(&orders.run));
            if !first.contains(&orders.sync_id) {
                applied.push(BygoneOrders {
                    resource: orders.resource,
                    operation: orders.operation,
                    thresholds: orders.thresholds,
                    bygone: Bygone { age: age(now, orders.since), run: orders.run, count: orders.count },
                });
            }
        }
        Ok(Past { applied, settled: self.store.last_accepted(&self.job.name)? })
    }

    /// The longest time over which orders are counted.
    pub(super) fn longest_window(&self) -> Option<Duration> {
        let thresholds = self.job.syncs.iter().flat_map(|sync| match &sync.kind {
            SyncKind::Objects(sync) => all(&sync.thresholds, sync.scoped.iter().map(|scoped| &scoped.thresholds)),
            SyncKind::Association(sync) => all(&sync.thresholds, sync.scoped.iter().map(|scoped| &scoped.thresholds)),
        });
        thresholds.filter_map(|threshold| threshold.window).max().map(|Window(longest)| longest)
    }

    /// The syncs of whose first load a run's plan was. A plan that is gone or damaged proves nothing: its orders count.
    fn first_loads(&self, run: &RunId) -> HashSet<String> {
        let situations = self.store.registered_plan(run).map(|plan| plan.situations).unwrap_or_default();
        situations.into_iter().filter(|sync| sync.first_run).map(|sync| sync.sync).collect()
    }

    /// What moved in accepted snapshots of a resource within the longest window of these thresholds, by the words of
    /// their names.
    pub(super) fn moved_before<'t>(
        &self,
        name: &ResourceName,
        thresholds: impl Iterator<Item = &'t Threshold>,
    ) -> Result<BTreeMap<&'static str, Vec<Bygone>>, RunError> {
        let mut before: BTreeMap<&'static str, Vec<Bygone>> = BTreeMap::new();
        let Some(Window(longest)) = thresholds.filter_map(|threshold| threshold.window).max() else {
            return Ok(before);
        };
        let now = (self.clock)();
        let movements = self.store.movements(&self.job.name, now - longest)?;
        for movement in movements.into_iter().filter(|movement| movement.resource == *name) {
            if movement.accepted.is_none() {
                continue;
            }
            let age = age(now, movement.at);
            for (word, count) in
                [("inserted", movement.inserted), ("updated", movement.updated), ("deleted", movement.deleted)]
            {
                before.entry(word).or_default().push(Bygone { age, run: movement.run.clone(), count });
            }
        }
        Ok(before)
    }
}

fn all<'t>(thresholds: &'t OrderThresholds, scoped: impl Iterator<Item = &'t OrderThresholds>) -> Vec<&'t Threshold> {
    std::iter::once(thresholds)
        .chain(scoped)
        .flat_map(|of| GROUPS.iter().flat_map(move |(_, _, pick)| pick(of)))
        .collect()
}

/// How long ago something was; a clock that went back makes nothing old.
fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> Duration {
    (now - at).to_std().unwrap_or_default()
}
