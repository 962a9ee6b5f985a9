//! Runs, what holds them, and what people accepted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::chain::{Chain, Entry};
use super::database::{Store, as_json, digest, instant, json, maybe_instant, stamp, word};
use super::error::{Fault, StoreError};
use super::orders::LIVE;
use crate::model::digest::Digest;
use crate::model::evidence::Mode;
use crate::model::record::{Acceptance, Hold, HoldKind, RunRecord};
use crate::model::review_terms::ReviewTerms;
use crate::model::run::{RunId, RunState};

const RUN: &str = "SELECT id, job, job_digest, mode, started, ended, state, plan_digest, starter, note, exit FROM runs";

/// What is known of a run when it starts.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The job.
    pub job: String,
    /// SHA-256 of the job file.
    pub job_digest: Digest,
    /// How much is exported.
    pub mode: Mode,
    /// Who or what started it.
    pub starter: String,
    /// What its review takes, from here on.
    pub review: ReviewTerms,
    /// The run that it undoes, where it does.
    pub undoes: Option<RunId>,
}

impl Store {
    /// Records that a run starts, before it does anything.
    ///
    /// # Errors
    /// [`StoreError::RunExists`] where the id is taken.
    pub fn start_run(&mut self, run: &NewRun, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            if find(tx, &run.id)?.is_some() {
                return Err(StoreError::RunExists { run: run.id.clone() }.into());
            }
            let note = run.undoes.as_ref().map(|undone| format!("undoes run {undone}")).unwrap_or_default();
            tx.execute(
                "INSERT INTO runs (id, job, job_digest, mode, started, state, starter, note, review)
                 VALUES (?,?,?,?,?,?,?,?,?)",
                params![
                    run.id.0,
                    run.job,
                    run.job_digest.as_str(),
                    run.mode.word(),
                    stamp(at),
                    RunState::Started.word(),
                    run.starter,
                    note,
                    as_json(&run.review)?
                ],
            )?;
            let mut detail = serde_json::json!({
                "job": run.job, "job_digest": run.job_digest, "mode": run.mode, "review": run.review,
            });
            if let Some(undone) = &run.undoes {
                detail["undoes"] = serde_json::json!(undone);
            }
            log.append(tx, &Entry::new(at, "run-started", Some(&run.id), detail).by(&run.starter))?;
            tx.execute("UPDATE runs SET begun = (SELECT max(seq) FROM log) WHERE id = ?", [&run.id.0])?;
            Ok(())
        })
    }

    /// Remembers where a job's file lies, for commands that are given a run.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remember_job(&mut self, job: &str, path: &std::path::Path) -> Result<(), StoreError> {
        if self.job_path(job)?.as_deref() == Some(path) {
            return Ok(());
        }
        self.write(|tx, _| {
            tx.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", params![job, path.to_string_lossy()])?;
            Ok(())
        })
    }

    /// Where a job's file lay when it last ran.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn job_path(&self, job: &str) -> Result<Option<std::path::PathBuf>, StoreError> {
        self.read(|db| {
            let found: Option<String> =
                db.query_row("SELECT path FROM jobs WHERE job = ?", [job], |row| row.get(0)).optional()?;
            Ok(found.map(std::path::PathBuf::from))
        })
    }

    /// Moves a run on; the note says why.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn set_run_state(
        &mut self,
        run: &RunId,
        state: RunState,
        note: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            change_state(tx, run, state, note)?;
            let detail = serde_json::json!({ "state": state, "note": note });
            log.append(tx, &Entry::new(at, "run-state", Some(run), detail))
        })
    }

    /// Changes how much a run exports, where it goes complete by itself.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn set_run_mode(&mut self, run: &RunId, mode: Mode, why: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            known(tx, run)?;
            tx.execute("UPDATE runs SET mode = ? WHERE id = ?", params![mode.word(), run.0])?;
            let detail = serde_json::json!({ "mode": mode, "why": why });
            log.append(tx, &Entry::new(at, "run-mode", Some(run), detail))
        })
    }

    /// Records a run's end and exit status. A run that goes on later, after an acceptance, ends again.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn end_run(&mut self, run: &RunId, exit: u8, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| {
            known(tx, run)?;
            tx.execute("UPDATE runs SET ended = ?, exit = ? WHERE id = ?", params![stamp(at), exit, run.0])?;
            let entry = Entry::new(at, "run-ended", Some(run), serde_json::json!({ "exit": exit }));
            log.append(tx, &Entry { error: matches!(exit, 1 | 2 | 5), ..entry })
        })
    }

    /// A run.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn run(&self, run: &RunId) -> Result<RunRecord, StoreError> {
        self.read(|db| known(db, run))
    }

    /// When a run began, by the log: the number of its first entry.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn begun(&self, run: &RunId) -> Result<i64, StoreError> {
        self.read(|db| begun(db, run))
    }

    /// The newest runs of a job, newest first, by the log and not by the clock; `limit` 0 = all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runs(&self, job: &str, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        let limit = if limit == 0 { -1 } else { i64::try_from(limit).unwrap_or(-1) };
        self.read(|db| {
            let mut statement =
                db.prepare_cached(&format!("{RUN} WHERE job = ? ORDER BY begun DESC, id DESC LIMIT ?"))?;
            let mut rows = statement.query(params![job, limit])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(record(row)?);
            }
            Ok(runs)
        })
    }

    /// The newest run of a job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn newest_run(&self, job: &str) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.runs(job, 1)?.pop())
    }

    /// The jobs that this state folder knows, sorted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn jobs(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached("SELECT DISTINCT job FROM runs ORDER BY job")?;
            let jobs = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(jobs)
        })
    }

    /// Records what holds a run and sets its state, in one step. Holds of an earlier call that are not named again
    /// are gone.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn hold(&mut self, run: &RunId, state: RunState, holds: &[Hold], at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| write_holds(tx, log, run, state, holds, at))
    }

    /// What holds or held a run, sorted by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn holds(&self, run: &RunId) -> Result<Vec<Hold>, StoreError> {
        self.read(|db| holds_of(db, run))
    }

    /// What still holds a run: holds that nobody accepted at their figure. An accepted suspicion counts for later
    /// runs of the job while its figure is the same; an accepted threshold counts for its run alone.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn unaccepted_holds(&self, run: &RunId) -> Result<Vec<Hold>, StoreError> {
        self.read(|db| unaccepted(db, run))
    }

    /// The suspicions that were accepted for a run's job, by as many people as the run asks for: name → the figure
    /// that was accepted last.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn accepted(&self, run: &RunId) -> Result<BTreeMap<String, String>, StoreError> {
        self.read(|db| accepted_suspicions(db, &known(db, run)?.job, terms_of(db, run)?.reviewers))
    }

    /// What the review of a run takes, as its job file said when it started.
    ///
    /// # Errors
    /// [`StoreError::NoRun`].
    pub fn review_terms(&self, run: &RunId) -> Result<ReviewTerms, StoreError> {
        self.read(|db| terms_of(db, run))
    }

    /// Everything that was accepted for a run, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn acceptances(&self, run: &RunId) -> Result<Vec<Acceptance>, StoreError> {
        self.read(|db| acceptances_of(db, run))
    }
}

