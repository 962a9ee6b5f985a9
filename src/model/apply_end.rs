//! How an apply ended for the orders that it left approved: which kinds stopped, and why.

use serde::{Deserialize, Serialize};

use super::failure_cause::FailureCause;
use super::order::Operation;
use super::resource::ResourceName;

/// Orders of one kind that an apply left approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindLeft {
    /// The kind, for people: `create vault.users`, `update vault.users (title)`.
    pub kind: String,
    /// What the orders are to do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// How many were left.
    pub orders: u64,
    /// Whether any order of the kind was tried.
    pub is_started: bool,
    /// One sentence: why they were left.
    pub why: String,
    /// The cause of the failed orders that stopped the kind, where it was failed orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailureCause>,
}

/// How an apply ended for the orders of one run, as the log remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyEnd {
    /// Why the whole apply stopped before its end, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// Kinds that have orders left, in the sequence in which they would have been sent.
    pub left: Vec<KindLeft>,
}
