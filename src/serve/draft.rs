//! What is decided on the page and not sealed yet. It lives in memory alone.

use std::collections::BTreeMap;

use super::live::Live;
use crate::model::approval::Decision;

/// A hold that is to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// The figure that was shown.
    pub(super) figure: String,
    /// Why.
    pub(super) reason: String,
}

/// What is decided of one run.
#[derive(Debug, Default)]
pub(super) struct Draft {
    decisions: Vec<Option<Decision>>,
    /// Holds that are to be accepted, by name.
    pub(super) accepted: BTreeMap<String, Acceptance>,
    /// Counts the changes: what is sealed is what was shown.
    pub(super) revision: u64,
    /// Decisions that fell away, because something else became of their orders meanwhile.
    pub(super) fallen: u64,
    liftable: Vec<bool>,
}

impl Draft {
    /// Takes note of where the orders stand now. What can be decided no more falls away.
    pub(super) fn follow(&mut self, live: &Live) {
        let accepted = self.accepted.len();
        let is_open = |name: &String, figure: &str| {
            live.open.contains(name) && live.holds.iter().any(|hold| hold.name == *name && hold.figure == figure)
        };
        self.accepted.retain(|name, acceptance| is_open(name, &acceptance.figure));
        self.decisions.resize(live.len(), None);
        let fallen = self.settle(live) + (accepted - self.accepted.len()) as u64;
        if fallen > 0 {
            self.fallen += fallen;
            self.revision += 1;
        }
    }

    /// Takes back what cannot be decided as things stand; how much that is.
    fn settle(&mut self, live: &Live) -> u64 {
        self.liftable = live.liftable(|name| self.accepted.contains_key(name));
        let mut fallen = 0;
        for place in 0..self.decisions.len() {
            let stays = match self.decisions[place] {
                None => continue,
                Some(Decision::Approve) => live.may_approve(place, &self.liftable),
                Some(Decision::Reject) => live.may_reject(place),
            };
            if !stays {
                self.decisions[place] = None;
                fallen += 1;
            }
        }
        fallen
    }

    /// What is decided of an order.
    pub(super) fn decision(&self, place: usize) -> Option<Decision> {
        self.decisions.get(place).copied().flatten()
    }

    /// Whether an order may be approved, what is accepted in the draft taken as accepted.
    pub(super) fn may_approve(&self, live: &Live, place: usize) -> bool {
        live.may_approve(place, &self.liftable)
    }

    /// Decides on some orders, those that can be decided so; how many that are. `None` takes decisions back.
    pub(super) fn decide(&mut self, live: &Live, places: &[u32], decision: Option<Decision>, is_wide: bool) -> u64 {
        let mut done = 0;
        for place in places.iter().map(|place| *place as usize) {
            let may = match decision {
                None => self.decision(place).is_some(),
                Some(Decision::Approve) => self.may_approve(live, place),
                // Whoever sweeps up many means those that wait.
                Some(Decision::Reject) if is_wide => live.waits(place),
                Some(Decision::Reject) => live.may_reject(place),
            };
            if may && place < self.decisions.len() {
                self.decisions[place] = decision;
                done += 1;
            }
        }
        self.revision += u64::from(done > 0);
        done
    }

    /// Accepts a hold, or takes that back; how many decisions fell away with it.
    pub(super) fn accept(&mut self, live: &Live, name: &str, acceptance: Option<Acceptance>) -> u64 {
        match acceptance {
            Some(acceptance) => drop(self.accepted.insert(name.to_owned(), acceptance)),
            None => drop(self.accepted.remove(name)),
        }
        self.revision += 1;
        self.settle(live)
    }

    /// How many orders are to be approved, and how many rejected.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.decided().fold((0, 0), |(approve, reject), (_, decision)| match decision {
            Decision::Approve => (approve + 1, reject),
            Decision::Reject => (approve, reject + 1),
        })
    }

    /// The decided orders.
    pub(super) fn decided(&self) -> impl Iterator<Item = (usize, Decision)> {
        self.decisions.iter().enumerate().filter_map(|(place, decision)| Some((place, (*decision)?)))
    }

    /// Whether nothing is decided.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.decided().next().is_none()
    }

    /// Forgets everything: it is sealed.
    pub(super) fn clear(&mut self) {
        self.decisions.fill(None);
        self.accepted.clear();
        self.fallen = 0;
        self.revision += 1;
    }
}
