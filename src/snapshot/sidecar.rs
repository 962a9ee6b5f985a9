//! The digests of an accepted snapshot, kept beside its file, so that the next comparison reads one file less.
//!
//! Nothing in it is believed unless it fits: it names the file that it is of by SHA-256, and carries checksums of itself
//! that are compared whenever a part is read. Whatever does not fit is made anew from the file.
//!
//! ```text
//! "musterdg", format version (u32), length of the header (u32), all numbers little-endian
//! header (JSON): the file, its columns, key and normalisers, the seed of the hashes, how many shares
//! for each share: where it ends (u64, in digests), XXH3-128 of its bytes (u128)
//! SHA-256 of all of the above
//! the digests, 16 bytes each, by share
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::diff::Normaliser;
use super::digest::{DIGEST, DigestError, Digests, Window};
use super::error::SnapshotError;
use super::partition::{Ends, MOST_BITS};
use super::table::Table;
use crate::disk::DiskError;
use crate::disk::atomic::AtomicFile;
use crate::model::digest::Digest;

const MAGIC: &[u8; 8] = b"musterdg";
/// The version of the format that this program writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 3;
/// A header has no more bytes: thousands of columns with long names.
const HEADER_LIMIT: u32 = 16 << 20;
/// Bytes for each share: its end and its checksum.
pub(super) const SHARE: usize = 24;
/// Bytes of a SHA-256 in hexadecimal digits, which is how it is written.
const SEAL: usize = 64;
/// Blanks that follow a header at least, so that another stamp fits in the place of the first.
const SPARE: usize = 64;

/// Where the digests of a snapshot file are kept.
pub fn path_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".digests");
    PathBuf::from(name)
}

/// Kept digests that fit their file, as far as that can be said without reading either.
#[derive(Debug)]
pub struct Sidecar {
    pub(super) header: Header,
    /// Where the ends and checksums of the shares begin.
    pub(super) shares: u64,
    digests: Digests<'static>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    sha256: Digest,
    pub(super) stamp: Stamp,
    /// In the order in which they are digested.
    columns: Vec<String>,
    key: Vec<String>,
    normalise: BTreeMap<String, Vec<String>>,
    seed: u64,
    pub(super) bits: u32,
    rows: u64,
}

/// What changes in a file's entry whenever somebody writes to the file or puts another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Header {
    /// The beginning of what is sealed.
    fn sealed(&self) -> std::io::Result<Vec<u8>> {
        let header = serde_json::to_vec(self)?;
        Ok(Self::padded(header.len() + SPARE, header))
    }

    /// The same in so many bytes; `None` where it has more.
    pub(super) fn sealed_in(&self, bytes: u64) -> Option<Vec<u8>> {
        let header = serde_json::to_vec(self).ok()?;
        let length = (bytes as usize).checked_sub(MAGIC.len() + 8)?;
        (header.len() <= length).then(|| Self::padded(length, header))
    }

    /// Blanks after a header mean nothing to JSON.
    fn padded(length: usize, mut header: Vec<u8>) -> Vec<u8> {
        header.resize(length, b' ');
        let length = length as u32;
        [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &length.to_le_bytes(), &header].concat()
    }
}

impl Stamp {
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let entry = std::fs::metadata(path)?;
        Ok(Self {
            device: entry.dev(),
            inode: entry.ino(),
            bytes: entry.len(),
            modified: (entry.mtime(), entry.mtime_nsec()),
            changed: (entry.ctime(), entry.ctime_nsec()),
        })
    }

    /// Whether nothing happened to the file but to its names.
    pub(super) fn has_content_of(self, other: Self) -> bool {
        Self { changed: other.changed, ..self } == other
    }
}

/// What digests are of.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) table: &'a Table,
    /// Of its file.
    pub(super) sha256: &'a Digest,
    /// Its columns in the order in which they were digested.
    pub(super) columns: &'a [String],
    pub(super) normalise: &'a BTreeMap<String, Vec<Normaliser>>,
    pub(super) seed: u64,
}

/// Why kept digests are not used.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// There are none.
    #[error("no digests are kept of {}", .0.display())]
    None(PathBuf),
    /// They are not what was written, or of something else.
    #[error("the digests in {} are not used: {cause}", path.display())]
    Useless {
        /// The sidecar.
        path: PathBuf,
        /// What does not fit.
        cause: &'static str,
    },
}

