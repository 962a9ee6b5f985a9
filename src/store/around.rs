//! What is remembered about single objects: their links, their orders, and who approved these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};

use super::database::{Store, instant, json, maybe_instant};
use super::error::StoreError;
use super::links::{COLUMNS, attribute_sets, read, sync_known};
use super::orders::orders_where;
use super::plan_files;
use crate::model::link::Links;
use crate::model::order::{ObjectKey, Order, OrderId};
use crate::model::outcome::Outcome;
use crate::model::record::OrderRecord;
use crate::model::run::RunId;

/// One try at an order.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When its intent was committed.
    pub begun: DateTime<Utc>,
    /// When it ended; `None` while it is under way, or where a crash cut it off.
    pub ended: Option<DateTime<Utc>>,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

/// The approval that an order stands or stood under.
#[derive(Clone, Debug)]
pub struct Approver {
    /// Who.
    pub reviewer: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub comment: String,
    /// The sealed file.
    pub file: PathBuf,
}

impl Store {
    /// The links of a sync whose source key or target id is among these, by source key, each once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links_around(
        &self,
        job: &str,
        sync_id: &str,
        source_keys: &[String],
        target_ids: &[String],
    ) -> Result<Links, StoreError> {
        self.read(|db| {
            let mut found = Links::default();
            let Some(sync) = sync_known(db, job, sync_id)? else { return Ok(found) };
            let mut keys: Vec<String> = source_keys.to_vec();
            let mut by_target = db.prepare_cached("SELECT source_key FROM links WHERE sync = ? AND target_id = ?")?;
            for id in target_ids {
                keys.extend(by_target.query_row(params![sync, id], |row| row.get::<_, String>(0)).optional()?);
            }
            keys.sort_unstable();
            keys.dedup();
            let sets = attribute_sets(db)?;
            let sql = format!("SELECT {COLUMNS} FROM links WHERE sync = ? AND source_key = ?");
            let mut by_source = db.prepare_cached(&sql)?;
            for key in keys {
                let mut rows = by_source.query(params![sync, key])?;
                while let Some(row) = rows.next()? {
                    read(row, &sets, &mut found)?;
                }
            }
            Ok(found)
        })
    }

    /// All orders of an object that a job ever raised, oldest first; of an association, those of its row.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn orders_about(&self, job: &str, object: &ObjectKey) -> Result<Vec<OrderRecord>, StoreError> {
        self.read(|db| {
            let found = orders_where(db, "o.object = ? AND s.job = ? ORDER BY o.n", &[&object.0, &job])?;
            Ok(found.into_iter().map(|(_, order)| order).collect())
        })
    }

    /// The objects for which a job raised orders by a key or a name (whatever its case), each once, with its name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn objects_called(&self, job: &str, key: &str) -> Result<Vec<(ObjectKey, String)>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.object, max(o.name) FROM orders o JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND (o.key = ?2 OR o.name = ?2 COLLATE NOCASE) GROUP BY o.object ORDER BY o.object",
            )?;
            let found = statement.query_map(params![job, key], |row| Ok((ObjectKey(row.get(0)?), row.get(1)?)))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// What the object of an order was called when it was raised; may be empty.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn name_of(&self, order: &OrderId) -> Result<Option<String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT name FROM orders WHERE id = ?")?;
            Ok(statement.query_row([&order.0], |row| row.get(0)).optional()?)
        })
    }

    /// An order as it was planned; `None` where its plan's files are gone.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn planned_order(&self, job: &str, run: &RunId, order: &OrderId) -> Result<Option<Order>, StoreError> {
        Ok(self.planned_orders(job, run, &BTreeSet::from([order]))?.remove(order))
    }

    /// Those of some orders of a run that are still there as they were planned.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub fn planned_orders(
        &self,
        job: &str,
        run: &RunId,
        orders: &BTreeSet<&OrderId>,
    ) -> Result<BTreeMap<OrderId, Order>, StoreError> {
        plan_files::find_orders(&self.layout.orders(job, run), orders)
    }

    /// Every try at an order, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn attempts(&self, order: &OrderId) -> Result<Vec<Attempt>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT a.begun, a.ended, a.outcome FROM attempts a JOIN orders o ON o.n = a.\"order\"
                 WHERE o.id = ? ORDER BY a.n",
            )?;
            let mut rows = statement.query([&order.0])?;
            let mut attempts = Vec::new();
            while let Some(row) = rows.next()? {
                let is_known = row.get_ref(2)? != rusqlite::types::ValueRef::Null;
                let outcome = if is_known { Some(json(row, 2)?) } else { None };
                attempts.push(Attempt { begun: instant(row, 0)?, ended: maybe_instant(row, 1)?, outcome });
            }
            Ok(attempts)
        })
    }

    /// Who approved an order last, where anybody did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn approver(&self, order: &OrderRecord) -> Result<Option<Approver>, StoreError> {
        let Some(number) = order.approved_by else { return Ok(None) };
        let file = self.layout.approval(&order.job, &order.run, number);
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT reviewer, at, comment FROM approvals WHERE run = ? AND number = ?")?;
            let mut rows = statement.query(params![order.run.0, number])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(Approver { reviewer: row.get(0)?, at: instant(row, 1)?, comment: row.get(2)?, file: file.clone() }))
        })
    }
}
