//! `muster revert RUN`: a plan that undoes what a run applied.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::selection::{self, Filter};
use super::{ending, outcome_report, session};
use crate::model::order::{Operation, OrderId};
use crate::model::plan::LeftOrder;
use crate::model::record::RunRecord;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::report::figures::{count, counted};
use crate::report::safe_text;
use crate::report::summary::left_text;
use crate::rules::problem::did_you_mean;
use crate::run::{RevertEnd, RevertOptions};
use crate::store::database::Store;

/// Applied orders left as they are that are told one by one.
const TOLD: usize = 10;

/// `muster revert`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is sent: the inverse of each applied order is planned from what was there before, reviewed, approved and applied as any plan. An object that changed since is left as it is, and told. A create is undone by a disable, or by a delete where the job deletes at once (on.orphan = \"delete\"); a delete cannot be undone. What was undone is not planned again while the source and the job's rules want the same; once a run found that they do not, the same later is planned anew, as it is by `muster plan JOB --ask-again`.\n\nExamples:\n  muster revert 20261122T150405Z-7f3a\n  muster revert idp-to-vault --group \"update vault.users\"\n  muster revert idp-to-vault --order o-608cf67bedaaa6a2-1"
)]
pub(super) struct Args {
    /// A run, or a job's name: the run of which an order was applied last
    run: String,
    /// Only these orders
    #[arg(long, value_name = "ID", num_args = 1.., value_delimiter = ',')]
    order: Vec<String>,
    /// Only orders of one kind, by operation and resource as `muster report RUN` counts them: "update vault.users"
    #[arg(long, value_name = "KIND", conflicts_with = "order")]
    group: Option<String>,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// The kind of orders that is meant; `None` where the run has no orders at all, which is told as that.
///
/// # Errors
/// [`UsageError`] with the kinds that there are, the nearest first.
fn kind(store: &Store, of: &RunRecord, text: &str) -> Result<Option<(Operation, ResourceName)>> {
    let mut kinds: BTreeMap<String, (Operation, ResourceName, u64)> = BTreeMap::new();
    for (_, operation, resource, orders) in store.tally(&of.id)? {
        let name = format!("{operation} {resource}");
        kinds.entry(name).or_insert((operation, resource, 0)).2 += orders;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if kinds.is_empty() {
        return Ok(None);
    }
    if let Some((operation, resource, _)) = kinds.remove(&text) {
        return Ok(Some((operation, resource)));
    }
    let hint = did_you_mean(&text, kinds.keys().map(String::as_str));
    let gap = if hint.is_empty() { ";" } else { "" };
    let known: Vec<String> = kinds.iter().map(|(name, (.., orders))| format!("{name} ({})", count(*orders))).collect();
    let known = safe_text::line(&known.join(", ")).into_owned();
    Err(UsageError(format!("--group: run {} has no orders of the kind `{text}`{hint}{gap} it has {known}", of.id))
        .into())
}

/// Plans the inverse of a run.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let (of, group) = {
        let store = selection::open_store(context)?;
        let of = applied_last(&store, &args.run)?;
        let filter = Filter { order: args.order.clone(), ..Filter::default() };
        if of.plan_digest.is_some() && context.layout.plan(&of.job, &of.id).is_file() {
            filter.check_known(selection::orders(&store, &of)?.iter(), &of.id.0)?;
        }
        let group = args.group.as_deref().map(|text| kind(&store, &of, text)).transpose()?.flatten();
        (of, group)
    };
    let job = match RunId::is_id(&args.run) {
        true => {
            let store = selection::open_store(context)?;
            session::job_of(&store, &of.job)?.path.to_string_lossy().into_owned()
        }
        false => args.run.clone(),
    };
    let (mut session, id) = session::for_run(context, &job, args.wait)?;
    let options = RevertOptions {
        run: id.clone(),
        of: of.id.clone(),
        orders: args.order.into_iter().map(OrderId).collect::<BTreeSet<_>>(),
        kind: group,
    };
    let end = session.conductor.revert(&options).await;
    session.console.end();
    let store = &mut session.conductor.store;
    let end = match end {
        Ok(end) => end,
        Err(error) => {
            // What was refused before it began is no run.
            match store.run(&id) {
                Ok(_) => store.end_run(&id, Ending::Failed.status(), context.now())?,
                Err(_) => discard(context, &of.job, &id),
            }
            return Err(error.into());
        }
    };
    let steps = ending::steps(store, &of.job, context.now())?;
    let mut endings = vec![ending::of(&steps)];
    if end.orders + end.kept == 0 && end.left.iter().any(|left| !left.is_undone) {
        endings.push(Ending::Failed);
    }
    let ending = Ending::worst(endings);
    store.end_run(&id, ending.status(), context.now())?;
    outcome_report::write(context, store, &id, ending.status())?;
    if !context.quiet || ending == Ending::Failed {
        tell(&end, &of.id, &id);
    }
    say!(context, "{}", steps.text(selection::typed(store, &args.run, &of.job), None).trim_end());
    Ok(ending.status())
}

/// The folders of a run that never began.
fn discard(context: &Context, job: &str, run: &RunId) {
    // They hold its log alone; where they cannot be removed they are in nobody's way.
    let _ = std::fs::remove_dir_all(context.layout.run_folder(job, run));
    let _ = std::fs::remove_dir_all(context.layout.export(job, run));
}

/// The run that is meant: by its id; of a job the one of which an order that is in effect was sent last.
fn applied_last(store: &Store, name: &str) -> Result<RunRecord> {
    if RunId::is_id(name) {
        let run = selection::runs(store, name)?.pop();
        return run.ok_or_else(|| UsageError(format!("there is no run {name}; `muster status` lists the runs")).into());
    }
    let job = selection::job_name(store, name)?;
    let last = store.applied_last(&job)?.map(|run| store.run(&run)).transpose()?;
    last.ok_or_else(|| {
        UsageError(format!("nothing of job {job} was ever applied, so that there is nothing to revert; `muster status {job}` shows its runs")).into()
    })
}

/// What was planned, and what is left with its reason.
fn tell(end: &RevertEnd, of: &RunId, run: &RunId) {
    eprintln!("run {run} undoes run {of}: {}", counted(end.orders, "new order"));
    if end.kept > 0 {
        eprintln!("{} of the same, still live", counted(end.kept, "earlier order"));
    }
    let (undone, left): (Vec<&LeftOrder>, Vec<&LeftOrder>) = end.left.iter().partition(|left| left.is_undone);
    if !undone.is_empty() {
        eprintln!("{} with nothing to undo", counted(undone.len() as u64, "applied order"));
    }
    if left.is_empty() {
        return;
    }
    eprintln!("{} left as it is at the target:", counted(left.len() as u64, "applied order"));
    for left in left.iter().take(TOLD) {
        eprintln!("  {}", left_text(left));
    }
    if left.len() > TOLD {
        eprintln!("  and {} more: muster review {run}", count((left.len() - TOLD) as u64));
    }
}
