//! What differs between two tables with the same key, whatever the order of their rows and columns.
//!
//! Both tables are read once, in parallel, into 24-byte digests; only digests are joined, and only rows whose digests
//! differ are read again and compared cell by cell.

mod canonical;
mod join;
mod keys;
mod normalise;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;

use super::digest::digests;
use super::error::SnapshotError;
use super::row::Place;
use super::table::{Line, Table};
use crate::model::evidence::Occurrences;
use canonical::{Canonical, Columns};

pub use normalise::{Normaliser, UnknownNormaliser, canonical_cell};

/// How to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// Columns that make no difference.
    pub ignore: BTreeSet<String>,
    /// Differences in writing that make none, by column. They hold for columns of the key too.
    pub normalise: BTreeMap<String, Vec<Normaliser>>,
    /// Bytes that digests and results may take in memory; `None` = no limit. The answer does not depend on it.
    pub memory: Option<u64>,
    /// Where digests go that do not fit; `None` = the new file's folder. Nothing is left behind there.
    pub spill_folder: Option<PathBuf>,
    /// Whether rows of equal digests are compared byte by byte too.
    pub verify: bool,
    /// Seeds the hashes; `None` takes a random one. The answer does not depend on it.
    pub seed: Option<u64>,
}

/// What differs. Everything is sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows whose key only the new table has: places in the new one.
    pub added: Vec<Place>,
    /// Rows whose key only the old table has: places in the old one.
    pub removed: Vec<Place>,
    /// Rows in both with other cells: places in the old and the new table, and the positions in the **new** table's
    /// header of the columns that differ.
    pub changed: Vec<(Place, Place, Vec<usize>)>,
    /// The keys of the rows above.
    pub keys: Keys,
    /// Rows that are equal.
    pub unchanged: u64,
    /// Columns that only the new table has; they make no row a changed one.
    pub columns_added: Vec<String>,
    /// Columns that only the old table has.
    pub columns_removed: Vec<String>,
    /// Rows of either table that could not be compared.
    pub doubtful: Doubtful,
}

/// The keys of a difference's rows, each list in the order of the rows' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Of `added`.
    pub added: Vec<String>,
    /// Of `removed`.
    pub removed: Vec<String>,
    /// Of `changed`.
    pub changed: Vec<String>,
}

/// How much differs, without saying what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys that only the new table has.
    pub added: u64,
    /// Keys that only the old table has.
    pub removed: u64,
    /// Keys in both with other cells.
    pub changed: u64,
    /// Keys in both with equal cells.
    pub unchanged: u64,
}

/// Rows that have no place in a comparison: a key that repeats (its first row is compared, the others are here), or
/// none. In file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// In the old table: the first row with the key, and the one that repeats it.
    pub old_duplicates: Vec<(Place, Place)>,
    /// The same in the new table.
    pub new_duplicates: Vec<(Place, Place)>,
    /// Rows of the old table with an empty cell in the key.
    pub old_keyless: Vec<Place>,
    /// The same in the new table.
    pub new_keyless: Vec<Place>,
}

/// Why two tables cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One of them cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// They were opened with different keys.
    #[error("{old} is opened by {old_key}, {new} by {new_key}; a comparison needs one key")]
    Keys {
        /// The old file.
        old: String,
        /// The columns of its key.
        old_key: String,
        /// The new file.
        new: String,
        /// The columns of its key.
        new_key: String,
    },
    /// An ignored column is in neither table.
    #[error("the ignored column `{0}` is in neither file; check its name")]
    Ignored(String),
    /// A column with normalisers is in neither table.
    #[error("the column `{0}`, which has a normaliser, is in neither file; check its name")]
    Normalised(String),
    /// Digests that do not fit into memory have no place on the disk either.
    #[error("the digests of the rows do not fit into the memory allowed, nor into {}: {source}; \
             free some room there, or allow more memory", folder.display())]
    NoRoom {
        /// Where they should go.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Keys that repeat or are empty, with their rows.
    #[error("{}", .0.join("\n"))]
    Doubtful(Vec<String>),
}

/// Compares two tables.
pub fn diff(old: &Table, new: &Table, options: &DiffOptions) -> Result<Difference, DiffError> {
    diff_by(old, new, options, u64::MAX)
}

fn diff_by(old: &Table, new: &Table, options: &DiffOptions, key_mask: u64) -> Result<Difference, DiffError> {
    let Compared { columns, joined } = compare(old, new, options, key_mask)?;
    let (added, added_keys) = keys::sorted(new, joined.added, |place| *place)?;
    let (removed, removed_keys) = keys::sorted(old, joined.removed, |place| *place)?;
    let (changed, changed_keys) = keys::sorted(new, joined.changed, |change| change.1)?;
    Ok(Difference {
        added,
        removed,
        changed,
        keys: Keys { added: added_keys, removed: removed_keys, changed: changed_keys },
        unchanged: joined.unchanged,
        columns_added: columns.added,
        columns_removed: columns.removed,
        doubtful: joined.doubtful,
    })
}

