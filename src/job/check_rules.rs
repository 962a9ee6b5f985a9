//! Checks of rules: mapping, scope, matching, and the attributes that they name.

use super::check_names::is_resource;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::{Checked, is_broken};
use crate::rules::expression::Expression;
use crate::rules::lookup::PlacedLookup;
use crate::rules::problem::{RuleProblem, did_you_mean, nearest};

pub(super) fn attributes(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (attribute, rules) in &sync.attributes {
            let path = key_path(&key_path(&path, "attributes"), attribute);
            if attribute.trim().is_empty() {
                problems.push(checked.places.at_key(&path, "an attribute without a name"));
            }
            // What is set as a whole has its parts undone, and what is set in part undoes the whole, at every run.
            let is_part = |name: &&String| {
                name.strip_prefix(attribute.as_str()).is_some_and(|rest| rest.starts_with(['[', '.']))
                    && !attribute.starts_with("urn:")
            };
            if let Some(part) = sync.attributes.keys().find(is_part) {
                let message = format!("`{attribute}` is mapped as a whole, and `{part}` is a part of it");
                let hint = Some("map either the whole, or its parts".to_owned());
                problems.push(Problem { hint, ..checked.places.at_key(&path, message) });
            }
            if rules.rules().is_empty() {
                problems.push(checked.places.at(&path, format!("`{attribute}` has no rule")));
            }
            for (number, rule) in rules.rules().iter().enumerate() {
                let entry = entry_path(&path, number);
                let path = if checked.places.has(&entry) { &entry } else { &path };
                tell(checked, path, &format!("the rule of `{attribute}`"), Expression::compile(rule), problems);
            }
        }
        let is_missing = sync.attributes.is_empty()
            && sync.references.is_empty()
            && sync.generate.is_empty()
            && sync.grants.is_empty()
            && !is_broken(problems, &key_path(&path, "attributes"));
        if is_missing && !checked.is_association(&path, sync) {
            let message = "this sync maps no attribute; add [sync.attributes], or `ends` if it is an association";
            problems.push(checked.places.at_key(&path, message));
        }
    }
}

pub(super) fn scopes(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (number, condition) in sync.scope.iter().enumerate() {
            let path = entry_path(&key_path(&path, "scope"), number);
            tell(checked, &path, "the scope", Expression::condition(condition), problems);
        }
    }
}

pub(super) fn matching(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let is_missing = sync.matching.is_empty() && !is_broken(problems, &key_path(&path, "match"));
        if is_missing && !checked.is_association(&path, sync) {
            let message = "this sync has no `match` rule, so no source row would find its target object";
            let hint = Some("add match = [{ source = \"id\", target = \"externalId\" }]".to_owned());
            problems.push(Problem { hint, ..checked.places.at_key(&path, message) });
        }
        for (number, rule) in sync.matching.iter().enumerate() {
            let path = entry_path(&key_path(&path, "match"), number);
            if let Some(source) = &rule.source {
                let path = key_path(&path, "source");
                tell(checked, &path, "the match rule", Expression::compile(source), problems);
            }
            if rule.target.as_ref().is_some_and(|target| target.trim().is_empty()) {
                let message = "the match rule names no target column";
                problems.push(checked.places.at(&key_path(&path, "target"), message));
            }
        }
    }
}

pub(super) fn tell(
    checked: &Checked<'_>,
    path: &str,
    what: &str,
    compiled: Result<Expression, RuleProblem>,
    problems: &mut Vec<Problem>,
) {
    match compiled {
        Ok(rule) => rule.lookups().for_each(|placed| of_a_system(checked, path, what, placed, problems)),
        Err(problem) => {
            problems.push(checked.places.inside(path, problem.offset, format!("{what}: {}", problem.message)));
        }
    }
}

/// Something is looked up in a snapshot of a system of the job.
fn of_a_system(checked: &Checked<'_>, path: &str, what: &str, placed: &PlacedLookup, problems: &mut Vec<Problem>) {
    let name = &placed.lookup.resource;
    if !is_resource(&name.resource) {
        let message = format!("{what}: `{}` cannot name a resource; use letters, digits, `-` and `_`", name.resource);
        problems.push(checked.places.inside(path, placed.offset, message));
    }
    if checked.system_names().any(|known| known == name.system) {
        return;
    }
    let message = format!("{what}: there is no system `{}` in this job to look anything up in", name.system);
    let hint = match nearest(&name.system, checked.system_names()) {
        Some(near) => format!("did you mean `{near}.{}`?", name.resource),
        None => format!("write [systems.{}], or name one that is there", name.system),
    };
    problems.push(Problem { hint: Some(hint), ..checked.places.inside(path, placed.offset, message) });
}

/// Conditions on what is not a source row, or not only on one, look nothing up.
pub(super) fn no_lookups<'p>(
    checked: &Checked<'_>,
    path: &str,
    what: &str,
    lookups: impl Iterator<Item = &'p PlacedLookup>,
    problems: &mut Vec<Problem>,
) {
    for placed in lookups {
        let message =
            format!("{what} cannot use `lookup`; `scope`, `match`, [sync.attributes] and [sync.references] can");
        problems.push(checked.places.inside(path, placed.offset, message));
    }
}

pub(super) fn named_attributes(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs().filter(|(path, sync)| !checked.is_association(path, sync)) {
        if is_broken(problems, &key_path(&path, "attributes")) {
            continue;
        }
        let refers = ["references", "generate"].iter().any(|table| is_broken(problems, &key_path(&path, table)));
        let mut unmapped = |key: &str, position: usize, name: &str| {
            if sync.maps(name) || refers {
                return;
            }
            let near = did_you_mean(name, sync.mapped().map(String::as_str));
            let message = format!("`{key}` names `{name}`, which [sync.attributes] does not map{near}");
            problems.push(checked.places.at(&entry_path(&key_path(&path, key), position), message));
        };
        for (key, names) in [("required", &sync.required), ("unique", &sync.unique), ("clear", &sync.clear)] {
            for (position, name) in names.iter().enumerate() {
                unmapped(key, position, name);
            }
        }
    }
}
