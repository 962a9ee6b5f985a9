//! Orders as they are remembered: raised with a plan, looked up, moved from state to state.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::alike::counted_alike;
use super::chain::{Chain, Entry};
use super::database::{Store, instant, maybe_instant, stamp, word};
use super::error::{Fault, StoreError};
use super::links::sync_known;
use super::reverts::Reversals;
use super::transition::may_become;
use crate::model::order::{Block, Fingerprint, ObjectKey, Operation, OrderId, OrderState};
use crate::model::record::{OrderRecord, Reversal, RunRecord};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;

const ORDER: &str = "SELECT o.n, o.id, o.fingerprint, o.raised, o.run, s.job, s.sync_id, o.seq, o.resource, t.identity,
  o.object, o.key, o.operation, o.state, o.block_reason, o.block_detail, o.approved_by, o.approval_expires,
  o.handed_over, o.updated, o.erased FROM orders o JOIN syncs s ON s.n = o.sync JOIN targets t ON t.n = o.target";

/// Whether an order is live, word for word as the indexes of live orders have it: what is put otherwise is not looked up
/// in them.
pub(super) const LIVE: &str = "(o.state = 'pending-review' OR o.state = 'blocked' OR o.state = 'approved'
  OR o.state = 'in-flight' OR o.state = 'errored' OR o.state = 'uncertain')";

/// How often a fingerprint was raised, and where its newest order stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The highest raising, by any job.
    pub raised: u64,
    /// The newest order with this fingerprint of the job that asked, its state, and whether it was handed over to
    /// people; `None` where only other jobs raised it, or where it withholds nothing any more.
    pub newest: Option<(OrderId, OrderState, bool)>,
    /// On which ground the newest was wanted; `None` where that was not recorded.
    pub ground: Option<String>,
    /// The applied order that undid what this content does, where nobody asked for it again since.
    pub reversal: Option<Reversal>,
}

/// An order's row number and id, as the log wants them.
pub(super) type Numbered = (i64, OrderId);

impl Store {
    /// Supersedes live orders outside a plan; each with a sentence why.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where one is in flight or ended, [`StoreError::NoOrder`]; then none is superseded.
    pub fn supersede(&mut self, orders: &[(OrderId, String)], at: DateTime<Utc>) -> Result<(), StoreError> {
        self.write(|tx, log| supersede(tx, log, None, orders, at).map(drop))
    }

