//! Turns a refused answer into a failure: whose side it is on, what it means for the rest, what to do next.

use std::time::Duration;

use super::failure_table::{Asked, Row, rows};
use super::secret::SecretRef;
use crate::model::failure::{Class, Effect, Failure, Recourse, Stage};

/// An answer that is no success, with what was asked.
#[derive(Clone, Debug)]
pub struct Refusal<'a> {
    /// The system's name in the job file.
    pub system: &'a str,
    /// What kind of question it was.
    pub asked: Asked,
    /// Method and address for people: `PATCH https://vault.example.com/scim/v2/Users/7`.
    pub request: &'a str,
    /// The status.
    pub status: u16,
    /// Whether the body is HTML, which no API sends.
    pub is_html: bool,
    /// SCIM's scimType, where there is one.
    pub scim_type: Option<&'a str>,
    /// The server's message, verbatim.
    pub message: Option<&'a str>,
    /// Where the credential came from.
    pub credential: Option<&'a SecretRef>,
    /// The server's id of the request.
    pub request_id: Option<&'a str>,
    /// How long it asked to wait.
    pub retry_after: Option<Duration>,
    /// What the messages of this product mean, searched before the table of all.
    pub dialect: &'a [Row],
}

/// The row that fits an answer; `None` where only the hundred of its status says anything.
pub fn row_for(asked: Asked, status: u16, scim_type: Option<&str>, message: Option<&str>) -> Option<&'static Row> {
    row_among(rows(), asked, status, scim_type, message)
}

/// The first of some rows that fits an answer.
pub fn row_among<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
    asked: Asked,
    status: u16,
    scim_type: Option<&str>,
    message: Option<&str>,
) -> Option<&'r Row> {
    let message = message.unwrap_or("").to_lowercase();
    rows.into_iter().find(|row| {
        (row.asked.is_empty() || row.asked.contains(&asked))
            && (row.statuses.is_empty() || row.statuses.contains(&status))
            && row.scim_type.is_none_or(|wanted| scim_type.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
            && (row.messages.is_empty() || row.messages.iter().any(|pattern| fits(pattern, &message)))
    })
}

/// Whether the parts of a pattern, separated by `*`, stand in a text in this order. Both are lower case.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The failure that an answer means.
pub fn classify(refusal: &Refusal<'_>) -> Failure {
    let status = refusal.status;
    // A page for people where the API should answer: the host is up, the API is not (or not here). Gateways and
    // login pages say more with their status.
    if refusal.is_html && (status < 400 || matches!(status, 404 | 405 | 410)) {
        return finish(
            refusal,
            Class::Configuration,
            Recourse::Stop,
            "a page for people came where the API should answer: the API is disabled or the address is wrong; the host \
             itself is up",
            "switch the API (web services) on at this system, or correct the url",
        );
    }
    let all = refusal.dialect.iter().chain(rows().map(|row| -> &Row { row }));
    match row_among(all, refusal.asked, status, refusal.scim_type, refusal.message) {
        Some(row) => finish(refusal, row.class, row.recourse, row.says, row.remedy),
        None if status >= 500 => finish(
            refusal,
            Class::Server,
            Recourse::Retry,
            "the server failed inside",
            "the fault is on the server's side: hand its request id and the time to whoever runs it",
        ),
        None => finish(
            refusal,
            Class::Data,
            Recourse::GiveUp,
            "the server refuses the request",
            "read the server's message; if it says nothing, hand its request id to whoever runs it",
        ),
    }
}

fn finish(refusal: &Refusal<'_>, class: Class, recourse: Recourse, says: &str, remedy: &str) -> Failure {
    let mut cause = format!("{} was answered with {}: {says}", refusal.request, refusal.status);
    if matches!(class, Class::Credential)
        && let Some(reference) = refusal.credential
    {
        cause.push_str(&format!(" (the credential comes from {reference})"));
    }
    let mut failure = Failure::new(class, recourse, refusal.system, cause, remedy);
    failure.effect = effect_of(refusal.asked, refusal.status);
    failure.stage = match (class, refusal.asked) {
        (Class::Credential, _) if refusal.status == 407 => Some(Stage::Proxy),
        (Class::Credential, _) => Some(Stage::Login),
        (Class::Permission, _) => Some(Stage::Permission),
        (Class::Configuration, Asked::Discovery | Asked::List) => Some(Stage::Http),
        _ => None,
    };
    failure.message = refusal.message.map(str::to_owned);
    failure.status = Some(refusal.status);
    failure.scim_type = refusal.scim_type.map(str::to_owned);
    failure.request_id = refusal.request_id.map(str::to_owned);
    failure.retry_after = refusal.retry_after;
    failure
}

