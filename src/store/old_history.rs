//! What the database remembers of runs that are long over: their orders without whom they were about, and their entries of
//! the log without what was said. That there was something, what it did, when, and who approved it, stays.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::age::Ages;
use super::chain_erased::{redact, vouch_for_range};
use super::database::{Store, as_json, stamp};
use super::erased_rows::nameless;
use super::error::{Fault, StoreError};
use super::orders::LIVE;
use super::retention::{Folder, Overdue};
use crate::model::outcome::Outcome;
use crate::model::run::RunId;
use crate::model::settings::RetentionSettings;

/// What stands in the place of what was forgotten.
const FORGOTTEN: &str = "forgotten";

/// Members of an entry's detail that name nobody: what was done, and how it ended.
const KEPT: [&str; 21] = [
    "approval",
    "operation",
    "resource",
    "effected",
    "tries",
    "from",
    "to",
    "state",
    "mode",
    "exit",
    "plan",
    "orders",
    "superseded",
    "job",
    "sync",
    "system",
    "sha256",
    "decisions",
    "signed",
    "bytes",
    "reverts",
];

/// An order that keeps somebody from something: it is needed for as long as it does.
const WITHHOLDS: &str = "o.lapsed IS NULL AND (o.state = 'rejected' OR o.handed_over = 1
  OR o.state = 'applied' AND EXISTS (SELECT 1 FROM reverts x WHERE x.\"order\" = o.n AND x.withholds))";

impl Store {
    /// The runs of a job whose history is older than the job keeps it and was not forgotten yet, the oldest first, with the
    /// bytes of what the log says of each. Those of which a folder stays or an order is live are left: they are needed.
    /// `going` are folders whose time is over; they count as gone unless they stay.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn old_history(
        &self,
        job: &str,
        settings: &RetentionSettings,
        now: DateTime<Utc>,
        going: &[Overdue],
    ) -> Result<Vec<(RunId, u64)>, StoreError> {
        let goes = |run: &RunId, folder: Folder| {
            going.iter().any(|overdue| overdue.run == *run && overdue.folder == folder && overdue.stays.is_none())
        };
        let Some(keep) = settings.history else { return Ok(Vec::new()) };
        let runs = self.runs(job, 0)?;
        let ages = Ages::of(runs.iter().map(|run| run.started), now, keep);
        let is_old = |started| ages.age(started).to_std().unwrap_or_default() > keep;
        let mut old = Vec::new();
        for run in runs.iter().rev().filter(|run| !run.state.is_held() && is_old(run.started)) {
            let stays = |folder: Folder, path: PathBuf| path.exists() && !goes(&run.id, folder);
            if stays(Folder::Run, self.layout.run_folder(job, &run.id))
                || stays(Folder::Export, self.layout.export(job, &run.id))
            {
                continue;
            }
            let bytes = self.read(|db| {
                let sql = format!(
                    "SELECT r.forgotten IS NULL AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.run = r.id AND {LIVE}),
                       (SELECT coalesce(sum(length(l.detail)), 0) FROM log l WHERE l.run = r.id) FROM runs r WHERE r.id = ?"
                );
                let (is_left, bytes): (bool, i64) =
                    db.query_row(&sql, [&run.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(is_left.then_some(bytes as u64))
            })?;
            old.extend(bytes.map(|bytes| (run.id.clone(), bytes)));
        }
        Ok(old)
    }

    /// Forgets the history of some runs in one step, and appends one entry that vouches for what is left of the log.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing of it is forgotten.
    pub fn forget_history(&mut self, job: &str, runs: &[RunId], now: DateTime<Utc>) -> Result<(), StoreError> {
        if runs.is_empty() {
            return Ok(());
        }
        self.secure_delete()?;
        self.write(|tx, log| {
            let (mut redacted, mut orders) = (Vec::new(), 0);
            for run in runs {
                orders += forget_orders(tx, run)?;
                redacted.extend(forget_entries(tx, run)?);
                tx.execute("UPDATE holds SET detail = '', first = '[]', excess = NULL WHERE run = ?", [&run.0])?;
                tx.execute("UPDATE acceptances SET comment = '' WHERE run = ?", [&run.0])?;
                tx.execute("UPDATE approvals SET comment = '' WHERE run = ?", [&run.0])?;
                let sql = "UPDATE runs SET note = '', forgotten = ? WHERE id = ?";
                tx.execute(sql, params![stamp(now), run.0])?;
            }
            let said = json!({
                "job": job, "name": "history", "comment": "its time was over ([retention] history)",
                "counts": { "runs": runs.len(), "orders": orders, "entries": redacted.len() },
            });
            vouch_for_range(tx, log, &mut redacted, &said, now)
        })
    }
}

/// Empties the orders of a run that withhold nothing; how many.
fn forget_orders(tx: &Connection, run: &RunId) -> Result<u64, Fault> {
    let of_run = format!("o.run = ?1 AND NOT ({WITHHOLDS})");
    let mut statement = tx.prepare(&format!(
        "SELECT a.n, a.outcome FROM attempts a JOIN orders o ON o.n = a.\"order\" WHERE {of_run} AND a.ended IS NOT NULL"
    ))?;
    let outcomes = statement.query_map([&run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (n, outcome) in outcomes.collect::<Result<Vec<(i64, Option<String>)>, _>>()? {
        let outcome = outcome.and_then(|text| serde_json::from_str::<Outcome>(&text).ok());
        let outcome = outcome.map(|outcome| as_json(&nameless(outcome, FORGOTTEN))).transpose()?;
        let sql = "UPDATE attempts SET message = NULL, remedy = NULL, request_id = NULL, outcome = ? WHERE n = ?";
        tx.execute(sql, params![outcome, n])?;
    }
    let sql = format!(
        "UPDATE orders AS o SET object = ?2, key = ?2, name = '', block_detail = NULL, block_reason = NULL, link_source = NULL,
           link_target = NULL, link_from = NULL, ground = NULL, erased = 1 WHERE {of_run}"
    );
    Ok(tx.execute(&sql, params![run.0, FORGOTTEN])? as u64)
}

/// Takes out of the entries of a run what names somebody; the numbers of those that changed.
fn forget_entries(tx: &Connection, run: &RunId) -> Result<Vec<i64>, Fault> {
    let mut statement = tx.prepare("SELECT seq, detail FROM log WHERE run = ? AND kind NOT LIKE '%-removed'")?;
    let entries = statement.query_map([&run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut changed = Vec::new();
    for (seq, detail) in entries.collect::<Result<Vec<(i64, String)>, _>>()? {
        let Ok(Value::Object(mut members)) = serde_json::from_str(&detail) else { continue };
        let before = members.len();
        members.retain(|name, value| KEPT.contains(&name.as_str()) && !value.is_array());
        if members.len() < before {
            redact(tx, seq, &Value::Object(members).to_string())?;
            changed.push(seq);
        }
    }
    Ok(changed)
}
