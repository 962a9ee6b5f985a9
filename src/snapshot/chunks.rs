//! All threads' way through a file: chunks that begin at guessed records, and the proof that each guess was right.
//!
//! A chunk begins behind a line feed that looks like a record's end; only one inside quotes is not. Each chunk reports
//! where its last record ends, beyond its limit; the next chunk's guess is right exactly if it is the same place. From
//! the file's first record on this proves chunk after chunk. Where the proof breaks, the quotes of the whole file are
//! counted: the number before a chunk says whether it begins inside quotes, and so where its first record begins. The
//! chunks that were wrong are then read again, in parallel as before.

use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;

use super::error::SnapshotError;
use super::mask::Twin;
use super::problems;
use super::record::Extent;
use super::row::Row;
use super::stream::{self, Buffers, READ, Stop};

/// Bytes of the smallest chunk, and of files that one thread reads.
pub(super) const SMALLEST: u64 = 1 << 20;
/// Bytes of the largest chunk.
const LARGEST: u64 = 32 << 20;

/// How a file is read; what is read does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// What finds the separators.
    pub twin: Twin,
    /// Bytes of a chunk, which one thread reads in one go; `None` for a size that suits the file and the threads.
    pub chunk: Option<u64>,
    /// Bytes to read at once.
    pub read: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { twin: Twin::fastest(), chunk: None, read: READ }
    }
}

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
    pub(super) tuning: Tuning,
}

/// One chunk as it was read.
struct Read<A> {
    /// Where its first record begins, or is guessed to; `None` where none does.
    begin: Option<u64>,
    /// Where the first record after it begins, and what was gathered; or why it could not be read.
    outcome: Result<(u64, A), Stop>,
}

/// How a file is cut: chunk k is `from(k)..limit(k)`.
#[derive(Clone, Copy)]
struct Cut {
    start: u64,
    length: u64,
    size: u64,
}

impl Cut {
    fn count(self) -> usize {
        self.length.saturating_sub(self.start).div_ceil(self.size) as usize
    }

    fn from(self, k: usize) -> u64 {
        self.start + k as u64 * self.size
    }

    fn limit(self, k: usize) -> u64 {
        (self.from(k) + self.size).min(self.length)
    }
}

/// Buffers that threads share out among them; there are never more than threads.
#[derive(Default)]
struct Pool(Mutex<Vec<Buffers>>);

impl Pool {
    fn with<T>(&self, work: impl FnOnce(&mut Buffers) -> T) -> T {
        let mut buffers = self.0.lock().ok().and_then(|mut pool| pool.pop()).unwrap_or_default();
        let done = work(&mut buffers);
        if let Ok(mut pool) = self.0.lock() {
            pool.push(buffers);
        }
        done
    }
}

