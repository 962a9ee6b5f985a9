//! What servers say in words.

use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "plain-http-to-tls",
        statuses: &[400],
        messages: &["plain http request was sent to https port", "http request to an https server"],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the port is one for TLS, and plain HTTP came",
        remedy: "write https:// in url",
        ..ANY
    },
    Row {
        name: "provisioning-refused",
        messages: &[
            "can't enable scim provisioning",
            "can’t enable scim provisioning",
            "cannot enable scim provisioning",
        ],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the service refuses to enable provisioning",
        remedy: "follow the service's own message; provisioning has to be switched on at the service before muster can use it",
        ..ANY
    },
    Row {
        name: "capacity",
        messages: &[
            "not enough licen",
            "no more licen",
            "no free licen",
            "no available licen",
            "no licen",
            "insufficient licen",
            "licen*exceed",
            "licen*exhaust",
            "licen*limit",
            "licen*reached",
            "limit*licen",
            "out of licen",
            "not enough seat",
            "no more seat",
            "no free seat",
            "no available seat",
            "no seat",
            "insufficient seat",
            "seat*exceed",
            "seat*exhaust",
            "seat*limit",
            "seat*reached",
            "limit*seat",
            "out of seat",
            "maximum number of users",
            "user limit",
            "user quota",
        ],
        class: Class::Capacity,
        recourse: Recourse::GiveUp,
        says: "no licence or seat is free",
        remedy: "free or buy seats at the target, then `muster retry`; the remaining creates wait",
        ..ANY
    },
    Row {
        name: "federated-user",
        statuses: &[400],
        messages: &[
            "you are not authorized to perform this operation*helpdesk",
            "federated user",
            "federated*cannot be changed",
        ],
        class: Class::Unsupported,
        says: "the target does not let this attribute of a federated or directory user be changed",
        remedy: "it is no credential problem: change display name, e-mail and name where the user comes from, or leave these attributes out of the mapping for federated users",
        ..ANY
    },
    Row {
        name: "inactive-account",
        statuses: &[401, 403],
        messages: &[
            "inactive",
            "account*disabled",
            "user*disabled",
            "client*disabled",
            "disabled*account",
            "deactivated",
            "account*locked",
            "user*locked",
            "suspended",
        ],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the service account is inactive, its secret may well be right",
        remedy: "activate or unlock the service account at this system; the secret need not change",
        ..ANY
    },
    Row {
        name: "inactive-service-account",
        messages: &[
            "service account*inactive",
            "service account*disabled",
            "service user*inactive",
            "service user*disabled",
            "inactive service",
        ],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the service account is inactive, its secret may well be right",
        remedy: "activate the service account at this system; the secret need not change",
        ..ANY
    },
    Row {
        name: "vault-sealed",
        statuses: &[503],
        messages: &["vault is sealed"],
        class: Class::Connection,
        recourse: Recourse::Stop,
        says: "the vault is sealed: it is up, and answers nothing until it is unsealed",
        remedy: "have those who hold its keys unseal it (bao operator unseal); what was not sent stays approved",
        ..ANY
    },
    Row {
        name: "vault-behind-is-down",
        statuses: &[500, 502, 503, 504],
        messages: &["secret server*unavailable", "backend*unavailable", "upstream*unavailable"],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the connector answers, the system behind it does not",
        remedy: "see whether the vault is up and whether the connector's base address of it is right; what was not sent stays approved",
        ..ANY
    },
    Row {
        name: "attribute-required",
        messages: &["attribute*is required", "required attribute", "missing required"],
        class: Class::Data,
        says: "a required attribute is missing",
        remedy: "map the attribute, or name it in the sync's `required` so that such rows are blocked before the review; the next run plans it anew",
        ..ANY
    },
    Row {
        name: "attribute-invalid",
        messages: &["the*attribute was invalid", "attribute*is invalid"],
        class: Class::Data,
        says: "the target takes the value for invalid",
        remedy: "correct the value at the source, or the rule that makes it: the next run plans it anew; `muster review` shows what was sent",
        ..ANY
    },
    Row {
        name: "attribute-immutable",
        messages: &["attribute*is immutable", "immutable*cannot be changed", "cannot be changed after creation"],
        class: Class::Unsupported,
        says: "the attribute can be set at creation only",
        remedy: "leave the attribute out of the mapping for existing objects, or delete and create the object at the target",
        ..ANY
    },
    Row {
        name: "filter-malformed",
        messages: &["filter string*not in proper format", "filter*malformed", "filter*could not be parsed"],
        class: Class::Unsupported,
        says: "the target cannot read the filter",
        remedy: "muster reads without a filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "filter-comparison-unsupported",
        messages: &["specified attribute and filter comparison combination is not supported"],
        class: Class::Unsupported,
        says: "the target does not support this comparison for this attribute",
        remedy: "muster reads without a filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "filter-unsupported",
        messages: &["filter string*is not supported", "filter*not supported", "unsupported filter", "filtering is not"],
        class: Class::Unsupported,
        says: "the target does not support this filter",
        remedy: "muster reads without a filter and filters itself; nothing has to be done",
        ..ANY
    },
    Row {
        name: "value-missing-or-incompatible",
        messages: &["required value was missing", "not compatible with the operation or attribute type"],
        class: Class::Data,
        says: "a value is missing or does not fit the target's schema",
        remedy: "compare the order's attributes with the target's schema (`muster check` names what it lacks) and correct the mapping: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "not-unique",
        asked: &[Asked::Discovery, Asked::List, Asked::Object, Asked::Write],
        messages: &["must be unique", "already exists", "already in use", "duplicate"],
        statuses: &[400, 409],
        class: Class::Conflict,
        says: "a value that has to be unique is taken",
        remedy: "find the other object with this value at the target; link it (`muster link`) or correct the value at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "resource-not-found",
        asked: &[Asked::Object, Asked::Write, Asked::Delete],
        statuses: &[400, 404, 500],
        messages: &["resource*not found", "does not exist", "could not be found"],
        class: Class::Stale,
        says: "the object, or one that the request names, is not there any more",
        remedy: "the next run correlates it anew; nothing has to be done unless it comes back",
        ..ANY
    },
];
