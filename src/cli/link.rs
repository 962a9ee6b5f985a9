//! `muster link` and `muster unlink`: a person says which source row an object of the target belongs to.

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::selection;
use super::session::{self, Purpose};
use crate::job::{Job, Sync, SyncKind};
use crate::model::link::{How, Link};
use crate::model::order::ObjectKey;
use crate::report::safe_text;

/// `muster link`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Both have to be in the newest snapshots that were planned from. The next run plans with it.\n\nExamples:\n  muster link idp-to-vault E0042 d1c60eae-6c34-4ff2-9873-50369649907c\n  muster link idp-to-vault T1 4711 --to vault.groups"
)]
pub(super) struct LinkArgs {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// The source row's key
    source: String,
    /// The target object's id
    target: String,
    /// The target resource, where the job provisions several
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    to: Option<String>,
}

/// `muster unlink`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The object is correlated again by the next run, or left alone.\n\nExamples:\n  muster unlink idp-to-vault E0042\n  muster unlink idp-to-vault T1 --to vault.groups"
)]
pub(super) struct UnlinkArgs {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// The source row's key
    source: String,
    /// The target resource, where the job provisions several
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    to: Option<String>,
}

/// Remembers a pair.
pub(super) fn link(context: &Context, args: LinkArgs) -> Result<u8> {
    let job = session::find_job(context, &args.job)?;
    let sync = sync_of(&job, args.to.as_deref())?;
    let mut store = selection::open_store(context)?;
    if let Some(known) = store.link_of(&job.name, &sync.id, &args.source)? {
        if known.target_id == args.target {
            say!(context, "{} and {} are linked already", safe_text::line(&args.source), safe_text::line(&args.target));
            return Ok(Ending::Done.status());
        }
        return Err(UsageError(format!(
            "{} is linked to {} already; `muster unlink {} {}` first",
            args.source, known.target_id, job.name, args.source
        ))
        .into());
    }
    let session = session::of(context, job.clone(), Purpose::Look)?;
    let unseen = session.conductor.unseen_ends(sync, &args.source, &args.target)?;
    session.console.end();
    if !unseen.is_empty() {
        return Err(UsageError(format!(
            "{}; correct what was typed, or take new snapshots first: `muster run {}`",
            unseen.join(", and "),
            selection::typed(&store, &args.job, &job.name)
        ))
        .into());
    }
    let link = Link { source_key: args.source, target_id: args.target, how: How::Person, agreed: None };
    store.put_links(&job.name, &sync.id, std::slice::from_ref(&link), &context.person(), context.now())?;
    say!(context, "{} and {} are linked", safe_text::line(&link.source_key), safe_text::line(&link.target_id));
    say!(context, "next: muster run {}", selection::typed(&store, &args.job, &job.name));
    Ok(Ending::Done.status())
}

/// Forgets a pair.
pub(super) fn unlink(context: &Context, args: UnlinkArgs) -> Result<u8> {
    let job = session::find_job(context, &args.job)?;
    let sync = sync_of(&job, args.to.as_deref())?;
    let mut store = selection::open_store(context)?;
    let Some(known) = store.link_of(&job.name, &sync.id, &args.source)? else {
        return Err(UsageError(format!(
            "{} is not linked in {}; `muster list {} --managed` shows what is",
            args.source, sync.id, job.name
        ))
        .into());
    };
    store.drop_links(&job.name, &sync.id, std::slice::from_ref(&args.source), &context.person(), context.now())?;
    say!(context, "{} and {} are no longer linked", safe_text::line(&args.source), safe_text::line(&known.target_id));
    let object = ObjectKey::by_source(&sync.to, &sync.from, &args.source);
    for order in store.orders_about(&job.name, &object)?.into_iter().filter(|order| order.state.is_live()) {
        say!(
            context,
            "order {} ({}, {}) is about it and stays: to stop it, muster reject {} --order {} --comment \"why\"",
            order.id,
            order.operation,
            order.state,
            order.run,
            order.id
        );
    }
    say!(context, "next: muster run {}", selection::typed(&store, &args.job, &job.name));
    Ok(Ending::Done.status())
}

/// The one sync of objects that is meant.
fn sync_of<'a>(job: &'a Job, to: Option<&str>) -> Result<&'a Sync> {
    let objects: Vec<_> = job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_))).collect();
    let meant: Vec<_> = objects.iter().filter(|sync| to.is_none_or(|to| sync.to.to_string() == to)).collect();
    match meant.as_slice() {
        [sync] => Ok(sync),
        _ => {
            let names: Vec<String> = objects.iter().map(|sync| sync.to.to_string()).collect();
            Err(UsageError(format!("which resource? name one with --to: {}", names.join(", "))).into())
        }
    }
}
