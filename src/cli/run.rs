//! `muster run JOB`: what cron calls.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::Ending;
use super::session;
use super::troubles::Ended;
use super::{ending, notices, outcome_report, selection, status};
use crate::model::evidence::Mode;
use crate::model::order::OrderState;
use crate::model::record::{LiveKind, RunRecord};
use crate::model::run::RunId;
use crate::report::figures::counted;
use crate::report::next_steps::NextSteps;
use crate::report::report_json::Export;
use crate::report::safe_text;
use crate::run::{Applied, PlanOptions, RunEnd, RunOptions, Stage};
use crate::store::database::Store;

/// `muster run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster run idp-to-vault\n  muster run jobs/idp-to-vault.toml --mode complete\n  muster run idp-to-vault --wait 10m   # by hand, while the timer's run may be under way"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// How much to export; increments go complete by themselves where they have to
    #[arg(long, default_value = "incremental", value_parser = ["incremental", "complete"])]
    mode: String,
    /// Plan, and block every order: a person lifts each one
    #[arg(long)]
    block: bool,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
    /// At the end, write what monitoring wants to know into this file, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

/// Runs a job to its end.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let plan = PlanOptions { block: args.block, ..PlanOptions::default() };
    let ended = carry(context, &args.job, &args.mode, Stage::Apply, plan, None, args.wait).await;
    if let Some(file) = &args.metrics_file {
        // However it ended: monitoring has to hear of that above all.
        let measured = selection::open_store(context).and_then(|store| {
            let job = selection::job_name(&store, &args.job)?;
            status::write_metrics(context, &store, &[job], file)
        });
        if let Err(error) = measured {
            eprintln!("muster: warning: nothing was measured: {error:#}");
        }
    }
    ended
}

/// Carries a run as far as `stage`, tells people, and gives the exit status.
pub(super) async fn carry(
    context: &Context,
    job: &str,
    mode: &str,
    stage: Stage,
    plan: PlanOptions,
    from: Option<RunId>,
    wait: Duration,
) -> Result<u8> {
    let (mut session, id) = session::for_run(context, job, wait)?;
    let mode = if mode == "complete" { Mode::Complete } else { Mode::Incremental };
    let options = RunOptions { run: id.clone(), mode, stage, plan, from };
    let end = session.conductor.run(&options).await;
    session.console.end();
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            // What failed before the run began leaves no run.
            if session.conductor.store.run(&id).is_ok() {
                session.conductor.store.end_run(&id, Ending::Failed.status(), context.now())?;
            }
            if stage == Stage::Apply {
                let told = error.to_string();
                let ended = Ended { run: Some(&id), end: None, applied: None, error: Some(&told) };
                notices::tell(context, &session.conductor, &ended).await;
            }
            return Err(error.into());
        }
    };
    let steps = match stage {
        Stage::Export => NextSteps::of(&session.conductor.job.name),
        Stage::Plan | Stage::Apply => {
            ending::steps(&session.conductor.store, &session.conductor.job.name, context.now())?
        }
    };
    let ending = conclude(&end, &steps);
    let status = ending.status();
    session.conductor.store.end_run(&id, status, context.now())?;
    let report = outcome_report::write(context, &session.conductor.store, &id, status)?;
    let mut failed = Vec::new();
    for run in end.applied.iter().flat_map(|applied| &applied.runs).filter(|run| **run != id) {
        failed.push(outcome_report::write(context, &session.conductor.store, run, status)?);
    }
    let store = &session.conductor.store;
    let telling = Telling {
        context,
        store,
        end: &end,
        about: selection::typed(store, job, &steps.job).to_owned(),
        repeats: context.tells || mode == Mode::Complete,
    };
    telling.tell(&report.exports, &steps)?;
    if end.applied.as_ref().is_some_and(super::apply::is_news) {
        failed.push(report);
        failed.iter().for_each(|report| super::apply::tell_errors(context, &*session.conductor.reporter, report));
    }
    telling.tell_next(steps, (stage, status))?;
    if stage == Stage::Apply {
        let ended = Ended { run: Some(&id), end: Some(&end), applied: end.applied.as_ref(), error: None };
        notices::tell(context, &session.conductor, &ended).await;
    }
    Ok(status)
}

fn conclude(end: &RunEnd, steps: &NextSteps) -> Ending {
    let mut endings = vec![ending::of(steps)];
    if !end.failures.is_empty() || !end.given_up.is_empty() || !end.judges_nobody.is_empty() {
        endings.push(Ending::Failed);
    }
    if let Some(applied) = &end.applied {
        endings.extend(of_apply(applied));
    }
    Ending::worst(endings)
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

/// How a run's end is told.
struct Telling<'a> {
    context: &'a Context,
    store: &'a Store,
    end: &'a RunEnd,
    /// What commands are to name the job by.
    about: String,
    /// Whether a hold that was told before is told again: to those who look on, and at a complete run, which nobody
    /// asks for but by hand. cron mails what is printed.
    repeats: bool,
}

