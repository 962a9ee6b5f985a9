//! Why an order is wanted, as far as that can change while its content stays the same. A rejection holds for what the
//! reviewer saw: an account that was to go because its row was lost may be to go for another reason one day, and a person
//! is asked again.
//!
//! It is a word, with a digest of what the rules read where they were asked: what no rule reads changes nothing.

use super::ends::{EndState, EndTable};
use crate::model::digest::Digest;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::Cells;

/// Its source row is gone.
pub(crate) const ORPHAN: &str = "orphan";

/// The scope leaves its row out: by these clauses, which read these values.
pub(crate) fn of_scope(scope: &BoundScope, row: &dyn Cells) -> String {
    let failing = scope.explain(row).into_iter().flat_map(|verdict| verdict.failing);
    with("out-of-scope", failing.flat_map(|clause| told(&clause.clause, clause.inputs)))
}

/// The scope admits its row, which is in none of the groups that assign.
pub(crate) fn of_groups(assigned: &[String]) -> String {
    with("unassigned", assigned.iter().cloned())
}

/// The rule of an attribute says so of its row, by these values.
pub(crate) fn of_rule(rule: &str, inputs: Vec<(String, String)>) -> String {
    with("row", told(rule, inputs))
}

/// An association's row is to go: the source lacks it, or these ends of it are not wanted any more.
pub(crate) fn of_ends(tables: [&EndTable<'_>; 2], numbers: [u32; 2]) -> String {
    let word = |end: usize| match tables[end].states[numbers[end] as usize] {
        EndState::Unwanted(_) | EndState::Leaving(_) if numbers[end] as usize >= tables[end].source.len() => "orphan",
        EndState::Unwanted(_) | EndState::Leaving(_) => "out-of-scope",
        _ => "",
    };
    match [word(0), word(1)] {
        ["", ""] => String::new(),
        [first, second] => [first, " → ", second].concat(),
    }
}

fn told(rule: &str, inputs: Vec<(String, String)>) -> impl Iterator<Item = String> + use<> {
    std::iter::once(rule.to_owned()).chain(inputs.into_iter().flat_map(|(column, cell)| [column, cell]))
}

fn with(word: &str, parts: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    // What stands before each part says where it ends.
    parts.for_each(|part| text.push_str(&format!("{}:{part}", part.len())));
    format!("{word} {}", Digest::of(text.as_bytes()).short())
}
