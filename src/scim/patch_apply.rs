//! Applying a PATCH request to a resource.

use serde_json::{Map, Value};

use super::error::{ScimError, ScimType};
use super::matching::element_matches;
use super::patch::{Op, Operation, one_attribute_each};
use super::path::{Path, member, spelling};
use super::schema::{Attribute, Definition, Kind, Mutability};
use super::validate;

/// Applies all operations or none, and says whether anything changed: adding what is there, replacing a value by
/// itself and removing what is absent change nothing (RFC 7644 §3.5.2.1). The outcome conforms to the definition, as
/// by [`validate::conform`], so read-only attributes must be kept apart from the resource.
///
/// A value path that matches nothing is `noTarget` for add and replace, and nothing to do for remove.
///
/// # Errors
/// `invalidPath`, `noTarget`, `mutability`, `invalidValue`, `invalidSyntax`; the resource is untouched then.
pub fn apply(resource: &mut Value, operations: Vec<Operation>, definition: &Definition) -> Result<bool, ScimError> {
    let mut after = resource.clone();
    for operation in one_attribute_each(operations, definition)? {
        apply_one(&mut after, operation, definition)?;
    }
    let after = validate::conform(&after, definition)?;
    let changed = after != *resource;
    *resource = after;
    Ok(changed)
}

fn apply_one(resource: &mut Value, operation: Operation, definition: &Definition) -> Result<(), ScimError> {
    let Operation { op, path: Some(path), value } = operation else { return Ok(()) };
    let invalid = || ScimError::bad(ScimType::InvalidPath, format!("there is no attribute `{path}`"));
    let Value::Object(top) = resource else { return Err(invalid()) };
    if path.is_extension() {
        let urn = path.urn.as_deref().unwrap_or_default();
        definition.extension(urn).ok_or_else(invalid)?;
        take(top, urn);
        return Ok(());
    }
    // Which schemas a resource follows shows in what it has.
    if path.attribute.eq_ignore_ascii_case("schemas") {
        return Ok(());
    }
    let attribute = definition.attribute(path.urn.as_deref(), &path.attribute, None).ok_or_else(invalid)?;
    let sub = match &path.sub {
        Some(sub) => Some(attribute.sub(sub).ok_or_else(invalid)?),
        None => None,
    };
    if path.filter.is_some() && !attribute.multi_valued {
        return Err(ScimError::bad(
            ScimType::InvalidPath,
            format!("`{}` has one value: nothing to filter", attribute.name),
        ));
    }
    for part in [Some(attribute), sub].into_iter().flatten() {
        if part.mutability == Mutability::ReadOnly {
            return Err(read_only(&path));
        }
    }
    let holder = match &path.urn {
        Some(urn) if definition.extension(urn).is_some() => {
            let key = spelling(top, urn).unwrap_or_else(|| urn.clone());
            let inner = top.entry(key).or_insert_with(|| Value::Object(Map::new()));
            inner.as_object_mut().ok_or_else(invalid)?
        }
        _ => top,
    };
    let before = member_of(holder, &attribute.name).cloned();
    let after = changed(before.clone(), op, &path, value.unwrap_or_default(), attribute)?;
    let kept = sub.unwrap_or(attribute);
    if kept.mutability == Mutability::Immutable {
        refuse_change(before.as_ref(), after.as_ref(), &path)?;
    }
    let key = spelling(holder, &attribute.name).unwrap_or_else(|| attribute.name.clone());
    match after {
        Some(mut after) => {
            one_primary(before.as_ref(), &mut after);
            holder.insert(key, after);
        }
        None => {
            holder.shift_remove(&key);
        }
    }
    Ok(())
}

/// The attribute's value after the operation.
fn changed(
    before: Option<Value>,
    op: Op,
    path: &Path,
    value: Value,
    attribute: &Attribute,
) -> Result<Option<Value>, ScimError> {
    if attribute.multi_valued {
        let elements = match before {
            Some(Value::Array(elements)) => elements,
            Some(single) => vec![single],
            None => Vec::new(),
        };
        return changed_list(elements, op, path, value)
            .map(|elements| (!elements.is_empty()).then_some(Value::Array(elements)));
    }
    let cleared = op == Op::Remove || value.is_null();
    match &path.sub {
        None if cleared => Ok(None),
        None if attribute.kind == Kind::Complex && value.is_object() => {
            let mut object = before.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
            merge(&mut object, value);
            Ok(Some(object))
        }
        None => Ok(Some(value)),
        Some(sub) => {
            let mut object = before.filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new()));
            if let Value::Object(members) = &mut object {
                put(members, sub, (!cleared).then_some(value));
            }
            Ok(Some(object))
        }
    }
}