/// Counts what differs; costs no memory for what does, and no second look at rows that only one side has.
pub fn counts(old: &Table, new: &Table, options: &DiffOptions) -> Result<Counts, DiffError> {
    let joined = compare(old, new, options, u64::MAX)?.joined;
    Ok(Counts {
        added: joined.added.len() as u64,
        removed: joined.removed.len() as u64,
        changed: joined.changed.len() as u64,
        unchanged: joined.unchanged,
    })
}

struct Compared {
    columns: Columns,
    joined: join::Joined,
}

/// `key_mask` keeps only some bits of the key hash; tests force collisions with it.
fn compare(old: &Table, new: &Table, options: &DiffOptions, key_mask: u64) -> Result<Compared, DiffError> {
    let columns = Columns::of(old, new, options)?;
    let seed = options.seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    let old_digester = Canonical::new(old, &columns, &columns.old, seed, key_mask);
    let new_digester = Canonical::new(new, &columns, &columns.new, seed, key_mask);
    let rows = old.estimated_rows()? + new.estimated_rows()?;
    let (old_rows, new_rows) = rayon::join(|| digests(old, &old_digester, rows), || digests(new, &new_digester, rows));
    let joined = join::join(old, old_rows?, new, new_rows?, &columns)?;
    Ok(Compared { columns, joined })
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.columns_added.is_empty()
            && self.columns_removed.is_empty()
    }

    /// How much differs.
    pub fn counts(&self) -> Counts {
        Counts {
            added: self.added.len() as u64,
            removed: self.removed.len() as u64,
            changed: self.changed.len() as u64,
            unchanged: self.unchanged,
        }
    }

    /// Refuses a comparison in which a key repeats or is empty, naming the rows.
    pub fn require_unique(&self, old: &Table, new: &Table) -> Result<(), DiffError> {
        let mut found = Vec::new();
        let doubtful = &self.doubtful;
        let sides = [
            (old, &doubtful.old_duplicates, &doubtful.old_keyless),
            (new, &doubtful.new_duplicates, &doubtful.new_keyless),
        ];
        for (table, duplicates, keyless) in sides {
            let file = table.path().display();
            if !duplicates.is_empty() {
                let seen = name_duplicates(table, duplicates)?;
                let rows = list(&seen);
                found.push(format!("{file}: {} of a key that another row has: {rows}", rows_word(seen.count)));
            }
            if !keyless.is_empty() {
                let seen = name_keyless(table, keyless)?;
                found.push(format!("{file}: {} without a key: {}", rows_word(seen.count), list(&seen)));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(DiffError::Doubtful(found)) }
    }
}

fn rows_word(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn list(seen: &Occurrences) -> String {
    let more = if seen.count > seen.first.len() as u64 { " …" } else { "" };
    format!("{}{more}", seen.first.join(", "))
}

/// Counts rows that repeat a key, and names the first ten: `jane: rows 3 and 17`.
pub fn name_duplicates(table: &Table, pairs: &[(Place, Place)]) -> Result<Occurrences, SnapshotError> {
    let shown = &pairs[..pairs.len().min(10)];
    let places: Vec<Place> = shown.iter().flat_map(|(first, second)| [*first, *second]).collect();
    let lines = table.lines_of(&places)?;
    let mut first = Vec::with_capacity(shown.len());
    for (i, (place, _)) in shown.iter().enumerate() {
        let key = shown_key(&table.key_of(&table.fetch(*place)?));
        let (a, b) = (lines[2 * i], lines[2 * i + 1]);
        if a.row == a.line && b.row == b.line {
            first.push(format!("{key}: rows {} and {}", a.row, b.row));
        } else {
            first.push(format!("{key}: rows {} and {} (lines {} and {})", a.row, b.row, a.line, b.line));
        }
    }
    Ok(Occurrences { count: pairs.len() as u64, first })
}

/// Counts rows without a key, and names the first ten: `row 12 (line 14)`.
pub fn name_keyless(table: &Table, places: &[Place]) -> Result<Occurrences, SnapshotError> {
    let lines = table.lines_of(&places[..places.len().min(10)])?;
    Ok(Occurrences { count: places.len() as u64, first: lines.iter().map(Line::to_string).collect() })
}

/// A key as people read it: the cells of several columns with a slash between.
pub fn shown_key(key: &str) -> String {
    key.replace(super::table::KEY_JOINT, " / ")
}
