//! Changes of single objects: create, update, disable, enable, delete.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::OpenBaoSystem;
use super::ask::place;
use super::columns::{ALIASES, GROUP_ALIASES, GROUPS, USERS, Unwritable, fields, nearest};
use crate::connector::target::{Applied, ObjectChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;
use crate::model::value::Value;

pub(super) async fn apply(system: &OpenBaoSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    if !matches!(change.resource.as_str(), USERS | GROUPS | ALIASES | GROUP_ALIASES) {
        return Err(match place(&change.resource) {
            Some(_) => system.failure(
                Class::Unsupported,
                format!("{} are read only", change.resource),
                "leave them out of the job as a target; they are changed at the server",
            ),
            None => system.no_such_resource(&change.resource),
        });
    }
    let is_switch = matches!(change.operation, Operation::Disable | Operation::Enable);
    if is_switch && change.resource != USERS {
        return Err(system.failure(
            Class::Unsupported,
            format!("{} cannot be disabled or enabled", change.resource),
            "use another action for this resource in `on`",
        ));
    }
    // What else changes on the day travels in the same request.
    let mut attributes = change.attributes.clone();
    if is_switch {
        attributes.insert("active".to_owned(), Value::text((change.operation == Operation::Enable).to_string()));
    }
    let result = match change.operation {
        Operation::Create if matches!(change.resource.as_str(), ALIASES | GROUP_ALIASES) => {
            system.create_alias(change, &attributes).await
        }
        Operation::Create => create(system, change, &attributes).await,
        Operation::Delete => delete(system, change).await,
        Operation::Add | Operation::Remove => Err(system.failure(
            Class::Configuration,
            format!("`{}` is no association", change.resource),
            "correct the sync's `to` in the job file",
        )),
        Operation::Update | Operation::Disable | Operation::Enable => update(system, change, &attributes).await,
    };
    if result.as_ref().is_err_and(|failure| failure.effect == Effect::Unknown) {
        system.forget_values(&change.resource).await;
    }
    result
}

async fn create(
    system: &OpenBaoSystem,
    change: &ObjectChange,
    attributes: &BTreeMap<String, Option<Value>>,
) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    let mut body = fields(resource, attributes, None).map_err(|problem| unwritable(system, resource, problem))?;
    let Some(name) = body.get("name").and_then(Json::as_str).map(str::to_owned) else {
        return Err(system.failure(
            Class::Data,
            format!("`{}` has no name, which the server needs", change.name),
            "map `name`; the next run plans it anew",
        ));
    };
    // The server would change what has the name already.
    if let Some(there) = system.object(resource, "name", &name).await? {
        let id = there.get("id").and_then(Json::as_str).unwrap_or_default();
        let mut taken = system.failure(
            Class::Conflict,
            format!("`{name}` is the name of another object of {resource} already ({id})"),
            "link both (`muster link`), or correct the name at the source: the next run plans it anew",
        );
        taken.recourse = Recourse::GiveUp;
        return Err(taken);
    }
    if resource == GROUPS {
        body.entry("type").or_insert_with(|| json!("internal"));
    }
    let path = place(resource).unwrap_or_default();
    let made = system.write(Method::POST, path, Some(Json::Object(body))).await?;
    let id = made.as_ref().and_then(|made| made.get("id")?.as_str().map(str::to_owned));
    let made = match id {
        Some(id) => system.object(resource, "id", &id).await,
        None => system.object(resource, "name", &name).await,
    };
    let made = made.map_err(Failure::once_sent)?;
    let Some((object, id)) = made.as_ref().and_then(|made| Some((made, made.get("id")?.as_str()?))) else {
        let mut lost = system.failure(
            Class::Server,
            format!("`{name}` was created, says the server, and cannot be read"),
            "look for it at the server; the next run correlates it anew",
        );
        lost.effect = Effect::Unknown;
        return Err(lost);
    };
    system.remember(resource, object).await;
    Ok(Applied { id: Some(id.to_owned()), effected: Effected::Sent, note: None })
}

async fn update(
    system: &OpenBaoSystem,
    change: &ObjectChange,
    attributes: &BTreeMap<String, Option<Value>>,
) -> Result<Applied, Failure> {
    let resource = change.resource.as_str();
    let (id, current) = there(system, change).await?;
    let Some(current) = current else {
        let mut gone = system.failure(
            Class::Stale,
            format!("`{}` ({id}) is not there any more", change.name),
            "the next run correlates it anew; nothing has to be done unless it comes back",
        );
        gone.status = Some(404);
        return Err(gone);
    };
    let mut body =
        fields(resource, attributes, Some(&current)).map_err(|problem| unwritable(system, resource, problem))?;
    if body.is_empty() {
        return Ok(Applied { id: Some(id), effected: Effected::AlreadySo, note: None });
    }
    if matches!(resource, ALIASES | GROUP_ALIASES) {
        // Some versions take an alias as a whole.
        for field in ["name", "canonical_id", "mount_accessor"] {
            if let Some(held) = current.get(field).filter(|_| !body.contains_key(field)) {
                body.insert(field.to_owned(), held.clone());
            }
        }
    }
    let path = [place(resource).unwrap_or_default(), &["id", &id]].concat();
    system.write(Method::POST, &path, Some(Json::Object(body))).await?;
    // Whether it took effect is read back by whoever asked for it.
    if let Ok(Some(now)) = system.object(resource, "id", &id).await {
        system.remember(resource, &now).await;
    }
    Ok(Applied { id: Some(id), effected: Effected::Sent, note: None })
}

async fn delete(system: &OpenBaoSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    // The server answers a delete of nothing as it answers any other.
    let (id, current) = there(system, change).await?;
    if current.is_none() {
        let note = Some("it was absent already".to_owned());
        return Ok(Applied { id: Some(id), effected: Effected::AlreadySo, note });
    }
    let path = [place(&change.resource).unwrap_or_default(), &["id", &id]].concat();
    system.write(Method::DELETE, &path, None).await?;
    Ok(Applied { id: Some(id), effected: Effected::Sent, note: None })
}

/// The id of what is to be changed, and what it holds now.
async fn there(system: &OpenBaoSystem, change: &ObjectChange) -> Result<(String, Option<Json>), Failure> {
    let id = change.id.clone().filter(|id| !id.is_empty()).ok_or_else(|| {
        system.failure(
            Class::Stale,
            format!("`{}` has no id at the target to {} it by", change.name, change.operation),
            "the next run correlates it anew",
        )
    })?;
    let current = system.object(&change.resource, "id", &id).await?;
    Ok((id, current))
}

pub(super) fn unwritable(system: &OpenBaoSystem, resource: &str, problem: Unwritable) -> Failure {
    match problem {
        Unwritable::Unknown(name) => system.failure(
            Class::Configuration,
            format!("{resource} has no attribute `{name}`"),
            format!(
                "write `{}`, if that is meant, or `metadata.{name}` for an entry of its metadata",
                nearest(resource, &name, system.columns.get(resource))
            ),
        ),
        Unwritable::ReadOnly(name) => system.failure(
            Class::Unsupported,
            format!("`{name}` of {resource} is written by the server alone"),
            "leave the attribute out of the mapping",
        ),
        Unwritable::SetOnce(name) => system.failure(
            Class::Unsupported,
            format!("`{name}` of {resource} is set when one is created, and stays so"),
            "leave the attribute as it is, or delete the object and let it be created anew",
        ),
        Unwritable::Malformed(name, takes) => system.failure(
            Class::Data,
            format!("`{name}` of {resource} takes {takes}"),
            "correct the value at the source, or the rule that makes it: the next run plans it anew",
        ),
    }
}
