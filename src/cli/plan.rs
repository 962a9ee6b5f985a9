//! `muster plan JOB`: a run that stops before anything is applied.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::exit::UsageError;
use super::run::carry;
use super::{selection, session};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::run::{ExplainRequest, PlanOptions, Stage, require_current};
use crate::store::error::StoreError;

/// `muster plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster plan idp-to-vault\n  muster plan idp-to-vault --from 20261122T150405Z-7f3a\n  muster plan idp-to-vault --only E0004"
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
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Exports and plans.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let from = match args.from {
        Some(from) if RunId::is_id(&from) => {
            let from = RunId(from);
            // Told before anything begins: no run fails for a slip of the keyboard, or for snapshots that are too old.
            let store = selection::open_store(context)?;
            let record = match store.run(&from) {
                Err(error @ StoreError::NoRun { .. }) => return Err(UsageError(error.to_string()).into()),
                known => known?,
            };
            require_current(&store, &record.job, &from)?;
            Some(from)
        }
        Some(from) => {
            return Err(UsageError(format!("`{from}` is no run; `muster status {}` lists them", args.job)).into());
        }
        None => None,
    };
    let only = args.only.map(|key| ExplainRequest { key, resource: args.resource, entitlement: None });
    let plan = PlanOptions { block: args.block, ask_again: args.ask_again, only };
    carry(context, &args.job, &args.mode, Stage::Plan, plan, from, args.wait).await
}
