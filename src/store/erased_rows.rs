//! The database without somebody's personal data: what is left tells that somebody was created, changed or deleted, when,
//! and who approved it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde_json::Value as Json;

use super::chain_erased::redact;
use super::database::as_json;
use super::erased_files::{WHY, of_own_orders, order_key};
use super::erasure::is_about;
use super::error::Fault;
use crate::model::erasure::{ErasedRows, Erasure};
use crate::model::order::{ObjectKey, OrderId};
use crate::model::outcome::Outcome;
use crate::model::scrub::Scrub;

/// Texts of a job's runs that may name somebody: table, column, and how its row is known.
const TEXTS: [(&str, &str, &str); 9] = [
    ("holds", "detail", "t.run = r.id"),
    ("holds", "figure", "t.run = r.id"),
    ("holds", "first", "t.run = r.id"),
    ("holds", "excess", "t.run = r.id"),
    ("acceptances", "figure", "t.run = r.id"),
    ("acceptances", "comment", "t.run = r.id"),
    ("approvals", "comment", "t.run = r.id"),
    ("runs", "note", "t.id = r.id"),
    ("exports", "why", "t.job = r.job"),
];

/// Members of an entry's detail that say in words what happened to an order.
const SAID: [&str; 4] = ["note", "failure", "why", "block"];

/// Erases an identity from the database; what that came to, and the entries of the log whose content changed.
pub(super) fn erase(tx: &Connection, erasure: &Erasure, scrub: &Scrub) -> Result<(ErasedRows, Vec<i64>), Fault> {
    let mut rows = ErasedRows { orders: erasure.own.len() as u64, ..ErasedRows::default() };
    rows.naming = erasure.naming.len() as u64;
    orders(tx, erasure, scrub)?;
    rows.attempts = attempts(tx, erasure, scrub)?;
    rows.links = links(tx, erasure)?;
    rows.texts = texts(tx, erasure, scrub)?;
    let entries = log(tx, erasure, scrub)?;
    rows.entries = entries.len() as u64;
    Ok((rows, entries))
}

fn orders(tx: &Connection, erasure: &Erasure, scrub: &Scrub) -> Result<(), Fault> {
    let mut select = tx.prepare(
        "SELECT o.n, o.id, o.object, o.key, o.name, o.block_detail, o.link_source, o.link_target, o.link_from, o.ground
         FROM orders o JOIN syncs s ON s.n = o.sync WHERE s.job = ?",
    )?;
    let mut rows = select.query([&erasure.job])?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next()? {
        let (n, id) = (row.get::<_, i64>(0)?, OrderId(row.get(1)?));
        let is_own = erasure.own.contains(&id);
        let was: [Option<String>; 8] =
            [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?];
        let mut is = was.clone().map(|text| text.map(|text| scrub.text(&text).into_owned()));
        if is_own {
            let [_, key, name, detail, source, target, from, ground] = &mut is;
            *key = was[1].as_deref().map(|key| order_key(key, erasure, scrub));
            *name = Some(String::new());
            *detail = detail.take().map(|_| WHY.to_owned());
            for link in [source, target, from] {
                *link = link.take().map(|_| erasure.name.clone());
            }
            *ground = ground.take().map(|_| String::new());
        }
        let is_erased = is_own || erasure.naming.contains(&id);
        if is_erased || is != was {
            changed.push((n, is, is_own, is_erased));
        }
    }
    drop(rows);
    // What was rejected of it withholds nothing any more: there is nobody that it could be withheld from.
    let mut update = tx.prepare(
        "UPDATE orders SET object = ?1, key = ?2, name = ?3, block_detail = ?4, link_source = ?5, link_target = ?6,
           link_from = ?7, ground = ?8, erased = max(erased, ?9),
           lapsed = CASE WHEN ?10 THEN coalesce(lapsed, updated) ELSE lapsed END WHERE n = ?11",
    )?;
    for (n, [object, key, name, detail, source, target, from, ground], is_own, is_erased) in changed {
        update.execute(params![object, key, name, detail, source, target, from, ground, is_erased, is_own, n])?;
    }
    Ok(())
}

