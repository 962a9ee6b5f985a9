//! What Keycloak says in words, in its admin REST API and at its token endpoint (`error`, `error_description`,
//! `errorMessage`; messages of its user profile are keys that begin with `error-`).

use super::{ANY, Asked, Row};
use crate::model::failure::{Class, Recourse};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "keycloak-client-without-service-account",
        asked: &[Asked::Discovery],
        messages: &["not enabled to retrieve service account"],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the client is there, and has no service account",
        remedy: "switch `Service accounts roles` on for this client (Clients, its name, Settings, Capability config), and give the account its roles",
        ..ANY
    },
    Row {
        name: "keycloak-client-disabled",
        asked: &[Asked::Discovery],
        messages: &["client*disabled", "invalid client*not enabled"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the client is disabled, its secret may well be right",
        remedy: "enable the client in its realm; the secret need not change",
        ..ANY
    },
    Row {
        name: "keycloak-wrong-secret",
        asked: &[Asked::Discovery],
        messages: &["unauthorized_client"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the client is there, and its secret is another one",
        remedy: "take the secret from the client's tab `Credentials` and put it where the reference points to, then `muster check`",
        ..ANY
    },
    Row {
        name: "keycloak-unknown-client",
        asked: &[Asked::Discovery],
        messages: &["invalid_client"],
        class: Class::Credential,
        recourse: Recourse::Stop,
        says: "the realm has no such client",
        remedy: "correct `client_id`, or name the realm that the client is in as `realm` of `auth`",
        ..ANY
    },
    Row {
        name: "keycloak-no-such-realm",
        statuses: &[404],
        messages: &["realm does not exist", "realm not found"],
        class: Class::Configuration,
        recourse: Recourse::Stop,
        says: "the server is up, and has no realm of this name",
        remedy: "write `realm` as the admin console shows it; letter case matters",
        ..ANY
    },
    Row {
        name: "keycloak-login-taken",
        asked: &[Asked::Write],
        messages: &["user exists with same username"],
        class: Class::Conflict,
        says: "another user has this login; letter case does not tell logins apart",
        remedy: "find the other user in the realm; link it (`muster link`) or correct the login at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-mail-taken",
        asked: &[Asked::Write],
        messages: &["user exists with same email"],
        class: Class::Conflict,
        says: "another user has this e-mail address",
        remedy: "correct the address at the source, link the other user (`muster link`), or let the realm have `Duplicate emails`: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-group-taken",
        asked: &[Asked::Write],
        messages: &["group named*already exists"],
        class: Class::Conflict,
        says: "a group of this name is there already at the same place in the tree",
        remedy: "link the group that is there (`muster link`) or correct the name at the source: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-gone",
        asked: &[Asked::Object, Asked::Write, Asked::Delete],
        statuses: &[404],
        messages: &[
            "user not found",
            "group not found",
            "could not find group",
            "role not found",
            "could not find role",
        ],
        class: Class::Stale,
        says: "the object, or one that the request names, is not there any more",
        remedy: "the next run correlates it anew; nothing has to be done unless it comes back",
        ..ANY
    },
    Row {
        name: "keycloak-read-only",
        asked: &[Asked::Write],
        messages: &["read-only", "read only", "readonly"],
        class: Class::Unsupported,
        says: "Keycloak does not let this be changed: a user of a federated directory, or an attribute that its user profile keeps from administrators",
        remedy: "change it where the user comes from (federationLink names the provider), or let the provider's edit mode, or the attribute's permission `edit` in the user profile, include it",
        ..ANY
    },
    Row {
        name: "keycloak-required",
        asked: &[Asked::Write],
        messages: &["error-user-attribute-required", "name is missing", "missingusername"],
        class: Class::Data,
        says: "an attribute that the realm's user profile requires is missing",
        remedy: "map the attribute, or name it in the sync's `required` so that such rows are blocked before the review; the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-several-values",
        asked: &[Asked::Write],
        messages: &["error-invalid-multivalued-size"],
        class: Class::Data,
        says: "the attribute takes another number of values",
        remedy: "declare the attribute `multivalued` in the realm's user profile, or map one value: the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-profile",
        asked: &[Asked::Write],
        statuses: &[400],
        messages: &["error-"],
        class: Class::Data,
        says: "the realm's user profile refuses a value",
        remedy: "the message names the attribute and the rule: correct the value at the source or the rule that makes it, or the validation under Realm settings, User profile; the next run plans it anew",
        ..ANY
    },
    Row {
        name: "keycloak-inside",
        asked: &[Asked::Write],
        statuses: &[500],
        messages: &["for more on this error consult the server log"],
        class: Class::Server,
        says: "Keycloak failed inside; a value that is longer than its column (255 characters for names of groups) does that, too",
        remedy: "shorten the value if it is long; else hand the time to whoever reads the server's log",
        ..ANY
    },
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::connector::classify::row_among;
    use Asked::{Delete, Discovery, Object, Write};

    #[test]
    fn every_row_is_taken_by_what_the_server_says() {
        let samples = [
            (Discovery, 401, "unauthorized_client: Client not enabled to retrieve service account"),
            (Discovery, 401, "invalid_client: Client disabled"),
            (Discovery, 401, "unauthorized_client: Invalid client or Invalid client credentials"),
            (Discovery, 401, "invalid_client: Invalid client or Invalid client credentials"),
            (Discovery, 404, "Realm does not exist"),
            (Write, 409, "User exists with same username"),
            (Write, 409, "User exists with same email"),
            (Write, 409, "Sibling group named 'top' already exists."),
            (Delete, 404, "Could not find group by id"),
            (Write, 400, "User is read only!"),
            (Write, 400, "User name is missing"),
            (Write, 400, "title: error-invalid-multivalued-size"),
            (Write, 400, "email: error-invalid-email"),
            (Write, 500, "For more on this error consult the server log."),
        ];
        let taken: Vec<&str> = samples
            .iter()
            .map(|(asked, status, said)| row_among(ROWS, *asked, *status, None, Some(said)).unwrap().name)
            .collect();
        assert_eq!(taken, ROWS.iter().map(|row| row.name).collect::<Vec<_>>());
        assert!(row_among(ROWS, Object, 403, None, Some("HTTP 403 Forbidden")).is_none());
    }
}