impl Sidecar {
    /// Opens the digests that are kept of a snapshot file with this SHA-256 and key.
    ///
    /// # Errors
    /// Why there are none, or none that fit.
    pub fn open(file: &Path, sha256: &Digest, key: &[String]) -> Result<Self, SidecarError> {
        let path = path_of(file);
        let kept = match File::open(&path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SidecarError::None(file.to_owned()));
            }
            Err(_) => return Err(SidecarError::Useless { path, cause: "the file cannot be opened" }),
        };
        Self::read(kept, &path, sha256, key).map_err(|cause| SidecarError::Useless { path, cause })
    }

    fn read(mut kept: File, path: &Path, sha256: &Digest, key: &[String]) -> Result<Self, &'static str> {
        let short = |_| "the file is too short";
        let mut sealed = vec![0; 16];
        kept.read_exact(&mut sealed).map_err(short)?;
        let number = |at: usize| sealed[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if !sealed.starts_with(MAGIC) {
            return Err("the file is of another kind");
        }
        if number(8) != FORMAT_VERSION {
            return Err("another version of muster wrote them");
        }
        let length = number(12);
        if length > HEADER_LIMIT {
            return Err("the header is damaged");
        }
        let header_end = sealed.len() + length as usize;
        sealed.resize(header_end, 0);
        kept.read_exact(&mut sealed[16..]).map_err(short)?;
        let header: Header = serde_json::from_slice(&sealed[16..]).map_err(|_| "the header is damaged")?;
        if header.bits > MOST_BITS || header.rows > u64::from(u32::MAX) {
            return Err("the header is damaged");
        }
        sealed.resize(header_end + (SHARE << header.bits), 0);
        kept.read_exact(&mut sealed[header_end..]).map_err(short)?;
        let mut seal = [0; SEAL];
        kept.read_exact(&mut seal).map_err(short)?;
        if seal != Digest::of(&sealed).as_str().as_bytes() {
            return Err("the header is damaged");
        }
        let body = (sealed.len() + SEAL) as u64;
        if kept.metadata().map(|entry| entry.len()).ok() != Some(body + header.rows * DIGEST as u64) {
            return Err("the file is not as long as it was");
        }
        if header.sha256 != *sha256 {
            return Err("they are of another file");
        }
        if header.key != key || !header.normalise.is_empty() {
            return Err("they were made for another comparison");
        }
        let mut ends = Vec::with_capacity(1 << header.bits);
        let mut checks = Vec::with_capacity(1 << header.bits);
        for share in sealed[header_end..].as_chunks::<SHARE>().0 {
            let (end, check) = (share.first_chunk::<8>(), share.last_chunk::<16>());
            ends.push(end.and_then(|bytes| u32::try_from(u64::from_le_bytes(*bytes)).ok()).unwrap_or(0));
            checks.push(check.map_or(0, |bytes| u128::from_le_bytes(*bytes)));
        }
        if ends.last().map(|end| u64::from(*end)) != Some(header.rows) {
            return Err("the shares do not make up the rows");
        }
        let ends = Ends::known(ends).ok_or("the shares are out of order")?;
        let digests = Digests::remembered(kept, path.to_owned(), body, ends, checks, header.rows);
        Ok(Self { header, shares: header_end as u64, digests })
    }

    /// Whether the snapshot file is certainly the one that was digested, by what the file system tells of it. Where
    /// not, its SHA-256 has to be computed again.
    pub fn is_untouched(&self, file: &Path) -> bool {
        Stamp::of(file).is_ok_and(|stamp| stamp == self.header.stamp)
    }

    /// The columns, in the order in which they are digested.
    pub(super) fn columns(&self) -> &[String] {
        &self.header.columns
    }

    pub(super) fn seed(&self) -> u64 {
        self.header.seed
    }

    pub(super) fn bits(&self) -> u32 {
        self.header.bits
    }

    pub(super) fn into_digests(self) -> Digests<'static> {
        self.digests
    }
}

