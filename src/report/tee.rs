//! Several reporters at once.

use std::sync::Arc;

use crate::model::event::{Event, Reporter};

/// Hands each event to every reporter, in order.
#[derive(Clone)]
pub struct Tee(Vec<Arc<dyn Reporter>>);

impl Tee {
    /// Joins reporters.
    pub fn new(reporters: Vec<Arc<dyn Reporter>>) -> Self {
        Self(reporters)
    }
}

impl Reporter for Tee {
    fn event(&self, event: &Event) {
        for reporter in &self.0 {
            reporter.event(event);
        }
    }
}
