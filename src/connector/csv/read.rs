//! Rows of a file: all of them, one, some.

use std::collections::{BTreeMap, BTreeSet};

use super::CsvSystem;
use super::folder::Opened;
use crate::connector::source::{ExportEnd, ExportError, ExportSink, ResourceRequest};
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};
use crate::model::object::Object;
use crate::model::value::Value;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::row::Cells;

/// A pass over a file ends for the file's sake or for the sink's.
enum Broken {
    File(SnapshotError),
    Sink(ExportError),
}

impl From<SnapshotError> for Broken {
    fn from(error: SnapshotError) -> Self {
        Self::File(error)
    }
}

/// Rows that stand in their file as a snapshot has them, gathered to be passed on together.
#[derive(Default)]
struct WrittenRows<'r> {
    resource: &'r str,
    records: String,
    rows: u64,
}

impl WrittenRows<'_> {
    /// Bytes that are passed on together: what a core's own cache holds.
    const TOGETHER: usize = 128 << 10;

    #[inline]
    fn push(&mut self, record: &str, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        self.records.push_str(record);
        self.records.push('\n');
        self.rows += 1;
        if self.records.len() >= Self::TOGETHER { self.pass_on(sink) } else { Ok(()) }
    }

    fn pass_on(&mut self, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        if self.rows > 0 {
            sink.written_rows(self.resource, &self.records, self.rows)?;
            self.records.clear();
            self.rows = 0;
        }
        Ok(())
    }
}

/// A cell as snapshots write it: a list is sorted, and an empty one is empty.
fn canonical(cell: &str) -> Option<String> {
    if !cell.starts_with('[') {
        return None;
    }
    Some(Value::from_cell(cell).map(|value| value.to_cell()).unwrap_or_default())
}

/// What is known of a file that was read to its end.
fn end_of(rows: u64, ends_open: bool) -> ExportEnd {
    let evidence =
        Evidence { pages_asked: 1, pages_received: 1, rows_received: rows, ends_open, ..Evidence::default() };
    ExportEnd { evidence, cursor: None, proves_absence: false }
}

fn object(opened: &Opened, row: &dyn Cells) -> Object {
    let columns = opened.table.columns().iter().enumerate();
    Object {
        id: opened.table.key_of(row),
        attributes: columns
            .filter_map(|(position, column)| Some((column.clone(), Value::from_cell(row.cell(position))?)))
            .collect(),
        version: None,
    }
}

impl CsvSystem {
    pub(super) fn export_resource(
        &self,
        request: &ResourceRequest,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        if request.since.is_some() {
            return Err(ExportError::System(self.failure(
                Class::Unsupported,
                "no incremental export: a file says nothing about changes",
                "the next export reads everything; nothing has to be done",
            )));
        }
        let resource = request.resource.as_str();
        let opened = self.open(resource)?;
        let columns = opened.table.columns();
        if let Some(failure) = self.no_columns(resource, columns, &request.columns) {
            return Err(ExportError::System(failure));
        }
        if let Some(rows) = sink.unchanged(resource, columns, &opened.key, opened.table.file())? {
            self.still_the_same(&opened)?;
            return sink.end(resource, end_of(rows, false));
        }
        // What cannot be read is told below, where its rows are asked for.
        if let Ok(Some(rows)) = opened.table.rows_as_written()
            && sink.copy(resource, columns, &opened.key, opened.table.file(), rows)?
        {
            self.still_the_same(&opened)?;
            return sink.end(resource, end_of(rows, false));
        }
        sink.begin(resource, columns, &opened.key)?;
        let mut rows = 0;
        let mut written = WrittenRows { resource, ..WrittenRows::default() };
        let passed = opened.table.try_for_each(|row| {
            rows += 1;
            // Most rows stand in the file as a snapshot has them; lists may have to be sorted.
            if let Some(record) = row.as_written() {
                return written.push(record, sink).map_err(Broken::Sink);
            }
            written.pass_on(sink).map_err(Broken::Sink)?;
            let lists: Vec<Option<String>> = (0..columns.len()).map(|position| canonical(row.cell(position))).collect();
            let cells: Vec<&str> =
                lists.iter().enumerate().map(|(at, list)| list.as_deref().unwrap_or(row.cell(at))).collect();
            sink.row(resource, &cells).map_err(Broken::Sink)
        });
        match passed.and_then(|()| written.pass_on(sink).map_err(Broken::Sink)) {
            Ok(()) => self.still_the_same(&opened)?,
            Err(Broken::Sink(error)) => return Err(error),
            Err(Broken::File(error)) => return Err(ExportError::System(self.unreadable(&error))),
        }
        let ends_open = opened.ends_open().map_err(|error| ExportError::System(self.unreadable(&error)))?;
        sink.end(resource, end_of(rows, ends_open))
    }

