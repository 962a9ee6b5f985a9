//! The machine's side: whole files or none, folders of their owner, locks that a crash frees, how much memory there is.

pub mod atomic;
pub mod lock;
pub mod memory;
pub mod private;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file operation that failed, with its file and what was being done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {cause}", path.display())]
pub struct DiskError {
    /// What was being done: `create`, `write`, `rename`.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the operating system said.
    pub cause: io::Error,
}

impl DiskError {
    /// For `map_err`: names the action and the file.
    pub fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { action, path, cause }
    }
}

/// What to do next about a file that could not be read or written.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull => "the disk is full: make room, then run the same command again",
        ErrorKind::QuotaExceeded => {
            "its owner's share of the disk is used up: make room or have it raised, then run the same command again"
        }
        ErrorKind::FileTooLarge => {
            "no file may become that large here (ulimit -f): raise the limit, then run the same command again"
        }
        _ => "see to its owner, its mode and its disk, then run the same command again",
    }
}

/// Whether a write failed for want of room: on the disk, in somebody's share of it, or below the limit of a file.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
