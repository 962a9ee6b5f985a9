//! Changes of single objects: create, update, disable, enable, delete.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use super::KeycloakSystem;
use super::ask::{id_of, is_gone};
use super::columns::{GROUPS, PARENT, RESOURCES, USERS, Unwritable, merge, problem};
use super::lookup::{find, object, parent_of};
use crate::connector::http::Answer;
use crate::connector::target::{Applied, ObjectChange};
use crate::model::failure::{Class, Effect, Failure};
use crate::model::order::Operation;
use crate::model::outcome::Effected;
use crate::model::value::Value;

/// What the server tells of a user or group and does not take: who may do what with it, and what it counts itself.
const NOT_SENT: [&str; 8] = [
    "access",
    "userProfileMetadata",
    "disableableCredentialTypes",
    "totp",
    "path",
    "parentId",
    "subGroupCount",
    "subGroups",
];

type Wanted = BTreeMap<String, Option<Value>>;

pub(super) async fn apply(system: &KeycloakSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    if !matches!(resource, USERS | GROUPS) {
        return Err(match RESOURCES.contains(&resource) {
            true => system.failure(
                Class::Unsupported,
                format!("{resource} are read only"),
                "leave them out of the job as a target; they are changed at the server",
            ),
            false => system.no_such_resource(resource),
        });
    }
    let is_switch = matches!(change.operation, Operation::Disable | Operation::Enable);
    if is_switch && resource != USERS {
        return Err(system.failure(
            Class::Unsupported,
            "groups cannot be disabled or enabled",
            "use another action for this resource in `on`",
        ));
    }
    // What else changes on the day travels in the same request.
    let mut wanted = change.attributes.clone();
    if is_switch {
        wanted.insert("enabled".to_owned(), Value::text((change.operation == Operation::Enable).to_string()));
    }
    match change.operation {
        Operation::Create => create(system, change, wanted).await,
        Operation::Delete => delete(system, change).await,
        Operation::Add | Operation::Remove => Err(system.failure(
            Class::Configuration,
            format!("`{resource}` is no association"),
            "correct the sync's `to` in the job file",
        )),
        Operation::Update | Operation::Disable | Operation::Enable => update(system, change, &wanted).await,
    }
}

fn parent_in(wanted: &Wanted) -> Option<&str> {
    wanted.get(PARENT).and_then(Option::as_ref).and_then(Value::as_text)
}

async fn create(system: &KeycloakSystem, change: &ObjectChange, mut wanted: Wanted) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    // An account that says nothing else is in use, as at other systems; Keycloak itself would keep it disabled.
    if resource == USERS {
        wanted.entry("enabled".to_owned()).or_insert_with(|| Value::text("true"));
    }
    let mut body = Map::new();
    put(system, resource, &wanted, &mut body).await?;
    let key = if resource == USERS { "username" } else { "name" };
    let Some(name) = body.get(key).and_then(Json::as_str).map(str::to_owned) else {
        return Err(system.failure(
            Class::Data,
            format!("`{}` has no `{key}`, which the server needs", change.name),
            format!("map `{key}`; the next run plans it anew"),
        ));
    };
    let path = match parent_in(&wanted).filter(|_| resource == GROUPS) {
        Some(parent) => vec!["groups", parent, "children"],
        None => vec![resource],
    };
    let answer = system.write(Method::POST, &path, Some(Json::Object(body))).await?;
    // 201 without a body: the address of what was made says its id. Apply reads it and compares before it believes that.
    let id = match id_in(&answer, resource) {
        Some(id) => Some(id),
        None => {
            let found = find(system, resource, key, &name).await.map_err(Failure::once_sent)?;
            found.first().map(|found| found.id.clone())
        }
    };
    let Some(id) = id else {
        let mut lost = system.failure(
            Class::Server,
            format!("`{name}` was created, says the server with {}, and not as what", answer.status),
            "look for it at the server; the next run correlates it anew",
        );
        (lost.effect, lost.status) = (Effect::Unknown, Some(answer.status));
        return Err(lost);
    };
    Ok(Applied { id: Some(id), effected: Effected::Sent, note: None })
}

/// The last step of `…/users/ID`, as it is written.
fn id_in(answer: &Answer, resource: &str) -> Option<String> {
    let location = answer.location()?.split(['?', '#']).next()?.trim_end_matches('/');
    let (before, id) = location.rsplit_once('/')?;
    let is_there = before.ends_with(&format!("/{resource}")) && !id.is_empty();
    is_there.then(|| percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned())
}

