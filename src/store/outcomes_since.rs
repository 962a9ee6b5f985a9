//! What became of orders in a time, in figures.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::database::{Store, instant, stamp, word};
use super::error::StoreError;
use crate::model::order::{Operation, OrderState};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

/// Orders of one run and kind that ended alike in a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The run that planned them.
    pub run: RunId,
    /// The resource type or association.
    pub resource: ResourceName,
    /// What they do.
    pub operation: Operation,
    /// Whether they are in effect; else a try of theirs failed, whatever became of them later.
    pub applied: bool,
    /// How many.
    pub orders: u64,
}

impl Store {
    /// When each order of a run ended that was sent, in this sequence: at its last try.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn ended_times(&self, run: &RunId) -> Result<Vec<DateTime<Utc>>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT max(a.ended) FROM orders o JOIN attempts a ON a.\"order\" = o.n
                 WHERE o.run = ? AND a.outcome IS NOT NULL AND a.state <> 'approved' GROUP BY o.n ORDER BY 1",
            )?;
            let mut rows = statement.query([&run.0])?;
            let mut times = Vec::new();
            while let Some(row) = rows.next()? {
                times.push(instant(row, 0)?);
            }
            Ok(times)
        })
    }

    /// The orders of a job that came into effect in a time, and those of which a try failed in it; the oldest run first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn ended_between(&self, job: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Ended>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.run, o.resource, o.operation, 1, count(*) FROM orders o JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND o.state = ?4 AND o.updated >= ?2 AND o.updated <= ?3
                 GROUP BY o.run, o.resource, o.operation
                 UNION ALL
                 SELECT o.run, o.resource, o.operation, 0, count(DISTINCT o.n) FROM attempts a
                   JOIN orders o ON o.n = a.\"order\" JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND a.state IN (?5, ?6) AND a.ended >= ?2 AND a.ended <= ?3
                 GROUP BY o.run, o.resource, o.operation
                 ORDER BY 1, 2, 3, 4",
            )?;
            let (applied, failed) = (OrderState::Applied.word(), OrderState::Errored.word());
            let values = params![job, stamp(from), stamp(to), applied, failed, OrderState::Uncertain.word()];
            let mut rows = statement.query(values)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Ended {
                    run: RunId(row.get(0)?),
                    resource: word(row, 1)?,
                    operation: word(row, 2)?,
                    applied: row.get(3)?,
                    orders: row.get::<_, i64>(4)? as u64,
                });
            }
            Ok(found)
        })
    }
}
