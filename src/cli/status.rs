//! `muster status [JOB]`: where jobs stand, and whether they still run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::review::hold_sentence;
use super::stdout::print_as;
use super::{due, ending, outcome_report, seconds, selection, session, withheld};
use crate::disk::{atomic, lock};
use crate::job::timer::duration;
use crate::model::order::OrderState;
use crate::model::plan::InGrace;
use crate::model::record::{OrderRecord, RunRecord};
use crate::model::run::{RunId, RunState};
use crate::report::figures::{ago, time};
use crate::report::metrics::{Measured, metrics};
use crate::report::safe_text;
use crate::report::screen::Screen;
use crate::report::status::{JobStatus, RunLine};
use crate::report::table::{Column, Format, Listing};
use crate::store::database::Store;

/// Runs that are told.
const RUNS: usize = 10;

/// `muster status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster status\n  muster status idp-to-vault --format json\n  muster status idp-to-vault --no-good-run-since 26h   # for monitoring: 1 where no run ended well in that time"
)]
pub(super) struct Args {
    /// A job's name or file [default: every job that has run]
    job: Option<String>,
    /// Fail where no run ended well within this time: 26h, 2d
    #[arg(long, value_name = "TIME")]
    no_good_run_since: Option<String>,
    /// Write what monitoring wants to know into this file, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// A job's status, and what its record of exports adds to it.
struct Told {
    status: JobStatus,
    /// System, when its last export failed, and why.
    failed: Vec<(String, DateTime<Utc>, String)>,
}

/// Shows where jobs stand.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let within = match &args.no_good_run_since {
        Some(text) => {
            let within = duration(text).map_err(|problem| UsageError(format!("--no-good-run-since: {problem}")))?;
            Some((text.as_str(), TimeDelta::from_std(within).unwrap_or(TimeDelta::MAX)))
        }
        None => None,
    };
    let store = selection::open_store(context)?;
    let jobs = match &args.job {
        Some(name) => vec![selection::job_name(&store, name)?],
        None => store.jobs()?,
    };
    if let Some(file) = &args.metrics_file {
        write_metrics(context, &store, &jobs, file)?;
    }
    if let Some((text, within)) = within {
        return watch(context, &store, &jobs, text, within);
    }
    let mut told = Vec::new();
    for job in &jobs {
        told.push(status(context, &store, job)?);
    }
    if told.is_empty() {
        say!(context, "no job has run in {}; start with `muster run JOB`", context.layout.root.display());
    }
    let format = if args.json { Format::Json } else { args.format };
    let text = match format {
        Format::Table => {
            let about = |told: &Told| {
                let (called, job) = (args.job.as_deref(), told.status.job.clone());
                called.map_or(job.clone(), |called| selection::typed(&store, called, &job).to_owned())
            };
            told.iter().map(|told| text(told, &about(told), context.screen())).collect::<Vec<_>>().join("\n")
        }
        Format::Json if args.job.is_some() => json_text(told.iter().map(json_of).next().unwrap_or_default()),
        Format::Json => json_text(told.iter().map(json_of).collect()),
        Format::Csv => listing(&told).render(Format::Csv, context.screen()),
    };
    print_as(context, format, &text)?;
    Ok(Ending::Done.status())
}

/// Writes what is measured of jobs.
pub(super) fn write_metrics(context: &Context, store: &Store, jobs: &[String], file: &Path) -> Result<()> {
    let mut measured = Vec::new();
    for job in jobs {
        let runs = selection::history(store, job)?;
        let exit = runs.iter().find_map(|run| run.ended.and(run.exit));
        let good = runs.iter().find_map(good_at);
        measured.push(Measured { status: status(context, store, job)?.status, exit, good });
    }
    atomic::publish(file, metrics(&measured).as_bytes())
        .with_context(|| format!("--metrics-file {}", safe_text::line(&file.display().to_string())))
}

