//! What should be: rules turn one source row into what the target should hold. Pure: the same row gives the same result.
//!
//! A rule is a bare column name (the fast path), a quoted constant, or an expression of the Common Expression Language
//! (<https://github.com/google/cel-spec/blob/master/doc/langdef.md>). In an expression:
//!
//! - `email` and `name.givenName` are columns; `row["weird name"]` is a column with any name.
//! - A cell is text. An absent (empty) cell is `""`; `has(name.givenName)` and `x == null` ask for absence.
//! - Where a truth value is needed (`enabled && …`, `!enabled`, `enabled ? … : …`, `enabled == true`) the cell is read
//!   as one: `true` or `false` in any case, absent counts as false, anything else fails the rule for this row.
//!   Elsewhere the same column is text, so that `enabled == 'true'` compares text.
//! - Where a list is needed (`'x' in groups`, `groups[0]`, `groups.exists(g, …)`, `groups.join(',')`) a JSON array cell
//!   is its elements, any other text a list of one, an absent cell the empty list.
//! - Numbers and times are asked for: `int(employeeNumber) > 100`, `timestamp(hired) < timestamp('2026-01-01T00:00:00Z')`.
//!   Comparing a column with a bare number is refused when the rule is compiled, because it could never hold.
//! - `lookup("hr.people", "employeeNumber", boss, "mail")` is what another snapshot of the job holds: `mail` in the row
//!   whose `employeeNumber` is this row's `boss`. No such row, or nothing in it, is absent; rows that differ fail the rule.

mod cells;
pub mod classes;
mod constant;
mod dates;
pub mod earlier;
mod engine;
pub mod expression;
mod failure_words;
mod functions;
pub mod grants;
pub mod lookup;
pub mod mapping;
pub mod matching;
mod outcome;
pub mod problem;
mod rewrite;
pub mod scope;

pub(crate) use outcome::shortened;

use std::collections::BTreeMap;

use mapping::Mapping;
use matching::MatchRule;
use scope::Scope;

/// The rules of one sync of objects.
#[derive(Clone, Debug)]
pub struct ObjectRules {
    /// Which source rows take part.
    pub scope: Scope,
    /// What the target's attributes should hold.
    pub mapping: Mapping,
    /// How a source row finds its target object, the surest rule first as the job lists them.
    pub matching: Vec<MatchRule>,
    /// The line of the job file on which each target attribute is mapped, for messages.
    pub lines: BTreeMap<String, usize>,
    /// Target attributes without which an object is `incomplete`.
    pub required: Vec<String>,
    /// Target attributes whose value no two objects may share.
    pub unique: Vec<String>,
}

impl ObjectRules {
    /// The source columns that scope, mapping and matching read.
    pub fn columns(&self) -> Vec<String> {
        let matching = self.matching.iter().flat_map(|rule| rule.source.columns());
        self.mapping.columns().into_iter().chain(self.scope.columns()).chain(matching).collect()
    }
}
