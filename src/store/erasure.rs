//! Erasing an identity: what is known of it, what stands in the way, and the steps of it.
//!
//! The sequence is: the intent, by which whoever comes next can finish it; then the files, one after the other and each
//! whole, with the digests that bound ones get; then all rows of the database in one transaction, with the entry of the
//! log that vouches for what is left; then the database's own leavings (free pages, the write-ahead log). Killed
//! anywhere, it goes on where it ended.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension as _, params};
use serde_json::json;

use super::chain_erased::vouch;
use super::database::{Store, as_json, instant, stamp};
use super::erased_rows;
use super::error::{Fault, StoreError};
use super::orders::{LIVE, orders_where};
use crate::model::erasure::{ErasedRows, Erasure};
use crate::model::order::{ObjectKey, OrderId};
use crate::model::record::OrderRecord;
use crate::model::run::RunId;
use crate::model::scrub::Scrub;

/// An erasure that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// Whom it is about is known still.
    Begun(Box<Erasure>),
    /// All is erased but what SQLite left of it; by its made name.
    Unswept(String),
}

/// Whether an object's identity is one of these, or that of an association row with one of them at an end, or of what one
/// of them refers to.
pub fn is_about(object: &ObjectKey, of: &BTreeSet<String>) -> bool {
    let text = object.0.as_str();
    if of.contains(text) {
        return true;
    }
    if let Some((_, ends)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        return ends.split(" ; ").any(|end| of.contains(end));
    }
    text.split_once('@').and_then(|(_, rest)| rest.split_once('/')).is_some_and(|(_, source)| of.contains(source))
}

