//! Decisions become states: what one review does to the orders and holds of its run.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::approvals::USED;
use super::chain::{Chain, Entry};
use super::database::stamp;
use super::error::{Fault, StoreError};
use super::links::{LinkChange, change_links};
use super::needs::{block_needing, free_needing, needing};
use super::one_link::link_in;
use super::orders::{Numbered, orders_where, require, step};
use super::reverts::is_undo;
use super::seal::{SealReport, SealRequest};
use super::verified::{ApprovedPlan, VerifiedApprovals};
use crate::model::approval::{Approval, Decision};
use crate::model::digest::Digest;
use crate::model::link::{How, Link};
use crate::model::order::{BlockReason, OrderId, OrderState, Remedy};
use crate::model::record::{Acceptance, HoldKind, OrderRecord, RunRecord};
use crate::model::run::RunState;

/// What a review did.
pub(super) struct Done {
    /// The number of its approval.
    pub(super) number: u32,
    /// The decisions that took effect, or that count towards it.
    pub(super) decisions: BTreeMap<OrderId, Decision>,
    pub(super) report: SealReport,
}

/// Carries out a review.
pub(super) fn carry_out(
    tx: &Connection,
    log: &mut Chain,
    run: &RunRecord,
    request: &SealRequest,
    before: Before<'_>,
    at: DateTime<Utc>,
) -> Result<Done, Fault> {
    let report = SealReport::default();
    let mut sealing = Sealing { tx, log, request, at, before, report, revived: Vec::new(), rejected: Vec::new() };
    let number =
        tx.query_row("SELECT coalesce(max(number), 0) + 1 FROM approvals WHERE run = ?", [&request.run.0], |row| {
            row.get(0)
        })?;
    sealing.accept(run)?;
    let decisions = sealing.decide(number)?;
    sealing.settle_needs()?;
    sealing.report.holds = super::runs::unaccepted(tx, &request.run)?;
    if run.state == RunState::HeldPlan && !sealing.report.holds.iter().any(|h| h.kind == HoldKind::Plan) {
        // Syncs whose snapshots were held as well are still to be planned.
        let all = super::runs::holds_of(tx, &request.run)?;
        let rest = all.iter().any(|hold| hold.kind != HoldKind::Plan);
        let state = if rest { RunState::HeldSnapshot } else { RunState::Planned };
        super::runs::change_state(tx, &request.run, state, "accepted")?;
    }
    super::runs::end_idle_holds(tx, sealing.log, &run.job, None, at)?;
    Ok(Done { number, decisions, report: sealing.report })
}

/// Remembers a sealed file.
pub(super) fn record(
    tx: &Connection,
    log: &mut Chain,
    number: u32,
    approval: &Approval,
    reviewer: &str,
    sha256: &Digest,
    at: DateTime<Utc>,
) -> Result<(), Fault> {
    tx.execute(
        "INSERT INTO approvals VALUES (?,?,?,?,?,?,?,?)",
        params![
            approval.run.0,
            number,
            sha256.as_str(),
            approval.decisions_digest.as_str(),
            reviewer,
            stamp(approval.at),
            stamp(approval.expires),
            approval.comment
        ],
    )?;
    let detail = serde_json::json!({
        "approval": number, "sha256": sha256, "plan": approval.plan, "decisions": approval.decisions_digest,
        "accepted": approval.accepted, "comment": approval.comment, "signed": approval.reviewer.is_none(),
    });
    log.append(tx, &Entry::new(at, "approval-sealed", Some(&approval.run), detail).by(reviewer))
}

/// What was verified before a review is sealed.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    /// The approvals that hold.
    pub(super) approvals: &'a VerifiedApprovals,
    /// The plan with them; `None` where the run has no plan.
    pub(super) plan: Option<&'a ApprovedPlan>,
}

struct Sealing<'a> {
    tx: &'a Connection,
    log: &'a mut Chain,
    request: &'a SealRequest,
    at: DateTime<Utc>,
    before: Before<'a>,
    report: SealReport,
    /// Row numbers of orders that may go on now.
    revived: Vec<i64>,
    /// Row numbers of orders that never will.
    rejected: Vec<i64>,
}

