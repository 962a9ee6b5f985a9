//! Checks of names: of the job, of systems, and of what flows between them.

use std::collections::BTreeSet;

use super::derived_file::RuleFile;
use super::file::SyncFile;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::{Checked, is_broken, resource};
use crate::model::resource::ResourceName;
use crate::rules::expression::Expression;
use crate::rules::problem::{did_you_mean, nearest};

pub(super) fn job_name(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if let Some(name) = &checked.file.name
        && !is_safe(name)
    {
        problems.push(checked.places.at("name", unsafe_name("job", name)));
    }
}

pub(super) fn system_names(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if checked.file.systems.as_ref().is_some_and(|systems| systems.is_empty()) {
        problems.push(checked.places.at("systems", "no system is named; a job needs one [systems.NAME] at least"));
    }
    for name in checked.system_names().filter(|name| !is_safe(name)) {
        problems.push(checked.places.at_key(&key_path("systems", name), unsafe_name("system", name)));
    }
}

pub(super) fn unsafe_name(what: &str, name: &str) -> String {
    format!("`{name}` cannot name a {what}; use lower-case letters, digits, `-` and `_`, 64 at most")
}

/// Names become names of folders and files.
pub(super) fn is_safe(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 64
        && name.starts_with(is_letter)
        && name.chars().all(|character| is_letter(character) || matches!(character, '-' | '_'))
}

pub(super) fn some_sync(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if checked.file.sync.as_ref().is_some_and(Vec::is_empty) {
        problems.push(checked.places.at("sync", "nothing is to be synced; a job needs one [[sync]] at least"));
    }
}

pub(super) fn sides(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        for (key, text) in [("from", &sync.from), ("to", &sync.to)] {
            if let Some(text) = text {
                side(checked, &key_path(&path, key), text, problems);
            }
        }
        if let (Some(from), Some(to)) = (&sync.from, &sync.to)
            && from == to
        {
            problems.push(checked.places.at(&key_path(&path, "to"), format!("`{to}` is synced to itself")));
        }
    }
}

/// `system.resource` with a system of the job.
pub(super) fn side(checked: &Checked<'_>, path: &str, text: &str, problems: &mut Vec<Problem>) {
    match text.parse::<ResourceName>() {
        Err(message) => {
            let known: Vec<&str> = checked.system_names().collect();
            let hint = known.first().map(|system| format!("write it like `{system}.users`"));
            problems.push(Problem { hint, ..checked.places.at(path, message) });
        }
        Ok(name) => {
            if !checked.system_names().any(|known| known == name.system) {
                let message = format!("there is no system `{}` in this job", name.system);
                let hint = match nearest(&name.system, checked.system_names()) {
                    Some(near) => format!("did you mean `{near}.{}`?", name.resource),
                    None => format!("write [systems.{}], or name one that is there", name.system),
                };
                problems.push(Problem { hint: Some(hint), ..checked.places.at(path, message) });
            }
            if !is_resource(&name.resource) {
                let message = format!("`{}` cannot name a resource; use letters, digits, `-` and `_`", name.resource);
                problems.push(checked.places.at(path, message));
            }
        }
    }
}

