//! Whether the log is as it was written: which entry was changed, removed, moved or put in.

use std::collections::{BTreeSet, HashMap};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::chain::{Chain, link};
use super::chain_erased::Vouched;
use super::database::Store;
use super::error::{Fault, StoreError};
use crate::model::erasure::ToldErasure;
use crate::model::numbers::{count, counted};

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log is broken at entry {seq}: {what}; {}it and later ones prove nothing; compare muster.db with a backup, and see who may write it",
    whole(*before)
)]
pub struct ChainBreak {
    /// The entry, from 1.
    pub seq: i64,
    /// What is wrong there.
    pub what: String,
    /// Entries that are whole.
    pub before: i64,
}

/// What is to be said of the entries before a break.
fn whole(before: i64) -> String {
    match before {
        ..=0 => String::new(),
        1 => "the one before it is as it was written, ".to_owned(),
        some => format!("the {} before it are as they were written, ", count(some as u64)),
    }
}

/// A log that is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeLog {
    /// Its entries.
    pub entries: u64,
    /// Those whose content was erased: their hashes link their neighbours, and an erasure vouches for what is left.
    pub erased: u64,
    /// The erasures, the oldest first.
    pub erasures: Vec<ToldErasure>,
}

/// An entry as it lies there.
pub(super) struct Found {
    pub(super) seq: i64,
    pub(super) fields: [String; 7],
    pub(super) hash: Vec<u8>,
}

impl Found {
    pub(super) fn of(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        // What is of another type than muster writes was altered: as it reads, no hash fits it.
        let text = |i: usize| {
            Ok::<_, rusqlite::Error>(match row.get_ref(i)? {
                ValueRef::Null => String::new(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Integer(number) if i == 6 => number.to_string(),
                ValueRef::Integer(number) => format!("the number {number}"),
                ValueRef::Real(number) => format!("the number {number}"),
                ValueRef::Blob(bytes) => format!("{} of no text", counted(bytes.len() as u64, "byte")),
            })
        };
        let hash = match row.get_ref(8)? {
            ValueRef::Blob(hash) => hash.to_vec(),
            _ => Vec::new(),
        };
        let fields = [text(1)?, text(2)?, text(3)?, text(4)?, text(5)?, text(6)?, text(7)?];
        Ok(Self { seq: row.get(0)?, fields, hash })
    }

    /// The hash that it had to have as number `seq` after an entry with the hash `previous`.
    pub(super) fn hash_as(&self, seq: i64, previous: &[u8; 32]) -> [u8; 32] {
        let [at, kind, run, orders, who, error, detail] = &self.fields;
        link(previous, &[&seq.to_string(), at, kind, run, orders, who, error, detail])
    }

    /// What it says that it is.
    fn name(&self) -> String {
        let [at, kind, run, _, who, ..] = &self.fields;
        let run = if run.is_empty() { String::new() } else { format!(", run {run}") };
        let who = if who.is_empty() { String::new() } else { format!(", by {who}") };
        format!("`{kind}` of {}{run}{who}", at.get(..19).unwrap_or(at))
    }
}

const ENTRIES: &str = "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log ORDER BY seq";

impl Store {
    /// Recomputes the whole chain; the number of its entries, or the first break.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify_log(&self) -> Result<Result<u64, ChainBreak>, StoreError> {
        Ok(self.whole_log()?.map(|whole| whole.entries))
    }

    /// The same, with what was erased of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn whole_log(&self) -> Result<Result<WholeLog, ChainBreak>, StoreError> {
        self.read(check)
    }
}

