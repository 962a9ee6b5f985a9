//! The whole plan: every sync, what earlier runs ordered, and the thresholds over all of it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::order::{Block, BlockReason, Fingerprint, ObjectKey, Operation, Order, OrderId, OrderState};
use crate::model::plan::{SyncSituations, sort_orders};
use crate::model::record::TakenBack;
use crate::model::resource::ResourceName;

use super::assign::Promised;
use super::associations::{self, EndOf};
use super::dangling::dangling;
use super::draft::PlanDraft;
use super::error::ReconcileError;
use super::index::KeyHasher;
use super::input::{AssociationInput, LiveOrder, ObjectInput, PlanInput, Prior, SyncInput};
use super::lockout;
use super::objects::{self, Claims, ObjectPlan};
use super::policy::{AssociationSync, EndSync};
use super::references;
use super::rename::Apart;
use super::revert;
use super::rivals;
use super::rows::Admission;
use super::scoped;
use super::seats;
use super::settling;
use super::standing::{Judged, Ledger, Raised, association_prefix, objects_prefix};
use super::taken_back;
use super::threshold::{self, Counted, Loads};
use super::undo;
use super::untying;
use super::usage;
use super::waiting_undo;

/// What is wanted of each object and each row, set against what earlier runs ordered; not judged together yet.
pub(crate) struct Considered<'a> {
    pub(crate) ledger: Ledger<'a>,
    pub(crate) plans: Vec<Planned<'a>>,
    objects: Vec<&'a ObjectInput<'a>>,
    loads: Loads<'a>,
    told: Vec<Told>,
}

impl Considered<'_> {
    /// What a person should know so far, in sentences.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &str> {
        let told = self.told.iter().flat_map(|told| &told.warnings);
        told.chain(&self.ledger.draft.warnings).map(String::as_str)
    }
}

/// Makes a plan.
pub fn assemble(input: &PlanInput<'_>) -> Result<PlanDraft, ReconcileError> {
    let mut considered = consider(input)?;
    for (plan, _) in &considered.plans {
        let index = plan.table.input.sync.index;
        if let Some(told) = considered.told.iter_mut().find(|told| told.index == index) {
            told.warnings.extend(usage::unused(plan)?);
            told.warnings.extend(usage::left_behind(plan)?);
            told.warnings.extend(usage::unprotecting(plan, input.wishes.protect)?);
        }
    }
    judge(input, considered)
}

/// Judges all orders together: who would be the last to go, who gets a seat, which limits are exceeded.
pub(crate) fn judge(input: &PlanInput<'_>, considered: Considered<'_>) -> Result<PlanDraft, ReconcileError> {
    let Considered { mut ledger, plans, objects, loads, mut told } = considered;
    lockout::guard(input, &plans, &mut ledger)?;
    drop(plans);
    let taken = seats::counted_now(&objects)?;
    seats::capacity(seats::now(&taken), &mut ledger);
    thresholds(input, &mut ledger, loads);

    let mut draft = std::mem::take(&mut ledger.draft);
    told.sort_by_key(|told| told.index);
    let mut warnings = Vec::new();
    for told in told {
        draft.situations.push(told.situations);
        warnings.extend(told.warnings);
    }
    draft.warnings.sort();
    draft.warnings.splice(0..0, warnings);
    draft.warnings.extend(told_reblocked(input, &draft.reblocked));
    draft.listed.sort();
    draft.reblocked.sort_by(|a, b| a.0.cmp(&b.0));
    undo::mark(&mut draft.orders, input);
    sort_orders(&mut draft.orders);
    Ok(draft)
}

