//! Questions to the server: a list of ids, one object, a change.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::OpenBaoSystem;
use super::columns::{ALIASES, GROUP_ALIASES, GROUPS, POLICIES, USERS};
use crate::connector::failure_table::Asked;
use crate::connector::http::{Answer, Request};
use crate::model::failure::{Class, Effect, Failure, Recourse};

/// Where the objects of a resource are, below `/v1`.
pub(super) fn place(resource: &str) -> Option<&'static [&'static str]> {
    match resource {
        USERS => Some(&["identity", "entity"]),
        GROUPS => Some(&["identity", "group"]),
        ALIASES => Some(&["identity", "entity-alias"]),
        GROUP_ALIASES => Some(&["identity", "group-alias"]),
        POLICIES => Some(&["sys", "policies", "acl"]),
        _ => None,
    }
}

/// An answer to a list. What it holds beside the keys is large, and is not kept where nobody needs it.
#[derive(Deserialize)]
struct Listed<T> {
    data: T,
}

#[derive(Default, Deserialize)]
struct Keys {
    keys: Vec<String>,
}

/// A list of aliases.
#[derive(Default, Deserialize)]
pub(super) struct Aliases {
    pub(super) keys: Vec<String>,
    #[serde(default, rename = "key_info")]
    pub(super) told: BTreeMap<String, Alias>,
}

/// What a list tells of an alias.
#[derive(Serialize, Deserialize)]
pub(super) struct Alias {
    name: String,
    canonical_id: String,
    mount_accessor: String,
    mount_path: String,
}

impl OpenBaoSystem {
    /// The keys of a list, in the server's order; none where there is nothing, which it answers with 404.
    pub(super) async fn list(&self, path: &[&str]) -> Result<Vec<String>, Failure> {
        Ok(self.listed::<Keys>(path).await?.keys)
    }

    /// A list of aliases with what each of them is, which the server tells in the same answer.
    pub(super) async fn list_of_aliases(&self, path: &[&str]) -> Result<Aliases, Failure> {
        self.listed(path).await
    }

    async fn listed<T: Default + DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.in_namespace().await?;
        let mut url = self.at(path);
        url.query_pairs_mut().append_pair("list", "true");
        let answer = match self.http.read(&Request::new(Method::GET, url.clone(), Asked::Object)).await {
            Ok(answer) => answer,
            Err(failure) if is_nothing(&failure) => return Ok(T::default()),
            Err(failure) => return Err(self.of_list(self.of_namespace(failure))),
        };
        let listed = serde_json::from_slice::<Listed<T>>(&answer.body);
        listed
            .map(|listed| listed.data)
            .map_err(|_| self.bad_answer(&format!("GET {}?list=true", url.path()), "it holds no list `keys`", &answer))
    }

    /// What failed for one list concerns the whole export.
    fn of_list(&self, failure: Failure) -> Failure {
        match failure.class {
            Class::Stale => Failure {
                class: Class::Configuration,
                recourse: Recourse::Stop,
                cause: failure.cause.replace("the object is not there any more", "there is no such address"),
                remedy: "see whether url leads to OpenBao or Vault, without `/v1`, and whether namespace and mounts are right"
                    .to_owned(),
                ..failure
            },
            Class::Permission => Failure { recourse: Recourse::Stop, ..failure },
            _ => failure,
        }
    }

    /// One object, as the server has it; `None` where it says that there is none.
    pub(super) async fn object(&self, resource: &str, by: &str, id: &str) -> Result<Option<Json>, Failure> {
        let Some(place) = place(resource) else { return Err(self.no_such_resource(resource)) };
        // No object has such an id, and an address cannot have such a step.
        if id.is_empty() || id == "." || id == ".." || id.contains('/') {
            return Ok(None);
        }
        if resource == POLICIES {
            // What a policy says is nobody's business here.
            let names = self.list(place).await?;
            return Ok(names.iter().any(|name| name == id).then(|| json!({"id": id})));
        }
        let path = [place, &[by, id]].concat();
        self.in_namespace().await?;
        let url = self.at(&path);
        let answer = match self.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
            Ok(answer) => answer,
            Err(failure) if is_nothing(&failure) || is_no_id(&failure) => return Ok(None),
            Err(failure) => return Err(self.of_namespace(failure)),
        };
        // 204 is how an absent name is told.
        Ok(data(&answer).filter(|data| data.get("id").and_then(Json::as_str).is_some_and(|id| !id.is_empty())))
    }

    /// Sends a change once; what the server answers, where it answers anything.
    pub(super) async fn write(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Json>,
    ) -> Result<Option<Json>, Failure> {
        self.in_namespace().await?;
        let url = self.at(path);
        let asked = if method == Method::DELETE { Asked::Delete } else { Asked::Write };
        let answer = self.http.send(&Request { body, ..Request::new(method, url, asked) }).await;
        let answer = answer.map_err(|failure| self.of_namespace(failure))?;
        Ok(data(&answer))
    }

    pub(super) fn bad_answer(&self, what: &str, problem: &str, answer: &Answer) -> Failure {
        let mut failure = self.failure(
            Class::Server,
            format!("{what}: {problem}"),
            "see whether url leads to OpenBao or Vault; if so, the fault is on the server's side",
        );
        (failure.effect, failure.status) = (Effect::None, Some(answer.status));
        failure
    }
}

/// What an answer is about.
fn data(answer: &Answer) -> Option<Json> {
    let mut body = answer.json().ok()?;
    body.get_mut("data").map(Json::take).filter(|data| data.is_object())
}

/// No object has an id or a name of such characters.
fn is_no_id(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.message.as_deref().is_some_and(|said| said.contains("unsupported path"))
}

/// 404 without a word: there is nothing. With one, the address or the namespace is wrong.
fn is_nothing(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.message.is_none()
}
