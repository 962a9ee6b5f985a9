//! One row of a snapshot, as rules and comparisons see it.

use super::record::UNESCAPED;

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

/// A row while its file is read in one pass; lives as long as the call that hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The text that the record lies in.
    pub(super) text: &'a str,
    /// Cells that had doubled quotes.
    pub(super) unescaped: &'a str,
    pub(super) spans: &'a [Span],
    /// Where the record begins and ends in `text`, without its line end.
    pub(super) record: (u32, u32),
    /// Whether any cell has quotes.
    pub(super) quoted: bool,
    pub(super) place: Place,
}

/// Where a cell lies, in the text or among the unescaped cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Row<'_> {
    /// Where the row is in its file; `Table::fetch` finds it again.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The record as it stands in the file, without its line end.
    pub(super) fn raw(&self) -> &str {
        self.text.get(self.record.0 as usize..self.record.1 as usize).unwrap_or("")
    }

    /// Every cell, in the file's order.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|span| self.at(*span))
    }

    /// The cells that were written with quotes.
    #[inline]
    pub(super) fn quoted_cells(&self) -> impl Iterator<Item = &str> {
        let spans = if self.quoted { self.spans } else { &[] };
        spans.iter().filter(|span| self.is_quoted(**span)).map(|span| self.at(*span))
    }

    #[inline]
    fn is_quoted(&self, span: Span) -> bool {
        span.start & UNESCAPED != 0
            || (span.start > 0 && self.text.as_bytes().get(span.start as usize - 1) == Some(&b'"'))
    }

    #[inline]
    fn at(&self, span: Span) -> &str {
        let (text, start) = if span.start & UNESCAPED == 0 {
            (self.text, span.start)
        } else {
            (self.unescaped, span.start ^ UNESCAPED)
        };
        text.get(start as usize..span.end as usize).unwrap_or("")
    }
}

impl Cells for Row<'_> {
    #[inline]
    fn cell(&self, column: usize) -> &str {
        self.spans.get(column).map_or("", |span| self.at(*span))
    }
}

/// A row that was fetched, or kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRow {
    /// All cells, one after the other.
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
    place: Place,
}

impl OwnedRow {
    /// Keeps a row.
    pub fn of(row: &Row<'_>) -> Self {
        let mut text = String::with_capacity(row.record.1.saturating_sub(row.record.0) as usize);
        let mut ends = Vec::with_capacity(row.spans.len());
        for cell in row.cells() {
            text.push_str(cell);
            ends.push(text.len() as u32);
        }
        Self { text, ends, place: row.place }
    }

    /// Where the row is in its file.
    pub fn place(&self) -> Place {
        self.place
    }

    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no cells at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl Cells for OwnedRow {
    fn cell(&self, column: usize) -> &str {
        let Some(end) = self.ends.get(column) else { return "" };
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        self.text.get(start as usize..*end as usize).unwrap_or("")
    }
}
