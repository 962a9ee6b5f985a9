//! How trying thresholds on the past is told: as tables, and as lines to paste into a job file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::threshold::{Bound, Excess};
use crate::reconcile::backtest::{Backtest, Fate, Held};
use crate::reconcile::suggestion::Suggestion;
use crate::report::figures::{count, counted};
use crate::report::screen::Screen;
use crate::report::table::{Cell, Column, Format, Listing};

/// Every limit in force.
pub(super) fn limits(backtest: &Backtest) -> Listing {
    let mut listing = Listing::new(vec![Column::whole("threshold"), Column::whole("limit")]);
    for (name, limit) in &backtest.limits {
        listing.push(vec![name.as_str().into(), limit.to_string().into()]);
    }
    listing
}

/// Each limit with how many runs it would have held, and each of these runs; for people.
pub(super) fn summary(backtest: &Backtest, screen: Screen) -> String {
    let mut of: BTreeMap<&str, Vec<&Held>> = BTreeMap::new();
    for held in &backtest.held {
        of.entry(&held.excess.name).or_default().push(held);
    }
    let mut listing = Listing::new(vec![
        Column::new("threshold"),
        Column::whole("limit"),
        Column::whole("held"),
        Column::whole("approved"),
        Column::whole("rejected"),
        Column::whole("other"),
    ]);
    for (name, limit) in &backtest.limits {
        let held = of.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let number = |counts: fn(Fate) -> bool| held.iter().filter(|held| counts(held.fate)).count() as u64;
        let (wanted, refused) = (number(Fate::is_wanted), number(Fate::is_refused));
        let cell = |number: u64| if held.is_empty() { Cell::Empty } else { number.into() };
        listing.push(vec![
            name.as_str().into(),
            limit.to_string().into(),
            (held.len() as u64).into(),
            cell(wanted),
            cell(refused),
            cell(held.len() as u64 - wanted - refused),
        ]);
    }
    let mut text = listing.render(Format::Table, screen);
    if backtest.held.is_empty() {
        text.push_str("\nno run would have been held\n");
        return text;
    }
    let mut runs = Listing::new(vec![
        Column::whole("run"),
        Column::new("would have been held by"),
        Column::whole("figure"),
        Column::whole("became"),
    ]);
    for held in &backtest.held {
        let excess = &held.excess;
        runs.push(vec![
            held.run.0.as_str().into(),
            excess.name.as_str().into(),
            figure(excess).into(),
            held.fate.to_string().into(),
        ]);
    }
    text.push('\n');
    text.push_str(&runs.render(Format::Table, screen));
    text
}

/// The figure as its limit is written.
fn figure(excess: &Excess) -> String {
    match share(excess) {
        Some(share) => format!("{share:.1} %"),
        None => count(excess.figure),
    }
}

fn share(excess: &Excess) -> Option<f64> {
    let of_size = excess.name.split('/').any(|part| part == "percent") && excess.size > 0;
    of_size.then(|| excess.figure as f64 * 100.0 / excess.size as f64)
}

/// Each run that would have been held, by each threshold; a threshold that would have held none has one row without a
/// run.
pub(super) fn held(backtest: &Backtest) -> Listing {
    let names = ["threshold", "limit", "run", "figure", "size", "earlier", "became"];
    let mut listing = Listing::new(names.map(Column::whole).to_vec());
    for (name, limit) in &backtest.limits {
        let mut any = false;
        for held in backtest.held.iter().filter(|held| held.excess.name == *name) {
            any = true;
            let excess = &held.excess;
            let bound = match limit {
                Bound::Count(_) => Bound::Count(excess.limit as u64),
                Bound::Percent(_) => Bound::Percent(excess.limit),
            };
            listing.push(vec![
                name.as_str().into(),
                bound.to_string().into(),
                held.run.0.as_str().into(),
                excess.figure.into(),
                excess.size.into(),
                excess.earlier.as_ref().map_or(Cell::Empty, |earlier| earlier.figure.into()),
                held.fate.to_string().into(),
            ]);
        }
        if !any {
            listing.push(vec![name.as_str().into(), limit.to_string().into()]);
        }
    }
    listing
}

