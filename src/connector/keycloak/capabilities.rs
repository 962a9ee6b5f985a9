//! What a realm offers, as its user profile, its settings and muster's own token say.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::KeycloakSystem;
use super::columns::{ASSIGNMENTS, ATTRIBUTES, GROUPS, MEMBERSHIPS, RESOURCES, USERS, attribute, columns, ends_of};
use super::profile::{Profile, Unmanaged};
use crate::model::capabilities::{AttributeShape, AttributeType, Capabilities, Form, OwnAccount, ResourceCapabilities};
use crate::model::failure::Failure;
use crate::model::order::Operation;

pub(super) async fn capabilities(system: &KeycloakSystem) -> Result<Capabilities, Failure> {
    let profile = system.profile().await?;
    let incremental = system.events_are_kept().await?.is_ok();
    let resources = RESOURCES.into_iter().map(|name| (name.to_owned(), offered(system, profile, name))).collect();
    Ok(Capabilities {
        resources,
        incremental,
        reads_back: true,
        free: BTreeMap::new(),
        seats: system.config.seats.clone(),
        account: account(system).await?,
        errors_in_a_row: None,
    })
}

/// As the job says; else the account of muster's own client.
async fn account(system: &KeycloakSystem) -> Result<Option<OwnAccount>, Failure> {
    if let Some(account) = &system.config.account {
        let known_by = format!("`account` of system {}", system.name);
        return Ok(Some(OwnAccount { names: vec![account.clone()], known_by }));
    }
    // An account of another realm is none of this one's users.
    if system.config.auth.realm.as_ref().is_some_and(|realm| *realm != system.config.realm) {
        return Ok(None);
    }
    let claims = system.http.claims().await?.unwrap_or_default();
    let names = ["sub", "preferred_username"].into_iter().filter_map(|name| claims.get(name)?.as_str());
    let names: Vec<String> = names.map(str::to_owned).collect();
    Ok((!names.is_empty()).then(|| OwnAccount { names, known_by: "muster's own token".to_owned() }))
}

fn operations(resource: &str) -> Vec<Operation> {
    use Operation::{Add, Create, Delete, Disable, Enable, Remove, Update};
    match resource {
        USERS => vec![Create, Update, Disable, Enable, Delete],
        GROUPS => vec![Create, Update, Delete],
        MEMBERSHIPS | ASSIGNMENTS => vec![Add, Remove],
        _ => Vec::new(),
    }
}

fn offered(system: &KeycloakSystem, profile: &Profile, resource: &str) -> ResourceCapabilities {
    let ends = ends_of(resource);
    let refused = system.config.refuses.get(resource).into_iter().flatten().map(|refused| refused.operation());
    let refused: Vec<Operation> = refused.collect();
    let mut offered = ResourceCapabilities {
        ends: ends.into_iter().flatten().map(|(end, of)| (end.to_owned(), vec![of.to_owned()])).collect(),
        key: match ends {
            None => vec!["id".to_owned()],
            Some(ends) => ends.iter().map(|(end, _)| (*end).to_owned()).collect(),
        },
        enabled: (resource == USERS).then(|| "enabled".to_owned()),
        operations: operations(resource).into_iter().filter(|operation| !refused.contains(operation)).collect(),
        ..ResourceCapabilities::default()
    };
    for column in columns(resource) {
        if column.is_default {
            offered.attributes.insert(column.name.to_owned(), column.kind);
        }
        let of_profile = profile.declared.get(column.name).filter(|_| resource == USERS);
        let form = match column.kind {
            AttributeType::Boolean => Form::Boolean,
            _ => Form::Text,
        };
        let shape = AttributeShape {
            kind: column.kind,
            form,
            multi_valued: column.multi_valued,
            max_length: of_profile.and_then(|of| of.max_length).or(column.max_length),
            ..AttributeShape::default()
        };
        offered.shapes.insert(column.name.to_owned(), shape);
        if !column.is_writable {
            offered.read_only.push(column.name.to_owned());
        }
        if of_profile.is_some_and(|of| of.is_required) {
            offered.required.push(column.name.to_owned());
        }
    }
    match resource {
        USERS => of_users(system, profile, &mut offered),
        GROUPS => {
            offered.required.push("name".to_owned());
            let named = system.columns.get(GROUPS).into_iter().flatten();
            let named = named.filter(|name| attribute(GROUPS, name).is_some());
            // One value or several: the server says nothing of its groups' attributes.
            let shape = AttributeShape { multi_valued: true, ..AttributeShape::default() };
            offered.shapes.extend(named.map(|name| (name.clone(), shape.clone())));
        }
        _ => {}
    }
    offered
}

fn of_users(system: &KeycloakSystem, profile: &Profile, offered: &mut ResourceCapabilities) {
    if !offered.required.iter().any(|name| name == "username") {
        offered.required.push("username".to_owned());
    }
    offered.unique.push("username".to_owned());
    for (name, of) in profile.further() {
        let column = format!("{ATTRIBUTES}{name}");
        offered.attributes.insert(column.clone(), AttributeType::Text);
        let shape =
            AttributeShape { multi_valued: of.multi_valued, max_length: of.max_length, ..AttributeShape::default() };
        offered.shapes.insert(column.clone(), shape);
        if of.is_required {
            offered.required.push(column.clone());
        }
        if !of.is_editable {
            offered.read_only.push(column);
        }
    }
    for column in system.columns.get(USERS).into_iter().flatten() {
        let Some(name) = attribute(USERS, column).filter(|name| !profile.declared.contains_key(*name)) else {
            continue;
        };
        let shape = AttributeShape { multi_valued: true, ..AttributeShape::default() };
        offered.shapes.entry(column.clone()).or_insert(shape);
        if profile.unmanaged == Unmanaged::Shown {
            offered.read_only.push(format!("{ATTRIBUTES}{name}"));
        }
    }
}

/// What a claim of a token says in one word, for people.
pub(super) fn claim<'c>(claims: &'c Json, name: &str) -> &'c str {
    claims.get(name).and_then(Json::as_str).unwrap_or("?")
}
