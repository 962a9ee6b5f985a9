//! The rows of an association as numbers, kept beside its file: both ends of a row stand as positions in lists of their
//! keys. Whoever looks something up for each end of a row then does so once for each key, and reads eight bytes a row.
//!
//! Nothing in it is believed unless it fits: it names the file that it is of by SHA-256, and carries checksums of itself.
//! Where it does not fit, the file is read.
//!
//! ```text
//! "musterpr", format version (u32), length of the header (u32), all numbers little-endian
//! header (JSON): the file, the end columns, how many keys and rows, XXH3-128 of the rest
//! SHA-256 of all of the above
//! for each end: where each key ends (u64), the keys
//! the rows: the number of each end's key (u32)
//! ```

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

use super::diff::{Change, DiffError, Difference};
use super::error::SnapshotError;
use super::row::Cells as _;
use super::table::{KEY_JOINT, Table};
use crate::disk::DiskError;
use crate::disk::atomic::AtomicFile;
use crate::model::digest::Digest;
use crate::model::evidence::Largest;
use crate::model::texts::Texts;

const MAGIC: &[u8; 8] = b"musterpr";
/// The version of the format that this program writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;
/// A header has no more bytes.
const HEADER_LIMIT: u32 = 1 << 20;
/// Bytes of a SHA-256 in hexadecimal digits, which is how it is written.
const SEAL: usize = 64;
/// Bytes of a row.
const ROW: usize = 8;
/// Rows that a core takes at once.
const TOGETHER: usize = 1 << 16;
/// Rows are numbered with 31 bits.
const MOST: usize = i32::MAX as usize;

/// Where the numbers of an association's rows are kept.
pub fn path_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pairs");
    PathBuf::from(name)
}

/// Gives what is kept of one file a second name for another file, which has the same bytes, or copies it. Whether it is
/// there then.
pub fn carry_over(from: &Path, to: &Path) -> bool {
    let (from, to) = (path_of(from), path_of(to));
    to.exists() || std::fs::hard_link(&from, &to).or_else(|_| std::fs::copy(&from, &to).map(drop)).is_ok()
}

/// The rows of an association whose key are its two ends, in no order; no end is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPairs {
    /// The end columns, in the key's order.
    columns: [String; 2],
    keys: [Texts; 2],
    /// As they are written.
    rows: Vec<[u8; ROW]>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    sha256: Digest,
    columns: [String; 2],
    /// Keys of each end.
    keys: [u64; 2],
    /// Bytes of them.
    bytes: [u64; 2],
    rows: u64,
    /// XXH3-128 of what follows, its upper half first.
    check: [u64; 2],
}

