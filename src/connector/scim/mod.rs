//! SCIM 2.0 service providers (RFC 7643, RFC 7644, RFC 9865), as sources and as targets.
//!
//! What a provider claims is no proof: filters are proved with a known object before "no rows" is believed, pages are
//! counted by what came, and everything that was looked up is checked to be what was asked for.

mod ahead;
mod body;
mod capabilities;
mod condition;
mod dialect;
mod discovery;
mod export;
mod groups;
mod increment;
mod lookup;
mod member;
mod member_names;
mod members;
mod members_asked;
mod own;
mod pager;
mod permissions;
mod present;
mod probe;
mod proving;
mod rows;
mod spellings;
mod walk;
mod ways;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::OnceCell;

pub use self::dialect::Dialect;
use self::dialect::MemberRemoval;
use self::discovery::Discovery;
use self::ways::Ways;
use super::by_modules::by_modules;
use super::config::{Refused, ScimConfig, SystemConfig};
use super::http::{Answer, Http, HttpSettings};
use super::proofs::{KeptProofs, Proof};
use super::registry::ConnectContext;
use crate::model::capabilities::{Capabilities, OwnAccount};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::scim::MEDIA_TYPE;
use crate::scim::schema::Definition;

/// The association of users and the groups that they are in: `group`, `user`.
pub const MEMBERSHIPS: &str = "memberships";
/// The association of groups in groups: `parent`, `child`.
pub const NESTINGS: &str = "nestings";

/// A connection to a service provider.
pub struct ScimSystem {
    name: String,
    config: ScimConfig,
    /// The product that the service is one of.
    dialect: &'static Dialect,
    /// How it is asked: as the job says, else as the dialect does.
    ways: Ways,
    http: Arc<Http>,
    notice: Arc<dyn Fn(&str) + Send + Sync>,
    discovery: OnceCell<Discovery>,
    /// The account that muster itself uses, asked once.
    account: OnceCell<Option<OwnAccount>>,
    /// What reads the objects of each resource, with the columns that the job names.
    readers: rows::ObjectReaders,
    /// What was proved about filters on (resource, attribute).
    filters: Mutex<BTreeMap<(String, String), lookup::Proof>>,
    /// Where a filter regards case: what there is.
    spellings: spellings::Spellings,
    /// How members are taken out of groups, once it is known.
    removal: Mutex<Option<MemberRemoval>>,
    /// What groups call their members by, once it is known.
    member_names: member_names::Found,
    /// Which methods honour If-Match.
    conditions: condition::Conditions,
    /// What was proved in earlier runs.
    proofs: KeptProofs,
    /// What was said in the log already.
    noticed: Mutex<BTreeSet<String>>,
}

