//! One form for rows that mean the same: columns by name, quotes only where needed, lists sorted.

use std::borrow::Cow;
use std::cell::RefCell;

use super::super::digest::Digester;
use super::super::row::{Cells, Row};
use super::super::table::{KEY_JOINT, Table};
use super::super::writer::{needs_quotes, push_cell};
use super::hash::TextHash;
use super::normalise::{Normaliser, canonical_cell};
use super::{DiffError, DiffOptions};

thread_local! {
    /// Rows that have to be rewritten before they are hashed.
    static REWRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Which columns are compared.
#[derive(Debug)]
pub(super) struct Columns {
    /// Positions in the old table of the columns that both have and nobody ignores.
    pub(super) old: Vec<usize>,
    /// Positions of the same columns in the new table.
    pub(super) new: Vec<usize>,
    /// Their normalisers.
    pub(super) normalisers: Vec<Vec<Normaliser>>,
    /// Those of the key's columns, in the key's order.
    pub(super) key_normalisers: Vec<Vec<Normaliser>>,
    /// Columns that only the new table has.
    pub(super) added: Vec<String>,
    /// Columns that only the old table has.
    pub(super) removed: Vec<String>,
}

impl Columns {
    /// `order`, where given, names the old table's columns in another order; digests are made in it.
    pub(super) fn of(
        old: &Table,
        new: &Table,
        options: &DiffOptions,
        order: Option<&[String]>,
    ) -> Result<Self, DiffError> {
        let names = |table: &Table| -> Vec<String> {
            table.key_columns().iter().map(|i| format!("`{}`", table.columns()[*i])).collect()
        };
        if names(old) != names(new) {
            return Err(DiffError::Keys {
                old: old.path().display().to_string(),
                old_key: names(old).join(", "),
                new: new.path().display().to_string(),
                new_key: names(new).join(", "),
            });
        }
        let is_unknown = |column: &&String| old.column(column).is_none() && new.column(column).is_none();
        if let Some(unknown) = options.ignore.iter().find(is_unknown) {
            return Err(DiffError::Ignored(unknown.clone()));
        }
        if let Some(unknown) = options.normalise.keys().find(is_unknown) {
            return Err(DiffError::Normalised(unknown.clone()));
        }
        let normalisers = |column: &String| options.normalise.get(column).cloned().unwrap_or_default();
        let mut columns = Self {
            old: Vec::new(),
            new: Vec::new(),
            normalisers: Vec::new(),
            key_normalisers: old.key_columns().iter().map(|i| normalisers(&old.columns()[*i])).collect(),
            added: Vec::new(),
            removed: Vec::new(),
        };
        for name in order.unwrap_or(old.columns()) {
            let Some(i) = old.column(name) else { continue };
            // The key is always compared: it is what tells rows apart.
            let ignored = options.ignore.contains(name) && !old.key_columns().contains(&i);
            match new.column(name) {
                _ if ignored => {}
                Some(j) => {
                    columns.old.push(i);
                    columns.new.push(j);
                    columns.normalisers.push(normalisers(name));
                }
                None => columns.removed.push(name.clone()),
            }
        }
        let added = new.columns().iter().filter(|name| old.column(name).is_none() && !options.ignore.contains(*name));
        columns.added = added.cloned().collect();
        Ok(columns)
    }

    /// Whether two rows have the same key, which stands in these columns of theirs.
    pub(super) fn same_key(&self, a: &dyn Cells, a_key: &[usize], b: &dyn Cells, b_key: &[usize]) -> bool {
        a_key.iter().zip(b_key).zip(&self.key_normalisers).all(|((i, j), normalisers)| {
            let (a, b) = (a.cell(*i), b.cell(*j));
            a == b || key_cell(a, normalisers) == key_cell(b, normalisers)
        })
    }

    /// The columns, by position in the new table, in which two rows differ.
    pub(super) fn differing(&self, old: &dyn Cells, new: &dyn Cells) -> Vec<usize> {
        let columns = self.old.iter().zip(&self.new).zip(&self.normalisers);
        let mut differing: Vec<usize> = columns
            .filter(|((i, j), normalisers)| {
                let (old, new) = (old.cell(**i), new.cell(**j));
                old != new && canonical_cell(old, normalisers) != canonical_cell(new, normalisers)
            })
            .map(|((_, j), _)| *j)
            .collect();
        differing.sort_unstable();
        differing
    }
}

/// Digests rows of one table in the form that it shares with the other.
pub(super) struct Canonical<'a> {
    key: &'a [usize],
    key_normalisers: &'a [Vec<Normaliser>],
    columns: &'a [usize],
    normalisers: &'a [Vec<Normaliser>],
    /// Whether a row as it stands has its columns in the common order, no others, and nothing to normalise.
    as_it_stands: bool,
    /// Whether the key is all that is compared: then one pass makes both hashes.
    is_all_key: bool,
    /// Whether such a row stands in its file as it is hashed, quotes and normalisers apart.
    is_key_in_order: bool,
    hash: TextHash,
    /// Where rows are to be proved to be what their digests say.
    proof: Option<TextHash>,
    hashes: Hashes,
}

