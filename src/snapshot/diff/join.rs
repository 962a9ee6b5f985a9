//! Joins the digests of two tables, share by share.

use rayon::prelude::*;

use super::super::digest::{Digests, RowDigest};
use super::super::error::SnapshotError;
use super::super::partition::gather;
use super::super::row::{OwnedRow, Place};
use super::super::table::{Fetch, Table};
use super::Doubtful;
use super::canonical::Columns;

/// What was found, in no order yet.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) added: Vec<Place>,
    pub(super) removed: Vec<Place>,
    pub(super) changed: Vec<(Place, Place, Vec<usize>)>,
    pub(super) unchanged: u64,
    pub(super) doubtful: Doubtful,
}

/// Nothing was found for this row yet.
const ALONE: u32 = 0;
/// This row is not to be looked at again.
const DONE: u32 = u32::MAX;

pub(super) fn join(
    old: &Table,
    old_rows: Digests,
    new: &Table,
    new_rows: Digests,
    columns: &Columns,
) -> Result<Joined, SnapshotError> {
    let shares: Vec<Joined> = (0..1usize << old_rows.bits)
        .into_par_iter()
        .map_init(|| Share::new(old, new, columns), |share, i| share.join(&old_rows, &new_rows, i))
        .collect::<Result<_, _>>()?;
    let mut all = Joined::default();
    for mut share in shares {
        all.added.append(&mut share.added);
        all.removed.append(&mut share.removed);
        all.changed.append(&mut share.changed);
        all.unchanged += share.unchanged;
        all.doubtful.old_duplicates.append(&mut share.doubtful.old_duplicates);
        all.doubtful.new_duplicates.append(&mut share.doubtful.new_duplicates);
    }
    all.doubtful.old_duplicates.sort_by_key(|pair| pair.1);
    all.doubtful.new_duplicates.sort_by_key(|pair| pair.1);
    all.doubtful.old_keyless = old_rows.keyless;
    all.doubtful.new_keyless = new_rows.keyless;
    Ok(all)
}

/// One share of both tables in an open-addressed table of positions.
struct Share<'a> {
    old: &'a Table,
    new: &'a Table,
    columns: &'a Columns,
    /// The old rows, then the new ones.
    rows: Vec<RowDigest>,
    old_count: usize,
    /// Positions in `rows` plus one; 0 = free.
    slots: Vec<u32>,
    /// For each row: `ALONE`, `DONE`, or for an old row the position of its new one plus one.
    partner: Vec<u32>,
    fetch: Fetch,
}

impl<'a> Share<'a> {
    fn new(old: &'a Table, new: &'a Table, columns: &'a Columns) -> Self {
        Self {
            old,
            new,
            columns,
            rows: Vec::new(),
            old_count: 0,
            slots: Vec::new(),
            partner: Vec::new(),
            fetch: Fetch::default(),
        }
    }

    fn join(&mut self, old_rows: &Digests, new_rows: &Digests, share: usize) -> Result<Joined, SnapshotError> {
        self.rows.clear();
        gather(&old_rows.chunks, share, &mut self.rows);
        self.old_count = self.rows.len();
        gather(&new_rows.chunks, share, &mut self.rows);
        self.partner.clear();
        self.partner.resize(self.rows.len(), ALONE);
        self.slots.clear();
        self.slots.resize((self.rows.len() * 2).next_power_of_two(), 0);
        let mut found = Joined::default();
        for i in 0..self.rows.len() {
            self.place(i, &mut found)?;
        }
        for (i, row) in self.rows.iter().enumerate().filter(|(i, _)| self.partner[*i] == ALONE) {
            let side = if i < self.old_count { &mut found.removed } else { &mut found.added };
            side.push(row.place());
        }
        Ok(found)
    }

    /// Finds the row's partner, or gives it a slot of its own. Rows with the same key hash are all visited: a hash is
    /// no proof that keys are equal.
    fn place(&mut self, i: usize, found: &mut Joined) -> Result<(), SnapshotError> {
        let row = self.rows[i];
        let is_old = i < self.old_count;
        let mask = self.slots.len() - 1;
        let mut slot = row.key as usize & mask;
        loop {
            let Some(j) = (self.slots[slot] as usize).checked_sub(1) else {
                self.slots[slot] = i as u32 + 1;
                return Ok(());
            };
            let other = self.rows[j];
            if other.key == row.key {
                let other_is_old = j < self.old_count;
                if !is_old && other_is_old && self.partner[j] == ALONE {
                    if other.row == row.row {
                        found.unchanged += 1;
                        self.pair(j, i);
                        return Ok(());
                    }
                    if let Some(columns) = self.differing(other.place(), row.place())? {
                        if columns.is_empty() {
                            found.unchanged += 1;
                        } else {
                            found.changed.push((other.place(), row.place(), columns));
                        }
                        self.pair(j, i);
                        return Ok(());
                    }
                } else if self.same_key(other_is_old, other.place(), is_old, row.place())? {
                    let first = if other_is_old == is_old { j } else { self.partner[j] as usize - 1 };
                    let pair = (self.rows[first].place(), row.place());
                    let doubtful = &mut found.doubtful;
                    if is_old { &mut doubtful.old_duplicates } else { &mut doubtful.new_duplicates }.push(pair);
                    self.partner[i] = DONE;
                    return Ok(());
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn pair(&mut self, old: usize, new: usize) {
        self.partner[old] = new as u32 + 1;
        self.partner[new] = DONE;
    }

    fn fetch(&mut self, is_old: bool, place: Place) -> Result<OwnedRow, SnapshotError> {
        let table = if is_old { self.old } else { self.new };
        let mut kept = None;
        table.with_row(place, &mut self.fetch, |row| kept = Some(OwnedRow::of(row)))?;
        kept.ok_or_else(|| SnapshotError::Changed(table.path().to_owned()))
    }

    fn same_key(&mut self, a_old: bool, a: Place, b_old: bool, b: Place) -> Result<bool, SnapshotError> {
        let (a, b) = (self.fetch(a_old, a)?, self.fetch(b_old, b)?);
        let side = |is_old: bool| if is_old { self.old.key_columns() } else { self.new.key_columns() };
        Ok(self.columns.same_key(&a, side(a_old), &b, side(b_old)))
    }

    /// The columns, by position in the new table, in which two rows of one key differ; `None` where the keys differ.
    fn differing(&mut self, old: Place, new: Place) -> Result<Option<Vec<usize>>, SnapshotError> {
        let (old, new) = (self.fetch(true, old)?, self.fetch(false, new)?);
        let is_same = self.columns.same_key(&old, self.old.key_columns(), &new, self.new.key_columns());
        Ok(is_same.then(|| self.columns.differing(&old, &new)))
    }
}
