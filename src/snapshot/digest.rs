//! Rows as 24 bytes: hash of the key, hash of the content, place in the file.

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
pub(super) const DIGEST: usize = 24;

/// What a comparison keeps of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDigest {
    /// Hash of the key.
    pub key: u64,
    /// Hash of the content in its canonical form.
    pub row: u64,
    /// A packed `Place`.
    pub(super) place: u64,
}

impl RowDigest {
    /// Packs a digest. Offsets are below 1 TiB, which `digests` makes sure of.
    pub fn new(key: u64, row: u64, place: Place) -> Self {
        Self { key, row, place: place.packed() }
    }

    /// Where the row is.
    pub fn place(&self) -> Place {
        Place::of_packed(self.place)
    }

    /// Three little-endian numbers, for files.
    #[inline]
    pub(super) fn to_bytes(self) -> [u8; DIGEST] {
        let mut bytes = [0; DIGEST];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.row.to_le_bytes());
        bytes[16..].copy_from_slice(&self.place.to_le_bytes());
        bytes
    }

    #[inline]
    fn of_bytes(bytes: &[u8; DIGEST]) -> Self {
        let [key, row, place] = [0, 1, 2].map(|i| u64::from_le_bytes(bytes.as_chunks::<8>().0[i]));
        Self { key, row, place }
    }
}

impl Hashed for RowDigest {
    #[inline]
    fn hash(&self) -> u64 {
        self.key
    }
}

/// Makes the two hashes of a row: of its key, and of its content in a form that both sides of a comparison share.
pub trait Digester: Sync {
    /// The hashes of key and content, or `None` where the key is empty or incomplete.
    fn digest(&self, row: &Row<'_>) -> Option<(u64, u64)>;
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
pub struct Digests<'a> {
    chunks: Vec<Chunk>,
    keep: Keep<'a>,
    pub(super) bits: u32,
    /// Rows that have a key.
    pub rows: u64,
    /// Rows without one, in file order.
    pub keyless: Vec<Place>,
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
    Here(Vec<RowDigest>),
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
    digests: Vec<RowDigest>,
    keyless: Vec<Place>,
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
    let pool: Mutex<Vec<Vec<RowDigest>>> = Mutex::default();
    let reused = || pool.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default();
    let reuse = |mut digests: Vec<RowDigest>| {
        digests.clear();
        if let Ok(mut pool) = pool.lock() {
            pool.push(digests);
        }
    };
    let chunks = table.body().par_fold_by(
        table.body().chunk_size().min(chunk),
        || Gathered { digests: reused(), keyless: Vec::new(), seen: witness.begin() },
        |gathered, row| {
            match digester.digest(row) {
                Some((key, content)) => gathered.digests.push(RowDigest::new(key, content, row.place())),
                None => gathered.keyless.push(row.place()),
            }
            witness.see(&mut gathered.seen, row);
        },
        |Gathered { digests, keyless, seen }| {
            let told = witness.end(seen);
            let count = digests.len();
            let stored = if room.takes((count * DIGEST) as u64) {
                let Sorted { values, ends } = Sorted::new(&digests, bits);
                Ok(Chunk { ends, digests: Stored::Here(values) })
            } else {
                let Sorted { values, ends } = Sorted::into(reused(), &digests, bits);
                let written = room.write_digests(&values);
                reuse(values);
                written.map(|at| Chunk { ends, digests: Stored::File(at) })
            };
            reuse(digests);
            (stored, count, keyless, told)
        },
    )?;
    let chunk_count = chunks.len();
    let mut all = Digests {
        chunks: Vec::with_capacity(chunk_count),
        keep: Keep::Spilled(room),
        bits,
        rows: 0,
        keyless: Vec::new(),
    };
    let mut told = Vec::with_capacity(chunk_count);
    for (stored, count, mut keyless, of_chunk) in chunks {
        all.rows += count as u64;
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
        Digests { chunks: Vec::new(), keep: Keep::Spilled(room), bits, rows: 0, keyless: Vec::new() }
    }

    /// Digests that lie in a file, sorted by share, from the byte `at` on.
    pub(super) fn remembered(file: File, path: PathBuf, at: u64, ends: Ends, checks: Vec<u128>, rows: u64) -> Self {
        Self {
            chunks: vec![Chunk { ends, digests: Stored::File(at) }],
            bits: checks.len().trailing_zeros(),
            keep: Keep::Remembered { file, path, checks },
            rows,
            keyless: Vec::new(),
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
                out.extend_from_slice(&digests[range]);
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
