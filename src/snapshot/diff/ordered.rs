//! Rows that differ, in the order of their keys.
//!
//! They are gathered in runs, each sorted by itself and kept in memory as long as that has room, else on disk; whoever
//! reads them merges the runs.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use rayon::prelude::*;

use super::super::digest::Digester;
use super::super::error::SnapshotError;
use super::super::row::{Place, Row};
use super::super::spill::Room;
use super::super::table::{Fetch, Table};
use super::{Change, DiffError};

/// Beyond one row in so many, reading the whole table is cheaper than fetching rows one by one.
const FEW: u64 = 16;
/// Bytes that a row has at least, to guess the number of rows.
const ROW: u64 = 64;
/// Rows that are fetched for one run.
const RUN: usize = 4_096;
/// Bytes of a run on disk that are in memory while it is merged.
const WINDOW: usize = 16 << 10;

/// Rows that differ, sorted by key; rows whose keys are written the same, by what became of them and by their places.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    runs: Vec<Run>,
    room: Room,
}

/// Rows in their order, one after the other: the length of the rest (u32), what became of the row (u8), its places, the
/// length of the key (u32), the key, the columns that differ (u16 each).
#[derive(Debug)]
pub(super) enum Run {
    Here(Vec<u8>),
    /// In these bytes of the room's file.
    File(Range<u64>),
}

/// Rows that are gathered for one run.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    bytes: Vec<u8>,
    /// The first bytes of each key, which decide most comparisons, and where its row begins.
    rows: Vec<(u64, usize)>,
}

impl Gathering {
    pub(super) fn push(&mut self, change: &Change<'_>, key: &str) {
        let begin = self.bytes.len();
        let bytes = &mut self.bytes;
        let (kind, first, second, columns): (_, _, _, &[usize]) = match *change {
            Change::Added(place) => (0, place, None, &[]),
            Change::Removed(place) => (1, place, None, &[]),
            Change::Changed { old, new, columns } => (2, new, Some(old), columns),
        };
        bytes.extend_from_slice(&[0, 0, 0, 0, kind]);
        for place in std::iter::once(first).chain(second) {
            bytes.extend_from_slice(&place.packed().to_le_bytes());
        }
        bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(key.as_bytes());
        columns.iter().for_each(|column| bytes.extend_from_slice(&(*column as u16).to_le_bytes()));
        let length = (bytes.len() - begin - 4) as u32;
        bytes[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
        let mut start = [0; 8];
        let count = key.len().min(8);
        start[..count].copy_from_slice(&key.as_bytes()[..count]);
        self.rows.push((u64::from_be_bytes(start), begin));
    }

    fn sorted(mut self) -> Vec<u8> {
        let entry = |begin: usize| Entry::of(&self.bytes[begin..]);
        self.rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| entry(a.1).order(&entry(b.1))));
        let mut sorted = Vec::with_capacity(self.bytes.len());
        for (_, begin) in &self.rows {
            let rest = &self.bytes[*begin..];
            sorted.extend_from_slice(&rest[..length(rest)]);
        }
        sorted
    }
}

/// Bytes of the row that these begin with.
fn length(bytes: &[u8]) -> usize {
    bytes.first_chunk().map_or(0, |rest| 4 + u32::from_le_bytes(*rest) as usize)
}

/// One row as it is encoded.
#[derive(Clone, Copy)]
struct Entry<'a> {
    kind: u8,
    place: u64,
    /// Of the old row, where there are two.
    old: u64,
    key: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Of bytes that `Gathering::push` wrote.
    fn of(bytes: &'a [u8]) -> Self {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
        let (kind, place) = (bytes[4], number(5));
        let (old, at) = if kind == 2 { (number(13), 21) } else { (0, 13) };
        let key_end = at + length(&bytes[at..]);
        Self { kind, place, old, key: &bytes[at + 4..key_end], columns: &bytes[key_end..length(bytes)] }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.key, self.kind, self.place).cmp(&(other.key, other.kind, other.place))
    }
}

