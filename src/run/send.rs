//! Sends one order: looks, changes, reads back, and says how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::kept::Guards;
use super::lockout::certainly_stayed;
use super::outage::{Outage, Try};
use super::precondition::{Standing, look, wanted, without_effect};
use crate::connector::backoff::Budget;
use crate::connector::target::{Applied, ObjectChange, Target};
use crate::model::capabilities::{Capabilities, ResourceCapabilities};
use crate::model::event::{Event, Reporter};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::object::Object;
use crate::model::order::{Operation, Order, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::value::Attributes;

/// The wall clock, as a parameter.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How an attempt at an order ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It has an outcome.
    Outcome(Box<Outcome>, Option<Attributes>),
    /// Its request certainly had no effect, and the failure concerns more than this order: it stays approved.
    Untried(Failure),
    /// Its request may have taken effect and the target cannot be asked now: its intent stays open, and the next run
    /// looks it up before anything is sent.
    Open(Failure),
}

/// What all orders of one target system share while they are sent.
pub(super) struct Sender {
    /// The system.
    pub(super) target: Arc<dyn Target>,
    /// What it says it can do.
    pub(super) capabilities: Capabilities,
    /// By resource, the attributes by which an object to be created would be found.
    pub(super) identifying: BTreeMap<String, BTreeSet<String>>,
    /// Who must not be locked out.
    pub(super) guards: Guards,
    /// Time left for waiting between retries, for the whole apply.
    pub(super) budget: Arc<Budget>,
    /// What its failures say about when to try again.
    pub(super) outage: Outage,
    /// Who listens.
    pub(super) reporter: Arc<dyn Reporter>,
    /// The time.
    pub(super) clock: Clock,
}

impl Sender {
    /// Sends an order on one object. Its intent is committed already.
    pub(super) async fn object(&self, order: &Order) -> Ended {
        let resource = order.resource.resource.as_str();
        let nothing = ResourceCapabilities::default();
        let types = self.capabilities.resources.get(resource).unwrap_or(&nothing);
        let none = BTreeSet::new();
        let identifying = self.identifying.get(resource).unwrap_or(&none);
        self.reporter.event(&Event::Sending {
            order: order.id.clone(),
            operation: order.operation,
            resource: order.resource.clone(),
            key: order.key.clone(),
        });
        let mut tries = 0u32;
        let object = match self.patiently(order, &mut tries, || look(&*self.target, order, identifying, types)).await {
            Ok(Standing::AsPlanned(object)) => object,
            Ok(standing) => return self.without_sending(order, standing, tries),
            Err(failure) if failure.recourse == Recourse::GiveUp => return self.errored(order, failure, tries),
            Err(failure) => return Ended::Untried(failure),
        };
        let mut leaving = match self.locks_out(order, object.as_deref(), &mut tries).await {
            Ok(Ok(leaving)) => leaving,
            Ok(Err(why)) => return self.kept(order, why, tries),
            Err(failure) if failure.recourse == Recourse::GiveUp => return self.errored(order, failure, tries),
            Err(failure) => return Ended::Untried(failure),
        };
        let ended = self.send(order, object, (types, identifying), tries).await;
        if certainly_stayed(&ended) {
            leaving.stayed();
        }
        ended
    }

