//! What is open at the end of a run or an apply, that people are to hear of: what failed, and what is held.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::review::{accept_command, hold_explanation, hold_sentence};
use super::{ending, outcome_report};
use crate::model::digest::Digest;
use crate::model::failure::Class;
use crate::model::run::RunId;
use crate::notify::notice::NoticeKind;
use crate::notify::told::Open;
use crate::report::error_groups::ErrorGroup;
use crate::report::figures::{counted, examples};
use crate::report::next_steps::NextSteps;
use crate::report::safe_text;
use crate::report::section::Section;
use crate::run::{Applied, RunEnd};
use crate::store::database::Store;

/// Runs with failed orders that are looked into; of older ones the newest tell enough.
const RUNS: usize = 10;

/// Names of objects that are told of one cause.
const NAMED: usize = 10;

/// Columns of what a system says; an answer may be a page.
const LONGEST: usize = 800;

/// One thing that is open.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// The same as long as it is the same: `export/hr/3f2a…`.
    pub(super) what: String,
    /// How large it is, and of which run it is told.
    pub(super) open: Open,
    /// Whether it failed or is held.
    pub(super) kind: NoticeKind,
    /// In a few words.
    pub(super) title: String,
    /// What happened.
    pub(super) section: Section,
    /// What to do next.
    pub(super) next: Vec<String>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    /// The run that it was, or worked on first.
    pub(super) run: Option<&'a RunId>,
    /// How the run ended, where it was one and came to an end.
    pub(super) end: Option<&'a RunEnd>,
    /// What was applied, where it came to that.
    pub(super) applied: Option<&'a Applied>,
    /// Why it did not come to its end.
    pub(super) error: Option<&'a str>,
}

impl Ended<'_> {
    /// Whether it could have seen something: where it does not see it now, it is over.
    pub(super) fn judges(&self, what: &str) -> bool {
        let part = what.split('/').next().unwrap_or_default();
        match part {
            "orders" | "held" => true,
            "apply" => self.applied.is_some(),
            "command" => self.error.is_some() || self.end.is_some(),
            _ => self.end.is_some(),
        }
    }
}

/// Everything that is open, each once, what failed before what is held.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn open(
    store: &Store,
    job: &str,
    ended: &Ended<'_>,
    now: DateTime<Utc>,
) -> Result<(Vec<Trouble>, NextSteps)> {
    let steps = ending::steps(store, job, now)?;
    let mut troubles = Vec::new();
    let run = ended.run.cloned();
    let failed = |what: String, title: String, told: &str, next: Vec<String>| Trouble {
        what,
        open: Open { figure: 1, run: run.clone() },
        kind: NoticeKind::Errors,
        section: Section::new(title.clone()).line(short(told)),
        title,
        next,
    };
    if let Some(error) = ended.error {
        let next = vec!["mend the cause".to_owned(), format!("muster check {job}"), format!("muster run {job}")];
        troubles.push(failed(
            format!("command/{}", likeness(error)),
            "it did not come to its end".to_owned(),
            error,
            next,
        ));
    }
    if let Some(end) = ended.end {
        for (system, why) in &end.failures {
            let title = format!("{system} could not be exported");
            let next = vec![
                format!("mend the cause, then: muster check {job}"),
                format!("muster run {job}    # a timer's next run does the same"),
            ];
            troubles.push(failed(format!("export/{system}/{}", likeness(why)), title, why, next));
        }
        for sync in &end.judges_nobody {
            let title = format!("{sync}: nobody whom its scope may admit can be judged");
            let told = "nothing was planned of them";
            let next = vec![format!("muster review {}    # says why", end.run)];
            troubles.push(failed(format!("judges/{sync}"), title, told, next));
        }
        for sentence in &end.given_up {
            let title = "orders whose plan is lost were given up".to_owned();
            let next = vec![format!("muster review {job}    # what of it is still wanted was planned anew")];
            troubles.push(failed(format!("given-up/{}", likeness(sentence)), title, sentence, next));
        }
    }
    if let Some(applied) = ended.applied {
        for refusal in &applied.refused {
            let next = vec![format!("muster review {job}")];
            let title = "an approval was refused".to_owned();
            troubles.push(failed(format!("apply/refused/{}", likeness(refusal)), title, refusal, next));
        }
        if let Some(why) = &applied.stopped {
            let mut trouble = failed(
                format!("apply/stopped/{}", likeness(why)),
                "the apply stopped before its end".to_owned(),
                why,
                vec![format!("mend the cause, then: muster apply {job}")],
            );
            if applied.untried > 0 {
                let left = format!("{} not tried, still approved", counted(applied.untried, "order"));
                trouble.section = trouble.section.line(left);
            }
            troubles.push(trouble);
        }
    }
    troubles.extend(orders(store, &steps)?);
    troubles.extend(held(store, &steps)?);
    Ok((troubles, steps))
}

