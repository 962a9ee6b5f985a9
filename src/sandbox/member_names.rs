//! Groups that call their members by something else than their ids, or say less of them than the standard has.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::database::{Data, Kind};
use super::dialect::Dialect;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{AttrExp, CompValue, Filter, ValFilter};
use crate::scim::patch::Operation;
use crate::scim::path::member;

/// Puts ids in the place of what members are called by, in the members that a request names.
pub(super) fn by_ids(dialect: &Dialect, data: &Data<'_>, members: &mut Value) -> Result<(), ScimError> {
    let Some(attribute) = &dialect.members_by else { return Ok(()) };
    let all = match members {
        Value::Array(elements) => elements.as_mut_slice(),
        single => std::slice::from_mut(single),
    };
    for element in all {
        let Some(name) = member(element, "value").and_then(Value::as_str).map(str::to_owned) else { continue };
        let id = id_of(data, attribute, &name)?.ok_or_else(|| {
            ScimError::bad(ScimType::InvalidValue, format!("there is nobody with {attribute} `{name}`"))
        })?;
        element["value"] = json!(id);
    }
    Ok(())
}

/// The same in an operation on members, its path included.
pub(super) fn in_operation(
    dialect: &Dialect,
    data: &Data<'_>,
    mut operation: Operation,
) -> Result<Operation, ScimError> {
    if let Some(value) = operation.value.as_mut().filter(|value| !value.is_null()) {
        by_ids(dialect, data, value)?;
    }
    let filter = operation.path.as_mut().and_then(|path| path.filter.as_mut());
    if let (Some(attribute), Some(ValFilter::Attr(AttrExp::Comparison(_, _, CompValue::Str(name))))) =
        (&dialect.members_by, filter)
    {
        *name = id_of(data, attribute, name)?.unwrap_or_default();
    }
    Ok(operation)
}

/// The same in a filter on the members of groups.
pub(super) fn in_filter(dialect: &Dialect, data: &Data<'_>, filter: &mut Filter) -> Result<(), ScimError> {
    let Some(attribute) = &dialect.members_by else { return Ok(()) };
    match filter {
        Filter::And(terms) | Filter::Or(terms) => terms.iter_mut().try_for_each(|term| in_filter(dialect, data, term)),
        Filter::Attr(AttrExp::Comparison(path, _, CompValue::Str(name)))
            if path.name.eq_ignore_ascii_case("members") =>
        {
            *name = id_of(data, attribute, name)?.unwrap_or_default();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Shows members of a resource as the product does.
pub(super) fn shown(dialect: &Dialect, data: &Data<'_>, body: &mut Value) -> Result<(), ScimError> {
    let Some(Value::Array(elements)) = body.get_mut("members") else { return Ok(()) };
    for element in elements {
        if let Some(attribute) = &dialect.members_by
            && let Some(id) = element["value"].as_str()
            && let Some(user) = data.get(Kind::User, id)?
        {
            element["value"] = user.body.get(attribute.as_str()).cloned().unwrap_or_default();
        }
        if let (Some(parts), Some(members)) = (&dialect.member_parts, element.as_object_mut()) {
            members.retain(|name, _| parts.contains(name));
        }
    }
    Ok(())
}

/// The id of whoever is called so; a group goes by its id.
fn id_of(data: &Data<'_>, attribute: &str, name: &str) -> Result<Option<String>, ScimError> {
    if data.get(Kind::Group, name)?.is_some() {
        return Ok(Some(name.to_owned()));
    }
    if attribute == "userName" {
        return Ok(data.by_name(Kind::User, name)?.map(|user| user.id));
    }
    let sql = "SELECT id FROM resource WHERE kind = ?1 AND external_id = ?2";
    let found = data.0.prepare_cached(sql)?.query_row(params![Kind::User.code(), name], |row| row.get(0));
    Ok(found.optional()?)
}
