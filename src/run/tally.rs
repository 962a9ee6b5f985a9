//! Counts failures while an apply is under way, and says when it has to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::failure::{Class, Failure, Recourse};
use crate::model::failure_cause::FailureCause;
use crate::model::numbers::counted;
use crate::model::order::{Order, OrderState};
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

/// What went wrong so far.
pub(super) struct Tally {
    same_cause: u64,
    errors: u64,
    seen: u64,
    causes: BTreeMap<FailureCause, u64>,
    kind: Option<String>,
    systems: BTreeMap<String, String>,
    all: Option<String>,
}

impl Tally {
    pub(super) fn new(settings: &ApplySettings) -> Self {
        Self {
            same_cause: settings.stop_same_cause,
            errors: settings.stop_errors,
            seen: 0,
            causes: BTreeMap::new(),
            kind: None,
            systems: BTreeMap::new(),
            all: None,
        }
    }

    /// A new kind begins: what stopped the last one does not stop it.
    pub(super) fn begin_kind(&mut self) {
        self.kind = None;
    }

    /// An order ended with a failure.
    pub(super) fn failed(&mut self, order: &Order, state: OrderState, failure: &Failure) {
        // What changed since the plan is no fault of anything: it is planned anew.
        if state == OrderState::Stale {
            return;
        }
        self.seen += 1;
        let cause = FailureCause::of(failure, order.operation, &order.resource);
        let count = self.causes.entry(cause).or_default();
        *count += 1;
        if *count >= self.same_cause {
            self.kind = Some(format!("{} failed for one cause: {failure}", counted(*count, "order")));
        } else if shared(failure.class) {
            self.kind = Some(format!("this concerns all of its kind: {failure}"));
        }
        if self.seen >= self.errors {
            self.all =
                Some(format!("{} failed, the limit of this job is {}", counted(self.seen, "order"), self.errors));
        }
    }

    /// A system cannot be used any more.
    pub(super) fn stop_system(&mut self, system: &str, why: String) {
        self.systems.entry(system.to_owned()).or_insert(why);
    }

    /// Why nothing more is sent to a system.
    pub(super) fn stopped(&self, system: &str) -> Option<&str> {
        self.all.as_deref().or_else(|| self.systems.get(system).map(String::as_str))
    }

    /// Whether the kind under way has to stop.
    pub(super) fn kind_stopped(&self, system: &str) -> bool {
        self.kind.is_some() || self.stopped(system).is_some()
    }

    /// Why the kind under way stopped, where only it did.
    pub(super) fn kind_why(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Why the apply stopped before its end, where it did.
    pub(super) fn why(&self) -> Option<String> {
        let systems: Vec<&str> = self.systems.values().map(String::as_str).collect();
        self.all.clone().or_else(|| (!systems.is_empty()).then(|| systems.join("; ")))
    }
}

/// Whether what one order failed for will make the others of its kind fail.
fn shared(class: Class) -> bool {
    matches!(class, Class::Permission | Class::Configuration | Class::Unsupported | Class::Capacity)
}
