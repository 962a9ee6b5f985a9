//! What live orders wait for, and the command that moves each kind of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::figures::{count, counted};
use super::safe_text;
use crate::model::failure::Class;
use crate::model::order::{BlockReason, OrderId, OrderState, Remedy};
use crate::model::record::{LiveKind, OrderRecord};
use crate::model::run::RunId;

/// Runs whose orders are told one by one; of more, how many there are.
const RUNS: usize = 3;

/// What the live orders of a job, or of one run, wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NextSteps {
    /// The job.
    pub job: String,
    /// Runs that are held by what nobody accepted yet, oldest first.
    pub held: Vec<RunId>,
    /// Runs that go on from their own snapshots, because what held them is accepted.
    pub accepted: Vec<RunId>,
    /// Orders of which nobody can tell whether they took effect, by the run that raised them.
    pub uncertain: BTreeMap<RunId, u64>,
    /// Of the runs among these whose plan is lost, the first uncertain order: no review shows it.
    #[serde(skip)]
    pub to_settle: BTreeMap<RunId, OrderId>,
    /// Orders that failed, by the run that raised them.
    pub errored: BTreeMap<RunId, u64>,
    /// Those among them whose content was refused: only what is planned anew can succeed.
    pub to_correct: BTreeMap<RunId, u64>,
    /// Orders that wait for a person's decision, for the first time or because the approval is over.
    pub review: u64,
    /// Orders that are approved and may be sent.
    pub approved: u64,
    /// Whether an apply refused some of these just now; what it said tells what to do.
    #[serde(skip)]
    pub refused: bool,
    /// Orders whose request may have left; the next run or apply looks them up.
    pub in_flight: u64,
    /// Blocked orders that no decision on them lifts, by reason.
    pub blocked: BTreeMap<BlockReason, u64>,
}

/// Whether an order waits for a person's word on itself, for the first time or because its approval is over. One that
/// only a threshold blocks waits for the threshold; one that nobody can lift waits for nobody.
pub fn waits_for_review(order: &OrderRecord, now: DateTime<Utc>) -> bool {
    they_wait_for_review(&LiveKind::of(order), now)
}

/// The same of orders that stand alike.
pub fn they_wait_for_review(kind: &LiveKind, now: DateTime<Utc>) -> bool {
    match kind.state {
        OrderState::PendingReview => true,
        OrderState::Approved => kind.approval_expires.is_none_or(|expires| expires <= now),
        OrderState::Blocked => {
            kind.block.is_none_or(|reason| matches!(reason.remedy(), Remedy::Approval | Remedy::Choice))
        }
        _ => false,
    }
}

impl NextSteps {
    /// Those of a job of which nothing more is known yet.
    pub fn of(job: &str) -> Self {
        Self { job: job.to_owned(), ..Self::default() }
    }

    /// Counts orders that stand alike.
    pub fn add(&mut self, kind: &LiveKind, now: DateTime<Utc>) {
        let orders = kind.orders;
        match kind.state {
            _ if they_wait_for_review(kind, now) => self.review += orders,
            OrderState::Uncertain => *self.uncertain.entry(kind.run.clone()).or_default() += orders,
            OrderState::Errored => {
                *self.errored.entry(kind.run.clone()).or_default() += orders;
                if kind.failed.is_some_and(Class::is_about_content) {
                    *self.to_correct.entry(kind.run.clone()).or_default() += orders;
                }
            }
            // Nothing of a held run is sent.
            OrderState::Approved if !self.held.contains(&kind.run) => self.approved += orders,
            OrderState::InFlight => self.in_flight += orders,
            _ => {}
        }
        let blocked = kind.block.filter(|_| kind.state == OrderState::Blocked);
        if let Some(reason) = blocked.filter(|reason| matches!(reason.remedy(), Remedy::CauseGone)) {
            *self.blocked.entry(reason).or_default() += orders;
        }
    }

