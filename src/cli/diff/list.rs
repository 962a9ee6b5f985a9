//! Every row that differs, by key, for programs: CSV or a JSON object a line.

use std::borrow::Cow;
use std::io::Write;

use serde_json::{Map, Value, json};

use crate::report::safe_text;
use crate::snapshot::diff::{Change, Difference};
use crate::snapshot::row::{Cells, OwnedRow};
use crate::snapshot::table::{KEY_JOINT, Table};

/// A comparison and the files it is about.
pub(super) struct List<'a> {
    pub(super) old: &'a Table,
    pub(super) new: &'a Table,
    pub(super) difference: &'a Difference,
    /// Whether a terminal shows it: then nothing that steers one may be in it.
    pub(super) shown: bool,
}

/// What became of a row, in a word.
fn word(change: &Change<'_>) -> &'static str {
    match change {
        Change::Added(_) => "added",
        Change::Removed(_) => "removed",
        Change::Changed { .. } => "changed",
    }
}

impl List<'_> {
    /// One record for each row: change, key, columns.
    pub(super) fn csv(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["change", "key", "columns"])?;
        self.difference.for_each(|key, change| {
            let columns = match change {
                Change::Changed { columns, .. } => self.names(columns).collect::<Vec<_>>().join(";"),
                _ => String::new(),
            };
            let key = joined_key(key)?;
            writer.write_record([word(&change), &self.guarded(&key), &self.guarded(&columns)])?;
            anyhow::Ok(())
        })?;
        Ok(writer.flush()?)
    }

    /// One record for each cell that differs: change, key, column, before, after. Rows that only one file has are told
    /// by their cells that are not empty, the key apart; a row of nothing but its key is one record without a column.
    pub(super) fn csv_values(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(["change", "key", "column", "before", "after"])?;
        self.difference.for_each(|key, change| {
            let key = joined_key(key)?;
            let (before, after) = self.rows(change)?;
            let columns: Vec<&str> = match (change, &before, &after) {
                (Change::Changed { columns, .. }, ..) => self.names(columns).collect(),
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
                writer.write_record([word(&change), key, column, before, after])?;
            }
            anyhow::Ok(())
        })?;
        Ok(writer.flush()?)
    }

    /// One object for each row: change, key by column, and what it was and is; of a changed row only what differs.
    pub(super) fn ndjson(&self, out: &mut impl Write) -> anyhow::Result<()> {
        self.difference.for_each(|key, change| {
            let names = self.new.key_columns().iter().map(|c| self.new.columns()[*c].clone());
            let key: Map<String, Value> = names.zip(key.split(KEY_JOINT).map(Value::from)).collect();
            let (before, after) = self.rows(change)?;
            let whole = |table: &Table, row: &OwnedRow| {
                let cells = table.columns().iter().enumerate().map(|(i, name)| (name.clone(), row.cell(i)));
                cells.filter(|(_, cell)| !cell.is_empty()).map(|(name, cell)| (name, cell.into())).collect()
            };
            let mut line = json!({"change": word(&change), "key": key});
            if let Change::Changed { columns, .. } = change {
                line["columns"] = self.names(columns).collect();
            }
            let mut side = |name: &str, table: &Table, row: Option<OwnedRow>| {
                let cells: Map<String, Value> = match (change, &row) {
                    (_, None) => return,
                    (Change::Changed { columns, .. }, Some(row)) => self
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
            Ok(())
        })
    }

    /// The row before and the row after, as far as there are.
    fn rows(&self, change: Change<'_>) -> anyhow::Result<(Option<OwnedRow>, Option<OwnedRow>)> {
        Ok(match change {
            Change::Added(place) => (None, Some(self.new.fetch(place)?)),
            Change::Removed(place) => (Some(self.old.fetch(place)?), None),
            Change::Changed { old, new, .. } => (Some(self.old.fetch(old)?), Some(self.new.fetch(new)?)),
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
