//! An exclusive lock with an owner that others can read. The kernel holds it, so a crash frees it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{DiskError, remedy};

/// Who holds a lock, for those who have to wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// Since when.
    pub started: DateTime<Utc>,
    /// The run, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What it does: `run`, `apply`, `approve`.
    pub what: String,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {} on {}", self.what, self.pid, self.host)?;
        if let Some(run) = &self.run {
            write!(f, ", run {run}")?;
        }
        write!(f, ", since {})", self.started.format("%Y-%m-%d %H:%M:%S UTC"))
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("{} is held by {}; wait until it ends", path.display(), owner.as_ref().map_or_else(|| "another process".to_owned(), Owner::to_string))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who; `None` in the moment between taking the lock and writing the name.
        owner: Option<Owner>,
    },
    /// The lock file cannot be opened or written.
    #[error("{}; {}", .0, remedy(&.0.cause))]
    Disk(#[from] DiskError),
}

/// A lock that is held until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// The lock file. It stays when the lock is freed: removing it would let two processes lock different files.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // An empty file names nobody; closing it frees the lock.
        let _ = self.file.set_len(0);
    }
}

/// Takes a lock without waiting, and writes its owner into the file (JSON, mode 0600).
pub fn try_lock(path: &Path, owner: &Owner) -> Result<Lock, LockError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(DiskError::of("open lock", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LockError::Held { path: path.to_owned(), owner: read_owner(&mut file) });
        }
        Err(TryLockError::Error(error)) => return Err(DiskError::of("lock", path)(error).into()),
    }
    let text = serde_json::to_vec(owner).map_err(|e| DiskError::of("write lock", path)(e.into()))?;
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(&text))
        .map_err(DiskError::of("write lock", path))?;
    Ok(Lock { file, path: path.to_owned() })
}

/// Who holds a lock now; `None` where nobody does or the file does not exist.
pub fn holder(path: &Path) -> Result<Option<Owner>, DiskError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DiskError::of("open lock", path)(error)),
    };
    match file.try_lock_shared() {
        // A name without a lock was left by a process that was killed.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(read_owner(&mut file)),
        Err(TryLockError::Error(error)) => Err(DiskError::of("look at lock", path)(error)),
    }
}

fn read_owner(file: &mut File) -> Option<Owner> {
    let mut text = String::new();
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_second_sees_the_first_and_gets_it_when_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.lock");
        let owner = Owner {
            pid: 7,
            host: "batch1".into(),
            started: DateTime::UNIX_EPOCH,
            run: Some("19700101T000000Z-0000".into()),
            what: "apply".into(),
        };
        let first = try_lock(&path, &owner).unwrap();
        match try_lock(&path, &owner) {
            Err(LockError::Held { owner: Some(seen), .. }) => assert_eq!(seen, owner),
            other => panic!("{other:?}"),
        }
        assert_eq!(holder(&path).unwrap(), Some(owner.clone()));
        drop(first);
        assert_eq!(holder(&path).unwrap(), None);
        try_lock(&path, &owner).unwrap();
    }

    #[test]
    fn a_lock_that_finds_no_room_says_what_to_do() {
        let full = DiskError::of("write lock", Path::new("job.lock"))(std::io::ErrorKind::StorageFull.into());
        let said = LockError::from(full).to_string();
        assert_eq!(
            said,
            "cannot write lock job.lock: no storage space; the disk is full: make room, then run the same command again"
        );
    }
}
