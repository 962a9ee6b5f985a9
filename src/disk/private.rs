//! Folders for their owner alone, whatever the umask of whoever starts the program.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::DiskError;

/// Creates a folder and those above it (mode 0700); a folder that is there keeps its mode.
///
/// # Errors
/// Names the folder that could not be made.
pub fn create_folder(path: &Path) -> Result<(), DiskError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(DiskError::of("create the folder", path))
}
