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
        self.index(bytes)?;
        self.next_row();
        let mut begin = 0; // of the record
        let mut start = 0; // of the cell
        let mut any_quoted = false;
        for i in 0..self.separators.len() {
            let separator = self.separators[i];
            let quoted = separator & QUOTED != 0;
            let end = (separator & !QUOTED) as usize;
            if bytes[end] == b',' {
                self.cell(text, start, end, quoted)?;
                any_quoted |= quoted;
                start = end + 1;
                continue;
            }
            let offset = at.offset + begin as u64;
            if offset >= at.limit {
                return Ok(Progress { consumed: begin, done: true });
            }
            let content = if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
            if content > begin {
                self.cell(text, start, content, quoted)?;
                let length = (at.offset + end as u64 + 1).min(at.length) - offset;
                if self.spans.len() != at.columns || length > RECORD_LIMIT {
                    return Err(Malformed);
                }
                each(&Row {
                    text,
                    unescaped: &self.unescaped,
                    spans: &self.spans,
                    record: (begin as u32, content as u32),
                    quoted: any_quoted | quoted,
                    place: Place { offset, length: length as u32 },
                });
                self.next_row();
                any_quoted = false;
            }
            (begin, start) = (end + 1, end + 1);
        }
        Ok(Progress { consumed: begin, done: at.offset + begin as u64 >= at.limit })
    }

    fn next_row(&mut self) {
        self.spans.clear();
        self.unescaped.clear();
    }

    /// Takes one cell, without its quotes.
    #[inline]
    fn cell(&mut self, text: &str, start: usize, end: usize, quoted: bool) -> Result<(), Malformed> {
        if !quoted {
            self.spans.push(Span { start: start as u32, end: end as u32 });
            return Ok(());
        }
        self.quoted_cell(text, start, end)
    }

    fn quoted_cell(&mut self, text: &str, start: usize, end: usize) -> Result<(), Malformed> {
        let bytes = &text.as_bytes()[start..end];
        if bytes.len() < 2 || bytes[0] != b'"' || bytes[bytes.len() - 1] != b'"' {
            return Err(Malformed);
        }
        let (inner, inner_end) = (start + 1, end - 1);
        if memchr::memchr(b'"', &bytes[1..bytes.len() - 1]).is_none() {
            self.spans.push(Span { start: inner as u32, end: inner_end as u32 });
            return Ok(());
        }
        let from = self.unescaped.len();
        let mut rest = &text[inner..inner_end];
        while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
            if rest.as_bytes().get(at + 1) != Some(&b'"') {
                return Err(Malformed);
            }
            self.unescaped.push_str(&rest[..=at]);
            rest = &rest[at + 2..];
        }
        self.unescaped.push_str(rest);
        self.spans.push(Span { start: from as u32 | UNESCAPED, end: self.unescaped.len() as u32 });
        Ok(())
    }

    /// Finds the commas and line feeds outside quotes.
    fn index(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.separators.clear();
        let mut state = Scan { inside: 0, pending: 0 };
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        for (i, block) in blocks.iter().enumerate() {
            self.block(bytes, i * BLOCK, masks(block), &mut state)?;
        }
        if !tail.is_empty() {
            let mut block = [b' '; BLOCK];
            block[..tail.len()].copy_from_slice(tail);
            self.block(bytes, blocks.len() * BLOCK, masks(&block), &mut state)?;
        }
        Ok(())
    }

    #[inline]
    fn block(&mut self, bytes: &[u8], base: usize, found: Masks, state: &mut Scan) -> Result<(), Malformed> {
        let inside = parity(found.quotes) ^ state.inside;
        state.inside = ((inside as i64) >> 63) as u64;
        let mut separators = found.separators & !inside;
        let mut quotes = found.quotes;
        while separators != 0 {
            let i = separators.trailing_zeros();
            separators &= separators - 1;
            let at = base + i as usize;
            match bytes[at] {
                b',' | b'\n' => {
                    let before = quotes & ((1 << i) - 1);
                    quotes ^= before;
                    let mark = if before != 0 { QUOTED } else { state.pending };
                    state.pending = 0;
                    self.separators.push(at as u32 | mark);
                }
                // A carriage return is part of a line end or, where some readers would see a row's end, an error.
                b'\r' if bytes.get(at + 1) != Some(&b'\n') => return Err(Malformed),
                _ => {}
            }
        }
        if quotes != 0 {
            state.pending = QUOTED;
        }
        Ok(())
    }
}

/// What one block leaves for the next.
struct Scan {
    /// All ones inside quotes.
    inside: u64,
    /// `QUOTED` where quotes were seen since the last separator.
    pending: u32,
}
