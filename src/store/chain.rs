//! The hash-chained log: everything that happened, each entry sealed by a hash over the one before it.
//!
//! A change, a removal or an insertion anywhere breaks the chain from there on. Someone who may write the database
//! can compute a whole new chain: a head that was kept elsewhere (`log --verify` prints it) and that the chain does not
//! pass through is proof of a rewrite.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::database::{Store, instant, stamp, values_in_common};
use super::error::{Fault, StoreError};
use crate::model::digest::Digest;
use crate::model::order::OrderId;
use crate::model::record::LogEntry;
use crate::model::run::RunId;

/// Orders of one entry at most; more are told in several entries.
pub(super) const ORDERS_AN_ENTRY: usize = 500;

/// Rows that one statement writes.
const ROWS_AT_ONCE: usize = 100;

/// Something to be logged.
pub(super) struct Entry<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) kind: &'static str,
    pub(super) run: Option<&'a RunId>,
    pub(super) who: &'a str,
    pub(super) error: bool,
    pub(super) detail: serde_json::Value,
}

impl<'a> Entry<'a> {
    /// An entry that is no error and has nobody behind it.
    pub(super) fn new(
        at: DateTime<Utc>,
        kind: &'static str,
        run: Option<&'a RunId>,
        detail: serde_json::Value,
    ) -> Self {
        Self { at, kind, run, who: "", error: false, detail }
    }

    /// The same, caused by somebody.
    pub(super) fn by(self, who: &'a str) -> Self {
        Self { who, ..self }
    }
}

/// The end of the chain, while a transaction appends to it.
pub(super) struct Chain {
    seq: i64,
    hash: [u8; 32],
}

impl Chain {
    /// Reads the end of the chain; the transaction must hold the write lock already.
    pub(super) fn open(tx: &Connection) -> Result<Self, Fault> {
        let (seq, hash): (i64, Vec<u8>) =
            tx.query_row("SELECT seq, hash FROM log_head", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let hash = hash.try_into().map_err(|_| Fault::Row("the head of the log has no hash of 32 bytes".into()))?;
        Ok(Self { seq, hash })
    }

    /// Appends an entry that concerns no order.
    pub(super) fn append(&mut self, tx: &Connection, entry: &Entry<'_>) -> Result<(), Fault> {
        self.write(tx, entry, &[])
    }

    /// Appends one entry about orders (row number and id); many of them as several entries.
    pub(super) fn append_orders(
        &mut self,
        tx: &Connection,
        entry: &Entry<'_>,
        orders: &[(i64, OrderId)],
    ) -> Result<(), Fault> {
        orders.chunks(ORDERS_AN_ENTRY).try_for_each(|orders| self.write(tx, entry, orders))
    }

    fn write(&mut self, tx: &Connection, entry: &Entry<'_>, orders: &[(i64, OrderId)]) -> Result<(), Fault> {
        let at = stamp(entry.at);
        let detail = entry.detail.to_string();
        let ids = orders.iter().map(|(_, id)| id.0.as_str()).collect::<Vec<_>>().join(" ");
        let run = entry.run.map(|run| run.0.as_str());
        self.seq += 1;
        self.hash = link(
            &self.hash,
            &[
                &self.seq.to_string(),
                &at,
                entry.kind,
                run.unwrap_or(""),
                &ids,
                entry.who,
                if entry.error { "1" } else { "0" },
                &detail,
            ],
        );
        tx.prepare_cached(
            "INSERT INTO log (seq, at, kind, run, orders, who, error, detail, hash) VALUES (?,?,?,?,?,?,?,?,?)",
        )?
        .execute(params![self.seq, at, entry.kind, run, ids, entry.who, entry.error, detail, self.hash])?;
        for orders in orders.chunks(ROWS_AT_ONCE) {
            let values = values_in_common(1, 1, orders.len());
            let sql = format!("INSERT OR IGNORE INTO log_orders (seq, \"order\") VALUES {values}");
            let numbers = std::iter::once(self.seq).chain(orders.iter().map(|(n, _)| *n));
            tx.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(numbers))?;
        }
        Ok(())
    }