impl ScimSystem {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable setting, class `credential` for a secret that cannot be had.
    pub fn new(name: &str, config: &ScimConfig, context: &ConnectContext) -> Result<Self, Failure> {
        if let Some((field, problem)) = SystemConfig::Scim(config.clone()).problems().into_iter().next() {
            let cause = format!("{field}: {problem}");
            return Err(Failure::new(Class::Configuration, Recourse::Stop, name, cause, "correct the job file"));
        }
        let settings = HttpSettings {
            url: config.url.clone(),
            auth: config.auth.clone(),
            proxy: config.proxy.clone(),
            no_proxy: config.no_proxy.clone(),
            ca_file: config.ca_file.clone(),
            timeout: Duration::from_secs(config.timeout_seconds),
            max_bytes: config.max_answer_bytes,
            media_type: MEDIA_TYPE,
            headers: Vec::new(),
        };
        let dialect = Dialect::of(config.dialect.as_deref(), &context.base).map_err(|problem| {
            let remedy = "correct the file; its keys are those of the dialects that muster has";
            Failure::new(Class::Configuration, Recourse::Stop, name, format!("dialect: {problem}"), remedy)
        })?;
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            dialect,
            ways: Ways::of(config, dialect),
            http: Arc::new(Http::new(name, &settings, context)?.speaking(dialect.rows(), dialect.errors_in_a_row)),
            notice: context.notice.clone(),
            discovery: OnceCell::new(),
            account: OnceCell::new(),
            readers: rows::ObjectReaders::new(&context.columns),
            filters: Mutex::new(BTreeMap::new()),
            spellings: spellings::Spellings::default(),
            removal: Mutex::new(dialect.member_removal),
            member_names: member_names::Found::default(),
            conditions: condition::Conditions::default(),
            proofs: context.proofs.clone(),
            noticed: Mutex::new(BTreeSet::new()),
        })
    }

    /// What the provider is like, asked once.
    async fn discovery(&self) -> Result<&Discovery, Failure> {
        self.discovery.get_or_try_init(|| discovery::discover(self)).await
    }

    async fn offered(&self) -> Result<Capabilities, Failure> {
        let account = self.account.get_or_try_init(|| own::account(self)).await?.clone();
        Ok(capabilities::of(self.discovery().await?, &self.config, &self.ways, self.dialect, account))
    }

    async fn definition(&self, resource: &str) -> Result<&Definition, Failure> {
        let discovery = self.discovery().await?;
        discovery.types.get(resource).ok_or_else(|| self.no_such_resource(discovery, resource))
    }

    fn no_such_resource(&self, discovery: &Discovery, resource: &str) -> Failure {
        let names: Vec<&str> = discovery.resource_names().collect();
        let nearest = names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, resource).total_cmp(&strsim::jaro_winkler(b, resource)))
            .copied()
            .unwrap_or("users");
        self.failure(
            Class::Configuration,
            format!("there is no resource type or association `{resource}`; it has: {}", names.join(", ")),
            format!("write `{nearest}`, or whichever of these is meant, in the job file"),
        )
    }

    fn failure(&self, class: Class, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
        let recourse = if class == Class::Configuration { Recourse::Stop } else { Recourse::GiveUp };
        Failure::new(class, recourse, &self.name, cause, remedy)
    }

    fn bad_answer(&self, what: &str, problem: impl std::fmt::Display, answer: &Answer, effect: Effect) -> Failure {
        bad_answer(&self.name, what, problem, answer, effect)
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Whether the provider does not do something of a resource, as the job or the dialect says.
    fn refuses(&self, resource: &str, operation: Refused) -> bool {
        self.ways.refuses.get(resource).is_some_and(|all| all.contains(&operation))
    }

    /// What was proved of this version of the service.
    async fn proved(&self, what: &str) -> Result<Option<Proof>, Failure> {
        Ok(self.proofs.known(&self.name, &self.discovery().await?.version, what))
    }

    /// Keeps what was proved just now. It fails nothing: what proves is often a change that took effect.
    fn keep(&self, what: &str, found: &str) {
        if let Some(discovery) = self.discovery.get() {
            self.proofs.keep(&self.name, &discovery.version, what, found);
        }
    }

    /// Says something in the log, once.
    fn notice_once(&self, text: String) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(text.clone()) {
            (self.notice)(&format!("{}: {text}", self.name));
        }
    }

    /// What reads the objects of a resource: the columns of its schema, these, and all that were named before.
    fn reader<'a>(
        &self,
        resource: &str,
        definition: &Definition,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<Arc<rows::RowReader>, Failure> {
        self.readers.with(self, resource, definition, names)
    }
}

/// The failure of an answer whose body is not what the protocol says.
fn bad_answer(system: &str, what: &str, problem: impl std::fmt::Display, answer: &Answer, effect: Effect) -> Failure {
    let mut failure = Failure::new(
        Class::Server,
        Recourse::GiveUp,
        system,
        format!("{what}: {problem}"),
        "see whether url leads to a SCIM 2.0 service; if so, the fault is on the server's side",
    );
    (failure.effect, failure.status) = (effect, Some(answer.status));
    failure.request_id = answer.request_id().map(str::to_owned);
    failure
}

/// The id of a resource; some servers send a number.
fn id_of(resource: &Json) -> Option<String> {
    match crate::scim::path::member(resource, "id")? {
        Json::String(id) if !id.is_empty() => Some(id.clone()),
        Json::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

by_modules! {
    ScimSystem,
    identity: |system| format!("scim {}", system.http.base()),
    capabilities: ScimSystem::offered,
    apply_rows: members::apply_rows,
    row_batch: |system, resource| match members::ends_of(resource) {
        Some((owner, _)) => (Some(owner.to_owned()), system.ways.member_batch),
        None => (None, 1),
    },
}
