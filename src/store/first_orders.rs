//! The orders of a run that are told one by one where not all can be.

use rusqlite::params;

use super::database::{Store, instant, word};
use super::error::StoreError;
use crate::model::order::{Operation, OrderId, OrderState};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

/// An order in a word or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstOrder {
    /// Its id.
    pub id: OrderId,
    /// What it does.
    pub operation: Operation,
    /// The resource type or association at the target.
    pub resource: ResourceName,
    /// What a person looks for.
    pub key: String,
    /// What the object is called; may be empty.
    pub name: String,
    /// Where it stands.
    pub state: OrderState,
    /// When that last changed.
    pub updated: chrono::DateTime<chrono::Utc>,
}

impl Store {
    /// The orders of a run that matter most, so many at most: those that failed or are in doubt first, then those that
    /// take something away, then by the plan's sequence.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn first_orders(&self, run: &RunId, most: usize) -> Result<Vec<FirstOrder>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, operation, resource, key, name, state, updated FROM orders WHERE run = ?1
                 ORDER BY CASE state WHEN 'errored' THEN 0 WHEN 'uncertain' THEN 0 WHEN 'in-flight' THEN 1 ELSE 2 END,
                   CASE operation WHEN 'delete' THEN 0 WHEN 'disable' THEN 1 WHEN 'remove' THEN 2 ELSE 3 END, seq
                 LIMIT ?2",
            )?;
            let mut rows = statement.query(params![run.0, most as i64])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(FirstOrder {
                    id: OrderId(row.get(0)?),
                    operation: word(row, 1)?,
                    resource: word(row, 2)?,
                    key: row.get(3)?,
                    name: row.get(4)?,
                    state: word(row, 5)?,
                    updated: instant(row, 6)?,
                });
            }
            Ok(found)
        })
    }
}
