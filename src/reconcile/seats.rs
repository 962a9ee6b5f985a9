//! Seats against the orders that need one.

use std::collections::{BTreeMap, HashSet};

use crate::model::capabilities::AttributeType;
use crate::model::numbers::counted;
use crate::model::order::{Block, BlockReason, Change, Operation, Order, OrderId, OrderState, Remedy};
use crate::model::plan::sort_wide;
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::snapshot::row::Cells;

use super::canonical;
use super::error::ReconcileError;
use super::input::ObjectInput;
use super::standing::Ledger;

/// The seats of one resource.
pub(crate) struct Seats<'a> {
    free: u64,
    /// All of them, where the job tells.
    all: Option<u64>,
    /// The attribute that says whether an account is in use: one that is not needs no seat.
    flag: Option<&'a str>,
    /// How many orders need one so far.
    waiting: u64,
}

impl Seats<'_> {
    /// Whether an order needs a seat.
    fn needs(&self, operation: Operation, changes: &[Change]) -> bool {
        let is_off = |change: &Change| {
            Some(change.attribute.as_str()) == self.flag
                && change.after.as_ref().and_then(Value::as_text) == Some("false")
        };
        match operation {
            Operation::Create => !changes.iter().any(is_off),
            Operation::Enable => true,
            _ => false,
        }
    }

    /// Takes a place in the queue; the block where no seat is free for it.
    fn take(&mut self, resource: &ResourceName) -> Option<Block> {
        self.waiting += 1;
        if self.waiting <= self.free {
            return None;
        }
        let free = match (self.free, self.all) {
            (0, Some(all)) => format!("none of its {} is free", counted(all, "seat")),
            (free, Some(all)) => format!("{free} of its {} are free", counted(all, "seat")),
            (free, None) => format!("it has {}", counted(free, "free seat")),
        };
        let detail = format!(
            "{resource} has no seat for this: {free}, and it is number {} of the orders that need one; free or buy seats, or reject others, and run again",
            self.waiting
        );
        Some(Block { reason: BlockReason::Capacity, detail })
    }
}

/// Seats of one resource, as they are taken now.
#[derive(Clone, Debug)]
pub struct SeatsNow {
    /// The resource.
    pub resource: ResourceName,
    /// Free ones, where the target tells.
    pub free: Option<u64>,
    /// All of them and those that are taken, where the job tells.
    pub all: Option<(u64, u64)>,
    /// The attribute that says whether an account is in use.
    pub flag: Option<String>,
}

/// The seats by resource; of several words about one resource the strictest holds.
pub(crate) fn now(told: &[SeatsNow]) -> BTreeMap<&ResourceName, Seats<'_>> {
    let mut seats: BTreeMap<&ResourceName, Seats<'_>> = BTreeMap::new();
    for SeatsNow { resource, free, all, flag } in told {
        let left = all.map(|(all, taken)| all.saturating_sub(taken));
        let Some(free) = left.into_iter().chain(*free).min() else { continue };
        let all = all.map(|(all, _)| all).filter(|_| left == Some(free));
        let known = seats.entry(resource).or_insert(Seats { free, all, flag: flag.as_deref(), waiting: 0 });
        if free < known.free {
            (known.free, known.all) = (free, all);
        }
    }
    seats
}

/// The seats of what is synced, counted in the target's snapshots.
pub(crate) fn counted_now(objects: &[&ObjectInput<'_>]) -> Result<Vec<SeatsNow>, ReconcileError> {
    let of = |sync: &&ObjectInput<'_>| {
        Ok(SeatsNow {
            resource: sync.sync.to.clone(),
            free: sync.free,
            all: sync.seats.map(|all| Ok::<_, ReconcileError>((all, taken(sync)?))).transpose()?,
            flag: sync.capabilities.enabled.clone(),
        })
    };
    objects.iter().map(of).collect()
}

