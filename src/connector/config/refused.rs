//! Operations that a system refuses by its nature.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::order::Operation;

/// An operation, as job files spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are the operations' own")]
pub enum Refused {
    Create,
    Update,
    Disable,
    Enable,
    Delete,
    Add,
    Remove,
}

impl Refused {
    /// The operation.
    pub fn operation(self) -> Operation {
        match self {
            Self::Create => Operation::Create,
            Self::Update => Operation::Update,
            Self::Disable => Operation::Disable,
            Self::Enable => Operation::Enable,
            Self::Delete => Operation::Delete,
            Self::Add => Operation::Add,
            Self::Remove => Operation::Remove,
        }
    }
}
