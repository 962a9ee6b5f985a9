//! `kind = "scim"`: SCIM 2.0 service providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{http_problems, stages_to, web_address};
use super::auth::Auth;
use super::refused::Refused;
use crate::connector::scim::Dialect;
use crate::model::failure::Stage;

/// How long lists are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Paging {
    /// By cursor where the provider prefers it or offers nothing else, by index otherwise.
    #[default]
    Auto,
    /// By `startIndex` and `count` (RFC 7644 section 3.4.2.4).
    Index,
    /// By `cursor` and `count` (RFC 9865).
    Cursor,
}

/// A SCIM 2.0 service provider (RFC 7643, RFC 7644).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScimConfig {
    /// The base address, before `/Users`: `https://vault.example.com/scim/v2`.
    pub url: String,
    /// The product, whose quirks are known: `aws`, `cato`, `delinea`, `entra`, `generic`, `incydr`,
    /// `keycloak`, `okta` or `secret-server`; or a file of your own that is written as these are, `ours.toml`. Left out =
    /// `generic`. What the job says itself goes before what the dialect says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// How muster proves who it is; left out = no credential is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
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
    /// Rows asked for in one page; the provider may send fewer. Left out = as the dialect says, else 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub page_size: Option<u64>,
    /// How long lists are read. Left out = as the dialect says, else `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paging: Option<Paging>,
    /// Pages of one list that are asked for at once, where they are read by index; fewer while the provider answers
    /// 429. 1 = one after the other. Left out = as the dialect says, else 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub pages_in_flight: Option<usize>,
    /// The largest answer that is read, in bytes.
    #[serde(default = "max_answer_bytes")]
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: u64,
    /// Member changes in one request at most. Left out = as the dialect says, else 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub member_batch: Option<usize>,
    /// What groups call their members by, where it is not their id: an attribute of users, `userName` or `externalId`; `id`
    /// says that it is the id. Left out = as the dialect says, else as the members of a group show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_by: Option<String>,
    /// The login or id of the account that muster itself uses there, so that no order locks it out. Left out = what the
    /// server's /Me says, and the login of `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource, free and taken: `{ users = 500 }`. Creates beyond them are blocked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that the provider refuses though SCIM has them: `{ privilegedData = ["create"] }`. What is
    /// written of a resource goes before what the dialect says of it; `[]` = none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

fn timeout_seconds() -> u64 {
    60
}

fn max_answer_bytes() -> u64 {
    64 * 1024 * 1024
}

impl ScimConfig {
    /// A provider at an address, with every other setting at its default.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            dialect: None,
            auth: None,
            proxy: None,
            no_proxy: Vec::new(),
            ca_file: None,
            timeout_seconds: timeout_seconds(),
            page_size: None,
            paging: None,
            pages_in_flight: None,
            max_answer_bytes: max_answer_bytes(),
            member_batch: None,
            members_by: None,
            account: None,
            seats: BTreeMap::new(),
            refuses: BTreeMap::new(),
        }
    }

    pub(super) fn stages(&self) -> Vec<Stage> {
        let mut stages = stages_to(&self.url, self.proxy.as_deref(), &self.no_proxy);
        stages.extend([Stage::Proof, Stage::Capacity]);
        stages
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("pages_in_flight", self.pages_in_flight.map(|pages| pages as u64)),
            ("timeout_seconds", Some(self.timeout_seconds)),
            ("page_size", self.page_size),
            ("member_batch", self.member_batch.map(|members| members as u64)),
        ];
        let mut problems = http_problems(&self.url, self.proxy.as_deref(), &numbers, self.max_answer_bytes);
        if let Some(Auth::Client { token_url, .. }) = &self.auth
            && let Err(problem) = web_address(token_url)
        {
            problems.push(("auth", format!("token_url: {problem}")));
        }
        let named = self.dialect.as_deref().filter(|dialect| !Dialect::is_file(dialect));
        problems.extend(unknown_dialect(named).map(|problem| ("dialect", problem)));
        problems
    }
}

/// What is wrong with the name of a dialect, with the nearest one that there is.
pub(super) fn unknown_dialect(name: Option<&str>) -> Option<String> {
    let name = name.filter(|name| Dialect::named(name).is_none())?;
    let near = Dialect::names()
        .map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), known), known))
        .min()
        .filter(|(distance, known)| distance * 2 <= known.len())
        .map_or_else(String::new, |(_, known)| format!(", did you mean `{known}`?"));
    let known: Vec<&str> = Dialect::names().collect();
    Some(format!("`{name}` is no known dialect{near}; known are: {}", known.join(", ")))
}
