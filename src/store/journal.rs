//! The journal of an apply: intents before their requests, outcomes after. No record, no action.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::chain::{Chain, Entry};
use super::database::{Store, as_json, stamp};
use super::error::{Fault, StoreError};
use super::links::{LinkChange, write_changes};
use super::needs::{block_needing, free_needing, needing};
use super::orders::{Numbered, orders_where, require, step, sync_number};
use super::verified::ApprovedPlan;
use crate::model::order::{OrderId, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::record::{HoldKind, OrderRecord};
use crate::model::run::{RunId, RunState};

/// Which intents are on the disk now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Their requests may leave.
    pub begun: Vec<OrderId>,
    /// Their requests must not leave.
    pub refused: Vec<Refused>,
}

/// An order whose request must not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The order.
    pub order: OrderId,
    /// A sentence why.
    pub why: String,
    /// What stands in its way.
    pub ground: Ground,
}

/// What stands in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A person rejected its order since the apply began.
    Rejected,
    /// An order that it needs will not come, so that it was blocked since the apply began.
    Blocked,
    /// Nothing is wrong but that its approval's time is over.
    Expired,
    /// It is not approved as it should be.
    Unapproved,
}

/// The end of one attempt, with what is to be remembered because of it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What became of the order: applied, errored, stale or uncertain; `approved` where its request certainly was
    /// not sent.
    pub outcome: Outcome,
    /// Links, agreed states and association rows of the order's sync that change with it.
    pub links: Vec<LinkChange>,
}

impl Finished {
    /// The end of an attempt whose request certainly had no effect: the order is `approved` again.
    pub fn released(order: &OrderId, why: &str, at: DateTime<Utc>) -> Self {
        let outcome = Outcome {
            order: order.clone(),
            state: OrderState::Approved,
            effected: None,
            target_id: None,
            note: Some(why.to_owned()),
            failure: None,
            tries: 0,
            at,
        };
        Self { outcome, links: Vec::new() }
    }
}

/// What a person found out about an uncertain order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It took effect.
    TookEffect,
    /// It did not; it waits for review again.
    HadNoEffect,
}

impl Store {
    /// Commits the intents of orders in one transaction. An order is refused unless it is `approved`, its run is
    /// not held, and the verified file of its approval approves it and has not expired.
    ///
    /// # Errors
    /// When the database cannot be written: then nothing may be sent.
    pub fn begin(&mut self, plan: &ApprovedPlan, orders: &[OrderId], at: DateTime<Utc>) -> Result<Begun, StoreError> {
        self.write(|tx, log| begin(tx, log, plan, orders, at))
    }

    /// Records outcomes and commits the intents of further orders, in this sequence and one transaction: one wait for
    /// the disk where [`Self::finish`] and [`Self::begin`] have two. What was begun stands in the order of `beginning`.
    ///
    /// # Errors
    /// As of the two; then nothing of it is recorded.
    pub fn turn(
        &mut self,
        ends: &[Finished],
        beginning: &[(&ApprovedPlan, &[OrderId])],
        at: DateTime<Utc>,
    ) -> Result<Vec<Begun>, StoreError> {
        self.write(|tx, log| {
            finish(tx, log, ends, at)?;
            beginning.iter().map(|(plan, orders)| begin(tx, log, plan, orders, at)).collect()
        })
    }

    /// Records outcomes, with the links that change with them, in one transaction. Waiting orders that need one
    /// that failed are blocked; they are returned with a sentence why.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where an order is not in flight; then nothing is recorded.
    pub fn finish(&mut self, ends: &[Finished], at: DateTime<Utc>) -> Result<Vec<(OrderId, String)>, StoreError> {
        self.write(|tx, log| finish(tx, log, ends, at))
    }

    /// Returns orders whose requests certainly were not sent to `approved`.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where one is not in flight; then none is returned.
    pub fn release(&mut self, orders: &[OrderId], why: &str, at: DateTime<Utc>) -> Result<(), StoreError> {
        let ends: Vec<Finished> = orders.iter().map(|order| Finished::released(order, why, at)).collect();
        self.finish(&ends, at).map(drop)
    }

