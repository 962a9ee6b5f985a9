//! What a job did in a time: what it applied, what failed, how its runs went, how its systems grew.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;

use super::cell::Cell;
use super::figures::{count, counted, time};
use super::next_steps::NextSteps;
use super::safe_text;
use super::section::{Section, sections_text};
use super::summary::by_operation;
use super::table::{Column, Format, Listing};
use crate::model::evidence::Mode;
use crate::model::order::Operation;
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};

/// Runs that are told one by one to people; programs get all.
const RUNS: usize = 12;

/// Days that are told one by one to people.
const DAYS: usize = 31;

/// Orders counted by resource type and operation.
pub type Counts = BTreeMap<ResourceName, BTreeMap<Operation, u64>>;

/// What a job did in a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeriodReport {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// The job.
    pub job: String,
    /// Where the time begins.
    pub from: DateTime<Utc>,
    /// Where it ends.
    pub to: DateTime<Utc>,
    /// Orders that came into effect in it.
    pub applied: Counts,
    /// Orders of which a try failed in it, whatever became of them later.
    pub failed: Counts,
    /// The runs that began in it, and older ones whose orders ended in it; oldest first.
    pub runs: Vec<RunFigures>,
    /// What is open at its end.
    pub open: NextSteps,
}

/// One run in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunFigures {
    /// The run.
    pub run: RunId,
    /// How much was exported.
    pub mode: Mode,
    /// Where it stands.
    pub state: RunState,
    /// Its exit status, once it ended.
    pub exit_status: Option<u8>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// How long it took, in seconds; `None` where it has not ended, or undoes another.
    pub seconds: Option<f64>,
    /// Orders of its plan that came into effect in the time.
    pub applied: Counts,
    /// Orders of its plan of which a try failed in the time.
    pub failed: Counts,
    /// What holds or held it, by name.
    pub holds: Vec<String>,
    /// Rows of its exports; empty where its folder is gone.
    pub rows: BTreeMap<ResourceName, u64>,
    /// Why it ended as it did, where that was written down.
    pub note: String,
}

impl RunFigures {
    /// How it ended, in a word or two.
    pub fn ended(&self) -> &'static str {
        match (self.exit_status, self.state) {
            (None, _) => "not ended",
            (Some(0), _) => "done",
            (Some(3), _) => "waits",
            (Some(4), _) => "held",
            (Some(5), _) => "order errors",
            (Some(_), RunState::Failed) => "export failed",
            _ => "failed",
        }
    }
}

/// The runs that began on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// How many runs began.
    pub runs: u64,
    /// Orders of theirs that came into effect.
    pub applied: u64,
    /// Orders of theirs of which a try failed.
    pub failed: u64,
    /// Runs that were held.
    pub held: u64,
    /// Seconds that the longest one took.
    pub longest: Option<f64>,
    /// Rows of the day's last export of each resource.
    pub rows: BTreeMap<ResourceName, u64>,
}

/// How many orders there are.
fn sum(counts: &Counts) -> u64 {
    counts.values().flat_map(BTreeMap::values).sum()
}

impl PeriodReport {
    /// The format that this version writes.
    pub const FORMAT: u32 = 1;

    /// Orders in effect, and orders that failed.
    pub fn totals(&self) -> (u64, u64) {
        (sum(&self.applied), sum(&self.failed))
    }

    /// The days of the time, oldest first, from the first one with a run on; those without one too.
    pub fn days(&self) -> Vec<Day> {
        let mut days: Vec<Day> = Vec::new();
        for run in &self.runs {
            let today = run.started.date_naive();
            while days.last().is_none_or(|last| last.day < today) {
                let day = days.last().map_or(today, |last| last.day + chrono::Days::new(1));
                let empty = Day { day, runs: 0, applied: 0, failed: 0, held: 0, longest: None, rows: BTreeMap::new() };
                days.push(empty);
            }
            // Runs are in the sequence in which they began, whatever the clock said.
            let Some(day) = days.iter_mut().rev().find(|day| day.day <= today) else { continue };
            day.runs += 1;
            day.applied += sum(&run.applied);
            day.failed += sum(&run.failed);
            day.held += u64::from(!run.holds.is_empty());
            day.longest = day.longest.into_iter().chain(run.seconds).reduce(f64::max);
            day.rows.extend(run.rows.clone());
        }
        days
    }

