//! One run after another: what is wanted now, set against what earlier runs ordered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::order::{
    Block, BlockReason, EndRef, Fingerprint, ObjectKey, Operation, Order, OrderId, OrderState, Remedy,
};
use crate::model::plan::Withheld;
use crate::model::record::Reversal;
use crate::model::resource::ResourceName;

use super::draft::PlanDraft;
use super::earlier::{gives_way, is_anew, liftable, refused, set_by_history, still_open, waits_to_undo};
use super::error::ReconcileError;
use super::index::{KeyHash, KeyHasher};
use super::input::{LiveOrder, PlanInput, Prior};
use super::lapse::Lapses;
use super::reason::block;

/// What became of an order that a sync would raise.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    /// The order that stands for it now, new or older.
    pub(crate) id: OrderId,
    /// What the object is called.
    pub(crate) name: String,
    /// Why the object will not be there, for rows that need it.
    pub(crate) refused: Option<String>,
}

/// An order of a finished plan.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// A new one, by its position.
    New(usize),
    /// One of an earlier run.
    Live(&'a LiveOrder),
}

/// Sorts wanted orders into new, kept, withheld; what is left over of the live ones is superseded.
pub(crate) struct Ledger<'a> {
    input: &'a PlanInput<'a>,
    own: HashMap<&'a ObjectKey, Vec<&'a LiveOrder>>,
    foreign_objects: HashMap<(&'a str, &'a ObjectKey), &'a LiveOrder>,
    foreign_targets: HashMap<(&'a str, &'a str, &'a str), &'a LiveOrder>,
    hasher: KeyHasher,
    /// The hashes of the objects for which an order was wanted.
    proposed: HashSet<KeyHash>,
    /// Live orders that are blocked or errored: what needs them cannot go.
    stuck: HashSet<&'a OrderId>,
    /// Those among them that this plan lets go.
    freed: HashSet<OrderId>,
    kept: BTreeSet<OrderId>,
    /// Kept orders that cannot go now, for a cause of their own.
    stopped: HashSet<OrderId>,
    /// The scoped thresholds that count kept orders as they are now.
    scopes: HashMap<OrderId, Vec<String>>,
    superseded: BTreeMap<OrderId, String>,
    /// What becomes of orders that withhold something.
    pub(crate) lapses: Lapses<'a>,
    /// Where orders stand that live ones refer to, as far as none of the same content came after them.
    fates: HashMap<OrderId, OrderState>,
    /// The rest of the draft.
    pub(crate) draft: PlanDraft,
}

/// Live orders that a finished plan may call unwanted.
pub(crate) struct Judged {
    /// Prefix of the object keys concerned.
    pub(crate) prefix: String,
    /// The operations concerned; `None` = all.
    pub(crate) operations: Option<Vec<Operation>>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(input: &'a PlanInput<'a>, hasher: KeyHasher) -> Self {
        let mut ledger = Self {
            input,
            hasher,
            own: HashMap::new(),
            foreign_objects: HashMap::new(),
            foreign_targets: HashMap::new(),
            proposed: HashSet::new(),
            stuck: HashSet::new(),
            freed: HashSet::new(),
            kept: BTreeSet::new(),
            stopped: HashSet::new(),
            scopes: HashMap::new(),
            superseded: BTreeMap::new(),
            lapses: Lapses::new(input.withholding),
            fates: HashMap::new(),
            draft: PlanDraft::default(),
        };
        for live in input.live.iter().filter(|live| live.state.is_live()) {
            if live.of_other_job.is_none() {
                if matches!(live.state, OrderState::Blocked | OrderState::Errored) {
                    ledger.stuck.insert(&live.id);
                }
                ledger.own.entry(&live.object).or_default().push(live);
                continue;
            }
            ledger.foreign_objects.insert((&live.identity, &live.object), live);
            if let Some(id) = &live.target_id {
                ledger.foreign_targets.insert((&live.identity, &live.resource.resource, id), live);
            }
        }
        ledger.own.values_mut().for_each(|live| live.sort_by(|a, b| a.id.cmp(&b.id)));
        ledger
    }

