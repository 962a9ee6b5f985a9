//! What a job asks of those who review it, and who may.

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::approvers::Approvers;

/// What a review takes. A run keeps the terms that it started under: a job file that is edited later can only ask for
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewTerms {
    /// Every approval is signed by one of the approvers.
    pub signed: bool,
    /// How many different people have to approve an order, or to accept a hold.
    pub reviewers: u32,
    /// Whoever started a run approves nothing of it.
    pub four_eyes: bool,
}

impl Default for ReviewTerms {
    fn default() -> Self {
        Self { signed: false, reviewers: 1, four_eyes: false }
    }
}

impl ReviewTerms {
    /// What both ask for.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            signed: self.signed || other.signed,
            reviewers: self.reviewers.max(other.reviewers),
            four_eyes: self.four_eyes || other.four_eyes,
        }
    }
}

/// What the job file says now about reviews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewRules {
    /// What it asks for.
    pub terms: ReviewTerms,
    /// The approvers file and who stands in it; `None` where the job names none.
    pub approvers: Option<(PathBuf, Approvers)>,
    /// How long an approval lasts.
    pub lasts: TimeDelta,
}

impl Default for ReviewRules {
    fn default() -> Self {
        Self { terms: ReviewTerms::default(), approvers: None, lasts: TimeDelta::hours(72) }
    }
}
