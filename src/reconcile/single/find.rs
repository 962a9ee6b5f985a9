//! Which objects a person means by a key, an id, a login or an address.

use std::collections::BTreeSet;

use crate::reconcile::canonical;
use crate::reconcile::ends::{NAMES, name_in};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::{ObjectInput, PlanInput, SyncInput};
use crate::reconcile::scan::Scanner;
use crate::snapshot::row::{Cells, OwnedRow};

use super::Subject;
use super::recall::Recall;

/// An object that a text may mean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The object.
    pub subject: Subject,
    /// By what it was found: `key`, `id`, or an attribute.
    pub by: String,
    /// What it is called; may be empty.
    pub name: String,
}

/// Attributes that hold addresses, alone or as the first of their parts.
const ADDRESSES: [&str; 4] = ["emails", "email", "mail", "userPrincipalName"];

/// With more objects of one login than so many, somebody means something else.
const MOST: usize = 50;

/// The objects that go by a text, of those syncs that `among` names by their positions, sorted: by their source key or
/// their target's id, else by what match rules, unique attributes and names show. `input` has whole tables and no links.
///
/// # Errors
/// Where a snapshot or what is remembered cannot be read.
pub fn find(
    input: &PlanInput<'_>,
    text: &str,
    among: &dyn Fn(usize) -> bool,
    recall: &dyn Recall,
) -> Result<Vec<Hit>, ReconcileError> {
    let mut hits = Vec::new();
    let objects = input.syncs.iter().filter_map(|sync| match sync {
        SyncInput::Objects(objects) => Some(objects),
        SyncInput::Association(_) => None,
    });
    for objects in objects.filter(|objects| among(objects.sync.index)) {
        hits.extend(find_in(objects, text, recall)?);
    }
    if hits.iter().any(|hit| ["key", "id"].contains(&hit.by.as_str())) {
        hits.retain(|hit| ["key", "id"].contains(&hit.by.as_str()));
    }
    hits.sort();
    hits.dedup_by(|later, first| later.subject == first.subject);
    // One that is known by both its ends says more than the same one known by one of them.
    let known: BTreeSet<(usize, Option<String>)> = hits
        .iter()
        .filter(|hit| hit.subject.source_key.is_some())
        .map(|hit| (hit.subject.sync, hit.subject.target_id.clone()))
        .collect();
    hits.retain(|hit| {
        hit.subject.source_key.is_some() || !known.contains(&(hit.subject.sync, hit.subject.target_id.clone()))
    });
    Ok(hits)
}

