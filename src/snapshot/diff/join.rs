//! Joins the digests of two tables, share by share.

use rayon::prelude::*;

use super::super::digest::{DIGEST, DigestError, Digester as _, Digests, RowDigest, Window};
use super::super::error::SnapshotError;
use super::super::partition::SHARE;
use super::super::row::Place;
use super::super::table::{Fetch, Table};
use super::canonical::{Canonical, Columns};
use super::ordered::{Gathering, Ordered, Run};
use super::verify::Equals;
use super::{Change, Counts, DiffError, Doubtful};

/// One table, with its digests.
pub(super) struct Side<'a> {
    pub(super) table: &'a Table,
    pub(super) digester: Canonical<'a>,
    pub(super) digests: Digests<'a>,
}

/// Two tables to be joined.
pub(super) struct Pair<'a> {
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    pub(super) columns: &'a Columns,
    /// Whether rows of equal digests are compared too.
    pub(super) verify: bool,
    /// Bytes of such rows that each thread brings into memory at once.
    pub(super) verify_bytes: u64,
    /// Bytes of digests that each thread brings into memory at once.
    pub(super) window: u64,
}

/// What was found, in no order yet.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Packed places in the new table.
    pub(super) added: Vec<u64>,
    /// Packed places in the old table.
    pub(super) removed: Vec<u64>,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) doubtful: Doubtful,
}

impl Joined {
    pub(super) fn counts(&self) -> Counts {
        let (added, removed) = (self.added.len() as u64, self.removed.len() as u64);
        Counts { added, removed, changed: self.changed, unchanged: self.unchanged }
    }
}

/// Nothing was found for this row yet.
const ALONE: u32 = 0;
/// This row is not to be looked at again.
const DONE: u32 = u32::MAX;

/// Joins all shares; rows of one key that differ are put into `ordered`.
pub(super) fn join(pair: &Pair<'_>, ordered: &mut Ordered) -> Result<Joined, DiffError> {
    let shares = 1usize << pair.old.digests.bits;
    let at_once = usize::try_from(pair.window / (SHARE * DIGEST as u64)).unwrap_or(1).clamp(1, shares);
    let found: Vec<(Joined, Option<Run>)> = (0..shares.div_ceil(at_once))
        .into_par_iter()
        .map_init(
            || (Share::new(pair), Window::default(), Window::default()),
            |(share, old, new), group| {
                let group = group * at_once..((group + 1) * at_once).min(shares);
                pair.old.digests.load(group.clone(), old)?;
                pair.new.digests.load(group.clone(), new)?;
                let mut found = Joined::default();
                for i in group {
                    share.join(i, old, new, &mut found)?;
                    if share.equals.bytes > pair.verify_bytes {
                        share.verify(&mut found)?;
                    }
                }
                share.verify(&mut found)?;
                found.added.shrink_to_fit();
                found.removed.shrink_to_fit();
                Ok((found, ordered.run(std::mem::take(&mut share.changed))?))
            },
        )
        .collect::<Result<_, DiffError>>()?;
    let mut all = Joined::default();
    // There may be as many as there are rows: no room for more than that, and no copy that grows.
    all.added.reserve_exact(found.iter().map(|(share, _)| share.added.len()).sum());
    all.removed.reserve_exact(found.iter().map(|(share, _)| share.removed.len()).sum());
    for (mut share, run) in found {
        ordered.add(run);
        all.added.append(&mut share.added);
        all.removed.append(&mut share.removed);
        all.changed += share.changed;
        all.unchanged += share.unchanged;
        all.doubtful.old_duplicates.append(&mut share.doubtful.old_duplicates);
        all.doubtful.new_duplicates.append(&mut share.doubtful.new_duplicates);
    }
    all.doubtful.old_duplicates.sort_by_key(|pair| pair.1);
    all.doubtful.new_duplicates.sort_by_key(|pair| pair.1);
    all.doubtful.old_keyless.clone_from(&pair.old.digests.keyless);
    all.doubtful.new_keyless.clone_from(&pair.new.digests.keyless);
    Ok(all)
}

/// One share of both tables in an open-addressed table of positions.
struct Share<'a> {
    pair: &'a Pair<'a>,
    /// The old rows, then the new ones.
    rows: Vec<RowDigest>,
    old_count: usize,
    /// Positions in `rows` plus one; 0 = free.
    slots: Vec<u32>,
    /// For each row: `ALONE`, `DONE`, or for an old row the position of its new one plus one.
    partner: Vec<u32>,
    fetch: [Fetch; 2],
    /// Rows of one key that differ, of the shares since the last run.
    changed: Gathering,
    /// Rows of equal digests that are still to be compared.
    equals: Equals,
}

impl<'a> Share<'a> {
    fn new(pair: &'a Pair<'a>) -> Self {
        let (rows, slots, partner) = Default::default();
        Self {
            pair,
            rows,
            old_count: 0,
            slots,
            partner,
            fetch: Default::default(),
            changed: Gathering::default(),
            equals: Equals::default(),
        }
    }

