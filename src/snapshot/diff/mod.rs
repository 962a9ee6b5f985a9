//! What differs between two tables with the same key, whatever the order of their rows and columns.
//!
//! Both tables are read once, in parallel, into 16-byte digests; only digests are joined, and only rows whose digests
//! differ are read again and compared cell by cell.

mod canonical;
mod doubtful;
mod hash;
mod join;
mod normalise;
mod ordered;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use super::chunks::SMALLEST;
use super::digest::{DIGEST, DigestError, Digests, Witness, digests};
use super::error::SnapshotError;
use super::partition::bits_for;
use super::row::Place;
use super::sidecar::{self, Sidecar};
use super::spill::Room;
use super::table::Table;
use crate::disk::is_full;
use crate::model::digest::Digest;
use canonical::{Canonical, Columns, Hashes};
use join::{Joined, Pair, Side};
use ordered::{Alone, Ordered};

pub use doubtful::{Doubtful, name_duplicates, name_keyless, shown_key};
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
    /// Whether `diff` proves that rows of equal digests are equal: the sums of another hash, of 128 bits, over these
    /// rows of either table have to be the same.
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
    /// Rows of equal digests are not equal.
    #[error("rows of {} and {} that have the same digests are not the same; perhaps a file was written to while it was \
             read: compare again", old.display(), new.display())]
    Unproved {
        /// The old file.
        old: PathBuf,
        /// The new file.
        new: PathBuf,
    },
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
    let comparison = Comparison { key_mask, ..Comparison::of(old, new, options) };
    let seed = random_seed(options);
    match comparison.run(seed) {
        // Two contents had one hash by chance: with another seed they have not.
        Err(DiffError::Unproved { .. }) => comparison.run(seed.wrapping_add(1)),
        compared => compared,
    }
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
    let comparison = Comparison::of(old, new, options);
    let columns = Columns::of(old, new, options, kept.old.as_ref().map(Sidecar::columns))?;
    // Digests of columns that are not all compared are digests of something else.
    let remembered = kept.old.filter(|_| columns.old.len() == old.columns().len());
    let seed = remembered.as_ref().map_or_else(|| random_seed(options), Sidecar::seed);
    let hashes = comparison.hashes(seed, false);
    let is_known = remembered.is_some();
    let mut failed = None;
    let old_digests = remembered.map_or(Old::Read, |sidecar| Old::Remembered(Box::new(sidecar)));
    let (joined, ordered, told) = comparison.join(&columns, hashes, old_digests, witness, |pair| {
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
    let (found, _) = comparison.sort(&columns, hashes, joined, ordered)?;
    Ok(Witnessed { found, told, unkept: failed })
}

/// Digests one table, and says which rows repeat a key or have none (as those of a new table). Its digests are kept
/// beside its file where `sha256`, that of the file, is given. `witness` sees the table while it is read.
pub fn digest_keeping<W: Witness>(
    table: &Table,
    options: &DiffOptions,
    sha256: Option<&Digest>,
    witness: &W,
) -> Result<Witnessed<Doubtful, W::Told>, DiffError> {
    let comparison = Comparison::of(table, table, options);
    let columns = Columns::of(table, table, options, None)?;
    let seed = random_seed(options);
    let mut unkept = None;
    let (joined, _, told) =
        comparison.join(&columns, comparison.hashes(seed, false), Old::Nothing, witness, |pair| {
            let digests = &pair.new.digests;
            if let Some(sha256) = sha256.filter(|_| digests.keyless.is_empty()) {
                let names = table.columns();
                let what = sidecar::Origin { table, sha256, columns: names, normalise: &options.normalise, seed };
                unkept = sidecar::write(&what, digests).err();
            }
        })?;
    Ok(Witnessed { found: joined.doubtful, told, unkept })
}

fn random_seed(options: &DiffOptions) -> u64 {
    options.seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish())
}

/// Bytes of digests that a thread brings back into memory at once where nothing limits it.
const WINDOW: u64 = 8 << 20;

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
    /// The same for the hash of the content.
    row_mask: u64,
}

