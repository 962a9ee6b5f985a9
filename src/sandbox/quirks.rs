//! What a product does otherwise when something is created, changed, deleted or read; which of it is its data's to say.

use serde_json::{Value, json};

use super::database::{Data, Kind, Record};
use super::dialect::{Dialect, endpoint};
use super::members::Wanted;
use super::privileged_access::LINKED_OBJECT;
use super::protocol::{Service, not_found};
use crate::scim::error::ScimError;
use crate::scim::patch::{Op, Operation};
use crate::scim::path::{Path, member};
use crate::scim::urn;

/// The attribute that another directory's objects have.
const NATIVE: &str = "nativeIdentifier";

/// Refuses, or changes, what is to be created.
pub(super) fn before_create(service: &Service, data: &Data<'_>, kind: Kind, body: &mut Value) -> Result<(), ScimError> {
    let dialect = service.dialect;
    complete(dialect, kind, body)?;
    known_names(dialect, data, kind, None, body)?;
    granted(dialect, data, kind, body)?;
    if kind == Kind::User && dialect.falls_back_to_email {
        let login = text(body, "userName").unwrap_or_default().to_owned();
        let mail = Path::parse("emails.value").ok().and_then(|path| path.select(body).first().copied().cloned());
        if let Some(mail) = mail.as_ref().and_then(Value::as_str)
            && data.by_name(Kind::User, &login)?.is_some()
            && data.by_name(Kind::User, mail)?.is_none()
        {
            body["userName"] = json!(mail);
        }
    }
    Ok(())
}

/// What a resource holds after a change: the product refuses it, takes it as it is, or leaves some of it.
pub(super) fn before_update(
    service: &Service,
    data: &Data<'_>,
    record: &Record,
    mut body: Value,
) -> Result<Value, ScimError> {
    let (dialect, kind) = (service.dialect, record.kind);
    if dialect.unchangeable.iter().any(|name| name == endpoint(kind)) {
        return Err(dialect.saying("not-supported", kind.name()));
    }
    let changed = changed(&record.body, &body);
    if let Some(name) = changed.iter().find(|name| lists(&dialect.immutable, kind, name)) {
        return Err(dialect.saying("immutable", name));
    }
    let is_linked = record.body[LINKED_OBJECT][NATIVE].as_str().is_some_and(|name| !name.is_empty());
    if kind == Kind::User && is_linked && changed.iter().any(|name| dialect.federated.contains(name)) {
        return Err(dialect.saying("not-authorized", ""));
    }
    complete(dialect, kind, &body)?;
    known_names(dialect, data, kind, Some(record), &body)?;
    granted(dialect, data, kind, &body)?;
    if let (Some(_), Some(members)) = (dialect.changeable.get(endpoint(kind)), body.as_object_mut()) {
        // Answered with success, and not done.
        for name in changed.iter().filter(|name| !lists(&dialect.changeable, kind, name)) {
            match record.body.get(name) {
                Some(old) => members.insert(name.clone(), old.clone()),
                None => members.shift_remove(name),
            };
        }
    }
    Ok(body)
}

