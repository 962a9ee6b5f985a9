//! The stages of reaching a provider, for `check`.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::discovery::Discovery;
use super::rows::{RowReader, offered};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem};
use super::{permissions, proving};
use crate::connector::failure_table::Asked;
use crate::connector::http::reach::step;
use crate::connector::http::{Answer, Request};
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Class, Effect, Failure, Stage};
use crate::scim::list::ListResponse;
use crate::scim::path::Path;
use crate::scim::schema::Definition;

pub(super) async fn probe(system: &ScimSystem, needs: &Needs) -> Vec<Step> {
    let steps = system.http.reach().await;
    if steps.iter().any(|step| step.result.is_err()) {
        return steps;
    }
    let mut ask = Probe { system, needs, steps };
    // The first failure ends the probe; it has been written down as a step by then.
    let _ = ask.go().await;
    ask.steps
}

struct Probe<'a> {
    system: &'a ScimSystem,
    needs: &'a Needs,
    steps: Vec<Step>,
}

struct Ended;

impl Probe<'_> {
    async fn go(&mut self) -> Result<(), Ended> {
        let url = self.system.http.address(&["ServiceProviderConfig"]);
        let what = "GET /ServiceProviderConfig".to_owned();
        let started = Instant::now();
        let answer = self.system.http.read(&Request::new(Method::GET, url.clone(), Asked::Discovery)).await;
        if url.scheme() == "https" && !matches!(&answer, Err(failure) if failure.stage == Some(Stage::Proxy)) {
            let host = url.host_str().unwrap_or("").to_owned();
            match &answer {
                Err(failure) if failure.stage == Some(Stage::Tls) => {
                    self.take(Stage::Tls, format!("tls {host}"), Err(failure.clone()), started)?;
                }
                _ => {
                    let which = answer.as_ref().ok().and_then(Answer::certificate);
                    let which = which.map_or_else(String::new, |which| format!(", SHA-256 {which}…"));
                    let told = format!("the certificate is trusted{which}");
                    self.take(Stage::Tls, format!("tls {host}"), Ok(told), started)?
                }
            }
        }
        match answer {
            Ok(_) => self.take(Stage::Http, what, Ok("answers as a SCIM service does".to_owned()), started)?,
            // Somebody answers, and it is for the credential to say whether it is the service.
            Err(failure) if matches!(failure.class, Class::Credential | Class::Permission) => {
                let status = failure.status.map_or_else(String::new, |status| format!(", status {status}"));
                let told = format!("a server answers over HTTP{status}");
                self.take(Stage::Http, what.clone(), Ok(told), started)?;
                if failure.class == Class::Permission {
                    self.take(Stage::Login, self.credential(), Ok("accepted".to_owned()), started)?;
                    return self.take(Stage::Permission, what, Err(failure), started);
                }
                return self.take(Stage::Login, self.credential(), Err(failure), started);
            }
            Err(failure) => {
                let stage = failure.stage.unwrap_or(Stage::Http);
                return self.take(stage, what, Err(failure), started);
            }
        }

        let started = Instant::now();
        let system = self.system;
        let discovery = match system.discovery().await {
            Ok(discovery) => discovery,
            Err(failure) => {
                let stage = failure.stage.unwrap_or(Stage::Http);
                return self.take(stage, "GET /ResourceTypes, /Schemas".to_owned(), Err(failure), started);
            }
        };
        let read = self.read_what_is_needed(discovery).await?;
        let written = permissions::probe(self.system, discovery, self.needs).await;
        let all_written = written.iter().all(|step| step.result.is_ok());
        self.steps.extend(written);
        let allowed = read.and(if all_written { Ok(()) } else { Err(Ended) });
        let there = self.compare_schema(discovery);
        allowed.and(there)?;
        self.steps.extend(proving::probe(self.system, discovery, self.needs).await);
        self.steps.extend(proving::capacity(self.system, discovery, self.needs).await);
        Ok(())
    }

    /// Login and permission: one row of each list that the job reads. One list that may not be read hides nothing of
    /// the others.
    async fn read_what_is_needed(&mut self, discovery: &Discovery) -> Result<Result<(), Ended>, Ended> {
        let mut lists: Vec<&str> =
            self.needs.reads.keys().chain(&self.needs.writes).map(|name| list_of(name)).collect();
        if lists.is_empty() {
            lists.push("users");
        }
        lists.sort_unstable();
        lists.dedup();
        let (mut login_told, mut allowed) = (false, Ok(()));
        for list in lists {
            let Some(definition) = discovery.types.get(list) else { continue };
            let endpoint = definition.resource_type.endpoint.trim_matches('/');
            let mut url = self.system.http.address(&[endpoint]);
            url.query_pairs_mut().append_pair("startIndex", "1").append_pair("count", "1");
            let what = format!("GET /{endpoint}?count=1");
            let started = Instant::now();
            let result = self.system.http.read(&Request::new(Method::GET, url, Asked::List)).await;
            match &result {
                Err(failure) if failure.class == Class::Credential => {
                    return Err(self.ended(Stage::Login, self.credential(), failure.clone(), started));
                }
                // Whether the credential is accepted is not known from this.
                Err(failure) if failure.class != Class::Permission => {
                    let stage = failure.stage.unwrap_or(Stage::Http);
                    return Err(self.ended(stage, what, failure.clone(), started));
                }
                _ if !std::mem::replace(&mut login_told, true) => {
                    self.take(Stage::Login, self.credential(), Ok(self.login_told()), started)?;
                }
                _ => {}
            }
            let told = result.and_then(|answer| match ListResponse::parse(&answer.body) {
                Ok(_) => Ok(format!("may read {list}")),
                Err(error) => Err(self.system.bad_answer(&what, error, &answer, Effect::None)),
            });
            allowed = allowed.and(self.take(Stage::Permission, what, told, started));
        }
        Ok(allowed)
    }

    /// Which credential, by its reference.
    fn credential(&self) -> String {
        self.system.config.auth.as_ref().map_or_else(|| "no credential".to_owned(), |auth| auth.secret().to_string())
    }

    fn login_told(&self) -> String {
        let told = if self.system.config.auth.is_some() { "accepted" } else { "none is set, and none is asked for" };
        told.to_owned()
    }

    /// Whether everything that the job names exists.
    fn compare_schema(&mut self, discovery: &Discovery) -> Result<(), Ended> {
        let mut problems = Vec::new();
        let known: Vec<&str> = discovery.resource_names().collect();
        let names = self.needs.reads.keys().chain(&self.needs.writes);
        for name in names.filter(|name| !known.contains(&name.as_str())) {
            problems.push(self.system.no_such_resource(discovery, name));
        }
        for (resource, columns) in &self.needs.reads {
            let Some(definition) = discovery.types.get(resource) else { continue };
            if let Err(failure) = RowReader::new(self.system, definition, columns) {
                problems.push(failure);
                continue;
            }
            problems.extend(
                columns
                    .iter()
                    .filter(|column| !is_known(definition, column))
                    .map(|column| self.no_such_column(definition, resource, column)),
            );
        }
        let started = Instant::now();
        let what = "compare with the job".to_owned();
        if problems.is_empty() {
            return self.take(Stage::Schema, what, Ok("everything that the job names is there".to_owned()), started);
        }
        for mut failure in problems {
            failure.stage = Some(Stage::Schema);
            self.steps.push(Step {
                stage: Stage::Schema,
                what: what.clone(),
                result: Err(failure),
                took: Duration::ZERO,
            });
        }
        Err(Ended)
    }

    fn no_such_column(&self, definition: &Definition, resource: &str, column: &str) -> Failure {
        // An attribute of an extension is often meant by its own name alone.
        let likeness = |name: &str| {
            let own = name.rsplit(':').next().unwrap_or(name);
            strsim::jaro_winkler(name, column).max(strsim::jaro_winkler(own, column))
        };
        let nearest = offered(definition)
            .into_iter()
            .map(|column| column.name)
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .unwrap_or_default();
        self.system.failure(
            Class::Configuration,
            format!("{resource} has no attribute `{column}`"),
            format!("write `{nearest}`, if that is meant"),
        )
    }

    fn ended(&mut self, stage: Stage, what: String, failure: Failure, started: Instant) -> Ended {
        self.steps.push(step(stage, what, Err(failure), started));
        Ended
    }

    fn take(
        &mut self,
        stage: Stage,
        what: String,
        result: Result<String, Failure>,
        started: Instant,
    ) -> Result<(), Ended> {
        let failed = result.is_err();
        self.steps.push(step(stage, what, result, started));
        if failed { Err(Ended) } else { Ok(()) }
    }
}

/// Associations are read from their groups.
pub(super) fn list_of(resource: &str) -> &str {
    if matches!(resource, MEMBERSHIPS | NESTINGS) { "groups" } else { resource }
}

fn is_known(definition: &Definition, column: &str) -> bool {
    definition.core.attributes.is_empty()
        || Path::parse(column).is_ok_and(|path| path.is_extension() || definition.find(&path).is_some())
}
