//! How long to wait before something is tried again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::failure::Failure;

/// Takes each failure after which a question is asked again, which try the next one is, and how long it waits.
pub type Retrying = Arc<dyn Fn(&Failure, u32, Duration) + Send + Sync>;

/// Exponential back-off with full jitter: the wait before try *n* + 1 is random between nothing and `first` × 2ⁿ, at
/// most `most`; what the server asks for is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound of any wait, and the longest Retry-After that is obeyed.
    pub most: Duration,
    /// Tries altogether, the first included.
    pub tries: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(30), tries: 5 }
    }
}

impl Backoff {
    /// The wait after the `failed`-th failed try (from 1), or `None` where it is not to be tried again.
    ///
    /// `asked` is the server's Retry-After; longer than `most` means giving up. `random` is from 0 up to, not
    /// including, 1.
    pub fn wait(&self, failed: u32, asked: Option<Duration>, random: f64) -> Option<Duration> {
        if failed >= self.tries || asked.is_some_and(|asked| asked > self.most) {
            return None;
        }
        let doubled = self.first.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX));
        let jittered = doubled.min(self.most).mul_f64(random.clamp(0.0, 1.0));
        Some(asked.map_or(jittered, |asked| asked.saturating_add(jittered.min(self.first))))
    }
}

/// Time left for waiting between tries. Who waits at the same time spends it once.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    left: Duration,
    paid_until: Option<Instant>,
}

impl Budget {
    /// A budget of so much waiting.
    pub fn new(left: Duration) -> Self {
        Self { state: Mutex::new(Left { left, paid_until: None }) }
    }

    /// Takes a wait that begins now off the budget; false where it is not covered any more.
    pub fn spend(&self, wait: Duration) -> bool {
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
    fn waits_double_up_to_the_bound_and_obey_the_server() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(5), tries: 5 };
        let waits: Vec<_> = (1..6).map(|n| backoff.wait(n, None, 1.0).map(|w| w.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(5), None]);
        assert_eq!(backoff.wait(1, None, 0.0), Some(Duration::ZERO));
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(3)), 0.0), Some(Duration::from_secs(3)));
        assert_eq!(backoff.wait(1, Some(Duration::from_secs(6)), 0.0), None);
        assert_eq!(Backoff { tries: 99, ..backoff }.wait(70, None, 1.0), Some(Duration::from_secs(5)));
    }

    #[test]
    fn those_that_wait_together_spend_the_time_once() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let budget = Budget::new(second * 5);
        // Eight are throttled at once.
        assert!((0..8).all(|_| budget.spend_at(now, second * 3)));
        assert!(budget.spend_at(now + second, second * 3));
        assert!(!budget.spend_at(now + second * 10, second * 2));
        assert!(budget.spend_at(now + second * 10, second));
        assert!(!budget.spend_at(now, Duration::MAX));
    }
}
