//! The last accepted snapshots, and how each system's last exports went.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::chain::Entry;
use super::database::{Store, as_json, digest, instant, json, maybe_instant, stamp, word};
use super::error::{Fault, StoreError};
use crate::model::digest::Digest;
use crate::model::evidence::Mode;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

/// The last accepted snapshot of one resource type or association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The job.
    pub job: String,
    /// What it is a snapshot of.
    pub resource: ResourceName,
    /// The run that exported it.
    pub run: RunId,
    /// Its file, relative to the state folder.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its rows, the header not counted.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its key columns.
    pub key: Vec<String>,
    /// Where the next incremental export may begin.
    pub cursor: Option<String>,
    /// How it was exported.
    pub mode: Mode,
    /// When it was accepted.
    pub at: DateTime<Utc>,
}

/// How a system's last exports went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportRecord {
    /// When and why the last export failed; `None` where it did not. Then the next one is complete.
    pub failed: Option<(DateTime<Utc>, String)>,
    /// When an export last succeeded.
    pub succeeded: Option<DateTime<Utc>>,
    /// When a complete export last succeeded.
    pub complete: Option<DateTime<Utc>>,
}

const BASELINE: &str =
    "SELECT job, resource, run, path, sha256, rows, columns, key, cursor, mode, at FROM baselines WHERE job = ?";

impl Store {
    /// Makes snapshots the baselines of their resources, all or none.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_baselines(&mut self, baselines: &[Baseline], at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            for b in baselines {
                tx.execute(
                    "INSERT OR REPLACE INTO baselines VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                    params![
                        b.job,
                        b.resource.to_string(),
                        b.run.0,
                        b.path.to_string_lossy(),
                        b.sha256.as_str(),
                        b.rows as i64,
                        as_json(&b.columns)?,
                        as_json(&b.key)?,
                        b.cursor,
                        b.mode.word(),
                        stamp(b.at)
                    ],
                )?;
                tx.execute(
                    "UPDATE movements SET accepted = ? WHERE job = ? AND resource = ? AND at = ?",
                    params![stamp(at), b.job, b.resource.to_string(), stamp(b.at)],
                )?;
                let detail = serde_json::json!({
                    "job": b.job, "resource": b.resource, "sha256": b.sha256, "rows": b.rows, "cursor": b.cursor,
                });
                log.append(tx, &Entry::new(at, "baseline", Some(&b.run), detail))?;
            }
            Ok(())
        })
    }

    /// The baseline of one resource.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn baseline(&self, job: &str, resource: &ResourceName) -> Result<Option<Baseline>, StoreError> {
        Ok(self.baselines(job)?.remove(resource))
    }

    /// All baselines of a job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn baselines(&self, job: &str) -> Result<BTreeMap<ResourceName, Baseline>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(BASELINE)?;
            let mut rows = statement.query([job])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let baseline = read(row)?;
                found.insert(baseline.resource.clone(), baseline);
            }
            Ok(found)
        })
    }

    /// Records that an export of a system failed, so that the next one reads everything.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn export_failed(
        &mut self,
        job: &str,
        run: &RunId,
        system: &str,
        why: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            tx.execute(
                "INSERT INTO exports (job, system, failed, why) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET failed = ?3, why = ?4",
                params![job, system, stamp(at), why],
            )?;
            let detail = serde_json::json!({ "system": system, "why": why });
            log.append(tx, &Entry { error: true, ..Entry::new(at, "export-failed", Some(run), detail) })
        })
    }

    /// Records that an export of a system succeeded. Only a complete one clears the mark of a failed one: what the
    /// failed one missed would be missed again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn export_succeeded(
        &mut self,
        job: &str,
        run: &RunId,
        system: &str,
        mode: Mode,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            tx.execute(
                "INSERT INTO exports (job, system, succeeded) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET succeeded = ?3",
                params![job, system, stamp(at)],
            )?;
            if mode == Mode::Complete {
                tx.execute(
                    "UPDATE exports SET failed = NULL, why = NULL, complete = ?3 WHERE job = ?1 AND system = ?2",
                    params![job, system, stamp(at)],
                )?;
            }
            let detail = serde_json::json!({ "system": system, "mode": mode });
            log.append(tx, &Entry::new(at, "export", Some(run), detail))
        })
    }

    /// How a system's last exports went.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn export_record(&self, job: &str, system: &str) -> Result<ExportRecord, StoreError> {
        self.read(|db| exports(db, job, system))
    }
}

fn exports(db: &Connection, job: &str, system: &str) -> Result<ExportRecord, Fault> {
    let found = db
        .query_row(
            "SELECT failed, why, succeeded, complete FROM exports WHERE job = ? AND system = ?",
            [job, system],
            |row| {
                Ok((|| {
                    let why: Option<String> = row.get(1)?;
                    Ok(ExportRecord {
                        failed: maybe_instant(row, 0)?.map(|at| (at, why.unwrap_or_default())),
                        succeeded: maybe_instant(row, 2)?,
                        complete: maybe_instant(row, 3)?,
                    })
                })())
            },
        )
        .optional()?;
    found.unwrap_or_else(|| Ok(ExportRecord::default()))
}

fn read(row: &Row<'_>) -> Result<Baseline, Fault> {
    Ok(Baseline {
        job: row.get(0)?,
        resource: word(row, 1)?,
        run: RunId(row.get(2)?),
        path: PathBuf::from(row.get::<_, String>(3)?),
        sha256: digest(row.get(4)?)?,
        rows: row.get::<_, i64>(5)? as u64,
        columns: json(row, 6)?,
        key: json(row, 7)?,
        cursor: row.get(8)?,
        mode: word(row, 9)?,
        at: instant(row, 10)?,
    })
}
