//! A resource as a strict server wants it: what it does not know it refuses, what only it may write it leaves out.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::error::{ScimError, ScimType};
use super::path::member;
use super::schema::{Attribute, Definition, Kind, Mutability, common_attributes};

/// The resource in the definition's own spelling: names as the schemas write them, booleans that came as texts made
/// booleans, nulls and empty lists left out (RFC 7643 §2.5), read-only attributes left out (RFC 7644 §3.3), `schemas`
/// in step with the extensions that are there.
///
/// # Errors
/// `invalidSyntax` for an attribute or schema that is not defined, `invalidValue` for a value of the wrong type, a
/// required attribute that is missing or empty, and more than one primary value.
pub fn conform(resource: &Value, definition: &Definition) -> Result<Value, ScimError> {
    let Value::Object(members) = resource else {
        return Err(ScimError::bad(ScimType::InvalidSyntax, "a resource is a JSON object"));
    };
    check_schemas(resource, definition)?;
    let mut schemas = vec![Value::String(definition.core.id.clone())];
    let mut extensions = Vec::new();
    let mut core = Map::new();
    for (name, value) in members {
        if name.eq_ignore_ascii_case("schemas") || value.is_null() {
            continue;
        }
        if let Some(extension) = definition.extension(name) {
            let inner = conform_members(value, &extension.attributes, name)?;
            if !inner.is_empty() {
                schemas.push(Value::String(extension.id.clone()));
                extensions.push((extension.id.clone(), Value::Object(inner)));
            }
        } else {
            core.insert(name.clone(), value.clone());
        }
    }
    let attributes = common_attributes()
        .iter()
        .filter(|attribute| definition.core.attribute(&attribute.name).is_none() && attribute.name != "schemas")
        .chain(&definition.core.attributes);
    let mut out = Map::new();
    out.insert("schemas".to_owned(), Value::Array(schemas));
    out.extend(conform_members(&Value::Object(core), attributes, "")?);
    out.extend(extensions);
    Ok(Value::Object(out))
}

fn check_schemas(resource: &Value, definition: &Definition) -> Result<(), ScimError> {
    let Some(schemas) = member(resource, "schemas") else { return Ok(()) };
    let Some(schemas) = schemas.as_array() else {
        return Err(ScimError::bad(ScimType::InvalidSyntax, "`schemas` is no list"));
    };
    for schema in schemas {
        let known = schema.as_str().is_some_and(|schema| {
            schema.eq_ignore_ascii_case(&definition.core.id) || definition.extension(schema).is_some()
        });
        if !known {
            return Err(ScimError::bad(
                ScimType::InvalidSyntax,
                format!("the schema {schema} is not one of this resource type"),
            ));
        }
    }
    Ok(())
}

/// The members of an object, in the order of the definition.
fn conform_members<'a>(
    value: &Value,
    attributes: impl IntoIterator<Item = &'a Attribute> + Clone,
    place: &str,
) -> Result<Map<String, Value>, ScimError> {
    let named = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let Value::Object(members) = value else {
        return Err(ScimError::bad(ScimType::InvalidValue, format!("`{place}` is complex, so its value is an object")));
    };
    let known = |name: &str| attributes.clone().into_iter().any(|a| a.name.eq_ignore_ascii_case(name));
    if let Some(unknown) = members.keys().find(|name| !known(name)) {
        return Err(ScimError::bad(ScimType::InvalidSyntax, format!("there is no attribute `{}`", named(unknown))));
    }
    let mut out = Map::new();
    for attribute in attributes {
        let found = member(value, &attribute.name).filter(|_| attribute.mutability != Mutability::ReadOnly);
        let kept = match found {
            Some(found) => conform_value(found, attribute, &named(&attribute.name))?,
            None => None,
        };
        match kept {
            Some(kept) => {
                out.insert(attribute.name.clone(), kept);
            }
            None if attribute.required && attribute.mutability != Mutability::ReadOnly => {
                return Err(ScimError::bad(
                    ScimType::InvalidValue,
                    format!("`{}` is required", named(&attribute.name)),
                ));
            }
            None => {}
        }
    }
    Ok(out)
}

