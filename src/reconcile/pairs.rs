//! Rows of an association as pairs of object numbers, on both sides.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::associations::{AssociationPlan, Pair, Planner};
use super::ends::EndState;
use super::error::ReconcileError;
use super::index::{NONE, Wanted};
use super::nesting;
use super::objects::counted;
use super::policy::Nested;
use super::reason::some;
use super::scan::checked;
use crate::model::situation::Situation;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

/// No such object.
const UNKNOWN: u32 = u32::MAX;
/// At the target, and not managed.
const FOREIGN: u32 = u32::MAX - 1;
/// Set on the number of an object of the other end's kind: a group that is a member.
const NESTED: u32 = 1 << 31;

impl Planner<'_> {
    fn columns(&self, table: &Table, at_source: bool) -> Result<[usize; 2], ReconcileError> {
        let sync = self.input.sync;
        let find = |name: &str| {
            table.column(name).ok_or_else(|| ReconcileError::Column {
                sync: sync.id.clone(),
                resource: Box::new(if at_source { sync.from.clone() } else { sync.to.clone() }),
                column: name.to_owned(),
                present: table.columns().join(", "),
            })
        };
        Ok([find(&self.names[0].name)?, find(&self.names[1].name)?])
    }

    /// The source's rows as pairs of numbers, nested groups resolved as the job asks; `None` where it refuses them.
    pub(crate) fn source_pairs(&self, done: &mut AssociationPlan) -> Result<Option<Vec<Pair>>, ReconcileError> {
        let columns = self.columns(self.input.source, true)?;
        let number = |end: usize, keys: &mut Wanted, numbers: &mut Vec<u32>| {
            let (here, there) = (self.table(end), self.table(1 - end));
            let found = here.source_index.get_all(keys, &here.source.rows.keys);
            numbers.extend_from_slice(found);
            for (i, number) in numbers.iter_mut().enumerate().filter(|(_, number)| **number == NONE) {
                *number = there.find_source(keys.key(i)).map_or(UNKNOWN, |number| number | NESTED);
            }
        };
        let chunks = paired(self.input.source, columns, number)?;
        checked(chunks.iter().map(Vec::len).sum(), &self.input.sync.from)?;
        let known = |code: u32| code & NESTED == 0;
        // A row of a group in a group: which end holds the inner one is told by the rows themselves.
        let inner = |(a, b): &Pair| match (*a, *b) {
            (a, b) if a != UNKNOWN && !known(a) && known(b) => Some(0),
            (a, b) if b != UNKNOWN && !known(b) && known(a) => Some(1),
            _ => None,
        };
        let count = |end: usize| chunks.iter().flatten().filter(|row| inner(row) == Some(end)).count();
        let member = usize::from(count(1) >= count(0));
        let mut direct: Vec<Pair> = Vec::with_capacity(chunks.iter().map(Vec::len).sum());
        let (mut nested, mut unknown) = (Vec::new(), 0usize);
        for row in chunks.into_iter().flatten() {
            match inner(&row) {
                None if known(row.0) && known(row.1) => direct.push(row),
                Some(end) if end == member => {
                    let (child, parent) = if member == 0 { row } else { (row.1, row.0) };
                    nested.push((child & !NESTED, parent));
                }
                _ => unknown += 1,
            }
        }
        if unknown > 0 {
            let is_unknown = |key: &str| (0..2).all(|end| self.table(end).find_source(key).is_none());
            let lost = self.input.source.par_fold(BTreeSet::new, |lost, row| {
                for (column, end) in columns.into_iter().zip(self.names) {
                    if is_unknown(row.cell(column)) {
                        lost.insert(format!("`{}` as {}", row.cell(column), end.name));
                    }
                }
            })?;
            let lost: BTreeSet<String> = lost.into_iter().flatten().collect();
            let lost: Vec<String> = lost.into_iter().collect();
            let which = if lost.is_empty() { String::new() } else { format!(": {}", some(&lost)) };
            done.warnings.push(format!(
                "{}: {} {} an object that is in no snapshot{which}; skipped",
                self.input.sync.id,
                counted(unknown, "row"),
                if unknown == 1 { "names" } else { "name" }
            ));
        }
        if !nested.is_empty() && !self.nest(member, &mut direct, &nested, done) {
            return Ok(None);
        }
        direct.par_sort_unstable();
        direct.dedup();
        Ok(Some(direct))
    }

    /// Resolves groups in groups; false where the job refuses them.
    fn nest(&self, member: usize, direct: &mut Vec<Pair>, nested: &[Pair], done: &mut AssociationPlan) -> bool {
        let containers = self.table(1 - member);
        let (sync, found) = (&self.input.sync.id, counted(nested.len(), "nested group"));
        match self.input.sync.nested {
            Nested::Direct => {
                done.warnings.push(format!(
                    "{sync}: {found} skipped with nested = \"direct\": their members do not become members of the outer groups"
                ));
                true
            }
            Nested::Refuse => {
                let mut first: Vec<String> = nested
                    .iter()
                    .map(|(child, parent)| format!("`{}` in `{}`", containers.key(*child), containers.key(*parent)))
                    .collect();
                first.sort();
                done.warnings.push(format!(
                    "{sync}: {found} and nested = \"refuse\": nothing of this association is planned; take {} apart, or set nested = \"flatten\"",
                    some(&first)
                ));
                false
            }
            Nested::Flatten => {
                let oriented: Vec<Pair> =
                    direct.iter().map(|pair| if member == 0 { *pair } else { (pair.1, pair.0) }).collect();
                let flat = nesting::flatten(&oriented, nested);
                let mut cycles: Vec<String> = flat
                    .cycles
                    .iter()
                    .map(|cycle| {
                        let mut keys: Vec<String> =
                            cycle.iter().map(|number| format!("`{}`", containers.key(*number))).collect();
                        keys.sort();
                        keys.join(" ↔ ")
                    })
                    .collect();
                cycles.sort();
                if !cycles.is_empty() {
                    done.warnings.push(format!(
                        "{sync}: groups contain each other: {}; their members belong to each of them: take one of the groups out of the other",
                        cycles.join("; ")
                    ));
                }
                direct.extend(flat.pairs.into_iter().map(|pair| if member == 0 { pair } else { (pair.1, pair.0) }));
                true
            }
        }
    }

    /// The target's rows of two managed objects; the others are counted.
    pub(crate) fn target_pairs(&self, done: &mut AssociationPlan) -> Result<Vec<Pair>, ReconcileError> {
        let columns = self.columns(self.input.target, false)?;
        let number = |end: usize, keys: &mut Wanted, numbers: &mut Vec<u32>| {
            let table = self.table(end);
            let found = table.target_index.get_all(keys, &table.target.keys).iter();
            numbers.extend(found.map(|row| match *row {
                NONE => UNKNOWN,
                row => table.number_of(row).unwrap_or(FOREIGN),
            }));
        };
        let chunks = paired(self.input.target, columns, number)?;
        done.size = chunks.iter().map(Vec::len).sum::<usize>() as u64;
        checked(done.size as usize, &self.input.sync.to)?;
        let mut held = Vec::with_capacity(done.size as usize);
        let (mut foreign, mut unknown) = (0u64, 0usize);
        for (a, b) in chunks.into_iter().flatten() {
            for (end, number) in [(0, a), (1, b)] {
                let state = self.table(end).states.get(number as usize);
                if matches!(state, Some(EndState::Leaving(_))) {
                    *done.taken_along[end].entry(number).or_default() += 1;
                }
            }
            match (a, b) {
                (UNKNOWN, _) | (_, UNKNOWN) => unknown += 1,
                (FOREIGN, _) | (_, FOREIGN) => foreign += 1,
                pair => held.push(pair),
            }
        }
        if unknown > 0 {
            done.warnings.push(format!(
                "{}: {} of {} {} an object that is not in the target's snapshot; left as it is",
                self.input.sync.id,
                counted(unknown, "row"),
                self.input.sync.to,
                if unknown == 1 { "names" } else { "name" }
            ));
        }
        if foreign > 0 {
            done.situations.counts.insert(Situation::Unmanaged, foreign);
        }
        held.par_sort_unstable();
        held.dedup();
        Ok(held)
    }
}

