//! What a job did in a time, put together from what is remembered.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::ending;
use crate::model::run::RunId;
use crate::report::period::{Counts, PeriodReport, RunFigures};
use crate::report::report_json::RunReport;
use crate::store::database::Store;

/// What a job did in a time that ends now.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn build(store: &Store, job: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<PeriodReport> {
    let mut report = PeriodReport {
        format_version: PeriodReport::FORMAT,
        job: job.to_owned(),
        from,
        to,
        applied: Counts::new(),
        failed: Counts::new(),
        runs: Vec::new(),
        open: ending::steps(store, job, to)?,
    };
    let mut by_run: BTreeMap<RunId, (Counts, Counts)> = BTreeMap::new();
    for ended in store.ended_between(job, from, to)? {
        let of_run = by_run.entry(ended.run).or_default();
        let (all, of_run) = match ended.applied {
            true => (&mut report.applied, &mut of_run.0),
            false => (&mut report.failed, &mut of_run.1),
        };
        for counts in [all, of_run] {
            *counts.entry(ended.resource.clone()).or_default().entry(ended.operation).or_default() += ended.orders;
        }
    }
    let mut runs = store.runs(job, 0)?;
    runs.reverse();
    for run in runs {
        let counts = by_run.remove(&run.id);
        if counts.is_none() && (run.started < from || run.started > to) {
            continue;
        }
        let (applied, failed) = counts.unwrap_or_default();
        let folder = std::fs::read(store.layout().report_json(job, &run.id)).ok();
        let written: Option<RunReport> = folder.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let exports = written.into_iter().flat_map(|report| report.exports);
        report.runs.push(RunFigures {
            holds: store.holds(&run.id)?.into_iter().map(|hold| hold.name).collect(),
            rows: exports.map(|export| (export.resource, export.rows)).collect(),
            run: run.id,
            mode: run.mode,
            state: run.state,
            exit_status: run.exit,
            started: run.started,
            seconds: run.ended.map(|ended| (ended - run.started).as_seconds_f64().max(0.0)),
            applied,
            failed,
            note: run.note,
        });
    }
    Ok(report)
}
