//! Why a stage of a run cannot go on.

use crate::model::failure::Failure;
use crate::reconcile::ReconcileError;
use crate::snapshot::diff::DiffError;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::manifest::ManifestError;
use crate::store::error::StoreError;

/// Why a stage of a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A system's side.
    #[error(transparent)]
    System(#[from] Failure),
    /// This machine's side: the export folder, the state folder.
    #[error("{0}")]
    Here(String),
    /// A signal told it to end.
    #[error("{0} told it to end while it exported; nothing is lost, the next run exports anew")]
    Halted(&'static str),
    /// What is to be planned alone is in no snapshot that may be used, or several go by its name.
    #[error("{0}")]
    Unseen(String),
    /// The database or a run's folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot file.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Two snapshots cannot be compared.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// No plan can be made.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}
