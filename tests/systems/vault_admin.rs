//! A vault as its administrator sees it: asked by a client of its own, not by the connector.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use muster::connector::config::{OpenBaoConfig, SystemConfig, VaultAuth};
use muster::connector::registry::{ConnectContext, Registry};
use muster::connector::secret::{SecretRef, Secrets};
use muster::connector::target::Target;
use serde_json::{Value, json};

/// What `docs/systems/openbao.md` says is enough.
const DOCUMENTED: &str = include_str!("../../docs/systems/openbao.md");

/// A running server.
pub(crate) struct Vault {
    pub(crate) url: String,
    /// Where its keys and its audit log are.
    home: PathBuf,
    root: String,
    namespace: Option<String>,
}

/// Tokens by the name of their variable.
struct Known(BTreeMap<String, String>);

impl Secrets for Known {
    fn resolve(&self, reference: &SecretRef) -> Result<secrecy::SecretString, String> {
        let name = reference.to_string();
        self.0.get(&name).map(|secret| secret.clone().into()).ok_or_else(|| format!("{name} is not set"))
    }
}

impl Vault {
    /// As `openbao.sh` starts it.
    pub(crate) fn told() -> Self {
        let home = PathBuf::from(crate::told("MUSTER_TEST_OPENBAO_HOME"));
        let root = std::fs::read_to_string(home.join("root-token")).unwrap().trim().to_owned();
        Self { url: crate::told("MUSTER_TEST_OPENBAO_URL"), home, root, namespace: None }
    }

