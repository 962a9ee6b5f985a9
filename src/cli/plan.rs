//! `muster plan JOB`: a run that stops before anything is applied.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::UsageError;
use super::run::carry;
use super::{plan_diff, selection, session};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::report::table::Format;
use crate::run::{ExplainRequest, PlanOptions, Stage, require_current};
use crate::store::error::StoreError;

/// `muster plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster plan idp-to-vault\n  muster plan idp-to-vault --from 20261122T150405Z-7f3a\n  muster plan idp-to-vault --only E0004\n  muster plan idp-to-vault --diff 20261122T150405Z-7f3a"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// How much to export
    #[arg(long, default_value = "incremental", value_parser = ["incremental", "complete"])]
    mode: String,
    /// Plan from the snapshots of this run instead of exporting; refused once later ones were taken, orders were sent,
    /// or somebody linked something
    #[arg(long, value_name = "RUN")]
    from: Option<String>,
    /// Only this object and its association rows, by its key, id, login or address; orders of others stay as they are
    #[arg(long, value_name = "KEY")]
    only: Option<String>,
    /// With --only: where several objects go by the key
    #[arg(long, value_name = "SYSTEM.RESOURCE", requires = "only")]
    resource: Option<ResourceName>,
    /// Block every order: a person lifts each one
    #[arg(long)]
    block: bool,
    /// Raise again what was rejected
    #[arg(long)]
    ask_again: bool,
    /// Then list what is new since the plan of this run: orders added, changed, gone
    #[arg(long, value_name = "RUN")]
    diff: Option<String>,
    /// With --diff: table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t, requires = "diff")]
    format: Format,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Exports and plans.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    // Told before anything begins: no run fails for a slip of the keyboard, or for snapshots that are too old.
    let from = args.from.map(|from| known_run(context, &args.job, from)).transpose()?;
    if let Some(from) = &from {
        let store = selection::open_store(context)?;
        require_current(&store, &store.run(from)?.job, from)?;
    }
    let since = args.diff.map(|since| known_run(context, &args.job, since)).transpose()?;
    if let Some(since) = &since {
        selection::open_store(context)?.registered_plan(since).map_err(|error| UsageError(error.to_string()))?;
    }
    let only = args.only.map(|key| ExplainRequest { key, resource: args.resource, entitlement: None });
    let plan = PlanOptions { block: args.block, ask_again: args.ask_again, only };
    let status = carry(context, &args.job, &args.mode, Stage::Plan, plan, from, args.wait).await?;
    if let Some(since) = since {
        let store = selection::open_store(context)?;
        plan_diff::tell(context, &store, &session::find_job(context, &args.job)?.name, &since, args.format)?;
    }
    Ok(status)
}

/// A run that is there.
fn known_run(context: &Context, job: &str, typed: String) -> Result<RunId> {
    if !RunId::is_id(&typed) {
        return Err(UsageError(format!("`{typed}` is no run; `muster status {job}` lists them")).into());
    }
    let run = RunId(typed);
    match selection::open_store(context)?.run(&run) {
        Err(error @ StoreError::NoRun { .. }) => Err(UsageError(error.to_string()).into()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(run),
    }
}
