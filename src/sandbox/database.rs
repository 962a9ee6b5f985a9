//! The SQLite file: one row a resource, one row a membership.
//!
//! WAL with `synchronous = NORMAL`: a killed server loses nothing, a power cut at most the last moments, and a commit
//! does not wait for the disk. One connection behind a lock serves everybody.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::SandboxError;
use super::privileged_access::{self, linked};
use crate::scim::error::ScimError;
use crate::scim::schema::Definition;

/// The format of the file, kept in `user_version`.
const FORMAT: i64 = 1;

/// `name_key` is the unique name in lower case; `label` the same as it was given. Times are RFC 3339 with microseconds
/// in UTC, so that they sort as texts. `body` is the resource without what is computed: id, meta, members, groups.
const TABLES: &str = "
CREATE TABLE resource (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    name_key TEXT NOT NULL,
    label TEXT NOT NULL,
    external_id TEXT,
    created TEXT NOT NULL,
    modified TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX resource_name ON resource (kind, name_key);
CREATE INDEX resource_order ON resource (kind, seq);
CREATE INDEX resource_id ON resource (kind, id);
CREATE INDEX resource_external ON resource (kind, external_id);
CREATE INDEX resource_modified ON resource (kind, modified);
CREATE TABLE member (
    group_seq INTEGER NOT NULL,
    member_seq INTEGER NOT NULL,
    PRIMARY KEY (group_seq, member_seq)
) WITHOUT ROWID;
CREATE INDEX member_of ON member (member_seq, group_seq);
";

/// The columns that make a [`Record`].
pub(super) const RECORD: &str = "seq, kind, id, created, modified, version, body";

/// The kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    User,
    Group,
    Container,
    ContainerPermission,
    PrivilegedData,
    PrivilegedDataPermission,
}

static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let mut all = vec![linked(Definition::user()), linked(Definition::group())];
    all.extend(privileged_access::definitions());
    all
});

impl Kind {
    /// All kinds, those of the extension for privileged access last.
    pub(super) const ALL: [Kind; 6] = [
        Kind::User,
        Kind::Group,
        Kind::Container,
        Kind::ContainerPermission,
        Kind::PrivilegedData,
        Kind::PrivilegedDataPermission,
    ];
    /// The kinds of the standard.
    pub(super) const STANDARD: [Kind; 2] = [Kind::User, Kind::Group];

    pub(super) fn definition(self) -> &'static Definition {
        static UNKNOWN: LazyLock<Definition> = LazyLock::new(Definition::default);
        DEFINITIONS.get(self as usize).unwrap_or(&UNKNOWN)
    }

    /// Name of the resource type.
    pub(super) fn name(self) -> &'static str {
        &self.definition().resource_type.name
    }

    /// Path below the base address.
    pub(super) fn endpoint(self) -> &'static str {
        &self.definition().resource_type.endpoint
    }

    /// The attribute that is unique, where there is one.
    pub(super) fn naming(self) -> Option<&'static str> {
        match self {
            Kind::User => Some("userName"),
            Kind::Group => Some("displayName"),
            Kind::Container => Some("name"),
            Kind::ContainerPermission | Kind::PrivilegedData | Kind::PrivilegedDataPermission => None,
        }
    }

    /// The number in the file.
    pub(super) fn code(self) -> i64 {
        self as i64
    }

    pub(super) fn of(code: i64) -> Self {
        usize::try_from(code).ok().and_then(|code| Self::ALL.get(code).copied()).unwrap_or(Kind::User)
    }
}

/// A resource as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) seq: i64,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) created: String,
    pub(super) modified: String,
    pub(super) version: i64,
    pub(super) body: Value,
}

impl Record {
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let body: String = row.get(6)?;
        let body = serde_json::from_str(&body).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error))
        })?;
        Ok(Self {
            seq: row.get(0)?,
            kind: Kind::of(row.get(1)?),
            id: row.get(2)?,
            created: row.get(3)?,
            modified: row.get(4)?,
            version: row.get(5)?,
            body,
        })
    }
}

/// A moment as the file and the protocol write it.
pub(super) fn stamp(now: DateTime<Utc>) -> String {
    now.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The file and its lock.
pub(super) struct Database(Mutex<Connection>);

/// The file inside a transaction or a reading.
pub(super) struct Data<'a>(pub(super) &'a Connection);

impl Database {
    /// Opens the file, or makes it with its folder.
    pub(super) fn open(path: &Path) -> Result<Self, SandboxError> {
        let failed =
            |cause: Box<dyn std::error::Error + Send + Sync>| SandboxError::Open { path: path.to_owned(), cause };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(error.into()))?;
        }
        // SQLite makes its files as the umask has it, and gives companions the mode of the database.
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(|error| failed(error.into()))?;
        let prepare = || -> rusqlite::Result<(Connection, i64)> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "cache_size", -65536)?;
            connection.set_prepared_statement_cache_capacity(64);
            let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            let empty =
                connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))? == 0;
            if format == 0 && empty {
                connection.execute_batch(&format!("BEGIN;{TABLES}PRAGMA user_version = {FORMAT};COMMIT;"))?;
                return Ok((connection, FORMAT));
            }
            Ok((connection, format))
        };
        let (connection, found) = prepare().map_err(|error| failed(error.into()))?;
        if found != FORMAT {
            return Err(SandboxError::Format { path: path.to_owned(), found, known: FORMAT });
        }
        Ok(Self(Mutex::new(connection)))
    }

    /// Reads.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Data<'_>) -> Result<T, ScimError>) -> Result<T, ScimError> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One transaction, so that a list and its total are of one moment.
        let transaction = connection.unchecked_transaction()?;
        work(&Data(&transaction))
    }

    /// Writes: everything, or nothing where the work fails.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Data<'_>) -> Result<T, ScimError>) -> Result<T, ScimError> {
        // A lock is poisoned by a panic, which rolled its transaction back: the connection is good.
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.unchecked_transaction()?;
        let done = work(&Data(&transaction))?;
        transaction.commit()?;
        Ok(done)
    }
}

