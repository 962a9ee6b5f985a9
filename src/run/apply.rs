//! Sends what is approved: phases by dependency, a canary of each kind, growing waves, one outcome an order.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Conductor;
use super::approved::Plans;
use super::demand;
use super::error::RunError;
use super::journal::Journal;
use super::lanes::{Parcel, Wave};
use super::left::{Left, UnderWay};
use super::outage::{Outage, Try};
use super::rows::{ResolvedRow, parcels};
use super::send::Sender;
use super::tally::Tally;
use super::wave::{Kind, Next, Unsent, kinds, rests_on, with_rules};
use crate::connector::backoff::Budget;
use crate::connector::target::Target;
use crate::model::apply_end::ApplyEnd;
use crate::model::event::Event;
use crate::model::failure::{Failure, Recourse};
use crate::model::order::{Operation, Order, OrderId, OrderState};
use crate::model::run::RunId;

/// How long a target that cannot say yet what it can do is left alone at first.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What is to be applied.
#[derive(Clone, Debug, Default)]
pub struct ApplyRequest {
    /// One run; `None` = every run of the job with approved orders, oldest first.
    pub run: Option<RunId>,
    /// Only the first so many orders, in the sequence in which they are sent.
    pub first: Option<usize>,
    /// Only this order.
    pub only: Option<OrderId>,
}

