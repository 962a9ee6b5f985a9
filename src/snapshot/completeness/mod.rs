//! Whether a snapshot is whole: what was counted, what was seen before, and what a person has accepted.

mod census;
mod checks;
mod columns;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{DiffError, DiffOptions, digest_keeping};
use super::manifest::ResourceManifest;
use super::table::Table;
use crate::model::evidence::{Check, Completeness, Evidence, Mode, Suspicion};
use crate::model::resource::ResourceName;

pub use census::Census;
pub(crate) use census::{Watch, Written};

/// What a job says about a resource's completeness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Objects that every whole export holds, by key, userName, name, displayName or login.
    pub sentinels: Vec<String>,
    /// Whether a snapshot without rows is as good as any.
    pub allow_empty: bool,
    /// Checks that are switched off.
    pub off: BTreeSet<Check>,
}

/// The snapshot to be judged, and what it is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its name; suspicions begin with it.
    pub name: &'a ResourceName,
    /// The finished file (merged, after an incremental export).
    pub table: &'a Table,
    /// How it was exported.
    pub mode: Mode,
    /// The last accepted snapshot of the same resource.
    pub previous: Option<&'a ResourceManifest>,
    /// What the job says.
    pub settings: &'a Settings,
    /// Suspicions that a person accepted, by name, with the figure that was accepted.
    pub accepted: &'a BTreeMap<String, String>,
    /// Whether no rows are no surprise: the first export of a target.
    pub may_be_empty: bool,
    /// Whether muster itself changes this resource, and so knows why there are fewer rows.
    pub is_target: bool,
    /// What it holds besides what muster itself wrote since the last accepted snapshot, where that was counted: how
    /// columns are written, and how many cells are empty, is a surprise only as far as it shows there too.
    pub besides: Option<&'a Census>,
}

/// Judges a snapshot: completes the evidence with what only the finished file shows, and gives the verdict.
pub fn judge(subject: &Subject<'_>, mut evidence: Evidence, census: &Census) -> (Evidence, Completeness) {
    evidence.empty_keys = census.empty_keys.clone();
    evidence.duplicate_keys = census.duplicate_keys.clone();
    evidence.empty_share = census.empty_share.clone();
    evidence.fingerprints = census.fingerprints.clone();
    evidence.owners = census.owners.clone();
    evidence.largest = census.largest.clone();
    evidence.sentinels = census.sentinels.clone();
    evidence.history = subject.previous.map_or(Vec::new(), |previous| previous.evidence.history_with(previous.rows));
    if let Some(cause) = &evidence.cut_off {
        let verdict = Completeness::Partial { cause: cause.clone() };
        return (evidence, verdict);
    }
    let found = checks::all(subject, &evidence, census);
    let mut suspicions: Vec<Suspicion> =
        found.into_iter().filter(|s| subject.accepted.get(&s.name) != Some(&s.figure)).collect();
    suspicions.sort();
    suspicions.dedup();
    let verdict = if suspicions.is_empty() { Completeness::Complete } else { Completeness::Suspect { suspicions } };
    (evidence, verdict)
}

/// Whether a verdict doubts what stands in columns, which muster's own writes may have changed.
pub fn doubts_columns(resource: &ResourceName, verdict: &Completeness) -> bool {
    let Completeness::Suspect { suspicions } = verdict else { return false };
    let of_columns = [Check::EmptyColumn, Check::Format, Check::SwappedColumns];
    let names = of_columns.map(|check| suspicion_name(resource, check.word()));
    suspicions.iter().any(|suspicion| names.contains(&suspicion.name))
}

/// Counts a finished file without what muster itself wrote.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn count_besides(
    table: &Table,
    settings: &Settings,
    written: &Written,
    options: &DiffOptions,
) -> Result<Census, DiffError> {
    let watch = Watch::besides(table, settings, written)?;
    let seen = digest_keeping(table, options, None, &watch)?;
    Ok(watch.conclude(&seen.told, &seen.found)?)
}

/// Counts what the checks need of a finished file.
///
/// # Errors
/// Where it cannot be read.
pub fn count(table: &Table, settings: &Settings) -> Result<Census, DiffError> {
    let watch = Watch::new(table, settings)?;
    let seen = digest_keeping(table, &DiffOptions::default(), None, &watch)?;
    Ok(watch.conclude(&seen.told, &seen.found)?)
}

/// The full name of a suspicion: `idp.users/empty`.
pub fn suspicion_name(resource: &ResourceName, check: &str) -> String {
    format!("{resource}/{check}")
}