    /// Takes in an order that a sync would raise; `prior` is what became of orders with its content, `identity` its
    /// target's.
    pub(crate) fn settle(&mut self, order: Order, prior: &Prior, identity: &str) -> Raised {
        // Rows are nobody's end.
        let name = if order.ends.is_empty() { order.name.clone() } else { String::new() };
        self.lapses.wanted(identity, &order);
        let id = OrderId::new(&order.fingerprint, prior.raised + 1);
        if !self.proposed.insert(self.hasher.hash(&order.object.0)) {
            self.draft.warnings.push(format!(
                "{}: two syncs want something of `{}`, only the first is planned; narrow the scope of one of them",
                order.resource, order.key
            ));
            return Raised { id, name, refused: Some("another sync claims the object".into()) };
        }
        let live = self.own.get(&order.object).cloned().unwrap_or_default();
        if let Some(other) = self.foreign_objects.get(&(identity, &order.object)) {
            let why = format!(
                "{}: {} is not raised, job {} has order {} ({}, {}) for the same object; wait for it, or reject it there",
                order.resource,
                about(&order),
                other.of_other_job.as_deref().unwrap_or_default(),
                other.id,
                other.operation,
                other.state
            );
            self.draft.warnings.push(why.clone());
            return Raised { id: other.id.clone(), name, refused: Some(why) };
        }
        let under_way = |live: &&&LiveOrder| matches!(live.state, OrderState::InFlight | OrderState::Uncertain);
        if let Some(busy) = live.iter().find(under_way) {
            self.kept.insert(busy.id.clone());
            return Raised { id: busy.id.clone(), name, refused: None };
        }
        let same =
            live.iter().find(|live| live.fingerprint == order.fingerprint && self.stands(live, &order, identity));
        if let Some(same) = same {
            self.kept.insert(same.id.clone());
            self.scopes.insert(same.id.clone(), order.thresholds.clone());
            self.reblock(same, order.block.as_ref());
            if order.block.as_ref().is_some_and(|b| b.reason.remedy() == Remedy::CauseGone) {
                self.stopped.insert(same.id.clone());
            }
            for other in live.iter().filter(|other| other.id != same.id) {
                self.superseded.insert(other.id.clone(), format!("{} asks for the same object", same.id));
            }
            return Raised { id: same.id.clone(), name, refused: refused(same, order.block.as_ref()) };
        }
        let withholds = !self.input.ask_again;
        if let Some(by @ Reversal { order: undoing, run, .. }) = prior.reversal_of(&order).filter(|_| withholds) {
            self.no_longer(&live, &format!("what is wanted now was reverted before ({undoing})"));
            self.withhold(undoing, &order, by.words());
            return Raised {
                id: undoing.clone(),
                name,
                refused: Some(format!("run {run} reverted what would make it")),
            };
        }
        if let Some(rejected) = prior.rejection_of(&order).filter(|_| withholds) {
            self.no_longer(&live, &format!("what is wanted now was rejected before ({rejected})"));
            self.withhold(rejected, &order, "rejected before".to_owned());
            let refused = Some(format!("order {rejected}, which would make it, was rejected"));
            return Raised { id: rejected.clone(), name, refused };
        }
        if let Some((handed, OrderState::Applied, true)) = &prior.newest {
            self.no_longer(&live, &format!("what is wanted now was handed over already ({handed})"));
            self.draft.handed_over.push((handed.clone(), about(&order)));
            let refused =
                Some(format!("order {handed}, which makes it, was handed over to people and is not done yet"));
            return Raised { id: handed.clone(), name, refused };
        }
        let undoing = live.iter().find(|live| order.undoes.is_none() && waits_to_undo(live, identity));
        if let Some(undoing) = undoing.filter(|undoing| !gives_way(undoing, &order)) {
            let why = self.waits_for(undoing, &order);
            return Raised { id: undoing.id.clone(), name, refused: Some(why) };
        }
        let mut order = Order { id: id.clone(), ..order };
        if let Some(otherwise) = prior.otherwise(&order) {
            order.reason.push_str(&format!("; {otherwise}"));
        }
        self.lapses.asked_again(identity, &order);
        self.foreign(&mut order, identity);
        for replaced in &live {
            let told = undoing.filter(|undoing| undoing.id == replaced.id).map(|_| self.gave_way(replaced, &order));
            self.superseded.insert(replaced.id.clone(), told.unwrap_or_else(|| format!("replaced by {id}")));
            if let Some(why) = still_open(replaced, &order)
                && self.stands(replaced, &order, identity)
                && order.block.as_ref().is_none_or(|b| b.reason == BlockReason::LowConfidence)
            {
                order.block = block(
                    BlockReason::PriorOrder,
                    format!(
                        "it replaces order {} of run {}, which {why}; approve this one if that was not the reason to stop",
                        replaced.id, replaced.run
                    ),
                );
            }
        }
        if self.input.block_all && order.block.is_none() {
            order.block = block(
                BlockReason::RunBlocked,
                "the run was told to block provisioning (--block); approve to lift it".into(),
            );
        }
        let refused = order
            .block
            .as_ref()
            .filter(|b| !liftable(b.reason))
            .map(|b| format!("order {id}, which would make it, is blocked ({}: {})", b.reason, b.detail));
        self.draft.orders.push(order);
        Raised { id, name, refused }
    }

