//! One step on the way to whoever takes messages, as `muster check` tells it.

use std::time::Duration;

use crate::model::failure::{Failure, Stage};

/// What was tried, and what came of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which stage of the way.
    pub stage: Stage,
    /// What was tried.
    pub what: String,
    /// What was found, in a few words; or why it failed.
    pub result: Result<String, Failure>,
    /// How long it took.
    pub took: Duration,
}
