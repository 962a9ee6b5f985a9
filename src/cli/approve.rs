//! `muster approve RUN` and `muster reject RUN`: decisions, sealed.

use std::path::PathBuf;

use anyhow::Result;

use super::context::Context;
use super::decider::{Decider, Review, Task, seal_signed};
use super::exit::UsageError;
use super::sealing::{self, Signing};
use super::selection::{Filter, Matcher};
use crate::model::approval::Decision;
use crate::model::order::OrderState;
use crate::model::record::OrderRecord;
use crate::run::{approvable, thresholds};

/// `muster approve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Approving orders does not accept a threshold or a suspicion: --accept does.\n\nExamples:\n  muster approve idp-to-vault --all --comment \"as announced, HR-2291\"\n  muster approve idp-to-vault --first 1 --comment \"to look at one\"\n  muster approve idp-to-vault --where \"operation == 'create'\" --comment \"new team\"\n  muster approve idp-to-vault --where \"key.startsWith('Payments ')\" --comment \"one group's rows\"\n  muster approve idp-to-vault --where \"block == 'prior-order'\" --comment \"looked at each\"\n  muster approve 20261122T150405Z-7f3a --file review.csv --comment \"reviewed with HR\"\n  muster approve idp-to-vault --accept vault.users/disable/percent --comment \"team dissolved\"\n\nWhere the job names `review.approvers`, an approval is signed, here or in two steps elsewhere:\n  muster approve idp-to-vault --all --comment \"HR-2291\" --sign ~/.ssh/id_ed25519\n  muster approve 20261122T150405Z-7f3a --all --comment \"HR-2291\" --prepare review.json\n  ssh-keygen -Y sign -n muster -f ~/.ssh/id_ed25519 review.json\n  muster approve 20261122T150405Z-7f3a --seal review.json --signature review.json.sig"
)]
pub(super) struct ApproveArgs {
    /// A run, or a job's name: all its runs with live orders and those that are held, oldest first
    run: String,
    /// Every order that can be approved
    #[arg(long, conflicts_with_all = ["condition", "order", "file"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// A review file with its decisions filled in
    #[arg(long, value_name = "FILE", conflicts_with_all = ["condition", "order", "first", "seal"])]
    file: Option<PathBuf>,
    /// Accept this threshold or suspicion, at the figure that was found
    #[arg(long, alias = "accept-threshold", value_name = "NAME", conflicts_with = "seal")]
    accept: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "seal")]
    comment: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// `muster reject`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster reject idp-to-vault --where \"operation == 'delete'\" --comment \"not before the audit\"\n  muster reject idp-to-vault --all --comment \"wrong export\""
)]
pub(super) struct RejectArgs {
    /// A run, or a job's name: all its runs with live orders, oldest first
    run: String,
    /// Every order that waits, is blocked, or is approved and was not sent yet
    #[arg(long, conflicts_with_all = ["condition", "order"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "seal")]
    comment: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Approves orders, and accepts what holds a run.
pub(super) fn approve(context: &Context, args: ApproveArgs) -> Result<u8> {
    if let Some(files) = args.signing.signed() {
        return seal_signed(context, &args.run, files);
    }
    let comment = comment(args.comment.as_deref())?;
    if !args.all && !args.filter.is_set() && args.file.is_none() && args.accept.is_empty() {
        let text = "say what to approve: --all, --where EXPR, --order ID, --first N or --file FILE; or --accept NAME";
        return Err(UsageError(text.to_owned()).into());
    }
    let matcher = args.filter.matcher()?;
    let mut decider = Decider::open(context, &args.run, &args.filter)?;
    let mut accepted = decider.accepted(&args.accept)?;
    let mut review = Review::default();
    if let Some(file) = &args.file {
        review = decider.read_file(file, &args.run)?;
    }
    let mut left = args.filter.first.unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    for (run, orders) in &decider.runs {
        let accepted = accepted.remove(&run.id.0).unwrap_or_default();
        let thresholds = thresholds(&decider.store, &run.id, &accepted)?;
        let standing = match run.plan_digest {
            Some(_) => {
                let rules = sealing::rules(context, &decider.store, run)?;
                Some(decider.store.approved_plan(&run.id, &rules, context.now())?)
            }
            None => None,
        };
        let covered = |order: &OrderRecord| match (&standing, order.approved_by) {
            (Some(plan), Some(number)) => plan.covers(number, &order.id, context.now()),
            _ => false,
        };
        let mut task = Task { accepted, comment: comment.to_owned(), ..Task::default() };
        if review.run.as_ref() == Some(&run.id.0) {
            task.decisions = std::mem::take(&mut review.decisions);
            task.comment.push_str(&review.comments);
        }
        for planned in orders.iter().filter(|_| args.all || args.filter.is_set()) {
            if !matcher.matches(planned)? {
                continue;
            }
            let record = &planned.record;
            let can = approvable(record.state, record.block.as_ref(), &thresholds, covered(record));
            // What was named is handed on, so that sealing says why not; what was only swept up is counted.
            let named = !args.all && args.filter.first.is_none() && planned.record.state.is_live();
            if (can || named) && left > 0 {
                task.decisions.insert(planned.order.id.clone(), Decision::Approve);
                left = left.saturating_sub(usize::from(can));
            } else if !can && let Some(block) = &planned.record.block {
                *task.left_out.entry(block.reason.word()).or_default() += 1;
            }
        }
        tasks.push(task);
    }
    decider.seal(context, tasks, &args.signing)
}

/// Rejects orders.
pub(super) fn reject(context: &Context, args: RejectArgs) -> Result<u8> {
    if let Some(files) = args.signing.signed() {
        return seal_signed(context, &args.run, files);
    }
    let comment = comment(args.comment.as_deref())?;
    if !args.all && !args.filter.is_set() {
        return Err(UsageError("say what to reject: --all, --where EXPR, --order ID or --first N".to_owned()).into());
    }
    let matcher: Matcher = args.filter.matcher()?;
    let mut decider = Decider::open(context, &args.run, &args.filter)?;
    let mut left = args.filter.first.unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    for (_, orders) in &decider.runs {
        let mut task = Task { comment: comment.to_owned(), ..Task::default() };
        for planned in orders {
            let state = planned.record.state;
            let waits = matches!(state, OrderState::PendingReview | OrderState::Blocked);
            // Whoever rejects all of them wants nothing to be sent, whatever was approved before.
            let approved = args.all && state == OrderState::Approved;
            let named = !args.all && args.filter.first.is_none() && state.is_live();
            if (waits || approved || named) && left > 0 && matcher.matches(planned)? {
                task.decisions.insert(planned.order.id.clone(), Decision::Reject);
                left -= 1;
            }
        }
        tasks.push(task);
    }
    decider.seal(context, tasks, &args.signing)
}

/// Every decision has its reason in words.
fn comment(text: Option<&str>) -> Result<&str> {
    match text.unwrap_or_default().trim() {
        "" => {
            Err(UsageError("--comment is empty; say in a few words why: it stands in the log for good".to_owned())
                .into())
        }
        text => Ok(text),
    }
}
