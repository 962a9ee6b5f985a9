//! Match rules: how a source row finds its target object.

use super::expression::{Bound, Expression};
use super::lookup::Lookups;
use super::problem::{RuleProblem, did_you_mean};

/// One match rule: the source expression's value equals the target column's.
#[derive(Clone, Debug)]
pub struct MatchRule {
    /// What the source row yields.
    pub source: Expression,
    /// The target's column.
    pub target: String,
    /// How sure a match by this rule is, in percent, 1 to 100; below 100 a person confirms it. In a tier: its weight.
    pub confidence: u8,
    /// The tier whose rules weigh together, neighbours with the same number; `None`: it decides alone.
    pub tier: Option<u16>,
}

impl MatchRule {
    /// Compiles a match rule.
    pub fn compile(source: &str, target: &str, confidence: u8) -> Result<Self, RuleProblem> {
        let source = Expression::compile(source)?;
        if target.is_empty() {
            return Err(RuleProblem::new(source.text(), 0, "the match rule names no target column"));
        }
        if !(1..=100).contains(&confidence) {
            let message = format!("a confidence is 1 to 100 percent, not {confidence}");
            return Err(RuleProblem::new(source.text(), 0, message));
        }
        Ok(Self { source, target: target.to_owned(), confidence, tier: None })
    }

    /// Resolves the positions of the columns on both sides.
    pub fn bind(&self, source: &[String], target: &[String], lookups: &Lookups) -> Result<BoundMatch, RuleProblem> {
        let position = target.iter().position(|column| *column == self.target).ok_or_else(|| {
            let near = did_you_mean(&self.target, target.iter().map(String::as_str));
            let message = format!("the target has no column `{}` to match by{near}", self.target);
            RuleProblem::new(self.source.text(), 0, message)
        })?;
        Ok(BoundMatch {
            source: self.source.bind_with(source, lookups)?,
            target: position,
            confidence: self.confidence,
        })
    }
}

/// A match rule whose columns have positions.
#[derive(Clone, Debug)]
pub struct BoundMatch {
    /// What the source row yields.
    pub source: Bound,
    /// The position of the target's column.
    pub target: usize,
    /// How sure a match by this rule is, in percent.
    pub confidence: u8,
}
