//! report.html: what a run did, in one file that needs no script, no network and no muster to be read in ten years.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::figures::{count, counted, time};
use super::page_text::{CLOSED, escaped, opened};
use super::report_json::RunReport;
use super::value_change::shown_pair;
use crate::model::evidence::Completeness;
use crate::model::order::{Operation, OrderState};
use crate::model::resource::ResourceName;

/// Bars of the picture of an apply.
const BARS: usize = 60;

/// Characters of a change's two values together.
const VALUES: usize = 160;

/// What vouches for a run besides its report.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Digest of its plan, in full.
    pub plan: Option<String>,
    /// Digest of the job file that it ran by.
    pub job_file: String,
    /// Who started it.
    pub starter: String,
    /// Decisions that were sealed, the first first.
    pub approvals: Vec<Sealed>,
    /// Snapshots that the plan was made from: name, rows, digest of the file.
    pub snapshots: Vec<(String, u64, String)>,
    /// When each order ended that was sent, in this sequence.
    pub ended: Vec<DateTime<Utc>>,
    /// Waves as they began: when, and what.
    pub waves: Vec<(String, String)>,
    /// Orders that are told one by one, in this sequence: not all, where they are many.
    pub orders: Vec<ToldOrder>,
}

/// An order that is told by itself.
#[derive(Clone, Debug)]
pub struct ToldOrder {
    /// What it does.
    pub operation: Operation,
    /// The resource type or association at the target.
    pub resource: ResourceName,
    /// What a person looks for.
    pub key: String,
    /// What the object is called; may be empty.
    pub name: String,
    /// Where it stands.
    pub state: OrderState,
    /// When that last changed.
    pub at: DateTime<Utc>,
    /// Its changes: attribute, before, after.
    pub changes: Vec<(String, String, String)>,
}

/// A sealed decision.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Its number in the run's folder.
    pub number: u32,
    /// Who decided.
    pub reviewer: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub comment: String,
    /// Orders approved and rejected.
    pub approved: u64,
    /// Orders rejected.
    pub rejected: u64,
    /// Thresholds and suspicions accepted, each with its figure.
    pub accepted: Vec<(String, String)>,
    /// Digest of the decisions.
    pub digest: String,
    /// Whether it bears a signature.
    pub signed: bool,
}

/// The page of one run.
pub fn run_page(report: &RunReport, evidence: &Evidence) -> String {
    let title = format!("{}: run {}", report.job, report.run);
    let mut page = opened(&title, STYLE);
    let ended = report.ended.map_or("is under way".to_owned(), |ended| format!("ended {}", time(ended)));
    let _ = writeln!(
        page,
        "<p class=\"soft\">{} run, began {}, {ended}, started by {}. {}</p>",
        report.mode,
        time(report.started),
        escaped(&evidence.starter),
        verdict(report)
    );
    orders(&mut page, report);
    reasons(&mut page, report);
    errors(&mut page, report);
    pace(&mut page, evidence);
    one_by_one(&mut page, report, evidence);
    exports(&mut page, report);
    vouched(&mut page, report, evidence);
    page.push_str(CLOSED);
    page
}

fn verdict(report: &RunReport) -> String {
    let (class, words) = match report.exit_status {
        0 => ("yes", "Done, nothing waits."),
        3 => ("warn", "Orders wait for review."),
        4 => ("no", "Held by a threshold or a suspicion."),
        5 => ("no", "Applied, with order errors."),
        _ => ("no", "Failed or stopped."),
    };
    format!("<strong class=\"{class}\">{words}</strong> Exit status {}.", report.exit_status)
}

/// Orders by resource type and operation, with how many took effect, each a bar of the largest.
fn orders(page: &mut String, report: &RunReport) {
    page.push_str("<h2>Orders</h2>\n");
    if report.orders_by_operation.is_empty() {
        page.push_str("<p>None.</p>\n");
        return;
    }
    let most = report.orders_by_operation.values().flat_map(|by| by.values()).copied().max().unwrap_or(1).max(1);
    page.push_str("<table><thead><tr><th>To</th><th>Operation</th><th class=\"n\">Orders</th><th class=\"n\">In effect</th><th class=\"bar\">Of the most</th></tr></thead><tbody>\n");
    for (resource, by) in &report.orders_by_operation {
        for (operation, orders) in by {
            let applied =
                report.applied_by_operation.get(resource).and_then(|by| by.get(operation)).copied().unwrap_or(0);
            let width = |number: u64| number as f64 / most as f64 * 240.0;
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{operation}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"bar\"><svg width=\"240\" height=\"12\" \
                 aria-hidden=\"true\"><rect class=\"planned\" width=\"{:.1}\" height=\"12\" rx=\"2\"/><rect class=\"applied\" width=\"{:.1}\" height=\"12\" rx=\"2\"/></svg></td></tr>",
                escaped(&resource.to_string()),
                count(*orders),
                count(applied),
                width(*orders),
                width(applied)
            );
        }
    }
    page.push_str("</tbody></table>\n");
    let states = report.orders_by_state.iter().map(|(state, orders)| format!("{state} {}", count(*orders)));
    let _ = writeln!(page, "<p class=\"soft\">As they stand: {}.</p>", states.collect::<Vec<_>>().join(", "));
}

