//! Entries of the log whose content was erased: how the chain goes on through them, and how an erasure vouches for what is
//! left.
//!
//! An erased entry keeps the hash that it was written with, by which its neighbours hang together. What it reads now fits
//! that hash no more; instead a later entry, `erased`, names its number and a digest of what is left of it. That entry is
//! chained as any other, so that no content goes without it.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::chain::{Chain, Entry, link};
use super::chain_check::Found;
use super::database::parse_instant;
use super::error::Fault;
use crate::model::digest::Digest;
use crate::model::erasure::ToldErasure;

/// The kind of the entries that vouch for what is left.
pub(super) const ERASED: &str = "erased";

/// What is left of entries that one `erased` entry names at most.
const AN_ENTRY: usize = 500;

/// The digest of what is left of an entry: over the hash that it keeps and all its fields.
pub(super) fn left_of(found: &Found) -> Digest {
    let hash = <[u8; 32]>::try_from(found.hash.as_slice()).unwrap_or_default();
    let [at, kind, run, orders, who, error, detail] = &found.fields;
    Digest::from_bytes(&link(&hash, &[&found.seq.to_string(), at, kind, run, orders, who, error, detail]))
}

/// What erasures vouch for, and who made them.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    /// By number, the digest of what is left of an entry.
    pub(super) left: HashMap<i64, String>,
    /// First and last of entries that lie together and are vouched for as they read now, all in one.
    whole: Vec<(i64, i64)>,
    /// Run, name and SHA-256 of each file that an erasure rewrote.
    files: HashSet<[String; 3]>,
    /// Each erasure, the oldest first.
    pub(super) told: Vec<ToldErasure>,
}

impl Vouched {
    /// Reads all `erased` entries, the newest first: one counts where its own hash fits, or where one after it vouches for
    /// what is left of it. The newest word about an entry counts.
    pub(super) fn read(db: &Connection) -> Result<Self, Fault> {
        let mut statement = db.prepare(
            "SELECT l.seq, l.at, l.kind, l.run, l.orders, l.who, l.error, l.detail, l.hash,
               (SELECT p.hash FROM log p WHERE p.seq = l.seq - 1) FROM log l WHERE l.kind = ? ORDER BY l.seq DESC",
        )?;
        let mut rows = statement.query([ERASED])?;
        let (mut vouched, mut seen) = (Self::default(), HashSet::new());
        while let Some(row) = rows.next()? {
            let found = Found::of(row)?;
            let previous = row.get::<_, Option<Vec<u8>>>(9).ok().flatten().unwrap_or_else(|| vec![0; 32]);
            let is_written = <[u8; 32]>::try_from(previous.as_slice())
                .is_ok_and(|previous| found.hash_as(found.seq, &previous).as_slice() == found.hash);
            if !is_written && !vouched.vouches_for(&found) {
                continue;
            }
            let detail: Value = serde_json::from_str(&found.fields[6]).unwrap_or_default();
            let mut entries = 0;
            for left in detail["entries"].as_array().into_iter().flatten() {
                if let (Some(seq), Some(digest)) = (left["seq"].as_i64(), left["left"].as_str()) {
                    // Only what was there already can have been erased.
                    if seq < found.seq {
                        vouched.left.entry(seq).or_insert_with(|| digest.to_owned());
                        entries += 1;
                    }
                }
            }
            for range in ranges_in(&detail) {
                // The newest word about a range counts; it is of what was there already.
                if range.to < found.seq && seen.insert((range.from, range.to)) && range.is_as_left(db)? {
                    vouched.whole.push((range.from, range.to));
                }
            }
            entries += detail["counts"]["entries"].as_u64().filter(|_| !detail["entries"].is_array()).unwrap_or(0);
            for file in detail["files"].as_array().into_iter().flatten() {
                let part = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
                vouched.files.insert(["run", "file", "sha256"].map(part));
            }
            let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
            vouched.told.push(ToldErasure {
                at: parse_instant(&found.fields[0]).unwrap_or(DateTime::UNIX_EPOCH),
                who: found.fields[4].clone(),
                comment: text("comment"),
                name: text("name"),
                entries,
            });
        }
        vouched.told.reverse();
        Ok(vouched)
    }

