//! Limits on how much may change, and the verdict on them.

use serde::{Deserialize, Serialize};

use super::explanation::Explanation;

/// A limit. Exceeded means strictly more than `count`, or strictly more than `percent` of the size before, whichever
/// comes first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

    /// No limit at all (`off` in the job file).
    pub const OFF: Limit = Limit { count: None, percent: None, floor: Self::FLOOR };

    /// The names of the parts (`count`, `percent`) that `figure` out of `size` exceeds, with the limit of each.
    ///
    /// `judge_percent` is false on the first run of a sync, when a share of nothing means nothing.
    pub fn exceeded(&self, figure: u64, size: u64, judge_percent: bool) -> Vec<(&'static str, f64)> {
        let mut parts = Vec::new();
        if let Some(count) = self.count
            && figure > count
        {
            parts.push(("count", count as f64));
        }
        if let Some(percent) = self.percent
            && judge_percent
            && size >= self.floor
            && figure as f64 * 100.0 > percent * size as f64
        {
            parts.push(("percent", percent));
        }
        parts
    }
}

/// A threshold that tripped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excess {
    /// Its name, as a person accepts it: `vault.users/disable/percent`, `idp.users/deleted/count`.
    pub name: String,
    /// The limit: a number of objects, or a percentage.
    pub limit: f64,
    /// How many objects or rows there are.
    pub figure: u64,
    /// The size before that a percent is taken of.
    pub size: u64,
    /// The first objects or rows concerned, by key.
    pub first: Vec<String>,
    /// What they have in common; `None` where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
}

impl Excess {
    /// One sentence: the threshold, its limit and the figure.
    pub fn sentence(&self) -> String {
        if self.name.ends_with("/percent") {
            let share = if self.size == 0 { 100.0 } else { self.figure as f64 * 100.0 / self.size as f64 };
            format!("{}: {share:.1} % ({} of {}), the limit is {} %", self.name, self.figure, self.size, self.limit)
        } else {
            format!("{}: {}, the limit is {}", self.name, self.figure, self.limit)
        }
    }
}
