//! Creating, showing, changing and deleting resources.

use serde_json::{Map, Value, json};

use super::database::{Data, Kind, Record, stamp};
use super::fault_engine::Tweaks;
use super::managers;
use super::member_names;
use super::members;
use super::privileged_access;
use super::protocol::{Request, Service, names, not_found};
use super::quirks;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::patch::{self, Operation};
use crate::scim::path::member;
use crate::scim::urn;
use crate::scim::validate;

/// Creates a resource (RFC 7644 §3.3).
pub(super) fn create(service: &Service, kind: Kind, sent: &Value, tweaks: &Tweaks) -> Result<Record, ScimError> {
    service.dialect.creatable(kind)?;
    let (mut body, members) = incoming(kind, sent)?;
    let id = uuid::Uuid::new_v4().to_string();
    let now = stamp((service.clock)());
    service.database.write(|data| {
        quirks::before_create(service, data, kind, &mut body)?;
        let wanted = wanted(service, data, members)?;
        quirks::members(service.dialect, data, &wanted)?;
        let record = data.insert(kind, id, body, &now)?;
        seated(service, data, &record, false)?;
        strictly(tweaks, data, &record)?;
        members::replace(data, record.seq, &wanted)?;
        Ok(record)
    })
}

/// Replaces a resource (RFC 7644 §3.5.1): what is left out is cleared, what only the server writes is ignored.
pub(super) fn replace(
    service: &Service,
    kind: Kind,
    id: &str,
    sent: &Value,
    request: &Request,
) -> Result<Record, ScimError> {
    if let Some(sent) = member(sent, "id").and_then(Value::as_str)
        && sent != id
    {
        return Err(ScimError::bad(ScimType::Mutability, format!("`id` is `{sent}`, but this is `{id}`")));
    }
    let (body, members) = incoming(kind, sent)?;
    service.database.write(|data| {
        let mut record = current(data, kind, id, request.condition())?;
        let was_seated = has_seat(&record);
        let wanted = wanted(service, data, members)?;
        quirks::members(service.dialect, data, &wanted)?;
        let mut changed = members::replace(data, record.seq, &wanted)?;
        let body = quirks::before_update(service, data, &record, body)?;
        changed |= body != record.body;
        record.body = body;
        touch(service, data, &mut record, changed)?;
        seated(service, data, &record, was_seated)?;
        strictly(&request.tweaks, data, &record)?;
        Ok(record)
    })
}

/// Changes a resource by a PATCH request (RFC 7644 §3.5.2).
pub(super) fn patch(
    service: &Service,
    kind: Kind,
    id: &str,
    sent: &Value,
    request: &Request,
) -> Result<Record, ScimError> {
    let operations = patch::one_attribute_each(patch::parse(sent)?, kind.definition())?;
    // Members are rows: they are changed there, without reading those that stay.
    let (of_members, others): (Vec<Operation>, Vec<Operation>) =
        operations.into_iter().partition(|operation| kind == Kind::Group && is_about_members(operation));
    service.database.write(|data| {
        let mut record = current(data, kind, id, request.condition())?;
        let was_seated = has_seat(&record);
        let of_members: Vec<Operation> = of_members
            .into_iter()
            .map(|operation| member_names::in_operation(service.dialect, data, operation))
            .collect::<Result<_, _>>()?;
        quirks::member_changes(service.dialect, data, &of_members)?;
        let mut body = record.body.clone();
        patch::apply(&mut body, others, kind.definition())?;
        drop_secrets(&mut body);
        let body = quirks::before_update(service, data, &record, body)?;
        let mut changed = body != record.body;
        record.body = body;
        let is_left = |one: &Operation| {
            request.tweaks.ignore_member_path && one.path.as_ref().is_some_and(|path| path.filter.is_some())
        };
        for operation in of_members.into_iter().filter(|one| !is_left(one)) {
            changed |= members::patch(data, &record, operation)?;
        }
        touch(service, data, &mut record, changed)?;
        seated(service, data, &record, was_seated)?;
        strictly(&request.tweaks, data, &record)?;
        Ok(record)
    })
}

/// Deletes a resource, also from the groups that hold it (RFC 7644 §3.6).
pub(super) fn delete(service: &Service, kind: Kind, id: &str, request: &Request) -> Result<(), ScimError> {
    let now = stamp((service.clock)());
    service.database.write(|data| {
        let record = current(data, kind, id, request.condition())?;
        if request.tweaks.strict_references {
            managers::unnamed(data, &record)?;
        }
        if kind == Kind::User && service.dialect.disables_deleted_users {
            return quirks::disabled_instead(data, record, &now);
        }
        privileged_access::forget(data, &record, &now)?;
        data.delete(&record, &now)
    })
}

