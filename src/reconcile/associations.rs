//! One association: rows of two ends, compared as pairs of object numbers.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;

use crate::model::order::{End, EndRef, ObjectKey, Operation, Order, OrderId};
use crate::model::plan::{SyncSituations, sort_wide};
use crate::model::situation::{Cause, Situation};

use super::ends::EndTable;
use super::error::ReconcileError;
use super::ground;
use super::guard;
use super::input::{AssociationInput, Memory, PlanInput, Wishes};
use super::lapse;
use super::lockout;
use super::objects::{ObjectPlan, counted};
use super::pair_join::{self, Joined};
use super::policy::{EndSync, Members};
use super::reason::block;
use super::standing::Raised;
use crate::model::order::BlockReason;

/// One end: its objects, and what became of the orders that create some of them.
#[derive(Clone, Copy)]
pub(crate) struct EndOf<'a> {
    pub(crate) plan: &'a ObjectPlan<'a>,
    pub(crate) raised: &'a HashMap<u32, Raised>,
}

/// What one association comes to.
#[derive(Default)]
pub(crate) struct AssociationPlan<'w> {
    pub(crate) proposals: Vec<Order>,
    pub(crate) situations: SyncSituations,
    pub(crate) warnings: Vec<String>,
    /// Rows about which nothing can be said now.
    pub(crate) undecided: HashSet<ObjectKey>,
    /// Operations whose absence from the proposals means that they are no longer wanted.
    pub(crate) conclusive: Vec<Operation>,
    /// Orders that withhold something of rows of which the snapshots tell how they stand.
    pub(crate) told: Vec<&'w OrderId>,
    /// The job refuses what was found, so that nothing can be said of any row.
    pub(crate) is_refused: bool,
    /// Rows at the target before.
    pub(crate) size: u64,
    /// For each end, rows of objects that an order deletes, by number.
    pub(crate) taken_along: [BTreeMap<u32, u64>; 2],
}

/// Rows about which is asked at once whether muster added them.
const ASKED_AT_ONCE: usize = 4_096;

/// Numbers of the objects at both ends, in the order of the ends.
pub(crate) type Pair = (u32, u32);

/// Plans one association.
pub(crate) struct Planner<'a> {
    wishes: Wishes<'a>,
    pub(crate) input: &'a AssociationInput<'a>,
    ends: [EndOf<'a>; 2],
    pub(crate) names: [&'a EndSync; 2],
}

/// Plans one association; `ends` are in the order of the sync's.
pub(crate) fn plan<'w>(
    all: &PlanInput<'w>,
    input: &AssociationInput<'_>,
    ends: [EndOf<'_>; 2],
) -> Result<AssociationPlan<'w>, ReconcileError> {
    let (wishes, memory) = (all.wishes, all.memory);
    let [first, second] = input.sync.ends.as_slice() else {
        return Err(ReconcileError::Ends { sync: input.sync.id.clone(), found: input.sync.ends.len() });
    };
    let planner = Planner { wishes, input, ends, names: [first, second] };
    let mut done = AssociationPlan {
        situations: SyncSituations {
            sync: input.sync.id.clone(),
            first_run: input.first_run,
            ..SyncSituations::default()
        },
        ..AssociationPlan::default()
    };
    let source = planner.source_pairs(&mut done)?;
    let held = planner.target_pairs(&mut done)?;
    let Some(source) = source else { return Ok(done) };
    planner.tell_circles(&source, &mut done);
    done.told = lapse::told_rows(input, [planner.table(0), planner.table(1)], all.withholding, &source, &held);
    let (add, remove) = planner.differences(memory, source, held, &mut done)?;
    let mut proposals = planner.orders(Operation::Add, &add)?;
    proposals.extend(planner.orders(Operation::Remove, &remove)?);
    sort_wide(&mut proposals, |a, b| a.object.cmp(&b.object));
    done.proposals = proposals;
    if input.target_absence {
        done.conclusive.push(Operation::Add);
    }
    if input.source_absence {
        done.conclusive.push(Operation::Remove);
    }
    Ok(done)
}

