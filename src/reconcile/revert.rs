//! Undoing what was applied: the inverse of each order, held against how the target stands now.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::capabilities::{OwnAccount, ResourceCapabilities};
use crate::model::order::{
    Block, BlockReason, Change, End, EndRef, Fingerprint, Operation, Order, OrderId, OrderState,
};
use crate::model::outcome::Effected;
use crate::model::plan::{LeftOrder, sort_orders};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::model::situation::{Cause, Situation};
use crate::model::value::{Attributes, Value};

use super::canonical::canonical;
use super::draft::PlanDraft;
use super::earlier::takes_access_first;
use super::error::ReconcileError;
use super::guard::{self, Concerned, ConcernedEnd};
use super::index::KeyHasher;
use super::input::PlanInput;
use super::kept_now::{self, KeptNow, RightsNow};
use super::plan::thresholds;
use super::policy::Fixed;
use super::reason::{block, some};
use super::seats::{self, SeatsNow};
use super::standing::Ledger;
use super::threshold::{CLOSING, Loads};
use super::undo::{inverse, opposite};

/// An order that was applied.
#[derive(Clone, Debug)]
pub struct AppliedOrder {
    /// As it was planned; its sync is numbered as the job has it now.
    pub order: Order,
    /// How it came into effect, where that is known.
    pub effected: Option<Effected>,
    /// The target's id of its object, as far as it is known.
    pub target_id: Option<String>,
    /// Both ends of a row, by their ids at the target.
    pub ends: Vec<End>,
    /// What its target is by address.
    pub identity: String,
}

/// How the target stands now.
#[derive(Clone, Debug)]
pub enum Now {
    /// The object; `None` where it is gone.
    Object(Option<Attributes>),
    /// Whether the row is there, and which of its ends are gone, in words.
    Row(bool, Vec<String>),
    /// Nobody can tell: half a sentence why.
    Unknown(String),
}

/// What the job and the target say about undoing.
#[derive(Clone, Copy, Debug)]
pub struct UndoTerms<'a> {
    /// The run that is undone.
    pub run: &'a RunId,
    /// What the target offers for the resource.
    pub capabilities: &'a ResourceCapabilities,
    /// Whether the job deletes there at once.
    pub deletes: bool,
    /// Objects never to be touched.
    pub protect: &'a BTreeSet<String>,
    /// Ends of rows whose objects are groups of accounts: the members of protected ones are counted.
    pub counted: &'a [String],
    /// The rows that a delete may take along, in words.
    pub takes_along: &'a [String],
    /// The account that muster itself uses there, where that is known.
    pub account: Option<&'a OwnAccount>,
    /// What the target does not let change for some of its objects.
    pub fixed: &'a [Fixed],
    /// Attributes without which no object may be, by the job's word.
    pub required: &'a [String],
}

/// What a plan's guards go by, as the targets stand now.
#[derive(Debug, Default)]
pub struct Preflight {
    /// What keeps a member in use, as far as it hangs on the orders in question.
    pub kept: Vec<KeptNow>,
    /// Objects that hold the account of muster.
    pub rights: Vec<RightsNow>,
    /// Seats of each resource.
    pub seats: Vec<SeatsNow>,
    /// By the applied order that is undone, why a value that it would have again is not free.
    pub taken: BTreeMap<OrderId, Block>,
}

/// Why an order is not undone: half a sentence, and whether there is nothing to do.
type Left = (String, bool);

/// The order that undoes an applied one.
///
/// # Errors
/// The applied order with the reason, where nothing is to be done or nothing may be.
pub fn invert(applied: &AppliedOrder, now: &Now, terms: &UndoTerms<'_>) -> Result<Order, LeftOrder> {
    inverse_of(applied, now, terms).map_err(|(why, is_undone)| {
        // People may still carry out what does not show yet.
        if is_undone && applied.effected == Some(Effected::HandedOver) {
            let why = format!("{why}; it was handed over to people in a work-order file: withdraw it there");
            return LeftOrder::of(&applied.order, why, false);
        }
        LeftOrder::of(&applied.order, why, is_undone)
    })
}

