//! Events as JSON lines: the log of a run for programs that collect logs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::event_line::{Level, event_line};
use super::run_log::Clock;
use super::safe_text;
use crate::model::event::{Event, Reporter};
use crate::model::run::RunId;

/// What lines are about, where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The job.
    pub job: Option<String>,
    /// The run.
    pub run: Option<RunId>,
}

/// Takes one line and how much it matters.
pub type Line = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Writes each event that matters enough as one JSON object on a line: `time`, `level` (error, warning, info, debug), `job`,
/// `run`, `event`, `text` (what the run's log says), and `fields`.
pub struct JsonLog {
    subject: Subject,
    clock: Clock,
    least: Level,
    line: Line,
}

impl JsonLog {
    /// A log of what matters at least so much.
    pub fn new(subject: Subject, clock: Clock, least: Level, line: Line) -> Self {
        Self { subject, clock, least, line }
    }
}

impl Reporter for JsonLog {
    fn event(&self, event: &Event) {
        let Some((level, text)) = event_line(event) else { return };
        if level >= self.least {
            let (name, fields) = described(event);
            (self.line)(level, &entry(&self.subject, (self.clock)(), level, name, &text, fields));
        }
    }
}

/// A sentence that belongs to no event, as such a line.
pub fn said(subject: &Subject, at: DateTime<Utc>, level: Level, text: &str) -> String {
    entry(subject, at, level, "said", text, Value::Null)
}

fn entry(subject: &Subject, at: DateTime<Utc>, level: Level, event: &str, text: &str, fields: Value) -> String {
    let level = match level {
        Level::Detail => "debug",
        other => other.word(),
    };
    let mut entry = Map::new();
    entry.insert("time".to_owned(), at.to_rfc3339_opts(SecondsFormat::Millis, true).into());
    entry.insert("level".to_owned(), level.into());
    entry.extend(subject.job.as_deref().map(|job| ("job".to_owned(), job.into())));
    entry.extend(subject.run.as_ref().map(|run| ("run".to_owned(), run.0.as_str().into())));
    entry.insert("event".to_owned(), event.into());
    entry.insert("text".to_owned(), text.into());
    if let Value::Object(mut fields) = fields {
        fields.retain(|_, value| !value.is_null());
        if !fields.is_empty() {
            entry.insert("fields".to_owned(), fields.into());
        }
    }
    safe_text::json(Value::Object(entry).to_string())
}

/// An event's name, and what it holds.
fn described(event: &Event) -> (&'static str, Value) {
    match event {
        Event::RunStarted { mode, because, undoes, .. } => (
            "run-started",
            json!({ "mode": mode.word(), "because": because, "undoes": undoes.as_ref().map(|run| &run.0) }),
        ),
        Event::Recovering { orders } => ("recovering", json!({ "orders": orders })),
        Event::Exchanged(_) => ("exchanged", Value::Null),
        Event::ExportProgress { resource, rows, total } => {
            ("export-progress", json!({ "resource": resource.to_string(), "rows": rows, "total": total }))
        }
        Event::Exported { resource, rows, read_again, verdict, .. } => (
            "exported",
            json!({
                "resource": resource.to_string(), "rows": rows, "verdict": verdict.word(), "read_again": read_again,
            }),
        ),
        Event::ExportFailed { system, why } => ("export-failed", json!({ "system": system, "why": why })),
        Event::Planning { stage, rows } => ("planning", json!({ "stage": stage, "rows": rows })),
        Event::Planned { orders, kept, superseded, blocked, .. } => {
            ("planned", json!({ "orders": orders, "kept": kept, "superseded": superseded, "blocked": blocked }))
        }
        Event::Exceeded(excess) => (
            "threshold-exceeded",
            json!({ "threshold": excess.name, "figure": excess.figure, "limit": excess.limit, "size": excess.size }),
        ),
        Event::Applying { orders } => ("applying", json!({ "orders": orders })),
        Event::Wave { kind, number, orders } => ("wave", json!({ "kind": kind, "number": number, "orders": orders })),
        Event::Sending { order, operation, resource, key } => (
            "sending",
            json!({
                "order": order.0, "operation": operation.word(), "resource": resource.to_string(), "key": key,
            }),
        ),
        Event::Retrying { order, failure, attempt, wait } => (
            "retrying",
            json!({
                "order": order.as_ref().map(|order| &order.0), "attempt": attempt, "seconds": wait.as_secs_f64(),
                "failure": failure,
            }),
        ),
        Event::Ended(outcome) => (
            "order-ended",
            json!({
                "order": outcome.order.0, "state": outcome.state.word(), "target_id": outcome.target_id,
                "tries": outcome.tries, "note": outcome.note, "failure": outcome.failure,
            }),
        ),
        Event::Stopped { kind, why, untried } => ("stopped", json!({ "kind": kind, "why": why, "untried": untried })),
        Event::Warning(_) => ("warning", Value::Null),
        Event::Note(_) => ("note", Value::Null),
    }
}
