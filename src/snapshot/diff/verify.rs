//! Rows of equal digests, compared byte by byte: many at a time, each file from its front to its back.

use super::super::digest::RowDigest;
use super::super::error::SnapshotError;
use super::super::row::Place;
use super::super::table::Table;

/// Bytes read at once where rows lie close together.
const READ: usize = 256 << 10;
/// Rows that lie farther apart, in bytes, are read one by one.
const APART: u64 = 4 << 10;

/// Pairs of an old and a new row that wait to be compared.
#[derive(Debug, Default)]
pub(super) struct Equals {
    pairs: Vec<(RowDigest, RowDigest)>,
    /// Bytes of their old rows.
    pub(super) bytes: u64,
    /// Their old rows, in the order of the old file.
    kept: Vec<u8>,
    /// For each pair in that order, where its old row ends in `kept`, its line end left out.
    ends: Vec<usize>,
    buffer: Vec<u8>,
}

impl Equals {
    pub(super) fn push(&mut self, old: RowDigest, new: RowDigest) {
        self.bytes += u64::from(old.place().length);
        self.pairs.push((old, new));
    }

    /// Takes all pairs out.
    pub(super) fn take(&mut self) -> Vec<(RowDigest, RowDigest)> {
        self.bytes = 0;
        std::mem::take(&mut self.pairs)
    }

    /// Takes all pairs out, and gives those whose bytes are not the same.
    pub(super) fn unlike(&mut self, old: &Table, new: &Table) -> Result<Vec<(RowDigest, RowDigest)>, SnapshotError> {
        let Self { pairs, kept, ends, buffer, .. } = self;
        pairs.sort_unstable_by_key(|(old, _)| old.place);
        kept.clear();
        ends.clear();
        let mut reader = Reader::new(old, pairs.iter().map(|pair| pair.0.place()), buffer);
        for (row, _) in pairs.iter() {
            kept.extend_from_slice(reader.row(row.place())?);
            ends.push(kept.len());
        }
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_unstable_by_key(|i| pairs[*i].1.place);
        let mut reader = Reader::new(new, order.iter().map(|i| pairs[*i].1.place()), buffer);
        let mut unlike = Vec::new();
        for i in order {
            let begin = i.checked_sub(1).map_or(0, |before| ends[before]);
            if reader.row(pairs[i].1.place())? != &kept[begin..ends[i]] {
                unlike.push(pairs[i]);
            }
        }
        pairs.clear();
        self.bytes = 0;
        Ok(unlike)
    }
}

/// Reads rows in the order of their file.
struct Reader<'a> {
    table: &'a Table,
    buffer: &'a mut Vec<u8>,
    /// Where `buffer` lies in the file.
    at: u64,
    /// Bytes to read at once.
    ahead: usize,
}

impl<'a> Reader<'a> {
    /// For rows at these places, which are in order.
    fn new(table: &'a Table, mut places: impl ExactSizeIterator<Item = Place>, buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        let count = places.len() as u64;
        let span = match (places.next(), places.last()) {
            (Some(first), Some(last)) => last.offset - first.offset,
            _ => 0,
        };
        let ahead = if span / count.max(1) < APART { READ } else { 0 };
        Self { table, buffer, at: 0, ahead }
    }

    /// A row as it stands in the file, without its line end.
    fn row(&mut self, place: Place) -> Result<&[u8], SnapshotError> {
        let length = place.length as usize;
        let is_here = |at: u64, buffer: &[u8]| place.offset + u64::from(place.length) <= at + buffer.len() as u64;
        if place.offset < self.at || !is_here(self.at, self.buffer) {
            let left = self.table.bytes().saturating_sub(place.offset);
            let count = self.ahead.max(length).min(usize::try_from(left).unwrap_or(usize::MAX));
            if count < length {
                return Err(SnapshotError::Changed(self.table.path().to_owned()));
            }
            self.buffer.resize(count, 0);
            self.table.read_at(place.offset, self.buffer)?;
            self.at = place.offset;
        }
        let begin = (place.offset - self.at) as usize;
        let row = &self.buffer[begin..begin + length];
        let row = row.strip_suffix(b"\n").unwrap_or(row);
        Ok(row.strip_suffix(b"\r").unwrap_or(row))
    }
}
