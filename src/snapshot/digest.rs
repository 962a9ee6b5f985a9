//! Rows as 24 bytes: hash of the key, hash of the content, place in the file.

use rayon::prelude::*;

use super::error::SnapshotError;
use super::partition::{Hashed, Sorted, bits_for};
use super::row::{Place, Row};
use super::table::Table;

/// What a comparison keeps of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDigest {
    /// Hash of the key.
    pub key: u64,
    /// Hash of the content in its canonical form.
    pub row: u64,
    /// 40 bits of offset, 24 bits of length.
    place: u64,
}

impl RowDigest {
    /// Packs a digest. Offsets are below 1 TiB, which `digests` makes sure of.
    pub fn new(key: u64, row: u64, place: Place) -> Self {
        Self { key, row, place: place.offset << 24 | u64::from(place.length) }
    }

    /// Where the row is.
    pub fn place(&self) -> Place {
        Place { offset: self.place >> 24, length: (self.place & 0xff_ffff) as u32 }
    }
}

impl Hashed for RowDigest {
    fn hash(&self) -> u64 {
        self.key
    }
}

/// Makes the two hashes of a row: of its key, and of its content in a form that both sides of a comparison share.
pub trait Digester: Sync {
    /// The hashes of key and content, or `None` where the key is empty or incomplete.
    fn digest(&self, row: &Row<'_>) -> Option<(u64, u64)>;
}

/// The digests of a whole table.
#[derive(Debug)]
pub struct Digests {
    pub(super) chunks: Vec<Sorted<RowDigest>>,
    pub(super) bits: u32,
    /// Rows that have a key.
    pub rows: u64,
    /// Rows without one, in file order.
    pub keyless: Vec<Place>,
}

/// The largest file that digests can point into, in bytes.
const LARGEST_FILE: u64 = 1 << 40;

/// Reads a table once and keeps a digest of each row, in as many shares as `rows` expects.
pub(super) fn gather(table: &Table, digester: &dyn Digester) -> Result<Gathered, SnapshotError> {
    if table.bytes() > LARGEST_FILE {
        return Err(SnapshotError::Header {
            path: table.path().to_owned(),
            problems: vec!["the file is over 1 TiB; split the resource".to_owned()],
        });
    }
    let chunks = table.par_fold(Chunk::default, |chunk, row| match digester.digest(row) {
        Some((key, content)) => chunk.digests.push(RowDigest::new(key, content, row.place())),
        None => chunk.keyless.push(row.place()),
    })?;
    Ok(Gathered { chunks })
}

/// Digests in file order, not yet in shares.
pub(super) struct Gathered {
    chunks: Vec<Chunk>,
}

#[derive(Default)]
struct Chunk {
    digests: Vec<RowDigest>,
    keyless: Vec<Place>,
}

impl Gathered {
    /// Rows that have a key.
    pub(super) fn rows(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.digests.len() as u64).sum()
    }

    /// Puts the digests into shares.
    pub(super) fn into_shares(mut self, bits: u32) -> Digests {
        let rows = self.rows();
        let keyless = self.chunks.iter_mut().flat_map(|chunk| std::mem::take(&mut chunk.keyless)).collect();
        let chunks = self.chunks.into_par_iter().map(|chunk| Sorted::new(&chunk.digests, bits)).collect();
        Digests { chunks, bits, rows, keyless }
    }
}

/// Reads a table once and keeps a digest of each row.
pub fn digests(table: &Table, digester: &dyn Digester) -> Result<Digests, SnapshotError> {
    let gathered = gather(table, digester)?;
    let bits = bits_for(gathered.rows());
    Ok(gathered.into_shares(bits))
}
