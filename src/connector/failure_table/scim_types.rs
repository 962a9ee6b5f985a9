//! What SCIM's scimType says (RFC 7644 section 3.12, RFC 9865 section 2).

use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "type-uniqueness",
        asked: &[Asked::Discovery, Asked::List, Asked::Object, Asked::Write],
        scim_type: Some("uniqueness"),
        class: Class::Conflict,
        says: "a value that has to be unique is taken",
        remedy: "find the other object with this value at the target; link it (`muster link`) or correct the value at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "type-mutability",
        scim_type: Some("mutability"),
        class: Class::Unsupported,
        says: "the attribute cannot be changed",
        remedy: "leave the attribute out of the mapping for existing objects",
        ..ANY
    },
    Row {
        name: "type-invalid-filter",
        scim_type: Some("invalidFilter"),
        class: Class::Unsupported,
        says: "the target does not support this filter",
        remedy: "muster reads without a filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "type-too-many",
        scim_type: Some("tooMany"),
        class: Class::Unsupported,
        says: "the answer would hold more rows than the target gives out",
        remedy: "set a smaller page_size for this system",
        ..ANY
    },
    Row {
        name: "type-invalid-cursor",
        scim_type: Some("invalidCursor"),
        class: Class::Stale,
        recourse: Recourse::Retry,
        says: "the paging cursor is not valid any more",
        remedy: "the next export reads from the beginning; if it repeats, set paging = \"index\" for this system",
        ..ANY
    },
    Row {
        name: "type-expired-cursor",
        scim_type: Some("expiredCursor"),
        class: Class::Stale,
        recourse: Recourse::Retry,
        says: "the paging cursor expired",
        remedy: "the next export reads from the beginning; if it repeats, set a larger page_size for this system, so that fewer pages have to be asked for, or paging = \"index\"",
        ..ANY
    },
    Row {
        name: "type-invalid-count",
        scim_type: Some("invalidCount"),
        class: Class::Configuration,
        says: "the target does not take this page size",
        remedy: "set a smaller page_size for this system",
        ..ANY
    },
    Row {
        name: "type-invalid-version",
        scim_type: Some("invalidVers"),
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the protocol version is not supported",
        remedy: "correct the url: it usually ends in /v2",
        ..ANY
    },
    Row {
        name: "type-sensitive",
        scim_type: Some("sensitive"),
        class: Class::Configuration,
        says: "the target refuses personal data in an address",
        remedy: "muster reads without a filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "type-invalid-value",
        scim_type: Some("invalidValue"),
        class: Class::Data,
        says: "a value is missing or does not fit the target's schema",
        remedy: "correct the value at the source, or the rule that makes it: the next run plans it anew; `muster review` shows what was sent",
        ..ANY
    },
    Row {
        name: "type-invalid-syntax",
        scim_type: Some("invalidSyntax"),
        class: Class::Data,
        says: "the body does not fit the target's schema",
        remedy: "compare the mapping with the target's schema; an attribute may not exist there",
        ..ANY
    },
    Row {
        name: "type-invalid-path",
        scim_type: Some("invalidPath"),
        class: Class::Data,
        says: "the target does not know an attribute that is to be changed",
        remedy: "compare the mapping with the target's schema; an attribute may not exist there",
        ..ANY
    },
    Row {
        name: "type-no-target",
        scim_type: Some("noTarget"),
        class: Class::Data,
        says: "the target finds no value to change where the request points to",
        remedy: "map the whole attribute instead of a value inside it",
        ..ANY
    },
];