/// A table of which some rows are in no other.
pub(super) struct Alone<'a, D> {
    pub(super) table: &'a Table,
    pub(super) digester: &'a D,
    pub(super) is_new: bool,
}

impl<D: Digester> Alone<'_, D> {
    /// Adds a row, and gives its proof.
    fn put(&self, row: &Row<'_>, gathering: &mut Gathering) -> u128 {
        let place = row.place();
        let change = if self.is_new { Change::Added(place) } else { Change::Removed(place) };
        gathering.push(&change, &self.table.key_of(row));
        self.digester.proof(row)
    }
}

impl Ordered {
    /// Nothing yet; what does not fit into the room's memory goes to its folder.
    pub(super) fn new(room: Room) -> Self {
        Self { runs: Vec::new(), room }
    }

    /// Adds rows of one table that are alone, by where they begin, and gives the sum of their proofs.
    pub(super) fn add_alone(
        &mut self,
        alone: &Alone<'_, impl Digester>,
        mut offsets: Vec<u64>,
        chunk: u64,
    ) -> Result<u128, DiffError> {
        // In the order of the file: reading goes forward.
        if offsets.len() <= RUN {
            offsets.sort_unstable()
        } else {
            offsets.par_sort_unstable()
        }
        if offsets.len() as u64 * FEW * ROW > alone.table.bytes() {
            return self.add_in_one_pass(alone, &offsets, chunk);
        }
        let fetched = |fetch: &mut Fetch, offsets: &[u64]| {
            let mut gathering = Gathering::default();
            let mut sum = 0u128;
            for offset in offsets {
                let proof = alone.table.with_row(*offset, fetch, |row| alone.put(row, &mut gathering))?;
                sum = sum.wrapping_add(proof);
            }
            Ok((self.run(gathering)?, sum))
        };
        let runs: Vec<(Option<Run>, u128)> = if offsets.len() <= RUN {
            vec![fetched(&mut Fetch::default(), &offsets)?]
        } else {
            offsets.par_chunks(RUN).map_init(Fetch::default, fetched).collect::<Result<_, DiffError>>()?
        };
        let mut sum = 0u128;
        for (run, proof) in runs {
            self.add(run);
            sum = sum.wrapping_add(proof);
        }
        Ok(sum)
    }

    fn add_in_one_pass(
        &mut self,
        alone: &Alone<'_, impl Digester>,
        offsets: &[u64],
        chunk: u64,
    ) -> Result<u128, DiffError> {
        struct Chunk {
            /// Position of the next wanted offset; `None` before the first row.
            next: Option<usize>,
            gathering: Gathering,
            proof: u128,
        }
        let body = alone.table.body();
        let runs = body.par_fold_by(
            body.chunk_size().min(chunk),
            || Chunk { next: None, gathering: Gathering::default(), proof: 0 },
            |chunk, row| {
                let here = row.place().offset;
                let mut next = chunk.next.unwrap_or_else(|| offsets.partition_point(|offset| *offset < here));
                if offsets.get(next) == Some(&here) {
                    chunk.proof = chunk.proof.wrapping_add(alone.put(row, &mut chunk.gathering));
                    next += 1;
                }
                chunk.next = Some(next);
            },
            |chunk| (chunk.gathering.rows.len(), chunk.proof, self.run(chunk.gathering)),
        )?;
        let (mut found, mut sum) = (0, 0u128);
        for (count, proof, run) in runs {
            found += count;
            sum = sum.wrapping_add(proof);
            self.add(run?);
        }
        if found == offsets.len() { Ok(sum) } else { Err(SnapshotError::Changed(alone.table.path().to_owned()).into()) }
    }

    /// Makes a run of what was gathered, if anything was.
    pub(super) fn run(&self, gathering: Gathering) -> Result<Option<Run>, DiffError> {
        if gathering.rows.is_empty() {
            return Ok(None);
        }
        let bytes = gathering.sorted();
        let count = bytes.len() as u64;
        if self.room.takes(count) {
            return Ok(Some(Run::Here(bytes)));
        }
        let at = self.room.write(&bytes).map_err(|source| DiffError::of_spill(self.room.folder(), source))?;
        Ok(Some(Run::File(at..at + count)))
    }