    /// Moves one order on by hand of the engine: `why` is logged, a `block` is needed for `blocked`. Approvals and
    /// attempts have their own doors, so `approved`, `in-flight` and `applied` are not reached from here.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where the state machine does not allow it, [`StoreError::NoOrder`].
    pub fn set_order_state(
        &mut self,
        order: &OrderId,
        to: OrderState,
        block: Option<&Block>,
        why: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let (n, record) = require(tx, order)?;
            let reserved = matches!(to, OrderState::Approved | OrderState::InFlight | OrderState::Applied);
            if reserved || (to == OrderState::Blocked) != block.is_some() {
                return Err(StoreError::Transition { order: order.clone(), from: record.state, to }.into());
            }
            step(tx, n, &record, to, block, at)?;
            let detail = serde_json::json!({ "from": record.state, "to": to, "block": block, "why": why });
            log.append_orders(tx, &Entry::new(at, "order-state", Some(&record.run), detail), &[(n, order.clone())])
        })
    }

    /// All live orders of a job, by run and position.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_orders(&self, job: &str) -> Result<Vec<OrderRecord>, StoreError> {
        self.read(|db| select(db, &format!("{ORDER} WHERE s.job = ? AND {LIVE} ORDER BY o.run, o.seq"), &[&job]))
    }

    /// The live order of an object, whichever job raised it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_for(&self, target_identity: &str, object: &ObjectKey) -> Result<Option<OrderRecord>, StoreError> {
        self.read(|db| live_of(db, target_identity, object))
    }

    /// All live orders of other jobs at a target, by object.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_elsewhere(
        &self,
        job: &str,
        target_identity: &str,
    ) -> Result<BTreeMap<ObjectKey, OrderRecord>, StoreError> {
        self.read(|db| {
            let sql = format!("{ORDER} WHERE t.identity = ? AND s.job <> ? AND {LIVE}");
            let found = select(db, &sql, &[&target_identity, &job])?;
            Ok(found.into_iter().map(|order| (order.object.clone(), order)).collect())
        })
    }

    /// Where many fingerprints stand for a job and a target, one answer each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn standing(
        &self,
        job: &str,
        target_identity: &str,
        fingerprints: &[&Fingerprint],
    ) -> Result<Vec<Standing>, StoreError> {
        self.read(|db| {
            // The ids of all orders with one fingerprint stand together: they begin with it. `.` comes after `-`.
            let mut highest =
                db.prepare_cached("SELECT raised FROM orders WHERE id > ? AND id < ? ORDER BY raised DESC LIMIT 1")?;
            // Whoever rejects that something is undone says nothing of what the source may want one day.
            let mut newest = db.prepare_cached(
                "SELECT o.id, o.state, o.handed_over, o.ground, o.lapsed IS NULL FROM orders o JOIN syncs s ON s.n = o.sync
                 JOIN targets t ON t.n = o.target
                 WHERE o.id > ? AND o.id < ? AND s.job = ? AND t.identity = ?
                   AND NOT (o.state = 'rejected' AND o.n IN (SELECT \"order\" FROM reverts))
                 ORDER BY o.raised DESC LIMIT 1",
            )?;
            let (mut from, mut to) = (String::new(), String::new());
            let mut found = Vec::with_capacity(fingerprints.len());
            let reversals = Reversals::of(db, job, target_identity)?;
            for fingerprint in fingerprints {
                let reversal = reversals.find(db, fingerprint)?;
                for (bound, end) in [(&mut from, "-"), (&mut to, ".")] {
                    bound.clear();
                    ["o-", &fingerprint.0, end].into_iter().for_each(|part| bound.push_str(part));
                }
                let raised = highest.query_row([&from, &to], |row| row.get::<_, i64>(0)).optional()?;
                let Some(raised) = raised else {
                    found.push(Standing { reversal, ..Standing::default() });
                    continue;
                };
                let newest = newest
                    .query_row([&from, &to, job, target_identity], |row| {
                        Ok((row.get(0)?, word(row, 1), row.get(2)?, row.get(3)?, row.get(4)?))
                    })
                    .optional()?;
                let mut standing = Standing { raised: raised as u64, reversal, ..Standing::default() };
                if let Some((id, state, handed, ground, true)) = newest {
                    (standing.newest, standing.ground) = (Some((OrderId(id), state?, handed)), ground);
                }
                found.push(standing);
            }
            Ok(found)
        })
    }

    /// The orders that a run raised, in the plan's sequence.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn orders_of(&self, run: &RunId) -> Result<Vec<OrderRecord>, StoreError> {
        self.read(|db| select(db, &format!("{ORDER} WHERE o.run = ? ORDER BY o.seq"), &[&run.0]))
    }

    /// The orders of a job that were raised up to a run and were live at a moment, as far as what became of them tells.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_at(&self, job: &str, run: &RunId, moment: DateTime<Utc>) -> Result<Vec<OrderRecord>, StoreError> {
        let sql = format!("{ORDER} WHERE s.job = ?1 AND o.run <= ?2 AND ({LIVE} OR o.updated > ?3) ORDER BY o.n");
        self.read(|db| select(db, &sql, &[&job, &run.0, &stamp(moment)]))
    }

    /// One order.
    ///
    /// # Errors
    /// [`StoreError::NoOrder`].
    pub fn order(&self, order: &OrderId) -> Result<OrderRecord, StoreError> {
        self.read(|db| Ok(require(db, order)?.1))
    }

    /// The newest order for the same object: what became of the order that was to create an end, where that one was
    /// replaced after the row that needs it was planned.
    ///
    /// # Errors
    /// [`StoreError::NoOrder`].
    pub fn newest_for_object_of(&self, order: &OrderId) -> Result<OrderRecord, StoreError> {
        self.read(|db| {
            let (_, record) = require(db, order)?;
            let sql = format!("{ORDER} WHERE t.identity = ? AND o.object = ? ORDER BY o.n DESC LIMIT 1");
            let newest = select(db, &sql, &[&record.target_identity, &record.object.0])?.pop();
            Ok(newest.unwrap_or(record))
        })
    }

    /// How many orders of a job are in which state, of one run or of all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn order_counts(&self, job: &str, run: Option<&RunId>) -> Result<BTreeMap<OrderState, u64>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT o.state, count(*) FROM orders o JOIN syncs s ON s.n = o.sync
                 WHERE s.job = ?1 AND (?2 IS NULL OR o.run = ?2) GROUP BY o.state",
            )?;
            let mut rows = statement.query(params![job, run.map(|run| &run.0)])?;
            let mut counts = BTreeMap::new();
            while let Some(row) = rows.next()? {
                counts.insert(word(row, 0)?, row.get::<_, i64>(1)? as u64);
            }
            Ok(counts)
        })
    }

    /// How many orders of a run are in which state, by operation and resource.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tally(&self, run: &RunId) -> Result<Vec<(OrderState, Operation, ResourceName, u64)>, StoreError> {
        self.read(|db| {
            let sql = "SELECT state, operation, resource FROM orders WHERE run = ?";
            let mut statement = db.prepare_cached(sql)?;
            let mut tally = Vec::new();
            for (said, count) in counted_alike(statement.query([&run.0])?)? {
                let [state, operation, resource] = said.map(Option::unwrap_or_default);
                let (state, operation) = (state.parse().map_err(Fault::Row)?, operation.parse().map_err(Fault::Row)?);
                tally.push((state, operation, resource.parse().map_err(Fault::Row)?, count));
            }
            Ok(tally)
        })
    }

    /// The runs of a job that have live orders, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn live_runs(&self, job: &str) -> Result<Vec<RunId>, StoreError> {
        self.read(|db| {
            let sql = format!(
                "SELECT r.id FROM runs r WHERE r.id IN (SELECT o.run FROM orders o JOIN syncs s ON s.n = o.sync
                   WHERE s.job = ? AND {LIVE}) ORDER BY r.begun, r.id"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let runs = statement.query_map([job], |row| row.get(0).map(RunId))?.collect::<Result<_, _>>()?;
            Ok(runs)
        })
    }
}