    /// Orders whose intents are committed and whose outcomes are not: what a crash left open.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn in_flight(&self, job: &str) -> Result<Vec<OrderRecord>, StoreError> {
        self.read(|db| {
            let found = orders_where(db, "s.job = ? AND o.state = 'in-flight' ORDER BY o.run, o.seq", &[&job])?;
            Ok(found.into_iter().map(|(_, order)| order).collect())
        })
    }

    /// Returns errored orders to `approved` where their approval lasts, else to review, and with them what was
    /// blocked because it needed them. Returned are all orders that are `approved` again.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where one is not errored; then none is returned.
    pub fn retry(&mut self, orders: &[OrderId], who: &str, at: DateTime<Utc>) -> Result<Vec<OrderId>, StoreError> {
        self.write(|tx, log| {
            let (mut approved, mut retried) = (Vec::new(), Vec::new());
            for id in orders {
                let (n, order) = require(tx, id)?;
                let lasts = order.approved_by.is_some() && order.approval_expires.is_some_and(|expires| expires > at);
                let to = if lasts { OrderState::Approved } else { OrderState::PendingReview };
                if order.state != OrderState::Errored {
                    return Err(StoreError::Transition { order: id.clone(), from: order.state, to }.into());
                }
                step(tx, n, &order, to, None, at)?;
                let entry = Entry::new(at, "order-retried", Some(&order.run), serde_json::json!({ "to": to }));
                log.append_orders(tx, &entry.by(who), &[(n, id.clone())])?;
                if lasts {
                    approved.push(id.clone());
                }
                retried.push(n);
            }
            for id in free_needing(tx, log, needing(tx, &retried)?, at)? {
                if require(tx, &id)?.1.state == OrderState::Approved {
                    approved.push(id);
                }
            }
            Ok(approved)
        })
    }

    /// Records what a person found out about an uncertain order.
    ///
    /// # Errors
    /// [`StoreError::Transition`] where it is not uncertain.
    pub fn settle(
        &mut self,
        order: &OrderId,
        finding: Finding,
        who: &str,
        comment: &str,
        links: &[LinkChange],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let (n, record) = require(tx, order)?;
            let to = match finding {
                Finding::TookEffect => OrderState::Applied,
                Finding::HadNoEffect => OrderState::PendingReview,
            };
            if record.state != OrderState::Uncertain {
                return Err(StoreError::Transition { order: order.clone(), from: record.state, to }.into());
            }
            step(tx, n, &record, to, None, at)?;
            write_changes(tx, sync_number(tx, &record.job, &record.sync_id)?, links)?;
            let detail = serde_json::json!({ "to": to, "comment": comment });
            let entry = Entry::new(at, "order-settled", Some(&record.run), detail).by(who);
            log.append_orders(tx, &entry, &[(n, order.clone())])
        })
    }

    /// How the newest ended attempt at each order of a run ended, in the plan's sequence; orders never tried are
    /// left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outcomes(&self, run: &RunId) -> Result<Vec<Outcome>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT a.outcome FROM orders o JOIN attempts a ON a.\"order\" = o.n
                 WHERE o.run = ? AND a.n = (SELECT max(b.n) FROM attempts b WHERE b.\"order\" = o.n
                   AND b.outcome IS NOT NULL AND b.state <> 'approved') ORDER BY o.seq",
            )?;
            let mut rows = statement.query([&run.0])?;
            let mut outcomes = Vec::new();
            while let Some(row) = rows.next()? {
                outcomes.push(super::database::json(row, 0)?);
            }
            Ok(outcomes)
        })
    }

    /// The orders of a job that were applied at a system since a moment, by run, each with the object's id where the
    /// target told one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn applied_since(
        &self,
        job: &str,
        system: &str,
        since: DateTime<Utc>,
    ) -> Result<BTreeMap<RunId, BTreeMap<OrderId, Option<String>>>, StoreError> {
        self.read(|db| {
            // An order's row is touched by what ends its attempt, at that moment or later.
            let mut statement = db.prepare_cached(
                "SELECT o.run, o.id, a.outcome FROM orders o JOIN syncs s ON s.n = o.sync
                 JOIN attempts a ON a.n = (SELECT max(b.n) FROM attempts b WHERE b.\"order\" = o.n
                   AND b.outcome IS NOT NULL AND b.state <> 'approved')
                 WHERE s.job = ?1 AND o.state = 'applied' AND o.updated >= ?2
                   AND substr(o.resource, 1, length(?3) + 1) = ?3 || '.'",
            )?;
            let mut rows = statement.query(params![job, stamp(since), system])?;
            let mut found: BTreeMap<RunId, BTreeMap<OrderId, Option<String>>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let outcome: Outcome = super::database::json(row, 2)?;
                if outcome.at >= since {
                    found.entry(RunId(row.get(0)?)).or_default().insert(OrderId(row.get(1)?), outcome.target_id);
                }
            }
            Ok(found)
        })
    }

    /// The newest ended attempt at an order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn outcome(&self, order: &OrderId) -> Result<Option<Outcome>, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT a.outcome FROM attempts a JOIN orders o ON o.n = a.\"order\"
                 WHERE o.id = ? AND a.outcome IS NOT NULL ORDER BY a.n DESC LIMIT 1",
            )?;
            let found = statement.query_row([&order.0], |row| Ok(super::database::json(row, 0))).optional()?;
            found.transpose()
        })
    }
}

