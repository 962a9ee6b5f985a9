//! Approval by the job's own rule, where `review.require` leaves something to it. It is a sealed file like any other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::Conductor;
use super::error::RunError;
use crate::model::approval::Decision;
use crate::model::event::Event;
use crate::model::numbers::counted;
use crate::model::order::{Operation, OrderState};
use crate::model::run::{RunId, RunState};
use crate::model::settings::Require;
use crate::model::situation::Cause;
use crate::store::seal::SealRequest;

impl Conductor {
    /// Seals the orders of a run that the job's rule may approve. A first run always waits for a person, and so do a
    /// sync's first orders at a target, as long as nobody decided on any of them.
    pub(super) fn approve_by_rule(&mut self, run: &RunId) -> Result<(), RunError> {
        let free: Box<dyn Fn(Operation) -> bool> = match self.job.review.require.clone() {
            Require::Always => return Ok(()),
            Require::BlockedOrHeld => Box::new(|_| true),
            Require::Operations(reviewed) => Box::new(move |operation| !reviewed.contains(&operation)),
        };
        let record = self.store.run(run)?;
        let Some(plan_digest) = record.plan_digest.clone() else { return Ok(()) };
        if record.state != RunState::Planned {
            return Ok(());
        }
        let plan = self.store.verify_plan(run)?;
        let waits: BTreeMap<_, _> = self.store.orders_of(run)?.into_iter().map(|r| (r.id, r.state)).collect();
        let mut decided = BTreeSet::new();
        for (system, identity) in &plan.targets {
            let syncs = self.store.decided_syncs(&self.job.name, identity, run)?;
            decided.extend(syncs.into_iter().map(|sync| (system.clone(), sync)));
        }
        let mut decisions = BTreeMap::new();
        for order in self.store.read_orders(run)? {
            let order = order?;
            let sync = self.job.syncs.get(order.sync).map(|sync| sync.id.clone()).unwrap_or_default();
            // What nobody ever decided on at this very target is a first load there, whatever is linked elsewhere.
            let first = plan.situations.iter().any(|s| s.sync == sync && s.first_run)
                || !decided.contains(&(order.resource.system.clone(), sync));
            let apart = order.cause == Cause::Both || order.changes.iter().any(|c| c.cause == Cause::Both);
            let pending = waits.get(&order.id) == Some(&OrderState::PendingReview);
            if pending && !first && !apart && free(order.operation) {
                decisions.insert(order.id, Decision::Approve);
            }
        }
        if decisions.is_empty() {
            return Ok(());
        }
        let now = (self.clock)();
        let expires = now + TimeDelta::from_std(self.job.review.expires).unwrap_or(TimeDelta::days(3));
        let count = decisions.len();
        self.store.seal(
            &SealRequest {
                run: run.clone(),
                plan: Some(plan_digest),
                decisions,
                accepted: BTreeMap::new(),
                reviewer: Some("rule review.require".to_owned()),
                comment: format!("by the rule of the job file {}", self.job.digest.short()),
                expires,
            },
            &self.review_rules()?,
            now,
        )?;
        self.reporter.event(&Event::Note(format!("approved by the job's rule: {}", counted(count as u64, "order"))));
        Ok(())
    }
}
