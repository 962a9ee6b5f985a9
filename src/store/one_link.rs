//! One link, by either of its ends.

use rusqlite::{Connection, params};

use super::database::Store;
use super::error::{Fault, StoreError};
use super::links::{COLUMNS, attribute_sets, read, sync_known};
use crate::model::link::{Link, LinkView, Links};

impl Store {
    /// The link of a source key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn link_of(&self, job: &str, sync_id: &str, source_key: &str) -> Result<Option<Link>, StoreError> {
        self.one_link(job, sync_id, "source_key", source_key)
    }

    /// The link that holds a target object.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn link_to(&self, job: &str, sync_id: &str, target_id: &str) -> Result<Option<Link>, StoreError> {
        self.one_link(job, sync_id, "target_id", target_id)
    }

    fn one_link(&self, job: &str, sync_id: &str, column: &str, value: &str) -> Result<Option<Link>, StoreError> {
        self.read(|db| link_by(db, job, sync_id, column, value))
    }
}

/// The link of a source key.
pub(super) fn link_in(db: &Connection, job: &str, sync_id: &str, source_key: &str) -> Result<Option<Link>, Fault> {
    link_by(db, job, sync_id, "source_key", source_key)
}

fn link_by(db: &Connection, job: &str, sync_id: &str, column: &str, value: &str) -> Result<Option<Link>, Fault> {
    let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(None) };
    let sets = attribute_sets(db)?;
    let sql = format!("SELECT {COLUMNS} FROM links WHERE sync = ? AND {column} = ?");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![sync, value])?;
    let mut found = Links::default();
    if let Some(row) = rows.next()? {
        read(row, &sets, &mut found)?;
    }
    Ok(found.iter().next().map(LinkView::to_link))
}
