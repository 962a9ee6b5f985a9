//! The rows of both sides as digests, column by column: nothing is allocated for a single row.

use std::collections::HashMap;

use crate::model::texts::Texts;
use crate::snapshot::row::Place;

/// What both sides' rows have: a key, a place, and digests.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) keys: Texts,
    places: Vec<Place>,
    /// Digests a row: of each mapped attribute, and of each match rule's value.
    width: (usize, usize),
    values: Vec<u64>,
    matches: Vec<u64>,
}

/// Whether a source row takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    In,
    Out,
    /// In no group that assigns, as far as snapshots show that do not prove it.
    Unassigned,
    /// The scope's rule failed on it.
    Unknown,
}

/// The rows of a source.
#[derive(Default)]
pub(crate) struct SourceRows {
    pub(crate) rows: Rows,
    marks: Vec<Mark>,
    /// Why the scope cannot be judged, by row.
    doubts: HashMap<u32, Box<str>>,
    /// Of each attribute that refers to another row, by row, which one it names; empty where it names none.
    named: Vec<Texts>,
}

#[derive(Clone, Copy)]
struct Mark {
    raw: u64,
    admission: Admission,
    failed: bool,
}

/// A source row.
#[derive(Clone, Copy)]
pub(crate) struct SourceRow<'a> {
    pub(crate) key: &'a str,
    pub(crate) admission: Admission,
    /// Digest of all its cells.
    pub(crate) raw: u64,
    /// Digest of each mapped value; `NOTHING` where it is to be left, or where the row is not in scope.
    pub(crate) values: &'a [u64],
    /// Digest of each match rule's value; `ABSENT` where the row is not in scope or linked already.
    pub(crate) matches: &'a [u64],
    /// A rule failed on it.
    pub(crate) failed: bool,
}

/// A target row.
#[derive(Clone, Copy)]
pub(crate) struct TargetRow<'a> {
    pub(crate) key: &'a str,
    pub(crate) place: Place,
    pub(crate) values: &'a [u64],
    pub(crate) matches: &'a [u64],
}

impl Rows {
    /// No rows yet, of so many attributes and match rules.
    pub(crate) fn new(attributes: usize, matchers: usize) -> Self {
        Self { width: (attributes, matchers), ..Self::default() }
    }

    /// Adds a row; as many values and matches as there are attributes and match rules.
    pub(crate) fn push<'k>(
        &mut self,
        key: impl Iterator<Item = &'k str>,
        place: Place,
        values: impl Iterator<Item = u64>,
        matches: impl Iterator<Item = u64>,
    ) {
        self.keys.push_parts(key);
        self.places.push(place);
        self.values.extend(values);
        self.matches.extend(matches);
    }

    /// Puts the rows of several chunks together, in their order.
    pub(crate) fn gather(chunks: Vec<Self>) -> Self {
        let width = chunks.first().map_or((0, 0), |chunk| chunk.width);
        let (rows, bytes) = chunks.iter().fold((0, 0), |(rows, bytes), c| (rows + c.len(), bytes + c.keys.bytes()));
        let mut all = Self {
            keys: Texts::with_capacity(rows, bytes),
            places: Vec::with_capacity(rows),
            width,
            values: Vec::with_capacity(rows * width.0),
            matches: Vec::with_capacity(rows * width.1),
        };
        // Chunk by chunk, so that what was copied is given back before the next one is.
        for mut chunk in chunks {
            all.keys.append(&chunk.keys);
            all.places.append(&mut chunk.places);
            all.values.append(&mut chunk.values);
            all.matches.append(&mut chunk.matches);
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    pub(crate) fn key(&self, row: u32) -> &str {
        self.keys.get(row as usize)
    }

    pub(crate) fn place(&self, row: u32) -> Place {
        self.places[row as usize]
    }

    #[inline]
    pub(crate) fn get(&self, row: u32) -> TargetRow<'_> {
        let (at, (attributes, matchers)) = (row as usize, self.width);
        TargetRow {
            key: self.keys.get(at),
            place: self.places[at],
            values: &self.values[at * attributes..(at + 1) * attributes],
            matches: &self.matches[at * matchers..(at + 1) * matchers],
        }
    }
}

impl SourceRows {
    pub(crate) fn new(attributes: usize, matchers: usize, references: usize) -> Self {
        let named = vec![Texts::default(); references];
        Self { rows: Rows::new(attributes, matchers), named, ..Self::default() }
    }

    /// Adds to the last row which one it names in each attribute that refers to another row.
    pub(crate) fn name<'n>(&mut self, named: impl Iterator<Item = &'n str>) {
        self.named.iter_mut().zip(named).for_each(|(all, named)| all.push(named));
    }

    /// Which row another one names, in the reference of a position.
    pub(crate) fn named(&self, reference: usize, row: u32) -> &str {
        self.named.get(reference).map_or("", |named| named.get(row as usize))
    }

    /// Sets the digest of a mapped value, once it is known what it refers to.
    pub(crate) fn set_value(&mut self, row: u32, position: usize, digest: u64) {
        let at = row as usize * self.rows.width.0 + position;
        self.rows.values[at] = digest;
    }

    /// Adds to the last row what a source row has besides; `doubt` says why its scope cannot be judged.
    pub(crate) fn mark(&mut self, raw: u64, admission: Admission, failed: bool, doubt: Option<Box<str>>) {
        if let Some(doubt) = doubt {
            self.doubts.insert(self.marks.len() as u32, doubt);
        }
        self.marks.push(Mark { raw, admission, failed });
    }

    pub(crate) fn gather(chunks: Vec<Self>) -> Self {
        let mut all = Self { marks: Vec::with_capacity(chunks.iter().map(Self::len).sum()), ..Self::default() };
        let mut parts = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let first = all.marks.len() as u32;
            all.doubts.extend(chunk.doubts.into_iter().map(|(row, doubt)| (first + row, doubt)));
            all.marks.extend(chunk.marks);
            all.named.resize_with(chunk.named.len(), Texts::default);
            all.named.iter_mut().zip(&chunk.named).for_each(|(all, some)| all.append(some));
            parts.push(chunk.rows);
        }
        all.rows = Rows::gather(parts);
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    #[inline]
    pub(crate) fn get(&self, row: u32) -> SourceRow<'_> {
        let TargetRow { key, values, matches, .. } = self.rows.get(row);
        let Mark { raw, admission, failed } = self.marks[row as usize];
        SourceRow { key, admission, raw, values, matches, failed }
    }

    /// Digest of all cells of a row, where there is such a row.
    pub(crate) fn raw(&self, row: u32) -> Option<u64> {
        self.marks.get(row as usize).map(|mark| mark.raw)
    }

    pub(crate) fn key(&self, row: u32) -> &str {
        self.rows.key(row)
    }

    /// Why the scope cannot be judged for a row.
    pub(crate) fn doubt(&self, row: u32) -> &str {
        self.doubts.get(&row).map_or("", |doubt| doubt)
    }
}
