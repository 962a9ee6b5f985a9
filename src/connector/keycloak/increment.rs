//! What changed since a cursor: the objects that admin events name are read, one by one.
//!
//! Events tell of administrators alone. Who registers, changes their own profile or comes from a federated directory
//! tells nobody: a number of users that does not add up makes the run read everything, and a changed value of such a user
//! comes with the next complete run. What hangs on users or groups is proved by their numbers, and by nothing where it goes
//! on from another event than they do: then the run reads everything, too.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::KeycloakSystem;
use super::columns::{ASSIGNMENTS, GROUPS, IDENTITIES, MEMBERSHIPS, NESTINGS, USERS};
use super::events::{Cursor, Happened};
use super::groups::{groups_of, tree};
use super::users::{Wanted, columns_of, row};
use crate::connector::source::{ExportError, ExportRequest, ExportSink, ResourceRequest};
use crate::model::evidence::Evidence;
use crate::model::failure::Failure;
use crate::model::numbers::counted;

/// Hands over what changed of a resource.
///
/// # Errors
/// Class `unsupported`, where events do not say enough: the run reads everything then.
pub(super) async fn changed(
    system: &KeycloakSystem,
    wanted: &Wanted,
    since: &Cursor,
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    let happened = system.since(since).await?;
    let mut evidence = match wanted.resource.as_str() {
        USERS => users(system, wanted, &happened, sink).await?,
        GROUPS => groups(system, wanted, &happened, sink).await?,
        MEMBERSHIPS => memberships(system, &happened, sink).await?,
        other => unchanged(system, wanted, other, &happened, sink).await?,
    };
    let events = counted(happened.len() as u64, "admin event");
    evidence.notes.push(format!("{events} since {}, less an overlap", since.text()));
    Ok(evidence)
}

/// Says no where a resource would go on from another event than what it hangs on: held back while that moved on, it would
/// keep whoever went in between without an event.
pub(super) fn goes_with_others(
    system: &KeycloakSystem,
    wanted: &ResourceRequest,
    request: &ExportRequest,
) -> Result<(), Failure> {
    let hangs_on: &[&str] = match wanted.resource.as_str() {
        MEMBERSHIPS => &[USERS, GROUPS],
        ASSIGNMENTS | IDENTITIES => &[USERS],
        NESTINGS => &[GROUPS],
        _ => &[],
    };
    let since = wanted.since.as_deref().unwrap_or_default();
    for other in hangs_on {
        let of_other = request.resources.iter().find(|one| one.resource == *other);
        let place = match of_other.map(|one| one.since.as_deref()) {
            Some(Some(place)) if place == since => continue,
            Some(Some(place)) => format!("{other} from {place}"),
            Some(None) => format!("{other} are read completely"),
            None => format!("{other} are not read"),
        };
        return Err(system.no_increment(format!(
            "{} go on from {since}, {place}: who went without an event would not be missed",
            wanted.resource
        )));
    }
    Ok(())
}

/// The ids of users that events of some kinds name.
fn users_of(happened: &[Happened], kinds: &[&str]) -> BTreeSet<String> {
    let of = happened.iter().filter(|event| kinds.contains(&event.what.as_str()));
    of.filter(|event| event.path.first().is_some_and(|first| first == "users"))
        .filter_map(|event| event.path.get(1).cloned())
        .filter(|id| !id.is_empty())
        .collect()
}

async fn users(
    system: &KeycloakSystem,
    wanted: &Wanted,
    happened: &[Happened],
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    let profile = system.profile().await?;
    let columns = columns_of(system, wanted).await?;
    let total_start = system.count(&["users", "count"]).await?;
    sink.begin(USERS, &columns, &["id".to_owned()])?;
    let mut evidence = Evidence::default();
    let mut answers = stream::iter(users_of(happened, &["USER"]))
        .map(|id| async move { system.object(&["users", &id]).await.map(|found| (id, found)) })
        .buffered(system.config.reads_in_flight);
    while let Some((id, found)) = answers.try_next().await? {
        (evidence.pages_asked, evidence.pages_received) = (evidence.pages_asked + 1, evidence.pages_received + 1);
        match found {
            // The accounts of clients are in no list of users.
            Some(user) if is_of_client(&user) => {}
            Some(user) => {
                row(USERS, profile, &columns, &user, sink)?;
                evidence.rows_received += 1;
            }
            None => sink.gone(USERS, &[&id])?,
        }
    }
    // The merged snapshot is held against them.
    evidence.total_start = Some(total_start);
    evidence.total_end = Some(system.count(&["users", "count"]).await?);
    Ok(evidence)
}

