//! What the HTTP status says alone.

use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "unauthorized",
        statuses: &[401],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the credential is wrong or expired",
        remedy: "renew the credential where its reference points to, then `muster check`",
        ..ANY
    },
    Row {
        name: "forbidden-everywhere",
        asked: &[Asked::Discovery, Asked::List],
        statuses: &[403],
        class: Class::Permission,
        recourse: Recourse::Stop,
        says: "the service account may not read this",
        remedy: "grant the service account the right to read what the address names",
        ..ANY
    },
    Row {
        name: "forbidden",
        statuses: &[403],
        class: Class::Permission,
        says: "the service account may not do this here",
        remedy: "grant the service account the right on this object (for a vault's containers: Owner), then `muster retry`",
        ..ANY
    },
    Row {
        name: "no-such-endpoint",
        asked: &[Asked::Discovery, Asked::List],
        statuses: &[404, 410],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "there is no such address: the API is disabled or the address is wrong; the host itself is up",
        remedy: "switch the API (web services) on at this system, or correct the url",
        ..ANY
    },
    Row {
        name: "gone",
        statuses: &[404, 410],
        class: Class::Stale,
        says: "the object is not there any more",
        remedy: "the next run correlates it anew; nothing has to be done unless it comes back",
        ..ANY
    },
    Row {
        name: "method-not-allowed",
        statuses: &[405, 501],
        class: Class::Unsupported,
        says: "the target does not offer this operation",
        remedy: "leave this operation out of the job, or carry it out by hand",
        ..ANY
    },
    Row {
        name: "request-timeout",
        statuses: &[408],
        class: Class::Connection,
        recourse: Recourse::Retry,
        says: "the server waited too long for the request",
        remedy: "see what slows the way to this system down (proxy, firewall), then `muster retry`",
        ..ANY
    },
    Row {
        name: "still-referred-to",
        asked: &[Asked::Delete],
        statuses: &[409],
        class: Class::Conflict,
        says: "something still refers to the object, so that it cannot be deleted",
        remedy: "see in the server's message what refers to it; let that go first, or take the reference away at the target or at the source, then `muster retry`",
        ..ANY
    },
    Row {
        name: "conflict",
        statuses: &[409],
        class: Class::Conflict,
        says: "the object is there already, or collides with another one",
        remedy: "find the other object at the target; link it (`muster link`) or correct the value at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "precondition",
        statuses: &[412],
        class: Class::Stale,
        says: "the object changed after it was read",
        remedy: "the next run plans it anew from what it holds then",
        ..ANY
    },
    Row {
        name: "too-large",
        statuses: &[413, 414, 431],
        class: Class::Data,
        says: "the request is larger than the target, or a proxy before it, takes",
        remedy: "set a smaller member_batch for this system, or shorten the value",
        ..ANY
    },
    Row {
        name: "media-type",
        statuses: &[406, 415],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server does not take application/scim+json",
        remedy: "correct the url: something other than a SCIM 2.0 service answers there",
        ..ANY
    },
    Row {
        name: "throttled-while-reading",
        asked: &[Asked::Discovery, Asked::List, Asked::Object],
        statuses: &[429],
        class: Class::Throttled,
        recourse: Recourse::Retry,
        says: "the server asks to slow down",
        remedy: "set a smaller pages_in_flight for this system, or a lower rate under [apply], which holds for reading too; or raise the limit at this system",
        ..ANY
    },
    Row {
        name: "throttled",
        statuses: &[429],
        class: Class::Throttled,
        recourse: Recourse::Retry,
        says: "the server asks to slow down",
        remedy: "set a lower rate under [apply], or raise the limit at this system",
        ..ANY
    },
    Row {
        name: "proxy-login",
        statuses: &[407],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the proxy wants a login",
        remedy: "let the proxy pass this host without a login, or name it in no_proxy",
        ..ANY
    },
    Row {
        name: "redirect",
        statuses: &[300, 301, 302, 303, 304, 305, 307, 308],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server points to another address, where no credential is sent",
        remedy: "write the final address as url",
        ..ANY
    },
    Row {
        name: "no-room",
        statuses: &[507],
        class: Class::Capacity,
        says: "the server has no room left",
        remedy: "make room at this system, then `muster retry`",
        ..ANY
    },
    Row {
        name: "gateway",
        statuses: &[502, 504],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "a gateway before the system gets no answer from it",
        remedy: "see whether the system behind the gateway is up; then `muster retry`",
        ..ANY
    },
    Row {
        name: "unavailable",
        statuses: &[503],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the service is not available",
        remedy: "wait until it is up; what was not sent stays approved",
        ..ANY
    },
    Row {
        name: "internal-while-reading",
        asked: &[Asked::Discovery, Asked::List, Asked::Object],
        statuses: &[500],
        class: Class::Server,
        recourse: Recourse::Retry,
        says: "the server failed inside",
        remedy: "the fault is on the server's side: hand its request id and the time to whoever runs it",
        ..ANY
    },
    Row {
        name: "internal",
        statuses: &[500],
        class: Class::Server,
        says: "the server failed inside; whether the change was stored has to be looked up",
        remedy: "the fault is on the server's side: hand its request id and the time to whoever runs it",
        ..ANY
    },
    Row {
        name: "bad-request",
        statuses: &[400, 422],
        class: Class::Data,
        says: "the server refuses the request's content",
        remedy: "read the server's message; correct the value at the source, or the rule that makes it: the next run plans it anew",
        ..ANY
    },
];
