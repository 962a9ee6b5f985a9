//! How applies ended, and which orders failed before: what the next apply and the reports go by.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::chain::Entry;
use super::database::{Store, as_json, json, word};
use super::error::{Fault, StoreError};
use crate::model::apply_end::ApplyEnd;
use crate::model::failure_cause::FailureCause;
use crate::model::order::OrderId;
use crate::model::outcome::Outcome;
use crate::model::run::RunId;

/// What the log calls the end of an apply.
const APPLY_ENDED: &str = "apply-ended";

impl Store {
    /// Remembers how an apply ended for the orders of a run.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn apply_ended(&mut self, run: &RunId, end: &ApplyEnd, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let detail = serde_json::from_str(&as_json(end)?).map_err(|error| Fault::Row(error.to_string()))?;
            let error = end.stopped.is_some() || end.left.iter().any(|left| left.cause.is_some());
            log.append(tx, &Entry { error, ..Entry::new(at, APPLY_ENDED, Some(run), detail) })
        })
    }

    /// How the last apply ended for the orders of a run; nothing left where there was none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn apply_end(&self, run: &RunId) -> Result<ApplyEnd, StoreError> {
        let last = self.last_of_kind(run, APPLY_ENDED)?;
        Ok(last.and_then(|entry| serde_json::from_value(entry.detail).ok()).unwrap_or_default())
    }

    /// The approved orders of a run that failed before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn retried(&self, run: &RunId) -> Result<BTreeSet<OrderId>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.id FROM orders o WHERE o.run = ? AND o.state = 'approved'
                   AND EXISTS (SELECT 1 FROM attempts a WHERE a.\"order\" = o.n AND a.state = 'errored')",
            )?;
            let mut rows = statement.query([&run.0])?;
            let mut found = BTreeSet::new();
            while let Some(row) = rows.next()? {
                found.insert(OrderId(row.get(0)?));
            }
            Ok(found)
        })
    }

    /// What orders of a run ever failed for, whatever became of them since.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn causes_ever(&self, run: &RunId) -> Result<BTreeSet<FailureCause>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT a.outcome, o.operation, o.resource FROM orders o JOIN attempts a ON a.\"order\" = o.n
                 WHERE o.run = ? AND a.state = 'errored' AND a.outcome IS NOT NULL",
            )?;
            let mut rows = statement.query([&run.0])?;
            let mut causes = BTreeSet::new();
            while let Some(row) = rows.next()? {
                let outcome: Outcome = json(row, 0)?;
                let (operation, resource) = (word(row, 1)?, word(row, 2)?);
                causes.extend(outcome.failure.map(|failure| FailureCause::of(&failure, operation, &resource)));
            }
            Ok(causes)
        })
    }
}