    /// Records the new end of the chain; the last act of a transaction.
    pub(super) fn close(&self, tx: &Connection) -> Result<(), Fault> {
        tx.prepare_cached("UPDATE log_head SET seq = ?, hash = ?")?.execute(params![self.seq, self.hash])?;
        Ok(())
    }
}

/// The hash of an entry: over the previous hash and its fields, each with its length in front.
fn link(previous: &[u8; 32], fields: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    for field in fields {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().into()
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log is broken at entry {seq}: {what}; entries before it are as they were written, later ones prove nothing"
)]
pub struct ChainBreak {
    /// The entry, from 1.
    pub seq: u64,
    /// What is wrong there.
    pub what: String,
}

/// Which entries to show.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Of this job's runs only.
    pub job: Option<String>,
    /// Of this run only.
    pub run: Option<RunId>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// About orders with this key, object name or order id.
    pub key: Option<String>,
    /// About orders of this operation.
    pub operation: Option<crate::model::order::Operation>,
    /// Errors only.
    pub errors: bool,
    /// The newest so many; 0 = all.
    pub limit: usize,
}

impl Store {
    /// Writes a sentence to the log: what the engine noted, which nobody had to decide.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note(
        &mut self,
        run: Option<&RunId>,
        who: &str,
        text: &str,
        error: bool,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let detail = serde_json::json!({ "text": text });
            log.append(tx, &Entry { at, kind: "note", run, who, error, detail })
        })
    }

    /// The last entry's number and hash; 0 and zeros where nothing happened yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn log_head(&self) -> Result<(u64, Digest), StoreError> {
        self.read(|db| {
            let chain = Chain::open(db)?;
            Ok((chain.seq as u64, Digest::from_bytes(&chain.hash)))
        })
    }

    /// Recomputes the whole chain; the number of its entries, or the first break.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn verify_log(&self) -> Result<Result<u64, ChainBreak>, StoreError> {
        self.read(|db| {
            let mut statement =
                db.prepare("SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log ORDER BY seq")?;
            let mut rows = statement.query([])?;
            let (mut seq, mut hash) = (0_i64, [0_u8; 32]);
            let broken = |seq: i64, what: String| Ok(Err(ChainBreak { seq: seq as u64, what }));
            while let Some(row) = rows.next()? {
                let found: i64 = row.get(0)?;
                if found != seq + 1 {
                    return broken(seq + 1, format!("it is missing; the next one is {found}"));
                }
                seq = found;
                let text = |i: usize| row.get::<_, Option<String>>(i).map(Option::unwrap_or_default);
                let error = if row.get::<_, i64>(6)? == 1 { "1" } else { "0" };
                hash = link(
                    &hash,
                    &[&seq.to_string(), &text(1)?, &text(2)?, &text(3)?, &text(4)?, &text(5)?, error, &text(7)?],
                );
                if row.get::<_, Vec<u8>>(8)? != hash {
                    return broken(seq, "its content or the entry before it was altered".into());
                }
            }
            let head = Chain::open(db)?;
            if head.seq != seq {
                return broken(seq + 1, format!("entries up to {} were written and are missing", head.seq));
            }
            if head.hash != hash {
                return broken(seq, "it is not the entry that was written last".into());
            }
            Ok(Ok(seq as u64))
        })
    }

    /// Entries of the log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn log(&self, query: &LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        const ABOUT: &str = "SELECT lo.seq FROM log_orders lo JOIN orders o ON o.n = lo.\"order\" WHERE";
        let mut sql = "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log WHERE 1".to_owned();
        let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
        if let Some(job) = &query.job {
            sql += " AND run IN (SELECT id FROM runs WHERE job = ?)";
            values.push(Box::new(job.clone()));
        }
        if let Some(run) = &query.run {
            sql += " AND run = ?";
            values.push(Box::new(run.0.clone()));
        }
        if let Some(since) = query.since {
            sql += " AND at >= ?";
            values.push(Box::new(stamp(since)));
        }
        if let Some(key) = &query.key {
            sql += &format!(" AND seq IN ({ABOUT} o.key = ? UNION {ABOUT} o.id = ? UNION {ABOUT} o.object = ?)");
            (0..3).for_each(|_| values.push(Box::new(key.clone())));
        }
        if let Some(operation) = query.operation {
            sql += &format!(" AND seq IN ({ABOUT} o.operation = ?)");
            values.push(Box::new(operation.word()));
        }
        if query.errors {
            sql += " AND error";
        }
        sql += " ORDER BY seq DESC";
        if query.limit > 0 {
            sql += &format!(" LIMIT {}", query.limit);
        }
        self.read(|db| {
            let mut statement = db.prepare(&sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values.iter()))?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(entry(row)?);
            }
            entries.reverse();
            Ok(entries)
        })
    }

    /// What the log's newest entry of a kind tells of a run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_of_kind(&self, run: &RunId, kind: &str) -> Result<Option<LogEntry>, StoreError> {
        self.read(|db| {
            let found = db
                .query_row(
                    "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log
                     WHERE run = ? AND kind = ? ORDER BY seq DESC LIMIT 1",
                    params![run.0, kind],
                    |row| Ok(entry(row)),
                )
                .optional()?;
            found.transpose()
        })
    }
}

