//! Checks of columns against the last accepted snapshots: what is empty, how it is written, whose values it holds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Subject;
use super::census::Census;
use super::checks::{Found, one, percent};
use crate::model::evidence::Evidence;
use crate::model::fingerprint::Fingerprint;

/// A column that was nearly full …
const FULL: f64 = 0.05;
/// … and is mostly empty.
const EMPTY: f64 = 0.5;
/// Nearly all values of a column were written in one way …
const USUAL: f64 = 0.9;
/// … and hardly any are now, but most in another.
const MOST: f64 = 0.5;
/// Fewer values than these have no format.
const VALUES: u64 = 50;
/// Columns that share so much hold the same kind of value …
const SAME: f64 = 0.5;
/// … and columns that share so little another.
const OTHER: f64 = 0.1;

pub(super) fn header(subject: &Subject<'_>, _: &Evidence, _: &Census) -> Found {
    let Some(previous) = subject.previous else { return Vec::new() };
    // A column that held nothing was the job's wish, or says nothing of a loss.
    let held = |column: &&String| previous.evidence.empty_share.get(*column).is_none_or(|share| *share < 1.0);
    let gone = previous.columns.iter().filter(|column| subject.table.column(column).is_none());
    let lost: Vec<&str> = gone.filter(held).map(String::as_str).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    one(lost.join(" "), format!("columns that the last accepted snapshot has are missing: {}", lost.join(", ")))
}

/// Measured against the fullest that the column was in any of the last accepted snapshots: a column that empties a
/// little with each run trips as well.
pub(super) fn empty_column(subject: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let Some(previous) = subject.previous else { return Vec::new() };
    let mut found = Vec::new();
    for (column, share) in &evidence.empty_share {
        let Some(last) = previous.evidence.empty_share.get(column) else { continue };
        let earlier = previous.evidence.history.iter().filter_map(|measure| measure.empty_share.get(column));
        let before = earlier.fold(*last, |least, share| share.min(least));
        let besides = subject.besides.and_then(|besides| besides.empty_share.get(column)).unwrap_or(share);
        if before < FULL && *last <= EMPTY && share.min(*besides) > EMPTY {
            let (now, then) = (percent(*share), percent(before));
            found.push((format!("{column} {now}"), format!("column `{column}` is {now} empty, it was {then} before")));
        }
    }
    found
}

pub(super) fn format(subject: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let mut found = Vec::new();
    let swapped: Vec<&str> = swaps(subject, evidence).into_iter().flat_map(|(one, other)| [one, other]).collect();
    for (column, (old, new)) in compared(subject, &evidence.fingerprints) {
        let (Some(was), Some(is)) = (old.main_shape(), new.main_shape()) else { continue };
        if changed(old, new)
            && besides(subject, column).is_none_or(|new| changed(old, new))
            && !swapped.contains(&column)
        {
            let text = format!(
                "column `{column}` changed its format: {} of its values are written as {is}, {} were as {was}",
                percent(new.share(is)),
                percent(old.share(was))
            );
            found.push((format!("{column} {is}"), text));
        }
    }
    found
}

/// Whether values that were written alike are written in another way now.
fn changed(old: &Fingerprint, new: &Fingerprint) -> bool {
    let (Some(was), Some(is)) = (old.main_shape(), new.main_shape()) else { return false };
    new.values() >= VALUES && old.share(was) >= USUAL && new.share(was) < 1.0 - USUAL && new.share(is) >= MOST
}

/// What a column holds besides what muster wrote; `None` where that was not counted.
fn besides<'a>(subject: &Subject<'a>, column: &str) -> Option<&'a Fingerprint> {
    static NOTHING: LazyLock<Fingerprint> = LazyLock::new(Fingerprint::default);
    subject.besides.map(|besides| besides.fingerprints.get(column).unwrap_or(&NOTHING))
}

pub(super) fn swapped_columns(subject: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let told = swaps(subject, evidence).into_iter().map(|(one, other)| {
        let text = format!("columns `{one}` and `{other}` hold each other's values, as if their headers were swapped");
        (format!("{one} {other}"), text)
    });
    told.collect()
}

/// Columns of both this snapshot and the last accepted one with enough values, each with both fingerprints.
fn compared<'a>(
    subject: &Subject<'a>,
    fingerprints: &'a BTreeMap<String, Fingerprint>,
) -> impl Iterator<Item = (&'a str, (&'a Fingerprint, &'a Fingerprint))> {
    let before = subject.previous.map(|previous| &previous.evidence.fingerprints);
    fingerprints.iter().filter_map(move |(column, new)| {
        let old = before?.get(column)?;
        (old.values() >= VALUES && new.values() >= VALUES).then_some((column.as_str(), (old, new)))
    })
}

/// Pairs of columns of which each holds what the other did.
fn swaps<'a>(subject: &Subject<'a>, evidence: &'a Evidence) -> Vec<(&'a str, &'a str)> {
    let found = swapped(subject, &evidence.fingerprints);
    let Some(besides) = subject.besides else { return found };
    let still = swapped(subject, &besides.fingerprints);
    found.into_iter().filter(|pair| still.contains(pair)).collect()
}

fn swapped<'a>(subject: &Subject<'a>, fingerprints: &'a BTreeMap<String, Fingerprint>) -> Vec<(&'a str, &'a str)> {
    let strange: Vec<_> =
        compared(subject, fingerprints).filter(|(_, (old, new))| old.sketch.overlap(&new.sketch) <= OTHER).collect();
    let mut found = Vec::new();
    for (i, (one, (one_old, one_new))) in strange.iter().enumerate() {
        for (other, (other_old, other_new)) in &strange[i + 1..] {
            if one_old.sketch.overlap(&other_new.sketch) >= SAME && other_old.sketch.overlap(&one_new.sketch) >= SAME {
                found.push((*one, *other));
            }
        }
    }
    found
}