fn begin(
    tx: &Connection,
    log: &mut Chain,
    plan: &ApprovedPlan,
    orders: &[OrderId],
    at: DateTime<Utc>,
) -> Result<Begun, Fault> {
    let mut result = Begun::default();
    let run = super::runs::known(tx, plan.run())?;
    // What holds snapshots kept their syncs out of the plan: only what holds the plan holds its orders.
    let mut holds = super::runs::unaccepted(tx, plan.run())?;
    holds.retain(|hold| hold.kind == HoldKind::Plan);
    let held = run.state.is_held() && !holds.is_empty();
    let mut under: BTreeMap<Option<u32>, Vec<Numbered>> = BTreeMap::new();
    for id in orders {
        let (n, order) = match require(tx, id) {
            Ok(found) => found,
            Err(Fault::Store(error @ StoreError::NoOrder { .. })) => {
                let why = error.to_string();
                result.refused.push(Refused { order: id.clone(), why, ground: Ground::Unapproved });
                continue;
            }
            Err(fault) => return Err(fault),
        };
        if let Some(why) = refusal(tx, (n, &order), plan, held, run.state, at)? {
            let ground = match order.state {
                OrderState::Rejected => Ground::Rejected,
                OrderState::Blocked => Ground::Blocked,
                OrderState::Approved if order.approval_expires.is_some_and(|end| end <= at) => Ground::Expired,
                _ => Ground::Unapproved,
            };
            result.refused.push(Refused { order: id.clone(), why, ground });
            continue;
        }
        step(tx, n, &order, OrderState::InFlight, None, at)?;
        tx.prepare_cached("INSERT INTO attempts (\"order\", approval, begun) VALUES (?, ?, ?)")?.execute(params![
            n,
            order.approved_by,
            stamp(at)
        ])?;
        under.entry(order.approved_by).or_default().push((n, id.clone()));
        result.begun.push(id.clone());
    }
    for (approval, numbered) in under {
        let who = approver(tx, plan.run(), approval)?;
        let detail = serde_json::json!({ "approval": approval });
        log.append_orders(tx, &Entry::new(at, "orders-begun", Some(plan.run()), detail).by(&who), &numbered)?;
    }
    Ok(result)
}

fn finish(
    tx: &Connection,
    log: &mut Chain,
    ends: &[Finished],
    at: DateTime<Utc>,
) -> Result<Vec<(OrderId, String)>, Fault> {
    let mut failed = Vec::new();
    let mut approvers = Approvers::default();
    for end in ends {
        let outcome = &end.outcome;
        let (n, order) = require(tx, &outcome.order)?;
        step(tx, n, &order, outcome.state, None, at)?;
        end_attempt(tx, n, outcome)?;
        if outcome.effected == Some(Effected::HandedOver) {
            tx.execute("UPDATE orders SET handed_over = 1 WHERE n = ?", [n])?;
        }
        if !end.links.is_empty() {
            write_changes(tx, sync_number(tx, &order.job, &order.sync_id)?, &end.links)?;
        }
        let who = approvers.of(tx, &order.run, order.approved_by)?;
        log_outcome(tx, log, (n, &order), outcome, who, at)?;
        if matches!(outcome.state, OrderState::Errored | OrderState::Stale) {
            failed.push(n);
        }
    }
    block_needing(tx, log, needing(tx, &failed)?, at)
}

/// Why an order may not be sent.
fn refusal(
    tx: &Connection,
    (n, order): (i64, &OrderRecord),
    plan: &ApprovedPlan,
    held: bool,
    run_state: RunState,
    at: DateTime<Utc>,
) -> Result<Option<String>, Fault> {
    if order.run != *plan.run() {
        return Ok(Some(format!("it belongs to run {}, not to run {}", order.run, plan.run())));
    }
    match (order.state, &order.block) {
        (OrderState::Approved, _) => {}
        (OrderState::Rejected, _) => return Ok(Some(rejected_by(tx, n)?)),
        (OrderState::Blocked, Some(block)) => return Ok(Some(format!("blocked since, {}", block.detail))),
        (state, _) => {
            return Ok(Some(format!(
                "it is {state}, not approved; `muster review {}` shows where it stands",
                order.run
            )));
        }
    }
    // Its approval may cover it still, where somebody set its state back.
    let mut applied =
        tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM attempts WHERE \"order\" = ? AND state = 'applied')")?;
    if applied.query_row([n], |row| row.get(0))? {
        let why = "it was applied before, though the database calls it approved: somebody changed the database";
        return Ok(Some(format!("{why}; see what `muster log --verify` says, and plan anew")));
    }
    if held {
        return Ok(Some(format!("its run is {run_state}: accept what holds it first, `muster review {}`", order.run)));
    }
    Ok(match (order.approved_by, order.approval_expires) {
        (Some(number), Some(expires)) if expires <= at => Some(format!(
            "approval {number} expired; approve again with `muster approve {} --all --comment …`",
            order.run
        )),
        (Some(number), Some(_)) if plan.covers(number, &order.id, at) => None,
        _ => {
            Some(format!("no sealed approval covers it; approve with `muster approve {} --all --comment …`", order.run))
        }
    })
}