impl Planner<'_> {
    pub(crate) fn table(&self, end: usize) -> &EndTable<'_> {
        &self.ends[end].plan.table
    }

    fn object(&self, pair: Pair) -> ObjectKey {
        let (first, second) = (self.table(0).object(pair.0), self.table(1).object(pair.1));
        ObjectKey::association(&self.input.sync.to, &[&first, &second])
    }

    /// Rows to add, and rows to remove.
    fn differences(
        &self,
        memory: &dyn Memory,
        source: Vec<Vec<Pair>>,
        held: Vec<Vec<Pair>>,
        done: &mut AssociationPlan<'_>,
    ) -> Result<(Vec<Pair>, Vec<Pair>), ReconcileError> {
        let states = [self.table(0).states.as_slice(), self.table(1).states.as_slice()];
        let Joined { confirmed, lacking: mut add, unwanted, outside, waiting, undecided } =
            pair_join::join(source, held, states);
        self.tell_unwanted(outside, waiting.len(), done);
        done.undecided.extend(waiting.into_iter().chain(undecided).map(|pair| self.object(pair)));
        let unwanted_rows = unwanted.len();
        let mut remove = self.ours(memory, unwanted)?;
        let by_hand = (unwanted_rows - remove.len()) as u64;
        let mut unproved = [0; 2];
        if !self.input.target_absence {
            unproved[0] = add.len();
            add.clear();
        }
        if !self.input.source_absence {
            unproved[1] = remove.len();
            remove.clear();
        }
        for (situation, count) in [
            (Situation::Confirmed, confirmed),
            (Situation::Missing, (add.len() + unproved[0]) as u64),
            (Situation::Orphan, (remove.len() + unproved[1]) as u64),
            (Situation::Unmanaged, by_hand),
        ] {
            if count > 0 {
                *done.situations.counts.entry(situation).or_default() += count;
            }
        }
        for (count, what, resource) in
            [(unproved[0], "added", &self.input.sync.to), (unproved[1], "removed", &self.input.sync.from)]
        {
            if count > 0 {
                done.warnings.push(format!(
                    "{}: {} not {what}: the snapshot of {resource} does not prove absence, a complete run is needed",
                    self.input.sync.id,
                    counted(count, "row")
                ));
            }
        }
        Ok((add, remove))
    }

    /// Warns about rows of the source that are not wanted, or not yet.
    fn tell_unwanted(&self, outside: usize, waiting: usize, done: &mut AssociationPlan<'_>) {
        if outside > 0 {
            done.warnings.push(format!(
                "{}: {} of {} not wanted: an end is out of scope or not managed",
                self.input.sync.id,
                counted(outside, "row"),
                if outside == 1 { "it is" } else { "them are" }
            ));
        }
        if waiting > 0 {
            done.warnings.push(format!(
                "{}: {} before an end is correlated: decide the ambiguous and uncertain matches first",
                self.input.sync.id,
                if waiting == 1 { "1 row waits".to_owned() } else { format!("{waiting} rows wait") }
            ));
        }
    }

    /// Those of the rows that are muster's to remove: all, or those that it added.
    fn ours(&self, memory: &dyn Memory, rows: Vec<Pair>) -> Result<Vec<Pair>, ReconcileError> {
        if self.input.sync.members == Members::Authoritative {
            return Ok(rows);
        }
        let mut ours = Vec::new();
        for some in rows.chunks(ASKED_AT_ONCE) {
            let objects: Vec<ObjectKey> = some.iter().map(|pair| self.object(*pair)).collect();
            let added = memory.added(&self.input.sync.id, &objects)?;
            let (mut known, mut strange) = (Vec::new(), Vec::new());
            for (pair, added) in some.iter().zip(added) {
                if added { known.push(*pair) } else { strange.push(*pair) }
            }
            known.extend(self.added_before(memory, &strange)?);
            known.sort_unstable();
            ours.append(&mut known);
        }
        Ok(ours)
    }

    /// Those of the rows that muster added when an end of theirs went by another key.
    fn added_before(&self, memory: &dyn Memory, pairs: &[Pair]) -> Result<Vec<Pair>, ReconcileError> {
        let former = [0, 1].map(|end| self.table(end).input.links.former().collect::<HashMap<&str, &[String]>>());
        if former.iter().all(HashMap::is_empty) {
            return Ok(Vec::new());
        }
        let names = |end: usize, number: u32| {
            let (table, key) = (self.table(end), self.table(end).key(number));
            let sync = table.input.sync;
            let former = former[end].get(key).copied().unwrap_or_default();
            let keys = std::iter::once(key).chain(former.iter().map(String::as_str));
            keys.map(|key| ObjectKey::by_source(&sync.to, &sync.from, key)).collect::<Vec<_>>()
        };
        let (mut rows, mut of) = (Vec::new(), Vec::new());
        for pair in pairs {
            let (first, second) = (names(0, pair.0), names(1, pair.1));
            for (a, b) in first.iter().flat_map(|a| second.iter().map(move |b| (a, b))).skip(1) {
                rows.push(ObjectKey::association(&self.input.sync.to, &[a, b]));
                of.push(*pair);
            }
        }
        let added = memory.added(&self.input.sync.id, &rows)?;
        let mut ours: Vec<Pair> = of.into_iter().zip(added).filter(|(_, added)| *added).map(|(pair, _)| pair).collect();
        ours.dedup();
        Ok(ours)
    }

    fn orders(&self, operation: Operation, pairs: &[Pair]) -> Result<Vec<Order>, ReconcileError> {
        let names =
            [self.labels(0, pairs.iter().map(|pair| pair.0))?, self.labels(1, pairs.iter().map(|pair| pair.1))?];
        let reason = Reason::new(self, operation);
        Ok(pairs.par_iter().filter_map(|pair| self.order(operation, *pair, &names, &reason)).collect())
    }

    /// What the objects with these numbers are called, each read once, sorted by number.
    fn labels(&self, end: usize, numbers: impl Iterator<Item = u32>) -> Result<Labels, ReconcileError> {
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
            .into_par_iter()
            .map(|number| {
                let label = match self.ends[end].raised.get(&number) {
                    Some(raised) if self.table(end).target_of(number).is_none() => raised.name.clone(),
                    _ => self.table(end).label(number)?,
                };
                Ok((number, label))
            })
            .collect()
    }

    /// `None` where an end has neither an object nor an order.
    fn order(&self, operation: Operation, pair: Pair, labels: &[Labels; 2], reason: &Reason) -> Option<Order> {
        let sync = self.input.sync;
        let numbers = [pair.0, pair.1];
        let mut ends = Vec::with_capacity(2);
        let mut missing = Vec::new();
        let mut protected = None;
        let tables = [self.table(0), self.table(1)];
        for (end, number) in numbers.into_iter().enumerate() {
            let (table, label) = (self.table(end), label(&labels[end], number));
            let id = table.target_id(number);
            let object = match (id, self.ends[end].raised.get(&number)) {
                (Some(id), _) => EndRef::Target(id.to_owned()),
                (None, Some(raised)) => {
                    if let Some(why) = &raised.refused {
                        missing.push(format!(
                            "{} `{label}` is not in {}: {why}",
                            self.names[end].name, self.names[end].to
                        ));
                    }
                    EndRef::Order(raised.id.clone())
                }
                (None, None) => return None,
            };
            let key = table.key(number);
            let names = [key, id.unwrap_or(key), label];
            let to = &self.names[end].to;
            // Members of a protected group are counted when all orders are known.
            if !lockout::counts_members(tables, end) {
                protected = protected.or_else(|| guard::protected(self.wishes.protect, to, &names));
            }
            if operation == Operation::Remove {
                let account = table.input.account.filter(|_| table.input.capabilities.enabled.is_some());
                protected = protected.or_else(|| guard::own(account, to, operation, &names[1..], &[]));
            }
            let (name, resource) = (self.names[end].name.clone(), self.names[end].to.clone());
            ends.push(End { name, resource, object, label: label.to_owned() });
        }
        let object = self.object(pair);
        let missing =
            (!missing.is_empty()).then(|| format!("{}; decide or mend that first, and run again", missing.join("; ")));
        let block = protected
            .or_else(|| guard::unsupported(self.input.capabilities, &sync.to, operation, &[]))
            .or_else(|| block(BlockReason::MissingReference, missing?));
        let [a, b] = [0, 1].map(|end| label(&labels[end], numbers[end]));
        let fingerprint = Order::fingerprint_of(&sync.to, operation, &object, &[]);
        Some(Order {
            id: OrderId::new(&fingerprint, 0),
            fingerprint,
            operation,
            resource: sync.to.clone(),
            sync: sync.index,
            object,
            target_id: None,
            source_key: None,
            renamed_from: None,
            source_digest: None,
            key: [self.table(0).key(pair.0), " → ", self.table(1).key(pair.1)].concat(),
            name: [a, " → ", b].concat(),
            changes: Vec::new(),
            ends,
            references: Vec::new(),
            closes: None,
            after: None,
            situation: if operation == Operation::Add { Situation::Missing } else { Situation::Orphan },
            cause: Cause::Source,
            reason: [reason.before, "`", a, "` and `", b, "`", &reason.after].concat(),
            confidence: 100,
            takes_along: Vec::new(),
            thresholds: Vec::new(),
            block,
            undoes: None,
            irreversible: None,
            ground: if operation == Operation::Remove { ground::of_ends(tables, numbers) } else { String::new() },
        })
    }
}

/// What objects are called, sorted by their numbers.
type Labels = Vec<(u32, String)>;

fn label(labels: &Labels, number: u32) -> &str {
    labels.binary_search_by_key(&number, |(number, _)| *number).map_or("", |place| &labels[place].1)
}

/// Why rows are to be added or removed: what stands before and after the labels, the same for all of them.
struct Reason {
    before: &'static str,
    after: String,
}

impl Reason {
    fn new(planner: &Planner<'_>, operation: Operation) -> Self {
        let sync = planner.input.sync;
        let (before, after) = match operation {
            Operation::Add => ("", format!(" belong together in {} and not in {}", sync.from, sync.to)),
            _ if sync.members == Members::Authoritative => {
                ("", format!(" belong together in {} and not in {}, which has the last word", sync.to, sync.from))
            }
            _ => ("muster tied ", format!(" in {}, and {} no longer does", sync.to, sync.from)),
        };
        Self { before, after }
    }
}
