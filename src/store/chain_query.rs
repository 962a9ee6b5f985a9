//! Looking things up in the log.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::ToSql;

use super::chain::entry;
use super::database::{Store, instant, stamp};
use super::error::StoreError;
use crate::model::link::LinkSaid;
use crate::model::order::Operation;
use crate::model::record::LogEntry;
use crate::model::run::RunId;

/// Orders among whose keys a misspelt one is looked for.
const NEWEST: usize = 100_000;

/// Which entries to show: those for which all of it holds.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Of this job only.
    pub job: Option<String>,
    /// Of this run only.
    pub run: Option<RunId>,
    /// From this time on.
    pub since: Option<DateTime<Utc>>,
    /// About an order whose key, object's name (whatever its case) or id this is.
    pub key: Option<String>,
    /// About an order for this system, or the system itself.
    pub system: Option<String>,
    /// About an order of this operation.
    pub operation: Option<Operation>,
    /// Caused by this person, rule or starter, whatever the case.
    pub who: Option<String>,
    /// Errors only.
    pub errors: bool,
    /// The newest so many; 0 = all.
    pub limit: usize,
}

impl LogQuery {
    /// The condition on `log`, with its values. What is said of an order is said of one and the same.
    fn condition(&self) -> (String, Vec<Box<dyn ToSql>>) {
        let mut sql = String::from("1");
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(job) = &self.job {
            sql += &format!(" AND (run IN (SELECT id FROM runs WHERE job = ?) OR {} = ?)", told("job"));
            (0..2).for_each(|_| values.push(Box::new(job.clone())));
        }
        if let Some(run) = &self.run {
            sql += " AND run = ?";
            values.push(Box::new(run.0.clone()));
        }
        if let Some(since) = self.since {
            sql += " AND at >= ?";
            values.push(Box::new(stamp(since)));
        }
        if let Some(who) = &self.who {
            sql += " AND who = ? COLLATE NOCASE";
            values.push(Box::new(who.clone()));
        }
        if self.errors {
            sql += " AND error";
        }
        let mut of_order = Vec::new();
        let mut about: Vec<Box<dyn ToSql>> = Vec::new();
        if let Some(key) = &self.key {
            of_order.push("(o.key = ? OR o.id = ? OR o.object = ? OR o.name = ? COLLATE NOCASE)");
            (0..4).for_each(|_| about.push(Box::new(key.clone())));
        }
        if let Some(operation) = self.operation {
            of_order.push("o.operation = ?");
            about.push(Box::new(operation.word()));
        }
        if let Some(system) = &self.system {
            of_order.push("substr(o.resource, 1, length(?) + 1) = ? || '.'");
            (0..2).for_each(|_| about.push(Box::new(system.clone())));
        }
        if !of_order.is_empty() {
            let of_order = of_order.join(" AND ");
            let by_order = format!(
                "seq IN (SELECT lo.seq FROM log_orders lo JOIN orders o ON o.n = lo.\"order\" WHERE {of_order})"
            );
            values.append(&mut about);
            match &self.system {
                // What is told of a system itself concerns no order.
                Some(system) if self.key.is_none() && self.operation.is_none() => {
                    sql += &format!(" AND ({by_order} OR {} = ?)", told("system"));
                    values.push(Box::new(system.clone()));
                }
                _ => sql += &format!(" AND {by_order}"),
            }
        }
        (sql, values)
    }
}

/// A part of an entry's detail. One that somebody damaged is found by its other parts.
fn told(part: &str) -> String {
    format!("CASE WHEN json_valid(detail) THEN json_extract(detail, '$.{part}') END")
}

impl Store {
    /// Entries of the log, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn log(&self, query: &LogQuery) -> Result<Vec<LogEntry>, StoreError> {
        let (condition, values) = query.condition();
        let limit = if query.limit > 0 { format!(" LIMIT {}", query.limit) } else { String::new() };
        let sql = format!(
            "SELECT seq, at, kind, run, orders, who, error, detail, hash FROM log WHERE {condition}
             ORDER BY seq DESC{limit}"
        );
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

    /// What people said about the link of a source key in a sync, oldest first. What orders did to it stands with them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn links_by_people(&self, job: &str, sync_id: &str, source_key: &str) -> Result<Vec<LinkSaid>, StoreError> {
        let sql = format!(
            "SELECT log.at, log.who, json_extract(pair.value, '$[0]') = ?3, json_extract(pair.value, '$[1]')
             FROM log, json_each(CASE WHEN json_valid(detail) THEN detail ELSE '{{}}' END, '$.pairs') pair
             WHERE log.kind = 'links' AND log.who <> '' AND {} = ?1 AND {} = ?2
               AND ?3 IN (json_extract(pair.value, '$[0]'), json_extract(pair.value, '$[2]'))
             ORDER BY log.seq",
            told("job"),
            told("sync")
        );
        self.read(|db| {
            let mut statement = db.prepare(&sql)?;
            let mut rows = statement.query(rusqlite::params![job, sync_id, source_key])?;
            let mut said = Vec::new();
            while let Some(row) = rows.next()? {
                // A link that moved away from the key is its no more.
                let is_its_own: bool = row.get(2)?;
                let target_id = row.get::<_, Option<String>>(3)?.filter(|_| is_its_own);
                said.push(LinkSaid { at: instant(row, 0)?, who: row.get(1)?, target_id });
            }
            Ok(said)
        })
    }

    /// The systems that were ever exported.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn systems_of_log(&self) -> Result<BTreeSet<String>, StoreError> {
        self.texts("SELECT DISTINCT system FROM exports")
    }

    /// Everybody and everything that caused an entry.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn people_of_log(&self) -> Result<BTreeSet<String>, StoreError> {
        self.texts("SELECT DISTINCT who FROM log WHERE who <> ''")
    }

    /// The keys and names that the newest orders are found by: enough to tell a slip of the pen.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn keys_of_log(&self) -> Result<BTreeSet<String>, StoreError> {
        let newest = format!("SELECT key, name FROM orders ORDER BY n DESC LIMIT {NEWEST}");
        let mut keys = self.texts(&format!("SELECT key FROM ({newest})"))?;
        keys.extend(self.texts(&format!("SELECT name FROM ({newest}) WHERE name <> ''"))?);
        Ok(keys)
    }

    /// Whether an order was ever about a key, a name, an object or an id, or an object is linked under it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn is_key_of_log(&self, key: &str) -> Result<bool, StoreError> {
        self.read(|db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM orders
                 WHERE key = ?1 OR id = ?1 OR object = ?1 OR name = ?1 COLLATE NOCASE)
               OR EXISTS (SELECT 1 FROM links WHERE source_key = ?1 OR target_id = ?1)";
            Ok(db.query_row(sql, [key], |row| row.get(0))?)
        })
    }

    fn texts(&self, sql: &str) -> Result<BTreeSet<String>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare(sql)?;
            let texts = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(texts)
        })
    }
}
