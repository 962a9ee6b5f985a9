//! Makes sources and targets of configurations, by kind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::backoff::Retrying;
use super::config::SystemConfig;
use super::csv::CsvSystem;
use super::keycloak::KeycloakSystem;
use super::ldap::LdapSystem;
use super::openbao::OpenBaoSystem;
use super::proofs::{Forgetful, KeptProofs};
use super::scim::ScimSystem;
use super::secret::{NoSecrets, Secrets};
use super::source::Source;
use super::target::Target;
use crate::model::exchange::Exchange;
use crate::model::failure::{Class, Failure, Recourse};

/// What every connector needs to know about the run that it works for.
#[derive(Clone)]
pub struct ConnectContext {
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
    /// The job file's folder: relative paths start there.
    pub base: PathBuf,
    /// The run, in the names of work-order files: the run's id, or a word such as `check`.
    pub run: String,
    /// Requests a second at most to each system; `None` = no limit.
    pub rate: Option<f64>,
    /// How long the waits before repeated reads may be altogether, for each system.
    pub retry_budget: Duration,
    /// Numbers from 0 up to, not including, 1, for jitter.
    pub random: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// Columns by resource that the job names, beyond those that a system offers by itself (value paths); objects are
    /// read with them.
    pub columns: BTreeMap<String, BTreeSet<String>>,
    /// Takes what a connector notices and a person should find in the log.
    pub notice: Arc<dyn Fn(&str) + Send + Sync>,
    /// Is told of each question that is asked again.
    pub retrying: Retrying,
    /// Is told of every request and its answer.
    pub exchanged: Exchanged,
    /// What was proved about systems in earlier runs.
    pub proofs: KeptProofs,
}

/// Takes requests and their answers, for a log.
pub type Exchanged = Arc<dyn Fn(Exchange) + Send + Sync>;

impl ConnectContext {
    /// A context without secrets, limit, jitter, log or memory.
    pub fn plain(base: impl Into<PathBuf>, run: impl Into<String>) -> Self {
        Self {
            secrets: Arc::new(NoSecrets),
            base: base.into(),
            run: run.into(),
            rate: None,
            retry_budget: Duration::from_secs(60),
            random: Arc::new(|| 0.5),
            columns: BTreeMap::new(),
            notice: Arc::new(|_| {}),
            retrying: Arc::new(|_, _, _| {}),
            exchanged: Arc::new(|_| {}),
            proofs: Arc::new(Forgetful),
        }
    }
}

/// Makes systems of one kind.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Connects for reading and writing. Sends nothing yet, but may start what the system needs.
    async fn target(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Target>, Failure>;

    /// Connects for reading alone.
    async fn source(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Source>, Failure> {
        let target = self.target(name, config, context).await?;
        Ok(target)
    }
}

/// The factories by kind.
pub struct Registry {
    factories: BTreeMap<&'static str, Box<dyn Factory>>,
}

impl Registry {
    /// The kinds that need nothing else of the house: `csv`, `keycloak`, `ldap`, `openbao` and `scim`.
    pub fn standard() -> Self {
        let mut registry = Self::empty();
        for kind in ["csv", "keycloak", "ldap", "openbao", "scim"] {
            registry.register(kind, Box::new(Standard));
        }
        registry
    }

    /// No kinds at all.
    pub fn empty() -> Self {
        Self { factories: BTreeMap::new() }
    }

    /// Adds a kind, or replaces it.
    pub fn register(&mut self, kind: &'static str, factory: Box<dyn Factory>) {
        self.factories.insert(kind, factory);
    }

    /// A system to read from.
    pub async fn source(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Source>, Failure> {
        self.factory(name, config)?.source(name, config, context).await
    }

    /// A system to write to.
    pub async fn target(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Target>, Failure> {
        self.factory(name, config)?.target(name, config, context).await
    }

    fn factory(&self, name: &str, config: &SystemConfig) -> Result<&dyn Factory, Failure> {
        let known = || self.factories.keys().copied();
        self.factories.get(config.kind()).map(AsRef::as_ref).ok_or_else(|| not_here(name, config, known()))
    }
}

/// Makes the systems that need nothing else of the house.
struct Standard;

#[async_trait]
impl Factory for Standard {
    async fn target(
        &self,
        name: &str,
        config: &SystemConfig,
        context: &ConnectContext,
    ) -> Result<Box<dyn Target>, Failure> {
        Ok(match config {
            SystemConfig::Csv(config) => Box::new(CsvSystem::new(name, config, context)?),
            SystemConfig::Keycloak(config) => Box::new(KeycloakSystem::new(name, config, context)?),
            SystemConfig::Ldap(config) => Box::new(LdapSystem::new(name, config, context)?),
            SystemConfig::OpenBao(config) => Box::new(OpenBaoSystem::new(name, config, context)?),
            SystemConfig::Scim(config) => Box::new(ScimSystem::new(name, config, context)?),
            SystemConfig::Sandbox(_) => return Err(not_here(name, config, std::iter::empty())),
        })
    }
}

fn not_here(name: &str, config: &SystemConfig, known: impl Iterator<Item = &'static str>) -> Failure {
    let known: Vec<&str> = known.collect();
    Failure::new(
        Class::Configuration,
        Recourse::Stop,
        name,
        format!("systems of kind `{}` are not available here", config.kind()),
        format!("available kinds: {}", known.join(", ")),
    )
}
