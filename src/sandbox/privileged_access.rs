//! The extension for privileged access: containers, privileged data, who may do what on both, and objects that mirror
//! another directory's (draft-grizzle-scim-pam-ext-01, which expired and which vaults speak all the same). No secret's
//! value is part of it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::database::{Data, Kind, Record};
use crate::scim::error::ScimError;
use crate::scim::schema::{Definition, Schema};

/// The extension of users and groups that another directory's objects have.
pub(super) const LINKED_OBJECT: &str = "urn:ietf:params:scim:schemas:pam:1.0:LinkedObject";

/// A part of the program, proved by a test.
static DOCUMENTS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("privileged_access.json")).unwrap_or_default());

/// The definitions, in the order container, container permission, privileged data, privileged data permission.
pub(super) fn definitions() -> Vec<Definition> {
    Definition::parse_all(&DOCUMENTS["resourceTypes"], &DOCUMENTS["schemas"])
}

/// A definition that knows objects of another directory.
pub(super) fn linked(mut definition: Definition) -> Definition {
    let schema = schema_documents().iter().filter_map(Schema::parse).find(|schema| schema.id == LINKED_OBJECT);
    definition.extensions.extend(schema);
    definition
}

/// The schema documents.
pub(super) fn schema_documents() -> Vec<Value> {
    DOCUMENTS["schemas"].as_array().cloned().unwrap_or_default()
}

/// The resource type documents.
pub(super) fn resource_type_documents() -> Vec<Value> {
    DOCUMENTS["resourceTypes"].as_array().cloned().unwrap_or_default()
}

/// A resource type document of users or groups that names the extension.
pub(super) fn with_linked_object(mut document: Value) -> Value {
    if let Some(extensions) = document.get_mut("schemaExtensions").and_then(Value::as_array_mut) {
        extensions.push(json!({"schema": LINKED_OBJECT, "required": false}));
    }
    document
}

/// What a permission is about: no two are about the same.
pub(super) fn subject(body: &Value) -> String {
    let id = |name: &str| body.get(name).and_then(|end| end.get("value")).and_then(Value::as_str).unwrap_or_default();
    let ends = ["container", "privilegedData", "user", "group"].map(id);
    ends.join(" ").trim().to_owned()
}

/// Takes an object out of all that names it: its permissions go, containers lose it.
pub(super) fn forget(data: &Data<'_>, gone: &Record, now: &str) -> Result<(), ScimError> {
    let end = match gone.kind {
        Kind::User => "user",
        Kind::Group => "group",
        Kind::Container => "container",
        Kind::PrivilegedData => "privilegedData",
        Kind::ContainerPermission | Kind::PrivilegedDataPermission => return Ok(()),
    };
    for kind in [Kind::ContainerPermission, Kind::PrivilegedDataPermission] {
        for record in data.all(kind)? {
            if record.body[end]["value"].as_str() == Some(&gone.id) {
                data.delete(&record, now)?;
            }
        }
    }
    for mut record in data.all(Kind::Container)? {
        let before = record.body.clone();
        if let Some(body) = record.body.as_object_mut() {
            let names = |value: &Value| value["value"].as_str() == Some(&gone.id);
            match end {
                "user" if body.get("owner").is_some_and(names) => drop(body.shift_remove("owner")),
                "container" if body.get("parent").is_some_and(names) => drop(body.shift_remove("parent")),
                "privilegedData" => {
                    if let Some(Value::Array(held)) = body.get_mut("privilegedData") {
                        held.retain(|one| !names(one));
                    }
                }
                _ => {}
            }
        }
        if record.body != before && record.id != gone.id {
            data.update(&mut record, now)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_whole() {
        let definitions = definitions();
        assert_eq!(definitions.len(), 4);
        assert!(definitions.iter().all(|definition| !definition.core.attributes.is_empty()));
        assert!(linked(Definition::user()).extension(LINKED_OBJECT).is_some());
    }
}
