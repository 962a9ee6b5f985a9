//! One object, by its id or by what it holds.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::KeycloakSystem;
use super::ask::id_of;
use super::columns::{GROUPS, PARENT, RESOURCES, ROLES, USERS, attribute, ends_of, exported, problem, value};
use super::groups::by_id;
use super::pages::Pager;
use super::{roles, users};
use crate::model::failure::{Class, Failure};
use crate::model::object::Object;
use crate::model::value::Value;

pub(super) async fn get(system: &KeycloakSystem, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
    known(system, resource)?;
    let found = object(system, resource, id).await?;
    // Whoever is asked for somebody must not answer with somebody else.
    match found.filter(|object| id_of(object) == Some(id)) {
        Some(object) => read(system, resource, &object).await,
        None => Ok(None),
    }
}

/// An object as the server has it.
pub(super) async fn object(system: &KeycloakSystem, resource: &str, id: &str) -> Result<Option<Json>, Failure> {
    match resource {
        USERS => system.object(&["users", id]).await,
        GROUPS => system.object(&["groups", id]).await,
        ROLES => {
            let Some(mut role) = system.object(&["roles-by-id", id]).await? else { return Ok(None) };
            if role.get("clientRole").and_then(Json::as_bool) == Some(true) {
                let container = role.get("containerId").and_then(Json::as_str).unwrap_or_default().to_owned();
                let client = system.object(&["clients", &container]).await?;
                role["client"] = json!(client.and_then(|client| client.get("clientId")?.as_str().map(str::to_owned)));
            }
            Ok(Some(role))
        }
        _ => {
            let user = id.split_once('/').map_or("", |(user, _)| user);
            if matches!(user, "" | "." | "..") {
                return Ok(None);
            }
            Ok(users::identities(system, user).await?.into_iter().find(|link| id_of(link) == Some(id)))
        }
    }
}

/// Objects whose attribute is a value; each is looked at whether it is.
pub(super) async fn find(
    system: &KeycloakSystem,
    resource: &str,
    name: &str,
    wanted: &str,
) -> Result<Vec<Object>, Failure> {
    known(system, resource)?;
    let profile = system.profile().await?;
    if let Some((cause, remedy)) = problem(resource, profile, name) {
        return Err(system.failure(Class::Configuration, cause, remedy));
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found = match (resource, name) {
        (_, "id") => object(system, resource, wanted).await?.into_iter().collect(),
        (USERS, _) => find_users(system, name, wanted).await?,
        (GROUPS, _) => find_groups(system, name, wanted).await?,
        (ROLES, _) => roles::all(system).await?.0,
        _ => {
            let user = if name == "user" { wanted } else { "" };
            if user.is_empty() {
                return Err(system.failure(
                    Class::Unsupported,
                    format!("{resource} are found by `id` and `user` alone, not by `{name}`"),
                    "match by one of these",
                ));
            }
            users::identities(system, user).await?
        }
    };
    let mut objects = Vec::new();
    for object in &found {
        let is_it = match value(resource, profile, name, object) {
            Some(Value::Text(text)) if resource == USERS && matches!(name, "username" | "email") => {
                text.to_lowercase() == wanted.to_lowercase()
            }
            Some(Value::Text(text)) => text == wanted,
            Some(Value::Many(values)) => values.iter().any(|value| value == wanted),
            None => false,
        };
        if is_it {
            objects.extend(read(system, resource, object).await?);
        }
    }
    Ok(objects)
}

/// Users that may hold a value: by the server's search where it has one, else everybody.
async fn find_users(system: &KeycloakSystem, name: &str, wanted: &str) -> Result<Vec<Json>, Failure> {
    let full = ("briefRepresentation", "false");
    let by_attribute = attribute(USERS, name).filter(|name| is_searchable(name) && is_searchable(wanted));
    let search = by_attribute.map(|name| format!("{}:{}", quoted(name), quoted(wanted)));
    let query = match (name, &search) {
        ("username" | "email" | "firstName" | "lastName", _) => vec![(name, wanted), ("exact", "true"), full],
        (_, Some(search)) => vec![("q", search.as_str()), full],
        _ => Vec::new(),
    };
    if !query.is_empty() {
        match Pager::new(system, &["users"], &query, 0).ending_short().all().await {
            // Some values are longer than an address may be.
            Err(failure) if matches!(failure.status, Some(400 | 414 | 431)) => {}
            answer => return answer,
        }
    }
    system
        .notice_once(&format!("{USERS} are found by `{name}` by reading everybody: the server cannot be asked for it"));
    let total = system.count(&["users", "count"]).await?;
    Pager::new(system, &["users"], &[full], total).all().await
}

/// The search takes a backslash for the beginning of an escape that it does not undo.
fn is_searchable(text: &str) -> bool {
    !text.contains('\\')
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

async fn find_groups(system: &KeycloakSystem, name: &str, wanted: &str) -> Result<Vec<Json>, Failure> {
    if name == "name" {
        let query =
            [("search", wanted), ("exact", "true"), ("populateHierarchy", "false"), ("briefRepresentation", "false")];
        let found = Pager::new(system, &["groups"], &query, 0).ending_short().all().await?;
        // Versions before 23 know no `populateHierarchy`, and answer with the way down from the top.
        if found.iter().all(|group| group.get("name").and_then(Json::as_str) == Some(wanted)) {
            return Ok(found);
        }
    }
    Ok(by_id(system).await?.into_values().collect())
}

fn known(system: &KeycloakSystem, resource: &str) -> Result<(), Failure> {
    let is_there = RESOURCES.contains(&resource) && ends_of(resource).is_none();
    if is_there { Ok(()) } else { Err(system.no_such_resource(resource)) }
}

/// An object with the columns that are always there and those that the job names.
async fn read(system: &KeycloakSystem, resource: &str, object: &Json) -> Result<Option<Object>, Failure> {
    let profile = system.profile().await?;
    let nothing = BTreeSet::new();
    let names = exported(resource, profile, system.columns.get(resource).unwrap_or(&nothing));
    let Some(id) = id_of(object) else { return Ok(None) };
    let attributes =
        names.into_iter().filter_map(|name| Some((name.clone(), value(resource, profile, &name, object)?)));
    Ok(Some(Object { id: id.to_owned(), attributes: attributes.collect(), version: None }))
}

/// The group that a group is below, as the server has it.
pub(super) fn parent_of(group: &Json) -> Option<String> {
    match value(GROUPS, &super::profile::Profile::default(), PARENT, group) {
        Some(Value::Text(parent)) => Some(parent),
        _ => None,
    }
}
