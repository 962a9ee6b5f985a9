//! Sealing a review: decisions become states, the approval becomes a file, in one step.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::approvals::ApprovedPlan;
use super::chain::{Chain, Entry};
use super::database::{Store, stamp};
use super::error::{Fault, StoreError};
use super::links::{LinkChange, change_links};
use super::needs::{block_needing, free_needing, needing};
use super::orders::{Numbered, orders_where, require, step};
use crate::model::approval::{Approval, Decision, Refusal};
use crate::model::digest::Digest;
use crate::model::link::{How, Link};
use crate::model::order::{BlockReason, OrderId, OrderState, Remedy};
use crate::model::record::{Acceptance, Hold, HoldKind, OrderRecord, RunRecord};
use crate::model::run::{RunId, RunState};

/// A review to be sealed.
#[derive(Clone, Debug)]
pub struct SealRequest {
    /// The run.
    pub run: RunId,
    /// The plan that was reviewed; `None` where only acceptances are sealed.
    pub plan: Option<Digest>,
    /// The decisions.
    pub decisions: BTreeMap<OrderId, Decision>,
    /// Holds that are accepted, by name, with the figure that the person saw.
    pub accepted: BTreeMap<String, String>,
    /// Who.
    pub reviewer: String,
    /// Why.
    pub comment: String,
    /// Until when the approval holds.
    pub expires: DateTime<Utc>,
}

/// What sealing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// The approval's number; `None` where nothing was left to seal.
    pub number: Option<u32>,
    /// Orders that are approved now.
    pub approved: Vec<OrderId>,
    /// Orders that are rejected now.
    pub rejected: Vec<OrderId>,
    /// Orders that ended or were decided meanwhile, with a sentence; no reason to refuse the others.
    pub skipped: Vec<(OrderId, String)>,
    /// Orders that cannot be approved as they stand, with a sentence saying what it takes.
    pub refused: Vec<(OrderId, String)>,
    /// Orders that wait for one that will not come, and are blocked for it now.
    pub blocked: Vec<(OrderId, String)>,
    /// Orders that may be reviewed or sent again, because what blocked them is accepted or approved.
    pub unblocked: Vec<OrderId>,
    /// What still holds the run.
    pub holds: Vec<Hold>,
}

impl Store {
    /// Seals a review: verifies the plan, applies the decisions, writes approval-N.json and records its digest.
    ///
    /// Nothing of it happens where the plan changed or an acceptance does not fit; single orders that cannot be
    /// decided are reported and left out of the sealed file.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the plan is not the one that was reviewed, [`StoreError::NotHeld`],
    /// [`StoreError::NoRun`], or when the file or the database cannot be written.
    pub fn seal(&mut self, request: &SealRequest, at: DateTime<Utc>) -> Result<SealReport, StoreError> {
        let standing = if request.plan.is_some() || !request.decisions.is_empty() {
            Some(self.approved_plan(&request.run, at)?)
        } else {
            None
        };
        let layout = self.layout.clone();
        self.write(|tx, log| {
            let run = super::runs::known(tx, &request.run)?;
            if request.plan != run.plan_digest && (request.plan.is_some() || !request.decisions.is_empty()) {
                let what = "the review is of another plan".to_owned();
                return Err(Refusal::PlanChanged { run: request.run.clone(), what }.into());
            }
            let mut sealing = Sealing {
                tx,
                log,
                request,
                at,
                standing: standing.as_ref(),
                report: SealReport::default(),
                revived: vec![],
                rejected: vec![],
            };
            let number = tx.query_row(
                "SELECT coalesce(max(number), 0) + 1 FROM approvals WHERE run = ?",
                [&request.run.0],
                |row| row.get(0),
            )?;
            sealing.accept(&run)?;
            let decided = sealing.decide(number)?;
            sealing.settle_needs()?;
            sealing.report.holds = super::runs::unaccepted(tx, &request.run)?;
            if run.state == RunState::HeldPlan && !sealing.report.holds.iter().any(|h| h.kind == HoldKind::Plan) {
                // Syncs whose snapshots were held as well are still to be planned.
                let all = super::runs::holds_of(tx, &request.run)?;
                let rest = all.iter().any(|hold| hold.kind != HoldKind::Plan);
                let state = if rest { RunState::HeldSnapshot } else { RunState::Planned };
                super::runs::change_state(tx, &request.run, state, "accepted")?;
            }
            if !decided.is_empty() || !request.accepted.is_empty() {
                let approval = Approval {
                    format_version: Approval::FORMAT,
                    job: run.job.clone(),
                    run: request.run.clone(),
                    number,
                    plan: request.plan.clone(),
                    decisions_digest: Approval::digest_of(&decided),
                    decisions: decided,
                    accepted: request.accepted.clone(),
                    reviewer: request.reviewer.clone(),
                    at,
                    expires: request.expires,
                    comment: request.comment.clone(),
                };
                // The file comes first: without its row in the database it is nothing, and is replaced by the next.
                let folder = layout.run_folder(&run.job, &request.run);
                super::layout::create_folder(&folder)?;
                let path = layout.approval(&run.job, &request.run, number);
                let bytes = approval.to_bytes();
                crate::disk::atomic::write(&path, &bytes).map_err(StoreError::from)?;
                let sha256 = Digest::of(&bytes);
                sealing.record(&approval, &sha256)?;
                sealing.report.number = Some(number);
            }
            Ok(sealing.report)
        })
    }
}