    /// In half a sentence: `12 applied, 1 failed, 1 run held`.
    pub fn in_short(&self) -> String {
        let (applied, failed) = self.totals();
        let mut parts = vec![format!("{} applied", count(applied))];
        if failed > 0 {
            parts.push(format!("{} failed", count(failed)));
        }
        if !self.open.held.is_empty() {
            parts.push(format!("{} held", counted(self.open.held.len() as u64, "run")));
        }
        if self.open.review > 0 {
            parts.push(format!("{} to review", count(self.open.review)));
        }
        parts.join(", ")
    }

    /// For people, heading by heading; commands name the job by `about`.
    pub fn sections(&self, about: &str) -> Vec<Section> {
        let (applied, failed) = self.totals();
        let title = format!("job {}, {} to {}", self.job, time(self.from), time(self.to));
        let mut done = Section::new("applied");
        done = if applied == 0 { done.line("nothing") } else { done.table(by_operation(&self.applied)) };
        let mut wrong = Section::new("failed, at a first or a later try").table(by_operation(&self.failed));
        if failed > 0 {
            wrong = wrong.line(format!("why: muster log {about} --errors --since {}", stamp(self.from)));
        }
        let mut runs = Section::new(self.runs_heading());
        if let Some(took) = self.took() {
            runs = runs.line(took);
        }
        runs = runs.table(self.newest_runs());
        let days = self.days();
        let mut by_day = Section::new("day by day (UTC)");
        if days.len() > 1 {
            by_day = by_day.table(day_table(&days));
        }
        vec![
            Section::new("").line(title),
            done,
            wrong,
            by_day,
            runs,
            Section::new("rows of the exports").table(self.rows()),
            Section::new("held in this time").table(self.held()),
            Section::new("open now").text(self.open.text(about, None).trim_end()),
        ]
    }

    /// The same as one text, ending with a line break.
    pub fn to_text(&self, about: &str, width: usize) -> String {
        sections_text(&self.sections(about), width)
    }

