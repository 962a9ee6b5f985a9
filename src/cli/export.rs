//! `muster export JOB`: snapshots, and nothing else.

use anyhow::Result;

use super::context::Context;
use super::run::carry;
use crate::run::{PlanOptions, Stage};

/// `muster export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The snapshots stand in the state folder under export/<job>/<run>/; no baseline moves.\n\nExamples:\n  muster export idp-to-vault"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// How much to export
    #[arg(long, default_value = "complete", value_parser = ["incremental", "complete"])]
    mode: String,
}

/// Exports every system of a job.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    carry(context, &args.job, &args.mode, Stage::Export, PlanOptions::default(), None).await
}
