//! `muster list JOB`: which objects of the target are managed, which are local, and how the others stand.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::context::Context;
use super::ending;
use super::exit::Ending;
use super::selection;
use super::session::{self, Purpose, Session};
use super::stdout::print_listing;
use super::withheld;
use crate::model::situation::Situation;
use crate::reconcile::draft::ListedObject;
use crate::report::figures::{ago, counted, time};
use crate::report::safe_text;
use crate::report::table::{Cell, Column, Format, Listing};
use crate::run::{Incomplete, Inventory};

/// `muster list`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without a choice: every object that is not confirmed. Unmanaged objects are never changed or deleted unless the job adopts them.\n\nExamples:\n  muster list idp-to-vault --managed\n  muster list idp-to-vault --unmanaged --format csv\n  muster list idp-to-vault --situation incomplete   # orders that lack a value\n  muster list idp-to-vault --incomplete             # accounts that do not work"
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
    /// Accounts that are at the target and do not work: without an address or another value that they need, disabled by
    /// hand, without a seat; with what is missing and whether an order that waits mends it
    #[arg(long, group = "which")]
    incomplete: bool,
    /// Objects that are out of use and wait for their delete, with when it becomes due
    #[arg(long, group = "which")]
    grace: bool,
    /// Orders that are not raised again though they may be wanted: rejected, handed over or undone before
    #[arg(long, group = "which")]
    withheld: bool,
    /// Objects in this situation: changed, missing, orphan, out-of-scope, unmanaged, ambiguous, conflict, incomplete
    #[arg(long, group = "which", value_name = "SITUATION")]
    situation: Option<Situation>,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// Lists objects as of the newest snapshots that were planned from.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let session = session::open(context, &args.job, Purpose::Look)?;
    if args.withheld {
        let (store, job) = (&session.conductor.store, &session.conductor.job.name);
        withheld::list(context, store, job, selection::typed(store, &args.job, job), args.format)?;
        return Ok(Ending::Done.status());
    }
    if args.incomplete {
        return incomplete(context, &session, &args);
    }
    let wanted = match args.situation {
        Some(situation) => Some(situation),
        None if args.unmanaged => Some(Situation::Unmanaged),
        None if args.orphans => Some(Situation::Orphan),
        None => None,
    };
    let inventory = session.conductor.inventory()?;
    let listing = if args.managed || wanted == Some(Situation::Confirmed) {
        managed(&session, &inventory, wanted.is_some())
    } else {
        others(&session, &inventory, wanted, args.grace)?
    };
    let as_of = as_of(context, &session, &inventory, &args.job);
    let objects = match listing.rows.len() as u64 {
        0 if !args.managed && !args.grace && wanted.is_none() && !inventory.pairs.is_empty() => {
            let managed = counted(inventory.pairs.len() as u64, "managed object");
            let plan = session.conductor.store.registered_plan(&inventory.run);
            let warned = match plan.map_or(0, |plan| plan.warnings.len() as u64) {
                0 => String::new(),
                some => {
                    format!("; its plan has {}: muster status {}", counted(some, "warning"), safe_text::line(&args.job))
                }
            };
            format!("every object is confirmed, {managed}: --managed lists them{warned}")
        }
        listed => counted(listed, "object"),
    };
    print_listing(context, listing, args.format, (&as_of, &format!("{objects}\n")))?;
    Ok(Ending::Done.status())
}

/// Lists accounts that do not work.
fn incomplete(context: &Context, session: &Session, args: &Args) -> Result<u8> {
    let (inventory, accounts) = session.conductor.incomplete()?;
    let mut listing = Listing::new(vec![
        Column::new("resource"),
        Column::new("key"),
        Column::new("name"),
        Column::spare("target_id"),
        Column::new("missing"),
        Column::whole("mends"),
        Column::new("mended_by"),
    ]);
    for Incomplete { account, missing, mends, mended_by } in &accounts {
        let resource = session.conductor.job.syncs.get(account.sync).map(|sync| sync.to.to_string());
        listing.push(vec![
            resource.into(),
            account.source_key.as_str().into(),
            filled(&account.name),
            account.target_id.as_str().into(),
            Cell::List(missing.clone()),
            Cell::Flag(*mends),
            Cell::List(mended_by.clone()),
        ]);
    }
    let as_of = as_of(context, session, &inventory, &args.job);
    let mended = accounts.iter().filter(|account| account.mends).count() as u64;
    let accounts = match accounts.len() as u64 {
        0 => "every managed account that is wanted works\n".to_owned(),
        some => {
            let work = if some == 1 { "does not work" } else { "do not work" };
            format!("{} that {work}, of which orders that wait mend {mended}\n", counted(some, "account"))
        }
    };
    print_listing(context, listing, args.format, (&as_of, &accounts))?;
    Ok(Ending::Done.status())
}

