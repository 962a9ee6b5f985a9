//! Which groups a source row is in, as an association of its system tells: also those that hold one of its groups.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::resource::ResourceName;
use crate::rules::problem::alike;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

use super::error::ReconcileError;
use super::nesting::{self, CHILD, PARENT};
use super::objects::counted;
use super::policy::Nested;
use super::reason::some;

/// Where the groups of a sync's source rows are told, and which of them assign.
#[derive(Clone, Debug)]
pub struct GroupRule {
    /// The association whose rows say who is in which group.
    pub via: ResourceName,
    /// Its column with the keys of the source's rows.
    pub member: String,
    /// Its column with the keys of the groups.
    pub group: String,
    /// The groups themselves; `None`: whatever stands in the association's column is one.
    pub of: Option<ResourceName>,
    /// The column of `of` whose value a group goes by in the job; `None`: its key.
    pub by: Option<String>,
    /// Where groups in groups are rows of their own: `child` is in `parent`.
    pub nestings: Option<ResourceName>,
    /// What a group in a group means.
    pub nested: Nested,
    /// The column that each row gets: the list of its groups.
    pub column: String,
    /// Only members of these take part; none: everybody does.
    pub assigned: Vec<String>,
}

/// The snapshots that tell it.
pub(crate) struct GroupTables<'t> {
    pub(crate) source: &'t Table,
    pub(crate) via: &'t Table,
    pub(crate) of: Option<&'t Table>,
    pub(crate) nestings: Option<&'t Table>,
}

/// Who is in which group.
#[derive(Default)]
pub(crate) struct Memberships {
    /// What the groups go by, by number.
    names: Vec<String>,
    /// Members by key, as positions in `begins`.
    members: HashMap<String, u32>,
    /// Where each member's groups begin in `groups`, and where the last one's end.
    begins: Vec<usize>,
    groups: Vec<u32>,
    /// What a person should know, in sentences.
    pub(crate) notes: Vec<String>,
    /// Why nothing can be said of anybody, where the job refuses what was found.
    pub(crate) refused: Option<String>,
}

