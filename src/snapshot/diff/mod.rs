//! What differs between two tables with the same key, whatever the order of their rows and columns.
//!
//! Both tables are read once, in parallel, into 24-byte digests; only digests are joined, and only rows whose digests
//! differ are read again and compared cell by cell.

mod canonical;
mod join;
mod normalise;
mod ordered;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::digest::{DIGEST, DigestError, Digests, Witness, digests};
use super::error::SnapshotError;
use super::partition::bits_for;
use super::row::Place;
use super::sidecar::{self, Sidecar};
use super::spill::Room;
use super::table::{Line, Table};
use crate::disk::is_full;
use crate::model::digest::Digest;
use crate::model::evidence::Occurrences;
use canonical::{Canonical, Columns};
use join::{Joined, Pair, Side};
use ordered::Ordered;

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

/// What differs.
#[derive(Debug, Default)]
pub struct Difference {
    rows: Ordered,
    /// How many rows.
    pub counts: Counts,
    /// Columns that only the new table has; they make no row a changed one.
    pub columns_added: Vec<String>,
    /// Columns that only the old table has.
    pub columns_removed: Vec<String>,
    /// Rows of either table that could not be compared.
    pub doubtful: Doubtful,
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the new table has its key: its place there.
    Added(Place),
    /// Only the old table has its key: its place there.
    Removed(Place),
    /// Both have it, with other cells.
    Changed {
        /// Its place in the old table.
        old: Place,
        /// Its place in the new one.
        new: Place,
        /// The columns that differ, by their positions in the **new** table.
        columns: &'a [usize],
    },
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
    /// What does not fit into memory does not fit on the disk either.
    #[error("digests and results do not fit into the memory allowed, and {} has no room for them ({source}); \
             free some there or allow more memory", folder.display())]
    Full {
        /// Where they should go.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// What does not fit into memory cannot be kept on the disk, for another reason than its size.
    #[error("digests and results do not fit into the memory allowed, and cannot be kept in {}: {source}; \
             make it a folder that can be written to, or allow more memory", folder.display())]
    NotKept {
        /// Where they should go.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Keys that repeat or are empty, with their rows.
    #[error("{}", .0.join("\n"))]
    Doubtful(Vec<String>),
    /// Digests that were kept of the old file are damaged, or the file is.
    #[error("{} does not fit its file any more; remove it", .0.display())]
    Damaged(PathBuf),
}

impl From<DigestError> for DiffError {
    fn from(error: DigestError) -> Self {
        match error {
            DigestError::Snapshot(error) => Self::Snapshot(error),
            DigestError::Spill { folder, source } => Self::of_spill(&folder, source),
            DigestError::Damaged(path) => Self::Damaged(path),
        }
    }
}

impl DiffError {
    /// Why something could not be kept in a folder.
    fn of_spill(folder: &Path, source: io::Error) -> Self {
        let folder = folder.to_owned();
        if is_full(&source) { Self::Full { folder, source } } else { Self::NotKept { folder, source } }
    }
}

/// Compares two tables.
pub fn diff(old: &Table, new: &Table, options: &DiffOptions) -> Result<Difference, DiffError> {
    diff_by(old, new, options, u64::MAX)
}

fn diff_by(old: &Table, new: &Table, options: &DiffOptions, key_mask: u64) -> Result<Difference, DiffError> {
    let comparison = Comparison { old, new, options, key_mask };
    let columns = Columns::of(old, new, options, None)?;
    let (joined, ordered, _) = comparison.join(&columns, random_seed(options), Old::Read, &(), |_| ())?;
    comparison.sort(columns, joined, ordered)
}

/// What a comparison may use of earlier ones, and keeps for later ones.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The digests of the old file, where they were kept: then it is not read, but for rows that differ.
    pub old: Option<Sidecar>,
    /// SHA-256 of the old file.
    pub old_sha256: &'a Digest,
    /// SHA-256 of the new file.
    pub new_sha256: &'a Digest,
}

/// What a comparison came to, and what a witness of the new table tells of it, in file order.
#[derive(Debug)]
pub struct Witnessed<D, T> {
    /// What was found.
    pub found: D,
    /// What the witness tells.
    pub told: Vec<T>,
    /// Why digests could not be kept, where they could not.
    pub unkept: Option<SnapshotError>,
}

/// Compares two tables, with the digests that were kept of the old one; those of the new one, and new ones of the old
/// one, are kept beside their files. The new table is read once, and `witness` sees it then.
///
/// # Errors
/// `DiffError::Damaged` where the kept digests turn out to be of no use: then compare without them.
pub fn diff_keeping<W: Witness>(
    old: &Table,
    new: &Table,
    options: &DiffOptions,
    kept: Kept<'_>,
    witness: &W,
) -> Result<Witnessed<Difference, W::Told>, DiffError> {
    let comparison = Comparison { old, new, options, key_mask: u64::MAX };
    let columns = Columns::of(old, new, options, kept.old.as_ref().map(Sidecar::columns))?;
    // Digests of columns that are not all compared are digests of something else.
    let remembered = kept.old.filter(|_| columns.old.len() == old.columns().len());
    let seed = remembered.as_ref().map_or_else(|| random_seed(options), Sidecar::seed);
    let is_known = remembered.is_some();
    let mut failed = None;
    let old_digests = remembered.map_or(Old::Read, |sidecar| Old::Remembered(Box::new(sidecar)));
    let (joined, ordered, told) = comparison.join(&columns, seed, old_digests, witness, |pair| {
        let names: Vec<String> = columns.old.iter().map(|i| old.columns()[*i].clone()).collect();
        let mut keep = |table: &Table, sha256, compared: &[usize], digests: &Digests<'_>| {
            if compared.len() == table.columns().len() && digests.keyless.is_empty() {
                let what = sidecar::Origin { table, sha256, columns: &names, normalise: &options.normalise, seed };
                failed = sidecar::write(&what, digests).err().or(failed.take());
            }
        };
        keep(new, kept.new_sha256, &columns.new, &pair.new.digests);
        if !is_known {
            keep(old, kept.old_sha256, &columns.old, &pair.old.digests);
        }
    })?;
    Ok(Witnessed { found: comparison.sort(columns, joined, ordered)?, told, unkept: failed })
}