impl Store {
    /// The orders of a job that are about one of these objects or about a row that ties one, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn orders_of_objects(&self, job: &str, objects: &BTreeSet<String>) -> Result<Vec<OrderRecord>, StoreError> {
        self.read(|db| {
            let mut found: BTreeMap<i64, OrderRecord> = BTreeMap::new();
            for object in objects {
                let some = orders_where(db, "s.job = ? AND instr(o.object, ?) > 0", &[&job, &object.as_str()])?;
                found.extend(some.into_iter().filter(|(_, order)| is_about(&order.object, objects)));
            }
            Ok(found.into_values().collect())
        })
    }

    /// The source keys and ids under which objects of a job are linked that go by one of these; and the keys that they had
    /// before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn linked_as(
        &self,
        job: &str,
        syncs: &BTreeSet<String>,
        called: &BTreeSet<String>,
    ) -> Result<Vec<(String, String, Vec<String>)>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT l.source_key, l.target_id, l.former, s.sync_id FROM links l JOIN syncs s ON s.n = l.sync
                 WHERE s.job = ?1 AND (l.source_key = ?2 OR l.target_id = ?2
                   OR EXISTS (SELECT 1 FROM json_each(coalesce(l.former, '[]')) f WHERE f.value = ?2))",
            )?;
            let mut found = Vec::new();
            for text in called {
                let mut rows = statement.query([job, text])?;
                while let Some(row) = rows.next()? {
                    if !syncs.contains(&row.get::<_, String>(3)?) {
                        continue;
                    }
                    let former = row.get::<_, Option<String>>(2)?.unwrap_or_default();
                    found.push((row.get(0)?, row.get(1)?, serde_json::from_str(&former).unwrap_or_default()));
                }
            }
            Ok(found)
        })
    }

    /// The objects of a job's orders that got an id at a target.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn objects_with_id(&self, job: &str, id: &str) -> Result<BTreeSet<ObjectKey>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT DISTINCT o.object FROM attempts a JOIN orders o ON o.n = a.\"order\" JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND instr(a.outcome, ?2) > 0 AND json_extract(a.outcome, '$.target_id') = ?2",
            )?;
            let found = statement.query_map([job, id], |row| row.get(0).map(ObjectKey))?;
            Ok(found.collect::<Result<_, _>>()?)
        })
    }

    /// The runs of some live orders, and the live orders of a job that undo one of these.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_undoing(&self, job: &str, runs: &BTreeSet<RunId>) -> Result<Vec<(OrderId, RunId, RunId)>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT o.id, o.run, u.run FROM reverts x JOIN orders o ON o.n = x.\"order\"
                   JOIN orders u ON u.n = x.undone JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ? AND {LIVE} ORDER BY o.n"
            ))?;
            let found =
                statement.query_map([job], |row| Ok((OrderId(row.get(0)?), RunId(row.get(1)?), RunId(row.get(2)?))))?;
            let found = found.collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().filter(|(_, _, undone)| runs.contains(undone)).collect())
        })
    }

    /// By run of a job, until when an approval of it holds that has not expired.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn approvals_that_hold(
        &self,
        job: &str,
        now: DateTime<Utc>,
    ) -> Result<BTreeMap<RunId, DateTime<Utc>>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT a.run, max(a.expires) FROM approvals a JOIN runs r ON r.id = a.run
                 WHERE r.job = ? AND a.expires > ? GROUP BY a.run",
            )?;
            let mut rows = statement.query(params![job, stamp(now)])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                found.insert(RunId(row.get(0)?), instant(row, 1)?);
            }
            Ok(found)
        })
    }

    /// Whether an order of another job is about a key, a name or an id; these jobs.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn other_jobs_with(&self, job: &str, called: &BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT DISTINCT s.job FROM orders o JOIN syncs s ON s.n = o.sync WHERE s.job <> ?1 AND (o.key = ?2 OR o.name = ?2)
                 UNION SELECT s.job FROM links l JOIN syncs s ON s.n = l.sync
                 WHERE s.job <> ?1 AND (l.source_key = ?2 OR l.target_id = ?2)",
            )?;
            let mut jobs = BTreeSet::new();
            for text in called {
                let found = statement.query_map([job, text], |row| row.get::<_, String>(0))?;
                jobs.extend(found.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(jobs)
        })
    }

    /// The erasure of a job that is not finished.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unfinished_erasure(&self, job: &str) -> Result<Option<Unfinished>, StoreError> {
        self.read(|db| {
            let sql = "SELECT name, erasure FROM erasures WHERE job = ?";
            let found: Option<(String, Option<String>)> =
                db.query_row(sql, [job], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(match found {
                None => None,
                Some((name, None)) => Some(Unfinished::Unswept(name)),
                Some((_, Some(text))) => {
                    let erasure = serde_json::from_str(&text).map_err(|e| Fault::Row(e.to_string()))?;
                    Some(Unfinished::Begun(Box::new(erasure)))
                }
            })
        })
    }

    /// Writes down that an identity is to be erased; from then on whoever comes next finishes it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn begin_erasure(&mut self, erasure: &Erasure) -> Result<(), StoreError> {
        self.write(|tx, _| {
            let sql = "INSERT INTO erasures (job, name, erasure) VALUES (?, ?, ?)";
            tx.execute(sql, params![erasure.job, erasure.name, as_json(erasure)?])?;
            Ok(())
        })
    }

    /// What an erasure would come to in the database.
    ///
    /// # Errors
    /// When the database cannot be read or is locked.
    pub fn rehearse_erasure(&mut self, erasure: &Erasure, scrub: &Scrub) -> Result<(ErasedRows, Vec<i64>), StoreError> {
        self.rehearse(|tx, _| erased_rows::erase(tx, erasure, scrub))
    }

    /// Erases an identity from the database, and appends what vouches for what is left; the files are done by then.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing of it is changed.
    pub fn erase_rows(
        &mut self,
        erasure: &Erasure,
        scrub: &Scrub,
        at: DateTime<Utc>,
    ) -> Result<ErasedRows, StoreError> {
        self.secure_delete()?;
        self.write(|tx, log| {
            let (rows, entries) = erased_rows::erase(tx, erasure, scrub)?;
            let mut statement = tx.prepare(
                "SELECT f.run, f.file, f.sha256 FROM erased_files f JOIN runs r ON r.id = f.run
                 WHERE r.job = ? ORDER BY f.run, f.file",
            )?;
            let files = statement.query_map([&erasure.job], |row| {
                let (run, file, sha256): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(json!({ "run": run, "file": file, "sha256": sha256 }))
            })?;
            let files = files.collect::<Result<Vec<_>, _>>()?;
            let said = json!({
                "job": erasure.job, "name": erasure.name, "comment": scrub.own_text(&erasure.comment), "counts": rows,
                "runs": erasure.runs, "exports": erasure.exports, "files": files,
            });
            vouch(tx, log, &entries, &said, &erasure.who, at)?;
            tx.execute("UPDATE erasures SET erasure = NULL WHERE job = ?", [&erasure.job])?;
            Ok(rows)
        })
    }

    /// Leaves nothing of what was erased in the database's free pages and in its write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process reads the database all the time: the same command tries it again.
    pub fn sweep_erasure(&mut self, job: &str) -> Result<(), StoreError> {
        self.vacuum()?;
        self.write(|tx, _| {
            tx.execute("DELETE FROM erasures WHERE job = ?", [job])?;
            Ok(())
        })?;
        self.vacuum()
    }
}
