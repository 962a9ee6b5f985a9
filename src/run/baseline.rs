//! Judges a new snapshot against the last accepted one.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::export::verify;
use crate::model::digest::Digest;
use crate::model::explanation::Explanation;
use crate::model::threshold::Excess;
use crate::reconcile::explanation::{Movement, explain_rows};
use crate::reconcile::threshold::{Moved, Movements};
use crate::snapshot::completeness::{Census, Settings, Watch};
use crate::snapshot::diff::{
    Change, Counts, DiffError, DiffOptions, Difference, Kept, Witnessed, diff_keeping, digest_keeping,
};
use crate::snapshot::digest::Witness;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::kept_pairs::{self, KeptPairs};
use crate::snapshot::manifest::ResourceManifest;
use crate::snapshot::sidecar::{self, Sidecar, SidecarError};
use crate::snapshot::table::{KEY_JOINT, Table};
use crate::store::baselines::Baseline;

/// Rows that muster itself changed since the baseline: they are no surprise.
#[derive(Debug, Default)]
pub(super) struct OwnChanges {
    /// Target ids of objects that were created, changed or removed.
    pub(super) objects: HashSet<String>,
    /// Association rows that were added or removed: end ids, sorted.
    pub(super) rows: HashSet<Vec<String>>,
}

impl OwnChanges {
    /// Whether a row moved for what muster did.
    pub(super) fn expects(&self, key: &str) -> bool {
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

/// A new snapshot.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    /// Its file.
    pub(super) table: &'a Table,
    /// SHA-256 of it.
    pub(super) sha256: &'a Digest,
    /// What the job says about its completeness.
    pub(super) settings: &'a Settings,
}

/// What a new snapshot is compared with.
#[derive(Clone, Copy)]
pub(super) struct Accepted<'a> {
    /// The last accepted snapshot.
    pub(super) baseline: &'a Baseline,
    /// Its file.
    pub(super) path: &'a Path,
    /// Its entry in the manifest, where its export folder still has one; or why that cannot be read.
    pub(super) manifest: Result<Option<&'a ResourceManifest>, &'a str>,
}

/// What a new snapshot holds.
pub(super) struct Examined {
    /// What was counted.
    pub(super) census: Census,
    /// What differs from the baseline, or why that cannot be read; `None` where there is no baseline, or the new
    /// snapshot has the same bytes.
    pub(super) moved: Option<Result<Difference, String>>,
}

/// Reads a new snapshot once: counts what the checks need, digests its rows, and says what differs from the baseline.
///
/// One with the bytes of its baseline holds what that held, and is not read at all: as long as the baseline's own file is
/// certainly what it was, for a damaged one is told whatever the new one holds. `tell` hears why digests that were
/// kept are not used.
pub(super) fn examine(
    new: New<'_>,
    accepted: Option<Accepted<'_>>,
    options: &DiffOptions,
    tell: &dyn Fn(String),
) -> Result<Examined, DiffError> {
    if let Some(Accepted { baseline, path, manifest: Ok(Some(manifest)) }) = accepted
        && baseline.sha256 == *new.sha256
        && manifest.sha256 == *new.sha256
        && manifest.key == baseline.key
        && let Some(census) = Census::remembered(manifest, new.settings)
        && sidecar::carry_over(path, new.table.path(), new.sha256, &baseline.key).is_ok()
    {
        if !kept_pairs::carry_over(path, new.table.path()) {
            number(new, None, &census, options, tell)?;
        }
        return Ok(Examined { census, moved: None });
    }
    let has_room = |accepted: &Accepted<'_>| has_room(accepted.baseline.rows, options);
    let numbered = accepted.filter(has_room).and_then(|old| KeptPairs::open(old.path, &old.baseline.sha256));
    let watch = match numbered {
        Some(_) => Watch::without_owners(new.table, new.settings)?,
        None => Watch::new(new.table, new.settings)?,
    };
    let unkept = |error: Option<SnapshotError>| {
        if let Some(error) = error {
            tell(format!("{error}; without its digests the next run reads the snapshot again"));
        }
    };
    let old = accepted.map(|accepted| match accepted.manifest {
        Ok(_) => difference((accepted.baseline, accepted.path), new, options, tell, &watch),
        Err(cause) => Ok(Err(cause.to_owned())),
    });
    let (mut census, moved) = match old.transpose()? {
        Some(Ok(Witnessed { found, told, unkept: error })) => {
            unkept(error);
            (watch.conclude(&told, &found.doubtful)?, Some(Ok(found)))
        }
        other => {
            let alone = digest_keeping(new.table, options, Some(new.sha256), &watch)?;
            unkept(alone.unkept);
            (watch.conclude(&alone.told, &alone.found)?, other.map(|old| old.map(|witnessed| witnessed.found)))
        }
    };
    let counts_owners = numbered.is_none();
    let advanced = match (numbered, &moved) {
        (Some(numbered), Some(Ok(found))) => numbered.advanced(found)?,
        _ => None,
    };
    match number(new, advanced, &census, options, tell)? {
        _ if counts_owners => {}
        Some(rows) => census.count_owners(&rows),
        None => {
            let watch = Watch::new(new.table, new.settings)?;
            let alone = digest_keeping(new.table, options, None, &watch)?;
            census = watch.conclude(&alone.told, &alone.found)?;
        }
    }
    Ok(Examined { census, moved })
}

