//! What each resource of a realm has: which columns, where they stand in what the server answers, and which it takes.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value as Json, json};

use super::profile::Profile;
use crate::model::capabilities::AttributeType;
use crate::model::value::Value;

/// People and machines that log in; without the accounts of clients.
pub(super) const USERS: &str = "users";
/// Groups, wherever they are in the tree.
pub(super) const GROUPS: &str = "groups";
/// Users in groups: `group`, `user`.
pub(super) const MEMBERSHIPS: &str = "memberships";
/// Groups below groups: `parent`, `child`.
pub(super) const NESTINGS: &str = "nestings";
/// Roles of the realm, and of the clients that the job names.
pub(super) const ROLES: &str = "roles";
/// Roles that a role carries: `parent`, `child`.
pub(super) const COMPOSITES: &str = "composites";
/// Roles that users have of themselves: `role`, `user`.
pub(super) const ASSIGNMENTS: &str = "assignments";
/// By which accounts of other identity providers users are known.
pub(super) const IDENTITIES: &str = "identities";

/// Every resource, in the order in which they are named to people.
pub(super) const RESOURCES: [&str; 8] =
    [USERS, GROUPS, MEMBERSHIPS, NESTINGS, ROLES, ASSIGNMENTS, COMPOSITES, IDENTITIES];

/// What a column begins with that is an attribute of a user or group.
pub(super) const ATTRIBUTES: &str = "attributes.";
/// The group that a group is below.
pub(super) const PARENT: &str = "parent";

/// One column of a resource.
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Where it stands in the answer.
    field: &'static str,
    pub(super) kind: AttributeType,
    pub(super) multi_valued: bool,
    pub(super) is_writable: bool,
    /// Exported without being named.
    pub(super) is_default: bool,
    pub(super) max_length: Option<usize>,
}

const fn column(name: &'static str) -> Column {
    let kind = AttributeType::Text;
    let (multi_valued, is_writable) = (false, false);
    Column { name, field: name, kind, multi_valued, is_writable, is_default: true, max_length: None }
}

const fn text(name: &'static str) -> Column {
    Column { is_writable: true, max_length: Some(255), ..column(name) }
}

const fn truth(name: &'static str) -> Column {
    Column { kind: AttributeType::Boolean, is_writable: true, ..column(name) }
}

const OF_USERS: &[Column] = &[
    column("id"),
    // Kept in lower case, so that letter case tells no two apart.
    Column { kind: AttributeType::CaselessText, ..text("username") },
    Column { kind: AttributeType::CaselessText, ..text("email") },
    text("firstName"),
    text("lastName"),
    truth("enabled"),
    truth("emailVerified"),
    Column { kind: AttributeType::Time, ..column("createdTimestamp") },
    column("federationLink"),
    Column { multi_valued: true, is_writable: true, is_default: false, ..column("requiredActions") },
];
const OF_GROUPS: &[Column] = &[
    column("id"),
    text("name"),
    text("description"),
    column("path"),
    Column { field: "parentId", is_writable: true, ..column(PARENT) },
];
const OF_ROLES: &[Column] = &[
    column("id"),
    column("name"),
    column("description"),
    Column { kind: AttributeType::Boolean, ..column("composite") },
    column("client"),
];
const OF_IDENTITIES: &[Column] =
    &[column("id"), column("user"), column("provider"), column("userId"), column("userName")];

/// The columns of a resource beside its attributes; none for associations.
pub(super) fn columns(resource: &str) -> &'static [Column] {
    match resource {
        USERS => OF_USERS,
        GROUPS => OF_GROUPS,
        ROLES => OF_ROLES,
        IDENTITIES => OF_IDENTITIES,
        _ => &[],
    }
}

/// The ends of an association, the one that rows are grouped by first; `None` for resource types.
pub(super) fn ends_of(resource: &str) -> Option<[(&'static str, &'static str); 2]> {
    match resource {
        MEMBERSHIPS => Some([("group", GROUPS), ("user", USERS)]),
        NESTINGS => Some([("parent", GROUPS), ("child", GROUPS)]),
        ASSIGNMENTS => Some([("role", ROLES), ("user", USERS)]),
        COMPOSITES => Some([("parent", ROLES), ("child", ROLES)]),
        _ => None,
    }
}

/// The name of an attribute that a column is.
pub(super) fn attribute<'n>(resource: &str, column: &'n str) -> Option<&'n str> {
    column.strip_prefix(ATTRIBUTES).filter(|name| !name.is_empty() && matches!(resource, USERS | GROUPS))
}

fn known<'c>(resource: &str, name: &str) -> Option<&'c Column> {
    columns(resource).iter().find(|column| column.name == name)
}

