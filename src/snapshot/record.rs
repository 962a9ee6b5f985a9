//! From a text that begins at a record to rows of cells: nothing is copied, and nothing is done for a plain cell but to
//! note where it ends.
//!
//! One sweep over the text notes every separator, and checks all quotes by arithmetic on whole blocks: a quote opens
//! only behind a separator or, doubled, behind a closing one; behind a closing one comes only a separator, a line end
//! or its double.

use std::cell::OnceCell;

use super::mask::{BLOCK, Masks, Sweep, Twin};
use super::row::{Place, Row, Unescaped};

/// Rows of more bytes are refused: a quote left open would otherwise swallow the rest of a file.
pub(super) const RECORD_LIMIT: u64 = (16 << 20) - 1;

/// Buffers for one text at a time, used again for the next. The lists have room for the worst text, so that nothing has
/// to ask; memory that is never written to is never used.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Where the commas and line feeds outside quotes are.
    separators: Vec<u32>,
    /// Cells with quotes, each as the position in `separators` of what ends it; `NEEDED` is set in those that are seen
    /// to need their quotes.
    quoted: Vec<u32>,
    /// The same for doubled quotes inside quotes; a cell is there once for each.
    doubled: Vec<u32>,
    unescaped: Unescaped,
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
    /// What finds the separators.
    pub(super) twin: Twin,
    /// Bytes to read at once.
    pub(super) read: usize,
}

impl Fields {
    /// Calls `each` for every whole record of `text`, which begins at a record and ends with a line feed. Empty lines
    /// are no rows.
    pub(super) fn rows(
        &mut self,
        text: &str,
        at: Extent,
        each: &mut impl FnMut(&Row<'_>),
    ) -> Result<Progress, Malformed> {
        let bytes = text.as_bytes();
        let found = self.index(bytes, at.twin)?;
        let Self { separators, quoted, doubled, unescaped } = self;
        let (separators, lines) = (&separators[..found.count], found.lines);
        let (mut quoted, mut doubled) = (&quoted[..found.quoted], &doubled[..found.doubled]);
        // There are as many line feeds as there are records of the right width that end with one: then no other cell
        // does, and no record has to be looked through for its end.
        let is_even = separators.len() >= lines * at.columns
            && separators[..lines * at.columns]
                .chunks_exact(at.columns)
                .all(|cells| cells.last().is_some_and(|end| bytes[*end as usize] == b'\n'));
        let brackets = OnceCell::new();
        let mut begin = 0; // of the record
        let mut first = 0; // of its separators
        for _ in 0..lines {
            let width = if is_even { at.columns } else { width(bytes, &separators[first..]) };
            let Some((end, cells)) = separators[first..first + width].split_last() else { return Err(Malformed) };
            let end = *end as usize;
            let offset = at.offset + begin as u64;
            if offset >= at.limit {
                return Ok(Progress { consumed: begin, done: true });
            }
            let content = if end > begin && bytes[end - 1] == b'\r' { end - 1 } else { end };
            let quoted = split_below(&mut quoted, first + width);
            if content > begin {
                let length = (at.offset + end as u64 + 1).min(at.length) - offset;
                if width != at.columns || length > RECORD_LIMIT {
                    return Err(Malformed);
                }
                let mut row = Row {
                    text,
                    unescaped: Unescaped::none(),
                    brackets: &brackets,
                    separators: cells,
                    record: (begin as u32, content as u32),
                    quoted,
                    first: first as u32,
                    place: Place { offset, length: length as u32 },
                };
                if !doubled.is_empty() {
                    let doubled = split_below(&mut doubled, first + width);
                    if !doubled.is_empty() {
                        unescaped.fill(&row, doubled);
                        row.unescaped = unescaped;
                    }
                }
                each(&row);
            }
            (begin, first) = (end + 1, first + width);
        }
        Ok(Progress { consumed: begin, done: at.offset + begin as u64 >= at.limit })
    }

    /// Finds the separators and the cells with quotes.
    fn index(&mut self, bytes: &[u8], twin: Twin) -> Result<State, Malformed> {
        let room = bytes.len() + BLOCK;
        if self.separators.len() < room {
            // Texts of one file differ a little in their length: none of them but the first should find too little.
            let room = if room > STEP { room.next_multiple_of(STEP) } else { room.next_power_of_two() };
            for list in [&mut self.separators, &mut self.quoted, &mut self.doubled] {
                *list = vec![0; room];
            }
        }
        let Self { separators, quoted, doubled, .. } = self;
        let state = twin.sweep(bytes, &mut Index { separators, quoted, doubled });
        if state.wrong == 0 { Ok(state) } else { Err(Malformed) }
    }
}

/// How many cells there are up to the first line feed.
#[cold]
fn width(bytes: &[u8], separators: &[u32]) -> usize {
    separators.iter().position(|end| bytes[*end as usize] == b'\n').map_or(0, |last| last + 1)
}

/// Takes what is below a limit from the front of a sorted list.
#[inline]
fn split_below<'a>(list: &mut &'a [u32], limit: usize) -> &'a [u32] {
    let count = list.iter().take_while(|at| ((**at & !NEEDED) as usize) < limit).count();
    let (below, rest) = list.split_at(count);
    *list = rest;
    below
}

