//! How old folders are, as the runs of their job count it: a clock that leaps makes nothing old.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The moments at which a job's runs started, up to now.
pub(super) struct Ages {
    /// Sorted; the last is now.
    moments: Vec<DateTime<Utc>>,
    /// How much is counted from each moment until now.
    counted: Vec<TimeDelta>,
    /// The longest time without a run that is counted whole.
    most: TimeDelta,
}

impl Ages {
    /// Of a time between two runs that is longer than half of `keep`, half of `keep` is counted: no run was made in it, or
    /// the clock leapt, which looks the same.
    pub(super) fn of(starts: impl Iterator<Item = DateTime<Utc>>, now: DateTime<Utc>, keep: Duration) -> Self {
        let mut moments: Vec<_> = starts.filter(|start| *start <= now).chain([now]).collect();
        moments.sort_unstable();
        moments.dedup();
        let most = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX) / 2;
        let mut counted = vec![TimeDelta::zero(); moments.len()];
        for at in (1..moments.len()).rev() {
            counted[at - 1] = counted[at] + (moments[at] - moments[at - 1]).min(most);
        }
        Self { moments, counted, most }
    }

    /// How old that is which a run made that started then. What is of the future has no age.
    pub(super) fn age(&self, start: DateTime<Utc>) -> TimeDelta {
        self.moments.binary_search(&start).map_or(TimeDelta::zero(), |at| self.counted[at])
    }

    /// The longest time since then of which only a part is counted: its ends.
    pub(super) fn gap(&self, start: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let since = self.moments.windows(2).filter(|pair| pair[0] >= start && pair[1] - pair[0] > self.most);
        since.map(|pair| (pair[0], pair[1])).max_by_key(|(from, to)| *to - *from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(day)
    }

    fn aged(starts: &[i64], now: i64, of: i64) -> i64 {
        let keep = Duration::from_secs(14 * 86_400);
        Ages::of(starts.iter().map(|at| day(*at)), day(now), keep).age(day(of)).num_days()
    }

    #[test]
    fn a_time_without_runs_counts_for_half_of_what_is_kept_at_most() {
        assert_eq!(aged(&[0, 5, 10, 15], 20, 0), 20, "runs went on");
        assert_eq!(aged(&[0, 1], 366, 0), 8, "the clock leapt by a year after a day");
        assert_eq!(aged(&[0, 1, 366, 367], 372, 0), 14, "runs went on under the clock that leapt");
        assert_eq!(aged(&[0, 1, 366], 2, 0), 2, "it was set right: the future counts for nothing");
        assert_eq!(aged(&[0, 1, 366], 2, 366), 0);
        assert_eq!(aged(&[0, 30, 60], 90, 0), 21, "a job that runs once a month");
    }

    #[test]
    fn the_longest_time_that_is_not_counted_whole_is_known() {
        let ages = Ages::of([0, 1, 20].map(day).into_iter(), day(200), Duration::from_secs(14 * 86_400));
        assert_eq!(ages.gap(day(0)), Some((day(20), day(200))));
        assert_eq!(Ages::of([0, 1].map(day).into_iter(), day(5), Duration::from_secs(864_000)).gap(day(0)), None);
    }
}
