//! `muster report RUN`, and the last word of an apply: what became of a run, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::error_groups::{groups_text, left_text};
use super::explanation::explanation_text;
use super::figures::{bytes, count, counted, time};
use super::next_steps::NextSteps;
use super::report_json::RunReport;
use super::safe_text;
use super::summary::{by_operation, indented};
use super::table::Format;
use crate::model::exchange::Traffic;
use crate::model::order::Operation;
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};

/// A run's report for people: what was exported, what became of its orders, the errors by cause, and the next commands
/// to type, which name the job or the run by `about`.
pub fn run_text(report: &RunReport, next: &NextSteps, about: &str, width: usize) -> String {
    let what = report.undoes.as_ref().map_or_else(|| report.mode.to_string(), |undone| format!("undoes run {undone}"));
    let mut text = format!("run {} of job {}, {what}", report.run, safe_text::line(&report.job));
    let _ = write!(text, "\n  {}, began {}", report.state, time(report.started));
    if let Some(ended) = report.ended {
        let _ = write!(text, ", ended {}", time(ended));
    }
    let _ = writeln!(text, ", exit status {}", report.exit_status);
    for export in &report.exports {
        let missed = export.missed.map(|missed| format!("; the increments had missed {missed}"));
        let pages = counted(export.pages, "page");
        let total = export.total.map(|total| format!(" in {pages}, the server's own total is {}", count(total)));
        let again = export.read_again.as_ref().map(|why| format!("; read twice (at first {why})"));
        let _ = writeln!(
            text,
            "  exported {}: {}{}, {}{}{}",
            safe_text::line(&export.resource.to_string()),
            counted(export.rows, "row"),
            total.unwrap_or_default(),
            export.verdict.word(),
            again.unwrap_or_default(),
            missed.unwrap_or_default()
        );
    }
    for (system, traffic) in &report.traffic {
        let _ = writeln!(text, "  asked {}: {}", safe_text::line(system), traffic_line(traffic));
    }
    part(&mut text, "orders of its plan", &report.orders_by_operation, width);
    part(&mut text, "in effect at the target", &report.applied_by_operation, width);
    if report.orders_by_state.values().any(|number| *number > 0) {
        text.push_str("\norders by state\n");
        for (state, number) in report.orders_by_state.iter().filter(|(_, number)| **number > 0) {
            let _ = writeln!(text, "  {state:<15} {}", count(*number));
        }
    }
    if !report.holds.is_empty() {
        text.push_str("\nheld, because a threshold is exceeded\n");
        for excess in &report.holds {
            let _ = writeln!(text, "  {}", safe_text::line(&excess.sentence()));
            if let Some(explanation) = &excess.explanation {
                text.push_str(&explanation_text(explanation, 4));
            }
        }
    }
    if !report.error_groups.is_empty() {
        let _ = write!(text, "\nerrors: {}\n{}", report.errors, indented(&groups_text(&report.error_groups), 2));
    }
    if report.untried > 0 {
        let verb = if report.untried == 1 { "was not tried and stays" } else { "were not tried and stay" };
        let _ = writeln!(text, "\n{} {verb} approved", counted(report.untried, "order"));
        if let Some(why) = &report.stopped {
            let _ = writeln!(text, "  the apply stopped: {}", safe_text::line(why));
        }
        text.push_str(&left_text(&report.left, report.stopped.as_deref()));
    }
    if !report.warnings.is_empty() {
        text.push_str("\nto know\n");
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "  {}", safe_text::line(warning));
    }
    text.push('\n');
    if report.state == RunState::Failed {
        let job = if RunId::is_id(about) { &report.job } else { about };
        let _ = writeln!(text, "next: muster check {}", safe_text::line(job));
    } else {
        text.push_str(&next.text(about, Some(&report.run)));
    }
    text
}

/// `4,012 requests, 12 refused as too many, 3 failed; 2 MiB read, 512 KiB sent; the longest took 1.20 s`
fn traffic_line(traffic: &Traffic) -> String {
    let mut text = counted(traffic.requests, "request");
    for (number, what) in [(traffic.throttled, "put off by the system"), (traffic.failed, "failed")] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", count(number));
        }
    }
    let mean = if traffic.requests > 0 { traffic.waited * 1e3 / traffic.requests as f64 } else { 0.0 };
    let _ = write!(
        text,
        "; {} read, {} sent; an answer took {mean:.1} ms, the longest {:.0} ms",
        bytes(traffic.received),
        bytes(traffic.sent),
        traffic.longest * 1e3
    );
    text
}

/// A table of orders under a heading, where there are any.
fn part(text: &mut String, heading: &str, counts: &BTreeMap<ResourceName, BTreeMap<Operation, u64>>, width: usize) {
    if !counts.is_empty() {
        let table = by_operation(counts).render(Format::Table, width.saturating_sub(2));
        let _ = write!(text, "\n{heading}\n{}", indented(&table, 2));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::error_groups::error_groups;
    use super::super::errors_csv::tests::row;
    use super::*;
    use crate::model::apply_end::KindLeft;
    use crate::model::evidence::Mode;
    use crate::model::order::OrderState;

    #[test]
    fn a_stopped_apply_says_its_one_cause_and_what_stays_approved() {
        let users = ResourceName::new("vault", "users");
        let failed = row(1, "no seat left");
        let name = failed.cause().name();
        let left = KindLeft {
            kind: "create vault.users".to_owned(),
            operation: Operation::Create,
            resource: users.clone(),
            orders: 149,
            is_started: true,
            why: String::new(),
            cause: Some(failed.cause()),
        };
        let waiting = "what they tie is not at the target yet".to_owned();
        let rows = KindLeft {
            kind: "add vault.memberships".to_owned(),
            is_started: false,
            why: waiting,
            cause: None,
            ..left.clone()
        };
        let left = vec![left, rows];
        let run = RunId("20261122T150405Z-7f3a".to_owned());
        let started = "2026-11-22T15:04:05Z".parse().unwrap();
        let run_id = run.clone();
        let mut report = RunReport::new(run, "people", Mode::Complete, RunState::Planned, started)
            .with_errors(error_groups(&run_id, &[failed], &left));
        report.left = left;
        report.orders_by_operation.entry(users).or_default().insert(Operation::Create, 150);
        report.orders_by_state = BTreeMap::from([(OrderState::Approved, 149), (OrderState::Errored, 1)]);
        (report.untried, report.exit_status) = (149, 1);
        let mut next = NextSteps { approved: 149, ..NextSteps::of("people") };
        next.errored.insert(report.run.clone(), 1);
        assert_eq!(
            run_text(&report, &next, "people", 80),
            format!(
                "\
run 20261122T150405Z-7f3a of job people, complete
  planned, began 2026-11-22 15:04:05Z, exit status 1

orders of its plan
  to           create
  vault.users     150

orders by state
  approved        149
  errored         1

errors: 1 cause, 1 order failed, 149 not tried
  {name}, create vault.users: 1 failed, 149 not tried [conflict, status 409, uniqueness]
     no seat left
     objects: `u-1`
     remedy: rename one of the two
     one order again, as it was: muster retry 20261122T150405Z-7f3a --group {name} --first

149 orders were not tried and stay approved
    149  create vault.users: stopped by {name}
    149  add vault.memberships: not started: what they tie is not at the target yet

1 order of run 20261122T150405Z-7f3a is errored: see to the causes above
next: muster retry 20261122T150405Z-7f3a
149 orders are approved
next: muster apply people
"
            )
        );
    }
}