/// Who rejected an order, and why: `rejected by jane since (wrong department)`.
fn rejected_by(tx: &Connection, n: i64) -> Result<String, Fault> {
    let found = tx
        .prepare_cached(
            "SELECT l.who, l.detail FROM log_orders o JOIN log l ON l.seq = o.seq
             WHERE o.\"order\" = ? AND l.kind = 'orders-rejected' ORDER BY l.seq DESC LIMIT 1",
        )?
        .query_row([n], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((who, detail)) = found else { return Ok("rejected since".to_owned()) };
    let detail: serde_json::Value = serde_json::from_str(&detail).unwrap_or_default();
    let comment = detail["comment"].as_str().unwrap_or_default();
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    Ok(format!("rejected by {who} since{comment}"))
}

fn end_attempt(tx: &Connection, n: i64, outcome: &Outcome) -> Result<(), Fault> {
    let failure = outcome.failure.as_ref();
    let ended = tx
        .prepare_cached(
            "UPDATE attempts SET ended = ?, state = ?, class = ?, status = ?, message = ?, remedy = ?,
               request_id = ?, tries = ?, outcome = ? WHERE \"order\" = ? AND ended IS NULL",
        )?
        .execute(params![
            stamp(outcome.at),
            outcome.state.word(),
            failure.map(|f| f.class.word()),
            failure.and_then(|f| f.status),
            failure.and_then(|f| f.message.as_ref()),
            failure.map(|f| &f.remedy),
            failure.and_then(|f| f.request_id.as_ref()),
            outcome.tries,
            as_json(outcome)?,
            n
        ])?;
    if ended == 1 { Ok(()) } else { Err(Fault::Row(format!("order {} has {ended} open attempts", outcome.order))) }
}

fn log_outcome(
    tx: &Connection,
    log: &mut Chain,
    (n, order): (i64, &OrderRecord),
    outcome: &Outcome,
    who: &str,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    let kind = match outcome.state {
        OrderState::Applied => "order-applied",
        OrderState::Errored => "order-errored",
        OrderState::Stale => "order-stale",
        OrderState::Uncertain => "order-uncertain",
        _ => "order-released",
    };
    let error = matches!(outcome.state, OrderState::Errored | OrderState::Uncertain);
    let failure = outcome.failure.as_ref().map(|f| f.sentence());
    let detail = serde_json::json!({
        "approval": order.approved_by,
        "operation": order.operation, "resource": order.resource, "key": order.key, "target_id": outcome.target_id,
        "effected": outcome.effected, "note": outcome.note, "failure": failure, "tries": outcome.tries,
    });
    let numbered: [Numbered; 1] = [(n, outcome.order.clone())];
    log.append_orders(tx, &Entry { error, ..Entry::new(at, kind, Some(&order.run), detail).by(who) }, &numbered)
}

/// Who approved the orders of one transaction: mostly one person, under one approval.
#[derive(Default)]
struct Approvers(Vec<(RunId, Option<u32>, String)>);

impl Approvers {
    fn of(&mut self, tx: &Connection, run: &RunId, approval: Option<u32>) -> Result<&str, Fault> {
        let known = self.0.iter().position(|(of, number, _)| (of, *number) == (run, approval));
        let at = match known {
            Some(at) => at,
            None => {
                self.0.push((run.clone(), approval, approver(tx, run, approval)?));
                self.0.len() - 1
            }
        };
        Ok(&self.0[at].2)
    }
}

/// Who approved what was sent; empty where that is not known.
fn approver(tx: &Connection, run: &RunId, approval: Option<u32>) -> Result<String, Fault> {
    let Some(number) = approval else { return Ok(String::new()) };
    let mut statement = tx.prepare_cached("SELECT reviewer FROM approvals WHERE run = ? AND number = ?")?;
    Ok(statement.query_row(params![run.0, number], |row| row.get(0)).optional()?.unwrap_or_default())
}