/// What becomes of orders of earlier runs that a person decided on, or has to decide on again.
fn told_reblocked(input: &PlanInput<'_>, reblocked: &[(OrderId, Option<Block>)]) -> Vec<String> {
    let ends: BTreeMap<&OrderId, Option<&Block>> =
        reblocked.iter().map(|(order, block)| (order, block.as_ref())).collect();
    if ends.is_empty() {
        return Vec::new();
    }
    let approved = input.live.iter().filter(|live| live.state == OrderState::Approved);
    let approved: HashSet<&OrderId> = approved.map(|live| &live.id).collect();
    let mut told = Vec::new();
    let lost = ends.iter().filter_map(|(order, block)| Some((order, (*block)?)));
    let lost: Vec<_> = lost.filter(|(order, _)| approved.contains(*order)).collect();
    if let Some((order, block)) = lost.first() {
        told.push(format!(
            "{} of earlier runs, approved, cannot go now, and will have to be approved again; the first is {order} ({}): {}",
            objects::counted(lost.len(), "order"),
            block.reason,
            block.detail
        ));
    }
    let freed = ends.iter().filter(|(_, block)| block.is_none()).count();
    if freed > 0 {
        told.push(format!(
            "{} of earlier runs, blocked until now, can go again and {} for review",
            objects::counted(freed, "order"),
            if freed == 1 { "waits" } else { "wait" }
        ));
    }
    told
}

/// Decides about each object and each row. Syncs of objects come first, so that associations know what becomes of their
/// ends.
pub(crate) fn consider<'a>(input: &'a PlanInput<'a>) -> Result<Considered<'a>, ReconcileError> {
    let hasher = KeyHasher::random();
    let mut ledger = Ledger::new(input, hasher);
    ledger.remember_fates()?;
    let mut loads = Loads::default();
    let mut undecided: HashSet<ObjectKey> = HashSet::new();
    let mut unjudged: HashMap<ObjectKey, String> = HashMap::new();
    let mut judged: Vec<Judged> = Vec::new();
    let mut told: Vec<Told> = Vec::new();

    let objects: Vec<&ObjectInput<'_>> = input.syncs.iter().filter_map(objects_of).collect();
    let PlannedObjects { mut plans, mut known, refused } = plan_objects(input, &objects, hasher)?;
    refused.iter().for_each(|(identity, order)| ledger.lapses.wanted(identity, order));
    rivals::unique(&mut plans);
    let follows = untying::untie(input, &mut plans, &mut known, &mut ledger)?;
    settling::settle(input, &mut plans, known, follows, &mut ledger)?;
    plans.iter_mut().for_each(|(plan, _)| std::mem::take(&mut plan.undone).tell(&mut ledger));
    for (plan, _) in &mut plans {
        let sync = plan.table.input;
        let load = loads.of(&sync.sync.to);
        load.size += sync.links.len() as u64;
        load.first_run |= sync.first_run;
        load.thresholds.push(&sync.sync.thresholds);
        for scoped in &sync.sync.scoped {
            let load = loads.of_scope(&sync.sync.to, scoped);
            load.size = scoped::size(plan, scoped)?;
            load.first_run = sync.first_run;
        }
        let prefix = objects_prefix(&sync.sync.to, &sync.sync.from);
        for reference in &sync.sync.references {
            let of = |source: &str| ObjectKey::reference(&sync.sync.to, &reference.attribute, source);
            let own =
                |object: &ObjectKey| Some(of(object.0.strip_prefix(&sync.sync.to.to_string())?.strip_prefix('/')?));
            undecided.extend(plan.undecided.iter().filter_map(own));
            judged.push(Judged { prefix: of(&format!("{}=", sync.sync.from)).0, operations: None });
        }
        judged.push(Judged { prefix, operations: None });
        undecided.extend(std::mem::take(&mut plan.undecided));
        let is_in = |row: u32| plan.table.source.get(row).admission == Admission::In;
        if !plan.unjudged.is_empty() && !(0..plan.table.source.len() as u32).any(is_in) {
            ledger.draft.judges_nobody.push(sync.sync.id.clone());
        }
        unjudged.extend(std::mem::take(&mut plan.unjudged));
        told.push(Told {
            index: sync.sync.index,
            situations: std::mem::take(&mut plan.situations),
            warnings: std::mem::take(&mut plan.warnings),
        });
        ledger.draft.links.push(std::mem::take(&mut plan.book));
        ledger.draft.listed.append(&mut plan.listed);
    }

    let mut along: BTreeMap<(ResourceName, String), Vec<String>> = BTreeMap::new();
    for sync in input.syncs.iter().filter_map(association_of) {
        let ends = ends_of(sync.sync, &plans)?;
        let mut plan = associations::plan(input, sync, ends)?;
        scoped::mark_rows(sync, &mut plan.proposals)?;
        let priors = priors(input, sync.identity, plan.proposals.iter())?;
        ledger.draft.orders.reserve(plan.proposals.len());
        for (order, prior) in plan.proposals.into_iter().zip(&priors) {
            ledger.settle(order, prior, sync.identity);
        }
        for (end, rows) in plan.taken_along.iter().enumerate() {
            let table = &ends[end].plan.table;
            for (number, rows) in rows {
                if let Some(id) = table.target_id(*number) {
                    let taken = along.entry((table.input.sync.to.clone(), id.to_owned())).or_default();
                    taken.push(format!("{} of {}", objects::counted(*rows as usize, "row"), sync.sync.to));
                }
            }
        }
        let load = loads.of(&sync.sync.to);
        load.size = load.size.max(plan.size);
        load.first_run |= sync.first_run;
        load.thresholds.push(&sync.sync.thresholds);
        for scoped in &sync.sync.scoped {
            loads.of_scope(&sync.sync.to, scoped).first_run = sync.first_run;
        }
        judged.push(Judged { prefix: association_prefix(&sync.sync.to), operations: Some(plan.conclusive) });
        ledger.lapses.look_at_rows(plan.told);
        undecided.extend(plan.undecided);
        if plan.is_refused {
            ledger.draft.judges_nobody.push(sync.sync.id.clone());
        }
        told.push(Told { index: sync.sync.index, situations: plan.situations, warnings: plan.warnings });
    }
    for (object, said) in dangling(&plans, &ledger.draft.orders)? {
        along.entry(object).or_default().extend(said);
    }
    for order in ledger.draft.orders.iter_mut().filter(|order| order.operation == Operation::Delete) {
        let id = order.target_id.clone().unwrap_or_default();
        order.takes_along = along.get(&(order.resource.clone(), id)).cloned().unwrap_or_default();
    }
    plans.iter().for_each(|(plan, _)| ledger.lapses.look_at_objects(&plan.table));
    for live in ledger.live().filter(|live| live.undoes).collect::<Vec<_>>() {
        if let Some(block) = waiting_undo::forbids(input, &plans, live)? {
            ledger.reblock(live, Some(&revert::to_revert_again(block)));
        }
    }
    for live in ledger.live().filter(|live| !live.undoes).collect::<Vec<_>>() {
        if let Some(why) = unjudged.get(&live.object) {
            let detail = format!("whether it is still wanted cannot be judged: {why}");
            ledger.reblock(live, Some(&Block { reason: BlockReason::Incomplete, detail }));
        }
    }
    ledger.finish(&judged, &undecided);
    Ok(Considered { ledger, plans, objects, loads, told })
}

