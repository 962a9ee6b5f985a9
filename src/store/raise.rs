//! A plan enters the database: what it supersedes, and its orders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ToSql, params};

use super::chain::Entry;
use super::database::{Store, stamp, values_in_common};
use super::error::{Fault, StoreError};
use super::lapses::lapse;
use super::needs::inherit_needs;
use super::orders::{Numbered, live_of, require, supersede, sync_number};
use super::reverts::insert_reverts;
use crate::model::digest::Digest;
use crate::model::order::{BlockReason, Order, OrderId, OrderState};
use crate::model::record::Hold;
use crate::model::run::{RunId, RunState};

/// A plan as it enters the database.
#[derive(Clone, Copy, Debug)]
pub struct RegisterPlan<'a> {
    /// The run that made it; its state becomes `planned`, or `held-plan`.
    pub run: &'a RunId,
    /// Its orders, in the plan's sequence.
    pub orders: &'a [NewOrder<'a>],
    /// Live orders that are no longer wanted or are replaced, each with a sentence why.
    pub superseded: &'a [(OrderId, String)],
    /// Orders that withhold nothing any more, each with a sentence why.
    pub lapsed: &'a [(OrderId, String)],
    /// Provisioning thresholds that hold the plan; where there are any, the run's state becomes `held-plan`.
    pub holds: &'a [Hold],
}

/// An order that enters the database.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder<'a> {
    /// The order.
    pub order: &'a Order,
    /// Which raising of its fingerprint it is, from 1; the end of its id.
    pub raised: u64,
    /// The sync that wants it, by a name that outlives the order of syncs in the job file.
    pub sync_id: &'a str,
    /// What makes its target the same for another job.
    pub target_identity: &'a str,
}

/// Orders that one statement inserts at most: to begin and end one takes longer than a row of it does.
const AT_ONCE: usize = 64;

/// What is inserted of an order: first what many have in common.
const COLUMNS: &str = "run, updated, sync, target, resource, operation, state, block_reason, block_detail, link_source,
  link_target, link_from, thresholds, ground, id, fingerprint, raised, seq, object, key, name";

/// How many of the columns are common, and each order's own.
const COMMON: usize = 14;
const OWN: usize = 7;

impl Store {
    /// Records a plan: first what it supersedes and what lapses, then its orders, all or nothing.
    ///
    /// `show` is called when all of it can be recorded. It shows the plan's files, and gives the digest of plan.json:
    /// meanwhile they may still be written.
    ///
    /// # Errors
    /// [`StoreError::AlreadyLive`] where an object has a live order of any job, [`StoreError::Transition`] where an
    /// order to supersede is in flight or ended, [`StoreError::OrderExists`], [`StoreError::NoRun`]; what `show` failed
    /// with.
    pub fn register_plan(
        &mut self,
        plan: &RegisterPlan<'_>,
        show: impl FnOnce() -> Result<Digest, StoreError>,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // The run is looked up, and syncs and targets are where they are missing.
        self.write_known(|tx, log| {
            let run = super::runs::known(tx, plan.run)?;
            let superseded = supersede(tx, log, Some(&run), plan.superseded, at)?;
            lapse(tx, log, &run, plan.lapsed, at)?;
            let numbered = insert_orders(tx, &run.job, plan, at)?;
            insert_reverts(tx, plan.orders.iter().zip(&numbered).map(|(new, (n, _))| (*n, new.order)))?;
            insert_needs(tx, plan.orders, &numbered)?;
            let raised = Entry::new(at, "orders-raised", Some(plan.run), serde_json::Value::Null);
            log.append_orders(tx, &raised.by(&run.starter), &numbered)?;
            superseded.into_iter().try_for_each(|n| inherit_needs(tx, n))?;
            super::runs::end_idle_holds(tx, log, &run.job, Some(plan.run), at)?;
            let digest = show()?;
            tx.execute("UPDATE runs SET plan_digest = ? WHERE id = ?", params![digest.as_str(), plan.run.0])?;
            if plan.holds.is_empty() {
                super::runs::change_state(tx, plan.run, RunState::Planned, "")?;
            } else {
                super::runs::write_holds(tx, log, plan.run, RunState::HeldPlan, plan.holds, at)?;
            }
            let detail = serde_json::json!({
                "plan": digest, "orders": plan.orders.len(), "superseded": plan.superseded.len(),
            });
            log.append(tx, &Entry::new(at, "plan", Some(plan.run), detail).by(&run.starter))
        })
    }
}

/// Inserts a plan's orders; their row numbers, in the plan's sequence.
fn insert_orders(
    tx: &Connection,
    job: &str,
    plan: &RegisterPlan<'_>,
    at: DateTime<Utc>,
) -> Result<Vec<Numbered>, Fault> {
    let updated = stamp(at);
    let mut numbered: Vec<Numbered> = Vec::with_capacity(plan.orders.len());
    // The statement for so many orders, from one time to the next. `OR FAIL`: to undo a part of a statement takes notes of
    // every page, and when one fails here, all of them go.
    let (mut rows, mut sql) = (0, String::new());
    for alike in plan.orders.chunk_by(have_in_common) {
        let Some(first) = alike.first() else { continue };
        let numbers = (sync_number(tx, job, first.sync_id)?, target_number(tx, first.target_identity)?);
        for orders in alike.chunks(AT_ONCE) {
            if rows != orders.len() {
                rows = orders.len();
                sql = format!("INSERT OR FAIL INTO orders ({COLUMNS}) VALUES {}", values_in_common(COMMON, OWN, rows));
            }
            if let Err(error) = insert(tx, &sql, (plan.run, &updated), numbers, numbered.len(), orders) {
                // Those before the one that failed are there, and counted.
                let failed = orders.get(tx.changes() as usize);
                return Err(match failed {
                    Some(new) => taken(tx, new, error),
                    None => error.into(),
                });
            }
            // Each row's number is that of the one before it and one more.
            let end = tx.last_insert_rowid() + 1;
            numbered.extend((end - orders.len() as i64..end).zip(orders.iter().map(|new| new.order.id.clone())));
        }
    }
    Ok(numbered)
}