/// For monitoring: a sentence for each job without a good run in time.
fn watch(context: &Context, store: &Store, jobs: &[String], text: &str, within: TimeDelta) -> Result<u8> {
    let now = context.now();
    let mut ending = Ending::Done;
    if jobs.is_empty() {
        eprintln!("muster: no job has run in {}", context.layout.root.display());
        ending = Ending::Failed;
    }
    for job in jobs {
        let good = selection::history(store, job)?.into_iter().find_map(|run| good_at(&run));
        if good.is_some_and(|at| now - at <= within) {
            continue;
        }
        let last =
            good.map_or("none ever did".to_owned(), |at| format!("the last one did {} ({})", ago(at, now), time(at)));
        let job = safe_text::line(job);
        eprintln!("muster: no run of job {job} ended well within {text}: {last}; next: muster status {job}");
        ending = Ending::Failed;
    }
    Ok(ending.status())
}

/// When a run ended well: it planned, and nothing failed or stopped.
fn good_at(run: &RunRecord) -> Option<DateTime<Utc>> {
    let well = run.state == RunState::Planned && !matches!(run.exit, Some(1 | 2 | 75));
    run.ended.filter(|_| well)
}

fn status(context: &Context, store: &Store, job: &str) -> Result<Told> {
    let runs = selection::history(store, job)?;
    let mut lines = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        // What waits is told, however long ago it began.
        if number < RUNS || ending::is_held(store, run)? {
            lines.push(line(store, run)?);
        }
    }
    let exports = runs.iter().map(|run| (run, outcome_report::exports(&context.layout.export(job, &run.id))));
    let (exported_by, exports) = match exports.into_iter().find(|(_, exports)| !exports.is_empty()) {
        Some((run, exports)) => (Some(run), exports),
        None => (None, Vec::new()),
    };

    let mut systems: BTreeSet<String> = exports.iter().map(|export| export.resource.system.clone()).collect();
    // The job file knows systems that were never exported; where it is gone or wrong, what was exported must do.
    if let Ok(job) = session::job_of(store, job) {
        systems.extend(job.systems.into_keys());
    }
    let (mut failed, mut applied_since) = (Vec::new(), 0);
    for system in systems {
        if let Some(run) = exported_by {
            let applied = store.applied_since(job, &system, run.started)?;
            applied_since += applied.values().map(|orders| orders.len() as u64).sum::<u64>();
        }
        if let Some((at, why)) = store.export_record(job, &system)?.failed {
            failed.push((system, at, why));
        }
    }
    let mut live = store.order_counts(job, None)?;
    live.retain(|state, _| state.is_live());
    let over = |order: &OrderRecord| order.approval_expires.is_none_or(|expires| expires <= context.now());
    let approved = store.live_orders(job)?.into_iter().filter(|order| order.state == OrderState::Approved);
    let expired = approved.filter(over).count() as u64;
    let mut seconded = BTreeMap::new();
    let live_runs = store.live_runs(job)?;
    for run in runs.iter().filter(|run| live_runs.contains(&run.id)) {
        for by in seconds::of(context, store, run)?.into_values() {
            *seconded.entry(by.figure()).or_default() += 1;
        }
    }
    let status = JobStatus {
        format_version: JobStatus::FORMAT,
        job: job.to_owned(),
        now: context.now(),
        under_way: lock::holder(&context.layout.lock(job))?.map(|owner| owner.to_string()),
        runs: lines,
        exports,
        exported_by: exported_by.map(|run| run.id.clone()),
        applied_since,
        live,
        expired,
        seconded,
        grace: in_grace(store, job)?,
        withheld: withheld::count(store, job)?,
        warnings: warnings(store, &runs),
        due: session::job_of(store, job)
            .ok()
            .map(|job| job.schedule)
            .filter(|one| one.is_stated)
            .map(|one| due::next(&one, context.now())),
        next: ending::steps(store, job, context.now())?,
    };
    Ok(Told { status, failed })
}

/// What the newest plan warns of. One that was tampered with is refused where it matters; here it has nothing to tell.
fn warnings(store: &Store, runs: &[RunRecord]) -> Vec<String> {
    let newest = runs.iter().find(|run| run.plan_digest.is_some());
    newest.and_then(|run| store.registered_plan(&run.id).ok()).map(|plan| plan.warnings).unwrap_or_default()
}

/// What the job keeps out of use until it is deleted. When that becomes due, only the job file says.
fn in_grace(store: &Store, name: &str) -> Result<Option<InGrace>> {
    let Ok(job) = session::job_of(store, name) else { return Ok(None) };
    let Some(whole) = job.apply.delete_after else { return Ok(None) };
    let mut waiting = InGrace::default();
    for sync in &job.syncs {
        for (_, grace) in store.graces(name, &sync.id)? {
            let due = grace.due(whole);
            waiting.objects += 1;
            waiting.due = Some(waiting.due.map_or(due, |first| first.min(due)));
        }
    }
    Ok((waiting.objects > 0).then_some(waiting))
}