impl<'a> Comparison<'a> {
    fn of(old: &'a Table, new: &'a Table, options: &'a DiffOptions) -> Self {
        Self { old, new, options, key_mask: u64::MAX, row_mask: u64::MAX }
    }

    fn hashes(&self, seed: u64, prove: bool) -> Hashes {
        Hashes { seed, prove, key_mask: self.key_mask, row_mask: self.row_mask }
    }

    /// Compares, and proves the answer where that is asked for.
    fn run(&self, seed: u64) -> Result<Difference, DiffError> {
        let columns = Columns::of(self.old, self.new, self.options, None)?;
        let hashes = self.hashes(seed, self.options.verify);
        let mut totals = [0; 2];
        let (joined, ordered, _) = self
            .join(&columns, hashes, Old::Read, &(), |pair| totals = [pair.old.digests.proof, pair.new.digests.proof])?;
        let (difference, looked_at) = self.sort(&columns, hashes, joined, ordered)?;
        let [old, new] = [0, 1].map(|side| totals[side].wrapping_sub(looked_at[side]));
        if old == new {
            return Ok(difference);
        }
        Err(DiffError::Unproved { old: self.old.path().to_owned(), new: self.new.path().to_owned() })
    }

    /// Digests what is not remembered, and joins. `with` sees both sides' digests.
    fn join<W: Witness>(
        &self,
        columns: &Columns,
        hashes: Hashes,
        old_digests: Old,
        witness: &W,
        with: impl FnOnce(&Pair<'_>),
    ) -> Result<(Joined, Ordered, Vec<W::Told>), DiffError> {
        let Self { old, new, options, .. } = self;
        let threads = self.threads();
        // Half of the memory holds digests. The rest is for what they are gathered in, for windows, and for results.
        let room = Room::new(options.memory.map(|limit| limit / 2), self.folder());
        let mut ordered = Ordered::new(Room::new(options.memory.map(|limit| limit / 8), self.folder()));
        let window = options.memory.map_or(WINDOW, |limit| (limit / 16 / threads).min(WINDOW));
        let old_digester = Canonical::new(old, columns, &columns.old, hashes);
        let new_digester = Canonical::new(new, columns, &columns.new, hashes);
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
        let (old_digests, new_digests) =
            if threads == 1 { (digest_old(), digest_new()) } else { rayon::join(digest_old, digest_new) };
        let (new_digests, told) = new_digests?;
        let pair = Pair {
            old: Side { table: old, digester: old_digester, digests: old_digests? },
            new: Side { table: new, digester: new_digester, digests: new_digests },
            columns,
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
        self.options.memory.map_or(u64::MAX, |limit| limit / 32 / self.threads())
    }

    /// Threads that take part. Small files are compared before others would have begun: then none is started.
    fn threads(&self) -> u64 {
        let is_small = self.old.bytes().max(self.new.bytes()) <= SMALLEST;
        if is_small { 1 } else { rayon::current_num_threads() as u64 }
    }

    /// Puts the rows that only one side has among those that differ. Gives also the sums of the proofs of all rows that
    /// were looked at, on both sides.
    fn sort(
        &self,
        columns: &Columns,
        hashes: Hashes,
        joined: Joined,
        mut rows: Ordered,
    ) -> Result<(Difference, [u128; 2]), DiffError> {
        let counts = joined.counts();
        let chunk = self.share_of_a_thread().max(LEAST_CHUNK);
        let mut proofs = joined.proofs;
        for (table, compared, alone, is_new) in
            [(self.new, &columns.new, joined.added, true), (self.old, &columns.old, joined.removed, false)]
        {
            let digester = Canonical::new(table, columns, compared, hashes);
            let proof = rows.add_alone(&Alone { table, digester: &digester, is_new }, alone, chunk)?;
            let sum = &mut proofs[usize::from(is_new)];
            *sum = sum.wrapping_add(proof);
        }
        let difference = Difference {
            rows,
            counts,
            columns_added: columns.added.clone(),
            columns_removed: columns.removed.clone(),
            doubtful: joined.doubtful,
        };
        Ok((difference, proofs))
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
}