/// Bytes that a row takes while it is numbered.
const NUMBERED: u64 = 24;

/// Whether so many rows may be numbered in the memory that a comparison may take.
fn has_room(rows: u64, options: &DiffOptions) -> bool {
    options.memory.is_none_or(|memory| rows.saturating_mul(NUMBERED) <= memory)
}

/// Keeps the rows of an association as numbers: those that were `advanced` from the baseline's, where they fit, else as
/// they are read. `None` where its rows are no pairs, or cannot be told apart.
fn number(
    new: New<'_>,
    advanced: Option<KeptPairs>,
    census: &Census,
    options: &DiffOptions,
    tell: &dyn Fn(String),
) -> Result<Option<KeptPairs>, SnapshotError> {
    if !census.tells_rows_apart() || !has_room(census.rows(), options) {
        return Ok(None);
    }
    let rows = match advanced.filter(|rows| rows.is_of(new.table) && rows.rows() == census.rows()) {
        Some(rows) => Some(rows),
        None => KeptPairs::read(new.table)?,
    };
    if let Some(Err(error)) = rows.as_ref().map(|rows| rows.write(new.table.path(), new.sha256)) {
        tell(format!("{error}; without its numbers the snapshot is read once more"));
    }
    Ok(rows)
}

/// What differs between a baseline and a new snapshot; or, in the inner result, why the baseline cannot be read.
///
/// A baseline whose digests were kept is read only where it differs. Its SHA-256 is computed again unless the file
/// system shows that nobody touched the file since its digests were made; and each of its rows that is read is held
/// against its digest.
fn difference<W: Witness>(
    (baseline, path): (&Baseline, &Path),
    new: New<'_>,
    options: &DiffOptions,
    tell: &dyn Fn(String),
    witness: &W,
) -> Result<Result<Witnessed<Difference, W::Told>, String>, DiffError> {
    let kept = match Sidecar::open(path, &baseline.sha256, &baseline.key) {
        Ok(kept) => Some(kept),
        Err(SidecarError::None(_)) => None,
        Err(useless) => {
            tell(format!("{useless}; they are made anew"));
            None
        }
    };
    if !kept.as_ref().is_some_and(|kept| kept.is_untouched(path))
        && let Err(cause) = verify(baseline, path)
    {
        return Ok(Err(cause));
    }
    let old = match Table::open(path, &baseline.key) {
        Ok(old) => old,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let keeping = |old_digests| Kept { old: old_digests, old_sha256: &baseline.sha256, new_sha256: new.sha256 };
    match diff_keeping(&old, new.table, options, keeping(kept), witness) {
        Err(DiffError::Damaged(sidecar)) => {
            tell(format!("the digests in {} do not fit their file any more; they are made anew", sidecar.display()));
            if let Err(cause) = verify(baseline, path) {
                return Ok(Err(cause));
            }
            diff_keeping(&old, new.table, options, keeping(None), witness).map(Ok)
        }
        other => other.map(Ok),
    }
}

/// The rows that moved and that muster did not move itself.
pub(super) fn movements(difference: &Difference, own: &OwnChanges) -> Result<Movements, DiffError> {
    let Counts { unchanged, changed, removed, .. } = difference.counts;
    let rows = unchanged + changed + removed;
    let [mut added, mut changed, mut removed] = [(); 3].map(|()| Moved::default());
    difference.for_each(|key, change| {
        if !own.expects(key) {
            let moved = match change {
                Change::Added(_) => &mut added,
                Change::Changed { .. } => &mut changed,
                Change::Removed(_) => &mut removed,
            };
            moved.add(&key.replace(KEY_JOINT, " → "));
        }
        Ok::<(), DiffError>(())
    })?;
    let now = [("inserted", added), ("updated", changed), ("deleted", removed)].into();
    Ok(Movements { rows, now, before: BTreeMap::new() })
}

/// What the rows behind an excess have in common. `pages` says how many pages the baseline came in.
pub(super) fn explain(
    (baseline, path): (&Baseline, &Path),
    new: &Table,
    difference: &Difference,
    excess: &Excess,
    pages: Option<u64>,
    own: &OwnChanges,
) -> Result<Option<Explanation>, DiffError> {
    let Some(movement) = Movement::of_excess(&excess.name) else { return Ok(None) };
    let old = Table::open(path, &baseline.key)?;
    explain_rows((&old, new), difference, movement, pages, &|key| own.expects(key)).map(Some)
}