/// Orders that failed and are not mended, by cause over all runs.
fn orders(store: &Store, steps: &NextSteps) -> Result<Vec<Trouble>> {
    let runs: BTreeSet<&RunId> = steps.errored.keys().chain(steps.uncertain.keys()).collect();
    let mut by: BTreeMap<String, Trouble> = BTreeMap::new();
    for run in runs.into_iter().rev().take(RUNS) {
        let (report, _) = outcome_report::build(store, &store.run(run)?, 0)?;
        for group in report.error_groups.iter().filter(|group| group.failed > 0 && group.cause.class != Class::Stale) {
            let what = format!("orders/{}", group.name);
            match by.get_mut(&what) {
                // The newest run tells of it; the older ones add to its figure.
                Some(known) => known.open.figure += group.failed,
                None => drop(by.insert(what.clone(), of_group(what, run, group, steps))),
            }
        }
    }
    let mut troubles: Vec<Trouble> = by.into_values().collect();
    for trouble in &mut troubles {
        trouble.title = format!("{} failed ({})", counted(trouble.open.figure, "order"), trouble.title);
    }
    troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.open.figure));
    Ok(troubles)
}

fn of_group(what: String, run: &RunId, group: &ErrorGroup, steps: &NextSteps) -> Trouble {
    let cause = &group.cause;
    let status = cause.status.map(|status| format!(", status {status}")).unwrap_or_default();
    let names = examples(group.keys.iter().map(String::as_str), group.failed, NAMED);
    let section = Section::new(format!("{} {}: {}", cause.operation, cause.resource, group.orders_sentence()))
        .line(format!("class {}{status}", cause.class))
        .line(short(&group.example))
        .line(format!("of run {run}: {names}"))
        .detail(short(&group.remedy));
    let mut next = vec![format!("muster report {run}")];
    if !group.retry.is_empty() {
        next.push(format!("{}    # one of them again, {}", group.retry, group.when()));
    }
    if steps.uncertain.contains_key(run) {
        next.push(format!("muster review {run}    # of some nobody can tell: look at the target, then muster settle"));
    }
    Trouble {
        what,
        open: Open { figure: group.failed, run: Some(run.clone()) },
        kind: NoticeKind::Errors,
        title: cause.class.to_string(),
        section,
        next,
    }
}

/// What holds runs and was not accepted yet.
fn held(store: &Store, steps: &NextSteps) -> Result<Vec<Trouble>> {
    let mut by: BTreeMap<String, Trouble> = BTreeMap::new();
    for run in &steps.held {
        let record = store.run(run)?;
        let holds = store.unaccepted_holds(run)?;
        for hold in &holds {
            let mut section = Section::new(hold_sentence(hold));
            if !hold.first.is_empty() {
                section = section.line(format!("first: {}", hold.first.join(", ")));
            }
            section = section.text(hold_explanation(hold, 0).trim_end()).line(format!("it holds run {run}"));
            let next = vec![
                format!("muster review {run}"),
                format!("{}    # if that is as it should be", accept_command(&record, &holds)),
            ];
            let figure = hold.figure.parse::<f64>().map_or(1, |figure| figure.max(1.0) as u64);
            let what = format!("held/{}", hold.name);
            let open = Open { figure, run: Some(run.clone()) };
            let (kind, title) = (NoticeKind::Held, hold.name.clone());
            // The newest run is the one to accept.
            by.insert(what.clone(), Trouble { what, open, kind, title, section, next });
        }
    }
    Ok(by.into_values().collect())
}

/// What is the same of two texts that tell the same at two moments: all but words with figures, which are counts, times,
/// addresses and the ids of requests and runs. Twelve hex digits.
fn likeness(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || ",;:()`'\"".contains(c)).filter(|word| !word.is_empty());
    let plain: Vec<&str> =
        words.map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word }).collect();
    Digest::of(plain.join(" ").as_bytes()).to_string().chars().take(12).collect()
}

/// A text of a system, of a long one the beginning.
fn short(text: &str) -> String {
    safe_text::clip(&safe_text::line(text), LONGEST).into_owned()
}

#[cfg(test)]
mod tests {
    use super::likeness;

    #[test]
    fn the_same_failure_is_the_same_at_every_tick() {
        let one = likeness("hr: run 20261122T150405Z-7f3a got no answer within 12 s (request 8812-ab) [connection]");
        assert_eq!(one, likeness("hr: run 20261123T150405Z-00aa got no answer within 9 s (request 1) [connection]"));
        assert_ne!(
            one,
            likeness("hr: run 20261122T150405Z-7f3a got no answer within 12 s (request 8812-ab) [credential]")
        );
        assert_eq!(one.len(), 12);
    }
}
