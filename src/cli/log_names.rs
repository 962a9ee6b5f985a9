//! Why a search of the log found nothing: a name that nobody knows is a slip of the pen; what never happened is an answer.

use std::collections::BTreeSet;

use anyhow::Result;

use super::exit::UsageError;
use super::session;
use crate::report::safe_text;
use crate::rules::problem::did_you_mean;
use crate::store::chain_query::LogQuery;
use crate::store::database::Store;

/// Names that are listed.
const LISTED: usize = 12;

/// A sentence for a search that found nothing.
///
/// # Errors
/// [`UsageError`] with the names that there are, where one that was asked for is unknown.
pub(super) fn why_nothing(store: &Store, query: &LogQuery) -> Result<String> {
    if let Some(system) = &query.system {
        let mut known = store.systems_of_log()?;
        for job in query.job.clone().map_or_else(|| store.jobs(), |job| Ok(vec![job]))? {
            // A job file that is gone or wrong names none; what ran under it is known anyhow.
            known.extend(session::job_of(store, &job).into_iter().flat_map(|job| job.systems.into_keys()));
        }
        require("--system", system, "no system of this name was ever read or written", &known)?;
    }
    if let Some(who) = &query.who {
        let known = store.people_of_log()?;
        if !known.iter().any(|name| name.eq_ignore_ascii_case(who)) {
            require("--reviewer", who, "nobody of this name caused anything", &known)?;
        }
    }
    if let Some(key) = query.key.as_ref().filter(|key| !key.is_empty())
        && !store.is_key_of_log(key)?
    {
        let known = store.keys_of_log()?;
        let hint = did_you_mean(key, known.iter().map(String::as_str));
        let text = format!("--key {key}: no order was ever about it, and no object is linked under it{hint}");
        return Err(UsageError(safe_text::line(&text).into_owned()).into());
    }
    let asked = [
        ("--since", query.since.is_some()),
        ("--key", query.key.is_some()),
        ("--system", query.system.is_some()),
        ("--operation", query.operation.is_some()),
        ("--reviewer", query.who.is_some()),
        ("--errors", query.errors),
    ];
    let asked: Vec<&str> = asked.iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| *name).collect();
    Ok(match asked.as_slice() {
        [] => "the log has no entries of it".to_owned(),
        [one] => format!("no entry of the log fits {one}"),
        several => format!("no entry of the log fits all of {}", several.join(", ")),
    })
}

fn require(option: &str, name: &str, nothing: &str, known: &BTreeSet<String>) -> Result<()> {
    if known.contains(name) {
        return Ok(());
    }
    let hint = did_you_mean(name, known.iter().map(String::as_str));
    let gap = if hint.is_empty() { ";" } else { "" };
    let listed: Vec<&str> = known.iter().take(LISTED).map(String::as_str).collect();
    let more = if known.len() > LISTED { " …" } else { "" };
    let there =
        if listed.is_empty() { "there is none yet".to_owned() } else { format!("there are: {}", listed.join(", ")) };
    let text = format!("{option} {name}: {nothing}{hint}{gap} {there}{more}");
    Err(UsageError(safe_text::line(&text).into_owned()).into())
}
