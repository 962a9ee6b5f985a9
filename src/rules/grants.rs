//! Value tables: which names an attribute gets, by conditions on the source row. Roles, organizations, permissions.

use super::expression::{Bound, Expression};
use super::lookup::Lookups;
use super::problem::{RuleFailure, RuleProblem};
use crate::model::resource::ResourceName;
use crate::snapshot::row::Cells;

/// What counts where several rows of a table fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// The first of them.
    First,
    /// All of them.
    All,
}

/// One row of a table.
#[derive(Clone, Debug)]
pub struct Grant {
    /// A condition on the source row.
    pub when: Expression,
    /// The name that the attribute gets.
    pub value: String,
    /// The row's line of the job file, from 1.
    pub line: usize,
}

/// A resource type whose objects are what may be given.
#[derive(Clone, Debug)]
pub struct Among {
    /// The resource type, at the target.
    pub resource: ResourceName,
    /// The column with their names; `None`: what such objects are called, else their key.
    pub by: Option<String>,
}

/// A table for one target attribute.
#[derive(Clone, Debug)]
pub struct ValueTable {
    /// The target attribute.
    pub attribute: String,
    /// What counts where several rows fit.
    pub precedence: Precedence,
    /// The target's own list of what may be given; `None`: its schema tells, or nobody.
    pub among: Option<Among>,
    /// The rows, in the order of the job file.
    pub rows: Vec<Grant>,
}

impl ValueTable {
    /// The table as one rule of the mapping.
    pub fn rule(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        match self.precedence {
            Precedence::First => {
                let rows = self.rows.iter().map(|row| format!("({}) ? {} : ", row.when.text(), quoted(&row.value)));
                rows.chain(["''".to_owned()]).collect()
            }
            Precedence::All => {
                let rows = self.rows.iter().map(|row| format!("({}) ? {} : ''", row.when.text(), quoted(&row.value)));
                format!("[{}].distinct()", rows.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// Resolves the columns' positions in a header, and what its conditions look up.
    pub fn bind(&self, columns: &[String], lookups: &Lookups) -> Result<BoundTable, RuleProblem> {
        let rows: Result<Vec<Bound>, RuleProblem> =
            self.rows.iter().map(|row| row.when.bind_with(columns, lookups)).collect();
        Ok(BoundTable { rows: rows? })
    }
}

/// A table whose columns have positions.
#[derive(Clone, Debug)]
pub struct BoundTable {
    rows: Vec<Bound>,
}

impl BoundTable {
    /// Whether the row of a position fits a source row.
    pub fn fits(&self, position: usize, row: &dyn Cells) -> Result<bool, RuleFailure> {
        self.rows.get(position).map_or(Ok(false), |when| when.holds(row))
    }

    /// The positions of the rows that fit a source row; those that fail do not.
    pub fn fitting(&self, row: &dyn Cells) -> Vec<usize> {
        (0..self.rows.len()).filter(|position| self.fits(*position, row) == Ok(true)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::value::Value;
    use crate::rules::mapping::{Mapped, Mapping};

    fn table(precedence: Precedence, rows: &[(&str, &str)]) -> ValueTable {
        let grant = |(when, value): &(&str, &str)| Grant {
            when: Expression::condition(when).unwrap(),
            value: (*value).to_owned(),
            line: 1,
        };
        ValueTable { attribute: "roles".into(), precedence, among: None, rows: rows.iter().map(grant).collect() }
    }

    /// What the mapping makes of a row.
    fn value(table: &ValueTable, groups: &str) -> Option<Value> {
        let mapping = Mapping::compile(&[("roles".to_owned(), table.rule())].into(), &Default::default()).unwrap();
        let bound = mapping.bind(&["groups".to_owned(), "enabled".to_owned()], &Lookups::default()).unwrap();
        match bound.value(0, &vec![groups.to_owned(), "true".to_owned()]) {
            Mapped::Set(cell) => Value::from_cell(&cell),
            other => {
                assert_eq!(other, Mapped::Nothing);
                None
            }
        }
    }

    #[test]
    fn names_are_written_as_they_are_whatever_quotes_they_have() {
        for name in ["It's", "a\\b", "\"x\"", "Ünïcode", "{{ x }}"] {
            let table = table(Precedence::First, &[("'a' in groups || enabled", name)]);
            assert_eq!(value(&table, ""), Value::text(name));
        }
    }

    proptest! {
        /// The rule of a table is what its rows say one by one.
        #[test]
        fn a_table_yields_the_first_or_all_of_the_rows_that_fit(
            groups in proptest::collection::btree_set("[abc]", 0..3),
            rows in proptest::collection::vec(("[abcd]", "[XYZ]"), 1..5),
        ) {
            let texts: Vec<(String, String)> =
                rows.iter().map(|(group, value)| (format!("'{group}' in groups"), value.clone())).collect();
            let texts: Vec<(&str, &str)> = texts.iter().map(|(when, value)| (when.as_str(), value.as_str())).collect();
            let cell = Value::many(groups.iter().cloned()).map(|value| value.to_cell()).unwrap_or_default();
            let fitting: Vec<String> =
                rows.iter().filter(|(group, _)| groups.contains(group)).map(|(_, value)| value.clone()).collect();
            prop_assert_eq!(
                value(&table(Precedence::First, &texts), &cell),
                fitting.first().and_then(|first| Value::text(first.as_str()))
            );
            prop_assert_eq!(value(&table(Precedence::All, &texts), &cell), Value::many(fitting));
        }
    }
}
