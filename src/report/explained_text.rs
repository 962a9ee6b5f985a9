//! One object, explained: a block a step, wrapped to the terminal.

use std::fmt::Write as _;

use super::figures::{ago, time};
use super::safe_text;
use super::table::{Cell, Column, Listing};
use super::wrap::broken;
use crate::model::explained::{Explained, Fact};

/// Columns before the text of a step: its name.
const NAME: usize = 11;

/// The whole explanation for people, ending with a line break. Safe for a terminal.
pub fn explained_text(explained: &Explained, now: chrono::DateTime<chrono::Utc>, width: usize) -> String {
    let mut text = String::new();
    let mut title = explained.to.to_string();
    for part in explained.source_key.iter().chain(&explained.target_id) {
        let _ = write!(title, " `{}`", safe_text::line(part));
    }
    if !explained.name.is_empty() {
        let _ = write!(title, " ({})", safe_text::line(&explained.name));
    }
    if let Some(situation) = explained.situation {
        let _ = write!(title, ": {situation}");
    }
    wrapped(&mut text, "", &title, 0, width);
    let taken = format!("{}, {}", time(explained.at), ago(explained.at, now));
    let of = match &explained.run {
        Some(run) => format!("from the snapshots of run {run}, taken {taken}"),
        None => format!("from the systems as they are, read {taken}"),
    };
    wrapped(&mut text, "", &of, 0, width);
    for step in &explained.steps {
        text.push('\n');
        wrapped(&mut text, &format!("{:<NAME$}", step.step.word()), &safe_text::line(&step.verdict), NAME, width);
        for fact in &step.facts {
            fact_text(&mut text, fact, width);
        }
    }
    if !explained.next.is_empty() {
        text.push('\n');
        for (number, command) in explained.next.iter().enumerate() {
            // A command stays on one line, to be copied.
            let name = if number == 0 { "next" } else { "" };
            let _ = writeln!(text, "{name:<NAME$}{}", safe_text::line(command));
        }
    }
    text
}

/// The same for programs that read CSV: a record a detail; of what has none, one without.
pub fn explained_listing(explained: &Explained) -> Listing {
    let columns = ["step", "verdict", "about", "found", "name", "detail"];
    let mut listing = Listing::new(columns.map(Column::whole).to_vec());
    for step in &explained.steps {
        let of_step: [Cell; 2] = [step.step.word().into(), step.verdict.as_str().into()];
        if step.facts.is_empty() {
            listing.push(of_step.to_vec());
        }
        for fact in &step.facts {
            let found = Some(fact.verdict.as_str()).filter(|found| !found.is_empty());
            let of_fact = [&of_step[..], &[fact.about.as_str().into(), found.into()]].concat();
            if fact.details.is_empty() {
                listing.push(of_fact.clone());
            }
            for (name, detail) in &fact.details {
                listing.push([&of_fact[..], &[name.as_str().into(), detail.as_str().into()]].concat());
            }
        }
    }
    listing
}

fn fact_text(text: &mut String, fact: &Fact, width: usize) {
    let about = safe_text::line(&fact.about);
    let verdict = safe_text::line(&fact.verdict);
    let head = if verdict.is_empty() { about.into_owned() } else { format!("{about}: {verdict}") };
    wrapped(text, &" ".repeat(2), &head, 4, width);
    let names = fact.details.iter().map(|(name, _)| safe_text::width(name)).max().unwrap_or(0);
    for (name, detail) in &fact.details {
        let label = format!("    {name:<names$}  ");
        wrapped(text, &label, &safe_text::line(detail), names + 6, width);
    }
}

/// A paragraph: the first line after `label`, the others after `indent` columns.
fn wrapped(text: &mut String, label: &str, paragraph: &str, indent: usize, width: usize) {
    text.push_str(broken(&format!("{label}{paragraph}"), indent, width).trim_end());
    text.push('\n');
}
