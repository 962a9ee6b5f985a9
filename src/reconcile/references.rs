//! To which objects the attributes of a sync refer: source rows that are named by a key or a value, seen through links
//! and this plan's matches.

use std::collections::{BTreeMap, HashMap};

use super::canonical;
use super::ends::EndState;
use super::error::ReconcileError;
use super::index::NONE;
use super::objects::{Correlated, counted};
use super::policy::ReferenceRule;
use super::reason::some;
use super::sorting::state_of;
use crate::model::capabilities::AttributeType;
use crate::model::order::{EndRef, ObjectKey, OrderId, Reference};
use crate::model::value::Value;
use crate::rules::expression::Expression;
use crate::snapshot::row::Cells;

/// What a row names in an attribute that refers to another row.
#[derive(Clone, Debug)]
pub(crate) struct Referred {
    /// The row's key; what was named, where no row goes by it.
    pub(crate) key: String,
    pub(crate) whom: Whom,
}

/// The object of a row that is named.
#[derive(Clone, Debug)]
pub(crate) enum Whom {
    /// At the target, by its id.
    There(String),
    /// An order of this plan makes it.
    ToCome,
    /// None: half a sentence why.
    Nobody(String),
}

/// By source row, whom it names in one attribute. Who is named by many is kept once.
pub(crate) struct ReferenceTable {
    of: Vec<u32>,
    pool: Vec<Referred>,
}

impl ReferenceTable {
    /// Whom a row names.
    pub(crate) fn get(&self, row: u32) -> Option<&Referred> {
        self.pool.get(*self.of.get(row as usize)? as usize)
    }
}

impl ReferenceRule {
    /// The identity of the object of a row.
    pub(crate) fn identity(&self, key: &str) -> ObjectKey {
        ObjectKey::by_source(&self.to, &self.from, key)
    }

    /// What an attribute is to hold, and to what that refers; `None` where it refers to nobody. An object that is to
    /// come stands by its identity, until its order is known.
    pub(crate) fn value(&self, referred: &Referred) -> Option<(Value, Reference)> {
        let identity = self.identity(&referred.key);
        let (text, object) = match &referred.whom {
            Whom::There(id) => (id.clone(), EndRef::Target(id.clone())),
            Whom::ToCome => (identity.0.clone(), EndRef::Order(OrderId(String::new()))),
            Whom::Nobody(_) => return None,
        };
        let (attribute, resource, key) = (self.attribute.clone(), self.to.clone(), referred.key.clone());
        Some((Value::Text(text), Reference { attribute, resource, object, identity, key }))
    }
}