impl KeptPairs {
    /// Numbers the rows of a table; `None` where it is no association of two ends, has too many rows, or one without a
    /// key. Rows that repeat are not told from others here.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn read(table: &Table) -> Result<Option<Self>, SnapshotError> {
        let Some((places, columns)) = ends_of(table) else { return Ok(None) };
        let seed = RandomState::new().build_hasher().finish();
        let mut numbers: [HashMap<u128, u32>; 2] = Default::default();
        let mut kept = Self { columns, keys: Default::default(), rows: Vec::new() };
        let mut is_whole = true;
        table.for_each(|row| {
            let cells = places.map(|place| row.cell(place));
            is_whole &= cells.iter().all(|cell| !cell.is_empty());
            let mut pair = [0; 2];
            for (end, cell) in cells.into_iter().enumerate() {
                let keys = &mut kept.keys[end];
                pair[end] = *numbers[end].entry(xxh3_128_with_seed(cell.as_bytes(), seed)).or_insert_with(|| {
                    keys.push(cell);
                    (keys.len() - 1) as u32
                });
            }
            kept.rows.push(written(pair));
        })?;
        Ok((is_whole && kept.rows.len() <= MOST).then_some(kept))
    }

    /// What is kept of the association in a file with this SHA-256; `None` where nothing is that fits.
    pub fn open(file: &Path, sha256: &Digest) -> Option<Self> {
        let mut kept = File::open(path_of(file)).ok()?;
        let mut sealed = vec![0; 16];
        kept.read_exact(&mut sealed).ok()?;
        let number = |at: usize| sealed[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let length = number(12);
        if !sealed.starts_with(MAGIC) || number(8) != FORMAT_VERSION || length > HEADER_LIMIT {
            return None;
        }
        sealed.resize(16 + length as usize, 0);
        kept.read_exact(&mut sealed[16..]).ok()?;
        let mut seal = [0; SEAL];
        kept.read_exact(&mut seal).ok()?;
        let header: Header = serde_json::from_slice(&sealed[16..]).ok()?;
        if seal != Digest::of(&sealed).as_str().as_bytes() || header.sha256 != *sha256 {
            return None;
        }
        let length = header.length()?;
        if kept.metadata().ok()?.len() != (sealed.len() + SEAL) as u64 + length {
            return None;
        }
        let mut check = Xxh3::new();
        let mut part = |bytes: u64| {
            let mut part = vec![0; usize::try_from(bytes).ok()?];
            kept.read_exact(&mut part).ok()?;
            check.update(&part);
            Some(part)
        };
        let mut keys: [Texts; 2] = Default::default();
        for (end, keys) in keys.iter_mut().enumerate() {
            let ends = part(header.keys[end] * 8)?;
            let text = String::from_utf8(part(header.bytes[end])?).ok()?;
            *keys = Texts::of(text, ends.as_chunks().0.iter().map(|end| u64::from_le_bytes(*end)).collect())?;
        }
        let mut rows = vec![[0; ROW]; usize::try_from(header.rows).ok()?];
        kept.read_exact(rows.as_flattened_mut()).ok()?;
        check.update(rows.as_flattened());
        let counts = keys.each_ref().map(|keys| keys.len() as u32);
        let fits = rows.par_iter().all(|row| read(row).iter().zip(counts).all(|(number, count)| *number < count));
        let kept = Self { columns: header.columns, keys, rows };
        (fits && halves(check.digest128()) == header.check).then_some(kept)
    }

    /// Keeps it beside the file that it is of, which has this SHA-256.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, file: &Path, sha256: &Digest) -> Result<(), SnapshotError> {
        let path = path_of(file);
        let ends = self.keys.each_ref().map(|keys| keys.ends().iter().flat_map(|end| end.to_le_bytes()).collect());
        let [first, second]: [Vec<u8>; 2] = ends;
        let [one, other] = &self.keys;
        let parts = [&first, one.text().as_bytes(), &second, other.text().as_bytes(), self.rows.as_flattened()];
        let mut check = Xxh3::new();
        parts.iter().for_each(|part| check.update(part));
        let header = Header {
            sha256: sha256.clone(),
            columns: self.columns.clone(),
            keys: self.keys.each_ref().map(|keys| keys.len() as u64),
            bytes: self.keys.each_ref().map(|keys| keys.bytes() as u64),
            rows: self.rows(),
            check: halves(check.digest128()),
        };
        let writing = |error: std::io::Error| DiskError::of("write", &path)(error);
        let header = serde_json::to_vec(&header).map_err(|error| writing(error.into()))?;
        let length = (header.len() as u32).to_le_bytes();
        let sealed = [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &length, &header].concat();
        let mut out = BufWriter::with_capacity(1 << 16, AtomicFile::create(&path)?);
        let seal = Digest::of(&sealed);
        for part in [sealed.as_slice(), seal.as_str().as_bytes()].iter().chain(&parts) {
            out.write_all(part).map_err(writing)?;
        }
        Ok(out.into_inner().map_err(|error| writing(error.into_error()))?.show()?)
    }

    /// What it is once the rows that differ have changed: those that only the old table has are taken out, those that
    /// only the new one has are put in. `None` where that does not fit what is kept.
    ///
    /// # Errors
    /// Where the difference cannot be read back.
    pub fn advanced(self, difference: &Difference) -> Result<Option<Self>, DiffError> {
        let Some(moved) = Moved::of(difference)? else { return Ok(None) };
        let numbers = [0, 1].map(|end| moved.numbers(end, &self.keys[end]));
        let known = |pair: &[u32; 2]| {
            let [first, second] = [0, 1].map(|end| numbers[end][pair[end] as usize]);
            Some([first?, second?])
        };
        let Some(removed) = moved.removed.iter().map(known).collect::<Option<HashSet<[u32; 2]>>>() else {
            return Ok(None);
        };
        // Most rows have an end of which no row went, and are not looked up.
        let mut touched = vec![false; self.keys[1].len()];
        removed.iter().for_each(|[_, second]| touched[*second as usize] = true);
        let goes = |row: &[u8; ROW]| {
            let pair = read(row);
            touched.get(pair[1] as usize).is_none_or(|touched| *touched) && removed.contains(&pair)
        };
        let left = |rows: &[[u8; ROW]]| rows.iter().filter(|row| !goes(row)).copied().collect::<Vec<_>>();
        let before = self.rows.len();
        let parts: Vec<Vec<[u8; ROW]>> = self.rows.par_chunks(TOGETHER).map(left).collect();
        let count = parts.iter().map(Vec::len).sum::<usize>();
        if removed.len() != moved.removed.len() || count + removed.len() != before {
            return Ok(None);
        }
        let Self { columns, mut keys, rows } = self;
        drop(rows);
        let mut rows = Vec::with_capacity(count + moved.added.len());
        parts.into_iter().for_each(|mut part| rows.append(&mut part));
        let mut numbers = numbers;
        for pair in &moved.added {
            rows.push(written([0, 1].map(|end| {
                *numbers[end][pair[end] as usize].get_or_insert_with(|| {
                    keys[end].push(moved.names[end].get(pair[end] as usize));
                    (keys[end].len() - 1) as u32
                })
            })));
        }
        let advanced = Self { columns, keys, rows };
        Ok((advanced.rows.len() <= MOST).then(|| advanced.without_unused()))
    }

    /// The same without keys that no row has any more, once there are many of them.
    fn without_unused(self) -> Self {
        let counts = self.counts();
        let unused = |end: usize| counts[end].iter().filter(|rows| **rows == 0).count();
        if [0, 1].iter().all(|end| unused(*end) * 4 <= counts[*end].len()) {
            return self;
        }
        let Self { columns, keys, mut rows } = self;
        let mut left: [Texts; 2] = Default::default();
        let mut numbers: [Vec<u32>; 2] = Default::default();
        for end in [0, 1] {
            for (key, rows) in keys[end].iter().zip(&counts[end]) {
                numbers[end].push(left[end].len() as u32);
                if *rows > 0 {
                    left[end].push(key);
                }
            }
        }
        rows.iter_mut().for_each(|row| {
            let pair = read(row);
            *row = written([0, 1].map(|end| numbers[end][pair[end] as usize]));
        });
        Self { columns, keys: left, rows }
    }

    /// Whether these may be the rows of a table, by its columns.
    pub fn is_of(&self, table: &Table) -> bool {
        ends_of(table).is_some_and(|(_, columns)| columns == self.columns)
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Which end stands in a column.
    pub fn end(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|end| end == column)
    }

    /// The keys of an end, each once; some may be in no row.
    pub fn keys(&self, end: usize) -> &Texts {
        &self.keys[end]
    }

    /// The rows, in parts, by what stands for each key. `order` says which end comes first; `values` are those of the keys
    /// of the end that does, and of the other.
    pub fn pairs(&self, order: [usize; 2], values: [&[u32]; 2]) -> Vec<Vec<(u32, u32)>> {
        let pair = |row: &[u8; ROW]| {
            let numbers = read(row);
            let [first, second] = [0, 1].map(|at| values[at][numbers[order[at]] as usize]);
            (first, second)
        };
        self.rows.par_chunks(TOGETHER).map(|rows| rows.iter().map(pair).collect()).collect()
    }

    /// By end column: the largest number of rows that one key has, how many keys have it, and how many keys there are.
    pub(super) fn owners(&self) -> impl Iterator<Item = (&str, Largest, u64)> {
        let owners = self.counts().map(|counts| {
            let most = counts.iter().copied().max().unwrap_or(0);
            let count = |is: &dyn Fn(u32) -> bool| counts.iter().filter(|rows| is(**rows)).count() as u64;
            let owners = if most == 0 { 0 } else { count(&|rows| rows == most) };
            (Largest { rows: most, owners }, count(&|rows| rows > 0))
        });
        self.columns.iter().zip(owners).map(|(column, (largest, different))| (column.as_str(), largest, different))
    }

    /// The rows of each key, by end.
    fn counts(&self) -> [Vec<u32>; 2] {
        let mut counts = self.keys.each_ref().map(|keys| vec![0; keys.len()]);
        for row in &self.rows {
            let pair = read(row);
            [0, 1].into_iter().for_each(|end| counts[end][pair[end] as usize] += 1);
        }
        counts
    }
}

