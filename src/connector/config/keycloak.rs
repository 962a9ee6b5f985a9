//! `kind = "keycloak"`: a realm of Keycloak, by its admin REST API.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::address::{http_problems, stages_to};
use super::auth::Auth;
use super::refused::Refused;
use crate::connector::secret::SecretRef;
use crate::model::failure::Stage;

/// One realm of a Keycloak: its users, groups and roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeycloakConfig {
    /// The server's address, before `/realms`: `https://idp.example.com`.
    pub url: String,
    /// The realm that is read and written.
    pub realm: String,
    /// The client whose service account muster is: `{ client_id = "muster", client_secret = "env:SECRET" }`.
    pub auth: KeycloakAuth,
    /// Clients whose roles are read beside those of the realm, by their client ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// The proxy on the way: `http://proxy.example.com:3128`. The environment's proxy variables are never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy: a name, `.domain` with everything below it, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_proxy: Vec<String>,
    /// PEM certificates of an own certificate authority, trusted beside those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long one answer may take altogether, in seconds.
    #[serde(default = "timeout_seconds")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,
    /// Rows asked for in one page; the server may send fewer.
    #[serde(default = "page_size")]
    #[schemars(range(min = 1))]
    pub page_size: u64,
    /// Questions that are asked at once: pages of a list, members of groups.
    #[serde(default = "reads_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub reads_in_flight: usize,
    /// The largest answer that is read, in bytes.
    #[serde(default = "max_answer_bytes")]
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: u64,
    /// The login or id of the account that muster itself uses, so that no order locks it out. Left out = as its own
    /// token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource, free and taken: `{ users = 500 }`. Creates beyond them are blocked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that are refused though the server has them: `{ users = ["delete"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

/// A confidential client with a service account (OAuth 2.0 client credentials, RFC 6749 section 4.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeycloakAuth {
    /// The client's id.
    pub client_id: String,
    /// Where the client's secret lies.
    pub client_secret: SecretRef,
    /// The realm that the client is in; left out = the one that is read and written. `master` for a client that keeps
    /// several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
}

fn timeout_seconds() -> u64 {
    60
}

fn page_size() -> u64 {
    500
}

fn reads_in_flight() -> usize {
    4
}

fn max_answer_bytes() -> u64 {
    64 * 1024 * 1024
}

impl KeycloakConfig {
    /// A realm at an address, with every other setting at its default.
    pub fn at(url: impl Into<String>, realm: impl Into<String>, auth: KeycloakAuth) -> Self {
        Self {
            url: url.into(),
            realm: realm.into(),
            auth,
            clients: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
            ca_file: None,
            timeout_seconds: timeout_seconds(),
            page_size: page_size(),
            reads_in_flight: reads_in_flight(),
            max_answer_bytes: max_answer_bytes(),
            account: None,
            seats: BTreeMap::new(),
            refuses: BTreeMap::new(),
        }
    }

    /// The same for the HTTP client.
    pub(in crate::connector) fn for_http(&self, base: &Url) -> Auth {
        let mut token = base.clone();
        if let Ok(mut path) = token.path_segments_mut() {
            let realm = self.auth.realm.as_deref().unwrap_or(&self.realm);
            path.pop_if_empty().extend(["realms", realm, "protocol", "openid-connect", "token"]);
        }
        Auth::Client {
            client_id: self.auth.client_id.clone(),
            client_secret: self.auth.client_secret.clone(),
            token_url: token.to_string(),
            scope: None,
        }
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        stages_to(&self.url, self.proxy.as_deref(), &self.no_proxy)
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("reads_in_flight", Some(self.reads_in_flight as u64)),
            ("timeout_seconds", Some(self.timeout_seconds)),
            ("page_size", Some(self.page_size)),
        ];
        let mut problems = http_problems(&self.url, self.proxy.as_deref(), &numbers, self.max_answer_bytes);
        if self.url.contains("/realms/") || self.url.contains("/admin") {
            problems.push((
                "url",
                "the address is named without `/realms` and `/admin`; name the realm as `realm`".to_owned(),
            ));
        }
        let names = [Some(&self.realm), self.auth.realm.as_ref()];
        if names.into_iter().flatten().any(|name| name.is_empty() || name.contains('/') || name.starts_with('.')) {
            problems.push(("realm", "this is no name of a realm; write it as the admin console shows it".to_owned()));
        }
        problems
    }
}
