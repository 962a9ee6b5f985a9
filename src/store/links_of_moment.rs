//! Links as they were at one moment, for whoever reads them ahead of their use.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::database::Store;
use super::error::{Fault, StoreError};
use super::links::links_of;
use crate::model::link::Links;

/// The links of some syncs at one moment.
#[derive(Debug)]
pub struct LinksOfMoment {
    /// By sync, each by source key.
    pub links: BTreeMap<String, Links>,
    /// The last entry of the log then.
    entry: i64,
}

impl Store {
    /// All links of some syncs, as they are at one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links_of_moment(&self, job: &str, syncs: &[String]) -> Result<LinksOfMoment, StoreError> {
        self.read(|db| {
            let mut links = BTreeMap::new();
            for sync in syncs {
                links.insert(sync.clone(), links_of(db, job, sync)?);
            }
            Ok(LinksOfMoment { links, entry: last_entry(db)? })
        })
    }

    /// Whether nothing was logged since that moment which may have changed a link: no more than what a run does before
    /// it plans.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links_stand(&self, read: &LinksOfMoment) -> Result<bool, StoreError> {
        const HARMLESS: &str =
            "('run-started', 'run-mode', 'run-state', 'export', 'export-failed', 'snapshots-moved', 'note')";
        self.read(|db| {
            let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM log WHERE seq > ? AND kind NOT IN {HARMLESS})");
            let stands: bool = db.query_row(&sql, [read.entry], |row| row.get(0))?;
            Ok(stands && read.entry <= last_entry(db)?)
        })
    }
}

/// The number of the log's last entry.
fn last_entry(db: &Connection) -> Result<i64, Fault> {
    Ok(db.query_row("SELECT seq FROM log_head", [], |row| row.get(0))?)
}
