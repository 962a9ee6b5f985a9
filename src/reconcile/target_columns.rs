//! Which names of a job are attributes of the target, and what is said of those that are not.

use crate::model::capabilities::ResourceCapabilities;
use crate::rules::problem::did_you_mean;
use crate::rules::scope::{BoundScope, Scope};
use crate::snapshot::row::Cells;

use super::error::ReconcileError;
use super::input::ObjectInput;
use super::policy::ObjectSync;

/// Whether some object of the target holds a value in a column: an id stands in no schema.
pub(super) fn is_shown(input: &ObjectInput<'_>, name: &str) -> Result<bool, ReconcileError> {
    let Some(column) = input.target.column(name) else { return Ok(false) };
    let shown = input.target.par_fold(|| false, |shown, row| *shown |= !row.cell(column).is_empty())?;
    Ok(input.target.key_columns().contains(&column) || shown.contains(&true))
}

/// That what a match rule compares with is no attribute of the target: everybody would be created anew.
pub(super) fn no_match_attribute(input: &ObjectInput<'_>, rule: &str, name: &str) -> ReconcileError {
    let (sync, near) = (input.sync, near(input.capabilities, name));
    ReconcileError::Rule {
        sync: sync.id.clone(),
        resource: sync.to.clone(),
        cause: format!("the match rule `{rule} = {name}`: {} has no attribute `{name}`{near}", sync.to),
    }
}

/// That the target has no such attribute, where the job names it, and which one may be meant.
pub fn no_attribute(sync: &ObjectSync, offered: &ResourceCapabilities, name: &str) -> String {
    let near = near(offered, name);
    let place = sync.rules.lines.get(name).map_or_else(String::new, |line| format!(" (line {line} of the job file)"));
    format!(
        "{}: {} has no attribute `{name}`{near}{place}; its rule is ignored: correct the name, or remove the rule",
        sync.id, sync.to
    )
}

/// Whether the target may have an attribute. Where it does not tell what its attributes take, sub-attributes follow
/// their parent; where it tells nothing, there is everything.
pub(super) fn exists(input: &ObjectInput<'_>, name: &str) -> bool {
    if !input.capabilities.shapes.is_empty() {
        return input.capabilities.shape(name).is_some() || input.capabilities.enabled.as_deref() == Some(name);
    }
    let known = &input.capabilities.attributes;
    let parent = name.split(['.', '[']).next().unwrap_or(name);
    known.is_empty()
        || known.contains_key(name)
        || known.contains_key(parent)
        || input.capabilities.enabled.as_deref() == Some(name)
        || input.target.column(name).is_some()
        || known.keys().any(|key| key.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '['])))
        || name.starts_with("urn:")
}

/// A condition on the target's rows whose columns are there. One that reads a misspelt column would hold of nobody, and
/// guard nothing. `what` is what the condition is for, `fixed`.
///
/// # Errors
/// Where a column is neither an attribute of the target nor shown by any of its objects.
pub(super) fn condition(input: &ObjectInput<'_>, what: &str, condition: &Scope) -> Result<BoundScope, ReconcileError> {
    let wrong = |causes: Vec<String>| ReconcileError::Rule {
        sync: input.sync.id.clone(),
        resource: input.sync.to.clone(),
        cause: format!("{what}: {}", causes.join("; ")),
    };
    let mut missing = Vec::new();
    for column in condition.columns() {
        if !exists(input, &column) && !column.starts_with("meta.") && !is_shown(input, &column)? {
            missing.push(format!("{} has no attribute `{column}`{}", input.sync.to, near(input.capabilities, &column)));
        }
    }
    if !missing.is_empty() {
        return Err(wrong(missing));
    }
    condition.bind(input.target.columns()).map_err(|problems| wrong(problems.iter().map(ToString::to_string).collect()))
}

/// The end of a message that offers the target's nearest attribute.
fn near(offered: &ResourceCapabilities, name: &str) -> String {
    let known = offered.attributes.keys().chain(offered.shapes.keys().filter(|known| !known.contains("[]")));
    did_you_mean(name, known.map(String::as_str))
}
