//! Rows as 16 bytes: hash of the key, hash of the content, place in the file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use xxhash_rust::xxh3::xxh3_128;

use super::error::SnapshotError;
use super::partition::{Ends, Hashed, Sorted};
use super::row::{Place, Row};
use super::spill::{Room, read_at};
use super::table::Table;

/// Bytes of a digest.
pub(super) const DIGEST: usize = 16;

/// What a comparison keeps of a row, besides the share that it lies in, which is the first bits of its key's hash: the
/// next 32 of them, 56 of the hash of its content, and 40 of where it begins.
///
/// A changed row goes unnoticed where it shares those 56 bits with what it was; rows of two keys would have to share
/// all of the 88 and those of the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowDigest(u128);

/// A digest as it was made: both hashes in full.
#[derive(Clone, Copy, Debug)]
struct Whole {
    key: u64,
    row: u64,
    offset: u64,
}

impl Hashed for Whole {
    #[inline]
    fn hash(&self) -> u64 {
        self.key
    }
}

impl RowDigest {
    /// Packs a digest that lies in one of 2^bits shares. Offsets are below 1 TiB, which `digests` makes sure of.
    #[inline]
    pub(super) fn new(key: u64, row: u64, offset: u64, bits: u32) -> Self {
        Self(u128::from((key << bits) >> 32) << 96 | u128::from(row >> 8) << 40 | u128::from(offset))
    }

