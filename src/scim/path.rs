//! Attribute paths (RFC 7644 §3.10 and §3.5.2): `userName`, `name.givenName`, `emails[type eq "work"].value`,
//! `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber`.

use std::fmt;

use scim_v2::filter::{AttrExp, CompValue, CompareOp, PatchPath, ValFilter};
use serde_json::{Map, Value};

use super::matching::element_matches;

/// Where in a resource something is.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The schema that the attribute is qualified with.
    pub urn: Option<String>,
    /// Name of the attribute; empty where the path names a whole extension.
    pub attribute: String,
    /// Which elements of a multi-valued attribute.
    pub filter: Option<ValFilter>,
    /// Name of the sub-attribute.
    pub sub: Option<String>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no attribute path: {cause}")]
pub struct PathError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub cause: String,
}

impl Path {
    /// Reads a path. A URN that ends behind a version and one name (`…:2.0:User`) is that of a whole extension.
    ///
    /// # Errors
    /// [`PathError`] if it is none.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |cause: &str| PathError { text: text.to_owned(), cause: cause.to_owned() };
        let text = text.trim();
        let (head, filter, tail) = match text.find('[') {
            None => (text, None, None),
            Some(open) => {
                let close = closing(text, open).ok_or_else(|| wrong("the bracket is not closed"))?;
                let filter = parse_val_filter(&text[open + 1..close]).map_err(|cause| wrong(&cause))?;
                let tail = match &text[close + 1..] {
                    "" => None,
                    rest => Some(rest.strip_prefix('.').ok_or_else(|| wrong("something follows the bracket"))?),
                };
                (&text[..open], Some(filter), tail)
            }
        };
        let (urn, plain) = split_urn(head);
        let (attribute, dotted) = match plain.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (plain, None),
        };
        if dotted.is_some() && filter.is_some() {
            return Err(wrong("a sub-attribute has no elements to choose from"));
        }
        let sub = dotted.or(tail);
        if !(is_name(attribute) || attribute.is_empty() && urn.is_some() && sub.is_none() && filter.is_none()) {
            return Err(wrong("an attribute name starts with a letter and goes on with letters, digits, - and _"));
        }
        if sub.is_some_and(|sub| !is_name(sub)) {
            return Err(wrong("a sub-attribute name starts with a letter and goes on with letters, digits, - and _"));
        }
        Ok(Self { urn: urn.map(str::to_owned), attribute: attribute.to_owned(), filter, sub: sub.map(str::to_owned) })
    }

    /// A path to a plain attribute.
    pub fn of(attribute: impl Into<String>) -> Self {
        Self { urn: None, attribute: attribute.into(), filter: None, sub: None }
    }

    /// Whether the path names a whole extension.
    pub fn is_extension(&self) -> bool {
        self.attribute.is_empty()
    }

    /// The object that holds the attribute: the resource itself or one of its extensions.
    pub fn holder<'a>(&self, resource: &'a Value) -> Option<&'a Value> {
        let Some(urn) = &self.urn else { return Some(resource) };
        match member(resource, urn) {
            Some(extension) if !self.is_extension() => Some(extension),
            _ if is_main_schema(resource, urn) => Some(resource),
            _ => None,
        }
    }

    /// Everything the path reaches, in the order of the resource. A multi-valued attribute that is named without
    /// filter and sub-attribute is one value, its array. The sub-attribute `value` of a bare text is the text itself:
    /// some servers send `manager` so, or as a list.
    pub fn select<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        if let (true, Some(urn)) = (self.is_extension(), &self.urn) {
            return member(resource, urn).into_iter().collect();
        }
        let Some(found) = self.holder(resource).and_then(|holder| member(holder, &self.attribute)) else {
            return Vec::new();
        };
        if self.filter.is_none() && self.sub.is_none() {
            return vec![found];
        }
        let elements = match found {
            Value::Array(elements) => elements.as_slice(),
            single => std::slice::from_ref(single),
        };
        elements
            .iter()
            .filter(|element| self.filter.as_ref().is_none_or(|filter| element_matches(filter, element, None)))
            .filter_map(|element| match &self.sub {
                None => Some(element),
                Some(sub) if element.is_object() => member(element, sub),
                Some(sub) => sub.eq_ignore_ascii_case("value").then_some(element),
            })
            .collect()
    }

    /// The first thing the path reaches that is not null.
    pub fn get<'a>(&self, resource: &'a Value) -> Option<&'a Value> {
        self.select(resource).into_iter().find(|value| !value.is_null())
    }

    /// Puts a value where the path points, making what is missing on the way: the extension (and its URN in
    /// `schemas`), the complex attribute, and for a value path the element, from the `eq` terms of its filter. Meant
    /// for building requests; nothing is checked against a schema. A null removes.
    pub fn set(&self, resource: &mut Value, value: Value) {
        if !resource.is_object() {
            *resource = Value::Object(Map::new());
        }
        let holder = match &self.urn {
            Some(urn) if self.is_extension() || !is_main_schema(resource, urn) => {
                name_schema(resource, urn);
                slot(resource, urn)
            }
            _ => resource,
        };
        let target = if self.is_extension() { holder } else { slot(holder, &self.attribute) };
        match (&self.filter, &self.sub) {
            (None, None) => *target = value,
            (None, Some(sub)) => *slot(target, sub) = value,
            (Some(filter), sub) => {
                if !target.is_array() {
                    *target = Value::Array(Vec::new());
                }
                let Value::Array(elements) = target else { return };
                if !elements.iter().any(|element| element_matches(filter, element, None)) {
                    elements.push(Value::Object(described_by(filter)));
                }
                for element in elements.iter_mut().filter(|element| element_matches(filter, element, None)) {
                    match sub {
                        Some(sub) => *slot(element, sub) = value.clone(),
                        None => *element = value.clone(),
                    }
                }
            }
        }
        prune(resource);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.urn {
            Some(urn) if self.is_extension() => return f.write_str(urn),
            Some(urn) => write!(f, "{urn}:{}", self.attribute)?,
            None => f.write_str(&self.attribute)?,
        }
        if let Some(filter) = &self.filter {
            write!(f, "[{filter}]")?;
        }
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

/// A member of an object, by its name without regard to case; the exact spelling is tried first.
pub fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    // Objects have a dozen members, and most that are asked for are absent: one pass is faster than a hash and a pass.
    let mut alike = None;
    for (key, value) in object.as_object()?.iter().filter(|(key, _)| key.len() == name.len()) {
        if key == name {
            return Some(value);
        }
        if alike.is_none() && key.eq_ignore_ascii_case(name) {
            alike = Some(value);
        }
    }
    alike
}

