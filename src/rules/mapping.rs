//! Mapping: a rule for each target attribute.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::expression::{Bound, Expression};
use super::lookup::{Lookup, Lookups};
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

    /// What the rules look up in other snapshots.
    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        self.rules.iter().flat_map(|rule| rule.expression.lookups()).map(|placed| &placed.lookup)
    }

    /// The attributes whose rules read a source column.
    pub fn readers(&self, column: &str) -> Vec<&str> {
        let rules = self.attributes.iter().zip(&self.rules);
        let reads = |rule: &Rule| rule.expression.columns().iter().any(|read| *read == column);
        rules.filter(|(_, rule)| reads(rule)).map(|(attribute, _)| attribute.as_str()).collect()
    }

    /// The rule's text for an attribute.
    pub fn rule(&self, attribute: &str) -> Option<&str> {
        let position = self.attributes.binary_search_by(|name| name.as_str().cmp(attribute)).ok()?;
        self.rules.get(position).map(|rule| rule.expression.text())
    }

    /// The rule of one attribute alone, and whether an empty result clears it; `None` where it reads what is not there.
    pub(super) fn bind_one(&self, attribute: &str, columns: &[String], lookups: &Lookups) -> Option<(Bound, bool)> {
        let position = self.attributes.binary_search_by(|name| name.as_str().cmp(attribute)).ok()?;
        let rule = self.rules.get(position)?;
        Some((rule.expression.bind_with(columns, lookups).ok()?, rule.clears))
    }

    /// Resolves the source columns' positions in a header; reports every rule that names an unknown column.
    pub fn bind(&self, columns: &[String], lookups: &Lookups) -> Result<BoundMapping, Vec<RuleProblem>> {
        let mut rules = Vec::with_capacity(self.rules.len());
        let mut problems = Vec::new();
        for (attribute, rule) in self.attributes.iter().zip(&self.rules) {
            match rule.expression.bind_with(columns, lookups) {
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
    /// Maps one row: one entry an attribute, in the order of [`Mapping::attributes`].
    pub fn values<'r>(&'r self, row: &'r dyn Cells) -> impl Iterator<Item = Mapped<'r>> {
        self.rules.iter().map(|(rule, clears)| mapped(rule.cell(row), *clears))
    }

    /// The same for one attribute alone, by its position.
    pub fn value<'r>(&'r self, attribute: usize, row: &'r dyn Cells) -> Mapped<'r> {
        self.rules.get(attribute).map_or(Mapped::Nothing, |(rule, clears)| mapped(rule.cell(row), *clears))
    }

    /// Whether an attribute's rule looks anything up in another snapshot.
    pub fn looks_up(&self, attribute: usize) -> bool {
        self.rules.get(attribute).is_some_and(|(rule, _)| rule.looks_up())
    }

    /// What an attribute's rule reads of a row and looks up for it, for explanations.
    pub fn inputs(&self, attribute: usize, row: &dyn Cells) -> Vec<(String, String)> {
        self.rules.get(attribute).map_or_else(Vec::new, |(rule, _)| rule.inputs(row))
    }
}

/// What a rule's yield says; `clears`: an empty one clears the attribute.
pub(super) fn mapped(yielded: Result<Cow<'_, str>, RuleFailure>, clears: bool) -> Mapped<'_> {
    match yielded {
        Ok(cell) if cell.is_empty() || cell == "[]" => {
            if clears {
                Mapped::Clear
            } else {
                Mapped::Nothing
            }
        }
        Ok(cell) => Mapped::Set(cell),
        Err(failure) => Mapped::Failed(failure),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::scope::Scope;

    const HEADER: [&str; 5] = ["email", "enabled", "groups", "title", "unread"];

    fn mapping() -> Mapping {
        let rules = [
            ("active", "enabled"),
            ("emails", "[email]"),
            ("roles", "groups.filter(g, g != title)"),
            ("title", "title"),
            ("userName", "email.lowerAscii().ascii()"),
        ];
        let rules = rules.into_iter().map(|(attribute, rule)| (attribute.to_owned(), rule.to_owned())).collect();
        Mapping::compile(&rules, &["title".to_owned()].into()).unwrap()
    }

    #[test]
    fn an_empty_result_leaves_or_clears_and_a_failure_is_told() {
        let rules = [("a".to_owned(), "enabled ? email : title".to_owned()), ("b".to_owned(), "title".to_owned())];
        let mapping = Mapping::compile(&rules.into(), &["b".to_owned()].into()).unwrap();
        let bound = mapping.bind(&HEADER.map(str::to_owned), &Lookups::default()).unwrap();
        let row = ["j@x", "", "", "", ""].map(str::to_owned).to_vec();
        assert!(bound.values(&row).eq([Mapped::Nothing, Mapped::Clear]));
        let row = ["j@x", "perhaps", "", "CEO", ""].map(str::to_owned).to_vec();
        let out: Vec<Mapped<'_>> = bound.values(&row).collect();
        let Mapped::Failed(failure) = &out[0] else { panic!("{out:?}") };
        assert_eq!(
            failure.to_string(),
            "the rule `enabled ? email : title` failed: column `enabled` holds `perhaps`, which is neither true nor \
             false (email = `j@x`, enabled = `perhaps`, title = `CEO`)"
        );
        assert_eq!(out[1], Mapped::Set("CEO".into()));
    }

    proptest! {
        /// What a row maps to, and whether it is in scope, depends on the cells that the rules name: not on the order
        /// of columns, not on columns that no rule reads, not on other rows.
        #[test]
        fn mapping_and_scope_depend_on_the_row_alone(
            cells in proptest::array::uniform5("[a-zA-Zé@ ]{0,6}|true|FALSE|\\[\"a\",\"b\"\\]"),
            other in "[a-z]{0,4}",
            order in Just([0_usize, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let mapping = mapping();
            let scope = Scope::compile(&["enabled && title != ''".to_owned(), "'a' in groups".to_owned()]).unwrap();
            let header = HEADER.map(str::to_owned).to_vec();
            let row = cells.to_vec();
            let moved_header: Vec<String> = order.iter().map(|column| header[*column].clone()).collect();
            let mut moved = row.clone();
            moved[4] = other;
            let moved: Vec<String> = order.iter().map(|column| moved[*column].clone()).collect();

            let none = Lookups::default();
            let (bound, moved_bound) = (mapping.bind(&header, &none).unwrap(), mapping.bind(&moved_header, &none).unwrap());
            prop_assert!(bound.values(&row).eq(moved_bound.values(&moved)));
            let (scope, moved_scope) = (scope.bind(&header).unwrap(), scope.bind(&moved_header).unwrap());
            prop_assert_eq!(scope.admits(&row), moved_scope.admits(&moved));
        }
    }
}
