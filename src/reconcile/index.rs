//! Finds a row by its key: four bytes a slot, keys stay with their rows.

use xxhash_rust::xxh3::xxh3_64;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// An open-addressing table of row numbers. The keys are asked of the caller, so that they are kept once.
pub(crate) struct KeyIndex {
    slots: Vec<u32>,
    mask: usize,
}

impl KeyIndex {
    /// Indexes the rows `0..rows`. Of rows with one key the first is found; all of them are returned as pairs of the
    /// first and each later one. Rows with an empty key are left out.
    pub(crate) fn new<'a>(rows: usize, key: impl Fn(u32) -> &'a str) -> (Self, Vec<(u32, u32)>) {
        let size = (rows * 2).next_power_of_two().max(8);
        let mut index = Self { slots: vec![NONE; size], mask: size - 1 };
        let mut repeated = Vec::new();
        for row in 0..u32::try_from(rows).unwrap_or(NONE) {
            let wanted = key(row);
            if wanted.is_empty() {
                continue;
            }
            let slot = index.slot(wanted, &key);
            match index.slots[slot] {
                NONE => index.slots[slot] = row,
                first => repeated.push((first, row)),
            }
        }
        (index, repeated)
    }

    /// The row with this key.
    pub(crate) fn get<'a>(&self, wanted: &str, key: impl Fn(u32) -> &'a str) -> Option<u32> {
        if wanted.is_empty() {
            return None;
        }
        let row = self.slots[self.slot(wanted, &key)];
        (row != NONE).then_some(row)
    }

    /// The slot that holds the key, or the free one where it belongs.
    fn slot<'a>(&self, wanted: &str, key: &impl Fn(u32) -> &'a str) -> usize {
        let mut slot = xxh3_64(wanted.as_bytes()) as usize & self.mask;
        while self.slots[slot] != NONE && key(self.slots[slot]) != wanted {
            slot = (slot + 1) & self.mask;
        }
        slot
    }
}