    /// Sends the change of an object that is as it was planned.
    async fn send(
        &self,
        order: &Order,
        mut object: Option<Box<Object>>,
        (types, identifying): (&ResourceCapabilities, &BTreeSet<String>),
        mut tries: u32,
    ) -> Ended {
        let mut attempt = 0u32;
        loop {
            attempt += 1;
            let change = self.change(order, object.as_deref());
            match self.target.apply(&change).await {
                Ok(applied) => {
                    self.outage.went_well(Try::Write);
                    return self.read_back(order, applied, types, tries + attempt).await;
                }
                Err(failure) if failure.effect == Effect::Unknown => {
                    if identifying.is_empty() && order.operation == Operation::Create {
                        return self.uncertain(order, failure, tries + attempt);
                    }
                    let again =
                        failure.recourse == Recourse::Retry && self.wait(order, &failure, attempt, Try::Write).await;
                    let seen = self.patiently(order, &mut tries, || look(&*self.target, order, identifying, types));
                    match seen.await {
                        Ok(Standing::InEffect(id)) => return self.found(order, id, tries + attempt),
                        Ok(Standing::AsPlanned(now)) if again => object = now,
                        Ok(Standing::AsPlanned(_)) => return self.without_trace(order, failure, tries + attempt),
                        Ok(standing) => return self.without_sending(order, standing, tries + attempt),
                        Err(cannot) if cannot.recourse == Recourse::GiveUp => {
                            return self.uncertain(order, failure, tries + attempt);
                        }
                        Err(_) => return Ended::Open(stopping(failure)),
                    }
                }
                Err(failure) if failure.recourse == Recourse::Retry => {
                    if !self.wait(order, &failure, attempt, Try::Write).await {
                        return Ended::Untried(failure);
                    }
                }
                Err(failure) if failure.recourse == Recourse::Stop => return Ended::Untried(failure),
                Err(failure) if order.operation == Operation::Create && failure.class == Class::Conflict => {
                    // 409: somebody, perhaps an earlier try of ours, was first. Equal means adopt.
                    return match look(&*self.target, order, identifying, types).await {
                        Ok(Standing::InEffect(id)) => self.in_effect(order, id, tries + attempt),
                        _ => self.errored(order, failure, tries + attempt),
                    };
                }
                Err(failure) if failure.status == Some(412) => {
                    // The version that was read is not the newest: by somebody's change, or by this request, delivered
                    // twice on its way. In effect means applied.
                    return match look(&*self.target, order, identifying, types).await {
                        Ok(Standing::InEffect(id)) => self.found(order, id, tries + attempt),
                        _ => self.errored(order, failure, tries + attempt),
                    };
                }
                Err(failure) => return self.errored(order, failure, tries + attempt),
            }
        }
    }

    /// Whether the target can be asked afterwards what became of such an order.
    pub(super) fn can_look_up(&self, operation: Operation, resource: &str) -> bool {
        operation != Operation::Create || self.identifying.get(resource).is_some_and(|names| !names.is_empty())
    }

    fn change(&self, order: &Order, object: Option<&Object>) -> ObjectChange {
        ObjectChange {
            order: order.id.clone(),
            operation: order.operation,
            resource: order.resource.resource.clone(),
            id: order.target_id.clone(),
            attributes: wanted(order),
            before: object.map(|o| o.attributes.clone()).unwrap_or_default(),
            version: object.and_then(|o| o.version.clone()),
            name: if order.name.is_empty() { order.key.clone() } else { order.name.clone() },
        }
    }

    /// A request was answered with a failure, or not at all, and the target does not show it.
    fn without_trace(&self, order: &Order, failure: Failure, tries: u32) -> Ended {
        match (failure.recourse, failure.status) {
            (Recourse::GiveUp, Some(_)) => self.errored(order, Failure { effect: Effect::None, ..failure }, tries),
            (Recourse::GiveUp, None) => self.uncertain(order, failure, tries),
            // Without an answer it may still be under way.
            (_, None) => Ended::Open(failure),
            (_, Some(_)) => Ended::Untried(failure),
        }
    }

    /// In effect, though the answer to our request did not say so.
    fn found(&self, order: &Order, id: Option<String>, tries: u32) -> Ended {
        let id = id.or_else(|| order.target_id.clone());
        self.outage.went_well(Try::Write);
        let note = "its answer was lost; found in effect".to_owned();
        self.ended(order, OrderState::Applied, Some(Effected::Recovered), id, Some(note), None, tries)
    }

