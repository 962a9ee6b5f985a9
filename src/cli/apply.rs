//! `muster apply RUN` and `muster retry RUN`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::session::{self, Purpose};
use super::{ending, outcome_report, report, run, selection};
use crate::model::order::{OrderId, OrderState};
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::report::figures::{count, counted, examples};
use crate::report::safe_text;
use crate::run::{Applied, ApplyRequest};
use crate::store::database::Store;

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

/// `muster retry`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Errored orders go back to approved while their approval lasts, else to review. They are sent as they were: what was corrected at the source or in the job is planned anew by `muster run`.\n\nExamples:\n  muster retry idp-to-vault\n  muster retry idp-to-vault --group 1 --first"
)]
pub(super) struct RetryArgs {
    /// A run, or a job's name
    run: String,
    /// Only the orders of one cause, by its number in `muster report RUN`
    #[arg(long, value_name = "NUMBER")]
    group: Option<usize>,
    /// Only the first errored order, to see whether the mend works
    #[arg(long)]
    first: bool,
    /// Only these orders
    #[arg(long, value_name = "ID")]
    order: Vec<String>,
}

/// Sends what is approved.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let (job, job_file) = {
        let store = selection::open_store(context)?;
        let selected = selection::runs(&store, &args.run)?;
        let Some(first) = selected.first() else {
            return Err(UsageError(format!("there is no run of `{}`", args.run)).into());
        };
        (first.job.clone(), session::job_of(&store, &first.job)?)
    };
    let mut session = session::of(context, job_file, Purpose::Apply(args.wait))?;
    let request = ApplyRequest { run: RunId::is_id(&args.run).then(|| RunId(args.run.clone())), first: args.first };
    let applied = session.conductor.apply_after_recovery(&request).await;
    session.console.end();
    let applied = applied?;
    tell(context, &applied);
    let store = &session.conductor.store;
    let mut steps = ending::steps(store, &job, context.now())?;
    steps.refused = !applied.refused.is_empty();
    let mut endings = run::of_apply(&applied);
    endings.push(ending::of(&steps));
    let ending = Ending::worst(endings);
    for run in &applied.runs {
        let report = outcome_report::write(context, store, run, ending.status())?;
        if applied.errored + applied.uncertain > 0 && !report.error_groups.is_empty() {
            eprintln!("  the errors, order by order: {}", context.layout.errors(&job, run).display());
        }
    }
    let nothing = applied == Applied::default();
    if nothing {
        eprintln!("nothing is approved");
    }
    if nothing || context.tells || ending != Ending::Done {
        eprintln!("{}", steps.text(selection::typed(store, &args.run, &job), None).trim_end());
    }
    Ok(ending.status())
}

/// What an apply came to, and what it refused. Why it stopped was told when it did.
pub(super) fn tell(context: &Context, applied: &Applied) {
    for refusal in &applied.refused {
        eprintln!("muster: refused: {}", safe_text::line(refusal));
    }
    for expired in &applied.expired {
        eprintln!("muster: not applied: {}", safe_text::line(expired));
    }
    let is_news = applied.errored + applied.uncertain + applied.stale > 0 || applied.stopped.is_some();
    if (context.tells && !applied.runs.is_empty()) || is_news {
        let mut parts = vec![format!("{} applied", count(applied.applied))];
        for (number, word) in [
            (applied.errored, "errored"),
            (applied.uncertain, "uncertain"),
            (applied.stale, "stale"),
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
    if applied.stale > 0 {
        let stale = examples(applied.stale_first.iter().map(String::as_str), applied.stale, applied.stale_first.len());
        eprintln!("stale, because the object changed since the plan: {stale}; the next run plans anew");
    }
}

/// The orders that failed for one cause, by the cause's number in the report of their run.
fn group(store: &Store, run: &RunRecord, number: usize) -> Result<BTreeSet<OrderId>> {
    let (report, rows) = outcome_report::build(store, run, Ending::Done.status())?;
    let Some(group) = number.checked_sub(1).and_then(|at| report.error_groups.get(at)) else {
        let groups = counted(report.error_groups.len() as u64, "cause");
        let text = format!("--group {number}: run {} has {groups} of errors; see `muster report {}`", run.id, run.id);
        return Err(UsageError(text).into());
    };
    Ok(rows.into_iter().filter(|row| row.cause() == group.cause).map(|row| row.order).collect())
}

/// Returns errored orders to approved.
pub(super) fn retry(context: &Context, args: RetryArgs) -> Result<u8> {
    let mut store = selection::open_store(context)?;
    let mut errored: Vec<OrderId> = Vec::new();
    let runs = selection::runs(&store, &args.run)?;
    for run in &runs {
        let orders = store.orders_of(&run.id)?.into_iter().filter(|o| o.state == OrderState::Errored);
        errored.extend(orders.map(|o| o.id));
    }
    if let Some(number) = args.group {
        let run = report::newest(&store, &args.run)?;
        let of_group = group(&store, &run, number)?;
        errored.retain(|id| of_group.contains(id));
    }
    if !args.order.is_empty() {
        if let Some(unknown) = args.order.iter().find(|id| !errored.iter().any(|o| o.0 == **id)) {
            return Err(UsageError(format!(
                "order {unknown} is not errored in {}; `muster report {}` lists those that are",
                args.run, args.run
            ))
            .into());
        }
        errored.retain(|id| args.order.contains(&id.0));
    }
    if args.first {
        errored.truncate(1);
    }
    if errored.is_empty() {
        eprintln!("nothing is errored in {}", args.run);
        return Ok(Ending::Done.status());
    }
    // Told before it is done once more in vain: the orders know nothing of what was corrected since.
    let mut refused = 0;
    for run in &runs {
        refused += store
            .outcomes(&run.id)?
            .iter()
            .filter(|outcome| outcome.failure.as_ref().is_some_and(|failure| failure.class.is_about_content()))
            .filter(|outcome| errored.contains(&outcome.order))
            .count();
    }
    let approved = store.retry(&errored, &context.person(), context.now())?;
    let waiting = errored.iter().filter(|id| !approved.contains(id)).count();
    eprintln!("{} approved again", counted((errored.len() - waiting) as u64, "order"));
    if let (1.., Some(run)) = (refused, runs.first()) {
        eprintln!(
            "sent as they were, though their content was refused: {}; what is corrected at the source or in the job, muster run {} plans anew",
            count(refused as u64),
            safe_text::line(&run.job)
        );
    }
    if waiting > 0 {
        let verb = if waiting == 1 { "waits" } else { "wait" };
        eprintln!("{} {verb} for review again: the approval has expired", counted(waiting as u64, "order"));
        eprintln!("next: muster review {}", args.run);
        return Ok(Ending::Waits.status());
    }
    eprintln!("next: muster apply {}", args.run);
    Ok(Ending::Done.status())
}