impl<'a> Sealing<'a> {
    /// Records the acceptances and lets orders go that only an accepted threshold blocked.
    fn accept(&mut self, run: &RunRecord) -> Result<(), Fault> {
        for (name, figure) in &self.request.accepted {
            let acceptance = Acceptance {
                run: self.request.run.clone(),
                name: name.clone(),
                figure: figure.clone(),
                reviewer: self.reviewer().to_owned(),
                comment: self.request.comment.clone(),
                at: self.at,
            };
            super::runs::record_acceptance(self.tx, &run.job, &acceptance)?;
        }
        if self.request.accepted.is_empty() {
            return Ok(());
        }
        let holding = self.threshold_holds()?;
        let condition = "o.run = ? AND o.state = 'blocked' AND o.block_reason = ? ORDER BY o.seq";
        let values: [&dyn rusqlite::ToSql; 2] = [&self.request.run.0, &BlockReason::Threshold.word()];
        let mut freed = Vec::new();
        for (n, order) in orders_where(self.tx, condition, &values)? {
            if blocking(&order, &holding).is_none() {
                step(self.tx, n, &order, OrderState::PendingReview, None, self.at)?;
                freed.push((n, order.id));
            }
        }
        self.log_orders("orders-unblocked", serde_json::json!({ "accepted": self.request.accepted }), &freed)?;
        for (n, id) in freed {
            self.revived.push(n);
            self.report.unblocked.push(id);
        }
        Ok(())
    }

    /// The names of all provisioning thresholds of the run, with whether each still holds.
    fn threshold_holds(&self) -> Result<BTreeMap<String, bool>, Fault> {
        let open = super::runs::unaccepted(self.tx, &self.request.run)?;
        let open: BTreeSet<String> = open.into_iter().map(|hold| hold.name).collect();
        let all = super::runs::holds_of(self.tx, &self.request.run)?;
        let plan = all.into_iter().filter(|hold| hold.kind == HoldKind::Plan);
        Ok(plan.map(|hold| (hold.name.clone(), open.contains(&hold.name))).collect())
    }

