//! Rows that cannot be compared, and how they are named.

use super::super::error::SnapshotError;
use super::super::row::Place;
use super::super::table::{KEY_JOINT, Line, Table};
use super::{DiffError, Difference};
use crate::model::evidence::Occurrences;

/// Rows that have no place in a comparison: a key that repeats (its first row is compared, the others are here), or
/// none. In file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// In the old table: the first row with the key, and the one that repeats it.
    pub old_duplicates: Vec<(Place, Place)>,
    /// The same in the new table.
    pub new_duplicates: Vec<(Place, Place)>,
    /// Rows of the old table with an empty cell in the key.
    pub old_keyless: Vec<Place>,
    /// The same in the new table.
    pub new_keyless: Vec<Place>,
}

impl Difference {
    /// Refuses a comparison in which a key repeats or is empty, naming the rows.
    pub fn require_unique(&self, old: &Table, new: &Table) -> Result<(), DiffError> {
        let mut found = Vec::new();
        let doubtful = &self.doubtful;
        let sides = [
            (old, &doubtful.old_duplicates, &doubtful.old_keyless),
            (new, &doubtful.new_duplicates, &doubtful.new_keyless),
        ];
        for (table, duplicates, keyless) in sides {
            let file = table.path().display();
            if !duplicates.is_empty() {
                let seen = name_duplicates(table, duplicates)?;
                let rows = list(&seen);
                found.push(format!("{file}: {} of a key that another row has: {rows}", rows_word(seen.count)));
            }
            if !keyless.is_empty() {
                let seen = name_keyless(table, keyless)?;
                found.push(format!("{file}: {} without a key: {}", rows_word(seen.count), list(&seen)));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(DiffError::Doubtful(found)) }
    }
}

fn rows_word(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn list(seen: &Occurrences) -> String {
    let more = if seen.count > seen.first.len() as u64 { " …" } else { "" };
    format!("{}{more}", seen.first.join(", "))
}

/// Counts rows that repeat a key, and names the first ten: `jane: rows 3 and 17`.
pub fn name_duplicates(table: &Table, pairs: &[(Place, Place)]) -> Result<Occurrences, SnapshotError> {
    let shown = &pairs[..pairs.len().min(10)];
    let places: Vec<Place> = shown.iter().flat_map(|(first, second)| [*first, *second]).collect();
    let lines = table.lines_of(&places)?;
    let mut first = Vec::with_capacity(shown.len());
    for (i, (place, _)) in shown.iter().enumerate() {
        let key = shown_key(&table.key_of(&table.fetch(*place)?));
        let (a, b) = (lines[2 * i], lines[2 * i + 1]);
        if a.row == a.line && b.row == b.line {
            first.push(format!("{key}: rows {} and {}", a.row, b.row));
        } else {
            first.push(format!("{key}: rows {} and {} (lines {} and {})", a.row, b.row, a.line, b.line));
        }
    }
    Ok(Occurrences { count: pairs.len() as u64, first })
}

/// Counts rows without a key, and names the first ten: `row 12 (line 14)`.
pub fn name_keyless(table: &Table, places: &[Place]) -> Result<Occurrences, SnapshotError> {
    let lines = table.lines_of(&places[..places.len().min(10)])?;
    Ok(Occurrences { count: places.len() as u64, first: lines.iter().map(Line::to_string).collect() })
}

/// A key as people read it: the cells of several columns with a slash between.
pub fn shown_key(key: &str) -> String {
    key.replace(KEY_JOINT, " / ")
}
