//! The checks, one function each; every suspicion says what was seen and what was expected.

use super::census::Census;
use super::{Subject, suspicion_name};
use crate::model::evidence::{Evidence, Mode, Suspicion};

/// Sizes at which servers are known to cut member lists off.
const ROUND: [u32; 3] = [100, 200, 1_000];
/// A column that was nearly full …
const FULL: f64 = 0.05;
/// … and is mostly empty.
const EMPTY: f64 = 0.5;

/// One check: a figure and a sentence, where there is something to doubt.
type Check = fn(&Subject<'_>, &Evidence, &Census) -> Vec<(String, String)>;

const CHECKS: &[(&str, Check)] = &[
    ("empty", empty),
    ("total", total),
    ("total-moved", total_moved),
    ("pages", pages),
    ("duplicate-keys", duplicate_keys),
    ("empty-keys", empty_keys),
    ("header", header),
    ("sentinel", sentinel),
    ("empty-column", empty_column),
    ("round-members", round_members),
];

/// Runs every check, and adds what the connector itself saw.
pub(super) fn all(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Vec<Suspicion> {
    let mut found: Vec<Suspicion> = Vec::new();
    for (name, check) in CHECKS {
        let name = suspicion_name(subject.name, name);
        let seen = check(subject, evidence, census);
        if seen.is_empty() {
            continue;
        }
        // One suspicion a check: it is accepted as a whole, and its figure holds all that was seen.
        let (figures, details): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        found.push(Suspicion { name, detail: details.join("; "), figure: figures.join(", ") });
    }
    let prefix = suspicion_name(subject.name, "");
    found.extend(evidence.anomalies.iter().cloned().map(|mut anomaly| {
        if !anomaly.name.starts_with(&prefix) {
            anomaly.name = format!("{prefix}{}", anomaly.name);
        }
        anomaly
    }));
    found
}

fn one(figure: impl ToString, detail: String) -> Vec<(String, String)> {
    vec![(figure.to_string(), detail)]
}

fn empty(subject: &Subject<'_>, _: &Evidence, census: &Census) -> Vec<(String, String)> {
    if census.rows > 0 || subject.settings.allow_empty || (subject.may_be_empty && subject.previous.is_none()) {
        return Vec::new();
    }
    match subject.previous {
        Some(previous) if previous.rows == 0 => Vec::new(),
        Some(previous) => one(0, format!("no rows; the last accepted snapshot has {}", previous.rows)),
        None => one(0, "no rows; set allow_empty if that is right".to_owned()),
    }
}

/// The rows that the server's total speaks of: those received, or after a merge all of the file.
fn counted(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> u64 {
    match subject.mode {
        Mode::Complete => evidence.rows_received,
        Mode::Incremental => census.rows,
    }
}

fn total(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Vec<(String, String)> {
    let rows = counted(subject, evidence, census);
    match evidence.total_end {
        Some(total) if total != rows => {
            let what = if subject.mode == Mode::Complete { "received" } else { "after the merge" };
            let text = format!("{rows} rows {what}, the server's own total is {total}");
            one(format!("{rows} of {total}"), text)
        }
        _ => Vec::new(),
    }
}

fn total_moved(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Vec<(String, String)> {
    match (evidence.total_start, evidence.total_end) {
        (Some(start), Some(end)) if start != end => {
            let text = format!("the server's own total was {start} at the start and {end} at the end of the export");
            one(format!("{start} to {end}"), text)
        }
        _ => Vec::new(),
    }
}

fn pages(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Vec<(String, String)> {
    let (asked, received) = (evidence.pages_asked, evidence.pages_received);
    if asked == received {
        return Vec::new();
    }
    one(format!("{received} of {asked}"), format!("{asked} pages asked for, {received} received"))
}

fn duplicate_keys(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Vec<(String, String)> {
    let seen = &evidence.duplicate_keys;
    if seen.count == 0 {
        return Vec::new();
    }
    one(seen.count, format!("rows that repeat a key: {} ({})", seen.count, seen.first.join(", ")))
}

fn empty_keys(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Vec<(String, String)> {
    let seen = &evidence.empty_keys;
    if seen.count == 0 {
        return Vec::new();
    }
    one(seen.count, format!("{} rows have no key: {}", seen.count, seen.first.join(", ")))
}

fn header(subject: &Subject<'_>, _: &Evidence, _: &Census) -> Vec<(String, String)> {
    let Some(previous) = subject.previous else { return Vec::new() };
    let lost: Vec<&str> =
        previous.columns.iter().filter(|c| subject.table.column(c).is_none()).map(String::as_str).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    one(lost.join(" "), format!("columns that the last accepted snapshot has are missing: {}", lost.join(", ")))
}

fn sentinel(_: &Subject<'_>, _: &Evidence, census: &Census) -> Vec<(String, String)> {
    census
        .missing_sentinels
        .iter()
        .map(|name| (name.clone(), format!("`{name}` is missing, which every whole export holds")))
        .collect()
}

fn empty_column(subject: &Subject<'_>, evidence: &Evidence, _: &Census) -> Vec<(String, String)> {
    let Some(previous) = subject.previous else { return Vec::new() };
    let mut found = Vec::new();
    for (column, share) in &evidence.empty_share {
        let before = previous.evidence.empty_share.get(column);
        if let Some(before) = before
            && *before < FULL
            && *share > EMPTY
        {
            let (now, then) = (percent(*share), percent(*before));
            found.push((format!("{column} {now}"), format!("column `{column}` is {now} empty, it was {then} before")));
        }
    }
    found
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn round_members(_: &Subject<'_>, _: &Evidence, census: &Census) -> Vec<(String, String)> {
    let cut = census.largest.iter().filter(|(_, most, owners)| ROUND.contains(most) && *owners >= 2);
    cut.map(|(column, most, owners)| {
        let text = format!(
            "{owners} values of `{column}` have exactly {most} rows and none has more, as if lists were cut off"
        );
        (format!("{owners} {column} at {most}"), text)
    })
    .collect()
}
