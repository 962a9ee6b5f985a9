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
    serde_json::from_str(cell).ok()
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
