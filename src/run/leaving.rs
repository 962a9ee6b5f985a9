//! Who leaves in this apply: two that are each the last but one must not both go, whichever lanes send them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{MutexGuard, Notify};

/// Who or what leaves; all by the target's ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Leaver {
    /// An account that is disabled or deleted: its resource, its id.
    Account(String, String),
    /// A row that is removed: the association, the group that loses it, and whom.
    Row(String, String, String),
}

/// What this apply has taken away so far, and what is under way.
#[derive(Default)]
pub(super) struct Leaving {
    /// Whether it is through: else its request may still fail.
    known: Mutex<HashMap<Leaver, bool>>,
    /// Held while somebody looks who stays, until whoever leaves is written down.
    turn: tokio::sync::Mutex<()>,
    ended: Notify,
}

/// Leavers that were written down. Whoever is not said to have stayed when this is dropped has left.
pub(super) struct Ticket<'l> {
    leaving: Option<&'l Leaving>,
    leavers: BTreeSet<Leaver>,
    stayed: bool,
}

impl Ticket<'_> {
    /// Of nobody.
    pub(super) fn none() -> Self {
        Self { leaving: None, leavers: BTreeSet::new(), stayed: false }
    }

    /// They certainly are where they were.
    pub(super) fn stayed(&mut self) {
        self.stayed = true;
    }
}

impl<'l> Ticket<'l> {
    /// Takes one of them out, to be settled by itself.
    pub(super) fn of(&mut self, leaver: &Leaver) -> Ticket<'l> {
        let leavers = self.leavers.take(leaver).into_iter().collect();
        Ticket { leaving: self.leaving, leavers, stayed: false }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let Some(leaving) = self.leaving.filter(|_| !self.leavers.is_empty()) else { return };
        let mut known = leaving.known.lock().unwrap_or_else(PoisonError::into_inner);
        for leaver in std::mem::take(&mut self.leavers) {
            match self.stayed {
                true => drop(known.remove(&leaver)),
                false => drop(known.insert(leaver, true)),
            }
        }
        drop(known);
        leaving.ended.notify_waiters();
    }
}

impl Leaving {
    /// Whether somebody leaves in this apply, and if so whether that is through.
    pub(super) fn leaves(&self, leaver: &Leaver) -> Option<bool> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(leaver).copied()
    }

    /// Whether something was taken out of a group in this apply.
    pub(super) fn took_from(&self, association: &str, group: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.keys().any(|leaver| matches!(leaver, Leaver::Row(of, from, _) if of == association && from == group))
    }

    /// One at a time looks who stays, and writes down who leaves before the next one does.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Wakes up once somebody who was under way has ended; from the moment on that it is enabled, no end is missed.
    pub(super) fn woken(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Writes down who leaves.
    pub(super) fn begin(&self, leavers: BTreeSet<Leaver>) -> Ticket<'_> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(leavers.iter().map(|leaver| (leaver.clone(), false)));
        Ticket { leaving: Some(self), leavers, stayed: false }
    }
}
