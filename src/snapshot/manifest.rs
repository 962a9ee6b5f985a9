//! The manifest of an export: what was read, when, and what proves that the files are those that were written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::writer::Written;
use crate::disk::{DiskError, atomic};
use crate::model::digest::Digest;
use crate::model::evidence::{Completeness, Evidence, Mode};
use crate::model::run::RunId;

/// The version of the manifest's format that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 2;

/// The file's name in an export folder.
pub const FILE_NAME: &str = "manifest.json";

/// All snapshots of one run. Written last: an export folder without it is unfinished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `FORMAT_VERSION`.
    pub format_version: u32,
    /// The job's name.
    pub job: String,
    /// The run that exported.
    pub run: RunId,
    /// When the export began.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: DateTime<Utc>,
    /// By system and resource.
    pub systems: BTreeMap<String, BTreeMap<String, ResourceManifest>>,
}

/// One snapshot file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceManifest {
    /// The file, relative to the manifest's folder.
    pub file: PathBuf,
    /// Which system it was read from: its address or folder, as the connector tells it.
    pub identity: String,
    /// Its columns, in order.
    pub columns: Vec<String>,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// Rows, without the header.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// How it was exported.
    pub mode: Mode,
    /// Where the next incremental export begins.
    pub cursor: Option<String>,
    /// What was seen.
    pub evidence: Evidence,
    /// The verdict.
    pub completeness: Completeness,
    /// Whether a row that is not in the file is certainly not in the system.
    pub proves_absence: bool,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Not a manifest.
    #[error("{} is not a manifest that can be read: {cause}; run a complete export", path.display())]
    Unreadable {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, with line and column.
        cause: String,
    },
    /// Written by another version of the program.
    #[error("{} has format version {found}, this program knows {FORMAT_VERSION}; use the version of muster that wrote it, or run a complete export", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u64,
    },
    /// Files that are not those that were written.
    #[error("{}", .0.join("; "))]
    Altered(Vec<String>),
}

impl Manifest {
    /// Writes the manifest, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ManifestError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| ManifestError::Unreadable { path: path.to_owned(), cause: e.to_string() })?;
        text.push(b'\n');
        Ok(atomic::write(path, &text)?)
    }

    /// Reads a manifest; refuses a format version that it does not know before anything else.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        Self::parse(&std::fs::read(path).map_err(DiskError::of("read", path))?, path)
    }

    /// The same for bytes that were read; `path` is what messages call them.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, ManifestError> {
        let unreadable =
            |e: serde_json::Error| ManifestError::Unreadable { path: path.to_owned(), cause: e.to_string() };
        #[derive(Deserialize)]
        struct Version {
            format_version: u64,
        }
        let version: Version = serde_json::from_slice(text).map_err(unreadable)?;
        if version.format_version != u64::from(FORMAT_VERSION) {
            return Err(ManifestError::Version { path: path.to_owned(), found: version.format_version });
        }
        serde_json::from_slice(text).map_err(unreadable)
    }

    /// One resource of a system.
    pub fn resource(&self, system: &str, resource: &str) -> Option<&ResourceManifest> {
        self.systems.get(system)?.get(resource)
    }

    /// Checks that every file in `folder` still has the bytes and the SHA-256 that were written; all differences are
    /// reported at once.
    pub fn verify(&self, folder: &Path) -> Result<(), ManifestError> {
        let mut altered = Vec::new();
        let resources: Vec<&ResourceManifest> = self.systems.values().flat_map(BTreeMap::values).collect();
        let verified: Vec<_> = resources.par_iter().with_max_len(1).map(|resource| resource.verify(folder)).collect();
        for verdict in verified {
            match verdict {
                Ok(()) => {}
                Err(ManifestError::Altered(mut found)) => altered.append(&mut found),
                Err(error) => altered.push(error.to_string()),
            }
        }
        if altered.is_empty() { Ok(()) } else { Err(ManifestError::Altered(altered)) }
    }
}

impl ResourceManifest {
    /// What the writer found out, as a resource of which nothing else is known yet.
    pub fn new(file: PathBuf, columns: &[String], key: &[String], written: Written, mode: Mode) -> Self {
        Self {
            file,
            identity: String::new(),
            columns: columns.to_vec(),
            key: key.to_vec(),
            rows: written.rows,
            bytes: written.bytes,
            sha256: written.sha256,
            mode,
            cursor: None,
            evidence: Evidence::default(),
            completeness: Completeness::Partial { cause: "not judged".to_owned() },
            proves_absence: false,
        }
    }