/// Whether two orders differ only in what is each order's own.
fn have_in_common(a: &NewOrder<'_>, b: &NewOrder<'_>) -> bool {
    let (one, other) = (a.order, b.order);
    (a.sync_id, a.target_identity, one.operation) == (b.sync_id, b.target_identity, other.operation)
        && one.resource == other.resource
        && one.block == other.block
        && one.thresholds == other.thresholds
        && one.ground == other.ground
        && !records_link(one)
}

/// Whether approving an order records the link that it was correlated by.
fn records_link(order: &Order) -> bool {
    order.block.as_ref().is_some_and(|b| b.reason == BlockReason::LowConfidence)
}

/// Inserts orders that have all but their own in common, the first of which stands at this position of the plan; up to
/// the first that cannot be inserted.
fn insert(
    tx: &Connection,
    sql: &str,
    (run, updated): (&RunId, &str),
    (sync, target): (i64, i64),
    position: usize,
    orders: &[NewOrder<'_>],
) -> rusqlite::Result<()> {
    let Some(first) = orders.first().map(|new| new.order) else { return Ok(()) };
    let mut insert = tx.prepare_cached(sql)?;
    let block = first.block.as_ref();
    let state = if block.is_some() { OrderState::Blocked } else { OrderState::PendingReview };
    let linked = records_link(first).then_some(first);
    let link_source = linked.and_then(|order| order.source_key.as_ref());
    let link_target = linked.and_then(|order| order.target_id.as_ref());
    let link_from = linked.and_then(|order| order.renamed_from.as_ref());
    let mut parameter = 0;
    let mut bind = |values: &[&dyn ToSql]| {
        values.iter().try_for_each(|value| {
            parameter += 1;
            insert.raw_bind_parameter(parameter, value)
        })
    };
    let common: [&dyn ToSql; COMMON] = [
        &run.0,
        &updated,
        &sync,
        &target,
        &first.resource.to_string(),
        &first.operation.word(),
        &state.word(),
        &block.map(|b| b.reason.word()),
        &block.map(|b| &b.detail),
        &link_source,
        &link_target,
        &link_from,
        &first.thresholds.join(" "),
        &first.ground,
    ];
    bind(&common)?;
    for (seq, NewOrder { order, raised, .. }) in (position as i64..).zip(orders) {
        let own: [&dyn ToSql; OWN] =
            [&order.id.0, &order.fingerprint.0, &(*raised as i64), &seq, &order.object.0, &order.key, &order.name];
        bind(&own)?;
    }
    insert.raw_execute().map(drop)
}

/// Records which orders need which. What one needs may stand later in the plan than it, so needs come when all orders are
/// there.
fn insert_needs(tx: &Connection, orders: &[NewOrder<'_>], numbered: &[Numbered]) -> Result<(), Fault> {
    let objects = orders.iter().zip(numbered).filter(|(new, _)| new.order.ends.is_empty());
    let known: HashMap<&OrderId, i64> = objects.map(|(_, (n, id))| (id, *n)).collect();
    let mut need = tx.prepare_cached("INSERT OR IGNORE INTO needs (needed, needing) VALUES (?, ?)")?;
    let mut look_up = tx.prepare_cached("INSERT OR IGNORE INTO needs SELECT n, ? FROM orders WHERE id = ?")?;
    for (new, (n, _)) in orders.iter().zip(numbered) {
        for needed in new.order.needs() {
            match known.get(needed) {
                Some(known) => need.execute([known, n])?,
                None => look_up.execute(params![n, needed.0])?,
            };
        }
    }
    Ok(())
}

/// Why an order could not be inserted, where it is the one-live-order rule or a repeated id.
fn taken(tx: &Connection, new: &NewOrder<'_>, error: rusqlite::Error) -> Fault {
    if error.sqlite_error_code() != Some(rusqlite::ErrorCode::ConstraintViolation) {
        return error.into();
    }
    let order = new.order.id.clone();
    match live_of(tx, new.target_identity, &new.order.object) {
        Ok(Some(live)) if live.id != order => {
            StoreError::AlreadyLive { order, object: live.object.0, live: live.id, job: live.job }.into()
        }
        Ok(_) => match require(tx, &order) {
            Ok(_) => StoreError::OrderExists { order }.into(),
            Err(_) => error.into(),
        },
        Err(fault) => fault,
    }
}

fn target_number(tx: &Connection, identity: &str) -> Result<i64, Fault> {
    tx.execute("INSERT OR IGNORE INTO targets (identity) VALUES (?)", [identity])?;
    Ok(tx.query_row("SELECT n FROM targets WHERE identity = ?", [identity], |row| row.get(0))?)
}
