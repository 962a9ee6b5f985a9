//! The one door to muster.db.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior};

use super::chain::{Chain, Entry};
use super::database_file::{check, make_sure, reachable};
use super::error::{Fault, StoreError};
use super::layout::Layout;
use super::schema::{APPLICATION_ID, STEPS};

/// How long another process may hold the database before this one gives up.
pub(super) const BUSY: Duration = Duration::from_secs(15);

/// The database of a state folder. Every change is one transaction that is on the disk when the call returns.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    file: PathBuf,
    pub(super) layout: Layout,
}

impl Store {
    /// Opens the database of a state folder, creating both where they are missing and bringing an older database to
    /// this version's format.
    ///
    /// # Errors
    /// The file and what to do: full disk, read-only, damaged, locked by another process, written by a newer muster.
    pub fn open(layout: &Layout, at: DateTime<Utc>) -> Result<Self, StoreError> {
        let file = layout.db();
        reachable(&file)?;
        layout.create()?;
        let was_there = make_sure(&file)?;
        let db = Connection::open(&file).map_err(|e| Fault::from(e).named(&file))?;
        let mut store = Self { db, file, layout: layout.clone() };
        store.prepare(at, was_there).map_err(|fault| fault.named(&store.file))?;
        Ok(store)
    }

    /// The same database by a connection of its own, for another thread to read it.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn reader(&self) -> Result<Self, StoreError> {
        let open = || {
            let db = Connection::open_with_flags(
                &self.file,
                // One thread has it: SQLite need not lock it for every row.
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            guarded(&db)?;
            Ok(Self { db, file: self.file.clone(), layout: self.layout.clone() })
        };
        open().map_err(|fault: Fault| fault.named(&self.file))
    }

    /// The layout that this database belongs to.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    fn prepare(&mut self, at: DateTime<Utc>, was_there: bool) -> Result<(), Fault> {
        let is_current = self.require_ours(was_there)?;
        let db = &mut self.db;
        db.set_prepared_statement_cache_capacity(128);
        // Without it SQLite parses a statement anew whenever its value changes, in case another index then fits better:
        // most of the time that a million look-ups by id take.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        // In KiB, where negative. A large plan touches more pages than the usual 2 MiB hold; they would be written twice.
        db.pragma_update(None, "cache_size", -65_536)?;
        if is_current {
            return Ok(());
        }
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        let (found, known) = (known_format(&tx, &self.file)?, STEPS.len() as i64);
        for step in STEPS.iter().skip(found as usize) {
            tx.execute_batch(step)?;
        }
        if found < known {
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", known)?;
            let mut log = Chain::open(&tx)?;
            let detail = serde_json::json!({ "from": found, "to": known });
            log.append(&tx, &Entry::new(at, "database-format", None, detail))?;
            log.close(&tx)?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Makes sure that the file is a database of muster that this version knows, or a new one, before anything is written
    /// to it; whether it has this version's format already.
    fn require_ours(&self, was_there: bool) -> Result<bool, Fault> {
        let db = &self.db;
        guarded(db)?;
        // Of one moment: another process may be about to make it one.
        let tx = db.unchecked_transaction()?;
        let is_ours = owned(&tx, &self.file)?;
        if !is_ours {
            let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if tables > 0 {
                let what = "it holds tables of another program".to_owned();
                return Err(StoreError::Foreign { file: self.file.clone(), what }.into());
            }
            if was_there && self.layout.has_runs() {
                return Err(Fault::Row("it is empty, though the folders of its runs are there".to_owned()));
            }
        }
        Ok(known_format(&tx, &self.file)? == STEPS.len() as i64 && is_ours)
    }

    /// What failed, as it leaves the store. Something that is not there may be so because the database is damaged: then
    /// that is told.
    fn told(&self, fault: Fault) -> StoreError {
        let doubtful = match &fault {
            Fault::Store(StoreError::NoRun { .. }) => Some("runs"),
            Fault::Store(StoreError::NoOrder { .. }) => Some("orders"),
            _ => None,
        };
        let damage = doubtful.and_then(|table| check(&self.db, Some(table)).err());
        damage.unwrap_or(fault).named(&self.file)
    }

    /// Runs a reading step; what it reads is of one moment.
    pub(super) fn read<T>(&self, step: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let run = || {
            let tx = self.db.unchecked_transaction()?;
            let result = step(&tx)?;
            tx.finish()?;
            Ok(result)
        };
        run().map_err(|fault| self.told(fault))
    }

    /// Runs a changing step and commits it together with what it logs, or nothing of it.
    pub(super) fn write<T>(
        &mut self,
        step: impl FnOnce(&Connection, &mut Chain) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let run = || {
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut log = Chain::open(&tx)?;
            let result = step(&tx, &mut log)?;
            log.close(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        let done: Result<T, Fault> = run();
        done.map_err(|fault| self.told(fault))
    }

    /// The same where all that the step refers to is known to be there: nothing of it is looked up once more.
    pub(super) fn write_known<T>(
        &mut self,
        step: impl FnOnce(&Connection, &mut Chain) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.check_references(false)?;
        let done = self.write(step);
        self.check_references(true)?;
        done
    }

    /// Runs a changing step and undoes it: what it would come to.
    pub(super) fn rehearse<T>(
        &mut self,
        step: impl FnOnce(&Connection, &mut Chain) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let file = &self.file;
        let run = || {
            let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = step(&tx, &mut Chain::open(&tx)?)?;
            tx.rollback()?;
            Ok(result)
        };
        run().map_err(|fault: Fault| fault.named(file))
    }

    /// From now on what is deleted or replaced is overwritten with zeros.
    pub(super) fn secure_delete(&self) -> Result<(), StoreError> {
        // It answers with its new value.
        let set = self.db.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()));
        set.map_err(|error| Fault::from(error).named(&self.file))
    }

    /// Writes the whole database anew, without free pages, and empties the write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process uses it all the time.
    pub(super) fn vacuum(&self) -> Result<(), StoreError> {
        let run = || {
            self.db.execute_batch("VACUUM")?;
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let is_busy: bool = self.db.query_row(sql, [], |row| row.get(0))?;
            match is_busy {
                true => Err(StoreError::Locked { file: self.file.clone(), seconds: BUSY.as_secs() }.into()),
                false => Ok(()),
            }
        };
        run().map_err(|fault: Fault| fault.named(&self.file))
    }

    fn check_references(&self, enabled: bool) -> Result<(), StoreError> {
        let set = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, enabled);
        set.map(drop).map_err(|error| Fault::from(error).named(&self.file))
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.db
    }
}

