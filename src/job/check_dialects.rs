//! Dialects that a job has in files of its own: every mistake in them is one of the job.

use serde::Deserialize as _;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};
use toml::{Spanned, de};

use super::place::{Places, entry_path, key_path};
use super::problem::Problem;
use super::validate::Checked;
use crate::connector::config::SystemConfig;
use crate::connector::scim::Dialect;

pub(super) fn files(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (name, system) in checked.systems {
        let SystemConfig::Scim(config) = system else { continue };
        let Some(file) = config.dialect.as_deref().filter(|dialect| Dialect::is_file(dialect)) else { continue };
        let path = key_path(&key_path("systems", name), "dialect");
        let found = match std::fs::read(checked.folder.join(file)).map(String::from_utf8) {
            Ok(Ok(text)) => mistakes(&text),
            Ok(Err(error)) => {
                let good = error.utf8_error().valid_up_to();
                vec![Mistake::of_file(format!("it is not UTF-8 text, from byte {good} on"), "save it as UTF-8")]
            }
            Err(error) => {
                let remedy = "it is looked for beside the job file; correct the name, or leave `dialect` out";
                vec![Mistake::of_file(format!("it cannot be read: {error}"), remedy)]
            }
        };
        for (number, mistake) in found.into_iter().enumerate() {
            let place = mistake.place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
            let message = format!("`dialect` of system `{name}`: {file}{place}: {}", mistake.message);
            let problem = checked.places.at(&path, message);
            // Sorted as they stand in their file.
            let path = entry_path(&path, 1_000_000 + number);
            problems.push(Problem { path, hint: Some(mistake.remedy.to_owned()), ..problem });
        }
    }
}

/// One mistake in a dialect's file.
struct Mistake {
    /// Line and column, from 1; `None` for the file as a whole.
    place: Option<(usize, usize)>,
    message: String,
    /// What to do next.
    remedy: &'static str,
}

impl Mistake {
    fn of_file(message: String, remedy: &'static str) -> Self {
        Self { place: None, message, remedy }
    }
}

/// What is wrong with a text as a dialect: those of its form; if there are none, one for each key and for each entry of a
/// list.
fn mistakes(text: &str) -> Vec<Mistake> {
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (root, errors) = DeTable::parse_recoverable(plain);
    let places = Places::of(plain, root.get_ref());
    let mistake = |problem: Problem| Mistake {
        place: Some((problem.line, problem.column)),
        message: problem.message,
        remedy: "correct the file; its keys are those of the dialects that muster has",
    };
    if !errors.is_empty() {
        return super::syntax(&errors, plain, &places).into_iter().map(mistake).collect();
    }
    let whole = root.span();
    let mut found = Vec::new();
    for (key, value) in root.into_inner() {
        for part in parts(value) {
            let mut alone = DeTable::new();
            alone.insert(key.clone(), part);
            let read = Dialect::deserialize(Deserializer::from(Spanned::new(whole.clone(), alone)));
            found.extend(read.err().map(|error| {
                let place = error.span().map_or(key.span().start, |span| span.start);
                mistake(places.problem(place, "", told(&error)))
            }));
        }
    }
    found.sort_by_key(|mistake| mistake.place);
    found
}

/// The entries of a list of tables, each as a list of its own; anything else as it is.
fn parts(value: Spanned<DeValue<'_>>) -> Vec<Spanned<DeValue<'_>>> {
    let span = value.span();
    match value.into_inner() {
        DeValue::Array(entries) if entries.iter().all(|entry| entry.get_ref().is_table()) && !entries.is_empty() => {
            entries
                .iter()
                .map(|entry| {
                    let mut list = DeArray::new();
                    list.push(entry.clone());
                    Spanned::new(span.clone(), DeValue::Array(list))
                })
                .collect()
        }
        other => vec![Spanned::new(span, other)],
    }
}

fn told(error: &de::Error) -> String {
    error.message().trim().replace('\n', ", ")
}
