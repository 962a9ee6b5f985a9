//! Counts everything that the checks need, while the file is read to be digested.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::super::diff::{Doubtful, name_duplicates, name_keyless};
use super::super::digest::Witness;
use super::super::error::SnapshotError;
use super::super::kept_pairs::KeptPairs;
use super::super::manifest::ResourceManifest;
use super::super::partition::{Sorted, bits_for, gather};
use super::super::row::{Cells, Row};
use super::super::table::Table;
use super::Settings;
use crate::model::evidence::{Largest, Occurrences};
use crate::model::fingerprint::Fingerprint;

/// Columns in which a sentinel may be named, beside the key.
const NAMES: [&str; 4] = ["userName", "name", "displayName", "login"];

/// As many rows have their values looked at for fingerprints, about.
const SAMPLED: u64 = 20_000;

/// What was counted.
#[derive(Debug, Default)]
pub struct Census {
    pub(super) rows: u64,
    pub(super) empty_keys: Occurrences,
    pub(super) duplicate_keys: Occurrences,
    /// The share of empty cells by column.
    pub(super) empty_share: BTreeMap<String, f64>,
    /// Sentinels that were found.
    pub(super) sentinels: Vec<String>,
    /// Sentinels that were not.
    pub(super) missing_sentinels: Vec<String>,
    /// For associations, by end column: the largest number of rows that one owner has, and how many owners have it.
    pub(super) largest: BTreeMap<String, Largest>,
    /// For associations, by end column: how many different owners there are.
    pub(super) owners: BTreeMap<String, u64>,
    /// How values are written, by column.
    pub(super) fingerprints: BTreeMap<String, Fingerprint>,
}

/// Counts while a table is read.
pub(crate) struct Watch<'a> {
    table: &'a Table,
    settings: &'a Settings,
    /// The end columns of an association.
    ends: Vec<usize>,
    /// Columns in which a sentinel may be named.
    names: Vec<usize>,
    /// Rows whose keys hash to no more have their values looked at.
    sampled: u64,
    /// How many bits choose a share of the owners.
    bits: u32,
    /// Whether the owners of an association are counted here.
    counts_owners: bool,
    /// By column, the cells that are left out where they still hold what muster wrote; empty = none are.
    own: Vec<Option<&'a HashMap<String, String>>>,
}

/// What muster itself wrote, by column and by the key of the row.
pub(crate) type Written = BTreeMap<String, HashMap<String, String>>;

/// What one chunk of the file holds.
pub(crate) struct Chunk<O = Sorted<u64>> {
    rows: u64,
    empty: Vec<u64>,
    /// Cells that were left out, and those of them that are empty, by column.
    own: Vec<(u64, u64)>,
    /// For associations: a hash of the owner, by end column.
    owners: Vec<O>,
    seen: BTreeSet<usize>,
    fingerprints: Vec<Fingerprint>,
    scratch: Vec<u8>,
}

impl<'a> Watch<'a> {
    /// Counts what the checks of a snapshot need of this table.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(crate) fn new(table: &'a Table, settings: &'a Settings) -> Result<Self, SnapshotError> {
        Self::counting(table, settings, true)
    }

    /// The same but for the owners of an association, which [`Census::count_owners`] then tells.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(crate) fn without_owners(table: &'a Table, settings: &'a Settings) -> Result<Self, SnapshotError> {
        Self::counting(table, settings, false)
    }

    /// The same but for what muster wrote itself, and without the owners of an association.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(crate) fn besides(
        table: &'a Table,
        settings: &'a Settings,
        written: &'a Written,
    ) -> Result<Self, SnapshotError> {
        let own = table.columns().iter().map(|column| written.get(column)).collect();
        Ok(Self { own, ..Self::counting(table, settings, false)? })
    }

    fn counting(table: &'a Table, settings: &'a Settings, counts_owners: bool) -> Result<Self, SnapshotError> {
        let rows = table.estimated_rows()?;
        Ok(Self {
            table,
            settings,
            ends: end_columns(table),
            names: NAMES.iter().filter_map(|name| table.column(name)).collect(),
            // Chosen by their keys, so that the rows that are looked at are the same in every snapshot.
            sampled: (u64::MAX / rows.max(1)).saturating_mul(SAMPLED),
            bits: bits_for(rows),
            counts_owners,
            own: Vec::new(),
        })
    }

    /// What was counted, from what was told of each chunk in file order, and from the rows that repeat a key or have
    /// none.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(crate) fn conclude(&self, told: &[Chunk], doubtful: &Doubtful) -> Result<Census, SnapshotError> {
        let rows = told.iter().map(|chunk| chunk.rows).sum::<u64>();
        let mut census = Census { rows, ..Census::default() };
        for (i, name) in self.table.columns().iter().enumerate().filter(|_| rows > 0) {
            let empty: u64 = told.iter().map(|chunk| chunk.empty[i]).sum();
            let own = told.iter().filter_map(|chunk| chunk.own.get(i));
            let (own, own_empty) = own.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
            census.empty_share.insert(name.clone(), (empty - own_empty) as f64 / (rows - own).max(1) as f64);
        }
        let seen: BTreeSet<usize> = told.iter().flat_map(|chunk| chunk.seen.iter().copied()).collect();
        for (i, sentinel) in self.settings.sentinels.iter().enumerate() {
            let list = if seen.contains(&i) { &mut census.sentinels } else { &mut census.missing_sentinels };
            list.push(sentinel.clone());
        }
        for (i, name) in self.table.columns().iter().enumerate() {
            let mut whole = Fingerprint::default();
            told.iter().for_each(|chunk| whole.merge(&chunk.fingerprints[i]));
            if whole.values() > 0 {
                census.fingerprints.insert(name.clone(), whole);
            }
        }
        for (i, end) in self.ends.iter().enumerate().filter(|_| self.counts_owners) {
            let owners: Vec<&Sorted<u64>> = told.iter().map(|chunk| &chunk.owners[i]).collect();
            let (largest, different) = largest(&owners, self.bits);
            let column = &self.table.columns()[*end];
            census.owners.insert(column.clone(), different);
            census.largest.insert(column.clone(), largest);
        }
        census.empty_keys = name_keyless(self.table, &doubtful.new_keyless)?;
        census.duplicate_keys = name_duplicates(self.table, &doubtful.new_duplicates)?;
        Ok(census)
    }
}