fn attempts(tx: &Connection, erasure: &Erasure, scrub: &Scrub) -> Result<u64, Fault> {
    let mut select = tx.prepare(
        "SELECT a.n, o.id, a.message, a.remedy, a.outcome FROM attempts a JOIN orders o ON o.n = a.\"order\"
           JOIN syncs s ON s.n = o.sync WHERE s.job = ? AND a.ended IS NOT NULL",
    )?;
    let mut update = tx.prepare("UPDATE attempts SET message = ?, remedy = ?, outcome = ? WHERE n = ?")?;
    let mut rows = select.query([&erasure.job])?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next()? {
        let id = OrderId(row.get(1)?);
        let was: [Option<String>; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
        let [message, remedy, outcome] = was.clone();
        let is = if erasure.own.contains(&id) {
            let outcome = match outcome.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
                Some(outcome) => Some(as_json(&nameless(outcome, &erasure.name))?),
                None => None,
            };
            [message.map(|_| WHY.to_owned()), remedy.map(|_| String::new()), outcome]
        } else {
            [message.map(|text| scrub.text(&text).into_owned()), remedy.map(|text| scrub.text(&text).into_owned()), {
                outcome.map(|text| told(&text, erasure, scrub).unwrap_or(text))
            }]
        };
        if is != was {
            changed.push((row.get::<_, i64>(0)?, is));
        }
    }
    drop(rows);
    for (n, [message, remedy, outcome]) in &changed {
        update.execute(params![message, remedy, outcome, n])?;
    }
    Ok(changed.len() as u64)
}

/// An outcome that says how it ended, and of whom nothing.
pub(super) fn nameless(outcome: Outcome, name: &str) -> Outcome {
    let failure = outcome.failure.map(|failure| crate::model::failure::Failure {
        cause: WHY.to_owned(),
        message: None,
        remedy: String::new(),
        request_id: None,
        ..failure
    });
    Outcome { target_id: outcome.target_id.map(|_| name.to_owned()), note: None, failure, ..outcome }
}

fn links(tx: &Connection, erasure: &Erasure) -> Result<u64, Fault> {
    let whom = &erasure.whom;
    let mut gone = 0;
    let mut statement = tx.prepare("SELECT n, sync_id FROM syncs WHERE job = ?")?;
    let syncs = statement.query_map([&erasure.job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (sync, sync_id) in syncs.collect::<Result<Vec<(i64, String)>, _>>()? {
        let linked = |column: &str| format!("DELETE FROM links WHERE sync = ? AND {column} = ?");
        if whom.syncs.contains(&sync_id) {
            for (column, values) in [("source_key", &whom.keys), ("target_id", &whom.ids)] {
                for value in values {
                    gone += tx.execute(&linked(column), params![sync, value])?;
                }
            }
        }
        for object in &whom.objects {
            let mut rows = tx.prepare_cached("SELECT ends FROM managed_rows WHERE sync = ? AND instr(ends, ?) > 0")?;
            let tied = rows.query_map(params![sync, object], |row| row.get(0).map(ObjectKey))?;
            for row in tied.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|row| is_about(row, &whom.objects)) {
                gone += tx.execute("DELETE FROM managed_rows WHERE sync = ? AND ends = ?", params![sync, row.0])?;
            }
        }
        for id in &whom.ids {
            let quoted = Json::from(id.as_str()).to_string();
            gone += tx.execute(
                "DELETE FROM managed_rows WHERE sync = ?1 AND json_valid(ends) AND instr(ends, ?2) > 0
                   AND EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(ends) THEN ends ELSE '[]' END) e WHERE e.value = ?3)",
                params![sync, quoted, id],
            )?;
        }
    }
    Ok(gone as u64)
}