impl Memberships {
    /// What the groups of a row go by, sorted.
    pub(crate) fn of(&self, key: &str) -> Vec<String> {
        let Some(member) = self.members.get(key) else { return Vec::new() };
        let at = *member as usize;
        let names: BTreeSet<&str> = self.groups[self.begins[at]..self.begins[at + 1]]
            .iter()
            .map(|n| self.names[*n as usize].as_str())
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

/// Numbers for texts, in the order in which they come.
#[derive(Default)]
struct Numbers(HashMap<String, u32>);

impl Numbers {
    fn of(&mut self, text: &str) -> u32 {
        match self.0.get(text) {
            Some(number) => *number,
            None => {
                let number = self.0.len() as u32;
                self.0.insert(text.to_owned(), number);
                number
            }
        }
    }
}

/// Reads who is in which group.
pub(crate) fn read(sync: &str, rule: &GroupRule, tables: &GroupTables<'_>) -> Result<Memberships, ReconcileError> {
    let column = |table: &Table, resource: &ResourceName, name: &str| {
        table.column(name).ok_or_else(|| ReconcileError::Column {
            sync: sync.to_owned(),
            resource: Box::new(resource.clone()),
            column: name.to_owned(),
            present: table.columns().join(", "),
        })
    };
    let mut done = Memberships::default();
    let mut groups = Numbers::default();
    if let Some((of, resource)) = tables.of.zip(rule.of.as_ref()) {
        let by = rule.by.as_deref().map(|name| column(of, resource, name)).transpose()?;
        of.for_each(|row| {
            let key = of.key_of(row);
            let name = by.map(|by| row.cell(by)).filter(|name| !name.is_empty()).unwrap_or(&key).to_owned();
            if groups.of(&key) as usize == done.names.len() {
                done.names.push(name);
            }
        })?;
        same_names(sync, &groups, &mut done);
    }
    let (member, group) = (column(tables.via, &rule.via, &rule.member)?, column(tables.via, &rule.via, &rule.group)?);
    let mut members = Numbers::default();
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    tables.via.for_each(|row| {
        let key = row.cell(group);
        if rule.of.is_some() && !groups.0.contains_key(key) {
            unknown.insert(format!("`{key}`"));
            return;
        }
        let number = groups.of(key);
        if number as usize == done.names.len() {
            done.names.push(key.to_owned());
        }
        pairs.push((members.of(row.cell(member)), number));
    })?;
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_iter().collect();
        done.notes.push(format!(
            "{sync}: {} names groups that are in no snapshot: {}; skipped",
            rule.via,
            some(&unknown)
        ));
    }
    let inner = groups_inside(tables.source, &members, &groups)?;
    let mut nested: Vec<(u32, u32)> = Vec::new();
    pairs.retain(|(member, group)| match inner.get(member) {
        Some(child) => {
            nested.push((*child, *group));
            false
        }
        None => true,
    });
    if let Some((rows, resource)) = tables.nestings.zip(rule.nestings.as_ref()) {
        let (child, parent) = (column(rows, resource, CHILD)?, column(rows, resource, PARENT)?);
        rows.for_each(|row| {
            if let (Some(child), Some(parent)) = (groups.0.get(row.cell(child)), groups.0.get(row.cell(parent))) {
                nested.push((*child, *parent));
            }
        })?;
    }
    if !nested.is_empty() {
        let keys: BTreeMap<u32, &str> = groups.0.iter().map(|(key, number)| (*number, key.as_str())).collect();
        nest(sync, rule, &keys, &nested, &mut pairs, &mut done);
    }
    pairs.sort_unstable();
    pairs.dedup();
    done.begins = vec![0; members.0.len() + 1];
    pairs.iter().for_each(|(member, _)| done.begins[*member as usize + 1] += 1);
    (0..members.0.len()).for_each(|at| done.begins[at + 1] += done.begins[at]);
    done.groups = pairs.into_iter().map(|(_, group)| group).collect();
    done.members = members.0;
    unknown_assignments(sync, rule, &mut done);
    Ok(done)
}

/// Members that are groups, and no rows of the source: the member's number, the group's.
fn groups_inside(source: &Table, members: &Numbers, groups: &Numbers) -> Result<HashMap<u32, u32>, ReconcileError> {
    let both = |(key, member): (&String, &u32)| groups.0.get(key).map(|group| (key.clone(), (*member, *group)));
    let mut both: HashMap<String, (u32, u32)> = members.0.iter().filter_map(both).collect();
    if !both.is_empty() {
        let rows = source.par_fold(HashSet::new, |rows, row| {
            let key = source.key_of(row);
            if both.contains_key(&key) {
                rows.insert(key);
            }
        })?;
        both.retain(|key, _| !rows.iter().any(|rows| rows.contains(key)));
    }
    Ok(both.into_values().collect())
}

/// Resolves groups in groups as the job asks.
fn nest(
    sync: &str,
    rule: &GroupRule,
    keys: &BTreeMap<u32, &str>,
    nested: &[(u32, u32)],
    pairs: &mut Vec<(u32, u32)>,
    done: &mut Memberships,
) {
    let found = counted(nested.len(), "nested group");
    let key = |number: &u32| format!("`{}`", keys.get(number).copied().unwrap_or_default());
    match rule.nested {
        Nested::Direct => done.notes.push(format!(
            "{sync}: {found} of {} skipped with nested = \"direct\": their members do not count as members of the outer groups",
            rule.via
        )),
        Nested::Refuse => {
            let mut first: Vec<String> =
                nested.iter().map(|(child, parent)| format!("{} in {}", key(child), key(parent))).collect();
            first.sort();
            done.refused = Some(format!(
                "{} has {found} and nested = \"refuse\": take {} apart, or set nested = \"flatten\"",
                rule.via,
                some(&first)
            ));
        }
        Nested::Flatten => {
            let flat = nesting::flatten(pairs, nested);
            pairs.extend(flat.pairs);
            let mut cycles: Vec<String> = flat
                .cycles
                .iter()
                .map(|cycle| {
                    let mut keys: Vec<String> = cycle.iter().map(key).collect();
                    keys.sort();
                    keys.join(" ↔ ")
                })
                .collect();
            cycles.sort();
            if !cycles.is_empty() {
                done.notes.push(format!(
                    "{sync}: groups of {} contain each other: {}; their members belong to each of them: take one of the groups out of the other",
                    rule.via,
                    cycles.join("; ")
                ));
            }
        }
    }
}

/// Tells of groups that go by one name: whoever is in either counts.
fn same_names(sync: &str, groups: &Numbers, done: &mut Memberships) {
    let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, number) in &groups.0 {
        by_name.entry(&done.names[*number as usize]).or_default().push(format!("`{key}`"));
    }
    by_name.retain(|_, keys| keys.len() > 1);
    let mut told = Vec::new();
    for (name, mut keys) in by_name {
        keys.sort();
        told.push(format!("`{name}` ({})", some(&keys)));
    }
    if !told.is_empty() {
        done.notes.push(format!(
            "{sync}: several groups go by one name, and whoever is in any of them counts: {}; leave out `by` to tell them apart by their keys",
            some(&told)
        ));
    }
}