/// Resources become names of files too; the connectors' own names may have capitals.
pub(super) fn is_resource(name: &str) -> bool {
    name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

pub(super) fn repeated_syncs(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let syncs: Vec<_> = checked.syncs().collect();
    for (number, (path, sync)) in syncs.iter().enumerate() {
        let (Some(from), Some(to)) = (&sync.from, &sync.to) else { continue };
        let is_association = checked.is_association(path, sync);
        let earlier = syncs.iter().take(number).find(|(_, other)| {
            other.from == sync.from && other.to == sync.to && (other.scope == sync.scope || is_association)
        });
        if let Some((earlier, _)) = earlier {
            let line = checked.places.line(earlier);
            let message = format!("{from} is synced to {to} already in line {line}, for the same rows");
            let hint = Some("give each sync a scope of its own, or remove one".to_owned());
            problems.push(Problem { hint, ..checked.places.at_key(path, message) });
        }
    }
}

pub(super) fn ends(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs().filter(|(_, sync)| !sync.ends.is_empty()) {
        let ends_path = key_path(&path, "ends");
        if sync.ends.len() < 2 && !is_broken(problems, &ends_path) {
            let message = "an association ties two ends or more; this names one";
            problems.push(checked.places.at(&ends_path, message));
        }
        for (name, pair) in &sync.ends {
            let pair_path = key_path(&ends_path, name);
            let mut is_sound = true;
            for (number, (text, sync_side)) in pair.iter().zip([&sync.from, &sync.to]).enumerate() {
                let entry = entry_path(&pair_path, number);
                let before = problems.len();
                side(checked, &entry, text, problems);
                if problems.len() > before {
                    is_sound = false;
                    continue;
                }
                let (end, side) = (resource(Some(text)), resource(sync_side.as_ref()));
                if let (Some(end), Some(side)) = (end, side)
                    && end.system != side.system
                {
                    is_sound = false;
                    let which = if number == 0 { "from" } else { "to" };
                    let message = format!("the end `{text}` is not in `{}`, the system of `{which}`", side.system);
                    let hint = Some(format!("write [source, target]: `{}.{}`", side.system, end.resource));
                    problems.push(Problem { hint, ..checked.places.at(&entry, message) });
                }
            }
            let [from, to] = pair;
            let is_synced = checked.syncs().any(|(path, other)| {
                !checked.is_association(&path, other)
                    && other.from.as_ref() == Some(from)
                    && other.to.as_ref() == Some(to)
            });
            if is_sound && !is_synced {
                let message = format!("no [[sync]] goes from {from} to {to}, so the end `{name}` would have no links");
                let hint = Some("add that sync, or name the resources of one that is there".to_owned());
                problems.push(Problem { hint, ..checked.places.at(&pair_path, message) });
            }
        }
    }
}

pub(super) fn keys_of_the_other_kind(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let mut wrong = Vec::new();
        let is_association = checked.is_association(&path, sync);
        if !is_association {
            wrong.extend(sync.members.map(|_| "members".to_owned()));
            wrong.extend(sync.nested.map(|_| "nested".to_owned()));
            wrong.extend(sync.nestings.iter().map(|_| "nestings".to_owned()));
            wrong.extend(sync.keep_one.iter().map(|_| "keep_one".to_owned()));
        } else {
            let on = &sync.on;
            let has_on = on.orphan.is_some()
                || on.out_of_scope.is_some()
                || on.unmanaged.is_some()
                || on.drift.is_some()
                || on.no_disable.is_some();
            let present = [
                ("scope", !sync.scope.is_empty()),
                ("match", !sync.matching.is_empty()),
                ("on", has_on),
                ("rename", sync.rename.is_some()),
                ("required", !sync.required.is_empty()),
                ("unique", !sync.unique.is_empty()),
                ("clear", !sync.clear.is_empty()),
                ("attributes", !sync.attributes.is_empty()),
                ("grants", !sync.grants.is_empty()),
                ("groups", sync.groups.is_some()),
                ("assigned", !sync.assigned.is_empty()),
                ("classify", !sync.classify.is_empty()),
                ("join", !sync.join.is_empty()),
                ("references", !sync.references.is_empty()),
                ("generate", !sync.generate.is_empty()),
                ("fixed", !sync.fixed.is_empty()),
            ];
            wrong.extend(present.into_iter().filter(|(_, is_present)| *is_present).map(|(key, _)| key.to_owned()));
        }
        let is_of_the_other = |key: &str| matches!(key, "add" | "remove") != is_association;
        let mut limits: Vec<String> = sync
            .thresholds
            .present()
            .iter()
            .map(|(key, _)| (*key, format!("thresholds.{key}")))
            .filter(|(key, _)| is_of_the_other(key))
            .map(|(_, path)| path)
            .collect();
        for (number, scoped) in sync.threshold.iter().enumerate() {
            let path = entry_path("threshold", number);
            limits.extend(
                scoped.present().iter().filter(|(key, _)| is_of_the_other(key)).map(|(key, _)| format!("{path}.{key}")),
            );
        }
        wrong.append(&mut limits);
        for key in wrong {
            let message = if !is_association {
                format!("`{key}` belongs to an association, and this sync has no `ends`")
            } else {
                format!("`{key}` belongs to a sync of objects, and `ends` makes this one an association")
            };
            problems.push(checked.places.at_key(&format!("{path}.{key}"), message));
        }
    }
}

