//! Counts everything that the checks need, in one pass over the file.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::super::diff::{name_duplicates, name_keyless};
use super::super::digest::RowDigest;
use super::super::error::SnapshotError;
use super::super::partition::{Sorted, bits_for, gather};
use super::super::row::{Cells, Place, Row};
use super::super::table::Table;
use super::Settings;
use crate::model::evidence::Occurrences;
use crate::model::fingerprint::Fingerprint;

/// Columns in which a sentinel may be named, beside the key.
const NAMES: [&str; 4] = ["userName", "name", "displayName", "login"];

/// As many rows have their values looked at for fingerprints, about.
const SAMPLED: u64 = 20_000;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) rows: u64,
    pub(super) empty_keys: Occurrences,
    pub(super) duplicate_keys: Occurrences,
    /// The share of empty cells by column.
    pub(super) empty_share: BTreeMap<String, f64>,
    /// Sentinels that were not found.
    pub(super) missing_sentinels: Vec<String>,
    /// For associations, by end column: the largest number of rows that one owner has, and how many owners have it.
    pub(super) largest: Vec<(String, u32, u64)>,
    /// For associations, by end column: how many different owners there are.
    pub(super) owners: BTreeMap<String, u64>,
    /// How values are written, by column.
    pub(super) fingerprints: BTreeMap<String, Fingerprint>,
}

/// What one chunk of the file holds.
struct Chunk {
    rows: u64,
    empty: Vec<u64>,
    keys: Vec<RowDigest>,
    keyless: Vec<Place>,
    /// For associations: a hash of the owner, by end column.
    owners: Vec<Vec<u64>>,
    seen: BTreeSet<usize>,
    fingerprints: Vec<Fingerprint>,
    scratch: Vec<u8>,
}

pub(super) fn take(table: &Table, settings: &Settings) -> Result<Census, SnapshotError> {
    let ends = end_columns(table);
    let names: Vec<usize> = NAMES.iter().filter_map(|name| table.column(name)).collect();
    let columns = table.columns().len();
    // Chosen by their keys, so that the rows that are looked at are the same in every snapshot.
    let sampled = (u64::MAX / table.estimated_rows()?.max(1)).saturating_mul(SAMPLED);
    let chunks = table.par_fold(
        || Chunk {
            rows: 0,
            empty: vec![0; columns],
            keys: Vec::new(),
            keyless: Vec::new(),
            owners: vec![Vec::new(); ends.len()],
            seen: BTreeSet::new(),
            fingerprints: vec![Fingerprint::default(); columns],
            scratch: Vec::new(),
        },
        |chunk, row| {
            chunk.rows += 1;
            for (empty, cell) in chunk.empty.iter_mut().zip(row.cells()) {
                *empty += u64::from(cell.is_empty());
            }
            for (owners, end) in chunk.owners.iter_mut().zip(&ends) {
                owners.push(xxh3_64(row.cell(*end).as_bytes()));
            }
            match key_hash(table, row, &mut chunk.scratch) {
                Some(hash) => {
                    chunk.keys.push(RowDigest::new(hash, 0, row.place()));
                    if hash <= sampled {
                        for (print, cell) in chunk.fingerprints.iter_mut().zip(row.cells()) {
                            print.add(cell, xxh3_64(cell.as_bytes()));
                        }
                    }
                }
                None => chunk.keyless.push(row.place()),
            }
            for (i, sentinel) in settings.sentinels.iter().enumerate() {
                let named = names.iter().any(|column| row.cell(*column) == sentinel)
                    || table.key_columns().iter().any(|column| row.cell(*column) == sentinel);
                if named {
                    chunk.seen.insert(i);
                }
            }
        },
    )?;

    let rows = chunks.iter().map(|chunk| chunk.rows).sum::<u64>();
    let mut census = Census { rows, ..Census::default() };
    for (i, name) in table.columns().iter().enumerate().filter(|_| rows > 0) {
        let empty: u64 = chunks.iter().map(|chunk| chunk.empty[i]).sum();
        census.empty_share.insert(name.clone(), empty as f64 / rows as f64);
    }
    let seen: BTreeSet<usize> = chunks.iter().flat_map(|chunk| chunk.seen.iter().copied()).collect();
    let missing = settings.sentinels.iter().enumerate().filter(|(i, _)| !seen.contains(i));
    census.missing_sentinels = missing.map(|(_, sentinel)| sentinel.clone()).collect();
    let keyless: Vec<Place> = chunks.iter().flat_map(|chunk| chunk.keyless.iter().copied()).collect();
    census.empty_keys = name_keyless(table, &keyless)?;

    for (i, name) in table.columns().iter().enumerate() {
        let mut whole = Fingerprint::default();
        chunks.iter().for_each(|chunk| whole.merge(&chunk.fingerprints[i]));
        if whole.values() > 0 {
            census.fingerprints.insert(name.clone(), whole);
        }
    }

    let bits = bits_for(rows);
    for (i, end) in ends.iter().enumerate() {
        let owners: Vec<Sorted<u64>> = chunks.par_iter().map(|chunk| Sorted::new(&chunk.owners[i], bits)).collect();
        let (most, how_many, different) = largest(&owners, bits);
        census.owners.insert(table.columns()[*end].clone(), different);
        census.largest.push((table.columns()[*end].clone(), most, how_many));
    }
    let keys: Vec<Sorted<RowDigest>> = chunks.into_par_iter().map(|chunk| Sorted::new(&chunk.keys, bits)).collect();
    census.duplicate_keys = name_duplicates(table, &duplicates(table, &keys, bits)?)?;
    Ok(census)
}

