//! Every row that differs, by key, for programs: CSV or a JSON object a line.

use std::borrow::Cow;
use std::io::Write;

use serde_json::{Map, Value, json};

use crate::report::safe_text;
use crate::snapshot::diff::Difference;
use crate::snapshot::row::{Cells, OwnedRow, Place};
use crate::snapshot::table::{KEY_JOINT, Table};

/// A comparison and the files it is about.
pub(super) struct List<'a> {
    pub(super) old: &'a Table,
    pub(super) new: &'a Table,
    pub(super) difference: &'a Difference,
    /// Whether a terminal shows it: then nothing that steers one may be in it.
    pub(super) shown: bool,
}

/// One row that differs.
enum Change<'a> {
    Added(Place),
    Removed(Place),
    Changed(Place, Place, &'a [usize]),
}

impl Change<'_> {
    fn word(&self) -> &'static str {
        match self {
            Self::Added(_) => "added",
            Self::Removed(_) => "removed",
            Self::Changed(..) => "changed",
        }
    }
}

impl List<'_> {
    /// One record for each row: change, key, columns.
    pub(super) fn csv(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["change", "key", "columns"])?;
        for (key, change) in self.changes() {
            let columns = match &change {
                Change::Changed(_, _, columns) => self.names(columns).collect::<Vec<_>>().join(";"),
                _ => String::new(),
            };
            let key = joined_key(key)?;
            writer.write_record([change.word(), &self.guarded(&key), &self.guarded(&columns)])?;
        }
        Ok(writer.flush()?)
    }

    /// One record for each cell that differs: change, key, column, before, after. Rows that only one file has are told
    /// by their cells that are not empty, the key apart; a row of nothing but its key is one record without a column.
    pub(super) fn csv_values(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["change", "key", "column", "before", "after"])?;
        for (key, change) in self.changes() {
            let key = joined_key(key)?;
            let (before, after) = self.rows(&change)?;
            let columns: Vec<&str> = match (&change, &before, &after) {
                (Change::Changed(_, _, columns), ..) => self.names(columns).collect(),
                (_, Some(row), _) => filled(self.old, row).collect(),
                (_, _, Some(row)) => filled(self.new, row).collect(),
                _ => Vec::new(),
            };
            let columns = if columns.is_empty() { vec![""] } else { columns };
            for column in columns {
                let before = before.as_ref().map_or("", |row| cell_of(self.old, row, column));
                let after = after.as_ref().map_or("", |row| cell_of(self.new, row, column));
                let cells = [&key, column, before, after].map(|cell| self.guarded(cell));
                let [key, column, before, after] = &cells;
                writer.write_record([change.word(), key, column, before, after])?;
            }
        }
        Ok(writer.flush()?)
    }

    /// One object for each row: change, key by column, and what it was and is; of a changed row only what differs.
    pub(super) fn ndjson(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for (key, change) in self.changes() {
            let names = self.new.key_columns().iter().map(|c| self.new.columns()[*c].clone());
            let key: Map<String, Value> = names.zip(key.split(KEY_JOINT).map(Value::from)).collect();
            let (before, after) = self.rows(&change)?;
            let whole = |table: &Table, row: &OwnedRow| {
                let cells = table.columns().iter().enumerate().map(|(i, name)| (name.clone(), row.cell(i)));
                cells.filter(|(_, cell)| !cell.is_empty()).map(|(name, cell)| (name, cell.into())).collect()
            };
            let mut line = json!({"change": change.word(), "key": key});
            if let Change::Changed(_, _, columns) = &change {
                line["columns"] = self.names(columns).collect();
            }
            let mut side = |name: &str, table: &Table, row: Option<OwnedRow>| {
                let cells: Map<String, Value> = match (&change, &row) {
                    (_, None) => return,
                    (Change::Changed(_, _, columns), Some(row)) => self
                        .names(columns)
                        .map(|column| (column.to_owned(), cell_of(table, row, column).into()))
                        .collect(),
                    (_, Some(row)) => whole(table, row),
                };
                line[name] = cells.into();
            };
            side("before", self.old, before);
            side("after", self.new, after);
            let line = line.to_string();
            writeln!(out, "{}", if self.shown { safe_text::json(line) } else { line })?;
        }
        Ok(())
    }

    /// Every row that differs, by key.
    fn changes(&self) -> impl Iterator<Item = (&str, Change<'_>)> {
        let (d, keys) = (self.difference, &self.difference.keys);
        let mut added = d.added.iter().zip(&keys.added).peekable();
        let mut removed = d.removed.iter().zip(&keys.removed).peekable();
        let mut changed = d.changed.iter().zip(&keys.changed).peekable();
        std::iter::from_fn(move || {
            let next = [added.peek().map(|x| x.1), removed.peek().map(|x| x.1), changed.peek().map(|x| x.1)];
            let first = (0..3).filter_map(|i| next[i].map(|key| (key, i))).min()?.1;
            match first {
                0 => added.next().map(|(place, key)| (key.as_str(), Change::Added(*place))),
                1 => removed.next().map(|(place, key)| (key.as_str(), Change::Removed(*place))),
                _ => changed.next().map(|((a, b, columns), key)| (key.as_str(), Change::Changed(*a, *b, columns))),
            }
        })
    }

    /// The row before and the row after, as far as there are.
    fn rows(&self, change: &Change<'_>) -> anyhow::Result<(Option<OwnedRow>, Option<OwnedRow>)> {
        Ok(match change {
            Change::Added(place) => (None, Some(self.new.fetch(*place)?)),
            Change::Removed(place) => (Some(self.old.fetch(*place)?), None),
            Change::Changed(before, after, _) => (Some(self.old.fetch(*before)?), Some(self.new.fetch(*after)?)),
        })
    }

    fn names<'b>(&'b self, columns: &'b [usize]) -> impl Iterator<Item = &'b str> {
        columns.iter().map(|column| self.new.columns()[*column].as_str())
    }

    /// Text as it is, or made safe where a terminal shows it.
    fn guarded<'b>(&self, text: &'b str) -> Cow<'b, str> {
        if self.shown { safe_text::line(text) } else { Cow::Borrowed(text) }
    }
}

/// The names of a row's cells that are not empty, without those of its key.
pub(super) fn filled<'a>(table: &'a Table, row: &'a OwnedRow) -> impl Iterator<Item = &'a str> {
    let cells = table.columns().iter().enumerate().filter(|(i, _)| !table.key_columns().contains(i));
    cells.filter(|(i, _)| !row.cell(*i).is_empty()).map(|(_, name)| name.as_str())
}

/// A cell by its column's name; empty where the file has no such column.
pub(super) fn cell_of<'a>(table: &Table, row: &'a OwnedRow, name: &str) -> &'a str {
    table.column(name).map_or("", |column| row.cell(column))
}

/// A key of several columns as a CSV record of its own, so that it can be taken apart again.
fn joined_key(key: &str) -> anyhow::Result<Cow<'_, str>> {
    if !key.contains(KEY_JOINT) {
        return Ok(Cow::Borrowed(key));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(key.split(KEY_JOINT))?;
    let mut text = String::from_utf8(writer.into_inner()?)?;
    text.truncate(text.trim_end_matches('\n').len());
    Ok(Cow::Owned(text))
}