/// The columns of an export: those that are always there, and the further ones that are known of those `asked` for.
pub(super) fn exported<'a>(
    resource: &str,
    profile: &Profile,
    asked: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let always = columns(resource).iter().filter(|column| column.is_default);
    let mut names: Vec<String> = always.map(|column| column.name.to_owned()).collect();
    if resource == USERS {
        names.extend(profile.further().map(|(name, _)| format!("{ATTRIBUTES}{name}")));
    }
    for name in asked {
        if (known(resource, name).is_some() || attribute(resource, name).is_some()) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// What is wrong with a column that a job names, and what to write instead; `None` where it is there.
pub(super) fn problem(resource: &str, profile: &Profile, name: &str) -> Option<(String, String)> {
    if known(resource, name).is_some() {
        return None;
    }
    if let Some(attribute) = attribute(resource, name) {
        return (resource == USERS).then(|| profile.lacks(attribute)).flatten();
    }
    let of_profile = profile.further().map(|(name, _)| name.as_str()).filter(|_| resource == USERS);
    let names = columns(resource).iter().map(|column| column.name).chain(of_profile);
    let nearest = names.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let nearest = nearest.unwrap_or("id");
    let write = match known(resource, nearest) {
        Some(_) => format!("write `{nearest}`, if that is meant"),
        None => format!("write `{ATTRIBUTES}{nearest}`, if the attribute `{nearest}` is meant"),
    };
    Some((format!("{resource} has no attribute `{name}`"), write))
}

/// A column's value in an object as the server gave it.
pub(super) fn value(resource: &str, profile: &Profile, name: &str, object: &Json) -> Option<Value> {
    if let Some(attribute) = attribute(resource, name) {
        let values = object.get("attributes")?.get(attribute)?.as_array()?;
        let mut values = values.iter().filter_map(Json::as_str);
        let is_list = resource == USERS && profile.declared.get(attribute).is_some_and(|of| of.multi_valued);
        return match (is_list, values.clone().count()) {
            (false, 1) => Value::text(values.next()?),
            _ => Value::many(values.map(str::to_owned)),
        };
    }
    let column = known(resource, name)?;
    match object.get(column.field)? {
        Json::Bool(truth) => Value::text(truth.to_string()),
        Json::Number(time) if column.kind == AttributeType::Time => {
            let time = DateTime::from_timestamp_millis(time.as_i64()?)?;
            Value::text(time.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
        Json::Array(values) => Value::many(values.iter().filter_map(Json::as_str).map(str::to_owned)),
        Json::String(text) => Value::text(text.as_str()),
        _ => None,
    }
}

/// Why a change cannot be written.
pub(super) enum Unwritable {
    Unknown(String),
    ReadOnly(String),
    Malformed(String, &'static str),
}

/// Puts wanted values into an object; what is not named stays. A group's `parent` is no field and left out.
pub(super) fn merge(
    resource: &str,
    wanted: &BTreeMap<String, Option<Value>>,
    object: &mut Map<String, Json>,
) -> Result<(), Unwritable> {
    for (name, wanted) in wanted {
        if let Some(attribute) = attribute(resource, name) {
            let attributes = object.entry("attributes").or_insert_with(|| json!({}));
            if !attributes.is_object() {
                *attributes = json!({});
            }
            let Some(attributes) = attributes.as_object_mut() else { continue };
            match wanted {
                None => drop(attributes.remove(attribute)),
                Some(Value::Text(text)) => drop(attributes.insert(attribute.to_owned(), json!([text]))),
                Some(Value::Many(values)) => drop(attributes.insert(attribute.to_owned(), json!(values))),
            }
            continue;
        }
        let column = known(resource, name).ok_or_else(|| Unwritable::Unknown(name.clone()))?;
        if !column.is_writable {
            return Err(Unwritable::ReadOnly(name.clone()));
        }
        if name == PARENT {
            continue;
        }
        let field = match (wanted, column.kind, column.multi_valued) {
            (Some(Value::Many(values)), _, true) => json!(values),
            (Some(Value::Text(text)), _, true) => json!([text]),
            (None, _, true) => json!([]),
            (Some(Value::Text(text)), AttributeType::Boolean, _) => match text.to_ascii_lowercase().as_str() {
                "true" => json!(true),
                "false" => json!(false),
                _ => return Err(Unwritable::Malformed(name.clone(), "true or false")),
            },
            (Some(Value::Text(text)), ..) => json!(text),
            (Some(Value::Many(_)), ..) => return Err(Unwritable::Malformed(name.clone(), "one value")),
            (None, ..) if matches!(name.as_str(), "username" | "name" | "enabled" | "emailVerified") => {
                return Err(Unwritable::Malformed(name.clone(), "a value, and never none"));
            }
            // What a change leaves out is cleared.
            (None, ..) => {
                object.remove(column.field);
                continue;
            }
        };
        object.insert(column.field.to_owned(), field);
    }
    Ok(())
}
