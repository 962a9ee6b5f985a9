//! Attribute values as muster stores and compares them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The value of one attribute. Absence is `None` around it, never an empty text.
///
/// Everything is text on the inside: booleans are `true` and `false`, numbers keep their digits, times are RFC 3339.
/// A connector turns them into its protocol's types by the target's schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A single value; never empty.
    Text(String),
    /// A multi-valued attribute: sorted, without repetitions, never empty.
    Many(Vec<String>),
}

/// An object's attributes by name.
pub type Attributes = BTreeMap<String, Value>;

impl Value {
    /// A single value, or `None` where the text is empty.
    pub fn text(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty()).then_some(Value::Text(text))
    }

    /// A multi-valued attribute, sorted and without repetitions, or `None` where nothing is left.
    pub fn many(values: impl IntoIterator<Item = String>) -> Option<Self> {
        let mut values: Vec<String> = values.into_iter().filter(|v| !v.is_empty()).collect();
        values.sort();
        values.dedup();
        (!values.is_empty()).then_some(Value::Many(values))
    }

    /// Reads a snapshot cell: empty means absent, a JSON array of strings means a multi-valued attribute.
    pub fn from_cell(cell: &str) -> Option<Self> {
        if cell.is_empty() {
            return None;
        }
        if cell.starts_with('[')
            && let Ok(values) = serde_json::from_str::<Vec<String>>(cell)
        {
            return Self::many(values);
        }
        Some(Value::Text(cell.to_owned()))
    }

    /// The snapshot cell of this value; `from_cell` reads it back.
    pub fn to_cell(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Many(values) => serde_json::to_string(values).unwrap_or_default(),
        }
    }

    /// The single text, where there is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Many(_) => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Many(values) => f.write_str(&values.join(", ")),
        }
    }
}
