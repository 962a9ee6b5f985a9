//! `muster list JOB`: which objects of the target are managed, which are local, and how the others stand.

use std::collections::BTreeSet;

use anyhow::Result;

use super::context::Context;
use super::exit::Ending;
use super::session::{self, Purpose};
use super::stdout::print;
use crate::job::SyncKind;
use crate::model::situation::Situation;
use crate::reconcile::draft::ListedObject;
use crate::report::figures::counted;
use crate::report::table::{Column, Format, Listing};

/// `muster list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a choice: every object that is not confirmed. Unmanaged objects are never changed or deleted unless the job adopts them.\n\nExamples:\n  muster list idp-to-vault --managed\n  muster list idp-to-vault --unmanaged --format csv\n  muster list idp-to-vault --situation incomplete"
)]
#[command(group = clap::ArgGroup::new("which"))]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// Objects that the job manages, with the source row of each
    #[arg(long, group = "which")]
    managed: bool,
    /// Objects of the target that the job leaves alone
    #[arg(long, group = "which")]
    unmanaged: bool,
    /// Managed objects whose source row is gone
    #[arg(long, group = "which")]
    orphans: bool,
    /// Objects in this situation: changed, missing, orphan, out-of-scope, unmanaged, ambiguous, conflict, incomplete
    #[arg(long, group = "which", value_name = "SITUATION")]
    situation: Option<Situation>,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// Lists objects as of the newest snapshots that were planned from.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let session = session::open(context, &args.job, Purpose::Check)?;
    let wanted = match args.situation {
        Some(situation) => Some(situation),
        None if args.unmanaged => Some(Situation::Unmanaged),
        None if args.orphans => Some(Situation::Orphan),
        None => None,
    };
    let conductor = &session.conductor;
    let mut listing = Listing::new(vec![
        Column::whole("situation"),
        Column::new("resource"),
        Column::new("key"),
        Column::new("name"),
        Column::new("target_id"),
        Column::new("note"),
    ]);
    if args.managed || wanted == Some(Situation::Confirmed) {
        listing = managed(&session, &confirmed_out(&session, wanted).await?)?;
    } else {
        for object in conductor.listed().await? {
            if wanted.is_some_and(|wanted| object.situation != wanted) {
                continue;
            }
            let resource = conductor.job.syncs.get(object.sync).map(|sync| sync.to.to_string());
            listing.push(vec![
                object.situation.word().into(),
                resource.into(),
                object.key.into(),
                object.name.into(),
                object.target_id.into(),
                object.note.into(),
            ]);
        }
    }
    print(&listing.render(args.format, context.width()))?;
    if context.tells {
        eprintln!("{}", counted(listing.rows.len() as u64, "object"));
    }
    Ok(Ending::Done.status())
}

/// Where confirmed objects are asked for: the sync and target id of every object that is not, though it is managed.
async fn confirmed_out(session: &session::Session, wanted: Option<Situation>) -> Result<BTreeSet<(usize, String)>> {
    if wanted != Some(Situation::Confirmed) {
        return Ok(BTreeSet::new());
    }
    let out = |object: ListedObject| Some((object.sync, object.target_id?));
    Ok(session.conductor.listed().await?.into_iter().filter_map(out).collect())
}

/// Every linked pair of the job's syncs, but for some target objects.
fn managed(session: &session::Session, without: &BTreeSet<(usize, String)>) -> Result<Listing> {
    let job = &session.conductor.job;
    let columns = [Column::new("resource"), Column::new("source_key"), Column::new("target_id"), Column::whole("how")];
    let mut listing = Listing::new(columns.to_vec());
    for sync in job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_))) {
        for link in session.conductor.store.links(&job.name, &sync.id)? {
            if without.contains(&(sync.index, link.target_id.clone())) {
                continue;
            }
            listing.push(vec![
                sync.to.to_string().into(),
                link.source_key.into(),
                link.target_id.into(),
                link.how.word().into(),
            ]);
        }
    }
    Ok(listing)
}
