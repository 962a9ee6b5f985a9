//! One rule: compiled once, bound to the columns of a snapshot, evaluated for each row.

use std::borrow::Cow;
use std::collections::BTreeSet;

use cel::common::ast::{Expr, LiteralValue};
use cel::common::value::CowVal;
use cel::context::VariableResolver;

use super::cells::{self, array, is_mixed, truth};
use super::constant::Constant;
use super::engine;
use super::failure_words::message;
use super::lookup::{Lookups, PlacedLookup};
use super::outcome::{outcome, shortened};
use super::problem::{RuleFailure, RuleProblem, did_you_mean};
use super::rewrite::{self, CONSTANT, Compiled, Once, Read, Reading, SLOT};
use crate::snapshot::dispute::dispute;
use crate::snapshot::row::Cells;

/// A compiled rule.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    form: Form,
    /// Whether the whole rule is a condition, so that a bare column is read as a truth value.
    is_condition: bool,
}

#[derive(Clone, Debug)]
enum Form {
    /// The whole text is a column's name.
    Column,
    /// A quoted text.
    Constant(String),
    /// Anything else.
    Cel(Compiled),
}

/// What a rule yields for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// One value, never empty.
    Text(String),
    /// Several values in the rule's order, none of them empty.
    Many(Vec<String>),
    /// Null, an empty text or an empty list.
    Nothing,
}

impl Expression {
    /// Compiles a rule that yields a value. `true`, `false`, `null` and numbers are constants, not columns.
    pub fn compile(text: &str) -> Result<Self, RuleProblem> {
        Self::compile_as(text, Reading::Text)
    }

    /// Compiles a condition: a rule that yields a truth value.
    pub fn condition(text: &str) -> Result<Self, RuleProblem> {
        Self::compile_as(text, Reading::Flag)
    }

    fn compile_as(text: &str, root: Reading) -> Result<Self, RuleProblem> {
        let trimmed = text.trim();
        let lead = text.len() - text.trim_start().len();
        let is_condition = root == Reading::Flag;
        let form = if trimmed.is_empty() {
            return Err(RuleProblem::new(text, 0, "the rule is empty; write a column's name or an expression"));
        } else if is_bare_name(trimmed) {
            Form::Column
        } else if let Some(constant) = quoted(trimmed) {
            Form::Constant(constant.to_owned())
        } else {
            let compiled = rewrite::compile(trimmed, root).map_err(|problems| {
                let mut problems = problems.into_iter();
                let mut first = problems.next().unwrap_or_else(|| RuleProblem::new(trimmed, 0, "not an expression"));
                first.offset += lead;
                for other in problems {
                    first.message = format!("{}; {}", first.message, other.message);
                }
                first
            })?;
            Form::Cel(compiled.shifted(lead))
        };
        let never_true = match &form {
            Form::Constant(_) => true,
            Form::Cel(Compiled { expression, .. }) => {
                matches!(&expression.expr, Expr::Literal(literal) if !matches!(literal, LiteralValue::Boolean(_)))
                    || matches!(expression.expr, Expr::List(_))
            }
            Form::Column => false,
        };
        if is_condition && never_true {
            return Err(RuleProblem::new(text, lead, "a condition must yield true or false; this is a constant"));
        }
        Ok(Self { text: trimmed.to_owned(), form, is_condition })
    }

    /// The rule's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns that the rule reads, sorted.
    pub fn columns(&self) -> Vec<String> {
        let columns: BTreeSet<String> = match &self.form {
            Form::Column => [self.text.clone()].into(),
            Form::Constant(_) => BTreeSet::new(),
            Form::Cel(compiled) => compiled.reads.iter().map(|read| read.column.clone()).collect(),
        };
        columns.into_iter().collect()
    }

    /// What the rule looks up in other snapshots, in the order of its text.
    pub fn lookups(&self) -> impl Iterator<Item = &PlacedLookup> {
        let once = match &self.form {
            Form::Cel(compiled) => compiled.once.as_slice(),
            Form::Column | Form::Constant(_) => &[],
        };
        once.iter().filter_map(|once| match once {
            Once::Lookup { placed, .. } => Some(placed),
            Once::Pattern(_) => None,
        })
    }

    /// Resolves the columns' positions in a header, for a rule that looks nothing up in other snapshots.
    ///
    /// A column whose name is the whole text of the rule always wins, whatever the text would mean as an expression.
    pub fn bind(&self, columns: &[String]) -> Result<Bound, RuleProblem> {
        self.bind_with(columns, &Lookups::default())
    }

