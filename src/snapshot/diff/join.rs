//! Joins the digests of two tables, share by share.

use rayon::prelude::*;

use super::super::digest::{DIGEST, DigestError, Digester as _, Digests, RowDigest, Window};
use super::super::error::SnapshotError;
use super::super::partition::SHARE;
use super::super::row::{Place, Row};
use super::super::table::{Fetch, Table};
use super::canonical::{Canonical, Columns};
use super::ordered::{Gathering, Ordered, Run};
use super::{Change, Counts, DiffError, Doubtful};

/// One table, with its digests.
pub(super) struct Side<'a> {
    pub(super) table: &'a Table,
    pub(super) digester: Canonical<'a>,
    pub(super) digests: Digests<'a>,
}

impl Side<'_> {
    /// Whether a row has the digest that was kept of it.
    fn has_digest(&self, row: &Row<'_>, kept: RowDigest) -> bool {
        let digest = |(key, content)| RowDigest::new(key, content, row.place().offset, self.digests.bits);
        self.digester.digest(row).map(digest) == Some(kept)
    }
}

/// Two tables to be joined.
pub(super) struct Pair<'a> {
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    pub(super) columns: &'a Columns,
    /// Bytes of digests that each thread brings into memory at once.
    pub(super) window: u64,
}

/// What was found, in no order yet.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// Where in the new table.
    pub(super) added: Vec<u64>,
    /// Where in the old table.
    pub(super) removed: Vec<u64>,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    pub(super) doubtful: Doubtful,
    /// The sums of the proofs of rows that were looked at, of the old table and of the new one.
    pub(super) proofs: [u128; 2],
}

impl Joined {
    pub(super) fn counts(&self) -> Counts {
        let (added, removed) = (self.added.len() as u64, self.removed.len() as u64);
        Counts { added, removed, changed: self.changed, unchanged: self.unchanged }
    }

    fn prove(&mut self, is_old: bool, proof: u128) {
        let sum = &mut self.proofs[usize::from(!is_old)];
        *sum = sum.wrapping_add(proof);
    }
}

/// Groups of shares that threads take one after the other, so that they end at about the same time.
const LEAST_GROUPS: usize = 16;

/// Nothing was found for this row yet.
const ALONE: u32 = 0;
/// This row is not to be looked at again.
const DONE: u32 = u32::MAX;

/// Joins all shares; rows of one key that differ are put into `ordered`.
pub(super) fn join(pair: &Pair<'_>, ordered: &mut Ordered) -> Result<Joined, DiffError> {
    let shares = 1usize << pair.old.digests.bits;
    let at_once =
        usize::try_from(pair.window / (SHARE * DIGEST as u64)).unwrap_or(1).clamp(1, shares.div_ceil(LEAST_GROUPS));
    let begin = || (Share::new(pair), Window::default(), Window::default());
    let joined = |(share, old, new): &mut (Share<'_>, Window, Window), group: usize| {
        let group = group * at_once..((group + 1) * at_once).min(shares);
        pair.old.digests.load(group.clone(), old)?;
        pair.new.digests.load(group.clone(), new)?;
        let mut found = Joined::default();
        for i in group {
            share.join(i, old, new, &mut found)?;
        }
        found.added.shrink_to_fit();
        found.removed.shrink_to_fit();
        Ok((found, ordered.run(std::mem::take(&mut share.changed))?))
    };
    let found: Vec<(Joined, Option<Run>)> = match shares.div_ceil(at_once) {
        1 => vec![joined(&mut begin(), 0)?],
        groups => (0..groups).into_par_iter().map_init(begin, joined).collect::<Result<_, DiffError>>()?,
    };
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
        all.proofs = [0, 1].map(|side| all.proofs[side].wrapping_add(share.proofs[side]));
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
}