fn inverse_of(applied: &AppliedOrder, now: &Now, terms: &UndoTerms<'_>) -> Result<Order, Left> {
    let order = &applied.order;
    let left = |why: String| Err((why, false));
    if applied.effected == Some(Effected::AlreadySo) {
        return Err(("it was so already when it was to be applied: muster changed nothing".to_owned(), true));
    }
    let mut operation = opposite(order, terms.capabilities, terms.deletes).map_err(|why| (why, false))?;
    let id = applied.target_id.as_deref();
    let mut notes = String::new();
    let changes = match now {
        Now::Unknown(why) => return left(why.clone()),
        Now::Row(tied, gone) => {
            if *tied != (order.operation == Operation::Add) {
                let there = if *tied { "it is there again" } else { "it is not there any more" };
                return Err((there.to_owned(), true));
            }
            if operation == Operation::Add && !gone.is_empty() {
                return left(format!("{} gone, so that nothing is left to tie", some(gone)));
            }
            Vec::new()
        }
        Now::Object(None) if order.operation == Operation::Create => {
            return Err(("its object is gone already".to_owned(), true));
        }
        Now::Object(None) => {
            return left(format!("its object `{}` is gone from {}", id.unwrap_or_default(), order.resource));
        }
        Now::Object(Some(held)) => match (order.operation, operation) {
            (Operation::Create, Operation::Delete) => {
                let moved = moved(order, held, terms.capabilities);
                if !moved.is_empty() {
                    return left(moved.join("; "));
                }
                notes.push_str("; removed for good, as the job's on.orphan is `delete`");
                let lost = |c: &Change| {
                    let before = held.get(&c.attribute).cloned()?;
                    let attribute = c.attribute.clone();
                    Some(Change { attribute, before: Some(before), after: None, cause: Cause::Revert })
                };
                order.changes.iter().filter_map(lost).collect()
            }
            (Operation::Create, _) => {
                let (change, note) = switched_off(order, held, terms.capabilities)?;
                notes.push_str(&note);
                vec![change]
            }
            _ => {
                let changes = taken_back(order, held, terms.capabilities)?;
                let flag = terms.capabilities.enabled.as_deref();
                if operation != Operation::Update && !changes.iter().any(|c| Some(c.attribute.as_str()) == flag) {
                    operation = Operation::Update;
                }
                changes
            }
        },
    };
    let held = match now {
        Now::Object(held) => held.as_ref(),
        Now::Row(..) | Now::Unknown(_) => None,
    };
    let block = stopped(applied, operation, &changes, held, terms);
    let fingerprint = Order::fingerprint_of(&order.resource, operation, &order.object, &changes);
    // A rename goes back to the key from which it came.
    let (key, renamed_from) = match &order.renamed_from {
        Some(was) => (was.clone(), Some(order.key.clone())),
        None => (order.key.clone(), None),
    };
    let undoing = Order {
        id: OrderId::new(&fingerprint, 0),
        fingerprint,
        operation,
        key,
        renamed_from,
        target_id: applied.target_id.clone().filter(|_| order.ends.is_empty()),
        changes,
        ends: applied.ends.clone(),
        references: Vec::new(),
        closes: None,
        after: None,
        situation: match operation {
            Operation::Add => Situation::Missing,
            Operation::Remove | Operation::Delete => Situation::Orphan,
            _ => Situation::Changed,
        },
        cause: Cause::Revert,
        reason: format!("undoes the {} {} of run {}{notes}", order.operation, order.id, terms.run),
        confidence: 100,
        takes_along: if operation == Operation::Delete { terms.takes_along.to_vec() } else { Vec::new() },
        block,
        thresholds: order.thresholds.iter().filter(|mark| *mark != CLOSING).cloned().collect(),
        undoes: Some(order.id.clone()),
        ground: String::new(),
        irreversible: None,
        ..order.clone()
    };
    let irreversible = inverse(&undoing, terms.capabilities, terms.deletes).err();
    Ok(Order { irreversible, ..undoing })
}

