//! What a job file says about a system, by kind. Paths are relative to the job file's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::http::proxied;
use super::secret::SecretRef;
use crate::model::failure::Stage;
use crate::model::order::Operation;

/// `[systems.NAME]`, told apart by its `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a job names a handful of systems, and each is moved but once")]
pub enum SystemConfig {
    /// A folder of CSV files; as a target, work-order files for people.
    Csv(CsvConfig),
    /// A SCIM 2.0 service provider.
    Scim(ScimConfig),
    /// The built-in SCIM server, started for the run.
    Sandbox(SandboxConfig),
}

impl SystemConfig {
    /// Every kind, as job files spell it.
    pub const KINDS: &'static [&'static str] = &["csv", "sandbox", "scim"];

    /// The kind, as job files spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Scim(_) => "scim",
            Self::Sandbox(_) => "sandbox",
        }
    }

    /// The stages of reaching it, in the order in which a probe tries them.
    pub fn stages(&self) -> Vec<Stage> {
        match self {
            Self::Csv(_) => vec![Stage::Connect, Stage::Permission, Stage::Schema],
            Self::Scim(config) => config.stages(),
            Self::Sandbox(_) => ScimConfig::at("http://127.0.0.1").stages(),
        }
    }

    /// What is wrong with it beyond its shape: field, and a sentence that says what to write instead.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Csv(config) => config.problems(),
            Self::Scim(config) => config.problems(),
            Self::Sandbox(_) => Vec::new(),
        }
    }
}

/// A folder with one `<resource>.csv` for each resource type or association.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The folder.
    pub path: PathBuf,
    /// As a target: the folder that work-order files are written into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<PathBuf>,
    /// Key columns by resource; without an entry: `id` where there is such a column, else the first one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Vec<String>>,
    /// Associations: resource → end column → the resource that its ids belong to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, BTreeMap<String, String>>,
    /// The column that says whether an account is in use; default `active`, where there is such a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<String>,
}

impl CsvConfig {
    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.path.as_os_str().is_empty() {
            problems.push(("path", "the folder's path is empty; name the folder that holds the csv files".to_owned()));
        }
        for (resource, columns) in &self.keys {
            if columns.is_empty() {
                problems.push(("keys", format!("no key column is named for `{resource}`; name one or leave it out")));
            }
        }
        for (resource, ends) in &self.ends {
            if ends.len() < 2 {
                problems.push(("ends", format!("the association `{resource}` needs two end columns or more")));
            }
        }
        problems
    }
}

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

/// An operation, as job files spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the operations' own")]
pub enum Refused {
    Create,
    Update,
    Disable,
    Enable,
    Delete,
    Add,
    Remove,
}

impl Refused {
    /// The operation.
    pub fn operation(self) -> Operation {
        match self {
            Self::Create => Operation::Create,
            Self::Update => Operation::Update,
            Self::Disable => Operation::Disable,
            Self::Enable => Operation::Enable,
            Self::Delete => Operation::Delete,
            Self::Add => Operation::Add,
            Self::Remove => Operation::Remove,
        }
    }
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
    fn stages(&self) -> Vec<Stage> {
        let url = web_address(&self.url).ok();
        let proxied = self.proxy.is_some() && url.as_ref().is_some_and(|url| proxied(&self.no_proxy, url));
        let mut stages = if proxied { vec![Stage::Proxy] } else { vec![Stage::Resolve, Stage::Connect] };
        if url.is_some_and(|url| url.scheme() == "https") {
            stages.push(Stage::Tls);
        }
        stages.extend([Stage::Http, Stage::Login, Stage::Permission, Stage::Schema]);
        stages
    }

    fn problems(&self) -> Vec<(&'static str, String)> {
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

/// A usable http or https address: with a host, without a credential, query or fragment.
///
/// # Errors
/// A sentence that says what is wrong; a password in the address is not repeated.
pub fn web_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is no address: {error}; write https://HOST/PATH"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("this is no http or https address; write https://HOST/PATH".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a credential may not stand in an address; use `auth` with a reference such as env:NAME".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base address has no `?` and no `#`; leave that part out".to_owned());
    }
    Ok(url)
}

