//! How far the graces of linked objects have come: each stands beside its link, and goes with it.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::ValueRef;

use super::database::Store;
use super::error::{Fault, StoreError};
use super::links::{COLUMNS, LinkChange, change_links, sync_known};
use crate::model::grace::Grace;

impl Store {
    /// Writes down how far graces have come, by source key; `None` forgets one.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_graces(
        &mut self,
        job: &str,
        sync_id: &str,
        graces: &[(String, Option<Grace>)],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let changes: Vec<LinkChange> =
                graces.iter().cloned().map(|(key, grace)| LinkChange::Grace(key, grace)).collect();
            change_links(tx, log, job, sync_id, &changes, "", at)
        })
    }

    /// How far the graces of a sync's objects have come, by source key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn graces(&self, job: &str, sync_id: &str) -> Result<Vec<(String, Grace)>, StoreError> {
        self.read(|db| {
            let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(Vec::new()) };
            let sql =
                format!("SELECT {COLUMNS} FROM links WHERE sync = ? AND grace_since IS NOT NULL ORDER BY source_key");
            let mut statement = db.prepare_cached(&sql)?;
            let mut rows = statement.query([sync])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.extend(grace(row)?.map(|grace| Ok::<_, Fault>((row.get(0)?, grace))).transpose()?);
            }
            Ok(found)
        })
    }
}

/// How far the grace of a link's object has come, where it has one.
pub(super) fn grace(row: &rusqlite::Row<'_>) -> Result<Option<Grace>, Fault> {
    let instant = |column: usize| {
        let seconds = row.get::<_, Option<i64>>(column)?.unwrap_or_default();
        DateTime::from_timestamp(seconds, 0).ok_or_else(|| Fault::Row(format!("{seconds} is no instant")))
    };
    if row.get_ref(5)? == ValueRef::Null {
        return Ok(None);
    }
    let counted = TimeDelta::seconds(row.get::<_, i64>(6)?.clamp(0, i64::MAX / 1_000));
    Ok(Some(Grace { since: instant(5)?, counted, seen: instant(7)?, latest: instant(8)? }))
}