/// Digests one table, and says which rows repeat a key or have none (as those of a new table). Its digests are kept
/// beside its file where `sha256`, that of the file, is given. `witness` sees the table while it is read.
pub fn digest_keeping<W: Witness>(
    table: &Table,
    options: &DiffOptions,
    sha256: Option<&Digest>,
    witness: &W,
) -> Result<Witnessed<Doubtful, W::Told>, DiffError> {
    let comparison = Comparison { old: table, new: table, options, key_mask: u64::MAX };
    let columns = Columns::of(table, table, options, None)?;
    let seed = random_seed(options);
    let mut unkept = None;
    let (joined, _, told) = comparison.join(&columns, seed, Old::Nothing, witness, |pair| {
        let digests = &pair.new.digests;
        if let Some(sha256) = sha256.filter(|_| digests.keyless.is_empty()) {
            let names = table.columns();
            let what = sidecar::Origin { table, sha256, columns: names, normalise: &options.normalise, seed };
            unkept = sidecar::write(&what, digests).err();
        }
    })?;
    Ok(Witnessed { found: joined.doubtful, told, unkept })
}

/// Counts what differs; costs no memory for what does, and no second look at rows that only one side has.
pub fn counts(old: &Table, new: &Table, options: &DiffOptions) -> Result<Counts, DiffError> {
    let columns = Columns::of(old, new, options, None)?;
    let comparison = Comparison { old, new, options, key_mask: u64::MAX };
    let (joined, ..) = comparison.join(&columns, random_seed(options), Old::Read, &(), |_| ())?;
    Ok(joined.counts())
}

fn random_seed(options: &DiffOptions) -> u64 {
    options.seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish())
}

/// Bytes of digests that a thread brings back into memory at once where nothing limits it.
const WINDOW: u64 = 8 << 20;

/// Bytes of rows that a thread has in memory at most, to compare them with others byte by byte.
const VERIFY: u64 = 64 << 20;

/// Bytes of the smallest chunk.
const LEAST_CHUNK: u64 = 4 << 10;

/// Where the digests of the old table come from.
enum Old {
    /// Its file.
    Read,
    /// An earlier comparison.
    Remembered(Box<Sidecar>),
    /// There is no old table.
    Nothing,
}

struct Comparison<'a> {
    old: &'a Table,
    new: &'a Table,
    options: &'a DiffOptions,
    /// Keeps only some bits of the key hash; tests force collisions with it.
    key_mask: u64,
}

