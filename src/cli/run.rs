//! `muster run JOB`: what cron calls.

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::context::Context;
use super::exit::Ending;
use super::session::{self, Purpose, Session};
use super::{ending, outcome_report};
use crate::model::evidence::Mode;
use crate::model::order::OrderState;
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::report::figures::counted;
use crate::report::report_json::Export;
use crate::report::safe_text;
use crate::run::{Applied, PlanOptions, RunEnd, RunOptions, Stage};
use crate::store::database::Store;

/// `muster run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  muster run idp-to-vault\n  muster run jobs/idp-to-vault.toml --mode complete")]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// How much to export; increments go complete by themselves where they have to
    #[arg(long, default_value = "incremental", value_parser = ["incremental", "complete"])]
    mode: String,
    /// Plan, and block every order: a person lifts each one
    #[arg(long)]
    block: bool,
}

/// Runs a job to its end.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let plan = PlanOptions { block: args.block, ask_again: false };
    carry(context, &args.job, &args.mode, Stage::Apply, plan, None).await
}

/// Carries a run as far as `stage`, tells people, and gives the exit status.
pub(super) async fn carry(
    context: &Context,
    job: &str,
    mode: &str,
    stage: Stage,
    plan: PlanOptions,
    from: Option<RunId>,
) -> Result<u8> {
    let now = context.now();
    let id = RunId::new(now, context.salt(now));
    let mut session = session::open(context, job, Purpose::Run(id.clone()))?;
    let mode = if mode == "complete" { Mode::Complete } else { Mode::Incremental };
    let options = RunOptions { run: id.clone(), mode, stage, plan, from };
    let end = session.conductor.run(&options).await;
    session.console.end();
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            session.conductor.store.end_run(&id, Ending::Failed.status(), context.now())?;
            return Err(error.into());
        }
    };
    let ending = conclude(&mut session, &end, stage, context.now())?;
    let status = ending.status();
    session.conductor.store.end_run(&id, status, context.now())?;
    let report = outcome_report::write(context, &session.conductor.store, &id, status)?;
    tell(context, &session, &end, ending, &report.exports)?;
    Ok(status)
}

fn conclude(session: &mut Session, end: &RunEnd, stage: Stage, now: DateTime<Utc>) -> Result<Ending> {
    let mut endings = Vec::new();
    if !end.failures.is_empty() {
        endings.push(Ending::Failed);
    }
    if let Some(applied) = &end.applied {
        endings.extend(of_apply(applied));
    }
    if stage > Stage::Export {
        endings.push(ending::of_job(&session.conductor.store, &session.conductor.job.name, now)?);
    }
    Ok(Ending::worst(endings))
}

/// What an apply alone says about how a command ends.
pub(super) fn of_apply(applied: &Applied) -> Vec<Ending> {
    let mut endings = Vec::new();
    if applied.stopped.is_some() || !applied.refused.is_empty() {
        endings.push(Ending::Failed);
    }
    if applied.errored + applied.uncertain > 0 {
        endings.push(Ending::OrderErrors);
    }
    endings
}

fn tell(context: &Context, session: &Session, end: &RunEnd, ending: Ending, exports: &[Export]) -> Result<()> {
    let store = &session.conductor.store;
    let job = &session.conductor.job.name;
    // Why was told when it happened: a failed export is an error, which the console tells in quiet mode too.
    for (system, _) in &end.failures {
        let system = safe_text::line(system);
        eprintln!("  nothing was planned from {system}; the next run reads it completely");
    }
    // A hold that was told before is told again only to those who ask: `status`, `review`.
    if end.repeats.is_none() && ending == Ending::Held {
        for run in store.runs(job, 50)?.into_iter().filter(|r| r.state.is_held()) {
            if run.id != end.run && !context.tells {
                continue;
            }
            tell_hold(store, &run)?;
        }
    }
    if let Some(applied) = &end.applied {
        super::apply::tell(context, store, applied)?;
    }
    if !context.tells {
        for export in exports {
            if let Some(missed) = export.missed.filter(|missed| !missed.is_nothing()) {
                let resource = safe_text::line(&export.resource.to_string()).into_owned();
                eprintln!("muster: warning: the increments of {resource} had missed {missed}; this run has them");
            }
        }
        for warning in new_warnings(store, end)? {
            eprintln!("muster: warning: {}", safe_text::line(&warning));
        }
    }
    // cron mails what is printed: new orders that wait are news, the same ones at the next tick are not.
    if !context.tells {
        let new = store.orders_of(&end.run)?.iter().filter(|o| ending::waits(o, context.now())).count();
        if new > 0 {
            let orders = counted(new as u64, "new order");
            eprintln!("muster: run {} of job {job}: {orders} to review; muster review {}", end.run, end.run);
        }
    }
    if context.tells {
        let next = match ending {
            Ending::Waits => format!("next: muster review {job}, then muster approve {job} --all --comment '…'"),
            Ending::OrderErrors => format!("next: muster report {job}"),
            Ending::Held if end.repeats.is_none() => "held, see above".to_owned(),
            Ending::Held => format!("next: muster review {job}"),
            Ending::Failed if !end.failures.is_empty() => {
                format!("next: mend the cause, then muster check {job} and muster run {job}")
            }
            Ending::Done => match store.order_counts(job, None)?.get(&OrderState::Blocked) {
                Some(1..) => format!("nothing waits for a person, but orders are blocked; next: muster review {job}"),
                _ => "nothing waits".to_owned(),
            },
            _ => format!("next: muster status {job}"),
        };
        eprintln!("run {}: {next}", end.run);
    }
    Ok(())
}

/// What the plan warns of and the one before did not: rows that no rule can judge, members that were skipped.
fn new_warnings(store: &Store, end: &RunEnd) -> Result<Vec<String>> {
    let record = store.run(&end.run)?;
    if record.plan_digest.is_none() {
        return Ok(Vec::new());
    }
    let mut warnings = store.verify_plan(&end.run)?.warnings;
    let earlier = store.runs(&record.job, 0)?.into_iter().find(|r| r.id != end.run && r.plan_digest.is_some());
    // A plan that was tampered with is refused where it matters, at apply; here it only repeats a warning.
    if let Some(known) = earlier.and_then(|run| store.verify_plan(&run.id).ok()) {
        warnings.retain(|warning| !known.warnings.contains(warning));
    }
    Ok(warnings)
}

/// What holds a run, and the one command that accepts all of it.
fn tell_hold(store: &Store, run: &RunRecord) -> Result<()> {
    let holds = store.unaccepted_holds(&run.id)?;
    for hold in &holds {
        eprintln!("muster: held: {}", safe_text::line(&hold.detail));
        if !hold.first.is_empty() {
            let first: Vec<&str> = hold.first.iter().map(String::as_str).collect();
            eprintln!("  first: {}", safe_text::line(&first.join(", ")));
        }
        eprint!("{}", super::review::hold_explanation(hold, 2));
    }
    if !holds.is_empty() {
        eprintln!("  to see what it is about: muster review {}", run.id);
        eprintln!("  next, if that is as it should be: {}", super::review::accept_command(run, &holds));
    }
    Ok(())
}