    /// Whether a live order still is about the same things as a wanted one: the same target, and the same ends.
    fn stands(&self, live: &LiveOrder, wanted: &Order, identity: &str) -> bool {
        live.identity == identity && !self.needs_are_gone(live) && !is_anew(live, wanted) && self.refers(live, wanted)
    }

    /// Remembers where the orders stand that live ones refer to.
    pub(crate) fn remember_fates(&mut self) -> Result<(), ReconcileError> {
        let mut asked: BTreeMap<&str, BTreeSet<&OrderId>> = BTreeMap::new();
        for live in self.own.values().flatten() {
            let refers = live.references.iter().filter_map(|object| match object {
                EndRef::Order(order) => Some(order),
                EndRef::Target(_) => None,
            });
            asked.entry(&live.identity).or_default().extend(refers.chain(&live.closes).chain(&live.after));
        }
        for (identity, orders) in asked {
            let (orders, prints): (Vec<&OrderId>, Vec<Fingerprint>) =
                orders.into_iter().filter_map(|order| Some((order, order.fingerprint()?))).unzip();
            let priors = self.input.memory.standing(identity, &prints.iter().collect::<Vec<_>>())?;
            let newest = orders.into_iter().zip(priors).filter_map(|(order, prior)| {
                let (newest, state, _) = prior.newest?;
                (newest == *order).then_some((newest, state))
            });
            self.fates.extend(newest);
        }
        Ok(())
    }

    /// Whether there is a live order of this job for an object, with this content where one is given.
    pub(crate) fn has_live(&self, object: &ObjectKey, content: Option<&Fingerprint>) -> bool {
        let live = self.own.get(object).into_iter().flatten();
        live.filter(|live| !live.undoes).any(|live| content.is_none_or(|content| live.fingerprint == *content))
    }

    /// Whether what a live order refers to still is what is wanted: by its id, or by the order that creates it, also
    /// where that is applied by now or another one does so. Otherwise the value that was reviewed will never be.
    fn refers(&self, live: &LiveOrder, wanted: &Order) -> bool {
        let made = |order: &OrderId| self.fates.get(order) == Some(&OrderState::Applied);
        // What needs an order that was replaced needs the one that came after it.
        let follows = |order: &OrderId, wanted: &OrderId| {
            let is_replaced = self.fates.get(order) == Some(&OrderState::Superseded);
            order == wanted || is_replaced || made(order) || self.superseded.contains_key(order)
        };
        let same = |(live, wanted): (&EndRef, &EndRef)| match (live, wanted) {
            (EndRef::Target(_), _) => live == wanted,
            (EndRef::Order(order), EndRef::Order(wanted)) => follows(order, wanted),
            (EndRef::Order(order), EndRef::Target(_)) => made(order),
        };
        let waits = |live: &Option<OrderId>, wanted: &Option<OrderId>| match (live, wanted) {
            (Some(order), Some(wanted)) => follows(order, wanted),
            (Some(order), None) => made(order),
            (None, wanted) => wanted.is_none(),
        };
        let same_waits = waits(&live.closes, &wanted.closes) && waits(&live.after, &wanted.after);
        same_waits && live.references.iter().zip(wanted.references.iter().map(|reference| &reference.object)).all(same)
    }

    /// Whether a live row order refers to an order that this plan replaced.
    fn needs_are_gone(&self, live: &LiveOrder) -> bool {
        live.ends.iter().any(|end| matches!(end, EndRef::Order(id) if self.superseded.contains_key(id)))
    }

    /// What a plan does not want any more; what a person wants undone stays.
    fn no_longer(&mut self, live: &[&LiveOrder], why: &str) {
        for order in live {
            if order.undoes {
                self.kept.insert(order.id.clone());
            } else {
                self.superseded.insert(order.id.clone(), why.to_owned());
            }
        }
    }

