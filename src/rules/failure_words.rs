//! Why a rule failed on a row, in plain words.

use cel::{ExecutionError, Value};

use super::functions::{MATCHES, TIMESTAMP};
use super::outcome::shortened;
use super::rewrite::{Read, SLOT};
use crate::snapshot::dispute::dispute;

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
            let function = match function.as_str() {
                MATCHES => "matches",
                TIMESTAMP => "timestamp",
                function => function,
            };
            format!("{function}: {}", of_function(function, message))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, one, other)
        | ExecutionError::Overflow(operator, one, other) => {
            let sign = sign(operator);
            match error {
                ExecutionError::Overflow(..) => format!("the result of `{sign}` is larger than a number can be"),
                _ => format!("`{sign}` cannot be applied to {} and {}", one.type_of(), other.type_of()),
            }
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
        ExecutionError::ValuesNotComparable(one, other) => {
            format!("{} and {} cannot be compared", one.type_of(), other.type_of())
        }
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments, and has {actual}")
        }
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("the list has no element {index}"),
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} is needed"),
        other => other.to_string(),
    }
}

/// What a function of the language or its extensions says, in the words of rules.
fn of_function(function: &str, message: &str) -> String {
    let number = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit() && c != '-').find(|part| !part.is_empty()).map(str::to_owned)
    };
    if let Some(place) = message.strip_prefix("index out of range") {
        return format!("the text has no place {}", number(place).unwrap_or_default());
    }
    if message.starts_with("invalid substring range") {
        return "it ends before it begins".to_owned();
    }
    if let Some((_, length)) = message.split_once("list is length ") {
        return format!("the list has no more than {length} elements");
    }
    match function {
        "int" | "uint" if message.starts_with("string parse error") => "the text is not a whole number".to_owned(),
        "double" if message.starts_with("string parse error") => "the text is not a number".to_owned(),
        "duration" => "the text is not a duration such as `90m` or `1h30m`".to_owned(),
        _ => {
            let mut rest = message.chars();
            let first = rest.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
            format!("{first}{}", rest.as_str())
        }
    }
}

/// An operator as it is written.
fn sign(operator: &str) -> &str {
    match operator {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "rem" => "%",
        other => other,
    }
}