async fn update(system: &KeycloakSystem, change: &ObjectChange, wanted: &Wanted) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    let id = id(system, change)?;
    let Some(Json::Object(mut current)) = object(system, resource, &id).await? else {
        let mut gone = system.failure(
            Class::Stale,
            format!("`{}` ({id}) is not there any more", change.name),
            "the next run correlates it anew; nothing has to be done unless it comes back",
        );
        gone.status = Some(404);
        return Err(gone);
    };
    let before = current.clone();
    put(system, resource, wanted, &mut current).await?;
    let mut effected = Effected::AlreadySo;
    if resource == GROUPS && wanted.contains_key(PARENT) {
        let is_below = parent_of(&Json::Object(before.clone()));
        if is_below.as_deref() != parent_in(wanted) {
            // A group goes where it is posted to by its id (admin REST, "set or create child").
            let path = match parent_in(wanted) {
                Some(parent) => vec!["groups", parent, "children"],
                None => vec!["groups"],
            };
            let body = json!({"id": id, "name": before.get("name")});
            system.write(Method::POST, &path, Some(body)).await?;
            effected = Effected::Sent;
        }
    }
    // A change replaces what it leaves out: everything that was there goes along.
    if current != before {
        current.retain(|field, _| !NOT_SENT.contains(&field.as_str()));
        let sent = system.write(Method::PUT, &[resource, &id], Some(Json::Object(current))).await;
        // Where it was moved before, half of it is done.
        sent.map_err(|failure| if effected == Effected::Sent { failure.once_sent() } else { failure })?;
        effected = Effected::Sent;
    }
    Ok(Applied { id: Some(id), effected, note: None })
}

async fn delete(system: &KeycloakSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    let id = id(system, change)?;
    if resource == GROUPS
        && let Some(group) = object(system, GROUPS, &id).await?
    {
        let (below, _) = system.list(&["groups", &id, "children"], &[("first", "0"), ("max", "1")]).await?;
        if let Some(child) = below.first().and_then(id_of) {
            let name = group.get("path").and_then(Json::as_str).unwrap_or(&change.name);
            return Err(system.failure(
                Class::Conflict,
                format!("the group `{name}` has groups below it ({child}), which Keycloak would delete along with it"),
                "delete those first, or move them; the next run plans it anew",
            ));
        }
    }
    match system.write(Method::DELETE, &[resource, &id], None).await {
        Ok(_) => Ok(Applied { id: Some(id), effected: Effected::Sent, note: None }),
        Err(failure) if is_gone(&failure) => {
            let note = Some("it was absent already".to_owned());
            Ok(Applied { id: Some(id), effected: Effected::AlreadySo, note })
        }
        Err(failure) => Err(failure),
    }
}

fn id(system: &KeycloakSystem, change: &ObjectChange) -> Result<String, Failure> {
    change.id.clone().filter(|id| !matches!(id.as_str(), "" | "." | "..")).ok_or_else(|| {
        system.failure(
            Class::Stale,
            format!("`{}` has no id at the target to {} it by", change.name, change.operation),
            "the next run correlates it anew",
        )
    })
}

/// Puts wanted values into an object, or says why they cannot be there.
async fn put(
    system: &KeycloakSystem,
    resource: &str,
    wanted: &Wanted,
    object: &mut Map<String, Json>,
) -> Result<(), Failure> {
    let profile = system.profile().await?;
    merge(resource, wanted, object).map_err(|problem_of| match problem_of {
        Unwritable::Unknown(name) => {
            let (cause, remedy) = problem(resource, profile, &name)
                .unwrap_or_else(|| (format!("{resource} has no attribute `{name}`"), "correct the mapping".to_owned()));
            system.failure(Class::Configuration, cause, remedy)
        }
        Unwritable::ReadOnly(name) => system.failure(
            Class::Unsupported,
            format!("`{name}` of {resource} is written by the server alone"),
            "leave the attribute out of the mapping",
        ),
        Unwritable::Malformed(name, takes) => system.failure(
            Class::Data,
            format!("`{name}` of {resource} takes {takes}"),
            "correct the value at the source, or the rule that makes it: the next run plans it anew",
        ),
    })
}
