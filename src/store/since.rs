//! What happened since a moment that makes snapshots of that moment out of date.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::chain::entry;
use super::database::{Store, instant, stamp};
use super::error::StoreError;
use super::orders::orders_where;
use crate::model::record::{LogEntry, OrderRecord};

impl Store {
    /// The last order of a job that was sent since a moment, or may have been, with when its try began or ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tried_since(
        &self,
        job: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<(OrderRecord, DateTime<Utc>)>, StoreError> {
        self.read(|db| {
            let mut last = db.prepare_cached(
                "SELECT a.\"order\", coalesce(a.ended, a.begun) AS at FROM attempts a JOIN orders o ON o.n = a.\"order\"
                   JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ? AND coalesce(a.state, '') <> 'approved' AND at >= ? ORDER BY at DESC, a.n DESC LIMIT 1",
            )?;
            let found = last
                .query_row(params![job, stamp(since)], |row| Ok((row.get::<_, i64>(0)?, instant(row, 1))))
                .optional()?;
            let Some((n, at)) = found else { return Ok(None) };
            let order = orders_where(db, "o.n = ?", &[&n])?.pop();
            Ok(order.map(|(_, order)| order).zip(Some(at?)))
        })
    }

    /// The last time since a moment that a person linked or unlinked something of a job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn linked_since(&self, job: &str, since: DateTime<Utc>) -> Result<Option<LogEntry>, StoreError> {
        self.read(|db| {
            let mut last = db.prepare_cached(
                "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log
                 WHERE kind = 'links' AND who <> '' AND at >= ?
                   AND CASE WHEN json_valid(detail) THEN json_extract(detail, '$.job') END = ?
                 ORDER BY seq DESC LIMIT 1",
            )?;
            last.query_row(params![stamp(since), job], |row| Ok(entry(row))).optional()?.transpose()
        })
    }
}
