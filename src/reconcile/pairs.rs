//! Rows of an association as pairs of object numbers, on both sides.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::associations::{AssociationPlan, Pair, Planner};
use super::ends::{EndState, EndTable};
use super::error::ReconcileError;
use super::index::{KeyHash, KeyHasher, NONE};
use super::nesting::{self, CHILD, PARENT};
use super::objects::counted;
use super::policy::Nested;
use super::reason::some;
use super::scan::checked;
use crate::model::digest::Digest;
use crate::model::situation::Situation;
use crate::snapshot::kept_pairs::KeptPairs;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

/// Containers that contain each other, by their keys, each circle once.
fn told_cycles(cycles: &[Vec<u32>], containers: &EndTable<'_>) -> Vec<String> {
    let told = |cycle: &Vec<u32>| {
        let mut keys: Vec<String> = cycle.iter().map(|number| format!("`{}`", containers.key(*number))).collect();
        keys.sort();
        keys.join(" ↔ ")
    };
    let mut told: Vec<String> = cycles.iter().map(told).collect();
    told.sort();
    told
}

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

    /// Warns of circles among rows that tie objects of one kind: groups that are to contain each other.
    pub(crate) fn tell_circles(&self, rows: &[Vec<Pair>], done: &mut AssociationPlan<'_>) {
        let [one, other] = self.names;
        if (&one.from, &one.to) != (&other.from, &other.to) {
            return;
        }
        let rows: Vec<Pair> = rows.iter().flatten().copied().collect();
        let cycles = told_cycles(&nesting::flatten(&[], &rows).cycles, self.table(0));
        if !cycles.is_empty() {
            done.warnings.push(format!(
                "{}: {} has objects that contain each other: {}; many targets refuse that, or never come to an end with it: take one out of the other",
                self.input.sync.id,
                self.input.sync.from,
                cycles.join("; ")
            ));
        }
    }

    /// The source's rows as pairs of numbers, nested groups resolved as the job asks; `None` where it refuses them.
    pub(crate) fn source_pairs(
        &self,
        done: &mut AssociationPlan<'_>,
    ) -> Result<Option<Vec<Vec<Pair>>>, ReconcileError> {
        let columns = self.columns(self.input.source, true)?;
        let tables = [self.table(0), self.table(1)];
        let number = |end: usize, key: KeyHash| match tables[end].source_index.get_hashed(key) {
            NONE => match tables[1 - end].source_index.get_hashed(key) {
                NONE => UNKNOWN,
                number => number | NESTED,
            },
            number => number,
        };
        let rows = Side { table: self.input.source, sha256: self.input.source_sha256, columns };
        let chunks = rows.paired(tables[0].source_index.hasher(), number)?;
        checked(chunks.iter().map(Vec::len).sum(), &self.input.sync.from)?;
        let sorted: Vec<SourceRows> = chunks.into_par_iter().map(SourceRows::of).collect();
        let count = |end: usize| sorted.iter().map(|chunk| chunk.inner[end].len()).sum::<usize>();
        let own = self.nestings()?;
        // Which end holds the inner groups is told by the rows themselves.
        let member = match &own {
            Some((container, _)) => 1 - container,
            None => usize::from(count(1) >= count(0)),
        };
        let mut unknown = count(1 - member);
        let (mut direct, mut nested) = (Vec::with_capacity(sorted.len()), Vec::new());
        for SourceRows { direct: pairs, inner, unknown: lost } in sorted {
            unknown += lost;
            nested.extend(inner[member].iter().map(|(a, b)| if member == 0 { (*a, *b) } else { (*b, *a) }));
            direct.push(pairs);
        }
        nested.extend(own.into_iter().flat_map(|(_, nested)| nested));
        if unknown > 0 {
            let is_unknown = |key: &str| tables.iter().all(|table| table.find_source(key).is_none());
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
        Ok(Some(direct))
    }

    /// Groups in groups that are rows of their own: the end whose objects they tie, and the pairs of inner and outer ones.
    fn nestings(&self) -> Result<Option<(usize, Vec<Pair>)>, ReconcileError> {
        let Some((table, resource)) = self.input.nestings.zip(self.input.sync.nestings.as_ref()) else {
            return Ok(None);
        };
        let column = |name: &str| {
            table.column(name).ok_or_else(|| ReconcileError::Column {
                sync: self.input.sync.id.clone(),
                resource: Box::new(resource.clone()),
                column: name.to_owned(),
                present: table.columns().join(", "),
            })
        };
        let (child, parent) = (column(CHILD)?, column(PARENT)?);
        let mut found: [Vec<Pair>; 2] = Default::default();
        table.for_each(|row| {
            for (end, found) in found.iter_mut().enumerate() {
                let number = |column: usize| self.table(end).find_source(row.cell(column));
                found.extend(number(child).zip(number(parent)));
            }
        })?;
        let container = usize::from(found[1].len() > found[0].len());
        Ok(Some((container, std::mem::take(&mut found[container]))))
    }

    /// Resolves groups in groups; false where the job refuses them.
    fn nest(
        &self,
        member: usize,
        direct: &mut Vec<Vec<Pair>>,
        nested: &[Pair],
        done: &mut AssociationPlan<'_>,
    ) -> bool {
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
                done.is_refused = true;
                done.warnings.push(format!(
                    "{sync}: {found} and nested = \"refuse\": nothing of this association is planned; take {} apart, or set nested = \"flatten\"",
                    some(&first)
                ));
                false
            }
            Nested::Flatten => {
                let turned = |pair: Pair| if member == 0 { pair } else { (pair.1, pair.0) };
                let oriented: Vec<Pair> = direct.iter().flatten().copied().map(turned).collect();
                let flat = nesting::flatten(&oriented, nested);
                let cycles = told_cycles(&flat.cycles, containers);
                if !cycles.is_empty() {
                    done.warnings.push(format!(
                        "{sync}: groups contain each other: {}; their members belong to each of them: take one of the groups out of the other",
                        cycles.join("; ")
                    ));
                }
                direct.push(flat.pairs.into_iter().map(turned).collect());
                true
            }
        }
    }

    /// The target's rows of two managed objects; the others are counted.
    pub(crate) fn target_pairs(&self, done: &mut AssociationPlan<'_>) -> Result<Vec<Vec<Pair>>, ReconcileError> {
        let columns = self.columns(self.input.target, false)?;
        let tables = [self.table(0), self.table(1)];
        let number = |end: usize, id: KeyHash| match tables[end].target_index.get_hashed(id) {
            NONE => UNKNOWN,
            row => tables[end].number_of(row).unwrap_or(FOREIGN),
        };
        let rows = Side { table: self.input.target, sha256: self.input.target_sha256, columns };
        let chunks = rows.paired(tables[0].target_index.hasher(), number)?;
        done.size = chunks.iter().map(Vec::len).sum::<usize>() as u64;
        checked(done.size as usize, &self.input.sync.to)?;
        let leaves =
            |end: usize, number: u32| matches!(tables[end].states.get(number as usize), Some(EndState::Leaving(_)));
        let sorted: Vec<TargetRows> = chunks.into_par_iter().map(|chunk| TargetRows::of(chunk, leaves)).collect();
        let (mut foreign, mut unknown) = (0u64, 0usize);
        let mut held = Vec::with_capacity(sorted.len());
        for chunk in sorted {
            foreign += chunk.foreign;
            unknown += chunk.unknown;
            for (end, number) in chunk.leaving {
                *done.taken_along[end].entry(number).or_default() += 1;
            }
            held.push(chunk.held);
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
        Ok(held)
    }
}