fn changed_list(mut elements: Vec<Value>, op: Op, path: &Path, value: Value) -> Result<Vec<Value>, ScimError> {
    let chosen = |element: &Value| path.filter.as_ref().is_none_or(|filter| element_matches(filter, element, None));
    let given = |value: Value| match value {
        Value::Array(values) => values,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    match (op, &path.filter, &path.sub) {
        (Op::Add, None, None) => {
            for new in given(value) {
                if !elements.iter().any(|element| covers(element, &new)) {
                    elements.push(new);
                }
            }
        }
        (Op::Replace, None, None) => elements = given(value),
        // Entra removes members by a list of values; what is listed goes, never everything.
        (Op::Remove, None, None) if !value.is_null() => {
            let gone = given(value);
            elements.retain(|element| !gone.iter().any(|gone| covers(element, gone)));
        }
        (Op::Remove, _, None) => elements.retain(|element| !chosen(element)),
        (op, _, sub) => {
            let mut found = false;
            for element in elements.iter_mut().filter(|element| chosen(element)) {
                found = true;
                match (sub, element) {
                    (Some(sub), Value::Object(members)) => {
                        put(members, sub, (op != Op::Remove && !value.is_null()).then(|| value.clone()));
                    }
                    (Some(_), _) => {}
                    (None, element) if op == Op::Add && element.is_object() && value.is_object() => {
                        merge(element, value.clone());
                    }
                    (None, element) => *element = value.clone(),
                }
            }
            if !found && op != Op::Remove {
                return Err(ScimError::bad(ScimType::NoTarget, format!("nothing matches `{path}`")));
            }
            elements.retain(|element| element.as_object().is_none_or(|members| !members.is_empty()));
        }
    }
    Ok(elements)
}

/// Whether an element already says everything that another one does.
fn covers(element: &Value, other: &Value) -> bool {
    match other {
        Value::Object(members) if element.is_object() => {
            members.iter().all(|(name, value)| member(element, name).is_some_and(|known| known == value))
        }
        other => element == other,
    }
}

fn merge(object: &mut Value, values: Value) {
    if let (Value::Object(object), Value::Object(values)) = (object, values) {
        for (name, value) in values {
            put(object, &name, (!value.is_null()).then_some(value));
        }
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            let key = spelling(object, name).unwrap_or_else(|| name.to_owned());
            object.insert(key, value);
        }
        None => take(object, name),
    }
}

fn take(object: &mut Map<String, Value>, name: &str) {
    if let Some(key) = spelling(object, name) {
        object.shift_remove(&key);
    }
}

fn member_of<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(&spelling(object, name)?).filter(|value| !value.is_null())
}

/// A value that becomes primary takes that from the others (RFC 7644 §3.5.2).
fn one_primary(before: Option<&Value>, after: &mut Value) {
    let is_primary = |element: &Value| member(element, "primary").is_some_and(|flag| flag.as_bool() == Some(true));
    let Value::Array(elements) = after else { return };
    if elements.iter().filter(|element| is_primary(element)).count() < 2 {
        return;
    }
    let old: Vec<&Value> = before.and_then(Value::as_array).into_iter().flatten().filter(|e| is_primary(e)).collect();
    for element in elements.iter_mut().filter(|element| old.contains(&&**element)) {
        if let Value::Object(members) = element {
            put(members, "primary", Some(Value::Bool(false)));
        }
    }
}

fn refuse_change(before: Option<&Value>, after: Option<&Value>, path: &Path) -> Result<(), ScimError> {
    let read = |value: Option<&Value>| -> Vec<Value> {
        let elements = match value {
            Some(Value::Array(elements)) => elements.clone(),
            Some(single) => vec![single.clone()],
            None => Vec::new(),
        };
        match &path.sub {
            Some(sub) => elements.iter().filter_map(|element| member(element, sub).cloned()).collect(),
            None => elements,
        }
    };
    let (before, after) = (read(before), read(after));
    if before.is_empty() || before == after {
        return Ok(());
    }
    Err(ScimError::bad(ScimType::Mutability, format!("`{path}` is immutable and has a value already")))
}

