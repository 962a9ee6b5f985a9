//! Mapping: a rule for each target attribute.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Bound, Expression};
use super::problem::{RuleFailure, RuleProblem};
use crate::snapshot::row::Cells;

/// Compiled rules by target attribute.
#[derive(Clone, Debug)]
pub struct Mapping {
    attributes: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    expression: Expression,
    /// An empty result clears the attribute.
    clears: bool,
}

impl Mapping {
    /// Compiles the rules (target attribute → rule). `clear` names the attributes that an empty result clears.
    pub fn compile(rules: &BTreeMap<String, String>, clear: &BTreeSet<String>) -> Result<Self, Vec<RuleProblem>> {
        let mut mapping = Self { attributes: Vec::new(), rules: Vec::new() };
        let mut problems = Vec::new();
        for (attribute, text) in rules {
            match Expression::compile(text) {
                Ok(expression) => {
                    mapping.attributes.push(attribute.clone());
                    mapping.rules.push(Rule { expression, clears: clear.contains(attribute) });
                }
                Err(problem) => problems.push(for_attribute(attribute, problem)),
            }
        }
        if problems.is_empty() { Ok(mapping) } else { Err(problems) }
    }

    /// The mapped target attributes, sorted.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// The source columns that the rules read, sorted.
    pub fn columns(&self) -> Vec<String> {
        let columns: BTreeSet<String> = self.rules.iter().flat_map(|rule| rule.expression.columns()).collect();
        columns.into_iter().collect()
    }

    /// The rule's text for an attribute.
    pub fn rule(&self, attribute: &str) -> Option<&str> {
        let position = self.attributes.binary_search_by(|name| name.as_str().cmp(attribute)).ok()?;
        self.rules.get(position).map(|rule| rule.expression.text())
    }

    /// Resolves the source columns' positions in a header; reports every rule that names an unknown column.
    pub fn bind(&self, columns: &[String]) -> Result<BoundMapping, Vec<RuleProblem>> {
        let mut rules = Vec::with_capacity(self.rules.len());
        let mut problems = Vec::new();
        for (attribute, rule) in self.attributes.iter().zip(&self.rules) {
            match rule.expression.bind(columns) {
                Ok(bound) => rules.push((bound, rule.clears)),
                Err(problem) => problems.push(for_attribute(attribute, problem)),
            }
        }
        if problems.is_empty() { Ok(BoundMapping { rules }) } else { Err(problems) }
    }
}

fn for_attribute(attribute: &str, problem: RuleProblem) -> RuleProblem {
    RuleProblem { message: format!("the rule of attribute `{attribute}`: {}", problem.message), ..problem }
}

/// What one rule says about one attribute of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped<'r> {
    /// The attribute should hold this; the canonical text of a snapshot cell, never empty.
    Set(Cow<'r, str>),
    /// The rule yields nothing: the attribute stays as it is.
    Nothing,
    /// The rule yields nothing, and the job says that this clears the attribute.
    Clear,
    /// The rule failed for this row.
    Failed(RuleFailure),
}

/// A mapping whose columns have positions. Shared between threads.
#[derive(Clone, Debug)]
pub struct BoundMapping {
    rules: Vec<(Bound, bool)>,
}

impl BoundMapping {
    /// Maps one row: one entry an attribute, in the order of [`Mapping::attributes`]. `out` is emptied first.
    pub fn map<'r>(&'r self, row: &'r dyn Cells, out: &mut Vec<Mapped<'r>>) {
        out.clear();
        out.extend(self.rules.iter().map(|(rule, clears)| match rule.cell(row) {
            Ok(cell) if cell.is_empty() || cell == "[]" => {
                if *clears {
                    Mapped::Clear
                } else {
                    Mapped::Nothing
                }
            }
            Ok(cell) => Mapped::Set(cell),
            Err(failure) => Mapped::Failed(failure),
        }));
    }

    /// The columns that an attribute's rule reads with their cells in a row, for explanations.
    pub fn inputs(&self, attribute: usize, row: &dyn Cells) -> Vec<(String, String)> {
        self.rules.get(attribute).map_or_else(Vec::new, |(rule, _)| rule.inputs(row))
    }
}
