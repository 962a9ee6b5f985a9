//! What may be sent: orders that are approved, in plans and under approvals that were verified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Conductor;
use super::apply::{Applied, ApplyRequest};
use super::error::RunError;
use crate::connector::target::Target;
use crate::model::approval::Refusal;
use crate::model::event::Event;
use crate::model::numbers::counted;
use crate::model::order::{Order, OrderId, OrderState};
use crate::model::record::HoldKind;
use crate::model::run::{RunId, RunState};
use crate::store::verified::{ApprovedPlan, Rejection};

/// The verified plans of an apply, and under which approval each of its orders stands.
#[derive(Default)]
pub(super) struct Plans {
    runs: BTreeMap<RunId, Arc<ApprovedPlan>>,
    orders: BTreeMap<OrderId, (RunId, u32)>,
}

impl Plans {
    /// The verified plan that an order stands in.
    pub(super) fn of(&self, order: &OrderId) -> Option<&Arc<ApprovedPlan>> {
        self.orders.get(order).and_then(|(run, _)| self.runs.get(run))
    }

    /// The run that raised an order.
    pub(super) fn run_of(&self, order: &OrderId) -> Option<&RunId> {
        self.orders.get(order).map(|(run, _)| run)
    }
}

impl Conductor {
    /// Verifies plans and approvals, and reads the orders that they cover. What a sealed file rejects and the database
    /// calls approved is set back to rejected.
    pub(super) fn approved_orders(
        &mut self,
        request: &ApplyRequest,
        result: &mut Applied,
    ) -> Result<(Vec<Order>, Plans), RunError> {
        let now = (self.clock)();
        let runs = match &request.run {
            Some(run) => vec![run.clone()],
            None => self.store.live_runs(&self.job.name)?,
        };
        let (mut orders, mut plans) = (Vec::new(), Plans::default());
        let rules = self.review_rules()?;
        for run in runs {
            let records = self.store.orders_of(&run)?;
            let asked = |order: &OrderId| request.only.as_ref().is_none_or(|only| only == order);
            let approved = records.into_iter().filter(|r| r.state == OrderState::Approved && asked(&r.id));
            let approved: BTreeMap<_, _> = approved.map(|r| (r.id.clone(), r)).collect();
            let holds = self.store.unaccepted_holds(&run)?;
            if self.store.run(&run)?.state == RunState::HeldPlan && holds.iter().any(|h| h.kind == HoldKind::Plan) {
                result.untried += approved.len() as u64;
                result.held.push(run.clone());
                self.reporter.event(&Event::Note(format!("run {run} is held: nothing of it is applied")));
                continue;
            }
            if approved.is_empty() {
                continue;
            }
            let plan = match self.store.approved_plan(&run, &rules, now) {
                Ok(plan) => Arc::new(plan),
                Err(error) => {
                    result.refused.push(error.to_string());
                    continue;
                }
            };
            let used: Vec<u32> = approved.values().filter_map(|r| r.approved_by).collect();
            tell_refusals(&plan, &used, result);
            // What the database calls approved and no sealed file does, by the approval that it names.
            let mut uncovered: BTreeMap<(Option<u32>, usize), Vec<OrderId>> = BTreeMap::new();
            let mut rejected: BTreeMap<Rejection, Vec<OrderId>> = BTreeMap::new();
            for order in self.store.read_orders(&run)? {
                let order = order?;
                let Some(record) = approved.get(&order.id) else { continue };
                if let Some(rejection) = plan.approvals().rejection(&order.id) {
                    rejected.entry(rejection.clone()).or_default().push(order.id);
                    continue;
                }
                let Some(number) = record.approved_by.filter(|number| plan.covers(*number, &order.id, now)) else {
                    result.untried += 1;
                    let told = |refusal: &Refusal| refusal.number().is_none_or(|n| record.approved_by == Some(n));
                    if !plan.refusals().iter().any(told) {
                        let by = plan.approvals().reviewers(&order.id, 0, now).len();
                        uncovered.entry((record.approved_by, by)).or_default().push(order.id);
                    }
                    continue;
                };
                plans.orders.insert(order.id.clone(), (run.clone(), number));
                orders.push(order);
            }
            for (rejection, orders) in rejected {
                self.store.reject_again(&run, &rejection, &orders, now)?;
                result.refused.push(rejected_text(&run, &rejection, &orders));
            }
            let asked = plan.approvals().terms().reviewers;
            for ((number, by), orders) in uncovered {
                let is_few = by > 0 && by < asked as usize;
                let refusal = if is_few {
                    Refusal::few(&run, by, asked, &orders)
                } else {
                    Refusal::uncovered(&run, number, &orders)
                };
                result.refused.push(refusal.to_string());
            }
            plans.runs.insert(run.clone(), plan);
            result.runs.push(run);
        }
        Ok((orders, plans))
    }

