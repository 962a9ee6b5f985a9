//! What happened since an entry of the log that makes snapshots of that moment out of date: the log tells what came
//! later, whatever the clock said.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::chain::entry;
use super::database::{Store, instant};
use super::error::StoreError;
use super::orders::orders_where;
use crate::model::record::{LogEntry, OrderRecord};
use crate::model::run::RunId;

impl Store {
    /// The last order of a job that was sent since an entry of the log, or may have been, with when its try began or
    /// ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tried_since(&self, job: &str, since: i64) -> Result<Option<(OrderRecord, DateTime<Utc>)>, StoreError> {
        self.read(|db| {
            let mut last = db.prepare_cached(
                "SELECT a.\"order\", coalesce(a.ended, a.begun) FROM attempts a JOIN orders o ON o.n = a.\"order\"
                   JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ? AND coalesce(a.state, '') <> 'approved'
                   AND EXISTS (SELECT 1 FROM log_orders e JOIN log l ON l.seq = e.seq
                     WHERE e.\"order\" = o.n AND e.seq > ? AND l.kind IN ('orders-begun', 'order-applied',
                       'order-errored', 'order-stale', 'order-uncertain'))
                 ORDER BY a.n DESC LIMIT 1",
            )?;
            let found =
                last.query_row(params![job, since], |row| Ok((row.get::<_, i64>(0)?, instant(row, 1)))).optional()?;
            let Some((n, at)) = found else { return Ok(None) };
            let order = orders_where(db, "o.n = ?", &[&n])?.pop();
            Ok(order.map(|(_, order)| order).zip(Some(at?)))
        })
    }

    /// The last time since an entry of the log that a person linked or unlinked something of a job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn linked_since(&self, job: &str, since: i64) -> Result<Option<LogEntry>, StoreError> {
        self.read(|db| {
            let mut last = db.prepare_cached(
                "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log
                 WHERE kind = 'links' AND who <> '' AND seq > ?
                   AND CASE WHEN json_valid(detail) THEN json_extract(detail, '$.job') END = ?
                 ORDER BY seq DESC LIMIT 1",
            )?;
            last.query_row(params![since, job], |row| Ok(entry(row))).optional()?.transpose()
        })
    }

    /// The run of a job of which the last order that is in effect was sent.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn applied_last(&self, job: &str) -> Result<Option<RunId>, StoreError> {
        self.read(|db| {
            let mut last = db.prepare_cached(
                "SELECT o.run FROM attempts a JOIN orders o ON o.n = a.\"order\" JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ? AND o.state = 'applied' ORDER BY a.n DESC LIMIT 1",
            )?;
            Ok(last.query_row([job], |row| row.get(0).map(RunId)).optional()?)
        })
    }
}
