//! What evaluating a rule yields, and how a failure is told.

use std::sync::Arc;

use cel::{ExecutionError, Value};

use super::expression::Outcome;
use super::functions::MATCHES;
use super::rewrite::{Read, SLOT};
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

/// Says in plain words why an evaluation failed. `cells` are those of `reads`.
pub(super) fn message(error: &ExecutionError, reads: &[Read], cells: &[&str]) -> String {
    match error {
        ExecutionError::UndeclaredReference(name) => {
            let slot = name.strip_prefix(SLOT).and_then(|digits| digits.parse::<usize>().ok());
            match slot.and_then(|slot| Some((reads.get(slot)?, cells.get(slot)?))) {
                Some((read, cell)) => dispute(cell).map_or_else(
                    || format!("column `{}` holds `{}`, which is neither true nor false", read.column, shortened(cell)),
                    str::to_owned,
                ),
                None => format!("`{name}` is unknown"),
            }
        }
        ExecutionError::NoSuchOverload(call) => {
            let name = call.function().trim_matches('_').trim_start_matches('@');
            let types = call.argument_types().join(" and ");
            let hint = if call.argument_types().iter().any(|name| name == "string") {
                "; a cell is text: int(…), double(…) and timestamp(…) make something else of it"
            } else {
                ""
            };
            format!("`{name}` cannot be applied to {types}{hint}")
        }
        ExecutionError::FunctionError { function, message } => {
            let mut rest = message.chars();
            let first = rest.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
            let function = if function == MATCHES { "matches" } else { function };
            format!("{function}: {first}{}", rest.as_str())
        }
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("the list has no element {index}"),
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} is needed"),
        other => other.to_string(),
    }
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