pub(super) fn snapshots(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let used: BTreeSet<String> = checked
        .syncs()
        .flat_map(|(_, sync)| {
            let groups = sync.groups.iter().flat_map(|groups| [&groups.via, &groups.of, &groups.nestings]);
            let beside = groups.flatten().chain(sync.join.values().flat_map(|join| &join.from));
            let beside = beside.chain(sync.grants.values().flat_map(|table| &table.among)).chain(&sync.nestings);
            sync.from.iter().chain(&sync.to).chain(sync.ends.values().flatten()).chain(beside)
        })
        .map(String::clone)
        .chain(checked.syncs().flat_map(|(_, sync)| looked_up(sync)))
        .collect();
    for name in checked.file.snapshot.keys() {
        if !used.contains(name.as_str()) {
            let near = did_you_mean(name, used.iter().map(String::as_str));
            let path = key_path("snapshot", name);
            problems.push(checked.places.at_key(&path, format!("no sync uses a snapshot of `{name}`{near}")));
        }
    }
}

/// The resources in which the rules of a sync look something up.
fn looked_up(sync: &SyncFile) -> Vec<String> {
    let matching = sync.matching.iter().filter_map(|rule| rule.source.as_ref());
    let references = sync.references.values().flat_map(|one| one.source.iter().chain(&one.by));
    let generated = sync.generate.values().filter_map(|one| one.rule.as_ref());
    let rules = sync
        .attributes
        .values()
        .flat_map(RuleFile::rules)
        .chain(matching)
        .chain(references)
        .chain(generated)
        .map(|rule| Expression::compile(rule));
    let given = sync.grants.values().flat_map(|table| table.table.iter().flatten()).filter_map(|row| row.when.as_ref());
    let conditions = sync.scope.iter().chain(sync.classify.iter().filter_map(|rule| rule.when.as_ref())).chain(given);
    let rules = rules.chain(conditions.map(|condition| Expression::condition(condition)));
    // What does not compile is told by another check.
    let rules: Vec<Expression> = rules.filter_map(Result::ok).collect();
    rules.iter().flat_map(Expression::lookups).map(|placed| placed.lookup.resource.to_string()).collect()
}

pub(super) fn protect(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (number, entry) in checked.file.apply.protect.iter().enumerate() {
        let path = entry_path("apply.protect", number);
        match entry.split_once('/') {
            Some((resource, key)) if !key.is_empty() => {
                let before = problems.len();
                side(checked, &path, resource, problems);
                let targets = || checked.syncs().filter_map(|(_, sync)| sync.to.as_deref());
                if problems.len() == before && !targets().any(|target| target == resource) {
                    let hint = nearest(resource, targets()).map(|near| format!("did you mean `{near}`?"));
                    let message = format!("no sync writes to {resource}: nothing of it needs protection");
                    problems.push(Problem { hint, ..checked.places.at(&path, message) });
                }
            }
            _ => {
                let message =
                    format!("`{entry}` names no object; write system.resource/key, like `vault.users/svc-muster`");
                problems.push(checked.places.at(&path, message));
            }
        }
    }
}
