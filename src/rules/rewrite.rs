//! Finds the columns that an expression reads, and how each is read.
//!
//! Every column reference in the parsed expression is replaced by a slot (`#0`, `#1`, …) that names the column and the
//! way its cell is read there: as text, as a truth value or as a list. So reading never depends on what a cell happens
//! to look like, and evaluating a row looks up slots, not names.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::Regex;

use super::constant::Constant;
use super::dates;
use super::engine;
use super::functions::{self, DATED, ELSEWHERE, FUNCTIONS, LIST_METHODS, MATCHES, PATTERNED, TESTS, TIMESTAMP};
use super::lookup::{Lookup, Lookups, PlacedLookup};
use super::problem::{RuleProblem, did_you_mean};

/// How a cell is read at one place of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Text; a JSON array cell is a list.
    Text,
    /// A truth value.
    Flag,
    /// A list.
    List,
}

/// One slot of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// The column's name.
    pub(super) column: String,
    /// How its cell is read.
    pub(super) reading: Reading,
    /// Where the rule's text first names it, in bytes.
    pub(super) offset: usize,
}

/// The prefix of a slot's name; no identifier can begin with it.
pub(super) const SLOT: char = '#';

/// The prefix of a constant's name.
pub(super) const CONSTANT: char = '%';

/// A rule whose columns are slots.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) expression: IdedExpr,
    /// By the number of the slot.
    pub(super) reads: Vec<Read>,
    /// By the number of the constant.
    pub(super) once: Vec<Once>,
}

/// What is made once for a rule: when it is compiled, or when it is bound to snapshots.
#[derive(Clone, Debug)]
pub(super) enum Once {
    /// A regular expression.
    Pattern(Arc<Regex>),
    /// A directory of another snapshot.
    Lookup {
        placed: PlacedLookup,
        /// How the cell that is found is read.
        reading: Reading,
        /// The key that is looked for; `None` where it depends on a variable of the rule.
        argument: Option<IdedExpr>,
    },
}

impl Once {
    /// What stands for it in an expression; or why there is nothing, and where in the rule.
    pub(super) fn constant(&self, lookups: &Lookups) -> Result<Constant, (usize, String)> {
        match self {
            Self::Pattern(pattern) => Ok(Constant::Pattern(Arc::clone(pattern))),
            Self::Lookup { placed: PlacedLookup { lookup, offset }, reading, .. } => {
                let directory = lookups.directory(lookup).map_err(|why| (*offset, why))?;
                Ok(Constant::Table { lookup: Arc::new(lookup.clone()), directory, reading: *reading })
            }
        }
    }
}

impl Compiled {
    /// The same in a text that has so many bytes before the rule.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        for once in &mut self.once {
            if let Once::Lookup { placed, .. } = once {
                placed.offset += by;
            }
        }
        self
    }
}

/// Parses a rule and replaces its columns by slots. `root` says what the whole rule is to yield.
pub(super) fn compile(text: &str, root: Reading) -> Result<Compiled, Vec<RuleProblem>> {
    let engine::Parsed { mut expression, offset } = engine::parse(text)?;
    let mut rewriter =
        Rewriter { text, offset, reads: Vec::new(), once: Vec::new(), variables: Vec::new(), problems: Vec::new() };
    rewriter.walk(&mut expression, root);
    let Rewriter { reads, once, problems, .. } = rewriter;
    if problems.is_empty() { Ok(Compiled { expression, reads, once }) } else { Err(problems) }
}

struct Rewriter<'t> {
    text: &'t str,
    offset: Box<dyn Fn(u64) -> usize>,
    reads: Vec<Read>,
    once: Vec<Once>,
    /// Variables of the comprehensions that are being walked, innermost last.
    variables: Vec<String>,
    problems: Vec<RuleProblem>,
}