impl Body<'_> {
    /// Gathers over the rows of each chunk; the gatherings are in file order.
    ///
    /// `step` may also see what looks like rows in a chunk whose guess was wrong; what it gathers from them is
    /// thrown away. It must therefore have no effect but on what it gathers. `finish` ends each chunk's gathering on
    /// the same core.
    pub(super) fn par_fold<A, B: Send>(
        &self,
        new: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &Row<'_>) + Sync,
        finish: impl Fn(A) -> B + Sync,
    ) -> Result<Vec<B>, SnapshotError> {
        self.par_fold_by(self.chunk_size(), new, step, finish)
    }

    /// Bytes of a chunk that keeps all threads busy to the end.
    pub(super) fn chunk_size(&self) -> u64 {
        let bytes = self.length.saturating_sub(self.start);
        self.tuning.chunk.unwrap_or_else(|| {
            // Asking how many threads there are starts them.
            if bytes <= SMALLEST { SMALLEST } else { share(bytes, rayon::current_num_threads() as u64) }
        })
    }

    /// The same with a given size of chunks.
    pub(super) fn par_fold_by<A, B: Send>(
        &self,
        size: u64,
        new: impl Fn() -> A + Sync,
        step: impl Fn(&mut A, &Row<'_>) + Sync,
        finish: impl Fn(A) -> B + Sync,
    ) -> Result<Vec<B>, SnapshotError> {
        let cut = Cut { start: self.start, length: self.length, size: size.max(1) };
        let pool = Pool::default();
        let read = |k: usize, begin: Option<u64>, buffers: &mut Buffers| {
            let mut gathered = new();
            let outcome = match begin {
                Some(begin) => stream::rows(self.file, self.extent(begin, cut.limit(k)), buffers, &mut |row| {
                    step(&mut gathered, row);
                }),
                None => Ok(cut.limit(k)),
            };
            Read { begin, outcome: outcome.map(|end| (end, finish(gathered))) }
        };
        let guessed = |k: usize| {
            pool.with(|buffers| {
                let guess = match k {
                    0 => Ok(Some(self.start)),
                    _ => stream::guess(self.file, self.extent(cut.from(k), cut.limit(k)), buffers),
                };
                match guess {
                    Ok(begin) => read(k, begin, buffers),
                    Err(stop) => Read { begin: None, outcome: Err(stop) },
                }
            })
        };
        // One chunk is read before another thread would have begun.
        let mut chunks: Vec<Read<B>> = match cut.count() {
            count @ ..=1 => (0..count).map(guessed).collect(),
            count => (0..count).into_par_iter().with_max_len(1).map(guessed).collect(),
        };
        if !is_proved(cut, &chunks) {
            let begins = self.begins(cut, &pool).map_err(|stop| self.explain(stop))?;
            chunks.par_iter_mut().zip(begins).enumerate().with_max_len(1).for_each(|(k, (chunk, begin))| {
                if chunk.begin != begin {
                    *chunk = pool.with(|buffers| read(k, begin, buffers));
                }
            });
            if !is_proved(cut, &chunks) {
                return Err(SnapshotError::Changed(self.path.to_owned()));
            }
        }
        let mut gathered = Vec::with_capacity(chunks.len());
        for Read { begin, outcome } in chunks {
            let (_, rows) = outcome.map_err(|stop| self.explain(stop))?;
            if begin.is_some() {
                gathered.push(rows);
            }
        }
        Ok(gathered)
    }

    /// Where the first record of each chunk begins, by counting all quotes before it.
    fn begins(&self, cut: Cut, pool: &Pool) -> Result<Vec<Option<u64>>, Stop> {
        // A chunk's first record may begin at its first byte, behind a line feed that is the chunk's before.
        let part = |k: usize| cut.from(k).saturating_sub(u64::from(k > 0))..cut.limit(k) - 1;
        let odd: Vec<bool> = (0..cut.count())
            .into_par_iter()
            .with_max_len(1)
            .map(|k| pool.with(|buffers| stream::is_odd(self.file, part(k), buffers)))
            .collect::<Result<_, _>>()?;
        let inside = odd.iter().scan(false, |inside, odd| Some(std::mem::replace(inside, *inside ^ odd)));
        let inside: Vec<bool> = inside.collect();
        (0..cut.count())
            .into_par_iter()
            .map(|k| match k {
                0 => Ok(Some(self.start)),
                _ => pool.with(|buffers| stream::begin(self.file, cut.from(k), cut.limit(k), inside[k], buffers)),
            })
            .collect()
    }

    /// The records that begin in a part of the file.
    pub(super) fn extent(&self, offset: u64, limit: u64) -> Extent {
        let Tuning { twin, read, .. } = self.tuning;
        Extent { offset, limit, length: self.length, columns: self.columns, twin, read: read.max(1) }
    }

    /// Calls `each` for every row, one after the other.
    pub(super) fn for_each(&self, each: &mut impl FnMut(&Row<'_>)) -> Result<(), SnapshotError> {
        let at = self.extent(self.start, self.length);
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

/// Bytes of a chunk where so many threads share so many bytes: small enough for all to end at about the same time.
fn share(bytes: u64, threads: u64) -> u64 {
    (bytes / (threads * 32)).clamp(SMALLEST, LARGEST)
}

/// Whether every chunk begins where the one before ends, up to the first that could not be read.
fn is_proved<A>(cut: Cut, chunks: &[Read<A>]) -> bool {
    let mut expected = cut.start;
    for (k, chunk) in chunks.iter().enumerate() {
        // One long record may cover whole chunks, in which then none begins.
        let begin = (expected < cut.limit(k)).then_some(expected);
        if chunk.begin != begin {
            return false;
        }
        match &chunk.outcome {
            Ok((end, _)) => expected = expected.max(*end),
            Err(_) => return true,
        }
    }
    true
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

    /// All rows by chunks of `size` bytes, by both twins and 1, 2 and 8 threads; each also fetched by its place.
    fn ours(bytes: &[u8], size: u64, read: usize) -> Result<Vec<Vec<String>>, SnapshotError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, bytes).unwrap();
        let mut table = Table::open(&path, &[])?;
        let mut answers = Vec::new();
        for twin in Twin::available() {
            table = table.tuned(Tuning { twin, chunk: Some(size), read });
            for pool in pools() {
                answers.push(pool.install(|| table.par_map(OwnedRow::of)).map_err(|e| (e.to_string(), e)));
            }
            let mut one_by_one = Vec::new();
            let whole = table.for_each(|row| one_by_one.push(OwnedRow::of(row)));
            answers.push(whole.map(|()| one_by_one).map_err(|e| (e.to_string(), e)));
        }
        let shown = |answer: &Result<Vec<OwnedRow>, (String, _)>| answer.as_ref().map_err(|e| e.0.clone()).cloned();
        let first = shown(&answers[0]);
        assert!(
            answers.iter().all(|answer| shown(answer) == first),
            "{size} {read} {:?}",
            String::from_utf8_lossy(bytes)
        );
        let rows = answers.swap_remove(0).map_err(|(_, error)| error)?;
        for row in &rows {
            assert_eq!(&table.fetch(row.place()).unwrap(), row);
        }
        let columns = table.columns().len();
        Ok(rows.iter().map(|row| (0..columns).map(|c| row.cell(c).to_owned()).collect()).collect())
    }

    fn pools() -> &'static [rayon::ThreadPool] {
        static POOLS: std::sync::OnceLock<Vec<rayon::ThreadPool>> = std::sync::OnceLock::new();
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        POOLS.get_or_init(|| [1, 2, 8].map(pool).into())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn right_files_are_read_like_the_csv_crate_reads_them(
            body in right_rows(), size in 1u64..80, read in 1usize..200, cut in any::<bool>(), mark in any::<bool>(),
        ) {
            let header = if mark { &b"\xef\xbb\xbf\"x\",y,\"z\n\"\r\n"[..] } else { b"x,y,z\n" };
            let mut bytes = [header, &body].concat();
            if cut && bytes.len() > header.len() && bytes.ends_with(b"\n") {
                bytes.pop();
            }
            prop_assert_eq!(ours(&bytes, size, read).map_err(|e| e.to_string()), Ok(peer(&bytes).unwrap()));
        }

        #[test]
        fn any_file_is_read_like_the_csv_crate_reads_it_or_refused(
            body in csv_like(), columns in 1usize..4, size in 1u64..80, read in 1usize..200,
        ) {
            let mut bytes = ["x\n", "x,y\n", "x,y,z\n"][columns - 1].as_bytes().to_vec();
            bytes.extend(body);
            match ours(&bytes, size, read) {
                Ok(rows) => prop_assert_eq!(Some(rows), peer(&bytes)),
                // The careful reader must agree that there is something wrong, and say where.
                Err(SnapshotError::Malformed { problems, .. }) => prop_assert!(problems.count > 0),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}