fn check(db: &Connection) -> Result<Result<WholeLog, ChainBreak>, Fault> {
    let head = Chain::open(db)?;
    let vouched = Vouched::read(db)?;
    let mut erased = 0;
    let named = orders_named(db)?;
    let mut statement = db.prepare(ENTRIES)?;
    let mut rows = statement.query([])?;
    let (mut seq, mut hash) = (0_i64, [0_u8; 32]);
    while let Some(row) = rows.next()? {
        let found = Found::of(row)?;
        let broken = |at: i64, what: String| Ok(Err(ChainBreak { seq: at, what, before: seq }));
        if found.seq <= 0 {
            return broken(found.seq, format!("{} was put in front of the first one", found.name()));
        }
        if found.seq != seq + 1 {
            let gone = removed(seq + 1, found.seq - 1);
            return broken(seq + 1, format!("{gone} removed; the next that is there is entry {}", found.seq));
        }
        if found.seq > head.seq {
            let what = format!("{} was put in; the last that muster wrote is entry {}", found.name(), head.seq);
            return broken(found.seq, what);
        }
        let expected = found.hash_as(found.seq, &hash);
        let is_written = found.hash == expected;
        let is_erased = !is_written && vouched.vouches_for(&found);
        if !is_written && !is_erased {
            let what = match moved_from(db, &found)? {
                Some(from) => {
                    format!("{} stands there, which was written as entry {from}: entries were moved", found.name())
                }
                None => format!(
                    "it reads {} now; that, or an entry put in or removed before it, is not what was written",
                    found.name()
                ),
            };
            return broken(found.seq, what);
        }
        let told: BTreeSet<&str> = found.fields[3].split(' ').filter(|id| !id.is_empty()).collect();
        if told.len() != named.get(&found.seq).copied().unwrap_or(0) {
            let what = "the list by which its orders are looked up (log_orders) was altered, the entry itself was not";
            return broken(found.seq, what.to_owned());
        }
        (seq, hash) = (found.seq, if is_erased { kept(&found) } else { expected });
        erased += u64::from(is_erased);
    }
    if head.seq != seq {
        let what = format!("{} removed, at the end of the log", removed(seq + 1, head.seq));
        return Ok(Err(ChainBreak { seq: seq + 1, what, before: seq }));
    }
    if let Some(beyond) = named.keys().filter(|named| **named > seq || **named < 1).min() {
        let what = format!(
            "the list by which orders are looked up (log_orders) names entry {beyond}, which is not there: the end of the log was cut off, or the list was altered"
        );
        return Ok(Err(ChainBreak { seq: seq + 1, what, before: seq }));
    }
    if head.hash != hash {
        let what = "the head of the log (log_head) names another last entry".to_owned();
        return Ok(Err(ChainBreak { seq, what, before: (seq - 1).max(0) }));
    }
    if let Some(what) = vouched.foreign_file(db)? {
        return Ok(Err(ChainBreak { seq, what, before: (seq - 1).max(0) }));
    }
    Ok(Ok(WholeLog { entries: seq as u64, erased, erasures: vouched.told }))
}

/// The hash that an erased entry keeps. One of another length, nothing vouches for.
fn kept(found: &Found) -> [u8; 32] {
    <[u8; 32]>::try_from(found.hash.as_slice()).unwrap_or_default()
}

/// The entries that are not there, as a sentence about the first of them.
fn removed(first: i64, last: i64) -> String {
    if first == last { "it was".to_owned() } else { format!("it and those up to entry {last} were") }
}

/// How many orders are looked up by each entry.
fn orders_named(db: &Connection) -> Result<HashMap<i64, usize>, Fault> {
    let mut statement = db.prepare("SELECT seq, count(*) FROM log_orders GROUP BY seq")?;
    let counted = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?;
    Ok(counted.collect::<Result<_, _>>()?)
}

/// The number under which an entry was written that stands elsewhere now, where the one before that is still there.
fn moved_from(db: &Connection, moved: &Found) -> Result<Option<i64>, Fault> {
    let mut statement = db.prepare("SELECT hash FROM log ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut position, mut previous) = (1_i64, [0_u8; 32]);
    loop {
        // An entry that was swapped with its neighbour follows a hash that stands elsewhere too: both are tried.
        for written in [position - 1, position, position + 1] {
            if written > 0 && written != moved.seq && moved.hash == moved.hash_as(written, &previous) {
                return Ok(Some(written));
            }
        }
        let Some(row) = rows.next()? else { return Ok(None) };
        match <[u8; 32]>::try_from(row.get::<_, Vec<u8>>(0)?) {
            Ok(hash) => previous = hash,
            Err(_) => return Ok(None),
        }
        position += 1;
    }
}
