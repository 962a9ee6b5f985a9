//! `muster status JOB`: where a job stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::figures::{ago, bytes, count, counted, time};
use super::next_steps::NextSteps;
use super::report_json::Export;
use super::safe_text;
use super::screen::Screen;
use super::summary::{in_grace, indented};
use super::table::{Column, Format, Listing};
use crate::model::evidence::Mode;
use crate::model::order::OrderState;
use crate::model::plan::InGrace;
use crate::model::record::WithheldFor;
use crate::model::run::{RunId, RunState};

/// Warnings that are told.
const WARNINGS: usize = 5;

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobStatus {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// The job.
    pub job: String,
    /// When this was found.
    pub now: DateTime<Utc>,
    /// Who holds the job's lock: `pid 4711 on runner1 since …`; `None` where nobody does.
    pub under_way: Option<String>,
    /// Its last runs, newest first.
    pub runs: Vec<RunLine>,
    /// The export files of the newest run that has any.
    pub exports: Vec<Export>,
    /// The run whose export files these are, and orders that were applied since, which they do not show.
    pub exported_by: Option<RunId>,
    /// How many these are.
    pub applied_since: u64,
    /// Live orders by state, of all runs.
    pub live: BTreeMap<OrderState, u64>,
    /// Those of the approved ones whose approval has expired: they wait for a person again.
    pub expired: u64,
    /// Orders that some reviewers approved and not enough: `1 of 2` → how many.
    pub seconded: BTreeMap<String, u64>,
    /// Objects that are out of use and wait for the end of their grace, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<InGrace>,
    /// What is not raised again though it may be wanted, by why: so many objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<WithheldFor, u64>,
    /// What the newest plan warns of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When it runs next, where its job file says when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// What the live orders wait for.
    pub next: NextSteps,
}

/// When a job runs next by the schedule of its job file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// The next incremental run; `None`: never.
    pub incremental: Option<DateTime<Utc>>,
    /// The next complete run; `None`: never.
    pub complete: Option<DateTime<Utc>>,
}

/// One run in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunLine {
    /// The run.
    pub run: RunId,
    /// How much was exported.
    pub mode: Mode,
    /// The run that it undoes, where it does: nothing was exported then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoes: Option<RunId>,
    /// Where it stands.
    pub state: RunState,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it is under way.
    pub ended: Option<DateTime<Utc>>,
    /// New orders of its plan, where there is one.
    pub orders: Option<u64>,
    /// These by where they stand now.
    pub by_state: BTreeMap<OrderState, u64>,
    /// Why it failed or is held, in one sentence.
    pub why: Option<String>,
}

impl RunLine {
    /// How it came to its plan, in a word: how much was exported, or that it undoes another.
    pub fn mode_word(&self) -> &'static str {
        if self.undoes.is_some() { "revert" } else { self.mode.word() }
    }
}

impl JobStatus {
    /// The format of the JSON that this version writes.
    pub const FORMAT: u32 = 1;