/// The rows of a chunk of the source, by what their ends are.
#[derive(Default)]
struct SourceRows {
    /// Both ends are objects.
    direct: Vec<Pair>,
    /// A group in a group, by the end that holds the inner one; numbers without their mark.
    inner: [Vec<Pair>; 2],
    /// An end is in no snapshot, or each is of the other's kind.
    unknown: usize,
}

impl SourceRows {
    fn of(mut chunk: Vec<Pair>) -> Self {
        let known = |number: u32| number & NESTED == 0;
        let mut rows = Self::default();
        chunk.retain(|(a, b)| {
            match (known(*a), known(*b)) {
                (true, true) => return true,
                (false, true) if *a != UNKNOWN => rows.inner[0].push((a & !NESTED, *b)),
                (true, false) if *b != UNKNOWN => rows.inner[1].push((*a, b & !NESTED)),
                _ => rows.unknown += 1,
            }
            false
        });
        Self { direct: chunk, ..rows }
    }
}

/// The rows of a chunk of the target, by what their ends are.
#[derive(Default)]
struct TargetRows {
    /// Both ends are managed.
    held: Vec<Pair>,
    /// An end is not managed.
    foreign: u64,
    /// An end is not in the target's snapshot.
    unknown: usize,
    /// Ends that an order removes, once for each row: which end, and the object's number.
    leaving: Vec<(usize, u32)>,
}

