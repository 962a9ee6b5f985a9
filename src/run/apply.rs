//! Sends what is approved: phases by dependency, a canary of each kind, growing waves, one outcome an order.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Conductor;
use super::approved::Plans;
use super::demand;
use super::error::RunError;
use super::journal::Journal;
use super::lanes::{Parcel, Wave};
use super::rows::{ResolvedRow, parcels};
use super::send::Sender;
use super::tally::Tally;
use super::wave::{Kind, kinds};
use crate::connector::backoff::Budget;
use crate::connector::target::Target;
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::model::order::{EndRef, Operation, Order, OrderId, OrderState};
use crate::model::run::RunId;

/// What is to be applied.
#[derive(Clone, Debug, Default)]
pub struct ApplyRequest {
    /// One run; `None` = every run of the job with approved orders, oldest first.
    pub run: Option<RunId>,
    /// Only the first so many orders, in the sequence in which they are sent.
    pub first: Option<usize>,
}

/// What an apply came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Orders in effect now.
    pub applied: u64,
    /// Orders that the target refused.
    pub errored: u64,
    /// Orders whose object changed since the plan.
    pub stale: u64,
    /// Orders of which nobody can tell whether they took effect.
    pub uncertain: u64,
    /// The first stale orders, in words: `update vault.users E0007`.
    pub stale_first: Vec<String>,
    /// Orders that stay approved: not tried, or certainly without effect.
    pub untried: u64,
    /// Orders whose request may have taken effect and whose target cannot be asked now: the next run looks them up.
    pub in_flight: u64,
    /// Approved rows that are blocked now, because the order that creates an end of theirs failed.
    pub blocked: u64,
    /// Approvals and plans that were refused, in sentences.
    pub refused: Vec<String>,
    /// Approvals whose time is over, in sentences; their orders wait for a new one.
    pub expired: Vec<String>,
    /// Runs that are held by what nobody accepted yet; nothing of them is sent.
    pub held: Vec<RunId>,
    /// Why the apply stopped before its end, where it did.
    pub stopped: Option<String>,
    /// The runs whose orders were sent.
    pub runs: Vec<RunId>,
}

impl Conductor {
    /// Looks up what a crash left open, then applies.
    pub async fn apply_after_recovery(&mut self, request: &ApplyRequest) -> Result<Applied, RunError> {
        let recovered = self.recover().await?;
        let mut result = self.apply(request).await?;
        result.applied += recovered.applied;
        for run in recovered.runs {
            if !result.runs.contains(&run) {
                result.runs.push(run);
            }
        }
        Ok(result)
    }

    /// Applies every approved, unexpired order of the request.
    pub async fn apply(&mut self, request: &ApplyRequest) -> Result<Applied, RunError> {
        let mut result = Applied::default();
        let (orders, mut plans) = self.approved_orders(request, &mut result)?;
        if orders.is_empty() {
            return Ok(result);
        }
        let dependent: HashSet<OrderId> = orders.iter().filter(|o| depends(o)).map(|o| o.id.clone()).collect();
        let journal = Journal::open(&self.layout, self.clock.clone())?;
        let mut kinds = kinds(orders);
        if let Some(mut first) = request.first {
            for kind in &mut kinds {
                kind.orders.truncate(first);
                first -= kind.orders.len();
            }
        }
        let budget = Arc::new(Budget::new(self.job.apply.retry_budget));
        let mut senders: BTreeMap<String, Arc<Sender>> = BTreeMap::new();
        let mut tally = Tally::new(&self.job.apply);
        for kind in kinds {
            let system = kind.resource.system.clone();
            if let Some(why) = tally.stopped(&system) {
                self.reporter.event(&Event::Note(format!("{} is left alone: {why}", kind.label())));
                result.untried += kind.orders.len() as u64;
                continue;
            }
            let sender = match senders.get(&system) {
                Some(sender) => sender.clone(),
                None => match self.sender(&system, &budget).await {
                    Ok(sender) => {
                        let sender = Arc::new(sender);
                        senders.insert(system.clone(), sender.clone());
                        sender
                    }
                    Err(failure) => {
                        tally.stop_system(&system, failure.to_string());
                        result.untried += kind.orders.len() as u64;
                        continue;
                    }
                },
            };
            self.apply_kind(kind, &mut plans, &sender, &journal, &mut tally, &mut result).await?;
        }
        result.blocked = self.now_blocked(&dependent, &result.runs)?;
        result.untried = result.untried.saturating_sub(result.blocked);
        result.stopped = tally.why();
        if let Some(why) = &result.stopped {
            self.reporter.event(&Event::Stopped { kind: None, why: why.clone(), untried: result.untried });
        }
        Ok(result)
    }

