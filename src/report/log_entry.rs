//! One entry of the log in one line.

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::figures::{count, counted};
use super::safe_text;
use super::screen::Screen;
use super::wrap::broken;
use crate::model::apply_end::ApplyEnd;
use crate::model::record::LogEntry;

/// Orders that one line names.
const NAMED: usize = 3;

/// Digits of a SHA-256 that a line shows.
const DIGITS: usize = 12;

/// Columns before what an entry says: its number and time.
const LABEL: usize = 30;

/// An entry in one line, on a screen in as many as it takes, whole but for the digits of digests: what is looked for in a
/// log stands at its end as often as not. Ends with a line break.
pub fn entry_line(entry: &LogEntry, on: impl Into<Screen>) -> String {
    let on = on.into();
    let at = entry.at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut parts = vec![format!("{:>6}  {at}  {:<16}", entry.seq, entry.kind)];
    if entry.error {
        parts.push("ERROR".to_owned());
    }
    parts.extend(entry.run.as_ref().map(|run| format!("run {run}")));
    if !entry.who.is_empty() {
        parts.push(format!("by {}", entry.who));
    }
    if !entry.orders.is_empty() {
        let mut orders: Vec<&str> = entry.orders.iter().take(NAMED).map(|order| order.0.as_str()).collect();
        let more = format!("and {} more", entry.orders.len() - orders.len());
        if entry.orders.len() > NAMED {
            orders.push(&more);
        }
        parts.push(orders.join(" "));
    }
    parts.push(entry_detail(entry, Some(DIGITS)));
    let whole = parts.join("  ");
    let line = safe_text::line(whole.trim_end());
    let coloured = if entry.error {
        line.replacen("  ERROR  ", &format!("  {}  ", on.paint_state("ERROR")), 1)
    } else {
        line.into_owned()
    };
    broken(&coloured, LABEL, on.width) + "\n"
}

/// What an entry says besides, in words; of each digest so many digits, all where it is not said.
pub fn entry_detail(entry: &LogEntry, digits: Option<usize>) -> String {
    match (entry.kind.as_str(), &entry.detail) {
        ("apply-ended", detail) => {
            serde_json::from_value(detail.clone()).map_or_else(|_| words(detail, digits), |end| apply_ended(&end))
        }
        ("snapshots-moved", Value::Object(fields)) => told_of(fields.get("moved"), movement),
        ("run-held", Value::Object(fields)) => told_of(fields.get("holds"), |hold| text_of(hold, "detail")),
        ("erased", Value::Object(fields)) => erased(fields),
        ("links", Value::Object(fields)) => {
            let changed = fields.iter().filter(|(_, value)| value.as_u64() != Some(0));
            pairs(&changed.map(|(name, value)| (name.clone(), value.clone())).collect(), digits)
        }
        (_, Value::Object(fields)) => pairs(fields, digits),
        (_, other) => words(other, digits),
    }
}

/// Each thing of a list in a few words, with what it takes between them.
fn told_of(list: Option<&Value>, tell: impl Fn(&Value) -> Option<String>) -> String {
    let told = list.and_then(Value::as_array).into_iter().flatten().filter_map(tell);
    told.collect::<Vec<_>>().join("; ")
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

/// How far a snapshot is from the one before: `hr.users: 2 inserted, 1 deleted, of 60 rows before`.
fn movement(movement: &Value) -> Option<String> {
    let resource = text_of(movement, "resource")?;
    let figure = |name: &str| movement.get(name).and_then(Value::as_u64).unwrap_or_default();
    let moved = ["inserted", "updated", "deleted"].map(|name| (figure(name), name));
    let moved = moved.iter().filter(|(number, _)| *number > 0);
    let moved: Vec<String> = moved.map(|(number, name)| format!("{} {name}", count(*number))).collect();
    let moved = if moved.is_empty() { "nothing changed".to_owned() } else { moved.join(", ") };
    Some(format!("{resource}: {moved}, of {} before", counted(figure("rows"), "row")))
}

/// What an erasure took: `people erased-1f0c: 12 orders, 7 entries of the log; request 4711`.
fn erased(fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let orders =
        fields.get("counts").and_then(|counts| counts.get("orders")).and_then(Value::as_u64).unwrap_or_default();
    let entries = fields.get("entries").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    let (job, name, comment) = (text("job"), text("name"), text("comment"));
    format!(
        "{job} {name}: {}, log entries of which content went: {}; {comment}",
        counted(orders, "order"),
        count(entries)
    )
}

/// What is known by its shape, without the names of its parts: why an order is blocked, what a review takes, a limit.
fn shaped(fields: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let (Some(reason), Some(detail)) = (text("reason"), text("detail")) {
        return Some(format!("{reason}: {detail}"));
    }
    if let (Some(_), Some(detail), Some(_)) = (text("name"), text("detail"), text("figure")) {
        return Some(detail.to_owned());
    }
    let reviewers = fields.get("reviewers").and_then(Value::as_u64)?;
    let is_set = |name: &str| fields.get(name).and_then(Value::as_bool) == Some(true);
    let mut terms = counted(reviewers, "reviewer");
    for (name, said) in [("signed", ", signed"), ("four_eyes", ", four eyes")] {
        if is_set(name) {
            terms.push_str(said);
        }
    }
    Some(terms)
}

/// How an apply ended: `stopped: …; left approved: 149 orders of create vault.users (orders failed: see data-3f2a)`.
fn apply_ended(end: &ApplyEnd) -> String {
    let mut parts: Vec<String> = end.stopped.iter().map(|why| format!("stopped: {why}")).collect();
    let left = end.left.iter().map(|left| {
        let begun = if left.is_started { "" } else { "not started: " };
        let why = if end.stopped.as_ref() == Some(&left.why) { "for that" } else { left.why.as_str() };
        format!("{} of {} ({begun}{why})", counted(left.orders, "order"), left.kind)
    });
    let left = left.collect::<Vec<_>>().join(", ");
    parts.push(if left.is_empty() { "nothing is left approved".to_owned() } else { format!("left approved: {left}") });
    parts.join("; ")
}

/// `key=value`, without quotes where it can be; what is not there is left out.
fn pairs(fields: &Map<String, Value>, digits: Option<usize>) -> String {
    let told = fields.iter().filter(|(_, value)| !is_nothing(value)).map(|(name, value)| {
        let said = words(value, digits);
        let quote = said.contains(char::is_whitespace) && !said.starts_with(['(', '[']);
        if quote { format!("{name}=\"{said}\"") } else { format!("{name}={said}") }
    });
    told.collect::<Vec<_>>().join(" ")
}

/// A value in words: what is said of several things stands in brackets, thing by thing.
fn words(value: &Value, digits: Option<usize>) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), count),
        Value::String(text) => match digits.and_then(|digits| text.get(..digits)) {
            Some(first) if is_digest(text) => format!("{first}…"),
            _ => text.clone(),
        },
        Value::Array(values) => {
            let told: Vec<String> = values.iter().map(|value| words(value, digits)).collect();
            format!("[{}]", told.join(", "))
        }
        Value::Object(fields) => {
            if let Some(said) = shaped(fields) {
                return said;
            }
            let told = fields.iter().filter(|(_, value)| !is_nothing(value));
            let told: Vec<String> = told.map(|(name, value)| format!("{name}: {}", words(value, digits))).collect();
            format!("({})", told.join(", "))
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
