//! What is known of a source's rows besides their own cells: their groups, what other snapshots say of them, their class.
//! Each becomes a column, so that scope, mapping and thresholds read it as any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::model::capabilities::ResourceCapabilities;
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::rules::classes::{ClassRule, Classifier};
use crate::rules::grants::ValueTable;
use crate::rules::lookup::Lookups;
use crate::rules::problem::{RuleProblem, did_you_mean};
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;
use crate::snapshot::widened::WideRow;

use super::ends::NAMES;
use super::error::ReconcileError;
use super::groups::{self, GroupRule, GroupTables, Memberships};
use super::joined::{self, JoinRule, Joined};
use super::policy::ObjectSync;

/// The column that says what kind of account a row is.
pub const CLASS: &str = "class";

/// What is found out about a source's rows.
#[derive(Clone, Debug, Default)]
pub struct Derivation {
    /// Their groups.
    pub groups: Option<GroupRule>,
    /// Rows of other snapshots that belong to them.
    pub joins: Vec<JoinRule>,
    /// Their class.
    pub classes: Vec<ClassRule>,
}

impl Derivation {
    /// The columns that rows get.
    pub fn columns(&self) -> BTreeSet<String> {
        let class = (!self.classes.is_empty()).then(|| CLASS.to_owned());
        let groups = self.groups.iter().map(|groups| groups.column.clone());
        groups.chain(self.joins.iter().flat_map(JoinRule::columns)).chain(class).collect()
    }

    /// Tells two ways of finding it out apart.
    pub(crate) fn digest(&self) -> u64 {
        let mut text = format!("{:?}", self.groups);
        for join in &self.joins {
            let _ = write!(text, "\n{:?} {} {} {}", join.reads, join.from, join.here.text(), join.there.text());
        }
        for rule in &self.classes {
            let _ = write!(text, "\n{} {} {}", rule.when.text(), rule.class, rule.confidence);
        }
        xxh3_64(text.as_bytes())
    }

    /// The snapshots that it is found out from.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceName> {
        self.of_groups().chain(self.joins.iter().map(|join| &join.from))
    }

    /// Those that tell groups.
    pub fn of_groups(&self) -> impl Iterator<Item = &ResourceName> {
        let groups = self.groups.iter();
        groups.flat_map(|groups| [Some(&groups.via), groups.of.as_ref(), groups.nestings.as_ref()]).flatten()
    }
}

/// Names that a target has, and where they stand.
#[derive(Clone, Debug, Default)]
pub struct KnownNames {
    /// The names.
    pub names: BTreeSet<String>,
    /// `vault.roles`, `the schema of vault.users`.
    pub place: String,
}

/// What was found out for one sync.
#[derive(Debug, Default)]
pub struct Derived {
    /// The source's rows with their further columns; `None` where there are none.
    pub table: Option<Table>,
    /// What a person should know, in sentences.
    pub notes: Vec<String>,
    /// Why no row can be judged; nothing is done then.
    pub doubt: Option<String>,
    /// Whether somebody who is in no group that assigns is certainly in none.
    pub proves_absence: bool,
    /// The names that each of the sync's value tables may give; `None` where nothing tells them.
    pub names: Vec<Option<KnownNames>>,
}

/// Finds out what a sync wants to know of its source's rows. `whole` are the snapshots that prove absence, `lookups` what
/// its rules look up.
///
/// # Errors
/// Where a column is missing or a snapshot cannot be read.
pub fn derive(
    sync: &ObjectSync,
    tables: &BTreeMap<ResourceName, Table>,
    whole: &BTreeSet<ResourceName>,
    lookups: &Lookups,
    capabilities: &ResourceCapabilities,
) -> Result<Derived, ReconcileError> {
    let rule = &sync.derivation;
    let mut derived = Derived { proves_absence: true, ..Derived::default() };
    for table in &sync.tables {
        derived.names.push(names(sync, table, tables, capabilities)?);
    }
    tell_unknown(sync, &mut derived);
    let Some(source) = tables.get(&sync.from).filter(|_| !rule.columns().is_empty()) else { return Ok(derived) };
    free_columns(sync, source)?;
    let mut memberships = Memberships::default();
    if let Some(groups) = &rule.groups
        && let Some(via) = tables.get(&groups.via)
    {
        let found = |name: &Option<ResourceName>| name.as_ref().and_then(|name| tables.get(name));
        let of = GroupTables { source, via, of: found(&groups.of), nestings: found(&groups.nestings) };
        memberships = groups::read(&sync.id, groups, &of)?;
        derived.notes.append(&mut memberships.notes);
        derived.doubt = memberships.refused.take();
        let told = [Some(&groups.via), groups.of.as_ref(), groups.nestings.as_ref()];
        derived.proves_absence = told.into_iter().flatten().all(|name| whole.contains(name));
    }
    let mut joins: Vec<Joined> = Vec::new();
    for join in &rule.joins {
        if let Some(table) = tables.get(&join.from) {
            joins.push(joined::read(sync, join, source, table, &mut derived.notes)?);
        }
    }
    let own = source.columns().len();
    let (names, unclassified) = names_and_cells(rule);
    let wrong = |problem: RuleProblem| ReconcileError::Rule {
        sync: sync.id.clone(),
        resource: sync.from.clone(),
        cause: format!("the classification: {problem}"),
    };
    let header: Vec<String> = source.columns().iter().chain(&unclassified).cloned().collect();
    let classifier = Classifier::bind(&rule.classes, &header, lookups).map_err(wrong)?;
    let widened = source.widened(&names, |row| {
        let key = source.key_of(row);
        let mut more = Vec::with_capacity(names.len());
        if rule.groups.is_some() {
            more.push(Value::many(memberships.of(&key)).map(|groups| groups.to_cell()).unwrap_or_default());
        }
        joins.iter().for_each(|join| join.cells(row, &mut more));
        if !rule.classes.is_empty() {
            let class = classifier.classify(&WideRow::new(row, own, &more)).ok().flatten();
            let class = class.map(|found| found.class.to_owned()).unwrap_or_default();
            more.push(class);
        }
        more
    })?;
    derived.table = Some(widened);
    Ok(derived)
}

