//! Sends the orders of one wave: so many at once, intents on the disk before their requests, outcomes after.
//!
//! One commit is under way at a time, and takes everything that waits for one: outcomes of what has ended, intents of
//! what comes next. Intents run a little ahead of the requests, so that no lane waits for the disk; and a lane whose
//! order took effect goes on with the next one by itself, so that it does not wait for whoever counts either.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Conductor;
use super::apply::Applied;
use super::approved::{Plans, push_once};
use super::error::RunError;
use super::journal::{Journal, Turned};
use super::rows::ResolvedRow;
use super::send::{Ended, Sender, unsent};
use super::tally::{Stop, Tally};
use crate::model::event::Event;
use crate::model::order::{Operation, Order, OrderId, OrderState};
use crate::model::outcome::Effected;
use crate::store::journal::{Finished, Ground, Refused};
use crate::store::verified::ApprovedPlan;

/// How long an outcome waits for others that share its commit, while nothing else needs one.
const PATIENCE: Duration = Duration::from_millis(20);

/// How many orders that were not sent are named, of those that are stale and of those that were rejected.
const NAMED: usize = 5;

/// What travels together.
pub(super) enum Parcel {
    /// A change of one object.
    Object(Box<Order>),
    /// Association rows of one owner. Requests on one owner never overlap: they wait for their turn.
    Rows(Operation, Vec<ResolvedRow>, Arc<Mutex<()>>),
}

/// What became of an order whose intent was on the disk.
enum Sent {
    Ended(Ended),
    /// The wave stopped before its request left.
    Left,
}

impl Parcel {
    fn orders(&self) -> Vec<&Order> {
        match self {
            Self::Object(order) => vec![order],
            Self::Rows(_, rows, _) => rows.iter().map(|row| &row.order).collect(),
        }
    }

    fn into_orders(self) -> Vec<Order> {
        match self {
            Self::Object(order) => vec![*order],
            Self::Rows(_, rows, _) => rows.into_iter().map(|row| row.order).collect(),
        }
    }

    /// What is left of it when only these orders may be sent, and the others.
    fn only(self, begun: &HashSet<OrderId>) -> (Option<Self>, Vec<Order>) {
        match self {
            Self::Object(order) if begun.contains(&order.id) => (Some(Self::Object(order)), Vec::new()),
            Self::Object(order) => (None, vec![*order]),
            Self::Rows(operation, rows, turn) => {
                let (go, no): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| begun.contains(&row.order.id));
                let rest = (!go.is_empty()).then_some(Self::Rows(operation, go, turn));
                (rest, no.into_iter().map(|row| row.order).collect())
            }
        }
    }

    async fn send(self, sender: Arc<Sender>, stop: Stop) -> Vec<(Order, Sent)> {
        match self {
            parcel if stop.raised() => parcel.left(),
            Self::Object(order) => {
                let ended = sender.object(&order).await;
                vec![(*order, Sent::Ended(ended))]
            }
            Self::Rows(operation, rows, turn) => {
                let _turn = turn.lock().await;
                if stop.raised() {
                    return Self::Rows(operation, rows, Arc::default()).left();
                }
                let ended = sender.rows(operation, &rows).await;
                rows.into_iter().zip(ended).map(|(row, ended)| (row.order, Sent::Ended(ended))).collect()
            }
        }
    }

    fn left(self) -> Vec<(Order, Sent)> {
        self.into_orders().into_iter().map(|order| (order, Sent::Left)).collect()
    }
}

/// What the lanes of a wave share with who conducts them.
struct Belt {
    /// Intents that are on the disk, and whose requests no lane has taken up yet.
    begun: Lock<VecDeque<Parcel>>,
    /// What has ended and was not judged yet.
    ended: Lock<Vec<(Order, Sent)>>,
    /// How many of these are told at once, and wait for no others to share a commit.
    enough: usize,
    /// Something ended that is worth looking at.
    news: Notify,
}

impl Belt {
    fn new(width: usize) -> Self {
        Self { begun: Lock::default(), ended: Lock::default(), enough: width.div_ceil(2), news: Notify::new() }
    }

