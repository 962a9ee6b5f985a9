//! What the database remembers of single objects, as explaining reads it.

use super::live::{Database, live_order, untold};
use crate::model::link::Links;
use crate::model::order::ObjectKey;
use crate::reconcile::single::Recall;
use crate::reconcile::{LiveOrder, ReconcileError};

impl Recall for Database<'_> {
    fn links(&self, sync_id: &str, source_keys: &[String], target_ids: &[String]) -> Result<Links, ReconcileError> {
        self.store.links_around(self.job, sync_id, source_keys, target_ids).map_err(untold)
    }

    fn all_links(&self, sync_id: &str) -> Result<Links, ReconcileError> {
        self.store.links(self.job, sync_id).map_err(untold)
    }

    fn live(&self, identity: &str, objects: &[ObjectKey]) -> Result<Vec<LiveOrder>, ReconcileError> {
        let mut live = Vec::new();
        for object in objects {
            let Some(record) = self.store.live_for(identity, object).map_err(untold)? else { continue };
            if record.job != self.job {
                live.push(live_order(&record, None, Some(record.job.clone())));
                continue;
            }
            let order = self.store.planned_order(&record.job, &record.run, &record.id).map_err(untold)?;
            live.push(live_order(&record, order.as_ref(), None));
        }
        Ok(live)
    }

    fn all_live(&self, identity: &str) -> Result<Vec<LiveOrder>, ReconcileError> {
        self.live_orders(&[identity]).map_err(|error| ReconcileError::Memory(error.to_string()))
    }
}