/// What holds it, why it stopped, and what a person should know.
fn reasons(page: &mut String, report: &RunReport) {
    let holds =
        report.holds.iter().map(|excess| format!("{}: {}, the limit is {}", excess.name, excess.figure, excess.limit));
    let mut told: Vec<(&str, String)> = holds.map(|hold| ("no", format!("Held by {hold}"))).collect();
    told.extend(report.stopped.iter().map(|why| ("no", format!("The apply stopped: {why}"))));
    told.extend(
        report
            .left
            .iter()
            .map(|kind| ("warn", format!("{} of {} not sent: {}", counted(kind.orders, "order"), kind.kind, kind.why))),
    );
    told.extend(report.warnings.iter().map(|warning| ("warn", warning.clone())));
    if told.is_empty() {
        return;
    }
    page.push_str("<h2>What to know</h2>\n<ul>\n");
    for (class, text) in told {
        let _ = writeln!(page, "<li class=\"{class}\">{}</li>", escaped(&text));
    }
    page.push_str("</ul>\n");
}

fn errors(page: &mut String, report: &RunReport) {
    if report.error_groups.is_empty() {
        return;
    }
    let _ = writeln!(
        page,
        "<h2>Errors by cause</h2>\n<p class=\"soft\">{}; each order in errors.csv.</p>",
        escaped(&report.errors)
    );
    for group in &report.error_groups {
        let _ = writeln!(
            page,
            "<section><h3>{}</h3><p class=\"class\">class {}</p><blockquote>{}</blockquote><p>What to do: {}</p><p class=\"soft\">First: {}</p>{}</section>",
            escaped(&group.sentence()),
            group.cause.class,
            escaped(&group.example),
            escaped(&group.remedy),
            escaped(&group.keys.join(", ")),
            if group.retry.is_empty() { String::new() } else { format!("<pre>{}</pre>", escaped(&group.retry)) }
        );
    }
}

