//! One snapshot file under two names: what did not change since the last accepted snapshot is not written again.
//!
//! A second name, or one less, changes a file's entry and not its bytes. Digests that were kept of it are believed by that
//! entry, so what is written of it beside them has to follow.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::hashing::Hashing;
use super::kept_pairs;
use super::sidecar::{SHARE, Sidecar, Stamp, path_of};
use crate::disk::atomic::sync_folder_of;
use crate::model::digest::Digest;

/// Bytes of two files that are compared at once.
const TOGETHER: usize = 128 << 10;

/// Bytes by which a header with another stamp may be longer.
const LONGER: u64 = 32;

/// A snapshot file, and the digests beside it.
#[derive(Debug)]
pub struct Shareable {
    file: PathBuf,
    sha256: Digest,
    sidecar: Sidecar,
    /// Whether its entry shows that nobody touched it.
    is_untouched: bool,
}

impl Shareable {
    /// The snapshot file with this SHA-256 and key; `None` where no digests that fit are beside it, or where its entry
    /// shows that it was written to. An entry whose names alone changed shows neither that nor the contrary.
    pub fn find(file: &Path, sha256: &Digest, key: &[String]) -> Option<Self> {
        let sidecar = Sidecar::open(file, sha256, key).ok()?;
        let stamp = Stamp::of(file).ok().filter(|stamp| stamp.has_content_of(sidecar.header.stamp))?;
        let is_untouched = stamp == sidecar.header.stamp;
        Some(Self { file: file.to_owned(), sha256: sha256.clone(), sidecar, is_untouched })
    }

    /// The same where it is certain that nobody touched the file.
    pub fn untouched(file: &Path, sha256: &Digest, key: &[String]) -> Option<Self> {
        Self::find(file, sha256, key).filter(|found| found.is_untouched)
    }

