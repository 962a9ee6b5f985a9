//! A mapping as an earlier job file had it: whether a change is that of a rule is told by what the rule made before.

use super::expression::Bound;
use super::lookup::Lookups;
use super::mapping::{Mapped, Mapping, mapped};
use crate::snapshot::row::Cells;

/// The rule that an attribute had, held against the one that it has.
#[derive(Clone, Debug)]
enum Was {
    /// The same, or none at all.
    Same,
    /// Another, which can be asked about today's rows.
    Other(Bound, bool),
    /// Another, which reads what is not there any more.
    Gone,
}

/// The rules of an earlier mapping, by the positions of today's attributes.
#[derive(Clone, Debug, Default)]
pub struct EarlierRules {
    rules: Vec<Was>,
}

impl EarlierRules {
    /// Holds an earlier mapping against today's.
    pub fn bind(earlier: &Mapping, now: &Mapping, columns: &[String], lookups: &Lookups) -> Self {
        let was = |attribute: &String| match (earlier.rule(attribute), now.rule(attribute)) {
            (Some(then), Some(now)) if then != now => match earlier.bind_one(attribute, columns, lookups) {
                Some((rule, clears)) => Was::Other(rule, clears),
                None => Was::Gone,
            },
            _ => Was::Same,
        };
        Self { rules: now.attributes().iter().map(was).collect() }
    }

    /// Whether the earlier rule of an attribute, by its position, made of a row what `is_agreed` knows; also where nobody
    /// can tell any more what it would make.
    pub fn explains(&self, attribute: usize, row: &dyn Cells, is_agreed: impl FnOnce(&Mapped<'_>) -> bool) -> bool {
        match self.rules.get(attribute) {
            None | Some(Was::Same) => false,
            Some(Was::Gone) => true,
            Some(Was::Other(rule, clears)) => is_agreed(&mapped(rule.cell(row), *clears)),
        }
    }
}