    /// What is wrong with the list of rewritten files, where it names one that no erasure rewrote.
    pub(super) fn foreign_file(&self, db: &Connection) -> Result<Option<String>, Fault> {
        // Those of an erasure that is under way, its entry will name.
        let mut statement = db.prepare(
            "SELECT f.run, f.file, f.sha256 FROM erased_files f JOIN runs r ON r.id = f.run
             WHERE r.job NOT IN (SELECT job FROM erasures) ORDER BY f.run, f.file",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let file: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            if !self.files.contains(&file) {
                let [run, file, _] = file;
                return Ok(Some(format!(
                    "the list of files that erasures rewrote (erased_files) names {file} of run {run}, and no entry of the log does"
                )));
            }
        }
        Ok(None)
    }

    /// Whether an erasure vouches for an entry as it reads now.
    pub(super) fn vouches_for(&self, found: &Found) -> bool {
        let is_in = |(from, to): &(i64, i64)| (*from..=*to).contains(&found.seq);
        self.left.get(&found.seq).is_some_and(|left| left == left_of(found).as_str()) || self.whole.iter().any(is_in)
    }
}

/// What is left of an entry once it was changed: to be called in the transaction that changed it.
pub(super) fn left_in(tx: &Connection, seq: i64) -> Result<Digest, Fault> {
    let sql = "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log WHERE seq = ?";
    let found = tx.query_row(sql, [seq], Found::of)?;
    Ok(left_of(&found))
}

/// Entries that lie together, and the digest of what is left of all of them.
struct Range {
    from: i64,
    to: i64,
    left: String,
}

impl Range {
    fn is_as_left(&self, db: &Connection) -> Result<bool, Fault> {
        Ok(left_of_range(db, self.from, self.to)?.as_str() == self.left)
    }
}

/// The ranges that the detail of an `erased` entry vouches for.
fn ranges_in(detail: &Value) -> Vec<Range> {
    let range = |range: &Value| {
        let (from, to) = (range["from"].as_i64()?, range["to"].as_i64()?);
        Some(Range { from, to, left: range["left"].as_str()?.to_owned() })
    };
    detail["ranges"].as_array().into_iter().flatten().filter_map(range).collect()
}

/// The digest of what is left of all entries from one to another: over the digest of each.
fn left_of_range(db: &Connection, from: i64, to: i64) -> Result<Digest, Fault> {
    let sql =
        "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log WHERE seq BETWEEN ? AND ? ORDER BY seq";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([from, to])?;
    let mut hash = [0; 32];
    while let Some(row) = rows.next()? {
        hash = link(&hash, &[left_of(&Found::of(row)?).as_str()]);
    }
    Ok(Digest::from_bytes(&hash))
}

/// The ranges that were vouched for before and hold one of these entries, which changed since: they are vouched for anew.
fn ranges_about(tx: &Connection, redacted: &[i64]) -> Result<BTreeSet<(i64, i64)>, Fault> {
    let mut statement = tx.prepare("SELECT detail FROM log WHERE kind = ?")?;
    let details = statement.query_map([ERASED], |row| row.get::<_, String>(0))?;
    let mut about = BTreeSet::new();
    for detail in details.collect::<Result<Vec<_>, _>>()? {
        for Range { from, to, .. } in ranges_in(&serde_json::from_str(&detail).unwrap_or_default()) {
            if redacted.iter().any(|seq| (from..=to).contains(seq)) {
                about.insert((from, to));
            }
        }
    }
    Ok(about)
}

fn ranges_as_left(tx: &Connection, ranges: BTreeSet<(i64, i64)>) -> Result<Value, Fault> {
    let left = |(from, to)| Ok(json!({ "from": from, "to": to, "left": left_of_range(tx, from, to)? }));
    ranges.into_iter().map(left).collect::<Result<Vec<Value>, Fault>>().map(Value::Array)
}

