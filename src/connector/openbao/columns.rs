//! What each resource of a vault has: which columns, where they stand in what the server answers, and which it takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::connector::config::OpenBaoConfig;
use crate::model::capabilities::{
    Among, AttributeShape, AttributeType, Capabilities, Form, OwnAccount, ResourceCapabilities,
};
use crate::model::order::Operation;
use crate::model::value::Value;

/// Entities: the people and machines that log in.
pub(super) const USERS: &str = "users";
/// Groups of entities, internal ones and those that follow a login method.
pub(super) const GROUPS: &str = "groups";
/// By which logins an entity is known.
pub(super) const ALIASES: &str = "aliases";
/// By which groups of a login method an external group is known.
pub(super) const GROUP_ALIASES: &str = "groupAliases";
/// Names of policies, which entities and groups carry.
pub(super) const POLICIES: &str = "policies";
/// Folders of key-value stores.
pub(super) const CONTAINERS: &str = "containers";
/// Entities in groups: `group`, `user`.
pub(super) const MEMBERSHIPS: &str = "memberships";
/// Groups in groups: `parent`, `child`.
pub(super) const NESTINGS: &str = "nestings";
/// Policies of groups, which say what their members may do with containers: `group`, `policy`.
pub(super) const GROUP_POLICIES: &str = "groupPolicies";

/// Every resource, in the order in which they are named to people.
pub(super) const RESOURCES: [&str; 9] =
    [USERS, GROUPS, MEMBERSHIPS, NESTINGS, ALIASES, GROUP_ALIASES, POLICIES, GROUP_POLICIES, CONTAINERS];

/// What a column begins with that is an entry of an object's metadata.
const METADATA: &str = "metadata.";

/// One column of a resource.
struct Column {
    name: &'static str,
    /// Where it stands in the answer.
    field: &'static str,
    kind: AttributeType,
    multi_valued: bool,
    is_writable: bool,
    /// Written by a create alone.
    is_set_once: bool,
    /// Exported without being named.
    is_default: bool,
}

const fn column(name: &'static str, field: &'static str) -> Column {
    let kind = AttributeType::Text;
    Column { name, field, kind, multi_valued: false, is_writable: false, is_set_once: false, is_default: true }
}

const ID: Column = column("id", "id");
/// Names are the same in any case (OpenBao, identity store).
const NAME: Column = Column { kind: AttributeType::CaselessText, is_writable: true, ..column("name", "name") };
/// So are those of policies.
const OF_POLICIES: Column = Column {
    kind: AttributeType::CaselessText,
    multi_valued: true,
    is_writable: true,
    ..column("policies", "policies")
};
const CREATED: Column = Column { kind: AttributeType::Time, is_default: false, ..column("created", "creation_time") };
/// It moves with each login, so it is exported only where a job asks for it.
const CHANGED: Column =
    Column { kind: AttributeType::Time, is_default: false, ..column("changed", "last_update_time") };

const OF_USERS: &[Column] = &[
    ID,
    NAME,
    Column { kind: AttributeType::Boolean, is_writable: true, ..column("active", "disabled") },
    OF_POLICIES,
    CREATED,
    CHANGED,
];
const OF_GROUPS: &[Column] = &[
    ID,
    NAME,
    Column { is_writable: true, is_set_once: true, ..column("type", "type") },
    OF_POLICIES,
    CREATED,
    CHANGED,
];
const OF_ALIASES: &[Column] = &[ID, LOGIN_NAME, belongs_to("user"), MOUNT, ACCESSOR, LOGIN];
const OF_GROUP_ALIASES: &[Column] = &[ID, LOGIN_NAME, belongs_to("group"), MOUNT, ACCESSOR, LOGIN];

const fn belongs_to(name: &'static str) -> Column {
    Column { is_writable: true, ..column(name, "canonical_id") }
}

/// What somebody is called by a login method.
const LOGIN_NAME: Column = Column { is_writable: true, ..column("name", "name") };
/// Where the method is mounted, as it is written in `auth/MOUNT/login`.
const MOUNT: Column = Column { is_writable: true, is_set_once: true, ..column("mount", "mount_path") };
const ACCESSOR: Column = column("accessor", "mount_accessor");
/// Method and name in one, which no two have: `userpass/jane`.
const LOGIN: Column = column("login", LOGIN_FIELD);
const LOGIN_FIELD: &str = "mount_path + name";
const OF_NAMES: &[Column] = &[ID];

fn columns(resource: &str) -> &'static [Column] {
    match resource {
        USERS => OF_USERS,
        GROUPS => OF_GROUPS,
        ALIASES => OF_ALIASES,
        GROUP_ALIASES => OF_GROUP_ALIASES,
        _ => OF_NAMES,
    }
}

