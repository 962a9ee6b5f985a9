//! All orders of a plan in little memory: what they are found and sorted by, and where each stands in its file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::workers::in_parts;
use crate::model::digest::Digest;
use crate::model::order::{Change, Operation, Order, OrderId};
use crate::model::resource::ResourceName;
use crate::model::situation::{Cause, Situation};

/// Bytes of the file that are read at once.
const BLOCK: usize = 4 << 20;

/// Bytes of text that one order is found by; what an endless value holds beyond is not found.
const LONGEST: usize = 4096;

/// Stands between two texts of one order.
const BETWEEN: char = '\u{1f}';

/// Stands between two orders.
const END: char = '\n';

/// What an order does, to what, and for which sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) operation: Operation,
    pub(super) resource: ResourceName,
    /// The sync's place in the job file.
    pub(super) sync: usize,
}

/// One order, as far as it is found and counted by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    at: u64,
    length: u32,
    /// Of the line, under a seed that nobody else knows: what is shown later is what was verified.
    check: u64,
    text: u64,
    text_length: u32,
    key_length: u32,
    fingerprint: u64,
    raised: u32,
    /// Its place in [`Index::kinds`].
    pub(super) kind: u16,
    pub(super) situation: Situation,
    pub(super) cause: Cause,
    pub(super) is_irreversible: bool,
    pub(super) is_rename: bool,
    pub(super) is_unsure: bool,
    pub(super) takes_along: bool,
}

impl Entry {
    /// The order's id.
    pub(super) fn id(&self) -> OrderId {
        OrderId(format!("o-{:016x}-{}", self.fingerprint, self.raised))
    }
}

/// The orders of a plan, in its sequence.
pub(super) struct Index {
    path: PathBuf,
    file: File,
    seed: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) kinds: Vec<Kind>,
    pub(super) tally: Tally,
    text: String,
    by_key: OnceLock<Vec<u32>>,
}

/// How many orders there are of what.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By the place in [`Index::kinds`].
    pub(super) kinds: Vec<u64>,
    pub(super) causes: BTreeMap<Cause, u64>,
    pub(super) irreversible: u64,
    pub(super) renames: u64,
    pub(super) unsure: u64,
    pub(super) takes_along: u64,
}

/// What one worker made of a block.
struct Part {
    entries: Vec<Entry>,
    kinds: Vec<Kind>,
    text: String,
}

impl Index {
    /// Reads all orders of a file, and makes sure that it is the one with this digest and of so many. `progress` hears how many bytes were
    /// read.
    ///
    /// # Errors
    /// Where the file cannot be read, holds something else than orders, or is not the one.
    pub(super) fn read(
        path: &Path,
        (digest, orders): (&Digest, u64),
        seed: u64,
        progress: impl Fn(u64),
    ) -> Result<Self, IndexError> {
        let file = File::open(path).map_err(IndexError::Read)?;
        let size = file.metadata().map_or(0, |file| file.len());
        let mut blocks = Blocks { file: &file, hasher: Sha256::new(), rest: Vec::new(), at: 0, is_done: false };
        let mut index = Self {
            path: path.to_owned(),
            file: file.try_clone().map_err(IndexError::Read)?,
            seed,
            // What is never written to takes no memory; what grows is copied. No line is shorter than 128 bytes.
            entries: Vec::with_capacity(orders.min(size / 128) as usize),
            kinds: Vec::new(),
            tally: Tally::default(),
            text: String::with_capacity((size / 3) as usize),
            by_key: OnceLock::new(),
        };
        in_parts(
            || {
                let block = blocks.next().transpose().map_err(IndexError::Read);
                progress(blocks.at);
                block
            },
            |(at, block)| Part::of(at, &block, seed),
            |part| index.add(part),
        )?;
        let found = Digest::from_bytes(&blocks.hasher.finalize());
        if found != *digest || index.entries.len() as u64 != orders {
            return Err(IndexError::Changed { found });
        }
        index.text.shrink_to_fit();
        index.entries.shrink_to_fit();
        index.tally = index.counted();
        Ok(index)
    }

    fn counted(&self) -> Tally {
        let mut tally = Tally { kinds: vec![0; self.kinds.len()], ..Tally::default() };
        for entry in &self.entries {
            tally.kinds[usize::from(entry.kind)] += 1;
            *tally.causes.entry(entry.cause).or_default() += 1;
            tally.irreversible += u64::from(entry.is_irreversible);
            tally.renames += u64::from(entry.is_rename);
            tally.unsure += u64::from(entry.is_unsure);
            tally.takes_along += u64::from(entry.takes_along);
        }
        tally
    }

