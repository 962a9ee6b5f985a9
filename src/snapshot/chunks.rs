//! All threads' way through a file: chunks that begin at guessed records, and the proof that each guess was right.
//!
//! A chunk begins after the first line feed in it. That is a record's begin unless the line feed lies inside quotes.
//! Each chunk reports where its last record ends, beyond its limit; the next chunk's guess is right exactly if it is
//! the same place. From the file's first record on this proves chunk after chunk; wrong ones are read again.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::error::SnapshotError;
use super::problems;
use super::record::Extent;
use super::row::Row;
use super::stream::{self, Buffers, Stop};

/// Bytes of the smallest chunk.
const SMALLEST: u64 = 1 << 20;
/// Bytes of the largest chunk.
const LARGEST: u64 = 32 << 20;

/// The rows of a file.
pub(super) struct Body<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    /// Where the first row begins.
    pub(super) start: u64,
    /// The file's length.
    pub(super) length: u64,
    /// Cells a row.
    pub(super) columns: usize,
}

/// One chunk as it was read.
struct Read<A> {
    /// Where its first record begins, as guessed; `None` where no line feed is in it.
    begin: Option<u64>,
    /// Where the first record after it begins, and what was gathered; or why it could not be read.
    outcome: Result<(u64, A), Stop>,
}

