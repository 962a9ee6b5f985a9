//! Finds a row by its key: eight bytes a slot, keys stay with their rows.
//!
//! The table is built in parts that fit in a core's own cache, on all cores: the first bits of a slot's number say which
//! part it is in, and a search never leaves its part.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::texts::Texts;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// An open-addressing table of row numbers. The keys are asked of the caller, so that they are kept once; a part of
/// each hash stands beside the number, so that other rows' keys are hardly ever looked at.
pub(crate) struct KeyIndex {
    slots: Vec<Slot>,
    shape: Shape,
}

/// How a table is cut.
#[derive(Clone, Copy)]
struct Shape {
    /// All slots, less one.
    mask: usize,
    /// The slots of a part, less one.
    part: usize,
}

/// A part of a key's hash, and a row's number plus one; all zero where no row is. Zeros are what fresh memory holds, so
/// that each part is touched first by the thread that fills it.
type Slot = u64;

/// Slots of a part: 128 KiB.
const PART: usize = 1 << 14;

/// Keys that are looked up together: while one waits for the memory, so do the others.
#[derive(Default)]
pub(crate) struct Wanted {
    keys: Texts,
    hashes: Vec<u64>,
    found: Vec<u32>,
}

impl KeyIndex {
    /// Indexes rows by their keys. Of rows with one key the first is found; all of them are returned as pairs of the
    /// first and each later one. Rows with an empty key are left out.
    pub(crate) fn new(keys: &Texts) -> (Self, Vec<(u32, u32)>) {
        let hashes: Vec<u64> = (0..keys.len()).into_par_iter().map(|row| xxh3_64(keys.get(row).as_bytes())).collect();
        let size = (keys.len() * 2).next_power_of_two().max(8);
        let mut shape = Shape { mask: size - 1, part: size.min(PART) - 1 };
        let mut counts = shape.count(&hashes);
        if counts.iter().any(|rows| *rows > shape.part) {
            // Keys that were made to meet in one part: there is room for them in the whole.
            shape.part = shape.mask;
            counts = shape.count(&hashes);
        }
        let shares = shape.share_out(&hashes, counts);
        let mut slots: Vec<Slot> = vec![0; size];
        let parts = slots.par_chunks_mut(shape.part + 1).zip(shares);
        let repeated: Vec<Vec<(u32, u32)>> = parts.map(|(slots, rows)| fill(slots, &rows, &hashes, keys)).collect();
        let mut repeated: Vec<(u32, u32)> = repeated.into_iter().flatten().collect();
        repeated.sort_unstable_by_key(|(_, later)| *later);
        (Self { slots, shape }, repeated)
    }

    /// The row with this key.
    pub(crate) fn get(&self, wanted: &str, keys: &Texts) -> Option<u32> {
        self.get_hashed(xxh3_64(wanted.as_bytes()), wanted, keys)
    }

    fn get_hashed(&self, hash: u64, wanted: &str, keys: &Texts) -> Option<u32> {
        if wanted.is_empty() {
            return None;
        }
        let first = self.shape.slot(hash) & !self.shape.part;
        let part = &self.slots[first..=first + self.shape.part];
        let row = row(part[search(part, hash, wanted, keys)]);
        (row != NONE).then_some(row)
    }

    /// The rows with these keys, `NONE` where there is none.
    pub(crate) fn get_all<'w>(&self, wanted: &'w mut Wanted, keys: &Texts) -> &'w [u32] {
        wanted.hashes.clear();
        wanted.hashes.extend(wanted.keys.iter().map(|key| xxh3_64(key.as_bytes())));
        wanted.found.clear();
        // The first row whose tag fits is the one, but for one row in four thousand million: the keys themselves decide.
        wanted.found.extend(wanted.hashes.iter().map(|hash| self.likely(*hash)));
        for (i, found) in wanted.found.iter_mut().enumerate() {
            let key = wanted.keys.get(i);
            if *found != NONE && (key.is_empty() || keys.get(*found as usize) != key) {
                *found = self.get_hashed(wanted.hashes[i], key, keys).unwrap_or(NONE);
            }
        }
        &wanted.found
    }

    #[inline]
    fn likely(&self, hash: u64) -> u32 {
        let mut slot = self.shape.slot(hash);
        while self.slots[slot] != 0 && tag(self.slots[slot]) != tag(hash) {
            slot = self.shape.next(slot);
        }
        row(self.slots[slot])
    }
}