/// What an apply came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Orders in effect now.
    pub applied: u64,
    /// Orders that the target refused.
    pub errored: u64,
    /// Orders that were not sent, because their object changed since the plan or they would lock somebody out by now.
    pub stale: u64,
    /// Orders of which nobody can tell whether they took effect.
    pub uncertain: u64,
    /// The first stale orders, in words, each with why it was not sent: `update vault.users E0007`.
    pub stale_first: Vec<(String, String)>,
    /// Orders that were not sent, because a person rejected them while the apply was under way.
    pub rejected: u64,
    /// The first of these, in words, each with who did and why.
    pub rejected_first: Vec<(String, String)>,
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
        let mut retried = HashSet::new();
        for run in &result.runs {
            retried.extend(self.store.retried(run)?);
        }
        let source_of = |sync| self.job.syncs.iter().find(|s| s.index == sync).map(|s| s.from.to_string());
        let refers = |sync: usize, attribute: &str| self.job.syncs.get(sync)?.kind.refers(attribute).cloned();
        let mut kinds = kinds(orders, &retried, source_of, refers);
        if let Some(mut first) = request.first {
            for kind in &mut kinds {
                kind.truncate(first);
                first -= kind.orders.len();
            }
            kinds.retain(|kind| !kind.orders.is_empty());
        }
        let all = kinds.iter().map(|kind| kind.orders.len() as u64).sum();
        self.reporter.event(&Event::Applying { orders: all });
        let leavers: HashSet<String> = kinds
            .iter()
            .filter(|kind| matches!(kind.operation, Operation::Disable | Operation::Delete))
            .flat_map(|kind| kind.orders.iter().filter_map(|order| order.target_id.clone()))
            .collect();
        let budget = Arc::new(Budget::new(self.job.apply.retry_budget));
        let mut senders: BTreeMap<String, Arc<Sender>> = BTreeMap::new();
        let mut under_way = UnderWay { tally: Tally::new(&self.job.apply), left: Left::default(), retried };
        for kind in kinds {
            let system = kind.resource.system.clone();
            let sender = match (under_way.tally.stopped(&system), senders.get(&system)) {
                (Some(why), _) => Err(why.to_owned()),
                (None, Some(sender)) => Ok(sender.clone()),
                (None, None) => match self.sender(&system, Some(&budget), &leavers).await {
                    Ok(sender) => {
                        if let Some(after) = sender.capabilities.errors_in_a_row {
                            under_way.tally.switches_off(&system, after);
                        }
                        let sender = Arc::new(sender);
                        senders.insert(system.clone(), sender.clone());
                        Ok(sender)
                    }
                    Err(failure) => {
                        under_way.tally.stop_system(&system, failure.to_string());
                        Err(failure.to_string())
                    }
                },
            };
            match sender {
                Ok(sender) => {
                    self.apply_kind(kind, &mut plans, &sender, &journal, &mut under_way, &mut result).await?;
                }
                Err(why) => {
                    self.reporter.event(&Event::Note(format!("{} is left alone: {why}", kind.label)));
                    result.untried += kind.orders.len() as u64;
                    under_way.left.add((&kind, &kind.label, false), &why, None, &ids(&kind.orders), &plans);
                }
            }
        }
        // All outcomes are on the disk before it is told how it ended.
        drop(journal);
        result.blocked = self.now_blocked(&dependent, &result.runs)?;
        result.untried = result.untried.saturating_sub(result.blocked);
        result.stopped = under_way.tally.why();
        if let Some(why) = &result.stopped {
            self.reporter.event(&Event::Stopped { kind: None, why: why.clone(), untried: result.untried });
        }
        for run in &result.runs {
            let left = under_way.left.of(run);
            let end = ApplyEnd { stopped: result.stopped.clone(), left };
            self.store.apply_ended(run, &end, (self.clock)())?;
        }
        Ok(result)
    }

    /// What sends to a system. With a budget it repeats what failed, for all lanes together; without one the connector
    /// does so, for each question by itself. `leavers` are the ids of the objects that it will take out of use or away.
    pub(super) async fn sender(
        &self,
        system: &str,
        budget: Option<&Arc<Budget>>,
        leavers: &HashSet<String>,
    ) -> Result<Sender, Failure> {
        let alone = if budget.is_some() { Duration::ZERO } else { self.job.apply.retry_budget };
        let target: Arc<dyn Target> = self.target(system, alone).await?;
        let outage = Outage::default();
        let capabilities = loop {
            match target.capabilities().await {
                Ok(capabilities) => break capabilities,
                Err(failure) => {
                    let own = failure.retry_after.unwrap_or(FIRST_WAIT);
                    let again = budget.filter(|_| failure.recourse == Recourse::Retry);
                    let wait = again
                        .and_then(|budget| outage.failed(Try::Read, Instant::now(), own).filter(|w| budget.spend(*w)));
                    let Some(wait) = wait else { return Err(failure) };
                    self.reporter.event(&Event::Retrying { order: None, failure, attempt: outage.tries() + 1, wait });
                    tokio::time::sleep(wait).await;
                }
            }
        };
        let guards = self.guards(system, &*target, &capabilities, leavers).await?;
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
            budget: budget.cloned().unwrap_or_else(|| Arc::new(Budget::new(Duration::ZERO))),
            outage,
            reporter: self.reporter.clone(),
            clock: self.clock.clone(),
        })
    }

    async fn apply_kind(
        &self,
        mut kind: Kind,
        plans: &mut Plans,
        sender: &Arc<Sender>,
        journal: &Journal,
        under_way: &mut UnderWay,
        result: &mut Applied,
    ) -> Result<(), RunError> {
        let system = kind.resource.system.clone();
        let (operation, resource) = (kind.operation, kind.resource.clone());
        if operation == Operation::Create
            && let Some((why, cause)) = under_way.tally.full(&resource)
        {
            result.untried += kind.orders.len() as u64;
            under_way.left.add((&kind, &kind.label, false), &why, Some(cause), &ids(&kind.orders), plans);
            return Ok(());
        }
        let is_row = matches!(operation, Operation::Add | Operation::Remove);
        let mut ends = BTreeMap::new();
        let mut orders = std::mem::take(&mut kind.orders);
        if is_row {
            let (ready, waiting) = self.without_waiting(orders, &mut ends, result)?;
            let why = "what they tie is not at the target yet";
            under_way.left.add((&kind, &kind.label, !ready.is_empty()), why, None, &ids(&waiting), plans);
            orders = ready;
        }
        let sizes = &self.job.apply.waves;
        let steps = std::mem::take(&mut kind.steps);
        let mut unsent = Unsent::new(orders, &under_way.retried, !sizes.is_empty()).in_steps(steps);
        let (mut number, mut step) = (0, 1);
        let mut left_of_waves = Vec::new();
        while !unsent.is_empty() && under_way.tally.stopped(&system).is_none() {
            let is_proving = unsent.is_proving();
            if is_proving {
                step = 1;
            }
            let size = if is_proving { sizes.first() } else { sizes.get(step) };
            let Next { orders, proving } = unsent.next(size.copied().unwrap_or(usize::MAX));
            let label = with_rules(&kind.label, &proving);
            let wave = self.still_covered(orders, &*sender.target, plans, result)?;
            // What an earlier step created has its id by now; what it did not create is waited for.
            let (wave, waiting) = self.with_known_ids(wave, result)?;
            let why = match operation {
                Operation::Delete => "what refers to them is not cleared yet",
                _ => "what they refer to is not at the target yet",
            };
            under_way.left.add((&kind, &kind.label, number > 0), why, None, &ids(&waiting), plans);
            if wave.is_empty() {
                continue;
            }
            number += 1;
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
            under_way.tally.begin_wave(is_proving);
            let wave = Wave { plans, sender, journal, ahead };
            let mut left = self.send_wave(parcels, &wave, &mut under_way.tally, result).await?;
            if let Some((why, cause)) = under_way.tally.kind_stopped() {
                // A canary stops what rests on its rules; a wave all of its kind.
                let (label, given_up) = match is_proving {
                    true => (label, unsent.give_up(&proving)),
                    false => (kind.label.clone(), unsent.give_up_all()),
                };
                let beyond = kind.beyond.iter().filter(|order| !is_proving || rests_on(order, &proving));
                let beyond: Vec<OrderId> = beyond.map(|order| order.id.clone()).collect();
                result.untried += given_up.len() as u64;
                left.extend(given_up.into_iter().map(|order| order.id));
                let untried = left.len() as u64;
                left.extend(beyond);
                under_way.left.add((&kind, &label, true), &why, Some(cause), &left, plans);
                self.reporter.event(&Event::Stopped { kind: Some(label), why, untried });
                continue;
            }
            left_of_waves.append(&mut left);
            if !is_proving {
                step += 1;
            } else if result.applied > before {
                // The canary has to live before more are let in: one that only its own data killed is followed by another.
                unsent.prove(proving);
            }
        }
        let rest = unsent.give_up_all();
        result.untried += rest.len() as u64;
        left_of_waves.extend(rest.into_iter().map(|order| order.id));
        let why = under_way.tally.stopped(&system).unwrap_or_default().to_owned();
        under_way.left.add((&kind, &kind.label, number > 0), &why, None, &left_of_waves, plans);
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

    /// Tells rows whose ends are there from those that wait; the latter stay approved. The ends of the former are put into
    /// `ends`: whatever creates an end is of a kind that went before, so that looking once is enough.
    fn without_waiting(
        &self,
        orders: Vec<Order>,
        ends: &mut BTreeMap<OrderId, BTreeMap<String, String>>,
        result: &mut Applied,
    ) -> Result<(Vec<Order>, Vec<Order>), RunError> {
        let mut ready = Vec::with_capacity(orders.len());
        let mut waiting = Vec::new();
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
                    waiting.push(order);
                }
            }
        }
        Ok((ready, waiting))
    }
}

fn ids(orders: &[Order]) -> Vec<OrderId> {
    orders.iter().map(|order| order.id.clone()).collect()
}

/// Whether an order needs what another one creates.
fn depends(order: &Order) -> bool {
    order.needs().next().is_some()
}
