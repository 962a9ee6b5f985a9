//! The machine's side: whole files or none, locks that a crash frees, how much memory there is.

pub mod atomic;
pub mod lock;
pub mod memory;

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
    pub cause: std::io::Error,
}

impl DiskError {
    /// For `map_err`: names the action and the file.
    pub fn of(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self { action, path, cause }
    }
}