    /// One request as root; status and body.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.send_as(&self.root, method, path, body)
    }

    /// One request with a token.
    pub(crate) fn send_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        runtime.block_on(async {
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
            let mut request = client.request(method.parse().unwrap(), format!("{}/v1/{path}", self.url));
            request = request.header("x-vault-token", token);
            if let Some(namespace) = &self.namespace {
                request = request.header("x-vault-namespace", namespace);
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body.to_string());
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }

    /// A change or a question that has to succeed.
    #[track_caller]
    pub(crate) fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = self.send(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// The keys of a list.
    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let (status, answer) = self.send("GET", &format!("{path}?list=true"), None);
        assert!(status == 200 || status == 404, "{path}: {status} {answer}");
        let keys = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
        keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    /// What each object of an identity list holds.
    pub(crate) fn all(&self, list: &str) -> Vec<Value> {
        let ids = self.list(&format!("identity/{list}/id"));
        ids.iter()
            .map(|id| self.done("GET", &format!("identity/{list}/id/{id}"), Value::Null)["data"].clone())
            .collect()
    }

    /// The object of that name.
    pub(crate) fn named(&self, list: &str, name: &str) -> Option<Value> {
        let (status, answer) = self.send("GET", &format!("identity/{list}/name/{name}"), None);
        (status == 200).then(|| answer["data"].clone())
    }

    /// Nobody, no groups, no policies but the server's own; no stores and login methods but those it begins with.
    pub(crate) fn emptied() -> Self {
        let vault = Self::told();
        vault.empty();
        for namespace in vault.list("sys/namespaces") {
            vault.done("DELETE", &format!("sys/namespaces/{}", namespace.trim_end_matches('/')), Value::Null);
        }
        for (mounts, kept) in [("auth", "token/"), ("mounts", "cubbyhole/ identity/ sys/")] {
            let there = vault.done("GET", &format!("sys/{mounts}"), Value::Null)["data"].clone();
            for mount in there.as_object().unwrap().keys().filter(|mount| !kept.contains(mount.as_str())) {
                vault.done("DELETE", &format!("sys/{mounts}/{mount}"), Value::Null);
            }
        }
        vault
    }

    /// Nobody, no groups, no policies but the server's own.
    pub(crate) fn empty(&self) {
        let entities = self.list("identity/entity/id");
        if !entities.is_empty() {
            self.done("POST", "identity/entity/batch-delete", json!({ "entity_ids": entities }));
        }
        for id in self.list("identity/group/id") {
            self.done("DELETE", &format!("identity/group/id/{id}"), Value::Null);
        }
        for policy in self.list("sys/policies/acl").iter().filter(|name| !matches!(name.as_str(), "default" | "root")) {
            self.done("DELETE", &format!("sys/policies/acl/{policy}"), Value::Null);
        }
    }

    /// The same server in a namespace of its own.
    pub(crate) fn within(&self, namespace: &str) -> Self {
        self.done("POST", &format!("sys/namespaces/{namespace}"), json!({}));
        let (url, home, root) = (self.url.clone(), self.home.clone(), self.root.clone());
        Self { url, home, root, namespace: Some(namespace.to_owned()) }
    }

    pub(crate) fn policy(&self, name: &str, text: &str) {
        self.done("PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": text }));
    }

    /// A token with exactly the rights that the documentation says are enough, but for those of paths with `without`.
    pub(crate) fn documented_token(&self, without: &[&str]) -> String {
        let policy = DOCUMENTED.split("```hcl\n").nth(1).unwrap().split("```").next().unwrap();
        let lines = policy.lines().filter(|line| !without.iter().any(|path| line.contains(path)));
        self.policy("muster", &lines.collect::<Vec<_>>().join("\n"));
        self.token(&json!({ "policies": ["muster"] }))
    }

    /// A token, as the request says.
    pub(crate) fn token(&self, request: &Value) -> String {
        self.done("POST", "auth/token/create", request.clone())["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// A key-value store of version 2, ready to be used.
    pub(crate) fn store(&self, mount: &str) {
        self.done("POST", &format!("sys/mounts/{mount}"), json!({ "type": "kv", "options": { "version": "2" } }));
        // It takes a moment to become version 2.
        for _ in 0..200 {
            if self.send("GET", &format!("{mount}/config"), None).0 == 200 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{mount} does not become ready");
    }

    /// A login method; its accessor.
    pub(crate) fn method(&self, kind: &str) -> String {
        self.done("POST", &format!("sys/auth/{kind}"), json!({ "type": kind }));
        self.done("GET", &format!("sys/auth/{kind}"), Value::Null)["data"]["accessor"].as_str().unwrap().to_owned()
    }

    pub(crate) fn seal(&self) {
        self.done("POST", "sys/seal", json!({}));
    }

    pub(crate) fn unseal(&self) {
        let key = std::fs::read_to_string(self.home.join("unseal-key")).unwrap();
        self.done("POST", "sys/unseal", json!({ "key": key.trim() }));
        for _ in 0..200 {
            if self.send("GET", "sys/health", None).0 == 200 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("it stays sealed");
    }

    /// How much the server wrote down of requests until now.
    pub(crate) fn audit_length(&self) -> usize {
        std::fs::read(self.home.join("audit.log")).unwrap().len()
    }

    /// What it wrote down since then: operation and path, each once.
    pub(crate) fn audited(&self, since: usize) -> BTreeSet<(String, String)> {
        let log = std::fs::read(self.home.join("audit.log")).unwrap();
        let log = std::str::from_utf8(&log[since..]).unwrap();
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        entries.map(|entry| (text(&entry["request"]["operation"]), text(&entry["request"]["path"]))).collect()
    }

    /// How muster reaches it.
    pub(crate) fn config(&self) -> OpenBaoConfig {
        let auth = VaultAuth::Token { token: "env:VAULT_TOKEN".parse().unwrap() };
        OpenBaoConfig { namespace: self.namespace.clone(), ..OpenBaoConfig::at(&self.url, auth) }
    }

    /// Connects as a job would that names these columns.
    pub(crate) async fn target(&self, token: &str, columns: &[(&str, &[&str])]) -> Box<dyn Target> {
        let named = columns.iter().map(|(resource, names)| {
            ((*resource).to_owned(), names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>())
        });
        let context = ConnectContext {
            secrets: Arc::new(Known(BTreeMap::from([("env:VAULT_TOKEN".to_owned(), token.to_owned())]))),
            random: Arc::new(|| 0.0),
            columns: named.collect(),
            ..ConnectContext::plain(std::env::temp_dir(), "20261122T150405Z-7f3a")
        };
        Registry::standard().target("vault", &SystemConfig::OpenBao(self.config()), &context).await.expect("a target")
    }
}