fn is_of_client(user: &serde_json::Value) -> bool {
    user.get("username").and_then(serde_json::Value::as_str).is_some_and(|login| login.starts_with("service-account-"))
}

/// Whether the tree changed, and so that rows of it are gone: with a group goes what is below it, which no event names.
fn tree_changed(system: &KeycloakSystem, happened: &[Happened]) -> Result<bool, Failure> {
    let mut of = happened.iter().filter(|event| event.what == "GROUP");
    if of.clone().any(|event| event.operation == "DELETE") {
        return Err(system.no_increment("groups were deleted since, and with them what is below them".to_owned()));
    }
    Ok(of.next().is_some())
}

/// All groups where one changed: a name or a move is a part of the path of all that is below.
async fn groups(
    system: &KeycloakSystem,
    wanted: &Wanted,
    happened: &[Happened],
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    let columns = columns_of(system, wanted).await?;
    let has_changed = tree_changed(system, happened)?;
    sink.begin(GROUPS, &columns, &["id".to_owned()])?;
    if !has_changed {
        let total = system.count(&["groups", "count"]).await?;
        return Ok(Evidence { total_start: Some(total), total_end: Some(total), ..Evidence::default() });
    }
    let (groups, evidence) = tree(system).await?;
    let profile = system.profile().await?;
    for group in &groups {
        row(GROUPS, profile, &columns, group, sink)?;
    }
    Ok(evidence)
}

async fn memberships(
    system: &KeycloakSystem,
    happened: &[Happened],
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    if tree_changed(system, happened)? && happened.iter().any(|event| event.what == "GROUP" && event.over_scim) {
        let cause = "groups were changed over the realm's SCIM API, whose events do not tell of their members";
        return Err(system.no_increment(cause.to_owned()).into());
    }
    let ends = ["group".to_owned(), "user".to_owned()];
    sink.begin(MEMBERSHIPS, &ends, &ends)?;
    let mut evidence = Evidence::default();
    // Who was deleted is in no group any more, and who was created may be in the default groups.
    let mut answers = stream::iter(users_of(happened, &["GROUP_MEMBERSHIP", "USER"]))
        .map(|user| async move {
            let is_user = match system.object(&["users", &user]).await? {
                Some(found) => !is_of_client(&found),
                None => false,
            };
            let groups = if is_user { groups_of(system, &user).await? } else { Vec::new() };
            Ok::<_, Failure>((user, groups))
        })
        .buffered(system.config.reads_in_flight);
    while let Some((user, groups)) = answers.try_next().await? {
        (evidence.pages_asked, evidence.pages_received) = (evidence.pages_asked + 1, evidence.pages_received + 1);
        sink.replace(MEMBERSHIPS, "user", &user)?;
        for group in &groups {
            sink.row(MEMBERSHIPS, &[group, &user])?;
            evidence.rows_received += 1;
        }
    }
    Ok(evidence)
}

/// Nothing, where no event is about the resource; else everything has to be read.
async fn unchanged(
    system: &KeycloakSystem,
    wanted: &Wanted,
    resource: &str,
    happened: &[Happened],
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    let concerns = |event: &&Happened| match resource {
        NESTINGS => event.what == "GROUP",
        IDENTITIES => {
            event.what == "USER"
                && (event.operation == "DELETE" || event.path.get(2).is_some_and(|part| part == "federated-identity"))
        }
        _ => event.what.contains("ROLE") || event.what == "USER" && event.operation != "UPDATE",
    };
    if let Some(event) = happened.iter().find(concerns) {
        let cause = format!("{resource} changed since: {} of {}", event.operation, event.path.join("/"));
        return Err(system.no_increment(cause).into());
    }
    match super::columns::ends_of(resource) {
        Some(ends) => {
            let ends = ends.map(|(end, _)| end.to_owned());
            sink.begin(resource, &ends, &ends)?;
        }
        None => sink.begin(resource, &columns_of(system, wanted).await?, &["id".to_owned()])?,
    }
    Ok(Evidence::default())
}
