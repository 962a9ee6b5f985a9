//! What the rules were before the job file was edited, as long as that tells why a value changes.

use std::collections::BTreeMap;

use super::Conductor;
use super::error::RunError;
use crate::job::{self, SyncKind};
use crate::model::run::RunId;
use crate::rules::mapping::Mapping;

impl Conductor {
    /// By sync, the mapping of the job file that planned last before a run; none where that is today's, or was not kept.
    pub(super) fn earlier_mappings(&self, run: &RunId) -> Result<BTreeMap<String, Mapping>, RunError> {
        let runs = self.store.runs(&self.job.name, 0)?;
        let own = runs.iter().position(|known| known.id == *run).map_or(0, |own| own + 1);
        let last = runs.iter().skip(own).find(|run| run.plan_digest.is_some());
        let Some(last) = last.filter(|last| last.job_digest != self.job.digest) else { return Ok(BTreeMap::new()) };
        // One that this version cannot read tells nothing.
        let text = std::fs::read(self.layout.job_file(&self.job.name, &last.id)).unwrap_or_default();
        let Ok(job) = job::read(&text, &self.job.path) else { return Ok(BTreeMap::new()) };
        let mapping = |sync: job::Sync| match sync.kind {
            SyncKind::Objects(objects) => Some((sync.id, objects.rules.mapping)),
            SyncKind::Association(_) => None,
        };
        Ok(job.syncs.into_iter().filter_map(mapping).collect())
    }
}