/// The sweep over a text.
struct Index<'a> {
    separators: &'a mut [u32],
    quoted: &'a mut [u32],
    doubled: &'a mut [u32],
}

/// What the sweep leaves behind a block.
struct State {
    /// Cells with quotes found.
    quoted: usize,
    /// Doubled quotes found.
    doubled: usize,
    /// Separators found.
    count: usize,
    /// Line feeds among them.
    lines: usize,
    /// All ones inside quotes.
    inside: u64,
    /// 1 where the byte before was a closing quote.
    behind_closing: u64,
    /// 1 where a quote may open a cell, or double the one before.
    may_open: u64,
    /// 1 where the byte before was a carriage return outside quotes.
    behind_return: u64,
    /// Not zero once something was found that is not CSV.
    wrong: u64,
}

impl Default for State {
    /// A text begins at a record, where a quote may open a cell.
    fn default() -> Self {
        Self {
            quoted: 0,
            doubled: 0,
            count: 0,
            lines: 0,
            inside: 0,
            behind_closing: 0,
            may_open: 1,
            behind_return: 0,
            wrong: 0,
        }
    }
}

impl Sweep for Index<'_> {
    type State = State;

    #[inline(always)]
    fn block(&mut self, state: &mut State, base: usize, masks: Masks, note: impl Fn(u64, u32, &mut [u32; BLOCK])) {
        // Where no quote is in sight, all that could open a cell is the next block's first byte.
        let is_plain = masks.quotes | state.inside | state.behind_closing == 0;
        let (mut found, mut lines, mut returns) = (masks.commas | masks.lines, masks.lines, masks.returns);
        let (mut opening, mut closing, mut behind_closing) = (0, 0, 0);
        if is_plain {
            state.may_open = found >> 63;
        } else {
            let inside = masks.parity ^ state.inside;
            state.inside = ((inside as i64) >> 63) as u64;
            (found, lines, returns) = (found & !inside, lines & !inside, returns & !inside);
            closing = masks.quotes & !inside;
            opening = masks.quotes & inside;
            behind_closing = closing << 1 | state.behind_closing;
            let may_open = (found | closing) << 1 | state.may_open;
            state.wrong |= behind_closing & !(found | opening | returns) | opening & !may_open;
            state.behind_closing = closing >> 63;
            state.may_open = (found | closing) >> 63;
        }
        // A carriage return is part of a line end or, where some readers would see a row's end, an error.
        state.wrong |= (returns << 1 | state.behind_return) & !lines | masks.nuls;
        state.behind_return = returns >> 63;

        let Some(out) = self.separators.get_mut(state.count..).and_then(|out| out.first_chunk_mut::<BLOCK>()) else {
            state.wrong = 1; // There is room for every byte.
            return;
        };
        note(found, base as u32, out);
        let mut marks = opening;
        while marks != 0 {
            let bit = marks & marks.wrapping_neg();
            let cell = (state.count + (found & (bit - 1)).count_ones() as usize) as u32;
            if bit & behind_closing == 0 {
                // What lies between the quotes, where the second one is in this block too.
                let end = closing & bit.wrapping_neg();
                let between = (end & end.wrapping_neg()).wrapping_sub(1) & bit.wrapping_neg();
                let structure = (masks.commas | masks.lines | masks.returns) & between;
                let is_needed = end != 0 && structure != 0;
                push(self.quoted, &mut state.quoted, if is_needed { cell | NEEDED } else { cell });
            } else {
                push(self.doubled, &mut state.doubled, cell);
            }
            marks ^= bit;
        }
        state.count += found.count_ones() as usize;
        state.lines += lines.count_ones() as usize;
    }
}

/// Adds to a list that has room.
#[inline(always)]
fn push(list: &mut [u32], count: &mut usize, value: u32) {
    if let Some(place) = list.get_mut(*count) {
        *place = value;
        *count += 1;
    }
}

/// Marks a cell whose quotes have a comma or a line end between them. Texts are far too short to have so many cells.
pub(super) const NEEDED: u32 = 1 << 31;

/// Longer lists than this grow by as many.
const STEP: usize = 64 << 10;