    /// All of it for programs.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        safe_text::json(text)
    }

    /// A record a run, for spreadsheets and charts: how it went, its orders by kind, the rows of its exports.
    pub fn to_csv(&self) -> String {
        let kinds = |counts: &Counts| -> Vec<(ResourceName, Operation)> {
            counts.iter().flat_map(|(to, by)| by.keys().map(|operation| (to.clone(), *operation))).collect()
        };
        let (applied, failed) = (kinds(&self.applied), kinds(&self.failed));
        let resources = self.resources();
        let mut columns: Vec<String> =
            ["run", "mode", "state", "ended", "exit", "started", "seconds", "holds"].map(str::to_owned).to_vec();
        for (word, kinds) in [("applied", &applied), ("failed", &failed)] {
            columns.extend(kinds.iter().map(|(to, operation)| format!("{word} {operation} {to}")));
        }
        columns.extend(resources.iter().map(|resource| format!("rows {resource}")));
        let mut listing = Listing::new(columns.iter().map(|column| Column::whole(column)).collect());
        for run in &self.runs {
            let of = |counts: &Counts, (to, operation): &(ResourceName, Operation)| -> Cell {
                counts.get(to).and_then(|by| by.get(operation)).copied().unwrap_or(0).into()
            };
            let mut row: Vec<Cell> = vec![
                run.run.0.as_str().into(),
                run.mode.word().into(),
                run.state.word().into(),
                run.ended().into(),
                run.exit_status.map(u64::from).into(),
                stamp(run.started).into(),
                run.seconds.map(|seconds| format!("{seconds:.1}")).into(),
                run.holds.clone().into(),
            ];
            row.extend(applied.iter().map(|kind| of(&run.applied, kind)));
            row.extend(failed.iter().map(|kind| of(&run.failed, kind)));
            row.extend(resources.iter().map(|resource| run.rows.get(resource).copied().into()));
            listing.push(row);
        }
        listing.render(Format::Csv, 0)
    }

    fn resources(&self) -> Vec<ResourceName> {
        let all: std::collections::BTreeSet<&ResourceName> = self.runs.iter().flat_map(|run| run.rows.keys()).collect();
        all.into_iter().cloned().collect()
    }

    /// `runs: 96; 90 done, 3 waits, 2 held, 1 failed`.
    fn runs_heading(&self) -> String {
        let mut by: BTreeMap<&str, u64> = BTreeMap::new();
        let began = self.runs.iter().filter(|run| run.started >= self.from);
        for run in began {
            *by.entry(run.ended()).or_default() += 1;
        }
        let all = by.values().sum::<u64>();
        let mut ends: Vec<(&str, u64)> = by.into_iter().collect();
        ends.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let ends: Vec<String> = ends.into_iter().map(|(word, number)| format!("{} {word}", count(number))).collect();
        match ends.is_empty() {
            true => "no run began in this time".to_owned(),
            false => format!("{}: {}", counted(all, "run"), ends.join(", ")),
        }
    }

    /// `they took 12 s, the longest 45 s`.
    fn took(&self) -> Option<String> {
        let mut seconds: Vec<f64> = self.runs.iter().filter_map(|run| run.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let (middle, most) = (seconds.get(seconds.len() / 2)?, seconds.last()?);
        Some(format!("half of them took {middle:.1} s or less, the longest {most:.1} s"))
    }

    fn newest_runs(&self) -> Listing {
        let mut listing = Listing::new(vec![
            Column::whole("run"),
            Column::whole("mode"),
            Column::whole("ended"),
            Column::whole("seconds"),
            Column::whole("applied"),
            Column::whole("failed"),
            Column::new("held by"),
        ]);
        for run in self.runs.iter().rev().take(RUNS) {
            listing.push(vec![
                run.run.0.as_str().into(),
                run.mode.word().into(),
                run.ended().into(),
                run.seconds.map(|seconds| format!("{seconds:.1}")).into(),
                sum(&run.applied).into(),
                sum(&run.failed).into(),
                run.holds.join(", ").into(),
            ]);
        }
        if self.runs.len() > RUNS {
            let more = format!("… {} older", count((self.runs.len() - RUNS) as u64));
            listing.push(vec![more.into()]);
        }
        listing
    }

    /// How many rows each export had: at first, at last, the fewest, the most.
    fn rows(&self) -> Listing {
        let names = ["resource", "first", "last", "fewest", "most"];
        let mut listing = Listing::new(names.map(Column::whole).to_vec());
        listing.columns[0] = Column::new("resource");
        for resource in self.resources() {
            let rows: Vec<u64> = self.runs.iter().filter_map(|run| run.rows.get(&resource)).copied().collect();
            let (first, last) = (rows.first().copied(), rows.last().copied());
            let (fewest, most) = (rows.iter().min().copied(), rows.iter().max().copied());
            listing.push(vec![resource.to_string().into(), first.into(), last.into(), fewest.into(), most.into()]);
        }
        listing
    }

    fn held(&self) -> Listing {
        let mut by: BTreeMap<&str, (u64, &RunId)> = BTreeMap::new();
        for run in &self.runs {
            for hold in &run.holds {
                let seen = by.entry(hold).or_insert((0, &run.run));
                *seen = (seen.0 + 1, &run.run);
            }
        }
        let mut listing = Listing::new(vec![Column::new("by"), Column::whole("runs"), Column::whole("last")]);
        for (hold, (runs, last)) in by {
            listing.push(vec![hold.into(), runs.into(), last.0.as_str().into()]);
        }
        listing
    }
}

/// The newest days in a table.
fn day_table(days: &[Day]) -> Listing {
    let names = ["day", "runs", "applied", "failed", "held", "longest"];
    let mut listing = Listing::new(names.map(Column::whole).to_vec());
    for day in days.iter().rev().take(DAYS) {
        listing.push(vec![
            day.day.to_string().into(),
            day.runs.into(),
            day.applied.into(),
            day.failed.into(),
            day.held.into(),
            day.longest.map(|seconds| format!("{seconds:.1} s")).into(),
        ]);
    }
    if days.len() > DAYS {
        let more = format!("… {} older", count((days.len() - DAYS) as u64));
        listing.push(vec![more.into()]);
    }
    listing
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
