//! Files of a run folder: whole or not at all, and their digest taken while they are written.

use std::io::{BufWriter, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use crate::disk::atomic::AtomicFile;
use crate::model::digest::Digest;

/// A file that is being written and does not show yet. Dropped, it leaves nothing.
pub(super) struct WholeFile {
    file: BufWriter<AtomicFile>,
    hasher: Sha256,
}

impl WholeFile {
    /// Begins a file; its folder must exist.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: BufWriter::with_capacity(1 << 18, AtomicFile::create(path)?), hasher: Sha256::new() })
    }

    /// The error of a failed write to this file.
    pub(super) fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::file("write", self.file.get_ref().path(), source)
    }

    /// SHA-256 of what was written so far.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(&self.hasher.clone().finalize())
    }

    /// Puts what was written on the disk and gives the file its name, replacing what had it.
    pub(super) fn show(self) -> Result<(), StoreError> {
        let path = self.file.get_ref().path().to_owned();
        let file = self.file.into_inner().map_err(|e| StoreError::file("write", &path, e.into_error()))?;
        Ok(file.commit()?)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