    /// The status as one JSON object.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        safe_text::json(text)
    }

    /// The status for people.
    pub fn to_text(&self, about: &str, on: impl Into<Screen>) -> String {
        let inner = on.into().narrower(2);
        let mut text = format!("job {}", safe_text::line(&self.job));
        match &self.under_way {
            Some(owner) => {
                let _ = writeln!(text, ": under way, {}", safe_text::line(owner));
            }
            None => text.push('\n'),
        }
        if self.runs.is_empty() {
            text.push_str("\nno run yet\n");
        } else {
            text.push_str("\nlast runs\n");
            text.push_str(&indented(&self.run_listing().render(Format::Table, inner), 2));
        }
        for (number, run) in self.runs.iter().enumerate() {
            if let Some(why) = run.why.as_ref().filter(|_| number == 0 || run.state.is_held()) {
                let _ = writeln!(text, "  {}: {}", run.run, safe_text::line(why));
            }
        }
        if self.runs.iter().any(|run| !run.by_state.is_empty()) {
            text.push_str("\ntheir orders, by where they stand now\n");
            text.push_str(&indented(&self.order_listing().render(Format::Table, inner), 2));
        }
        if !self.exports.is_empty() {
            let run = self.exported_by.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
            let _ = writeln!(text, "\nexport files{run}");
            text.push_str(&indented(&self.export_listing().render(Format::Table, inner), 2));
            if self.applied_since > 0 {
                let verb = if self.applied_since == 1 { "was" } else { "were" };
                let applied = counted(self.applied_since, "order");
                let _ = writeln!(text, "  {applied} {verb} applied since; the next run's files show what came of it");
            }
        }
        if self.live.values().any(|number| *number > 0) {
            text.push_str("\nlive orders\n");
            for (state, number) in self.live.iter().filter(|(_, number)| **number > 0) {
                let expired = match (state, self.expired) {
                    (OrderState::Approved, 1..) => format!(", of {} the approval has expired", count(self.expired)),
                    _ => String::new(),
                };
                let _ = writeln!(text, "  {state:<15} {}{expired}", count(*number));
            }
            for (figure, number) in &self.seconded {
                let _ = writeln!(text, "  {figure} reviewers approved {}", counted(*number, "order"));
            }
        }
        if let Some(grace) = &self.grace {
            let _ = writeln!(text, "\nin grace\n  {}", in_grace(grace.objects, grace.due));
        }
        text.push_str(&self.withheld_text(about));
        text.push_str(&self.warnings_text(about));
        text.push_str(&self.due_text(about));
        let _ = write!(text, "\n{}", self.next_text(about));
        text
    }

    /// What the newest plan warns of: it stands as long as nobody mends it, though runs tell it once.
    fn warnings_text(&self, about: &str) -> String {
        if self.warnings.is_empty() {
            return String::new();
        }
        let told = self.warnings.iter().take(WARNINGS).map(|warning| format!("  {}\n", safe_text::line(warning)));
        let mut text = format!("\nwarnings of the newest plan\n{}", told.collect::<String>());
        if let Some(more @ 1..) = self.warnings.len().checked_sub(WARNINGS) {
            let _ = writeln!(text, "  and {more} more: muster review {}", safe_text::line(about));
        }
        text
    }

    /// When the next run is due. Nothing starts by itself when somebody changes something at a system.
    fn due_text(&self, about: &str) -> String {
        let of = |due: Option<DateTime<Utc>>, word| due.map(|at| format!("{} ({word})", time(at)));
        let due: Vec<String> = match &self.due {
            None => return String::new(),
            Some(due) => of(due.incremental, "incremental").into_iter().chain(of(due.complete, "complete")).collect(),
        };
        match due.is_empty() {
            true => "\ndue by the job file's [schedule]\n  never: both kinds of runs are switched off\n".to_owned(),
            false => format!(
                "\ndue by the job file's [schedule]\n  {}\n  if a timer calls it: muster schedule {}\n",
                due.join(", "),
                safe_text::line(about)
            ),
        }
    }

    /// What is withheld, and how to see it and to ask again.
    fn withheld_text(&self, about: &str) -> String {
        if self.withheld.is_empty() {
            return String::new();
        }
        let mut text = String::from("\nwithheld, as long as nothing else is wanted\n");
        for (why, number) in &self.withheld {
            let orders = counted(*number, "order");
            let _ = match why {
                WithheldFor::Rejected => writeln!(text, "  {orders} rejected before"),
                WithheldFor::HandedOver => writeln!(text, "  {orders} handed over to people, and not seen done yet"),
                WithheldFor::Undone => writeln!(text, "  {orders} undone before"),
            };
        }
        let job = safe_text::line(about);
        let _ = writeln!(text, "  which: muster list {job} --withheld");
        if self.withheld.keys().any(|why| *why != WithheldFor::HandedOver) {
            let _ = writeln!(text, "  raise them again: muster plan {job} --ask-again");
        }
        text
    }

    /// The last runs.
    pub fn run_listing(&self) -> Listing {
        let of = |name| if name == "state" { Column::state(name) } else { Column::whole(name) };
        let columns = ["run", "mode", "state", "began", "took", "orders"];
        let mut listing = Listing::new(columns.map(of).to_vec());
        for run in &self.runs {
            let took = run
                .ended
                .map(|ended| format!("{} s", count(u64::try_from((ended - run.started).num_seconds()).unwrap_or(0))));
            listing.push(vec![
                run.run.to_string().into(),
                run.mode_word().into(),
                run.state.word().into(),
                ago(run.started, self.now).into(),
                took.into(),
                run.orders.into(),
            ]);
        }
        listing
    }

    /// The orders of the last runs: a row a run that has any, a column a state that occurs.
    fn order_listing(&self) -> Listing {
        let occurs = |state: &&OrderState| self.runs.iter().any(|run| run.by_state.contains_key(*state));
        let states: Vec<OrderState> = OrderState::ALL.iter().filter(occurs).copied().collect();
        let mut columns = vec![Column::whole("run")];
        columns.extend(states.iter().map(|state| Column::whole(state.word())));
        let mut listing = Listing::new(columns);
        for run in self.runs.iter().filter(|run| !run.by_state.is_empty()) {
            let mut row = vec![run.run.to_string().into()];
            row.extend(states.iter().map(|state| run.by_state.get(state).copied().into()));
            listing.push(row);
        }
        listing
    }

    /// The export files.
    pub fn export_listing(&self) -> Listing {
        let columns = [
            Column::new("file"),
            Column::whole("date"),
            Column::whole("rows"),
            Column::whole("size"),
            Column::state("verdict"),
        ];
        let mut listing = Listing::new(columns.to_vec());
        for export in &self.exports {
            listing.push(vec![
                export.resource.to_string().into(),
                time(export.at).into(),
                export.rows.into(),
                bytes(export.bytes).into(),
                export.verdict.word().into(),
            ]);
        }
        listing
    }

    /// What waits, and the next commands to type.
    fn next_text(&self, about: &str) -> String {
        let job = safe_text::line(about);
        let Some(newest) = self.runs.first() else { return format!("next: muster run {job}\n") };
        let mut text = String::new();
        if newest.state == RunState::Failed {
            let _ = write!(text, "the last run failed\nnext: muster check {job}\n");
        }
        let mut next = self.next.clone();
        if self.under_way.is_some() {
            // What is approved may be on its way just now.
            (next.approved, next.in_flight) = (0, 0);
        }
        let waiting = next.text(about, None);
        if text.is_empty() || !waiting.starts_with("nothing waits") {
            text.push_str(&waiting);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::evidence::Completeness;
    use crate::model::resource::ResourceName;

    #[test]
    fn a_status_fits_eighty_columns_and_ends_with_the_next_command() {
        let at: DateTime<Utc> = "2026-11-22T15:04:05Z".parse().unwrap();
        let mut status = JobStatus {
            format_version: JobStatus::FORMAT,
            job: "idp-to-vault".to_owned(),
            now: "2026-11-22T16:05:05Z".parse().unwrap(),
            under_way: None,
            runs: vec![RunLine {
                run: RunId("20261122T150405Z-7f3a".to_owned()),
                mode: Mode::Incremental,
                undoes: None,
                state: RunState::Planned,
                started: at,
                ended: Some("2026-11-22T15:04:47Z".parse().unwrap()),
                orders: Some(12),
                by_state: BTreeMap::from([(OrderState::PendingReview, 11), (OrderState::Applied, 1)]),
                why: None,
            }],
            exports: vec![Export {
                resource: ResourceName::new("idp", "users"),
                rows: 120_000,
                bytes: 13_107_200,
                at,
                mode: Mode::Incremental,
                missed: None,
                pages: 1,
                total: None,
                read_again: None,
                verdict: Completeness::Complete,
            }],
            exported_by: Some(RunId("20261122T150405Z-7f3a".to_owned())),
            applied_since: 1,
            live: BTreeMap::from([(OrderState::PendingReview, 12), (OrderState::Errored, 1)]),
            expired: 0,
            seconded: BTreeMap::new(),
            grace: None,
            withheld: BTreeMap::from([(WithheldFor::Rejected, 1)]),
            due: None,
            warnings: Vec::new(),
            next: NextSteps { review: 12, ..NextSteps::of("idp-to-vault") },
        };
        let text = status.to_text("idp-to-vault", 80);
        assert_eq!(
            text,
            "\
job idp-to-vault

last runs
  run                    mode         state    began       took  orders
  20261122T150405Z-7f3a  incremental  planned  1 hour ago  42 s      12

their orders, by where they stand now
  run                    pending-review  applied
  20261122T150405Z-7f3a              11        1

export files of run 20261122T150405Z-7f3a
  file       date                     rows  size      verdict
  idp.users  2026-11-22 15:04:05Z  120,000  12.5 MiB  complete
  1 order was applied since; the next run's files show what came of it

live orders
  pending-review  12
  errored         1

withheld, as long as nothing else is wanted
  1 order rejected before
  which: muster list idp-to-vault --withheld
  raise them again: muster plan idp-to-vault --ask-again

12 orders wait for review
next: muster review idp-to-vault
"
        );
        status.runs[0].state = RunState::Failed;
        let failed = "\nthe last run failed\nnext: muster check idp-to-vault\n12 orders wait";
        assert!(status.to_text("idp-to-vault", 80).contains(failed));
        status.next.review = 0;
        assert!(status.to_text("idp-to-vault", 80).ends_with("\nnext: muster check idp-to-vault\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&status.to_json()).unwrap()["live"]["errored"], 1);
    }
}
