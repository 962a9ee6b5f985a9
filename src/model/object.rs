//! One object of a system, as read from it.

use serde::{Deserialize, Serialize};

use super::value::Attributes;

/// An object as a system reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The system's own, immutable id.
    pub id: String,
    /// What it holds, by the names of its snapshot's columns.
    pub attributes: Attributes,
    /// An entity tag for a conditional change, where the system gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}
