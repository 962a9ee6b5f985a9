//! Sends what is approved: phases by dependency, a canary of each kind, growing waves, one outcome an order.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;

use super::Conductor;
use super::approved::Plans;
use super::demand;
use super::error::RunError;
use super::journal::Journal;
use super::retry_budget::RetryBudget;
use super::rows::{ResolvedRow, batches};
use super::send::{Ended, Sender};
use super::tally::{Stop, Tally};
use super::wave::{Kind, kinds};
use crate::connector::target::Target;
use crate::model::event::Event;
use crate::model::failure::Failure;
use crate::model::order::{Operation, Order, OrderId, OrderState};
use crate::model::run::RunId;
use crate::store::approvals::ApprovedPlan;
use crate::store::journal::Finished;

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
    /// Orders that stay approved: not tried, or certainly without effect; and those in flight that the next run looks
    /// up.
    pub untried: u64,
    /// Untried orders by kind.
    pub untried_kinds: BTreeMap<(String, Operation), u64>,
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
        let journal = Journal::open(&self.layout, self.clock.clone())?;
        let mut kinds = kinds(orders);
        if let Some(mut first) = request.first {
            for kind in &mut kinds {
                kind.orders.truncate(first);
                first -= kind.orders.len();
            }
        }
        let budget = Arc::new(RetryBudget::new(self.job.apply.retry_budget));
        let mut senders: BTreeMap<String, Arc<Sender>> = BTreeMap::new();
        let mut tally = Tally::new(&self.job.apply);
        for kind in kinds {
            let system = kind.resource.system.clone();
            if let Some(why) = tally.stopped(&system) {
                self.reporter.event(&Event::Note(format!("{} is left alone: {why}", kind.label())));
                result.leave(&kind, kind.orders.len() as u64);
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
                        self.reporter.event(&Event::Warning(failure.to_string()));
                        tally.stop_system(&system, failure.to_string());
                        result.leave(&kind, kind.orders.len() as u64);
                        continue;
                    }
                },
            };
            self.apply_kind(kind, &mut plans, &sender, &journal, &mut tally, &mut result).await?;
        }
        result.stopped = tally.why();
        if let Some(why) = &result.stopped {
            self.reporter.event(&Event::Stopped { why: why.clone(), untried: result.untried });
        }
        Ok(result)
    }

    pub(super) async fn sender(&self, system: &str, budget: &Arc<RetryBudget>) -> Result<Sender, Failure> {
        let target: Arc<dyn Target> = self.target(system).await?;
        let capabilities = target.capabilities().await?;
        let identifying = demand::identifying(&self.job);
        Ok(Sender {
            target,
            capabilities,
            identifying: identifying
                .into_iter()
                .filter(|(name, _)| name.system == system)
                .map(|(name, attributes)| (name.resource, attributes))
                .collect(),
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
        let mut done = 0;
        let mut ends = BTreeMap::new();
        let mut rest = if is_row { self.without_waiting(kind.orders, &mut ends, result)? } else { kind.orders };
        let total = rest.len() as u64;
        let mut number = 0;
        let sizes = &self.job.apply.waves;
        let mut step = 0;
        tally.begin_kind();
        while !rest.is_empty() && !tally.kind_stopped(&resource.system) {
            number += 1;
            let size = sizes.get(step).copied().unwrap_or(rest.len()).clamp(1, rest.len());
            let after = rest.split_off(size);
            let wave: Vec<Order> = std::mem::replace(&mut rest, after);
            done += wave.len() as u64;
            let wave = self.still_covered(wave, plans, result)?;
            if wave.is_empty() {
                continue;
            }
            self.reporter.event(&Event::Wave { kind: label.clone(), number, orders: wave.len() });
            let before = result.applied;
            if is_row {
                let rows = wave
                    .into_iter()
                    .map(|order| ResolvedRow { ends: ends.remove(&order.id).unwrap_or_default(), order });
                self.row_wave(operation, rows.collect(), plans, sender, journal, tally, result).await?;
            } else {
                self.object_wave(wave, plans, sender, journal, tally, result).await?;
            }
            // The canary has to live before more are let in: one that only its own data killed is followed by another.
            if step > 0 || result.applied > before {
                step += 1;
            }
        }
        if let Some(why) = tally.kind_why() {
            self.reporter.event(&Event::Stopped { why: format!("{label}: {why}"), untried: total - done });
        }
        result.leave_kind(&resource.to_string(), operation, total - done);
        Ok(())
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
                    result.leave_kind(&order.resource.to_string(), order.operation, 1);
                }
            }
        }
        Ok(ready)
    }

    async fn object_wave(
        &self,
        wave: Vec<Order>,
        plans: &Plans,
        sender: &Arc<Sender>,
        journal: &Journal,
        tally: &mut Tally,
        result: &mut Applied,
    ) -> Result<(), RunError> {
        let stop = tally.flag();
        let sending = wave.into_iter().map(|order| {
            let (plan, stop) = (plans.of(&order.id).cloned(), stop.clone());
            async move {
                let Some(plan) = plan.filter(|_| !stop.raised()) else { return Ok((order, None)) };
                let refused = journal.begin(&plan, vec![order.id.clone()]).await.map_err(told)?;
                if let Some((_, why)) = refused.into_iter().next() {
                    return Ok((order, Some(Sent::Refused(why))));
                }
                let ended = sender.object(&order).await;
                self.close(&order, &ended, journal, sender).await?;
                if let Ended::Untried(failure) | Ended::Open(failure) = &ended {
                    stop.raise(failure);
                }
                Ok::<_, RunError>((order, Some(Sent::Ended(ended))))
            }
        });
        let mut sending = futures::stream::iter(sending).buffer_unordered(self.job.apply.concurrency.max(1));
        let mut broken = None;
        while let Some(next) = sending.next().await {
            match next {
                Ok((order, sent)) => {
                    self.count(&order, sent, tally, result);
                    // Failures are counted while the wave is under way, so that it stops where it should.
                    if tally.kind_stopped(&order.resource.system) {
                        stop.raise_quietly();
                    }
                }
                // No record, no action: nothing more is begun; what is under way ends by itself.
                Err(error) => {
                    stop.raise_quietly();
                    broken = Some(error);
                }
            }
        }
        broken.map_or(Ok(()), Err)
    }

    #[allow(clippy::too_many_arguments, reason = "what a wave works with, once each")]
    async fn row_wave(
        &self,
        operation: Operation,
        rows: Vec<ResolvedRow>,
        plans: &Plans,
        sender: &Arc<Sender>,
        journal: &Journal,
        tally: &mut Tally,
        result: &mut Applied,
    ) -> Result<(), RunError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let (owner, limit) = sender.target.row_batch(&first.order.resource.resource);
        let stop = tally.flag();
        let sending = batches(rows, owner.as_deref(), limit).into_iter().map(|(turn, batch)| {
            let stop = stop.clone();
            async move {
                // Requests on one owner never overlap.
                let _turn = turn.lock().await;
                if stop.raised() {
                    return Ok(batch.into_iter().map(|row| (row.order, None)).collect());
                }
                self.send_batch(operation, batch, plans, sender, journal, &stop).await
            }
        });
        let mut sending = futures::stream::iter(sending).buffer_unordered(self.job.apply.concurrency.max(1));
        let mut broken = None;
        while let Some(next) = sending.next().await {
            match next {
                Ok(sent) => {
                    let sent: Vec<(Order, Option<Sent>)> = sent;
                    for (order, sent) in sent {
                        self.count(&order, sent, tally, result);
                        if tally.kind_stopped(&order.resource.system) {
                            stop.raise_quietly();
                        }
                    }
                }
                Err(error) => {
                    stop.raise_quietly();
                    broken = Some(error);
                }
            }
        }
        broken.map_or(Ok(()), Err)
    }

    async fn send_batch(
        &self,
        operation: Operation,
        batch: Vec<ResolvedRow>,
        plans: &Plans,
        sender: &Arc<Sender>,
        journal: &Journal,
        stop: &Stop,
    ) -> Result<Vec<(Order, Option<Sent>)>, RunError> {
        let mut sent = Vec::new();
        let mut refused: BTreeMap<OrderId, String> = BTreeMap::new();
        for (plan, ids) in by_plan(&batch, plans) {
            refused.extend(journal.begin(&plan, ids).await.map_err(told)?);
        }
        let begun = |row: &ResolvedRow| plans.of(&row.order.id).is_some() && !refused.contains_key(&row.order.id);
        let (go, no): (Vec<_>, Vec<_>) = batch.into_iter().partition(begun);
        sent.extend(no.into_iter().map(|row| {
            let why = refused.remove(&row.order.id).unwrap_or_else(|| "no verified plan holds it".to_owned());
            (row.order, Some(Sent::Refused(why)))
        }));
        let ended = sender.rows(operation, &go).await;
        let mut finished = Vec::new();
        let mut released = Vec::new();
        for (row, end) in go.iter().zip(&ended) {
            match end {
                Ended::Outcome(outcome, held) => finished.push(Finished {
                    outcome: (**outcome).clone(),
                    links: self.link_changes(&row.order, outcome, held.as_ref(), sender)?,
                }),
                Ended::Untried(failure) => {
                    stop.raise(failure);
                    released.push((row.order.id.clone(), failure.to_string()));
                }
                Ended::Open(failure) => stop.raise(failure),
            }
        }
        if !finished.is_empty() {
            journal.finish(finished).await.map_err(told)?;
        }
        if let Some((_, why)) = released.first().cloned() {
            journal.release(released.into_iter().map(|(id, _)| id).collect(), why).await.map_err(told)?;
        }
        sent.extend(go.into_iter().zip(ended).map(|(row, end)| (row.order, Some(Sent::Ended(end)))));
        Ok(sent)
    }

    /// Records how an order ended.
    async fn close(&self, order: &Order, ended: &Ended, journal: &Journal, sender: &Sender) -> Result<(), RunError> {
        match ended {
            Ended::Outcome(outcome, held) => {
                let links = self.link_changes(order, outcome, held.as_ref(), sender)?;
                journal.finish(vec![Finished { outcome: (**outcome).clone(), links }]).await.map_err(told)
            }
            Ended::Untried(failure) => journal.release(vec![order.id.clone()], failure.to_string()).await.map_err(told),
            // Its intent stays on the disk: the next run looks it up before anything else is sent.
            Ended::Open(_) => Ok(()),
        }
    }

    fn count(&self, order: &Order, sent: Option<Sent>, tally: &mut Tally, result: &mut Applied) {
        let resource = order.resource.to_string();
        match sent {
            None => result.leave_kind(&resource, order.operation, 1),
            Some(Sent::Refused(why)) => {
                result.leave_kind(&resource, order.operation, 1);
                self.reporter.event(&Event::Note(format!("{} was not sent: {why}", order.id)));
                // One cause is told once, with the first order that it concerns.
                if !result.refused.iter().any(|told| told.ends_with(&why)) {
                    result.refused.push(format!("{}: {why}", order.id));
                }
            }
            Some(Sent::Ended(Ended::Untried(failure) | Ended::Open(failure))) => {
                result.leave_kind(&resource, order.operation, 1);
                tally.stop_system(&order.resource.system, failure.to_string());
            }
            Some(Sent::Ended(Ended::Outcome(outcome, _))) => {
                match outcome.state {
                    OrderState::Applied => result.applied += 1,
                    OrderState::Stale => result.stale += 1,
                    OrderState::Uncertain => result.uncertain += 1,
                    _ => result.errored += 1,
                }
                if let Some(failure) = &outcome.failure {
                    tally.failed(order, outcome.state, failure);
                }
                self.reporter.event(&Event::Ended(outcome));
            }
        }
    }
}