    /// The same for any rule.
    pub fn bind_with(&self, columns: &[String], lookups: &Lookups) -> Result<Bound, RuleProblem> {
        let position = |name: &str| columns.iter().position(|column| column == name);
        let missing = |name: &str, offset: usize| {
            let near = did_you_mean(name, columns.iter().map(String::as_str));
            RuleProblem::new(&self.text, offset, format!("there is no column `{name}`{near}"))
        };
        let form = match (&self.form, position(&self.text)) {
            (_, Some(column)) => BoundForm::Column(column),
            (Form::Column, None) => return Err(missing(&self.text, 0)),
            (Form::Constant(text), None) => BoundForm::Constant(text.clone()),
            (Form::Cel(compiled), None) => {
                let positions: Result<Vec<usize>, RuleProblem> = compiled
                    .reads
                    .iter()
                    .map(|read| position(&read.column).ok_or_else(|| missing(&read.column, read.offset)))
                    .collect();
                let constants: Result<Vec<Constant>, RuleProblem> = compiled
                    .once
                    .iter()
                    .map(|once| {
                        once.constant(lookups).map_err(|(offset, why)| RuleProblem::new(&self.text, offset, why))
                    })
                    .collect();
                let (positions, constants) = (positions?, constants?);
                BoundForm::Cel { compiled: compiled.clone(), positions, constants }
            }
        };
        Ok(Bound { text: self.text.clone(), form, is_condition: self.is_condition })
    }
}

/// A rule whose columns have positions. Shared between threads.
#[derive(Clone, Debug)]
pub struct Bound {
    text: String,
    form: BoundForm,
    is_condition: bool,
}

#[derive(Clone, Debug)]
enum BoundForm {
    Column(usize),
    Constant(String),
    Cel { compiled: Compiled, positions: Vec<usize>, constants: Vec<Constant> },
}

impl Bound {
    /// The rule's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The position of the column, where the rule is nothing but a column.
    pub fn column(&self) -> Option<usize> {
        match self.form {
            BoundForm::Column(position) => Some(position),
            _ => None,
        }
    }

    /// Evaluates the rule for one row.
    pub fn evaluate(&self, row: &dyn Cells) -> Result<Outcome, RuleFailure> {
        match &self.form {
            BoundForm::Column(position) => Ok(of_cell(self.told(row.cell(*position))?)),
            BoundForm::Constant(text) if text.is_empty() => Ok(Outcome::Nothing),
            BoundForm::Constant(text) => Ok(Outcome::Text(text.clone())),
            BoundForm::Cel { compiled, positions, constants } => {
                let slots = Slots::of(compiled, positions, constants, row);
                engine::evaluate(&compiled.expression, &slots)
                    .map_err(|error| message(&error, &compiled.reads, &slots.cells))
                    .and_then(outcome)
                    .map_err(|message| RuleFailure {
                        rule: self.text.clone(),
                        inputs: inputs(compiled, &slots),
                        message,
                    })
            }
        }
    }

    /// Evaluates the rule to the canonical text of a cell; empty means nothing. A bare column allocates nothing.
    pub fn cell<'r>(&'r self, row: &'r dyn Cells) -> Result<Cow<'r, str>, RuleFailure> {
        match &self.form {
            BoundForm::Column(position) => {
                let cell = self.told(row.cell(*position))?;
                Ok(if is_mixed(cell) { Cow::Owned(of_cell(cell).into_cell()) } else { Cow::Borrowed(cell) })
            }
            BoundForm::Constant(text) => Ok(Cow::Borrowed(text)),
            BoundForm::Cel { .. } => Ok(Cow::Owned(self.evaluate(row)?.into_cell())),
        }
    }

    /// The cell of a rule that is nothing but a column, unless nobody can tell what it holds.
    #[inline]
    fn told<'r>(&self, cell: &'r str) -> Result<&'r str, RuleFailure> {
        match dispute(cell) {
            None => Ok(cell),
            Some(why) => Err(RuleFailure { rule: self.text.clone(), inputs: Vec::new(), message: why.to_owned() }),
        }
    }

    /// Whether a condition holds for one row.
    pub fn holds(&self, row: &dyn Cells) -> Result<bool, RuleFailure> {
        if let BoundForm::Column(position) = self.form {
            let cell = self.told(row.cell(position))?;
            return truth(cell).ok_or_else(|| RuleFailure {
                rule: self.text.clone(),
                inputs: vec![(self.text.clone(), shortened(cell))],
                message: format!("the cell `{}` is neither true nor false", shortened(cell)),
            });
        }
        match self.evaluate(row)? {
            Outcome::Text(text) if text == "true" => Ok(true),
            Outcome::Text(text) if text == "false" => Ok(false),
            Outcome::Nothing if self.is_condition => Ok(false),
            other => Err(RuleFailure {
                rule: self.text.clone(),
                inputs: self.inputs(row),
                message: format!("it yields `{}`, which is neither true nor false", shortened(&other.into_cell())),
            }),
        }
    }

    /// The columns that the rule reads with their cells in a row, and what it looks up, for explanations; long cells are
    /// cut.
    pub fn inputs(&self, row: &dyn Cells) -> Vec<(String, String)> {
        match &self.form {
            BoundForm::Column(position) => vec![(self.text.clone(), shortened(row.cell(*position)))],
            BoundForm::Constant(_) => Vec::new(),
            BoundForm::Cel { compiled, positions, constants } => {
                inputs(compiled, &Slots::of(compiled, positions, constants, row))
            }
        }
    }

    /// Whether the rule looks anything up in another snapshot.
    pub fn looks_up(&self) -> bool {
        let BoundForm::Cel { constants, .. } = &self.form else { return false };
        constants.iter().any(|constant| matches!(constant, Constant::Table { .. }))
    }
}