impl Body<'_> {
    /// Gathers over the rows of each chunk; the gatherings are in file order.
    ///
    /// `step` may also see what looks like rows in a chunk whose guess was wrong; what it gathers from them is
    /// thrown away. It must therefore have no effect but on what it gathers.
    pub(super) fn par_fold<A: Send>(
        &self,
        new: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &Row<'_>) + Sync,
    ) -> Result<Vec<A>, SnapshotError> {
        let threads = rayon::current_num_threads() as u64;
        let bytes = self.length.saturating_sub(self.start);
        let size = (bytes / (threads * 8)).clamp(SMALLEST, LARGEST);
        self.par_fold_by(size, new, step)
    }

    /// The same with a given size of chunks.
    pub(super) fn par_fold_by<A: Send>(
        &self,
        size: u64,
        new: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &Row<'_>) + Sync,
    ) -> Result<Vec<A>, SnapshotError> {
        let count = self.length.saturating_sub(self.start).div_ceil(size);
        let limit = |k: u64| (self.start + (k + 1) * size).min(self.length);
        let pool: Mutex<Vec<Buffers>> = Mutex::default();
        let read = |begin: u64, limit: u64, buffers: &mut Buffers| {
            let mut gathered = new();
            let at = Extent { offset: begin, limit, length: self.length, columns: self.columns };
            let end = stream::rows(self.file, at, buffers, &mut |row| step(&mut gathered, row))?;
            Ok((end, gathered))
        };
        let chunks: Vec<Read<A>> = (0..count as usize)
            .into_par_iter()
            .with_max_len(1)
            .map(|k| {
                let k = k as u64;
                let mut buffers = pool.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default();
                let from = self.start + k * size;
                let guess =
                    if k == 0 { Ok(Some(from)) } else { stream::guess(self.file, from, limit(k), &mut buffers) };
                let chunk = match guess {
                    Ok(Some(begin)) => Read { begin: Some(begin), outcome: read(begin, limit(k), &mut buffers) },
                    Ok(None) => Read { begin: None, outcome: Ok((limit(k), new())) },
                    Err(stop) => Read { begin: None, outcome: Err(stop) },
                };
                if let Ok(mut pool) = pool.lock() {
                    pool.push(buffers);
                }
                chunk
            })
            .collect();

        let mut buffers = pool.into_inner().ok().and_then(|mut pool| pool.pop()).unwrap_or_default();
        let mut gathered = Vec::with_capacity(chunks.len());
        let mut expected = self.start;
        for (k, chunk) in chunks.into_iter().enumerate() {
            let limit = limit(k as u64);
            if expected >= limit {
                continue; // One long record covers the whole chunk.
            }
            let outcome =
                if chunk.begin == Some(expected) { chunk.outcome } else { read(expected, limit, &mut buffers) };
            let (end, rows) = outcome.map_err(|stop| self.explain(stop))?;
            gathered.push(rows);
            expected = end;
        }
        Ok(gathered)
    }

    /// Calls `each` for every row, one after the other.
    pub(super) fn for_each(&self, each: &mut impl FnMut(&Row<'_>)) -> Result<(), SnapshotError> {
        let at = Extent { offset: self.start, limit: self.length, length: self.length, columns: self.columns };
        stream::rows(self.file, at, &mut Buffers::default(), each).map(|_| ()).map_err(|stop| self.explain(stop))
    }

    /// The error behind an early end.
    pub(super) fn explain(&self, stop: Stop) -> SnapshotError {
        match stop {
            Stop::Io(error) => SnapshotError::reading(self.path)(error),
            Stop::Shorter => SnapshotError::Changed(self.path.to_owned()),
            Stop::Malformed => problems::explain(self.file, self.path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::row::Cells;
    use crate::snapshot::row::OwnedRow;
    use crate::snapshot::table::Table;
    use proptest::prelude::*;

    /// Text made of what matters to CSV, so that quotes and line ends meet often.
    fn csv_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(&b"\""[..]), 6 => Just(&b","[..]), 4 => Just(&b"\n"[..]), 1 => Just(&b"\r\n"[..]),
            4 => Just(&b"ab"[..]), 1 => Just(&b"\"\""[..]), 2 => Just(&b"\"x\""[..]), 2 => Just(&b"\"y,\n\"\"z\""[..]),
            1 => Just("\u{e9}\u{20ac}".as_bytes()), 1 => Just(&b"\t"[..]),
            1 => Just(&b"a long cell that crosses the sixty-four bytes of a block, for certain"[..]),
        ];
        // Most files are right; a few are damaged.
        let damage =
            prop_oneof![20 => Just(&b""[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\0"[..]), 1 => Just(&b"\xff"[..])];
        (proptest::collection::vec(piece, 0..60), damage, any::<prop::sample::Index>()).prop_map(
            |(pieces, damage, at)| {
                let mut bytes = pieces.concat();
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, damage.iter().copied());
                bytes
            },
        )
    }

    /// Rows of three cells, quoted in every way that is right.
    fn right_rows() -> impl Strategy<Value = Vec<u8>> {
        let cell = prop_oneof![
            Just(&b""[..]),
            Just(&b"\"\""[..]),
            Just(&b"plain"[..]),
            Just(&b"\"quoted\""[..]),
            Just(&b"\"a,b\""[..]),
            Just(&b"\"a\nb\r\nc\""[..]),
            Just(&b"\"he said \"\"no\"\"\""[..]),
            Just("ł€".as_bytes()),
            Just(&b"\"\"\"\""[..]),
            Just(&b"\"\n\n\",\n\""[..]).prop_map(|_| &b"\"\n,,\n,,\n\""[..]),
        ];
        let end = prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"\n\n"[..])];
        proptest::collection::vec((cell.clone(), cell.clone(), cell, end), 0..40)
            .prop_map(|rows| rows.into_iter().flat_map(|(a, b, c, end)| [a, b",", b, b",", c, end].concat()).collect())
    }

    fn peer(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
        csv::ReaderBuilder::new()
            .from_reader(bytes)
            .records()
            .map(|record| record.ok().map(|r| r.iter().map(str::to_owned).collect()))
            .collect()
    }

    /// All rows by chunks of `size` bytes, each also fetched again by its place.
    fn ours(bytes: &[u8], size: u64) -> Result<Vec<Vec<String>>, SnapshotError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bytes).unwrap();
        let table = Table::open(&path, &[])?;
        let columns = table.columns().len();
        let chunks = table.body().par_fold_by(size, Vec::new, |rows, row| rows.push(OwnedRow::of(row)))?;
        let rows: Vec<OwnedRow> = chunks.into_iter().flatten().collect();
        let mut one_by_one = Vec::new();
        table.for_each(|row| one_by_one.push(OwnedRow::of(row)))?;
        assert_eq!(rows, one_by_one);
        for row in &rows {
            assert_eq!(&table.fetch(row.place()).unwrap(), row);
        }
        Ok(rows.iter().map(|row| (0..columns).map(|c| row.cell(c).to_owned()).collect()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn right_files_are_read_like_the_csv_crate_reads_them(body in right_rows(), size in 1u64..80, cut in any::<bool>()) {
            let mut bytes = b"x,y,z\n".to_vec();
            bytes.extend(body);
            if cut && bytes.len() > 6 && bytes.ends_with(b"\n") {
                bytes.pop();
            }
            prop_assert_eq!(ours(&bytes, size).map_err(|e| e.to_string()), Ok(peer(&bytes).unwrap()));
        }

        #[test]
        fn any_file_is_read_like_the_csv_crate_reads_it_or_refused(body in csv_like(), columns in 1usize..4, size in 1u64..80) {
            let mut bytes = ["x\n", "x,y\n", "x,y,z\n"][columns - 1].as_bytes().to_vec();
            bytes.extend(body);
            match ours(&bytes, size) {
                Ok(rows) => prop_assert_eq!(Some(rows), peer(&bytes)),
                // The careful reader must agree that there is something wrong, and say where.
                Err(SnapshotError::Malformed { problems, .. }) => prop_assert!(problems.count > 0),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
