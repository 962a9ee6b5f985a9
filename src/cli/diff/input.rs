//! One side of a comparison: a file, a packed file, a pipe, standard input. What cannot be read at any place of it is
//! written to a temporary file first, which has no name and vanishes with the process.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, IsTerminal, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;

use super::arguments::is_stdin;
use super::unzstd::Frames;
use crate::disk::is_full;
use crate::rules::problem::nearest;

/// Bytes that tell what a file is.
const MAGIC: usize = 8;
/// Bytes copied at a time.
const PIECE: usize = 256 << 10;

/// A file to read at any place, and what people call it.
pub(super) struct Input {
    pub(super) file: File,
    pub(super) name: PathBuf,
}

/// How the rows of a file are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Opens one side. `temp` is where it is unpacked.
pub(super) fn open(path: &Path, temp: &Path) -> anyhow::Result<Input> {
    let (mut file, name) = if is_stdin(path) {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            bail!("standard input is a terminal; pipe a file into it, or name one instead of `-`");
        }
        let file = stdin.as_fd().try_clone_to_owned().context("cannot read standard input")?;
        (File::from(file), PathBuf::from("standard input"))
    } else {
        let opened = File::open(path).with_context(|| format!("cannot open {}{}", path.display(), meant(path)));
        (opened?, path.to_owned())
    };
    let reading = || format!("cannot read {}", name.display());
    let details = file.metadata().with_context(reading)?;
    if details.is_dir() {
        bail!("{} is a folder; name a file", name.display());
    }
    // Another process may have read a part of standard input.
    let is_whole_file = details.is_file() && file.stream_position().is_ok_and(|position| position == 0);
    let mut magic = Vec::with_capacity(MAGIC);
    (&mut file).take(MAGIC as u64).read_to_end(&mut magic).with_context(reading)?;
    let packing = packing(&magic).map_err(|what| anyhow::anyhow!("{} is {what}", name.display()))?;
    if is_whole_file && packing.is_none() {
        return Ok(Input { file, name });
    }
    let input = io::BufReader::with_capacity(PIECE, Cursor::new(magic).chain(file));
    let file = match packing {
        None => spool(input, temp, &name, None)?,
        Some(Packing::Gzip) => spool(MultiGzDecoder::new(input), temp, &name, packing)?,
        Some(Packing::Zstd) => spool(Frames::new(input), temp, &name, packing)?,
    };
    Ok(Input { file, name })
}

/// The file beside a missing one that was probably meant, as a question.
fn meant(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (Some(name), Ok(entries)) = (path.file_name(), folder.read_dir()) else { return String::new() };
    let files = entries.filter_map(|entry| entry.ok().filter(|entry| entry.path().is_file()));
    let names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    match nearest(&name.to_string_lossy(), names.iter().map(String::as_str)) {
        // One of that name is there, and something else is wrong with it.
        Some(near) if name != near => format!(" (did you mean `{}`?)", path.with_file_name(near).display()),
        _ => String::new(),
    }
}

/// What the first bytes say; an error says what a file is that cannot be read.
fn packing(magic: &[u8]) -> Result<Option<Packing>, &'static str> {
    match magic {
        [0x1f, 0x8b, ..] => Ok(Some(Packing::Gzip)),
        // A frame, or one of those that hold no data and are skipped (RFC 8878, section 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Some(Packing::Zstd)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err("packed with xz; unpack it first: xz -dc FILE | muster diff - …"),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => {
            Err("packed with bzip2; unpack it first: bzip2 -dc FILE | muster diff - …")
        }
        [b'P', b'K', 3, 4, ..] => Err("a zip archive, as .xlsx files are; unpack it, or save the sheet as CSV (UTF-8)"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err("an Excel workbook; save the sheet as CSV (UTF-8)"),
        [b'P', b'A', b'R', b'1', ..] => Err("a Parquet file; write it as CSV first"),
        _ => Ok(None),
    }
}

/// Writes what a reader gives to a file without a name.
fn spool(mut from: impl Read, temp: &Path, name: &Path, packing: Option<Packing>) -> anyhow::Result<File> {
    let shown = name.display();
    let writing = |error: io::Error| {
        let folder = temp.display();
        if is_full(&error) {
            anyhow::anyhow!(
                "{folder} has no room for the rows of {shown} ({error}); \
                 free some there, or name another folder with --temp"
            )
        } else {
            anyhow::anyhow!(
                "cannot keep the rows of {shown} in {folder}: {error}; \
                 name a folder that can be written to with --temp"
            )
        }
    };
    let mut to = tempfile::tempfile_in(temp).map_err(writing)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => match packing {
                Some(packing) if error.kind() == ErrorKind::UnexpectedEof => bail!(
                    "{shown} ends in the middle of its {} data; it was not written or copied to its end: make it again",
                    packing.word()
                ),
                Some(packing) if error.raw_os_error().is_none() => {
                    bail!("{shown} has damaged {} data ({error}); make or copy it again", packing.word())
                }
                _ => return Err(error).with_context(|| format!("cannot read {shown}")),
            },
        };
        to.write_all(&piece[..count]).map_err(writing)?;
    }
    Ok(to)
}