/// The plans of all syncs of objects.
struct PlannedObjects<'a> {
    plans: Vec<Planned<'a>>,
    /// What became of earlier orders of the same content, of each plan's proposals.
    known: Vec<Vec<Prior>>,
    /// Renames and matches that would be wanted, had a person not refused them, with the target's identity.
    refused: Vec<(&'a str, Order)>,
}

/// Plans all syncs of objects. Where a person refused to take two keys for one object, or a row and an object for one,
/// they are two; what would be wanted otherwise is told, too.
fn plan_objects<'a>(
    input: &PlanInput<'_>,
    objects: &[&'a ObjectInput<'a>],
    hasher: KeyHasher,
) -> Result<PlannedObjects<'a>, ReconcileError> {
    let under_way = |live: &&LiveOrder| matches!(live.state, OrderState::InFlight | OrderState::Uncertain);
    let busy: HashSet<ObjectKey> = input.live.iter().filter(under_way).map(|live| live.object.clone()).collect();
    // To whom one refers is known when all are correlated; without references one is done before the next is read.
    let at_once = if objects.iter().any(|sync| !sync.sync.references.is_empty()) { objects.len() } else { 1 };
    let (mut plans, mut known): (Vec<Planned<'a>>, Vec<Vec<Prior>>) = Default::default();
    let mut refused = Vec::new();
    let mut undone: HashMap<&str, Vec<TakenBack>> = HashMap::new();
    for sync in objects {
        if let Entry::Vacant(unknown) = undone.entry(sync.identity) {
            unknown.insert(input.memory.taken_back(sync.identity)?);
        }
    }
    let rejected = if input.ask_again { &[] } else { input.withholding };
    let mut promised = Promised::of(input.live, rejected, objects);
    for some in objects.chunks(at_once.max(1)) {
        let mut aparts: Vec<Apart> = some.iter().map(|_| Apart { busy: busy.clone(), ..Apart::default() }).collect();
        let begin = plans.len();
        let before = promised.clone();
        loop {
            let mut correlated = some
                .iter()
                .zip(&aparts)
                .map(|(sync, apart)| objects::correlate(sync, apart, hasher))
                .collect::<Result<Vec<_>, _>>()?;
            references::resolve(&mut correlated)?;
            let mut is_refused_anew = false;
            for ((sync, correlated), apart) in some.iter().zip(correlated).zip(&mut aparts) {
                let claims = claims(sync, objects, &plans);
                let mut plan = objects::plan(input.wishes, correlated, &claims, &mut promised)?;
                scoped::mark(&mut plan)?;
                taken_back::leave(input, &mut plan, &undone[sync.identity]);
                let orders = plan.proposals.iter().map(|proposal| &proposal.order);
                let mut priors = priors(input, sync.identity, orders)?;
                for (at, by) in &plan.undone.whole {
                    if priors[*at].reversal_of(&plan.proposals[*at].order).is_none() {
                        priors[*at].reversal = Some(by.clone());
                    }
                }
                for (proposal, prior) in plan.proposals.iter().zip(&priors) {
                    let is_refused = prior.rejection_of(&proposal.order).is_some() && !input.ask_again;
                    if is_refused && apart.refuse(&proposal.order, sync) {
                        refused.push((sync.identity, proposal.order.clone()));
                        is_refused_anew = true;
                    }
                }
                plans.push((plan, HashMap::new()));
                known.push(priors);
            }
            if !is_refused_anew {
                break;
            }
            plans.truncate(begin);
            known.truncate(begin);
            promised = before.clone();
        }
    }
    Ok(PlannedObjects { plans, known, refused })
}