    /// What is kept of the key's hash.
    #[inline]
    pub(super) fn key(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// Whether the contents have one hash, as far as it is kept.
    #[inline]
    pub(super) fn has_content_of(self, other: Self) -> bool {
        ((self.0 ^ other.0) << 32) >> 72 == 0
    }

    /// Where the row begins in its file.
    #[inline]
    pub(super) fn offset(self) -> u64 {
        self.0 as u64 & (LARGEST_FILE - 1)
    }

    /// A little-endian number, for files.
    #[inline]
    pub(super) fn to_bytes(self) -> [u8; DIGEST] {
        self.0.to_le_bytes()
    }

    #[inline]
    fn of_bytes(bytes: &[u8; DIGEST]) -> Self {
        Self(u128::from_le_bytes(*bytes))
    }
}

/// Makes the hashes of a row: of its key, and of its content in a form that both sides of a comparison share.
pub(super) trait Digester: Sync {
    /// The hashes of key and content, or `None` where the key is empty or incomplete.
    fn digest(&self, row: &Row<'_>) -> Option<(u64, u64)>;

    /// Another hash of the content, where one is asked for; 0 where none is.
    fn proof(&self, row: &Row<'_>) -> u128;
}

/// Sees every row of a table while it is digested, so that what is to be known of it takes no other reading.
///
/// For what is gathered holds what `Table::par_fold` says: chunks are cut anyhow, and what merely looks like rows may be
/// seen in one that is thrown away.
pub trait Witness: Sync {
    /// What is gathered over the rows of a chunk.
    type Seen;
    /// What is left of it when the chunk ends.
    type Told: Send;

    /// A chunk begins.
    fn begin(&self) -> Self::Seen;

    /// A row, with or without a key.
    fn see(&self, seen: &mut Self::Seen, row: &Row<'_>);

    /// A chunk ends, on the thread that read it.
    fn end(&self, seen: Self::Seen) -> Self::Told;
}

/// Nobody looks.
impl Witness for () {
    type Seen = ();
    type Told = ();

    fn begin(&self) {}

    fn see(&self, (): &mut (), _: &Row<'_>) {}

    fn end(&self, (): ()) {}
}

/// Why a table cannot be digested, or its digests not be used.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The table cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Digests that do not fit into memory cannot be kept on disk.
    #[error("cannot keep digests in {}: {source}", folder.display())]
    Spill {
        /// Where they should be.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Remembered digests are not those that were written, or not those of the rows.
    #[error("the digests in {} are damaged", .0.display())]
    Damaged(PathBuf),
}

/// The digests of a whole table, by share.
#[derive(Debug)]
pub(super) struct Digests<'a> {
    chunks: Vec<Chunk>,
    keep: Keep<'a>,
    pub(super) bits: u32,
    /// Rows that have a key.
    pub(super) rows: u64,
    /// Rows without one, in file order.
    pub(super) keyless: Vec<Place>,
    /// The sum of the proofs of all rows that have a key.
    pub(super) proof: u128,
}

/// Where digests are that are not in memory.
#[derive(Debug)]
enum Keep<'a> {
    /// In the file that takes what memory does not.
    Spilled(&'a Room),
    /// In a file of an earlier comparison, with a checksum of each share.
    Remembered { file: File, path: PathBuf, checks: Vec<u128> },
}

/// The digests of a part of the table, sorted by share.
#[derive(Debug)]
struct Chunk {
    ends: Ends,
    digests: Stored,
}

#[derive(Debug)]
enum Stored {
    /// As numbers, which the allocator has zeroed at no cost.
    Here(Vec<u128>),
    /// From this byte of the file on.
    File(u64),
}

/// A few shares of digests, as far as they are not in memory anyway.
#[derive(Debug, Default)]
pub(super) struct Window {
    shares: Range<usize>,
    bytes: Vec<u8>,
    /// For each chunk, where its digests begin in `bytes`.
    starts: Vec<usize>,
}

/// The largest file that digests can point into, in bytes.
const LARGEST_FILE: u64 = 1 << 40;

/// What one chunk of a file gives.
struct Gathered<S> {
    digests: Vec<Whole>,
    keyless: Vec<Place>,
    proof: u128,
    seen: S,
}

/// Reads a table once, in chunks of `chunk` bytes at most, and keeps a digest of each row, in 2^bits shares. What the
/// witness tells is in file order.
pub(super) fn digests<'a, W: Witness>(
    table: &Table,
    digester: &impl Digester,
    bits: u32,
    room: &'a Room,
    chunk: u64,
    witness: &W,
) -> Result<(Digests<'a>, Vec<W::Told>), DigestError> {
    if table.bytes() > LARGEST_FILE {
        let problems = vec!["the file is over 1 TiB; split the resource".to_owned()];
        return Err(SnapshotError::Header { path: table.path().to_owned(), problems }.into());
    }
    // Fresh memory is slow: a chunk's digests are gathered where those of an earlier chunk were.
    let pool: Mutex<Vec<Vec<Whole>>> = Mutex::default();
    let chunks = table.body().par_fold_by(
        table.body().chunk_size().min(chunk),
        || {
            let digests = pool.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default();
            Gathered { digests, keyless: Vec::new(), proof: 0, seen: witness.begin() }
        },
        |gathered, row| {
            match digester.digest(row) {
                Some((key, content)) => {
                    gathered.digests.push(Whole { key, row: content, offset: row.place().offset });
                    gathered.proof = gathered.proof.wrapping_add(digester.proof(row));
                }
                None => gathered.keyless.push(row.place()),
            }
            witness.see(&mut gathered.seen, row);
        },
        |Gathered { mut digests, keyless, proof, seen }| {
            let told = witness.end(seen);
            let count = digests.len();
            let pack = |whole: &Whole| RowDigest::new(whole.key, whole.row, whole.offset, bits).0;
            let Sorted { values, ends } = Sorted::of(vec![0; count], &digests, bits, pack);
            digests.clear();
            if let Ok(mut pool) = pool.lock() {
                pool.push(digests);
            }
            let stored = if room.takes((count * DIGEST) as u64) {
                Ok(Stored::Here(values))
            } else {
                room.write_digests(values.iter().map(|value| RowDigest(*value))).map(Stored::File)
            };
            (stored.map(|digests| Chunk { ends, digests }), count, keyless, proof, told)
        },
    )?;
    let chunk_count = chunks.len();
    let mut all = Digests {
        chunks: Vec::with_capacity(chunk_count),
        keep: Keep::Spilled(room),
        bits,
        rows: 0,
        keyless: Vec::new(),
        proof: 0,
    };
    let mut told = Vec::with_capacity(chunk_count);
    for (stored, count, mut keyless, proof, of_chunk) in chunks {
        all.rows += count as u64;
        all.proof = all.proof.wrapping_add(proof);
        let spill = |source| DigestError::Spill { folder: room.folder().to_owned(), source };
        all.chunks.push(stored.map_err(spill)?);
        all.keyless.append(&mut keyless);
        told.push(of_chunk);
    }
    Ok((all, told))
}

impl Digests<'static> {
    /// None at all, in so many shares.
    pub(super) fn none(bits: u32, room: &Room) -> Digests<'_> {
        Digests { chunks: Vec::new(), keep: Keep::Spilled(room), bits, rows: 0, keyless: Vec::new(), proof: 0 }
    }

