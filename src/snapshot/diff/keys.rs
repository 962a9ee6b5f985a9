//! Puts rows that differ in the order of their keys.

use rayon::prelude::*;

use super::super::error::SnapshotError;
use super::super::row::Place;
use super::super::table::{Fetch, Table};

/// Beyond one row in so many, reading the whole table is cheaper than fetching rows one by one.
const FEW: u64 = 16;
/// Bytes that a row has at least, to guess the number of rows.
const ROW: u64 = 64;

/// Puts rows of a table in the order of their keys, and gives the keys.
pub(super) fn fetched(table: &Table, mut rows: Vec<Place>) -> Result<(Vec<Place>, Vec<String>), SnapshotError> {
    // In the order of the file: reading goes forward.
    rows.par_sort_unstable();
    let many = rows.len() as u64 * FEW * ROW > table.bytes();
    let keys = if many { keys_in_one_pass(table, &rows)? } else { keys_one_by_one(table, &rows)? };
    Ok(sorted(rows, keys, |place| *place))
}

/// Puts rows and their keys in the order of the keys; rows whose keys are written the same, in that of their places.
pub(super) fn sorted<T: Send + Sync>(
    rows: Vec<T>,
    mut keys: Vec<String>,
    place: impl Fn(&T) -> Place + Sync,
) -> (Vec<T>, Vec<String>) {
    // Most comparisons are decided by the first bytes, which lie side by side here.
    let mut order: Vec<(u64, usize)> = keys.iter().map(|key| first_bytes(key)).zip(0..).collect();
    let whole = |i: usize| (&keys[i], place(&rows[i]));
    order.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| whole(a.1).cmp(&whole(b.1))));
    let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
    order.iter().filter_map(|(_, i)| Some((rows[*i].take()?, std::mem::take(&mut keys[*i])))).unzip()
}

/// A number that is smaller where the key is, unless it is the same.
fn first_bytes(key: &str) -> u64 {
    let mut first = [0; 8];
    let count = key.len().min(8);
    first[..count].copy_from_slice(&key.as_bytes()[..count]);
    u64::from_be_bytes(first)
}

fn keys_one_by_one(table: &Table, places: &[Place]) -> Result<Vec<String>, SnapshotError> {
    places
        .par_iter()
        .map_init(Fetch::default, |fetch, place| {
            let mut key = None;
            table.with_row(*place, fetch, |row| key = Some(table.key_of(row)))?;
            key.ok_or_else(|| SnapshotError::Changed(table.path().to_owned()))
        })
        .collect()
}

fn keys_in_one_pass(table: &Table, places: &[Place]) -> Result<Vec<String>, SnapshotError> {
    let chunks = table.par_fold(Vec::new, |keys, row| {
        if places.binary_search(&row.place()).is_ok() {
            keys.push(table.key_of(row));
        }
    })?;
    let keys: Vec<String> = chunks.into_iter().flatten().collect();
    if keys.len() == places.len() { Ok(keys) } else { Err(SnapshotError::Changed(table.path().to_owned())) }
}
