//! Puts rows that differ in the order of their keys.

use rayon::prelude::*;

use super::super::error::SnapshotError;
use super::super::row::Place;
use super::super::table::{Fetch, Table};

/// Beyond one row in so many, reading the whole table is cheaper than fetching rows one by one.
const FEW: u64 = 16;
/// Bytes that a row has at least, to guess the number of rows.
const ROW: u64 = 64;

/// Sorts by key, and gives the keys.
pub(super) fn sorted<T: Send>(
    table: &Table,
    rows: Vec<T>,
    place: impl Fn(&T) -> Place + Sync,
) -> Result<(Vec<T>, Vec<String>), SnapshotError> {
    let mut rows: Vec<(Place, T)> = rows.into_par_iter().map(|row| (place(&row), row)).collect();
    // In the order of the file: reading goes forward, and ties end up the same way each time.
    rows.par_sort_unstable_by_key(|row| row.0);
    let many = rows.len() as u64 * FEW * ROW > table.bytes();
    let keys = if many { keys_in_one_pass(table, &rows)? } else { keys_one_by_one(table, &rows)? };
    let mut keyed: Vec<(String, Place, T)> =
        keys.into_iter().zip(rows).map(|(key, (place, row))| (key, place, row)).collect();
    keyed.par_sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Ok(keyed.into_iter().map(|(key, _, row)| (row, key)).unzip())
}

fn keys_one_by_one<T>(table: &Table, rows: &[(Place, T)]) -> Result<Vec<String>, SnapshotError> {
    let places: Vec<Place> = rows.iter().map(|row| row.0).collect();
    places
        .par_iter()
        .map_init(Fetch::default, |fetch, place| {
            let mut key = None;
            table.with_row(*place, fetch, |row| key = Some(table.key_of(row)))?;
            key.ok_or_else(|| SnapshotError::Changed(table.path().to_owned()))
        })
        .collect()
}

fn keys_in_one_pass<T>(table: &Table, rows: &[(Place, T)]) -> Result<Vec<String>, SnapshotError> {
    let places: Vec<Place> = rows.iter().map(|row| row.0).collect();
    let chunks = table.par_fold(Vec::new, |keys, row| {
        if places.binary_search(&row.place()).is_ok() {
            keys.push(table.key_of(row));
        }
    })?;
    let keys: Vec<String> = chunks.into_iter().flatten().collect();
    if keys.len() == rows.len() { Ok(keys) } else { Err(SnapshotError::Changed(table.path().to_owned())) }
}
