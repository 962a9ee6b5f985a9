//! Reading a snapshot file: its header at once, its rows in parallel, one after the other, or one by its place.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::chunks::Body;
pub use super::chunks::Tuning;
use super::error::SnapshotError;
use super::markup::{HEAD, is_markup};
pub use super::mask::Twin;
use super::problems;
use super::record::{Fields, RECORD_LIMIT};
use super::row::{Cells, OwnedRow, Place, Row};
use super::stream::read_exact_at;
use crate::disk::DiskError;

/// The most columns that a file may have.
pub const COLUMN_LIMIT: usize = 4_096;

/// Bytes that are read of a row whose length is not known; most have fewer.
const GUESS: usize = 512;

/// Bytes that are read at once where rows near each other are wanted.
const NEAR: usize = 64 << 10;

/// Stands between the cells of a key of several columns.
pub const KEY_JOINT: char = '\u{1f}';

/// A snapshot file that was opened; its rows stay on disk.
#[derive(Debug)]
pub struct Table {
    file: File,
    path: PathBuf,
    columns: Vec<String>,
    key: Vec<usize>,
    start: u64,
    length: u64,
    tuning: Tuning,
}

/// Where a row is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The row as spreadsheets count: the header is row 1.
    pub row: u64,
    /// The line of the file on which it begins, from 1.
    pub line: u64,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.row == self.line {
            write!(f, "row {}", self.row)
        } else {
            write!(f, "row {} (line {})", self.row, self.line)
        }
    }
}

impl Table {
    /// Opens a file and reads its header; every problem of the header is reported at once.
    ///
    /// `key` names the columns that identify a row.
    pub fn open(path: &Path, key: &[String]) -> Result<Self, SnapshotError> {
        Self::from_file(File::open(path).map_err(DiskError::of("open", path))?, path, key)
    }