impl Rewriter<'_> {
    fn walk(&mut self, node: &mut IdedExpr, wanted: Reading) {
        if let Some(column) = self.column(node) {
            let at = (self.offset)(leftmost(node));
            node.expr = self.slot(column, wanted, at);
            return;
        }
        match &mut node.expr {
            Expr::Call(call) => self.call(node.id, call, wanted),
            Expr::Select(select) if select.test => {
                let inner = Expr::Select(cel::common::ast::SelectExpr { test: false, ..select.clone() });
                let inner = IdedExpr { id: node.id, expr: inner };
                match self.column(&inner) {
                    Some(column) => {
                        let at = (self.offset)(leftmost(&inner));
                        let slot = IdedExpr { id: inner.id, expr: self.slot(column, Reading::Text, at) };
                        node.expr = Expr::Call(CallExpr {
                            func_name: operators::NOT_EQUALS.to_owned(),
                            target: None,
                            args: vec![slot, nothing(inner.id)],
                        });
                    }
                    None => self.walk(&mut select.operand, Reading::Text),
                }
            }
            Expr::Select(select) => self.walk(&mut select.operand, Reading::Text),
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.walk(element, Reading::Text);
                }
            }
            Expr::Comprehension(parts) => {
                self.walk(&mut parts.iter_range, Reading::List);
                let before = self.variables.len();
                self.variables.push(parts.accu_var.clone());
                self.walk(&mut parts.accu_init, Reading::Text);
                self.variables.push(parts.iter_var.clone());
                self.variables.extend(parts.iter_var2.clone());
                self.walk(&mut parts.loop_cond, Reading::Flag);
                self.walk(&mut parts.loop_step, Reading::Text);
                self.walk(&mut parts.result, Reading::Text);
                self.variables.truncate(before);
            }
            Expr::Map(_) | Expr::Struct(_) => {
                self.problem(node.id, "a rule yields text, a truth value, a number or a list, never a map or a message")
            }
            Expr::Literal(_) | Expr::Unspecified => {}
            Expr::Ident(name) if name == "row" && !self.variables.contains(name) => {
                self.problem(node.id, "`row` needs a quoted column name: row[\"weird name\"]");
            }
            Expr::Ident(_) => {}
        }
    }

    fn call(&mut self, id: u64, call: &mut CallExpr, wanted: Reading) {
        let name = call.func_name.clone();
        match name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => self.all(call, Reading::Flag),
            operators::NOT_STRICTLY_FALSE | "bool" => self.all(call, Reading::Flag),
            operators::CONDITIONAL => {
                for (number, argument) in call.args.iter_mut().enumerate() {
                    self.walk(argument, if number == 0 { Reading::Flag } else { wanted });
                }
            }
            operators::EQUALS | operators::NOT_EQUALS => self.equality(id, call),
            operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                self.refuse_numbers(id, call);
                self.all(call, Reading::Text);
            }
            operators::IN | operators::INDEX => {
                let list = usize::from(name == operators::IN);
                for (number, argument) in call.args.iter_mut().enumerate() {
                    self.walk(argument, if number == list { Reading::List } else { Reading::Text });
                }
            }
            "lookup" => self.lookup(id, call, wanted),
            _ => {
                let is_operator = name.contains('_') && !name.chars().next().is_some_and(char::is_alphabetic);
                if !is_operator && !name.starts_with('@') && !FUNCTIONS.contains(&name.as_str()) {
                    let meant = ELSEWHERE.iter().find(|(other, _)| *other == name).map(|(_, meant)| *meant);
                    let near = match meant {
                        Some(meant) => format!("; `{meant}` is its name here"),
                        None => did_you_mean(&name, FUNCTIONS.iter().copied()),
                    };
                    // A call is placed at its bracket; the name stands before it.
                    let bracket = (self.offset)(id);
                    let start = bracket.saturating_sub(name.len());
                    let offset = if self.text.get(start..bracket) == Some(&name) { start } else { bracket };
                    let message = format!("unknown function `{name}`{near}");
                    self.problems.push(RuleProblem::new(self.text, offset, message));
                }
                if PATTERNED.contains(&name.as_str()) && call.target.is_none() && !call.args.is_empty() {
                    // `matches(text, pattern)` is `text.matches(pattern)`.
                    call.target = Some(Box::new(call.args.remove(0)));
                }
                if let Some(target) = &mut call.target {
                    let list = LIST_METHODS.contains(&name.as_str());
                    self.walk(target, if list { Reading::List } else { Reading::Text });
                }
                self.all(call, Reading::Text);
                if PATTERNED.contains(&name.as_str()) {
                    self.pattern(call);
                }
                if name == "timestamp" {
                    // The language's own takes no day without a time.
                    call.func_name = TIMESTAMP.to_owned();
                }
                if DATED.contains(&name.as_str())
                    && let Some((id, format)) = call.args.first().and_then(literal)
                    && let Some(problem) = dates::problem(format)
                {
                    self.problem(id, &problem);
                }
            }
        }
    }

    fn all(&mut self, call: &mut CallExpr, reading: Reading) {
        for argument in &mut call.args {
            self.walk(argument, reading);
        }
    }

    /// `==` and `!=`: a truth value on one side makes one of the column on the other; null is an absent cell.
    fn equality(&mut self, id: u64, call: &mut CallExpr) {
        self.refuse_numbers(id, call);
        let reading = if call.args.iter().any(is_truth) { Reading::Flag } else { Reading::Text };
        let is_lookup = |argument: &IdedExpr| matches!(&argument.expr, Expr::Call(call) if call.func_name == "lookup");
        let has_column = call.args.iter().any(|argument| self.column(argument).is_some() || is_lookup(argument));
        for argument in &mut call.args {
            if has_column && matches!(argument.expr, Expr::Literal(LiteralValue::Null)) {
                *argument = nothing(argument.id);
            }
            self.walk(argument, reading);
        }
    }

    /// A column is text, and text is never equal to a number nor before or after one.
    fn refuse_numbers(&mut self, id: u64, call: &CallExpr) {
        let number = call.args.iter().find_map(|argument| match &argument.expr {
            Expr::Literal(LiteralValue::Int(number)) => Some(number.inner().to_string()),
            Expr::Literal(LiteralValue::UInt(number)) => Some(number.inner().to_string()),
            Expr::Literal(LiteralValue::Double(number)) => Some(number.inner().to_string()),
            _ => None,
        });
        let column = call.args.iter().find_map(|argument| self.column(argument));
        if let (Some(number), Some(column)) = (number, column) {
            self.problem(
                id,
                &format!("column `{column}` is text and cannot be compared with the number {number}; write int({column}), or '{number}'"),
            );
        }
    }

    /// A pattern that is written in the rule is compiled once, so that a mistake in it shows before any row is read.
    fn pattern(&mut self, call: &mut CallExpr) {
        let Some((id, text)) = call.args.first().and_then(literal) else { return };
        let pattern = match functions::pattern(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                let message = match error {
                    regex::Error::CompiledTooBig(_) => format!("the regular expression `{text}` is too large"),
                    _ => format!("`{text}` is not a regular expression"),
                };
                return self.problem(id, &message);
            }
        };
        let replacement = call.args.get(1).and_then(literal).filter(|_| call.func_name == "replaceAll");
        if let Some((id, problem)) =
            replacement.and_then(|(id, with)| Some((id, functions::wrong_group(&pattern, with)?)))
        {
            return self.problem(id, &problem);
        }
        let last = pattern.captures_len() - 1;
        if let Some(IdedExpr { id, expr: Expr::Literal(LiteralValue::Int(group)) }) = call.args.get(1)
            && !usize::try_from(*group.inner()).is_ok_and(|group| group <= last)
        {
            let message = format!("the pattern has no group {}, its last one is {last}", group.inner());
            return self.problem(*id, &message);
        }
        call.args[0] = IdedExpr { id, expr: self.constant(Once::Pattern(Arc::new(pattern))) };
        if call.func_name == "matches" {
            // The language's own compiles its pattern for every row.
            call.func_name = MATCHES.to_owned();
        }
    }

    /// `lookup("hr.people", "employeeNumber", employeeNumber, "manager")`: where is said literally, so that what a job
    /// reads is known before anything is read.
    fn lookup(&mut self, id: u64, call: &mut CallExpr, wanted: Reading) {
        const LIKE: &str = "lookup(\"hr.people\", \"employeeNumber\", employeeNumber, \"manager\")";
        if call.target.is_some() || call.args.len() != 4 {
            let message = format!(
                "`lookup` needs a snapshot, a column that is searched, what it is searched for, and a column that is read: {LIKE}"
            );
            return self.problem(id, &message);
        }
        let mut said = Vec::with_capacity(3);
        for (at, what) in [(0, "the snapshot"), (1, "the column that is searched"), (3, "the column that is read")] {
            match literal(&call.args[at]) {
                Some((_, text)) => said.push(text.to_owned()),
                None => {
                    let place = leftmost(&call.args[at]);
                    self.problem(place, &format!("{what} of a `lookup` is a text in quotes: {LIKE}"));
                }
            }
        }
        let place = call.args[0].id;
        let mut argument = call.args.remove(2);
        self.walk(&mut argument, Reading::Text);
        let Ok([resource, key, column]) = <[String; 3]>::try_from(said) else { return };
        let resource = match resource.parse() {
            Ok(resource) => resource,
            Err(message) => return self.problem(place, &format!("{message}; write it like \"hr.people\"")),
        };
        let lookup = Lookup { resource, key, wanted: column };
        let placed = PlacedLookup { lookup, offset: (self.offset)(place) };
        let known = self.variables.is_empty().then(|| argument.clone());
        let constant = self.constant(Once::Lookup { placed, reading: wanted, argument: known });
        call.args = vec![IdedExpr { id: place, expr: constant }, argument];
    }

    fn constant(&mut self, once: Once) -> Expr {
        self.once.push(once);
        Expr::Ident(format!("{CONSTANT}{}", self.once.len() - 1))
    }

    /// The column that a node names: `email`, `name.givenName`, `row["weird name"]`, `row.email`.
    fn column(&self, node: &IdedExpr) -> Option<String> {
        if let Expr::Call(call) = &node.expr {
            return match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::INDEX, [target, key]) => match (&target.expr, &key.expr) {
                    (Expr::Ident(row), Expr::Literal(LiteralValue::String(column)))
                        if row == "row" && !self.variables.contains(row) =>
                    {
                        Some(column.inner().to_owned())
                    }
                    _ => None,
                },
                _ => None,
            };
        }
        let mut parts = Vec::new();
        let mut node = node;
        loop {
            match &node.expr {
                Expr::Ident(root) => {
                    let is_variable = self.variables.contains(root) || root.starts_with(['@', SLOT, CONSTANT]);
                    if is_variable || (root == "row" && parts.is_empty()) {
                        return None;
                    }
                    if root != "row" {
                        parts.push(root.trim_start_matches('.'));
                    }
                    parts.reverse();
                    return Some(parts.join("."));
                }
                Expr::Select(select) if !select.test => {
                    parts.push(&select.field);
                    node = &select.operand;
                }
                _ => return None,
            }
        }
    }

    fn slot(&mut self, column: String, reading: Reading, offset: usize) -> Expr {
        let known = self.reads.iter().position(|read| read.column == column && read.reading == reading);
        let number = known.unwrap_or_else(|| {
            self.reads.push(Read { column, reading, offset });
            self.reads.len() - 1
        });
        Expr::Ident(format!("{SLOT}{number}"))
    }

    fn problem(&mut self, id: u64, message: &str) {
        self.problems.push(RuleProblem::new(self.text, (self.offset)(id), message));
    }
}

