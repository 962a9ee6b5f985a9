//! Live orders, counted by what a person has to know of them: no order is read for it.

use rusqlite::params;

use super::alike::counted_alike;
use super::database::{Store, parse_instant};
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
                   END FROM orders o JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND (?2 IS NULL OR o.run = ?2) AND {LIVE}"
            ))?;
            let rows = statement.query(params![job, run.map(|run| &run.0)])?;
            let mut kinds = Vec::new();
            for ([run, state, reason, expires, class], orders) in counted_alike(rows)? {
                kinds.push(LiveKind {
                    run: RunId(run.unwrap_or_default()),
                    state: state.unwrap_or_default().parse().map_err(Fault::Row)?,
                    block: reason.map(|reason| reason.parse().map_err(Fault::Row)).transpose()?,
                    approval_expires: expires.map(|at| parse_instant(&at)).transpose()?,
                    failed: class.map(|class| class.parse().map_err(Fault::Row)).transpose()?,
                    orders,
                });
            }
            Ok(kinds)
        })
    }
}
