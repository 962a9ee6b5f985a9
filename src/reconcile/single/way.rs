//! How a source row comes into a group that its sync reads its rows' groups from.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::model::resource::ResourceName;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::groups::GroupRule;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

/// A group of a sync's `groups`, and how a row comes into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The keys of the groups that go by the name.
    pub keys: Vec<String>,
    /// Whether a row says so of the member itself.
    pub is_direct: bool,
    /// Groups in groups that lead there, from the one that holds the member to the one in question; empty where none do.
    pub path: Vec<String>,
    /// The groups that hold the member directly, by their keys.
    pub groups: Vec<String>,
}

/// A group that the name stands for, or the names that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is one.
    Group(Way),
    /// None goes by it; all names.
    Names(BTreeSet<String>),
}

/// Looks for a group by what it goes by in the job, or by its key.
///
/// # Errors
/// Where a snapshot cannot be read.
pub fn way(
    rule: &GroupRule,
    tables: &BTreeMap<ResourceName, Table>,
    member: &str,
    group: &str,
) -> Result<Found, ReconcileError> {
    let Some(via) = tables.get(&rule.via) else { return Ok(Found::Names(BTreeSet::new())) };
    let (Some(in_member), Some(in_group)) = (via.column(&rule.member), via.column(&rule.group)) else {
        return Ok(Found::Names(BTreeSet::new()));
    };
    let of = rule.of.as_ref().and_then(|of| tables.get(of));
    let names: HashMap<String, String> = match of {
        Some(of) => {
            let by = rule.by.as_deref().and_then(|by| of.column(by));
            let named = of.par_map(|row| {
                let key = of.key_of(row);
                let name = by.map(|by| row.cell(by)).filter(|name| !name.is_empty()).unwrap_or(&key).to_owned();
                (key, name)
            })?;
            named.into_iter().collect()
        }
        None => {
            let keys = via.par_fold(BTreeSet::new, |keys: &mut BTreeSet<String>, row| {
                if !keys.contains(row.cell(in_group)) {
                    keys.insert(row.cell(in_group).to_owned());
                }
            })?;
            keys.into_iter().flatten().map(|key| (key.clone(), key)).collect()
        }
    };
    let fits = |asked: &dyn Fn(&str, &str) -> bool| -> BTreeSet<&str> {
        names.iter().filter(|(key, name)| asked(key, name)).map(|(key, _)| key.as_str()).collect()
    };
    let lower = group.to_lowercase();
    let mut wanted = fits(&|key, name| name == group || key == group);
    if wanted.is_empty() {
        wanted = fits(&|_, name| name.to_lowercase() == lower);
    }
    if wanted.is_empty() {
        return Ok(Found::Names(names.into_values().collect()));
    }
    let rows = via.par_fold(Vec::new, |rows: &mut Vec<(String, String)>, row| {
        let holds = row.cell(in_member);
        if holds == member || names.contains_key(holds) {
            rows.push((holds.to_owned(), row.cell(in_group).to_owned()));
        }
    })?;
    let mut rows: Vec<(String, String)> = rows.into_iter().flatten().collect();
    let direct: BTreeSet<String> =
        rows.iter().filter(|(holds, _)| holds == member).map(|(_, group)| group.clone()).collect();
    rows.retain(|(holds, _)| holds != member);
    if let Some(nestings) = rule.nestings.as_ref().and_then(|name| tables.get(name))
        && let (Some(child), Some(parent)) = (nestings.column("child"), nestings.column("parent"))
    {
        rows.extend(nestings.par_map(|row| (row.cell(child).to_owned(), row.cell(parent).to_owned()))?);
    }
    let is_direct = direct.iter().any(|group| wanted.contains(group.as_str()));
    let path = if is_direct { Vec::new() } else { path(&direct, &wanted, &rows) };
    let keys = wanted.into_iter().map(str::to_owned).collect();
    Ok(Found::Group(Way { keys, is_direct, path, groups: direct.into_iter().collect() }))
}

/// The shortest way up from one of the groups to one of those that are wanted.
fn path(from: &BTreeSet<String>, wanted: &BTreeSet<&str>, nested: &[(String, String)]) -> Vec<String> {
    let mut parents: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (child, parent) in nested {
        parents.entry(child).or_default().insert(parent);
    }
    let mut came: HashMap<&str, Option<&str>> = from.iter().map(|group| (group.as_str(), None)).collect();
    let mut next: VecDeque<&str> = from.iter().map(String::as_str).collect();
    while let Some(group) = next.pop_front() {
        if wanted.contains(group) {
            let mut path = vec![group.to_owned()];
            let mut at = group;
            while let Some(Some(before)) = came.get(at) {
                path.push((*before).to_owned());
                at = before;
            }
            path.reverse();
            return path;
        }
        for parent in parents.get(group).into_iter().flatten() {
            if !came.contains_key(parent) {
                came.insert(parent, Some(group));
                next.push_back(parent);
            }
        }
    }
    Vec::new()
}