    /// Whether another file has the bytes that this one has to have. Where its entry does not show that it still has
    /// them, their SHA-256 is computed.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn has_bytes_of(&self, other: &File) -> io::Result<bool> {
        let file = File::open(&self.file)?;
        let length = file.metadata()?.len();
        if other.metadata()?.len() != length {
            return Ok(false);
        }
        let (mut mine, mut theirs) = (vec![0; TOGETHER], vec![0; TOGETHER]);
        let mut hashing = (!self.is_untouched).then(Hashing::default);
        let mut at = 0;
        while at < length {
            let some = (length - at).min(TOGETHER as u64) as usize;
            file.read_exact_at(&mut mine[..some], at)?;
            other.read_exact_at(&mut theirs[..some], at)?;
            if mine[..some] != theirs[..some] {
                return Ok(false);
            }
            if let Some(hashing) = &mut hashing {
                hashing.update(&mine[..some]);
            }
            at += some as u64;
        }
        // It may have grown meanwhile.
        Ok(other.metadata()?.len() == length && hashing.is_none_or(|hashing| hashing.finish() == self.sha256))
    }

    /// Gives the file and its digests a second name, which survives a power cut: how many bytes it has. `None`, and nothing
    /// is left of it, where the file system does not do that, or somebody touched the file meanwhile.
    pub fn share(self, to: &Path) -> Option<u64> {
        let Sidecar { header, shares, .. } = &self.sidecar;
        // Older digests have no room for another stamp.
        if header.sealed_in(shares.saturating_sub(LONGER)).is_none() || std::fs::hard_link(&self.file, to).is_err() {
            return None;
        }
        let shared = path_of(to);
        let whole = || -> io::Result<bool> {
            std::fs::hard_link(path_of(&self.file), &shared)?;
            kept_pairs::carry_over(&self.file, to);
            sync_folder_of(to).map_err(|error| error.cause)?;
            self.settle()
        };
        if whole().unwrap_or(false) {
            return Some(header.stamp.bytes);
        }
        // Nothing can be done about a failure here: what stays is replaced, what is not believed is made anew.
        let _ = std::fs::remove_file(kept_pairs::path_of(to));
        let _ = std::fs::remove_file(&shared);
        let _ = std::fs::remove_file(to);
        let _ = self.settle();
        None
    }

    /// Writes down that the file has its entry as it is now, after a name was given to it or taken from it. False where
    /// more than that happened to it.
    ///
    /// # Errors
    /// Where the digests beside it cannot be written. They are not believed any more then, and made anew.
    pub fn settle(&self) -> io::Result<bool> {
        let Sidecar { header, shares, .. } = &self.sidecar;
        let stamp = Stamp::of(&self.file)?;
        if stamp == header.stamp {
            return Ok(true);
        }
        if !stamp.has_content_of(header.stamp) {
            return Ok(false);
        }
        let mut header = header.clone();
        header.stamp = stamp;
        // In its place, for all names: where that is cut short, the seal does not fit.
        let Some(mut sealed) = header.sealed_in(*shares) else { return Ok(false) };
        let digests = OpenOptions::new().read(true).write(true).open(path_of(&self.file))?;
        let begin = sealed.len();
        sealed.resize(begin + (SHARE << header.bits), 0);
        digests.read_exact_at(&mut sealed[begin..], begin as u64)?;
        digests.write_all_at(&sealed[..begin], 0)?;
        digests.write_all_at(Digest::of(&sealed).as_str().as_bytes(), sealed.len() as u64)?;
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::diff::{DiffOptions, digest_keeping};
    use crate::snapshot::table::Table;

    #[test]
    fn a_file_with_two_names_is_untouched_until_somebody_writes_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let [file, second, other] = ["a.csv", "b.csv", "c.csv"].map(|name| folder.path().join(name));
        let (text, key) = ("id,name\n1,Ada\n2,Grace\n", ["id".to_owned()]);
        std::fs::write(&file, text).unwrap();
        let sha256 = Digest::of(text.as_bytes());
        let table = Table::open(&file, &key).unwrap();
        digest_keeping(&table, &DiffOptions::default(), Some(&sha256), &()).unwrap();
        let find = |file: &Path| Shareable::untouched(file, &sha256, &key);

        for (bytes, same) in [(text, true), (&text[1..], false), ("id,name\n1,Ada\n2,Gracf\n", false)] {
            std::fs::write(&other, bytes).unwrap();
            let found = find(&file).unwrap();
            assert_eq!(found.has_bytes_of(&File::open(&other).unwrap()).unwrap(), same, "{bytes}");
        }
        assert_eq!(find(&file).unwrap().share(&second), Some(text.len() as u64));
        assert!(find(&file).is_some() && find(&second).is_some(), "both names are believed");
        assert_eq!(find(&file).unwrap().share(&second), None, "a name that is taken");
        assert!(find(&file).is_some(), "nothing happened to the first name");

        std::fs::remove_file(&second).unwrap();
        assert!(find(&file).is_none(), "an entry that changed is not believed");
        let found = Shareable::find(&file, &sha256, &key).unwrap();
        for (bytes, same) in [(text, true), ("id,name\n1,Ada\n2,Gracf\n", false)] {
            std::fs::write(&other, bytes).unwrap();
            assert_eq!(found.has_bytes_of(&File::open(&other).unwrap()).unwrap(), same, "{bytes}");
        }
        let damaged = Digest::of(b"another text");
        let found = Shareable { sha256: damaged, ..found };
        std::fs::write(&other, text).unwrap();
        assert!(!found.has_bytes_of(&File::open(&other).unwrap()).unwrap(), "it has to be what it was");
        std::fs::remove_file(path_of(&file)).unwrap();
        digest_keeping(&table, &DiffOptions::default(), Some(&sha256), &()).unwrap();
        let before = find(&file).unwrap();
        std::fs::hard_link(&file, &second).unwrap();
        assert!(before.settle().unwrap() && find(&file).is_some());
        let before = find(&file).unwrap();
        std::fs::write(&second, [text, "3,Mary\n"].concat()).unwrap();
        assert!(!before.settle().unwrap(), "written to");
        assert!(find(&file).is_none());
    }
}
