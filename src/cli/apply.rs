//! `muster apply RUN`.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::session::{self, Purpose};
use super::troubles::Ended;
use super::{ending, notices, outcome_report, run, selection};
use crate::job::Job;
use crate::model::event::{Event, Reporter};
use crate::model::run::RunId;
use crate::report::error_groups::{ErrorGroup, not_started};
use crate::report::figures::{count, counted};
use crate::report::report_json::RunReport;
use crate::report::safe_text;
use crate::run::{Applied, ApplyRequest};

/// How many causes are shown.
const TOLD: usize = 5;

/// `muster apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  muster apply idp-to-vault\n  muster apply 20261122T150405Z-7f3a --first 1")]
pub(super) struct Args {
    /// A run, or a job's name: all its runs with approved orders, oldest first
    run: String,
    /// Send only the first so many, then look
    #[arg(long, value_name = "N")]
    first: Option<usize>,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Sends what is approved.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let job_file = {
        let store = selection::open_store(context)?;
        let selected = selection::runs(&store, &args.run)?;
        let Some(first) = selected.first() else {
            return Err(UsageError(format!("there is no run of `{}`; `muster status` lists the runs", args.run)).into());
        };
        session::job_of(&store, &first.job)?
    };
    let run = RunId::is_id(&args.run).then(|| RunId(args.run.clone()));
    let request = ApplyRequest { run, first: args.first, only: None };
    send(context, (&args.run, job_file), &request, args.wait).await
}

/// Sends what is approved of a job; `typed` is what the user called it.
pub(super) async fn send(
    context: &Context,
    (typed, job_file): (&str, Job),
    request: &ApplyRequest,
    wait: Duration,
) -> Result<u8> {
    let job = job_file.name.clone();
    let mut session = session::of(context, job_file, Purpose::Apply(wait))?;
    let applied = session.conductor.apply_after_recovery(request).await;
    session.console.end();
    let applied = match applied {
        Ok(applied) => applied,
        Err(error) => {
            let told = error.to_string();
            let ended = Ended { run: request.run.as_ref(), end: None, applied: None, error: Some(&told) };
            notices::tell(context, &session.conductor, &ended).await;
            return Err(error.into());
        }
    };
    tell(context, &applied);
    let store = &session.conductor.store;
    let mut steps = ending::steps(store, &job, context.now())?;
    steps.refused = !applied.refused.is_empty();
    let mut endings = run::of_apply(&applied);
    endings.push(ending::of(&steps));
    let ending = Ending::worst(endings);
    for run in &applied.runs {
        let report = outcome_report::write(context, store, run, ending.status())?;
        if is_news(&applied) {
            tell_errors(context, &*session.conductor.reporter, &report);
        }
    }
    let nothing = applied == Applied::default();
    if nothing {
        say!(context, "nothing is approved");
    }
    if nothing || context.tells || ending != Ending::Done {
        // Whoever asks for quiet is told what holds a run all the same.
        if !context.quiet || ending == Ending::Held {
            eprintln!("{}", steps.text(selection::typed(store, typed, &job), None).trim_end());
        }
    }
    let ended =
        Ended { run: applied.runs.first().or(request.run.as_ref()), end: None, applied: Some(&applied), error: None };
    notices::tell(context, &session.conductor, &ended).await;
    Ok(ending.status())
}

/// Whether orders failed, or the apply stopped before its end.
pub(super) fn is_news(applied: &Applied) -> bool {
    applied.errored + applied.uncertain > 0 || applied.stopped.is_some()
}

/// What an apply came to, and what it refused. Why it stopped was told when it did.
pub(super) fn tell(context: &Context, applied: &Applied) {
    for refusal in &applied.refused {
        eprintln!("muster: refused: {}", safe_text::line(refusal));
    }
    for expired in &applied.expired {
        eprintln!("muster: not applied: {}", safe_text::line(expired));
    }
    let stale = applied.stale > 0 && !context.quiet;
    let rejected = applied.rejected > 0 && !context.quiet;
    if (context.tells && !applied.runs.is_empty()) || is_news(applied) || stale || rejected {
        let mut parts = vec![format!("{} applied", count(applied.applied))];
        for (number, word) in [
            (applied.errored, "errored"),
            (applied.uncertain, "uncertain"),
            (applied.stale, "stale"),
            (applied.rejected, "rejected meanwhile"),
            (applied.blocked, "blocked by these"),
            (applied.in_flight, "in flight, to be looked up"),
            (applied.untried, "not tried, still approved"),
        ] {
            if number > 0 {
                parts.push(format!("{} {word}", count(number)));
            }
        }
        eprintln!("orders: {}", parts.join(", "));
    }
    if stale {
        eprintln!("stale, and not sent; what is still wanted, the next run plans anew:");
        tell_unsent(applied, applied.stale, &applied.stale_first);
    }
    if rejected {
        eprintln!("rejected while the apply was under way, and not sent:");
        tell_unsent(applied, applied.rejected, &applied.rejected_first);
    }
}

/// The first of some orders that were not sent, each with why, and how many more there are.
fn tell_unsent(applied: &Applied, all: u64, first: &[(String, String)]) {
    for (order, why) in first {
        eprintln!("  `{}`: {}", safe_text::line(order), safe_text::line(why));
    }
    let told = first.len() as u64;
    if all > told {
        let run = applied.runs.first().map_or("JOB", |run| &run.0);
        eprintln!("  and {} more: muster report {run}", count(all - told));
    }
}

/// The errors of a run by cause, and the kinds of which nothing was tried: on the screen, and in the run's log.
pub(super) fn tell_errors(context: &Context, reporter: &dyn Reporter, report: &RunReport) {
    let not_started = not_started(&report.left);
    if report.error_groups.is_empty() && not_started.is_empty() {
        return;
    }
    let groups: Vec<String> = report.error_groups.iter().map(ErrorGroup::sentence).collect();
    let errors = if groups.is_empty() { String::new() } else { format!("errors: {}", report.errors) };
    let left = if not_started.is_empty() { String::new() } else { format!("not started: {not_started}") };
    let whole = [errors.as_str()].into_iter().chain(groups.iter().map(String::as_str)).chain([left.as_str()]);
    let whole: Vec<&str> = whole.filter(|part| !part.is_empty()).collect();
    reporter.event(&Event::Note(format!("run {}: {}", report.run, whole.join("; "))));
    if !errors.is_empty() {
        eprintln!("  {errors}");
    }
    for group in groups.iter().take(TOLD) {
        eprintln!("    {group}");
    }
    if groups.len() > TOLD {
        eprintln!("    and {}", counted((groups.len() - TOLD) as u64, "more cause"));
    }
    if !left.is_empty() {
        eprintln!("  {left}");
    }
    if let Some(group) = report.error_groups.first() {
        let which = if groups.len() > 1 { "the first cause" } else { "this cause" };
        if !group.retry.is_empty() {
            eprintln!("  one order of {which} again, {}: {}", group.when(), group.retry);
        }
        let errors = context.layout.errors(&report.job, &report.run);
        eprintln!("  the errors, order by order: {}", errors.display());
    }
}
