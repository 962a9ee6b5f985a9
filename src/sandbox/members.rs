//! Who is in which group: rows, so that a change of one member does not touch the others.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use super::database::{Data, Kind, Record};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{AttrExp, CompValue, CompareOp, ValFilter};
use crate::scim::patch::{self, Op, Operation};
use crate::scim::path::{Path, member};

/// A member that a request names.
pub(super) struct Wanted {
    id: String,
    kind: Option<Kind>,
}

impl Wanted {
    /// Reads one element of `members`.
    pub(super) fn read(element: &Value) -> Result<Self, ScimError> {
        let wrong = |detail: &str| ScimError::bad(ScimType::InvalidValue, detail);
        let id =
            member(element, "value").and_then(Value::as_str).ok_or_else(|| wrong("a member has a `value`, its id"))?;
        let kind = match member(element, "type").and_then(Value::as_str) {
            None => None,
            Some(name) => Some(
                Kind::STANDARD
                    .into_iter()
                    .find(|kind| kind.name().eq_ignore_ascii_case(name))
                    .ok_or_else(|| wrong("the `type` of a member is User or Group"))?,
            ),
        };
        Ok(Self { id: id.to_owned(), kind })
    }

    /// Whether a group is meant.
    pub(super) fn is_group(&self, data: &Data<'_>) -> Result<bool, ScimError> {
        Ok(self.kind == Some(Kind::Group) || data.get(Kind::Group, &self.id)?.is_some())
    }

