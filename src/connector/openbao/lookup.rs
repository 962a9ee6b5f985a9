//! One object, by its id or by what it holds.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::OpenBaoSystem;
use super::columns::{ALIASES, CONTAINERS, GROUP_ALIASES, RESOURCES, exported, is_known, nearest, value};
use super::members::ends_of;
use crate::model::failure::{Class, Failure};
use crate::model::object::Object;
use crate::model::value::Value;

pub(super) async fn get(system: &OpenBaoSystem, resource: &str, id: &str) -> Result<Option<Object>, Failure> {
    known(system, resource)?;
    if resource == CONTAINERS {
        let there = system.containers().await?.contains(id);
        return Ok(there.then(|| Object {
            id: id.to_owned(),
            attributes: [("id".to_owned(), Value::Text(id.to_owned()))].into(),
            version: None,
        }));
    }
    let found = system.object(resource, "id", id).await?;
    // Whoever is asked for somebody must not answer with somebody else.
    Ok(found
        .filter(|object| object.get("id").and_then(Json::as_str) == Some(id))
        .and_then(|object| system.read(resource, &object)))
}

/// Objects whose attribute is a value; by its name the server finds one, for all else everybody is looked at once.
pub(super) async fn find(
    system: &OpenBaoSystem,
    resource: &str,
    attribute: &str,
    wanted: &str,
) -> Result<Vec<Object>, Failure> {
    known(system, resource)?;
    if wanted.is_empty() || resource == CONTAINERS {
        return Ok(Vec::new());
    }
    if !is_known(resource, attribute) {
        return Err(system.failure(
            Class::Configuration,
            format!("{resource} has no attribute `{attribute}`"),
            format!("write `{}`, if that is meant", nearest(resource, attribute, system.columns.get(resource))),
        ));
    }
    let is_it = |object: &Json| match value(resource, attribute, object) {
        Some(Value::Text(text)) if attribute == "name" => text.to_lowercase() == wanted.to_lowercase(),
        Some(Value::Text(text)) => text == wanted,
        Some(Value::Many(values)) => values.iter().any(|value| value == wanted),
        None => false,
    };
    let found = match attribute {
        "id" => system.object(resource, "id", wanted).await?.into_iter().collect(),
        "name" if !wanted.contains('/') && matches!(resource, super::columns::USERS | super::columns::GROUPS) => {
            system.object(resource, "name", wanted).await?.into_iter().collect()
        }
        "login" if matches!(resource, ALIASES | GROUP_ALIASES) => system.by_login(resource, wanted).await?,
        _ => system.found_by(resource, attribute, wanted).await?,
    };
    Ok(found.iter().filter(|object| is_it(object)).filter_map(|object| system.read(resource, object)).collect())
}

fn known(system: &OpenBaoSystem, resource: &str) -> Result<(), Failure> {
    let is_there = RESOURCES.contains(&resource) && ends_of(resource).is_none();
    if is_there { Ok(()) } else { Err(system.no_such_resource(resource)) }
}

impl OpenBaoSystem {
    /// An object with the columns that are always there and those that the job names.
    pub(super) fn read(&self, resource: &str, object: &Json) -> Option<Object> {
        let nothing = BTreeSet::new();
        let names = exported(resource, self.columns.get(resource).unwrap_or(&nothing));
        Some(Object {
            id: object.get("id")?.as_str().filter(|id| !id.is_empty())?.to_owned(),
            attributes: names
                .into_iter()
                .filter_map(|name| Some((name.clone(), value(resource, &name, object)?)))
                .collect(),
            version: None,
        })
    }
}
