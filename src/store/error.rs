//! What can go wrong with the state folder, and what to do about it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::types::Type;

use crate::disk::{DiskError, remedy};
use crate::model::approval::Refusal;
use crate::model::order::{OrderId, OrderState};
use crate::model::run::RunId;

/// Why something could not be remembered or read back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room for the database on its disk.
    #[error(
        "{}: the disk is full; this step was not recorded, all before it stays recorded: make room and run the same command again (an apply then looks up first what was under way)",
        file.display()
    )]
    DiskFull {
        /// The database.
        file: PathBuf,
    },
    /// The database cannot be written.
    #[error(
        "{}: read-only; run as the user that owns the state folder, or name another folder with --state",
        file.display()
    )]
    ReadOnly {
        /// The database.
        file: PathBuf,
    },
    /// The database is damaged.
    #[error(
        "{}: damaged: {what}; nothing of this step was recorded. Restore the state folder from a backup; or, where there is none, move this file and those beside it ({}*) away and run again: links are found anew by the match rules, the first run waits for review, and what was rejected, withheld or in grace is forgotten",
        file.display(), file.display()
    )]
    Corrupt {
        /// The database.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file is another program's.
    #[error(
        "{}: a database, and not one of muster: {what}; it was left as it is: name muster's own state folder with --state, or move that file away",
        file.display()
    )]
    Foreign {
        /// The database.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// This user may not read and write the database.
    #[error(
        "{}: this user may not read and write it; run as the user that owns the state folder (`ls -ld {}` shows whom), or name another folder with --state",
        file.display(), file.parent().unwrap_or(file).display()
    )]
    NoAccess {
        /// The database.
        file: PathBuf,
    },
    /// Another process holds the database.
    #[error(
        "{}: locked by another process for more than {seconds} s; see which with `fuser {}`, and run the same command again",
        file.display(), file.display()
    )]
    Locked {
        /// The database.
        file: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// A newer muster wrote the database.
    #[error(
        "{}: written by a newer muster (format {found}, this one knows {known}); use the newer program, nothing was changed",
        file.display()
    )]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known.
        known: i64,
    },
    /// Any other answer of the database.
    #[error(
        "{}: {cause}; this step was not recorded, all before it stays recorded: see to the disk, its room and the limits of files (ulimit -f), and run the same command again (an apply then looks up first what was under way)",
        file.display()
    )]
    Database {
        /// The database.
        file: PathBuf,
        /// SQLite's message.
        cause: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {doing} {}: {cause}; {}", path.display(), remedy(cause))]
    File {
        /// `write`, `read`, `create the folder` …
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The files of a run are gone because their time was over.
    #[error(
        "the plan of run {run} was removed on {}, when the time of [retention] was over; what is remembered of it: muster log {run}",
        at.format("%Y-%m-%d")
    )]
    Removed {
        /// The run.
        run: RunId,
        /// When.
        at: DateTime<Utc>,
    },
    /// There is no such run.
    #[error("run {run} is not known in this state folder; `muster status` lists the runs")]
    NoRun {
        /// The run.
        run: RunId,
    },
    /// There is no such order.
    #[error("order {order} is not known in this state folder; `muster review RUN` lists a run's orders")]
    NoOrder {
        /// The order.
        order: OrderId,
    },
    /// A run with this id exists.
    #[error("run {run} exists already; wait a second and run the same command again")]
    RunExists {
        /// The run.
        run: RunId,
    },
    /// The object has a live order.
    #[error(
        "order {order} is not recorded: its object {object} has the live order {live} of job {job}; supersede or decide that one first"
    )]
    AlreadyLive {
        /// The new order.
        order: OrderId,
        /// The object.
        object: String,
        /// The order that is live.
        live: OrderId,
        /// The live order's job.
        job: String,
    },
    /// An order with this id exists.
    #[error("order {order} was raised before; number it anew from what is remembered of its fingerprint")]
    OrderExists {
        /// The order.
        order: OrderId,
    },
    /// An order cannot take this step.
    #[error("order {order} is {from} and cannot become {to}; `muster review` shows where it stands")]
    Transition {
        /// The order.
        order: OrderId,
        /// Where it stands.
        from: OrderState,
        /// Where it was to go.
        to: OrderState,
    },
    /// A hold is not known by this name, or has another figure.
    #[error("run {run} is not held by `{name}`{figure}; it is held by: {known}")]
    NotHeld {
        /// The run.
        run: RunId,
        /// The name that was accepted.
        name: String,
        /// ` at the figure …`, where only the figure differs; else empty.
        figure: String,
        /// The holds that it has.
        known: String,
    },
    /// Two sources are linked to one target object.
    #[error(
        "{target} is linked to {holder} already and cannot be linked to {source_key}; `muster unlink` the other one first"
    )]
    LinkTaken {
        /// The target object's id.
        target: String,
        /// The source key that holds the link.
        holder: String,
        /// The source key that wants it.
        source_key: String,
    },
    /// A review without a signature, where one is asked for.
    #[error(
        "run {run} asks for approvals that are signed by one of its approvers; nothing was sealed: add `--sign KEY`"
    )]
    Unsigned {
        /// The run.
        run: RunId,
    },
    /// A signed review that does not fit.
    #[error("{}: nothing was sealed: {what}", file.display())]
    NotSealed {
        /// The review's file.
        file: PathBuf,
        /// Why, and what to do.
        what: String,
    },
    /// A sealed review or its plan is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl StoreError {
    /// A database of which parts do not fit together, in SQLite's words: the first line of them.
    fn damaged(file: PathBuf, sqlite: &str) -> Self {
        let is_heading = |line: &&str| line.is_empty() || line.starts_with("***");
        let first = sqlite.lines().map(str::trim).find(|line| !is_heading(line));
        let what = format!("its parts do not fit together (SQLite: {})", first.unwrap_or("no more is said"));
        Self::Corrupt { file, what }
    }

    /// A file that could not be read or written.
    pub(super) fn file(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), cause }
    }
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        Self::file(error.action, &error.path, error.cause)
    }
}

