//! Several sources for one identity: what other snapshots say of a source row becomes columns of it.

use std::collections::HashMap;

use crate::model::resource::ResourceName;
use crate::rules::expression::{Bound, Expression};
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
    width: usize,
    rows: HashMap<String, Vec<String>>,
}

impl Joined {
    /// Adds what the other source says of a row; nothing where it has none for it.
    pub(crate) fn cells(&self, row: &dyn Cells, more: &mut Vec<String>) {
        let key = self.here.cell(row).unwrap_or_default();
        match self.rows.get(&*key).filter(|_| !key.is_empty()) {
            Some(cells) => more.extend(cells.iter().cloned()),
            None => more.extend(std::iter::repeat_n(String::new(), self.width)),
        }
    }
}

/// Reads the other source. Of several rows that are joined by one value nobody is taken: they are told.
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
    let mut several: Vec<String> = Vec::new();
    other.for_each(|row| {
        let key = there.cell(row).unwrap_or_default().into_owned();
        if key.is_empty() {
            return;
        }
        if rows.contains_key(&key) {
            several.push(key);
            return;
        }
        rows.insert(key, reads.iter().map(|column| row.cell(*column).to_owned()).collect());
    })?;
    several.sort();
    several.dedup();
    for key in &several {
        rows.remove(key);
    }
    if !several.is_empty() {
        let told: Vec<String> = several.iter().map(|key| format!("`{key}`")).collect();
        notes.push(format!(
            "{}: several rows of {} are joined by one value of `{}`, and none of them is taken: {}; correct the rows, or join by something else",
            sync.id,
            rule.from,
            rule.there.text(),
            some(&told)
        ));
    }
    Ok(Joined { here, width: reads.len(), rows })
}
