//! A snapshot with further columns, in memory: what else is known of each row.

use std::fs::File;
use std::io::Write as _;

use rustix::fs::{MemfdFlags, memfd_create};

use super::error::SnapshotError;
use super::row::{Cells, Row};
use super::table::Table;
use super::writer::push_cells;

/// A row with further cells behind its own.
pub struct WideRow<'r> {
    row: &'r dyn Cells,
    columns: usize,
    more: &'r [String],
}

impl<'r> WideRow<'r> {
    /// The row, which has so many columns, and what stands behind them.
    pub fn new(row: &'r dyn Cells, columns: usize, more: &'r [String]) -> Self {
        Self { row, columns, more }
    }
}

impl Cells for WideRow<'_> {
    fn cell(&self, column: usize) -> &str {
        match column.checked_sub(self.columns) {
            None => self.row.cell(column),
            Some(further) => self.more.get(further).map_or("", String::as_str),
        }
    }
}

impl Table {
    /// The same rows, in the same order and on the same lines, with further columns. Messages call it as they call the
    /// file. For `more` holds what [`Table::par_map`] says of its function.
    ///
    /// # Errors
    /// Where the file cannot be read, or memory has no room.
    pub fn widened(
        &self,
        names: &[String],
        more: impl Fn(&Row<'_>) -> Vec<String> + Sync,
    ) -> Result<Table, SnapshotError> {
        let columns = self.columns().len();
        let chunks = self.par_fold(Vec::new, |out: &mut Vec<u8>, row| {
            let more = more(row);
            let wide = WideRow::new(row, columns, &more);
            push_cells(out, (0..columns + names.len()).map(|column| wide.cell(column)));
            out.push(b'\n');
        })?;
        let failed = |error| SnapshotError::reading(self.path())(error);
        let memory = memfd_create("widened", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut file = File::from(memory);
        let mut header = Vec::new();
        push_cells(&mut header, self.columns().iter().chain(names).map(String::as_str));
        header.push(b'\n');
        file.write_all(&header).map_err(failed)?;
        for chunk in chunks {
            file.write_all(&chunk).map_err(failed)?;
        }
        let key: Vec<String> = self.key_columns().iter().map(|column| self.columns()[*column].clone()).collect();
        Table::from_file(file, self.path(), &key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_widened_table_has_the_rows_of_the_file_on_their_lines_and_what_was_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "id,n\n1,\"a\nb\"\n2,\"c,\"\"d\"\"\"\n3,").unwrap();
        let table = Table::open(&path, &["id".to_owned()]).unwrap();
        let wide = table.widened(&["more".to_owned()], |row| vec![format!("[\"{}\"]", row.cell(0))]).unwrap();
        assert_eq!(wide.columns(), ["id", "n", "more"]);
        let rows = wide.par_map(|row| format!("{}|{}|{}", wide.key_of(row), row.cell(1), row.cell(2))).unwrap();
        assert_eq!(rows, ["1|a\nb|[\"1\"]", "2|c,\"d\"|[\"2\"]", "3||[\"3\"]"]);
        let lines = |table: &Table| {
            let places = table.par_map(|row| row.place()).unwrap();
            table.lines_of(&places).unwrap()
        };
        assert_eq!(lines(&wide), lines(&table));
    }
}