fn has_metadata(resource: &str) -> bool {
    matches!(resource, USERS | GROUPS)
}

/// The columns of an export: those that are always there, and the further ones that are known of those `asked` for.
pub(super) fn exported<'a>(resource: &str, asked: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let always = columns(resource).iter().filter(|column| column.is_default);
    let mut names: Vec<String> = always.map(|column| column.name.to_owned()).collect();
    for name in asked {
        if is_known(resource, name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Whether a resource has, or may have, such a column.
pub(super) fn is_known(resource: &str, name: &str) -> bool {
    columns(resource).iter().any(|column| column.name == name) || metadata_key(resource, name).is_some()
}

/// The known column that looks most like a name; `named` are those of its metadata that the job names.
pub(super) fn nearest(resource: &str, name: &str, named: Option<&BTreeSet<String>>) -> String {
    let likeness = |column: &&str| {
        let key = column.strip_prefix(METADATA).unwrap_or(column);
        (strsim::jaro_winkler(key, name).max(strsim::jaro_winkler(column, name)) * 1e6) as u64
    };
    let of_metadata = named.into_iter().flatten().map(String::as_str).filter(|name| is_known(resource, name));
    let known = columns(resource).iter().map(|column| column.name).chain(of_metadata);
    known.max_by_key(likeness).unwrap_or_default().to_owned()
}

fn metadata_key<'n>(resource: &str, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(METADATA).filter(|key| !key.is_empty() && has_metadata(resource))
}

/// A column's value in an object as the server gave it.
pub(super) fn value(resource: &str, name: &str, object: &Json) -> Option<Value> {
    if let Some(key) = metadata_key(resource, name) {
        return Value::text(object.get("metadata")?.get(key)?.as_str()?);
    }
    let column = columns(resource).iter().find(|column| column.name == name)?;
    if column.field == LOGIN.field {
        return Value::text(format!("{}/{}", mount_of(object)?, object.get("name")?.as_str()?));
    }
    if column.field == MOUNT.field {
        return Value::text(mount_of(object)?);
    }
    match object.get(column.field) {
        Some(Json::Bool(disabled)) if column.kind == AttributeType::Boolean => Value::text((!disabled).to_string()),
        // An entity that nobody disabled does not say so on all versions.
        None | Some(Json::Null) if column.kind == AttributeType::Boolean => Value::text("true"),
        Some(Json::Array(values)) => Value::many(values.iter().filter_map(Json::as_str).map(str::to_owned)),
        Some(Json::String(text)) => Value::text(text.as_str()),
        Some(Json::Number(number)) => Value::text(number.to_string()),
        _ => None,
    }
}

fn mount_of(object: &Json) -> Option<&str> {
    Some(mount_name(object.get(MOUNT.field)?.as_str()?))
}

/// A login method's path as it is written in a job: `auth/userpass/` is `userpass`.
pub(super) fn mount_name(path: &str) -> &str {
    path.strip_prefix("auth/").unwrap_or(path).trim_matches('/')
}

/// Why a change cannot be written: an attribute and whether it is known at all.
pub(super) enum Unwritable {
    SetOnce(String),
    Unknown(String),
    ReadOnly(String),
    Malformed(String, &'static str),
}

/// The fields of a request that makes an object so; `current` is what it holds now, whose metadata is kept.
pub(super) fn fields(
    resource: &str,
    attributes: &BTreeMap<String, Option<Value>>,
    current: Option<&Json>,
) -> Result<Map<String, Json>, Unwritable> {
    let mut fields = Map::new();
    let mut metadata = current.and_then(|object| object.get("metadata")?.as_object().cloned()).unwrap_or_default();
    let mut has_metadata = false;
    for (name, wanted) in attributes {
        if let Some(key) = metadata_key(resource, name) {
            has_metadata = true;
            match wanted {
                None => drop(metadata.remove(key)),
                Some(Value::Text(text)) => drop(metadata.insert(key.to_owned(), json!(text))),
                Some(Value::Many(_)) => return Err(Unwritable::Malformed(name.clone(), "one text")),
            }
            continue;
        }
        let column = columns(resource).iter().find(|column| column.name == name.as_str());
        let column = column.ok_or_else(|| Unwritable::Unknown(name.clone()))?;
        if !column.is_writable {
            return Err(Unwritable::ReadOnly(name.clone()));
        }
        if column.is_set_once && current.is_some() {
            return Err(Unwritable::SetOnce(name.clone()));
        }
        let field = match (wanted, column.kind, column.multi_valued) {
            (Some(Value::Many(values)), _, true) => json!(values),
            (Some(Value::Text(text)), _, true) => json!([text]),
            (None, _, true) => json!([]),
            (Some(Value::Text(text)), AttributeType::Boolean, _) => match text.to_ascii_lowercase().as_str() {
                "true" => json!(false),
                "false" => json!(true),
                _ => return Err(Unwritable::Malformed(name.clone(), "true or false")),
            },
            (Some(Value::Text(text)), ..) => json!(text),
            (Some(Value::Many(_)), ..) => return Err(Unwritable::Malformed(name.clone(), "one value")),
            (None, ..) => return Err(Unwritable::Malformed(name.clone(), "a value, and never none")),
        };
        fields.insert(column.field.to_owned(), field);
    }
    if has_metadata {
        // The server takes the whole map or none of it.
        fields.insert("metadata".to_owned(), Json::Object(metadata));
    }
    Ok(fields)
}

/// What the server offers; `named` are the columns that the job names, by resource: of the metadata only they are known.
pub(super) fn capabilities(
    config: &OpenBaoConfig,
    named: &BTreeMap<String, BTreeSet<String>>,
    account: Option<OwnAccount>,
    policies: Option<&BTreeSet<String>>,
) -> Capabilities {
    let mut resources = BTreeMap::new();
    for resource in RESOURCES.into_iter().filter(|resource| *resource != CONTAINERS || !config.kv.is_empty()) {
        let ends = match resource {
            MEMBERSHIPS => [("group", GROUPS), ("user", USERS)].as_slice(),
            NESTINGS => &[("parent", GROUPS), ("child", GROUPS)],
            GROUP_POLICIES => &[("group", GROUPS), ("policy", POLICIES)],
            _ => &[],
        };
        let mut offered = ResourceCapabilities {
            ends: ends.iter().map(|(end, of)| ((*end).to_owned(), vec![(*of).to_owned()])).collect(),
            operations: match resource {
                USERS => {
                    use Operation::{Create, Delete, Disable, Enable, Update};
                    vec![Create, Update, Disable, Enable, Delete]
                }
                GROUPS => vec![Operation::Create, Operation::Update, Operation::Delete],
                ALIASES | GROUP_ALIASES => vec![Operation::Create, Operation::Update, Operation::Delete],
                MEMBERSHIPS | NESTINGS | GROUP_POLICIES => vec![Operation::Add, Operation::Remove],
                _ => Vec::new(),
            },
            key: if ends.is_empty() {
                vec!["id".to_owned()]
            } else {
                ends.iter().map(|(end, _)| (*end).to_owned()).collect()
            },
            enabled: (resource == USERS).then(|| "active".to_owned()),
            ..ResourceCapabilities::default()
        };
        if ends.is_empty() {
            for column in columns(resource) {
                if column.is_default {
                    offered.attributes.insert(column.name.to_owned(), column.kind);
                }
                let form = if column.kind == AttributeType::Boolean { Form::Boolean } else { Form::Text };
                let is_of_policies = column.field == OF_POLICIES.field;
                let among = |names: &BTreeSet<String>| Among { resource: POLICIES.to_owned(), names: names.clone() };
                let shape = AttributeShape {
                    kind: column.kind,
                    form,
                    multi_valued: column.multi_valued,
                    among: policies.filter(|_| is_of_policies).map(among),
                    ..AttributeShape::default()
                };
                offered.shapes.insert(column.name.to_owned(), shape);
                if !column.is_writable {
                    offered.read_only.push(column.name.to_owned());
                }
                if column.is_set_once {
                    offered.immutable.push(column.name.to_owned());
                }
            }
        }
        if has_metadata(resource) {
            (offered.required, offered.unique) = (vec!["name".to_owned()], vec!["name".to_owned()]);
            let named = named.get(resource).into_iter().flatten();
            for name in named.filter(|name| metadata_key(resource, name).is_some()) {
                offered.attributes.insert(name.clone(), AttributeType::Text);
                offered.shapes.insert(name.clone(), AttributeShape::default());
            }
        }
        if matches!(resource, ALIASES | GROUP_ALIASES) {
            let owner = if resource == ALIASES { "user" } else { "group" };
            offered.required = ["name", "mount", owner].map(str::to_owned).into();
        }
        let refused = config.refuses.get(resource).into_iter().flatten().map(|refused| refused.operation());
        let refused: Vec<Operation> = refused.collect();
        offered.operations.retain(|operation| !refused.contains(operation));
        resources.insert(resource.to_owned(), offered);
    }
    Capabilities {
        resources,
        incremental: false,
        reads_back: true,
        free: BTreeMap::new(),
        seats: config.seats.clone(),
        account,
        errors_in_a_row: None,
    }
}
