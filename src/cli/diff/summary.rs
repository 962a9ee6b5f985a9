//! What a summary tells: counts, and some rows of each kind.

use std::collections::HashSet;
use std::path::Path;

use super::list::{cell_of, filled};
use crate::report::difference::{CellChange, ChangedRow, DifferenceSummary, Side, WholeRow};
use crate::snapshot::diff::{Change, Difference, name_duplicates, name_keyless, shown_key};
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
) -> anyhow::Result<DifferenceSummary> {
    let counts = difference.counts;
    let doubtful = &difference.doubtful;
    let both = counts.changed + counts.unchanged;
    let key = new.key_columns().iter().map(|column| new.columns()[*column].clone()).collect();

    let mut by_column = vec![0u64; new.columns().len()];
    let (mut added_rows, mut removed_rows) = (Vec::new(), Vec::new());
    let mut telling = Telling::default();
    difference.for_each(|key, change| {
        let whole = |table: &Table, place, rows: &mut Vec<WholeRow>| -> anyhow::Result<()> {
            if rows.len() < samples {
                let row = table.fetch(place)?;
                let cells = filled(table, &row).take(CELLS);
                let cells = cells.map(|name| (name.to_owned(), cell_of(table, &row, name).into())).collect();
                rows.push(WholeRow { key: shown_key(key), cells });
            }
            Ok(())
        };
        match change {
            Change::Added(place) => whole(new, place, &mut added_rows),
            Change::Removed(place) => whole(old, place, &mut removed_rows),
            Change::Changed { columns, .. } => {
                columns.iter().for_each(|column| by_column[*column] += 1);
                telling.see(key, change, samples);
                Ok(())
            }
        }
    })?;
    let mut by_column: Vec<(String, u64)> =
        new.columns().iter().cloned().zip(by_column).filter(|(_, rows)| *rows > 0).collect();
    // The sort keeps the file's order among equals.
    by_column.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));

    let changed = telling.chosen(samples).into_iter().map(|row| {
        let (before, after) = (old.fetch(row.old)?, new.fetch(row.new)?);
        let cells = row.columns.iter().map(|column| {
            let name = &new.columns()[*column];
            CellChange {
                column: name.clone(),
                before: cell_of(old, &before, name).to_owned(),
                after: after.cell(*column).to_owned(),
            }
        });
        anyhow::Ok(ChangedRow { key: shown_key(&row.key), cells: cells.collect() })
    });
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
        changed_rows: changed.collect::<anyhow::Result<_>>()?,
        added_rows,
        removed_rows,
    })
}

/// The changed rows that tell the most: for each set of columns its first row, then the first others.
#[derive(Default)]
struct Telling {
    sets: HashSet<Vec<usize>>,
    /// The first rows of a set of columns, then others, each with its position among the changed rows.
    news: Vec<(u64, Told)>,
    others: Vec<(u64, Told)>,
    seen: u64,
}

/// A changed row.
struct Told {
    key: String,
    old: Place,
    new: Place,
    columns: Vec<usize>,
}

impl Telling {
    fn see(&mut self, key: &str, change: Change<'_>, samples: usize) {
        let Change::Changed { old, new, columns } = change else { return };
        self.seen += 1;
        let is_new = self.news.len() < samples && !self.sets.contains(columns);
        let rows = if is_new { &mut self.news } else { &mut self.others };
        if rows.len() < samples {
            if is_new {
                self.sets.insert(columns.to_vec());
            }
            rows.push((self.seen, Told { key: key.to_owned(), old, new, columns: columns.to_vec() }));
        }
    }

    /// So many rows, in their order.
    fn chosen(self, samples: usize) -> Vec<Told> {
        let mut chosen: Vec<_> = self.news.into_iter().chain(self.others).take(samples).collect();
        chosen.sort_unstable_by_key(|(position, _)| *position);
        chosen.into_iter().map(|(_, row)| row).collect()
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
