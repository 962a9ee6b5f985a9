//! Resolves credential references: the only place that reads a secret.

use std::env;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::connector::secret::{SecretRef, Secrets};

/// Secrets from environment variables, files and systemd credentials.
pub(super) struct Environment {
    base: PathBuf,
}

impl Environment {
    /// `base` is the folder that relative `file:` paths start from: the job file's.
    pub(super) fn new(base: &Path) -> Self {
        Self { base: base.to_owned() }
    }
}

impl Secrets for Environment {
    fn resolve(&self, reference: &SecretRef) -> Result<SecretString, String> {
        let text = match reference {
            SecretRef::Env(name) => {
                env::var(name).map_err(|_| format!("{reference}: the environment variable is not set"))?
            }
            SecretRef::File(path) => read(&self.base.join(path), reference)?,
            SecretRef::Credential(name) => {
                let folder = env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    format!(
                        "{reference}: $CREDENTIALS_DIRECTORY is not set, as systemd does for LoadCredential={name}:…; start the job's service, or see \"Install\" in docs/operating.md for a command by hand"
                    )
                })?;
                read(&Path::new(&folder).join(name), reference)?
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("{reference}: is empty"));
        }
        Ok(SecretString::from(text.to_owned()))
    }
}

fn read(path: &Path, reference: &SecretRef) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{reference}: cannot read {}: {e}", path.display()))
}
