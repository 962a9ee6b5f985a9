//! After a crash: what was in flight is looked up at the target before anything is sent again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Conductor;
use super::error::RunError;
use super::lost::readable_orders;
use super::precondition::{Standing, look};
use super::referred::Created;
use super::send::{Sender, planned_anew};
use crate::connector::source::Source;
use crate::model::event::Event;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::{Operation, Order, OrderId, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::record::OrderRecord;
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::store::journal::Finished;

/// What a recovery came to.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Orders that were found in effect.
    pub(super) applied: u64,
    /// The runs whose orders had been in flight.
    pub(super) runs: BTreeSet<RunId>,
}

/// Rows of one association that were in flight, with the ids of their ends.
type Rows = Vec<(Order, BTreeMap<String, String>)>;

/// What the target says about an order that was in flight.
enum Found {
    InEffect(Option<String>),
    NotSent,
    Neither(OrderState, Failure),
}

impl Conductor {
    /// Gives every order that a crash left in flight an outcome, or returns it to approved. Whoever calls this holds the
    /// job's lock, and has begun no run yet.
    pub(super) async fn recover(&mut self) -> Result<Recovered, RunError> {
        self.finish_erasing()?;
        for run in self.store.runs(&self.job.name, 200)?.into_iter().filter(|run| run.state == RunState::Started) {
            let why = "interrupted: muster ended before its plan was made, so that nothing of it was sent";
            self.store.set_run_state(&run.id, RunState::Failed, why, (self.clock)())?;
        }
        let open = self.store.in_flight(&self.job.name)?;
        let mut result = Recovered::default();
        if open.is_empty() {
            return Ok(result);
        }
        self.reporter.event(&Event::Recovering { orders: open.len() as u64 });
        let mut senders: BTreeMap<String, Sender> = BTreeMap::new();
        let targets: BTreeMap<&OrderId, &str> =
            open.iter().map(|record| (&record.id, record.target_identity.as_str())).collect();
        let (orders, lost) = self.planned(&open)?;
        let mut rows: BTreeMap<ResourceName, Rows> = BTreeMap::new();
        for record in lost {
            self.settle_lost(record)?;
        }
        for order in orders {
            let system = &order.resource.system;
            if !senders.contains_key(system) {
                senders.insert(system.clone(), self.sender(system, None, &HashSet::new()).await?);
            }
            let Some(sender) = senders.get(system) else { continue };
            let named = sender.target.identity();
            // It was sent with the ids of what it refers to; without them it was not.
            let order = match self.with_ids(order, &mut Created::new())? {
                Ok(order) => order,
                Err((order, _)) => {
                    self.settle(&order, Found::NotSent, sender)?;
                    continue;
                }
            };
            let system = &order.resource.system;
            let found = match targets.get(&order.id) {
                Some(&then) if then != named => {
                    Found::Neither(OrderState::Uncertain, elsewhere(system, &order, then, &named))
                }
                _ if order.ends.is_empty() || !sender.capabilities.reads_back => self.look_up(&order, sender).await?,
                // Rows are looked up together.
                _ => match self.resolve(&order, &mut Created::new())? {
                    Ok(ends) => {
                        rows.entry(order.resource.clone()).or_default().push((order, ends));
                        continue;
                    }
                    Err(_) => Found::NotSent,
                },
            };
            result.applied += u64::from(matches!(found, Found::InEffect(_)));
            self.settle(&order, found, sender)?;
        }
        for (name, rows) in rows {
            let Some(sender) = senders.get(&name.system) else { continue };
            for (order, found) in look_up_rows(&name.resource, rows, &*sender.target).await? {
                result.applied += u64::from(matches!(found, Found::InEffect(_)));
                self.settle(&order, found, sender)?;
            }
        }
        result.runs = open.iter().map(|record| record.run.clone()).collect();
        Ok(result)
    }

