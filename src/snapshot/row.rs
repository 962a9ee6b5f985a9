//! One row of a snapshot, as rules and comparisons see it.

use std::cell::OnceCell;

use super::record::NEEDED;
use super::writer::needs_quotes;

/// Where a record begins in its file, and how many bytes it has (line end included).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
}

impl Place {
    /// 40 bits of offset, 24 bits of length. Offsets are below 1 TiB, which `digests` makes sure of.
    pub(super) fn packed(self) -> u64 {
        self.offset << 24 | u64::from(self.length)
    }

    /// A place that was packed.
    pub(super) fn of_packed(packed: u64) -> Self {
        Self { offset: packed >> 24, length: (packed & 0xff_ffff) as u32 }
    }
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
    pub(super) unescaped: &'a Unescaped,
    /// Whether `text` has a bracket anywhere; found out when it is first asked for.
    pub(super) brackets: &'a OnceCell<bool>,
    /// Where in `text` every cell but the last ends.
    pub(super) separators: &'a [u32],
    /// Where the record begins and ends in `text`, without its line end.
    pub(super) record: (u32, u32),
    /// The columns of cells with quotes, counted from the text's first cell, and whether these are known to be `NEEDED`.
    pub(super) quoted: &'a [u32],
    /// The first column, counted the same way.
    pub(super) first: u32,
    pub(super) place: Place,
}

impl<'a> Row<'a> {
    /// Where the row is in its file; `Table::fetch` finds it again.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The record as it stands in the file, without its line end.
    #[inline]
    pub(super) fn raw(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.record.0 as usize..self.record.1 as usize).unwrap_or(&[])
    }

    /// Whether a cell begins as a list does. Most files have none: one search through the whole text shows it.
    #[inline]
    pub(super) fn has_list(&self) -> bool {
        *self.brackets.get_or_init(|| memchr::memchr(b'[', self.text.as_bytes()).is_some())
            && memchr::memchr(b'[', self.raw()).is_some()
            && self.cells().any(|cell| cell.as_bytes().first() == Some(&b'['))
    }

    /// The record without its line end, where the file has it as a snapshot is written: quotes around the cells that need
    /// them and around no other, and no list.
    #[inline]
    pub fn as_written(&self) -> Option<&'a str> {
        let raw = self.text.get(self.record.0 as usize..self.record.1 as usize).unwrap_or("");
        let is_written =
            memchr::memchr2(b'\r', b'[', raw.as_bytes()).is_none() && self.doubtful_insides().all(needs_quotes);
        is_written.then_some(raw)
    }

    /// Every cell, in the file's order.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.width()).map(|column| self.cell(column))
    }

    /// Adds one to the count of each column whose cell is empty.
    pub(super) fn count_empty(&self, counts: &mut [u64]) {
        if !self.quoted.is_empty() {
            for (count, cell) in counts.iter_mut().zip(self.cells()) {
                *count += u64::from(cell.is_empty());
            }
            return;
        }
        let mut begin = self.record.0;
        for (count, end) in counts.iter_mut().zip(self.separators.iter().copied().chain([self.record.1])) {
            *count += u64::from(end == begin);
            begin = end.wrapping_add(1);
        }
    }

    /// What stands between the quotes of each cell that was written with them and is not known to need them; doubled
    /// quotes as they are.
    #[inline]
    pub(super) fn doubtful_insides(&self) -> impl Iterator<Item = &'a [u8]> {
        self.quoted.iter().filter(|at| **at & NEEDED == 0).map(|at| {
            let (begin, end) = self.extent((at - self.first) as usize);
            self.text.as_bytes().get(begin + 1..end.saturating_sub(1)).unwrap_or(&[])
        })
    }

    fn width(&self) -> usize {
        self.separators.len() + 1
    }

    /// Where in `text` a cell begins and ends; nowhere, where the row is shorter.
    #[inline]
    fn extent(&self, column: usize) -> (usize, usize) {
        let begin = match column.checked_sub(1).map(|before| self.separators.get(before)) {
            None => self.record.0,
            Some(Some(before)) => before + 1,
            Some(None) => return (0, 0),
        };
        let end = self.separators.get(column).copied().unwrap_or(self.record.1);
        (begin as usize, end as usize)
    }

    /// A cell as it stands in the file.
    #[inline]
    fn raw_cell(&self, column: usize) -> &'a str {
        let (begin, end) = self.extent(column);
        self.text.get(begin..end).unwrap_or("")
    }

    fn unquoted(&self, column: usize, raw: &'a str) -> &'a str {
        let plain = || raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
        self.unescaped.cell(column).unwrap_or_else(plain)
    }
}

impl Cells for Row<'_> {
    #[inline]
    fn cell(&self, column: usize) -> &str {
        let raw = self.raw_cell(column);
        if self.quoted.is_empty() || raw.as_bytes().first() != Some(&b'"') { raw } else { self.unquoted(column, raw) }
    }
}

/// The cells of one row that had doubled quotes, with single ones.
#[derive(Debug, Default)]
pub(super) struct Unescaped {
    text: String,
    /// Column, and where its cell is in `text`.
    cells: Vec<(usize, std::ops::Range<usize>)>,
}

impl Unescaped {
    /// That of a row without doubled quotes.
    pub(super) const fn none() -> &'static Self {
        const { &Self { text: String::new(), cells: Vec::new() } }
    }

    /// Takes the cells of a row that have doubled quotes: their columns, counted as `Row::quoted` is.
    pub(super) fn fill(&mut self, row: &Row<'_>, doubled: &[u32]) {
        self.text.clear();
        self.cells.clear();
        for cells in doubled.chunk_by(|a, b| a == b) {
            let column = (cells[0] - row.first) as usize;
            let raw = row.raw_cell(column);
            let mut rest = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
            let start = self.text.len();
            // Quotes inside are doubled: the first of each pair is kept.
            while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
                let (before, after) = rest.split_at(at + 1);
                self.text.push_str(before);
                rest = after.strip_prefix('"').unwrap_or(after);
            }
            self.text.push_str(rest);
            self.cells.push((column, start..self.text.len()));
        }
    }

    fn cell(&self, column: usize) -> Option<&str> {
        let (_, place) = self.cells.iter().find(|(of, _)| *of == column)?;
        self.text.get(place.clone())
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
        let mut ends = Vec::with_capacity(row.width());
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