impl Header {
    /// Bytes of what follows.
    fn length(&self) -> Option<u64> {
        let keys = [0, 1].map(|end: usize| self.keys[end].checked_mul(8)?.checked_add(self.bytes[end]));
        self.rows.checked_mul(ROW as u64)?.checked_add(keys[0]?)?.checked_add(keys[1]?)
    }
}

/// The end columns of an association of two ends, whose key they are and all that it has; with their places.
fn ends_of(table: &Table) -> Option<([usize; 2], [String; 2])> {
    let places: [usize; 2] = table.key_columns().try_into().ok().filter(|_| table.columns().len() == 2)?;
    Some((places, places.map(|place| table.columns()[place].clone())))
}

/// Rows that came and went, their keys numbered for themselves.
#[derive(Default)]
struct Moved {
    names: [Texts; 2],
    numbers: [HashMap<String, u32>; 2],
    added: Vec<[u32; 2]>,
    removed: Vec<[u32; 2]>,
}

impl Moved {
    /// `None` where rows cannot be told apart, or are no pairs.
    fn of(difference: &Difference) -> Result<Option<Self>, DiffError> {
        let (mut moved, mut fits) = (Self::default(), difference.doubtful == Default::default());
        difference.for_each(|key, change| {
            let ends = key.split_once(KEY_JOINT).filter(|(_, second)| !second.contains(KEY_JOINT));
            match (ends, change) {
                (Some((first, second)), Change::Added(_) | Change::Removed(_)) => {
                    let pair = [moved.number(0, first), moved.number(1, second)];
                    let is_new = matches!(change, Change::Added(_));
                    if is_new { &mut moved.added } else { &mut moved.removed }.push(pair);
                }
                _ => fits = false,
            }
            Ok::<(), DiffError>(())
        })?;
        Ok(fits.then_some(moved))
    }

