//! Finds what the rows of a snapshot hold in one column by what they hold in another: some twenty bytes a row, and each
//! value once.
//!
//! Like row numbers, keys are known by 96 bits of their hash, whose seed is drawn anew for each directory. Entries are
//! sorted by it, and its first bits lead to them: a search looks at the memory twice.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rayon::prelude::*;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::error::SnapshotError;
use super::row::Cells;
use super::table::{KEY_JOINT, Table};
use crate::model::texts::Texts;

/// What is held in a column, by the cells of another one.
pub struct Directory {
    seed: u64,
    /// 96 bits of the key's hash, and the number of its value; sorted, each key once.
    entries: Vec<u128>,
    /// By the first bits of a hash: where its entries begin; one more at the end.
    begins: Vec<u32>,
    /// How far a hash is shifted for it.
    shift: u32,
    values: Texts,
    /// Keys that lead to several values, by their number after the last value.
    disputed: Vec<Dispute>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Directory of {} keys", self.entries.len())
    }
}

/// A key that leads to several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// How many rows have the key.
    pub rows: usize,
    /// The first two rows, by their own keys, that say different things, and what they say; may be empty.
    pub sayings: [(String, String); 2],
}

/// What a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding<'a> {
    /// No row has the key.
    Nothing,
    /// What the row holds, or all rows that have the key; may be empty.
    Value(&'a str),
    /// Rows with the key hold different things.
    Disputed(&'a Dispute),
}

/// The rows of one part of the file.
#[derive(Default)]
struct Part {
    entries: Vec<u128>,
    values: Texts,
    known: HashMap<u64, u32>,
}

impl Directory {
    /// Reads a table; `key` and `wanted` are positions of columns. Rows with an empty key are left out.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn new(table: &Table, key: usize, wanted: usize) -> Result<Self, SnapshotError> {
        let seed = RandomState::new().build_hasher().finish();
        let parts = table.par_fold(Part::default, |part, row| {
            let cell = row.cell(key);
            if !cell.is_empty() {
                let number = part.number(row.cell(wanted));
                part.entries.push(hash(seed, cell) | u128::from(number));
            }
        })?;
        let (mut values, mut known) = (Texts::default(), HashMap::new());
        let mut entries = Vec::with_capacity(parts.iter().map(|part| part.entries.len()).sum());
        for part in parts {
            let number = |value: &str| {
                *known.entry(value.to_owned()).or_insert_with(|| {
                    values.push(value);
                    values.len() as u32 - 1
                })
            };
            let numbers: Vec<u32> = part.values.iter().map(number).collect();
            entries.extend(part.entries.into_iter().map(|entry| {
                let local = entry as u32 as usize;
                (entry >> 32 << 32) | u128::from(numbers[local])
            }));
        }
        drop(known);
        entries.par_sort_unstable();
        entries.dedup();
        let mut directory = Self { seed, entries, begins: Vec::new(), shift: 0, values, disputed: Vec::new() };
        directory.settle_disputes(table, key, wanted)?;
        directory.cut();
        Ok(directory)
    }

    /// Keys that lead to several values get one entry, and words.
    fn settle_disputes(&mut self, table: &Table, key: usize, wanted: usize) -> Result<(), SnapshotError> {
        let repeats = self.entries.windows(2).filter(|pair| pair[0] >> 32 == pair[1] >> 32);
        let mut rows: BTreeMap<u128, Vec<(String, String)>> =
            repeats.map(|pair| (pair[0] >> 32 << 32, Vec::new())).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let seed = self.seed;
        let found = table.par_fold(Vec::new, |found, row| {
            let cell = row.cell(key);
            let hash = hash(seed, cell);
            if !cell.is_empty() && rows.contains_key(&hash) {
                found.push((hash, table.key_of(row).replace(KEY_JOINT, " / "), row.cell(wanted).to_owned()));
            }
        })?;
        for (hash, row, value) in found.into_iter().flatten() {
            rows.entry(hash).or_default().push((row, value));
        }
        let mut numbers: HashMap<u128, u32> = HashMap::new();
        for (hash, mut sayings) in rows {
            sayings.sort();
            let first = sayings.first().cloned().unwrap_or_default();
            let other = sayings.iter().find(|(_, value)| *value != first.1).cloned().unwrap_or_default();
            numbers.insert(hash, (self.values.len() + self.disputed.len()) as u32);
            self.disputed.push(Dispute { rows: sayings.len(), sayings: [first, other] });
        }
        for entry in &mut self.entries {
            let hash = *entry >> 32 << 32;
            if let Some(number) = numbers.get(&hash) {
                *entry = hash | u128::from(*number);
            }
        }
        self.entries.dedup();
        Ok(())
    }

    /// Notes where the entries of each beginning of a hash begin: about four share one.
    fn cut(&mut self) {
        let bits = (self.entries.len() / 4).next_power_of_two().ilog2();
        self.shift = 128 - bits;
        let beginning = |entry: u128| entry.checked_shr(self.shift).unwrap_or(0) as usize;
        let mut begins = vec![0; (1 << bits) + 1];
        for entry in &self.entries {
            begins[beginning(*entry) + 1] += 1;
        }
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        self.begins = begins;
    }

    /// What a key leads to; nothing where it is empty.
    pub fn find(&self, key: &str) -> Finding<'_> {
        if key.is_empty() {
            return Finding::Nothing;
        }
        let hash = hash(self.seed, key);
        let beginning = hash.checked_shr(self.shift).unwrap_or(0) as usize;
        let (begin, end) = (self.begins[beginning] as usize, self.begins[beginning + 1] as usize);
        let Some(entry) = self.entries[begin..end].iter().find(|entry| **entry >> 32 == hash >> 32) else {
            return Finding::Nothing;
        };
        let number = *entry as u32 as usize;
        match number.checked_sub(self.values.len()).and_then(|number| self.disputed.get(number)) {
            Some(dispute) => Finding::Disputed(dispute),
            None => Finding::Value(self.values.get(number)),
        }
    }
}