/// How muster proves who it is. Secrets are references.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum Auth {
    /// A bearer token: `{ bearer = "env:TOKEN" }`.
    Bearer {
        /// Where the token lies.
        bearer: SecretRef,
    },
    /// HTTP basic: `{ user = "muster", password = "env:PASSWORD" }`.
    Basic {
        /// The login.
        user: String,
        /// Where the password lies.
        password: SecretRef,
    },
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4).
    Client {
        /// The client's id.
        client_id: String,
        /// Where the client's secret lies.
        client_secret: SecretRef,
        /// The token endpoint.
        token_url: String,
        /// The scope to ask for.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
}

impl Auth {
    /// The reference of the secret, for messages.
    pub fn secret(&self) -> &SecretRef {
        match self {
            Self::Bearer { bearer } => bearer,
            Self::Basic { password, .. } => password,
            Self::Client { client_secret, .. } => client_secret,
        }
    }
}

/// All fields of all forms, so that a mistake is told by its name and not as "no variant matched".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthFields {
    bearer: Option<SecretRef>,
    user: Option<String>,
    password: Option<SecretRef>,
    client_id: Option<String>,
    client_secret: Option<SecretRef>,
    token_url: Option<String>,
    scope: Option<String>,
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match AuthFields::deserialize(deserializer)? {
            AuthFields {
                bearer: Some(bearer),
                user: None,
                password: None,
                client_id: None,
                client_secret: None,
                token_url: None,
                scope: None,
            } => Ok(Self::Bearer { bearer }),
            AuthFields {
                bearer: None,
                user: Some(user),
                password: Some(password),
                client_id: None,
                client_secret: None,
                token_url: None,
                scope: None,
            } => Ok(Self::Basic { user, password }),
            AuthFields {
                bearer: None,
                user: None,
                password: None,
                client_id: Some(client_id),
                client_secret: Some(client_secret),
                token_url: Some(token_url),
                scope,
            } => Ok(Self::Client { client_id, client_secret, token_url, scope }),
            _ => Err(serde::de::Error::custom(
                "auth is one of { bearer }, { user, password } or { client_id, client_secret, token_url, scope }, \
                 whole and alone",
            )),
        }
    }
}

/// The built-in SCIM server as a system of its own, for the tour and for rehearsals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Where its data lies; left out = in the state folder, under the system's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<PathBuf>,
    /// A file of faults to inject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<PathBuf>,
    /// The login or id of the account that muster itself would use, so that no order locks it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource: `{ users = 500 }`. Creates beyond them are blocked, and refused by the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that a real provider would refuse: `{ users = ["delete"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_read_by_kind_and_typos_are_named() {
        let scim: SystemConfig = toml::from_str(
            "kind = \"scim\"\nurl = \"https://vault.example.com/scim/v2\"\nauth = { bearer = \"env:TOKEN\" }",
        )
        .unwrap();
        let SystemConfig::Scim(config) = &scim else { panic!("not scim") };
        assert_eq!((config.page_size, config.paging), (200, Paging::Auto));
        assert!(scim.problems().is_empty());
        assert_eq!(toml::from_str::<SystemConfig>(&toml::to_string(&scim).unwrap()).unwrap(), scim);

        let typo = toml::from_str::<SystemConfig>("kind = \"csv\"\npath = \"hr\"\nkey = 1").unwrap_err().to_string();
        assert!(typo.contains("`key`"), "{typo}");
        let half = toml::from_str::<SystemConfig>("kind = \"scim\"\nurl = \"https://x\"\nauth = { user = \"a\" }")
            .unwrap_err()
            .to_string();
        assert!(half.contains("whole and alone"), "{half}");
        let told = toml::from_str::<SystemConfig>("kind=\"scim\"\nurl=\"https://x\"\nauth={ bearer = \"hunter2\" }")
            .unwrap_err();
        assert!(!told.message().contains("hunter2"), "{told}");
    }

    #[test]
    fn addresses_with_a_credential_are_refused_without_repeating_it() {
        let problem = web_address("https://u:hunter2@vault.example.com").unwrap_err();
        assert!(problem.contains("auth") && !problem.contains("hunter2"));
        assert!(web_address("ldap://x").is_err());
        assert!(web_address("https://vault.example.com/scim/v2").is_ok());
    }

    #[test]
    fn the_json_schema_of_every_kind_is_made() {
        let schema = serde_json::to_string(&schemars::schema_for!(SystemConfig)).unwrap();
        for word in SystemConfig::KINDS.iter().chain(&["token_url", "max_answer_bytes", "member_batch"]) {
            assert!(schema.contains(word), "{word} is missing");
        }
    }
}