    /// The file's path; refused where the manifest points outside its folder.
    pub fn path(&self, folder: &Path) -> Result<PathBuf, ManifestError> {
        if self.file.components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(folder.join(&self.file));
        }
        Err(ManifestError::Altered(vec![format!(
            "{}: the manifest names a file outside its folder; run a complete export",
            self.file.display()
        )]))
    }

    /// Checks that the file still has the bytes and the SHA-256 that were written.
    pub fn verify(&self, folder: &Path) -> Result<(), ManifestError> {
        let path = self.path(folder)?;
        let mut file = File::open(&path).map_err(DiskError::of("open", &path))?;
        let length = file.metadata().map_err(DiskError::of("read", &path))?.len();
        let altered = |what: String| {
            let text = format!("{} is not the file that was exported: {what}; run a complete export", path.display());
            Err(ManifestError::Altered(vec![text]))
        };
        if length != self.bytes {
            return altered(format!("it has {length} bytes, the manifest says {}", self.bytes));
        }
        let found = sha256_of(&mut file).map_err(DiskError::of("read", &path))?;
        if found != self.sha256 {
            return altered(format!("its SHA-256 is {}…, the manifest says {}…", found.short(), self.sha256.short()));
        }
        Ok(())
    }
}

fn sha256_of(file: &mut File) -> std::io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_bytes(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::snapshot::table::Table;
    use crate::snapshot::writer::Writer;

    fn export(folder: &Path) -> Manifest {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<String>>();
        std::fs::create_dir(folder.join("idp")).unwrap();
        let path = folder.join("idp/users.csv");
        let (columns, key) = (names(&["id", "name"]), names(&["id"]));
        let mut writer = Writer::create(&path, &columns, &key).unwrap();
        writer.row(&["1", "a \"b\", c\nd"]).unwrap();
        assert!(writer.row(&["2"]).unwrap_err().to_string().contains("row 3 has 1 cell, the file has 2 columns"));
        let written = writer.finish().unwrap();
        assert_eq!(written.sha256, Digest::of(&std::fs::read(&path).unwrap()));
        let table = Table::open(&path, &key).unwrap();
        assert_eq!(table.par_map(|row| row.cells().collect::<Vec<_>>().join("|")).unwrap(), ["1|a \"b\", c\nd"]);
        let resource = ResourceManifest::new("idp/users.csv".into(), &columns, &key, written, Mode::Complete);
        Manifest {
            format_version: FORMAT_VERSION,
            job: "idp-to-vault".into(),
            run: RunId("20261122T150405Z-7f3a".into()),
            started: DateTime::UNIX_EPOCH,
            ended: DateTime::UNIX_EPOCH,
            systems: BTreeMap::from([("idp".into(), BTreeMap::from([("users".into(), resource)]))]),
        }
    }

    #[test]
    fn a_manifest_is_read_back_and_notices_every_altered_byte() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = export(folder.path());
        let path = folder.path().join(FILE_NAME);
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
        manifest.verify(folder.path()).unwrap();
        let file = folder.path().join("idp/users.csv");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace('d', "e")).unwrap();
        assert!(manifest.verify(folder.path()).unwrap_err().to_string().contains("SHA-256"));
        std::fs::write(&file, "id").unwrap();
        assert!(manifest.verify(folder.path()).unwrap_err().to_string().contains("it has 2 bytes"));
        std::fs::remove_file(&file).unwrap();
        assert!(manifest.verify(folder.path()).is_err());
    }

    #[test]
    fn another_format_version_and_a_file_outside_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, r#"{"format_version": 1, "all": "different"}"#).unwrap();
        assert!(Manifest::read(&path).unwrap_err().to_string().contains("has format version 1, this program knows 2"));
        let mut manifest = export(folder.path());
        for outside in ["../users.csv", "/etc/hostname"] {
            manifest.systems.values_mut().flat_map(BTreeMap::values_mut).for_each(|r| r.file = outside.into());
            assert!(manifest.verify(folder.path()).unwrap_err().to_string().contains("outside its folder"));
        }
    }

    #[test]
    fn an_unfinished_snapshot_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("a.csv"), &["id".to_owned()], &[]).unwrap();
        writer.row(&[""]).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
