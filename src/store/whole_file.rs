//! Files of a run folder: whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::error::StoreError;
use crate::disk::atomic::AtomicFile;

/// A file that is being written and does not show yet. Dropped, it leaves nothing.
pub(super) struct WholeFile {
    file: BufWriter<AtomicFile>,
}

impl WholeFile {
    /// Begins a file; its folder must exist.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { file: BufWriter::with_capacity(1 << 18, AtomicFile::create(path)?) })
    }

    /// The error of a failed write to this file.
    pub(super) fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::file("write", self.file.get_ref().path(), source)
    }

    /// Puts what was written on the disk, so that [`WholeFile::show`] has nothing left to wait for.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|source| self.error(source))?;
        Ok(self.file.get_ref().sync()?)
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
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
