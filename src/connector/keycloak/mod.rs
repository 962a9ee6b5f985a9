//! Keycloak: the users, groups and roles of one realm, by its admin REST API, as a source and as a target.
//!
//! Its lists state no total and no next page, so that they are walked by the rows that came, to an empty page, and held
//! against the server's own count. A change of an object replaces what it leaves out: it is read, merged and sent whole
//! (<https://www.keycloak.org/docs-api/latest/rest-api/index.html>).

mod ask;
mod capabilities;
mod columns;
mod events;
mod export;
mod groups;
mod increment;
mod lookup;
mod members;
mod pages;
mod probe;
mod profile;
mod rights;
mod roles;
mod users;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use self::profile::Profile;
use super::by_modules::by_modules;
use super::config::{KeycloakConfig, SystemConfig, web_address};
use super::failure_table::keycloak_rows;
use super::http::{Http, HttpSettings};
use super::registry::ConnectContext;
use crate::model::failure::{Class, Failure, Recourse};

/// A connection to a realm.
pub struct KeycloakSystem {
    name: String,
    config: KeycloakConfig,
    http: Arc<Http>,
    notice: Arc<dyn Fn(&str) + Send + Sync>,
    /// Columns that the job names, by resource.
    columns: BTreeMap<String, BTreeSet<String>>,
    /// What users have, asked once.
    profile: OnceCell<Profile>,
    /// What was said in the log already.
    noticed: Mutex<BTreeSet<String>>,
}

impl KeycloakSystem {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Class `configuration` for an unusable setting, class `credential` for a secret that cannot be had.
    pub fn new(name: &str, config: &KeycloakConfig, context: &ConnectContext) -> Result<Self, Failure> {
        let wrong =
            |cause: String| Failure::new(Class::Configuration, Recourse::Stop, name, cause, "correct the job file");
        if let Some((field, problem)) = SystemConfig::Keycloak(config.clone()).problems().into_iter().next() {
            return Err(wrong(format!("{field}: {problem}")));
        }
        let base = web_address(&config.url).map_err(|problem| wrong(format!("url: {problem}")))?;
        let settings = HttpSettings {
            url: config.url.clone(),
            auth: Some(config.for_http(&base)),
            proxy: config.proxy.clone(),
            no_proxy: config.no_proxy.clone(),
            ca_file: config.ca_file.clone(),
            timeout: Duration::from_secs(config.timeout_seconds),
            max_bytes: config.max_answer_bytes,
            media_type: "application/json",
            headers: Vec::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            http: Arc::new(Http::new(name, &settings, context)?.speaking(keycloak_rows(), None)),
            notice: context.notice.clone(),
            columns: context.columns.clone(),
            profile: OnceCell::new(),
            noticed: Mutex::new(BTreeSet::new()),
        })
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

    /// Says something in the log, once for each connection.
    fn notice_once(&self, text: &str) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(text.to_owned()) {
            (self.notice)(text);
        }
    }
}

by_modules! {
    KeycloakSystem,
    identity: |system| format!("keycloak {} {}", system.http.base(), system.config.realm),
    capabilities: capabilities::capabilities,
    apply_rows: members::apply_rows,
    row_batch: |_, resource| members::row_batch(resource),
    when_ignored: |system, resource, attributes| profile::when_ignored(system.profile.get(), resource, attributes),
}