/// Supersedes orders, each with a sentence why; their row numbers.
pub(super) fn supersede(
    tx: &Connection,
    log: &mut Chain,
    by: Option<&RunRecord>,
    orders: &[(OrderId, String)],
    at: DateTime<Utc>,
) -> Result<Vec<i64>, Fault> {
    let mut numbers = Vec::with_capacity(orders.len());
    for (order, why) in orders {
        let (n, record) = require(tx, order)?;
        step(tx, n, &record, OrderState::Superseded, None, at)?;
        let detail = serde_json::json!({ "from": record.state, "why": why });
        let run = by.map_or(&record.run, |by| &by.id);
        let entry = Entry::new(at, "order-superseded", Some(run), detail);
        log.append_orders(tx, &entry.by(by.map_or("", |by| &by.starter)), &[(n, order.clone())])?;
        numbers.push(n);
    }
    Ok(numbers)
}

/// Moves an order on where the state machine allows it. Its approval stays with it: it counts only while `approved`,
/// and an errored or blocked order may return to it.
pub(super) fn step(
    tx: &Connection,
    n: i64,
    record: &OrderRecord,
    to: OrderState,
    block: Option<&Block>,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    if !may_become(record.state, to) {
        return Err(StoreError::Transition { order: record.id.clone(), from: record.state, to }.into());
    }
    tx.prepare_cached(
        "UPDATE orders SET state = ?, block_reason = ?, block_detail = ?, waits_for = NULL, updated = ? WHERE n = ?",
    )?
    .execute(params![to.word(), block.map(|b| b.reason.word()), block.map(|b| &b.detail), stamp(at), n])?;
    Ok(())
}

/// The number that stands for a sync of a job.
pub(super) fn sync_number(tx: &Connection, job: &str, sync_id: &str) -> Result<i64, Fault> {
    if let Some(known) = sync_known(tx, job, sync_id)? {
        return Ok(known);
    }
    tx.execute("INSERT INTO syncs (job, sync_id) VALUES (?, ?)", [job, sync_id])?;
    Ok(tx.last_insert_rowid())
}

/// The live order of an object.
pub(super) fn live_of(
    db: &Connection,
    target_identity: &str,
    object: &ObjectKey,
) -> Result<Option<OrderRecord>, Fault> {
    let sql = format!("{ORDER} WHERE t.identity = ? AND o.object = ? AND {LIVE}");
    Ok(select(db, &sql, &[&target_identity, &object.0])?.pop())
}

/// An order with its row number, or [`StoreError::NoOrder`].
pub(super) fn require(db: &Connection, order: &OrderId) -> Result<(i64, OrderRecord), Fault> {
    numbered(db, &format!("{ORDER} WHERE o.id = ?"), &[&order.0])?
        .pop()
        .ok_or_else(|| StoreError::NoOrder { order: order.clone() }.into())
}

/// Orders with their row numbers that meet a condition on `o` (orders), `s` (syncs) or `t` (targets).
pub(super) fn orders_where(
    db: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<(i64, OrderRecord)>, Fault> {
    numbered(db, &format!("{ORDER} WHERE {condition}"), values)
}

fn select(db: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<OrderRecord>, Fault> {
    Ok(numbered(db, sql, values)?.into_iter().map(|(_, record)| record).collect())
}

fn numbered(db: &Connection, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<(i64, OrderRecord)>, Fault> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, record(row)?));
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<OrderRecord, Fault> {
    let block = match row.get::<_, Option<String>>(14)? {
        Some(reason) => Some(Block {
            reason: reason.parse().map_err(Fault::Row)?,
            detail: row.get::<_, Option<String>>(15)?.unwrap_or_default(),
        }),
        None => None,
    };
    Ok(OrderRecord {
        id: OrderId(row.get(1)?),
        fingerprint: Fingerprint(row.get(2)?),
        raised: row.get::<_, i64>(3)? as u64,
        run: RunId(row.get(4)?),
        job: row.get(5)?,
        sync_id: row.get(6)?,
        seq: row.get::<_, i64>(7)? as u64,
        resource: word(row, 8)?,
        target_identity: row.get(9)?,
        object: ObjectKey(row.get(10)?),
        key: row.get(11)?,
        operation: word::<Operation>(row, 12)?,
        state: word::<OrderState>(row, 13)?,
        block,
        approved_by: row.get(16)?,
        approval_expires: maybe_instant(row, 17)?,
        handed_over: row.get(18)?,
        updated: instant(row, 19)?,
        is_erased: row.get(20)?,
    })
}