    /// What is wrong with a file that lacks columns that are to be `read`: all of them are named.
    pub(super) fn no_columns(&self, resource: &str, columns: &[String], read: &[String]) -> Option<Failure> {
        let missing = read.iter().filter(|column| !columns.contains(column));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        (!missing.is_empty()).then(|| self.without(resource, &missing, columns, read))
    }

    /// A file without these columns. A name is suggested only where it can be a slip of the pen, and is not `read` for
    /// something else already.
    fn without(&self, resource: &str, missing: &[&str], columns: &[String], read: &[String]) -> Failure {
        let slip = |missing: &str| {
            let wanted = missing.to_lowercase();
            columns
                .iter()
                .filter(|column| !read.contains(column))
                .map(|column| (strsim::damerau_levenshtein(&wanted, &column.to_lowercase()), column))
                .filter(|(edits, column)| edits * 3 <= missing.chars().count().max(column.chars().count()))
                .min()
                .map(|(_, near)| near)
        };
        let slips: Vec<(&str, &String)> = missing.iter().filter_map(|name| Some((*name, slip(name)?))).collect();
        let add = match missing {
            [_] => "add the column to the file, or take it out of the job",
            _ => "add the columns to the file, or take them out of the job",
        };
        let remedy = match slips.as_slice() {
            [] => add.to_owned(),
            [(_, near)] if missing.len() == 1 => format!("did you mean `{near}`? else {add}"),
            slips => {
                let meant: Vec<String> = slips.iter().map(|(name, near)| format!("`{near}` for `{name}`")).collect();
                format!("did you mean {}? else {add}", meant.join(", "))
            }
        };
        let named: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        self.failure(
            Class::Configuration,
            format!(
                "{resource}.csv in {} has no {} {}; it has: {}",
                self.folder.display(),
                if missing.len() == 1 { "column" } else { "columns" },
                named.join(", "),
                columns.join(", ")
            ),
            remedy,
        )
    }

    pub(super) fn get_row(&self, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
        if id.is_empty() {
            return Ok(None);
        }
        let opened = self.open(resource)?;
        let mut found = None;
        self.pass(&opened, |row| {
            if found.is_none() && opened.table.key_of(row) == id {
                found = Some(object(&opened, row));
            }
        })?;
        Ok(found)
    }

    pub(super) fn find_rows(&self, resource: &str, attribute: &str, value: &str) -> Result<Vec<Object>, Failure> {
        let opened = self.open(resource)?;
        let Some(column) = opened.table.column(attribute) else {
            return Err(self.without(resource, &[attribute], opened.table.columns(), &[]));
        };
        let mut found = Vec::new();
        if value.is_empty() {
            return Ok(found);
        }
        self.pass(&opened, |row| {
            let is_it = match Value::from_cell(row.cell(column)) {
                Some(Value::Text(text)) => text == value,
                Some(Value::Many(values)) => values.iter().any(|one| one == value),
                None => false,
            };
            if is_it {
                found.push(object(&opened, row));
            }
        })?;
        Ok(found)
    }

    pub(super) fn holds_rows(&self, resource: &str, rows: &[BTreeMap<String, String>]) -> Result<Vec<bool>, Failure> {
        let opened = self.open(resource)?;
        let mut wanted = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(row.len());
            for (end, id) in row {
                let Some(column) = opened.table.column(end) else {
                    return Err(self.without(resource, &[end], opened.table.columns(), &[]));
                };
                cells.push((column, id.as_str()));
            }
            wanted.push(cells);
        }
        let mut answers = vec![false; rows.len()];
        self.pass(&opened, |row| {
            for (cells, answer) in wanted.iter().zip(&mut answers) {
                *answer |= !cells.is_empty() && cells.iter().all(|(column, id)| row.cell(*column) == *id);
            }
        })?;
        Ok(answers)
    }

    /// The ids at the other end of the rows that have `id` at `end`, sorted.
    pub(super) fn member_ids(&self, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
        let opened = self.open(resource)?;
        let Some(column) = opened.table.column(end) else {
            return Err(self.without(resource, &[end], opened.table.columns(), &[]));
        };
        let ends = self.config.ends.get(resource);
        let others = opened.table.key_columns().iter().copied().filter(|other| *other != column);
        let named = ends.into_iter().flatten().filter_map(|(name, _)| opened.table.column(name));
        let other = named.chain(others).find(|other| *other != column);
        let mut found = BTreeSet::new();
        self.pass(&opened, |row| {
            if let Some(other) = other
                && row.cell(column) == id
            {
                found.insert(row.cell(other).to_owned());
            }
        })?;
        Ok(found.into_iter().collect())
    }

    fn pass(&self, opened: &Opened, each: impl FnMut(&crate::snapshot::row::Row<'_>)) -> Result<(), Failure> {
        opened.table.for_each(each).map_err(|error| self.unreadable(&error))?;
        self.still_the_same(opened)
    }
}