/// The end columns of an association: of a table whose key are all its columns, and more than one.
fn end_columns(table: &Table) -> Vec<usize> {
    let key = table.key_columns();
    if key.len() > 1 && key.len() == table.columns().len() { key.to_vec() } else { Vec::new() }
}

/// A hash of the key, or `None` where a part of it is empty.
fn key_hash(table: &Table, row: &Row<'_>, scratch: &mut Vec<u8>) -> Option<u64> {
    if let [column] = table.key_columns() {
        let cell = row.cell(*column);
        return (!cell.is_empty()).then(|| xxh3_64(cell.as_bytes()));
    }
    scratch.clear();
    for column in table.key_columns() {
        let cell = row.cell(*column);
        if cell.is_empty() {
            return None;
        }
        scratch.extend_from_slice(cell.as_bytes());
        scratch.push(0);
    }
    (!scratch.is_empty()).then(|| xxh3_64(scratch))
}

/// Pairs of rows with one key: the first, and each that repeats it; in file order.
fn duplicates(table: &Table, keys: &[Sorted<RowDigest>], bits: u32) -> Result<Vec<(Place, Place)>, SnapshotError> {
    let shares: Vec<Vec<(Place, Place)>> = (0..1usize << bits)
        .into_par_iter()
        .map(|share| {
            let mut rows = Vec::new();
            gather(keys, share, &mut rows);
            rows.sort_unstable_by_key(|row| (row.key, row.place()));
            let mut found = Vec::new();
            for same in rows.chunk_by(|a, b| a.key == b.key).filter(|same| same.len() > 1) {
                // A hash is no proof: the keys themselves decide.
                let mut first: BTreeMap<String, Place> = BTreeMap::new();
                for row in same {
                    let key = table.key_of(&table.fetch(row.place())?);
                    match first.get(&key) {
                        Some(place) => found.push((*place, row.place())),
                        None => _ = first.insert(key, row.place()),
                    }
                }
            }
            Ok(found)
        })
        .collect::<Result<_, SnapshotError>>()?;
    let mut all: Vec<_> = shares.into_iter().flatten().collect();
    all.sort_unstable_by_key(|pair| pair.1);
    Ok(all)
}

/// The largest number of equal hashes, how many hashes occur that often, and how many different ones there are.
fn largest(owners: &[Sorted<u64>], bits: u32) -> (u32, u64, u64) {
    (0..1usize << bits)
        .into_par_iter()
        .map(|share| {
            let mut hashes = Vec::new();
            gather(owners, share, &mut hashes);
            hashes.sort_unstable();
            hashes.chunk_by(|a, b| a == b).fold((0, 0, 0), |most, same| more(most, (same.len() as u32, 1, 1)))
        })
        .reduce(|| (0, 0, 0), more)
}

fn more(a: (u32, u64, u64), b: (u32, u64, u64)) -> (u32, u64, u64) {
    let different = a.2 + b.2;
    match a.0.cmp(&b.0) {
        std::cmp::Ordering::Less => (b.0, b.1, different),
        std::cmp::Ordering::Equal => (a.0, a.1 + b.1, different),
        std::cmp::Ordering::Greater => (a.0, a.1, different),
    }
}