/// A change that ends in a server error may have been stored all the same; a refusal is one.
fn effect_of(asked: Asked, status: u16) -> Effect {
    match asked {
        Asked::Write | Asked::Delete if status == 408 || (status >= 500 && !matches!(status, 501 | 507)) => {
            Effect::Unknown
        }
        _ => Effect::None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use Asked::{Delete, Discovery, List, Object, Write};
    use Class::*;

    /// Question, status, scimType, message, the row that must be taken, its class.
    const SAMPLES: &[(Asked, u16, &str, &str, &str, Class)] = &[
        (Discovery, 400, "", "Can't enable SCIM provisioning. Contact support.", "provisioning-refused", Configuration),
        (
            Discovery,
            400,
            "",
            "400 The plain HTTP request was sent to HTTPS port nginx/1.22.1",
            "plain-http-to-tls",
            Configuration,
        ),
        (Write, 400, "", "No licenses available for this application", "capacity", Capacity),
        (Write, 403, "", "Licence limit exceeded", "capacity", Capacity),
        (Write, 409, "uniqueness", "Not enough seats left", "capacity", Capacity),
        (
            Write,
            400,
            "",
            "You are not authorized to perform this operation. Please contact your IT helpdesk. No additional diagnostic information is available.",
            "federated-user",
            Unsupported,
        ),
        (List, 401, "", "The service account is inactive", "inactive-account", Credential),
        (List, 400, "", "Service user svc-1 is disabled", "inactive-service-account", Credential),
        (Write, 503, "", "Secret Server service unavailable.", "vault-behind-is-down", Server),
        (Write, 400, "", "Attribute 'emails' is required.", "attribute-required", Data),
        (Write, 400, "", "The 'userName' attribute was invalid.", "attribute-invalid", Data),
        (
            Write,
            400,
            "",
            "Attribute 'userName' is immutable and cannot be changed.",
            "attribute-immutable",
            Unsupported,
        ),
        (List, 400, "", "Filter string 'a eq b' is not in proper format.", "filter-malformed", Unsupported),
        (List, 400, "", "Filter string 'a co \"b\"' is not supported by Delinea.", "filter-unsupported", Unsupported),
        (
            List,
            400,
            "",
            "Specified attribute and filter comparison combination is not supported.",
            "filter-comparison-unsupported",
            Unsupported,
        ),
        (
            Write,
            400,
            "",
            "A required value was missing, or the value specified was not compatible with the operation or attribute type, or resource schema",
            "value-missing-or-incompatible",
            Data,
        ),
        (Write, 409, "", "Attribute 'userName' MUST be unique.", "not-unique", Conflict),
        (Write, 404, "", "Resource '42' not found.", "resource-not-found", Stale),
        (Write, 500, "", "Resource '42' not found.", "resource-not-found", Stale),
        (Write, 400, "uniqueness", "", "type-uniqueness", Conflict),
        (Write, 400, "mutability", "", "type-mutability", Unsupported),
        (List, 400, "invalidFilter", "", "type-invalid-filter", Unsupported),
        (List, 400, "tooMany", "", "type-too-many", Unsupported),
        (List, 400, "invalidCursor", "", "type-invalid-cursor", Stale),
        (List, 400, "expiredCursor", "", "type-expired-cursor", Stale),
        (List, 400, "invalidCount", "", "type-invalid-count", Configuration),
        (List, 400, "invalidVers", "", "type-invalid-version", Configuration),
        (List, 403, "sensitive", "", "type-sensitive", Configuration),
        (Write, 400, "invalidValue", "", "type-invalid-value", Data),
        (Write, 400, "invalidSyntax", "", "type-invalid-syntax", Data),
        (Write, 400, "invalidPath", "", "type-invalid-path", Data),
        (Write, 400, "noTarget", "", "type-no-target", Data),
        (Write, 401, "", "", "unauthorized", Credential),
        (List, 403, "", "", "forbidden-everywhere", Permission),
        (Write, 403, "", "Owner permission needed", "forbidden", Permission),
        (Discovery, 404, "", "", "no-such-endpoint", Configuration),
        (Object, 404, "", "", "gone", Stale),
        (Write, 501, "", "", "method-not-allowed", Unsupported),
        (Write, 408, "", "", "request-timeout", Connection),
        (Delete, 409, "", "User `7` has `4` as manager", "still-referred-to", Conflict),
        (Delete, 409, "uniqueness", "a duplicate key", "still-referred-to", Conflict),
        (Write, 409, "", "", "conflict", Conflict),
        (Write, 412, "", "", "precondition", Stale),
        (Write, 413, "", "", "too-large", Data),
        (Write, 415, "", "", "media-type", Configuration),
        (List, 429, "", "", "throttled-while-reading", Throttled),
        (Write, 429, "", "", "throttled", Throttled),
        (List, 407, "", "", "proxy-login", Credential),
        (List, 302, "", "", "redirect", Configuration),
        (Write, 507, "", "", "no-room", Capacity),
        (Write, 502, "", "", "gateway", Server),
        (Write, 504, "", "", "gateway", Server),
        (Write, 503, "", "", "unavailable", Server),
        (List, 500, "", "Internal Server Error.", "internal-while-reading", Server),
        (Write, 500, "", "Internal Server Error.", "internal", Server),
        (Write, 503, "", "Vault is sealed", "vault-sealed", Connection),
        (Write, 400, "", "no idea", "bad-request", Data),
    ];

    #[test]
    fn every_row_of_the_table_is_taken_by_its_sample() {
        let mut taken = std::collections::BTreeSet::new();
        for (asked, status, scim_type, message, name, class) in SAMPLES {
            let scim_type = (!scim_type.is_empty()).then_some(*scim_type);
            let row = row_for(*asked, *status, scim_type, Some(message)).unwrap();
            assert_eq!((row.name, row.class), (*name, *class), "{status} {message}");
            taken.insert(row.name);
        }
        for row in rows() {
            assert!(taken.contains(row.name), "no sample for {}", row.name);
            assert!(!row.says.is_empty() && !row.remedy.is_empty(), "{}", row.name);
        }
    }

    fn refusal(asked: Asked, status: u16) -> Refusal<'static> {
        Refusal {
            system: "vault",
            asked,
            request: "GET https://vault.example.com/Users",
            status,
            is_html: false,
            scim_type: None,
            message: None,
            credential: None,
            request_id: None,
            retry_after: None,
            dialect: &[],
        }
    }

    #[test]
    fn a_page_for_people_means_that_the_api_is_off_unless_the_status_says_more() {
        for (status, class) in [(200, Configuration), (404, Configuration), (503, Server), (401, Credential)] {
            assert_eq!(classify(&Refusal { is_html: true, ..refusal(Discovery, status) }).class, class, "{status}");
        }
    }

    #[test]
    fn a_credential_is_named_by_its_reference_and_a_server_error_leaves_a_change_open() {
        let reference: SecretRef = "env:VAULT_TOKEN".parse().unwrap();
        let failure = classify(&Refusal { credential: Some(&reference), ..refusal(List, 401) });
        assert!(failure.sentence().contains("env:VAULT_TOKEN"), "{failure}");
        assert_eq!((failure.recourse, failure.stage), (Recourse::Stop, Some(Stage::Login)));
        assert_eq!(classify(&refusal(Write, 500)).effect, Effect::Unknown);
        assert_eq!(classify(&refusal(Write, 400)).effect, Effect::None);
        assert_eq!(classify(&refusal(List, 500)).effect, Effect::None);
    }
}