impl Shape {
    /// Where a key's search begins.
    #[inline]
    fn slot(self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    /// Where it goes on.
    #[inline]
    fn next(self, slot: usize) -> usize {
        (slot & !self.part) | ((slot + 1) & self.part)
    }

    #[inline]
    fn part_of(self, hash: u64) -> usize {
        self.slot(hash) >> self.part.count_ones()
    }

    /// How many rows belong to each part.
    fn count(self, hashes: &[u64]) -> Vec<usize> {
        let mut counts = vec![0; (self.mask + 1) / (self.part + 1)];
        for hash in hashes {
            counts[self.part_of(*hash)] += 1;
        }
        counts
    }

    /// The rows of each part, in their order.
    fn share_out(self, hashes: &[u64], counts: Vec<usize>) -> Vec<Vec<u32>> {
        let mut shares: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
        for (row, hash) in hashes.iter().enumerate() {
            shares[self.part_of(*hash)].push(row as u32);
        }
        shares
    }
}

/// Puts rows into their part; what repeats a key comes back with the first row that has it.
fn fill(part: &mut [Slot], rows: &[u32], hashes: &[u64], keys: &Texts) -> Vec<(u32, u32)> {
    let mut repeated = Vec::new();
    for number in rows.iter().copied() {
        let (hash, key) = (hashes[number as usize], keys.get(number as usize));
        if key.is_empty() {
            continue;
        }
        let slot = search(part, hash, key, keys);
        match row(part[slot]) {
            NONE => part[slot] = u64::from(tag(hash)) << 32 | u64::from(number + 1),
            first => repeated.push((first, number)),
        }
    }
    repeated
}

/// The slot of a part that holds the key, or the free one where it belongs.
fn search(part: &[Slot], hash: u64, wanted: &str, keys: &Texts) -> usize {
    let mask = part.len() - 1;
    let mut slot = hash as usize & mask;
    loop {
        let held = part[slot];
        if held == 0 || (tag(held) == tag(hash) && keys.get(row(held) as usize) == wanted) {
            return slot;
        }
        slot = (slot + 1) & mask;
    }
}

/// The row in a slot.
#[inline]
fn row(slot: Slot) -> u32 {
    (slot as u32).wrapping_sub(1)
}

/// The bits of a hash that do not choose its slot; they stand first in the slot too.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Wanted {
    /// How many are looked up together.
    pub(crate) const TOGETHER: usize = 512;

    pub(crate) fn push(&mut self, key: &str) {
        self.keys.push(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, i: usize) -> &str {
        self.keys.get(i)
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }
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
        let meets = |key: &String| xxh3_64(key.as_bytes()) as usize & (4 * PART - 1) < PART;
        let spread = (0..3 * PART).map(|i| format!("k{i}"));
        // As many as there are slots for them, and all in the first of four parts.
        let crowded = (0..).map(|i| format!("k{i}")).filter(meets).take(PART + 5);
        for keys in [spread.collect::<Vec<_>>(), crowded.collect()] {
            let rows = keys.len() as u32;
            let repeated = [keys[7].clone(), String::new(), keys[3].clone()];
            let texts = texts(keys.into_iter().chain(repeated));
            let (index, repeated) = KeyIndex::new(&texts);
            assert_eq!(repeated, [(7, rows), (3, rows + 2)]);
            let mut wanted = Wanted::default();
            for (row, key) in texts.iter().enumerate().take(rows as usize) {
                assert_eq!(index.get(key, &texts), Some(row as u32));
                wanted.push(key);
            }
            assert_eq!(index.get_all(&mut wanted, &texts), (0..rows).collect::<Vec<_>>());
            assert_eq!((index.get("", &texts), index.get("other", &texts)), (None, None));
        }
    }
}