    pub(super) async fn sender(&self, system: &str, budget: &Arc<Budget>) -> Result<Sender, Failure> {
        let target: Arc<dyn Target> = self.target(system).await?;
        let capabilities = target.capabilities().await?;
        let guards = self.guards(system, &*target, &capabilities).await?;
        let identifying = demand::identifying(&self.job);
        Ok(Sender {
            target,
            capabilities,
            identifying: identifying
                .into_iter()
                .filter(|(name, _)| name.system == system)
                .map(|(name, attributes)| (name.resource, attributes))
                .collect(),
            guards,
            budget: budget.clone(),
            reporter: self.reporter.clone(),
            clock: self.clock.clone(),
        })
    }

    async fn apply_kind(
        &self,
        kind: Kind,
        plans: &mut Plans,
        sender: &Arc<Sender>,
        journal: &Journal,
        tally: &mut Tally,
        result: &mut Applied,
    ) -> Result<(), RunError> {
        let (operation, resource) = (kind.operation, kind.resource.clone());
        let label = kind.label();
        let is_row = matches!(operation, Operation::Add | Operation::Remove);
        let mut ends = BTreeMap::new();
        let mut rest = if is_row { self.without_waiting(kind.orders, &mut ends, result)? } else { kind.orders };
        let untried_before = result.untried;
        let mut number = 0;
        let sizes = &self.job.apply.waves;
        let mut step = 0;
        tally.begin_kind();
        while !rest.is_empty() && !tally.kind_stopped(&resource.system) {
            number += 1;
            let size = sizes.get(step).copied().unwrap_or(rest.len()).clamp(1, rest.len());
            let after = rest.split_off(size);
            let wave: Vec<Order> = std::mem::replace(&mut rest, after);
            let wave = self.still_covered(wave, &*sender.target, plans, result)?;
            if wave.is_empty() {
                continue;
            }
            self.reporter.event(&Event::Wave { kind: label.clone(), number, orders: wave.len() });
            let before = result.applied;
            let parcels = if is_row {
                let (owner, limit) = sender.target.row_batch(&resource.resource);
                let row = |order: Order| ResolvedRow { ends: ends.remove(&order.id).unwrap_or_default(), order };
                parcels(operation, wave.into_iter().map(row).collect(), owner.as_deref(), limit)
            } else {
                wave.into_iter().map(|order| Parcel::Object(Box::new(order))).collect()
            };
            // What a crash finds begun and cannot look up is uncertain: then nothing is begun ahead of its request.
            let is_known = sender.can_look_up(operation, &resource.resource);
            let ahead = if is_known { self.job.apply.concurrency } else { 0 };
            self.send_wave(parcels, &Wave { plans, sender, journal, ahead }, tally, result).await?;
            // The canary has to live before more are let in: one that only its own data killed is followed by another.
            if step > 0 || result.applied > before {
                step += 1;
            }
        }
        result.untried += rest.len() as u64;
        if let Some(why) = tally.kind_why() {
            let untried = result.untried - untried_before;
            self.reporter.event(&Event::Stopped { kind: Some(label), why: why.to_owned(), untried });
        }
        Ok(())
    }

    /// How many of these orders are blocked by now.
    fn now_blocked(&self, orders: &HashSet<OrderId>, runs: &[RunId]) -> Result<u64, RunError> {
        let mut blocked = 0;
        for run in runs.iter().filter(|_| !orders.is_empty()) {
            let records = self.store.orders_of(run)?.into_iter();
            blocked += records.filter(|r| r.state == OrderState::Blocked && orders.contains(&r.id)).count() as u64;
        }
        Ok(blocked)
    }

    /// Leaves out rows whose ends are not there yet; they stay approved. The ends of the others are put into `ends`:
    /// whatever creates an end is of a kind that went before, so that looking once is enough.
    fn without_waiting(
        &self,
        orders: Vec<Order>,
        ends: &mut BTreeMap<OrderId, BTreeMap<String, String>>,
        result: &mut Applied,
    ) -> Result<Vec<Order>, RunError> {
        let mut ready = Vec::with_capacity(orders.len());
        let mut known = BTreeMap::new();
        for order in orders {
            match self.resolve(&order, &mut known)? {
                Ok(found) => {
                    ends.insert(order.id.clone(), found);
                    ready.push(order);
                }
                Err(why) => {
                    self.reporter.event(&Event::Note(format!("{} waits: {why}", order.id)));
                    result.untried += 1;
                }
            }
        }
        Ok(ready)
    }
}

/// Whether an order needs what another one creates.
fn depends(order: &Order) -> bool {
    order.ends.iter().any(|end| matches!(end.object, EndRef::Order(_)))
}
