//! How jobs stand, in the format that node_exporter's textfile collector reads.
//!
//! Source: Prometheus' text exposition format 0.0.4, and its naming rules: base units, units in names, gauges without
//! `_total`.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::status::JobStatus;
use crate::model::evidence::Completeness;
use crate::model::order::OrderState;

/// One job, as it is measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Where it stands.
    pub status: JobStatus,
    /// How its last run that ended did end.
    pub exit: Option<u8>,
    /// When a run ended well last.
    pub good: Option<DateTime<Utc>>,
}

/// One measure of one job: its labels besides the job's name, and its value.
type Sample = (Vec<(&'static str, String)>, f64);

/// A measure: its name, what it says, and its samples of a job.
type Measure = (&'static str, &'static str, fn(&Measured) -> Vec<Sample>);

const MEASURES: [Measure; 13] = [
    ("muster_last_run_start_timestamp_seconds", "When the last run began.", |job| {
        alone(job.status.runs.first().map(|run| seconds(run.started)))
    }),
    ("muster_last_run_duration_seconds", "How long the last run took that has ended.", |job| {
        let ended = job.status.runs.iter().find_map(|run| Some((run.started, run.ended?)));
        alone(ended.map(|(started, ended)| (ended - started).as_seconds_f64()))
    }),
    (
        "muster_last_run_exit_status",
        "Exit status of the last run that has ended: 0 done, 1 failed, 3 waits, 4 held, 5 order errors.",
        |job| alone(job.exit.map(f64::from)),
    ),
    (
        "muster_last_good_run_timestamp_seconds",
        "When a run ended last that planned and neither failed nor stopped.",
        |job| alone(job.good.map(seconds)),
    ),
    ("muster_run_under_way", "Whether a command works on the job now.", |job| {
        alone(Some(f64::from(u8::from(job.status.under_way.is_some()))))
    }),
    ("muster_held_runs", "Runs that wait for a person to accept a threshold or a suspicion.", |job| {
        alone(Some(job.status.next.held.len() as f64))
    }),
    ("muster_live_orders", "Orders that have not ended, by state.", |job| {
        let live = OrderState::ALL.iter().filter(|state| state.is_live());
        let of = |state: &OrderState| job.status.live.get(state).copied().unwrap_or(0) as f64;
        live.map(|state| (vec![("state", state.word().to_owned())], of(state))).collect()
    }),
    ("muster_orders_to_review", "Orders that wait for a person's decision.", |job| {
        alone(Some(job.status.next.review as f64))
    }),
    ("muster_withheld_objects", "Objects whose order is not raised again, by why.", |job| {
        let withheld = job.status.withheld.iter();
        withheld.map(|(why, objects)| (vec![("why", why.word().to_owned())], *objects as f64)).collect()
    }),
    ("muster_objects_in_grace", "Objects that are out of use and wait for their delete.", |job| {
        alone(Some(job.status.grace.as_ref().map_or(0, |grace| grace.objects) as f64))
    }),
    ("muster_snapshot_rows", "Rows of the newest export, by resource.", |job| {
        let exports = job.status.exports.iter();
        exports.map(|export| (vec![("resource", export.resource.to_string())], export.rows as f64)).collect()
    }),
    ("muster_snapshot_complete", "Whether the newest export of a resource is proved to be whole.", |job| {
        let is_whole = |verdict: &Completeness| f64::from(u8::from(matches!(verdict, Completeness::Complete)));
        let exports = job.status.exports.iter();
        exports.map(|export| (vec![("resource", export.resource.to_string())], is_whole(&export.verdict))).collect()
    }),
    ("muster_next_run_timestamp_seconds", "When the next run is due by the job file's schedule, by mode.", |job| {
        let due = job.status.due.iter().flat_map(|due| [("incremental", due.incremental), ("complete", due.complete)]);
        due.filter_map(|(mode, at)| Some((vec![("mode", mode.to_owned())], seconds(at?)))).collect()
    }),
];

/// The measures of jobs, each with what it says. Measures that no job has are left out.
pub fn metrics(jobs: &[Measured]) -> String {
    let mut text = String::new();
    for (name, help, samples) in MEASURES {
        let mut lines = String::new();
        for job in jobs {
            for (labels, value) in samples(job) {
                let own = std::iter::once(("job", job.status.job.clone()));
                let labels = own.chain(labels).map(|(label, text)| format!("{label}=\"{}\"", escaped(&text)));
                let _ = writeln!(lines, "{name}{{{}}} {value}", labels.collect::<Vec<_>>().join(","));
            }
        }
        if !lines.is_empty() {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{lines}");
        }
    }
    text
}

fn alone(value: Option<f64>) -> Vec<Sample> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}

fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp() as f64
}

/// A text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
