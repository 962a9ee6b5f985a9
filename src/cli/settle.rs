//! `muster settle`: a person says what became of an order of which nobody could tell.

use anyhow::Result;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::{ending, selection};
use crate::model::order::{OrderId, OrderState};
use crate::store::journal::Finding;

/// `muster settle`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Look at the target first. An order that took no effect waits for review again; one that did is planned against by the next run.\n\nExamples:\n  muster settle o-608cf67bedaaa6a2-1 --took-effect --comment \"seen in the vault\"\n  muster settle o-608cf67bedaaa6a2-1 --had-no-effect --comment \"not there\""
)]
#[command(group = clap::ArgGroup::new("finding").required(true))]
pub(super) struct Args {
    /// The uncertain order
    order: String,
    /// The target shows what the order asked for
    #[arg(long, group = "finding")]
    took_effect: bool,
    /// The target does not show it
    #[arg(long, group = "finding")]
    had_no_effect: bool,
    /// How that was found out
    #[arg(long, value_name = "TEXT")]
    comment: String,
}

/// Records the finding.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    if args.comment.trim().is_empty() {
        return Err(UsageError("--comment is empty; say how it was found out".to_owned()).into());
    }
    let mut store = selection::open_store(context)?;
    let order = store.order(&OrderId(args.order))?;
    if order.state != OrderState::Uncertain {
        return Err(UsageError(format!(
            "order {} is {}, not uncertain: there is nothing to settle",
            order.id, order.state
        ))
        .into());
    }
    let finding = if args.took_effect { Finding::TookEffect } else { Finding::HadNoEffect };
    store.settle(&order.id, finding, &context.person(), &args.comment, &[], context.now())?;
    say!(context, "{}: {}", order.id, if args.took_effect { "applied" } else { "waits for review again" });
    say!(context, "next: muster run {}", order.job);
    Ok(Ending::worst([ending::of_job(&store, &order.job, context.now())?]).status())
}
