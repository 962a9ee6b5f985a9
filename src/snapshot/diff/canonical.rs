//! One form for rows that mean the same: columns by name, quotes only where needed, lists sorted.

use std::borrow::Cow;
use std::cell::RefCell;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::digest::Digester;
use super::super::row::{Cells, Row};
use super::super::table::{KEY_JOINT, Table};
use super::super::writer::{needs_quotes, push_cell};
use super::{DiffError, DiffOptions};
use crate::model::value::Value;

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
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl Columns {
    pub(super) fn of(old: &Table, new: &Table, options: &DiffOptions) -> Result<Self, DiffError> {
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
        if let Some(unknown) = options.ignore.iter().find(|c| old.column(c).is_none() && new.column(c).is_none()) {
            return Err(DiffError::Ignored(unknown.clone()));
        }
        let mut columns = Self { old: Vec::new(), new: Vec::new(), added: Vec::new(), removed: Vec::new() };
        for (i, name) in old.columns().iter().enumerate() {
            // The key is always compared: it is what tells rows apart.
            let ignored = options.ignore.contains(name) && !old.key_columns().contains(&i);
            match new.column(name) {
                _ if ignored => {}
                Some(j) => {
                    columns.old.push(i);
                    columns.new.push(j);
                }
                None => columns.removed.push(name.clone()),
            }
        }
        let added = new.columns().iter().filter(|name| old.column(name).is_none() && !options.ignore.contains(*name));
        columns.added = added.cloned().collect();
        Ok(columns)
    }
}

/// Digests rows of one table in the form that it shares with the other.
pub(super) struct Canonical {
    key: Vec<usize>,
    columns: Vec<usize>,
    /// Whether a row as it stands has its columns in the common order, and no others.
    in_order: bool,
    seed: u64,
    key_mask: u64,
}

impl Canonical {
    pub(super) fn new(table: &Table, columns: &[usize], seed: u64, key_mask: u64) -> Self {
        let in_order = columns.len() == table.columns().len() && columns.iter().enumerate().all(|(i, c)| i == *c);
        Self { key: table.key_columns().to_vec(), columns: columns.to_vec(), in_order, seed, key_mask }
    }

    fn key(&self, row: &Row<'_>, scratch: &mut Vec<u8>) -> Option<u64> {
        if let [column] = self.key.as_slice() {
            let cell = row.cell(*column);
            return (!cell.is_empty()).then(|| xxh3_64_with_seed(cell.as_bytes(), self.seed));
        }
        scratch.clear();
        for column in &self.key {
            let cell = row.cell(*column);
            if cell.is_empty() {
                return None;
            }
            scratch.extend_from_slice(cell.as_bytes());
            scratch.push(KEY_JOINT as u8);
        }
        (!scratch.is_empty()).then(|| xxh3_64_with_seed(scratch, self.seed))
    }
}

impl Digester for Canonical {
    fn digest(&self, row: &Row<'_>) -> Option<(u64, u64)> {
        REWRITTEN.with_borrow_mut(|scratch| {
            let key = self.key(row, scratch)? & self.key_mask;
            if self.in_order && is_canonical(row) {
                return Some((key, xxh3_64_with_seed(row.raw().as_bytes(), self.seed)));
            }
            scratch.clear();
            for (i, column) in self.columns.iter().enumerate() {
                if i > 0 {
                    scratch.push(b',');
                }
                push_cell(scratch, &canonical_cell(row.cell(*column)));
            }
            Some((key, xxh3_64_with_seed(scratch, self.seed)))
        })
    }
}

/// Whether a row stands in its file as `push_cell` would write it: then its bytes can be hashed as they are.
#[inline]
fn is_canonical(row: &Row<'_>) -> bool {
    // Lists are rare, and a search through the row is cheaper than a look at each cell.
    if memchr::memchr(b'[', row.raw().as_bytes()).is_some() && row.cells().any(|cell| cell.starts_with('[')) {
        return false;
    }
    row.quoted_cells().all(|cell| needs_quotes(cell.as_bytes()))
}

/// A cell in the form that is compared: a JSON array is a set of values.
pub fn canonical_cell(cell: &str) -> Cow<'_, str> {
    if !cell.starts_with('[') {
        return Cow::Borrowed(cell);
    }
    match Value::from_cell(cell) {
        Some(Value::Text(_)) => Cow::Borrowed(cell),
        Some(value) => Cow::Owned(value.to_cell()),
        None => Cow::Borrowed(""),
    }
}
