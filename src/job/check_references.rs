//! Checks of attributes whose values refer to other objects.

use super::check_names::side;
use super::check_rules::tell;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::{Checked, is_broken, resource};
use crate::rules::expression::Expression;
use crate::rules::problem::nearest;

pub(super) fn references(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (position, name) in sync.unique.iter().enumerate() {
            if sync.references.contains_key(name) {
                let message = format!("`{name}` refers to another object, which many may do; it cannot be unique");
                problems.push(checked.places.at(&entry_path(&key_path(&path, "unique"), position), message));
            }
        }
        for (attribute, one) in &sync.references {
            let path = key_path(&key_path(&path, "references"), attribute);
            if attribute.trim().is_empty() {
                problems.push(checked.places.at_key(&path, "an attribute without a name"));
            }
            if sync.attributes.contains_key(attribute) {
                let message = format!("`{attribute}` stands under `attributes` too; a value is mapped or refers");
                problems.push(checked.places.at_key(&path, message));
            }
            for (key, what, rule) in [
                ("source", format!("the reference of `{attribute}`"), &one.source),
                ("by", format!("`by` of `{attribute}`"), &one.by),
            ] {
                if let Some(rule) = rule {
                    tell(checked, &key_path(&path, key), &what, Expression::compile(rule), problems);
                }
            }
            for (key, text) in [("from", &one.from), ("to", &one.to)] {
                if let Some(text) = text {
                    side(checked, &key_path(&path, key), text, problems);
                }
            }
            leads_somewhere(checked, &path, (sync.from.as_ref(), sync.to.as_ref()), one, problems);
        }
    }
}

/// A reference goes through the links of a sync; a target's attribute holds an id of the same target.
fn leads_somewhere(
    checked: &Checked<'_>,
    path: &str,
    (own_from, own_to): (Option<&String>, Option<&String>),
    one: &super::file::ReferenceFile,
    problems: &mut Vec<Problem>,
) {
    if is_broken(problems, path) {
        return;
    }
    let (from, to) = (one.from.as_ref().or(own_from), one.to.as_ref().or(own_to));
    let (Some(from), Some(to)) = (from, to) else { return };
    if let (Some(there), Some(own)) = (resource(Some(to)), resource(own_to))
        && there.system != own.system
    {
        let message = format!(
            "`{to}` is not in `{}`, the system of the sync's `to`, so that its ids mean nothing there",
            own.system
        );
        let hint = Some(format!("name a resource of `{}`", own.system));
        problems.push(Problem { hint, ..checked.places.at(&key_path(path, "to"), message) });
        return;
    }
    let flows: Vec<(&String, &String)> = checked
        .syncs()
        .filter(|(path, other)| !checked.is_association(path, other))
        .filter_map(|(_, other)| Some((other.from.as_ref()?, other.to.as_ref()?)))
        .collect();
    if flows.contains(&(from, to)) {
        return;
    }
    let message = format!("no [[sync]] goes from {from} to {to}, so the reference would have no links");
    let froms = flows.iter().filter(|(_, other)| *other == to).map(|(from, _)| from.as_str());
    let tos = flows.iter().filter(|(other, _)| *other == from).map(|(_, to)| to.as_str());
    let hint = nearest(from, froms).or_else(|| nearest(to, tos)).map(|near| format!("did you mean `{near}`?"));
    let hint = hint.or_else(|| Some("add that sync, or name the resources of one that is there".to_owned()));
    let key = if one.from.is_some() { "from" } else { "to" };
    problems.push(Problem { hint, ..checked.places.at(&key_path(path, key), message) });
}
