//! A namespace that the job names has to be one that the server heeds: HashiCorp's free edition has none, takes no notice
//! of the header, and would read and write at its root.

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use super::OpenBaoSystem;
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::model::failure::{Class, Failure, Recourse};

/// A namespace that no server has.
const NONE: HeaderValue = HeaderValue::from_static("muster-asks-for-a-namespace-that-is-not-there");

/// What servers say of a namespace that they do not have.
const NOT_FOUND: &str = "namespace not found";

impl OpenBaoSystem {
    /// Asks, once, within a namespace that is not there: a server that answers as if nothing was wrong takes no notice of
    /// namespaces.
    pub(super) async fn in_namespace(&self) -> Result<(), Failure> {
        let Some(namespace) = &self.config.namespace else { return Ok(()) };
        let asked = self.namespaces.get_or_try_init(|| async {
            let url = self.at(&["auth", "token", "lookup-self"]);
            let there = Request::new(Method::GET, url, Asked::Discovery);
            let headers = vec![(HeaderName::from_static("x-vault-namespace"), NONE)];
            match self.http.read(&Request { headers, ..there.clone() }).await {
                Ok(_) => Err(self.failure(
                    Class::Configuration,
                    format!(
                        "the server takes no notice of namespaces: instead of in `{namespace}` everything would be read and written at its root"
                    ),
                    "leave `namespace` out if the root is meant; else name a server that has namespaces (OpenBao 2.3 and newer, Vault Enterprise)",
                )),
                // Whoever may not ask anywhere learns nothing by being refused.
                Err(failure) if failure.class == Class::Permission => match self.http.read(&there).await {
                    Ok(_) => Ok(()),
                    Err(failure) if failure.class == Class::Permission => Err(self.failure(
                        Class::Permission,
                        format!("whether the server has namespaces, such as `{namespace}`, cannot be told: the token may not ask about itself"),
                        "add the policy `default` to the token, or: path \"auth/token/lookup-self\" { capabilities = [\"read\"] }",
                    )),
                    Err(failure) => Err(self.of_namespace(failure)),
                },
                Err(failure) if failure.status == Some(404) => Ok(()),
                Err(failure) => Err(failure),
            }
        });
        asked.await.map(|_| ())
    }

    /// A namespace that is not there is a mistake in the job file, and no empty list.
    pub(super) fn of_namespace(&self, failure: Failure) -> Failure {
        let Some(namespace) = self.config.namespace.as_ref().filter(|_| is_not_found(&failure)) else { return failure };
        Failure {
            class: Class::Configuration,
            recourse: Recourse::Stop,
            cause: format!("the server has no namespace `{namespace}`, or it was deleted"),
            remedy: "correct `namespace` in the job file: its path from the root, as `bao namespace list` says"
                .to_owned(),
            ..failure
        }
    }

    /// An address below `/v1`.
    pub(super) fn at(&self, path: &[&str]) -> Url {
        self.http.address(&[&["v1"], path].concat())
    }
}

fn is_not_found(failure: &Failure) -> bool {
    failure.status == Some(404) && failure.message.as_deref().is_some_and(|said| said.contains(NOT_FOUND))
}
