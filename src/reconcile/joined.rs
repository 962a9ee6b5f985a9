//! Several sources for one identity: what other snapshots say of a source row becomes columns of it.

use std::collections::{BTreeSet, HashMap};

use crate::model::resource::ResourceName;
use crate::rules::expression::{Bound, Expression};
use crate::rules::shortened;
use crate::snapshot::dispute::disputed;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

use super::error::ReconcileError;
use super::policy::ObjectSync;
use super::reason::some;

/// Rows of another source that belong to the sync's own. Which rows there are, the sync's own source says alone.
#[derive(Clone, Debug)]
pub struct JoinRule {
    /// What the columns are called before their dot.
    pub name: String,
    /// The other source.
    pub from: ResourceName,
    /// A rule on the sync's own rows.
    pub here: Expression,
    /// A rule on the other's rows: those belong together for which both yield the same.
    pub there: Expression,
    /// The other's columns that the job reads.
    pub reads: Vec<String>,
}

impl JoinRule {
    /// The columns that the sync's rows get: `name.column`.
    pub fn columns(&self) -> impl Iterator<Item = String> + '_ {
        self.reads.iter().map(|column| format!("{}.{column}", self.name))
    }
}

/// The other source's rows by what they are joined by.
pub(crate) struct Joined {
    here: Bound,
    name: String,
    width: usize,
    rows: HashMap<String, Vec<String>>,
}

impl Joined {
    /// Adds what the other source says of a row; nothing where it has none for it. What cannot be told is disputed, so that
    /// no rule goes on to its next value.
    pub(crate) fn cells(&self, row: &dyn Cells, more: &mut Vec<String>) {
        let key = match self.here.cell(row) {
            Ok(key) => key,
            Err(failure) => {
                let why = format!("the join `{}` cannot be judged: {failure}", self.name);
                more.extend(std::iter::repeat_n(disputed(&why), self.width));
                return;
            }
        };
        match self.rows.get(&*key).filter(|_| !key.is_empty()) {
            Some(cells) => more.extend(cells.iter().cloned()),
            None => more.extend(std::iter::repeat_n(String::new(), self.width)),
        }
    }
}

/// Reads the other source. Where several rows are joined by one value and differ in a column, nobody guesses which is meant:
/// that column is disputed, and they are told.
pub(crate) fn read(
    sync: &ObjectSync,
    rule: &JoinRule,
    source: &Table,
    other: &Table,
    notes: &mut Vec<String>,
) -> Result<Joined, ReconcileError> {
    let wrong = |resource: &ResourceName, cause: String| ReconcileError::Rule {
        sync: sync.id.clone(),
        resource: resource.clone(),
        cause: format!("the join `{}`: {cause}", rule.name),
    };
    let here = rule.here.bind(source.columns()).map_err(|problem| wrong(&sync.from, problem.to_string()))?;
    let there = rule.there.bind(other.columns()).map_err(|problem| wrong(&rule.from, problem.to_string()))?;
    let mut reads = Vec::new();
    for name in &rule.reads {
        reads.push(other.column(name).ok_or_else(|| ReconcileError::Column {
            sync: sync.id.clone(),
            resource: Box::new(rule.from.clone()),
            column: name.clone(),
            present: other.columns().join(", "),
        })?);
    }
    let mut rows: HashMap<String, Vec<String>> = HashMap::new();
    let mut several: BTreeSet<String> = BTreeSet::new();
    let mut failed: Vec<String> = Vec::new();
    other.for_each(|row| {
        let key = match there.cell(row) {
            Ok(key) if key.is_empty() => return,
            Ok(key) => key.into_owned(),
            Err(_) => return failed.push(format!("`{}`", other.key_of(row))),
        };
        let Some(known) = rows.get_mut(&key) else {
            rows.insert(key, reads.iter().map(|column| row.cell(*column).to_owned()).collect());
            return;
        };
        for ((known, column), name) in known.iter_mut().zip(&reads).zip(&rule.reads) {
            if known != row.cell(*column) {
                *known = disputed(&format!(
                    "several rows of {} belong to `{}` by `{}`, and `{name}` differs in them",
                    rule.from,
                    shortened(&key),
                    rule.there.text(),
                ));
                several.insert(format!("`{key}`"));
            }
        }
    })?;
    let mut tell = |keys: Vec<String>, what: &str, then: &str| {
        if !keys.is_empty() {
            notes.push(format!("{}: {what}: {}; {then}", sync.id, some(&keys)));
        }
    };
    tell(
        several.into_iter().collect(),
        &format!("several rows of {} are joined by one value of `{}` and differ", rule.from, rule.there.text()),
        "orders that read what differs are blocked until the rows are corrected, or they are joined by something else",
    );
    tell(
        failed,
        &format!("rows of {} belong to nobody, as the join's rule `{}` fails on them", rule.from, rule.there.text()),
        "correct the rows or the rule",
    );
    Ok(Joined { here, name: rule.name.clone(), width: reads.len(), rows })
}