    /// The same for a file that is open: it is read by position, from its first byte, and needs no name on the disk.
    /// `path` is what messages call it.
    pub fn from_file(file: File, path: &Path, key: &[String]) -> Result<Self, SnapshotError> {
        let details = file.metadata().map_err(SnapshotError::reading(path))?;
        if details.is_dir() {
            let folder = std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder, not a file");
            return Err(DiskError::of("open", path)(folder).into());
        }
        let length = details.len();
        let mut head = [0u8; HEAD];
        let read = file.read_at(&mut head, 0).map_err(SnapshotError::reading(path))?;
        let bad = |problems: Vec<String>| SnapshotError::Header { path: path.to_owned(), problems };
        if matches!(&head[..read.min(2)], b"\xff\xfe" | b"\xfe\xff") {
            return Err(bad(vec!["the file is UTF-16; save it as UTF-8".into()]));
        }
        if is_markup(&head[..read]) {
            return Err(bad(vec!["the file is no CSV: a web page was saved in its place".into()]));
        }
        let mut reader = problems::careful(&file).map_err(SnapshotError::reading(path))?;
        let Some(header) = reader.next().map_err(SnapshotError::reading(path))? else {
            return Err(SnapshotError::Empty(path.to_owned()));
        };
        let (columns, mut found) = check_header(&header);
        let mut places = Vec::with_capacity(key.len());
        for name in key {
            match columns.iter().position(|column| column == name) {
                Some(place) => places.push(place),
                // A header that cannot be read would only repeat itself here.
                None if !header.problems.is_empty() => {}
                None => {
                    found.push(format!("the key column `{name}` is not in the header; it has {}", some_of(&columns)))
                }
            }
        }
        if !found.is_empty() {
            return Err(bad(found));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            columns,
            key: places,
            start: header.end,
            length,
            tuning: Tuning::default(),
        })
    }

    /// The same table, read in another way: for tests and measurements.
    pub fn tuned(self, tuning: Tuning) -> Self {
        Self { tuning, ..self }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The names of the columns, as in the file.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// The positions of the key's columns, in the key's order.
    pub fn key_columns(&self) -> &[usize] {
        &self.key
    }

    /// The file's bytes.
    pub fn bytes(&self) -> u64 {
        self.length
    }

    /// A row's key: the cell of a single key column; those of several, joined by U+001F.
    pub fn key_of(&self, row: &dyn Cells) -> String {
        let mut key = String::new();
        self.push_key(row, &mut key);
        key
    }

    /// Appends a row's key, as `key_of` gives it.
    pub(super) fn push_key(&self, row: &dyn Cells, out: &mut String) {
        for (i, column) in self.key.iter().enumerate() {
            if i > 0 {
                out.push(KEY_JOINT);
            }
            out.push_str(row.cell(*column));
        }
    }

    /// Something of every row, computed on all cores, in file order.
    ///
    /// `f` may be called with what merely looks like rows (text inside quotes, on a wrong guess of where a row
    /// begins); what it returns for them is thrown away. It must therefore have no effect but its value.
    pub fn par_map<T: Send>(&self, f: impl Fn(&Row<'_>) -> T + Sync) -> Result<Vec<T>, SnapshotError> {
        let chunks = self.par_fold(Vec::new, |values, row| values.push(f(row)))?;
        let mut all = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
        for mut chunk in chunks {
            all.append(&mut chunk);
        }
        Ok(all)
    }

    /// Gathers over the rows of each chunk of the file, on all cores; the gatherings are in file order. How the file
    /// is cut depends on the number of threads. For `step` holds what `par_map` says of `f`.
    pub fn par_fold<A: Send>(
        &self,
        new: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &Row<'_>) + Sync,
    ) -> Result<Vec<A>, SnapshotError> {
        self.body().par_fold(new, step, |gathered| gathered)
    }

    /// About how many rows there are, judged by the first of them; good enough to choose sizes by.
    pub(super) fn estimated_rows(&self) -> Result<u64, SnapshotError> {
        let body = self.length - self.start;
        let mut sample = vec![0; body.min(64 << 10) as usize];
        read_exact_at(&self.file, &mut sample, self.start).map_err(|stop| self.body().explain(stop))?;
        let rows = memchr::memchr_iter(b'\n', &sample).count().max(1) as u64;
        Ok(body * rows / (sample.len() as u64).max(1))
    }

    /// Every row, one after the other; memory does not grow with the file.
    pub fn for_each(&self, mut each: impl FnMut(&Row<'_>)) -> Result<(), SnapshotError> {
        self.body().for_each(&mut each)
    }

    /// Every row, one after the other, until one is refused.
    pub fn try_for_each<E: From<SnapshotError>>(
        &self,
        mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut refused = None;
        self.body().for_each(&mut |row| {
            if refused.is_none() {
                refused = each(row).err();
            }
        })?;
        refused.map_or(Ok(()), Err)
    }

    /// The row at a place that a pass over this table gave.
    pub fn fetch(&self, place: Place) -> Result<OwnedRow, SnapshotError> {
        let row = self.fetch_by(place.offset, place.length as usize, &mut Fetch::default(), OwnedRow::of)?;
        if row.place() == place { Ok(row) } else { Err(SnapshotError::Changed(self.path.clone())) }
    }

    /// Something of the row at a place, as [`Table::fetch`] gives it, without keeping the row. Rows that lie near the
    /// one before cost no reading.
    pub fn fetch_near<T>(
        &self,
        place: Place,
        near: &mut Near,
        each: impl FnOnce(&dyn Cells) -> T,
    ) -> Result<T, SnapshotError> {
        let changed = || SnapshotError::Changed(self.path.clone());
        let (length, end) = (place.length as usize, place.offset.saturating_add(u64::from(place.length)));
        if place.offset < self.start || end > self.length {
            return Err(changed());
        }
        if place.offset < near.offset || end > near.offset + near.bytes.len() as u64 {
            near.bytes.resize((self.length - place.offset).min(NEAR.max(length) as u64) as usize, 0);
            near.offset = place.offset;
            if let Err(stop) = read_exact_at(&self.file, &mut near.bytes, place.offset) {
                near.bytes.clear();
                return Err(self.body().explain(stop));
            }
        }
        let bytes = &near.bytes[(place.offset - near.offset) as usize..][..length];
        if bytes.last() != Some(&b'\n') {
            return self.fetch(place).map(|row| each(&row));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| changed())?;
        let (mut each, mut found) = (Some(each), None);
        let at = self.body().extent(place.offset, place.offset + 1);
        let progress = near.fields.rows(text, at, &mut |row| {
            found = each.take().filter(|_| row.place() == place).map(|each| each(row));
        });
        match (progress, found) {
            (Ok(_), Some(found)) => Ok(found),
            _ => Err(changed()),
        }
    }

    /// Something of the row that begins at an offset, without keeping the row.
    pub(super) fn with_row<T>(
        &self,
        offset: u64,
        fetch: &mut Fetch,
        each: impl FnOnce(&Row<'_>) -> T,
    ) -> Result<T, SnapshotError> {
        self.fetch_by(offset, GUESS, fetch, each)
    }

    /// The same with so many bytes read first, and more where the row has more.
    fn fetch_by<T>(
        &self,
        offset: u64,
        mut length: usize,
        fetch: &mut Fetch,
        each: impl FnOnce(&Row<'_>) -> T,
    ) -> Result<T, SnapshotError> {
        let changed = || SnapshotError::Changed(self.path.clone());
        if offset < self.start || offset >= self.length {
            return Err(changed());
        }
        let left = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        let at = self.body().extent(offset, offset + 1);
        let (mut each, mut found) = (Some(each), None);
        loop {
            length = length.min(left);
            fetch.bytes.resize(length, 0);
            read_exact_at(&self.file, &mut fetch.bytes, offset).map_err(|stop| self.body().explain(stop))?;
            if length == left && fetch.bytes.last() != Some(&b'\n') {
                fetch.bytes.push(b'\n');
            }
            let whole = memchr::memrchr(b'\n', &fetch.bytes).map_or(0, |end| end + 1);
            let text = std::str::from_utf8(&fetch.bytes[..whole]).map_err(|_| changed())?;
            let progress = fetch.fields.rows(text, at, &mut |row| found = each.take().map(|each| each(row)));
            match (progress, found) {
                (Ok(_), Some(found)) => return Ok(found),
                (Ok(progress), None) if progress.consumed == 0 && length < left && length as u64 <= RECORD_LIMIT => {
                    (length, found) = (length.saturating_mul(4), None);
                }
                _ => return Err(changed()),
            }
        }
    }

    /// The row and line of a place, for messages; reads the file up to it.
    pub fn line_of(&self, place: Place) -> Result<Line, SnapshotError> {
        Ok(self.lines_of(&[place])?.first().copied().unwrap_or(Line { row: 0, line: 0 }))
    }

    /// The rows and lines of several places, in their order; reads the file once, up to the last of them.
    pub fn lines_of(&self, places: &[Place]) -> Result<Vec<Line>, SnapshotError> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|i| places[*i].offset);
        let mut lines = vec![Line { row: 0, line: 0 }; places.len()];
        let mut reader = LineCount { at: 0, here: Line { row: 1, line: 1 }, inside: false };
        let mut buffer = vec![0; 256 << 10];
        for i in order {
            while reader.at < places[i].offset {
                let want = (places[i].offset - reader.at).min(buffer.len() as u64) as usize;
                read_exact_at(&self.file, &mut buffer[..want], reader.at).map_err(|s| self.body().explain(s))?;
                reader.pass(&buffer[..want]);
            }
            lines[i] = reader.here;
        }
        Ok(lines)
    }

    pub(super) fn body(&self) -> Body<'_> {
        Body {
            file: &self.file,
            path: &self.path,
            start: self.start,
            length: self.length,
            columns: self.columns.len(),
            tuning: self.tuning,
        }
    }
}

/// Buffers for rows fetched one after the other.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    bytes: Vec<u8>,
    fields: Fields,
}

