//! Sends association rows: those of one owner travel together, each has an outcome of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Conductor;
use super::error::RunError;
use super::lanes::Parcel;
use super::leaving::Ticket;
use super::lockout::certainly_stayed;
use super::outage::Try;
use super::referred::Created;
use super::send::{Ended, Sender, kept, stopping};
use crate::connector::target::RowChange;
use crate::model::event::Event;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::numbers::counted;
use crate::model::order::{EndRef, Operation, Order, OrderId, OrderState};
use crate::model::outcome::{Effected, Outcome};

/// A row whose ends are known by now.
#[derive(Clone, Debug)]
pub(super) struct ResolvedRow {
    pub(super) order: Order,
    pub(super) ends: BTreeMap<String, String>,
}

/// Rows that share an owner together, up to the target's limit; without an owner each row is alone. Parcels of one
/// owner share a lock: their requests must not overlap.
pub(super) fn parcels(operation: Operation, rows: Vec<ResolvedRow>, owner: Option<&str>, limit: usize) -> Vec<Parcel> {
    let Some(owner) = owner else {
        return rows.into_iter().map(|row| Parcel::Rows(operation, vec![row], Arc::default())).collect();
    };
    let mut by_owner: BTreeMap<String, Vec<ResolvedRow>> = BTreeMap::new();
    for row in rows {
        by_owner.entry(row.ends.get(owner).cloned().unwrap_or_default()).or_default().push(row);
    }
    let mut parcels = Vec::new();
    for rows in by_owner.into_values() {
        let turn: Arc<Mutex<()>> = Arc::default();
        let cut = rows.chunks(limit.max(1)).enumerate();
        parcels.extend(cut.map(|(number, rows)| (number, Parcel::Rows(operation, rows.to_vec(), turn.clone()))));
    }
    // The first parcel of every owner, then the second: those that wait for each other are far apart.
    parcels.sort_by_key(|(number, _)| *number);
    parcels.into_iter().map(|(_, parcel)| parcel).collect()
}

impl Conductor {
    /// The ends of a row as target ids; the sentence says which order it still waits for. `known` keeps what the orders
    /// that create ends came to: one object is an end of many rows.
    pub(super) fn resolve(
        &self,
        order: &Order,
        known: &mut Created,
    ) -> Result<Result<BTreeMap<String, String>, String>, RunError> {
        let mut ends = BTreeMap::new();
        for end in &order.ends {
            let id = match &end.object {
                EndRef::Target(id) => id.clone(),
                EndRef::Order(needed) => {
                    let Some(id) = self.created(needed, known)? else {
                        return Ok(Err(format!("{} is to be created by order {needed} first", end.label)));
                    };
                    id
                }
            };
            ends.insert(end.name.clone(), id);
        }
        Ok(Ok(ends))
    }

    /// The object that an order created, or a later order for the same object. Where that creates it anew, the first one
    /// is gone.
    pub(super) fn created_by(&self, order: &OrderId) -> Result<Option<String>, RunError> {
        let made = |order: &OrderId| -> Result<Option<String>, RunError> {
            let outcome = self.store.outcome(order)?.filter(|outcome| outcome.state == OrderState::Applied);
            Ok(outcome.and_then(|outcome| outcome.target_id))
        };
        let newest = self.store.newest_for_object_of(order)?;
        let is_anew = newest.operation == Operation::Create && newest.state.is_live();
        match made(&newest.id)? {
            None if !is_anew => made(order),
            found => Ok(found),
        }
    }
}