impl TargetRows {
    fn of(mut chunk: Vec<Pair>, leaves: impl Fn(usize, u32) -> bool) -> Self {
        let mut rows = Self::default();
        chunk.retain(|(a, b)| {
            rows.leaving.extend([(0, *a), (1, *b)].into_iter().filter(|(end, number)| leaves(*end, *number)));
            match (*a, *b) {
                (UNKNOWN, _) | (_, UNKNOWN) => rows.unknown += 1,
                (FOREIGN, _) | (_, FOREIGN) => rows.foreign += 1,
                _ => return true,
            }
            false
        });
        Self { held: chunk, ..rows }
    }
}

/// Rows that are looked up together: while one waits for the memory, so do the others.
const TOGETHER: usize = 256;

/// Rows whose ends are being looked up.
#[derive(Default)]
struct Gathering {
    ends: Vec<[KeyHash; 2]>,
    pairs: Vec<Pair>,
}

impl Gathering {
    /// Looks up what was gathered; `number` gives the number that stands for a key at an end.
    fn look_up(&mut self, number: &impl Fn(usize, KeyHash) -> u32) {
        let begin = self.pairs.len();
        self.pairs.extend(self.ends.iter().map(|[first, _]| (number(0, *first), 0)));
        for (pair, [_, second]) in self.pairs[begin..].iter_mut().zip(&self.ends) {
            pair.1 = number(1, *second);
        }
        self.ends.clear();
    }
}

/// The rows of an association at one side.
struct Side<'a> {
    table: &'a Table,
    /// Of its file, where that is known.
    sha256: Option<&'a Digest>,
    /// The columns of both ends.
    columns: [usize; 2],
}

impl Side<'_> {
    /// The rows as pairs of numbers, chunk by chunk, in no order that matters; `number` gives the number that stands for a
    /// key at an end.
    fn paired(
        &self,
        hasher: KeyHasher,
        number: impl Fn(usize, KeyHash) -> u32 + Sync,
    ) -> Result<Vec<Vec<Pair>>, ReconcileError> {
        if let Some(pairs) = self.kept(hasher, &number) {
            return Ok(pairs);
        }
        let chunks = self.table.par_fold(Gathering::default, |gathering, row| {
            gathering.ends.push(self.columns.map(|column| hasher.hash(row.cell(column))));
            if gathering.ends.len() == TOGETHER {
                gathering.look_up(&number);
            }
        })?;
        let pairs = chunks.into_par_iter().map(|mut rest| {
            rest.look_up(&number);
            rest.pairs
        });
        Ok(pairs.collect())
    }

    /// The same from what is kept beside the file: each key is looked up once, and no row is read.
    fn kept(&self, hasher: KeyHasher, number: &(impl Fn(usize, KeyHash) -> u32 + Sync)) -> Option<Vec<Vec<Pair>>> {
        let kept = KeptPairs::open(self.table.path(), self.sha256?)?;
        let [first, second] = self.columns.map(|column| kept.end(&self.table.columns()[column]));
        let order = [first?, second?];
        let numbers = [0, 1].map(|end| {
            let keys = kept.keys(order[end]);
            let number = |key| number(end, hasher.hash(keys.get(key)));
            (0..keys.len()).into_par_iter().map(number).collect::<Vec<u32>>()
        });
        Some(kept.pairs(order, [&numbers[0], &numbers[1]]))
    }
}
