//! Judges a new snapshot against the last accepted one.

use std::collections::BTreeSet;

use super::error::RunError;
use crate::model::resource::ResourceName;
use crate::model::threshold::Excess;
use crate::reconcile::threshold::{Moved, SnapshotLimits, synchronization};
use crate::snapshot::diff::{DiffOptions, diff};
use crate::snapshot::table::{KEY_JOINT, Table};

/// Rows that muster itself changed since the baseline: they are no surprise.
#[derive(Debug, Default)]
pub(super) struct OwnChanges {
    /// Target ids of objects that were created, changed or removed.
    pub(super) objects: BTreeSet<String>,
    /// Association rows that were added or removed: end ids, sorted.
    pub(super) rows: BTreeSet<Vec<String>>,
}

impl OwnChanges {
    fn explain(&self, key: &str) -> bool {
        if !key.contains(KEY_JOINT) {
            return self.objects.contains(key);
        }
        let mut ends: Vec<String> = key.split(KEY_JOINT).map(str::to_owned).collect();
        // Rows vanish with the object at one of their ends.
        if ends.iter().any(|end| self.objects.contains(end)) {
            return true;
        }
        ends.sort();
        self.rows.contains(&ends)
    }
}

/// The thresholds that the new snapshot exceeds.
pub(super) fn excesses(
    name: &ResourceName,
    old: &Table,
    new: &Table,
    limits: &SnapshotLimits,
    own: &OwnChanges,
) -> Result<Vec<Excess>, RunError> {
    let difference = diff(old, new, &DiffOptions::default())?;
    let rows = difference.unchanged + (difference.changed.len() + difference.removed.len()) as u64;
    let moved = |keys: &[String]| {
        let mut moved = Moved::default();
        for key in keys.iter().filter(|key| !own.explain(key)) {
            moved.add(&key.replace(KEY_JOINT, " → "));
        }
        moved
    };
    let keys = &difference.keys;
    Ok(synchronization(name, &moved(&keys.added), &moved(&keys.changed), &moved(&keys.removed), rows, limits))
}