    fn add(&mut self, part: Part) -> Result<(), IndexError> {
        let mut kinds = Vec::with_capacity(part.kinds.len());
        for kind in part.kinds {
            kinds.push(place(&mut self.kinds, kind)?);
        }
        let before = self.text.len() as u64;
        self.text.push_str(&part.text);
        self.entries.extend(part.entries.into_iter().map(|entry| Entry {
            text: entry.text + before,
            kind: kinds[usize::from(entry.kind)],
            ..entry
        }));
        Ok(())
    }

    /// The order at a place, whole.
    ///
    /// # Errors
    /// Where the file cannot be read any more, or is not what it was.
    pub(super) fn order(&self, place: u32) -> Result<Order, IndexError> {
        let entry = self.entries.get(place as usize).ok_or(IndexError::None)?;
        let mut line = vec![0; entry.length as usize];
        self.file.read_exact_at(&mut line, entry.at).map_err(IndexError::Read)?;
        if xxh3_64_with_seed(&line, self.seed) != entry.check {
            return Err(IndexError::Edited { path: self.path.clone(), order: entry.id() });
        }
        serde_json::from_slice(&line).map_err(|_| IndexError::NoOrder { line: u64::from(place) + 1 })
    }

    /// The place of an order.
    pub(super) fn place_of(&self, id: &OrderId) -> Option<u32> {
        let (fingerprint, raised) = numbers(id)?;
        let found = self.entries.iter().position(|e| e.fingerprint == fingerprint && e.raised == raised)?;
        Some(found as u32)
    }

    /// What an order is found by, in lower case.
    pub(super) fn text_of(&self, entry: &Entry) -> &str {
        let from = entry.text as usize;
        self.text.get(from..from + entry.text_length as usize).unwrap_or_default()
    }

    /// The text of all orders.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The place of the order whose text this byte belongs to; it is none before `from`, and mostly near to it.
    pub(super) fn owner_of(&self, byte: usize, from: usize) -> usize {
        let begins = |place: usize| self.entries[place].text <= byte as u64;
        let (mut low, mut step) = (from, 1);
        while low + step < self.entries.len() && begins(low + step) {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.entries.len());
        low + self.entries[low..high].partition_point(|entry| entry.text <= byte as u64).saturating_sub(1)
    }

    /// Where the text of an order begins.
    pub(super) fn text_begins(&self, place: usize) -> usize {
        self.entries.get(place).map_or(self.text.len(), |entry| entry.text as usize)
    }

    /// The rank of each order by its key; made when it is asked for first.
    pub(super) fn by_key(&self) -> &[u32] {
        self.by_key.get_or_init(|| {
            let key = |place: &u32| {
                let entry = &self.entries[*place as usize];
                &self.text.as_bytes()[entry.text as usize..][..entry.key_length as usize]
            };
            let mut places: Vec<u32> = (0..self.entries.len() as u32).collect();
            places.sort_by(|a, b| key(a).cmp(key(b)));
            let mut ranks = vec![0; places.len()];
            for (rank, place) in places.into_iter().enumerate() {
                ranks[place as usize] = rank as u32;
            }
            ranks
        })
    }
}

impl Part {
    fn of(at: u64, block: &[u8], seed: u64) -> Result<Self, IndexError> {
        let mut part = Self { entries: Vec::new(), kinds: Vec::new(), text: String::new() };
        let mut begins = 0;
        for line in block.split_inclusive(|byte| *byte == b'\n') {
            let from = at + begins as u64;
            begins += line.len();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let unread = || IndexError::Unread { at: from };
            let order: Order = serde_json::from_slice(line).map_err(|_| unread())?;
            let (fingerprint, raised) = numbers(&order.id).ok_or_else(unread)?;
            let text = part.text.len();
            let key_length = found_by(&order, &mut part.text);
            let kind = Kind { operation: order.operation, resource: order.resource, sync: order.sync };
            part.entries.push(Entry {
                at: from,
                length: line.len() as u32,
                check: xxh3_64_with_seed(line, seed),
                text: text as u64,
                text_length: (part.text.len() - text) as u32,
                key_length: key_length as u32,
                fingerprint,
                raised,
                kind: place(&mut part.kinds, kind)?,
                situation: order.situation,
                cause: order.cause,
                is_irreversible: order.irreversible.is_some(),
                is_rename: order.renamed_from.is_some(),
                is_unsure: order.confidence < 100,
                takes_along: !order.takes_along.is_empty(),
            });
            part.text.push(END);
        }
        Ok(part)
    }
}

