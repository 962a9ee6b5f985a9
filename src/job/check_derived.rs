//! Checks of what a sync finds out about its source rows, and of value tables.

use super::check_names::side;
use super::check_rules::{no_lookups, tell};
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::{Checked, resource};
use crate::rules::expression::Expression;

pub(super) fn groups(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        if !sync.assigned.is_empty() && sync.groups.is_none() && !checked.places.has(&key_path(&path, "groups")) {
            let message = "`assigned` names groups, and the sync does not say who is in them";
            let hint = Some("add groups = { via = \"idp.memberships\" }".to_owned());
            problems.push(Problem { hint, ..checked.places.at_key(&key_path(&path, "assigned"), message) });
        }
        let Some(groups) = &sync.groups else { continue };
        let path = key_path(&path, "groups");
        for (key, text) in [("via", &groups.via), ("of", &groups.of), ("nestings", &groups.nestings)] {
            let Some(text) = text else { continue };
            let path = key_path(&path, key);
            side(checked, &path, text, problems);
            if let (Some(there), Some(own)) = (resource(Some(text)), resource(sync.from.as_ref()))
                && there.system != own.system
            {
                let message = format!("`{text}` is not in `{}`, the system of `from`: its keys are others", own.system);
                problems.push(checked.places.at(&path, message));
            }
        }
        if groups.by.is_some() && groups.of.is_none() {
            let message = "`by` names a column of `of`, which is not there";
            let hint = Some("add of = \"idp.groups\"".to_owned());
            problems.push(Problem { hint, ..checked.places.at_key(&key_path(&path, "by"), message) });
        }
    }
}

/// Groups in groups of an association are rows of the source, whose groups they are.
pub(super) fn nestings(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let Some(text) = &sync.nestings else { continue };
        let path = key_path(&path, "nestings");
        side(checked, &path, text, problems);
        if let (Some(there), Some(own)) = (resource(Some(text)), resource(sync.from.as_ref()))
            && there.system != own.system
        {
            let message = format!("`{text}` is not in `{}`, the system of `from`: its keys are others", own.system);
            problems.push(checked.places.at(&path, message));
        }
    }
}

pub(super) fn classes(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (number, rule) in sync.classify.iter().enumerate() {
            let path = entry_path(&key_path(&path, "classify"), number);
            condition(checked, &key_path(&path, "when"), "the classification", rule.when.as_ref(), problems);
            if rule.class.as_ref().is_some_and(|class| class.trim().is_empty()) {
                problems.push(checked.places.at(&key_path(&path, "class"), "a class without a name"));
            }
        }
    }
}

pub(super) fn joins(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (name, join) in &sync.join {
            let path = key_path(&key_path(&path, "join"), name);
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                || !name.starts_with(|c: char| c.is_ascii_alphabetic())
            {
                let message =
                    format!("`{name}` cannot name a join; use letters, digits and `_`: rules read `{name}.column`");
                problems.push(checked.places.at_key(&path, message));
            }
            if let Some(from) = &join.from {
                side(checked, &key_path(&path, "from"), from, problems);
            }
            for (key, rule) in [("here", &join.here), ("there", &join.there)] {
                if let Some(rule) = rule {
                    let what = format!("`{key}` of the join `{name}`");
                    let (path, compiled) = (key_path(&path, key), Expression::compile(rule));
                    if let Ok(rule) = &compiled {
                        no_lookups(checked, &path, &what, rule.lookups(), problems);
                    }
                    tell(checked, &path, &what, compiled, problems);
                }
            }
        }
    }
}

pub(super) fn tables(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (attribute, table) in &sync.grants {
            let path = key_path(&key_path(&path, "grants"), attribute);
            if sync.attributes.contains_key(attribute)
                || sync.references.contains_key(attribute)
                || sync.generate.contains_key(attribute)
            {
                let message = format!("`{attribute}` has a rule already; an attribute has a rule or a table of names");
                problems.push(checked.places.at_key(&path, message));
            }
            if let Some(among) = &table.among {
                let path = key_path(&path, "among");
                side(checked, &path, among, problems);
                if let (Some(there), Some(own)) = (resource(Some(among)), resource(sync.to.as_ref()))
                    && there.system != own.system
                {
                    let message =
                        format!("`{among}` is not in `{}`, the system of `to`, whose names count", own.system);
                    problems.push(checked.places.at(&path, message));
                }
            }
            if table.by.is_some() && table.among.is_none() {
                let message = "`by` names a column of `among`, which is not there";
                problems.push(checked.places.at_key(&key_path(&path, "by"), message));
            }
            if table.table.as_ref().is_some_and(Vec::is_empty) {
                problems.push(
                    checked.places.at(&key_path(&path, "table"), format!("the table of `{attribute}` has no row")),
                );
            }
            for (number, row) in table.table.iter().flatten().enumerate() {
                let path = entry_path(&key_path(&path, "table"), number);
                let what = format!("the table of `{attribute}`");
                condition(checked, &key_path(&path, "when"), &what, row.when.as_ref(), problems);
                if row.value.as_ref().is_some_and(|value| value.trim().is_empty()) {
                    let message = format!("a row of the table of `{attribute}` gives no name");
                    problems.push(checked.places.at(&key_path(&path, "value"), message));
                }
            }
        }
    }
}

fn condition(checked: &Checked<'_>, path: &str, what: &str, rule: Option<&String>, problems: &mut Vec<Problem>) {
    if let Some(rule) = rule {
        tell(checked, path, what, Expression::condition(rule), problems);
    }
}

/// `ignore` names what the job knows: a resource type of a system, or a mapped attribute of a sync's target.
pub(super) fn ignored(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (number, entry) in checked.file.ignore.iter().enumerate() {
        let path = entry_path("ignore", number);
        let (name, attribute) = entry.split_once('/').map_or((entry.as_str(), None), |(name, rest)| (name, Some(rest)));
        let before = problems.len();
        side(checked, &path, name, problems);
        let Some(attribute) = attribute.filter(|_| problems.len() == before) else { continue };
        let mut mapped = checked.syncs().filter(|(_, sync)| sync.to.as_deref() == Some(name));
        if !mapped.any(|(_, sync)| sync.maps(attribute)) {
            let message = format!("no sync to {name} maps `{attribute}`");
            problems.push(checked.places.at(&path, message));
        }
    }
}
