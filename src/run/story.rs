//! What became of an object: its orders, who approved them, and what the target said.

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use crate::model::explained::{Fact, Step, StepName};
use crate::model::order::{Block, BlockReason, ObjectKey, Order, OrderId, OrderState, Remedy};
use crate::model::record::OrderRecord;
use crate::model::run::RunId;
use crate::model::situation::Cause;
use crate::model::value::Value;
use crate::reconcile::single::{Account, Verdict};

/// Orders of one object that are told; the rest is for `history`.
const TOLD: usize = 3;

/// The orders of an object, told.
pub(super) struct Story {
    /// Its live order.
    pub(super) live: Option<OrderId>,
    pub(super) order: Step,
    pub(super) outcome: Step,
    /// What to type next.
    pub(super) next: Vec<String>,
    /// Every order that was raised for it, as it was planned where its files are kept, oldest first.
    pub(super) orders: Vec<(OrderRecord, Option<Order>)>,
}

impl Story {
    /// The newest order that was applied at or after a moment.
    pub(super) fn applied_since(&self, at: DateTime<Utc>) -> Option<&OrderId> {
        let applied = |record: &&OrderRecord| record.state == OrderState::Applied && record.updated >= at;
        self.orders.iter().rev().map(|(record, _)| record).find(applied).map(|record| &record.id)
    }
}

/// A value as it stands in sentences.
pub(super) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "(empty)".to_owned(), |value| format!("`{value}`"))
}

impl Conductor {
    /// Every order of an object with its content, oldest first.
    pub(super) fn orders_of_object(&self, object: &ObjectKey) -> Result<Vec<(OrderRecord, Option<Order>)>, RunError> {
        let mut orders = Vec::new();
        for record in self.store.orders_about(&self.job.name, object)? {
            let order = self.store.planned_order(&record.job, &record.run, &record.id)?;
            orders.push((record, order));
        }
        Ok(orders)
    }

    pub(super) fn story(&self, account: &Account) -> Result<Story, RunError> {
        let orders = match &account.object {
            Some(object) => self.orders_of_object(object)?,
            None => Vec::new(),
        };
        let mut story = self.story_of(orders, &account.verdict)?;
        if story.live.is_none() && account.verdict.order.is_some() {
            let key = typed(account.subject.source_key.as_deref().unwrap_or_default());
            story.next.push(format!("muster explain {} {key} --apply   # plan just this object", self.job.name));
            story.next.push(format!("muster run {}", self.job.name));
        }
        Ok(story)
    }

    /// The same from the orders themselves and what a plan made now would do.
    pub(super) fn story_of(
        &self,
        orders: Vec<(OrderRecord, Option<Order>)>,
        verdict: &Verdict,
    ) -> Result<Story, RunError> {
        let mut next = Vec::new();
        let live = orders.iter().find(|(record, _)| record.state.is_live());
        let mut order = Step::new(StepName::Order, self.order_verdict(live.map(|(record, _)| record), verdict));
        for (record, planned) in orders.iter().rev().take(TOLD) {
            order.facts.push(self.order_fact(record, planned.as_ref())?);
        }
        if orders.len() > TOLD {
            let more = orders.len() - TOLD;
            order.facts.push(Fact::new("older", format!("{more} more; `muster history {} KEY` tells", self.job.name)));
        }
        if let Some((record, _)) = live {
            next = self.next_of(record);
        }
        for withheld in &verdict.withheld {
            order.facts.push(Fact::new("withheld", withheld.why.clone()).with("order", withheld.order.0.clone()));
            next.push(format!(
                "muster plan {} --ask-again   # raises again what was rejected or undone",
                self.job.name
            ));
        }
        for warning in &verdict.warnings {
            order.facts.push(Fact::new("warning", "").with("says", warning.clone()));
        }
        let outcome = self.outcome_step(&orders)?;
        let live = live.map(|(record, _)| record.id.clone());
        Ok(Story { live, order, outcome, next, orders })
    }