    fn join(&mut self, share: usize, old: &Window, new: &Window, found: &mut Joined) -> Result<(), DigestError> {
        self.rows.clear();
        self.pair.old.digests.gather(share, old, &mut self.rows)?;
        self.old_count = self.rows.len();
        self.pair.new.digests.gather(share, new, &mut self.rows)?;
        self.partner.clear();
        self.partner.resize(self.rows.len(), ALONE);
        self.slots.clear();
        self.slots.resize((self.rows.len() * 2).next_power_of_two(), 0);
        for i in 0..self.rows.len() {
            self.place(i, found)?;
        }
        for (i, row) in self.rows.iter().enumerate().filter(|(i, _)| self.partner[*i] == ALONE) {
            let side = if i < self.old_count { &mut found.removed } else { &mut found.added };
            side.push(row.place);
        }
        Ok(())
    }

    /// Finds the row's partner, or gives it a slot of its own. Rows with the same key hash are all visited: a hash is
    /// no proof that keys are equal.
    fn place(&mut self, i: usize, found: &mut Joined) -> Result<(), DigestError> {
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
                        if self.pair.verify {
                            self.equals.push(other, row);
                        }
                        found.unchanged += 1;
                        self.partner(j, i);
                        return Ok(());
                    }
                    if let Some((columns, key)) = self.compare(other, row)? {
                        if columns.is_empty() {
                            found.unchanged += 1;
                        } else {
                            let change = Change::Changed { old: other.place(), new: row.place(), columns: &columns };
                            self.changed.push(&change, &key);
                            found.changed += 1;
                        }
                        self.partner(j, i);
                        return Ok(());
                    }
                } else if self.same_key((other_is_old, other.place()), (is_old, row.place()))? {
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

    /// Looks at the rows that were taken for equal by their digests.
    fn verify(&mut self, found: &mut Joined) -> Result<(), DigestError> {
        // The same bytes are the same cells only where the columns stand at the same places.
        let columns = self.pair.columns;
        let unlike = if columns.old == columns.new {
            self.equals.unlike(self.pair.old.table, self.pair.new.table)?
        } else {
            self.equals.take()
        };
        for (old, new) in unlike {
            let Some((columns, key)) = self.compare(old, new)? else {
                // Hashes of 128 bits that are equal by chance: neither row has anything to do with the other.
                found.unchanged -= 1;
                found.removed.push(old.place);
                found.added.push(new.place);
                continue;
            };
            if !columns.is_empty() {
                found.unchanged -= 1;
                found.changed += 1;
                self.changed.push(&Change::Changed { old: old.place(), new: new.place(), columns: &columns }, &key);
            }
        }
        Ok(())
    }

    fn partner(&mut self, old: usize, new: usize) {
        self.partner[old] = new as u32 + 1;
        self.partner[new] = DONE;
    }

    fn same_key(&mut self, a: (bool, Place), b: (bool, Place)) -> Result<bool, SnapshotError> {
        let Self { pair, fetch: [fetch_a, fetch_b], .. } = self;
        let table = |is_old: bool| if is_old { pair.old.table } else { pair.new.table };
        let ((a_table, a), (b_table, b)) = ((table(a.0), a.1), (table(b.0), b.1));
        let mut same = Ok(false);
        a_table.with_row(a, fetch_a, |a| {
            let mut keys_equal = false;
            let read = b_table.with_row(b, fetch_b, |b| {
                keys_equal = pair.columns.same_key(a, a_table.key_columns(), b, b_table.key_columns());
            });
            same = read.map(|()| keys_equal);
        })?;
        same
    }

    /// The columns, by position in the new table, in which two rows of one key differ, and the key; `None` where the
    /// keys differ.
    fn compare(&mut self, old: RowDigest, new: RowDigest) -> Result<Option<(Vec<usize>, String)>, DigestError> {
        let Self { pair, fetch: [fetch_old, fetch_new], .. } = self;
        let (old_side, new_side) = (&pair.old, &pair.new);
        let mut result = Ok(None);
        let read = old_side.table.with_row(old.place(), fetch_old, |a| {
            // What was digested earlier may have been damaged since.
            if old_side.digests.are_remembered() && old_side.digester.digest(a) != Some((old.key, old.row)) {
                result = Err(old_side.digests.damaged());
                return;
            }
            let mut compared = None;
            let read = new_side.table.with_row(new.place(), fetch_new, |b| {
                let keys = (old_side.table.key_columns(), new_side.table.key_columns());
                if pair.columns.same_key(a, keys.0, b, keys.1) {
                    compared = Some((pair.columns.differing(a, b), new_side.table.key_of(b)));
                }
            });
            result = read.map(|()| compared).map_err(DigestError::from);
        });
        match read {
            Err(_) if old_side.digests.are_remembered() => Err(old_side.digests.damaged()),
            Err(error) => Err(error.into()),
            Ok(()) => result,
        }
    }
}
