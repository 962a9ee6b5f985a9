//! How much waiting for retries an apply may do.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time left for waiting. Orders that wait at the same time spend it once.
pub(super) struct RetryBudget {
    state: Mutex<State>,
}

struct State {
    left: Duration,
    paid_until: Option<Instant>,
}

impl RetryBudget {
    /// A budget of so much waiting.
    pub(super) fn new(left: Duration) -> Self {
        Self { state: Mutex::new(State { left, paid_until: None }) }
    }

    /// Takes a wait that begins now off the budget; false where it is not covered any more.
    pub(super) fn spend(&self, wait: Duration) -> bool {
        self.spend_at(Instant::now(), wait)
    }

    fn spend_at(&self, now: Instant, wait: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(end) = now.checked_add(wait) else { return false };
        let begin = state.paid_until.map_or(now, |paid| paid.max(now));
        let Some(left) = state.left.checked_sub(end.saturating_duration_since(begin)) else { return false };
        state.left = left;
        state.paid_until = Some(begin.max(end));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_wait_together_spend_the_time_once() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let budget = RetryBudget::new(second * 5);
        // Eight orders are throttled at once.
        assert!((0..8).all(|_| budget.spend_at(now, second * 3)));
        assert!(budget.spend_at(now + second, second * 3));
        assert!(!budget.spend_at(now + second * 10, second * 2));
        assert!(budget.spend_at(now + second * 10, second));
        assert!(!budget.spend_at(now, Duration::MAX));
    }
}
