//! What a reviewer reads about an order, and an operator about its block.

use crate::model::order::{Block, BlockReason, Change};
use crate::model::situation::Cause;
use crate::model::value::Value;
use crate::rules::shortened;
use crate::snapshot::row::Cells;

use super::compare::Comparison;
use super::policy::ObjectSync;
use super::rename::Evidence;
use super::scan::Scanner;

/// As many names as fit into a sentence; the rest is counted.
pub(crate) fn some<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

pub(crate) fn block(reason: BlockReason, detail: String) -> Option<Block> {
    Some(Block { reason, detail })
}

pub(crate) fn create(sync: &ObjectSync, key: &str, was: Option<&str>) -> String {
    match was {
        None => format!("`{key}` of {} is in scope and has no object in {}", sync.from, sync.to),
        Some(id) => {
            format!(
                "`{key}` of {} is in scope; its object `{id}` is gone from {}, so it is made again",
                sync.from, sync.to
            )
        }
    }
}

/// Why an update: which attributes, and on whose side they moved.
pub(crate) fn update(changes: &[Change], how: &str) -> String {
    if changes.is_empty() {
        return if how.is_empty() { "nothing differs".to_owned() } else { format!("nothing differs; {how}") };
    }
    let mut parts = Vec::new();
    for (cause, words) in [
        (Cause::Both, "changed on both sides since they last agreed, look closely"),
        (Cause::Drift, "changed at the target"),
        (Cause::Source, "changed at the source"),
        (Cause::Rule, "changed by the job's rules"),
        (Cause::Initial, "differs and was never agreed on"),
    ] {
        let names: Vec<&str> = changes.iter().filter(|c| c.cause == cause).map(|c| c.attribute.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("{}: {words}", some(&names)));
        }
    }
    if how.is_empty() { parts.join("; ") } else { format!("{}; {how}", parts.join("; ")) }
}

/// Why an object is taken for one whose row had another key.
pub(crate) fn renamed(
    sync: &ObjectSync,
    (was, key): (&str, &str),
    evidence: &Evidence,
    scanner: &Scanner<'_>,
    changes: &[Change],
) -> String {
    let differs = if changes.is_empty() { "nothing else differs".to_owned() } else { update(changes, "") };
    let by = evidence.words(scanner);
    format!("renamed: row `{was}` of {} goes by `{key}` now, {by}; {differs}", sync.from)
}

/// What a person has to know to confirm it.
pub(crate) fn likely_rename(
    sync: &ObjectSync,
    (was, key): (&str, &str),
    evidence: &Evidence,
    scanner: &Scanner<'_>,
) -> String {
    let by = evidence.words(scanner);
    format!(
        "`{was}` is gone from {} and `{key}` is new there; {by}. Approve if they are the same, which moves the link; reject if they are two, and the next run plans for each",
        sync.from
    )
}

pub(crate) fn drift(sync: &ObjectSync, key: &str, drifted: &[Change]) -> String {
    let show = |value: &Option<Value>| value.as_ref().map_or("absent".to_owned(), |v| format!("`{v}`"));
    let parts: Vec<String> = drifted
        .iter()
        .map(|c| format!("{} is {} instead of {}", c.attribute, show(&c.before), show(&c.after)))
        .collect();
    format!("{}: `{key}` was changed at the target: {}; left as it is, as on.drift asks", sync.to, parts.join(", "))
}

/// Attributes that a new object needs and does not get, with the rule that should yield them.
pub(crate) fn lacking(scanner: &Scanner<'_>, row: &dyn Cells, key: &str, attributes: &[String]) -> Option<Block> {
    let sync = scanner.input.sync;
    let parts: Vec<String> = attributes
        .iter()
        .map(|name| match sync.rules.mapping.rule(name) {
            Some(rule) => {
                let inputs = scanner.inputs(name, row);
                let inputs: Vec<String> = inputs.iter().map(|(column, cell)| format!("{column} = `{cell}`")).collect();
                let source = if inputs.is_empty() { String::new() } else { format!(", source {}", inputs.join(", ")) };
                let by = if sync.rules.required.contains(name) { "" } else { " by the target" };
                format!("`{name}` is required{by} and would be empty (rule `{rule}`{source})")
            }
            None => format!("`{name}` is required and no rule yields it (add it to [sync.attributes])"),
        })
        .collect();
    let detail =
        format!("{}; complete row `{key}` in {}, or change the rule, and run again", parts.join("; "), sync.from);
    block(BlockReason::Incomplete, detail)
}

/// Values that are none of those that the target suggests, after a reason.
pub(crate) fn unusual(unusual: &[(String, String)]) -> String {
    unusual.iter().map(|(name, why)| format!("; {name}: {why}")).collect()
}

/// Attributes that refer to nobody, and that no object may be without.
pub(crate) fn nobody(sync: &ObjectSync, attributes: &[(String, String, String)]) -> Option<Block> {
    let parts: Vec<String> = attributes
        .iter()
        .map(|(name, named, why)| format!("`{name}` is required and refers to `{named}`, but {why}"))
        .collect();
    let detail = format!("{}; correct {} or what it refers to, and run again", parts.join("; "), sync.from);
    block(BlockReason::MissingReference, detail)
}

/// Rules that failed, and values that the target would not take, each with what it comes from.
pub(crate) fn unusable(scanner: &Scanner<'_>, row: &dyn Cells, key: &str, comparison: &Comparison) -> Option<Block> {
    let sync = scanner.input.sync;
    let mut parts = Vec::new();
    if !comparison.failures.is_empty() {
        let failures = comparison.failures.iter().map(|(name, failure)| format!("`{name}`: {failure}"));
        let failures: Vec<String> = failures.collect();
        parts.push(format!("a rule failed for row `{key}` of {}: {}", sync.from, failures.join("; ")));
    }
    parts.extend(comparison.misfits.iter().map(|(name, value, takes)| {
        let rule = sync.rules.mapping.rule(name).unwrap_or_default();
        let inputs = scanner.inputs(name, row);
        let inputs: Vec<String> = inputs.iter().map(|(column, cell)| format!("{column} = `{cell}`")).collect();
        let source = if inputs.is_empty() { String::new() } else { format!(", source {}", inputs.join(", ")) };
        format!("`{name}` would be `{}` (rule `{rule}`{source}), and {} {takes}", shortened(value), sync.to)
    }));
    if parts.is_empty() {
        return None;
    }
    let detail = format!("{}; correct row `{key}` of {}, or the rule, and run again", parts.join("; "), sync.from);
    block(BlockReason::Incomplete, detail)
}
