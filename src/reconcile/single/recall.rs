//! What is remembered of a few objects: asked for by name, where a whole plan reads all of it.

use crate::model::link::Links;
use crate::model::order::ObjectKey;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::{LiveOrder, Memory};

/// Remembers what concerns single objects.
pub trait Recall: Memory {
    /// The links of a sync whose source key or target id is among these, each once.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn links(&self, sync_id: &str, source_keys: &[String], target_ids: &[String]) -> Result<Links, ReconcileError>;

    /// All links of a sync.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn all_links(&self, sync_id: &str) -> Result<Links, ReconcileError>;

    /// The live orders of these objects at a target, by its identity, of whichever job.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn live(&self, identity: &str, objects: &[ObjectKey]) -> Result<Vec<LiveOrder>, ReconcileError>;

    /// All live orders of the job, and those of others at a target, by its identity.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn all_live(&self, identity: &str) -> Result<Vec<LiveOrder>, ReconcileError>;
}