/// Finds out whom every row names, and sets the digests of these values. What refers to nobody is left as it is, and
/// told, where an object may be without it.
pub(crate) fn resolve(all: &mut [Correlated<'_>]) -> Result<(), ReconcileError> {
    let mut found: Vec<Vec<ReferenceTable>> = Vec::with_capacity(all.len());
    for one in all.iter() {
        let rules = one.table.input.sync.references.iter().enumerate();
        found.push(rules.map(|(position, rule)| table(all, one, position, rule)).collect::<Result<_, _>>()?);
    }
    for (one, tables) in all.iter_mut().zip(found) {
        for (rule, table) in one.table.input.sync.references.iter().zip(&tables) {
            set_digests(one, rule, table);
        }
        one.table.references = tables;
    }
    Ok(())
}

fn set_digests(one: &mut Correlated<'_>, rule: &ReferenceRule, table: &ReferenceTable) {
    let Some(position) = one.scanner.position(&rule.attribute) else { return };
    let (kind, is_required) = (one.scanner.attributes[position].kind, one.scanner.requires(&rule.attribute));
    let digest = |referred: &Referred| match &referred.whom {
        Whom::There(id) => Some(canonical::digest(id, kind)),
        Whom::ToCome => Some(canonical::digest(&rule.identity(&referred.key).0, AttributeType::Text)),
        // Unlike whatever the target holds, so that the object is looked at closely.
        Whom::Nobody(why) => is_required.then(|| canonical::digest(why, AttributeType::Text)),
    };
    let mut nobody: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for row in 0..table.of.len() as u32 {
        let Some(referred) = table.get(row) else { continue };
        if let Some(digest) = digest(referred) {
            one.table.source.set_value(row, position, digest);
        }
        if let (Whom::Nobody(why), false) = (&referred.whom, is_required) {
            nobody.entry(&referred.key).or_insert((why, 0)).1 += 1;
        }
    }
    let rows: usize = nobody.values().map(|(_, rows)| rows).sum();
    if rows > 0 {
        let told: Vec<String> = nobody.iter().map(|(key, (why, _))| format!("`{key}` ({why})")).collect();
        one.warnings.push(format!(
            "{}: {} of {} refers to nobody and is left as it is, for {}: {}; it is set when there is somebody, or correct the source",
            one.table.input.sync.id,
            rule.attribute,
            one.table.input.sync.to,
            counted(rows, "row"),
            some(&told)
        ));
    }
}

/// Whom each row of a sync names in one attribute.
fn table(
    all: &[Correlated<'_>],
    one: &Correlated<'_>,
    position: usize,
    rule: &ReferenceRule,
) -> Result<ReferenceTable, ReconcileError> {
    let mut directories = Vec::new();
    for other in all {
        let sync = other.table.input.sync;
        if sync.from == rule.from && sync.to == rule.to {
            directories.push(Directory::new(other, rule.by.as_ref())?);
        }
    }
    let source = &one.table.source;
    let mut table = ReferenceTable { of: vec![NONE; source.len()], pool: Vec::new() };
    let mut known: HashMap<&str, u32> = HashMap::new();
    for row in 0..source.len() as u32 {
        let named = source.named(position, row);
        if !named.is_empty() {
            table.of[row as usize] = *known.entry(named).or_insert_with(|| {
                table.pool.push(look_up(&directories, rule, named));
                table.pool.len() as u32 - 1
            });
        }
    }
    Ok(table)
}

/// The rows of one sync, by what they are named by.
struct Directory<'a> {
    of: &'a Correlated<'a>,
    /// By value: the first row that has it, and how many do; `None` where rows are named by their keys.
    by: Option<HashMap<String, (u32, usize)>>,
}

impl<'a> Directory<'a> {
    fn new(of: &'a Correlated<'_>, by: Option<&Expression>) -> Result<Self, ReconcileError> {
        let input = of.table.input;
        let Some(by) = by else { return Ok(Self { of, by: None }) };
        let bound = by.bind_with(input.source.columns(), input.lookups).map_err(|problem| ReconcileError::Rule {
            sync: input.sync.id.clone(),
            resource: input.sync.from.clone(),
            cause: format!("a reference by `{}`: {problem}", by.text()),
        })?;
        let values = input.source.par_map(|row| bound.cell(row as &dyn Cells).map(|cell| cell.into_owned()))?;
        let mut rows: HashMap<String, (u32, usize)> = HashMap::with_capacity(values.len());
        for (row, value) in (0..).zip(values) {
            // A row on which the rule fails goes by nothing.
            if let Some(value) = value.ok().filter(|value| !value.is_empty()) {
                rows.entry(value).or_insert((row, 0)).1 += 1;
            }
        }
        Ok(Self { of, by: Some(rows) })
    }

    /// The row that is meant, and how many are.
    fn find(&self, named: &str) -> Option<(u32, usize)> {
        match &self.by {
            Some(by) => by.get(named).copied(),
            None => self.of.table.find_source(named).map(|row| (row, 1)),
        }
    }
}

/// Whom a text names. Where several syncs make objects of the same rows, the one that has the object, or makes it.
fn look_up(directories: &[Directory<'_>], rule: &ReferenceRule, named: &str) -> Referred {
    let nobody = |key: &str, why: String| Referred { key: key.to_owned(), whom: Whom::Nobody(why) };
    let mut best = match (directories.is_empty(), &rule.by) {
        (true, _) => nobody(named, format!("no sync from {} to {} is planned now", rule.from, rule.to)),
        (false, None) => nobody(named, format!("no row of {} goes by it", rule.from)),
        (false, Some(by)) => nobody(named, format!("`{}` of no row of {} is it", by.text(), rule.from)),
    };
    let mut rank = 0;
    for directory in directories {
        let Some((row, rows)) = directory.find(named) else { continue };
        let of = directory.of;
        let (table, key) = (&of.table, of.table.source.key(row));
        let (its, found) = match state_of(table.input, &of.scanner, &of.done, table.source.get(row), row) {
            _ if rows > 1 => (1, nobody(named, format!("{} of {} are it", counted(rows, "row"), rule.from))),
            EndState::Paired(target) => {
                (4, Referred { key: key.to_owned(), whom: Whom::There(table.target.key(target).to_owned()) })
            }
            EndState::Creating => (3, Referred { key: key.to_owned(), whom: Whom::ToCome }),
            EndState::Undecided => (2, nobody(key, format!("which object of {} it is, is not known yet", rule.to))),
            EndState::Unwanted(_) | EndState::Leaving(_) | EndState::Unmanaged => {
                (1, nobody(key, format!("its row of {} is not in scope", rule.from)))
            }
        };
        if its > rank {
            (rank, best) = (its, found);
        }
    }
    best
}