/// What became of earlier orders with the content of these.
fn priors<'o>(
    input: &PlanInput<'_>,
    identity: &str,
    orders: impl Iterator<Item = &'o Order>,
) -> Result<Vec<Prior>, ReconcileError> {
    let fingerprints: Vec<&Fingerprint> = orders.map(|order| &order.fingerprint).collect();
    input.memory.standing(identity, &fingerprints)
}

/// A sync of objects as it was planned, and what became of the orders that create some of them, by number.
pub(crate) type Planned<'a> = (ObjectPlan<'a>, HashMap<u32, Raised>);

/// What a sync has to say, brought back into the job's order at the end.
struct Told {
    index: usize,
    situations: SyncSituations,
    warnings: Vec<String>,
}

fn objects_of<'s, 'a>(sync: &'s SyncInput<'a>) -> Option<&'s ObjectInput<'a>> {
    match sync {
        SyncInput::Objects(objects) => Some(objects),
        SyncInput::Association(_) => None,
    }
}

pub(crate) fn association_of<'s, 'a>(sync: &'s SyncInput<'a>) -> Option<&'s AssociationInput<'a>> {
    match sync {
        SyncInput::Association(association) => Some(association),
        SyncInput::Objects(_) => None,
    }
}

/// Target ids that other jobs, or other syncs of this one, manage: by their links, or found by those planned before.
fn claims(sync: &ObjectInput<'_>, all: &[&ObjectInput<'_>], planned: &[Planned<'_>]) -> Claims {
    let mut claims: Claims = sync.claimed.iter().map(|(id, who)| (id.clone(), who.clone())).collect();
    let rivals = |other: &&&ObjectInput<'_>| other.sync.to == sync.sync.to && other.sync.id != sync.sync.id;
    for other in all.iter().filter(rivals) {
        let who = format!("sync `{}`", other.sync.id);
        claims.extend(other.links.iter().map(|link| (link.target_id.to_owned(), who.clone())));
    }
    for (plan, _) in planned.iter().filter(|(plan, _)| plan.table.input.sync.to == sync.sync.to) {
        let who = format!("sync `{}`", plan.table.input.sync.id);
        let managed = plan.table.target.keys.iter().zip(&plan.table.numbers);
        let managed = managed.filter(|(_, number)| **number != super::index::NONE);
        claims.extend(managed.map(|(id, _)| (id.to_owned(), who.clone())));
    }
    claims
}