impl Data<'_> {
    /// One resource.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Result<Option<Record>, ScimError> {
        let sql = format!("SELECT {RECORD} FROM resource WHERE id = ?1 AND kind = ?2");
        Ok(self.0.prepare_cached(&sql)?.query_row(params![id, kind.code()], Record::read).optional()?)
    }

    /// One resource by the name that is unique among its kind.
    pub(super) fn by_name(&self, kind: Kind, name: &str) -> Result<Option<Record>, ScimError> {
        let sql = format!("SELECT {RECORD} FROM resource WHERE kind = ?1 AND name_key = ?2");
        let found = params![kind.code(), name.to_lowercase()];
        Ok(self.0.prepare_cached(&sql)?.query_row(found, Record::read).optional()?)
    }

    /// How many users are active; one that does not say is.
    pub(super) fn active_users(&self) -> Result<u64, ScimError> {
        let sql = "SELECT count(*) FROM resource WHERE kind = 0 AND coalesce(json_extract(body, '$.active'), 1) <> 0";
        let count: i64 = self.0.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// All resources of a kind, in the order of their making.
    pub(super) fn all(&self, kind: Kind) -> Result<Vec<Record>, ScimError> {
        let sql = format!("SELECT {RECORD} FROM resource WHERE kind = ?1 ORDER BY seq");
        let mut statement = self.0.prepare_cached(&sql)?;
        let rows = statement.query_map([kind.code()], Record::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One resource by its number in the file.
    pub(super) fn by_seq(&self, seq: i64) -> Result<Option<Record>, ScimError> {
        let sql = format!("SELECT {RECORD} FROM resource WHERE seq = ?1");
        Ok(self.0.prepare_cached(&sql)?.query_row([seq], Record::read).optional()?)
    }

    /// Keeps a new resource.
    pub(super) fn insert(&self, kind: Kind, id: String, body: Value, now: &str) -> Result<Record, ScimError> {
        let label = label(kind, &id, &body);
        self.0
            .prepare_cached(
                "INSERT INTO resource (kind, id, name_key, label, external_id, created, modified, version, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 1, ?7)",
            )?
            .execute(params![kind.code(), id, label.to_lowercase(), label, external_id(&body), now, body.to_string()])
            .map_err(|error| taken(error, kind, &label))?;
        let seq = self.0.last_insert_rowid();
        Ok(Record { seq, kind, id, created: now.to_owned(), modified: now.to_owned(), version: 1, body })
    }

    /// Keeps a resource that changed: its version and the time of its change move.
    pub(super) fn update(&self, record: &mut Record, now: &str) -> Result<(), ScimError> {
        record.version += 1;
        record.modified = now.to_owned();
        let label = label(record.kind, &record.id, &record.body);
        let (text, external) = (record.body.to_string(), external_id(&record.body));
        self.0
            .prepare_cached(
                "UPDATE resource SET name_key = ?2, label = ?3, external_id = ?4, modified = ?5, version = ?6, body = ?7
                 WHERE seq = ?1",
            )?
            .execute(params![record.seq, label.to_lowercase(), label, external, now, record.version, text])
            .map_err(|error| taken(error, record.kind, &label))?;
        Ok(())
    }

    /// Forgets a resource. The groups that held it have changed.
    pub(super) fn delete(&self, record: &Record, now: &str) -> Result<(), ScimError> {
        self.0
            .prepare_cached(
                "UPDATE resource SET modified = ?2, version = version + 1
                 WHERE seq IN (SELECT group_seq FROM member WHERE member_seq = ?1)",
            )?
            .execute(params![record.seq, now])?;
        self.0.prepare_cached("DELETE FROM member WHERE member_seq = ?1")?.execute([record.seq])?;
        self.0.prepare_cached("DELETE FROM member WHERE group_seq = ?1")?.execute([record.seq])?;
        self.0.prepare_cached("DELETE FROM resource WHERE seq = ?1")?.execute([record.seq])?;
        Ok(())
    }
}

/// What a resource is called; no two of a kind are called the same.
fn label(kind: Kind, id: &str, body: &Value) -> String {
    match kind.naming() {
        Some(naming) => body.get(naming).and_then(Value::as_str).unwrap_or_default().to_owned(),
        None if kind == Kind::PrivilegedData => id.to_owned(),
        None => match privileged_access::subject(body) {
            nothing if nothing.is_empty() => id.to_owned(),
            subject => subject,
        },
    }
}

fn external_id(body: &Value) -> Option<&str> {
    body.get("externalId").and_then(Value::as_str)
}

fn taken(error: rusqlite::Error, kind: Kind, label: &str) -> ScimError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            let naming = kind.naming().unwrap_or("subject");
            ScimError::taken(format!("{naming} `{label}` is taken by another {}", kind.name()))
        }
        _ => error.into(),
    }
}

/// A failing database is the server's own fault.
impl From<rusqlite::Error> for ScimError {
    fn from(error: rusqlite::Error) -> Self {
        ScimError::new(500, format!("the database of the sandbox: {error}"))
    }
}
