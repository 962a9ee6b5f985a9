//! A target that fails again and again is asked less and less often, by one lane at a time: some lock out a client after
//! 20 errors in a row, whatever these are.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Tries that may fail in a row at one target.
const MOST: u32 = 14;
/// How far the next try is from the one before it; doubled for each further one.
const FIRST: Duration = Duration::from_millis(200);
/// The longest of these.
const LONGEST: Duration = Duration::from_secs(30);

/// What a try was: a question that succeeds does not say that changes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    Read,
    Write,
}

/// What all lanes of one target know about its failures.
#[derive(Debug, Default)]
pub(super) struct Outage {
    state: Mutex<State>,
    over: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Changes that failed since one went well.
    writes: u32,
    /// Questions that failed since anything went well.
    reads: u32,
    /// Tries that were given a time since all was well, and the last of these times.
    given: u32,
    last: Option<Instant>,
}

impl Outage {
    /// A try failed that is worth another one: how long that has to wait at least, `own` for its own sake. `None` where
    /// too many failed in a row.
    pub(super) fn failed(&self, what: Try, now: Instant, own: Duration) -> Option<Duration> {
        let mut state = self.state();
        match what {
            Try::Read => state.reads += 1,
            Try::Write => state.writes += 1,
        }
        if state.writes + state.reads >= MOST {
            self.over.notify_waiters();
            return None;
        }
        let gap = FIRST.saturating_mul(1 << state.given.min(16)).min(LONGEST);
        let at = state.last.map_or(now, |last| last + gap).max(now + own);
        state.given += 1;
        state.last = Some(at);
        Some(at - now)
    }

    /// A try went well: where nothing else fails, whoever waits may go on.
    pub(super) fn went_well(&self, what: Try) {
        let mut state = self.state();
        if state.writes + state.reads == 0 {
            return;
        }
        state.reads = 0;
        if what == Try::Write || state.writes == 0 {
            *state = State::default();
            self.over.notify_waiters();
        }
    }

    /// How many tries failed in a row.
    pub(super) fn tries(&self) -> u32 {
        let state = self.state();
        state.writes + state.reads
    }

    /// Waits so long, or until a try went well; at least `least`. False where too many failed meanwhile.
    pub(super) async fn wait(&self, wait: Duration, least: Duration) -> bool {
        let over = self.over.notified();
        tokio::time::sleep(least.min(wait)).await;
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(least)) => {}
            () = over => {}
        }
        self.tries() < MOST
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_fail_together_come_back_one_by_one_and_fewer_than_20_times() {
        let (outage, now, own) = (Outage::default(), Instant::now(), Duration::from_millis(150));
        let failed = |what| outage.failed(what, now, own);
        let waits: Vec<u64> = std::iter::from_fn(|| failed(Try::Write)).map(|wait| wait.as_millis() as u64).collect();
        assert_eq!(waits[..5], [150, 550, 1350, 2950, 6150]);
        assert_eq!(waits.len(), 13, "the fourteenth is given up");
        outage.went_well(Try::Read);
        assert_eq!(failed(Try::Write), None, "that it answers questions says nothing about changes");
        outage.went_well(Try::Write);
        assert_eq!(failed(Try::Read), Some(own), "it begins anew");
        outage.went_well(Try::Read);
        assert_eq!(failed(Try::Read), Some(own));
    }
}