fn texts(tx: &Connection, erasure: &Erasure, scrub: &Scrub) -> Result<u64, Fault> {
    let mut changed = 0;
    for (table, column, known) in TEXTS {
        let sql = format!(
            "SELECT DISTINCT t.{column} FROM {table} t JOIN runs r ON {known} WHERE r.job = ? AND t.{column} IS NOT NULL"
        );
        let mut statement = tx.prepare(&sql)?;
        let found = statement.query_map([&erasure.job], |row| row.get::<_, String>(0))?;
        for was in found.collect::<Result<Vec<_>, _>>()? {
            let Some(is) = told(&was, erasure, scrub) else { continue };
            let sql = format!("UPDATE {table} SET {column} = ? WHERE {column} = ?");
            changed += tx.execute(&sql, params![is, was])? as u64;
        }
    }
    Ok(changed)
}

/// A text, or JSON as text, without the identity's names; `None` where it holds none.
fn told(text: &str, erasure: &Erasure, scrub: &Scrub) -> Option<String> {
    if text.starts_with(['{', '['])
        && let Ok(mut value) = serde_json::from_str::<Json>(text)
    {
        let mut changed = scrub.json(&mut value);
        changed |= whole(&mut value, erasure);
        return changed.then(|| value.to_string());
    }
    match scrub.text(text) {
        Cow::Owned(told) => Some(told),
        Cow::Borrowed(_) => None,
    }
}

/// Replaces what is nothing but a key or an id in a list, however short it is: the first few that tripped a threshold, the
/// pair of a link.
fn whole(value: &mut Json, erasure: &Erasure) -> bool {
    match value {
        Json::Array(values) => values.iter_mut().fold(false, |changed, value| {
            let is_it =
                value.as_str().is_some_and(|text| erasure.whom.keys.contains(text) || erasure.whom.ids.contains(text));
            if is_it {
                *value = Json::from(erasure.name.as_str());
            }
            whole(value, erasure) | is_it | changed
        }),
        Json::Object(members) => members.values_mut().fold(false, |changed, value| whole(value, erasure) | changed),
        _ => false,
    }
}

fn log(tx: &Connection, erasure: &Erasure, scrub: &Scrub) -> Result<Vec<i64>, Fault> {
    let mut statement = tx.prepare(
        "SELECT l.seq, l.orders, l.detail FROM log l LEFT JOIN runs r ON r.id = l.run
         WHERE r.job = ?1 OR l.run IS NULL OR r.id IS NULL ORDER BY l.seq",
    )?;
    let mut rows = statement.query([&erasure.job])?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next()? {
        let (orders, detail): (String, String) = (row.get(1)?, row.get(2)?);
        let orders: BTreeSet<OrderId> = orders.split_whitespace().map(|id| OrderId(id.to_owned())).collect();
        let is_own = !orders.is_empty() && orders.is_subset(&erasure.own);
        let Ok(mut value) = serde_json::from_str::<Json>(&detail) else { continue };
        // What a job that goes by another name says is that job's.
        if value.get("job").and_then(Json::as_str).is_some_and(|job| job != erasure.job) {
            continue;
        }
        let mut is_changed = scrub.json(&mut value);
        is_changed |= whole(&mut value, erasure);
        is_changed |= of_own_orders(&mut value, erasure);
        if let (true, Json::Object(members)) = (is_own, &mut value) {
            let said = SAID.iter().filter(|said| members.get(**said).is_some_and(|said| !said.is_null()));
            for said in said.copied().collect::<Vec<_>>() {
                members.insert(said.to_owned(), Json::from(WHY));
                is_changed = true;
            }
        }
        if is_changed {
            changed.push((row.get::<_, i64>(0)?, value.to_string()));
        }
    }
    drop(rows);
    for (seq, detail) in &changed {
        redact(tx, *seq, detail)?;
    }
    Ok(changed.into_iter().map(|(seq, _)| seq).collect())
}
