//! What happened before, in figures: for thresholds over time, and for trying them on the past.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::chain::Entry;
use super::database::{Store, instant, maybe_instant, stamp, word};
use super::error::{Fault, StoreError};
use super::runs::terms_of;
use crate::model::order::OrderState;
use crate::model::record::{HoldKind, Movement, OrdersOfAKind};
use crate::model::run::RunId;

impl Store {
    /// Records how far the snapshots of a run are from their baselines.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_movements(
        &mut self,
        job: &str,
        run: &RunId,
        movements: &[Movement],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            for movement in movements {
                tx.execute(
                    "INSERT OR REPLACE INTO movements VALUES (?,?,?,?,?,?,?,?,NULL)",
                    params![
                        job,
                        movement.resource.to_string(),
                        stamp(movement.at),
                        movement.run.0,
                        movement.rows as i64,
                        movement.inserted as i64,
                        movement.updated as i64,
                        movement.deleted as i64
                    ],
                )?;
            }
            let detail = serde_json::json!({ "job": job, "moved": movements });
            log.append(tx, &Entry::new(at, "snapshots-moved", Some(run), detail))
        })
    }

    /// How far each snapshot since a moment was from its baseline, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn movements(&self, job: &str, since: DateTime<Utc>) -> Result<Vec<Movement>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT resource, run, at, rows, inserted, updated, deleted, accepted FROM movements
                 WHERE job = ? AND at >= ? ORDER BY at, resource",
            )?;
            let mut rows = statement.query(params![job, stamp(since)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let figure = |column| row.get::<_, i64>(column).map(|figure| figure as u64);
                found.push(Movement {
                    resource: word(row, 0)?,
                    run: RunId(row.get(1)?),
                    at: instant(row, 2)?,
                    rows: figure(3)?,
                    inserted: figure(4)?,
                    updated: figure(5)?,
                    deleted: figure(6)?,
                    accepted: maybe_instant(row, 7)?,
                });
            }
            Ok(found)
        })
    }

    /// All orders of a job that changed their state since a moment, by kind, the oldest run first; of one state or of
    /// all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn orders_by_kind(
        &self,
        job: &str,
        state: Option<OrderState>,
        since: DateTime<Utc>,
    ) -> Result<Vec<OrdersOfAKind>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.run, s.sync_id, o.resource, o.operation, o.thresholds, o.state, o.updated, count(*),
                   coalesce(a.reviewer LIKE 'rule %', 0)
                 FROM orders o JOIN syncs s ON s.n = o.sync
                   LEFT JOIN approvals a ON a.run = o.run AND a.number = o.approved_by
                 WHERE s.job = ?1 AND (?2 IS NULL OR o.state = ?2) AND o.updated >= ?3
                 GROUP BY o.run, s.sync_id, o.resource, o.operation, o.thresholds, o.state, o.updated, 9",
            )?;
            let mut rows = statement.query(params![job, state.map(OrderState::word), stamp(since)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(OrdersOfAKind {
                    run: RunId(row.get(0)?),
                    sync_id: row.get(1)?,
                    resource: word(row, 2)?,
                    operation: word(row, 3)?,
                    thresholds: row.get::<_, String>(4)?.split_whitespace().map(str::to_owned).collect(),
                    state: word(row, 5)?,
                    since: instant(row, 6)?,
                    count: row.get::<_, i64>(7)? as u64,
                    by_rule: row.get(8)?,
                });
            }
            Ok(found)
        })
    }

    /// By name, the newest run for which a threshold was accepted, by as many people as that run asked for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_accepted(&self, job: &str) -> Result<BTreeMap<String, RunId>, StoreError> {
        self.read(|db| last_accepted(db, job))
    }
}

fn last_accepted(db: &Connection, job: &str) -> Result<BTreeMap<String, RunId>, Fault> {
    let mut statement = db.prepare_cached(
        "SELECT a.name, a.run, a.reviewer, r.begun FROM acceptances a JOIN runs r ON r.id = a.run
         WHERE a.job = ? AND a.kind <> ?",
    )?;
    let mut rows = statement.query(params![job, HoldKind::Suspicion.word()])?;
    let mut by: BTreeMap<(i64, RunId, String), BTreeSet<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        by.entry((row.get(3)?, RunId(row.get(1)?), row.get(0)?)).or_default().insert(row.get(2)?);
    }
    let mut last = BTreeMap::new();
    for ((_, run, name), reviewers) in by {
        if reviewers.len() >= terms_of(db, &run)?.reviewers as usize {
            last.insert(name, run);
        }
    }
    Ok(last)
}
