//! Attribute changes as the protocol wants them: typed by the schema, for POST, PATCH and PUT.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::ScimSystem;
use super::rows::offered;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::value::Value;
use crate::scim::column;
use crate::scim::patch;
use crate::scim::path::{Path, member};
use crate::scim::schema::{Definition, Kind, Mutability};

/// One attribute to be set, or cleared.
#[derive(Debug)]
pub(super) struct Part {
    path: Path,
    value: Option<Json>,
    /// A list of objects, whose elements have more to them than their value.
    is_list_of_objects: bool,
}

/// Types every attribute by the schema. What the schema does not know, or does not let be written, is refused here:
/// some servers drop it without a word.
pub(super) fn parts(
    system: &ScimSystem,
    resource: &str,
    definition: &Definition,
    attributes: &BTreeMap<String, Option<Value>>,
) -> Result<Vec<Part>, Failure> {
    attributes.iter().map(|(name, value)| part(system, resource, definition, name, value.as_ref())).collect()
}

fn part(
    system: &ScimSystem,
    resource: &str,
    definition: &Definition,
    name: &str,
    value: Option<&Value>,
) -> Result<Part, Failure> {
    let path = Path::parse(name).map_err(|error| {
        system.failure(Class::Configuration, error.to_string(), "correct the attribute in the job file")
    })?;
    let top = definition.attribute(path.urn.as_deref(), &path.attribute, None);
    let found = definition.find(&path);
    if (found.is_none() && !definition.core.attributes.is_empty()) || path.is_extension() {
        let nearest = offered(definition)
            .into_iter()
            .map(|column| column.name)
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
            .unwrap_or_default();
        let mut failure = system.failure(
            Class::Configuration,
            format!("{resource} has no attribute `{name}`"),
            format!("write `{nearest}`, if that is meant, or leave it out of the mapping"),
        );
        failure.recourse = Recourse::GiveUp;
        return Err(failure);
    }
    if [top, found].into_iter().flatten().any(|attribute| attribute.mutability == Mutability::ReadOnly) {
        return Err(system.failure(
            Class::Unsupported,
            format!("the attribute `{name}` of {resource} is read-only"),
            "leave it out of the mapping: the target sets it itself",
        ));
    }
    let value = match value {
        None => None,
        Some(value) => {
            let texts: Vec<&str> = match value {
                Value::Text(text) => vec![text.as_str()],
                Value::Many(texts) => texts.iter().map(String::as_str).collect(),
            };
            Some(column::json(&path, &texts, definition).map_err(|error| {
                system.failure(
                    Class::Data,
                    error.to_string(),
                    "correct the value at the source, or the rule that makes it: the next run plans it anew",
                )
            })?)
        }
    };
    let is_list_of_objects = path.filter.is_none()
        && path.sub.is_none()
        && top.is_some_and(|attribute| attribute.multi_valued && attribute.kind == Kind::Complex);
    Ok(Part { path, value, is_list_of_objects })
}

/// Whether the object as it is has to be known before these changes can be sent.
pub(super) fn need_current(parts: &[Part]) -> bool {
    parts.iter().any(|part| part.path.filter.is_some() || (part.is_list_of_objects && part.value.is_some()))
}

/// The body of a create.
pub(super) fn create(definition: &Definition, parts: Vec<Part>) -> Json {
    let mut body = json!({"schemas": [definition.core.id]});
    for part in parts {
        if let Some(value) = part.value {
            let value = if part.is_list_of_objects { dressed(&part.path, value, None) } else { value };
            part.path.set(&mut body, value);
        }
    }
    body
}

/// The whole object with the changes made, for PUT.
pub(super) fn replace(mut current: Json, parts: Vec<Part>) -> Json {
    for part in parts {
        let value = match part.value {
            Some(value) if part.is_list_of_objects => dressed(&part.path, value, Some(&current)),
            Some(value) => value,
            None => Json::Null,
        };
        part.path.set(&mut current, value);
    }
    if let Json::Object(members) = &mut current {
        // The server's own; some refuse what they have written themselves.
        members.retain(|name, _| !name.eq_ignore_ascii_case("meta") && !name.eq_ignore_ascii_case("groups"));
    }
    current
}

/// PATCH operations (RFC 7644 section 3.5.2). `current` is the object as it is, where [`need_current`] asked for it.
pub(super) fn operations(parts: Vec<Part>, current: Option<&Json>) -> Vec<Json> {
    let mut operations = Vec::with_capacity(parts.len());
    // A replace of what no element matches is refused with noTarget: the element is added instead, once with all its
    // parts.
    let mut added: Vec<(Path, Json)> = Vec::new();
    for part in parts {
        let elements = Path { sub: None, ..part.path.clone() };
        let is_there = current.is_some_and(|current| !elements.select(current).is_empty());
        match part.value {
            Some(value) if part.path.filter.is_some() && !is_there => {
                let at = added.iter().position(|(known, _)| *known == elements).unwrap_or_else(|| {
                    added.push((elements, json!({})));
                    added.len() - 1
                });
                part.path.set(&mut added[at].1, value);
            }
            value => operations.extend(operation(Part { value, ..part }, current)),
        }
    }
    for (elements, built) in added {
        let list = Path { filter: None, sub: None, ..elements };
        operations.push(patch::add(&list.to_string(), list.get(&built).cloned().unwrap_or_default()));
    }
    operations
}

