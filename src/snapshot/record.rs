//! From a text that begins at a record to rows of cells, without an allocation a row.

use super::mask::{BLOCK, Masks, masks, parity};
use super::row::{Place, Row, Span};

/// Marks a separator whose cell has a quote in it.
const QUOTED: u32 = 1 << 31;
/// Marks a span of the unescaped text instead of the file's.
pub(super) const UNESCAPED: u32 = 1 << 31;

/// Rows of more bytes are refused: a quote left open would otherwise swallow the rest of a file.
pub(super) const RECORD_LIMIT: u64 = (16 << 20) - 1;

/// Buffers for one text at a time, used again for the next.
#[derive(Debug, Default)]
pub(super) struct Fields {
    separators: Vec<u32>,
    spans: Vec<Span>,
    unescaped: String,
}

/// The text is not CSV, or not with this number of columns. Where and why is for `problems` to find out: this side
/// only has to be fast for files that are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// How far a text was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of whole records.
    pub(super) consumed: usize,
    /// A record that begins at or after the limit was reached.
    pub(super) done: bool,
}

/// Where a text lies in its file, and what its rows must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Where the text begins in its file.
    pub(super) offset: u64,
    /// Records that begin here or after are left alone.
    pub(super) limit: u64,
    /// The file's length, for the last record, whose line end may be missing in the file.
    pub(super) length: u64,
    /// Cells that each row must have.
    pub(super) columns: usize,
}

impl Fields {
    /// Calls `each` for every whole record of `text`, which begins at a record. Empty lines are no rows.
    pub(super) fn rows(
        &mut self,
        text: &str,
        at: Extent,
        each: &mut impl FnMut(&Row<'_>),
    ) -> Result<Progress, Malformed> {
        let bytes = text.as_bytes();
        let count = index(bytes, &mut self.separators)?;
        let Self { separators, spans, unescaped } = self;
        spans.clear();
        unescaped.clear();
        let mut begin = 0; // of the record
        let mut start = 0; // of the cell
        let mut any_quoted = false;
        for &separator in &separators[..count] {
            let quoted = separator & QUOTED != 0;
            let end = (separator & !QUOTED) as usize;
            if bytes[end] == b',' {
                if quoted {
                    any_quoted = true;
                    quoted_cell(text, start, end, spans, unescaped)?;
                } else {
                    spans.push(Span { start: start as u32, end: end as u32 });
                }
                start = end + 1;
                continue;
            }
            let offset = at.offset + begin as u64;
            if offset >= at.limit {
                return Ok(Progress { consumed: begin, done: true });
            }
            let content = if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
            if content > begin {
                if quoted {
                    quoted_cell(text, start, content, spans, unescaped)?;
                } else {
                    spans.push(Span { start: start as u32, end: content as u32 });
                }
                let length = (at.offset + end as u64 + 1).min(at.length) - offset;
                if spans.len() != at.columns || length > RECORD_LIMIT {
                    return Err(Malformed);
                }
                each(&Row {
                    text,
                    unescaped,
                    spans,
                    record: (begin as u32, content as u32),
                    quoted: any_quoted | quoted,
                    place: Place { offset, length: length as u32 },
                });
                spans.clear();
                unescaped.clear();
                any_quoted = false;
            }
            (begin, start) = (end + 1, end + 1);
        }
        Ok(Progress { consumed: begin, done: at.offset + begin as u64 >= at.limit })
    }
}

/// Takes one cell that has a quote in it, without its quotes.
fn quoted_cell(
    text: &str,
    start: usize,
    end: usize,
    spans: &mut Vec<Span>,
    unescaped: &mut String,
) -> Result<(), Malformed> {
    let bytes = &text.as_bytes()[start..end];
    if bytes.len() < 2 || bytes[0] != b'"' || bytes[bytes.len() - 1] != b'"' {
        return Err(Malformed);
    }
    let (inner, inner_end) = (start + 1, end - 1);
    if memchr::memchr(b'"', &bytes[1..bytes.len() - 1]).is_none() {
        spans.push(Span { start: inner as u32, end: inner_end as u32 });
        return Ok(());
    }
    let from = unescaped.len();
    let mut rest = &text[inner..inner_end];
    while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
        if rest.as_bytes().get(at + 1) != Some(&b'"') {
            return Err(Malformed);
        }
        unescaped.push_str(&rest[..=at]);
        rest = &rest[at + 2..];
    }
    unescaped.push_str(rest);
    spans.push(Span { start: from as u32 | UNESCAPED, end: unescaped.len() as u32 });
    Ok(())
}

/// What one block leaves for the next.
#[derive(Default)]
struct Scan {
    /// All ones inside quotes.
    inside: u64,
    /// `QUOTED` where quotes were seen since the last separator.
    pending: u32,
    /// Separators found.
    count: usize,
}

/// Finds the commas and line feeds outside quotes, and says how many there are; what follows them is left over from
/// other texts.
fn index(bytes: &[u8], separators: &mut Vec<u32>) -> Result<usize, Malformed> {
    let mut state = Scan::default();
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        index_block(block, i * BLOCK, bytes, &mut state, separators)?;
    }
    if !tail.is_empty() {
        let mut block = [b' '; BLOCK];
        block[..tail.len()].copy_from_slice(tail);
        index_block(&block, blocks.len() * BLOCK, bytes, &mut state, separators)?;
    }
    Ok(state.count)
}

#[inline]
fn index_block(
    block: &[u8; BLOCK],
    base: usize,
    bytes: &[u8],
    state: &mut Scan,
    separators: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let Masks { mut quotes, separators: found } = masks(block);
    let inside = parity(quotes) ^ state.inside;
    state.inside = ((inside as i64) >> 63) as u64;
    let mut found = found & !inside;
    // Room for a whole block, so that no separator has to ask.
    if separators.len() < state.count + BLOCK {
        separators.resize((state.count + BLOCK).max(separators.len() * 2), 0);
    }
    let Some(out) = separators[state.count..].first_chunk_mut::<BLOCK>() else { return Err(Malformed) };
    let mut count = 0;
    while found != 0 {
        let i = found.trailing_zeros() as usize % BLOCK;
        found &= found - 1;
        match block[i] {
            b',' | b'\n' => {
                let before = quotes & ((1 << i) - 1);
                quotes ^= before;
                let mark = if before != 0 { QUOTED } else { state.pending };
                state.pending = 0;
                out[count % BLOCK] = (base + i) as u32 | mark;
                count += 1;
            }
            // A carriage return is part of a line end or, where some readers would see a row's end, an error.
            b'\r' if bytes.get(base + i + 1) != Some(&b'\n') => return Err(Malformed),
            _ => {}
        }
    }
    state.count += count;
    if quotes != 0 {
        state.pending = QUOTED;
    }
    Ok(())
}
