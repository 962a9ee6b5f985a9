//! OpenBao and HashiCorp Vault: their identity store as a source and as a target, folders of key-value stores as a source.
//!
//! Lists give ids only, so that each object is a question of its own. A create overwrites what has its name, and the
//! members of a group are written as a whole: both are looked at first and read back. No value of a secret is ever
//! asked for (<https://openbao.org/api-docs/secret/identity/>).

mod aliases;
mod ask;
mod columns;
mod export;
mod finder;
mod lookup;
mod members;
mod namespace;
mod probe;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use tokio::sync::{Mutex, OnceCell};

use super::by_modules::by_modules;
use super::config::{OpenBaoConfig, SystemConfig, web_address};
use super::http::{Http, HttpSettings};
use super::registry::ConnectContext;
use crate::model::capabilities::{Capabilities, OwnAccount};
use crate::model::failure::{Class, Failure, Recourse};

/// A connection to a vault.
pub struct OpenBaoSystem {
    name: String,
    config: OpenBaoConfig,
    http: Arc<Http>,
    /// Columns that the job names, by resource.
    columns: BTreeMap<String, BTreeSet<String>>,
    /// The entity that muster itself uses, asked once.
    account: OnceCell<Option<OwnAccount>>,
    /// Whether the server has namespaces, asked once where the job names one.
    namespaces: OnceCell<()>,
    /// Login methods by their paths, with their accessors; asked once.
    methods: OnceCell<BTreeMap<String, String>>,
    /// The policies that there are, asked once where the job names some; `None` where muster may not see them.
    policies: OnceCell<Option<BTreeSet<String>>>,
    /// What is found by other attributes than the name, which the server cannot be asked for.
    finder: finder::Finder,
    /// One for each group whose members are being written: they are read, changed and written as a whole.
    turns: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl OpenBaoSystem {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable setting, class `credential` for a secret that cannot be had.
    pub fn new(name: &str, config: &OpenBaoConfig, context: &ConnectContext) -> Result<Self, Failure> {
        let wrong =
            |cause: String| Failure::new(Class::Configuration, Recourse::Stop, name, cause, "correct the job file");
        if let Some((field, problem)) = SystemConfig::OpenBao(config.clone()).problems().into_iter().next() {
            return Err(wrong(format!("{field}: {problem}")));
        }
        let base = web_address(&config.url).map_err(|problem| wrong(format!("url: {problem}")))?;
        // Agents and proxies before a vault may be set to refuse requests without it (require_request_header).
        let mut headers = vec![(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"))];
        if let Some(namespace) = &config.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| wrong("namespace: it holds characters that cannot be sent".to_owned()))?;
            headers.push((HeaderName::from_static("x-vault-namespace"), value));
        }
        let settings = HttpSettings {
            url: config.url.clone(),
            auth: Some(config.auth.for_http(&base)),
            proxy: config.proxy.clone(),
            no_proxy: config.no_proxy.clone(),
            ca_file: config.ca_file.clone(),
            timeout: Duration::from_secs(config.timeout_seconds),
            max_bytes: config.max_answer_bytes,
            media_type: "application/json",
            headers,
        };
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            http: Arc::new(Http::new(name, &settings, context)?),
            columns: context.columns.clone(),
            account: OnceCell::new(),
            namespaces: OnceCell::new(),
            methods: OnceCell::new(),
            policies: OnceCell::new(),
            finder: finder::Finder::default(),
            turns: Mutex::new(BTreeMap::new()),
        })
    }

    /// The policies that there are, where the job gives some to people or groups.
    async fn known_policies(&self) -> Result<Option<&BTreeSet<String>>, Failure> {
        if !self.columns.values().any(|columns| columns.contains("policies")) {
            return Ok(None);
        }
        let listed = self.policies.get_or_try_init(|| async {
            match self.list(ask::place(columns::POLICIES).unwrap_or_default()).await {
                Ok(names) => Ok(Some(names.into_iter().collect())),
                Err(failure) if failure.class == Class::Permission => Ok(None),
                Err(failure) => Err(failure),
            }
        });
        Ok(listed.await?.as_ref())
    }

    async fn offered(&self) -> Result<Capabilities, Failure> {
        let account = self.account.get_or_try_init(|| probe::account(self)).await?.clone();
        Ok(columns::capabilities(&self.config, &self.columns, account, self.known_policies().await?))
    }

    fn failure(&self, class: Class, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
        let recourse = if class == Class::Configuration { Recourse::Stop } else { Recourse::GiveUp };
        Failure::new(class, recourse, &self.name, cause, remedy)
    }

    fn no_such_resource(&self, resource: &str) -> Failure {
        let nearest = columns::RESOURCES
            .into_iter()
            .max_by(|a, b| strsim::jaro_winkler(a, resource).total_cmp(&strsim::jaro_winkler(b, resource)))
            .unwrap_or(columns::USERS);
        self.failure(
            Class::Configuration,
            format!("there is no resource type or association `{resource}`; it has: {}", columns::RESOURCES.join(", ")),
            format!("write `{nearest}`, or whichever of these is meant, in the job file"),
        )
    }
}

by_modules! {
    OpenBaoSystem,
    identity: |system| {
        let namespace = system.config.namespace.as_deref().map_or_else(String::new, |name| format!(" {name}"));
        format!("openbao {}{namespace}", system.http.base())
    },
    capabilities: OpenBaoSystem::offered,
    apply_rows: members::apply_rows,
    row_batch: |system, resource| match members::ends_of(resource) {
        Some((owner, _, _)) => (Some(owner.to_owned()), system.config.member_batch),
        None => (None, 1),
    },
}