    /// Adds runs.
    pub(super) fn add(&mut self, runs: impl IntoIterator<Item = Run>) {
        self.runs.extend(runs);
    }

    /// Hands out every row with its key, in their order, until one is refused.
    pub(super) fn for_each<E: From<DiffError>>(
        &self,
        mut each: impl FnMut(&str, Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursors = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let mut cursor = Cursor::of(run);
            if cursor.advance(&self.room)? {
                cursors.push(cursor);
            }
        }
        // A heap of positions in `cursors`: the one at the top has the next row.
        let mut heap: Vec<usize> = (0..cursors.len()).collect();
        (0..heap.len() / 2).rev().for_each(|at| sift(&mut heap, &cursors, at));
        let mut columns = Vec::new();
        while let Some(top) = heap.first().copied() {
            let Entry { kind, place, old, key, columns: differing } = cursors[top].entry();
            let place = Place::of_packed(place);
            let change = match kind {
                0 => Change::Added(place),
                1 => Change::Removed(place),
                _ => {
                    columns.clear();
                    columns
                        .extend(differing.as_chunks().0.iter().map(|column| usize::from(u16::from_le_bytes(*column))));
                    Change::Changed { old: Place::of_packed(old), new: place, columns: &columns }
                }
            };
            each(&String::from_utf8_lossy(key), change)?;
            if !cursors[top].advance(&self.room)? {
                heap.swap_remove(0);
            }
            sift(&mut heap, &cursors, 0);
        }
        Ok(())
    }
}

/// A way through one run.
struct Cursor<'a> {
    bytes: Cow<'a, [u8]>,
    /// The row that the cursor is at.
    at: Range<usize>,
    /// What is not in `bytes` yet.
    rest: Range<u64>,
}

impl<'a> Cursor<'a> {
    fn of(run: &'a Run) -> Self {
        match run {
            Run::Here(bytes) => Self { bytes: Cow::Borrowed(bytes), at: 0..0, rest: 0..0 },
            Run::File(range) => Self { bytes: Cow::Owned(Vec::new()), at: 0..0, rest: range.clone() },
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry::of(&self.bytes[self.at.clone()])
    }

    /// Goes to the next row; `false` where there is none.
    fn advance(&mut self, room: &Room) -> Result<bool, DiffError> {
        self.at = self.at.end..self.at.end;
        self.fill(4, room)?;
        if self.bytes.len() == self.at.start {
            return Ok(false);
        }
        let length = length(&self.bytes[self.at.start..]);
        self.fill(length, room)?;
        self.at.end = self.at.start + length;
        Ok(true)
    }

    /// Brings so many bytes behind the place into memory, where there are so many.
    fn fill(&mut self, count: usize, room: &Room) -> Result<(), DiffError> {
        if self.bytes.len() - self.at.start >= count || self.rest.is_empty() {
            return Ok(());
        }
        let bytes = self.bytes.to_mut();
        bytes.drain(..self.at.start);
        self.at = 0..0;
        let more = (self.rest.end - self.rest.start).min(WINDOW.max(count) as u64);
        room.read(self.rest.start, more as usize, bytes)
            .map_err(|source| DiffError::of_spill(room.folder(), source))?;
        self.rest.start += more;
        Ok(())
    }
}

/// Moves a position down the heap until none below it has an earlier row.
fn sift(heap: &mut [usize], cursors: &[Cursor<'_>], mut at: usize) {
    let is_before = |a: usize, b: usize| cursors[a].entry().order(&cursors[b].entry()) == Ordering::Less;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        let Some(mut least) = heap.get(left).map(|_| left) else { return };
        if right < heap.len() && is_before(heap[right], heap[left]) {
            least = right;
        }
        if !is_before(heap[least], heap[at]) {
            return;
        }
        heap.swap(least, at);
        at = least;
    }
}
