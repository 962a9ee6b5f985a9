//! Resources as rows: the flat columns of a resource type and the cell that a resource has in a column.
//!
//! A column is named by a path. A simple attribute is its text, a boolean `true` or `false`, a number its digits; a
//! multi-valued attribute is a JSON array of its elements' values, sorted and without repetitions; what is absent,
//! null or an empty list is the empty cell.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::path::{Path, PathError, member};
use super::schema::{Attribute, Definition, Kind, Mutability, Returned, Schema, Uniqueness, common_attributes};

/// One column of a resource type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, a path: `userName`, `name.givenName`, `emails`, `urn:…:User:employeeNumber`.
    pub name: String,
    /// Type of the values in it; for a complex list that of the elements' `value`.
    pub kind: Kind,
    /// Whether its cells are lists.
    pub multi_valued: bool,
    /// Whether a resource must have it.
    pub required: bool,
    /// Whether case matters.
    pub case_exact: bool,
    /// Whether it can be changed.
    pub mutability: Mutability,
    /// Among what its values must be unique.
    pub uniqueness: Uniqueness,
}

/// The columns of a resource type: `id`, `externalId`, then the core and the extensions in the order of their schemas.
/// Left out are `meta`, which would make every row differ, what is never returned, and the `$ref` beside a value.
pub fn columns(definition: &Definition) -> Vec<Column> {
    let mut out = Vec::new();
    for attribute in common_attributes().iter().filter(|a| ["id", "externalId"].contains(&a.name.as_str())) {
        push(&mut out, "", attribute);
    }
    let core = (&definition.core, true);
    for (schema, is_core) in std::iter::once(core).chain(definition.extensions.iter().map(|schema| (schema, false))) {
        push_schema(&mut out, schema, is_core);
    }
    out
}

fn push_schema(out: &mut Vec<Column>, schema: &Schema, is_core: bool) {
    let prefix = if is_core { String::new() } else { format!("{}:", schema.id) };
    for attribute in &schema.attributes {
        // Some servers list the common attributes in their schemas.
        let common = is_core && common_attributes().iter().any(|c| c.name.eq_ignore_ascii_case(&attribute.name));
        if common || attribute.returned == Returned::Never {
            continue;
        }
        if attribute.kind == Kind::Complex && !attribute.multi_valued {
            let prefix = format!("{prefix}{}.", attribute.name);
            for sub in attribute.sub_attributes.iter().filter(|s| s.name != "$ref" && s.returned != Returned::Never) {
                push(out, &prefix, sub);
            }
        } else {
            push(out, &prefix, attribute);
        }
    }
}

fn push(out: &mut Vec<Column>, prefix: &str, attribute: &Attribute) {
    let leaf = attribute.leaf();
    out.push(Column {
        name: format!("{prefix}{}", attribute.name),
        kind: leaf.kind,
        multi_valued: attribute.multi_valued,
        required: attribute.required,
        case_exact: leaf.case_exact,
        mutability: attribute.mutability,
        uniqueness: attribute.uniqueness,
    });
}

/// Reads the cells of one column; its path is read once.
#[derive(Clone, Debug)]
pub struct ColumnReader {
    path: Path,
    /// A single value even if the server sends it in a list.
    single: bool,
}

impl ColumnReader {
    /// A reader for a column of any name, value paths such as `emails[type eq "work"].value` and `meta.lastModified`
    /// included.
    ///
    /// # Errors
    /// [`PathError`] if the name is no path.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        Ok(Self { path: Path::parse(name)?, single: false })
    }

    /// The same, knowing the definition: an attribute that it calls single-valued gives a plain cell even where the
    /// server sends a list of one.
    ///
    /// # Errors
    /// [`PathError`] if the name is no path.
    pub fn of(name: &str, definition: &Definition) -> Result<Self, PathError> {
        let path = Path::parse(name)?;
        let attribute = definition.attribute(path.urn.as_deref(), &path.attribute, None);
        Ok(Self { single: attribute.is_some_and(|attribute| !attribute.multi_valued), path })
    }

    /// The path of the column.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cell of a resource.
    pub fn cell(&self, resource: &Value) -> String {
        let found = self.path.select(resource);
        // Most columns of most resources are empty.
        if found.is_empty() {
            return String::new();
        }
        let mut listed = false;
        let mut texts = Vec::with_capacity(found.len());
        for value in &found {
            match value {
                Value::Array(elements) => {
                    listed = true;
                    texts.extend(elements.iter().filter_map(element_text));
                }
                single => texts.extend(element_text(single)),
            }
        }
        // `emails.value` is a list however many there are; `emails[type eq "work"].value` is one value if it is one.
        listed |= self.path.filter.is_none() && self.path.sub.is_some() && self.is_list(resource);
        if texts.is_empty() {
            return String::new();
        }
        if texts.len() == 1 && (self.single || !listed) {
            return texts.swap_remove(0);
        }
        texts.sort();
        texts.dedup();
        if texts.len() == 1 && !listed {
            return texts.swap_remove(0);
        }
        Value::from(texts).to_string()
    }

    fn is_list(&self, resource: &Value) -> bool {
        self.path.holder(resource).and_then(|holder| member(holder, &self.path.attribute)).is_some_and(Value::is_array)
    }
}