/// Appends one entry that vouches for many redacted ones, from the first to the last of them and all between.
pub(super) fn vouch_for_range(
    tx: &Connection,
    log: &mut Chain,
    redacted: &mut [i64],
    said: &Value,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    redacted.sort_unstable();
    let (Some(first), Some(last)) = (redacted.first(), redacted.last()) else { return Ok(()) };
    let mut ranges = ranges_about(tx, redacted)?;
    // What lies within the new range needs no word of its own.
    ranges.retain(|(from, to)| from < first || to > last);
    ranges.insert((*first, *last));
    let mut detail = said.clone();
    detail["ranges"] = ranges_as_left(tx, ranges)?;
    log.append(tx, &Entry::new(at, ERASED, None, detail).by("retention"))
}

/// Gives an entry another detail, which its hash does not fit any more.
pub(super) fn redact(tx: &Connection, seq: i64, detail: &str) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE log SET detail = ? WHERE seq = ?")?.execute(params![detail, seq])?;
    Ok(())
}

/// Appends what vouches for redacted entries, with what else there is to say of the erasure: in several entries where they
/// are many.
pub(super) fn vouch(
    tx: &Connection,
    log: &mut Chain,
    redacted: &[i64],
    said: &Value,
    who: &str,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut parts: Vec<&[i64]> = redacted.chunks(AN_ENTRY).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    for part in parts {
        let mut entries = Vec::with_capacity(part.len());
        for seq in part {
            entries.push(json!({ "seq": seq, "left": left_in(tx, *seq)? }));
        }
        let mut detail = said.clone();
        detail["entries"] = Value::Array(entries);
        let ranges = ranges_about(tx, part)?;
        if !ranges.is_empty() {
            detail["ranges"] = ranges_as_left(tx, ranges)?;
        }
        log.append(tx, &Entry::new(at, ERASED, None, detail).by(who))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::database::Store;
    use crate::store::layout::Layout;

    #[test]
    fn a_range_is_vouched_for_as_a_whole_and_anew_when_more_of_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let now = DateTime::UNIX_EPOCH;
        let mut store = Store::open(&Layout::new(dir.path()), now).unwrap();
        for text in ["two", "three", "four", "five", "six"] {
            store.note(None, "jane", text, false, now).unwrap();
        }
        let erase = |store: &mut Store, seqs: &[i64], as_range: bool| {
            let said = json!({ "name": "x", "comment": "", "counts": { "entries": seqs.len() } });
            store
                .write(|tx, log| {
                    seqs.iter().try_for_each(|seq| redact(tx, *seq, "{}"))?;
                    match as_range {
                        true => vouch_for_range(tx, log, &mut seqs.to_vec(), &said, now),
                        false => vouch(tx, log, seqs, &said, "jane", now),
                    }
                })
                .unwrap();
        };
        let erased = |store: &Store| store.whole_log().unwrap().map(|whole| (whole.erased, whole.erasures.len()));
        erase(&mut store, &[2, 3, 5], true);
        assert_eq!(erased(&store), Ok((3, 1)));
        // One by one within the range, and over its end.
        erase(&mut store, &[4], false);
        assert_eq!(erased(&store), Ok((4, 2)));
        erase(&mut store, &[6], true);
        assert_eq!(erased(&store), Ok((5, 3)));
        let broken = |sql: &str| {
            store.connection().execute_batch(&format!("CREATE TEMP TABLE kept AS SELECT * FROM log; {sql}")).unwrap();
            let at = store.whole_log().unwrap().unwrap_err().seq;
            let back = "DELETE FROM log; INSERT INTO log SELECT * FROM kept; DROP TABLE kept";
            store.connection().execute_batch(back).unwrap();
            at
        };
        assert_eq!(
            broken("UPDATE log SET detail = '{\"text\":\"lie\"}' WHERE seq = 3"),
            2,
            "nobody vouches for the range"
        );
        assert_eq!(broken("UPDATE log SET detail = '{\"text\":\"lie\"}' WHERE seq = 6"), 6);
        assert_eq!(broken("DELETE FROM log WHERE seq = 4"), 2);
    }
}