fn line(store: &Store, run: &RunRecord) -> Result<RunLine> {
    let by_state = match run.plan_digest {
        Some(_) => Some(store.order_counts(&run.job, Some(&run.id))?),
        None => None,
    };
    let mut why: Vec<String> = Vec::new();
    if run.state.is_held() {
        let holds = store.unaccepted_holds(&run.id)?;
        why.extend(holds.iter().map(|hold| format!("held by {}", hold_sentence(hold))));
        if why.is_empty() {
            why.push("what held it is accepted".to_owned());
        }
    } else if !run.note.is_empty() {
        why.push(run.note.clone());
    }
    Ok(RunLine {
        run: run.id.clone(),
        mode: run.mode,
        undoes: undone(store, run),
        state: run.state,
        started: run.started,
        ended: run.ended,
        orders: by_state.as_ref().map(|counts| counts.values().sum()),
        by_state: by_state.unwrap_or_default(),
        why: (!why.is_empty()).then(|| why.join("; ")),
    })
}

/// The run that a run undoes: as it noted when it began; where it came to tell something else, as its plan says.
fn undone(store: &Store, run: &RunRecord) -> Option<RunId> {
    let noted = run.note.strip_prefix("undoes run ").filter(|run| RunId::is_id(run));
    let planned = || store.registered_plan(&run.id).ok()?.reverts.map(|reverted| reverted.run);
    noted.map(|run| RunId(run.to_owned())).or_else(|| run.plan_digest.as_ref().and_then(|_| planned()))
}

/// A status for people, failed exports before its last line, which is the next command.
fn text(told: &Told, about: &str, screen: Screen) -> String {
    let mut status = told.status.clone();
    // What failed exports say below need not be said twice.
    for run in status.runs.iter_mut().filter(|run| run.state == RunState::Failed) {
        run.why = run.why.take().filter(|why| !told.failed.iter().any(|(_, _, failed)| why.contains(failed.as_str())));
    }
    let mut text = status.to_text(about, screen);
    let mut failed = String::new();
    for (system, at, why) in &told.failed {
        let _ = writeln!(failed, "  {}: failed {}: {}", safe_text::line(system), time(*at), safe_text::line(why));
    }
    if !failed.is_empty() {
        let next = text.trim_end().rfind("\n\n").map_or(text.len(), |at| at + 1);
        text.insert_str(next, &format!("\nfailed exports; the next run reads these systems completely\n{failed}"));
    }
    text
}

fn json_of(told: &Told) -> Value {
    let mut status = serde_json::to_value(&told.status).unwrap_or_default();
    let failed = told.failed.iter().map(|(system, at, why)| json!({ "system": system, "at": at, "why": why }));
    if let Some(status) = status.as_object_mut() {
        status.insert("failed_exports".to_owned(), failed.collect());
    }
    status
}

fn json_text(value: Value) -> String {
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    safe_text::json(text)
}

/// The last runs of every job, one a row.
fn listing(told: &[Told]) -> Listing {
    let columns = ["job", "run", "mode", "state", "started", "ended", "orders", "why"];
    let states = OrderState::ALL.iter().map(|state| Column::whole(state.word()));
    let mut listing = Listing::new(columns.into_iter().map(Column::whole).chain(states).collect());
    for status in told.iter().map(|told| &told.status) {
        for run in &status.runs {
            let mut row = vec![
                status.job.as_str().into(),
                run.run.0.as_str().into(),
                run.mode_word().into(),
                run.state.word().into(),
                run.started.to_rfc3339().into(),
                run.ended.map(|at| at.to_rfc3339()).into(),
                run.orders.into(),
                run.why.clone().into(),
            ];
            // An empty cell where there is no plan, a zero where none of its orders stands so.
            let counts = OrderState::ALL.iter().map(|state| run.by_state.get(state).copied().unwrap_or(0));
            row.extend(counts.map(|number| run.orders.map(|_| number).into()));
            listing.push(row);
        }
    }
    listing
}