/// Rows whose ends are being looked up.
#[derive(Default)]
struct Gathering {
    ends: [Wanted; 2],
    numbers: [Vec<u32>; 2],
    pairs: Vec<Pair>,
}

impl Gathering {
    /// Looks up what was gathered; `number` gives the numbers that stand for the keys at an end.
    fn look_up(&mut self, number: &impl Fn(usize, &mut Wanted, &mut Vec<u32>)) {
        for (end, (keys, numbers)) in self.ends.iter_mut().zip(&mut self.numbers).enumerate() {
            numbers.clear();
            number(end, keys, numbers);
            keys.clear();
        }
        let [first, second] = &self.numbers;
        self.pairs.extend(first.iter().copied().zip(second.iter().copied()));
    }
}

/// The rows of an association as pairs of numbers, in file order, chunk by chunk.
fn paired(
    table: &Table,
    columns: [usize; 2],
    number: impl Fn(usize, &mut Wanted, &mut Vec<u32>) + Sync,
) -> Result<Vec<Vec<Pair>>, ReconcileError> {
    let chunks = table.par_fold(Gathering::default, |gathering, row| {
        for (keys, column) in gathering.ends.iter_mut().zip(columns) {
            keys.push(row.cell(column));
        }
        if gathering.ends[0].len() == Wanted::TOGETHER {
            gathering.look_up(&number);
        }
    })?;
    let pairs = chunks.into_par_iter().map(|mut rest| {
        rest.look_up(&number);
        rest.pairs
    });
    Ok(pairs.collect())
}
