//! Files of a run folder, whole or not at all: written beside, synced, renamed, the folder synced.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::error::StoreError;
use crate::model::digest::Digest;

/// A file that is being written and does not show yet. Dropped unfinished, it leaves nothing.
pub(super) struct WholeFile {
    beside: BufWriter<NamedTempFile>,
    path: PathBuf,
    hasher: Sha256,
}

impl WholeFile {
    /// Begins a file; its folder must exist.
    pub(super) fn begin(path: &Path) -> Result<Self, StoreError> {
        let beside = tempfile::Builder::new()
            .prefix(".writing-")
            .tempfile_in(folder(path))
            .map_err(|source| StoreError::file("write", path, source))?;
        Ok(Self { beside: BufWriter::with_capacity(1 << 18, beside), path: path.to_owned(), hasher: Sha256::new() })
    }

    /// The error of a failed write to this file.
    pub(super) fn error(&self, source: std::io::Error) -> StoreError {
        StoreError::file("write", &self.path, source)
    }

    /// Syncs what was written; then only the renaming is left.
    pub(super) fn end(self) -> Result<ReadyFile, StoreError> {
        let Self { beside, path, hasher } = self;
        let beside = beside.into_inner().map_err(|e| StoreError::file("write", &path, e.into_error()))?;
        beside.as_file().sync_all().map_err(|source| StoreError::file("write", &path, source))?;
        Ok(ReadyFile { beside, path, digest: Digest::from_bytes(&hasher.finalize()) })
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.beside.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.beside.flush()
    }
}

/// A file that is on the disk under a temporary name.
pub(super) struct ReadyFile {
    beside: NamedTempFile,
    path: PathBuf,
    digest: Digest,
}

impl ReadyFile {
    /// SHA-256 of its bytes.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Gives it its name, replacing what had it.
    pub(super) fn show(self) -> Result<(), StoreError> {
        let path = self.path;
        self.beside.persist(&path).map_err(|e| StoreError::file("write", &path, e.error))?;
        File::open(folder(&path))
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StoreError::file("write", &path, source))
    }
}

/// Writes a small file as a whole; the digest of its bytes.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<Digest, StoreError> {
    let mut file = WholeFile::begin(path)?;
    file.write_all(bytes).map_err(|source| file.error(source))?;
    let ready = file.end()?;
    let digest = ready.digest().clone();
    ready.show()?;
    Ok(digest)
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
