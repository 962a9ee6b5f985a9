//! What servers say of how much they take, before they refuse: each vendor in headers of its own.

use std::time::Duration;

use super::answer::Answer;

/// No pause is longer: a count that ends later is told again by a refusal.
const LONGEST: Duration = Duration::from_secs(120);

/// How many requests are left, and when they are counted anew: the spellings of Okta, of GitHub and many others, and of
/// the drafts of the IETF before they became one header.
const COUNTS: &[(&str, &str)] = &[
    ("x-rate-limit-remaining", "x-rate-limit-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
];

/// Seconds up to this are a distance, above it a time since 1970.
const A_TIME: i64 = 1_000_000_000;

impl Answer {
    /// Whether it says that there were too many requests, or nearly.
    pub(super) fn is_too_much(&self) -> bool {
        self.status == 429
            || self.status == 503 && self.retry_after().is_some()
            // Microsoft Graph tells how much of its limit is used once that is more than 0.8.
            || self.header("x-ms-throttle-limit-percentage").and_then(|share| share.parse().ok()).is_some_and(|share: f64| share >= 1.0)
    }

    /// How long no request is worth sending, where it says that none is left.
    pub(super) fn pause(&self) -> Option<Duration> {
        let is_none_left = match self.counted_in_one() {
            Some((left, _)) => left == 0,
            None => COUNTS.iter().any(|(left, _)| self.header(left).is_some_and(|left| left.trim() == "0")),
        };
        self.until_reset().filter(|_| is_none_left).map(|wait| wait.min(LONGEST))
    }

    /// How long until requests are counted anew, where it says so.
    pub(super) fn until_reset(&self) -> Option<Duration> {
        if let Some((_, wait)) = self.counted_in_one() {
            return Some(Duration::from_secs(wait));
        }
        let told = COUNTS.iter().find_map(|(_, reset)| self.header(reset))?.trim().parse::<f64>().ok()?;
        let seconds = told.ceil() as i64;
        if seconds <= A_TIME {
            return u64::try_from(seconds).ok().map(Duration::from_secs);
        }
        let wait = seconds.checked_sub(self.date()?.timestamp())?;
        Some(Duration::from_secs(u64::try_from(wait).unwrap_or_default()))
    }

    /// `RateLimit: "default";r=50;t=30`: how many are left, and for how many seconds (draft-ietf-httpapi-ratelimit-headers).
    fn counted_in_one(&self) -> Option<(u64, u64)> {
        let parameters = self.header("ratelimit")?.split(';').map(str::trim);
        let number = |name: &str| {
            parameters.clone().find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
        };
        Some((number("r")?, number("t")?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let mut response = axum::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Answer::from_head(&mut response.body("").unwrap().into())
    }

    #[test]
    fn the_count_of_each_vendor_is_understood() {
        let date = ("date", "Sun, 29 Nov 2026 12:00:00 GMT");
        let at = "1795953630";
        for (headers, wait) in [
            (vec![date, ("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", at)], Some(30)),
            (vec![date, ("x-rate-limit-remaining", "3"), ("x-rate-limit-reset", at)], None),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7")], Some(7)),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "100000")], Some(120)),
            (vec![("ratelimit", "\"default\";r=0;t=12")], Some(12)),
            (vec![("ratelimit", "\"default\";r=1;t=12")], None),
            // Without the server's own time a time says nothing.
            (vec![("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", at)], None),
            (vec![("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "soon")], None),
        ] {
            assert_eq!(answer(200, &headers).pause(), wait.map(Duration::from_secs), "{headers:?}");
        }
        let refused = answer(429, &[date, ("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", at)]);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(30)));
        assert!(answer(200, &[("x-ms-throttle-limit-percentage", "1.2")]).is_too_much());
        assert!(!answer(200, &[("x-ms-throttle-limit-percentage", "0.9")]).is_too_much());
    }
}
