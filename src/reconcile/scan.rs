//! Rows as digests: both snapshots of a sync are read once, in parallel, and only what differs is read again.

use std::borrow::Cow;
use std::collections::HashSet;

use xxhash_rust::xxh3::Xxh3;

use crate::model::capabilities::AttributeType;
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::rules::mapping::{BoundMapping, Mapped};
use crate::rules::matching::BoundMatch;
use crate::rules::problem::RuleProblem;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::{Cells, Place};

use super::canonical::{self, ABSENT, NOTHING};
use super::error::ReconcileError;
use super::input::ObjectInput;

/// A mapped attribute.
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) kind: AttributeType,
    /// Its column in the target's snapshot.
    pub(crate) column: Option<usize>,
    /// False where the target says that it has no such attribute: never compared, never sent.
    pub(crate) exists: bool,
}

/// A match rule, bound to both tables.
pub(crate) struct Matcher {
    rule: BoundMatch,
    pub(crate) kind: AttributeType,
    pub(crate) confidence: u8,
    /// `source = target`, for people.
    pub(crate) text: String,
}

/// Reads the rows of one sync.
pub(crate) struct Scanner<'a> {
    pub(crate) input: &'a ObjectInput<'a>,
    pub(crate) attributes: Vec<Attribute>,
    mapping: BoundMapping,
    scope: BoundScope,
    pub(crate) matchers: Vec<Matcher>,
}

/// Whether a source row takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    In,
    Out,
    /// The scope's rule failed on it; what it says.
    Unknown(Box<str>),
}

/// A source row.
pub(crate) struct SourceRow {
    pub(crate) place: Place,
    pub(crate) key: Box<str>,
    pub(crate) admission: Admission,
    /// Digest of all its cells.
    pub(crate) raw: u64,
    /// Digest of each mapped value; `NOTHING` where it is to be left; empty where the row is not in scope.
    pub(crate) values: Box<[u64]>,
    /// Digest of each match rule's value; empty where the row is linked already.
    pub(crate) matches: Box<[u64]>,
    /// A rule failed on it.
    pub(crate) failed: bool,
}

/// A target row.
pub(crate) struct TargetRow {
    pub(crate) place: Place,
    pub(crate) key: Box<str>,
    pub(crate) values: Box<[u64]>,
    pub(crate) matches: Box<[u64]>,
}

/// What the rules want of one attribute.
pub(crate) enum Wanted {
    /// This value.
    Set(String),
    /// Whatever it is.
    Nothing,
    /// No value.
    Clear,
    /// The rule failed: the rule, its inputs and the error.
    Failed(String),
}

