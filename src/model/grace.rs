//! The time between taking an object out of use and removing it for good.
//!
//! Time is counted from look to look, never taken from the wall clock alone: a clock that goes wrong in either direction
//! makes nothing due that would not be. It is a fact of the database, so that the same state and the same moment give
//! the same plan.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How far back the clock may step between two looks, as hosts and time servers differ, without being called wrong.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// How far the grace of one object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// When its disable was applied, or when it was first seen out of use and unwanted.
    pub since: DateTime<Utc>,
    /// How much of the grace is counted.
    pub counted: TimeDelta,
    /// Until when: the last look at it.
    pub seen: DateTime<Utc>,
    /// The latest that the clock ever was at a look.
    pub latest: DateTime<Utc>,
}

/// What the clock did since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It went on.
    Steady,
    /// So much time passed without a look that only half of the grace is counted for it, and nothing is due before
    /// another look: either no run looked, or the clock leapt.
    Leapt(TimeDelta),
    /// It went back by so much: it was wrong then, or is now, so that the grace begins anew.
    WentBack(TimeDelta),
}

/// A grace as it stands at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What is to be remembered.
    pub grace: Grace,
    /// Whether it is over.
    pub is_over: bool,
    /// What the clock did.
    pub pace: Pace,
}

impl Grace {
    /// One that begins.
    pub fn begun(at: DateTime<Utc>) -> Self {
        Self { since: at, counted: TimeDelta::zero(), seen: at, latest: at }
    }

    /// How it stands `now`, where it takes `whole` altogether.
    pub fn look(self, now: DateTime<Utc>, whole: Duration) -> Looked {
        let whole = delta(whole);
        let gap = now - self.seen;
        let is_over = |grace: Grace| grace.counted >= whole;
        let looked = |grace, is_over, pace| Looked { grace, is_over, pace };
        if gap < -SLACK {
            return looked(Self { latest: self.latest, ..Self::begun(now) }, false, Pace::WentBack(-gap));
        }
        if gap <= TimeDelta::zero() {
            return looked(self, is_over(self), Pace::Steady);
        }
        let on = Self { seen: now, latest: self.latest.max(now), ..self };
        // Back from where it had gone back from: the time of that was counted already.
        if self.seen < self.latest && now >= self.latest {
            return looked(on, is_over(on), Pace::Steady);
        }
        let most = whole / 2;
        if gap > most {
            let grace = Self { counted: self.counted + most, ..on };
            return looked(grace, is_over(self), Pace::Leapt(gap));
        }
        let grace = Self { counted: self.counted + gap, ..on };
        looked(grace, is_over(grace), Pace::Steady)
    }

    /// When it is over, as far as is known: with looks as often as there should be.
    pub fn due(self, whole: Duration) -> DateTime<Utc> {
        self.seen.checked_add_signed(delta(whole) - self.counted).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Whether enough was counted since `before` that it is worth writing down: what is not written is counted later.
    pub fn is_news(self, before: Self, whole: Duration) -> bool {
        let is_back = before.seen < before.latest && self.seen >= before.latest;
        is_back || self.since != before.since || self.counted - before.counted >= delta(whole) / 50
    }
}

fn delta(duration: Duration) -> TimeDelta {
    // A thousand years are for ever, and stay within what an instant can be.
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX).min(TimeDelta::days(365_000))
}

/// A time in words: `30 days`, `1 hour`.
pub fn in_words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = duration.as_secs();
    let (unit, noun) = UNITS.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or(UNITS[3]);
    super::numbers::counted(seconds / unit, noun)
}

/// About how long, in words, of the largest unit that there are two of: `40 days`, `5 hours`, `90 seconds`.
pub fn about(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds().unsigned_abs();
    let unit = [86_400, 3_600, 60].into_iter().find(|unit| seconds >= 2 * unit).unwrap_or(1);
    let number = ((seconds + unit / 2) / unit).max(1);
    let noun = match unit {
        86_400 => "day",
        3_600 => "hour",
        60 => "minute",
        _ => "second",
    };
    super::numbers::counted(number, noun)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Duration = Duration::from_secs(30 * 86_400);

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(1_000_000 + hours)
    }

    /// Looks at these hours; at which of them the grace is over.
    fn over(hours: &[i64]) -> Vec<bool> {
        let mut grace = Grace::begun(at(0));
        let look = |hour: &i64| {
            let looked = grace.look(at(*hour), WHOLE);
            grace = looked.grace;
            looked.is_over
        };
        hours.iter().map(look).collect()
    }

    #[test]
    fn a_grace_is_over_when_its_time_was_looked_at() {
        assert_eq!(over(&[240, 480, 719, 720]), [false, false, false, true]);
        assert_eq!(Grace::begun(at(0)).due(WHOLE), at(720));
        assert_eq!(over(&[720, 1440, 1441]), [false, false, true], "a job that seldom runs takes longer");
        assert_eq!(over(&[900_000, 24]), [false, false], "a leap that is taken back begins anew");
        assert_eq!(over(&[300, 700, 100, 719]), [false, false, false, false]);
        assert_eq!(over(&[700, -900_000, 720, 721]), [false; 4]);
        assert_eq!([in_words(WHOLE), in_words(Duration::from_secs(5_400))], ["30 days", "90 minutes"]);
        let spans =
            [40 * 86_400 + 40_000, 2 * 86_400 - 1, 5_400, 90, 3, 0].map(|seconds| about(TimeDelta::seconds(-seconds)));
        assert_eq!(spans, ["40 days", "48 hours", "90 minutes", "90 seconds", "3 seconds", "1 second"]);
        assert_eq!(Grace::begun(at(0)).due(Duration::MAX), at(0) + TimeDelta::days(365_000));
    }

    proptest! {
        /// The clock is wrong for a while, and right before and after: what is due is due by true time as well, but for
        /// half of the grace that a leap forward may pass for. One that had gone back leaps when it is right again.
        #[test]
        fn a_clock_that_is_wrong_makes_nothing_due_early(
            steps in proptest::collection::vec(1i64..200, 1..40), wrong in 0usize..30, looks in 1usize..10,
            by in prop_oneof![-2_000i64..2_000, -2_000_000i64..2_000_000],
        ) {
            let (mut grace, mut hour) = (Grace::begun(at(0)), 0);
            for (number, step) in steps.into_iter().enumerate() {
                hour += step;
                let is_wrong = (wrong..wrong + looks).contains(&number);
                let looked = grace.look(at(if is_wrong { hour + by } else { hour }), WHOLE);
                grace = looked.grace;
                let leap = match is_wrong {
                    true => by.clamp(0, 360),
                    false if number >= wrong + looks => (-by).clamp(0, 360),
                    false => 0,
                };
                prop_assert!(!looked.is_over || hour + leap >= 720, "over after {hour} hours");
            }
        }
    }
}