/// The names of the further columns: all of them, and without the class, which is judged by the others.
fn names_and_cells(rule: &Derivation) -> (Vec<String>, Vec<String>) {
    let groups = rule.groups.iter().map(|groups| groups.column.clone());
    let others: Vec<String> = groups.chain(rule.joins.iter().flat_map(JoinRule::columns)).collect();
    let class = (!rule.classes.is_empty()).then(|| CLASS.to_owned());
    (others.iter().cloned().chain(class).collect(), others)
}

/// A column of the snapshot is never put out of sight.
fn free_columns(sync: &ObjectSync, source: &Table) -> Result<(), ReconcileError> {
    let taken: Vec<String> =
        sync.derivation.columns().into_iter().filter(|column| source.column(column).is_some()).collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(ReconcileError::Rule {
        sync: sync.id.clone(),
        resource: sync.from.clone(),
        cause: format!(
            "{} has a column `{}` of its own, and the sync makes one of that name; call the sync's otherwise (`column` of groups), or rename the source's",
            sync.from,
            taken.join("`, `")
        ),
    })
}

/// The names that a value table may give: those of a snapshot of the target, else those of its schema.
fn names(
    sync: &ObjectSync,
    rule: &ValueTable,
    tables: &BTreeMap<ResourceName, Table>,
    capabilities: &ResourceCapabilities,
) -> Result<Option<KnownNames>, ReconcileError> {
    let Some(among) = &rule.among else {
        let shape = capabilities.shape(&rule.attribute);
        if let Some(among) = shape.and_then(|shape| shape.among.as_ref()) {
            let place = format!("{}.{}", sync.to.system, among.resource);
            return Ok(Some(KnownNames { names: among.names.clone(), place }));
        }
        let shape = shape.filter(|shape| !shape.suggested.is_empty());
        return Ok(shape.map(|shape| KnownNames {
            names: shape.suggested.iter().cloned().collect(),
            place: format!("the schema of {}", sync.to),
        }));
    };
    let Some(table) = tables.get(&among.resource) else { return Ok(None) };
    let by = match &among.by {
        None => NAMES.iter().find_map(|name| table.column(name)),
        Some(name) => Some(table.column(name).ok_or_else(|| ReconcileError::Column {
            sync: sync.id.clone(),
            resource: Box::new(among.resource.clone()),
            column: name.clone(),
            present: table.columns().join(", "),
        })?),
    };
    let names = table.par_fold(BTreeSet::new, |names, row| {
        names.insert(by.map_or_else(|| table.key_of(row), |by| row.cell(by).to_owned()));
    })?;
    let mut names: BTreeSet<String> = names.into_iter().flatten().collect();
    let has_blank = names.remove("");
    // A column that is asked for by a wrong name is there and has no values.
    if let Some(name) = among.by.as_ref().filter(|_| names.is_empty() && has_blank) {
        let near = did_you_mean(name, table.columns().iter().map(String::as_str).filter(|known| *known != name));
        return Err(ReconcileError::Rule {
            sync: sync.id.clone(),
            resource: among.resource.clone(),
            cause: format!(
                "the table of `{}`: no row of {} has a value in `{name}`, by which its names are to go{near}",
                rule.attribute, among.resource
            ),
        });
    }
    Ok(Some(KnownNames { names, place: among.resource.to_string() }))
}

/// Tells of rows of value tables whose name the target does not have.
fn tell_unknown(sync: &ObjectSync, derived: &mut Derived) {
    for (table, known) in sync.tables.iter().zip(&derived.names) {
        let Some(known) = known else { continue };
        for row in table.rows.iter().filter(|row| !known.names.contains(&row.value)) {
            derived.notes.push(format!(
                "{}: {}; orders that need it are blocked until it is there, or the line names another one",
                sync.id,
                unknown_name(&table.attribute, &row.value, &[row.line], known)
            ));
        }
    }
}

/// What is wrong with a name that the target does not have: which, where it stands, what it may have meant.
pub(crate) fn unknown_name(attribute: &str, name: &str, lines: &[usize], known: &KnownNames) -> String {
    let line = if lines.len() == 1 { "line" } else { "lines" };
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let at = if lines.is_empty() { String::new() } else { format!(" ({line} {} of the job file)", lines.join(", ")) };
    let near: Vec<String> = crate::rules::problem::alike(name, known.names.iter().map(String::as_str))
        .into_iter()
        .map(|near| format!("`{near}`"))
        .collect();
    let near = if near.is_empty() { String::new() } else { format!(" (nearest there: {})", near.join(", ")) };
    format!("`{attribute}` gives `{name}`{at}, which {} does not have{near}", known.place)
}
