//! Scope: which source rows take part. Alternatives; the clauses inside one all hold.

use std::collections::BTreeSet;

use super::expression::{Bound, Expression};
use super::lookup::{Lookups, PlacedLookup};
use super::problem::{RuleFailure, RuleProblem};
use crate::snapshot::row::Cells;

/// Compiled scope conditions. None at all admits every row.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    alternatives: Vec<Alternative<Expression>>,
}

#[derive(Clone, Debug)]
struct Alternative<C> {
    text: String,
    clauses: Vec<C>,
}

impl Scope {
    /// Compiles the alternatives; a row is in scope where any of them holds.
    pub fn compile(texts: &[String]) -> Result<Self, Vec<RuleProblem>> {
        let mut alternatives = Vec::new();
        let mut problems = Vec::new();
        for text in texts {
            match alternative(text) {
                Ok(alternative) => alternatives.push(alternative),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { alternatives }) } else { Err(problems) }
    }

    /// The source columns that the conditions read, sorted.
    pub fn columns(&self) -> Vec<String> {
        let columns: BTreeSet<String> =
            self.alternatives.iter().flat_map(|one| &one.clauses).flat_map(Expression::columns).collect();
        columns.into_iter().collect()
    }

    /// What the conditions look up in other snapshots.
    pub fn lookups(&self) -> impl Iterator<Item = &PlacedLookup> {
        self.alternatives.iter().flat_map(|one| &one.clauses).flat_map(Expression::lookups)
    }

    /// Resolves the columns' positions in a header; reports every condition that names an unknown column. For
    /// conditions that look nothing up in other snapshots.
    pub fn bind(&self, columns: &[String]) -> Result<BoundScope, Vec<RuleProblem>> {
        self.bind_with(columns, &Lookups::default())
    }

    /// The same for any conditions.
    pub fn bind_with(&self, columns: &[String], lookups: &Lookups) -> Result<BoundScope, Vec<RuleProblem>> {
        let mut problems = Vec::new();
        let mut alternatives = Vec::new();
        for one in &self.alternatives {
            let mut clauses = Vec::new();
            for clause in &one.clauses {
                match clause.bind_with(columns, lookups) {
                    Ok(bound) => clauses.push(bound),
                    Err(problem) => problems.push(RuleProblem {
                        message: format!("the scope `{}`: {}", one.text, problem.message),
                        ..problem
                    }),
                }
            }
            alternatives.push(Alternative { text: one.text.clone(), clauses });
        }
        if problems.is_empty() { Ok(BoundScope { alternatives }) } else { Err(problems) }
    }
}

fn alternative(text: &str) -> Result<Alternative<Expression>, RuleProblem> {
    // The whole is compiled first, so that a syntax error is told of the text that the person wrote.
    Expression::condition(text)?;
    let mut clauses = Vec::new();
    for (offset, clause) in clauses_of(text) {
        let compiled = Expression::condition(clause).map_err(|problem| RuleProblem {
            offset: problem.offset + offset,
            rule: text.to_owned(),
            ..problem
        })?;
        clauses.push(compiled);
    }
    Ok(Alternative { text: text.trim().to_owned(), clauses })
}

/// Splits a condition at the `&&` that stand outside every bracket and text, where nothing binds weaker than they do.
fn clauses_of(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut start, mut at) = (0_i32, None, 0, 0);
    let mut clauses = Vec::new();
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, b'?') if depth == 0 => return vec![(0, text)],
            (None, b'|') if depth == 0 && bytes.get(at + 1) == Some(&b'|') => return vec![(0, text)],
            (None, b'&') if depth == 0 && bytes.get(at + 1) == Some(&b'&') => {
                clauses.push((start, text.get(start..at).unwrap_or_default()));
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    clauses.push((start, text.get(start..).unwrap_or_default()));
    clauses
}

/// What one alternative says of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The alternative's text.
    pub alternative: String,
    /// Whether it admits the row.
    pub admits: bool,
    /// The clauses that do not hold, in order.
    pub failing: Vec<FailingClause>,
}

/// A clause that does not hold for a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingClause {
    /// The clause's text.
    pub clause: String,
    /// The columns that it reads with their cells in the row.
    pub inputs: Vec<(String, String)>,
    /// Set where the clause could not be judged.
    pub failure: Option<RuleFailure>,
}

/// A scope whose columns have positions. Shared between threads.
#[derive(Clone, Debug)]
pub struct BoundScope {
    alternatives: Vec<Alternative<Bound>>,
}

impl BoundScope {
    /// Whether a row is in scope.
    ///
    /// As in the expression language, an alternative with a clause that cannot be judged is still false where another
    /// clause is, and does not matter where another alternative holds; otherwise the failure is returned.
    pub fn admits(&self, row: &dyn Cells) -> Result<bool, RuleFailure> {
        let mut failed = None;
        for one in &self.alternatives {
            match holds(one, row) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(self.alternatives.is_empty()), Err)
    }

    /// What each alternative says of a row, with the clauses that do not hold.
    pub fn explain(&self, row: &dyn Cells) -> Vec<Verdict> {
        self.alternatives
            .iter()
            .map(|one| {
                let failing: Vec<FailingClause> = one
                    .clauses
                    .iter()
                    .filter_map(|clause| {
                        let failure = match clause.holds(row) {
                            Ok(true) => return None,
                            Ok(false) => None,
                            Err(failure) => Some(failure),
                        };
                        Some(FailingClause { clause: clause.text().to_owned(), inputs: clause.inputs(row), failure })
                    })
                    .collect();
                Verdict { alternative: one.text.clone(), admits: failing.is_empty(), failing }
            })
            .collect()
    }
}

fn holds(alternative: &Alternative<Bound>, row: &dyn Cells) -> Result<bool, RuleFailure> {
    let mut failed = None;
    for clause in &alternative.clauses {
        match clause.holds(row) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(true), Err)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scope(texts: &[&str]) -> BoundScope {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let columns = ["enabled", "department", "title"].map(str::to_owned);
        Scope::compile(&texts).unwrap().bind(&columns).unwrap()
    }

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn alternatives_admit_and_the_failing_clause_is_named() {
        let scope = scope(&["enabled && department != 'R && D'", "title == 'Vault admin'"]);
        assert_eq!(scope.admits(&row(["true", "Sales", ""])), Ok(true));
        assert_eq!(scope.admits(&row(["FALSE", "Sales", "Vault admin"])), Ok(true));
        assert_eq!(scope.admits(&row(["true", "R && D", ""])), Ok(false));
        let verdicts = scope.explain(&row(["true", "R && D", ""]));
        assert_eq!(verdicts.len(), 2);
        assert_eq!(verdicts[0].failing.len(), 1);
        assert_eq!(verdicts[0].failing[0].clause, "department != 'R && D'");
        assert_eq!(verdicts[0].failing[0].inputs, [("department".to_owned(), "R && D".to_owned())]);
    }

    #[test]
    fn a_clause_that_cannot_be_judged_fails_unless_it_does_not_matter() {
        let scope = scope(&["enabled && department == 'Sales'"]);
        assert!(scope.admits(&row(["maybe", "Sales", ""])).is_err());
        assert_eq!(scope.admits(&row(["maybe", "Legal", ""])), Ok(false));
    }

    #[test]
    fn no_condition_admits_all() {
        assert_eq!(scope(&[]).admits(&row(["", "", ""])), Ok(true));
    }
}