impl<'a> Scanner<'a> {
    /// Binds the sync's rules to the columns of its tables.
    pub(crate) fn bind(input: &'a ObjectInput<'a>, warnings: &mut Vec<String>) -> Result<Self, ReconcileError> {
        let sync = input.sync;
        let rules = &sync.rules;
        let wrong = |problems: Vec<RuleProblem>| ReconcileError::Rule {
            sync: sync.id.clone(),
            resource: sync.from.clone(),
            cause: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        let columns = input.source.columns();
        let mapping = rules.mapping.bind(columns).map_err(wrong)?;
        let scope = rules.scope.bind(columns).map_err(wrong)?;
        let mut attributes = Vec::new();
        for name in rules.mapping.attributes() {
            let name: &str = name;
            let exists = exists(input, name);
            if !exists {
                warnings.push(format!(
                    "{}: {} has no attribute `{name}`; its rule is ignored: correct the name, or remove the rule",
                    sync.id, sync.to
                ));
            }
            let (name, column) = (name.to_owned(), input.target.column(name));
            attributes.push(Attribute { kind: kind(input, &name), column, exists, name });
        }
        let mut matchers = Vec::new();
        for rule in &rules.matching {
            matchers.push(Matcher {
                rule: rule.bind(columns, input.target.columns()).map_err(|problem| wrong(vec![problem]))?,
                kind: kind(input, &rule.target),
                confidence: rule.confidence,
                text: format!("{} = {}", rule.source.text(), rule.target),
            });
        }
        Ok(Self { input, attributes, mapping, scope, matchers })
    }

    /// Every source row, in the file's order.
    pub(crate) fn source(&self, linked: &HashSet<&str>) -> Result<Vec<SourceRow>, ReconcileError> {
        let rows = self.input.source.par_map(|row| {
            let key = self.input.source.key_of(row).into_boxed_str();
            let admission = match self.scope.admits(row) {
                Ok(true) => Admission::In,
                Ok(false) => Admission::Out,
                Err(failure) => Admission::Unknown(failure.to_string().into_boxed_str()),
            };
            let (mut values, mut matches, mut failed) = (Box::default(), Box::default(), false);
            if admission == Admission::In {
                let mut mapped = Vec::with_capacity(self.attributes.len());
                self.mapping.map(row, &mut mapped);
                failed = mapped.iter().any(|value| matches!(value, Mapped::Failed(_)));
                values = mapped.iter().zip(&self.attributes).map(|(value, a)| digest_of(value, a)).collect();
                if !linked.contains(&*key) {
                    matches = self.matchers.iter().map(|m| canonical::digest(&m.value(row), m.kind)).collect();
                }
            }
            SourceRow { place: row.place(), key, admission, raw: self.raw(row), values, matches, failed }
        })?;
        checked(rows, &self.input.sync.from)
    }

    /// Every target row, in the file's order.
    pub(crate) fn target(&self) -> Result<Vec<TargetRow>, ReconcileError> {
        let rows = self.input.target.par_map(|row| TargetRow {
            place: row.place(),
            key: self.input.target.key_of(row).into_boxed_str(),
            values: self.attributes.iter().map(|a| canonical::digest(a.held(row), a.kind)).collect(),
            matches: self.matchers.iter().map(|m| canonical::digest(m.held(row), m.kind)).collect(),
        })?;
        checked(rows, &self.input.sync.to)
    }

    /// What the rules want of each attribute, in the order of `attributes`.
    pub(crate) fn wanted(&self, row: &dyn Cells) -> Vec<Wanted> {
        let mut mapped = Vec::with_capacity(self.attributes.len());
        self.mapping.map(row, &mut mapped);
        let values = mapped.into_iter().zip(&self.attributes).map(|(value, attribute)| match value {
            _ if !attribute.exists => Wanted::Nothing,
            Mapped::Set(text) if text.is_empty() => Wanted::Nothing,
            Mapped::Set(text) => Wanted::Set(text.into_owned()),
            Mapped::Nothing => Wanted::Nothing,
            Mapped::Clear => Wanted::Clear,
            Mapped::Failed(failure) => Wanted::Failed(failure.to_string()),
        });
        values.collect()
    }

    /// The position of an attribute among the mapped ones.
    pub(crate) fn position(&self, attribute: &str) -> Option<usize> {
        self.attributes.iter().position(|a| a.name == attribute)
    }

    /// The columns that an attribute's rule reads, with their cells in a row.
    pub(crate) fn inputs(&self, attribute: &str, row: &dyn Cells) -> Vec<(String, String)> {
        self.position(attribute).map_or_else(Vec::new, |position| self.mapping.inputs(position, row))
    }

    /// Digest of all cells of a source row, with the names of their columns: reordered columns change nothing.
    fn raw(&self, row: &dyn Cells) -> u64 {
        let mut sum = 0u64;
        for (column, name) in self.input.source.columns().iter().enumerate() {
            let cell = row.cell(column);
            if !cell.is_empty() {
                let mut digest = Xxh3::new();
                digest.update(name.as_bytes());
                digest.update(&[0]);
                digest.update(cell.as_bytes());
                sum = sum.wrapping_add(digest.digest());
            }
        }
        sum
    }
}

impl Attribute {
    /// What a target row holds of it.
    pub(crate) fn held<'r>(&self, row: &'r dyn Cells) -> &'r str {
        self.column.map_or("", |column| row.cell(column))
    }

    /// What a target row holds of it, as a value.
    pub(crate) fn held_value(&self, row: &dyn Cells) -> Option<Value> {
        canonical::value(self.held(row), self.kind)
    }
}

impl Matcher {
    /// The value that a source row is matched by; empty where the rule yields none or fails.
    pub(crate) fn value<'r>(&'r self, row: &'r dyn Cells) -> Cow<'r, str> {
        self.rule.source.cell(row).unwrap_or_default()
    }

    /// What a target row holds in the rule's column.
    pub(crate) fn held<'r>(&self, row: &'r dyn Cells) -> &'r str {
        row.cell(self.rule.target)
    }
}

/// Rows are numbered with 31 bits.
pub(crate) fn checked<T>(rows: Vec<T>, resource: &ResourceName) -> Result<Vec<T>, ReconcileError> {
    match i32::try_from(rows.len()) {
        Ok(_) => Ok(rows),
        Err(_) => Err(ReconcileError::TooManyRows { resource: resource.clone(), rows: rows.len() }),
    }
}

fn digest_of(value: &Mapped<'_>, attribute: &Attribute) -> u64 {
    match value {
        _ if !attribute.exists => NOTHING,
        Mapped::Set(text) if text.is_empty() => NOTHING,
        Mapped::Set(text) => canonical::digest(text, attribute.kind),
        Mapped::Clear => ABSENT,
        Mapped::Nothing | Mapped::Failed(_) => NOTHING,
    }
}

fn kind(input: &ObjectInput<'_>, name: &str) -> AttributeType {
    match input.capabilities.attributes.get(name) {
        Some(kind) => *kind,
        None if input.capabilities.enabled.as_deref() == Some(name) => AttributeType::Boolean,
        None => AttributeType::Text,
    }
}

/// Whether the target may have an attribute: unknown schemas have everything, sub-attributes follow their parent.
fn exists(input: &ObjectInput<'_>, name: &str) -> bool {
    let known = &input.capabilities.attributes;
    let parent = name.split(['.', '[']).next().unwrap_or(name);
    known.is_empty()
        || known.contains_key(name)
        || known.contains_key(parent)
        || input.capabilities.enabled.as_deref() == Some(name)
        || input.target.column(name).is_some()
        || known.keys().any(|key| key.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '['])))
        || name.starts_with("urn:")
}