fn read_only(path: &Path) -> ScimError {
    ScimError::bad(ScimType::Mutability, format!("`{path}` is read-only"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::scim::patch;
    use serde_json::json;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn jane() -> Value {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "jane", "active": true,
            "name": {"givenName": "Jane", "familyName": "Doe"},
            "emails": [{"type": "work", "value": "w@x", "primary": true}, {"type": "home", "value": "h@x"}]
        })
    }

    fn patched(operations: Value) -> Result<(bool, Value), ScimError> {
        let mut user = jane();
        let operations = patch::parse(&json!({"Operations": operations}))?;
        apply(&mut user, operations, &Definition::user()).map(|changed| (changed, user))
    }

    #[test]
    fn operations_do_what_the_rfc_says() {
        let (changed, user) = patched(json!([
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "add", "path": "name", "value": {"middleName": "M"}},
            {"op": "replace", "path": "name.FAMILYNAME", "value": "Roe"},
            {"op": "remove", "path": "name.givenName"},
            {"op": "add", "path": "emails", "value": [{"type": "other", "value": "o@x", "primary": true}]},
            {"op": "replace", "path": "emails[type eq \"home\"].value", "value": "new@x"},
            {"op": "add", "value": {"name.honorificPrefix": "Dr", (format!("{ENTERPRISE}:department")): "IT",
                (ENTERPRISE): {"manager": {"value": "7"}}}}
        ]))
        .unwrap();
        assert!(changed);
        assert_eq!(
            user,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": "jane", "active": false,
                "name": {"familyName": "Roe", "middleName": "M", "honorificPrefix": "Dr"},
                "emails": [{"type": "work", "value": "w@x", "primary": false}, {"type": "home", "value": "new@x"},
                    {"type": "other", "value": "o@x", "primary": true}],
                (ENTERPRISE): {"department": "IT", "manager": {"value": "7"}}
            })
        );
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        for operations in [
            json!([{"op": "add", "path": "emails", "value": {"value": "w@x", "type": "work"}}]),
            json!([{"op": "replace", "path": "name", "value": {"givenName": "Jane"}}]),
            json!([{"op": "remove", "path": "emails[type eq \"other\"]"}, {"op": "remove", "path": ENTERPRISE}]),
            json!([{"op": "replace", "value": {"active": "True", "schemas": [ENTERPRISE]}}]),
            json!([{"op": "remove", "path": "emails", "value": [{"value": "none"}]}]),
        ] {
            assert_eq!(patched(operations.clone()), Ok((false, jane())), "{operations}");
        }
        let (_, user) = patched(json!([{"op": "remove", "path": "emails[value ew \"x\"]"}])).unwrap();
        assert_eq!(user.get("emails"), None);
    }

    #[test]
    fn what_cannot_be_done_is_refused_as_a_whole() {
        for (operation, kind) in [
            (json!({"op": "remove"}), ScimType::NoTarget),
            (json!({"op": "replace", "path": "emails[type eq \"other\"].value", "value": "x"}), ScimType::NoTarget),
            (json!({"op": "replace", "path": "id", "value": "x"}), ScimType::Mutability),
            (json!({"op": "add", "path": "groups", "value": []}), ScimType::Mutability),
            (json!({"op": "add", "path": "shoeSize", "value": 9}), ScimType::InvalidPath),
            (json!({"op": "add", "path": "title[", "value": 9}), ScimType::InvalidPath),
            (json!({"op": "move", "path": "title"}), ScimType::InvalidSyntax),
            (json!({"op": "add", "path": "title"}), ScimType::InvalidValue),
            (json!({"op": "add", "path": "title", "value": 9}), ScimType::InvalidValue),
            (json!({"op": "remove", "path": "userName"}), ScimType::InvalidValue),
        ] {
            let error = patched(json!([{"op": "replace", "path": "title", "value": "x"}, operation])).unwrap_err();
            assert!(error.is(kind), "{operation}: {error}");
        }
    }

    #[test]
    fn built_member_changes_are_understood() {
        let mut group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g"});
        let (odd, definition) = ("a\"] or x", Definition::group());
        let request = patch::request(vec![patch::add_members([odd, "b", "c"]), patch::remove_member(odd)]);
        assert!(apply(&mut group, patch::parse(&request).unwrap(), &definition).unwrap());
        assert_eq!(group["members"], json!([{"value": "b"}, {"value": "c"}]));
        let request = patch::request(vec![patch::remove_members_by_value(["b"])]);
        assert!(apply(&mut group, patch::parse(&request).unwrap(), &definition).unwrap());
        assert_eq!(group["members"], json!([{"value": "c"}]));
        let request = patch::request(vec![patch::replace("members[value eq \"c\"].value", json!("d"))]);
        assert!(apply(&mut group, patch::parse(&request).unwrap(), &definition).unwrap_err().is(ScimType::Mutability));
    }
}
