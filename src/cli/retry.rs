//! `muster retry RUN`: errored orders are approved again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::{outcome_report, selection};
use crate::model::order::{OrderId, OrderState};
use crate::model::record::{OrderRecord, RunRecord};
use crate::report::figures::{counted, examples};
use crate::report::safe_text;
use crate::store::database::Store;

/// How many orders are named.
const NAMED: usize = 3;

/// `muster retry`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Errored orders go back to approved while their approval lasts, else to review. They are sent as they were: what was corrected at the source or in the job is planned anew by `muster run`.\n\nExamples:\n  muster retry idp-to-vault\n  muster retry idp-to-vault --group permission-3f2a --first   # one, to see whether the mend works; then muster apply\n  muster retry idp-to-vault --group permission-3f2a           # the rest"
)]
pub(super) struct Args {
    /// A run, or a job's name
    run: String,
    /// Only the orders of one cause, by its name in `muster report RUN`
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only the first errored order, to see whether the mend works
    #[arg(long)]
    first: bool,
    /// Only these orders
    #[arg(long, value_name = "ID")]
    order: Vec<String>,
}

/// Returns errored orders to approved.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let mut store = selection::open_store(context)?;
    let mut errored: Vec<OrderRecord> = Vec::new();
    let runs = selection::runs(&store, &args.run)?;
    for run in &runs {
        errored.extend(store.orders_of(&run.id)?.into_iter().filter(|o| o.state == OrderState::Errored));
    }
    if let Some(name) = &args.group {
        let Some(of_group) = group(&store, &runs, name, &args.run)? else {
            say!(context, "nothing of group {name} is errored any more in {}", args.run);
            say!(context, "next: muster apply {}", args.run);
            return Ok(Ending::Done.status());
        };
        errored.retain(|order| of_group.contains(&order.id));
    }
    if !args.order.is_empty() {
        if let Some(unknown) = args.order.iter().find(|id| !errored.iter().any(|o| o.id.0 == **id)) {
            return Err(UsageError(format!(
                "order {unknown} is not errored in {}; `muster report {}` lists those that are",
                args.run, args.run
            ))
            .into());
        }
        errored.retain(|order| args.order.contains(&order.id.0));
    }
    if args.first {
        errored.truncate(1);
    }
    if errored.is_empty() {
        say!(context, "nothing is errored in {}", args.run);
        return Ok(Ending::Done.status());
    }
    let ids: Vec<OrderId> = errored.iter().map(|order| order.id.clone()).collect();
    // Told before it is done once more in vain: the orders know nothing of what was corrected since.
    let mut refused = 0;
    for run in &runs {
        refused += store
            .outcomes(&run.id)?
            .iter()
            .filter(|outcome| outcome.failure.as_ref().is_some_and(|failure| failure.class.is_about_content()))
            .filter(|outcome| ids.contains(&outcome.order))
            .count();
    }
    let approved: BTreeSet<OrderId> = store.retry(&ids, &context.person(), context.now())?.into_iter().collect();
    let (again, waiting): (Vec<_>, Vec<_>) = errored.iter().partition(|order| approved.contains(&order.id));
    if waiting.is_empty() || !again.is_empty() {
        say!(context, "{} approved again: {}", counted(again.len() as u64, "order"), named(&again));
    }
    if let (1.., Some(run)) = (refused, runs.first()) {
        say!(
            context,
            "{} of which the target refused the content {} sent again as {}; what is corrected at the source or in the job, muster run {} plans anew",
            counted(refused as u64, "order"),
            if refused == 1 { "is" } else { "are" },
            if refused == 1 { "it was" } else { "they were" },
            safe_text::line(&run.job)
        );
    }
    if !waiting.is_empty() {
        let verb = if waiting.len() == 1 { "waits" } else { "wait" };
        say!(
            context,
            "{} {verb} for review again, because the approval has expired: {}",
            counted(waiting.len() as u64, "order"),
            named(&waiting)
        );
        say!(context, "next: muster review {}", args.run);
        return Ok(Ending::Waits.status());
    }
    say!(context, "next: muster apply {}", args.run);
    Ok(Ending::Done.status())
}

/// The first orders by what they do and to which object.
fn named(orders: &[&OrderRecord]) -> String {
    let names: Vec<String> =
        orders.iter().take(NAMED).map(|o| format!("{} {} {}", o.operation, o.resource, o.key)).collect();
    examples(names.iter().map(String::as_str), orders.len() as u64, NAMED)
}

/// The errored orders of one cause; `None` where there were some and none is errored any more.
///
/// # Errors
/// [`UsageError`] where nothing ever failed for such a cause.
fn group(store: &Store, runs: &[RunRecord], name: &str, of: &str) -> Result<Option<BTreeSet<OrderId>>> {
    let mut groups: BTreeMap<String, BTreeSet<OrderId>> = BTreeMap::new();
    for run in runs {
        let (_, rows) = outcome_report::build(store, run, Ending::Done.status())?;
        for row in rows {
            groups.entry(row.group).or_default().insert(row.order);
        }
    }
    if let Some(orders) = groups.remove(name) {
        return Ok(Some(orders));
    }
    for run in runs {
        if store.causes_ever(&run.id)?.iter().any(|cause| cause.name() == name) {
            return Ok(None);
        }
    }
    let known: Vec<&str> = groups.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "nothing is errored there".to_owned() } else { known.join(", ") };
    Err(UsageError(format!("--group {name}: no order of {of} failed for such a cause; there are: {known}")).into())
}