    /// Applies each decision; those that took effect are returned to be sealed.
    fn decide(&mut self, number: u32) -> Result<BTreeMap<OrderId, Decision>, Fault> {
        let holding = self.threshold_holds()?;
        let (mut approved, mut seconded, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (id, decision) in &self.request.decisions {
            let (n, order) = match require(self.tx, id) {
                Ok((n, order)) if order.run == self.request.run => (n, order),
                Ok((_, order)) => {
                    self.report.refused.push((id.clone(), format!("it belongs to run {}; decide it there", order.run)));
                    continue;
                }
                Err(Fault::Store(StoreError::NoOrder { .. })) => {
                    self.report.refused.push((id.clone(), "it is not an order of this run".to_owned()));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let undoes = order.state == OrderState::Blocked && is_undo(self.tx, n)?;
            match verdict(&order, *decision, &holding, (self.covered(&order), undoes)) {
                Verdict::Do => {}
                Verdict::Skip(why) => {
                    self.report.skipped.push((id.clone(), why));
                    continue;
                }
                Verdict::Refuse(why) => {
                    self.report.refused.push((id.clone(), why));
                    continue;
                }
            }
            match decision {
                Decision::Approve => match self.enough(n, &order)? {
                    Some(expires) => {
                        self.approve(n, &order, number, expires)?;
                        approved.push((n, id.clone()));
                    }
                    None => {
                        // It stood under approvals that hold no more, and waits again until there are enough.
                        if order.state == OrderState::Approved {
                            step(self.tx, n, &order, OrderState::PendingReview, None, self.at)?;
                        }
                        seconded.push((n, id.clone()));
                    }
                },
                Decision::Reject => {
                    step(self.tx, n, &order, OrderState::Rejected, None, self.at)?;
                    self.take_link_back(n, &order)?;
                    rejected.push((n, id.clone()));
                }
            }
        }
        let detail = serde_json::json!({ "approval": number, "comment": self.request.comment });
        self.log_orders("orders-approved", detail.clone(), &approved)?;
        self.log_orders("orders-seconded", detail.clone(), &seconded)?;
        self.log_orders("orders-rejected", detail, &rejected)?;
        self.revived.extend(approved.iter().map(|(n, _)| n));
        self.rejected.extend(rejected.iter().map(|(n, _)| n));
        self.report.approved = approved.into_iter().map(|(_, id)| id).collect();
        self.report.rejected = rejected.into_iter().map(|(_, id)| id).collect();
        self.report.seconded = seconded.into_iter().map(|(_, id)| id).collect();
        let approved = self.report.approved.iter().chain(&self.report.seconded);
        let approved = approved.map(|id| (id.clone(), Decision::Approve));
        let rejected = self.report.rejected.iter().map(|id| (id.clone(), Decision::Reject));
        Ok(approved.chain(rejected).collect())
    }

    /// Whether an approved order stands under an approval that holds. One that was altered, is gone or expired is none,
    /// and the order may be approved anew.
    fn covered(&self, order: &OrderRecord) -> bool {
        let lasts = order.approval_expires.is_some_and(|expires| expires > self.at);
        let covers = |number| self.before.plan.is_some_and(|plan| plan.covers(number, &order.id, self.at));
        lasts && order.approved_by.is_some_and(covers)
    }

    /// Until when an order is approved if this reviewer approves it too; `None` where further reviewers are needed. An
    /// approval that was used up by an attempt counts no more.
    fn enough(&self, n: i64, order: &OrderRecord) -> Result<Option<DateTime<Utc>>, Fault> {
        let needed = self.before.approvals.terms().reviewers as usize;
        let sql = format!("SELECT ({USED}) FROM orders o WHERE o.n = ?");
        let used: Option<u32> = self.tx.prepare_cached(&sql)?.query_row([n], |row| row.get(0))?;
        let mut others = self.before.approvals.reviewers(&order.id, used.unwrap_or(0), self.at);
        others.remove(self.reviewer());
        let mut ends: Vec<DateTime<Utc>> = others.into_values().collect();
        ends.sort_by(|a, b| b.cmp(a));
        ends.truncate(needed.saturating_sub(1));
        let is_enough = ends.len() + 1 >= needed;
        Ok(is_enough.then(|| ends.into_iter().fold(self.request.expires, std::cmp::min)))
    }

    fn reviewer(&self) -> &'a str {
        self.request.reviewer.as_deref().unwrap_or_default()
    }

    fn approve(&mut self, n: i64, order: &OrderRecord, number: u32, expires: DateTime<Utc>) -> Result<(), Fault> {
        // An order under an expired approval stays approved and only changes what it stands under.
        if order.state != OrderState::Approved {
            step(self.tx, n, order, OrderState::Approved, None, self.at)?;
        }
        self.tx
            .prepare_cached("UPDATE orders SET approved_by = ?, approval_expires = ? WHERE n = ?")?
            .execute(params![number, stamp(expires), n])?;
        let low_confidence = order.block.as_ref().is_some_and(|block| block.reason == BlockReason::LowConfidence);
        if low_confidence {
            let how = How::Person;
            let change = match self.pair(n)? {
                (Some(to), Some(target), Some(from)) => Some(LinkChange::Move { from, to, target, how }),
                (Some(source_key), Some(target_id), None) => {
                    Some(LinkChange::Put(Link { source_key, target_id, how, agreed: None }))
                }
                _ => None,
            };
            if let Some(change) = change {
                self.change_link(order, change)?;
                self.tx.prepare_cached("UPDATE orders SET linked = 1 WHERE n = ?")?.execute([n])?;
            }
        }
        Ok(())
    }

    /// What a person said by approving an order, rejecting it says no more: they are two.
    fn take_link_back(&mut self, n: i64, order: &OrderRecord) -> Result<(), Fault> {
        let linked = self.tx.prepare_cached("UPDATE orders SET linked = 0 WHERE n = ? AND linked = 1")?.execute([n])?;
        if linked == 0 {
            return Ok(());
        }
        let (Some(source), Some(target), from) = self.pair(n)? else { return Ok(()) };
        // Whatever was linked since, by `link` or another order, stays.
        let is_its =
            link_in(self.tx, &order.job, &order.sync_id, &source)?.is_some_and(|link| link.target_id == target);
        match from {
            _ if !is_its => Ok(()),
            Some(from) => {
                self.change_link(order, LinkChange::Move { from: source, to: from, target, how: How::Person })
            }
            None => self.change_link(order, LinkChange::Drop(source)),
        }
    }

    /// The pair that an order is about: the row's key, the object's id, and the key that the row had, where it has another.
    fn pair(&self, n: i64) -> Result<Pair, Fault> {
        let sql = "SELECT link_source, link_target, link_from FROM orders WHERE n = ?";
        Ok(self.tx.query_row(sql, [n], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    }

    fn change_link(&mut self, order: &OrderRecord, change: LinkChange) -> Result<(), Fault> {
        change_links(self.tx, self.log, &order.job, &order.sync_id, &[change], self.reviewer(), self.at)
    }

    /// Blocks orders whose needed order will not come, and lets go those whose needed order may.
    fn settle_needs(&mut self) -> Result<(), Fault> {
        let mut doubtful = needing(self.tx, &self.rejected)?;
        doubtful.extend(&self.revived);
        self.report.blocked = block_needing(self.tx, self.log, doubtful, self.at)?;
        let blocked: BTreeSet<&OrderId> = self.report.blocked.iter().map(|(order, _)| order).collect();
        let approved = std::mem::take(&mut self.report.approved);
        let (in_vain, approved) = approved.into_iter().partition(|order| blocked.contains(order));
        (self.report.approved_in_vain, self.report.approved) = (in_vain, approved);
        let freed = free_needing(self.tx, self.log, needing(self.tx, &self.revived)?, self.at)?;
        self.report.unblocked.extend(freed);
        Ok(())
    }

    fn log_orders(&mut self, kind: &'static str, detail: serde_json::Value, orders: &[Numbered]) -> Result<(), Fault> {
        let entry = Entry::new(self.at, kind, Some(&self.request.run), detail).by(self.reviewer());
        self.log.append_orders(self.tx, &entry, orders)
    }
}

/// A row's key, an object's id, and the key that the row had before.
type Pair = (Option<String>, Option<String>, Option<String>);

enum Verdict {
    Do,
    Skip(String),
    Refuse(String),
}

fn verdict(
    order: &OrderRecord,
    decision: Decision,
    holding: &BTreeMap<String, bool>,
    (covered, undoes): (bool, bool),
) -> Verdict {
    use OrderState::{
        Applied, Approved, Blocked, Errored, InFlight, PendingReview, Rejected, Stale, Superseded, Uncertain,
    };
    match (decision, order.state) {
        (_, Applied | Rejected | Stale | Superseded) => Verdict::Skip(format!("it is {} meanwhile", order.state)),
        (_, InFlight) => Verdict::Skip("its request is under way".to_owned()),
        (_, Uncertain) => Verdict::Refuse("nobody can tell whether it took effect: look, then say which".to_owned()),
        (Decision::Reject, PendingReview | Blocked | Approved | Errored) | (Decision::Approve, PendingReview) => {
            Verdict::Do
        }
        (Decision::Approve, Errored) => Verdict::Refuse(format!(
            "it ended in an error: what is corrected at the source is planned anew by the next run; as it is, `muster retry {}` sends it again",
            order.run
        )),
        (Decision::Approve, Approved) => match order.approved_by {
            Some(number) if covered => Verdict::Skip(format!("approval {number} covers it already")),
            _ => Verdict::Do,
        },
        (Decision::Approve, Blocked) => match order.block.as_ref() {
            None => Verdict::Do,
            Some(block) => match block.reason.remedy() {
                Remedy::Approval => Verdict::Do,
                Remedy::Acceptance => match blocking(order, holding) {
                    None => Verdict::Do,
                    Some(name) => Verdict::Refuse(format!(
                        "{name} is exceeded: accept it first with `muster approve {} --accept {name} --comment …`",
                        order.run
                    )),
                },
                Remedy::Choice => Verdict::Refuse(format!(
                    "{}: {}; choose with `muster link JOB KEY TARGET`",
                    block.reason, block.detail
                )),
                // What undoes another is not planned anew by itself: its block says so.
                Remedy::CauseGone if undoes => Verdict::Refuse(format!(
                    "{}: {}; it undoes an applied order: revert again when that is mended",
                    block.reason, block.detail
                )),
                Remedy::CauseGone => {
                    Verdict::Refuse(format!("{}: {}; it clears itself when that is mended", block.reason, block.detail))
                }
            },
        },
    }
}

/// The threshold that still blocks an order: among those that its block names, else among all of its run.
fn blocking<'a>(order: &OrderRecord, holding: &'a BTreeMap<String, bool>) -> Option<&'a str> {
    let detail = order.block.as_ref().map_or("", |block| block.detail.as_str());
    let named: Vec<_> = holding.iter().filter(|(name, _)| detail.contains(name.as_str())).collect();
    let concerned = if named.is_empty() { holding.iter().collect() } else { named };
    concerned.into_iter().find(|(_, open)| **open).map(|(name, _)| name.as_str())
}