/// What the past suggests, for programs.
pub(super) fn proposals(suggestions: &[Suggestion]) -> Listing {
    let names =
        ["limits", "window", "count", "percent", "runs", "half", "nine_tenths", "most", "rejected", "rejected_held"];
    let mut listing = Listing::new(names.map(Column::whole).to_vec());
    for one in suggestions {
        listing.push(vec![
            one.name.as_str().into(),
            one.window.map_or_else(|| "run".to_owned(), |window| window.to_string()).into(),
            one.count.into(),
            one.percent.map(|percent| percent.to_string()).into(),
            one.runs.into(),
            one.half.into(),
            one.nine_tenths.into(),
            one.count.into(),
            one.rejected.into(),
            one.rejected_held.into(),
        ]);
    }
    listing
}

/// The same as lines of a job file, with where they belong and what they are drawn from.
pub(super) fn pasteable(suggestions: &[Suggestion]) -> String {
    // By table, then by key.
    let mut tables: BTreeMap<String, BTreeMap<&str, Vec<&Suggestion>>> = BTreeMap::new();
    for one in suggestions {
        let Some((of, key)) = one.name.rsplit_once('/') else { continue };
        tables.entry(table(of, key)).or_default().entry(key).or_default().push(one);
    }
    if tables.is_empty() {
        return "# no run that came into effect had anything to limit\n".to_owned();
    }
    let mut text = String::from("# The least limits that would have held none of what came into effect.\n");
    for (table, keys) in tables {
        let _ = write!(text, "\n{table}\n");
        for (key, of) in keys {
            for one in &of {
                text.push_str(&drawn_from(key, one));
            }
            let limits: Vec<String> = of.iter().map(|one| limit(one)).collect();
            let _ = match limits.as_slice() {
                [one] => writeln!(text, "{key} = {one}"),
                many => writeln!(text, "{key} = [\n  {},\n]", many.join(",\n  ")),
            };
        }
    }
    text
}

/// Fewer runs than these prove little.
const FEW: u64 = 10;

/// The heading of the table that a limit stands in.
fn table(of: &str, key: &str) -> String {
    match of.split_once('/') {
        _ if matches!(key, "inserted" | "updated" | "deleted") => format!("[snapshot.\"{of}\".thresholds]"),
        Some((resource, scope)) => {
            format!("# of the [[sync]] to {resource}, in the [[sync.threshold]] named \"{scope}\":")
        }
        None => format!("# in the [[sync]] to {of}:\n[sync.thresholds]"),
    }
}

/// The distribution that a limit is drawn from, as a comment.
fn drawn_from(key: &str, one: &Suggestion) -> String {
    let over = one.window.map_or_else(String::new, |window| format!(" over {window}"));
    let runs = counted(one.runs, "run");
    let (half, most, nine_tenths) = (count(one.half), count(one.count), count(one.nine_tenths));
    let mut text = format!("# {key}{over}: {runs}, half up to {half}, nine tenths up to {nine_tenths}, most {most}");
    if one.rejected > 0 {
        let _ =
            write!(text, "\n#   it would have held {} of {} rejected", one.rejected_held, counted(one.rejected, "run"));
    }
    if one.runs < FEW {
        text.push_str("\n#   few to go by");
    }
    text.push('\n');
    text
}

/// A limit as a job file has it.
fn limit(one: &Suggestion) -> String {
    let percent = one.percent.map_or_else(String::new, |percent| format!(", percent = {percent}"));
    let window = one.window.map_or_else(String::new, |window| format!(", window = \"{window}\""));
    format!("{{ count = {}{percent}{window} }}", one.count)
}