/// When the snapshots were taken, and what they cannot show.
fn as_of(context: &Context, session: &Session, inventory: &Inventory, typed: &str) -> String {
    let ago = ago(inventory.at, context.now());
    let mut text = format!("as of run {}, {ago} ({})\n", inventory.run, time(inventory.at));
    let (store, job) = (&session.conductor.store, &session.conductor.job.name);
    let held = ending::steps(store, job, context.now()).map(|steps| steps.held).unwrap_or_default();
    for run in held.iter().filter(|run| **run > inventory.run) {
        text.push_str(&format!("run {run} is newer and held, and is not looked at here: muster review {run}\n"));
    }
    let applied = inventory.applied.len() as u64;
    if applied > 0 {
        let verb = if applied == 1 { "was" } else { "were" };
        let name = selection::typed(&session.conductor.store, typed, &session.conductor.job.name);
        let job = safe_text::line(name);
        let applied = counted(applied, "order");
        text.push_str(&format!("{applied} {verb} applied since; `muster run {job}` shows what came of it\n"));
    }
    text
}

/// Objects that are not confirmed. One whose order was applied since says so.
fn others(session: &Session, inventory: &Inventory, wanted: Option<Situation>, grace: bool) -> Result<Listing> {
    let mut since: BTreeMap<(String, String), &'static str> = BTreeMap::new();
    for order in &inventory.applied {
        let order = session.conductor.store.order(order)?;
        since.insert((order.resource.to_string(), order.key), order.operation.word());
    }
    let begun = graces(session)?;
    // A grace that began since stands beside the link, and not in the snapshots.
    let due = |object: &ListedObject| object.due.or_else(|| begun.get(&(object.sync, object.key.clone())).copied());
    let shown = |object: &&ListedObject| {
        wanted.is_none_or(|wanted| object.situation == wanted) && (!grace || due(object).is_some())
    };
    let is_dated = inventory.objects.iter().filter(shown).any(|object| due(object).is_some());
    let mut listing = Listing::new(vec![
        Column::state("situation"),
        Column::new("resource"),
        Column::new("key"),
        Column::new("name"),
        // A time beside it leaves an id no room in which it would say anything.
        if is_dated { Column::roomy("target_id") } else { Column::spare("target_id") },
        Column::new("note"),
        Column::whole("delete_due"),
    ]);
    for object in inventory.objects.iter().filter(shown) {
        let due = due(object);
        let resource = session.conductor.job.syncs.get(object.sync).map(|sync| sync.to.to_string());
        let applied = since.get(&(resource.clone().unwrap_or_default(), object.key.clone()));
        let note = match applied {
            Some(operation) => format!("{operation} applied since"),
            None => object.note.clone(),
        };
        listing.push(vec![
            object.situation.word().into(),
            resource.into(),
            object.key.as_str().into(),
            filled(&object.name),
            object.target_id.as_deref().into(),
            filled(&note),
            due.map(time).into(),
        ]);
    }
    Ok(listing)
}

/// When the delete of what is in grace becomes due, by sync and source key.
fn graces(session: &Session) -> Result<BTreeMap<(usize, String), DateTime<Utc>>> {
    let (store, job) = (&session.conductor.store, &session.conductor.job);
    let mut due = BTreeMap::new();
    let Some(whole) = job.apply.delete_after else { return Ok(due) };
    for sync in &job.syncs {
        let graces = store.graces(&job.name, &sync.id)?;
        due.extend(graces.into_iter().map(|(key, grace)| ((sync.index, key), grace.due(whole))));
    }
    Ok(due)
}

/// Linked objects: all of them, or the confirmed ones.
fn managed(session: &Session, inventory: &Inventory, confirmed: bool) -> Listing {
    let columns = [
        Column::new("resource"),
        Column::new("source_key"),
        Column::new("name"),
        Column::spare("target_id"),
        Column::whole("how"),
    ];
    let out: BTreeSet<(usize, &str)> = inventory
        .objects
        .iter()
        .filter_map(|object| Some((object.sync, object.target_id.as_deref().filter(|_| confirmed)?)))
        .collect();
    let mut listing = Listing::new(columns.to_vec());
    for pair in inventory.pairs.iter().filter(|pair| !out.contains(&(pair.sync, pair.target_id.as_str()))) {
        let resource = session.conductor.job.syncs.get(pair.sync).map(|sync| sync.to.to_string());
        listing.push(vec![
            resource.into(),
            pair.source_key.as_str().into(),
            pair.name.as_deref().into(),
            pair.target_id.as_str().into(),
            pair.how.word().into(),
        ]);
    }
    listing
}

/// A cell, empty where there is nothing to say.
fn filled(text: &str) -> Cell {
    Some(text).filter(|text| !text.is_empty()).into()
}
