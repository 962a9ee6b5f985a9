//! What a person says about the two systems: by options, or asked. Each answer is checked at once.

use std::collections::BTreeMap;

use super::place::Places;
use crate::connector::config::{
    Bind, KeycloakAuth, KeycloakConfig, LdapConfig, OpenBaoConfig, ScimConfig, SystemConfig, VaultAuth,
};
use crate::connector::secret::{SecretRef, SecretRefError};
use crate::job::proposal::{SystemText, quoted};
use crate::job::system_problems;
use crate::rules::problem::did_you_mean;

/// Which side of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    From,
    To,
}

impl Role {
    pub(super) const BOTH: [Self; 2] = [Self::From, Self::To];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// What is asked of a system beside its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Address,
    Realm,
    Base,
    Dialect,
    User,
    Auth,
    TokenUrl,
    CaFile,
}

impl Field {
    /// The option that answers it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Address => "--from, --to",
            Self::Realm => "--realm",
            Self::Base => "--base",
            Self::Dialect => "--dialect",
            Self::User => "--user",
            Self::Auth => "--auth",
            Self::TokenUrl => "--token-url",
            Self::CaFile => "--ca-file",
        }
    }

    /// The fields of a kind, in the order in which they are asked.
    pub(super) fn of(kind: &str) -> &'static [Field] {
        match kind {
            "csv" => &[Self::Address],
            "sandbox" => &[Self::Dialect],
            "scim" => &[Self::Address, Self::Dialect, Self::User, Self::TokenUrl, Self::Auth, Self::CaFile],
            "keycloak" => &[Self::Address, Self::Realm, Self::User, Self::Auth, Self::CaFile],
            "ldap" => &[Self::Address, Self::Base, Self::User, Self::Auth, Self::CaFile],
            "openbao" => &[Self::Address, Self::User, Self::Auth, Self::CaFile],
            _ => &[],
        }
    }

    /// Whether an empty answer will do.
    fn may_be_empty(self, kind: &str) -> bool {
        match self {
            Self::Address | Self::Realm | Self::Base => false,
            Self::User => kind != "keycloak",
            Self::Dialect | Self::TokenUrl | Self::CaFile => true,
            Self::Auth => matches!(kind, "scim" | "ldap"),
        }
    }
}

/// What is said about one system.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) kind: String,
    pub(super) fields: BTreeMap<Field, String>,
}

/// A kind as it is typed: `csv`, `vault` for `openbao`.
pub(super) fn kind(typed: &str) -> Result<String, String> {
    let typed = typed.trim().to_lowercase();
    if typed == "vault" {
        return Ok("openbao".to_owned());
    }
    if SystemConfig::KINDS.contains(&typed.as_str()) {
        return Ok(typed);
    }
    let near = did_you_mean(&typed, SystemConfig::KINDS.iter().copied());
    Err(format!("this is no kind of system{near}; there are {}", SystemConfig::KINDS.join(", ")))
}

/// What `--from` and `--to` say: `KIND` or `KIND:ADDRESS`. What is no kind is not repeated: it may be an address with a
/// password in it.
pub(super) fn side(typed: &str) -> Result<Answers, String> {
    let (word, address) = typed.split_once(':').map_or((typed, None), |(word, rest)| (word, Some(rest)));
    let mut answers = match (word.to_lowercase().as_str(), address) {
        // The scheme tells the kind.
        ("ldap" | "ldaps", Some(rest)) if rest.starts_with("//") => {
            Answers { kind: "ldap".to_owned(), fields: [(Field::Address, typed.to_owned())].into() }
        }
        ("http" | "https", Some(_)) => {
            return Err("say what kind of system it is before its address, such as scim:https://…".to_owned());
        }
        (word, address) => {
            let fields = address.map(|address| (Field::Address, address.to_owned()));
            Answers { kind: kind(word)?, fields: fields.into_iter().collect() }
        }
    };
    if answers.kind == "sandbox" && answers.fields.remove(&Field::Address).is_some() {
        return Err(
            "the sandbox is started for the run and has no address; for one that runs: scim:http://127.0.0.1:…"
                .to_owned(),
        );
    }
    answers.split_realm();
    Ok(answers)
}

impl Answers {
    pub(super) fn get(&self, field: Field) -> &str {
        self.fields.get(&field).map_or("", String::as_str)
    }

    /// An address of Keycloak as browsers show it names the realm as well.
    pub(super) fn split_realm(&mut self) {
        let address = self.get(Field::Address).to_owned();
        if self.kind == "keycloak"
            && let Some((before, rest)) = address.split_once("/realms/")
        {
            let realm = rest.split('/').next().unwrap_or(rest).to_owned();
            self.fields.insert(Field::Address, before.to_owned());
            self.fields.entry(Field::Realm).or_insert(realm);
        }
    }

    /// Whether a field is to be asked, after those before it.
    pub(super) fn asks(&self, field: Field) -> bool {
        let has_user = !self.get(Field::User).is_empty();
        match (self.kind.as_str(), field) {
            (_, Field::CaFile) | ("sandbox", Field::Dialect) => false,
            ("scim", Field::TokenUrl) => has_user,
            ("ldap", Field::Auth) => has_user,
            _ => true,
        }
    }

