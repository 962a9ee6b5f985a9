//! What the connector has to do with any answer of a SCIM server: read it or refuse it, and say in one line without
//! control characters what the server said.
//!
//! The first byte of an input is the status; the rest is the body, read as everything that it could be.

use std::sync::LazyLock;

use muster::connector::classify::{Refusal, classify};
use muster::connector::failure_table::Asked;
use muster::model::value::Value;
use muster::scim::column::{ColumnReader, columns};
use muster::scim::error::ScimError;
use muster::scim::list::ListResponse;
use muster::scim::schema::{Definition, ServiceProviderConfig};
use muster::scim::validate::conform;

static TYPES: LazyLock<[Definition; 2]> = LazyLock::new(|| [Definition::user(), Definition::group()]);

/// Panics where it does something else.
pub fn check(input: &[u8]) {
    let Some((choice, body)) = input.split_first() else { return };
    let status = 400 + u16::from(*choice) % 200;
    refused(status, body);
    if let Ok(list) = ListResponse::parse(body) {
        for resource in list.resources.iter().take(20) {
            for definition in TYPES.iter() {
                cells(definition, resource);
            }
        }
        let again = ListResponse::from_value(list.clone().into_json()).expect("a list can be read again");
        assert_eq!(again, list);
    }
    let Ok(document) = serde_json::from_slice(body) else { return };
    for definition in TYPES.iter() {
        cells(definition, &document);
    }
    let _ = ServiceProviderConfig::parse(&document);
    for definition in Definition::parse_all(&document, &document).iter().take(20) {
        cells(definition, &document);
    }
}

fn refused(status: u16, body: &[u8]) {
    let error = ScimError::parse(status, body);
    assert!(!error.detail.chars().any(char::is_control) && error.detail.chars().count() <= 301, "{error}");
    assert_eq!(error.status, status, "the status outranks the body");
    for asked in [Asked::Discovery, Asked::List, Asked::Object, Asked::Write] {
        let failure = classify(&Refusal {
            system: "vault",
            asked,
            request: "GET https://vault.example/scim/v2/Users",
            status,
            is_html: body.starts_with(b"<"),
            scim_type: error.scim_type.as_deref(),
            message: Some(&error.detail),
            credential: None,
            request_id: None,
            retry_after: None,
            dialect: &[],
        });
        assert!(!failure.cause.is_empty() && !failure.remedy.is_empty(), "{failure:?}");
    }
}

/// The cells of a resource are values, and a resource that conforms once conforms for ever.
fn cells(definition: &Definition, resource: &serde_json::Value) {
    for column in columns(definition).iter().take(200) {
        // Names of another server's attributes may be no paths.
        let Ok(reader) = ColumnReader::of(&column.name, definition) else { continue };
        let cell = reader.cell(resource);
        if let Some(value) = Value::from_cell(&cell) {
            assert_eq!(Value::from_cell(&value.to_cell()), Some(value));
        }
    }
    if let Ok(conforming) = conform(resource, definition) {
        assert_eq!(conform(&conforming, definition).as_ref(), Ok(&conforming));
    }
}
