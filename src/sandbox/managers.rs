//! Who manages whom, as strict servers keep it: nobody has a manager who is not there, and none who is still named goes.

use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;

use super::database::{Data, Kind, Record};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::urn;

/// The id of a user's manager.
fn manager(body: &Value) -> Option<&str> {
    let manager = body.get(urn::ENTERPRISE_USER)?.get("manager")?;
    manager.get("value").unwrap_or(manager).as_str()
}

/// Refuses a manager who is not there (RFC 7643 §4.3); a user may be their own.
pub(super) fn known(data: &Data<'_>, record: &Record) -> Result<(), ScimError> {
    let Some(id) = manager(&record.body).filter(|_| record.kind == Kind::User) else { return Ok(()) };
    match data.get(Kind::User, id)? {
        Some(_) => Ok(()),
        None => Err(ScimError::bad(ScimType::InvalidValue, format!("`manager` is `{id}`, and there is no such User"))),
    }
}

/// Refuses to delete a user whom another one still names as manager.
pub(super) fn unnamed(data: &Data<'_>, record: &Record) -> Result<(), ScimError> {
    let path = format!("$.\"{}\".manager.value", urn::ENTERPRISE_USER);
    let named = data
        .0
        .prepare_cached("SELECT id FROM resource WHERE kind = 0 AND json_extract(body, ?1) = ?2 AND id <> ?2 LIMIT 1")?
        .query_row(params![path, record.id], |row| row.get::<_, String>(0))
        .optional()?;
    match named {
        None => Ok(()),
        Some(other) => Err(ScimError::new(409, format!("User `{other}` has `{}` as manager", record.id))),
    }
}
