//! Counts failures while an apply is under way, and says when it has to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::failure::{Class, Failure, Recourse};
use crate::model::failure_cause::FailureCause;
use crate::model::numbers::counted;
use crate::model::order::{Operation, Order, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::resource::ResourceName;
use crate::model::settings::ApplySettings;

/// Tells the sends of a wave that no further one may begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn raise(&self, failure: &Failure) {
        if failure.recourse != Recourse::GiveUp {
            self.raise_quietly();
        }
    }

    pub(super) fn raise_quietly(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Why a kind stops, and for which cause.
pub(super) type WhyStopped = (String, FailureCause);

/// Orders that may fail in a row, where nobody says otherwise.
const IN_A_ROW: u64 = 10;

/// What went wrong so far.
pub(super) struct Tally {
    same_cause: u64,
    errors: u64,
    in_a_row: Option<u64>,
    /// By system, refusals in a row after which it switches itself off.
    switches_off: BTreeMap<String, u64>,
    seen: u64,
    causes: BTreeMap<FailureCause, u64>,
    /// Whether the orders under way are to prove that their kind can succeed.
    is_proving: bool,
    kind: Option<WhyStopped>,
    /// Resource types that have no room for further objects.
    full: BTreeMap<ResourceName, WhyStopped>,
    /// By system, orders that failed since the last one that took effect.
    streaks: BTreeMap<String, u64>,
    systems: BTreeMap<String, String>,
    all: Option<String>,
}

impl Tally {
    pub(super) fn new(settings: &ApplySettings) -> Self {
        Self {
            same_cause: settings.stop_same_cause,
            errors: settings.stop_errors,
            in_a_row: settings.stop_in_a_row,
            switches_off: BTreeMap::new(),
            seen: 0,
            causes: BTreeMap::new(),
            is_proving: false,
            kind: None,
            full: BTreeMap::new(),
            streaks: BTreeMap::new(),
            systems: BTreeMap::new(),
            all: None,
        }
    }

    /// A system switches itself off after so many refusals in a row.
    pub(super) fn switches_off(&mut self, system: &str, after: u64) {
        self.switches_off.insert(system.to_owned(), after);
    }

    /// How many orders in a row may fail at a system: as the job says, else well before it switches itself off.
    fn limit(&self, system: &str) -> u64 {
        let by_system = || self.switches_off.get(system).map_or(IN_A_ROW, |after| (after / 2).min(IN_A_ROW));
        self.in_a_row.unwrap_or_else(by_system).max(1)
    }

    /// A wave begins; `is_proving`: of canaries. What stopped the last one does not stop it.
    pub(super) fn begin_wave(&mut self, is_proving: bool) {
        (self.is_proving, self.kind) = (is_proving, None);
    }

    /// An order ended.
    pub(super) fn ended(&mut self, order: &Order, outcome: &Outcome) {
        if outcome.state == OrderState::Applied {
            // What was so already says nothing about what the target takes now.
            if outcome.effected != Some(Effected::AlreadySo) {
                self.streaks.remove(&order.resource.system);
            }
            return;
        }
        // What changed since the plan is no fault of anything: it is planned anew.
        let Some(failure) = outcome.failure.as_ref().filter(|_| outcome.state != OrderState::Stale) else { return };
        self.failed(order, failure);
    }

    fn failed(&mut self, order: &Order, failure: &Failure) {
        self.seen += 1;
        let cause = FailureCause::of(failure, order.operation, &order.resource);
        let count = self.causes.entry(cause.clone()).or_default();
        *count += 1;
        if failure.class == Class::Capacity && order.operation == Operation::Create {
            let why = (format!("there is no room for further objects: {failure}"), cause);
            self.full.insert(order.resource.clone(), why.clone());
            self.kind = Some(why);
        } else if *count >= self.same_cause {
            self.kind = Some((format!("{} failed for one cause: {failure}", counted(*count, "order")), cause));
        } else if self.is_proving && shared(failure.class) {
            self.kind = Some((format!("this concerns all of its kind: {failure}"), cause));
        }
        let limit = self.limit(&order.resource.system);
        let streak = self.streaks.entry(order.resource.system.clone()).or_default();
        *streak += 1;
        if *streak >= limit {
            let why = format!(
                "{} in a row failed at {}, the limit of this job is {limit}: a system may lock out a client that only fails",
                counted(*streak, "order"),
                order.resource.system
            );
            self.systems.entry(order.resource.system.clone()).or_insert(why);
        }
        if self.seen >= self.errors {
            self.all =
                Some(format!("{} failed, the limit of this job is {}", counted(self.seen, "order"), self.errors));
        }
    }

    /// How many orders may be under way at a system, so that no more fail in a row than may; without a failure as many
    /// as the job says.
    pub(super) fn room(&self, system: &str) -> usize {
        match self.streaks.get(system) {
            Some(streak) => usize::try_from(self.limit(system).saturating_sub(*streak)).unwrap_or(usize::MAX).max(1),
            None => usize::MAX,
        }
    }

    /// Nothing more is sent to any system.
    pub(super) fn stop_all(&mut self, why: String) {
        self.all = Some(why);
    }

    /// A system cannot be used any more.
    pub(super) fn stop_system(&mut self, system: &str, why: String) {
        self.systems.entry(system.to_owned()).or_insert(why);
    }

    /// Why nothing more is sent to a system.
    pub(super) fn stopped(&self, system: &str) -> Option<&str> {
        self.all.as_deref().or_else(|| self.systems.get(system).map(String::as_str))
    }

    /// Whether the wave under way has to stop.
    pub(super) fn wave_stopped(&self, system: &str) -> bool {
        self.kind.is_some() || self.stopped(system).is_some()
    }

    /// Why the kind under way stopped, where only it did.
    pub(super) fn kind_stopped(&self) -> Option<WhyStopped> {
        self.kind.clone()
    }

    /// Why no further object is created of a resource type, where there is no room for any.
    pub(super) fn full(&self, resource: &ResourceName) -> Option<WhyStopped> {
        self.full.get(resource).cloned()
    }

    /// Why the apply stopped before its end, where it did.
    pub(super) fn why(&self) -> Option<String> {
        let systems: Vec<&str> = self.systems.values().map(String::as_str).collect();
        self.all.clone().or_else(|| (!systems.is_empty()).then(|| systems.join("; ")))
    }
}

/// Whether what one order failed for will make the others of its kind fail, as long as none of them succeeded.
fn shared(class: Class) -> bool {
    matches!(class, Class::Permission | Class::Configuration | Class::Unsupported | Class::Capacity)
}