/// The resource as it is shown: with id, meta, and the members or groups if `wanted` says so of their attribute.
pub(super) fn render(
    data: &Data<'_>,
    record: &Record,
    base: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Value, ScimError> {
    let mut out = Map::new();
    let mut rest = record.body.as_object().cloned().unwrap_or_default();
    for name in ["schemas", "id", "externalId"] {
        match rest.shift_remove(name) {
            _ if name == "id" => out.insert(name.to_owned(), json!(record.id)),
            Some(value) => out.insert(name.to_owned(), value),
            None => None,
        };
    }
    out.extend(rest);
    let computed = match record.kind {
        Kind::Group if wanted("members") => Some(("members", members::of_group(data, record.seq, base)?)),
        Kind::User if wanted("groups") => Some(("groups", members::groups_of(data, record.seq, base)?)),
        _ => None,
    };
    if let Some((name, values)) = computed.filter(|(_, values)| !values.is_empty()) {
        out.insert(name.to_owned(), Value::Array(values));
    }
    out.insert(
        "meta".to_owned(),
        json!({
            "resourceType": record.kind.name(),
            "created": record.created,
            "lastModified": record.modified,
            "location": format!("{base}{}/{}", record.kind.endpoint(), record.id),
            "version": record.etag(),
        }),
    );
    Ok(Value::Object(out))
}

/// What was sent as it is kept, and the members in it.
fn incoming(kind: Kind, sent: &Value) -> Result<(Value, Value), ScimError> {
    if member(sent, "schemas").is_none() {
        return Err(ScimError::bad(ScimType::InvalidSyntax, "`schemas` is missing"));
    }
    let mut body = validate::conform(sent, kind.definition())?;
    drop_secrets(&mut body);
    let members = body.as_object_mut().and_then(|body| body.shift_remove("members"));
    Ok((body, members.unwrap_or_default()))
}

/// The members that a request names, by their ids.
fn wanted(service: &Service, data: &Data<'_>, mut named: Value) -> Result<Vec<members::Wanted>, ScimError> {
    if !named.is_array() {
        return Ok(Vec::new());
    }
    member_names::by_ids(service.dialect, data, &mut named)?;
    named.as_array().into_iter().flatten().map(members::Wanted::read).collect()
}

/// Passwords have no business in a sandbox; nothing ever signs in.
fn drop_secrets(body: &mut Value) {
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("password");
    }
}

fn current(data: &Data<'_>, kind: Kind, id: &str, condition: Option<&str>) -> Result<Record, ScimError> {
    let record = data.get(kind, id)?.ok_or_else(|| not_found(kind, id))?;
    if condition.is_some_and(|tags| !names(tags, &record.etag())) {
        return Err(ScimError::new(412, format!("the {} is at version {} now", kind.name(), record.etag())));
    }
    Ok(record)
}

/// Whether a resource takes a seat: an active user does.
fn has_seat(record: &Record) -> bool {
    record.kind == Kind::User && record.body.get("active").and_then(Value::as_bool).unwrap_or(true)
}

/// Refuses what would take a seat where none is free, in the words of servers that sell them.
fn seated(service: &Service, data: &Data<'_>, record: &Record, was_seated: bool) -> Result<(), ScimError> {
    match service.seats {
        Some(seats) if !was_seated && has_seat(record) && data.active_users()? > seats => {
            let plain = || ScimError::new(403, format!("No seat is free: all {seats} licences are in use"));
            Err(service.dialect.own("seats", "").unwrap_or_else(plain))
        }
        _ => Ok(()),
    }
}

/// Refuses a manager who is not there, where the server is strict about it.
fn strictly(tweaks: &Tweaks, data: &Data<'_>, record: &Record) -> Result<(), ScimError> {
    if tweaks.strict_references { managers::known(data, record) } else { Ok(()) }
}

fn touch(service: &Service, data: &Data<'_>, record: &mut Record, changed: bool) -> Result<(), ScimError> {
    if changed { data.update(record, &stamp((service.clock)())) } else { Ok(()) }
}

fn is_about_members(operation: &Operation) -> bool {
    operation.path.as_ref().is_some_and(|path| {
        path.attribute.eq_ignore_ascii_case("members")
            && path.urn.as_ref().is_none_or(|urn| urn.eq_ignore_ascii_case(urn::GROUP))
    })
}
