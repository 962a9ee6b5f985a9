//! One association: rows of two ends, compared as pairs of object numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use crate::model::order::{End, EndRef, ObjectKey, Operation, Order, OrderId};
use crate::model::plan::SyncSituations;
use crate::model::situation::{Cause, Situation};

use super::ends::EndTable;
use super::error::ReconcileError;
use super::guard;
use super::input::{AssociationInput, Memory, Wishes};
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
pub(crate) struct AssociationPlan {
    pub(crate) proposals: Vec<Order>,
    pub(crate) situations: SyncSituations,
    pub(crate) warnings: Vec<String>,
    /// Rows about which nothing can be said now.
    pub(crate) undecided: HashSet<ObjectKey>,
    /// Operations whose absence from the proposals means that they are no longer wanted.
    pub(crate) conclusive: Vec<Operation>,
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
pub(crate) fn plan(
    wishes: Wishes<'_>,
    memory: &dyn Memory,
    input: &AssociationInput<'_>,
    ends: [EndOf<'_>; 2],
) -> Result<AssociationPlan, ReconcileError> {
    let [first, second] = input.sync.ends.as_slice() else {
        return Err(ReconcileError::Ends { sync: input.sync.id.clone(), found: input.sync.ends.len() });
    };
    let planner = Planner { wishes, input, ends, names: [first, second] };
    let mut done = AssociationPlan {
        situations: SyncSituations { sync: input.sync.id.clone(), first_run: input.first_run, counts: BTreeMap::new() },
        ..AssociationPlan::default()
    };
    let source = planner.source_pairs(&mut done)?;
    let held = planner.target_pairs(&mut done)?;
    let Some(source) = source else { return Ok(done) };
    let (add, remove) = planner.differences(memory, source, held, &mut done)?;
    let mut proposals = planner.orders(Operation::Add, &add)?;
    proposals.extend(planner.orders(Operation::Remove, &remove)?);
    proposals.sort_by(|a, b| a.object.cmp(&b.object));
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
        done: &mut AssociationPlan,
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
    fn tell_unwanted(&self, outside: usize, waiting: usize, done: &mut AssociationPlan) {
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
            ours.extend(some.iter().zip(added).filter(|(_, added)| *added).map(|(pair, _)| *pair));
        }
        Ok(ours)
    }

    fn orders(&self, operation: Operation, pairs: &[Pair]) -> Result<Vec<Order>, ReconcileError> {
        let mut labels: [HashMap<u32, String>; 2] = Default::default();
        for (end, labels) in labels.iter_mut().enumerate() {
            let numbers: BTreeSet<u32> = pairs.iter().map(|pair| if end == 0 { pair.0 } else { pair.1 }).collect();
            let read: Result<Vec<(u32, String)>, ReconcileError> = numbers
                .into_par_iter()
                .map(|number| {
                    let label = match self.ends[end].raised.get(&number) {
                        Some(raised) if self.table(end).target_of(number).is_none() => raised.name.clone(),
                        _ => self.table(end).label(number)?,
                    };
                    Ok((number, label))
                })
                .collect();
            labels.extend(read?);
        }
        Ok(pairs.par_iter().filter_map(|pair| self.order(operation, *pair, &labels)).collect())
    }

    /// `None` where an end has neither an object nor an order.
    fn order(&self, operation: Operation, pair: Pair, labels: &[HashMap<u32, String>; 2]) -> Option<Order> {
        let sync = self.input.sync;
        let numbers = [pair.0, pair.1];
        let mut ends = Vec::new();
        let mut missing = Vec::new();
        let mut protected = None;
        let mut keys = Vec::new();
        for (end, number) in numbers.into_iter().enumerate() {
            let (table, label) = (self.table(end), labels[end].get(&number).cloned().unwrap_or_default());
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
            let names: Vec<&str> = [Some(key), id, Some(label.as_str())].into_iter().flatten().collect();
            protected = protected.or_else(|| guard::protected(self.wishes.protect, &self.names[end].to, &names));
            keys.push(key.to_owned());
            let (name, resource) = (self.names[end].name.clone(), self.names[end].to.clone());
            ends.push(End { name, resource, object, label });
        }
        let object = self.object(pair);
        let missing =
            (!missing.is_empty()).then(|| format!("{}; decide or mend that first, and run again", missing.join("; ")));
        let block = protected
            .or_else(|| guard::unsupported(self.input.capabilities, &sync.to, operation, &[]))
            .or_else(|| block(BlockReason::MissingReference, missing?));
        let (a, b) = (&ends[0].label, &ends[1].label);
        let reason = match operation {
            Operation::Add => format!("`{a}` and `{b}` belong together in {} and not in {}", sync.from, sync.to),
            _ if sync.members == Members::Authoritative => {
                format!(
                    "`{a}` and `{b}` belong together in {} and not in {}, which has the last word",
                    sync.to, sync.from
                )
            }
            _ => format!("muster tied `{a}` and `{b}` in {}, and {} no longer does", sync.to, sync.from),
        };
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
            source_digest: None,
            key: keys.join(" → "),
            name: format!("{a} → {b}"),
            changes: Vec::new(),
            ends,
            situation: if operation == Operation::Add { Situation::Missing } else { Situation::Orphan },
            cause: Cause::Source,
            reason,
            confidence: 100,
            takes_along: Vec::new(),
            thresholds: Vec::new(),
            block,
            undoes: None,
            irreversible: None,
        })
    }
}
