//! `auth`: how muster proves who it is to an HTTP system.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::connector::secret::SecretRef;

/// How muster proves who it is. Secrets are references.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum Auth {
    /// A bearer token: `{ bearer = "env:TOKEN" }`.
    Bearer {
        /// Where the token lies.
        bearer: SecretRef,
    },
    /// HTTP basic: `{ user = "muster", password = "env:PASSWORD" }`.
    Basic {
        /// The login.
        user: String,
        /// Where the password lies.
        password: SecretRef,
    },
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4).
    Client {
        /// The client's id.
        client_id: String,
        /// Where the client's secret lies.
        client_secret: SecretRef,
        /// The token endpoint.
        token_url: String,
        /// The scope to ask for.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// A token of OpenBao and Vault, renewed where it can be; their own settings make it.
    #[schemars(skip)]
    VaultToken {
        /// Where the token lies.
        token: SecretRef,
        /// The address at which tokens look after themselves: `…/v1/auth/token`.
        method: String,
    },
    /// AppRole of OpenBao and Vault; their own settings make it.
    #[schemars(skip)]
    AppRole {
        /// The role's id.
        role_id: String,
        /// Where the secret id lies.
        secret_id: SecretRef,
        /// The address at which a token is had for both.
        login: String,
    },
}

impl Auth {
    /// The reference of the secret, for messages.
    pub fn secret(&self) -> &SecretRef {
        match self {
            Self::Bearer { bearer } => bearer,
            Self::VaultToken { token, .. } => token,
            Self::Basic { password, .. } => password,
            Self::Client { client_secret, .. } => client_secret,
            Self::AppRole { secret_id, .. } => secret_id,
        }
    }
}

/// All fields of all forms, so that a mistake is told by its name and not as "no variant matched".
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthFields {
    bearer: Option<SecretRef>,
    user: Option<String>,
    password: Option<SecretRef>,
    client_id: Option<String>,
    client_secret: Option<SecretRef>,
    token_url: Option<String>,
    scope: Option<String>,
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match AuthFields::deserialize(deserializer)? {
            AuthFields {
                bearer: Some(bearer),
                user: None,
                password: None,
                client_id: None,
                client_secret: None,
                token_url: None,
                scope: None,
            } => Ok(Self::Bearer { bearer }),
            AuthFields {
                bearer: None,
                user: Some(user),
                password: Some(password),
                client_id: None,
                client_secret: None,
                token_url: None,
                scope: None,
            } => Ok(Self::Basic { user, password }),
            AuthFields {
                bearer: None,
                user: None,
                password: None,
                client_id: Some(client_id),
                client_secret: Some(client_secret),
                token_url: Some(token_url),
                scope,
            } => Ok(Self::Client { client_id, client_secret, token_url, scope }),
            _ => Err(serde::de::Error::custom(
                "auth is one of { bearer }, { user, password } or { client_id, client_secret, token_url, scope }, \
                 whole and alone",
            )),
        }
    }
}