    /// Each kind of orders with the command that moves them, what is urgent first; ends with a line break.
    ///
    /// `about` is what the commands are to name: the job, by its name or as somebody called it, or one run. `told` is
    /// the run whose errors were told just before.
    pub fn text(&self, about: &str, told: Option<&RunId>) -> String {
        let job = safe_text::line(if RunId::is_id(about) { &self.job } else { about });
        let name = safe_text::line(about);
        let mut text = String::new();
        let mut step = |what: String, next: String| text.push_str(&format!("{what}\nnext: {next}\n"));
        for run in &self.held {
            let meanwhile = match self.approved {
                0 => "",
                _ => {
                    "; orders of other runs that are approved already are still applied, by the snapshots accepted last"
                }
            };
            step(
                format!("run {run} is held: what depends on that is not applied before it is accepted{meanwhile}"),
                format!("muster review {run}"),
            );
        }
        for run in &self.accepted {
            step(format!("what held run {run} is accepted"), format!("muster run {job}"));
        }
        for (run, number) in first(&self.uncertain) {
            let what =
                format!("{} of run {run} {} uncertain: look at the target", counted(number, "order"), is(number));
            let mut next = format!("muster review {run}");
            if let Some(order) = self.to_settle.get(run) {
                next = format!("muster settle {order} --took-effect --comment \"why\"   # or --had-no-effect");
                if number > 1 {
                    next.push_str(&format!("\nthe others: muster report {run} --format csv"));
                }
            }
            step(what, next);
        }
        for (run, number) in first(&self.errored) {
            let what = format!("{} of run {run} {} errored", counted(number, "order"), is(number));
            let anew = format!("muster run {job}   # plans anew what is corrected at the source or in the job");
            let again = format!("muster retry {run}");
            let then = match self.to_correct.contains_key(run) {
                false => vec![again],
                true => vec![anew, format!("{again}   # sends the same again")],
            };
            match told == Some(run) {
                true => step(format!("{what}: see to the causes above"), then.join("\nor:   ")),
                false => step(what, format!("muster report {run}\nthen: {}", then.join("\nor:   "))),
            }
        }
        if self.review > 0 {
            let verb = if self.review == 1 { "waits" } else { "wait" };
            step(format!("{} {verb} for review", counted(self.review, "order")), format!("muster review {name}"));
        }
        if self.approved > 0 {
            let what = format!("{} {} approved", counted(self.approved, "order"), is(self.approved));
            match self.refused {
                true => step(format!("{what}, and refused for what is said above"), format!("muster review {name}")),
                false => step(what, format!("muster apply {name}")),
            }
        } else if self.in_flight > 0 {
            let what =
                format!("{} {} in flight, outcome unknown", counted(self.in_flight, "order"), is(self.in_flight));
            step(what, format!("muster apply {name}   # looks up first what became of it"));
        }
        let more = self.uncertain.len().saturating_sub(RUNS) + self.errored.len().saturating_sub(RUNS);
        if more > 0 {
            text.push_str(&format!("and so in {}\n", counted(more as u64, "earlier run")));
        }
        if text.is_empty() {
            text.push_str(if self.blocked.is_empty() { "nothing waits\n" } else { "nothing waits for a person\n" });
        }
        text.push_str(&self.blocked_text(&name));
        text
    }

    fn blocked_text(&self, name: &str) -> String {
        let blocked: u64 = self.blocked.values().sum();
        if blocked == 0 {
            return String::new();
        }
        let reasons: Vec<String> =
            self.blocked.iter().map(|(why, number)| format!("{why}: {}", count(*number))).collect();
        format!(
            "{} {} blocked until the cause is gone ({})\nto see it: muster review {name} --order-state blocked\n",
            counted(blocked, "order"),
            is(blocked),
            reasons.join(", ")
        )
    }
}

/// The newest runs that are told one by one.
fn first(runs: &BTreeMap<RunId, u64>) -> impl Iterator<Item = (&RunId, u64)> {
    runs.iter().rev().take(RUNS).map(|(run, number)| (run, *number))
}

fn is(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_waiting_order_is_told_with_its_own_command() {
        let run = RunId("20261122T150405Z-7f3a".to_owned());
        let mut steps = NextSteps { review: 2, approved: 1, ..NextSteps::of("corp") };
        steps.errored.insert(run.clone(), 1);
        steps.blocked.insert(BlockReason::MissingReference, 3);
        let blocked = "3 orders are blocked until the cause is gone (missing-reference: 3)\nto see it: muster \
                       review corp --order-state blocked\n";
        let rest = format!(
            "2 orders wait for review\nnext: muster review corp\n1 order is approved\nnext: muster apply corp\n{blocked}"
        );
        let errored = format!("1 order of run {run} is errored");
        let first = format!("{errored}\nnext: muster report {run}\nthen: ");
        assert_eq!(steps.text("corp", None), format!("{first}muster retry {run}\n{rest}"));
        let told = steps.text("corp", Some(&run));
        assert_eq!(told, format!("{errored}: see to the causes above\nnext: muster retry {run}\n{rest}"));
        steps.to_correct.insert(run.clone(), 1);
        let anew = format!(
            "{first}muster run corp   # plans anew what is corrected at the source or in the job\n\
             or:   muster retry {run}   # sends the same again\n{rest}"
        );
        assert_eq!(steps.text("corp", None), anew);
        let left = NextSteps { blocked: steps.blocked, ..NextSteps::default() };
        assert_eq!(left.text("corp", None), format!("nothing waits for a person\n{blocked}"));
        assert_eq!(NextSteps::default().text("corp", None), "nothing waits\n");
    }
}
