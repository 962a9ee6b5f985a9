//! The hash-chained log: everything that happened, each entry sealed by a hash over the one before it.
//!
//! A change, a removal or an insertion anywhere breaks the chain from there on. Someone who may write the database
//! can compute a whole new chain: a head that was kept elsewhere (`log --verify` prints it) and that the chain does not
//! pass through is proof of a rewrite.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::database::{Store, as_json, instant, stamp, values_in_common};
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
    pub(super) seq: i64,
    pub(super) hash: [u8; 32],
}

impl Chain {
    /// Reads the end of the chain; the transaction must hold the write lock already.
    pub(super) fn open(tx: &Connection) -> Result<Self, Fault> {
        let head: Option<(i64, Vec<u8>)> =
            tx.query_row("SELECT seq, hash FROM log_head", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let gone = || {
            Fault::Row("the head of the log (log_head) was removed beside muster; put muster.db back from a backup, and see who may write it".into())
        };
        let (seq, hash) = head.ok_or_else(gone)?;
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
        let detail = as_json(&entry.detail)?;
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
pub(super) fn link(previous: &[u8; 32], fields: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    for field in fields {
        hasher.update((field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().into()
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

pub(super) fn entry(row: &Row<'_>) -> Result<LogEntry, Fault> {
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
    use crate::store::chain_query::LogQuery;
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
    fn break_after(sql: &str) -> i64 {
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
