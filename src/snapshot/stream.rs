//! One thread's way through a part of a file: read into a reused buffer, hand out the whole records, keep the rest.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{Extent, Fields, Malformed, RECORD_LIMIT};
use super::row::Row;

/// Bytes read at once. Small enough for a core's own cache; the kernel's copy is faster than page faults of a mapping.
pub(super) const READ: usize = 512 << 10;
/// Bytes read beyond a limit, where the record that crosses it is expected to end.
const SLACK: usize = 8 << 10;
/// Bytes behind a chunk's begin in which a guess is tried.
const SAMPLE: usize = 16 << 10;
/// Line feeds in a sample that are tried.
const TRIALS: usize = 64;

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
        let room = at.read.max(filled.saturating_mul(2));
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
        let text = simdutf8::basic::from_utf8(&bytes[..usable]).map_err(|_| Stop::Malformed)?;
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

/// A record's begin at or after `at.offset` and before `at.limit`, guessed: behind the first line feed that rows of
/// the right width follow, else behind the first. `None` where no record can begin there.
pub(super) fn guess(file: &File, at: Extent, buffers: &mut Buffers) -> Result<Option<u64>, Stop> {
    let Buffers { bytes, fields } = buffers;
    // The byte before counts: a record may begin at the offset itself.
    let from = at.offset - 1;
    let sample = read_piece(file, bytes, from, (at.length - from).min(SAMPLE.min(at.read) as u64))?;
    let mut first = None;
    for i in memchr::memchr_iter(b'\n', sample).take(TRIALS) {
        let begin = from + i as u64 + 1;
        if begin >= at.limit {
            return Ok(first);
        }
        if looks_right(&sample[i + 1..], Extent { offset: begin, ..at }, fields) {
            return Ok(Some(begin));
        }
        first = first.or(Some(begin));
    }
    let mut offset = from + sample.len() as u64;
    while first.is_none() && offset + 1 < at.limit {
        let piece = read_piece(file, bytes, offset, (at.limit - 1 - offset).min(at.read as u64))?;
        first = memchr::memchr(b'\n', piece).map(|i| offset + i as u64 + 1);
        offset += piece.len() as u64;
    }
    Ok(first)
}

/// Whether a text begins with rows of the right width.
fn looks_right(text: &[u8], at: Extent, fields: &mut Fields) -> bool {
    let whole = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
    let Ok(text) = simdutf8::basic::from_utf8(&text[..whole]) else { return false };
    let mut any = false;
    let at = Extent { limit: at.length, ..at };
    fields.rows(text, at, &mut |_| any = true).is_ok() && any
}

/// The first byte of a record at or after `from` and before `limit`, with the byte before `from` known to be inside
/// quotes or not (its own quote not counted). `None` where no record begins there.
pub(super) fn begin(
    file: &File,
    from: u64,
    limit: u64,
    mut inside: bool,
    buffers: &mut Buffers,
) -> Result<Option<u64>, Stop> {
    let mut offset = from - 1;
    while offset + 1 < limit {
        let piece = read_piece(file, &mut buffers.bytes, offset, (limit - 1 - offset).min(READ as u64))?;
        for i in memchr::memchr2_iter(b'"', b'\n', piece) {
            if piece[i] == b'"' {
                inside = !inside;
            } else if !inside {
                return Ok(Some(offset + i as u64 + 1));
            }
        }
        offset += piece.len() as u64;
    }
    Ok(None)
}

/// Whether a part of a file has an odd number of quotes.
pub(super) fn is_odd(file: &File, part: std::ops::Range<u64>, buffers: &mut Buffers) -> Result<bool, Stop> {
    let mut quotes = 0;
    let mut offset = part.start;
    while offset < part.end {
        let piece = read_piece(file, &mut buffers.bytes, offset, (part.end - offset).min(READ as u64))?;
        quotes += memchr::memchr_iter(b'"', piece).count();
        offset += piece.len() as u64;
    }
    Ok(quotes % 2 == 1)
}

fn read_piece<'a>(file: &File, bytes: &'a mut Vec<u8>, offset: u64, length: u64) -> Result<&'a [u8], Stop> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes.len() < length {
        bytes.resize(length, 0);
    }
    read_exact_at(file, &mut bytes[..length], offset)?;
    Ok(&bytes[..length])
}