/// Orders beyond the free seats are blocked; those that wait since earlier runs come first.
pub(crate) fn capacity(mut seats: BTreeMap<&ResourceName, Seats<'_>>, ledger: &mut Ledger<'_>) {
    let already: HashSet<_> = ledger.draft.reblocked.iter().map(|(id, _)| id.clone()).collect();
    let mut freed = HashSet::new();
    for live in ledger.remaining() {
        let blocked = live.state == OrderState::Blocked && live.block == Some(BlockReason::Capacity);
        // Blocked for a cause that has nothing to do with seats: it goes nowhere, and needs none.
        if live.state == OrderState::Blocked
            && !blocked
            && live.block.is_some_and(|reason| reason.remedy() == Remedy::CauseGone)
        {
            continue;
        }
        let needed = seats.get_mut(&live.resource);
        let needed = needed.filter(|seats| seats.needs(live.operation, live.changes.as_deref().unwrap_or_default()));
        let full = needed.and_then(|seats| seats.take(&live.resource));
        if already.contains(&live.id) {
            continue;
        }
        match full {
            Some(full) if live.state == OrderState::PendingReview => {
                ledger.draft.reblocked.push((live.id.clone(), Some(full)));
            }
            None if blocked => {
                ledger.free(&live.id);
                freed.insert(&live.id);
            }
            _ => {}
        }
    }
    if !freed.is_empty() {
        go_with(&freed, &already, ledger);
    }
    if seats.is_empty() {
        return;
    }
    sort_wide(&mut ledger.draft.orders, |a, b| a.object.cmp(&b.object));
    for order in &mut ledger.draft.orders {
        let Some(seats) = seats.get_mut(&order.resource) else { continue };
        let is_stopped = order.block.as_ref().is_some_and(|b| b.reason.remedy() == Remedy::CauseGone);
        if !is_stopped
            && seats.needs(order.operation, &order.changes)
            && let Some(full) = seats.take(&order.resource)
        {
            order.block = Some(full);
        }
    }
}

/// What was blocked because an order that it needs had no seat goes on together with that.
fn go_with(freed: &HashSet<&OrderId>, already: &HashSet<OrderId>, ledger: &mut Ledger<'_>) {
    let is_stopped = |order: &&Order| order.block.as_ref().is_some_and(|b| b.reason.remedy() == Remedy::CauseGone);
    let stopped: HashSet<OrderId> = ledger.draft.orders.iter().filter(is_stopped).map(|o| o.id.clone()).collect();
    let may_come = |ledger: &Ledger<'_>, needed: &[&OrderId]| {
        needed.iter().any(|id| freed.contains(*id))
            && !needed.iter().any(|id| stopped.contains(*id) || ledger.is_stuck(id))
    };
    for live in ledger.remaining() {
        let waits = live.state == OrderState::Blocked && live.block == Some(BlockReason::MissingReference);
        if waits && !already.contains(&live.id) && may_come(ledger, &live.needs().collect::<Vec<_>>()) {
            ledger.free(&live.id);
        }
    }
    let mut orders = std::mem::take(&mut ledger.draft.orders);
    for order in &mut orders {
        let waits = order.block.as_ref().is_some_and(|b| b.reason == BlockReason::MissingReference);
        if waits && may_come(ledger, &order.needs().collect::<Vec<_>>()) {
            order.block = None;
        }
    }
    ledger.draft.orders = orders;
}

/// How many accounts of the target are in use.
fn taken(sync: &ObjectInput<'_>) -> Result<u64, ReconcileError> {
    let column = sync.capabilities.enabled.as_deref().and_then(|name| sync.target.column(name));
    let counts = sync.target.par_fold(
        || 0,
        |count: &mut u64, row| {
            let value = column.and_then(|column| canonical::value(row.cell(column), AttributeType::Boolean));
            *count += u64::from(value.as_ref().and_then(Value::as_text) != Some("false"));
        },
    )?;
    Ok(counts.into_iter().sum())
}
