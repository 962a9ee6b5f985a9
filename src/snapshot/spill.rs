//! Digests and results on disk, where memory has no room for them: in a file without a name, of which nothing is left
//! behind, however the process ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::digest::{DIGEST, RowDigest};

/// Digests that are encoded and written at once.
const AT_ONCE: usize = 8_192;

/// Room in memory first and then on disk. Shared by all that is kept at the same time.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes that memory has left; `None` = as many as are asked for.
    memory: Option<AtomicU64>,
    folder: PathBuf,
    file: OnceLock<File>,
    end: AtomicU64,
}

impl Room {
    /// Room for so many bytes in memory, and for the rest in a folder.
    pub(super) fn new(memory: Option<u64>, folder: &Path) -> Self {
        Self {
            memory: memory.map(AtomicU64::new),
            folder: folder.to_owned(),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
        }
    }

    /// Whether memory has room for so many bytes more; they are taken then.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        let take = |left: &AtomicU64| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        self.memory.as_ref().is_none_or(take)
    }

    /// The folder of the file.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes digests, and says where they begin in the file.
    pub(super) fn write_digests(&self, mut digests: impl ExactSizeIterator<Item = RowDigest>) -> io::Result<u64> {
        let (file, begin) = self.reserve((digests.len() * DIGEST) as u64)?;
        let mut at = begin;
        let mut bytes = Vec::with_capacity(digests.len().min(AT_ONCE) * DIGEST);
        while digests.len() > 0 {
            bytes.clear();
            digests.by_ref().take(AT_ONCE).for_each(|digest| bytes.extend_from_slice(&digest.to_bytes()));
            file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(begin)
    }

    /// Writes bytes, and says where they begin in the file.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<u64> {
        let (file, begin) = self.reserve(bytes.len() as u64)?;
        file.write_all_at(bytes, begin)?;
        Ok(begin)
    }

    /// The file, and where so many bytes have their place in it.
    fn reserve(&self, bytes: u64) -> io::Result<(&File, u64)> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = tempfile::tempfile_in(&self.folder)?;
                self.file.get_or_init(|| file)
            }
        };
        Ok((file, self.end.fetch_add(bytes, Ordering::Relaxed)))
    }

    /// Reads bytes back to the end of `bytes`.
    pub(super) fn read(&self, at: u64, count: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let file = self.file.get().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        read_at(file, at, count, bytes)
    }
}

/// Reads bytes of a file to the end of `bytes`.
pub(super) fn read_at(file: &File, at: u64, count: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let from = bytes.len();
    bytes.resize(from + count, 0);
    file.read_exact_at(&mut bytes[from..], at)
}
