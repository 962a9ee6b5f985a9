//! Names of systems and of what they hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A resource type or an association of one system, written `system.resource`: `vault.users`, `idp.memberships`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ResourceName {
    /// The system's name in the job file.
    pub system: String,
    /// The resource type or association, as its connector calls it.
    pub resource: String,
}

impl ResourceName {
    /// Puts a name together; the parts are taken as they are.
    pub fn new(system: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { system: system.into(), resource: resource.into() }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.system, self.resource)
    }
}

impl FromStr for ResourceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((system, resource)) if !system.is_empty() && !resource.is_empty() => Ok(Self::new(system, resource)),
            _ => Err(format!("`{text}` is not of the form system.resource")),
        }
    }
}

impl TryFrom<String> for ResourceName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// As its text, put together where it is written: every order names several.
impl Serialize for ResourceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