/// Why a step inside the database failed, before the file's name is put to it.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite.
    Sql(rusqlite::Error),
    /// A row that muster cannot have written.
    Row(String),
    /// Pages, tables or indexes that do not fit together, in SQLite's words.
    Damaged(String),
    /// Ours.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Fault {
    fn from(error: Refusal) -> Self {
        Self::Store(StoreError::Refused(error))
    }
}

impl Fault {
    /// The error as it leaves the store.
    pub(super) fn named(self, file: &Path) -> StoreError {
        let file = file.to_owned();
        match self {
            Self::Store(error) => error,
            Self::Row(what) => StoreError::Corrupt { file, what },
            Self::Damaged(what) => StoreError::damaged(file, &what),
            Self::Sql(error) => {
                if let Some(what) = foreign_value(&error) {
                    return StoreError::Corrupt { file, what };
                }
                let cause = error.to_string();
                use rusqlite::ErrorCode as Code;
                match error.sqlite_error_code() {
                    Some(Code::DiskFull) => StoreError::DiskFull { file },
                    Some(Code::ReadOnly | Code::PermissionDenied | Code::AuthorizationForStatementDenied) => {
                        StoreError::ReadOnly { file }
                    }
                    Some(Code::DatabaseCorrupt) => StoreError::damaged(file, &cause),
                    Some(Code::NotADatabase) => {
                        let what = format!("it does not begin as a database does (SQLite: {cause})");
                        StoreError::Corrupt { file, what }
                    }
                    Some(Code::CannotOpen) if !super::database_file::may_write_beside(&file) => {
                        StoreError::NoAccess { file }
                    }
                    Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                        StoreError::Locked { file, seconds: super::database::BUSY.as_secs() }
                    }
                    _ => StoreError::Database { file, cause },
                }
            }
        }
    }
}

/// What was read that muster cannot have written, where that is why a step failed.
fn foreign_value(error: &rusqlite::Error) -> Option<String> {
    use rusqlite::Error as Sql;
    match error {
        Sql::InvalidColumnType(_, column, kind) => {
            let found = match kind {
                Type::Null => "nothing",
                Type::Integer | Type::Real => "a number",
                Type::Text => "text",
                Type::Blob => "bytes",
            };
            Some(format!("`{column}` holds {found} where muster never writes that"))
        }
        Sql::FromSqlConversionFailure(..) | Sql::IntegralValueOutOfRange(..) | Sql::Utf8Error(..) => {
            Some(format!("a value in it is none that muster writes ({error})"))
        }
        // All that is asked for was made when the database was.
        _ if error.to_string().starts_with("no such ") => Some(format!("a part of it is missing (SQLite: {error})")),
        _ => None,
    }
}