    async fn read_back(&self, order: &Order, applied: Applied, types: &ResourceCapabilities, tries: u32) -> Ended {
        let id = applied.id.clone().or_else(|| order.target_id.clone());
        let mut held = None;
        if let Some(id) = id.as_ref().filter(|_| self.capabilities.reads_back) {
            match self.target.get(&order.resource.resource, id).await {
                Ok(None) if order.operation == Operation::Delete => {}
                Ok(Some(_)) if order.operation == Operation::Delete => {
                    let failure = Failure::new(
                        Class::Unsupported,
                        Recourse::GiveUp,
                        self.target.system(),
                        format!(
                            "{} accepted delete of {} without effect: object {id} is still there",
                            self.target.system(),
                            order.key
                        ),
                        "the target keeps what it is asked to delete, or only disables it; use `disable` instead in the sync's `on`, and name it in `refuses` of the system where it has that",
                    );
                    return self.ended(order, OrderState::Errored, None, Some(id.clone()), None, Some(failure), tries);
                }
                Ok(Some(object)) => {
                    let ignored = without_effect(order, &object.attributes, types);
                    if !ignored.is_empty() {
                        let names: Vec<String> = ignored.iter().map(|(name, _)| name.clone()).collect();
                        let ignored: Vec<String> = ignored.into_iter().map(|(_, told)| told).collect();
                        let told = self.target.when_ignored(&order.resource.resource, &names);
                        let mut failure = Failure::new(
                            Class::Unsupported,
                            Recourse::GiveUp,
                            self.target.system(),
                            format!(
                                "{} accepted {} of {} without effect: {}",
                                self.target.system(),
                                order.operation,
                                order.key,
                                ignored.join("; ")
                            ),
                            told.unwrap_or_else(|| {
                                "the target ignores these attributes or changes them itself; take them out of the mapping, or map what the target makes of them".to_owned()
                            }),
                        );
                        failure.effect = Effect::Unknown;
                        return self.ended(
                            order,
                            OrderState::Errored,
                            None,
                            Some(id.clone()),
                            None,
                            Some(failure),
                            tries,
                        );
                    }
                    held = Some(object.attributes);
                }
                Ok(None) => {
                    let failure = Failure::new(
                        Class::Unsupported,
                        Recourse::GiveUp,
                        self.target.system(),
                        format!(
                            "{} of {} was accepted, but object {id} cannot be read afterwards",
                            order.operation, order.key
                        ),
                        "look at the object in the target; its connector may hide or drop what it accepted",
                    );
                    return self.ended(order, OrderState::Errored, None, Some(id.clone()), None, Some(failure), tries);
                }
                // The change was acknowledged; that it cannot be read back now does not undo it.
                Err(failure) => self
                    .reporter
                    .event(&Event::Warning(format!("{} was acknowledged but not read back: {failure}", order.id))),
            }
        }
        match self.ended(order, OrderState::Applied, Some(applied.effected), id, applied.note, None, tries) {
            Ended::Outcome(outcome, _) => Ended::Outcome(outcome, held),
            other => other,
        }
    }

    fn without_sending(&self, order: &Order, standing: Standing, tries: u32) -> Ended {
        match standing {
            Standing::InEffect(id) => self.in_effect(order, id, tries),
            Standing::Gone => self.stale(
                order,
                format!(
                    "object {} is gone from {}",
                    order.target_id.as_deref().unwrap_or(&order.key),
                    self.target.system()
                ),
                tries,
            ),
            Standing::Moved(what) => self.stale(order, what, tries),
            Standing::Taken(what) => self.errored(
                order,
                Failure::new(
                    Class::Conflict,
                    Recourse::GiveUp,
                    self.target.system(),
                    format!("cannot create {}: {what}", order.key),
                    "link the two with `muster link`, or free the value at the target; the next run plans anew",
                ),
                tries,
            ),
            Standing::AsPlanned(_) => self.uncertain(
                order,
                Failure::new(Class::Server, Recourse::GiveUp, self.target.system(), "no outcome", "look at the target"),
                tries,
            ),
        }
    }

    fn in_effect(&self, order: &Order, id: Option<String>, tries: u32) -> Ended {
        let id = id.or_else(|| order.target_id.clone());
        let note = match order.operation {
            Operation::Delete => "was already absent",
            Operation::Create => "was already there and equal: adopted",
            _ => "was already so",
        };
        self.ended(order, OrderState::Applied, Some(Effected::AlreadySo), id, Some(note.to_owned()), None, tries)
    }

    fn stale(&self, order: &Order, what: String, tries: u32) -> Ended {
        let failure = Failure::new(
            Class::Stale,
            Recourse::GiveUp,
            self.target.system(),
            format!("{}{what}", unsent(order)),
            planned_anew(order),
        );
        self.ended(order, OrderState::Stale, None, order.target_id.clone(), None, Some(failure), tries)
    }

    /// Not sent, so that nobody is locked out.
    fn kept(&self, order: &Order, why: String, tries: u32) -> Ended {
        let failure = kept(self.target.system(), order, &why);
        self.ended(order, OrderState::Stale, None, order.target_id.clone(), None, Some(failure), tries)
    }

