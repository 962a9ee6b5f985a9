//! `kind = "openbao"`: OpenBao and HashiCorp Vault, which share one API.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::address::{http_problems, stages_to};
use super::auth::Auth;
use super::refused::Refused;
use crate::connector::secret::SecretRef;
use crate::model::failure::Stage;

/// A secrets vault: its identity store (entities, groups, policies), and the folders of its key-value stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenBaoConfig {
    /// The server's address, before `/v1`: `https://vault.example.com:8200`.
    pub url: String,
    /// How muster proves who it is: `{ token = "env:TOKEN" }` or `{ role_id = "…", secret_id = "env:SECRET_ID" }`.
    pub auth: VaultAuth,
    /// The namespace that everything is read and written in, where the server has namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Key-value stores (version 2) whose folders are exported as `containers`: the paths that they are mounted at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kv: Vec<String>,
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
    /// Objects that are read at once: a list gives their ids only.
    #[serde(default = "reads_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub reads_in_flight: usize,
    /// The largest answer that is read, in bytes: all ids of a list are one answer.
    #[serde(default = "max_answer_bytes")]
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: u64,
    /// Member changes in one request at most.
    #[serde(default = "member_batch")]
    #[schemars(range(min = 1))]
    pub member_batch: usize,
    /// The name or id of the entity that muster itself uses, so that no order locks it out. Left out = the entity of its
    /// own token, where that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource, free and taken: `{ users = 500 }`. Creates beyond them are blocked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that are refused though the server has them: `{ users = ["delete"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

fn timeout_seconds() -> u64 {
    60
}

fn reads_in_flight() -> usize {
    8
}

fn max_answer_bytes() -> u64 {
    64 * 1024 * 1024
}

fn member_batch() -> usize {
    500
}

/// How muster proves who it is to a vault. Secrets are references.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum VaultAuth {
    /// A token: `{ token = "file:/run/secrets/token" }`.
    Token {
        /// Where the token lies.
        token: SecretRef,
    },
    /// AppRole: a token is fetched with both ids, and again before it ends.
    AppRole {
        /// The role's id, which is no secret.
        role_id: String,
        /// Where the secret id lies.
        secret_id: SecretRef,
        /// Where the method is mounted; left out = `approle`.
        #[serde(skip_serializing_if = "Option::is_none")]
        mount: Option<String>,
    },
}

/// All fields of all forms, so that a mistake is told by its name and not as "no variant matched".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VaultAuthFields {
    token: Option<SecretRef>,
    role_id: Option<String>,
    secret_id: Option<SecretRef>,
    mount: Option<String>,
}

impl<'de> Deserialize<'de> for VaultAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match VaultAuthFields::deserialize(deserializer)? {
            VaultAuthFields { token: Some(token), role_id: None, secret_id: None, mount: None } => {
                Ok(Self::Token { token })
            }
            VaultAuthFields { token: None, role_id: Some(role_id), secret_id: Some(secret_id), mount } => {
                Ok(Self::AppRole { role_id, secret_id, mount })
            }
            _ => Err(serde::de::Error::custom(
                "auth is one of { token } or { role_id, secret_id, mount }, whole and alone",
            )),
        }
    }
}

impl VaultAuth {
    /// The reference of the secret, for messages.
    pub fn secret(&self) -> &SecretRef {
        match self {
            Self::Token { token } => token,
            Self::AppRole { secret_id, .. } => secret_id,
        }
    }

    /// The same for the HTTP client.
    pub(in crate::connector) fn for_http(&self, base: &Url) -> Auth {
        let below = |mount: &str, steps: &[&str]| {
            let mut address = base.clone();
            if let Ok(mut path) = address.path_segments_mut() {
                path.pop_if_empty().extend(["v1", "auth"]).extend(mount.trim_matches('/').split('/')).extend(steps);
            }
            address.to_string()
        };
        match self {
            Self::Token { token } => Auth::VaultToken { token: token.clone(), method: below("token", &[]) },
            Self::AppRole { role_id, secret_id, mount } => {
                let login = below(mount.as_deref().unwrap_or("approle"), &["login"]);
                Auth::AppRole { role_id: role_id.clone(), secret_id: secret_id.clone(), login }
            }
        }
    }
}

impl OpenBaoConfig {
    /// A server at an address, with every other setting at its default.
    pub fn at(url: impl Into<String>, auth: VaultAuth) -> Self {
        Self {
            url: url.into(),
            auth,
            namespace: None,
            kv: Vec::new(),
            proxy: None,
            no_proxy: Vec::new(),
            ca_file: None,
            timeout_seconds: timeout_seconds(),
            reads_in_flight: reads_in_flight(),
            max_answer_bytes: max_answer_bytes(),
            member_batch: member_batch(),
            account: None,
            seats: BTreeMap::new(),
            refuses: BTreeMap::new(),
        }
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        stages_to(&self.url, self.proxy.as_deref(), &self.no_proxy)
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("reads_in_flight", Some(self.reads_in_flight as u64)),
            ("timeout_seconds", Some(self.timeout_seconds)),
            ("member_batch", Some(self.member_batch as u64)),
        ];
        let mut problems = http_problems(&self.url, self.proxy.as_deref(), &numbers, self.max_answer_bytes);
        if self.url.trim_end_matches('/').ends_with("/v1") {
            problems.push(("url", "the address is named without `/v1`; leave that part out".to_owned()));
        }
        problems
    }
}