impl Comparison<'_> {
    /// Digests what is not remembered, and joins. `with` sees both sides' digests.
    fn join<W: Witness>(
        &self,
        columns: &Columns,
        seed: u64,
        old_digests: Old,
        witness: &W,
        with: impl FnOnce(&Pair<'_>),
    ) -> Result<(Joined, Ordered, Vec<W::Told>), DiffError> {
        let Self { old, new, options, .. } = self;
        let threads = rayon::current_num_threads() as u64;
        // Half of the memory holds digests. The rest is for what they are gathered in, for windows, and for results.
        let room = Room::new(options.memory.map(|limit| limit / 2), self.folder());
        let mut ordered = Ordered::new(Room::new(options.memory.map(|limit| limit / 8), self.folder()));
        let window = options.memory.map_or(WINDOW, |limit| (limit / 16 / threads).min(WINDOW));
        let old_digester = Canonical::new(old, columns, &columns.old, seed, self.key_mask);
        let new_digester = Canonical::new(new, columns, &columns.new, seed, self.key_mask);
        let (old_rows, new_rows) = (old.estimated_rows()?, new.estimated_rows()?);
        let bits = match &old_digests {
            Old::Read => bits_for(old_rows + new_rows),
            Old::Remembered(sidecar) => sidecar.bits(),
            // The next comparison joins them with as many.
            Old::Nothing => bits_for(2 * new_rows),
        };
        // A chunk's digests are in memory twice.
        let chunk = |table: &Table, rows: u64| {
            let digests = self.share_of_a_thread() / DIGEST as u64;
            digests.saturating_mul((table.bytes() / rows.max(1)).max(1)).max(LEAST_CHUNK)
        };
        let digest_old = || match old_digests {
            Old::Remembered(sidecar) => Ok(sidecar.into_digests()),
            Old::Nothing => Ok(Digests::none(bits, &room)),
            Old::Read => {
                digests(old, &old_digester, bits, &room, chunk(old, old_rows), &()).map(|(digests, _)| digests)
            }
        };
        let digest_new = || digests(new, &new_digester, bits, &room, chunk(new, new_rows), witness);
        let (old_digests, new_digests) = rayon::join(digest_old, digest_new);
        let (new_digests, told) = new_digests?;
        let pair = Pair {
            old: Side { table: old, digester: old_digester, digests: old_digests? },
            new: Side { table: new, digester: new_digester, digests: new_digests },
            columns,
            verify: options.verify,
            verify_bytes: options.memory.map_or(VERIFY, |limit| (limit / 8 / threads).min(VERIFY)),
            window,
        };
        let joined = join::join(&pair, &mut ordered)?;
        with(&pair);
        Ok((joined, ordered, told))
    }

    /// Where goes what does not fit into memory.
    fn folder(&self) -> &Path {
        let beside = self.new.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        self.options.spill_folder.as_deref().or(beside).unwrap_or(Path::new("."))
    }

    /// Bytes that a thread may gather before it has to put them away.
    fn share_of_a_thread(&self) -> u64 {
        self.options.memory.map_or(u64::MAX, |limit| limit / 32 / rayon::current_num_threads() as u64)
    }

    /// Puts the rows that only one side has among those that differ.
    fn sort(&self, columns: Columns, joined: Joined, mut rows: Ordered) -> Result<Difference, DiffError> {
        let counts = joined.counts();
        let chunk = self.share_of_a_thread().max(LEAST_CHUNK);
        rows.add_alone(self.new, joined.added, true, chunk)?;
        rows.add_alone(self.old, joined.removed, false, chunk)?;
        Ok(Difference {
            rows,
            counts,
            columns_added: columns.added,
            columns_removed: columns.removed,
            doubtful: joined.doubtful,
        })
    }
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Counts { added, removed, changed, .. } = self.counts;
        added + removed + changed == 0 && self.columns_added.is_empty() && self.columns_removed.is_empty()
    }

    /// Hands out every row that differs, with its key (as the new table has it, where both do), until one is refused.
    /// They come in the order of their keys, bytewise.
    ///
    /// # Errors
    /// The first refusal, or that what did not fit into memory cannot be read back.
    pub fn for_each<E: From<DiffError>>(&self, each: impl FnMut(&str, Change<'_>) -> Result<(), E>) -> Result<(), E> {
        self.rows.for_each(each)
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
