//! The checks, one function each; every suspicion says what was seen and what was expected.

use super::census::Census;
use super::{Subject, columns, suspicion_name};
use crate::model::evidence::{Check, Evidence, Largest, Mode, Suspicion};
use crate::model::numbers;

/// Sizes at which servers are known to cut member lists off.
const ROUND: [u32; 3] = [100, 200, 1_000];
/// What a check found: a figure and a sentence for each thing to doubt.
pub(super) type Found = Vec<(String, String)>;

/// So much less than the most of the last accepted snapshots is a loss, even if each run lost only a little.
const SHRUNK: f64 = 0.8;
/// Where there were fewer, a share says nothing.
const SIZE: u64 = 50;

/// One check.
type Look = fn(&Subject<'_>, &Evidence, &Census) -> Found;

const CHECKS: &[(Check, Look)] = &[
    (Check::Empty, empty),
    (Check::Total, total),
    (Check::TotalMoved, total_moved),
    (Check::Pages, pages),
    (Check::DuplicateKeys, duplicate_keys),
    (Check::EmptyKeys, empty_keys),
    (Check::LastLine, last_line),
    (Check::Header, columns::header),
    (Check::Sentinel, sentinel),
    (Check::EmptyColumn, columns::empty_column),
    (Check::RoundMembers, round_members),
    (Check::Format, columns::format),
    (Check::SwappedColumns, columns::swapped_columns),
    (Check::FewerRows, fewer_rows),
    (Check::FewerOwners, fewer_owners),
];

/// Runs every check that the job did not switch off, and adds what the connector itself saw.
pub(super) fn all(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Vec<Suspicion> {
    let mut found: Vec<Suspicion> = Vec::new();
    for (check, look) in CHECKS.iter().filter(|(check, _)| !subject.settings.off.contains(check)) {
        let name = suspicion_name(subject.name, check.word());
        let seen = look(subject, evidence, census);
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

pub(super) fn one(figure: impl ToString, detail: String) -> Found {
    vec![(figure.to_string(), detail)]
}

fn empty(subject: &Subject<'_>, _: &Evidence, census: &Census) -> Found {
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

fn total(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Found {
    let rows = counted(subject, evidence, census);
    match evidence.total_end {
        Some(total) if total != rows => {
            let what = if subject.mode == Mode::Complete { "received" } else { "after the merge" };
            let rows = numbers::counted(rows, "row");
            let text = format!("{rows} {what}, the server's own total is {total}{}", before(evidence));
            one(format!("{} of {total}", counted(subject, evidence, census)), text)
        }
        _ => Vec::new(),
    }
}

/// What the first look saw, where there were two.
fn before(evidence: &Evidence) -> String {
    let Some(first) = &evidence.first_look else { return String::new() };
    let is_same = (first.rows_received, first.total_end) == (evidence.rows_received, evidence.total_end);
    let figure = |total: Option<u64>| total.map_or("no total".to_owned(), |total| total.to_string());
    match (first.total_start, first.total_end) {
        _ if is_same => "; it was the same when the list was read before".to_owned(),
        (start, end) if start == end => {
            format!(
                "; when the list was read before, {} of {}",
                numbers::counted(first.rows_received, "row"),
                figure(end)
            )
        }
        (start, end) => format!("; when the list was read before, it was {} and then {}", figure(start), figure(end)),
    }
}

/// A total that grew is explained where as many rows came as there are in the end, none of them twice. Where it fell,
/// a row may have slipped to a page that was read already, and another one came that is gone.
fn total_moved(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Found {
    let is_explained = |start: u64, end: u64| {
        start < end && counted(subject, evidence, census) == end && census.duplicate_keys.count == 0
    };
    match (evidence.total_start, evidence.total_end) {
        (Some(start), Some(end)) if start != end && !is_explained(start, end) => {
            let text = format!(
                "the server's own total was {start} at the start and {end} at the end of the export{}",
                before(evidence)
            );
            one(format!("{start} to {end}"), text)
        }
        _ => Vec::new(),
    }
}

fn pages(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let (asked, received) = (evidence.pages_asked, evidence.pages_received);
    if asked == received {
        return Vec::new();
    }
    one(format!("{received} of {asked}"), format!("{} asked for, {received} received", numbers::counted(asked, "page")))
}

fn last_line(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Found {
    if !evidence.ends_open || subject.previous.is_none_or(|previous| previous.evidence.ends_open) {
        return Vec::new();
    }
    let text = "the last line has no line break, and that of the last accepted snapshot had one: it may have been cut";
    one(format!("row {}", census.rows), text.to_owned())
}

fn duplicate_keys(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let seen = &evidence.duplicate_keys;
    if seen.count == 0 {
        return Vec::new();
    }
    one(seen.count, format!("rows that repeat a key: {} ({})", seen.count, seen.first.join(", ")))
}

fn empty_keys(_: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let seen = &evidence.empty_keys;
    if seen.count == 0 {
        return Vec::new();
    }
    let verb = if seen.count == 1 { "has" } else { "have" };
    one(seen.count, format!("{} {verb} no key: {}", numbers::counted(seen.count, "row"), seen.first.join(", ")))
}

fn sentinel(_: &Subject<'_>, _: &Evidence, census: &Census) -> Found {
    census
        .missing_sentinels
        .iter()
        .map(|name| (name.clone(), format!("`{name}` is missing, which every whole export holds")))
        .collect()
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn round_members(subject: &Subject<'_>, _: &Evidence, census: &Census) -> Found {
    let columns = subject.table.key_columns().iter().map(|column| &subject.table.columns()[*column]);
    let largest = columns.filter_map(|column| Some((column, census.largest.get(column)?)));
    let cut = largest.filter(|(_, largest)| ROUND.contains(&largest.rows) && largest.owners >= 2);
    cut.map(|(column, Largest { rows: most, owners })| {
        let text = format!(
            "{owners} values of `{column}` have exactly {most} rows and none has more, as if lists were cut off"
        );
        (format!("{owners} {column} at {most}"), text)
    })
    .collect()
}

fn fewer_rows(subject: &Subject<'_>, evidence: &Evidence, census: &Census) -> Found {
    let Some(previous) = subject.previous.filter(|_| !subject.is_target) else { return Vec::new() };
    let most = evidence.history.iter().map(|measure| measure.rows).max().unwrap_or(0);
    shrunk(census.rows, previous.rows, most).map_or(Vec::new(), |share| {
        let (rows, of) = (census.rows, evidence.history.len());
        let rows = numbers::counted(rows, "row");
        one(&share, format!("{rows}, {share} of the most that the last {of} accepted snapshots had ({most})"))
    })
}

fn fewer_owners(subject: &Subject<'_>, evidence: &Evidence, _: &Census) -> Found {
    let Some(previous) = subject.previous.filter(|_| !subject.is_target) else { return Vec::new() };
    let mut found = Vec::new();
    for (column, owners) in &evidence.owners {
        let most = evidence.history.iter().filter_map(|measure| measure.owners.get(column)).max().copied().unwrap_or(0);
        let last = previous.evidence.owners.get(column).copied().unwrap_or(0);
        if let Some(share) = shrunk(*owners, last, most) {
            let text = format!("{owners} different values of `{column}`, {share} of the most so far ({most})");
            found.push((format!("{column} {share}"), text));
        }
    }
    found
}

/// The share of the most that is left, in steps of five percent, so that an acceptance outlives a few rows more or
/// less. The fall is told when it happens: not again while the last accepted snapshot had fallen as far already. One
/// that happens at once is for the synchronization thresholds, which know what muster itself removed.
fn shrunk(now: u64, last: u64, most: u64) -> Option<String> {
    let share = |number: u64| number as f64 / most.max(1) as f64;
    let slowly = now as f64 >= last as f64 * SHRUNK;
    let news = share(now) < SHRUNK && share(last) >= SHRUNK;
    (most >= SIZE && slowly && news).then(|| percent((share(now) * 20.0).floor() / 20.0))
}