/// Writes what an order is found by; gives the length of its key.
fn found_by(order: &Order, text: &mut String) -> usize {
    let from = text.len();
    plain(&order.key, text);
    let key_length = text.len() - from;
    let mut add = |part: &str| {
        if !part.is_empty() && text.len() - from < LONGEST {
            text.push(BETWEEN);
            plain(part, text);
        }
    };
    add(&order.name);
    add(&order.id.0);
    [&order.renamed_from, &order.target_id].into_iter().flatten().for_each(|part| add(part));
    order.source_key.iter().filter(|key| **key != order.key).for_each(|part| add(part));
    order.changes.iter().for_each(|change| add(&changed(change)));
    order.ends.iter().for_each(|end| add(&end.label));
    // Whoever looks for an order finds what needs it too.
    order.needs().for_each(|id| add(&id.0));
    add(&order.reason);
    order.takes_along.iter().chain(&order.irreversible).for_each(|part| add(part));
    key_length
}

/// A change as it is looked for: `title nurse → head nurse`.
fn changed(change: &Change) -> String {
    let mut text = change.attribute.rsplit(':').next().unwrap_or_default().to_owned();
    for (sign, value) in [(" ", &change.before), (if change.before.is_some() { " → " } else { " " }, &change.after)] {
        if let Some(value) = value {
            text.push_str(sign);
            text.push_str(&value.to_string());
        }
    }
    text
}

/// A text as it is looked for: in lower case, with blanks for what cannot be typed.
pub(super) fn plain(text: &str, to: &mut String) {
    let from = to.len();
    if text.len() < LONGEST && text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        to.push_str(text);
        to[from..].make_ascii_lowercase();
        return;
    }
    for c in text.chars() {
        if to.len() - from > LONGEST {
            break;
        }
        match c {
            'A'..='Z' => to.push(c.to_ascii_lowercase()),
            _ if c.is_control() => to.push(' '),
            _ if c.is_ascii() => to.push(c),
            _ => to.extend(c.to_lowercase()),
        }
    }
}

fn numbers(id: &OrderId) -> Option<(u64, u32)> {
    let (fingerprint, raised) = id.0.strip_prefix("o-")?.split_once('-')?;
    let number = u64::from_str_radix(fingerprint, 16).ok().filter(|_| fingerprint.len() == 16)?;
    Some((number, raised.parse().ok()?))
}

fn place(kinds: &mut Vec<Kind>, kind: Kind) -> Result<u16, IndexError> {
    let found = kinds.iter().position(|known| *known == kind);
    let place = found.unwrap_or_else(|| {
        kinds.push(kind);
        kinds.len() - 1
    });
    u16::try_from(place).map_err(|_| IndexError::None)
}

/// A file, in blocks of whole lines.
struct Blocks<'f> {
    file: &'f File,
    hasher: Sha256,
    rest: Vec<u8>,
    at: u64,
    is_done: bool,
}

impl Iterator for Blocks<'_> {
    type Item = io::Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut block = std::mem::take(&mut self.rest);
        while !self.is_done {
            let before = block.len();
            block.resize(before + BLOCK, 0);
            let read = match self.file.read(&mut block[before..]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Some(Err(error)),
            };
            block.truncate(before + read);
            self.is_done = read == 0;
            self.hasher.update(&block[before..]);
            if let Some(end) = memchr::memrchr(b'\n', &block) {
                self.rest = block.split_off(end + 1);
                break;
            }
        }
        let at = self.at;
        self.at += block.len() as u64;
        (!block.is_empty()).then_some(Ok((at, block)))
    }
}

/// Why orders cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error("orders.ndjson cannot be read: {0}; put the run's folder back as it was")]
    Read(io::Error),
    #[error("orders.ndjson has SHA-256 {}", .found.short())]
    Changed { found: Digest },
    #[error("{}: order {order} is not what it was when this page was opened; nothing of it is shown: look who writes there, then open the page anew", .path.display())]
    Edited { path: PathBuf, order: OrderId },
    #[error("orders.ndjson, byte {at}: no order stands there")]
    Unread { at: u64 },
    #[error("orders.ndjson, line {line}: no order stands there")]
    NoOrder { line: u64 },
    #[error("there is no such order in this plan")]
    None,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn text_is_looked_for_as_people_type_it() {
        let mut text = String::new();
        plain("Ünal\u{1f}O'BRIEN\n\u{202e}x", &mut text);
        assert_eq!(text, "ünal o'brien \u{202e}x");
        assert_eq!(numbers(&OrderId("o-00ff00ff00ff00ff-12".to_owned())), Some((0x00ff_00ff_00ff_00ff, 12)));
        assert_eq!(numbers(&OrderId("o-ff-1".to_owned())), None);
    }
}
