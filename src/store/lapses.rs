//! Orders because of which something is withheld, and when that ends.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, params};

use super::chain::{Chain, Entry};
use super::database::{Store, instant, stamp, word};
use super::error::{Fault, StoreError};
use super::orders::Numbered;
use super::reverts::IS_UNDONE;
use crate::model::order::{Fingerprint, ObjectKey, OrderId};
use crate::model::record::{RunRecord, WithheldFor, Withholding};
use crate::model::run::RunId;

/// Conditions as the indexes of such orders have them; see [`super::orders::LIVE`].
pub(super) const REJECTED: &str = "o.state = 'rejected'";
pub(super) const HANDED_OVER: &str = "o.handed_over = 1";

/// Whoever rejects that something is undone says nothing of what the source may want one day.
const IS_UNDO: &str = "EXISTS (SELECT 1 FROM reverts x WHERE x.\"order\" = o.n)";

impl Store {
    /// The orders of a job because of which something is not raised again, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn withholding(&self, job: &str) -> Result<Vec<Withholding>, StoreError> {
        self.read(|db| {
            let select = |withheld: &str, ground: &str, counter: &str, from: &str, condition: &str| {
                format!(
                    "SELECT o.id, o.run, o.object, t.identity, o.resource, {withheld}.operation, o.key, o.updated,
                       {withheld}.fingerprint, {counter}, {ground}, {withheld}.id
                     FROM {from} JOIN syncs s ON s.n = o.sync JOIN targets t ON t.n = o.target
                     WHERE s.job = ? AND o.lapsed IS NULL AND {condition}"
                )
            };
            let rejected = select("o", "o.ground", "NULL", "orders o", &format!("{REJECTED} AND NOT {IS_UNDO}"));
            // People were told what to do, whatever it was for.
            let handed_over = select("o", "NULL", "NULL", "orders o", HANDED_OVER);
            let undoing = "reverts x JOIN orders o ON o.n = x.\"order\" JOIN orders u ON u.n = x.undone";
            let is_in_effect = format!("x.withholds AND o.state = 'applied' AND NOT {IS_UNDONE}");
            let undone = select("u", "u.ground", "x.counter", undoing, &is_in_effect);
            let mut found = Vec::new();
            for (sql, why) in [
                (rejected, WithheldFor::Rejected),
                (handed_over, WithheldFor::HandedOver),
                (undone, WithheldFor::Undone),
            ] {
                let mut statement = db.prepare_cached(&sql)?;
                let mut rows = statement.query([job])?;
                while let Some(row) = rows.next()? {
                    found.push(withholding(row, why)?);
                }
            }
            found.sort_by(|a, b| (a.since, &a.order).cmp(&(b.since, &b.order)));
            Ok(found)
        })
    }
}

fn withholding(row: &Row<'_>, why: WithheldFor) -> Result<Withholding, Fault> {
    let mut contents = vec![Fingerprint(row.get(8)?)];
    contents.extend(row.get::<_, Option<String>>(9)?.filter(|counter| !counter.is_empty()).map(Fingerprint));
    Ok(Withholding {
        order: OrderId(row.get(0)?),
        run: RunId(row.get(1)?),
        why,
        object: ObjectKey(row.get(2)?),
        target_identity: row.get(3)?,
        resource: word(row, 4)?,
        operation: word(row, 5)?,
        key: row.get(6)?,
        since: instant(row, 7)?,
        withheld: OrderId(row.get(11)?),
        contents,
        ground: row.get(10)?,
    })
}

/// Records that orders withhold nothing any more, each with a sentence why.
pub(super) fn lapse(
    tx: &Connection,
    log: &mut Chain,
    by: &RunRecord,
    lapsed: &[(OrderId, String)],
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let mut update = tx.prepare_cached("UPDATE orders SET lapsed = ? WHERE id = ? RETURNING n")?;
    let now = stamp(at);
    let mut alike: Vec<(&str, Vec<Numbered>)> = Vec::new();
    for (order, why) in lapsed {
        let n = update.query_row(params![now, order.0], |row| row.get(0))?;
        match alike.last_mut().filter(|(other, _)| other == why) {
            Some((_, orders)) => orders.push((n, order.clone())),
            None => alike.push((why, vec![(n, order.clone())])),
        }
    }
    for (why, orders) in alike {
        let entry = Entry::new(at, "order-lapsed", Some(&by.id), serde_json::json!({ "why": why }));
        log.append_orders(tx, &entry.by(&by.starter), &orders)?;
    }
    Ok(())
}
