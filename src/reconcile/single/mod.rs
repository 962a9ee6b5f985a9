//! One object, decided as a plan would decide it, and told step by step.
//!
//! `find` says which objects a key means, `vicinity` which rows of the snapshots decide about one, and `narrowed` makes a
//! plan's input of these alone; what is decided then is decided by the functions that make plans. Only what all objects
//! together decide stays out: thresholds, seats, and who would be the last one to go.

mod find;
mod narrowed;
mod only;
mod recall;
mod steps;
#[cfg(test)]
mod tests;
mod tie;
mod verdict;
mod vicinity;
mod way;

pub use find::{Hit, find};
pub use only::assemble_only;
pub use recall::Recall;
pub use tie::{Tie, tie};
pub use verdict::{Account, Verdict, account};
pub use way::{Found, Way, way};

/// One object of one sync.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The sync, as its position in the job file.
    pub sync: usize,
    /// Its source row's key, where there is or was one.
    pub source_key: Option<String>,
    /// The target's id of it, where it is known.
    pub target_id: Option<String>,
}
