//! How fast a system is asked: evenly spaced where the job says how often, and less at once where the system says that
//! it is too much.

use std::sync::{Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

/// Lets so many requests a second pass.
#[derive(Debug)]
pub struct RateLimit {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A limit of so many requests a second; `None`, zero and less mean no limit.
    pub fn new(per_second: Option<f64>) -> Self {
        let gap = per_second
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .map_or(Duration::ZERO, |rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX));
        Self { gap, next: Mutex::new(None) }
    }

    /// Waits for one's turn.
    pub async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let Some(at) = next.map(|next| next.max(now)).or_else(|| (!self.gap.is_zero()).then_some(now)) else {
                return;
            };
            *next = if self.gap.is_zero() { next.filter(|next| *next > now) } else { at.checked_add(self.gap) };
            at
        };
        tokio::time::sleep_until(at).await;
    }

    /// Lets nobody pass for so long: the system said that it takes nothing until then.
    pub async fn hold(&self, pause: Duration) {
        let mut next = self.next.lock().await;
        if let Some(until) = Instant::now().checked_add(pause) {
            *next = Some(next.map_or(until, |next| next.max(until)));
        }
    }
}

/// Answers without a refusal, for each request that may be under way, before one more is let in.
const ROUNDS: usize = 8;

/// Holds requests back from a system that refuses them as too many: half as many at once after a refusal, one more
/// after some rounds that went well, and no bound of its own any more once as many pass as before the first refusal.
/// It only ever lessens what its callers have under way, which is the job's own limit.
#[derive(Debug, Default)]
pub struct Congestion {
    state: Lock<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Requests under way.
    busy: usize,
    /// How many may be; `None` = as many as the callers have.
    allowed: Option<usize>,
    /// How many were under way when the system first refused one.
    before: usize,
    /// Answers without a refusal since the bound last changed.
    passed: usize,
    /// How often the bound was halved: what left before the last time says nothing about it.
    halved: u64,
}

/// The right to have one request under way; given back when dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    congestion: &'a Congestion,
    halved: u64,
}

impl Congestion {
    /// Waits until a further request may leave.
    pub async fn pass(&self) -> Pass<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Whatever is freed from here on is not missed.
            freed.as_mut().enable();
            if let Some(pass) = self.try_pass() {
                return pass;
            }
            freed.await;
        }
    }

    fn try_pass(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        if state.allowed.is_some_and(|allowed| state.busy >= allowed) {
            return None;
        }
        state.busy += 1;
        Some(Pass { congestion: self, halved: state.halved })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The system has answered: it refused the request as one too many, or it did not.
    pub fn answered(self, refused: bool) {
        let mut state = self.congestion.state();
        match (refused, state.allowed) {
            // One burst is one refusal, however many of it were refused.
            (true, _) if self.halved < state.halved => {}
            (true, allowed) => {
                if allowed.is_none() {
                    state.before = state.busy;
                }
                state.allowed = Some((allowed.unwrap_or(state.busy).min(state.busy) / 2).max(1));
                (state.passed, state.halved) = (0, state.halved + 1);
            }
            (false, Some(allowed)) => {
                state.passed += 1;
                if state.passed >= allowed * ROUNDS {
                    state.allowed = (allowed + 1 < state.before).then_some(allowed + 1);
                    state.passed = 0;
                }
            }
            (false, None) => {}
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.congestion.state().busy -= 1;
        self.congestion.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(congestion: &Congestion) -> Vec<Pass<'_>> {
        // More than any bound of these tests.
        (0..16).map_while(|_| congestion.try_pass()).collect()
    }

    #[tokio::test]
    async fn nobody_passes_before_a_pause_is_over() {
        for rate in [None, Some(100.0)] {
            let (limit, began) = (RateLimit::new(rate), Instant::now());
            limit.turn().await;
            limit.hold(Duration::from_millis(80)).await;
            limit.turn().await;
            assert!(began.elapsed() >= Duration::from_millis(80), "{rate:?}");
        }
    }

    #[test]
    fn a_refusal_halves_once_and_good_rounds_lift_the_bound_again() {
        let congestion = Congestion::default();
        let mut burst = passes(&congestion);
        assert_eq!(burst.len(), 16, "without a refusal there is no bound");
        burst.truncate(8);
        // All of one burst are refused: half of it may leave from now on.
        burst.drain(..).for_each(|pass| pass.answered(true));
        assert_eq!(passes(&congestion).len(), 4);
        passes(&congestion).pop().into_iter().for_each(|pass| pass.answered(true));
        assert_eq!(passes(&congestion).len(), 2);
        for _ in 0..2 * ROUNDS {
            passes(&congestion).pop().into_iter().for_each(|pass| pass.answered(false));
        }
        assert_eq!(passes(&congestion).len(), 3);
        for _ in 0..8 * 8 * ROUNDS {
            passes(&congestion).pop().into_iter().for_each(|pass| pass.answered(false));
        }
        assert_eq!(passes(&congestion).len(), 16, "as it was before");
    }
}
