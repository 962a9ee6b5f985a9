//! What became of an order.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::order::{OrderId, OrderState};

/// How an applied order came to be in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effected {
    /// muster's request did it.
    Sent,
    /// The target held it already, or the object to delete was already absent.
    AlreadySo,
    /// Written into a work-order file for people to carry out.
    HandedOver,
    /// Found in effect after a crash.
    Recovered,
}

/// The end of an attempt at an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The order.
    pub order: OrderId,
    /// The state it leaves the order in.
    pub state: OrderState,
    /// How it took effect, where it did.
    pub effected: Option<Effected>,
    /// The target's id of the object, once known.
    pub target_id: Option<String>,
    /// A sentence, where there is more to say (what changed since the plan, what was adopted).
    pub note: Option<String>,
    /// The failure, for errored, stale and uncertain orders.
    pub failure: Option<Failure>,
    /// Requests sent, retries included.
    pub tries: u32,
    /// When it ended.
    pub at: DateTime<Utc>,
}
