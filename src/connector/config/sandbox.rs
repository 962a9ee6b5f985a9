//! `kind = "sandbox"`: the built-in SCIM server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refused::Refused;
use super::scim::unknown_dialect;

/// The built-in SCIM server as a system of its own, for the tour and for rehearsals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Where its data lies; left out = in the state folder, under the system's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<PathBuf>,
    /// The product that it plays, quirks and messages included: a dialect of kind `scim`. Left out = `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Offers containers, privileged data and permissions on both, also where the dialect has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged_access: bool,
    /// A file of faults to inject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<PathBuf>,
    /// The login or id of the account that muster itself would use, so that no order locks it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seats by resource: `{ users = 500 }`. Creates beyond them are blocked, and refused by the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seats: BTreeMap<String, u64>,
    /// By resource, operations that a real provider would refuse: `{ users = ["delete"] }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refuses: BTreeMap<String, Vec<Refused>>,
}

impl SandboxConfig {
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        unknown_dialect(self.dialect.as_deref()).map(|problem| ("dialect", problem)).into_iter().collect()
    }
}