impl Sender {
    /// Sends rows of one owner. Their intents are committed already. One end a row, in order.
    pub(super) async fn rows(&self, operation: Operation, rows: &[ResolvedRow]) -> Vec<Ended> {
        let Some(first) = rows.first() else { return Vec::new() };
        let resource = first.order.resource.resource.clone();
        for row in rows {
            self.reporter.event(&Event::Sending {
                order: row.order.id.clone(),
                operation,
                resource: row.order.resource.clone(),
                key: row.order.key.clone(),
            });
        }
        let ends: Vec<BTreeMap<String, String>> = rows.iter().map(|row| row.ends.clone()).collect();
        let mut tries = 0;
        let held = match self.patiently(&first.order, &mut tries, || self.target.holds(&resource, &ends)).await {
            Ok(held) => held,
            Err(failure) => return rows.iter().map(|row| self.row_failed(row, failure.clone(), tries)).collect(),
        };
        let wanted = operation == Operation::Add;
        let mut results: Vec<Option<Ended>> = rows.iter().map(|_| None).collect();
        let mut open: Vec<usize> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if held.get(i).copied().unwrap_or(!wanted) == wanted && self.capabilities.reads_back {
                results[i] = Some(self.row_applied(row, Effected::AlreadySo, Some("was already so"), tries + 1));
            } else {
                open.push(i);
            }
        }
        let mut leaving = Ticket::none();
        if !wanted && !open.is_empty() {
            match self.rows_that_stay(&resource, rows, &open, &mut tries).await {
                Ok((staying, ticket)) => {
                    leaving = ticket;
                    open.retain(|at| !staying.contains_key(at));
                    for (at, why) in staying {
                        let failure = kept(self.target.system(), &rows[at].order, &why);
                        results[at] = Some(self.row_failed(&rows[at], failure, tries + 1));
                    }
                }
                // Nothing is removed unseen; what was so already is so.
                Err(failure) => {
                    for at in open.drain(..) {
                        results[at] = Some(self.row_failed(&rows[at], failure.clone(), tries));
                    }
                }
            }
        }
        let mut waiting = if open.is_empty() { Vec::new() } else { vec![open] };
        while let Some(group) = waiting.pop() {
            tries += 1;
            let answers = self.target.apply_rows(&resource, operation, &changes(rows, &group)).await;
            let (mut again, mut unknown) = (Vec::new(), Vec::new());
            let mut cause = None;
            for (at, answer) in group.iter().copied().zip(answers) {
                match answer {
                    Ok(applied) => {
                        self.outage.went_well(Try::Write);
                        let note = applied.note.as_deref();
                        results[at] = Some(self.row_applied(&rows[at], applied.effected, note, tries));
                    }
                    Err(failure) if failure.effect == Effect::Unknown => {
                        unknown.push(at);
                        cause = Some(failure);
                    }
                    // Certainly without effect.
                    Err(failure) if failure.recourse == Recourse::Retry => {
                        again.push(at);
                        cause.get_or_insert(failure);
                    }
                    Err(failure) => results[at] = Some(self.row_failed(&rows[at], failure, tries)),
                }
            }
            let Some(failure) = cause else { continue };
            let retry = failure.recourse == Recourse::Retry;
            let waited = retry && self.wait(&first.order, &failure, tries, Try::Write).await;
            if !unknown.is_empty() {
                let left = self.look_at_rows(&resource, wanted, rows, unknown, &failure, &mut tries, &mut results);
                let left = left.await;
                match left.len() {
                    0 => {}
                    _ if retry => again.extend(left),
                    1 => {
                        let failure = Failure { effect: Effect::None, ..failure.clone() };
                        results[left[0]] = Some(self.row_failed(&rows[left[0]], failure, tries));
                    }
                    // One of them may be what the server breaks at.
                    n => waiting.extend([left[n / 2..].to_vec(), left[..n / 2].to_vec()]),
                }
            }
            if waited && !again.is_empty() {
                waiting.push(again);
            } else if retry {
                for at in again.into_iter().chain(waiting.drain(..).flatten()) {
                    results[at] = Some(Ended::Untried(failure.clone()));
                }
            }
        }
        // A target that leaves a row without an answer leaves it open.
        let lost = || {
            let why = "the connector gave no answer for the row";
            Ended::Open(Failure::new(Class::Server, Recourse::Retry, self.target.system(), why, ""))
        };
        let mut ended: Vec<Ended> = results.into_iter().map(|end| end.unwrap_or_else(lost)).collect();
        self.confirm(&resource, wanted, rows, &ends, &mut ended).await;
        for (row, _) in rows.iter().zip(&ended).filter(|(_, ended)| certainly_stayed(ended)) {
            self.leavers(&resource, row).iter().for_each(|leaver| leaving.of(leaver).stayed());
        }
        ended
    }

    /// Looks up rows whose request may have taken effect, and ends those that can be told; those that are not in
    /// effect come back.
    #[allow(clippy::too_many_arguments, reason = "what the rows of one request share, once each")]
    async fn look_at_rows(
        &self,
        resource: &str,
        wanted: bool,
        rows: &[ResolvedRow],
        unknown: Vec<usize>,
        failure: &Failure,
        tries: &mut u32,
        results: &mut [Option<Ended>],
    ) -> Vec<usize> {
        let Some(first) = unknown.first().map(|at| &rows[*at].order) else { return unknown };
        let ends: Vec<BTreeMap<String, String>> = unknown.iter().map(|at| rows[*at].ends.clone()).collect();
        // What cannot be read back is written again: a row twice is a row once.
        if !self.capabilities.reads_back {
            return unknown;
        }
        match self.patiently(first, tries, || self.target.holds(resource, &ends)).await {
            Ok(held) => {
                let in_effect = |i: usize| held.get(i) == Some(&wanted);
                let mut left = Vec::new();
                for (i, at) in unknown.into_iter().enumerate() {
                    if in_effect(i) {
                        let note = "its answer was lost; found in effect";
                        results[at] = Some(self.row_applied(&rows[at], Effected::Recovered, Some(note), *tries));
                    } else {
                        left.push(at);
                    }
                }
                left
            }
            Err(_) => {
                for at in unknown {
                    results[at] = Some(Ended::Open(stopping(failure.clone())));
                }
                Vec::new()
            }
        }
    }

    /// Reads the owner once and takes back what was accepted without effect.
    async fn confirm(
        &self,
        resource: &str,
        wanted: bool,
        rows: &[ResolvedRow],
        ends: &[BTreeMap<String, String>],
        ended: &mut [Ended],
    ) {
        let sent = |e: &Ended| matches!(e, Ended::Outcome(o, _) if o.effected == Some(Effected::Sent));
        if !self.capabilities.reads_back || !ended.iter().any(sent) {
            return;
        }
        match self.target.holds(resource, ends).await {
            Ok(held) => {
                for (i, end) in ended.iter_mut().enumerate() {
                    if sent(end) && held.get(i) != Some(&wanted) {
                        let failure = Failure::new(
                            Class::Unsupported,
                            Recourse::GiveUp,
                            self.target.system(),
                            format!("{} of {} was accepted without effect", rows[i].order.operation, rows[i].order.key),
                            "look at both ends in the target: it may refuse such members silently",
                        );
                        *end = self.row_failed(&rows[i], failure, 1);
                    }
                }
            }
            Err(failure) => self.reporter.event(&Event::Warning(format!(
                "{} of {resource} acknowledged but not read back: {failure}",
                counted(rows.len() as u64, "row")
            ))),
        }
    }

    fn row_applied(&self, row: &ResolvedRow, effected: Effected, note: Option<&str>, tries: u32) -> Ended {
        let outcome = Outcome {
            order: row.order.id.clone(),
            state: OrderState::Applied,
            effected: Some(effected),
            target_id: None,
            note: note.map(str::to_owned),
            failure: None,
            tries,
            at: (self.clock)(),
        };
        Ended::Outcome(Box::new(outcome), None)
    }

    fn row_failed(&self, row: &ResolvedRow, failure: Failure, tries: u32) -> Ended {
        if failure.recourse != Recourse::GiveUp {
            return Ended::Untried(failure);
        }
        let state = if failure.class == Class::Stale { OrderState::Stale } else { OrderState::Errored };
        let outcome = Outcome {
            order: row.order.id.clone(),
            state,
            effected: None,
            target_id: None,
            note: None,
            failure: Some(failure),
            tries: tries.max(1),
            at: (self.clock)(),
        };
        Ended::Outcome(Box::new(outcome), None)
    }
}

fn changes(rows: &[ResolvedRow], group: &[usize]) -> Vec<RowChange> {
    let change = |row: &ResolvedRow| RowChange {
        order: row.order.id.clone(),
        ends: row.ends.clone(),
        name: row.order.key.clone(),
    };
    group.iter().map(|at| change(&rows[*at])).collect()
}
