//! Reads a file byte by byte to say what is wrong with it. Slow and careful, where `record` is fast and only says that
//! something is; both have the same idea of what is right.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::error::{Problem, Problems, SnapshotError};
use super::record::RECORD_LIMIT;
use crate::model::numbers::counted;

/// One record, read with care.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Cells without quotes.
    pub(super) cells: Vec<Vec<u8>>,
    /// Its number from 1, empty lines counted.
    pub(super) row: u64,
    /// The line of the file on which each cell begins.
    pub(super) lines: Vec<u64>,
    /// Where the record after it begins.
    pub(super) end: u64,
    /// What is wrong with it: the cell's position, line, cause.
    pub(super) problems: Vec<(usize, u64, String)>,
    /// It has a cell in quotes.
    quoted: bool,
    /// It is too long to go on.
    pub(super) endless: bool,
}

impl Record {
    fn begin_cell(&mut self, line: u64) {
        self.cells.push(Vec::new());
        self.lines.push(line);
    }

    fn push(&mut self, byte: u8) {
        if let Some(cell) = self.cells.last_mut() {
            cell.push(byte);
        }
    }

    fn problem(&mut self, line: u64, cause: &str) {
        let cell = self.cells.len().saturating_sub(1);
        if !self.problems.iter().any(|(c, _, text)| *c == cell && text == cause) {
            self.problems.push((cell, line, cause.to_owned()));
        }
    }
}

/// Reads records with care.
pub(super) struct Careful<R> {
    input: R,
    offset: u64,
    row: u64,
    line: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Plain,
    Quoted,
    Closed,
}

/// Reads a file from its start by position, so that other readers are not disturbed.
pub(super) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(bytes, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// A careful reader over a whole file, behind its byte order mark.
pub(super) fn careful(file: &File) -> io::Result<Careful<BufReader<FromStart<'_>>>> {
    let mut mark = [0u8; 3];
    let marked = file.read_at(&mut mark, 0)? == 3 && mark == *b"\xef\xbb\xbf";
    let offset = if marked { 3 } else { 0 };
    let input = BufReader::with_capacity(64 << 10, FromStart { file, offset });
    Ok(Careful { input, offset, row: 0, line: 1 })
}

impl<R: BufRead> Careful<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn take(&mut self) {
        self.input.consume(1);
        self.offset += 1;
    }

    /// The next record, or `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        self.row += 1;
        let begin = self.offset;
        let mut opened = self.line;
        let mut record = Record { row: self.row, ..Record::default() };
        record.begin_cell(self.line);
        let mut state = State::Start;
        while let Some(byte) = self.peek()? {
            self.take();
            match (byte, state) {
                (b'"', State::Start) => {
                    state = State::Quoted;
                    record.quoted = true;
                    opened = self.line;
                }
                (b'"', State::Quoted) => state = State::Closed,
                (b'"', State::Closed) => {
                    record.push(byte);
                    state = State::Quoted;
                }
                (b'"', State::Plain) => {
                    record.push(byte);
                    record.problem(
                        self.line,
                        "a quote inside a cell that does not begin with one; put the whole cell in quotes and double those inside",
                    );
                }
                (b'\n', State::Quoted) => {
                    self.line += 1;
                    record.push(byte);
                }
                (_, State::Quoted) => record.push(byte),
                (b',', _) => {
                    record.begin_cell(self.line);
                    state = State::Start;
                }
                (b'\n', _) => {
                    self.line += 1;
                    break;
                }
                (b'\r', _) if self.peek()? == Some(b'\n') => {}
                (b'\r', _) => {
                    record.problem(
                        self.line,
                        "a carriage return without a line feed outside quotes; write line ends as LF or CR LF",
                    );
                    record.push(byte);
                }
                (_, State::Closed) => {
                    record.problem(self.line, "text after the closing quote; double the quotes inside a quoted cell");
                    record.push(byte);
                    state = State::Plain;
                }
                (_, _) => {
                    record.push(byte);
                    state = State::Plain;
                }
            }
            if byte == 0 {
                record.problem(self.line, "a NUL byte; the file is damaged or is not text");
            }
            if self.offset - begin > RECORD_LIMIT {
                break;
            }
        }
        if self.offset - begin > RECORD_LIMIT {
            record.endless = true;
            record.problem(opened, "the row is over 16 MiB; perhaps a quote before it is never closed");
        }
        if state == State::Quoted && !record.endless {
            record.problem(opened, "the quote that opens this cell is never closed");
        }
        for i in 0..record.cells.len() {
            if !record.endless
                && let Err(error) = std::str::from_utf8(&record.cells[i])
            {
                let at = error.valid_up_to();
                let cause = format!(
                    "the bytes are not UTF-8 (first bad one: 0x{:02x}, after {at} bytes of the cell); save the file as UTF-8",
                    record.cells[i].get(at).copied().unwrap_or_default()
                );
                record.problems.push((i, record.lines[i], cause));
            }
        }
        record.end = self.offset;
        Ok(Some(record))
    }
}

/// Whether a record is an empty line, which is no row.
fn is_blank(record: &Record) -> bool {
    record.cells.len() == 1 && record.cells[0].is_empty() && !record.quoted && record.problems.is_empty()
}

/// Says what is wrong with the rows of a file.
pub(super) fn explain(file: &File, path: &Path) -> SnapshotError {
    match find(file) {
        Ok(problems) if problems.count == 0 => SnapshotError::Changed(path.to_owned()),
        Ok(problems) => SnapshotError::Malformed { path: path.to_owned(), problems },
        Err(error) => SnapshotError::reading(path)(error),
    }
}

fn find(file: &File) -> io::Result<Problems> {
    let mut problems = Problems::default();
    let mut reader = careful(file)?;
    let mut header: Option<Vec<String>> = None;
    while let Some(record) = reader.next()? {
        if header.is_none() || !is_blank(&record) {
            let names = header.get_or_insert_with(|| {
                record.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
            });
            for (cell, line, cause) in &record.problems {
                problems.add(|| Problem {
                    row: record.row,
                    line: *line,
                    column: column_name(names, *cell),
                    cause: cause.clone(),
                });
            }
            let (has, needs) = (record.cells.len(), names.len());
            if has != needs && !record.endless {
                problems.add(|| Problem {
                    row: record.row,
                    line: record.lines.first().copied().unwrap_or_default(),
                    column: column_name(names, has.min(needs).saturating_sub(usize::from(has < needs))),
                    cause: format!(
                        "the row has {}, the header has {}",
                        counted(has as u64, "cell"),
                        counted(needs as u64, "column")
                    ),
                });
            }
            if record.endless {
                break;
            }
        }
    }
    Ok(problems)
}

/// `7 (title)`, or `15` where the header has no such column.
fn column_name(names: &[String], cell: usize) -> String {
    match names.get(cell) {
        Some(name) => format!("{} ({})", cell + 1, name.escape_debug()),
        None => (cell + 1).to_string(),
    }
}
