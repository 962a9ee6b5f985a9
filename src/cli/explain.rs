//! `muster explain JOB KEY`: one object, step by step.

use std::time::Duration;

use anyhow::{Result, bail};

use super::apply;
use super::context::Context;
use super::exit::{Ending, UsageError};
use super::run::carry;
use super::selection;
use super::session::{self, Purpose};
use super::stdout::print_as;
use crate::model::order::OrderState;
use crate::model::resource::ResourceName;
use crate::report::explained_text::{explained_listing, explained_text};
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::run::{ApplyRequest, ExplainEnd, ExplainRequest, KnownObject, PlanOptions, Stage};

/// `muster explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster explain idp-to-vault E0004\n  muster explain idp-to-vault jane@example.com --format json\n  muster explain idp-to-vault G7 --resource vault.groups\n  muster explain idp-to-vault E0004 --entitlement G7"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// A source key, an id of the target, a login, an address: whatever match rules, unique attributes or names show
    key: String,
    /// Only this resource, of either side: where several objects go by the key
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    resource: Option<ResourceName>,
    /// Whether it is in this group (role, container) of an association, and every link of the chain that leads there
    #[arg(long, value_name = "GROUP")]
    entitlement: Option<String>,
    /// Read the systems as they are, instead of the snapshots of the newest plan
    #[arg(long)]
    live: bool,
    /// Then plan just this object, for the same review as ever; where its order is approved already, send just that one
    #[arg(long)]
    apply: bool,
    /// With --apply: how long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
    /// table (or text), json or csv
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = format)]
    format: Format,
}

/// What is told in steps is text rather than a table.
fn format(text: &str) -> Result<Format, String> {
    if text == "text" { Ok(Format::Table) } else { text.parse() }
}

/// Explains one object.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let purpose = if args.live && !context.layout.db().exists() { Purpose::Check } else { Purpose::Look };
    let session = session::open(context, &args.job, purpose)?;
    let ask = ExplainRequest {
        key: args.key.clone(),
        resource: args.resource.clone(),
        entitlement: args.entitlement.clone(),
    };
    let end = match args.live {
        true => session.conductor.explain_live(&ask).await?,
        false => session.conductor.explain(&ask)?,
    };
    session.console.end();
    let explained = match end {
        ExplainEnd::One(explained) => explained,
        ExplainEnd::Several(known) => return Err(several(context, &args.key, &known).into()),
        ExplainEnd::None(nowhere) => bail!("{nowhere}"),
    };
    let text = match args.format {
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&explained)?;
            text.push('\n');
            safe_text::json(text)
        }
        Format::Csv => explained_listing(&explained).render(Format::Csv, context.screen()),
        Format::Table => explained_text(&explained, context.now(), context.width()),
    };
    print_as(context, args.format, &text)?;
    if !args.apply {
        return Ok(Ending::Done.status());
    }
    let approved = match &explained.order {
        Some(order) => session.conductor.store.order(order).ok().filter(|known| known.state == OrderState::Approved),
        None => None,
    };
    if let Some(order) = approved {
        let request = ApplyRequest { only: Some(order.id), ..ApplyRequest::default() };
        return apply::send(context, (&args.job, session.conductor.job), &request, args.wait).await;
    }
    // Its key or its id names it better than what was typed.
    let explained = *explained;
    let key = if args.entitlement.is_some() { None } else { explained.source_key.or(explained.target_id) };
    let to = explained.to;
    let only = ExplainRequest {
        key: key.unwrap_or(args.key),
        resource: args.resource.or_else(|| args.entitlement.is_none().then_some(to)),
        entitlement: None,
    };
    let job = session.conductor.job.name.clone();
    let plan = PlanOptions { only: Some(only), ..PlanOptions::default() };
    let status = carry(context, &args.job, "incremental", Stage::Plan, plan, None, args.wait).await?;
    tell_planned(context, &job)?;
    Ok(status)
}

/// What came of planning the object.
fn tell_planned(context: &Context, job: &str) -> Result<()> {
    let store = selection::open_store(context)?;
    let Some(run) = store.runs(job, 1)?.into_iter().next() else { return Ok(()) };
    if run.plan_digest.is_none() {
        // Why nothing was planned is told already.
        return Ok(());
    }
    let orders = store.orders_of(&run.id)?;
    if orders.is_empty() {
        say!(context, "planned in run {}: no new order; what is wanted is there, or ordered already", run.id);
    }
    for order in orders {
        let stands = order.block.as_ref().map_or_else(String::new, |block| format!(" ({})", block.reason));
        say!(
            context,
            "planned in run {}: order {}, {} {}, {}{stands}; muster review {}",
            run.id,
            order.id,
            order.operation,
            safe_text::line(&order.key),
            order.state,
            run.id
        );
    }
    Ok(())
}

/// Several objects go by one key: all of them, and how to choose.
pub(super) fn several(context: &Context, key: &str, known: &[KnownObject]) -> UsageError {
    let mut listing = Listing::new(vec![
        Column::whole("resource"),
        Column::new("source_key"),
        Column::new("name"),
        Column::spare("target_id"),
        Column::whole("found_by"),
    ]);
    for object in known {
        listing.push(vec![
            object.to.to_string().as_str().into(),
            object.source_key.as_deref().into(),
            object.name.as_str().into(),
            object.target_id.as_deref().into(),
            object.by.as_str().into(),
        ]);
    }
    let table = listing.render(Format::Table, context.screen());
    UsageError(format!(
        "{} objects go by `{}`; name one by its key or id, and with --resource SYSTEM.RESOURCE where it is in several:\n{}",
        known.len(),
        safe_text::line(key),
        table.trim_end()
    ))
}