/// The name under which an object holds a member, where it does.
pub(super) fn spelling(object: &Map<String, Value>, name: &str) -> Option<String> {
    if object.contains_key(name) {
        return Some(name.to_owned());
    }
    object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
}

/// The place of a member, made (null) if there is none; a value that is no object becomes an empty one.
fn slot<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    let key = object.as_object().and_then(|map| spelling(map, name)).unwrap_or_else(|| name.to_owned());
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    &mut object[key]
}

/// Drops nulls at the top and one level below, which `set` leaves where it removes.
fn prune(resource: &mut Value) {
    let Value::Object(map) = resource else { return };
    for value in map.values_mut() {
        if let Value::Object(inner) = value {
            inner.retain(|_, value| !value.is_null());
        }
    }
    map.retain(|_, value| !value.is_null());
}

fn name_schema(resource: &mut Value, urn: &str) {
    let schemas = slot(resource, "schemas");
    if !schemas.is_array() {
        *schemas = Value::Array(Vec::new());
    }
    if let Value::Array(schemas) = schemas
        && !schemas.iter().any(|known| known.as_str().is_some_and(|known| known.eq_ignore_ascii_case(urn)))
    {
        schemas.push(Value::String(urn.to_owned()));
    }
}

/// Whether attributes of this schema lie at the top of the resource: those of the core, and those of a schema that the
/// resource names and that does not call itself an extension.
fn is_main_schema(resource: &Value, urn: &str) -> bool {
    let lower = urn.to_ascii_lowercase();
    if lower.contains(":core:2.0") {
        return true;
    }
    let first = member(resource, "schemas").and_then(|schemas| schemas.get(0)).and_then(Value::as_str);
    !lower.contains(":extension:") && first.is_some_and(|first| first.eq_ignore_ascii_case(urn))
}

