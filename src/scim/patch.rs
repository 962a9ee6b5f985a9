//! PATCH requests (RFC 7644 §3.5.2): built as a client sends them, read and applied as a server does.

use serde_json::{Map, Value, json};

use super::error::{ScimError, ScimType};
use super::filter;
use super::path::{Path, member};
use super::schema::Definition;
use super::urn;

pub use super::patch_apply::apply;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds a value, or values to a list.
    Add,
    /// Puts values in the place of others.
    Replace,
    /// Takes values away.
    Remove,
}

/// One operation of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub op: Op,
    /// On what; `None` means that the value's members name it.
    pub path: Option<Path>,
    /// With what.
    pub value: Option<Value>,
}

/// A request with these operations, as JSON.
pub fn request(operations: Vec<Value>) -> Value {
    json!({"schemas": [urn::PATCH_OP], "Operations": operations})
}

/// The operation that sets an attribute. `path` as in [`super::path`].
pub fn replace(path: &str, value: Value) -> Value {
    json!({"op": "replace", "path": path, "value": value})
}

/// The operation that adds to an attribute.
pub fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

/// The operation that removes an attribute, or the elements that a value path names.
pub fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

/// One operation that adds members by their ids.
pub fn add_members<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    add("members", ids.into_iter().map(|id| json!({"value": id})).collect())
}

/// The operation that removes one member: `members[value eq "id"]`.
pub fn remove_member(id: &str) -> Value {
    remove(&format!("members[{}]", filter::eq("value", id)))
}

/// Removes members as Entra does by default: `members` with a list of values. Not in the RFC; some servers take
/// only this.
pub fn remove_members_by_value<'a>(ids: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"op": "remove", "path": "members", "value": ids.into_iter().map(|id| json!({"value": id})).collect::<Value>()})
}

/// Reads a request. Names of operations and members may have any case.
///
/// # Errors
/// `invalidSyntax` where it is no PATCH request, `invalidPath` for a path that cannot be read, `noTarget` for a remove
/// without path (§3.5.2.2), `invalidValue` for an add or replace without value.
pub fn parse(body: &Value) -> Result<Vec<Operation>, ScimError> {
    let operations = member(body, "Operations")
        .and_then(Value::as_array)
        .ok_or_else(|| ScimError::bad(ScimType::InvalidSyntax, "a PATCH request has a list `Operations`"))?;
    operations.iter().map(parse_operation).collect()
}

fn parse_operation(operation: &Value) -> Result<Operation, ScimError> {
    let name = member(operation, "op").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let op = match name.as_str() {
        "add" => Op::Add,
        "replace" => Op::Replace,
        "remove" => Op::Remove,
        _ => {
            return Err(ScimError::bad(
                ScimType::InvalidSyntax,
                format!("`op` is `{name}`, not add, replace or remove"),
            ));
        }
    };
    let path = match member(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => {
            Some(Path::parse(text).map_err(|error| ScimError::bad(ScimType::InvalidPath, error.to_string()))?)
        }
        Some(_) => return Err(ScimError::bad(ScimType::InvalidPath, "`path` is no text")),
    };
    let value = member(operation, "value").cloned();
    match (op, &path, &value) {
        (Op::Remove, None, _) => Err(ScimError::bad(ScimType::NoTarget, "a remove names its `path`")),
        (Op::Add | Op::Replace, _, None) => {
            Err(ScimError::bad(ScimType::InvalidValue, format!("a {name} has a `value`")))
        }
        (Op::Add | Op::Replace, None, Some(value)) if !value.is_object() => {
            Err(ScimError::bad(ScimType::InvalidValue, format!("a {name} without `path` has an object as `value`")))
        }
        _ => Ok(Operation { op, path, value }),
    }
}

/// Makes every operation name one attribute: an object without path, or put on a whole extension, becomes one
/// operation for each of its members. Their names may be paths (`name.givenName`, `urn:…:User:department`), as some
/// clients write them.
///
/// # Errors
/// `invalidPath` for a member that is no path, `invalidValue` for an extension that is no object.
pub fn one_attribute_each(operations: Vec<Operation>, definition: &Definition) -> Result<Vec<Operation>, ScimError> {
    let mut out = Vec::with_capacity(operations.len());
    for operation in operations {
        let Operation { op, path, value } = operation;
        match (path, value) {
            (None, Some(Value::Object(members))) => {
                for (name, value) in members {
                    if definition.extension(&name).is_some() {
                        spread(op, &name, value, &mut out)?;
                        continue;
                    }
                    let path =
                        Path::parse(&name).map_err(|error| ScimError::bad(ScimType::InvalidPath, error.to_string()))?;
                    out.push(Operation { op, path: Some(path), value: Some(value) });
                }
            }
            (Some(Path { urn: Some(urn), attribute, .. }), Some(value)) if attribute.is_empty() && op != Op::Remove => {
                spread(op, &urn, value, &mut out)?;
            }
            (path, value) => out.push(Operation { op, path, value }),
        }
    }
    Ok(out)
}

/// One operation for each member of an extension's object.
fn spread(op: Op, urn: &str, value: Value, out: &mut Vec<Operation>) -> Result<(), ScimError> {
    let members: Map<String, Value> = match value {
        Value::Object(members) => members,
        Value::Null => Map::new(),
        _ => return Err(ScimError::bad(ScimType::InvalidValue, format!("the value of `{urn}` is no object"))),
    };
    for (name, value) in members {
        let path = Path::parse(&name).map_err(|error| ScimError::bad(ScimType::InvalidPath, error.to_string()))?;
        out.push(Operation { op, path: Some(Path { urn: Some(urn.to_owned()), ..path }), value: Some(value) });
    }
    Ok(())
}
