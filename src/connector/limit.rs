//! A rate limit: requests leave one after another, evenly spaced.

use std::time::Duration;

use tokio::sync::Mutex;
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
        if self.gap.is_zero() {
            return;
        }
        let at = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = at.checked_add(self.gap);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}