    /// Digests that lie in a file, sorted by share, from the byte `at` on.
    pub(super) fn remembered(file: File, path: PathBuf, at: u64, ends: Ends, checks: Vec<u128>, rows: u64) -> Self {
        Self {
            chunks: vec![Chunk { ends, digests: Stored::File(at) }],
            bits: checks.len().trailing_zeros(),
            keep: Keep::Remembered { file, path, checks },
            rows,
            keyless: Vec::new(),
            proof: 0,
        }
    }
}

impl Digests<'_> {
    /// Whether they come from an earlier comparison.
    pub(super) fn are_remembered(&self) -> bool {
        matches!(self.keep, Keep::Remembered { .. })
    }

    /// They, or the rows at their places, are not what was digested.
    pub(super) fn damaged(&self) -> DigestError {
        match &self.keep {
            Keep::Spilled(room) => DigestError::Damaged(room.folder().to_owned()),
            Keep::Remembered { path, .. } => DigestError::Damaged(path.clone()),
        }
    }

    /// Brings some shares into memory.
    pub(super) fn load(&self, shares: Range<usize>, window: &mut Window) -> Result<(), DigestError> {
        window.bytes.clear();
        window.starts.clear();
        for chunk in &self.chunks {
            window.starts.push(window.bytes.len());
            let Stored::File(at) = chunk.digests else { continue };
            let range = chunk.ends.range(shares.clone());
            let (at, count) = (at + (range.start * DIGEST) as u64, range.len() * DIGEST);
            match &self.keep {
                Keep::Spilled(room) => room
                    .read(at, count, &mut window.bytes)
                    .map_err(|source| DigestError::Spill { folder: room.folder().to_owned(), source })?,
                Keep::Remembered { file, .. } => {
                    read_at(file, at, count, &mut window.bytes).map_err(|_| self.damaged())?;
                }
            }
        }
        window.shares = shares;
        Ok(())
    }

    /// Adds all digests of one share, in file order. The window holds that share.
    pub(super) fn gather(&self, share: usize, window: &Window, out: &mut Vec<RowDigest>) -> Result<(), DigestError> {
        for (chunk, start) in self.chunks.iter().zip(&window.starts) {
            let range = chunk.ends.range(share..share + 1);
            if let Stored::Here(digests) = &chunk.digests {
                out.extend(digests[range].iter().map(|digest| RowDigest(*digest)));
                continue;
            }
            let before = chunk.ends.range(window.shares.start..share).len();
            let bytes = &window.bytes[start + before * DIGEST..][..range.len() * DIGEST];
            if let Keep::Remembered { checks, .. } = &self.keep
                && checks.get(share) != Some(&xxh3_128(bytes))
            {
                return Err(self.damaged());
            }
            out.extend(bytes.as_chunks::<DIGEST>().0.iter().map(RowDigest::of_bytes));
        }
        Ok(())
    }
}
