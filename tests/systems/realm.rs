//! A realm of Keycloak as a test sees it: asked by a client of its own, not by the connector.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use muster::connector::config::{KeycloakAuth, KeycloakConfig, SystemConfig};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::secret::{SecretRef, Secrets};
use muster::connector::target::Target;
use serde_json::{Value, json};

static REALMS: AtomicU32 = AtomicU32::new(1);

/// A realm of its own on the running server.
pub(crate) struct Realm {
    pub(crate) url: String,
    pub(crate) name: String,
    /// The password of the server's administrator, and the secret of the realm's clients.
    pub(crate) secret: String,
    token: RefCell<Option<(String, Instant)>>,
}

struct Secret(String);

impl Secrets for Secret {
    fn resolve(&self, reference: &SecretRef) -> Result<secrecy::SecretString, String> {
        match reference.to_string().as_str() {
            "env:WRONG" => Ok("not-the-secret".to_owned().into()),
            _ => Ok(self.0.clone().into()),
        }
    }
}

impl Realm {
    /// A new one, as `keycloak_realm.json` describes it, changed by hand.
    pub(crate) fn made_with(change: impl FnOnce(&mut Value)) -> Self {
        let of = |what: &str| crate::told(&format!("MUSTER_TEST_KEYCLOAK_{what}"));
        // The process tells apart those of earlier tests on the same server.
        let name = format!("t{}-{}", std::process::id(), REALMS.fetch_add(1, Ordering::Relaxed));
        let realm = Self { url: of("URL"), name, secret: of("SECRET"), token: RefCell::new(None) };
        let template = include_str!("keycloak_realm.json");
        let text = template.replace("@REALM@", &realm.name).replace("@SECRET@", &realm.secret);
        let mut body: Value = serde_json::from_str(&text).unwrap();
        change(&mut body);
        let (status, said, _) = realm.admin("POST", "", Some(body));
        assert_eq!(status, 201, "{said}");
        realm
    }

    pub(crate) fn made() -> Self {
        Self::made_with(|_| {})
    }

    /// A change over the realm's own SCIM API, as the client `muster`.
    pub(crate) fn over_scim(&self, method: &str, path: &str, body: Option<Value>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let of_realm = format!("{}/realms/{}", self.url, self.name);
            let form = [("grant_type", "client_credentials"), ("client_id", "muster"), ("client_secret", &self.secret)];
            let asked = client().post(format!("{of_realm}/protocol/openid-connect/token")).form(&form).send();
            let answer: Value = serde_json::from_str(&asked.await.unwrap().text().await.unwrap()).unwrap();
            let mut request = client().request(method.parse().unwrap(), format!("{of_realm}/scim/v2{path}"));
            request = request.bearer_auth(answer["access_token"].as_str().unwrap());
            if let Some(body) = body {
                request = request.header("content-type", "application/scim+json").body(body.to_string());
            }
            let answer = request.send().await.unwrap();
            let status = answer.status();
            assert!(status.is_success(), "{method} {path}: {status} {}", answer.text().await.unwrap());
        });
    }

    /// Asks as the server's administrator, below the realm; an empty path is that of all realms.
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value, Option<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.ask(method, path, body))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value, Option<String>) {
        let place =
            if path.is_empty() { String::new() } else { format!("/{}{}", self.name, path.trim_end_matches('/')) };
        let url = format!("{}/admin/realms{place}", self.url);
        let mut request = client().request(method.parse().unwrap(), url).bearer_auth(self.token().await);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        let made = location.and_then(|location| Some(location.rsplit_once('/')?.1.to_owned()));
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)), made)
    }

    pub(crate) async fn get_async(&self, path: &str) -> Value {
        let (status, said, _) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {said}");
        said
    }

    async fn token(&self) -> String {
        if let Some((token, made)) = self.token.borrow().as_ref()
            && made.elapsed() < Duration::from_secs(30)
        {
            return token.clone();
        }
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.url);
        let form = [("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin")];
        let form: Vec<(&str, &str)> = form.into_iter().chain([("password", self.secret.as_str())]).collect();
        let answer = client().post(url).form(&form).send().await.unwrap().text().await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        *self.token.borrow_mut() = Some((token.clone(), Instant::now()));
        token
    }

    /// Makes something; its id.
    pub(crate) fn make(&self, path: &str, body: Value) -> String {
        let (status, said, made) = self.admin("POST", path, Some(body));
        assert_eq!(status, 201, "{path}: {said}");
        made.unwrap()
    }

    pub(crate) fn done(&self, method: &str, path: &str, body: Option<Value>) {
        let (status, said, _) = self.admin(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {said}");
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, said, _) = self.admin("GET", path, None);
        assert_eq!(status, 200, "{path}: {said}");
        said
    }

    /// All rows of a list, in pages.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{join}first={}&max=200", rows.len()));
            let page = page.as_array().unwrap().clone();
            if page.is_empty() {
                return rows;
            }
            rows.extend(page);
        }
    }

    /// Who is in which group, by name and login.
    pub(crate) fn members(&self) -> BTreeMap<String, Vec<String>> {
        let groups = self.all("/groups");
        let of = |group: &Value| {
            let members = self.all(&format!("/groups/{}/members", group["id"].as_str().unwrap()));
            let mut logins: Vec<String> =
                members.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
            logins.sort();
            (group["name"].as_str().unwrap().to_owned(), logins)
        };
        groups.iter().map(of).collect()
    }

    /// Many users at once.
    pub(crate) fn import(&self, users: Vec<Value>) {
        let body = json!({"ifResourceExists": "FAIL", "users": users});
        self.done("POST", "/partialImport", Some(body));
    }

    /// How muster reaches it, as one of the realm's clients.
    pub(crate) fn config(&self, client: &str) -> KeycloakConfig {
        let auth =
            KeycloakAuth { client_id: client.to_owned(), client_secret: "env:SECRET".parse().unwrap(), realm: None };
        KeycloakConfig { timeout_seconds: 30, ..KeycloakConfig::at(&self.url, &self.name, auth) }
    }

    /// Connects as a job would.
    pub(crate) async fn target(&self, config: KeycloakConfig) -> Box<dyn Target> {
        let columns = ["attributes.unmanaged"].map(str::to_owned).into();
        let context = ConnectContext {
            secrets: Arc::new(Secret(self.secret.clone())),
            random: Arc::new(|| 0.0),
            columns: BTreeMap::from([("users".to_owned(), columns)]),
            ..ConnectContext::plain(std::env::temp_dir(), "20261122T150405Z-7f3a")
        };
        Registry::standard().target("idp", &SystemConfig::Keycloak(config), &context).await.expect("a target")
    }

    /// The system of a job file; its secret lies in the file `secret` of the world.
    pub(crate) fn system(&self, name: &str) -> String {
        format!(
            "[systems.{name}]\nkind = \"keycloak\"\nurl = \"{}\"\nrealm = \"{}\"\n\
             auth = {{ client_id = \"muster\", client_secret = \"file:../secret\" }}\n",
            self.url, self.name
        )
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.admin("DELETE", "/", None);
        }
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
