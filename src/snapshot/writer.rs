//! Writing a snapshot file while its rows arrive.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::error::SnapshotError;
use super::hashing::Hashing;
use super::record::RECORD_LIMIT;
use super::table::COLUMN_LIMIT;
use crate::disk::DiskError;
use crate::disk::atomic::AtomicFile;
use crate::model::digest::Digest;
use crate::model::numbers::counted;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Writes rows to `<file>.partial`; `finish` gives the file its name, dropping the writer removes it.
#[derive(Debug)]
pub struct Writer {
    file: AtomicFile,
    buffer: Vec<u8>,
    hashing: Hashing,
    columns: Vec<String>,
    key: Vec<String>,
    rows: u64,
    bytes: u64,
}

/// A finished snapshot file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Rows, without the header.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

impl Writer {
    /// Begins a file with its header. `key` names columns that must be among `columns`.
    pub fn create(path: &Path, columns: &[String], key: &[String]) -> Result<Self, SnapshotError> {
        let problems = header_problems(columns, key);
        if !problems.is_empty() {
            return Err(SnapshotError::Header { path: path.to_owned(), problems });
        }
        let mut writer = Self {
            file: AtomicFile::create(path)?,
            buffer: Vec::with_capacity(BUFFER + (8 << 10)),
            hashing: Hashing::default(),
            columns: columns.to_vec(),
            key: key.to_vec(),
            rows: 0,
            bytes: 0,
        };
        let header: Vec<&str> = columns.iter().map(String::as_str).collect();
        writer.record(&header)?;
        Ok(writer)
    }

    /// The names of the columns, in the order in which rows give their cells.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The names of the key's columns.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// One row; a cell for every column, empty = absent.
    pub fn row(&mut self, cells: &[&str]) -> Result<(), SnapshotError> {
        if cells.len() != self.columns.len() {
            let cause = format!(
                "has {}, the file has {}",
                counted(cells.len() as u64, "cell"),
                counted(self.columns.len() as u64, "column")
            );
            return Err(self.refusal(cause));
        }
        if let Some(i) = cells.iter().position(|cell| memchr::memchr(0, cell.as_bytes()).is_some()) {
            return Err(self.refusal(format!("has a NUL byte in column `{}`", self.columns[i])));
        }
        self.record(cells)?;
        self.rows += 1;
        Ok(())
    }

    /// So many rows that are written already, each as [`super::row::Row::as_written`] gives it and with its line feed.
    pub fn written_rows(&mut self, records: &str, rows: u64) -> Result<(), SnapshotError> {
        if self.buffer.len() + records.len() <= BUFFER / 2 {
            self.buffer.extend_from_slice(records.as_bytes());
        } else {
            self.flush()?;
            self.write(records.as_bytes())?;
        }
        self.rows += rows;
        Ok(())
    }

    /// All rows of another file, which is to the byte what is written of these columns and so many rows.
    pub fn copied_rows(&mut self, file: &File, rows: u64) -> Result<(), SnapshotError> {
        self.flush()?;
        let mut piece = vec![0; BUFFER];
        loop {
            match file.read_at(&mut piece, self.bytes) {
                Ok(0) => break,
                Ok(bytes) => self.write(&piece[..bytes])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(DiskError::of("copy rows to", self.file.path())(error).into()),
            }
        }
        self.rows += rows;
        Ok(())
    }

    /// Syncs the file and gives it its name.
    pub fn finish(mut self) -> Result<Written, SnapshotError> {
        self.flush()?;
        let sha256 = self.hashing.finish();
        self.file.commit()?;
        Ok(Written { rows: self.rows, bytes: self.bytes, sha256 })
    }

    fn record(&mut self, cells: &[&str]) -> Result<(), SnapshotError> {
        let begin = self.buffer.len();
        push_cells(&mut self.buffer, cells.iter().copied());
        self.end_record(begin)
    }

    /// Ends the record that begins at `begin` of the buffer.
    fn end_record(&mut self, begin: usize) -> Result<(), SnapshotError> {
        self.buffer.push(b'\n');
        if (self.buffer.len() - begin) as u64 > RECORD_LIMIT {
            self.buffer.truncate(begin);
            return Err(self.refusal("is over 16 MiB".to_owned()));
        }
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.hashing.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes).map_err(DiskError::of("write", self.file.path()))?)
    }

    fn refusal(&self, cause: String) -> SnapshotError {
        SnapshotError::Row { path: self.file.path().to_owned(), row: self.rows + 2, cause }
    }
}

/// Appends a record, without its line end.
pub(super) fn push_cells<'c>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'c str>) {
    let begin = out.len();
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_cell(out, cell);
    }
    // An empty line would be no row at all.
    if out.len() == begin {
        out.extend_from_slice(b"\"\"");
    }
}

/// Appends a cell as RFC 4180 writes it, with quotes only where they are needed.
pub(super) fn push_cell(out: &mut Vec<u8>, cell: &str) {
    let bytes = cell.as_bytes();
    if !needs_quotes(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    let mut rest = bytes;
    while let Some(i) = memchr::memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=i]);
        out.push(b'"');
        rest = &rest[i + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Whether a cell must be written in quotes.
#[inline]
pub(super) fn needs_quotes(cell: &[u8]) -> bool {
    let (words, rest) = cell.as_chunks::<8>();
    // The last bytes, some of them for the second time.
    let last = match cell.last_chunk::<8>() {
        Some(last) => *last,
        None => {
            let mut last = [b' '; 8];
            last[..rest.len()].copy_from_slice(rest);
            last
        }
    };
    words.iter().any(has_structure) || has_structure(&last)
}

/// Whether one of eight bytes is a quote, a comma, or part of a line end.
#[inline]
fn has_structure(bytes: &[u8; 8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = LOW << 7;
    let word = u64::from_ne_bytes(*bytes);
    // The lowest zero byte is marked rightly, others may be marked that are none: here it only counts whether any is.
    let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let equal = |byte: u8| zero(word ^ (LOW * u64::from(byte)));
    equal(b'"') | equal(b',') | equal(b'\n') | equal(b'\r') != 0
}

fn header_problems(columns: &[String], key: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    if columns.is_empty() || columns.len() > COLUMN_LIMIT {
        problems.push(format!("a snapshot has 1 to {COLUMN_LIMIT} columns, not {}", columns.len()));
    }
    for (i, name) in columns.iter().enumerate() {
        if name.is_empty() || name.contains('\0') {
            problems.push(format!("column {} has no usable name", i + 1));
        } else if columns[..i].contains(name) {
            problems.push(format!("`{name}` is the name of two columns"));
        }
    }
    for name in key.iter().filter(|name| !columns.contains(name)) {
        problems.push(format!("the key column `{name}` is not among the columns"));
    }
    problems
}