impl Telling<'_> {
    fn tell(&self, exports: &[Export], steps: &NextSteps) -> Result<()> {
        // Why was told when it happened: a failed export is an error, which the console tells in quiet mode too.
        for (system, _) in &self.end.failures {
            let system = safe_text::line(system);
            eprintln!("  nothing was planned from {system}; the next run reads it completely");
        }
        if !self.end.failures.is_empty() && !self.end.unplanned.is_empty() {
            let syncs: Vec<String> = self.end.unplanned.iter().map(|id| safe_text::line(id).into_owned()).collect();
            eprintln!("  not planned, as what they need is not there: {}", syncs.join(", "));
        }
        for sync in &self.end.judges_nobody {
            let (sync, run) = (safe_text::line(sync), &self.end.run);
            eprintln!(
                "muster: error: {sync}: nobody whom it may be about can be judged, and nothing was planned of it; muster review {run} says why"
            );
        }
        // The console tells it to whoever looks on.
        for given_up in self.end.given_up.iter().filter(|_| !self.context.tells) {
            eprintln!("muster: warning: {}", safe_text::line(given_up));
        }
        if let Some(unseen) = &self.end.unseen {
            eprintln!("muster: {}", safe_text::line(unseen));
        }
        for run in steps.held.iter().filter(|run| self.is_told(run)) {
            tell_hold(self.store, &self.store.run(run)?)?;
        }
        if let Some(applied) = &self.end.applied {
            super::apply::tell(self.context, applied);
        }
        if !self.context.tells && !self.context.quiet {
            for export in exports {
                if let Some(missed) = export.missed.filter(|missed| !missed.is_nothing()) {
                    let resource = safe_text::line(&export.resource.to_string()).into_owned();
                    eprintln!("muster: warning: the increments of {resource} had missed {missed}; this run has them");
                }
            }
            for warning in new_warnings(self.store, self.end)? {
                eprintln!("muster: warning: {}", safe_text::line(&warning));
            }
        }
        Ok(())
    }

    /// Whether what holds a run is told at the end of this one, whole and with the command that accepts it.
    fn is_told(&self, held: &RunId) -> bool {
        self.repeats || (self.end.repeats.is_none() && *held == self.end.run)
    }

    /// What waits, and the commands that move it: orders that failed now and new ones that wait are news, the same ones
    /// at the next tick are not.
    fn tell_next(&self, mut steps: NextSteps, (stage, status): (Stage, u8)) -> Result<()> {
        let (end, now) = (self.end, self.context.now());
        if self.context.quiet {
            return Ok(());
        }
        let failed = end.applied.as_ref().is_some_and(|applied| !of_apply(applied).is_empty());
        if !self.context.tells && !failed {
            let kinds = self.store.live_kinds(&steps.job, Some(&end.run))?;
            let new: u64 = kinds.iter().filter(|kind| ending::they_wait(kind, now)).map(|kind| kind.orders).sum();
            let is_blocked = |kind: &&LiveKind| kind.state == OrderState::Blocked && !ending::they_wait(kind, now);
            let blocked: u64 = kinds.iter().filter(is_blocked).map(|kind| kind.orders).sum();
            if new + blocked > 0 {
                let (orders, job) = (counted(new, "new order"), safe_text::line(&steps.job));
                let blocked = if blocked > 0 { format!(", {blocked} blocked") } else { String::new() };
                eprintln!(
                    "muster: run {} of job {job}: {orders} to review{blocked}; muster review {}",
                    end.run, end.run
                );
            }
            return Ok(());
        }
        eprintln!("run {} ends with status {status}", end.run);
        if !end.failures.is_empty() {
            let name = safe_text::line(&self.about);
            eprintln!(
                "the export of a system failed: mend the cause\nnext: muster check {name}\nthen: muster run {name}"
            );
        } else if stage == Stage::Export {
            eprintln!("next: muster plan {} --from {}", safe_text::line(&self.about), end.run);
        }
        // What holds a run was told with the command that accepts it.
        let held = steps.held.len();
        steps.held.retain(|run| !self.is_told(run));
        let text = steps.text(&self.about, None);
        let is_known = stage > Stage::Export && end.failures.is_empty() && steps.held.len() == held;
        if !text.starts_with("nothing waits") || is_known {
            eprintln!("{}", text.trim_end());
        }
        Ok(())
    }
}

/// What the plan warns of and the one before did not: rows that no rule can judge, members that were skipped.
fn new_warnings(store: &Store, end: &RunEnd) -> Result<Vec<String>> {
    let record = store.run(&end.run)?;
    if record.plan_digest.is_none() {
        return Ok(Vec::new());
    }
    let mut warnings = store.registered_plan(&end.run)?.warnings;
    let earlier = store.runs(&record.job, 0)?.into_iter().find(|r| r.id != end.run && r.plan_digest.is_some());
    // A plan that was tampered with is refused where it matters, at apply; here it only repeats a warning.
    if let Some(known) = earlier.and_then(|run| store.registered_plan(&run.id).ok()) {
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
        let explanation = super::review::hold_explanation(hold, 2);
        if !explanation.is_empty() {
            eprintln!("{}", explanation.trim_end());
        }
    }
    if !holds.is_empty() {
        eprintln!("  to see what it is about: muster review {}", run.id);
        eprintln!("  next, if that is as it should be: {}", super::review::accept_command(run, &holds));
    }
    Ok(())
}
