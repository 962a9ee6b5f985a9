//! `muster export JOB`: snapshots, and nothing else.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::context::Context;
use super::run::carry;
use super::stdout::print_as;
use super::{selection, session};
use crate::model::resource::ResourceName;
use crate::report::table::{Column, Format, Listing};
use crate::run::{PlanOptions, Stage};
use crate::snapshot::manifest::{FILE_NAME, Manifest};

/// `muster export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The snapshots stand in the state folder under export/<job>/<run>/; no baseline moves.\n\nExamples:\n  muster export idp-to-vault\n  muster export idp-to-vault --format csv   # rows, size, verdict and file of each snapshot"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// How much to export
    #[arg(long, default_value = "complete", value_parser = ["incremental", "complete"])]
    mode: String,
    /// Then list the snapshots, with their files, as table, json or csv
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Exports every system of a job.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let status = carry(context, &args.job, &args.mode, Stage::Export, PlanOptions::default(), None, args.wait).await?;
    if let Some(format) = args.format {
        let store = selection::open_store(context)?;
        let job = session::find_job(context, &args.job)?.name;
        if let Some(run) = store.runs(&job, 1)?.first() {
            let listing = listing(&context.layout.export(&job, &run.id));
            print_as(context, format, &listing.render(format, context.screen()))?;
        }
    }
    Ok(status)
}

/// The snapshots of an export folder.
fn listing(folder: &Path) -> Listing {
    let mut listing = Listing::new(vec![
        Column::whole("resource"),
        Column::whole("mode"),
        Column::whole("rows"),
        Column::whole("bytes"),
        Column::state("verdict"),
        Column::spare("file"),
    ]);
    let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { return listing };
    for (system, resources) in &manifest.systems {
        for (name, resource) in resources {
            listing.push(vec![
                ResourceName::new(system, name).to_string().into(),
                resource.mode.word().into(),
                resource.rows.into(),
                resource.bytes.into(),
                resource.completeness.word().into(),
                folder.join(&resource.file).display().to_string().into(),
            ]);
        }
    }
    listing
}
