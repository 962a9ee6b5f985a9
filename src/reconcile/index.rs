//! Finds a row by its key: eight bytes a slot, keys stay with their rows.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::texts::Texts;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// An open-addressing table of row numbers. The keys are asked of the caller, so that they are kept once; a part of
/// each hash stands beside the number, so that other rows' keys are hardly ever looked at.
pub(crate) struct KeyIndex {
    slots: Vec<Slot>,
    mask: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    row: u32,
}

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
        let mut index = Self { slots: vec![Slot { tag: 0, row: NONE }; size], mask: size - 1 };
        let mut repeated = Vec::new();
        for (row, hash) in hashes.into_iter().enumerate() {
            let key = keys.get(row);
            if key.is_empty() {
                continue;
            }
            let slot = index.slot(hash, key, keys);
            match index.slots[slot].row {
                NONE => index.slots[slot] = Slot { tag: tag(hash), row: row as u32 },
                first => repeated.push((first, row as u32)),
            }
        }
        (index, repeated)
    }

    /// The row with this key.
    pub(crate) fn get(&self, wanted: &str, keys: &Texts) -> Option<u32> {
        self.get_hashed(xxh3_64(wanted.as_bytes()), wanted, keys)
    }

    fn get_hashed(&self, hash: u64, wanted: &str, keys: &Texts) -> Option<u32> {
        if wanted.is_empty() {
            return None;
        }
        let row = self.slots[self.slot(hash, wanted, keys)].row;
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
        let mut slot = hash as usize & self.mask;
        while self.slots[slot].row != NONE && self.slots[slot].tag != tag(hash) {
            slot = (slot + 1) & self.mask;
        }
        self.slots[slot].row
    }

    /// The slot that holds the key, or the free one where it belongs.
    fn slot(&self, hash: u64, wanted: &str, keys: &Texts) -> usize {
        let mut slot = hash as usize & self.mask;
        loop {
            let Slot { tag: held, row } = self.slots[slot];
            if row == NONE || (held == tag(hash) && keys.get(row as usize) == wanted) {
                return slot;
            }
            slot = (slot + 1) & self.mask;
        }
    }
}

/// The bits of a hash that do not choose its slot.
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
