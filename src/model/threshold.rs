//! Limits on how much may change, and the verdict on them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::explanation::Explanation;

/// A limit. Exceeded means strictly more than `count`, or strictly more than `percent` of the size before, whichever
/// comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The largest number allowed; `None` = no limit by number.
    pub count: Option<u64>,
    /// The largest share allowed, 0 to 100; `None` = no limit by share.
    pub percent: Option<f64>,
    /// The percent applies only where the size before is at least this.
    pub floor: u64,
}

impl Limit {
    /// The default floor below which a percent does not apply.
    pub const FLOOR: u64 = 50;

    /// What applies to a size of so many objects.
    ///
    /// `judge_percent` is false on the first run of a sync, when a share of nothing means nothing.
    pub fn bounds(self, size: u64, judge_percent: bool) -> impl Iterator<Item = Bound> {
        let percent = self.percent.filter(|_| judge_percent && size >= self.floor);
        self.count.map(Bound::Count).into_iter().chain(percent.map(Bound::Percent))
    }
}

/// One part of a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So many and no more.
    Count(u64),
    /// Such a share of the size before and no more, 0 to 100.
    Percent(f64),
}

impl Bound {
    /// The word for it in a threshold's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Count(_) => "count",
            Self::Percent(_) => "percent",
        }
    }

    /// The number of it.
    pub fn figure(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Percent(percent) => percent,
        }
    }

    /// Whether `figure` out of `size` is strictly more.
    pub fn is_exceeded(self, figure: u64, size: u64) -> bool {
        match self {
            Self::Count(count) => figure > count,
            Self::Percent(percent) => figure as f64 * 100.0 > percent * size as f64,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

/// A span of time that ends now, over which changes are counted. Written in its largest whole unit, a day as `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(pub Duration);

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let seconds = self.0.as_secs();
        let whole =
            |(unit, _): &&(u64, &str)| seconds.is_multiple_of(*unit) && seconds / unit > u64::from(*unit == 86_400);
        let (unit, letter) = UNITS.iter().find(whole).unwrap_or(&UNITS[3]);
        write!(f, "{}{letter}", seconds / unit)
    }
}

/// Another limit for small sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tier {
    /// It holds up to this size.
    pub up_to: u64,
    /// What holds then.
    pub limit: Limit,
}

/// A limit with the time over which it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// Changes within this time count, those that wait included; `None` = only what this run finds live.
    pub window: Option<Window>,
    /// What holds where no tier does.
    pub limit: Limit,
    /// Other limits for smaller sizes, the smallest first.
    pub tiers: Vec<Tier>,
}

impl Threshold {
    /// A plain limit for each run.
    pub fn of_run(limit: Limit) -> Self {
        Self { window: None, limit, tiers: Vec::new() }
    }

    /// What holds at a size.
    pub fn at(&self, size: u64) -> Limit {
        self.tiers.iter().find(|tier| size <= tier.up_to).map_or(self.limit, |tier| tier.limit)
    }

    /// The end of its name: `/7d`; nothing where it counts a run.
    pub fn suffix(&self) -> String {
        self.window.map_or_else(String::new, |window| format!("/{window}"))
    }
}

/// A threshold that tripped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// Its name, as a person accepts it: `vault.users/disable/percent`, `idp.users/deleted/count/7d`.
    pub name: String,
    /// The limit: a number of objects, or a percentage.
    pub limit: f64,
    /// How many objects or rows there are.
    pub figure: u64,
    /// The size before that a percent is taken of.
    pub size: u64,
    /// The first objects or rows concerned, by key.
    pub first: Vec<String>,
    /// What was there before, where it counts over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
    /// What they have in common; `None` where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

/// What a threshold over time counts of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The time that it counts over: `7d`.
    pub window: String,
    /// How much of the figure was applied, or accepted, before this run.
    pub figure: u64,
}

impl Excess {
    /// One sentence: the threshold, its limit and the figure.
    pub fn sentence(&self) -> String {
        let over = self.earlier.as_ref().map_or_else(String::new, |earlier| {
            let before =
                if earlier.figure == 0 { String::new() } else { format!(", {} before this run", earlier.figure) };
            format!(" over {}{before}", earlier.window)
        });
        if self.name.split('/').any(|part| part == "percent") {
            let share = if self.size == 0 { 100.0 } else { self.figure as f64 * 100.0 / self.size as f64 };
            let (figure, size, limit) = (self.figure, self.size, self.limit);
            format!("{}: {share:.1} % ({figure} of {size}){over}, the limit is {limit} %", self.name)
        } else {
            format!("{}: {}{over}, the limit is {}", self.name, self.figure, self.limit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_written_as_people_say_it() {
        let said =
            [90, 3_600, 86_400, 2 * 86_400, 7 * 86_400, 90_000].map(|s| Window(Duration::from_secs(s)).to_string());
        assert_eq!(said, ["90s", "1h", "24h", "2d", "7d", "25h"]);
    }

    #[test]
    fn the_first_tier_that_is_large_enough_holds() {
        let limit = |percent| Limit { count: None, percent: Some(percent), floor: 0 };
        let tiers = vec![Tier { up_to: 200, limit: limit(10.0) }, Tier { up_to: 10_000, limit: limit(2.0) }];
        let threshold = Threshold { window: None, limit: limit(0.5), tiers };
        let percents = [0, 200, 201, 10_000, 10_001].map(|size| threshold.at(size).percent);
        assert_eq!(percents, [Some(10.0), Some(10.0), Some(2.0), Some(2.0), Some(0.5)]);
    }
}