impl<'a> Share<'a> {
    fn new(pair: &'a Pair<'a>) -> Self {
        let (rows, slots, partner) = Default::default();
        Self { pair, rows, old_count: 0, slots, partner, fetch: Default::default(), changed: Gathering::default() }
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
            side.push(row.offset());
        }
        Ok(())
    }

    /// Finds the row's partner, or gives it a slot of its own. Rows with the same key hash are all visited: a hash is
    /// no proof that keys are equal.
    fn place(&mut self, i: usize, found: &mut Joined) -> Result<(), DigestError> {
        let row = self.rows[i];
        let is_old = i < self.old_count;
        let mask = self.slots.len() - 1;
        let mut slot = ((u64::from(row.key()) << self.slots.len().trailing_zeros()) >> 32) as usize;
        loop {
            let Some(j) = (self.slots[slot] as usize).checked_sub(1) else {
                self.slots[slot] = i as u32 + 1;
                return Ok(());
            };
            let other = self.rows[j];
            if other.key() == row.key() {
                let other_is_old = j < self.old_count;
                if !is_old && other_is_old && self.partner[j] == ALONE {
                    if other.has_content_of(row) {
                        found.unchanged += 1;
                        self.partner(j, i);
                        return Ok(());
                    }
                    if self.compare(other, row, found)? {
                        self.partner(j, i);
                        return Ok(());
                    }
                } else if self.same_key((other_is_old, other.offset()), (is_old, row.offset()))? {
                    let first = if other_is_old == is_old { j } else { self.partner[j] as usize - 1 };
                    let (first, _) = self.look_at(is_old, self.rows[first].offset())?;
                    let (second, proof) = self.look_at(is_old, row.offset())?;
                    let doubtful = &mut found.doubtful;
                    if is_old { &mut doubtful.old_duplicates } else { &mut doubtful.new_duplicates }
                        .push((first, second));
                    found.prove(is_old, proof);
                    self.partner[i] = DONE;
                    return Ok(());
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn partner(&mut self, old: usize, new: usize) {
        self.partner[old] = new as u32 + 1;
        self.partner[new] = DONE;
    }

    fn side(&self, is_old: bool) -> &'a Side<'a> {
        if is_old { &self.pair.old } else { &self.pair.new }
    }

    /// The place of the row at an offset, and its proof.
    fn look_at(&mut self, is_old: bool, offset: u64) -> Result<(Place, u128), SnapshotError> {
        let side = self.side(is_old);
        side.table.with_row(offset, &mut self.fetch[0], |row| (row.place(), side.digester.proof(row)))
    }

    /// Whether the rows at two offsets have one key.
    fn same_key(&mut self, a: (bool, u64), b: (bool, u64)) -> Result<bool, SnapshotError> {
        let (a_table, b_table) = (self.side(a.0).table, self.side(b.0).table);
        let Self { pair, fetch: [fetch_a, fetch_b], .. } = self;
        a_table.with_row(a.1, fetch_a, |a| {
            b_table
                .with_row(b.1, fetch_b, |b| pair.columns.same_key(a, a_table.key_columns(), b, b_table.key_columns()))
        })?
    }

    /// Compares two rows whose keys have one hash, cell by cell; `false` where the keys differ.
    fn compare(&mut self, old: RowDigest, new: RowDigest, found: &mut Joined) -> Result<bool, DigestError> {
        let Self { pair, fetch: [fetch_old, fetch_new], changed, .. } = self;
        let (old_side, new_side) = (&pair.old, &pair.new);
        let is_remembered = old_side.digests.are_remembered();
        let read = old_side.table.with_row(old.offset(), fetch_old, |a| {
            // What was digested earlier may have been damaged since.
            if is_remembered && !old_side.has_digest(a, old) {
                return Err(old_side.digests.damaged());
            }
            let is_one_key = new_side.table.with_row(new.offset(), fetch_new, |b| {
                let keys = (old_side.table.key_columns(), new_side.table.key_columns());
                if !pair.columns.same_key(a, keys.0, b, keys.1) {
                    return false;
                }
                found.prove(true, old_side.digester.proof(a));
                found.prove(false, new_side.digester.proof(b));
                let columns = pair.columns.differing(a, b);
                if columns.is_empty() {
                    found.unchanged += 1;
                } else {
                    found.changed += 1;
                    let change = Change::Changed { old: a.place(), new: b.place(), columns: &columns };
                    changed.push(&change, &new_side.table.key_of(b));
                }
                true
            })?;
            Ok(is_one_key)
        });
        match read {
            Err(_) if is_remembered => Err(old_side.digests.damaged()),
            read => read?,
        }
    }
}
