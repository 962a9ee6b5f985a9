//! What evaluating a rule yields.

use std::sync::Arc;

use cel::Value;

use super::expression::Outcome;
use crate::snapshot::dispute::dispute;

/// Turns the engine's value into an outcome, or says why it cannot be one.
pub(super) fn outcome(value: Value) -> Result<Outcome, String> {
    if let Value::List(elements) = &value {
        let mut texts = Vec::with_capacity(elements.len());
        for element in elements.iter() {
            texts.extend(scalar(element.clone())?.filter(|text| !text.is_empty()));
        }
        return Ok(if texts.is_empty() { Outcome::Nothing } else { Outcome::Many(texts) });
    }
    Ok(scalar(value)?.filter(|text| !text.is_empty()).map_or(Outcome::Nothing, Outcome::Text))
}

fn scalar(value: Value) -> Result<Option<String>, String> {
    Ok(Some(match value {
        Value::String(text) => Arc::unwrap_or_clone(text),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Timestamp(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        Value::Null => return Ok(None),
        other => return Err(format!("it yields a {}, which no attribute can hold", other.type_of())),
    }))
}

/// A cell as it is shown in messages.
pub(crate) fn shortened(cell: &str) -> String {
    const LIMIT: usize = 120;
    if dispute(cell).is_some() {
        return "(disputed)".to_owned();
    }
    match cell.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", cell.get(..end).unwrap_or_default()),
        None => cell.to_owned(),
    }
}