struct Sealing<'a> {
    tx: &'a Connection,
    log: &'a mut Chain,
    request: &'a SealRequest,
    at: DateTime<Utc>,
    /// The plan with the approvals that hold; `None` where the run has no plan.
    standing: Option<&'a ApprovedPlan>,
    report: SealReport,
    /// Row numbers of orders that may go on now.
    revived: Vec<i64>,
    /// Row numbers of orders that never will.
    rejected: Vec<i64>,
}

impl Sealing<'_> {
    /// Records the acceptances and lets orders go that only an accepted threshold blocked.
    fn accept(&mut self, run: &RunRecord) -> Result<(), Fault> {
        for (name, figure) in &self.request.accepted {
            let acceptance = Acceptance {
                run: self.request.run.clone(),
                name: name.clone(),
                figure: figure.clone(),
                reviewer: self.request.reviewer.clone(),
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
        let (mut approved, mut rejected) = (Vec::new(), Vec::new());
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
            match verdict(&order, *decision, &holding, self.covered(&order)) {
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
                Decision::Approve => {
                    self.approve(n, &order, number)?;
                    approved.push((n, id.clone()));
                }
                Decision::Reject => {
                    step(self.tx, n, &order, OrderState::Rejected, None, self.at)?;
                    rejected.push((n, id.clone()));
                }
            }
        }
        let detail = serde_json::json!({ "approval": number, "comment": self.request.comment });
        self.log_orders("orders-approved", detail.clone(), &approved)?;
        self.log_orders("orders-rejected", detail, &rejected)?;
        self.revived.extend(approved.iter().map(|(n, _)| n));
        self.rejected.extend(rejected.iter().map(|(n, _)| n));
        self.report.approved = approved.into_iter().map(|(_, id)| id).collect();
        self.report.rejected = rejected.into_iter().map(|(_, id)| id).collect();
        let approved = self.report.approved.iter().map(|id| (id.clone(), Decision::Approve));
        let rejected = self.report.rejected.iter().map(|id| (id.clone(), Decision::Reject));
        Ok(approved.chain(rejected).collect())
    }

    /// Whether an approved order stands under an approval that holds. One that was altered, is gone or expired is none,
    /// and the order may be approved anew.
    fn covered(&self, order: &OrderRecord) -> bool {
        let lasts = order.approval_expires.is_some_and(|expires| expires > self.at);
        let covers = |number| self.standing.is_some_and(|plan| plan.covers(number, &order.id, self.at));
        lasts && order.approved_by.is_some_and(covers)
    }

    fn approve(&mut self, n: i64, order: &OrderRecord, number: u32) -> Result<(), Fault> {
        // An order under an expired approval stays approved and only changes what it stands under.
        if order.state != OrderState::Approved {
            step(self.tx, n, order, OrderState::Approved, None, self.at)?;
        }
        self.tx
            .prepare_cached("UPDATE orders SET approved_by = ?, approval_expires = ? WHERE n = ?")?
            .execute(params![number, stamp(self.request.expires), n])?;
        let low_confidence = order.block.as_ref().is_some_and(|block| block.reason == BlockReason::LowConfidence);
        if low_confidence {
            let pair: (Option<String>, Option<String>) =
                self.tx.query_row("SELECT link_source, link_target FROM orders WHERE n = ?", [n], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            if let (Some(source_key), Some(target_id)) = pair {
                let link = Link { source_key, target_id, how: How::Person, agreed: None };
                let (job, sync, who) = (&order.job, &order.sync_id, &self.request.reviewer);
                change_links(self.tx, self.log, job, sync, &[LinkChange::Put(link)], who, self.at)?;
            }
        }
        Ok(())
    }

    /// Blocks orders whose needed order will not come, and lets go those whose needed order may.
    fn settle_needs(&mut self) -> Result<(), Fault> {
        let mut doubtful = needing(self.tx, &self.rejected)?;
        doubtful.extend(&self.revived);
        self.report.blocked = block_needing(self.tx, self.log, doubtful, self.at)?;
        let freed = free_needing(self.tx, self.log, needing(self.tx, &self.revived)?, self.at)?;
        self.report.unblocked.extend(freed);
        Ok(())
    }

    fn record(&mut self, approval: &Approval, sha256: &Digest) -> Result<(), Fault> {
        self.tx.execute(
            "INSERT INTO approvals VALUES (?,?,?,?,?,?,?,?)",
            params![
                approval.run.0,
                approval.number,
                sha256.as_str(),
                approval.decisions_digest.as_str(),
                approval.reviewer,
                stamp(approval.at),
                stamp(approval.expires),
                approval.comment
            ],
        )?;
        let detail = serde_json::json!({
            "approval": approval.number, "sha256": sha256, "plan": approval.plan,
            "decisions": approval.decisions_digest, "accepted": approval.accepted, "comment": approval.comment,
        });
        let entry = Entry::new(self.at, "approval-sealed", Some(&self.request.run), detail);
        self.log.append(self.tx, &entry.by(&self.request.reviewer))
    }

    fn log_orders(&mut self, kind: &'static str, detail: serde_json::Value, orders: &[Numbered]) -> Result<(), Fault> {
        let entry = Entry::new(self.at, kind, Some(&self.request.run), detail).by(&self.request.reviewer);
        self.log.append_orders(self.tx, &entry, orders)
    }
}

enum Verdict {
    Do,
    Skip(String),
    Refuse(String),
}

fn verdict(order: &OrderRecord, decision: Decision, holding: &BTreeMap<String, bool>, covered: bool) -> Verdict {
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
        (Decision::Approve, Errored) => {
            Verdict::Refuse(format!("it ended in an error: send it again with `muster retry {}`", order.run))
        }
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
                    "{}: {}; choose with `muster link SOURCE TARGET`",
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
