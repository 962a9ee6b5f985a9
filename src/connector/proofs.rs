//! What was proved about systems, kept from run to run: which of a system's claims hold is found out once for each
//! version of its service, not in every run.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What was found, in a word that the connector knows: `honoured`, `ignored`.
    pub found: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Keeps proofs. What was proved of another version of a service says nothing about this one.
pub trait Proofs: Send + Sync {
    /// What is known about `what` of a system whose service has this version.
    fn known(&self, system: &str, version: &str, what: &str) -> Option<Proof>;

    /// Keeps what was found out just now.
    fn keep(&self, system: &str, version: &str, what: &str, found: &str);
}

/// Keeps nothing: everything is proved anew.
pub struct Forgetful;

impl Proofs for Forgetful {
    fn known(&self, _: &str, _: &str, _: &str) -> Option<Proof> {
        None
    }

    fn keep(&self, _: &str, _: &str, _: &str, _: &str) {}
}

/// Where proofs are kept.
pub type KeptProofs = Arc<dyn Proofs>;
