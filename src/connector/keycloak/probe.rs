//! The stages of reaching a realm, for `check`.

use std::time::Instant;

use reqwest::Method;

use super::KeycloakSystem;
use super::capabilities::claim;
use super::columns::{RESOURCES, ends_of, problem};
use super::export::{List, list_of};
use super::rights::{MANAGE_USERS, VIEW_CLIENTS};
use crate::connector::http::reach::step;
use crate::connector::source::{Needs, Step};
use crate::model::failure::{Class, Failure, Stage};

pub(super) async fn probe(system: &KeycloakSystem, needs: &Needs) -> Vec<Step> {
    let steps = system.http.reach().await;
    if steps.iter().any(|step| step.result.is_err()) {
        return steps;
    }
    let mut ask = Probe { system, needs, steps };
    // The first failure ends the probe; it is written down as a step by then.
    let _ = ask.go().await;
    ask.steps
}

struct Probe<'a> {
    system: &'a KeycloakSystem,
    needs: &'a Needs,
    steps: Vec<Step>,
}

struct Ended;

impl Probe<'_> {
    fn take(
        &mut self,
        stage: Stage,
        what: impl Into<String>,
        result: Result<String, Failure>,
        started: Instant,
    ) -> Result<(), Ended> {
        let failed = result.is_err();
        let result = result.map_err(|failure| Failure { stage: failure.stage.or(Some(stage)), ..failure });
        let stage = result.as_ref().err().and_then(|failure| failure.stage).unwrap_or(stage);
        self.steps.push(step(stage, what.into(), result, started));
        if failed { Err(Ended) } else { Ok(()) }
    }

    async fn go(&mut self) -> Result<(), Ended> {
        self.log_in().await?;
        let allowed = self.permissions().await;
        let there = self.schema().await;
        allowed.and(there)
    }

    /// TLS, the realm, the client. The token comes first, because every question needs one; what it fails of tells which
    /// stage that was.
    async fn log_in(&mut self) -> Result<(), Ended> {
        let system = self.system;
        let started = Instant::now();
        let claims = system.http.claims().await;
        let host = system.http.base().host_str().unwrap_or_default().to_owned();
        let no_tls = matches!(&claims, Err(failure) if matches!(failure.stage, Some(Stage::Proxy | Stage::Tls)));
        if system.http.base().scheme() == "https" && !no_tls {
            let which = if claims.is_ok() { system.certificate().await } else { None };
            let which = which.map_or_else(String::new, |which| format!(", SHA-256 {which}…"));
            let told = format!("the certificate is trusted{which}");
            self.take(Stage::Tls, format!("tls {host}"), Ok(told), started)?;
        }
        let realm = format!("realm {}", system.config.auth.realm.as_deref().unwrap_or(&system.config.realm));
        let credential = system.config.auth.client_secret.to_string();
        let claims = match claims {
            Ok(claims) => claims,
            // The realm answered, and did not like the client.
            Err(failure) if failure.stage == Some(Stage::Login) => {
                self.take(Stage::Http, realm, Ok("it answers".to_owned()), started)?;
                let what = format!("client {}, {credential}", system.config.auth.client_id);
                return self.take(Stage::Login, what, Err(failure), started);
            }
            Err(failure) => return self.take(Stage::Http, realm, Err(failure), started),
        };
        self.take(Stage::Http, realm, Ok("it answers".to_owned()), started)?;
        let told = claims.map_or_else(
            || "accepted".to_owned(),
            |claims| {
                let time = |name: &str| claims.get(name).and_then(serde_json::Value::as_i64);
                let lasts = time("exp").zip(time("iat")).map_or(0, |(end, made)| end - made);
                format!("accepted as {}; its tokens last {lasts} s", claim(&claims, "preferred_username"))
            },
        );
        self.take(Stage::Login, format!("client {}, {credential}", system.config.auth.client_id), Ok(told), started)
    }

    /// What the job needs against what the account may. Reading is tried; for writing the token is asked, because
    /// nothing can be tried on nobody: that is answered with 404 to those who may and to those who may not.
    async fn permissions(&mut self) -> Result<(), Ended> {
        let system = self.system;
        let (reads, writes) = (self.needs.reads.keys(), &self.needs.writes);
        let names: Vec<&String> = reads.chain(writes).filter(|name| RESOURCES.contains(&name.as_str())).collect();
        let has = |list: List| names.iter().any(|name| list_of(name) == list);
        let mut tries: Vec<(&str, Vec<&str>)> = Vec::new();
        if has(List::Users) || names.is_empty() {
            tries.push(("read users", vec!["users"]));
        }
        if has(List::Groups) {
            tries.push(("read groups", vec!["groups"]));
        }
        if has(List::Roles) {
            tries.push(("read roles", vec!["roles"]));
        }
        let mut result = Ok(());
        for (what, path) in tries {
            let started = Instant::now();
            let tried = system.list(&path, &[("first", "0"), ("max", "1")]).await;
            // A list of one step that is not there is the realm's absence, which the token of another realm hides.
            let needed = super::rights::needed(&Method::GET, &path);
            let told = tried.map(|_| format!("needed and granted: {needed}"));
            result = result.and(self.take(Stage::Permission, what, told, started));
        }
        if has(List::Roles) && !system.config.clients.is_empty() {
            let started = Instant::now();
            result = result.and(self.take(
                Stage::Permission,
                "read clients' roles",
                system.allowed(VIEW_CLIENTS).await,
                started,
            ));
        }
        for resource in writes.iter().filter(|name| RESOURCES.contains(&name.as_str())) {
            let started = Instant::now();
            let what = format!("write {resource}");
            result = result.and(self.take(Stage::Permission, what, system.allowed(MANAGE_USERS).await, started));
        }
        let started = Instant::now();
        if let Ok(kept) = system.events_are_kept().await {
            let told = match kept {
                Ok(()) => "may be read: runs can go by them".to_owned(),
                Err(why) => format!("every run reads everything: {why}"),
            };
            result = result.and(self.take(Stage::Permission, "admin events", Ok(told), started));
        }
        result
    }

    async fn schema(&mut self) -> Result<(), Ended> {
        let system = self.system;
        let started = Instant::now();
        let what = "compare with the job";
        let profile = match system.profile().await {
            Ok(profile) => profile,
            Err(failure) => return self.take(Stage::Schema, what, Err(failure), started),
        };
        let mut problems = Vec::new();
        let names = self.needs.reads.keys().chain(&self.needs.writes);
        for name in names.filter(|name| !RESOURCES.contains(&name.as_str())) {
            problems.push(system.no_such_resource(name));
        }
        for (resource, columns) in self.needs.reads.iter().filter(|(resource, _)| ends_of(resource).is_none()) {
            let found = columns.iter().filter(|_| RESOURCES.contains(&resource.as_str()));
            let found = found.filter_map(|column| problem(resource, profile, column));
            problems.extend(found.map(|(cause, remedy)| system.failure(Class::Configuration, cause, remedy)));
        }
        if problems.is_empty() {
            return self.take(Stage::Schema, what, Ok("everything that the job names is there".to_owned()), started);
        }
        let mut result = Ok(());
        for problem in problems {
            result = result.and(self.take(Stage::Schema, what, Err(problem), started));
        }
        result
    }
}
