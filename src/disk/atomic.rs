//! Files that appear whole or not at all: written beside, synced, renamed, and the folder synced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::DiskError;

/// Numbers the temporary names of one process, so that two threads never share one.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Writes a whole file (mode 0600), replacing what was there; a reader sees the old bytes or the new, never a part.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    written(path, bytes)?.commit()
}

/// The same for what other programs are to read (mode 0644).
pub fn publish(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    readable(path, bytes)?.commit()
}

/// The same for files that belong together: each is whole on the disk before the first gets its name.
pub fn publish_all<'a>(files: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<(), DiskError> {
    let mut whole = Vec::new();
    for (path, bytes) in files {
        let file = readable(&path, bytes)?;
        file.sync()?;
        whole.push(file);
    }
    whole.into_iter().try_for_each(AtomicFile::commit)
}

/// A whole file that other programs may read, and that has no name yet.
fn readable(path: &Path, bytes: &[u8]) -> Result<AtomicFile, DiskError> {
    let file = written(path, bytes)?;
    file.file.set_permissions(Permissions::from_mode(0o644)).map_err(DiskError::of("open to readers", path))?;
    Ok(file)
}

/// A whole file that has no name yet.
fn written(path: &Path, bytes: &[u8]) -> Result<AtomicFile, DiskError> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let partial = beside(path, &format!(".{}-{serial}.partial", std::process::id()));
    let mut file = AtomicFile::create_as(path, partial)?;
    file.write_all(bytes).map_err(DiskError::of("write", path))?;
    Ok(file)
}

/// A file under construction at `<file>.partial`; `commit` gives it its name, dropping it removes it.
///
/// Writes go straight to the file: wrap it in a `BufWriter` for small ones.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl AtomicFile {
    /// Begins a file (mode 0600). A `.partial` that a killed process left behind is replaced.
    pub fn create(path: &Path) -> Result<Self, DiskError> {
        Self::create_as(path, beside(path, ".partial"))
    }

    fn create_as(path: &Path, partial: PathBuf) -> Result<Self, DiskError> {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::of("remove", &partial)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(DiskError::of("create", &partial))?;
        Ok(Self { file, partial, path: path.to_owned(), committed: false })
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what was written on the disk.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_all().map_err(DiskError::of("sync", &self.partial))
    }

    /// Syncs the file, gives it its name, and syncs the folder: after this it survives a power cut.
    pub fn commit(self) -> Result<(), DiskError> {
        self.sync()?;
        let path = self.path.clone();
        self.show()?;
        sync_folder_of(&path)
    }

    /// Gives the file its name without waiting for the disk. Only for what shows by itself whether it is whole, and can
    /// be made anew: after a power cut anything may stand in it.
    pub fn show(mut self) -> Result<(), DiskError> {
        if !self.is_ours() {
            let taken = io::Error::other("another process writes the same file at the same time");
            return Err(DiskError::of("finish", &self.path)(taken));
        }
        fs::rename(&self.partial, &self.path).map_err(DiskError::of("rename", &self.partial))?;
        self.committed = true;
        Ok(())
    }

    /// Whether `<file>.partial` is still the file that was opened, and not one that another process put there.
    fn is_ours(&self) -> bool {
        match (self.file.metadata(), fs::symlink_metadata(&self.partial)) {
            (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
            _ => false,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed && self.is_ours() {
            // Nothing can be done about a failure here; the next `create` removes the remains.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Syncs the folder that holds a path, so that a rename or removal in it survives a power cut.
pub fn sync_folder_of(path: &Path) -> Result<(), DiskError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(DiskError::of("sync folder", folder))
}

/// The path with an ending put after its whole name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_appears_whole_with_mode_0600_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_uncommitted_file_is_removed_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "old").unwrap();
        fs::write(folder.path().join("a.csv.partial"), "left by a crash").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_writers_of_one_file_never_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let first = AtomicFile::create(&path).unwrap();
        let mut second = AtomicFile::create(&path).unwrap();
        second.write_all(b"second").unwrap();
        assert!(first.commit().unwrap_err().to_string().contains("another process"));
        second.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }
}