    fn number(&mut self, end: usize, key: &str) -> u32 {
        if let Some(number) = self.numbers[end].get(key) {
            return *number;
        }
        let number = self.names[end].len() as u32;
        self.names[end].push(key);
        self.numbers[end].insert(key.to_owned(), number);
        number
    }

    /// For each name of an end, its position among the keys that are kept.
    fn numbers(&self, end: usize, keys: &Texts) -> Vec<Option<u32>> {
        let known = (0..keys.len()).into_par_iter();
        let known = known.filter_map(|number| Some((*self.numbers[end].get(keys.get(number))?, number as u32)));
        let mut numbers = vec![None; self.names[end].len()];
        known.collect::<Vec<_>>().into_iter().for_each(|(name, number)| numbers[name as usize] = Some(number));
        numbers
    }
}

fn written([first, second]: [u32; 2]) -> [u8; ROW] {
    (u64::from(second) << 32 | u64::from(first)).to_le_bytes()
}

fn read(row: &[u8; ROW]) -> [u32; 2] {
    let both = u64::from_le_bytes(*row);
    [both as u32, (both >> 32) as u32]
}

fn halves(check: u128) -> [u64; 2] {
    [(check >> 64) as u64, check as u64]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::snapshot::diff::{DiffOptions, diff};

    fn table(folder: &Path, name: &str, rows: &[(&str, &str)]) -> Table {
        let path = folder.join(name);
        let rows: String = rows.iter().map(|(group, user)| format!("{group},{user}\n")).collect();
        std::fs::write(&path, format!("group,user\n{rows}")).unwrap();
        Table::open(&path, &["user".to_owned(), "group".to_owned()]).unwrap()
    }

    /// The rows by their keys, in the order of the columns `group` and `user`.
    fn rows(kept: &KeptPairs) -> BTreeSet<(String, String)> {
        let order = ["group", "user"].map(|column| kept.end(column).unwrap());
        let values = order.map(|end| (0..kept.keys(end).len() as u32).collect::<Vec<_>>());
        let pairs = kept.pairs(order, [&values[0], &values[1]]);
        let key = |end: usize, number: u32| kept.keys(order[end]).get(number as usize).to_owned();
        pairs.into_iter().flatten().map(|(group, user)| (key(0, group), key(1, user))).collect()
    }

    #[test]
    fn rows_that_come_and_go_leave_what_the_new_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let old = table(folder.path(), "old.csv", &[("a", "1"), ("a", "2"), ("b", "1"), ("c", "3"), ("d", "4")]);
        let kept = KeptPairs::read(&old).unwrap().unwrap();
        for new in [
            &[("d", "4"), ("a", "1"), ("b", "1"), ("c", "3"), ("a", "2")][..],
            &[("a", "1"), ("b", "1"), ("b", "9"), ("e", "1")],
            &[("x", "9")],
            &[],
        ] {
            let table = table(folder.path(), "new.csv", new);
            let difference = diff(&old, &table, &DiffOptions::default()).unwrap();
            let advanced = kept.clone().advanced(&difference).unwrap().unwrap();
            let read = KeptPairs::read(&table).unwrap().unwrap();
            assert_eq!((rows(&advanced), advanced.rows()), (rows(&read), new.len() as u64));
            let owners = |kept: &KeptPairs| format!("{:?}", kept.owners().collect::<Vec<_>>());
            assert_eq!(owners(&advanced), owners(&read));
            let sha256 = Digest::of(b"new");
            advanced.write(table.path(), &sha256).unwrap();
            assert_eq!(KeptPairs::open(table.path(), &sha256), Some(advanced));
            assert_eq!(KeptPairs::open(table.path(), &Digest::of(b"other")), None);
        }
        // With others kept of the old file, nothing fits.
        let other = KeptPairs::read(&table(folder.path(), "other.csv", &[("a", "2")])).unwrap().unwrap();
        let new = table(folder.path(), "new.csv", &[("a", "2"), ("b", "1"), ("c", "3"), ("d", "4")]);
        let difference = diff(&old, &new, &DiffOptions::default()).unwrap();
        assert_eq!(other.advanced(&difference).unwrap(), None);
        // Where a row repeats, or a key holds what joins keys, rows cannot be told apart.
        for new in [&[("a", "2"), ("a", "2")], &[("a\u{1f}b", "2"), ("c", "3")]] {
            let difference = diff(&old, &table(folder.path(), "new.csv", new), &DiffOptions::default()).unwrap();
            assert_eq!(kept.clone().advanced(&difference).unwrap(), None);
        }
        assert_eq!(KeptPairs::read(&table(folder.path(), "new.csv", &[("a", "")])).unwrap(), None);
    }
}
