//! Exports: each list is read, then each object of it, several at once; and the list again at the end.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;

use super::OpenBaoSystem;
use super::ask::place;
use super::columns::{
    ALIASES, CONTAINERS, GROUP_ALIASES, GROUP_POLICIES, GROUPS, MEMBERSHIPS, NESTINGS, POLICIES, RESOURCES, exported,
    is_known, nearest, value,
};
use super::members::{ends_of, ids_in};
use crate::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink, ResourceRequest};
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};
use crate::model::value::Value;

/// Folders of one key-value store at most: more of them are no folders of people.
const MOST_FOLDERS: usize = 200_000;
/// Folders in folders at most.
const DEEPEST: usize = 64;

pub(super) async fn export(
    system: &OpenBaoSystem,
    request: &ExportRequest,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    for wanted in &request.resources {
        check(system, wanted)?;
    }
    // Groups and both of their associations come out of one walk.
    let of_groups: Vec<&ResourceRequest> =
        request.resources.iter().filter(|wanted| list_of(wanted) == GROUPS).collect();
    if !of_groups.is_empty() {
        walk(system, GROUPS, &of_groups, sink).await?;
    }
    for wanted in request.resources.iter().filter(|wanted| list_of(wanted) != GROUPS) {
        match wanted.resource.as_str() {
            POLICIES => {
                let names = system.list(place(POLICIES).unwrap_or_default()).await?;
                ids(POLICIES, names, sink)?;
            }
            CONTAINERS => ids(CONTAINERS, system.containers().await?, sink)?,
            ALIASES | GROUP_ALIASES => aliases(system, wanted, sink).await?,
            list => walk(system, list, &[wanted], sink).await?,
        }
    }
    Ok(())
}

/// Which list a resource is read from.
fn list_of(wanted: &ResourceRequest) -> &str {
    match wanted.resource.as_str() {
        MEMBERSHIPS | NESTINGS | GROUP_POLICIES => GROUPS,
        plain => plain,
    }
}

fn check(system: &OpenBaoSystem, wanted: &ResourceRequest) -> Result<(), Failure> {
    let resource = wanted.resource.as_str();
    if !RESOURCES.contains(&resource) {
        return Err(system.no_such_resource(resource));
    }
    if wanted.since.is_some() {
        return Err(system.failure(
            Class::Unsupported,
            "no incremental export: the server cannot be asked for changes alone",
            "the next export reads everything; nothing has to be done",
        ));
    }
    if resource == CONTAINERS && system.config.kv.is_empty() {
        return Err(system.failure(
            Class::Configuration,
            "containers are folders of key-value stores, and the system names none",
            "name the mounts of those that are to be read: kv = [\"secret\"]",
        ));
    }
    let unknown = wanted.columns.iter().find(|column| ends_of(resource).is_none() && !is_known(resource, column));
    unknown.map_or(Ok(()), |column| {
        Err(system.failure(
            Class::Configuration,
            format!("{resource} has no attribute `{column}`"),
            format!("write `{}`, if that is meant", nearest(resource, column, system.columns.get(resource))),
        ))
    })
}

/// Names alone.
fn ids(resource: &str, names: impl IntoIterator<Item = String>, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
    let columns = ["id".to_owned()];
    sink.begin(resource, &columns, &columns)?;
    let mut rows = 0;
    for name in names {
        sink.row(resource, &[&name])?;
        rows += 1;
    }
    let evidence = Evidence { pages_asked: 1, pages_received: 1, rows_received: rows, ..Evidence::default() };
    sink.end(resource, ExportEnd { evidence, cursor: None, proves_absence: true })
}

/// Aliases come with their list.
async fn aliases(
    system: &OpenBaoSystem,
    wanted: &ResourceRequest,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    let resource = wanted.resource.as_str();
    let columns = exported(resource, &wanted.columns);
    sink.begin(resource, &columns, &["id".to_owned()])?;
    let mut listed = system.list_of_aliases(&[place(resource).unwrap_or_default(), &["id"]].concat()).await?;
    let total = Some(listed.keys.len() as u64);
    sink.expect(resource, listed.keys.len() as u64);
    let (mut rows, mut vanished) = (0, 0_u64);
    for id in listed.keys {
        let told = listed.told.remove(&id).and_then(|alias| serde_json::to_value(alias).ok());
        let object = match told {
            Some(mut alias) => {
                alias["id"] = Json::String(id);
                Some(alias)
            }
            None => system.object(resource, "id", &id).await?,
        };
        match object {
            Some(object) => rows += rows_of(resource, &columns, &object, sink)?,
            None => vanished += 1,
        }
    }
    let mut evidence = Evidence { pages_asked: 1, pages_received: 1, rows_received: rows, ..Evidence::default() };
    (evidence.total_start, evidence.total_end) = (total, total);
    note_vanished(&mut evidence, vanished);
    sink.end(resource, ExportEnd { evidence, cursor: None, proves_absence: true })
}