    fn begun(&self) -> MutexGuard<'_, VecDeque<Parcel>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Parcel> {
        self.begun().pop_front()
    }

    /// What ended is put down. The first of several and the one that makes them enough are told; a lane that ends tells
    /// by that.
    fn put(&self, sent: Vec<(Order, Sent)>) {
        let mut ended = self.ended();
        let before = ended.len();
        ended.extend(sent);
        if before == 0 || (before < self.enough && ended.len() >= self.enough) {
            self.news.notify_one();
        }
    }

    fn ended(&self) -> MutexGuard<'_, Vec<(Order, Sent)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a parcel, and what comes after it as long as all goes well: whatever is no plain success is judged before
    /// this lane sends anything else.
    async fn lane(self: Arc<Self>, first: Parcel, sender: Arc<Sender>, stop: Stop) {
        let mut next = Some(first);
        while let Some(parcel) = next {
            let sent = parcel.send(sender.clone(), stop.clone()).await;
            let goes_on = sent.iter().all(|(_, sent)| sent.took_effect()) && !stop.raised();
            self.put(sent);
            next = if goes_on { self.take() } else { None };
        }
    }
}

impl Sent {
    /// Whether the target did something just now: then it takes more.
    fn took_effect(&self) -> bool {
        let Self::Ended(Ended::Outcome(outcome, _)) = self else { return false };
        outcome.state == OrderState::Applied && outcome.effected != Some(Effected::AlreadySo)
    }
}

/// A commit under way, and what it is about.
struct Commit {
    ended: Vec<(Order, Sent)>,
    next: Vec<Parcel>,
    done: oneshot::Receiver<Turned>,
}

/// What a wave works with.
pub(super) struct Wave<'a> {
    pub(super) plans: &'a Plans,
    pub(super) sender: &'a Arc<Sender>,
    pub(super) journal: &'a Journal,
    /// Parcels that may be begun before a lane is free for them.
    pub(super) ahead: usize,
}