/// The members an element must have to match: the `eq` terms of the filter that hold together.
fn described_by(filter: &ValFilter) -> Map<String, Value> {
    let mut members = Map::new();
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, value)) => {
            let value = match value {
                CompValue::True => Value::Bool(true),
                CompValue::False => Value::Bool(false),
                CompValue::Null => Value::Null,
                CompValue::Number(number) => Value::Number(number.clone()),
                CompValue::Str(text) => Value::String(text.clone()),
            };
            members.insert(path.name.clone(), value);
        }
        ValFilter::And(terms) => terms.iter().for_each(|term| members.extend(described_by(term))),
        _ => {}
    }
    members
}

/// The bracket that closes the one at `open`, texts in quotes left out.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip_while(|(at, _)| *at <= open) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn parse_val_filter(text: &str) -> Result<ValFilter, String> {
    match format!("x[{text}]").parse::<PatchPath>() {
        Ok(PatchPath::Value(path)) => Ok(path.filter),
        Ok(PatchPath::Attr(_)) => Err("the bracket is empty".to_owned()),
        Err(error) => Err(format!("the filter in brackets cannot be read ({error})")),
    }
}

/// Parts a schema's URN from the attribute behind it. Nothing behind the last colon, or a text that is no URN (RFC
/// 8141 has visible ASCII only) before it, parts nothing.
fn split_urn(head: &str) -> (Option<&str>, &str) {
    let is_urn = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '(' | ')' | '[' | ']'));
    let Some(last) = head.rfind(':').filter(|last| last + 1 < head.len() && is_urn(head)) else {
        return (None, head);
    };
    let before = &head[..last];
    let version = before.rsplit(':').next().unwrap_or_default();
    let whole = version.contains('.') && version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if whole { (Some(head), "") } else { (Some(before), &head[last + 1..]) }
}

fn is_name(name: &str) -> bool {
    // `$ref` breaks the grammar's own rule for names (RFC 7643 §2.4).
    let name = name.strip_prefix('$').unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    #[test]
    fn paths_are_read_in_every_form_and_written_back() {
        for text in [
            "userName",
            "name.givenName",
            r#"emails[type eq "wo]rk" and primary eq true].value"#,
            r#"members[value eq "1"]"#,
            "manager.$ref",
            "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            ENTERPRISE,
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        assert!(Path::parse(ENTERPRISE).unwrap().is_extension());
        for text in [
            "",
            "1a",
            "a.b.c",
            "emails[",
            "emails[]",
            r#"emails[type eq "work"]value"#,
            r#"a.b[c eq 1]"#,
            "a b",
            "a:",
            "a (b):c",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reading_minds_neither_case_nor_the_server_s_shapes() {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "UserName": "jane", "emails": [{"type": "home", "value": "h"}, {"type": "WORK", "value": "w"}],
            (ENTERPRISE): {"manager": ["7"], "employeeNumber": null}
        });
        let read = |text: &str| Path::parse(text).unwrap().get(&user).cloned();
        assert_eq!(read("username"), Some(json!("jane")));
        assert_eq!(read("urn:ietf:params:scim:schemas:core:2.0:User:userName"), Some(json!("jane")));
        assert_eq!(read(r#"emails[type eq "work"].value"#), Some(json!("w")));
        assert_eq!(Path::parse("emails.value").unwrap().select(&user), [&json!("h"), &json!("w")]);
        assert_eq!(read(&format!("{ENTERPRISE}:manager.value")), Some(json!("7")));
        assert_eq!(read(&format!("{ENTERPRISE}:employeeNumber")), None);
        assert_eq!(read(&format!("{ENTERPRISE}:userName")), None);
    }

    #[test]
    fn setting_makes_what_is_missing() {
        let mut user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "Title": "x"});
        for (path, value) in [
            ("title", Value::Null),
            ("name.givenName", json!("Jane")),
            (r#"emails[type eq "work"].value"#, json!("j@x")),
            (r#"emails[type eq "work"].primary"#, json!(true)),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", json!("IT")),
        ] {
            Path::parse(path).unwrap().set(&mut user, value);
        }
        assert_eq!(
            user,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
                "name": {"givenName": "Jane"}, "emails": [{"type": "work", "value": "j@x", "primary": true}],
                (ENTERPRISE): {"department": "IT"}
            })
        );
    }
}
