//! errors.csv and its JSON twin: one row a failed order.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::error_groups::ErrorGroup;
use super::safe_text;
use super::table::csv_text;
use crate::model::failure::{Class, Failure};
use crate::model::failure_cause::{FailureCause, normalised};
use crate::model::order::{Operation, OrderId, OrderState};
use crate::model::record::OrderRecord;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

/// A failed order, with all that an operator needs to act on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The order.
    pub order: OrderId,
    /// The run whose plan raised it.
    pub run: RunId,
    /// What it was to do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// The object, as a person looks for it.
    pub key: String,
    /// What to call the object; may be empty.
    pub name: String,
    /// Whose side the failure is on, and what kind it is.
    pub class: Class,
    /// HTTP status or the protocol's result code.
    pub status: Option<u16>,
    /// SCIM's scimType (RFC 7644 section 3.12).
    pub scim_type: Option<String>,
    /// The server's own message, verbatim; what muster found where the server sent none.
    pub message: String,
    /// What to do next.
    pub remedy: String,
    /// Requests sent, retries included.
    pub tries: u32,
    /// The server's id of the last request, where it sent one.
    pub request_id: Option<String>,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// The name of its cause, which it shares with other orders: `permission-3f2a`.
    pub group: String,
    /// Whether nobody can tell that it failed: it is settled, not sent again.
    #[serde(skip)]
    pub is_uncertain: bool,
}

impl ErrorRow {
    /// The row of an order that failed; `name` is what to call its object, where that is known.
    pub fn of(order: &OrderRecord, name: &str, failure: &Failure, tries: u32, at: DateTime<Utc>) -> Self {
        let mut row = Self {
            order: order.id.clone(),
            run: order.run.clone(),
            operation: order.operation,
            resource: order.resource.clone(),
            key: order.key.clone(),
            name: name.to_owned(),
            class: failure.class,
            status: failure.status,
            scim_type: failure.scim_type.clone(),
            message: failure.message.clone().filter(|m| !m.is_empty()).unwrap_or_else(|| failure.cause.clone()),
            remedy: failure.remedy.clone(),
            tries,
            request_id: failure.request_id.clone(),
            at,
            group: String::new(),
            is_uncertain: order.state == OrderState::Uncertain,
        };
        row.group = row.cause().name();
        row
    }

    /// What it has in common with other failed orders.
    pub fn cause(&self) -> FailureCause {
        FailureCause {
            class: self.class,
            status: self.status,
            scim_type: self.scim_type.clone(),
            message: normalised(&self.message),
            operation: self.operation,
            resource: self.resource.clone(),
        }
    }
}

/// The header of errors.csv.
pub const COLUMNS: [&str; 16] = [
    "order",
    "run",
    "operation",
    "resource",
    "key",
    "name",
    "class",
    "status",
    "scim_type",
    "message",
    "remedy",
    "tries",
    "request_id",
    "at",
    "group",
    "of_group",
];

/// errors.csv: a row each failed order, with the group of one cause that it belongs to and how many of that group
/// failed and were not tried because of them. Made for spreadsheets, so no cell is taken for a formula (see [`safe_text::spreadsheet_cell`]), and
/// control characters stand as visible escapes. The JSON twin holds everything verbatim.
pub fn errors_csv(rows: &[ErrorRow], groups: &[ErrorGroup]) -> String {
    let of_group: BTreeMap<&str, String> =
        groups.iter().map(|group| (group.name.as_str(), group.orders_sentence())).collect();
    let header = COLUMNS.iter().map(|&name| name.to_owned()).collect();
    let records = rows.iter().map(|row| {
        let cells = [
            row.order.to_string(),
            row.run.to_string(),
            row.operation.to_string(),
            row.resource.to_string(),
            row.key.clone(),
            row.name.clone(),
            row.class.to_string(),
            row.status.map(|status| status.to_string()).unwrap_or_default(),
            row.scim_type.clone().unwrap_or_default(),
            row.message.clone(),
            row.remedy.clone(),
            row.tries.to_string(),
            row.request_id.clone().unwrap_or_default(),
            row.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            row.group.clone(),
            of_group.get(row.group.as_str()).cloned().unwrap_or_default(),
        ];
        cells.iter().map(|cell| safe_text::spreadsheet_cell(cell).into_owned()).collect()
    });
    csv_text(std::iter::once(header).chain(records))
}

/// The JSON twin of errors.csv: an array of objects, verbatim.
pub fn errors_json(rows: &[ErrorRow]) -> String {
    let mut text = serde_json::to_string_pretty(rows).unwrap_or_default();
    text.push('\n');
    safe_text::json(text)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A failed create of a user.
    pub(in crate::report) fn row(order: u32, message: &str) -> ErrorRow {
        ErrorRow {
            order: OrderId(format!("o-{order:016x}-1")),
            run: RunId("20261122T150405Z-7f3a".to_owned()),
            operation: Operation::Create,
            resource: ResourceName::new("vault", "users"),
            key: format!("u-{order}"),
            name: "Jane".to_owned(),
            class: Class::Conflict,
            status: Some(409),
            scim_type: Some("uniqueness".to_owned()),
            message: message.to_owned(),
            remedy: "rename one of the two".to_owned(),
            tries: 1,
            request_id: None,
            at: "2026-11-22T15:04:05Z".parse().unwrap(),
            group: String::new(),
            is_uncertain: false,
        }
    }

    #[test]
    fn no_cell_is_a_formula_and_the_json_twin_is_verbatim() {
        let mut bad = row(1, "=HYPERLINK(\"http://x\",\"click\")\nsecond line");
        bad.key = "@sum".to_owned();
        bad.name = "\tindented".to_owned();
        let text = errors_csv(std::slice::from_ref(&bad), &[]);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(&record[4], "'@sum");
        assert_eq!(&record[5], r"'\tindented");
        assert_eq!(&record[9], r#"'=HYPERLINK("http://x","click")\nsecond line"#);
        assert_eq!(&record[13], "2026-11-22T15:04:05Z");
        assert_eq!(serde_json::from_str::<Vec<ErrorRow>>(&errors_json(&[bad.clone()])).unwrap(), [bad]);
    }
}
