//! Classification: what kind of account a source row is, and how sure that is.

use super::expression::{Bound, Expression};
use super::lookup::Lookups;
use super::problem::{RuleFailure, RuleProblem};
use crate::snapshot::row::Cells;

/// One rule; the first that holds decides.
#[derive(Clone, Debug)]
pub struct ClassRule {
    /// A condition on the source row.
    pub when: Expression,
    /// The class: `person`, `service`, `shared`, `privileged`.
    pub class: String,
    /// How sure it is, in percent, 1 to 100; below 100 a person confirms it.
    pub confidence: u8,
}

/// Rules whose columns have positions. Shared between threads.
#[derive(Clone, Debug, Default)]
pub struct Classifier {
    rules: Vec<(Bound, String, u8)>,
}

/// What a rule says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classified<'c> {
    /// The class.
    pub class: &'c str,
    /// How sure it is, in percent.
    pub confidence: u8,
    /// The rule's condition.
    pub rule: &'c str,
}

impl Classifier {
    /// Resolves the columns' positions in a header, and what its conditions look up.
    pub fn bind(rules: &[ClassRule], columns: &[String], lookups: &Lookups) -> Result<Self, RuleProblem> {
        let bound: Result<Vec<_>, RuleProblem> = rules
            .iter()
            .map(|rule| Ok((rule.when.bind_with(columns, lookups)?, rule.class.clone(), rule.confidence)))
            .collect();
        Ok(Self { rules: bound? })
    }

    /// The class of a row by the first rule that holds; `None` where none does.
    ///
    /// # Errors
    /// Where a rule before it cannot be judged.
    pub fn classify(&self, row: &dyn Cells) -> Result<Option<Classified<'_>>, RuleFailure> {
        for (when, class, confidence) in &self.rules {
            if when.holds(row)? {
                return Ok(Some(Classified { class, confidence: *confidence, rule: when.text() }));
            }
        }
        Ok(None)
    }

    /// Each rule with what it says of a row, in their order.
    pub fn explain(&self, row: &dyn Cells) -> Vec<(Classified<'_>, Result<bool, RuleFailure>)> {
        self.rules
            .iter()
            .map(|(when, class, confidence)| {
                (Classified { class, confidence: *confidence, rule: when.text() }, when.holds(row))
            })
            .collect()
    }
}
