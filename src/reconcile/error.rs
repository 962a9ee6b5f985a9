//! Why no plan can be made.

use crate::model::resource::ResourceName;
use crate::rules::problem::nearest;
use crate::snapshot::error::SnapshotError;

/// The nearest of the columns that are there.
fn near(column: &str, present: &str) -> String {
    nearest(column, present.split(", ")).map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

/// Why no plan can be made from the snapshots at hand.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A rule cannot be bound to the columns of its source.
    #[error("{sync}: {cause}; correct the rule in the job file, or look at the columns of {resource}")]
    Rule {
        /// The sync's id.
        sync: String,
        /// The source.
        resource: ResourceName,
        /// What is wrong with which rule.
        cause: String,
    },
    /// A column that the sync needs is not there.
    #[error(
        "{sync}: the snapshot of {resource} has no column `{column}`{}, it has {present}; correct the job file",
        near(column, present)
    )]
    Column {
        /// The sync's id.
        sync: String,
        /// The resource.
        resource: Box<ResourceName>,
        /// The column.
        column: String,
        /// The columns that it has.
        present: String,
    },
    /// An association that does not tie two resources.
    #[error("{sync}: an association ties two ends, this one names {found}; correct `ends` in the job file")]
    Ends {
        /// The sync's id.
        sync: String,
        /// How many ends it names.
        found: usize,
    },
    /// An end whose objects are not synchronized in this plan.
    #[error(
        "{sync}: the end `{end}` goes from {flow}, and no sync of these two is planned; add a [[sync]] from {flow}"
    )]
    EndSync {
        /// The sync's id.
        sync: String,
        /// The end.
        end: String,
        /// The resource types that it ties, `idp.users to vault.users`.
        flow: String,
    },
    /// What earlier runs ordered cannot be told.
    #[error("{0}")]
    Memory(String),
    /// More rows than row numbers.
    #[error("{resource} has {rows} rows, muster plans at most 2,147,483,647 at once; split the resource")]
    TooManyRows {
        /// The resource.
        resource: ResourceName,
        /// Its rows.
        rows: usize,
    },
}
