//! `muster thresholds JOB`: which limits are in force, what they would have done in the past, and what the past suggests.

use std::collections::BTreeSet;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::backtest_text::{held, limits, pasteable, proposals, summary};
use super::context::Context;
use super::exit::Ending;
use super::stdout::print_as;
use super::{selection, session};
use crate::job::{Job, SyncKind};
use crate::model::run::RunId;
use crate::reconcile::backtest::{History, PastRun, Tried, replay};
use crate::reconcile::suggestion::suggest;
use crate::report::figures::counted;
use crate::report::safe_text;
use crate::report::table::Format;
use crate::run::typed;
use crate::store::database::Store;

/// `muster thresholds`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "No target is touched and nothing is written.\n\nExamples:\n  muster thresholds idp-to-vault                      # the limits in force\n  muster thresholds idp-to-vault backtest --runs 200\n  muster thresholds idp-to-vault backtest --suggest   # limits to paste into the job file"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// Try the limits of the job file, as it is now, on past runs
    action: Option<Action>,
    /// So many of the newest runs
    #[arg(long, value_name = "N", default_value_t = 100, requires = "action", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Propose the least limits that hold none of the runs that came into effect
    #[arg(long, requires = "action")]
    suggest: bool,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Backtest,
}

/// Shows the limits, or tries them on the past.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let job = session::find_job(context, &args.job)?;
    let tried = tried(&job);
    let history = match args.action {
        None => History::default(),
        Some(Action::Backtest) => history(&selection::open_store(context)?, &job, args.runs as usize, context.now())?,
    };
    let backtest = replay(&history, &tried);
    let screen = context.screen();
    let people = args.format == Format::Table;
    let text = match args.action {
        None => limits(&backtest).render(args.format, screen),
        Some(_) if args.suggest && people => heading(&job, &history) + &pasteable(&suggest(&backtest)),
        Some(_) if args.suggest => proposals(&suggest(&backtest)).render(args.format, screen),
        Some(_) if people => heading(&job, &history) + &summary(&backtest, screen),
        Some(_) => held(&backtest).render(args.format, screen),
    };
    print_as(context, args.format, &text)?;
    if context.tells && people {
        let job = typed(&args.job);
        match args.action {
            None => eprintln!("what they would have done: muster thresholds {job} backtest"),
            Some(_) if !args.suggest => eprintln!("limits to paste: muster thresholds {job} backtest --suggest"),
            Some(_) => {}
        }
    }
    Ok(Ending::Done.status())
}

/// What the past is made of. A comment, so that the whole of a suggestion can be pasted.
fn heading(job: &Job, history: &History) -> String {
    let name = safe_text::line(&job.name);
    let judged = &history.runs[history.runs.len() - history.judged..];
    match (judged.first(), judged.last()) {
        (Some(first), Some(last)) => {
            let runs = counted(judged.len() as u64, "run");
            let day = |at: DateTime<Utc>| at.format("%Y-%m-%d");
            format!("# {runs} of {name}, {} to {}\n\n", day(first.started), day(last.started))
        }
        _ => format!("# {name} has not run yet\n\n"),
    }
}

/// The limits of a job.
pub(super) fn tried(job: &Job) -> Tried<'_> {
    let mut tried = Tried { orders: Vec::new(), snapshots: Vec::new() };
    for (name, settings) in &job.snapshots {
        tried.snapshots.push((name, &settings.thresholds));
    }
    for sync in &job.syncs {
        tried.orders.push(match &sync.kind {
            SyncKind::Objects(objects) => (&sync.to, &objects.thresholds, objects.scoped.as_slice()),
            SyncKind::Association(rows) => (&sync.to, &rows.thresholds, rows.scoped.as_slice()),
        });
    }
    tried
}

/// What is remembered of a job's runs. Runs that did not come as far as a snapshot have nothing to judge.
pub(super) fn history(store: &Store, job: &Job, judged: usize, now: DateTime<Utc>) -> Result<History> {
    let orders = store.orders_by_kind(&job.name, None, DateTime::UNIX_EPOCH)?;
    let movements = store.movements(&job.name, DateTime::UNIX_EPOCH)?;
    let moved: BTreeSet<&RunId> = movements.iter().map(|movement| &movement.run).collect();
    let mut runs = Vec::new();
    let mut until = now;
    for run in selection::history(store, &job.name)? {
        let next = std::mem::replace(&mut until, run.started);
        if run.plan_digest.is_none() && !moved.contains(&run.id) {
            continue;
        }
        // Its folder may be gone: then its sizes are unknown, and no percent is judged.
        let plan = store.registered_plan(&run.id).ok();
        let first = plan.iter().flat_map(|plan| &plan.situations).filter(|sync| sync.first_run);
        let first_loads = first.filter_map(|sync| job.syncs.iter().find(|known| known.id == sync.sync));
        runs.push(PastRun {
            started: run.started,
            ended: run.ended.unwrap_or(next),
            state: run.state,
            first_loads: first_loads.map(|sync| sync.to.clone()).collect(),
            sizes: plan.as_ref().map(|plan| plan.sizes.clone()).unwrap_or_default(),
            accepted: !store.acceptances(&run.id)?.is_empty(),
            id: run.id,
        });
    }
    runs.reverse();
    let judged = judged.min(runs.len());
    Ok(History { runs, judged, orders, movements })
}
