//! What a summary tells: counts, and some rows of each kind.

use std::collections::HashSet;
use std::path::Path;

use super::list::{cell_of, filled};
use crate::report::difference::{CellChange, ChangedRow, DifferenceSummary, Side, WholeRow};
use crate::snapshot::diff::{Difference, name_duplicates, name_keyless, shown_key};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::row::{Cells, Place};
use crate::snapshot::table::Table;

/// Cells of a row of one file only; the line of a terminal ends before.
const CELLS: usize = 20;

/// Gathers the summary, with so many rows of each kind.
pub(super) fn summary(
    old: &Table,
    new: &Table,
    difference: &Difference,
    samples: usize,
) -> Result<DifferenceSummary, SnapshotError> {
    let counts = difference.counts();
    let doubtful = &difference.doubtful;
    let both = counts.changed + counts.unchanged;
    let key = new.key_columns().iter().map(|column| new.columns()[*column].clone()).collect();

    let mut by_column = vec![0u64; new.columns().len()];
    for column in difference.changed.iter().flat_map(|(_, _, columns)| columns) {
        by_column[*column] += 1;
    }
    let mut by_column: Vec<(String, u64)> =
        new.columns().iter().cloned().zip(by_column).filter(|(_, rows)| *rows > 0).collect();
    // The sort keeps the file's order among equals.
    by_column.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));

    let changed = telling(difference, samples).into_iter().map(|i| {
        let ((before, after, columns), key) = (&difference.changed[i], &difference.keys.changed[i]);
        let (before, after) = (old.fetch(*before)?, new.fetch(*after)?);
        let cells = columns.iter().map(|column| {
            let name = &new.columns()[*column];
            CellChange {
                column: name.clone(),
                before: cell_of(old, &before, name).to_owned(),
                after: after.cell(*column).to_owned(),
            }
        });
        Ok(ChangedRow { key: shown_key(key), cells: cells.collect() })
    });
    let whole = |table: &Table, places: &[Place], keys: &[String]| {
        let rows = places.iter().zip(keys).take(samples).map(|(place, key)| {
            let row = table.fetch(*place)?;
            let cells =
                filled(table, &row).take(CELLS).map(|name| (name.to_owned(), cell_of(table, &row, name).into()));
            Ok(WholeRow { key: shown_key(key), cells: cells.collect() })
        });
        rows.collect::<Result<Vec<_>, SnapshotError>>()
    };
    Ok(DifferenceSummary {
        old: Side {
            name: name(old.path()),
            rows: both + counts.removed + (doubtful.old_duplicates.len() + doubtful.old_keyless.len()) as u64,
            columns_alone: difference.columns_removed.clone(),
            repeated: name_duplicates(old, &doubtful.old_duplicates)?,
            keyless: name_keyless(old, &doubtful.old_keyless)?,
        },
        new: Side {
            name: name(new.path()),
            rows: both + counts.added + (doubtful.new_duplicates.len() + doubtful.new_keyless.len()) as u64,
            columns_alone: difference.columns_added.clone(),
            repeated: name_duplicates(new, &doubtful.new_duplicates)?,
            keyless: name_keyless(new, &doubtful.new_keyless)?,
        },
        key,
        added: counts.added,
        removed: counts.removed,
        changed: counts.changed,
        unchanged: counts.unchanged,
        by_column,
        changed_rows: changed.collect::<Result<_, SnapshotError>>()?,
        added_rows: whole(new, &difference.added, &difference.keys.added)?,
        removed_rows: whole(old, &difference.removed, &difference.keys.removed)?,
    })
}

/// Positions of so many changed rows that tell the most: for each set of columns its first row, then the first others.
fn telling(difference: &Difference, samples: usize) -> Vec<usize> {
    let mut seen = HashSet::new();
    let news = difference.changed.iter().enumerate().filter(|(_, (_, _, columns))| seen.insert(columns.as_slice()));
    let mut chosen: Vec<usize> = news.map(|(i, _)| i).take(samples).collect();
    let others = (0..difference.changed.len().min(2 * samples)).filter(|i| !chosen.contains(i));
    let others: Vec<usize> = others.take(samples - chosen.len()).collect();
    chosen.extend(others);
    chosen.sort_unstable();
    chosen
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