/// The text of one value: of an object its `value`, else all of it as JSON with sorted names.
fn element_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Object(members) => match member(value, "value") {
            Some(inner) if !inner.is_object() && !inner.is_array() => element_text(inner),
            _ => (!members.is_empty()).then(|| sorted(value).to_string()),
        },
        Value::Array(_) => Some(sorted(value).to_string()),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), value)).collect::<Map<_, _>>())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(sorted).collect()),
        simple => simple.clone(),
    }
}

/// Why a text does not fit an attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// The wrong type.
    #[error("`{text}` does not fit `{column}`, which is {kind}")]
    Type {
        /// The column.
        column: String,
        /// The text.
        text: String,
        /// What the attribute wants.
        kind: Kind,
    },
    /// Several values for one.
    #[error("`{0}` has one value, not several")]
    Several(String),
}

/// The JSON that writes texts into a column: typed by the definition, a list for a multi-valued attribute, its
/// elements objects with `value` where it is complex. An attribute that is not defined is written as text.
/// An element that came as a JSON object (see [`ColumnReader::cell`]) is written as that object.
///
/// # Errors
/// [`CellError`].
pub fn json(path: &Path, texts: &[&str], definition: &Definition) -> Result<Value, CellError> {
    let parent = definition.attribute(path.urn.as_deref(), &path.attribute, None);
    let attribute = definition.find(path);
    let whole_list = path.filter.is_none() && path.sub.is_none() && parent.is_some_and(|parent| parent.multi_valued);
    let complex = attribute.is_some_and(|attribute| attribute.kind == Kind::Complex);
    let kind = attribute.map_or(Kind::String, |attribute| attribute.leaf().kind);
    let one = |text: &str| -> Result<Value, CellError> {
        if complex {
            if let Ok(object @ Value::Object(_)) = serde_json::from_str(text) {
                return Ok(object);
            }
            return Ok(Value::Object(Map::from_iter([("value".to_owned(), typed(path, text, kind)?)])));
        }
        typed(path, text, kind)
    };
    match texts {
        texts if whole_list || (attribute.is_none() && texts.len() > 1) => texts.iter().map(|text| one(text)).collect(),
        [] => Ok(Value::Null),
        [text] => one(text),
        _ => Err(CellError::Several(path.to_string())),
    }
}

fn typed(path: &Path, text: &str, kind: Kind) -> Result<Value, CellError> {
    let fits = match kind {
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        // Read as JSON, so that the digits stay what they are.
        Kind::Decimal => serde_json::from_str::<Number>(text).ok().map(Value::Number),
        Kind::Boolean => None,
        Kind::String | Kind::DateTime | Kind::Binary | Kind::Reference | Kind::Complex => Some(Value::from(text)),
    };
    fits.ok_or_else(|| CellError::Type { column: path.to_string(), text: text.to_owned(), kind })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_flat_and_in_the_schema_s_order() {
        let names: Vec<String> = columns(&Definition::user()).into_iter().map(|column| column.name).collect();
        assert_eq!(names[..5], ["id", "externalId", "userName", "name.formatted", "name.familyName"]);
        assert!(names.contains(&"emails".to_owned()) && !names.iter().any(|name| name.contains("password")));
        let last = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName";
        assert_eq!(names.last().unwrap(), last);
        let group: Vec<String> = columns(&Definition::group()).into_iter().map(|column| column.name).collect();
        assert_eq!(group, ["id", "externalId", "displayName", "members"]);
    }

    #[test]
    fn cells_are_the_same_however_the_server_writes() {
        let definition = Definition::user();
        let user = json!({
            "id": "1", "UserName": "jane", "active": false, "roles": [{"value": "b"}, {"value": "a"}, {"value": "b"}],
            "entitlements": [], "photos": null, "emails": [{"type": "work", "value": "w@x"}],
            "addresses": [{"type": "work", "country": "DE"}], "meta": {"lastModified": "t"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": ["7"], "costCenter": "007"}
        });
        let cell = |name: &str| ColumnReader::of(name, &definition).unwrap().cell(&user);
        for (name, wanted) in [
            ("userName", "jane"),
            ("active", "false"),
            ("roles", r#"["a","b"]"#),
            ("entitlements", ""),
            ("photos", ""),
            ("title", ""),
            ("emails", r#"["w@x"]"#),
            ("emails.value", r#"["w@x"]"#),
            (r#"emails[type eq "work"].value"#, "w@x"),
            (r#"emails[type eq "home"].value"#, ""),
            ("addresses", r#"["{\"country\":\"DE\",\"type\":\"work\"}"]"#),
            ("meta.lastModified", "t"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter", "007"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", "7"),
        ] {
            assert_eq!(cell(name), wanted, "{name}");
        }
    }

    #[test]
    fn texts_become_what_the_schema_wants() {
        let definition = Definition::user();
        let write = |name: &str, texts: &[&str]| json(&Path::parse(name).unwrap(), texts, &definition);
        assert_eq!(write("active", &["TRUE"]), Ok(json!(true)));
        assert_eq!(write("roles", &["a"]), Ok(json!([{"value": "a"}])));
        assert_eq!(write("addresses", &[r#"{"country":"DE"}"#]), Ok(json!([{"country": "DE"}])));
        assert_eq!(write(r#"emails[type eq "work"].value"#, &["w"]), Ok(json!("w")));
        assert_eq!(
            write("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", &["7"]),
            Ok(json!({"value": "7"}))
        );
        assert!(matches!(write("active", &["yes"]), Err(CellError::Type { .. })));
        assert!(matches!(write("title", &["a", "b"]), Err(CellError::Several(_))));
        assert_eq!(write("title", &[]), Ok(Value::Null));
    }
}