    /// A person asked to undo something of the object and has the last word on it: what a plan wants meanwhile is raised
    /// once that is decided. Says so.
    fn waits_for(&mut self, undoing: &LiveOrder, order: &Order) -> String {
        self.kept.insert(undoing.id.clone());
        let LiveOrder { id, run, operation, state, .. } = undoing;
        let why = format!(
            "{}: {} is not raised yet: order {id} ({operation}, {state}) is to undo what was applied to the same object; `muster review {run}` shows it: approve and apply it, or `muster reject {run} --order {id} --comment …`, and run again",
            order.resource,
            about(order),
        );
        self.draft.warnings.push(why.clone());
        why
    }

    /// An undo that nobody decided on is dropped, as the object is to lose access. Says so.
    fn gave_way(&mut self, undoing: &LiveOrder, order: &Order) -> String {
        let LiveOrder { id, run, operation, state, .. } = undoing;
        let why = format!("it is stale: {} is raised as {}", about(order), order.id);
        self.draft.warnings.push(format!(
            "{}: order {id} of run {run} ({operation}, {state}), which was to undo what was applied to `{}`, gives way: {why}; revert again what is still to be undone after that",
            order.resource, order.key
        ));
        why
    }

    fn withhold(&mut self, before: &OrderId, order: &Order, why: String) {
        self.draft.withheld.push(Withheld { order: before.clone(), about: about(order), why });
    }

    /// Another job, which knows the object by another source row, has a live order for it.
    fn foreign(&self, order: &mut Order, identity: &str) {
        let known = order.target_id.as_deref();
        let other = known.and_then(|id| self.foreign_targets.get(&(identity, order.resource.resource.as_str(), id)));
        if let Some(other) = other
            && order.block.as_ref().is_none_or(|b| b.reason == BlockReason::LowConfidence)
        {
            order.block = block(
                BlockReason::Conflict,
                format!(
                    "job {} has order {} (`{}`, {}) for the same object; wait for it, or reject it there, and run again",
                    other.of_other_job.as_deref().unwrap_or_default(),
                    other.id,
                    other.operation,
                    other.state
                ),
            );
        }
    }

    /// A kept order whose cause to be blocked appeared, changed or is gone.
    pub(crate) fn reblock(&mut self, live: &LiveOrder, now: Option<&Block>) {
        let now = now.filter(|_| live.state != OrderState::Errored);
        match (live.state, live.block, now) {
            (OrderState::Blocked, Some(before), Some(now)) if before != now.reason => {
                self.draft.reblocked.push((live.id.clone(), None));
                self.draft.reblocked.push((live.id.clone(), Some(now.clone())));
            }
            // What it needs is still stuck; it is freed together with that.
            (OrderState::Blocked, Some(BlockReason::MissingReference), None)
                if live.needs().any(|needed| self.is_stuck(needed)) => {}
            (OrderState::Blocked, Some(before), None) if !set_by_history(before) => self.free(&live.id),
            (OrderState::PendingReview, _, Some(now)) => {
                self.draft.reblocked.push((live.id.clone(), Some(now.clone())));
            }
            // A person has approved it knowing its confidence; a cause that came later still stops it.
            (OrderState::Approved, _, Some(now)) if now.reason.remedy() == Remedy::CauseGone => {
                self.draft.reblocked.push((live.id.clone(), Some(now.clone())));
            }
            _ => {}
        }
    }

    /// Lets a kept order go that was blocked.
    pub(crate) fn free(&mut self, order: &OrderId) {
        self.freed.insert(order.clone());
        self.draft.reblocked.push((order.clone(), None));
    }

    /// Whether an order of an earlier run stands still, and this plan neither lets it go nor replaces it.
    pub(crate) fn is_stuck(&self, order: &OrderId) -> bool {
        self.stuck.contains(order) && !self.freed.contains(order) && !self.superseded.contains_key(order)
    }

    /// Whether a kept order cannot go now, for a cause of its own.
    pub(crate) fn is_stopped(&self, order: &OrderId) -> bool {
        self.stopped.contains(order)
    }