    fn order_verdict(&self, live: Option<&OrderRecord>, verdict: &Verdict) -> String {
        match (live, &verdict.order) {
            (Some(live), None) if verdict.kept.is_some() => format!("{} ({}), still wanted", live.id, live.state),
            (Some(live), Some(order)) => {
                format!("{} ({}); a plan made now would replace it by {}", live.id, live.state, order.id)
            }
            (Some(live), None) if !verdict.superseded.is_empty() => {
                let why = verdict.superseded.first().map_or("", |(_, why)| why.as_str());
                format!("{} ({}); a plan made now would take it back: {why}", live.id, live.state)
            }
            (Some(live), None) => format!("{} ({})", live.id, live.state),
            (None, Some(order)) => format!("none yet: a plan made now would raise {} ({})", order.id, order.operation),
            (None, None) if !verdict.withheld.is_empty() => "withheld: it is wanted, and not raised again".to_owned(),
            (None, None) if !verdict.handed_over.is_empty() => "handed over to people, and not done yet".to_owned(),
            (None, None) => "none waits".to_owned(),
        }
    }

    pub(super) fn order_fact(&self, record: &OrderRecord, planned: Option<&Order>) -> Result<Fact, RunError> {
        let mut fact = Fact::new(record.id.0.clone(), format!("{}, {}", record.operation, record.state));
        fact = fact.with("planned", format!("by run {}", record.run));
        if let Some(order) = planned {
            fact = fact.with("reason", order.reason.clone());
            for change in &order.changes {
                fact = fact.with(
                    "change",
                    format!(
                        "{}: {} → {} ({})",
                        change.attribute,
                        shown(change.before.as_ref()),
                        shown(change.after.as_ref()),
                        change.cause
                    ),
                );
            }
        } else {
            fact = fact.with("note", "its plan's files are gone, what it changed is not known any more");
        }
        if let Some(block) = &record.block {
            fact = fact.with("blocked", format!("{}: {}", block.reason, block.detail));
        }
        if let Some(by) = self.store.approver(record)? {
            let comment = if by.comment.is_empty() { String::new() } else { format!(" (\"{}\")", by.comment) };
            fact = fact.with("approved", format!("by {} at {}{comment}", by.reviewer, time(by.at)));
            fact = fact.with("approval", by.file.display().to_string());
        }
        Ok(fact)
    }

    /// How to go on with a live order.
    fn next_of(&self, record: &OrderRecord) -> Vec<String> {
        let (run, id) = (&record.run, &record.id);
        let approve = || format!("muster approve {run} --order {id} --comment \"why\"");
        match (record.state, &record.block) {
            (OrderState::PendingReview, _) => vec![format!("muster review {run}"), approve()],
            (OrderState::Blocked, Some(block)) => match block.reason.remedy() {
                Remedy::Approval => vec![format!("muster review {run}"), approve()],
                Remedy::Acceptance => vec![accept(run, block)],
                Remedy::Choice => vec![format!("muster link {} {} TARGET", self.job.name, typed(&record.key))],
                Remedy::CauseGone => vec![format!("muster run {}   # once its cause is gone", self.job.name)],
            },
            (OrderState::Approved, _) => vec![format!("muster apply {run}")],
            (OrderState::Errored, _) => {
                vec![format!("muster report {run}"), format!("muster retry {run} --order {id}")]
            }
            (OrderState::Uncertain, _) => {
                vec![format!("muster settle {id} --took-effect --comment \"why\"   # or --had-no-effect")]
            }
            _ => Vec::new(),
        }
    }

    fn outcome_step(&self, orders: &[(OrderRecord, Option<Order>)]) -> Result<Step, RunError> {
        let mut step = Step::new(StepName::Outcome, "nothing was sent yet");
        let mut is_first = true;
        for (record, _) in orders.iter().rev() {
            let attempts = self.store.attempts(&record.id)?;
            if attempts.is_empty() || step.facts.len() >= TOLD {
                continue;
            }
            for attempt in attempts.iter().rev().take(TOLD) {
                let state = attempt.outcome.as_ref().map_or("not ended", |outcome| outcome.state.word());
                if is_first {
                    step.verdict = format!("{state}, {} of {}", record.operation, time(attempt.begun));
                    is_first = false;
                }
                let mut fact = Fact::new(record.id.0.clone(), state).with("sent", time(attempt.begun));
                if let Some(outcome) = &attempt.outcome {
                    fact = fact.with("tries", outcome.tries.to_string());
                    if let Some(note) = &outcome.note {
                        fact = fact.with("note", note.clone());
                    }
                    if let Some(failure) = &outcome.failure {
                        fact = fact.with("error", failure.to_string()).with("remedy", failure.remedy.clone());
                    }
                }
                step.facts.push(fact);
            }
        }
        Ok(step)
    }