impl Witness for Watch<'_> {
    type Seen = Chunk<Vec<u64>>;
    type Told = Chunk;

    fn begin(&self) -> Self::Seen {
        let columns = self.table.columns().len();
        Chunk {
            rows: 0,
            empty: vec![0; columns],
            own: vec![(0, 0); self.own.len()],
            owners: vec![Vec::new(); self.ends.len()],
            seen: BTreeSet::new(),
            fingerprints: vec![Fingerprint::default(); columns],
            scratch: Vec::new(),
        }
    }

    fn see(&self, chunk: &mut Self::Seen, row: &Row<'_>) {
        chunk.rows += 1;
        row.count_empty(&mut chunk.empty);
        for (owners, end) in chunk.owners.iter_mut().zip(&self.ends) {
            if !self.counts_owners {
                owners.clear();
            }
            owners.push(xxh3_64(row.cell(*end).as_bytes()));
        }
        let is_own = self.own_cells(row, chunk);
        if self.key_hash(row, chunk).is_some_and(|hash| hash <= self.sampled) {
            for (at, (print, cell)) in chunk.fingerprints.iter_mut().zip(row.cells()).enumerate() {
                if !is_own.get(at).copied().unwrap_or(false) {
                    print.add(cell, xxh3_64(cell.as_bytes()));
                }
            }
        }
        for (i, sentinel) in self.settings.sentinels.iter().enumerate() {
            let named = self.names.iter().any(|column| row.cell(*column) == sentinel)
                || self.table.key_columns().iter().any(|column| row.cell(*column) == sentinel);
            if named {
                chunk.seen.insert(i);
            }
        }
    }

    fn end(&self, seen: Self::Seen) -> Self::Told {
        let Chunk { rows, empty, own, owners, seen, fingerprints, scratch } = seen;
        let owners = owners.iter().map(|owners| Sorted::new(owners, self.bits)).collect();
        Chunk { rows, empty, own, owners, seen, fingerprints, scratch }
    }
}

impl Watch<'_> {
    /// By column, whether a row holds what muster wrote there; counts these cells.
    fn own_cells(&self, row: &Row<'_>, chunk: &mut Chunk<Vec<u64>>) -> Vec<bool> {
        if self.own.is_empty() {
            return Vec::new();
        }
        let key = self.table.key_of(row);
        let mut is_own = Vec::with_capacity(self.own.len());
        for ((written, cell), (own, empty)) in self.own.iter().zip(row.cells()).zip(&mut chunk.own) {
            let held = written.and_then(|written| written.get(&key));
            let holds = held.is_some_and(|written| written.eq_ignore_ascii_case(cell));
            *own += u64::from(holds);
            *empty += u64::from(holds && cell.is_empty());
            is_own.push(holds);
        }
        is_own
    }

    /// A hash of the key, or `None` where a part of it is empty.
    #[inline]
    fn key_hash(&self, row: &Row<'_>, chunk: &mut Chunk<Vec<u64>>) -> Option<u64> {
        if let [column] = self.table.key_columns() {
            let cell = row.cell(*column);
            return (!cell.is_empty()).then(|| xxh3_64(cell.as_bytes()));
        }
        if !self.ends.is_empty() {
            // They were hashed already; the ends of a row are known by their order.
            let whole = self.ends.iter().all(|end| !row.cell(*end).is_empty());
            let mix = |sum: u64, owners: &Vec<u64>| {
                sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ owners.last().copied().unwrap_or_default()
            };
            return whole.then(|| chunk.owners.iter().fold(0, mix));
        }
        chunk.scratch.clear();
        for column in self.table.key_columns() {
            let cell = row.cell(*column);
            if cell.is_empty() {
                return None;
            }
            chunk.scratch.extend_from_slice(cell.as_bytes());
            chunk.scratch.push(0);
        }
        (!chunk.scratch.is_empty()).then(|| xxh3_64(&chunk.scratch))
    }
}

