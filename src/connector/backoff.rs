//! How long to wait before something is tried again.

use std::sync::Mutex;
use std::time::Duration;

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

/// How much waiting is left for a whole run.
#[derive(Debug)]
pub struct Budget {
    left: Mutex<Duration>,
}

impl Budget {
    /// A budget of so much waiting.
    pub fn new(budget: Duration) -> Self {
        Self { left: Mutex::new(budget) }
    }

    /// Takes a wait off the budget; false where it is not covered any more.
    pub fn spend(&self, wait: Duration) -> bool {
        let mut left = self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match left.checked_sub(wait) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        }
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
    fn a_budget_ends() {
        let budget = Budget::new(Duration::from_secs(3));
        assert!(budget.spend(Duration::from_secs(2)));
        assert!(!budget.spend(Duration::from_secs(2)));
        assert!(budget.spend(Duration::from_secs(1)));
    }
}