/// How many orders ended when, and the waves.
fn pace(page: &mut String, evidence: &Evidence) {
    let (Some(first), Some(last)) = (evidence.ended.first(), evidence.ended.last()) else { return };
    let span = (*last - *first).max(TimeDelta::milliseconds(1));
    let mut bars = [0_u64; BARS];
    for at in &evidence.ended {
        let share = (*at - *first).as_seconds_f64() / span.as_seconds_f64();
        bars[((share * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let most = bars.iter().copied().max().unwrap_or(1).max(1);
    let seconds = span.as_seconds_f64();
    let rate = evidence.ended.len() as f64 / seconds.max(0.001);
    let _ = write!(
        page,
        "<h2>Pace</h2>\n<p>{} ended from {} to {} ({seconds:.1} s), {rate:.0} a second.</p>\n<svg class=\"pace\" viewBox=\"0 0 {} 80\" \
         role=\"img\" aria-label=\"orders that ended over time, most {} in {:.1} s\">",
        counted(evidence.ended.len() as u64, "order"),
        time(*first),
        time(*last),
        BARS * 10,
        count(most),
        seconds / BARS as f64
    );
    for (at, number) in bars.iter().enumerate() {
        let height = *number as f64 / most as f64 * 78.0;
        let _ = write!(
            page,
            "<rect class=\"applied\" x=\"{}\" y=\"{:.1}\" width=\"8\" height=\"{height:.1}\"/>",
            at * 10,
            80.0 - height
        );
    }
    page.push_str("</svg>\n");
    if !evidence.waves.is_empty() {
        page.push_str("<details><summary>Waves</summary><table class=\"stack\"><tbody>\n");
        for (at, what) in &evidence.waves {
            let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", escaped(at), escaped(what));
        }
        page.push_str("</tbody></table></details>\n");
    }
}

/// Each order by itself, as far as they are told.
fn one_by_one(page: &mut String, report: &RunReport, evidence: &Evidence) {
    if evidence.orders.is_empty() {
        return;
    }
    let all: u64 = report.orders_by_state.values().sum();
    let told = evidence.orders.len() as u64;
    let which = if told < all {
        format!("the first {} of {}: those that failed, then those that take something away", count(told), count(all))
    } else {
        counted(told, "order")
    };
    let _ = writeln!(
        page,
        "<h2>One by one</h2>\n<details><summary>{which}</summary><table class=\"stack\"><thead><tr><th>Order</th><th>Object</th><th>Before → after</th><th>Became</th></tr></thead><tbody>"
    );
    for order in &evidence.orders {
        let name = if order.name.is_empty() || order.name == order.key {
            String::new()
        } else {
            format!("<br><span class=\"soft\">{}</span>", escaped(&order.name))
        };
        let changes: Vec<String> = order
            .changes
            .iter()
            .map(|(attribute, before, after)| {
                let (before, after) = shown_pair(before, after, VALUES);
                format!("{}: {} → {}", escaped(attribute), escaped(&before), escaped(&after))
            })
            .collect();
        let class = match order.state {
            OrderState::Applied => "yes",
            OrderState::Errored | OrderState::Uncertain | OrderState::InFlight => "no",
            _ => "soft",
        };
        let _ = writeln!(
            page,
            "<tr><td>{} {}</td><td>{}{name}</td><td>{}</td><td><span class=\"{class}\">{}</span><br><span class=\"soft\">{}</span></td></tr>",
            order.operation,
            escaped(&order.resource.to_string()),
            escaped(&order.key),
            changes.join("<br>"),
            order.state,
            time(order.at)
        );
    }
    page.push_str("</tbody></table></details>\n");
}

fn exports(page: &mut String, report: &RunReport) {
    if report.exports.is_empty() {
        return;
    }
    page.push_str("<h2>Snapshots</h2>\n<table class=\"stack\"><thead><tr><th>Of</th><th class=\"n\">Rows</th><th>Taken</th><th>Read</th><th>Verdict</th></tr></thead><tbody>\n");
    for export in &report.exports {
        let class = if export.verdict == Completeness::Complete { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escaped(&export.resource.to_string()),
            count(export.rows),
            time(export.at),
            export.mode,
            export.verdict.word()
        );
    }
    page.push_str("</tbody></table>\n");
}

/// Who approved, and by which digests that can be checked.
fn vouched(page: &mut String, report: &RunReport, evidence: &Evidence) {
    page.push_str("<h2>Evidence</h2>\n<table class=\"stack\"><tbody>\n");
    let mut row = |what: &str, value: &str| {
        let _ = writeln!(page, "<tr><td>{}</td><td><code>{}</code></td></tr>", escaped(what), escaped(value));
    };
    row("job file, SHA-256", &evidence.job_file);
    if let Some(plan) = &evidence.plan {
        row("plan, SHA-256", plan);
    }
    for (name, rows, digest) in &evidence.snapshots {
        row(&format!("snapshot of {name}, {}, SHA-256", counted(*rows, "row")), digest);
    }
    page.push_str("</tbody></table>\n");
    for sealed in &evidence.approvals {
        let accepted = sealed.accepted.iter().map(|(name, figure)| format!("; accepted {name} at {figure}"));
        let _ = writeln!(
            page,
            "<section><h3>Decision {}</h3><p>{} at {}{}: {} approved, {} rejected{}.</p><blockquote>{}</blockquote><p class=\"soft\">digest of its decisions <code>{}</code></p></section>",
            sealed.number,
            escaped(&sealed.reviewer),
            time(sealed.at),
            if sealed.signed { ", signed" } else { "" },
            count(sealed.approved),
            count(sealed.rejected),
            escaped(&accepted.collect::<String>()),
            escaped(&sealed.comment),
            escaped(&sealed.digest)
        );
    }
    if evidence.approvals.is_empty() {
        page.push_str("<p>Nothing of this run was decided by anybody.</p>\n");
    }
    let _ = writeln!(
        page,
        "<p class=\"soft\">The whole record is in the folder of run {}: plan.json, orders.ndjson, the approvals, errors.csv, run.log.</p>",
        report.run
    );
}

const STYLE: &str = "
h3 { font-size: 13px; margin: 0; }
table { border-collapse: collapse; width: 100%; background: var(--panel); border: 1px solid var(--line); }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { font-size: 12px; color: var(--soft); } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.soft { color: var(--soft); } .yes { color: var(--yes); } .no { color: var(--no); } .warn { color: var(--warn); }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; margin: 10px 0; }
section p { margin: 6px 0; } .class { font-size: 12px; color: var(--no); }
blockquote { margin: 6px 0; padding-left: 10px; border-left: 3px solid var(--line); overflow-wrap: anywhere; }
pre, code { font-family: var(--mono); font-size: 12px; overflow-wrap: anywhere; white-space: pre-wrap; }
rect.planned { fill: var(--line); } rect.applied { fill: var(--accent); } svg { max-width: 100%; } svg.pace { width: 100%; height: 80px; }
summary { cursor: pointer; }
th { overflow-wrap: normal; }
@media (max-width: 560px) {
  td svg, .bar { display: none; } th, td { padding: 4px 6px; }
  .stack thead { display: none; } .stack tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line); }
  .stack td { display: block; border: 0; padding: 1px 8px; text-align: left; } .stack td:empty { display: none; }
}
@media print { body { background: none; } section, table { break-inside: avoid; } }
";
