//! Live orders, counted by what a person has to know of them: no order is read for it.

use rusqlite::params;

use super::database::{Store, maybe_instant, word};
use super::error::{Fault, StoreError};
use super::orders::LIVE;
use crate::model::record::LiveKind;
use crate::model::run::RunId;

impl Store {
    /// The kinds of live orders of a job, or of one of its runs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_kinds(&self, job: &str, run: Option<&RunId>) -> Result<Vec<LiveKind>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT o.run, o.state, o.block_reason, o.approval_expires, CASE o.state WHEN 'errored' THEN
                   (SELECT a.class FROM attempts a WHERE a.\"order\" = o.n AND a.class IS NOT NULL ORDER BY a.n DESC LIMIT 1)
                   END, count(*) FROM orders o JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND (?2 IS NULL OR o.run = ?2) AND {LIVE} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
            ))?;
            let mut rows = statement.query(params![job, run.map(|run| &run.0)])?;
            let mut kinds = Vec::new();
            while let Some(row) = rows.next()? {
                let (reason, class): (Option<String>, Option<String>) = (row.get(2)?, row.get(4)?);
                kinds.push(LiveKind {
                    run: RunId(row.get(0)?),
                    state: word(row, 1)?,
                    block: reason.map(|reason| reason.parse().map_err(Fault::Row)).transpose()?,
                    approval_expires: maybe_instant(row, 3)?,
                    failed: class.map(|class| class.parse().map_err(Fault::Row)).transpose()?,
                    orders: row.get::<_, i64>(5)? as u64,
                });
            }
            Ok(kinds)
        })
    }
}
