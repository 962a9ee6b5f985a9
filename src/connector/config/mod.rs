//! What a job file says about a system, by kind. Paths are relative to the job file's folder.

mod address;
mod auth;
mod csv;
mod keycloak;
mod ldap;
mod openbao;
mod refused;
mod sandbox;
mod scim;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::address::web_address;
pub use self::auth::Auth;
pub use self::csv::CsvConfig;
pub use self::keycloak::{KeycloakAuth, KeycloakConfig};
pub use self::ldap::{Bind, EnabledBy, Flavour, Increments, LdapConfig, LdapResource, SearchScope};
pub(crate) use self::ldap::{directory_address, is_description};
pub use self::openbao::{OpenBaoConfig, VaultAuth};
pub use self::refused::Refused;
pub use self::sandbox::SandboxConfig;
pub use self::scim::{Paging, ScimConfig};
use crate::connector::secret::SecretRef;
use crate::model::failure::Stage;

/// `[systems.NAME]`, told apart by its `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a job names a handful of systems, and each is moved but once")]
pub enum SystemConfig {
    /// A folder of CSV files; as a target, work-order files for people.
    Csv(CsvConfig),
    /// A realm of Keycloak.
    Keycloak(KeycloakConfig),
    /// An LDAP directory.
    Ldap(LdapConfig),
    /// OpenBao, or HashiCorp Vault.
    #[serde(rename = "openbao", alias = "vault")]
    OpenBao(OpenBaoConfig),
    /// A SCIM 2.0 service provider.
    Scim(ScimConfig),
    /// The built-in SCIM server, started for the run.
    Sandbox(SandboxConfig),
}

impl SystemConfig {
    /// Every kind, as job files spell it.
    pub const KINDS: &'static [&'static str] = &["csv", "keycloak", "ldap", "openbao", "sandbox", "scim"];

    /// The kind, as job files spell it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Keycloak(_) => "keycloak",
            Self::Ldap(_) => "ldap",
            Self::OpenBao(_) => "openbao",
            Self::Scim(_) => "scim",
            Self::Sandbox(_) => "sandbox",
        }
    }

    /// The stages of reaching it, in the order in which a probe tries them.
    pub fn stages(&self) -> Vec<Stage> {
        match self {
            Self::Csv(_) => vec![Stage::Connect, Stage::Permission, Stage::Schema],
            Self::Keycloak(config) => config.stages(),
            Self::Ldap(config) => config.stages(),
            Self::OpenBao(config) => config.stages(),
            Self::Scim(config) => config.stages(),
            Self::Sandbox(_) => ScimConfig::at("http://127.0.0.1").stages(),
        }
    }

    /// Where its credential lies, where it has one.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Csv(_) | Self::Sandbox(_) => None,
            Self::Keycloak(config) => Some(&config.auth.client_secret),
            Self::Ldap(config) => config.auth.as_ref().map(|bind| &bind.password),
            Self::OpenBao(config) => Some(config.auth.secret()),
            Self::Scim(config) => config.auth.as_ref().map(Auth::secret),
        }
    }

    /// The addresses that its credential is sent to over HTTP, with the keys that name them.
    pub fn web_addresses(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Scim(config) => {
                let token = match &config.auth {
                    Some(Auth::Client { token_url, .. }) => Some(("auth.token_url", token_url.as_str())),
                    _ => None,
                };
                [("url", config.url.as_str())].into_iter().chain(token).collect()
            }
            Self::Keycloak(config) => vec![("url", &config.url)],
            Self::OpenBao(config) => vec![("url", &config.url)],
            Self::Csv(_) | Self::Ldap(_) | Self::Sandbox(_) => Vec::new(),
        }
    }

    /// What is wrong with it beyond its shape: field, and a sentence that says what to write instead.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Csv(config) => config.problems(),
            Self::Keycloak(config) => config.problems(),
            Self::Ldap(config) => config.problems(),
            Self::OpenBao(config) => config.problems(),
            Self::Scim(config) => config.problems(),
            Self::Sandbox(config) => config.problems(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_read_by_kind_and_typos_are_named() {
        let scim: SystemConfig = toml::from_str(
            "kind = \"scim\"\nurl = \"https://vault.example.com/scim/v2\"\nauth = { bearer = \"env:TOKEN\" }",
        )
        .unwrap();
        let SystemConfig::Scim(config) = &scim else { panic!("not scim") };
        assert_eq!((config.page_size, config.paging), (None, None));
        assert!(scim.problems().is_empty());
        assert_eq!(toml::from_str::<SystemConfig>(&toml::to_string(&scim).unwrap()).unwrap(), scim);

        let typo = toml::from_str::<SystemConfig>("kind = \"csv\"\npath = \"hr\"\nkey = 1").unwrap_err().to_string();
        assert!(typo.contains("`key`"), "{typo}");
        let half = toml::from_str::<SystemConfig>("kind = \"scim\"\nurl = \"https://x\"\nauth = { user = \"a\" }")
            .unwrap_err()
            .to_string();
        assert!(half.contains("whole and alone"), "{half}");
        let told = toml::from_str::<SystemConfig>("kind=\"scim\"\nurl=\"https://x\"\nauth={ bearer = \"hunter2\" }")
            .unwrap_err();
        assert!(!told.message().contains("hunter2"), "{told}");
    }

    #[test]
    fn addresses_with_a_credential_are_refused_without_repeating_it() {
        let problem = web_address("https://u:hunter2@vault.example.com").unwrap_err();
        assert!(problem.contains("auth") && !problem.contains("hunter2"));
        assert!(web_address("ldap://x").is_err());
        assert!(web_address("https://vault.example.com/scim/v2").is_ok());
    }

    #[test]
    fn the_json_schema_of_every_kind_is_made() {
        let schema = serde_json::to_string(&schemars::schema_for!(SystemConfig)).unwrap();
        for word in SystemConfig::KINDS.iter().chain(&["token_url", "max_answer_bytes", "member_batch"]) {
            assert!(schema.contains(word), "{word} is missing");
        }
    }
}