/// What of an order that undoes another must not be or cannot succeed: by the same guards, in the same sequence, as of one
/// that a sync raises.
fn stopped(
    applied: &AppliedOrder,
    operation: Operation,
    changes: &[Change],
    held: Option<&Attributes>,
    terms: &UndoTerms<'_>,
) -> Option<Block> {
    let (order, id) = (&applied.order, applied.target_id.as_deref());
    let names = [Some(order.key.as_str()), order.source_key.as_deref(), id, Some(order.name.as_str())];
    let ends = applied.ends.iter().map(|end| ConcernedEnd {
        resource: &end.resource,
        names: match &end.object {
            EndRef::Target(id) => vec![id.as_str(), end.label.as_str()],
            EndRef::Order(_) => vec![end.label.as_str()],
        },
        is_counted: terms.counted.contains(&end.name),
    });
    let concerned = Concerned {
        resource: &order.resource,
        operation,
        changes,
        names: names.into_iter().flatten().collect(),
        at_target: vec![id.unwrap_or_default(), order.name.as_str()],
        ends: ends.collect(),
    };
    let fixed = || {
        let held = held.filter(|_| operation != Operation::Delete)?;
        terms.fixed.iter().find_map(|fixed| fixed_now(fixed, &order.resource, held, changes))
    };
    guard::forbidden(terms.protect, terms.account, &concerned)
        .or_else(|| lacking(&order.resource, operation, changes, terms))
        .or_else(fixed)
        .or_else(|| guard::unsupported(terms.capabilities, &order.resource, operation, changes))
}

/// Whether the target does not let an object change, as it is now.
fn fixed_now(fixed: &Fixed, resource: &ResourceName, held: &Attributes, changes: &[Change]) -> Option<Block> {
    let columns = fixed.target.columns();
    let cells: Vec<String> =
        columns.iter().map(|column| held.get(column).map(Value::to_cell).unwrap_or_default()).collect();
    // A condition that cannot be read was told when the job was planned; it binds to its own columns.
    let bound = fixed.target.bind(&columns).ok()?;
    guard::fixed(&[(bound, fixed)], resource, &cells, changes)
}

/// Values that no object may be without and that would be taken back.
fn lacking(resource: &ResourceName, operation: Operation, changes: &[Change], terms: &UndoTerms<'_>) -> Option<Block> {
    if operation == Operation::Delete {
        return None;
    }
    let needed = |change: &&Change| {
        let is = |names: &[String]| names.contains(&change.attribute);
        change.after.is_none() && (is(terms.required) || is(&terms.capabilities.required))
    };
    let names: Vec<String> =
        changes.iter().filter(needed).map(|c| format!("`{}` is required and would be empty", c.attribute)).collect();
    let detail = format!("{} in {resource}; give it a value by hand, and run again", some(&names));
    block(BlockReason::Incomplete, detail).filter(|_| !names.is_empty())
}

/// An account that was made is taken out of use. What else was changed of it since is told.
fn switched_off(order: &Order, held: &Attributes, types: &ResourceCapabilities) -> Result<(Change, String), Left> {
    let flag = types.enabled.clone().unwrap_or_default();
    let before = held.get(&flag).cloned();
    if same(types, &flag, before.as_ref(), Value::text("false").as_ref()) {
        return Err(("it is disabled already".to_owned(), true));
    }
    let others: Vec<String> =
        order.changes.iter().filter(|c| !is(types, c, held, c.after.as_ref())).map(|c| c.attribute.clone()).collect();
    let mut note = "; disabled, not removed: the job does not delete there".to_owned();
    if !others.is_empty() {
        note.push_str(&format!("; changed since: {}", some(&others)));
    }
    Ok((Change { attribute: flag, before, after: Value::text("false"), cause: Cause::Revert }, note))
}

/// The values that were there before, for those that are still as the order made them.
fn taken_back(order: &Order, held: &Attributes, types: &ResourceCapabilities) -> Result<Vec<Change>, Left> {
    let moved = moved(order, held, types);
    if !moved.is_empty() {
        return Err((moved.join("; "), false));
    }
    let still = |c: &&Change| !is(types, c, held, c.before.as_ref());
    // It holds what the order made of it, in whatever spelling: the order's own is known again when it is wanted again.
    let back = |c: &Change| Change {
        attribute: c.attribute.clone(),
        before: c.after.clone(),
        after: c.before.clone(),
        cause: Cause::Revert,
    };
    let changes: Vec<Change> = order.changes.iter().filter(still).map(back).collect();
    if changes.is_empty() { Err(("all is as it was before".to_owned(), true)) } else { Ok(changes) }
}