/// Whether a node is sure to yield a truth value.
fn is_truth(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => true,
        Expr::Select(select) => select.test,
        Expr::Call(call) => {
            matches!(
                call.func_name.as_str(),
                operators::LOGICAL_AND
                    | operators::LOGICAL_OR
                    | operators::LOGICAL_NOT
                    | operators::EQUALS
                    | operators::NOT_EQUALS
                    | operators::LESS
                    | operators::LESS_EQUALS
                    | operators::GREATER
                    | operators::GREATER_EQUALS
                    | operators::IN
            ) || TESTS.contains(&call.func_name.as_str())
        }
        _ => false,
    }
}

/// The node that stands first in the text: of `a.b.c` it is `a`.
fn leftmost(node: &IdedExpr) -> u64 {
    match &node.expr {
        Expr::Select(select) => leftmost(&select.operand),
        Expr::Call(call) => call.args.first().map_or(node.id, leftmost),
        _ => node.id,
    }
}

/// The text that a node writes in quotes, and the node.
fn literal(node: &IdedExpr) -> Option<(u64, &str)> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some((node.id, text.inner())),
        _ => None,
    }
}

fn nothing(id: u64) -> IdedExpr {
    IdedExpr { id, expr: Expr::Literal(LiteralValue::String(String::new().into())) }
}