impl Part {
    /// The number of a value among those of this part.
    fn number(&mut self, value: &str) -> u32 {
        let number = *self.known.entry(xxh3_64(value.as_bytes())).or_insert(self.values.len() as u32);
        if self.values.get(number as usize) == value && (number as usize) < self.values.len() {
            return number;
        }
        // A new value, or, once in an age, another one of the same hash.
        self.values.push(value);
        self.values.len() as u32 - 1
    }
}

/// The upper 96 bits of a key's hash.
fn hash(seed: u64, key: &str) -> u128 {
    xxh3_128_with_seed(key.as_bytes(), seed) >> 32 << 32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::table::Tuning;

    fn directory(rows: &[(String, String)], tuning: Tuning) -> Directory {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        let lines: Vec<String> = rows.iter().enumerate().map(|(i, (k, v))| format!("r{i:05},{k},{v}\n")).collect();
        std::fs::write(&path, format!("id,number,boss\n{}", lines.concat())).unwrap();
        let table = Table::open(&path, &["id".to_owned()]).unwrap().tuned(tuning);
        Directory::new(&table, 1, 2).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// The same as asking every row, however the file is cut.
        #[test]
        fn a_key_leads_to_what_all_its_rows_hold(
            rows in proptest::collection::vec(("[0-9]{0,3}", "[a-c]{0,2}"), 0..400),
            part in 16u64..4096,
        ) {
            let found = directory(&rows, Tuning { chunk: Some(part), ..Tuning::default() });
            let mut all: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
            for (at, (key, value)) in rows.iter().enumerate() {
                all.entry(key).or_default().push((at, value));
            }
            for key in (0..1000).flat_map(|n| [format!("{n}"), format!("{n:03}")]).chain([String::new()]) {
                let held = all.get(key.as_str()).filter(|_| !key.is_empty());
                match (found.find(&key), held) {
                    (Finding::Nothing, None) => {}
                    (Finding::Value(value), Some(held)) => prop_assert!(held.iter().all(|(_, v)| *v == value)),
                    (Finding::Disputed(dispute), Some(held)) => {
                        let first = held[0];
                        let other = held.iter().find(|(_, value)| *value != first.1).unwrap();
                        let told = |(at, value): (usize, &str)| (format!("r{at:05}"), value.to_owned());
                        prop_assert_eq!(&dispute.sayings, &[told(first), told(*other)]);
                        prop_assert_eq!(dispute.rows, held.len());
                    }
                    (finding, held) => prop_assert!(false, "{} {:?} {:?}", key, finding, held),
                }
            }
        }
    }
}
