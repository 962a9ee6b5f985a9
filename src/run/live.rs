//! What earlier runs ordered, as planning reads it.

use super::Conductor;
use super::error::RunError;
use super::lost::readable_orders;
use crate::model::order::{Fingerprint, ObjectKey, Order};
use crate::model::record::{OrderRecord, TakenBack};
use crate::reconcile::{LiveOrder, Memory, Prior, ReconcileError};
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::orders::Standing;

impl Conductor {
    /// The live orders of this job, and those of other jobs at the same targets.
    pub(super) fn live(&self, identities: &[&str]) -> Result<Vec<LiveOrder>, RunError> {
        Database { store: &self.store, job: &self.job.name }.live_orders(identities)
    }
}

pub(super) fn live_order(record: &OrderRecord, order: Option<&Order>, of_other_job: Option<String>) -> LiveOrder {
    LiveOrder {
        id: record.id.clone(),
        fingerprint: record.fingerprint.clone(),
        run: record.run.clone(),
        object: record.object.clone(),
        target_id: order.and_then(|o| o.target_id.clone()),
        identity: record.target_identity.clone(),
        resource: record.resource.clone(),
        operation: record.operation,
        key: record.key.clone(),
        state: record.state,
        block: record.block.as_ref().map(|b| b.reason),
        changes: order.map(|o| o.changes.clone()),
        ends: order.into_iter().flat_map(|o| &o.ends).map(|end| end.object.clone()).collect(),
        references: order.into_iter().flat_map(|o| &o.references).map(|reference| reference.object.clone()).collect(),
        closes: order.and_then(|o| o.closes.clone()),
        after: order.and_then(|o| o.after.clone()),
        thresholds: order.map(|o| o.thresholds.clone()).unwrap_or_default(),
        undoes: order.is_some_and(|o| o.undoes.is_some()),
        of_other_job,
    }
}

/// Looks up in the database what earlier runs ordered.
pub(super) struct Database<'a> {
    pub(super) store: &'a Store,
    pub(super) job: &'a str,
}

impl Memory for Database<'_> {
    fn standing(&self, identity: &str, fingerprints: &[&Fingerprint]) -> Result<Vec<Prior>, ReconcileError> {
        let found = self.store.standing(self.job, identity, fingerprints).map_err(untold)?;
        let prior = |Standing { raised, newest, ground, reversal }| Prior { raised, newest, ground, reversal };
        Ok(found.into_iter().map(prior).collect())
    }

    fn taken_back(&self, identity: &str) -> Result<Vec<TakenBack>, ReconcileError> {
        self.store.taken_back(self.job, identity).map_err(untold)
    }

    fn added(&self, sync_id: &str, rows: &[ObjectKey]) -> Result<Vec<bool>, ReconcileError> {
        self.store.are_managed(self.job, sync_id, rows).map_err(untold)
    }
}

impl Database<'_> {
    /// The live orders of the job, and those of other jobs at these targets.
    pub(super) fn live_orders(&self, identities: &[&str]) -> Result<Vec<LiveOrder>, RunError> {
        let mut live = Vec::new();
        for of_run in self.store.live_orders(self.job)?.chunk_by(|a, b| a.run == b.run) {
            let run = &of_run[0].run;
            // What is under way is not given up with its plan: it is known as far as that can be read.
            if of_run.iter().all(|record| record.state.is_under_way()) {
                let ids = of_run.iter().map(|record| &record.id).collect();
                let known = readable_orders(self.store, run, &ids)?;
                let planned = |record: &OrderRecord| known.iter().find(|order| order.id == record.id);
                live.extend(of_run.iter().map(|record| live_order(record, planned(record), None)));
                continue;
            }
            // A plan that is lost is told as that, not as a file that cannot be read.
            let lost = |error: StoreError| self.store.verify_plan(run).err().unwrap_or(error);
            // Both are in the plan's sequence, so that no more than one order is held at a time.
            let mut planned = self.store.read_orders(run).map_err(lost)?.zip(0u64..);
            for record in of_run {
                let mut own = None;
                for (order, seq) in planned.by_ref() {
                    let order = order.map_err(lost)?;
                    if seq == record.seq {
                        own = Some(order).filter(|order| order.id == record.id);
                        break;
                    }
                }
                live.push(live_order(record, own.as_ref(), None));
            }
        }
        for identity in identities {
            for (_, record) in self.store.live_elsewhere(self.job, identity)? {
                live.push(live_order(&record, None, Some(record.job.clone())));
            }
        }
        Ok(live)
    }
}

pub(super) fn untold(error: StoreError) -> ReconcileError {
    ReconcileError::Memory(error.to_string())
}
