//! Rows as 24 bytes: hash of the key, hash of the content, place in the file.

use std::sync::Mutex;

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

/// What one chunk of a file gives.
struct Chunk {
    digests: Vec<RowDigest>,
    keyless: Vec<Place>,
}

/// Reads a table once and keeps a digest of each row, in shares that fit `rows` rows.
pub fn digests(table: &Table, digester: &dyn Digester, rows: u64) -> Result<Digests, SnapshotError> {
    if table.bytes() > LARGEST_FILE {
        return Err(SnapshotError::Header {
            path: table.path().to_owned(),
            problems: vec!["the file is over 1 TiB; split the resource".to_owned()],
        });
    }
    let bits = bits_for(rows);
    // Fresh memory is slow: a chunk's digests are gathered where those of an earlier chunk were.
    let pool: Mutex<Vec<Vec<RowDigest>>> = Mutex::default();
    let chunks = table.par_fold_to(
        || {
            let reused = pool.lock().ok().and_then(|mut pool| pool.pop());
            Chunk { digests: reused.unwrap_or_default(), keyless: Vec::new() }
        },
        |chunk, row| match digester.digest(row) {
            Some((key, content)) => chunk.digests.push(RowDigest::new(key, content, row.place())),
            None => chunk.keyless.push(row.place()),
        },
        |Chunk { mut digests, keyless }| {
            let sorted = Sorted::new(&digests, bits);
            digests.clear();
            if let Ok(mut pool) = pool.lock() {
                pool.push(digests);
            }
            (sorted, keyless)
        },
    )?;
    let mut all = Digests { chunks: Vec::with_capacity(chunks.len()), bits, rows: 0, keyless: Vec::new() };
    for (sorted, mut keyless) in chunks {
        all.rows += sorted.len() as u64;
        all.chunks.push(sorted);
        all.keyless.append(&mut keyless);
    }
    Ok(all)
}
