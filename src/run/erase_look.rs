//! Kept snapshots, as far as they hold an identity that is to be erased.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Conductor;
use super::erase_whom::texts_of;
use super::error::RunError;
use super::explain::KnownObject;
use crate::model::digest::Digest;
use crate::model::erasure::{Obstacle, Whom};
use crate::model::numbers::counted;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::model::scrub::{Scrub, is_telling};
use crate::model::value::Value;
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::snapshot::row::{Cells as _, Row};
use crate::snapshot::table::Table;

/// One snapshot that is kept.
pub(super) struct Kept {
    run: RunId,
    resource: ResourceName,
    path: PathBuf,
    key: Vec<String>,
    sha256: Digest,
    /// Whether a plan, a comparison, or the next look goes by it: no later one of its resource is there, or it was the last
    /// that was accepted.
    is_current: bool,
}

impl Kept {
    fn table(&self) -> Option<Table> {
        Table::open(&self.path, &self.key).ok()
    }
}

/// Whether a row is the identity's own.
fn is_own(resource: &ResourceName, table: &Table, row: &Row<'_>, whom: &Whom) -> bool {
    if !whom.resources.contains(resource) {
        return false;
    }
    let key = match table.key_columns() {
        [only] => row.cell(*only).to_owned(),
        _ => table.key_of(row),
    };
    whom.keys.contains(&key) || whom.ids.contains(&key)
}

/// The texts of a cell.
fn texts(cell: &str) -> Vec<String> {
    Value::from_cell(cell).as_ref().map(texts_of).unwrap_or_default()
}

impl Conductor {
    /// All snapshots of the job that are kept, the newest first.
    pub(super) fn kept_exports(&self) -> Result<Vec<Kept>, RunError> {
        let accepted = self.store.baselines(&self.job.name)?;
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        // What `explain` and `list` go by.
        let planned = self.newest_look()?.and_then(|look| look.run);
        for run in self.store.runs(&self.job.name, 0)? {
            let folder = self.layout.export(&self.job.name, &run.id);
            let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { continue };
            for (system, resources) in &manifest.systems {
                for (name, exported) in resources {
                    let resource = ResourceName::new(system.as_str(), name.as_str());
                    let Ok(path) = exported.path(&folder) else { continue };
                    let is_newest = seen.insert(resource.clone());
                    let is_accepted = accepted.get(&resource).is_some_and(|baseline| baseline.run == run.id);
                    kept.push(Kept {
                        run: run.id.clone(),
                        is_current: is_newest || is_accepted || planned.as_ref() == Some(&run.id),
                        path,
                        key: exported.key.clone(),
                        sha256: exported.sha256.clone(),
                        resource,
                    });
                }
            }
        }
        Ok(kept)
    }

