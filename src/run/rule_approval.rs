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
    /// Seals the orders of a run that the job's rule may approve. A first run always waits for a person.
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
        let undecided = self.undecided_syncs(run)?;
        let mut decisions = BTreeMap::new();
        for order in self.store.read_orders(run)? {
            let order = order?;
            let sync = self.job.syncs.get(order.sync).map(|sync| sync.id.as_str());
            let first = plan.situations.iter().any(|s| Some(s.sync.as_str()) == sync && s.first_run)
                || sync.is_some_and(|sync| undecided.contains(sync));
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

    /// Syncs whose earlier orders nobody ever decided on: their first load still waits for a person, also where a
    /// later plan replaced its orders.
    fn undecided_syncs(&self, run: &RunId) -> Result<BTreeSet<String>, RunError> {
        let mut decided: BTreeMap<String, bool> = BTreeMap::new();
        for earlier in self.store.runs(&self.job.name, 0)?.into_iter().filter(|r| r.id != *run) {
            for order in self.store.orders_of(&earlier.id)? {
                let waits =
                    matches!(order.state, OrderState::PendingReview | OrderState::Blocked | OrderState::Superseded);
                *decided.entry(order.sync_id).or_default() |= !waits;
            }
        }
        Ok(decided.into_iter().filter_map(|(sync, decided)| (!decided).then_some(sync)).collect())
    }
}