/// What was read around the row that was fetched last.
#[derive(Debug, Default)]
pub struct Near {
    offset: u64,
    bytes: Vec<u8>,
    fields: Fields,
}

/// Counts rows and lines.
struct LineCount {
    at: u64,
    here: Line,
    inside: bool,
}

impl LineCount {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in memchr::memchr2_iter(b'"', b'\n', bytes).map(|i| bytes[i]) {
            if byte == b'"' {
                self.inside = !self.inside;
            } else {
                self.here.line += 1;
                self.here.row += u64::from(!self.inside);
            }
        }
        self.at += bytes.len() as u64;
    }
}

/// The names in a header, and what is wrong with it.
fn check_header(header: &problems::Record) -> (Vec<String>, Vec<String>) {
    let mut found: Vec<String> = Vec::new();
    for (cell, line, cause) in &header.problems {
        found.push(format!("header, line {line}, column {}: {cause}", cell + 1));
    }
    let names: Vec<String> = header.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
    if names.len() > COLUMN_LIMIT {
        found.push(format!(
            "the header has {} columns, the limit is {COLUMN_LIMIT}; is the delimiter a comma?",
            names.len()
        ));
        return (names, found);
    }
    if let [only] = names.as_slice()
        && let Some((_, other)) =
            [(';', "`;`"), ('\t', "a tab"), ('|', "`|`")].into_iter().find(|(c, _)| only.contains(*c))
    {
        found.push(format!("the header has one column, with {other} in it; separate the columns with commas"));
    }
    let mut seen = std::collections::HashMap::new();
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            found.push(format!("column {} of the header has no name; give it one or remove the column", i + 1));
        } else if let Some(first) = seen.insert(name.as_str(), i + 1) {
            found.push(format!("`{name}` is the name of columns {first} and {}; rename or remove one", i + 1));
        }
    }
    (names, found)
}