fn operation(part: Part, current: Option<&Json>) -> Option<Json> {
    let path = part.path.to_string();
    let elements = Path { sub: None, ..part.path.clone() };
    let is_there = part.path.filter.is_none() || current.is_some_and(|current| !elements.select(current).is_empty());
    match part.value {
        Some(value) if part.is_list_of_objects => Some(patch::replace(&path, dressed(&part.path, value, current))),
        Some(value) => Some(patch::replace(&path, value)),
        None if !is_there => None,
        // An element without its value is of no use to anybody.
        None if part.path.filter.is_some()
            && part.path.sub.as_deref().is_none_or(|sub| sub.eq_ignore_ascii_case("value")) =>
        {
            Some(patch::remove(&elements.to_string()))
        }
        None => Some(patch::remove(&path)),
    }
}

/// A list of bare values with what belongs to them: elements that are there already stay as they are; among e-mail
/// addresses and telephone numbers a single one is primary and of type work. Which of several comes first, nobody said: the
/// order of a list's values means nothing.
fn dressed(path: &Path, wanted: Json, current: Option<&Json>) -> Json {
    let Json::Array(wanted) = wanted else { return wanted };
    let there: Vec<Json> =
        current.and_then(|current| path.get(current)).and_then(Json::as_array).cloned().unwrap_or_default();
    let mut list: Vec<Json> = wanted
        .into_iter()
        .map(|element| {
            let value = member(&element, "value");
            let is_bare = element.as_object().is_some_and(|members| members.len() == 1) && value.is_some();
            match there.iter().find(|old| is_bare && member(old, "value") == value) {
                Some(old) => old.clone(),
                None => element,
            }
        })
        .collect();
    let is_address = ["emails", "phoneNumbers"].iter().any(|name| path.attribute.eq_ignore_ascii_case(name));
    if !is_address {
        return Json::Array(list);
    }
    if let [Json::Object(only)] = list.as_mut_slice() {
        put_missing(only, "type", Some(json!("work")));
        put_missing(only, "primary", Some(json!(true)));
    }
    Json::Array(list)
}

fn put_missing(members: &mut Map<String, Json>, name: &str, value: Option<Json>) {
    if let Some(value) = value
        && !members.keys().any(|known| known.eq_ignore_ascii_case(name))
    {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::connector::config::ScimConfig;
    use crate::connector::registry::ConnectContext;

    fn made(attributes: &[(&str, Option<Value>)]) -> Result<Vec<Part>, Failure> {
        let system =
            ScimSystem::new("vault", &ScimConfig::at("http://127.0.0.1:9"), &ConnectContext::plain(".", "test"))
                .unwrap();
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        parts(&system, "users", &Definition::user(), &attributes)
    }

    #[test]
    fn creates_are_typed_and_addresses_dressed() {
        let parts = made(&[
            ("userName", Value::text("a \"quoted\" name")),
            ("active", Value::text("false")),
            ("emails", Value::text("a@example.com")),
            ("name.givenName", Value::text("A")),
            ("title", None),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", Value::text("7")),
        ])
        .unwrap();
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let body = create(&Definition::user(), parts);
        assert_eq!(body["active"], json!(false));
        assert_eq!(body["emails"], json!([{"value": "a@example.com", "type": "work", "primary": true}]));
        assert_eq!(body[enterprise]["manager"]["value"], json!("7"));
        assert!(body["schemas"].as_array().unwrap().contains(&json!(enterprise)));
        assert!(body.get("title").is_none());
    }

    #[test]
    fn an_element_that_is_missing_is_added_and_one_that_is_there_keeps_its_type() {
        let work = "emails[type eq \"work\"].value";
        let current = json!({"emails": [{"value": "b@example.com", "type": "home"}]});
        let added = operations(made(&[(work, Value::text("a@example.com"))]).unwrap(), Some(&current));
        assert_eq!(added[0]["op"], "add");
        assert_eq!(added[0]["value"], json!([{"type": "work", "value": "a@example.com"}]));
        assert!(operations(made(&[(work, None)]).unwrap(), Some(&current)).is_empty());
        // Of several parts of one that is missing comes one element.
        let parts = [("locality", "Ulm"), ("postalCode", "89073")];
        let parts = parts.map(|(part, text)| (format!("addresses[type eq \"work\"].{part}"), Value::text(text)));
        let parts: Vec<(&str, Option<Value>)> =
            parts.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let added = operations(made(&parts).unwrap(), Some(&current));
        assert_eq!(added.len(), 1, "{added:?}");
        assert_eq!(added[0]["value"], json!([{"type": "work", "locality": "Ulm", "postalCode": "89073"}]));
        let home = operations(made(&[("emails[type eq \"home\"].value", None)]).unwrap(), Some(&current));
        assert_eq!(
            (home[0]["op"].as_str().unwrap(), home[0]["path"].as_str().unwrap()),
            ("remove", "emails[type eq \"home\"]")
        );
        let both = Value::many(["b@example.com".to_owned(), "c@example.com".to_owned()]);
        let list = operations(made(&[("emails", both)]).unwrap(), Some(&current));
        assert_eq!(list[0]["value"], json!([{"value": "b@example.com", "type": "home"}, {"value": "c@example.com"}]));
    }

    #[test]
    fn what_the_schema_does_not_know_or_keeps_for_itself_is_refused() {
        let unknown = made(&[("userNmae", Value::text("x"))]).unwrap_err();
        assert!(unknown.class == Class::Configuration && unknown.remedy.contains("`userName`"), "{unknown}");
        assert_eq!(made(&[("id", Value::text("x"))]).unwrap_err().class, Class::Unsupported);
        assert_eq!(made(&[("active", Value::text("maybe"))]).unwrap_err().class, Class::Data);
    }
}