    /// What orders in flight were to do, from the plans that they stand in, in the plans' sequence; and those whose plan is
    /// lost.
    fn planned<'o>(&self, open: &'o [OrderRecord]) -> Result<(Vec<Order>, Vec<&'o OrderRecord>), RunError> {
        let mut missing: BTreeMap<&RunId, BTreeSet<&OrderId>> = BTreeMap::new();
        for record in open {
            missing.entry(&record.run).or_default().insert(&record.id);
        }
        let mut orders = Vec::with_capacity(open.len());
        for (run, ids) in missing {
            orders.append(&mut readable_orders(&self.store, run, &ids)?);
        }
        let found: HashSet<&OrderId> = orders.iter().map(|order| &order.id).collect();
        let lost = open.iter().filter(|record| !found.contains(&record.id)).collect();
        Ok((orders, lost))
    }

    async fn look_up(&self, order: &Order, sender: &Sender) -> Result<Found, RunError> {
        // A work-order file knows the orders that it holds: writing one again changes nothing.
        if !sender.capabilities.reads_back {
            return Ok(Found::NotSent);
        }
        let resource = order.resource.resource.as_str();
        let target: &dyn Source = &*sender.target;
        let types = sender.capabilities.resources.get(resource).cloned().unwrap_or_default();
        let none = BTreeSet::new();
        let identifying = sender.identifying.get(resource).unwrap_or(&none);
        let system = target.system();
        if order.operation == Operation::Create && identifying.is_empty() {
            let mut failure = Failure::new(
                Class::Server,
                Recourse::GiveUp,
                system,
                format!(
                    "the create of {} was in flight when muster ended, and nothing identifies the object",
                    order.key
                ),
                "look at the target and say which with `muster settle`; name a match rule or a unique attribute in the job",
            );
            failure.effect = Effect::Unknown;
            return Ok(Found::Neither(OrderState::Uncertain, failure));
        }
        let standing = match look(target, order, identifying, &types).await {
            Ok(standing) => standing,
            Err(failure) => return cannot_tell(failure),
        };
        Ok(match standing {
            Standing::InEffect(id) => Found::InEffect(id.or_else(|| order.target_id.clone())),
            Standing::AsPlanned(_) => Found::NotSent,
            Standing::Gone => Found::Neither(OrderState::Stale, stale(system, order, "its object is gone".to_owned())),
            Standing::Moved(what) => Found::Neither(OrderState::Stale, stale(system, order, what)),
            Standing::Taken(what) => {
                let failure = Failure::new(
                    Class::Conflict,
                    Recourse::GiveUp,
                    system,
                    format!("cannot create {}: {what}", order.key),
                    "free the value at the target, or link the two; the next run plans anew",
                );
                Found::Neither(OrderState::Errored, failure)
            }
        })
    }

    fn settle(&mut self, order: &Order, found: Found, sender: &Sender) -> Result<(), RunError> {
        let now = (self.clock)();
        let mut outcome = Outcome {
            order: order.id.clone(),
            state: OrderState::Applied,
            effected: Some(Effected::Recovered),
            target_id: None,
            note: Some("found in effect after a crash".to_owned()),
            failure: None,
            tries: 1,
            at: now,
        };
        match found {
            Found::NotSent => {
                let why = "muster ended before its outcome; the target does not show it";
                self.store.release(std::slice::from_ref(&order.id), why, now)?;
                self.reporter
                    .event(&Event::Note(format!("{} had no effect before the crash: still approved", order.id)));
                return Ok(());
            }
            Found::InEffect(id) => outcome.target_id = id.or_else(|| order.target_id.clone()),
            Found::Neither(state, failure) => {
                outcome.state = state;
                outcome.effected = None;
                outcome.note = None;
                outcome.target_id = order.target_id.clone();
                outcome.failure = Some(failure);
            }
        }
        let links = self.link_changes(order, &outcome, None, sender)?;
        self.store.finish(&[Finished { outcome: outcome.clone(), links }], now)?;
        self.reporter.event(&Event::Ended(Box::new(outcome)));
        Ok(())
    }
}

/// What the target says about rows of one association. Where it refuses the look for all of them, each is asked for alone:
/// one that it cannot tell of keeps no other from its answer.
async fn look_up_rows(resource: &str, rows: Rows, target: &dyn Source) -> Result<Vec<(Order, Found)>, RunError> {
    let (orders, ends): (Vec<Order>, Vec<BTreeMap<String, String>>) = rows.into_iter().unzip();
    let found = |order: &Order, held: Option<&bool>| match held == Some(&(order.operation == Operation::Add)) {
        true => Found::InEffect(None),
        false => Found::NotSent,
    };
    let mut told = Vec::with_capacity(orders.len());
    match target.holds(resource, &ends).await {
        Ok(held) => {
            told.extend(orders.into_iter().enumerate().map(|(at, order)| {
                let found = found(&order, held.get(at));
                (order, found)
            }));
        }
        Err(failure) if orders.len() > 1 && failure.recourse == Recourse::GiveUp => {
            for (order, ends) in orders.into_iter().zip(&ends) {
                let found = match target.holds(resource, std::slice::from_ref(ends)).await {
                    Ok(held) => found(&order, held.first()),
                    Err(failure) => cannot_tell(failure)?,
                };
                told.push((order, found));
            }
        }
        Err(failure) => {
            for order in orders {
                told.push((order, cannot_tell(failure.clone())?));
            }
        }
    }
    Ok(told)
}

/// A target that refuses the look itself will refuse it again: a person has to say. Any other failure passes.
fn cannot_tell(mut failure: Failure) -> Result<Found, RunError> {
    if failure.recourse != Recourse::GiveUp {
        return Err(failure.into());
    }
    failure.effect = Effect::Unknown;
    Ok(Found::Neither(OrderState::Uncertain, failure))
}

/// What was sent to one address cannot be looked up at another.
fn elsewhere(system: &str, order: &Order, then: &str, named: &str) -> Failure {
    let mut failure = Failure::new(
        Class::Server,
        Recourse::GiveUp,
        system,
        format!(
            "the {} of {} was in flight to {then} when muster ended, and the job names {named} now",
            order.operation, order.key
        ),
        "look at the former address whether it is in effect there, and say so with `muster settle`",
    );
    failure.effect = Effect::Unknown;
    failure
}

fn stale(system: &str, order: &Order, what: String) -> Failure {
    Failure::new(
        Class::Stale,
        Recourse::GiveUp,
        system,
        format!("{} of {} was in flight when muster ended: {what}", order.operation, order.key),
        planned_anew(order),
    )
}
