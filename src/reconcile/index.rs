//! Finds a row by its key: sixteen bytes a slot, keys stay with their rows.
//!
//! A slot holds 96 bits of a key's hash beside the row's number, and so decides by itself: one look into memory a search,
//! and none at the keys. The other bits choose the slot. Keys whose hashes agree in all of it are taken for equal, as
//! rows are where snapshots are compared; the seed is drawn anew for each plan, so nobody can make such keys.
//!
//! The table is built in parts that fit in a core's own cache, on all cores: the first bits of a slot's number say which
//! part it is in, and a search never leaves its part.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::model::texts::Texts;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// Hashes the keys of one plan.
#[derive(Clone, Copy)]
pub(crate) struct KeyHasher {
    seed: u64,
}

/// The hash of a key.
pub(crate) type KeyHash = u128;

impl KeyHasher {
    /// With a seed that nobody knows. No plan depends on it.
    pub(crate) fn random() -> Self {
        Self { seed: RandomState::new().build_hasher().finish() }
    }

    #[inline]
    pub(crate) fn hash(self, key: &str) -> KeyHash {
        xxh3_128_with_seed(key.as_bytes(), self.seed)
    }
}

/// An open-addressing table of row numbers.
pub(crate) struct KeyIndex {
    slots: Vec<Slot>,
    shape: Shape,
    hasher: KeyHasher,
}

/// How a table is cut.
#[derive(Clone, Copy)]
struct Shape {
    /// All slots, less one.
    mask: usize,
    /// The slots of a part, less one.
    part: usize,
}

/// The upper 96 bits of a key's hash, and a row's number plus one; all zero where no row is. Zeros are what fresh memory
/// holds, so that each part is touched first by the thread that fills it.
type Slot = u128;

/// Slots of a part: 128 KiB.
const PART: usize = 1 << 13;

impl KeyIndex {
    /// Indexes rows by their keys. Of rows with one key the first is found; all of them are returned as pairs of the
    /// first and each later one. Rows with an empty key are left out.
    pub(crate) fn new(keys: &Texts, hasher: KeyHasher) -> (Self, Vec<(u32, u32)>) {
        let hashes: Vec<KeyHash> = (0..keys.len()).into_par_iter().map(|row| hasher.hash(keys.get(row))).collect();
        let size = (keys.len() * 2).next_power_of_two().max(8);
        let mut shape = Shape { mask: size - 1, part: size.min(PART) - 1 };
        let mut counts = shape.count(&hashes);
        if counts.iter().any(|rows| *rows > shape.part) {
            // Keys that happen to meet in one part: there is room for them in the whole.
            shape.part = shape.mask;
            counts = shape.count(&hashes);
        }
        let shares = shape.share_out(&hashes, counts);
        let none = hasher.hash("");
        let mut slots: Vec<Slot> = vec![0; size];
        let parts = slots.par_chunks_mut(shape.part + 1).zip(shares);
        let repeated: Vec<Vec<(u32, u32)>> = parts.map(|(slots, rows)| fill(slots, &rows, &hashes, none)).collect();
        let mut repeated: Vec<(u32, u32)> = repeated.into_iter().flatten().collect();
        repeated.sort_unstable_by_key(|(_, later)| *later);
        (Self { slots, shape, hasher }, repeated)
    }

    /// What hashes its keys.
    pub(crate) fn hasher(&self) -> KeyHasher {
        self.hasher
    }

    /// The row with this key.
    pub(crate) fn get(&self, key: &str) -> Option<u32> {
        let row = self.get_hashed(self.hasher.hash(key));
        (row != NONE).then_some(row)
    }

    /// The row whose key has this hash, or `NONE`. Where many are asked for one after the other, the searches overlap.
    #[inline]
    pub(crate) fn get_hashed(&self, hash: KeyHash) -> u32 {
        let mut slot = self.shape.slot(hash);
        loop {
            let held = self.slots[slot];
            if held as u32 == 0 || is_same(held, hash) {
                return row(held);
            }
            slot = self.shape.next(slot);
        }
    }
}

impl Shape {
    /// Where a key's search begins.
    #[inline]
    fn slot(self, hash: KeyHash) -> usize {
        hash as u32 as usize & self.mask
    }

    /// Where it goes on.
    #[inline]
    fn next(self, slot: usize) -> usize {
        (slot & !self.part) | ((slot + 1) & self.part)
    }

    #[inline]
    fn part_of(self, hash: KeyHash) -> usize {
        self.slot(hash) >> self.part.count_ones()
    }

    /// How many rows belong to each part.
    fn count(self, hashes: &[KeyHash]) -> Vec<usize> {
        let mut counts = vec![0; (self.mask + 1) / (self.part + 1)];
        for hash in hashes {
            counts[self.part_of(*hash)] += 1;
        }
        counts
    }

    /// The rows of each part, in their order.
    fn share_out(self, hashes: &[KeyHash], counts: Vec<usize>) -> Vec<Vec<u32>> {
        let mut shares: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (row, hash) in hashes.iter().enumerate() {
            shares[self.part_of(*hash)].push(row as u32);
        }
        shares
    }
}

/// Puts rows into their part; what repeats a key comes back with the first row that has it. `none` is the hash of the
/// empty key.
fn fill(part: &mut [Slot], rows: &[u32], hashes: &[KeyHash], none: KeyHash) -> Vec<(u32, u32)> {
    let mut repeated = Vec::new();
    let mask = part.len() - 1;
    for number in rows.iter().copied() {
        let hash = hashes[number as usize];
        if hash == none {
            continue;
        }
        let mut slot = hash as u32 as usize & mask;
        while part[slot] as u32 != 0 && !is_same(part[slot], hash) {
            slot = (slot + 1) & mask;
        }
        match row(part[slot]) {
            NONE => part[slot] = hash >> 32 << 32 | Slot::from(number + 1),
            first => repeated.push((first, number)),
        }
    }
    repeated
}

/// Whether a slot is that of a key with this hash.
#[inline]
fn is_same(held: Slot, hash: KeyHash) -> bool {
    held >> 32 == hash >> 32
}

/// The row in a slot.
#[inline]
fn row(slot: Slot) -> u32 {
    (slot as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(keys: impl IntoIterator<Item = String>) -> Texts {
        let mut texts = Texts::default();
        keys.into_iter().for_each(|key| texts.push(&key));
        texts
    }

    #[test]
    fn every_row_is_found_by_its_key_and_the_first_of_equal_ones() {
        let hasher = KeyHasher { seed: 7 };
        let meets = |key: &String| hasher.hash(key) as usize & (4 * PART - 1) < PART;
        let spread = (0..3 * PART).map(|i| format!("k{i}"));
        // As many as there are slots for them, and all in the first of four parts.
        let crowded = (0..).map(|i| format!("k{i}")).filter(meets).take(PART + 5);
        for keys in [spread.collect::<Vec<_>>(), crowded.collect()] {
            let rows = keys.len() as u32;
            let repeated = [keys[7].clone(), String::new(), keys[3].clone()];
            let texts = texts(keys.into_iter().chain(repeated));
            let (index, repeated) = KeyIndex::new(&texts, hasher);
            assert_eq!(repeated, [(7, rows), (3, rows + 2)]);
            for (row, key) in texts.iter().enumerate().take(rows as usize) {
                assert_eq!(index.get(key), Some(row as u32));
                assert_eq!(index.get_hashed(index.hasher().hash(key)), row as u32);
            }
            assert_eq!((index.get(""), index.get("other")), (None, None));
        }
    }
}