/// What is neither as the order made it nor as it was before, in words.
fn moved(order: &Order, held: &Attributes, types: &ResourceCapabilities) -> Vec<String> {
    let elsewhere = |c: &&Change| !is(types, c, held, c.after.as_ref()) && !is(types, c, held, c.before.as_ref());
    let told = |c: &Change| {
        let (then, now) = (shown(c.after.as_ref()), shown(held.get(&c.attribute)));
        format!("{} was changed since: {then} when it was applied, {now} now", c.attribute)
    };
    order.changes.iter().filter(elsewhere).map(told).collect()
}

fn is(types: &ResourceCapabilities, change: &Change, held: &Attributes, value: Option<&Value>) -> bool {
    same(types, &change.attribute, held.get(&change.attribute), value)
}

fn same(types: &ResourceCapabilities, attribute: &str, left: Option<&Value>, right: Option<&Value>) -> bool {
    let kind = types.kind(attribute);
    let cell = |value: Option<&Value>| value.map(Value::to_cell).unwrap_or_default();
    left == right || canonical(&cell(left), kind) == canonical(&cell(right), kind)
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| format!("`{value}`"))
}

/// Makes a plan of orders that undo others, each with its target's identity: set against what is live, judged by the
/// guards and thresholds as any plan. Also returned are those that another order stands in the way of.
///
/// # Errors
/// [`ReconcileError::Memory`] where what earlier runs ordered cannot be told.
pub fn assemble_revert(
    input: &PlanInput<'_>,
    undoing: Vec<(Order, String)>,
    preflight: &Preflight,
    loads: Loads<'_>,
) -> Result<(PlanDraft, BTreeMap<OrderId, String>), ReconcileError> {
    let mut ledger = Ledger::new(input, KeyHasher::random());
    let mut in_the_way = BTreeMap::new();
    for of_target in undoing.chunk_by(|a, b| a.1 == b.1) {
        let identity = of_target[0].1.as_str();
        let prints: Vec<&Fingerprint> = of_target.iter().map(|(order, _)| &order.fingerprint).collect();
        let priors = input.memory.standing(identity, &prints)?;
        for ((order, _), prior) in of_target.iter().zip(&priors) {
            let busy = input.live.iter().find(|live| {
                let under_way = matches!(live.state, OrderState::InFlight | OrderState::Uncertain);
                let is_first = under_way || live.of_other_job.is_some() || takes_access_first(live, order);
                live.identity == identity && live.object == order.object && is_first
            });
            if let (Some(busy), Some(undone)) = (busy, &order.undoes) {
                let whose = busy.of_other_job.as_ref().map(|job| format!("job {job} has ")).unwrap_or_default();
                let why = format!("{whose}order {} of its object ({}, {})", busy.id, busy.operation, busy.state);
                in_the_way.insert(undone.clone(), format!("{why}; wait for it, settle or reject it, and revert again"));
                continue;
            }
            let mut order = order.clone();
            if order.block.is_none() {
                order.block = order.undoes.as_ref().and_then(|undone| preflight.taken.get(undone)).cloned();
            }
            order.block = order.block.map(to_revert_again);
            ledger.settle(order, prior, identity);
        }
    }
    ledger.finish(&[], &HashSet::new());
    kept_now::guard(&preflight.kept, &preflight.rights, &mut ledger);
    seats::capacity(seats::now(&preflight.seats), &mut ledger);
    thresholds(input, &mut ledger, loads);
    let mut draft = std::mem::take(&mut ledger.draft);
    for order in &mut draft.orders {
        order.block = order.block.take().map(to_revert_again);
    }
    draft.warnings.sort();
    draft.reblocked.sort_by(|a, b| a.0.cmp(&b.0));
    sort_orders(&mut draft.orders);
    Ok((draft, in_the_way))
}

/// What blocks an undo is looked at anew by the next `revert`: a `run` only finds what came to forbid it.
pub(crate) fn to_revert_again(block: Block) -> Block {
    Block { detail: block.detail.replace("run again", "revert again"), ..block }
}
