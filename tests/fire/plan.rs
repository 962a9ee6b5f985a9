//! What goes wrong, as data: applies that are disturbed, one after the other.

use std::collections::BTreeMap;

use crate::round::{By, Round, What};
use crate::support::dice::Dice;

/// All that goes wrong, from the first apply to the last but one: the last is left in peace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultPlan {
    pub(crate) seed: u64,
    pub(crate) rounds: Vec<Round>,
}

impl FaultPlan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let rounds = (0..1 + dice.below(3)).map(|_| Round::roll(&mut dice)).collect();
        FaultPlan { seed, rounds }
    }

    /// Counts its faults by kind.
    pub(crate) fn count(&self, kinds: &mut BTreeMap<&'static str, usize>) {
        for fault in self.rounds.iter().flat_map(|round| &round.faults) {
            *kinds.entry(name(fault.what)).or_default() += 1;
        }
    }

    /// The same plan with one thing less, in every way.
    pub(crate) fn smaller(&self) -> Vec<FaultPlan> {
        let mut found = Vec::new();
        for at in 0..self.rounds.len() {
            let mut less = self.clone();
            less.rounds.remove(at);
            found.push(less);
            for fault in 0..self.rounds[at].faults.len() {
                let mut less = self.clone();
                less.rounds[at].faults.remove(fault);
                found.push(less);
            }
            if self.rounds[at].by != (By::Library { patient: false }) {
                let mut less = self.clone();
                less.rounds[at].by = By::Library { patient: false };
                found.push(less);
            }
        }
        found
    }
}

/// What a count of faults calls it.
fn name(what: What) -> &'static str {
    match what {
        What::Kill { .. } => "kills",
        What::Cut { .. } => "cut connections",
        What::HalfAnswer | What::BrokenAnswer => "cut answers",
        What::ErrorAfter { .. } => "errors after effect",
        What::Error { .. } => "errors",
        What::Throttled | What::Unavailable => "429 and 503",
        What::Twice => "deliveries twice",
    }
}