fn find(db: &Connection, run: &RunId) -> Result<Option<RunRecord>, Fault> {
    db.prepare_cached(&format!("{RUN} WHERE id = ?"))?
        .query_row([&run.0], |row| Ok(record(row)))
        .optional()?
        .transpose()
}

/// The run, or [`StoreError::NoRun`].
pub(super) fn known(db: &Connection, run: &RunId) -> Result<RunRecord, Fault> {
    find(db, run)?.ok_or_else(|| StoreError::NoRun { run: run.clone() }.into())
}

/// See [`Store::begun`].
pub(super) fn begun(db: &Connection, run: &RunId) -> Result<i64, Fault> {
    let mut statement = db.prepare_cached("SELECT begun FROM runs WHERE id = ?")?;
    let found = statement.query_row([&run.0], |row| row.get(0)).optional()?;
    found.ok_or_else(|| StoreError::NoRun { run: run.clone() }.into())
}

/// Sets a run's state and note.
pub(super) fn change_state(tx: &Connection, run: &RunId, state: RunState, note: &str) -> Result<(), Fault> {
    known(tx, run)?;
    tx.execute("UPDATE runs SET state = ?, note = ? WHERE id = ?", params![state.word(), note, run.0])?;
    Ok(())
}

/// Ends what holds the plans of a job of which no order lives any more: there is nothing left to accept, but for what
/// holds their snapshots. `but` stays as it is.
pub(super) fn end_idle_holds(
    tx: &Connection,
    log: &mut Chain,
    job: &str,
    but: Option<&RunId>,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT r.id, EXISTS (SELECT 1 FROM holds h WHERE h.run = r.id AND h.kind <> ?4) FROM runs r
         WHERE r.job = ?1 AND r.state = ?2 AND r.id IS NOT ?3
         AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.run = r.id AND {LIVE}) ORDER BY r.id"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let values = params![job, RunState::HeldPlan.word(), but.map(|run| &run.0), HoldKind::Plan.word()];
    let idle = statement.query_map(values, |row| Ok((RunId(row.get(0)?), row.get::<_, bool>(1)?)))?;
    for (run, rest) in idle.collect::<Result<Vec<_>, _>>()? {
        let state = if rest { RunState::HeldSnapshot } else { RunState::Replaced };
        let note = "each of its orders was rejected, or is not wanted any more: there is nothing left to accept";
        change_state(tx, &run, state, note)?;
        log.append(tx, &Entry::new(at, "run-state", Some(&run), serde_json::json!({ "state": state, "note": note })))?;
    }
    Ok(())
}

