//! What a plan is made from: the tables of proved snapshots, and what is remembered of each sync.

use std::collections::{BTreeMap, BTreeSet};

use super::demand;
use super::error::RunError;
use super::prove::Proof;
use crate::job::{Job, Sync, SyncKind};
use crate::model::capabilities::{OwnAccount, ResourceCapabilities};
use crate::model::digest::Digest;
use crate::model::link::Links;
use crate::model::resource::ResourceName;
use crate::reconcile::derived::{Derived, derive};
use crate::reconcile::{AssociationInput, ObjectInput, SyncInput};
use crate::rules::lookup::Lookups;
use crate::rules::mapping::Mapping;
use crate::snapshot::table::Table;

/// One sync with what is remembered of it, before its tables are borrowed.
pub(super) struct Memories {
    pub(super) links: Links,
    pub(super) identity: String,
    pub(super) capabilities: ResourceCapabilities,
    pub(super) free: Option<u64>,
    pub(super) seats: Option<u64>,
    pub(super) account: Option<OwnAccount>,
    pub(super) first_run: bool,
    /// The mapping of the job file that planned last, where today's is another.
    pub(super) earlier: Option<Mapping>,
}

/// The tables of a run's usable snapshots.
pub(super) struct Snapshots {
    pub(super) tables: BTreeMap<ResourceName, Table>,
    /// What is not in the table is not in the system.
    pub(super) whole: BTreeSet<ResourceName>,
    /// The table has as many rows as the system says it holds.
    pub(super) counted: BTreeSet<ResourceName>,
    /// What rules look up in them.
    pub(super) lookups: Lookups,
    /// Of the files.
    pub(super) sha256: BTreeMap<ResourceName, Digest>,
    /// What was derived for a sync, by its position in the job.
    pub(super) derived: BTreeMap<usize, Derived>,
}

/// Opens the snapshots of a proof. That their files are those that were written is known: this run wrote them, or they
/// were verified when they were taken up again.
pub(super) fn open(job: &Job, proof: &Proof) -> Result<Snapshots, RunError> {
    let mut snapshots = Snapshots {
        tables: BTreeMap::new(),
        whole: BTreeSet::new(),
        counted: BTreeSet::new(),
        lookups: Lookups::default(),
        sha256: BTreeMap::new(),
        derived: BTreeMap::new(),
    };
    for name in &proof.usable {
        let Some(exported) = proof.manifest.resource(&name.system, &name.resource) else { continue };
        let table = Table::open(&exported.path(&proof.folder)?, &exported.key)?;
        snapshots.tables.insert(name.clone(), table);
        snapshots.sha256.insert(name.clone(), exported.sha256.clone());
        if exported.proves_absence {
            snapshots.whole.insert(name.clone());
        }
        if exported.evidence.total_end.or(exported.evidence.total_start) == Some(exported.rows) {
            snapshots.counted.insert(name.clone());
        }
    }
    // Those of a sync that is not planned now are not read.
    let planned = job.syncs.iter().filter(|sync| demand::snapshots_of(job, sync.index).is_subset(&proof.usable));
    let wanted = planned.flat_map(|sync| sync.lookups().cloned());
    snapshots.lookups = Lookups::read(wanted, &snapshots.tables)?;
    Ok(snapshots)
}

impl Snapshots {
    /// Finds out what syncs want to know of their source's rows besides their cells.
    pub(super) fn derive(&mut self, memories: &[(&Sync, Memories)]) -> Result<(), RunError> {
        for (sync, memory) in memories {
            let SyncKind::Objects(objects) = &sync.kind else { continue };
            if objects.tables.is_empty() && objects.derivation.columns().is_empty() {
                continue;
            }
            let derived = derive(objects, &self.tables, &self.whole, &self.lookups, &memory.capabilities)?;
            self.derived.insert(sync.index, derived);
        }
        Ok(())
    }
}

/// What each sync is planned from.
pub(super) fn sync_inputs<'a>(
    memories: &'a [(&'a Sync, Memories)],
    snapshots: &'a Snapshots,
    claimed: &'a BTreeMap<String, String>,
) -> Vec<SyncInput<'a>> {
    let absent = |name: &ResourceName| snapshots.whole.contains(name);
    let mut syncs = Vec::new();
    for (sync, memory) in memories {
        let (source, target) = (&snapshots.tables[&sync.from], &snapshots.tables[&sync.to]);
        let derived = snapshots.derived.get(&sync.index);
        let target_absence = absent(&sync.to) || snapshots.counted.contains(&sync.to);
        syncs.push(match &sync.kind {
            SyncKind::Objects(objects) => SyncInput::Objects(ObjectInput {
                sync: objects,
                source: derived.and_then(|derived| derived.table.as_ref()).unwrap_or(source),
                derived,
                target,
                source_absence: absent(&sync.from),
                target_absence,
                lookups: &snapshots.lookups,
                links: &memory.links,
                claimed,
                capabilities: &memory.capabilities,
                identity: &memory.identity,
                earlier: memory.earlier.as_ref(),
                first_run: memory.first_run,
                free: memory.free,
                seats: memory.seats,
                account: memory.account.as_ref(),
            }),
            SyncKind::Association(association) => SyncInput::Association(AssociationInput {
                sync: association,
                nestings: association.nestings.as_ref().and_then(|name| snapshots.tables.get(name)),
                source,
                target,
                source_sha256: snapshots.sha256.get(&sync.from),
                target_sha256: snapshots.sha256.get(&sync.to),
                source_absence: absent(&sync.from),
                // Rows of an association are read with their owners, which are counted.
                target_absence: target_absence
                    || association.ends.iter().all(|end| snapshots.counted.contains(&end.to)),
                capabilities: &memory.capabilities,
                identity: &memory.identity,
                first_run: memory.first_run,
            }),
        });
    }
    syncs
}