    /// The number of the resource that is meant, which must be there.
    fn resolve(&self, data: &Data<'_>, group: i64) -> Result<i64, ScimError> {
        let found: Option<(i64, i64)> = data
            .0
            .prepare_cached("SELECT seq, kind FROM resource WHERE id = ?1")?
            .query_row([&self.id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let kind = self.kind;
        let can_be =
            |code: i64| Kind::STANDARD.contains(&Kind::of(code)) && kind.is_none_or(|kind| kind == Kind::of(code));
        match found.filter(|(_, code)| can_be(*code)) {
            Some((seq, _)) if seq == group => {
                Err(ScimError::bad(ScimType::InvalidValue, "a group cannot be a member of itself"))
            }
            Some((seq, _)) => Ok(seq),
            None => {
                let what = kind.map_or("user or group", Kind::name);
                Err(ScimError::bad(ScimType::InvalidValue, format!("there is no {what} `{}` to be a member", self.id)))
            }
        }
    }
}

/// Makes these the members of a group, and says whether that changed anything.
pub(super) fn replace(data: &Data<'_>, group: i64, wanted: &[Wanted]) -> Result<bool, ScimError> {
    let wanted: BTreeSet<i64> = wanted.iter().map(|one| one.resolve(data, group)).collect::<Result<_, _>>()?;
    let found: BTreeSet<i64> = data
        .0
        .prepare_cached("SELECT member_seq FROM member WHERE group_seq = ?1")?
        .query_map([group], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for gone in found.difference(&wanted) {
        remove(data, group, *gone)?;
    }
    for new in wanted.difference(&found) {
        add(data, group, *new)?;
    }
    Ok(found != wanted)
}

/// Applies one operation on `members` to a group, and says whether it changed anything.
pub(super) fn patch(data: &Data<'_>, group: &Record, operation: Operation) -> Result<bool, ScimError> {
    let elements = match &operation.value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(elements)) => elements.clone(),
        Some(single) => vec![single.clone()],
    };
    let read = || elements.iter().map(Wanted::read).collect::<Result<Vec<_>, _>>();
    let Some(Path { filter, sub: None, .. }) = &operation.path else { return patch_elements(data, group, operation) };
    let mut changed = false;
    match (operation.op, filter) {
        (Op::Add, None) => {
            for wanted in read()? {
                changed |= add(data, group.seq, wanted.resolve(data, group.seq)?)?;
            }
        }
        (Op::Replace, None) => changed = replace(data, group.seq, &read()?)?,
        (Op::Remove, None) if operation.value.as_ref().is_none_or(Value::is_null) => {
            changed = replace(data, group.seq, &[])?;
        }
        (Op::Remove, None) => {
            for wanted in read()? {
                changed |= remove_id(data, group.seq, &wanted.id)?;
            }
        }
        (Op::Remove, Some(filter)) => match named(filter) {
            Some(id) => changed = remove_id(data, group.seq, id)?,
            None => return patch_elements(data, group, operation),
        },
        (_, Some(_)) => return patch_elements(data, group, operation),
    }
    Ok(changed)
}

/// The operations that look into the elements: on all of them, as the protocol has it.
fn patch_elements(data: &Data<'_>, group: &Record, operation: Operation) -> Result<bool, ScimError> {
    let mut whole = group.body.clone();
    let elements: Vec<Value> = of_group(data, group.seq, "")?
        .iter()
        .map(|element| json!({"value": element["value"], "type": element["type"]}))
        .collect();
    if !elements.is_empty() {
        whole["members"] = Value::Array(elements);
    }
    patch::apply(&mut whole, vec![operation], Kind::Group.definition())?;
    let wanted = whole.get("members").and_then(Value::as_array).into_iter().flatten();
    replace(data, group.seq, &wanted.map(Wanted::read).collect::<Result<Vec<_>, _>>()?)
}

/// The id in `value eq "id"`.
fn named(filter: &ValFilter) -> Option<&str> {
    match filter {
        ValFilter::Attr(AttrExp::Comparison(path, CompareOp::Eq, CompValue::Str(id)))
            if path.name.eq_ignore_ascii_case("value") =>
        {
            Some(id)
        }
        _ => None,
    }
}

fn add(data: &Data<'_>, group: i64, member: i64) -> Result<bool, ScimError> {
    let sql = "INSERT OR IGNORE INTO member (group_seq, member_seq) VALUES (?1, ?2)";
    Ok(data.0.prepare_cached(sql)?.execute(params![group, member])? > 0)
}

fn remove(data: &Data<'_>, group: i64, member: i64) -> Result<bool, ScimError> {
    let sql = "DELETE FROM member WHERE group_seq = ?1 AND member_seq = ?2";
    Ok(data.0.prepare_cached(sql)?.execute(params![group, member])? > 0)
}

fn remove_id(data: &Data<'_>, group: i64, id: &str) -> Result<bool, ScimError> {
    let sql = "DELETE FROM member WHERE group_seq = ?1 AND member_seq = (SELECT seq FROM resource WHERE id = ?2)";
    Ok(data.0.prepare_cached(sql)?.execute(params![group, id])? > 0)
}

/// The elements of a group's `members`, in the order in which the members were made.
pub(super) fn of_group(data: &Data<'_>, group: i64, base: &str) -> Result<Vec<Value>, ScimError> {
    let sql = "SELECT r.id, r.kind, r.label FROM member m JOIN resource r ON r.seq = m.member_seq
               WHERE m.group_seq = ?1 ORDER BY m.member_seq";
    let mut statement = data.0.prepare_cached(sql)?;
    let rows = statement.query_map([group], |row| {
        let (id, kind, label): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let kind = Kind::of(kind);
        let address = format!("{base}{}/{id}", kind.endpoint());
        Ok(json!({"value": id, "$ref": address, "display": label, "type": kind.name()}))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The elements of a user's `groups`: those that hold the user itself.
pub(super) fn groups_of(data: &Data<'_>, user: i64, base: &str) -> Result<Vec<Value>, ScimError> {
    let sql = "SELECT r.id, r.label FROM member m JOIN resource r ON r.seq = m.group_seq
               WHERE m.member_seq = ?1 ORDER BY m.group_seq";
    let mut statement = data.0.prepare_cached(sql)?;
    let rows = statement.query_map([user], |row| {
        let (id, label): (String, String) = (row.get(0)?, row.get(1)?);
        let address = format!("{base}{}/{id}", Kind::Group.endpoint());
        Ok(json!({"value": id, "$ref": address, "display": label, "type": "direct"}))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