    /// Verifies once more, before a wave, what its orders stand under and for which target; orders that nothing covers
    /// any more are left out and stay approved, with one sentence for each cause.
    pub(super) fn still_covered(
        &self,
        orders: Vec<Order>,
        target: &dyn Target,
        plans: &mut Plans,
        result: &mut Applied,
    ) -> Result<Vec<Order>, RunError> {
        let now = (self.clock)();
        let rules = self.review_rules()?;
        let standing: BTreeMap<&OrderId, &(RunId, u32)> =
            orders.iter().filter_map(|order| Some((&order.id, plans.orders.get(&order.id)?))).collect();
        let runs: BTreeSet<RunId> = standing.values().map(|(run, _)| run.clone()).collect();
        for run in runs {
            match self.store.approved_plan(&run, &rules, now) {
                Ok(plan) => {
                    let used: Vec<u32> = standing.values().filter(|(r, _)| *r == run).map(|(_, n)| *n).collect();
                    tell_refusals(&plan, &used, result);
                    plans.runs.insert(run, Arc::new(plan));
                }
                Err(error) => {
                    push_once(&mut result.refused, error.to_string());
                    plans.runs.remove(&run);
                }
            }
        }
        let identity = target.identity();
        let covered = |order: &Order| {
            let Some((run, number)) = plans.orders.get(&order.id) else { return false };
            let Some(plan) = plans.runs.get(run) else { return false };
            if let Err(refusal) = plan.plan().require_target(run, &order.resource.system, &identity) {
                push_once(&mut result.refused, refusal.to_string());
                return false;
            }
            // What was rejected meanwhile is told as that when it would begin, and does not.
            plan.covers(*number, &order.id, now) || plan.approvals().rejection(&order.id).is_some()
        };
        let (go, left): (Vec<Order>, Vec<Order>) = orders.into_iter().partition(covered);
        result.untried += left.len() as u64;
        Ok(go)
    }
}

/// Says that orders are rejected, whatever the database called them.
fn rejected_text(run: &RunId, rejection: &Rejection, orders: &[OrderId]) -> String {
    let (many, first) = (counted(orders.len() as u64, "order"), orders.first().map_or("", |order| order.0.as_str()));
    let Rejection { number, reviewer, .. } = rejection;
    format!(
        "{many} of run {run} ({first}): rejected by {reviewer} in approval {number}, though the database calls it \
         approved: somebody changed the database; nothing is sent, and it is rejected again: see what `muster log \
         --verify` says, and who may write the database"
    )
}

/// Says why approvals do not hold. One that ran out after its orders were sent is no news; one that was tampered with
/// is, whatever it covers.
fn tell_refusals(plan: &ApprovedPlan, used: &[u32], result: &mut Applied) {
    for refusal in plan.refusals() {
        if !matches!(refusal, Refusal::Expired { .. }) {
            push_once(&mut result.refused, refusal.to_string());
        } else if refusal.number().is_some_and(|number| used.contains(&number)) {
            push_once(&mut result.expired, refusal.to_string());
        }
    }
}

/// Adds a sentence that was not told yet.
pub(super) fn push_once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
