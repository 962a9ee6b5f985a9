//! Changes of single objects: create, update, disable, enable, delete.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value as Json;
use url::Url;

use super::lookup::read;
use super::{ScimSystem, body, condition, id_of};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::target::{Applied, ObjectChange};
use crate::model::failure::{Class, Effect, Failure};
use crate::model::order::Operation;
use crate::model::outcome::Effected;
use crate::model::value::Value;
use crate::scim::patch;
use crate::scim::schema::Definition;

pub(super) async fn apply(system: &ScimSystem, change: &ObjectChange) -> Result<Applied, Failure> {
    let definition = system.definition(&change.resource).await?;
    // What else changes on the day travels in the same request.
    let active = |value: &str| {
        let mut attributes = change.attributes.clone();
        attributes.retain(|name, _| !name.eq_ignore_ascii_case("active"));
        attributes.insert("active".to_owned(), Value::text(value));
        attributes
    };
    match change.operation {
        Operation::Create => create(system, definition, change).await,
        Operation::Update => update(system, definition, change, &change.attributes).await,
        Operation::Disable | Operation::Enable if definition.attribute(None, "active", None).is_none() => Err(system
            .failure(
                Class::Unsupported,
                format!("{} cannot be disabled or enabled: there is no attribute `active`", change.resource),
                "use another action for this resource in `on`",
            )),
        Operation::Disable => update(system, definition, change, &active("false")).await,
        Operation::Enable => update(system, definition, change, &active("true")).await,
        Operation::Delete => delete(system, definition, change).await,
        Operation::Add | Operation::Remove => Err(system.failure(
            Class::Configuration,
            format!("`{}` is no association", change.resource),
            "correct the sync's `to` in the job file",
        )),
    }
}

fn applied(id: Option<String>, effected: Effected, note: Option<String>) -> Applied {
    Applied { id, effected, note }
}

fn address(system: &ScimSystem, definition: &Definition, change: &ObjectChange) -> Result<(Url, String), Failure> {
    let id = change.id.clone().filter(|id| !id.is_empty()).ok_or_else(|| {
        system.failure(
            Class::Stale,
            format!("`{}` has no id at the target to {} it by", change.name, change.operation),
            "the next run correlates it anew",
        )
    })?;
    Ok((system.http.address(&[definition.resource_type.endpoint.trim_matches('/'), &id]), id))
}

async fn create(system: &ScimSystem, definition: &Definition, change: &ObjectChange) -> Result<Applied, Failure> {
    let parts = body::parts(system, &change.resource, definition, &change.attributes)?;
    let url = system.http.address(&[definition.resource_type.endpoint.trim_matches('/')]);
    let what = format!("POST {url}");
    let request =
        Request { body: Some(body::create(definition, parts)), ..Request::new(Method::POST, url, Asked::Write) };
    let answer = system.http.send(&request).await.map_err(|failure| nowhere(failure, &what))?;
    let created = answer.json().ok();
    if let Some((created, id)) = created.as_ref().and_then(|created| Some((created, id_of(created)?))) {
        let note = differences(system, definition, change, created)?;
        return Ok(applied(Some(id), Effected::Sent, note));
    }
    // 201 without a body: the address of what was made says its id, and reading it proves it.
    let id = answer.location().and_then(|location| {
        let path = location.split(['?', '#']).next().unwrap_or(location).trim_end_matches('/');
        let tail = path.rsplit('/').next().filter(|tail| !tail.is_empty())?;
        Some(percent_encoding::percent_decode_str(tail).decode_utf8_lossy().into_owned())
    });
    let lost =
        || system.bad_answer(&what, "it was created, but the answer does not say as what", &answer, Effect::Unknown);
    let id = id.ok_or_else(lost)?;
    match read(system, definition, &id).await {
        Ok(Some(found)) => {
            let note = differences(system, definition, change, &found)?;
            Ok(applied(Some(id), Effected::Sent, note))
        }
        Ok(None) | Err(_) => Err(lost()),
    }
}