    /// Whether it has to be answered, where nobody can be asked.
    pub(super) fn needs(&self, field: Field) -> bool {
        match (self.kind.as_str(), field) {
            (_, Field::Auth) => self.asks(Field::Auth),
            ("keycloak", Field::User) => false,
            _ => !field.may_be_empty(&self.kind),
        }
    }

    /// What stands for an answer that is not given.
    pub(super) fn assumed(&self, field: Field, name: &str) -> Option<String> {
        let variable = |what: &str| format!("env:{}_{what}", name.to_uppercase().replace('-', "_"));
        match (self.kind.as_str(), field) {
            ("keycloak", Field::User) => Some("muster".to_owned()),
            ("keycloak", Field::Auth) => Some(variable("SECRET")),
            ("ldap", Field::Auth) => Some(variable("PASSWORD")),
            ("openbao", Field::Auth) if !self.get(Field::User).is_empty() => Some(variable("SECRET_ID")),
            ("scim", Field::Auth) if !self.get(Field::TokenUrl).is_empty() => Some(variable("SECRET")),
            ("scim", Field::Auth) if !self.get(Field::User).is_empty() => Some(variable("PASSWORD")),
            (_, Field::Auth) => Some(variable("TOKEN")),
            ("scim" | "sandbox", Field::Dialect) => Some("generic".to_owned()),
            (kind, field) if field.may_be_empty(kind) => Some(String::new()),
            _ => None,
        }
    }

    /// Whether an answer will do; gives it as it is kept. A secret that was typed for a reference is not repeated.
    pub(super) fn check(&self, field: Field, typed: &str) -> Result<String, String> {
        let typed = typed.trim();
        let kind = self.kind.as_str();
        if typed.is_empty() {
            let what = if field.may_be_empty(kind) {
                Ok(String::new())
            } else {
                Err("an answer is needed here; `?` says what it is".to_owned())
            };
            return what;
        }
        if typed.contains(char::is_control) {
            return Err("this has characters in it that nobody sees; type it anew".to_owned());
        }
        match field {
            Field::Auth if typed == "none" && matches!(kind, "scim" | "ldap") => return Ok("none".to_owned()),
            Field::Auth => reference(typed)?,
            Field::Base if !typed.contains('=') => {
                return Err("this is no name of an entry; write it like dc=example,dc=com".to_owned());
            }
            _ => {}
        }
        let mut with = self.clone();
        with.fields.insert(field, typed.to_owned());
        with.split_realm();
        let key = match field {
            Field::Address => "url",
            Field::Realm => "realm",
            Field::Dialect => "dialect",
            Field::TokenUrl => "token_url",
            _ => return Ok(typed.to_owned()),
        };
        // Of an address only what is wrong with it is told: it may have a password in it.
        let found = with.skeleton().map(|config| system_problems(&config)).unwrap_or_default();
        let about = found.into_iter().find(|(at, message)| at.contains(key) || message.starts_with(key));
        about.map_or_else(|| Ok(typed.to_owned()), |(_, message)| Err(message))
    }

    /// The system as far as it is known, with anything for what is not.
    fn skeleton(&self) -> Option<SystemConfig> {
        let or = |field, other: &str| Some(self.get(field)).filter(|text| !text.is_empty()).unwrap_or(other).to_owned();
        let url = or(Field::Address, "https://localhost");
        let secret = SecretRef::Env("SECRET".to_owned());
        Some(match self.kind.as_str() {
            "scim" => {
                let token_url = or(Field::TokenUrl, "https://localhost");
                let (client_id, client_secret) = (String::new(), secret);
                let auth = crate::connector::config::Auth::Client { client_id, client_secret, token_url, scope: None };
                let dialect = Some(self.get(Field::Dialect)).filter(|name| !name.is_empty()).map(str::to_owned);
                SystemConfig::Scim(ScimConfig { auth: Some(auth), dialect, ..ScimConfig::at(url) })
            }
            "sandbox" => SystemConfig::Sandbox(crate::connector::config::SandboxConfig {
                dialect: Some(or(Field::Dialect, "generic")),
                ..Default::default()
            }),
            "keycloak" => {
                let auth = KeycloakAuth { client_id: "muster".to_owned(), client_secret: secret, realm: None };
                SystemConfig::Keycloak(KeycloakConfig::at(url, or(Field::Realm, "realm"), auth))
            }
            "openbao" => SystemConfig::OpenBao(OpenBaoConfig::at(url, VaultAuth::Token { token: secret })),
            "ldap" => SystemConfig::Ldap(LdapConfig {
                auth: Some(Bind { user: or(Field::User, "cn=muster"), password: secret }),
                ..LdapConfig::at(or(Field::Address, "ldaps://localhost"), or(Field::Base, "dc=example"))
            }),
            _ => return None,
        })
    }