enum Sent {
    Refused(String),
    Ended(Ended),
}

impl Applied {
    fn leave(&mut self, kind: &Kind, orders: u64) {
        self.leave_kind(&kind.resource.to_string(), kind.operation, orders);
    }

    pub(super) fn leave_kind(&mut self, resource: &str, operation: Operation, orders: u64) {
        if orders > 0 {
            self.untried += orders;
            *self.untried_kinds.entry((resource.to_owned(), operation)).or_default() += orders;
        }
    }
}

fn by_plan(batch: &[ResolvedRow], plans: &Plans) -> Vec<(Arc<ApprovedPlan>, Vec<OrderId>)> {
    let mut groups: Vec<(Arc<ApprovedPlan>, Vec<OrderId>)> = Vec::new();
    for row in batch {
        let Some(plan) = plans.of(&row.order.id) else { continue };
        match groups.iter_mut().find(|(p, _)| Arc::ptr_eq(p, plan)) {
            Some((_, ids)) => ids.push(row.order.id.clone()),
            None => groups.push((plan.clone(), vec![row.order.id.clone()])),
        }
    }
    groups
}

fn told(error: Arc<RunError>) -> RunError {
    Arc::try_unwrap(error).unwrap_or_else(|shared| RunError::Here(shared.to_string()))
}