    /// Adds to each attribute which order set it last.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub(super) fn add_history(&self, steps: &mut [Step], story: &Story) -> Result<(), RunError> {
        let job_file = self.job_file_note()?;
        for step in steps.iter_mut().filter(|step| step.step == StepName::Compare) {
            for fact in &mut step.facts {
                if let Some(note) = job_file.as_ref().filter(|_| fact.verdict.starts_with("differs: rule")) {
                    fact.details.push(("job file".to_owned(), note.clone()));
                }
                let mut newest = story.orders.iter().rev().filter(|(record, _)| record.state == OrderState::Applied);
                let set = newest.find_map(|(record, order)| {
                    let change = order.as_ref()?.changes.iter().find(|change| change.attribute == fact.about)?;
                    Some((record, change))
                });
                if let Some((record, change)) = set {
                    let (before, after) = (shown(change.before.as_ref()), shown(change.after.as_ref()));
                    let text = format!(
                        "{before} → {after} ({}) by run {}, order {}, {}",
                        change.cause,
                        record.run,
                        record.id,
                        time(record.updated)
                    );
                    fact.details.push(("last set".to_owned(), text));
                    let held = fact.details.iter().find(|(name, _)| name == "held").map(|(_, held)| held.clone());
                    if change.cause == Cause::Rule
                        && let Some(before) = self.job_file_before(&record.run)?
                    {
                        fact.details.push(("job file".to_owned(), before));
                    }
                    if fact.verdict.starts_with("differs: drift") && held.as_deref() != Some(after.as_str()) {
                        let text = "that order succeeded, and the target holds something else: it ignores this attribute, or somebody changed it since";
                        fact.details.push(("note".to_owned(), text.to_owned()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Where a run planned with another job file than the one before it: a sentence.
    fn job_file_before(&self, run: &RunId) -> Result<Option<String>, RunError> {
        let runs = self.store.runs(&self.job.name, 0)?;
        let Some(own) = runs.iter().position(|known| known.id == *run) else { return Ok(None) };
        let before = runs[own + 1..].iter().find(|known| known.plan_digest.is_some());
        Ok(before
            .filter(|before| before.job_digest != runs[own].job_digest)
            .map(|before| format!("that run was the first after run {} whose job file was another", before.id)))
    }
}

fn accept(run: &RunId, block: &Block) -> String {
    let name = block.detail.split("--accept ").nth(1).and_then(|rest| rest.split_whitespace().next());
    match name.filter(|_| block.reason == BlockReason::Threshold) {
        Some(name) => format!("muster approve {run} --accept {name} --comment \"why\""),
        None => format!("muster review {run}"),
    }
}

/// A key as it is typed in a shell: in quotes where it has anything that a shell would take for its own; what cannot be
/// typed, or seen, by its number.
pub fn typed(key: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    if key.contains(hides) {
        let shown = key.chars().map(|c| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if hides(c) => format!("\\U{:08x}", u32::from(c)),
            c => c.to_string(),
        });
        return format!("$'{}'", shown.collect::<String>());
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | ':' | '+' | '/');
    match key.chars().all(is_plain) && !key.is_empty() {
        true => key.to_owned(),
        false => format!("'{}'", key.replace('\'', "'\\''")),
    }
}

/// A point in time to the second.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn a_key_is_typed_so_that_a_shell_leaves_it_alone() {
        assert_eq!(typed("jane@example.com"), "jane@example.com");
        assert_eq!(typed("O'Brien & Co"), "'O'\\''Brien & Co'");
        assert_eq!(typed(""), "''");
    }
}