    /// Blocks an order for a cause that only all orders together show. One whose own cause stops it already, or that an
    /// apply has in its hands, stays as it is.
    pub(crate) fn stop(&mut self, which: Which<'_>, block: Block) {
        let live = match which {
            Which::New(number) => {
                let order = &mut self.draft.orders[number];
                if order.block.as_ref().is_none_or(|b| b.reason.remedy() != Remedy::CauseGone) {
                    order.block = Some(block);
                }
                return;
            }
            Which::Live(live) => live,
        };
        let was_lifted = self.draft.reblocked.iter().any(|(id, block)| *id == live.id && block.is_none());
        let is_set = self.draft.reblocked.iter().any(|(id, block)| *id == live.id && block.is_some());
        match live.state {
            _ if is_set => {}
            OrderState::Blocked if live.block == Some(block.reason) => {
                self.draft.reblocked.retain(|(id, _)| *id != live.id);
            }
            OrderState::Blocked => {
                if !was_lifted {
                    self.draft.reblocked.push((live.id.clone(), None));
                }
                self.draft.reblocked.push((live.id.clone(), Some(block)));
            }
            OrderState::PendingReview | OrderState::Approved => {
                self.draft.reblocked.push((live.id.clone(), Some(block)));
            }
            _ => {}
        }
    }

    /// Live orders of this job that are neither replaced nor unwanted.
    pub(crate) fn remaining(&self) -> Vec<&'a LiveOrder> {
        let mut remaining: Vec<&LiveOrder> =
            self.own.values().flatten().filter(|live| !self.superseded.contains_key(&live.id)).copied().collect();
        remaining.sort_by(|a, b| a.id.cmp(&b.id));
        remaining
    }

    /// The scoped thresholds that count a live order: as its object is now, where that is known, else as it was planned.
    pub(crate) fn scopes<'l>(&'l self, live: &'l LiveOrder) -> &'l [String] {
        self.scopes.get(&live.id).unwrap_or(&live.thresholds)
    }

    /// Takes back whatever a finished plan says of objects that do not concern it: nothing new is raised for them, and
    /// their live orders stay as they are.
    pub(crate) fn keep_only(&mut self, concerns: &dyn Fn(&ObjectKey) -> bool) {
        let own = self.own.values().flatten();
        let others: HashSet<&OrderId> = own.filter(|live| !concerns(&live.object)).map(|live| &live.id).collect();
        self.superseded.retain(|id, _| !others.contains(id));
        self.stopped.retain(|id| !others.contains(id));
        self.kept.retain(|id| !others.contains(id));
        self.draft.orders.retain(|order| concerns(&order.object));
        self.draft.kept.retain(|id| !others.contains(id));
        self.draft.superseded.retain(|(id, _)| !others.contains(id));
        self.draft.reblocked.retain(|(id, _)| !others.contains(id));
        self.draft.lapsed = self.lapses.asked_again_of(concerns);
    }

    /// The live orders of this job, by their ids, with the objects that they concern.
    pub(crate) fn live(&self) -> impl Iterator<Item = &'a LiveOrder> + '_ {
        self.own.values().flatten().copied()
    }

    /// Supersedes what no planned sync wants any more.
    pub(crate) fn finish(&mut self, judged: &[Judged], undecided: &HashSet<ObjectKey>) {
        for live in self.own.values().flatten() {
            if self.kept.contains(&live.id) || self.superseded.contains_key(&live.id) {
                continue;
            }
            let concerned = judged.iter().any(|part| {
                live.object.0.starts_with(&part.prefix)
                    && part.operations.as_ref().is_none_or(|operations| operations.contains(&live.operation))
            });
            if !concerned {
                continue;
            }
            if live.undoes
                || undecided.contains(&live.object)
                || matches!(live.state, OrderState::InFlight | OrderState::Uncertain)
            {
                self.kept.insert(live.id.clone());
            } else {
                self.superseded.insert(live.id.clone(), "no longer wanted".into());
            }
        }
        self.draft.kept = self.kept.iter().cloned().collect();
        self.draft.superseded = self.superseded.iter().map(|(id, why)| (id.clone(), why.clone())).collect();
        self.draft.withheld.sort();
        self.draft.handed_over.sort();
        self.draft.lapsed = self.lapses.lapsed(undecided);
    }
}

/// What an order is about, for people.
fn about(order: &Order) -> String {
    format!("{} `{}` in {}", order.operation, order.key, order.resource)
}

/// The object-key prefix of a sync of objects.
pub(crate) fn objects_prefix(to: &ResourceName, from: &ResourceName) -> String {
    ObjectKey::by_source(to, from, "").0
}

/// The object-key prefix of an association.
pub(crate) fn association_prefix(to: &ResourceName) -> String {
    format!("{to}(")
}
