//! What a list is asked for, in a URL or in a body (RFC 7644 §3.4.2 and §3.4.3, RFC 9865 §2).

use serde_json::Value;

use super::projection::{Projection, names_in};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{self, Filter};
use crate::scim::path::{Path, member};

/// A query.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    /// As sent, for the cursor.
    pub(super) filter_text: String,
    pub(super) filter: Option<Filter>,
    pub(super) sort_by: Option<Path>,
    pub(super) descending: bool,
    pub(super) start_index: Option<i64>,
    pub(super) count: Option<i64>,
    /// Empty asks for the first page.
    pub(super) cursor: Option<String>,
    pub(super) projection: Projection,
}

impl Query {
    /// From the part of a URL behind `?`.
    pub(super) fn from_url(text: &str) -> Result<Self, ScimError> {
        let parameters: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        let names = |name: &str| get(name).unwrap_or_default();
        let (only, without) = (names("attributes"), names("excludedAttributes"));
        Self::build(get, Projection::read(only.split(','), without.split(','))?)
    }

    /// From a search request.
    pub(super) fn from_body(body: &Value) -> Result<Self, ScimError> {
        if !body.is_object() {
            return Err(ScimError::bad(ScimType::InvalidSyntax, "a search request is an object"));
        }
        let get = |name: &str| match member(body, name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let (only, without) = (names_in(body, "attributes"), names_in(body, "excludedAttributes"));
        Self::build(get, Projection::read(only.iter().map(String::as_str), without.iter().map(String::as_str))?)
    }

    fn build(get: impl Fn(&str) -> Option<String>, projection: Projection) -> Result<Self, ScimError> {
        let number = |name: &str| match get(name) {
            None => Ok(None),
            Some(text) => text.trim().parse::<i64>().map(Some).map_err(|_| {
                ScimError::bad(ScimType::InvalidValue, format!("`{name}` is `{text}`, not a whole number"))
            }),
        };
        let filter_text = get("filter").unwrap_or_default();
        let filter = match filter_text.as_str() {
            "" => None,
            text => Some(filter::parse(text).map_err(|e| ScimError::bad(ScimType::InvalidFilter, e.to_string()))?),
        };
        let sort_by = match get("sortBy").filter(|name| !name.is_empty()) {
            None => None,
            Some(name) => Some(Path::parse(&name).map_err(|e| ScimError::bad(ScimType::InvalidPath, e.to_string()))?),
        };
        let descending = match get("sortOrder").as_deref() {
            None | Some("" | "ascending") => false,
            Some("descending") => true,
            Some(_) => {
                return Err(ScimError::bad(ScimType::InvalidValue, "`sortOrder` is ascending or descending"));
            }
        };
        let (start_index, cursor) = (number("startIndex")?, get("cursor"));
        if cursor.is_some() && start_index.is_some() {
            return Err(ScimError::bad(ScimType::InvalidValue, "`cursor` and `startIndex` exclude each other"));
        }
        Ok(Self { filter_text, filter, sort_by, descending, start_index, count: number("count")?, cursor, projection })
    }
}