fn find_in(input: &ObjectInput<'_>, text: &str, recall: &dyn Recall) -> Result<Vec<Hit>, ReconcileError> {
    let scanner = Scanner::bind(input, &mut Vec::new())?;
    let telling = input.sync.rules.unique.iter().map(String::as_str).chain(NAMES);
    let mut unique: Vec<usize> = telling.filter_map(|name| scanner.position(name)).collect();
    // An address is looked for where addresses are mapped to.
    let is_address = |name: &str| ADDRESSES.contains(&name.split(['[', '.']).next().unwrap_or(name));
    if text.contains('@') {
        let addresses = scanner.attributes.iter().enumerate().filter(|(_, attribute)| is_address(&attribute.name));
        unique.extend(addresses.map(|(at, _)| at));
    }
    let named: Vec<(&str, usize)> = NAMES.iter().filter_map(|name| Some((*name, input.target.column(name)?))).collect();
    let lower = text.to_lowercase();
    // Asked of every row: only what is not plain needs a copy in small letters.
    let same = |value: &str| match text.is_ascii() {
        true => !value.is_empty() && value.eq_ignore_ascii_case(text),
        false => !value.is_empty() && value.to_lowercase() == lower,
    };
    // Of a list, one of its values.
    let quoted = format!("\"{lower}\"");
    let holds = |value: &str| same(value) || value.starts_with('[') && value.to_lowercase().contains(&quoted);
    let digests: Vec<u64> = unique.iter().map(|at| canonical::digest(text, scanner.attributes[*at].kind)).collect();
    let key_column = |table: &crate::snapshot::table::Table| match table.key_columns() {
        [only] => Some(*only),
        _ => None,
    };
    let is_key = |table: &crate::snapshot::table::Table, row: &dyn Cells| match key_column(table) {
        Some(column) => row.cell(column) == text,
        None => table.key_of(row) == text,
    };
    type Found = Vec<(String, String, OwnedRow)>;
    let source = input.source.par_fold(Found::new, |found, row| {
        let by = if is_key(input.source, row) {
            Some("key".to_owned())
        } else {
            let by_match = scanner.matchers.iter().find(|matcher| same(&matcher.value(row)));
            let by_unique = || {
                let mut at = unique.iter().zip(&digests);
                at.find(|(at, digest)| scanner.wanted_digest(**at, row) == **digest)
            };
            by_match
                .map(|matcher| matcher.text.clone())
                .or_else(|| by_unique().map(|(at, _)| scanner.attributes[*at].name.clone()))
        };
        if let Some(by) = by {
            found.push((by, input.source.key_of(row), OwnedRow::of(row)));
        }
    })?;
    let target = input.target.par_fold(Found::new, |found, row| {
        let by = if is_key(input.target, row) {
            Some("id".to_owned())
        } else {
            let by_match = scanner.matchers.iter().find(|matcher| same(matcher.held(row)));
            let by_unique = || unique.iter().find(|at| holds(scanner.attributes[**at].held(row)));
            let by_name = || named.iter().find(|(_, column)| same(row.cell(*column)));
            by_match
                .map(|matcher| matcher.text.clone())
                .or_else(|| by_unique().map(|at| scanner.attributes[*at].name.clone()))
                .or_else(|| by_name().map(|(name, _)| (*name).to_owned()))
        };
        if let Some(by) = by {
            found.push((by, input.target.key_of(row), OwnedRow::of(row)));
        }
    })?;
    let (source, target): (Found, Found) =
        (source.into_iter().flatten().take(MOST).collect(), target.into_iter().flatten().take(MOST).collect());
    let mut keys: Vec<String> = source.iter().map(|(_, key, _)| key.clone()).collect();
    // Whose row is gone is still known by the key that it had.
    keys.push(text.to_owned());
    let ids: Vec<String> = target.iter().map(|(_, id, _)| id.clone()).chain([text.to_owned()]).collect();
    let links = recall.links(&input.sync.id, &keys, &ids)?;
    let subject = |source_key: Option<&str>, target_id: Option<&str>| Subject {
        sync: input.sync.index,
        source_key: source_key.map(str::to_owned),
        target_id: target_id.map(str::to_owned),
    };
    let is_made = |by: &str| scanner.position(by).is_some_and(|at| scanner.attributes[at].generated.is_some());
    let mut hits = Vec::new();
    for (by, key, _) in &source {
        let link = links.iter().find(|link| link.source_key == key);
        // Whoever has a login already goes by that one, not by what it was made from.
        if link.is_some() && is_made(by) {
            continue;
        }
        hits.push(Hit { subject: subject(Some(key), link.map(|l| l.target_id)), by: by.clone(), name: String::new() });
    }
    for (by, id, row) in &target {
        let link = links.iter().find(|link| link.target_id == id);
        let name = name_in(input, row).unwrap_or_default();
        hits.push(Hit { subject: subject(link.map(|l| l.source_key), Some(id)), by: by.clone(), name });
    }
    for link in links.iter().filter(|link| link.source_key == text || link.target_id == text) {
        let by = if link.source_key == text { "key" } else { "id" };
        let subject = subject(Some(link.source_key), Some(link.target_id));
        hits.push(Hit { subject, by: by.to_owned(), name: String::new() });
    }
    // The name, which only the target tells, goes to all that are the same object.
    let names: Vec<(Subject, String)> =
        hits.iter().filter(|hit| !hit.name.is_empty()).map(|hit| (hit.subject.clone(), hit.name.clone())).collect();
    for hit in &mut hits {
        let name = names.iter().find(|(subject, _)| *subject == hit.subject).map(|(_, name)| name.clone());
        hit.name = name.unwrap_or_default();
    }
    Ok(hits)
}