/// What holds for every connection: how long it waits, and how little it believes.
fn guarded(db: &Connection) -> Result<(), Fault> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "trusted_schema", "OFF")?;
    // Each page is looked at when it is read: what is damaged is told as that, and not as what is not there.
    db.pragma_update(None, "cell_size_check", "ON")?;
    Ok(())
}

/// The format of a database, where this version knows it.
fn known_format(db: &Connection, file: &Path) -> Result<i64, Fault> {
    let found = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    if found > known || found < 0 {
        return Err(StoreError::Newer { file: file.to_owned(), found, known }.into());
    }
    Ok(found)
}

/// Whether the file is marked as ours; a database that is marked as another program's is refused.
fn owned(db: &Connection, file: &Path) -> Result<bool, Fault> {
    match db.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0))? {
        0 => Ok(false),
        id if id == APPLICATION_ID => Ok(true),
        id => {
            let what = format!("its application id is {id:#x}");
            Err(StoreError::Foreign { file: file.to_owned(), what }.into())
        }
    }
}

/// The placeholders of some rows, for one statement that inserts them all: of so many values that they have in common, and
/// then so many of each row's own, numbered in this sequence.
pub(super) fn values_in_common(common: usize, own: usize, rows: usize) -> String {
    use std::fmt::Write as _;
    let mut values = String::with_capacity(rows * (common + own) * 5);
    for row in 0..rows {
        for value in 1..=common + own {
            let number = if value > common { value + row * own } else { value };
            let before = match (row, value) {
                (0, 1) => "(",
                (_, 1) => "),(",
                _ => ",",
            };
            // Writing to memory cannot fail.
            let _ = write!(values, "{before}?{number}");
        }
    }
    values.push(')');
    values
}

/// An instant as the database holds it: RFC 3339 in UTC with nine decimals, so that texts sort as times do.
pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Reads an instant that [`stamp`] wrote.
pub(super) fn instant(row: &Row<'_>, column: usize) -> Result<DateTime<Utc>, Fault> {
    parse_instant(&row.get::<_, String>(column)?)
}

/// Reads an instant that may be absent.
pub(super) fn maybe_instant(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>, Fault> {
    row.get::<_, Option<String>>(column)?.map(|text| parse_instant(&text)).transpose()
}

/// Reads an instant that [`stamp`] wrote.
pub(super) fn parse_instant(text: &str) -> Result<DateTime<Utc>, Fault> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(at.with_timezone(&Utc)),
        Err(_) => Err(Fault::Row(format!("`{text}` is no time"))),
    }
}

/// Reads a word of one of the model's enums, or a name.
pub(super) fn word<T: std::str::FromStr<Err = String>>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    row.get::<_, String>(column)?.parse().map_err(Fault::Row)
}

/// Reads a SHA-256 that was stored as hex.
pub(super) fn digest(text: String) -> Result<crate::model::digest::Digest, Fault> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|e| Fault::Row(e.to_string()))
}

/// Reads JSON that was stored as text.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|e| Fault::Row(format!("`{text}`: {e}")))
}

/// JSON as text for the database.
pub(super) fn as_json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::Row(e.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::open(&Layout::new(dir), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn it_opens_again_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let store = open(dir.path()).unwrap();
        assert_eq!(store.log_head().unwrap().0, 1);
        let mode = std::fs::metadata(dir.path().join("muster.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let pragma = |name: &str| store.connection().query_row(name, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("PRAGMA synchronous"), pragma("PRAGMA foreign_keys")), (2, 1));
    }

    #[test]
    fn a_newer_damaged_or_foreign_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).unwrap().connection().pragma_update(None, "user_version", 999).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("use the newer program"), "{error}");

        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("muster.db"), vec![b'x'; 8192]).unwrap();
        assert!(matches!(open(dir.path()).unwrap_err(), StoreError::Corrupt { .. }));

        let dir = tempfile::tempdir().unwrap();
        let other = Connection::open(dir.path().join("muster.db")).unwrap();
        other.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
        drop(other);
        assert!(matches!(open(dir.path()).unwrap_err(), StoreError::Foreign { .. }));
    }

    #[test]
    fn a_step_that_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).unwrap();
        let failed = store.write(|tx, log| {
            tx.execute("INSERT INTO syncs (job, sync_id) VALUES ('j', 's')", [])?;
            log.append(tx, &Entry::new(DateTime::UNIX_EPOCH, "test", None, serde_json::Value::Null))?;
            Err::<(), _>(Fault::Row("broken".into()))
        });
        assert!(failed.is_err());
        assert_eq!(store.verify_log().unwrap(), Ok(1));
        let rows = store.connection().query_row("SELECT count(*) FROM syncs", [], |row| row.get::<_, i64>(0));
        assert_eq!(rows.unwrap(), 0);
    }
}
