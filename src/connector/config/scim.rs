//! `kind = "scim"`: SCIM 2.0 service providers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::web_address;
use super::auth::Auth;
use super::refused::Refused;
use crate::connector::http::proxied;
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
    /// The provider's quirks; only `generic` so far.
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
    /// Rows asked for in one page; the provider may send fewer.
    #[serde(default = "page_size")]
    #[schemars(range(min = 1))]
    pub page_size: u64,
    /// How long lists are read.
    #[serde(default)]
    pub paging: Paging,
    /// Pages of one list that are asked for at once, where they are read by index; fewer while the provider answers
    /// 429. 1 = one after the other.
    #[serde(default = "pages_in_flight")]
    #[schemars(range(min = 1, max = 64))]
    pub pages_in_flight: usize,
    /// The largest answer that is read, in bytes.
    #[serde(default = "max_answer_bytes")]
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: u64,
    /// Member changes in one request at most.
    #[serde(default = "member_batch")]
    #[schemars(range(min = 1))]
    pub member_batch: usize,
    /// The login or id of the account that muster itself uses there, so that no order locks it out. Left out = what the
    /// server's /Me says, and the login of `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource, free and taken: `{ users = 500 }`. Creates beyond them are blocked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that the provider refuses though SCIM has them: `{ privilegedData = ["create"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

fn timeout_seconds() -> u64 {
    60
}

fn page_size() -> u64 {
    200
}

fn pages_in_flight() -> usize {
    4
}

fn max_answer_bytes() -> u64 {
    64 * 1024 * 1024
}

fn member_batch() -> usize {
    100
}

impl ScimConfig {
    /// The dialects that are known.
    pub const DIALECTS: &'static [&'static str] = &["generic"];

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
            page_size: page_size(),
            paging: Paging::Auto,
            pages_in_flight: pages_in_flight(),
            max_answer_bytes: max_answer_bytes(),
            member_batch: member_batch(),
            account: None,
            seats: BTreeMap::new(),
            refuses: BTreeMap::new(),
        }
    }

    /// To the proxy where there is one on the way, else to the host; through TLS where the address asks for it.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let url = web_address(&self.url).ok();
        let proxied = self.proxy.is_some() && url.as_ref().is_some_and(|url| proxied(&self.no_proxy, url));
        let mut stages = if proxied { vec![Stage::Proxy] } else { vec![Stage::Resolve, Stage::Connect] };
        if url.is_some_and(|url| url.scheme() == "https") {
            stages.push(Stage::Tls);
        }
        stages.extend([Stage::Http, Stage::Login, Stage::Permission, Stage::Schema]);
        stages
    }

    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Err(problem) = web_address(&self.url) {
            problems.push(("url", problem));
        }
        if let Some(Err(problem)) = self.proxy.as_deref().map(web_address) {
            problems.push(("proxy", problem));
        }
        if let Some(Auth::Client { token_url, .. }) = &self.auth
            && let Err(problem) = web_address(token_url)
        {
            problems.push(("auth", format!("token_url: {problem}")));
        }
        if let Some(dialect) = self.dialect.as_deref().filter(|d| !Self::DIALECTS.contains(d)) {
            problems.push((
                "dialect",
                format!("`{dialect}` is no known dialect; known are: {}", Self::DIALECTS.join(", ")),
            ));
        }
        for (field, is_zero) in [
            ("timeout_seconds", self.timeout_seconds == 0),
            ("page_size", self.page_size == 0),
            ("pages_in_flight", self.pages_in_flight == 0),
            ("member_batch", self.member_batch == 0),
        ] {
            if is_zero {
                problems.push((field, "0 is not possible here; the least is 1".to_owned()));
            }
        }
        if self.pages_in_flight > 64 {
            problems.push(("pages_in_flight", "so many pages at once are an attack; the most is 64".to_owned()));
        }
        if self.max_answer_bytes < 1024 {
            problems.push(("max_answer_bytes", "no answer fits into so little; the least is 1024".to_owned()));
        }
        problems
    }
}