impl Outcome {
    /// The canonical text of a snapshot cell; empty for nothing, a sorted JSON array for several values.
    pub fn into_cell(self) -> String {
        use crate::model::value::Value;
        match self {
            Outcome::Text(text) => text,
            Outcome::Many(values) => Value::many(values).map_or_else(String::new, |value| value.to_cell()),
            Outcome::Nothing => String::new(),
        }
    }
}

fn inputs(compiled: &Compiled, slots: &Slots<'_>) -> Vec<(String, String)> {
    let reads = compiled.reads.iter().zip(&slots.cells);
    let mut inputs: Vec<(String, String)> = reads.map(|(read, cell)| (read.column.clone(), shortened(cell))).collect();
    for (once, constant) in compiled.once.iter().zip(slots.constants) {
        if let (Once::Lookup { argument: Some(argument), .. }, Constant::Table { lookup, directory, .. }) =
            (once, constant)
        {
            // What fails is told by the failure itself.
            let key = engine::evaluate(argument, slots).ok().and_then(|key| outcome(key).ok());
            let key = key.map(Outcome::into_cell).unwrap_or_default();
            if let Ok(found) = lookup.find(directory, &key) {
                let name = format!("{} of {} by {} `{}`", lookup.wanted, lookup.resource, lookup.key, shortened(&key));
                inputs.push((name, shortened(found)));
            }
        }
    }
    inputs.sort();
    inputs.dedup();
    inputs
}

fn of_cell(cell: &str) -> Outcome {
    match array(cell) {
        Some(values) if values.is_empty() => Outcome::Nothing,
        Some(values) => Outcome::Many(values),
        None if cell.is_empty() => Outcome::Nothing,
        None => Outcome::Text(cell.to_owned()),
    }
}

/// The cells of one row that an expression reads, by slot, and its constants.
struct Slots<'r> {
    reads: &'r [Read],
    cells: Vec<&'r str>,
    constants: &'r [Constant],
}

impl<'r> Slots<'r> {
    fn of(compiled: &'r Compiled, positions: &[usize], constants: &'r [Constant], row: &'r dyn Cells) -> Self {
        let cells = positions.iter().map(|position| row.cell(*position)).collect();
        Self { reads: &compiled.reads, cells, constants }
    }
}

impl VariableResolver for Slots<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(number) = variable.strip_prefix(CONSTANT) {
            return Some(CowVal::Borrowed(self.constants.get(number.parse::<usize>().ok()?)?));
        }
        let slot: usize = variable.strip_prefix(SLOT)?.parse().ok()?;
        let cell: &'b str = self.cells.get(slot)?;
        cells::value(cell, self.reads.get(slot)?.reading)
    }
}

/// Whether a rule's whole text can only be meant as a column's name: dotted words (`name.givenName`, `first-name`),
/// words with blanks (`Employee Number`), a URN, a value path (`emails[type eq "work"].value`).
fn is_bare_name(text: &str) -> bool {
    let is_word = |word: &str| {
        let mut characters = word.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || first == '_' || first == '$')
            && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '$' | '-'))
    };
    if matches!(text, "true" | "false" | "null" | "row") {
        return false;
    }
    if text.split('.').all(is_word) {
        return true;
    }
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
        return text.chars().all(|character| character.is_ascii_alphanumeric() || ":._-".contains(character));
    }
    if text.contains(' ') && text.split(' ').all(|word| is_word(word) && word != "in") {
        return true;
    }
    text.split_once('[').is_some_and(|(attribute, rest)| {
        attribute.split('.').all(is_word)
            && rest.split_once(" eq ").is_some_and(|(sub, value)| {
                is_word(sub)
                    && value.split_once(']').is_some_and(|(value, tail)| {
                        quoted(value).is_some()
                            && (tail.is_empty()
                                || tail.strip_prefix('.').is_some_and(|tail| tail.split('.').all(is_word)))
                    })
            })
    })
}

/// The text inside quotes, where the whole is one plain quoted text.
fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote) && !inner.contains(['\\', '\n'])).then_some(inner)
    })
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
