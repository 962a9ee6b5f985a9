//! Roles of the realm and of the clients that the job names, what they carry, and who has them.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};

use super::KeycloakSystem;
use super::ask::{id_of, is_gone};
use super::columns::{ASSIGNMENTS, ROLES};
use super::pages::Pager;
use super::users::{Wanted, columns_of, row};
use crate::connector::source::{ExportError, ExportSink};
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};

/// All roles, with the client of each (`client`, and its internal id as `containerId`).
pub(super) async fn all(system: &KeycloakSystem) -> Result<(Vec<Json>, Evidence), Failure> {
    let full = [("briefRepresentation", "false")];
    let mut pager = Pager::new(system, &["roles"], &full, 0);
    let mut roles = Vec::new();
    while let Some(mut page) = pager.next().await? {
        roles.append(&mut page);
    }
    let mut evidence = pager.evidence;
    for client in &system.config.clients {
        let container = container_of(system, client).await?;
        let path = ["clients", container.as_str(), "roles"];
        let mut pager = Pager::new(system, &path, &full, 0);
        while let Some(page) = pager.next().await? {
            roles.extend(page.into_iter().map(|mut role| {
                role["client"] = json!(client);
                role
            }));
        }
        evidence.pages_asked += pager.evidence.pages_asked;
        evidence.pages_received += pager.evidence.pages_received;
        evidence.rows_received += pager.evidence.rows_received;
    }
    Ok((roles, evidence))
}

/// The internal id of a client.
async fn container_of(system: &KeycloakSystem, client: &str) -> Result<String, Failure> {
    let (found, _) = system.list(&["clients"], &[("clientId", client)]).await?;
    let it = found.iter().find(|found| found.get("clientId").and_then(Json::as_str) == Some(client));
    it.and_then(id_of).map(str::to_owned).ok_or_else(|| {
        system.failure(
            Class::Configuration,
            format!("the realm `{}` has no client `{client}`", system.config.realm),
            "correct `clients`: the client ids of those whose roles are read, as the admin console lists them",
        )
    })
}

/// Where a role is asked for by its name.
fn place(role: &Json) -> Vec<&str> {
    let text = |name: &str| role.get(name).and_then(Json::as_str).unwrap_or_default();
    match role.get("client") {
        Some(_) => vec!["clients", text("containerId"), "roles", text("name")],
        None => vec!["roles", text("name")],
    }
}

pub(super) async fn whole(
    system: &KeycloakSystem,
    wanted: &[Wanted],
    sink: &mut dyn ExportSink,
) -> Result<Vec<(String, Evidence)>, ExportError> {
    let (roles, of_roles) = all(system).await?;
    let profile = system.profile().await?;
    let mut seen = Vec::new();
    for wanted in wanted {
        let resource = wanted.resource.as_str();
        let mut evidence = of_roles.clone();
        if resource == ROLES {
            let columns = columns_of(system, wanted).await?;
            sink.begin(ROLES, &columns, &["id".to_owned()])?;
            for role in &roles {
                row(ROLES, profile, &columns, role, sink)?;
            }
        } else {
            let (ends, of_users) = match resource {
                ASSIGNMENTS => (["role".to_owned(), "user".to_owned()], true),
                _ => (["parent".to_owned(), "child".to_owned()], false),
            };
            sink.begin(resource, &ends, &ends)?;
            evidence.rows_received = 0;
            let known: BTreeSet<&str> = roles.iter().filter_map(id_of).collect();
            let all = &roles;
            let mut answers = stream::iter(0..all.len())
                .map(|at| async move {
                    let role = &all[at];
                    let found = if of_users { holders(system, role).await? } else { parts(system, role).await? };
                    Ok::<_, Failure>((id_of(role).unwrap_or_default(), found))
                })
                .buffered(system.config.reads_in_flight);
            let mut left_out = 0u64;
            while let Some((role, found)) = answers.try_next().await? {
                for id in found {
                    if !of_users && !known.contains(id.as_str()) {
                        left_out += 1;
                        continue;
                    }
                    sink.row(resource, &[role, &id])?;
                    evidence.rows_received += 1;
                }
            }
            if left_out > 0 {
                evidence.notes.push(format!("{left_out} roles of clients that `clients` does not name were left out"));
            }
        }
        seen.push((resource.to_owned(), evidence));
    }
    Ok(seen)
}

/// The users who have a role of themselves, not through a group or another role.
pub(super) async fn holders(system: &KeycloakSystem, role: &Json) -> Result<Vec<String>, Failure> {
    let path = [place(role), vec!["users"]].concat();
    let brief = [("briefRepresentation", "true")];
    match Pager::new(system, &path, &brief, 0).all().await {
        Ok(users) => Ok(users
            .iter()
            .filter(|user| {
                let login = user.get("username").and_then(Json::as_str).unwrap_or_default();
                !login.starts_with("service-account-")
            })
            .filter_map(id_of)
            .map(str::to_owned)
            .collect()),
        Err(failure) if is_gone(&failure) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// The roles that a role carries.
pub(super) async fn parts(system: &KeycloakSystem, role: &Json) -> Result<Vec<String>, Failure> {
    if role.get("composite").and_then(Json::as_bool) != Some(true) {
        return Ok(Vec::new());
    }
    let path = ["roles-by-id", id_of(role).unwrap_or_default(), "composites"];
    let found = system.list(&path, &[]).await;
    match found {
        Ok((roles, _)) => Ok(roles.iter().filter_map(id_of).map(str::to_owned).collect()),
        Err(failure) if is_gone(&failure) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// The roles that a user has of themselves; none where there is no such user.
pub(super) async fn roles_of(system: &KeycloakSystem, user: &str) -> Result<Vec<String>, Failure> {
    if matches!(user, "" | "." | "..") {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    let mut places = vec![vec!["users".to_owned(), user.to_owned(), "role-mappings".to_owned(), "realm".to_owned()]];
    for client in &system.config.clients {
        let container = container_of(system, client).await?;
        places.push(["users", user, "role-mappings", "clients", &container].map(str::to_owned).to_vec());
    }
    for place in places {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        match system.list(&place, &[]).await {
            Ok((roles, _)) => ids.extend(roles.iter().filter_map(id_of).map(str::to_owned)),
            Err(failure) if is_gone(&failure) => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
    Ok(ids)
}

/// Where the mappings of a user to a role are written, and what is sent there; `None` where there is no such role.
pub(super) async fn mapping(
    system: &KeycloakSystem,
    user: &str,
    role: &str,
) -> Result<Option<(Vec<String>, Json)>, Failure> {
    let Some(found) = system.object(&["roles-by-id", role]).await? else { return Ok(None) };
    let text = |name: &str| found.get(name).and_then(Json::as_str).unwrap_or_default();
    let mut path = ["users", user, "role-mappings"].map(str::to_owned).to_vec();
    match found.get("clientRole").and_then(Json::as_bool) {
        Some(true) => path.extend(["clients".to_owned(), text("containerId").to_owned()]),
        _ => path.push("realm".to_owned()),
    }
    let body = json!([{"id": role, "name": text("name")}]);
    Ok(Some((path, body)))
}
