//! What sealing a review came to, for people, and what is next.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Result;

use super::context::Context;
use super::exit::Ending;
use super::{ending, review};
use crate::model::order::{OrderId, OrderState};
use crate::model::record::{HoldKind, RunRecord};
use crate::model::run::RunState;
use crate::report::figures::{count, counted};
use crate::report::safe_text;
use crate::store::database::Store;
use crate::store::seal::{SealReport, SealRequest};

/// Reasons told one by one; of the orders beyond them only the number.
const TOLD: usize = 10;

/// Orders named for each reason.
const NAMED: usize = 3;

/// Where a run stands now: how a command on it ends, and how many of its orders wait.
pub(super) fn stand(context: &Context, store: &Store, run: &RunRecord) -> Result<(Ending, u64)> {
    let held = ending::is_held(store, &store.run(&run.id)?)?;
    let orders = store.orders_of(&run.id)?;
    let waiting = orders.iter().filter(|order| ending::waits(order, context.now())).count() as u64;
    let ending = match (held, waiting) {
        (true, _) => Ending::Held,
        (false, 0) => Ending::Done,
        (false, _) => Ending::Waits,
    };
    Ok((ending, waiting))
}

/// Says what is next for a run.
pub(super) fn conclude(context: &Context, store: &Store, run: &RunRecord) -> Result<Ending> {
    let (ending, waiting) = stand(context, store, run)?;
    if !context.quiet {
        let next = next(store, &store.run(&run.id)?, ending == Ending::Held, waiting)?;
        if !next.is_empty() {
            eprintln!("{next}");
        }
    }
    Ok(ending)
}

/// Says what sealing did.
pub(super) fn tell(context: &Context, run: &RunRecord, request: &SealRequest, report: &SealReport) {
    let mut text = String::new();
    if context.quiet {
        tell_orders(&mut text, &format!("muster: run {}: refused", run.id), &report.refused);
    } else {
        text = told(context, run, request, report);
    }
    text.lines().for_each(|line| eprintln!("{line}"));
}

/// What sealing did, in lines.
pub(super) fn told(context: &Context, run: &RunRecord, request: &SealRequest, report: &SealReport) -> String {
    let mut text = String::new();
    let mut done = Vec::new();
    let words = [
        (&report.approved, "approved"),
        (&report.approved_in_vain, "approved and blocked by what they need"),
        (&report.seconded, "approved in part"),
        (&report.rejected, "rejected"),
    ];
    for (orders, word) in words {
        if !orders.is_empty() {
            done.push(format!("{} {word}", counted(orders.len() as u64, "order")));
        }
    }
    done.extend(
        request.accepted.iter().map(|(name, figure)| format!("{} accepted at {figure}", safe_text::line(name))),
    );
    let done = if done.is_empty() { "nothing was sealed".to_owned() } else { done.join(", ") };
    let reviewer = safe_text::line(request.reviewer.as_deref().unwrap_or("nobody"));
    let _ = writeln!(text, "run {}: {done}, by {reviewer}", run.id);
    if let Some(number) = report.number {
        let path = context.layout.approval(&run.job, &run.id, number);
        let _ =
            writeln!(text, "  sealed in {}, until {}", path.display(), request.expires.format("%Y-%m-%d %H:%M UTC"));
    }
    if !report.seconded.is_empty() {
        let seconded = counted(report.seconded.len() as u64, "order");
        let _ = writeln!(text, "  needs another reviewer's approval: {seconded}");
    }
    for hold in report.holds.iter().filter(|hold| request.accepted.contains_key(&hold.name)) {
        let _ =
            writeln!(text, "  {} still holds it: it needs another reviewer's acceptance", safe_text::line(&hold.name));
    }
    tell_orders(&mut text, "  refused", &report.refused);
    tell_orders(&mut text, "  skipped", &report.skipped);
    tell_orders(&mut text, "  blocked now, missing-reference", &report.blocked);
    if !report.unblocked.is_empty() {
        let _ = writeln!(text, "  {} may go on", counted(report.unblocked.len() as u64, "order"));
    }
    text
}

/// Adds orders with what is to be said of each, behind what became of them; those of which the same is said stand together.
pub(super) fn tell_orders(text: &mut String, word: &str, orders: &[(OrderId, String)]) {
    let mut reasons: Vec<(&str, Vec<&OrderId>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (order, why) in orders {
        let at = *known.entry(why).or_insert(reasons.len());
        if at == reasons.len() {
            reasons.push((why, Vec::new()));
        }
        reasons[at].1.push(order);
    }
    for (why, orders) in reasons.iter().take(TOLD) {
        let mut named = orders.iter().take(NAMED).map(|order| order.0.as_str()).collect::<Vec<_>>().join(", ");
        if orders.len() > NAMED {
            let _ = write!(named, " and {} more", count((orders.len() - NAMED) as u64));
        }
        let _ = writeln!(text, "{word}: {named}: {}", safe_text::line(why));
    }
    let more: usize = reasons.iter().skip(TOLD).map(|(_, orders)| orders.len()).sum();
    if more > 0 {
        let _ = writeln!(text, "{word}: and {} more, for other reasons", count(more as u64));
    }
}

/// What still holds the run, and the next command.
pub(super) fn next(store: &Store, run: &RunRecord, held: bool, waiting: u64) -> Result<String> {
    if held {
        let plan = store.unaccepted_holds(&run.id)?.iter().any(|hold| hold.kind == HoldKind::Plan);
        let what = if plan { "nothing of it is applied yet" } else { "what depends on a held snapshot waits" };
        return Ok(format!("  {what}\n{}", review::holds_text(store, run)?));
    }
    if run.state == RunState::HeldSnapshot {
        return Ok(format!("next: muster run {}\n", safe_text::line(&run.job)));
    }
    if run.state == RunState::Replaced {
        return Ok("  nothing of it is left to accept: it is not held any more\n".to_owned());
    }
    let mut text = String::new();
    if waiting > 0 {
        let verb = if waiting == 1 { "waits" } else { "wait" };
        let _ = writeln!(text, "  {} still {verb}: muster review {}", counted(waiting, "order"), run.id);
    }
    let approved = store.order_counts(&run.job, Some(&run.id))?.get(&OrderState::Approved).copied().unwrap_or(0);
    if approved > 0 {
        let _ = writeln!(text, "next: muster apply {}", run.id);
    }
    Ok(text)
}