    /// Whether a directory's password would travel in plain text unless StartTLS is asked for.
    fn needs_starttls(&self) -> bool {
        let found = self.skeleton().map(|config| system_problems(&config)).unwrap_or_default();
        self.kind == "ldap" && found.iter().any(|(key, _)| key == "auth")
    }

    /// The reference of its secret, where it has one.
    pub(super) fn secret(&self) -> Option<SecretRef> {
        self.get(Field::Auth).parse().ok()
    }

    /// The table of a job file. `path` says how paths are written there.
    pub(super) fn table(&self, name: &str, writes: bool, path: impl Fn(&str) -> String) -> SystemText {
        let mut settings: Vec<(String, String, &'static str)> = Vec::new();
        let mut set = |key: &str, value: String, remark| settings.push((key.to_owned(), value, remark));
        let text = |field| quoted(self.get(field));
        let remark =
            if self.kind == "sandbox" { "the built-in server; its data stays in the state folder" } else { "" };
        set("kind", quoted(&self.kind), remark);
        match self.kind.as_str() {
            "csv" => {
                set("path", quoted(&path(self.get(Field::Address))), "relative to this file");
                if writes {
                    let orders = format!("{}/orders", self.get(Field::Address).trim_end_matches('/'));
                    set("orders", quoted(&path(&orders)), "work orders for people, one file a run");
                }
            }
            "sandbox" => {}
            _ => set("url", text(Field::Address), ""),
        }
        if self.needs_starttls() {
            set("starttls", "true".to_owned(), "the password would travel in plain text without it");
        }
        for (key, field) in [("realm", Field::Realm), ("base", Field::Base)] {
            if !self.get(field).is_empty() {
                set(key, text(field), "");
            }
        }
        let dialect = self.get(Field::Dialect);
        if !matches!(dialect, "" | "generic") {
            let dialect = if dialect.contains('.') { path(dialect) } else { dialect.to_owned() };
            set("dialect", quoted(&dialect), "");
        }
        if let Some(secret) = self.secret() {
            let secret = match &secret {
                SecretRef::File(file) => format!("file:{}", path(&file.display().to_string())),
                other => other.to_string(),
            };
            set("auth", self.auth(&quoted(&secret)), "where the secret lies, never the secret");
        }
        if !self.get(Field::CaFile).is_empty() {
            set("ca_file", quoted(&path(self.get(Field::CaFile))), "");
        }
        SystemText { name: name.to_owned(), about: Vec::new(), settings, examples: self.examples(name) }
    }

    /// Where people and groups are in a directory, for a person to fill in.
    fn examples(&self, name: &str) -> Vec<String> {
        if self.kind != "ldap" {
            return Vec::new();
        }
        let below = |unit: &str| quoted(&format!("{unit},{}", self.get(Field::Base)));
        vec![
            format!("#[systems.{name}.resources.users]"),
            format!("#base = {}  # where people are, and where new ones go; without it, the base", below("ou=people")),
            format!("#[systems.{name}.resources.groups]"),
            format!("#base = {}", below("ou=groups")),
        ]
    }

    fn auth(&self, secret: &str) -> String {
        let user = quoted(self.get(Field::User));
        let has_user = !self.get(Field::User).is_empty();
        match self.kind.as_str() {
            "keycloak" => format!("{{ client_id = {user}, client_secret = {secret} }}"),
            "openbao" if has_user => format!("{{ role_id = {user}, secret_id = {secret} }}"),
            "openbao" => format!("{{ token = {secret} }}"),
            "scim" if !self.get(Field::TokenUrl).is_empty() => {
                let token_url = quoted(self.get(Field::TokenUrl));
                format!("{{ client_id = {user}, client_secret = {secret}, token_url = {token_url} }}")
            }
            "scim" if !has_user => format!("{{ bearer = {secret} }}"),
            _ => format!("{{ user = {user}, password = {secret} }}"),
        }
    }

    /// The system as it is tried: every path absolute.
    pub(super) fn config(&self, places: &Places, writes: bool) -> Result<SystemConfig, String> {
        let table = self.table("", writes, |typed| places.absolute(typed).display().to_string());
        let text: Vec<String> = table.settings.iter().map(|(key, value, _)| format!("{key} = {value}")).collect();
        toml::from_str(&text.join("\n")).map_err(|error| error.message().to_owned())
    }
}

/// Whether a text is a reference to a secret; a text that is none is not repeated.
fn reference(typed: &str) -> Result<(), String> {
    let found: Result<SecretRef, SecretRefError> = typed.parse();
    let is_name = |name: &str| {
        name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match found {
        Ok(SecretRef::Env(name)) if !is_name(&name) => Err(
            "what stands behind env: is no name of a variable: put the secret into a variable such as VAULT_TOKEN, and answer env:VAULT_TOKEN"
                .to_owned(),
        ),
        Ok(_) => Ok(()),
        Err(SecretRefError::NotAReference) => Err(
            "this is no reference; if it is the secret itself, have it changed: what is typed stays on screens and in histories. Answer where it lies: env:NAME, file:PATH or credential:NAME"
                .to_owned(),
        ),
        Err(error) => Err(error.to_string()),
    }
}