/// The plans of both ends of an association.
pub(crate) fn ends_of<'p>(rows: &AssociationSync, plans: &'p [Planned<'p>]) -> Result<[EndOf<'p>; 2], ReconcileError> {
    let find = |end: &EndSync| {
        let found = plans.iter().find(|(plan, _)| {
            let sync = plan.table.input.sync;
            sync.from == end.from && sync.to == end.to
        });
        found.map(|(plan, raised)| EndOf { plan, raised }).ok_or_else(|| ReconcileError::EndSync {
            sync: rows.id.clone(),
            end: end.name.clone(),
            flow: format!("{} to {}", end.from, end.to),
        })
    };
    match rows.ends.as_slice() {
        [first, second] => Ok([find(first)?, find(second)?]),
        other => Err(ReconcileError::Ends { sync: rows.id.clone(), found: other.len() }),
    }
}

/// Judges all live orders together, old and new, and what was applied lately.
pub(super) fn thresholds(input: &PlanInput<'_>, ledger: &mut Ledger<'_>, mut loads: Loads<'_>) {
    let remaining = ledger.remaining();
    let live = remaining.iter().map(|live| (&live.resource, live.operation, live.key.as_str(), ledger.scopes(live)));
    let new = ledger.draft.orders.iter();
    let new = new.map(|order| (&order.resource, order.operation, order.key.as_str(), order.thresholds.as_slice()));
    for (resource, operation, key, scopes) in live.chain(new) {
        loads.counting(resource, scopes, |load| load.add(operation, scopes, key));
    }
    for orders in &input.past.applied {
        loads.counting(&orders.resource, &orders.thresholds, |load| {
            load.add_before(orders.operation, &orders.thresholds, orders.bygone.clone());
        });
    }
    let mut excesses = threshold::provisioning(&loads, &input.past.settled);
    excesses.retain(|excess| input.accepted.get(&excess.name).is_none_or(|accepted| excess.figure > *accepted));

    let over = |resource: &ResourceName, operation: Operation, scopes: &[String]| {
        let counts = |by: Counted<'_>| by.counts(operation, scopes);
        let excess = excesses.iter().find(|excess| Counted::by(&excess.name, resource).is_some_and(counts))?;
        let detail = format!(
            "{}; if that is right, accept it with `approve --accept {} --comment …`, which does not approve the orders",
            excess.sentence(),
            excess.name
        );
        Some(Block { reason: BlockReason::Threshold, detail })
    };
    let touched: HashSet<_> = ledger.draft.reblocked.iter().map(|(id, _)| id.clone()).collect();
    let mut reblocked = Vec::new();
    for live in remaining.into_iter().filter(|live| loads.has(&live.resource) && !touched.contains(&live.id)) {
        let held = live.state == OrderState::Blocked && live.block == Some(BlockReason::Threshold);
        match over(&live.resource, live.operation, ledger.scopes(live)) {
            Some(block) if live.state == OrderState::PendingReview => reblocked.push((live.id.clone(), Some(block))),
            None if held => reblocked.push((live.id.clone(), None)),
            _ => {}
        }
    }
    ledger.draft.reblocked.append(&mut reblocked);
    for order in ledger.draft.orders.iter_mut().filter(|order| order.block.is_none()) {
        order.block = over(&order.resource, order.operation, &order.thresholds);
    }
    ledger.draft.sizes = loads.0.iter().map(|(subject, load)| (threshold::subject_name(subject), load.size)).collect();
    ledger.draft.excesses = excesses;
}