impl Conductor {
    /// Sends parcels until all are through, or something says that it is enough. What was not sent stays approved; it
    /// is returned.
    pub(super) async fn send_wave(
        &self,
        parcels: Vec<Parcel>,
        wave: &Wave<'_>,
        tally: &mut Tally,
        result: &mut Applied,
    ) -> Result<Vec<OrderId>, RunError> {
        let mut left = Vec::new();
        let width = self.job.apply.concurrency.max(1);
        let stop = Stop::default();
        let mut waiting = parcels.into_iter();
        let belt = Arc::new(Belt::new(width));
        let mut lanes: JoinSet<()> = JoinSet::new();
        let mut ended: Vec<(Order, Sent)> = Vec::new();
        let mut commit: Option<Commit> = None;
        let mut broken = None;
        // When the outcomes at hand are to be committed at the latest.
        let mut due: Option<Instant> = None;
        let mut has_lane_ended = false;
        loop {
            if let Some(by) = self.halt.by().filter(|_| !stop.raised()) {
                tally.stop_all(format!("{by} told it to end"));
                stop.raise_quietly();
            }
            let is_due = due.is_some_and(|due| Instant::now() >= due);
            let is_enough = ended.len() + belt.ended().len() >= belt.enough;
            // What took effect may gather; whatever else ended its lane, and is judged before another one begins.
            let is_told = has_lane_ended || lanes.is_empty() || stop.raised();
            if is_told || (commit.is_none() && (is_enough || is_due)) {
                let news = std::mem::take(&mut *belt.ended());
                ended.extend(news.into_iter().inspect(|(order, sent)| judge(order, sent, tally, &stop)));
            }
            has_lane_ended = false;
            if stop.raised() {
                ended.extend(belt.begun().drain(..).flat_map(Parcel::left));
            }
            // Those that fail one after another are counted before there are too many of them.
            let lanes_now = width.min(tally.room(wave.sender.target.system()));
            while lanes.len() < lanes_now
                && let Some(parcel) = belt.take()
            {
                lanes.spawn(belt.clone().lane(parcel, wave.sender.clone(), stop.clone()));
            }
            // Without a free lane there is time to gather.
            let hungry = lanes.is_empty() || (lanes.len() < lanes_now && waiting.len() > 0) || stop.raised();
            if commit.is_none() && (hungry || is_enough || is_due) {
                due = None;
                let under_way = lanes.len() + belt.begun().len();
                let room = if stop.raised() { 0 } else { (width + wave.ahead).saturating_sub(under_way) };
                let next: Vec<Parcel> = waiting.by_ref().take(room).collect();
                match self.commit(wave, std::mem::take(&mut ended), next, result) {
                    Ok(begun) => commit = begun,
                    Err(error) => {
                        stop.raise_quietly();
                        broken = Some(error);
                        continue;
                    }
                }
            }
            if due.is_none() && !(ended.is_empty() && belt.ended().is_empty()) {
                due = Some(Instant::now() + PATIENCE);
            }
            let is_idle = lanes.is_empty() && commit.is_none() && due.is_none();
            tokio::select! {
                Some(done) = lanes.join_next() => {
                    has_lane_ended = true;
                    let mut done = Some(done);
                    while let Some(lane) = done {
                        // The intent of what it sent stays open: the next run looks the order up.
                        if let Err(error) = lane {
                            stop.raise_quietly();
                            broken = Some(RunError::Here(format!("a lane ended without a word: {error}")));
                        }
                        done = lanes.try_join_next();
                    }
                }
                () = belt.news.notified(), if !lanes.is_empty() => {}
                _ = self.halt.raised(), if !(stop.raised() || is_idle) => {}
                turned = async { commit.as_mut().map(|commit| &mut commit.done)?.await.ok() }, if commit.is_some() => {
                    let Some(done) = commit.take() else { continue };
                    match self.committed(done, turned, &belt, &mut left, result) {
                        Ok(()) => {}
                        // No record, no action: nothing more is begun; what is under way ends by itself.
                        Err(error) => {
                            stop.raise_quietly();
                            broken = Some(error);
                        }
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if commit.is_none() && due.is_some() => {}
                else => break,
            }
        }
        for order in waiting.flat_map(Parcel::into_orders) {
            left.push(order.id);
            result.untried += 1;
        }
        broken.map_or(Ok(left), Err)
    }

    /// Hands outcomes and intents to the journal; `None` where there is nothing to be committed.
    fn commit(
        &self,
        wave: &Wave<'_>,
        ended: Vec<(Order, Sent)>,
        next: Vec<Parcel>,
        result: &mut Applied,
    ) -> Result<Option<Commit>, RunError> {
        if ended.is_empty() && next.is_empty() {
            return Ok(None);
        }
        let mut finished = Vec::with_capacity(ended.len());
        for (order, sent) in &ended {
            finished.extend(self.finished(order, sent, wave.sender)?);
        }
        let mut intents: Vec<(Arc<ApprovedPlan>, Vec<OrderId>)> = Vec::new();
        for order in next.iter().flat_map(Parcel::orders) {
            match wave.plans.of(&order.id) {
                None => self.refuse(order, "no verified plan holds it", result),
                Some(plan) => match intents.iter_mut().find(|(known, _)| Arc::ptr_eq(known, plan)) {
                    Some((_, ids)) => ids.push(order.id.clone()),
                    None => intents.push((plan.clone(), vec![order.id.clone()])),
                },
            }
        }
        Ok(Some(Commit { ended, next, done: wave.journal.turn(finished, intents) }))
    }

    /// How an order is to be recorded; `None` where its intent stays open.
    fn finished(&self, order: &Order, sent: &Sent, sender: &Sender) -> Result<Option<Finished>, RunError> {
        let now = (self.clock)();
        Ok(match sent {
            Sent::Ended(Ended::Outcome(outcome, held)) => Some(Finished {
                outcome: (**outcome).clone(),
                links: self.link_changes(order, outcome, held.as_ref(), sender)?,
            }),
            Sent::Ended(Ended::Untried(failure)) => Some(Finished::released(&order.id, &failure.to_string(), now)),
            Sent::Ended(Ended::Open(_)) => None,
            Sent::Left => Some(Finished::released(&order.id, "the apply stopped before it was sent", now)),
        })
    }

    /// A commit is on the disk: its outcomes are told, and what it began may be sent.
    fn committed(
        &self,
        commit: Commit,
        turned: Option<Turned>,
        belt: &Belt,
        left: &mut Vec<OrderId>,
        result: &mut Applied,
    ) -> Result<(), RunError> {
        let gone = || RunError::Here("the journal has ended; nothing more is sent".to_owned());
        let turned = turned.ok_or_else(gone)?;
        for (order, sent) in commit.ended.into_iter().filter(|(order, _)| !turned.unrecorded.contains(&order.id)) {
            if matches!(sent, Sent::Ended(Ended::Untried(_)) | Sent::Left) {
                left.push(order.id.clone());
            }
            self.count(&order, sent, result);
        }
        let refused: BTreeMap<OrderId, Refused> =
            turned.refused.into_iter().map(|refused| (refused.order.clone(), refused)).collect();
        for parcel in commit.next {
            let (go, no) = parcel.only(&turned.begun);
            belt.begun().extend(go);
            for order in no {
                match refused.get(&order.id) {
                    Some(Refused { why, ground: Ground::Rejected, .. }) => self.withdraw(&order, why, result),
                    Some(Refused { why, ground: Ground::Blocked, .. }) => self.leave(&order, why, result),
                    Some(Refused { why, ground: Ground::Expired, .. }) => {
                        self.leave(&order, why, result);
                        push_once(&mut result.expired, why.clone());
                    }
                    Some(Refused { why, .. }) => self.refuse(&order, why, result),
                    None => {}
                }
            }
        }
        turned.error.map_or(Ok(()), Err)
    }

    /// A person took the order back while the apply was under way: a decision, and nothing that went wrong.
    fn withdraw(&self, order: &Order, why: &str, result: &mut Applied) {
        result.rejected += 1;
        if result.rejected_first.len() < NAMED {
            result.rejected_first.push((what(order), why.to_owned()));
        }
        self.reporter.event(&Event::Note(format!("{} was not sent: {why}", order.id)));
    }

    fn leave(&self, order: &Order, why: &str, result: &mut Applied) {
        result.untried += 1;
        self.reporter.event(&Event::Note(format!("{} was not sent: {why}", order.id)));
    }

    fn refuse(&self, order: &Order, why: &str, result: &mut Applied) {
        self.leave(order, why, result);
        // One cause is told once, with the first order that it concerns.
        if !result.refused.iter().any(|told| told.ends_with(why)) {
            result.refused.push(format!("{}: {why}", order.id));
        }
    }

    fn count(&self, order: &Order, sent: Sent, result: &mut Applied) {
        let outcome = match sent {
            Sent::Ended(Ended::Outcome(outcome, _)) => outcome,
            Sent::Ended(Ended::Open(_)) => {
                result.in_flight += 1;
                return;
            }
            Sent::Ended(Ended::Untried(_)) | Sent::Left => {
                result.untried += 1;
                return;
            }
        };
        match outcome.state {
            OrderState::Applied => result.applied += 1,
            OrderState::Stale => {
                result.stale += 1;
                if result.stale_first.len() < NAMED {
                    let why = outcome.failure.as_ref().map_or("", |failure| failure.cause.as_str());
                    // Which order it is stands in front of it already.
                    let why = why.strip_prefix(&unsent(order)).unwrap_or(why).to_owned();
                    result.stale_first.push((what(order), why));
                }
            }
            OrderState::Uncertain => result.uncertain += 1,
            _ => result.errored += 1,
        }
        self.reporter.event(&Event::Ended(outcome));
    }
}

/// What an order is about: `update vault.users E0007`.
fn what(order: &Order) -> String {
    format!("{} {} {}", order.operation, order.resource, order.key)
}

/// Failures are judged as soon as they are known, before the next order is sent: the wave stops where it should.
fn judge(order: &Order, sent: &Sent, tally: &mut Tally, stop: &Stop) {
    match sent {
        Sent::Left => {}
        Sent::Ended(Ended::Untried(failure) | Ended::Open(failure)) => {
            stop.raise(failure);
            tally.stop_system(&order.resource.system, failure.to_string());
        }
        Sent::Ended(Ended::Outcome(outcome, _)) => tally.ended(order, outcome),
    }
    if tally.wave_stopped(&order.resource.system) {
        stop.raise_quietly();
    }
}