fn entry(row: &Row<'_>) -> Result<LogEntry, Fault> {
    let orders: String = row.get(4)?;
    let detail: String = row.get(7)?;
    Ok(LogEntry {
        seq: row.get::<_, i64>(0)? as u64,
        at: instant(row, 1)?,
        kind: row.get(2)?,
        run: row.get::<_, Option<String>>(3)?.map(RunId),
        orders: orders.split_whitespace().map(|id| OrderId(id.to_owned())).collect(),
        who: row.get(5)?,
        error: row.get(6)?,
        detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
        hash: Digest::from_bytes(&row.get::<_, Vec<u8>>(8)?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::layout::Layout;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&Layout::new(dir.path()), DateTime::UNIX_EPOCH).unwrap();
        for text in ["one", "two", "three"] {
            store.note(None, "jane", text, text == "two", DateTime::UNIX_EPOCH).unwrap();
        }
        (dir, store)
    }

    /// Where the chain breaks after a change made behind its back.
    fn break_after(sql: &str) -> u64 {
        let (_dir, store) = store();
        assert_eq!(store.verify_log().unwrap(), Ok(4));
        store.connection().execute_batch(sql).unwrap();
        store.verify_log().unwrap().unwrap_err().seq
    }

    #[test]
    fn a_change_anywhere_breaks_the_chain_there() {
        assert_eq!(break_after("UPDATE log SET who = 'joe' WHERE seq = 2"), 2);
        assert_eq!(break_after("UPDATE log SET at = replace(at, '1970', '1971') WHERE seq = 3"), 3);
        assert_eq!(break_after("UPDATE log SET error = 0 WHERE seq = 3"), 3);
        assert_eq!(break_after("UPDATE log SET kind = 'nota', detail = 'e' || detail WHERE seq = 2"), 2);
        assert_eq!(break_after("DELETE FROM log WHERE seq = 3"), 3);
        assert_eq!(break_after("DELETE FROM log WHERE seq = 4"), 4);
        assert_eq!(break_after("DELETE FROM log; UPDATE log_head SET seq = 0"), 0);
        assert_eq!(break_after("UPDATE log SET hash = zeroblob(32) WHERE seq = 1"), 1);
    }

    #[test]
    fn entries_are_found_by_time_and_by_error() {
        let (_dir, store) = store();
        let errors = store.log(&LogQuery { errors: true, ..LogQuery::default() }).unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].detail["text"], "two");
        let newest = store.log(&LogQuery { limit: 2, ..LogQuery::default() }).unwrap();
        assert_eq!(newest.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4]);
        let later = LogQuery { since: Some(DateTime::from_timestamp(1, 0).unwrap()), ..LogQuery::default() };
        assert!(store.log(&later).unwrap().is_empty());
    }
}
