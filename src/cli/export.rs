//! `muster export JOB`: snapshots, and nothing else.

use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::run::carry;
use super::session;
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
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Exports every system of a job.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    carry(context, &args.job, &args.mode, Stage::Export, PlanOptions::default(), None, args.wait).await
}