fn note_vanished(evidence: &mut Evidence, vanished: u64) {
    if vanished > 0 {
        evidence.notes.push(format!("{vanished} of the objects that were listed were gone when they were read"));
    }
}

/// Reads all objects of a list, and what is wanted of each.
async fn walk(
    system: &OpenBaoSystem,
    list: &str,
    wanted: &[&ResourceRequest],
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    let Some(place) = place(list) else { return Err(system.no_such_resource(list).into()) };
    let path = [place, &["id"]].concat();
    let mut columns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for wanted in wanted {
        let resource = wanted.resource.as_str();
        let (names, key) = match ends_of(resource) {
            Some((owner, member, _)) => {
                let ends = vec![owner.to_owned(), member.to_owned()];
                (ends.clone(), ends)
            }
            None => {
                let named = wanted.columns.iter().chain(system.columns.get(resource).into_iter().flatten());
                (exported(resource, named), vec!["id".to_owned()])
            }
        };
        sink.begin(resource, &names, &key)?;
        columns.insert(resource, names);
    }
    let first = system.list(&path).await?;
    if columns.contains_key(list) {
        sink.expect(list, first.len() as u64);
    }
    let total_start = first.len() as u64;
    let (mut rows, mut seen): (BTreeMap<&str, u64>, HashSet<String>) = Default::default();
    let (mut asked, mut vanished) = (0, 0u64);
    let mut ids = first;
    let total_end = loop {
        asked += 1;
        // Those that came while the others were read are read, too; those that went are not there any more.
        ids.retain(|id| seen.insert(id.clone()));
        let mut objects = stream::iter(ids)
            .map(|id| async move { system.object(list, "id", &id).await })
            .buffered(system.config.reads_in_flight);
        while let Some(object) = objects.try_next().await? {
            let Some(object) = object else {
                vanished += 1;
                continue;
            };
            for (resource, columns) in &columns {
                *rows.entry(resource).or_default() += rows_of(resource, columns, &object, sink)?;
            }
        }
        let again = system.list(&path).await?;
        if asked > 2 || again.iter().all(|id| seen.contains(id)) {
            break again.len() as u64;
        }
        ids = again;
    };
    for resource in columns.keys() {
        let is_association = ends_of(resource).is_some();
        let mut evidence = Evidence {
            pages_asked: asked,
            pages_received: asked,
            rows_received: rows.get(resource).copied().unwrap_or_default(),
            total_start: (!is_association).then_some(total_start),
            total_end: (!is_association).then_some(total_end),
            ..Evidence::default()
        };
        note_vanished(&mut evidence, vanished);
        sink.end(resource, ExportEnd { evidence, cursor: None, proves_absence: true })?;
    }
    Ok(())
}

/// The rows that an object gives; how many.
fn rows_of(resource: &str, columns: &[String], object: &Json, sink: &mut dyn ExportSink) -> Result<u64, ExportError> {
    let Some((_, _, field)) = ends_of(resource) else {
        let cell =
            |name: &String| value(resource, name, object).map(|value: Value| value.to_cell()).unwrap_or_default();
        let cells: Vec<String> = columns.iter().map(cell).collect();
        sink.row(resource, &cells.iter().map(String::as_str).collect::<Vec<_>>())?;
        return Ok(1);
    };
    let owner = object.get("id").and_then(Json::as_str).unwrap_or_default();
    let members = ids_in(object, field);
    for member in &members {
        sink.row(resource, &[owner, member])?;
    }
    Ok(members.len() as u64)
}

impl OpenBaoSystem {
    /// The folders of the key-value stores that the job names, with the mounts that they are in: `secret/team/`. Secrets
    /// themselves are not named.
    pub(super) async fn containers(&self) -> Result<BTreeSet<String>, Failure> {
        let mut found = BTreeSet::new();
        for mount in &self.config.kv {
            let mount = mount.trim_matches('/');
            let mut open = vec![(format!("{mount}/"), 0)];
            while let Some((folder, depth)) = open.pop() {
                let below = folder.get(mount.len()..).unwrap_or_default().trim_matches('/');
                let mut path: Vec<&str> = mount.split('/').collect();
                path.push("metadata");
                path.extend(below.split('/').filter(|step| !step.is_empty()));
                for key in self.list(&path).await?.iter().filter(|key| key.ends_with('/')) {
                    open.push((format!("{folder}{key}"), depth + 1));
                }
                found.insert(folder);
                if depth > DEEPEST || found.len() > MOST_FOLDERS {
                    return Err(self.failure(
                        Class::Server,
                        format!("`{mount}` holds more than {MOST_FOLDERS} folders, or deeper ones than {DEEPEST}"),
                        "see at the server what makes them; or leave this store out of `kv`",
                    ));
                }
            }
        }
        Ok(found)
    }
}
