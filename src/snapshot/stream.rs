//! One thread's way through a part of a file: read into a reused buffer, hand out the whole records, keep the rest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{Extent, Fields, Malformed, RECORD_LIMIT};
use super::row::Row;

/// Bytes read at once. Small enough for a core's own cache; the kernel's copy is faster than page faults of a mapping.
const READ: usize = 512 << 10;
/// Bytes read beyond a limit, where the record that crosses it is expected to end.
const SLACK: usize = 8 << 10;

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    bytes: Vec<u8>,
    fields: Fields,
}

/// Why reading stopped early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The operating system refused.
    Io(io::Error),
    /// The file is shorter than it was.
    Shorter,
    /// Not CSV.
    Malformed,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Calls `each` for every row that begins in `at.offset..at.limit`, and says where the next record begins.
/// `at.offset` must be the begin of a record.
pub(super) fn rows(
    file: &File,
    mut at: Extent,
    buffers: &mut Buffers,
    each: &mut impl FnMut(&Row<'_>),
) -> Result<u64, Stop> {
    let Buffers { bytes, fields } = buffers;
    let mut filled = 0usize;
    let mut slack = SLACK;
    while at.offset < at.limit.min(at.length) {
        let left = usize::try_from(at.length - at.offset).unwrap_or(usize::MAX);
        let ahead = usize::try_from(at.limit.saturating_sub(at.offset)).unwrap_or(usize::MAX);
        let room = READ.max(filled.saturating_mul(2));
        let want = ahead.max(filled).saturating_add(slack).min(room).min(left);
        if bytes.len() < want + 1 {
            // One byte more, for the line end that the last record may lack.
            bytes.resize(want + 1, 0);
        }
        read_exact_at(file, &mut bytes[filled..want], at.offset + filled as u64)?;
        filled = want;
        let at_end = filled == left;
        let mut usable = filled;
        if at_end {
            if bytes[filled - 1] != b'\n' {
                bytes[filled] = b'\n';
                usable += 1;
            }
        } else {
            usable = memchr::memrchr(b'\n', &bytes[..filled]).map_or(0, |i| i + 1);
        }
        let text = std::str::from_utf8(&bytes[..usable]).map_err(|_| Stop::Malformed)?;
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err(Stop::Malformed);
        }
        let progress = fields.rows(text, at, each)?;
        if progress.done {
            return Ok(at.offset + progress.consumed as u64);
        }
        if at_end {
            // What is left has a quote that is never closed.
            return if progress.consumed == usable { Ok(at.length) } else { Err(Stop::Malformed) };
        }
        if progress.consumed == 0 {
            if filled as u64 > RECORD_LIMIT {
                return Err(Stop::Malformed);
            }
            slack *= 2;
        } else {
            slack = SLACK;
        }
        bytes.copy_within(progress.consumed..filled, 0);
        filled -= progress.consumed;
        at.offset += progress.consumed as u64;
    }
    Ok(at.offset)
}

/// Fills a buffer; the file had that many bytes when it was opened.
pub(super) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), Stop> {
    match file.read_exact_at(bytes, offset) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Stop::Shorter),
        Err(error) => Err(Stop::Io(error)),
    }
}

/// The first byte after a line feed, at or after `from`, before `limit`; `None` where no record can begin there.
pub(super) fn guess(file: &File, from: u64, limit: u64, buffers: &mut Buffers) -> Result<Option<u64>, Stop> {
    // The byte before `from` counts: a record may begin at `from` itself.
    let mut offset = from - 1;
    let mut piece = 4 << 10;
    while offset + 1 < limit {
        let want = usize::try_from(limit - 1 - offset).unwrap_or(usize::MAX).min(piece);
        if buffers.bytes.len() < want {
            buffers.bytes.resize(want, 0);
        }
        read_exact_at(file, &mut buffers.bytes[..want], offset)?;
        if let Some(i) = memchr::memchr(b'\n', &buffers.bytes[..want]) {
            return Ok(Some(offset + i as u64 + 1));
        }
        offset += want as u64;
        piece = READ;
    }
    Ok(None)
}
