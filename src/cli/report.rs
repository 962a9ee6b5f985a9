//! `muster report RUN`: what became of the orders of a run.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::stdout::{print, print_text};
use super::{ending, log, outcome_report, period, selection};
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::report::errors_csv::errors_csv;
use crate::report::report_json::RunReport;
use crate::report::run_text::run_text;
use crate::report::trend_page::trend_page;
use crate::store::database::Store;
use crate::store::retention::Folder;

/// `muster report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "csv is the per-order error report: order, object, operation, class, status, the server's message, remedy, tries, request id.\n\nExamples:\n  muster report idp-to-vault\n  muster report 20261122T150405Z-7f3a --format csv > errors.csv\n  muster report idp-to-vault --since 30d\n  muster report idp-to-vault --since 30d --format csv > trend.csv\n  muster report idp-to-vault --since 30d --format html > trend.html"
)]
pub(super) struct Args {
    /// A run, or a job's name: its newest run with any outcome
    run: String,
    /// What a job did from this long ago on (24h, 30d), or from this time on (RFC 3339): what was applied, what failed, how
    /// each run went
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// table for people, json for the whole record, csv for the errors one by one (with --since a record a run), html for a
    /// page that stands alone, with pictures
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: ReportFormat,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum ReportFormat {
    #[default]
    Table,
    Json,
    Csv,
    Html,
}

/// Tells what became of a run, and keeps its files up to date.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let store = selection::open_store(context)?;
    if let Some(since) = &args.since {
        return over_time(context, &store, &args, since);
    }
    let run = newest(&store, &args.run)?;
    let exit = exit_of(context, &store, &run)?;
    // A folder whose time is over is not made again.
    let report = match store.removed_at(&run.id, Folder::Run)? {
        Some(_) => outcome_report::build(&store, &run, exit)?.0,
        None => outcome_report::write(context, &store, &run.id, exit)?,
    };
    let text = match args.format {
        ReportFormat::Table => {
            let is_run = RunId::is_id(&args.run);
            let (about, next) = if is_run {
                (args.run.as_str(), ending::steps_of_run(&store, &run, context.now())?)
            } else {
                (selection::typed(&store, &args.run, &run.job), ending::steps(&store, &run.job, context.now())?)
            };
            if let Some(newer) = selection::history(&store, &run.job)?.first().filter(|r| !is_run && r.id != run.id) {
                say!(context, "run {} is newer, and nothing of it was sent yet", newer.id);
            }
            run_text(&report, &next, about, context.width())
        }
        ReportFormat::Json => report.to_json(),
        ReportFormat::Csv => errors_csv(&outcome_report::build(&store, &run, exit)?.1, &report.error_groups),
        ReportFormat::Html => {
            let page = context.layout.report_page(&run.job, &run.id);
            std::fs::read_to_string(&page).with_context(|| format!("{} cannot be read", page.display()))?
        }
    };
    show(context, args.format, &text)?;
    if args.format == ReportFormat::Table && context.layout.report_json(&run.job, &run.id).exists() {
        say!(context, "this report for programs: {}", context.layout.report_json(&run.job, &run.id).display());
        if !report.error_groups.is_empty() {
            say!(context, "the errors, order by order: {}", context.layout.errors(&run.job, &run.id).display());
        }
    }
    Ok(Ending::Done.status())
}

/// Prints a report: for people as a screen shows it.
fn show(context: &Context, format: ReportFormat, text: &str) -> Result<()> {
    if format == ReportFormat::Table { print_text(context, text) } else { print(text) }
}

/// Tells what a job did in a time.
fn over_time(context: &Context, store: &Store, args: &Args, since: &str) -> Result<u8> {
    if RunId::is_id(&args.run) {
        return Err(UsageError(format!("--since is about a job; of one run: muster report {}", args.run)).into());
    }
    let job = selection::job_name(store, &args.run)?;
    let now = context.now();
    let report = period::build(store, &job, log::since(since, now)?, now)?;
    let about = selection::typed(store, &args.run, &job);
    let text = match args.format {
        ReportFormat::Table => report.to_text(about, context.width()),
        ReportFormat::Json => report.to_json(),
        ReportFormat::Csv => report.to_csv(),
        ReportFormat::Html => trend_page(&report, about),
    };
    show(context, args.format, &text)?;
    Ok(Ending::Done.status())
}

/// The exit status that a run's record tells; of one without a record what its job would end with now.
pub(super) fn exit_of(context: &Context, store: &Store, run: &RunRecord) -> Result<u8> {
    match told_before(&context.layout.report_json(&run.job, &run.id)).or(run.exit) {
        Some(exit) => Ok(exit),
        None => Ok(ending::of_job(store, &run.job, context.now())?.status()),
    }
}

/// The exit status of the run or apply that wrote the record last.
fn told_before(report: &Path) -> Option<u8> {
    let report: RunReport = serde_json::from_slice(&std::fs::read(report).ok()?).ok()?;
    Some(report.exit_status)
}

/// The run that is meant: by its id; of a job the newest that has outcomes, else the newest.
pub(super) fn newest(store: &Store, name: &str) -> Result<RunRecord> {
    let mut selected = selection::runs(store, name)?;
    let newest = selected.pop();
    if let Some(run) = newest.filter(|_| RunId::is_id(name)) {
        return Ok(run);
    }
    let job = selection::job_name(store, name)?;
    let runs = selection::history(store, &job)?;
    for run in &runs {
        if !store.outcomes(&run.id)?.is_empty() {
            return Ok(run.clone());
        }
    }
    runs.into_iter()
        .next()
        .ok_or_else(|| UsageError(format!("job {job} has not run yet; start with `muster run {job}`")).into())
}