/// Keeps the digests of a snapshot file beside another file too, of which is known that it has the bytes that this one
/// should have.
///
/// # Errors
/// `SidecarError::None` where none are kept; `Useless` where they do not fit, somebody touched their file, or they cannot
/// be written a second time.
pub fn carry_over(from: &Path, to: &Path, sha256: &Digest, key: &[String]) -> Result<(), SidecarError> {
    // What shares its file shares its digests.
    if Sidecar::open(to, sha256, key).is_ok_and(|kept| kept.is_untouched(to) && kept.is_untouched(from)) {
        return Ok(());
    }
    let kept = Sidecar::open(from, sha256, key)?;
    let path = path_of(from);
    if !kept.is_untouched(from) {
        return Err(SidecarError::Useless { path, cause: "somebody touched their file" });
    }
    let copy = || -> std::io::Result<AtomicFile> {
        let mut body = File::open(&path)?;
        body.seek(SeekFrom::Start(kept.shares))?;
        let mut shares = vec![0; SHARE << kept.header.bits];
        body.read_exact(&mut shares)?;
        body.seek_relative(SEAL as i64)?;
        let mut sealed = Header { stamp: Stamp::of(to)?, ..kept.header }.sealed()?;
        sealed.extend_from_slice(&shares);
        let mut out = BufWriter::with_capacity(1 << 20, AtomicFile::create(&path_of(to)).map_err(|error| error.cause)?);
        out.write_all(&sealed)?;
        out.write_all(Digest::of(&sealed).as_str().as_bytes())?;
        std::io::copy(&mut body, &mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)
    };
    let copied = copy().and_then(|out| out.show().map_err(|error| error.cause));
    copied.map_err(|_| SidecarError::Useless { path, cause: "they cannot be written again" })
}

/// Keeps digests beside the file that they are of.
pub(super) fn write(of: &Origin<'_>, digests: &Digests<'_>) -> Result<(), SnapshotError> {
    let file = of.table.path();
    let path = path_of(file);
    let names = |columns: &[usize]| columns.iter().map(|i| of.table.columns()[*i].clone()).collect();
    let words = |list: &Vec<Normaliser>| list.iter().map(ToString::to_string).collect();
    let header = Header {
        sha256: of.sha256.clone(),
        stamp: Stamp::of(file).map_err(SnapshotError::reading(file))?,
        columns: of.columns.to_vec(),
        key: names(of.table.key_columns()),
        normalise: of.normalise.iter().map(|(column, list)| (column.clone(), words(list))).collect(),
        seed: of.seed,
        bits: digests.bits,
        rows: digests.rows,
    };
    let writing = |error: std::io::Error| DiskError::of("write", &path)(error);
    let mut sealed = header.sealed().map_err(writing)?;
    let mut out = BufWriter::with_capacity(1 << 20, AtomicFile::create(&path)?);
    // The checksums stand before the digests that they are of, and are known after them.
    out.write_all(&vec![0; sealed.len() + (SHARE << digests.bits) + SEAL]).map_err(writing)?;
    let mut end = 0u64;
    each_share(digests, |bytes| {
        end += (bytes.len() / DIGEST) as u64;
        sealed.extend_from_slice(&end.to_le_bytes());
        sealed.extend_from_slice(&xxh3_128(bytes).to_le_bytes());
        Ok(out.write_all(bytes).map_err(writing)?)
    })?;
    let seal = Digest::of(&sealed);
    out.rewind()
        .and_then(|()| out.write_all(&sealed))
        .and_then(|()| out.write_all(seal.as_str().as_bytes()))
        .map_err(writing)?;
    Ok(out.into_inner().map_err(|error| writing(error.into_error()))?.show()?)
}

fn each_share(
    digests: &Digests<'_>,
    mut each: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let (mut window, mut rows, mut bytes) = (Window::default(), Vec::new(), Vec::new());
    for share in 0..1usize << digests.bits {
        rows.clear();
        bytes.clear();
        let gathered =
            digests.load(share..share + 1, &mut window).and_then(|()| digests.gather(share, &window, &mut rows));
        gathered.map_err(|error| match error {
            DigestError::Snapshot(error) => error,
            DigestError::Spill { folder, source } => DiskError::of("read digests in", &folder)(source).into(),
            DigestError::Damaged(path) => SnapshotError::Changed(path),
        })?;
        rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_bytes()));
        each(&bytes)?;
    }
    Ok(())
}
