//! The list message (RFC 7644 §3.4.2, RFC 9865 §2), built strictly and read leniently.

use serde_json::{Map, Value, json};

use super::urn;

/// One page of resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListResponse {
    /// How many resources the server says there are; may be missing with cursors.
    pub total: Option<u64>,
    /// How many rows the server says this page has; some echo what was asked instead.
    pub items_per_page: Option<u64>,
    /// Position of the first row, from 1; missing with cursors.
    pub start_index: Option<u64>,
    /// The rows, as they came. Empty where the server left `Resources` out.
    pub resources: Vec<Value>,
    /// Where the next page is; may come even if no cursor was asked for.
    pub next_cursor: Option<String>,
    /// Where the page before is.
    pub previous_cursor: Option<String>,
}

/// Why an answer is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The body is no JSON, or was cut off.
    #[error("the list is no valid JSON ({0}); the answer was cut off or comes from something else, such as a proxy")]
    NotJson(String),
    /// JSON, but neither rows nor a total in it.
    #[error("the answer is JSON but no SCIM list ({0}); check that the URL is the SCIM base address")]
    NotAList(String),
}

/// The members of the message that are read.
const MEMBERS: [&str; 6] = ["totalResults", "itemsPerPage", "startIndex", "nextCursor", "previousCursor", "Resources"];

impl ListResponse {
    /// Reads a body. Names may have any case, numbers may be texts, `schemas` and `Resources` may be missing; without
    /// both rows and a total it is no list.
    ///
    /// # Errors
    /// [`ListError`] for anything else.
    pub fn parse(body: &[u8]) -> Result<Self, ListError> {
        let value = serde_json::from_slice(body).map_err(|error| ListError::NotJson(error.to_string()))?;
        Self::from_value(value)
    }

    /// The same for JSON that is read already.
    ///
    /// # Errors
    /// [`ListError::NotAList`].
    pub fn from_value(value: Value) -> Result<Self, ListError> {
        let Value::Object(message) = value else {
            return Err(ListError::NotAList("the top is no object".to_owned()));
        };
        let mut list = Self::default();
        let mut known = false;
        let mut names = Vec::new();
        for (name, value) in message {
            match MEMBERS.iter().find(|known| name.eq_ignore_ascii_case(known)).copied().unwrap_or_default() {
                "totalResults" => {
                    list.total = number(&value);
                    known |= list.total.is_some();
                }
                "itemsPerPage" => list.items_per_page = number(&value),
                "startIndex" => list.start_index = number(&value),
                "nextCursor" => list.next_cursor = cursor(value),
                "previousCursor" => list.previous_cursor = cursor(value),
                "Resources" => match value {
                    Value::Array(rows) => {
                        list.resources = rows;
                        known = true;
                    }
                    Value::Null => {}
                    _ => return Err(ListError::NotAList("`Resources` is no array".to_owned())),
                },
                _ => {}
            }
            names.push(name);
        }
        names.truncate(6);
        if known { Ok(list) } else { Err(ListError::NotAList(format!("it has: {}", names.join(", ")))) }
    }

    /// The message as it goes over the wire.
    pub fn into_json(self) -> Value {
        let mut message = Map::new();
        message.insert("schemas".to_owned(), json!([urn::LIST_RESPONSE]));
        for (name, number) in
            [("totalResults", self.total), ("itemsPerPage", self.items_per_page), ("startIndex", self.start_index)]
        {
            if let Some(number) = number {
                message.insert(name.to_owned(), json!(number));
            }
        }
        for (name, cursor) in [("nextCursor", self.next_cursor), ("previousCursor", self.previous_cursor)] {
            if let Some(cursor) = cursor {
                message.insert(name.to_owned(), json!(cursor));
            }
        }
        message.insert("Resources".to_owned(), Value::Array(self.resources));
        Value::Object(message)
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// An empty cursor in an answer means the same as none.
fn cursor(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_servers_send_them() {
        let list = ListResponse::parse(br#"{"TotalResults":"7","resources":null,"nextCursor":""}"#).unwrap();
        assert_eq!((list.total, list.resources.len(), list.next_cursor), (Some(7), 0, None));
        let list = ListResponse {
            total: Some(1),
            next_cursor: Some("c".into()),
            resources: vec![json!({"id": "1"})],
            ..ListResponse::default()
        };
        assert_eq!(ListResponse::from_value(list.clone().into_json()), Ok(list));
    }

    #[test]
    fn what_is_no_list_is_never_an_empty_one() {
        assert!(matches!(ListResponse::parse(b"<html>"), Err(ListError::NotJson(_))));
        assert!(matches!(ListResponse::parse(br#"{"totalResults":3,"Resources":[{"id""#), Err(ListError::NotJson(_))));
        assert!(matches!(ListResponse::parse(br#"{"ok":true}"#), Err(ListError::NotAList(_))));
        assert!(matches!(ListResponse::parse(b"[]"), Err(ListError::NotAList(_))));
    }
}