fn conform_value(value: &Value, attribute: &Attribute, place: &str) -> Result<Option<Value>, ScimError> {
    if !attribute.multi_valued {
        return conform_single(value, attribute, place);
    }
    let elements = match value {
        Value::Null => return Ok(None),
        Value::Array(elements) => elements,
        _ => {
            return Err(ScimError::bad(
                ScimType::InvalidValue,
                format!("`{place}` is multi-valued, so its value is a list"),
            ));
        }
    };
    let mut out = Vec::with_capacity(elements.len());
    for element in elements {
        out.extend(conform_single(element, attribute, place)?);
    }
    let is_primary = |element: &&Value| element.get("primary").is_some_and(|flag| flag == &Value::Bool(true));
    if out.iter().filter(is_primary).count() > 1 {
        return Err(ScimError::bad(ScimType::InvalidValue, format!("`{place}` has more than one primary value")));
    }
    Ok((!out.is_empty()).then_some(Value::Array(out)))
}

fn conform_single(value: &Value, attribute: &Attribute, place: &str) -> Result<Option<Value>, ScimError> {
    let wrong = |wanted: &str| {
        Err(ScimError::bad(
            ScimType::InvalidValue,
            format!("the value of `{place}` is {wanted}; this is {}", shown(value)),
        ))
    };
    match (attribute.kind, value) {
        (_, Value::Null) => Ok(None),
        (Kind::Complex, _) => {
            let members = conform_members(value, &attribute.sub_attributes, place)?;
            Ok((!members.is_empty()).then_some(Value::Object(members)))
        }
        (Kind::Boolean, Value::Bool(_)) | (Kind::Decimal, Value::Number(_)) => Ok(Some(value.clone())),
        // Entra sends "True" and "False".
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(Value::Bool(true))),
        (Kind::Boolean, Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(Value::Bool(false))),
        (Kind::Boolean, _) => wrong("true or false"),
        (Kind::Decimal, _) => wrong("a number"),
        (Kind::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(Some(value.clone())),
        (Kind::Integer, _) => wrong("a whole number"),
        (Kind::DateTime, Value::String(text)) if DateTime::parse_from_rfc3339(text).is_ok() => Ok(Some(value.clone())),
        (Kind::DateTime, _) => wrong("a moment such as 2026-01-31T12:00:00Z"),
        (Kind::String | Kind::Reference | Kind::Binary, Value::String(text)) => {
            if text.is_empty() && attribute.required {
                return wrong("never empty");
            }
            Ok(Some(value.clone()))
        }
        (Kind::String | Kind::Reference | Kind::Binary, _) => wrong("a text"),
    }
}

/// The kind of a value, for messages: a value itself may be a secret.
fn shown(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "another text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resource_takes_the_definition_s_shape() {
        let sent = json!({
            "USERNAME": "jane", "id": "mine", "meta": {"version": "x"}, "groups": [{"value": "1"}], "nickName": null,
            "emails": [], "active": "TRUE", "externalId": "e",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"Manager": {"value": "7", "displayName": "x"}}
        });
        let kept = conform(&sent, &Definition::user()).unwrap();
        assert_eq!(
            kept,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
                "externalId": "e", "userName": "jane", "active": true,
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "7"}}
            })
        );
        assert_eq!(conform(&kept, &Definition::user()), Ok(kept));
        for wrong in [
            json!([]),
            json!({"userName": ""}),
            json!({"displayName": "no user name"}),
            json!({"userName": "j", "shoeSize": 9}),
            json!({"userName": "j", "emails": [{"primary": true, "value": "a"}, {"primary": true, "value": "b"}]}),
            json!({"userName": "j", "name": "Jane"}),
            json!({"userName": "j", "schemas": ["urn:x"]}),
            json!({"userName": "j", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": "7"}}),
        ] {
            assert!(conform(&wrong, &Definition::user()).is_err(), "{wrong}");
        }
    }
}
