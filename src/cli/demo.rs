//! `muster demo`: the whole tour on the built-in server, with the commands that a user has.

mod company;
mod tour;

use std::path::PathBuf;

use anyhow::Result;

/// `muster demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  muster demo\n  muster demo --keep /tmp/tour   # and look around afterwards")]
pub(super) struct Args {
    /// Keep the scratch folder here, to look around afterwards [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Runs the tour.
pub(super) async fn run(args: Args) -> Result<u8> {
    tokio::task::spawn_blocking(move || tour::run(args.keep)).await?
}