/// `a`, `b`, `c` … (14 columns)
fn some_of(columns: &[String]) -> String {
    let first: Vec<String> = columns.iter().take(12).map(|c| format!("`{c}`")).collect();
    let rest = columns.len().saturating_sub(first.len());
    if rest == 0 { first.join(", ") } else { format!("{} and {rest} more", first.join(", ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open(bytes: &[u8], key: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bytes).unwrap();
        let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
        let read = || {
            let table = Table::open(&path, &key)?;
            table.par_map(|row| row.cells().map(str::to_owned).collect())
        };
        read().map_err(|e: SnapshotError| e.to_string().replace(&format!("{}: ", path.display()), ""))
    }

    #[test]
    fn a_header_may_have_a_byte_order_mark_and_quotes() {
        assert_eq!(open(b"\xef\xbb\xbf\"id\",\"a,\"\"b\"\"\"\r\n1,2\r\n", &["id", "a,\"b\""]).unwrap(), [["1", "2"]]);
        assert_eq!(open(b"id", &["id"]).unwrap(), Vec::<Vec<String>>::new());
    }

    #[test]
    fn every_problem_of_a_header_is_told_at_once() {
        let error = open(b"a,,b,a\n", &["a", "id"]).unwrap_err();
        let want = "column 2 of the header has no name; give it one or remove the column; \
                    `a` is the name of columns 1 and 4; rename or remove one; \
                    the key column `id` is not in the header; it has `a`, ``, `b`, `a`";
        assert_eq!(error, want);
        assert!(open(b"", &[]).unwrap_err().contains("is empty"));
        assert!(open(b"\xff\xfei\0d\0", &[]).unwrap_err().contains("UTF-16"));
        assert!(open(b"i\0d\n", &[]).unwrap_err().contains("NUL byte"));
        assert!(open(b"id;name\n", &["id"]).unwrap_err().contains("separate the columns with commas"));
        assert!(open("c,".repeat(5_000).as_bytes(), &[]).unwrap_err().contains("5001 columns, the limit is 4096"));
    }

    #[test]
    fn every_problem_of_the_rows_is_told_with_row_line_and_column() {
        let error =
            open(b"id,name\n1,\"two\nlines\"\n2,a\"b\n3,\"c\"d\n4\n\n5,\xff\n6,\0\n7,x,y\n8,\"open\n9,z\n", &["id"]);
        let want = [
            "row 3, line 4, column 2 (name): a quote inside a cell that does not begin with one; put the whole cell in quotes and double those inside",
            "row 4, line 5, column 2 (name): text after the closing quote; double the quotes inside a quoted cell",
            "row 5, line 6, column 1 (id): the row has 1 cell, the header has 2 columns",
            "row 7, line 8, column 2 (name): the bytes are not UTF-8 (first bad one: 0xff, after 0 bytes of the cell); save the file as UTF-8",
            "row 8, line 9, column 2 (name): a NUL byte; the file is damaged or is not text",
            "row 9, line 10, column 3: the row has 3 cells, the header has 2 columns",
            "row 10, line 11, column 2 (name): the quote that opens this cell is never closed",
        ];
        assert_eq!(error.unwrap_err(), want.join("\n  "));
    }

    #[test]
    fn a_long_list_of_problems_is_cut_and_counted() {
        let error = open(format!("id\n{}", "1,2\n".repeat(50)).as_bytes(), &["id"]).unwrap_err();
        assert_eq!(error.lines().count(), 21);
        assert!(error.ends_with("… and 30 more"), "{error}");
    }

    #[test]
    fn a_row_of_16_mib_is_refused_and_a_slightly_shorter_one_read() {
        let cell = "x".repeat(RECORD_LIMIT as usize - 3);
        assert_eq!(open(format!("id,n\n1,{cell}\n2,b\n").as_bytes(), &["id"]).unwrap().len(), 2);
        assert!(open(format!("id,n\n1,{cell}y\n2,b\n").as_bytes(), &["id"]).unwrap_err().contains("over 16 MiB"));
    }
}
