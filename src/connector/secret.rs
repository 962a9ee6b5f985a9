//! Secrets by reference: a job file names where a secret lies, never what it is.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Where a secret lies: `env:NAME`, `file:PATH` or `credential:NAME` (a systemd credential).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; its text without the last line end.
    File(PathBuf),
    /// A file in `$CREDENTIALS_DIRECTORY`, as systemd's LoadCredential makes it.
    Credential(String),
}

/// A text that is no reference. The text itself is not repeated: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefError {
    /// It has none of the known prefixes.
    #[error("a secret may not stand in a job file; write where it lies: `env:NAME`, `file:PATH` or `credential:NAME`")]
    NotAReference,
    /// The prefix is there, the rest is not usable.
    #[error("`{0}:` needs {1} after the colon")]
    BadName(&'static str, &'static str),
}

impl FromStr for SecretRef {
    type Err = SecretRefError;

    fn from_str(text: &str) -> Result<Self, SecretRefError> {
        let (kind, name) = text.split_once(':').ok_or(SecretRefError::NotAReference)?;
        match kind {
            "env" if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            "env" => Err(SecretRefError::BadName("env", "the name of an environment variable")),
            "file" if !name.is_empty() && !name.contains('\0') => Ok(Self::File(PathBuf::from(name))),
            "file" => Err(SecretRefError::BadName("file", "a path")),
            "credential" if is_plain_file_name(name) => Ok(Self::Credential(name.to_owned())),
            "credential" => Err(SecretRefError::BadName("credential", "a credential's plain name")),
            _ => Err(SecretRefError::NotAReference),
        }
    }
}

/// A name that cannot leave the credentials folder.
fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = SecretRefError;
    fn try_from(text: String) -> Result<Self, SecretRefError> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> String {
        reference.to_string()
    }
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(env|file|credential):.+$",
            "description": "Where the secret lies: env:NAME, file:PATH or credential:NAME. Never the secret itself."
        })
    }
}

/// Turns references into secrets. Implemented where the environment may be read.
pub trait Secrets: Send + Sync {
    /// The secret, or why it cannot be had (lower case, naming the reference, never a value).
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, String>;
}

/// Knows no secret at all: for systems that need none.
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, String> {
        Err(format!("{reference} cannot be resolved here"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip_and_nothing_else_is_taken() {
        for text in ["env:TOKEN", "file:/etc/muster/token", "file:C:\\token", "credential:vault-token"] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
        for text in ["hunter2", "pass:hunter2", "env:", "file:", "credential:../x", "credential:", "env:A=B"] {
            let error = text.parse::<SecretRef>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "a refused secret is repeated: {error}");
        }
    }
}