impl Census {
    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether each row has a key that no other has.
    pub fn tells_rows_apart(&self) -> bool {
        self.empty_keys.count == 0 && self.duplicate_keys.count == 0
    }

    /// Takes in how many rows the owners of an association have.
    pub fn count_owners(&mut self, rows: &KeptPairs) {
        for (column, largest, different) in rows.owners() {
            self.largest.insert(column.to_owned(), largest);
            self.owners.insert(column.to_owned(), different);
        }
    }

    /// What the manifest of a snapshot tells of its file, if that is enough for these settings: the same bytes hold the
    /// same, so they need not be counted again.
    pub fn remembered(of: &ResourceManifest, settings: &Settings) -> Option<Self> {
        let evidence = &of.evidence;
        let is_association = of.key.len() > 1 && of.key.len() == of.columns.len();
        let knows = |sentinel: &String| evidence.sentinels.contains(sentinel);
        // What an older version counted may lack something.
        let is_whole = (!is_association || evidence.largest.len() == of.key.len())
            && (of.rows == 0 || !evidence.fingerprints.is_empty());
        if !is_whole || !settings.sentinels.iter().all(knows) {
            return None;
        }
        Some(Self {
            rows: of.rows,
            empty_keys: evidence.empty_keys.clone(),
            duplicate_keys: evidence.duplicate_keys.clone(),
            empty_share: evidence.empty_share.clone(),
            sentinels: settings.sentinels.clone(),
            missing_sentinels: Vec::new(),
            largest: evidence.largest.clone(),
            owners: evidence.owners.clone(),
            fingerprints: evidence.fingerprints.clone(),
        })
    }
}

/// The end columns of an association: of a table whose key are all its columns, and more than one.
fn end_columns(table: &Table) -> Vec<usize> {
    let key = table.key_columns();
    if key.len() > 1 && key.len() == table.columns().len() { key.to_vec() } else { Vec::new() }
}

/// The largest number of equal hashes with how many hashes occur that often, and how many different ones there are.
fn largest(owners: &[&Sorted<u64>], bits: u32) -> (Largest, u64) {
    let (rows, owners, different) = (0..1usize << bits)
        .into_par_iter()
        .map_init(Counter::default, |counter, share| counter.count(owners, share))
        .reduce(|| (0, 0, 0), more);
    (Largest { rows, owners }, different)
}

/// Counts equal hashes of one share in an open-addressed table.
#[derive(Default)]
struct Counter {
    hashes: Vec<u64>,
    /// A hash, and how often it occurs; never = free.
    slots: Vec<(u64, u32)>,
}

impl Counter {
    fn count(&mut self, owners: &[&Sorted<u64>], share: usize) -> (u32, u64, u64) {
        self.hashes.clear();
        gather(owners.iter().copied(), share, &mut self.hashes);
        self.slots.clear();
        self.slots.resize((self.hashes.len() * 2).next_power_of_two(), (0, 0));
        let mask = self.slots.len() - 1;
        for hash in &self.hashes {
            // The first bits chose the share.
            let mut slot = *hash as usize & mask;
            while self.slots[slot].1 != 0 && self.slots[slot].0 != *hash {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = (*hash, self.slots[slot].1 + 1);
        }
        let counts = self.slots.iter().map(|(_, count)| *count).filter(|count| *count != 0);
        counts.fold((0, 0, 0), |most, count| more(most, (count, 1, 1)))
    }
}

fn more(a: (u32, u64, u64), b: (u32, u64, u64)) -> (u32, u64, u64) {
    let different = a.2 + b.2;
    match a.0.cmp(&b.0) {
        std::cmp::Ordering::Less => (b.0, b.1, different),
        std::cmp::Ordering::Equal => (a.0, a.1 + b.1, different),
        std::cmp::Ordering::Greater => (a.0, a.1, different),
    }
}