/// How rows are hashed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    pub(super) seed: u64,
    /// Whether each row has a proof besides its digest.
    pub(super) prove: bool,
    /// Keeps only some bits of the key's hash; tests force collisions with it.
    pub(super) key_mask: u64,
    /// The same for the content's hash.
    pub(super) row_mask: u64,
}

impl<'a> Canonical<'a> {
    /// `columns` are the positions in this table of those compared.
    pub(super) fn new(table: &'a Table, all: &'a Columns, columns: &'a [usize], hashes: Hashes) -> Self {
        let in_order = columns.len() == table.columns().len() && columns.iter().enumerate().all(|(i, c)| i == *c);
        let as_it_stands = in_order && all.normalisers.iter().all(Vec::is_empty);
        Self {
            key: table.key_columns(),
            key_normalisers: &all.key_normalisers,
            columns,
            normalisers: &all.normalisers,
            as_it_stands,
            is_all_key: columns.iter().all(|column| table.key_columns().contains(column)),
            is_key_in_order: as_it_stands && table.key_columns() == columns,
            hash: TextHash::new(hashes.seed),
            proof: hashes.prove.then(|| TextHash::new(!hashes.seed)),
            hashes,
        }
    }

    fn key(&self, row: &Row<'_>) -> Option<u64> {
        if let ([column], [normalisers]) = (self.key, self.key_normalisers) {
            let cell = key_cell(row.cell(*column), normalisers);
            return (!cell.is_empty()).then(|| self.hash.short(cell.as_bytes()));
        }
        REWRITTEN.with_borrow_mut(|scratch| {
            scratch.clear();
            for (column, normalisers) in self.key.iter().zip(self.key_normalisers) {
                let cell = key_cell(row.cell(*column), normalisers);
                if cell.is_empty() {
                    return None;
                }
                scratch.extend_from_slice(cell.as_bytes());
                scratch.push(KEY_JOINT as u8);
            }
            (!scratch.is_empty()).then(|| self.hash.short(scratch))
        })
    }

    /// Both hashes of a row that is nothing but its key. The key's order counts, that of the columns does not.
    fn all_key(&self, row: &Row<'_>) -> Option<(u64, u64)> {
        if self.key.is_empty() || self.key.iter().any(|column| row.cell(*column).is_empty()) {
            return None;
        }
        let hash = if self.is_key_in_order && is_quoted_rightly(row) {
            self.hash.long(row.raw())
        } else {
            self.all_key_rewritten(row)?
        };
        Some((hash as u64 & self.hashes.key_mask, (hash >> 64) as u64 & self.hashes.row_mask))
    }

    fn all_key_rewritten(&self, row: &Row<'_>) -> Option<u128> {
        REWRITTEN.with_borrow_mut(|scratch| {
            scratch.clear();
            for (i, (column, normalisers)) in self.key.iter().zip(self.key_normalisers).enumerate() {
                let cell = key_cell(row.cell(*column), normalisers);
                if cell.is_empty() {
                    return None;
                }
                if i > 0 {
                    scratch.push(b',');
                }
                push_cell(scratch, &cell);
            }
            Some(self.hash.long(scratch))
        })
    }

    /// Hands out a row's content as it is compared.
    #[inline]
    fn content<T>(&self, row: &Row<'_>, each: impl FnOnce(&[u8]) -> T) -> T {
        if self.as_it_stands && is_canonical(row) { each(row.raw()) } else { self.rewritten(row, each) }
    }

    /// The same of a row that does not stand in its file so.
    fn rewritten<T>(&self, row: &Row<'_>, each: impl FnOnce(&[u8]) -> T) -> T {
        REWRITTEN.with_borrow_mut(|scratch| {
            scratch.clear();
            for (i, (column, normalisers)) in self.columns.iter().zip(self.normalisers).enumerate() {
                if i > 0 {
                    scratch.push(b',');
                }
                push_cell(scratch, &canonical_cell(row.cell(*column), normalisers));
            }
            each(scratch)
        })
    }
}

impl Digester for Canonical<'_> {
    #[inline]
    fn digest(&self, row: &Row<'_>) -> Option<(u64, u64)> {
        if self.is_all_key {
            return self.all_key(row);
        }
        let key = self.key(row)? & self.hashes.key_mask;
        let content = self.content(row, |content| self.hash.short(content));
        Some((key, content & self.hashes.row_mask))
    }

    #[inline]
    fn proof(&self, row: &Row<'_>) -> u128 {
        self.proof.as_ref().map_or(0, |hash| self.content(row, |content| hash.long(content)))
    }
}

/// A cell of the key in the form that tells rows apart: a text as it stands, unless it has normalisers.
pub(super) fn key_cell<'c>(cell: &'c str, normalisers: &[Normaliser]) -> Cow<'c, str> {
    if normalisers.is_empty() { Cow::Borrowed(cell) } else { canonical_cell(cell, normalisers) }
}

/// Whether a row stands in its file as `push_cell` would write it: then its bytes can be hashed as they are.
#[inline]
fn is_canonical(row: &Row<'_>) -> bool {
    !row.has_list() && is_quoted_rightly(row)
}

/// Whether only cells that need quotes have them.
#[inline]
fn is_quoted_rightly(row: &Row<'_>) -> bool {
    row.doubtful_insides().all(needs_quotes)
}
