//! One row of a snapshot, as rules and comparisons see it.

/// Where a record begins in its file, and how many bytes it has (line end included).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
}

/// Read access to the cells of one row, unquoted. An empty cell means absent.
pub trait Cells {
    /// The cell in a column, by the column's position in the header; empty where the row is shorter.
    fn cell(&self, column: usize) -> &str;
}

impl Cells for Vec<String> {
    fn cell(&self, column: usize) -> &str {
        self.get(column).map_or("", String::as_str)
    }
}

impl Cells for [&str] {
    fn cell(&self, column: usize) -> &str {
        self.get(column).copied().unwrap_or("")
    }
}
