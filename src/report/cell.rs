//! One cell of a listing.

use serde_json::Value;

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// Nothing: blank, JSON null.
    #[default]
    Empty,
    /// Text.
    Text(String),
    /// A number, set right in tables.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Several texts: joined by `; ` in tables and CSV, an array in JSON.
    List(Vec<String>),
}

impl Cell {
    /// As programs read it from CSV.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Self::List(texts) => texts.join("; "),
        }
    }

    /// The same where no text is taken for a formula.
    pub(super) fn csv(&self) -> String {
        match self {
            Self::Text(_) | Self::List(_) => super::safe_text::spreadsheet_cell(&self.plain()).into_owned(),
            _ => self.plain(),
        }
    }

    /// As people read it: numbers with a comma between groups of three digits.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Number(number) => super::figures::count(*number),
            _ => self.plain(),
        }
    }

    /// As programs read it from JSON.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
            Self::List(texts) => Value::from(texts.clone()),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Vec<String>> for Cell {
    fn from(texts: Vec<String>) -> Self {
        Self::List(texts)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}
