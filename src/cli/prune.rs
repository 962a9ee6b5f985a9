//! `muster prune [JOB]`: folders whose time is over.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::{self, Ending};
use super::selection;
use super::session::{self, Purpose};
use super::stdout::print_as;
use crate::model::run::RunId;
use crate::report::figures::{bytes, counted};
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::store::retention::{Folder, Overdue};

/// `muster prune`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "How long things are kept says the job file: [retention] exports (14d unless set), runs (1y) and requests (requests.ndjson and run.log of each run; as long as runs) and history (what the database remembers of runs whose folders are gone; for ever). Every `muster run` does the same at its end. Time is counted from run to run: where none was made for longer than half of it, or the clock leapt, half is counted. Never removed are the last accepted snapshots, what is held, and runs with orders that have not ended or approvals that have not expired. A run whose folder is removed can be undone no more; the database keeps what it knows of it.\n\nExamples:\n  muster prune --dry-run   # what would go, and what stays although its time is over\n  muster prune idp-to-vault"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/ [default: every job that has run]
    job: Option<String>,
    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// What became of the folders of one job.
struct Pruned {
    job: String,
    overdue: Vec<Overdue>,
    /// Runs whose history is forgotten, with the bytes of what the log says of each.
    history: Vec<(RunId, u64)>,
    /// Bytes that are free now.
    freed: u64,
}

/// Removes folders, or lists those that would go.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let store = selection::open_store(context)?;
    let mut endings = Vec::new();
    let mut all = Vec::new();
    match &args.job {
        Some(name) => all.push(prune(context, session::find_job(context, name)?, &args)?),
        None => {
            for job in store.jobs()? {
                // One job whose file is gone keeps nothing from the others.
                match session::job_of(&store, &job).and_then(|file| prune(context, file, &args)) {
                    Ok(pruned) => all.push(pruned),
                    Err(error) => {
                        eprintln!("muster: job {}: {error:#}", safe_text::line(&job));
                        endings.push(exit::status_of(&error));
                    }
                }
            }
        }
    }
    let listing = listing(&all, args.dry_run, args.format);
    if args.format != Format::Table || !listing.rows.is_empty() {
        print_as(context, args.format, &listing.render(args.format, context.screen()))?;
    }
    for pruned in &all {
        let of = |is_requests: bool| {
            let going = pruned.overdue.iter().filter(|overdue| overdue.stays.is_none());
            going.filter(|overdue| (overdue.folder == Folder::Requests) == is_requests).count() as u64
        };
        let parts = [(of(false), "folder"), (of(true), "request log"), (pruned.history.len() as u64, "run's history")];
        let going: u64 = parts.iter().map(|(number, _)| number).sum();
        let job = safe_text::line(&pruned.job);
        let told = parts.iter().filter(|(number, _)| *number > 0).map(|part| match *part {
            (number, "run's history") if number > 1 => format!("the history of {number} runs"),
            (number, what) => counted(number, what),
        });
        let folders = told.collect::<Vec<_>>().join(", ");
        match (going, args.dry_run) {
            (0, _) => say!(context, "job {job}: nothing to remove"),
            (_, true) => say!(context, "job {job}: {folders} would be removed; next: muster prune {job}"),
            (_, false) => say!(context, "job {job}: {folders} removed, {} free now", bytes(pruned.freed)),
        }
    }
    Ok(Ending::worst(endings).status())
}

fn prune(context: &Context, job: crate::job::Job, args: &Args) -> Result<Pruned> {
    let name = job.name.clone();
    let purpose = if args.dry_run { Purpose::Look } else { Purpose::Prune(args.wait) };
    let mut session = session::of(context, job, purpose)?;
    let overdue = session.conductor.overdue()?;
    let freed = if args.dry_run { 0 } else { session.conductor.prune(&overdue)? };
    // What goes now leaves a history that may be old enough itself.
    let history = session.conductor.old_history(&overdue)?;
    if !args.dry_run {
        session.conductor.forget_history(&history)?;
    }
    Ok(Pruned { job: name, overdue, history, freed })
}

/// The folders whose time is over, one a row.
fn listing(all: &[Pruned], dry_run: bool, format: Format) -> Listing {
    let mut columns = if all.len() > 1 || format != Format::Table { vec![Column::new("job")] } else { Vec::new() };
    let names_job = !columns.is_empty();
    columns.extend(["run", "folder", "size", "end"].map(Column::whole));
    let mut listing = Listing::new(columns);
    let people = format == Format::Table;
    for (job, overdue) in all.iter().flat_map(|pruned| pruned.overdue.iter().map(|overdue| (&pruned.job, overdue))) {
        let end = match &overdue.stays {
            Some(why) => format!("stays: {why}"),
            None if dry_run => "goes".to_owned(),
            None => "removed".to_owned(),
        };
        let mut row = if names_job { vec![job.as_str().into()] } else { Vec::new() };
        row.push(overdue.run.0.as_str().into());
        row.push(overdue.folder.word().into());
        row.push(if people { bytes(overdue.bytes).into() } else { overdue.bytes.into() });
        row.push(end.into());
        listing.push(row);
    }
    for (job, (run, size)) in all.iter().flat_map(|pruned| pruned.history.iter().map(|run| (&pruned.job, run))) {
        let mut row = if names_job { vec![job.as_str().into()] } else { Vec::new() };
        row.extend([run.0.as_str().into(), "history".into()]);
        row.push(if people { bytes(*size).into() } else { (*size).into() });
        row.push(if dry_run { "goes" } else { "removed" }.into());
        listing.push(row);
    }
    listing
}