/// Nothing that is to be created can be gone: a 404 is about the address.
fn nowhere(failure: Failure, what: &str) -> Failure {
    if failure.class != Class::Stale || !matches!(failure.status, Some(404 | 410)) {
        return failure;
    }
    let status = failure.status.unwrap_or_default();
    Failure {
        class: Class::Configuration,
        cause: format!("{what} was answered with {status}: nothing can be created at this address"),
        remedy: "see at the target whether this resource type may be created, then `muster retry`; or correct the url: the next run plans anew"
            .to_owned(),
        ..failure
    }
}

/// What a provider stored otherwise than it was asked to, for instance another login because the wanted one is taken.
fn differences(
    system: &ScimSystem,
    definition: &Definition,
    change: &ObjectChange,
    created: &Json,
) -> Result<Option<String>, Failure> {
    let reader = system.reader(&change.resource, definition, change.attributes.keys())?;
    let told: Vec<String> = change
        .attributes
        .iter()
        .filter_map(|(name, wanted)| {
            let found = Value::from_cell(&reader.column(name)?.cell(created))?;
            Some((name, wanted.as_ref()?, found))
        })
        .filter(|(_, wanted, found)| *wanted != found && wanted.to_cell().to_lowercase() != found.to_cell().to_lowercase())
        .filter(|(_, wanted, found)| !matches!((wanted, found), (Value::Text(one), Value::Many(list)) if list.as_slice() == std::slice::from_ref(one)))
        .map(|(name, wanted, found)| format!("{name} is `{found}`, not `{wanted}`"))
        .collect();
    Ok((!told.is_empty()).then(|| format!("the target stored something else: {}", told.join("; "))))
}

async fn update(
    system: &ScimSystem,
    definition: &Definition,
    change: &ObjectChange,
    attributes: &BTreeMap<String, Option<Value>>,
) -> Result<Applied, Failure> {
    let (url, id) = address(system, definition, change)?;
    let parts = body::parts(system, &change.resource, definition, attributes)?;
    // What is changed is also read back.
    system.reader(&change.resource, definition, attributes.keys())?;
    let uses_patch = system.discovery().await?.provider.patch;
    let current = if !uses_patch || body::need_current(&parts) {
        let found = read(system, definition, &id).await?;
        Some(found.ok_or_else(|| {
            let mut gone = system.failure(
                Class::Stale,
                format!("`{}` ({id}) is not there any more", change.name),
                "the next run correlates it anew; nothing has to be done unless it comes back",
            );
            gone.status = Some(404);
            gone
        })?)
    } else {
        None
    };
    let (method, body) = match current {
        Some(current) if !uses_patch => (Method::PUT, body::replace(current, parts)),
        current => {
            let operations = body::operations(parts, current.as_ref());
            if operations.is_empty() {
                return Ok(applied(Some(id), Effected::AlreadySo, None));
            }
            (Method::PATCH, patch::request(operations))
        }
    };
    let request = Request { body: Some(body), ..Request::new(method, url, Asked::Write) };
    condition::send(system, (definition, &id), change.version.as_deref(), request).await?;
    Ok(applied(Some(id), Effected::Sent, None))
}

async fn delete(system: &ScimSystem, definition: &Definition, change: &ObjectChange) -> Result<Applied, Failure> {
    let (url, id) = address(system, definition, change)?;
    let request = Request::new(Method::DELETE, url, Asked::Delete);
    match condition::send(system, (definition, &id), change.version.as_deref(), request).await {
        Ok(_) => Ok(applied(Some(id), Effected::Sent, None)),
        Err(failure) if matches!(failure.status, Some(404 | 410)) && failure.class == Class::Stale => {
            Ok(applied(Some(id), Effected::AlreadySo, Some("it was absent already".to_owned())))
        }
        Err(failure) => Err(failure),
    }
}
