//! One event in one safe line: what the console and the run's log have in common.

use std::fmt::Write as _;

use super::figures::{count, counted, examples};
use super::safe_text;
use crate::model::event::Event;
use crate::model::evidence::Completeness;
use crate::model::order::OrderState;
use crate::model::outcome::{Effected, Outcome};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the log only.
    Detail,
    /// What goes on.
    Info,
    /// A person should know; nothing failed.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    /// The word for it in a log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Detail => "detail",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// An event's level and text; `None` for events that only move a progress bar.
///
/// The text is one line and safe for a terminal, whatever the event holds.
pub fn event_line(event: &Event) -> Option<(Level, String)> {
    let (level, text) = match event {
        // They have a log of their own.
        Event::Exchanged(_) => return None,
        Event::RunStarted { run, job, undoes: Some(undone), .. } => (
            Level::Info,
            format!("run {run} of job {job} undoes run {undone}: each object that it changed is read at its target"),
        ),
        Event::RunStarted { run, job, mode, because, undoes: None } => {
            let because = because.as_ref().map(|why| format!(", because {why}")).unwrap_or_default();
            (Level::Info, format!("run {run} of job {job}: {mode}{because}"))
        }
        Event::Recovering { orders } => (
            Level::Warning,
            format!(
                "{} without a known outcome after an interrupted apply; each is looked up at its target before anything \
                 is sent",
                counted(*orders, "order")
            ),
        ),
        // They move progress bars alone.
        Event::ExportProgress { .. } | Event::Planning { .. } => return None,
        Event::Applying { orders } => (Level::Detail, format!("{} to be sent", counted(*orders, "order"))),
        Event::Exported { resource, rows, missed, read_again, verdict } => {
            let told = missed.map(|missed| format!(", of which the increments had missed {missed}"));
            let again = read_again.as_ref().map(|why| format!(", read twice (at first {why})"));
            let text = format!(
                "exported {resource}: {}{}{}",
                counted(*rows, "row"),
                told.unwrap_or_default(),
                again.unwrap_or_default()
            );
            let (level, text) = verdict_line(text, verdict);
            // An increment that misses rows is news, whatever the verdict.
            (if missed.is_some_and(|missed| !missed.is_nothing()) { level.max(Level::Warning) } else { level }, text)
        }
        Event::ExportFailed { system, why } => (Level::Error, format!("the export of {system} failed: {why}")),
        Event::Planned { run, orders, kept, superseded, blocked } => {
            let mut text = format!("planned run {run}: {}", counted(*orders, "new order"));
            for (number, what) in [(kept, "kept from earlier runs"), (superseded, "superseded"), (blocked, "blocked")] {
                if *number > 0 {
                    let _ = write!(text, ", {} {what}", count(*number));
                }
            }
            (Level::Info, text)
        }
        Event::Exceeded(excess) => {
            let first = examples(excess.first.iter().map(String::as_str), excess.figure, 5);
            let first = if first.is_empty() { first } else { format!(": {first}") };
            (Level::Detail, format!("threshold exceeded: {}{first}", excess.sentence()))
        }
        Event::Wave { kind, number, orders } => {
            (Level::Info, format!("{kind}, wave {number}: {}", counted(*orders as u64, "order")))
        }
        Event::Sending { order, operation, resource, key } => {
            (Level::Detail, format!("sending {order}: {operation} {resource} {key}"))
        }
        Event::Retrying { order, failure, attempt, wait } => {
            let what = order.as_ref().map(|order| format!("{order} ")).unwrap_or_default();
            let wait = wait.as_secs_f64();
            (Level::Detail, format!("trying {what}again in {wait:.1} s (try {attempt}): {}", failure.sentence()))
        }
        Event::Ended(outcome) => outcome_line(outcome),
        Event::Stopped { kind, why, untried } => (Level::Error, stopped_line(kind.as_deref(), why, *untried)),
        Event::Warning(text) => (Level::Warning, text.clone()),
        Event::Note(text) => (Level::Detail, text.clone()),
    };
    Some((level, safe_text::line(&text).into_owned()))
}

/// The verdict on a snapshot, after what was read.
fn verdict_line(text: String, verdict: &Completeness) -> (Level, String) {
    match verdict {
        Completeness::Complete => (Level::Info, format!("{text}, complete")),
        Completeness::Suspect { suspicions } => {
            let reasons: Vec<String> = suspicions.iter().map(|s| format!("{}: {}", s.name, s.detail)).collect();
            (Level::Warning, format!("{text}, suspect; {}", reasons.join("; ")))
        }
        // The cause is told by the failure of the export that follows.
        Completeness::Partial { .. } => (Level::Info, format!("{text}, partial and not used")),
    }
}

/// What stopped, why, and what it leaves.
fn stopped_line(kind: Option<&str>, why: &str, untried: u64) -> String {
    let orders = counted(untried, if kind.is_some() { "further order" } else { "order" });
    let what = kind.unwrap_or("the apply");
    let verb = if untried == 1 { "was not tried and stays" } else { "were not tried and stay" };
    let mut text = format!("{what} stopped: {why}");
    if untried > 0 {
        let _ = write!(text, "; {orders} {verb} approved; when the cause is mended, the next apply goes on");
    }
    text
}

/// How much it matters that an order ended so.
pub(super) fn outcome_level(state: OrderState) -> Level {
    match state {
        OrderState::Errored | OrderState::Uncertain => Level::Error,
        OrderState::Stale => Level::Warning,
        _ => Level::Detail,
    }
}

/// How an order ended.
fn outcome_line(outcome: &Outcome) -> (Level, String) {
    let level = outcome_level(outcome.state);
    let mut text = format!("{} {}", outcome.order, outcome.state);
    match outcome.effected {
        Some(Effected::AlreadySo) => text.push_str(" (it was so already)"),
        Some(Effected::HandedOver) => text.push_str(" (handed over as a work order)"),
        Some(Effected::Recovered) => text.push_str(" (found in effect after an interrupted apply)"),
        Some(Effected::Sent) | None => {}
    }
    if let Some(id) = &outcome.target_id {
        let _ = write!(text, ", target id {id}");
    }
    if outcome.tries > 1 {
        let _ = write!(text, ", after {} requests", outcome.tries);
    }
    if let Some(note) = &outcome.note {
        let _ = write!(text, ": {note}");
    }
    if let Some(failure) = &outcome.failure {
        let _ = write!(text, ": {}", failure.sentence());
    }
    (level, text)
}
