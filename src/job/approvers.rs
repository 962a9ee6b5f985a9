//! The approvers file that a job names.

use std::path::Path;

use chrono::TimeDelta;

use super::Job;
use crate::model::approvers::{Approvers, Zone};
use crate::model::review_terms::ReviewRules;

/// Reads an approvers file.
///
/// # Errors
/// A sentence for each line that cannot be used, or one on why the file cannot be read.
pub(super) fn read(file: &Path, zone: Zone) -> Result<Approvers, Vec<String>> {
    let text = std::fs::read_to_string(file).map_err(|error| vec![format!("cannot be read: {error}")])?;
    Approvers::parse(&text, zone).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

impl Job {
    /// What the job says about reviews, with its approvers as their file is now. `zone` is for times that name none.
    ///
    /// # Errors
    /// A sentence for each fault of the approvers file, with its name.
    pub fn review_rules(&self, zone: Zone) -> Result<ReviewRules, String> {
        let approvers = match &self.review.approvers {
            None => None,
            Some(file) => {
                let told = |faults: Vec<String>| {
                    let faults: Vec<_> = faults.iter().map(|fault| format!("{}: {fault}", file.display())).collect();
                    faults.join("\n")
                };
                Some((file.clone(), read(file, zone).map_err(told)?))
            }
        };
        let lasts = TimeDelta::from_std(self.review.expires).unwrap_or(TimeDelta::MAX);
        Ok(ReviewRules { terms: self.review.terms(), approvers, lasts })
    }
}
