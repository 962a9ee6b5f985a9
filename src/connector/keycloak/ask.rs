//! Questions to the server, below the realm: a list, one object, a number, a change.

use reqwest::Method;
use serde_json::Value as Json;
use url::Url;

use super::KeycloakSystem;
use crate::connector::failure_table::Asked;
use crate::connector::http::{Answer, Request};
use crate::model::failure::{Class, Effect, Failure, Recourse};

/// What is asked for beside the place.
pub(super) type Query<'a> = &'a [(&'a str, &'a str)];

impl KeycloakSystem {
    fn place(&self, path: &[&str], query: Query<'_>) -> Url {
        let mut url = self.http.address(&[&["admin", "realms", &self.config.realm], path].concat());
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn read(&self, path: &[&str], query: Query<'_>, asked: Asked) -> Result<Answer, Failure> {
        match self.http.read(&Request::new(Method::GET, self.place(path, query), asked)).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.with_rights(failure, &Method::GET, path).await),
        }
    }

    /// The rows of one answer of a list, with its statuses. Lists below an object are asked as that object: it may have
    /// gone.
    pub(super) async fn list(&self, path: &[&str], query: Query<'_>) -> Result<(Vec<Json>, Answer), Failure> {
        let asked = if path.len() > 1 { Asked::Object } else { Asked::List };
        let mut answer = self.read(path, query, asked).await?;
        match serde_json::from_slice::<Vec<Json>>(&std::mem::take(&mut answer.body)) {
            Ok(rows) => Ok((rows, answer)),
            Err(_) => Err(self.bad_answer(path, "it is no list", &answer)),
        }
    }

    /// One object, as the server has it; `None` where it says that there is none.
    pub(super) async fn object(&self, path: &[&str]) -> Result<Option<Json>, Failure> {
        // No object has such an id, and an address cannot have such a step.
        if path.iter().any(|step| matches!(*step, "" | "." | "..")) {
            return Ok(None);
        }
        match self.read(path, &[], Asked::Object).await {
            Ok(answer) => match answer.json() {
                Ok(object) if object.is_object() => Ok(Some(object)),
                _ => Err(self.bad_answer(path, "it is no object", &answer)),
            },
            Err(failure) if is_gone(&failure) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// How many there are, says the server.
    pub(super) async fn count(&self, path: &[&str]) -> Result<u64, Failure> {
        let answer = self.read(path, &[], Asked::List).await?;
        let told = answer.json().unwrap_or_default();
        let told = told.as_u64().or_else(|| told.get("count")?.as_u64());
        told.ok_or_else(|| self.bad_answer(path, "it is no number", &answer))
    }

    /// What a question that is no list is answered with.
    pub(super) async fn told(&self, path: &[&str]) -> Result<Json, Failure> {
        let answer = self.read(path, &[], Asked::Discovery).await?;
        answer.json().map_err(|_| self.bad_answer(path, "it is no JSON", &answer))
    }

    /// The fingerprint of the server's certificate, where it has one and answers.
    pub(super) async fn certificate(&self) -> Option<String> {
        let url = self.http.address(&["realms", &self.config.realm]);
        self.http.read(&Request::new(Method::GET, url, Asked::Discovery)).await.ok()?.certificate()
    }

    /// Sends a change once.
    pub(super) async fn write(&self, method: Method, path: &[&str], body: Option<Json>) -> Result<Answer, Failure> {
        let asked = if method == Method::DELETE { Asked::Delete } else { Asked::Write };
        let request = Request { body, ..Request::new(method.clone(), self.place(path, &[]), asked) };
        match self.http.send(&request).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.with_rights(failure, &method, path).await),
        }
    }

    pub(super) fn bad_answer(&self, path: &[&str], problem: &str, answer: &Answer) -> Failure {
        let mut failure = Failure::new(
            Class::Server,
            Recourse::GiveUp,
            &self.name,
            format!("GET {} was answered with {}: {problem}", self.place(path, &[]).path(), answer.status),
            "see whether url leads to Keycloak; if so, the fault is on the server's side",
        );
        (failure.effect, failure.status) = (Effect::None, Some(answer.status));
        failure
    }
}

/// Whether the server says that what was asked for is not there.
pub(super) fn is_gone(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.class == Class::Stale
}

/// The id of a row.
pub(super) fn id_of(row: &Json) -> Option<&str> {
    row.get("id").and_then(Json::as_str).filter(|id| !id.is_empty())
}
