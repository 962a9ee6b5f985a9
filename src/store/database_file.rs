//! The database's file beside SQLite: whether it can be one, whether this user may use it, and whether it is whole.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::Connection;
use rustix::fs::{Access, access};

use super::database::Store;
use super::error::{Fault, StoreError};

/// Makes sure that the file exists and is for its owner alone; SQLite gives its companions the same mode. Whether it was
/// there before.
///
/// # Errors
/// Where something else stands in its place, or this user may not use it.
pub(super) fn make_sure(file: &Path) -> Result<bool, StoreError> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => usable(file).map(|()| true),
        Err(error) => Err(refused("create", file, error)),
    }
}

/// Whether this user may look for the file at all.
///
/// # Errors
/// [`StoreError::NoAccess`] where the folder is closed to it.
pub(super) fn reachable(file: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(refused("read", file, error)),
        _ => Ok(()),
    }
}

/// Whether a file that is there can be a database of this user. It is not opened for that: to close it again would give
/// up the locks that SQLite holds on it for this process.
fn usable(file: &Path) -> Result<(), StoreError> {
    let found = std::fs::metadata(file).map_err(|error| refused("read", file, error))?;
    if !found.is_file() {
        let kind = if found.is_dir() { "a folder" } else { "no plain file" };
        return Err(StoreError::Corrupt { file: file.to_owned(), what: format!("{kind} stands in its place") });
    }
    access(file, Access::READ_OK | Access::WRITE_OK).map_err(|error| refused("open", file, error.into()))
}

/// Whether this user may put files beside the database, as SQLite does.
pub(super) fn may_write_beside(file: &Path) -> bool {
    file.parent().is_none_or(|folder| access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

fn refused(doing: &'static str, file: &Path, error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied => StoreError::NoAccess { file: file.to_owned() },
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { file: file.to_owned() },
        _ => StoreError::file(doing, file, error),
    }
}

/// Reads a table with its indexes, or the whole database, and makes sure that its pages and rows fit together.
pub(super) fn check(db: &Connection, table: Option<&str>) -> Result<(), Fault> {
    let of = table.map_or_else(|| "1".to_owned(), |table| format!("'{table}'"));
    let found: String = db.query_row(&format!("PRAGMA integrity_check({of})"), [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Fault::Damaged(found)) }
}

impl Store {
    /// Makes sure that the whole database fits together.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not.
    pub fn check_whole(&self) -> Result<(), StoreError> {
        self.read(|db| check(db, None))
    }

    /// Makes sure that the list of runs fits together: one that is not found in a damaged one may be there.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not.
    pub fn check_runs(&self) -> Result<(), StoreError> {
        self.read(|db| check(db, Some("runs")))
    }
}