    /// Each snapshot's table, those with the same bytes once.
    fn different<'k>(&self, kept: &'k [Kept]) -> impl Iterator<Item = (&'k Kept, Table)> {
        let mut seen: BTreeSet<&Digest> = BTreeSet::new();
        kept.iter().filter(move |kept| seen.insert(&kept.sha256)).filter_map(|kept| Some((kept, kept.table()?)))
    }

    /// Objects whose row is only in an older snapshot.
    pub(super) fn in_older_snapshots(&self, text: &str) -> Result<Vec<KnownObject>, RunError> {
        let kept = self.kept_exports()?;
        let mut found: BTreeMap<(ResourceName, String), KnownObject> = BTreeMap::new();
        for (snapshot, table) in self.different(&kept) {
            let syncs: Vec<_> = self.object_syncs().collect();
            let Some(sync) = syncs.iter().find(|s| s.from == snapshot.resource || s.to == snapshot.resource) else {
                continue;
            };
            let keys = table.par_fold(Vec::new, |keys: &mut Vec<String>, row| {
                let key = table.key_of(row);
                // A login or an address stands in a cell of its own.
                if key == text || is_telling(text) && row.cells().any(|cell| cell.eq_ignore_ascii_case(text)) {
                    keys.push(key);
                }
            })?;
            for key in keys.into_iter().flatten() {
                let is_source = sync.from == snapshot.resource;
                found.entry((snapshot.resource.clone(), key.clone())).or_insert_with(|| KnownObject {
                    from: sync.from.clone(),
                    to: sync.to.clone(),
                    source_key: is_source.then(|| key.clone()),
                    target_id: (!is_source).then(|| key.clone()),
                    name: String::new(),
                    by: "older snapshot".to_owned(),
                });
            }
        }
        // Both sides of one object tell the same: the row's key counts.
        let has_source = found.values().any(|object| object.source_key.is_some());
        Ok(found.into_values().filter(|object| object.source_key.is_some() || !has_source).collect())
    }

    /// What the rows of an identity hold.
    pub(super) fn cells_of(&self, kept: &[Kept], whom: &Whom) -> Result<BTreeSet<String>, RunError> {
        let mut cells = BTreeSet::new();
        for (snapshot, table) in self.different(kept) {
            let found = table.par_fold(BTreeSet::new, |found: &mut BTreeSet<String>, row| {
                if is_own(&snapshot.resource, &table, row, whom) {
                    found.extend(row.cells().flat_map(texts));
                }
            })?;
            found.into_iter().for_each(|mut some| cells.append(&mut some));
        }
        Ok(cells)
    }

    /// Takes away what another row of a kept snapshot holds, too.
    pub(super) fn drop_those_of_others(
        &self,
        values: &mut BTreeSet<String>,
        kept: &[Kept],
        whom: &Whom,
    ) -> Result<(), RunError> {
        for (snapshot, table) in self.different(kept) {
            let left = &*values;
            let found = table.par_fold(BTreeSet::new, |found: &mut BTreeSet<String>, row| {
                if !is_own(&snapshot.resource, &table, row, whom) {
                    found.extend(row.cells().flat_map(texts).filter(|text| left.contains(text)));
                }
            })?;
            for of_others in found.into_iter().flatten() {
                // Rows that tie it to others are its own.
                if !whom.keys.contains(&of_others) && !whom.ids.contains(&of_others) {
                    values.remove(&of_others);
                }
            }
        }
        Ok(())
    }

    /// The runs whose snapshots hold an identity, and what is in the way: a snapshot that holds it and is gone by.
    pub(super) fn holding(
        &self,
        kept: &[Kept],
        whom: &Whom,
        scrub: &Scrub,
    ) -> Result<(BTreeSet<RunId>, Vec<Obstacle>), RunError> {
        let mut runs = BTreeSet::new();
        let mut obstacles = Vec::new();
        let mut known: BTreeMap<&Digest, (u64, u64)> = BTreeMap::new();
        for snapshot in kept {
            let (own, naming) = match known.get(&snapshot.sha256) {
                Some(found) => *found,
                None => {
                    let Some(table) = snapshot.table() else { continue };
                    let found = table.par_fold(
                        || (0_u64, 0_u64),
                        |(own, naming), row| {
                            if is_own(&snapshot.resource, &table, row, whom) {
                                *own += 1;
                            } else if row.cells().any(|cell| scrub.names(cell)) {
                                *naming += 1;
                            }
                        },
                    )?;
                    let found = found.into_iter().fold((0, 0), |sum, some| (sum.0 + some.0, sum.1 + some.1));
                    known.insert(&snapshot.sha256, found);
                    found
                }
            };
            if own + naming == 0 {
                continue;
            }
            if snapshot.is_current {
                obstacles.push(self.still_there(snapshot, own, naming));
            } else {
                runs.insert(snapshot.run.clone());
            }
        }
        // A folder that has to stay anyway is not removed for another resource of it.
        for snapshot in kept.iter().filter(|snapshot| snapshot.is_current && runs.contains(&snapshot.run)) {
            let Kept { run, resource, .. } = snapshot;
            obstacles.push(Obstacle {
                what: format!("run {run} has it in its snapshots, of which that of {resource} is still needed"),
                next: format!("muster run {} --mode complete", self.job.name),
            });
        }
        Ok((runs, obstacles))
    }

    fn still_there(&self, snapshot: &Kept, own: u64, naming: u64) -> Obstacle {
        let Kept { resource, run, .. } = snapshot;
        let job = &self.job.name;
        let what = match own {
            0 => format!("{} of {resource} name it, in the newest snapshot (run {run})", counted(naming, "row")),
            _ => format!("it is in the newest snapshot of {resource} (run {run})"),
        };
        let next = format!("muster run {job}, once {resource} does not hold it any more");
        Obstacle { what, next }
    }
}