/// Tells of groups that assign and do not exist.
fn unknown_assignments(sync: &str, rule: &GroupRule, done: &mut Memberships) {
    let known: BTreeSet<&str> = done.names.iter().map(String::as_str).collect();
    let unknown: Vec<&String> = rule.assigned.iter().filter(|name| !known.contains(name.as_str())).collect();
    let told: Vec<String> = unknown
        .iter()
        .map(|name| {
            let near: Vec<String> = alike(name, known.iter().copied()).iter().map(|n| format!("`{n}`")).collect();
            if near.is_empty() { format!("`{name}`") } else { format!("`{name}` (nearest: {})", near.join(", ")) }
        })
        .collect();
    if !told.is_empty() {
        let where_to = rule.of.as_ref().unwrap_or(&rule.via);
        let told = format!("`assigned` names what is no group of {where_to}: {}; correct the name", some(&told));
        done.notes.push(format!("{sync}: {told}"));
        // Whoever was in it before its name changed is not out of scope for that.
        done.refused.get_or_insert(told);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(nested: Nested) -> GroupRule {
        GroupRule {
            via: "hr.memberships".parse().unwrap(),
            member: "user".into(),
            group: "group".into(),
            of: Some("hr.groups".parse().unwrap()),
            by: Some("name".into()),
            nestings: None,
            nested,
            column: "groups".into(),
            assigned: vec!["Group 1".into(), "group1".into()],
        }
    }

    fn read(folder: &std::path::Path, rows: &BTreeSet<(String, String)>, nested: Nested) -> Memberships {
        let table = |name: &str, key: &[&str], text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            Table::open(&path, &key.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>()).unwrap()
        };
        let source = table("users", &["id"], "id\nu0\nu1\nu2\nu3\n".into());
        let groups: String = (0..5).map(|n| format!("g{n},Group {n}\n")).collect();
        let of = table("groups", &["id"], format!("id,name\n{groups}"));
        let rows: String = rows.iter().map(|(group, user)| format!("{group},{user}\n")).collect();
        let via = table("memberships", &["group", "user"], format!("group,user\n{rows}"));
        let tables = GroupTables { source: &source, via: &via, of: Some(&of), nestings: None };
        super::read("hr.users->vault.users", &rule(nested), &tables).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whoever is in a group is in all that hold it, however deep and however they contain each other; and in no other.
        #[test]
        fn groups_of_a_row_are_the_closure_of_its_memberships(
            rows in proptest::collection::btree_set(("g[0-4]", "[ug][0-4]"), 0..16),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let found = read(folder.path(), &rows, Nested::Flatten);
            let direct = read(folder.path(), &rows, Nested::Direct);
            for user in ["u0", "u1", "u2", "u3"] {
                let mut closure: BTreeSet<&str> = BTreeSet::new();
                let mut next = vec![user];
                while let Some(member) = next.pop() {
                    let holding = rows.iter().filter(|(_, inside)| inside == member).map(|(group, _)| group.as_str());
                    next.extend(holding.filter(|group| closure.insert(group)));
                }
                let names = |groups: &mut dyn Iterator<Item = &str>| -> Vec<String> {
                    groups.map(|group| format!("Group {}", &group[1..])).collect()
                };
                prop_assert_eq!(found.of(user), names(&mut closure.into_iter()));
                let own = rows.iter().filter(|(_, inside)| inside == user).map(|(group, _)| group.as_str());
                prop_assert_eq!(direct.of(user), names(&mut own.collect::<BTreeSet<_>>().into_iter()));
            }
            prop_assert!(found.notes[found.notes.len() - 1].contains("`group1` (nearest: `Group 1`"), "{:?}", found.notes);
        }
    }
}
