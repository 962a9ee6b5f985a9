//! Cells as values of an expression: how one is read is said by the place where it stands.

use cel::common::types::{CelBool, CelList, CelString};
use cel::common::value::{CowVal, Val};

use super::rewrite::Reading;
use crate::snapshot::dispute::dispute;

/// The elements of a multi-valued cell.
pub(super) fn array(cell: &str) -> Option<Vec<String>> {
    if !cell.starts_with('[') {
        return None;
    }
    serde_json::from_str(cell).ok().or_else(|| mixed(cell))
}

/// The elements of a list that are no texts alone, as somebody else may have written it: numbers and truth values as they
/// stand, without what is null. One that holds more than that stays a text.
fn mixed(cell: &str) -> Option<Vec<String>> {
    let elements: Vec<serde_json::Value> = serde_json::from_str(cell).ok()?;
    let text = |element: serde_json::Value| match element {
        serde_json::Value::String(text) => Some(Some(text)),
        serde_json::Value::Null => Some(None),
        plain @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => Some(Some(plain.to_string())),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    };
    let texts: Option<Vec<Option<String>>> = elements.into_iter().map(text).collect();
    Some(texts?.into_iter().flatten().collect())
}

/// Whether a cell is a list that is not written as snapshots write one: its elements are to be read.
pub(super) fn is_mixed(cell: &str) -> bool {
    cell.starts_with('[') && serde_json::from_str::<Vec<String>>(cell).is_err() && mixed(cell).is_some()
}

/// A cell read as a truth value; absent is false.
pub(super) fn truth(cell: &str) -> Option<bool> {
    if cell.eq_ignore_ascii_case("true") {
        Some(true)
    } else if cell.is_empty() || cell.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A cell as a value; `None` where it is to be a truth value and is none, and where nobody can tell what it holds.
pub(super) fn value<'b, 'v>(cell: impl Into<CelString<'v>> + AsRef<str>, reading: Reading) -> Option<CowVal<'b, 'v>> {
    let text = cell.as_ref();
    if dispute(text).is_some() {
        return None;
    }
    Some(match reading {
        Reading::Flag => CowVal::owned(CelBool::from(truth(text)?)),
        Reading::Text => match array(text) {
            Some(values) => CowVal::owned(list(values)),
            None => CowVal::owned(cell.into()),
        },
        Reading::List if text.is_empty() => CowVal::owned(list(Vec::new())),
        Reading::List => CowVal::owned(list(array(text).unwrap_or_else(|| vec![text.to_owned()]))),
    })
}

fn list(values: Vec<String>) -> CelList<'static> {
    let values: Vec<Box<dyn Val>> =
        values.into_iter().map(|value| Box::new(CelString::from(value)) as Box<dyn Val>).collect();
    CelList::from(values)
}