    fn errored(&self, order: &Order, failure: Failure, tries: u32) -> Ended {
        // An object that vanished between the look and the change is as stale as one that was gone before.
        let state = if failure.class == Class::Stale { OrderState::Stale } else { OrderState::Errored };
        self.ended(order, state, None, order.target_id.clone(), None, Some(failure), tries)
    }

    fn uncertain(&self, order: &Order, failure: Failure, tries: u32) -> Ended {
        self.ended(order, OrderState::Uncertain, None, order.target_id.clone(), None, Some(failure), tries)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of an outcome, once each")]
    fn ended(
        &self,
        order: &Order,
        state: OrderState,
        effected: Option<Effected>,
        target_id: Option<String>,
        note: Option<String>,
        failure: Option<Failure>,
        tries: u32,
    ) -> Ended {
        let at = (self.clock)();
        let outcome =
            Outcome { order: order.id.clone(), state, effected, target_id, note, failure, tries: tries.max(1), at };
        Ended::Outcome(Box::new(outcome), None)
    }

    /// Repeats a reading while its failure says that trying again may help, inside the budget.
    pub(super) async fn patiently<T, F>(
        &self,
        order: &Order,
        tries: &mut u32,
        mut read: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match read().await {
                Err(failure) if failure.recourse == Recourse::Retry => {
                    *tries += 1;
                    if !self.wait(order, &failure, attempt, Try::Read).await {
                        return Err(failure);
                    }
                }
                other => {
                    if other.is_ok() {
                        self.outage.went_well(Try::Read);
                    }
                    return other;
                }
            }
        }
    }

    /// Waits before the next try; false where the budget does not allow it.
    pub(super) async fn wait(&self, order: &Order, failure: &Failure, attempt: u32, what: Try) -> bool {
        // What the server asks for is the least; an eager `Retry-After: 0` does not make a busy loop.
        let own = match failure.retry_after {
            Some(asked) => asked.max(backoff(1, order)),
            None => backoff(attempt, order),
        };
        // Who is asked to slow down is not failing.
        let wait = match failure.class {
            Class::Throttled => Some(own),
            _ => self.outage.failed(what, Instant::now(), own),
        };
        let Some(wait) = wait.filter(|wait| self.budget.spend(*wait)) else { return false };
        self.reporter.event(&Event::Retrying {
            order: Some(order.id.clone()),
            failure: failure.clone(),
            attempt: attempt + 1,
            wait,
        });
        self.outage.wait(wait, failure.retry_after.map_or(Duration::ZERO, |_| own)).await
    }
}

/// How it is told that an order was skipped: the reason follows.
pub(super) fn unsent(order: &Order) -> String {
    format!("{} of {} was not sent: ", order.operation, order.key)
}

/// An order that would lock somebody out by now, though it would not have when it was planned.
pub(super) fn kept(system: &str, order: &Order, why: &str) -> Failure {
    Failure::new(
        Class::Stale,
        Recourse::GiveUp,
        system,
        format!("{}{why}", unsent(order)),
        "look at who is left; the next run plans it anew, and blocks it (`protected`) as long as that is so",
    )
}

/// What follows where an object changed since its order was planned.
pub(super) fn planned_anew(order: &Order) -> &'static str {
    match order.undoes {
        None => "nothing to do: the next run plans it anew from what is there now",
        Some(_) => "it undoes an applied order and is not planned anew by itself: look at the object, and revert again",
    }
}

/// A failure that concerns the whole system, whatever it meant for its order.
pub(super) fn stopping(failure: Failure) -> Failure {
    let recourse = if failure.recourse == Recourse::GiveUp { Recourse::Retry } else { failure.recourse };
    Failure { recourse, ..failure }
}

/// Exponential back-off from 200 ms to 30 s, with a jitter that depends on the order, so that many orders that failed
/// together do not come back together.
fn backoff(attempt: u32, order: &Order) -> Duration {
    let ceiling = 200u64.saturating_mul(1 << attempt.min(8)).min(30_000);
    let jitter = order.id.0.bytes().fold(u64::from(attempt), |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    Duration::from_millis(ceiling / 2 + jitter % (ceiling / 2))
}