fn record(row: &Row<'_>) -> Result<RunRecord, Fault> {
    Ok(RunRecord {
        id: RunId(row.get(0)?),
        job: row.get(1)?,
        job_digest: digest(row.get(2)?)?,
        mode: word(row, 3)?,
        started: instant(row, 4)?,
        ended: maybe_instant(row, 5)?,
        state: word(row, 6)?,
        plan_digest: row.get::<_, Option<String>>(7)?.map(digest).transpose()?,
        starter: row.get(8)?,
        note: row.get(9)?,
        exit: row.get(10)?,
    })
}

/// See [`Store::hold`].
pub(super) fn write_holds(
    tx: &Connection,
    log: &mut Chain,
    run: &RunId,
    state: RunState,
    holds: &[Hold],
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let names: Vec<&str> = holds.iter().map(|hold| hold.name.as_str()).collect();
    change_state(tx, run, state, &names.join(", "))?;
    tx.execute("DELETE FROM holds WHERE run = ?", [&run.0])?;
    let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO holds VALUES (?,?,?,?,?,?,?)")?;
    for hold in holds {
        let first = as_json(&hold.first)?;
        let excess = hold.excess.as_ref().map(as_json).transpose()?;
        insert.execute(params![run.0, hold.name, hold.kind.word(), hold.detail, hold.figure, first, excess])?;
    }
    let detail = serde_json::json!({ "state": state, "holds": holds });
    log.append(tx, &Entry::new(at, "run-held", Some(run), detail))
}

/// What holds or held a run.
pub(super) fn holds_of(db: &Connection, run: &RunId) -> Result<Vec<Hold>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT kind, name, detail, figure, first, excess FROM holds WHERE run = ? ORDER BY name")?;
    let mut rows = statement.query([&run.0])?;
    let mut holds = Vec::new();
    while let Some(row) = rows.next()? {
        holds.push(Hold {
            kind: word(row, 0)?,
            name: row.get(1)?,
            detail: row.get(2)?,
            figure: row.get(3)?,
            first: json(row, 4)?,
            excess: if row.get_ref(5)? == ValueRef::Null { None } else { json(row, 5)? },
        });
    }
    Ok(holds)
}

