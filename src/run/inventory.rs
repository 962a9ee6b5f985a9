//! What a job looks after, as of the newest snapshots that were planned from.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use super::offload::compute;
use super::prove::Proof;
use crate::job::SyncKind;
use crate::model::link::How;
use crate::model::order::OrderId;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::reconcile::NAMES;
use crate::reconcile::draft::ListedObject;
use crate::snapshot::row::Cells as _;
use crate::snapshot::table::Table;

/// The objects of a job.
#[derive(Debug)]
pub struct Inventory {
    /// The run whose snapshots show it.
    pub run: RunId,
    /// When these were taken.
    pub at: DateTime<Utc>,
    /// What was applied since, which they do not show.
    pub applied: Vec<OrderId>,
    /// Every object that is not confirmed.
    pub objects: Vec<ListedObject>,
    /// Every object that is linked, one that was linked since included.
    pub pairs: Vec<Pair>,
}

/// A linked object.
#[derive(Debug)]
pub struct Pair {
    /// The sync, as its position in the job file.
    pub sync: usize,
    /// The source row's key.
    pub source_key: String,
    /// The target object's id.
    pub target_id: String,
    /// What the target calls it; `None` where its snapshot does not show it (yet).
    pub name: Option<String>,
    /// How the pair came about.
    pub how: How,
}

impl Conductor {
    /// How the job's objects stand, from the newest snapshots that were planned from. Asks no system and writes nothing.
    ///
    /// # Errors
    /// Where nothing was planned yet, or its files cannot be read.
    pub fn inventory(&self) -> Result<Inventory, RunError> {
        let Some(proof) = self.newest_proof()? else {
            return Err(self.no_look(""));
        };
        let (run, at) = (proof.manifest.run.clone(), proof.manifest.started);
        let mut applied = Vec::new();
        for system in self.job.systems.keys() {
            let orders = self.store.applied_since(&self.job.name, system, at)?;
            applied.extend(orders.into_values().flat_map(BTreeMap::into_keys));
        }
        let objects = self.survey(&proof)?;
        let pairs = compute(|| self.pairs(&proof))?;
        Ok(Inventory { run, at, applied, objects, pairs })
    }

    pub(super) fn pairs(&self, proof: &Proof) -> Result<Vec<Pair>, RunError> {
        let mut pairs = Vec::new();
        for sync in self.job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_))) {
            let mut names = names(proof, &sync.to)?;
            for link in self.store.links(&self.job.name, &sync.id)?.iter() {
                pairs.push(Pair {
                    sync: sync.index,
                    name: names.remove(link.target_id),
                    source_key: link.source_key.to_owned(),
                    target_id: link.target_id.to_owned(),
                    how: link.how,
                });
            }
        }
        Ok(pairs)
    }
}

/// What a snapshot's objects are called, by id.
fn names(proof: &Proof, resource: &ResourceName) -> Result<BTreeMap<String, String>, RunError> {
    let mut names = BTreeMap::new();
    let Some(manifest) = proof.manifest.resource(&resource.system, &resource.resource) else { return Ok(names) };
    let table = Table::open(&manifest.path(&proof.folder)?, &manifest.key)?;
    let columns: Vec<usize> = NAMES.iter().filter_map(|name| table.column(name)).collect();
    table.for_each(|row| {
        let name = columns.iter().map(|column| row.cell(*column)).find(|cell| !cell.is_empty());
        if let Some(name) = name {
            names.insert(table.key_of(row), name.to_owned());
        }
    })?;
    Ok(names)
}