/// Names of the attributes that differ.
fn changed(before: &Value, after: &Value) -> Vec<String> {
    let names =
        |body: &Value| body.as_object().map(|body| body.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut all = names(before);
    all.extend(names(after));
    all.sort();
    all.dedup();
    all.retain(|name| name != "schemas" && before.get(name) != after.get(name));
    all
}

fn lists(by_endpoint: &std::collections::BTreeMap<String, Vec<String>>, kind: Kind, name: &str) -> bool {
    by_endpoint.get(endpoint(kind)).is_some_and(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Refuses an object without what the product needs.
fn complete(dialect: &Dialect, kind: Kind, body: &Value) -> Result<(), ScimError> {
    for name in dialect.required.get(endpoint(kind)).into_iter().flatten() {
        let found = Path::parse(name).ok().map(|path| path.select(body).into_iter().any(|value| *value != json!("")));
        if found != Some(true) {
            return Err(dialect.saying("required", name));
        }
    }
    Ok(())
}

/// Refuses roles and organizations that are not there, where they are changed.
fn known_names(
    dialect: &Dialect,
    data: &Data<'_>,
    kind: Kind,
    before: Option<&Record>,
    body: &Value,
) -> Result<(), ScimError> {
    if kind != Kind::User || !dialect.gives_groups {
        return Ok(());
    }
    let roles = |body: &Value| body.get("roles").cloned().unwrap_or_default();
    if before.is_none_or(|before| roles(&before.body) != roles(body)) {
        for role in roles(body).as_array().into_iter().flatten() {
            let name = member(role, "value").unwrap_or(role).as_str().unwrap_or_default();
            if data.by_name(Kind::Group, name)?.is_none() {
                return Err(dialect.saying("role", name));
            }
        }
    }
    let organization = |body: &Value| body[urn::ENTERPRISE_USER]["organization"].as_str().map(str::to_owned);
    let wanted =
        organization(body).filter(|wanted| before.and_then(|b| organization(&b.body)).as_ref() != Some(wanted));
    match wanted {
        Some(name) if data.by_name(Kind::Group, &name)?.is_none() => Err(dialect.saying("organization", &name)),
        _ => Ok(()),
    }
}

/// Refuses permissions of rights that are unknown, and for users who are disabled or not there.
fn granted(dialect: &Dialect, data: &Data<'_>, kind: Kind, body: &Value) -> Result<(), ScimError> {
    if !matches!(kind, Kind::ContainerPermission | Kind::PrivilegedDataPermission) {
        return Ok(());
    }
    for (end, of) in [
        ("container", Kind::Container),
        ("privilegedData", Kind::PrivilegedData),
        ("user", Kind::User),
        ("group", Kind::Group),
    ] {
        let Some(id) = body[end]["value"].as_str() else { continue };
        let found = data.get(of, id)?.ok_or_else(|| dialect.reworded(not_found(of, id), id, ""))?;
        if of == Kind::User && found.body["active"] == json!(false) && dialect.disables_deleted_users {
            return Err(dialect.saying("disabled-user", id));
        }
    }
    let Some(known) = &dialect.rights else { return Ok(()) };
    let rights = body["rights"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match rights.into_iter().find(|right| !known.iter().any(|known| known == right)) {
        Some(right) => Err(dialect.saying("right", right)),
        None => Ok(()),
    }
}

/// Refuses groups as members, where there are none in groups.
pub(super) fn members(dialect: &Dialect, data: &Data<'_>, wanted: &[Wanted]) -> Result<(), ScimError> {
    if dialect.nests_groups {
        return Ok(());
    }
    for one in wanted {
        if one.is_group(data)? {
            return Err(dialect.saying("nested", ""));
        }
    }
    Ok(())
}

/// Refuses changes of members that the product does not have, or not so many of them.
pub(super) fn member_changes(dialect: &Dialect, data: &Data<'_>, operations: &[Operation]) -> Result<(), ScimError> {
    let mut count = 0;
    for operation in operations {
        let elements = operation.value.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        count += elements.len().max(1);
        let by_path = operation.path.as_ref().is_some_and(|path| path.filter.is_some());
        let is_all = operation.op == Op::Replace || (operation.op == Op::Remove && !by_path && elements.is_empty());
        if is_all && !dialect.replaces_members {
            return Err(dialect.saying("replace-members", ""));
        }
        if operation.op == Op::Remove && by_path && dialect.removes_by_values_only {
            return Err(dialect.saying("members-path", ""));
        }
        let wanted: Result<Vec<Wanted>, ScimError> = elements.iter().map(Wanted::read).collect();
        members(dialect, data, &wanted?)?;
    }
    match dialect.members_at_once {
        Some(most) if count > most => Err(dialect.saying("too-many-members", &most.to_string())),
        _ => Ok(()),
    }
}

/// Disables a user instead of deleting it; one that is disabled already is not there.
pub(super) fn disabled_instead(data: &Data<'_>, mut record: Record, now: &str) -> Result<(), ScimError> {
    if record.body["active"] == json!(false) {
        return Err(not_found(Kind::User, &record.id));
    }
    record.body["active"] = json!(false);
    data.update(&mut record, now)
}

/// Refuses a container, and a permission on one, to whoever does not own it.
pub(super) fn readable(service: &Service, data: &Data<'_>, record: &Record) -> Result<(), ScimError> {
    if !service.dialect.needs_owner {
        return Ok(());
    }
    let container = match (record.kind, record.body["container"]["value"].as_str()) {
        (Kind::Container, _) => Some(record.body.clone()),
        (Kind::ContainerPermission, Some(id)) => data.get(Kind::Container, id)?.map(|container| container.body),
        _ => None,
    };
    let Some(container) = container else { return Ok(()) };
    let owner = &container["owner"];
    let is_owner = |me: &str| ["value", "display"].iter().any(|name| owner[*name].as_str() == Some(me));
    match &service.me {
        Some(me) if !owner.is_null() && !is_owner(me) => {
            Err(service.dialect.saying("owner", text(&container, "name").unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}