/// See [`Store::unaccepted_holds`].
pub(super) fn unaccepted(db: &Connection, run: &RunId) -> Result<Vec<Hold>, Fault> {
    let needed = terms_of(db, run)?.reviewers;
    let suspicions = accepted_suspicions(db, &known(db, run)?.job, needed)?;
    let own = acceptances_of(db, run)?;
    let mut holds = holds_of(db, run)?;
    holds.retain(|hold| {
        let by = own.iter().filter(|a| a.name == hold.name && a.figure == hold.figure).map(|a| a.reviewer.as_str());
        let here = by.collect::<BTreeSet<_>>().len() >= needed as usize;
        let before = hold.kind == HoldKind::Suspicion && suspicions.get(&hold.name) == Some(&hold.figure);
        !here && !before
    });
    Ok(holds)
}

/// Writes an acceptance, after making sure that there is something to accept.
pub(super) fn record_acceptance(tx: &Connection, job: &str, acceptance: &Acceptance) -> Result<(), Fault> {
    let holds = holds_of(tx, &acceptance.run)?;
    let Some(hold) = holds.iter().find(|h| h.name == acceptance.name && h.figure == acceptance.figure) else {
        let same_name = holds.iter().any(|h| h.name == acceptance.name);
        let known: Vec<String> = holds.iter().map(|h| format!("{} ({})", h.name, h.figure)).collect();
        return Err(StoreError::NotHeld {
            run: acceptance.run.clone(),
            name: acceptance.name.clone(),
            figure: if same_name { format!(" at the figure {}", acceptance.figure) } else { String::new() },
            known: if known.is_empty() { "nothing".to_owned() } else { known.join(", ") },
        }
        .into());
    };
    tx.execute(
        "INSERT INTO acceptances (job, run, name, kind, figure, reviewer, comment, at) VALUES (?,?,?,?,?,?,?,?)",
        params![
            job,
            acceptance.run.0,
            acceptance.name,
            hold.kind.word(),
            acceptance.figure,
            acceptance.reviewer,
            acceptance.comment,
            stamp(acceptance.at)
        ],
    )?;
    Ok(())
}

/// The figure at which each suspicion was accepted last, by `needed` people or more.
fn accepted_suspicions(db: &Connection, job: &str, needed: u32) -> Result<BTreeMap<String, String>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT name, figure, reviewer FROM acceptances WHERE job = ? AND kind = ? ORDER BY n")?;
    let mut rows = statement.query([job, HoldKind::Suspicion.word()])?;
    let mut last: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let figure: String = row.get(1)?;
        let (at, by) = last.entry(row.get(0)?).or_default();
        if *at != figure {
            *at = figure;
            by.clear();
        }
        by.insert(row.get(2)?);
    }
    let enough = last.into_iter().filter(|(_, (_, by))| by.len() >= needed as usize);
    Ok(enough.map(|(name, (figure, _))| (name, figure)).collect())
}

/// See [`Store::review_terms`].
pub(super) fn terms_of(db: &Connection, run: &RunId) -> Result<ReviewTerms, Fault> {
    let found: Option<Option<ReviewTerms>> = db
        .prepare_cached("SELECT review FROM runs WHERE id = ?")?
        .query_row([&run.0], |row| Ok(row.get::<_, Option<String>>(0)?.map(|_| json(row, 0))))
        .optional()?
        .map(Option::transpose)
        .transpose()?;
    found.map(Option::unwrap_or_default).ok_or_else(|| StoreError::NoRun { run: run.clone() }.into())
}

fn acceptances_of(db: &Connection, run: &RunId) -> Result<Vec<Acceptance>, Fault> {
    let mut statement =
        db.prepare_cached("SELECT run, name, figure, reviewer, comment, at FROM acceptances WHERE run = ? ORDER BY n")?;
    let mut rows = statement.query([&run.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Acceptance {
            run: RunId(row.get(0)?),
            name: row.get(1)?,
            figure: row.get(2)?,
            reviewer: row.get(3)?,
            comment: row.get(4)?,
            at: instant(row, 5)?,
        });
    }
    Ok(found)
}
