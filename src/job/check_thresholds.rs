//! Checks of thresholds: each limits something, and has a name of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use super::build_thresholds;
use super::check_names::{is_safe, unsafe_name};
use super::check_rules::no_lookups;
use super::file::SyncFile;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::threshold_file::{LimitParts, LimitsFile, Named, ScopedThresholdFile};
use super::validate::{Checked, is_broken};
use crate::model::threshold::{Limit, Window};
use crate::reconcile::threshold::GROUPS;
use crate::rules::problem::did_you_mean;
use crate::rules::scope::Scope;

/// Whether something not said is as in the default.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    Inherited,
    None,
}

pub(super) fn limits(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    for (path, sync) in checked.syncs() {
        let path = key_path(&path, "thresholds");
        each(checked, &path, &sync.thresholds.present(), Default::Inherited, problems);
    }
    for (name, snapshot) in &checked.file.snapshot {
        let path = key_path(&key_path("snapshot", name), "thresholds");
        each(checked, &path, &snapshot.thresholds.present(), Default::Inherited, problems);
    }
}

/// The longest time over which a threshold of a sync counts, as far as such times can be read.
pub(super) fn longest_window(checked: &Checked<'_>) -> Option<Duration> {
    let of = |limits: Named<'_>| {
        let parts = limits.into_iter().flat_map(|(_, limits)| limits.parts());
        let windows = parts.filter_map(|parts| build_thresholds::window(parts.window.as_deref()?).ok()?);
        windows.map(|Window(time)| time).max()
    };
    let syncs = checked.syncs().map(|(_, sync)| sync);
    syncs
        .flat_map(|sync| {
            std::iter::once(of(sync.thresholds.present()))
                .chain(sync.threshold.iter().map(|scoped| of(scoped.present())))
        })
        .flatten()
        .max()
}

fn each(checked: &Checked<'_>, path: &str, named: &Named<'_>, default: Default, problems: &mut Vec<Problem>) {
    for (key, limits) in named {
        let path = key_path(path, key);
        if is_broken(problems, &path) {
            continue;
        }
        let mut windows = BTreeSet::new();
        match limits {
            LimitsFile::Off(_) => {}
            LimitsFile::One(parts) => one(checked, &path, key, parts, default, problems),
            LimitsFile::Many(list) if list.is_empty() => {
                let message = format!("the list of limits for `{key}` is empty; give one, or write \"off\"");
                problems.push(checked.places.at(&path, message));
            }
            LimitsFile::Many(list) => {
                for (number, parts) in list.iter().enumerate() {
                    let path = entry_path(&path, number);
                    one(checked, &path, key, parts, default, problems);
                    let window = parts.window.as_deref().unwrap_or("run");
                    if let Ok(time) = build_thresholds::window(window)
                        && !windows.insert(time)
                    {
                        let message = format!("`{key}` has two limits for the window `{window}`; put them together");
                        problems.push(checked.places.at(&path, message));
                    }
                }
            }
        }
    }
}

/// A limit without any part, or with a floor alone, would look like a limit and be the default, or none.
fn one(
    checked: &Checked<'_>,
    path: &str,
    key: &str,
    parts: &LimitParts,
    default: Default,
    problems: &mut Vec<Problem>,
) {
    let window = parts.window.as_deref().map_or(Ok(None), build_thresholds::window);
    if let Err(message) = &window {
        let mut problem = checked.places.at(&key_path(path, "window"), message);
        problem.hint = Some("or write \"run\"".to_owned());
        problems.push(problem);
    }
    let inherits = default == Default::Inherited && matches!(window, Ok(None));
    let says = parts.count.is_some() || parts.percent.is_some();
    if !says && parts.tiers.is_none() && !(inherits && parts.floor.is_some()) {
        let or = if default == Default::Inherited { ", or write \"off\"" } else { "" };
        let message = format!("the limit `{key}` is empty; give it `count` or `percent`{or}");
        problems.push(checked.places.at(path, message));
    }
    let tiers_path = key_path(path, "tiers");
    let Some(tiers) = &parts.tiers else { return };
    let last = tiers.iter().filter_map(|tier| tier.up_to).max().unwrap_or_default();
    if tiers.is_empty() {
        problems.push(checked.places.at(&tiers_path, "no tier; give one, or leave `tiers` out"));
    } else if !says {
        let message = format!("the tiers end at {last}; say with `count` or `percent` beside them what holds for more");
        problems.push(checked.places.at(&tiers_path, message));
    }
    let mut before = None;
    for (number, tier) in tiers.iter().enumerate() {
        let path = entry_path(&tiers_path, number);
        let up_to = tier.up_to.unwrap_or_default();
        if tier.count.is_none() && tier.percent.is_none() {
            problems.push(checked.places.at(&path, "the tier is empty; give it `count` or `percent`"));
        }
        if before.is_some_and(|before| up_to <= before) {
            let message = format!("tiers grow: {up_to} is not more than {} before it", before.unwrap_or_default());
            problems.push(checked.places.at(&path, message));
        }
        let floor = parts.floor.unwrap_or(Limit::FLOOR);
        if tier.count.is_none() && tier.percent.is_some() && up_to < floor {
            let message = format!(
                "a percent applies from {floor} objects on, and this tier ends at {up_to}; give it `count`, or the limit a lower `floor`"
            );
            problems.push(checked.places.at(&path, message));
        }
        before = Some(up_to);
    }
}

pub(super) fn scoped(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let mut taken: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (path, sync) in checked.syncs() {
        for (number, threshold) in sync.threshold.iter().enumerate() {
            let path = entry_path(&key_path(&path, "threshold"), number);
            if let (Some(name), Some(to)) = (&threshold.name, &sync.to) {
                name_of(checked, &path, name, problems);
                if !taken.insert((to, name)) {
                    let message = format!("two thresholds of {to} are named `{name}`; name them apart");
                    problems.push(checked.places.at(&key_path(&path, "name"), message));
                }
            }
            conditions(checked, &path, sync, threshold, problems);
            each(checked, &path, &threshold.present(), Default::None, problems);
            for (key, limits) in threshold.present() {
                if matches!(limits, LimitsFile::Off(_)) {
                    let message = format!("nothing limits `{key}` here unless this does; leave it out");
                    problems.push(checked.places.at(&key_path(&path, key), message));
                }
            }
            if threshold.present().is_empty() && !is_broken(problems, &path) {
                let message = "this threshold limits nothing; give it a limit: disable = { count = 1 }";
                problems.push(checked.places.at_key(&path, message));
            }
            if sync.is_association() {
                of_rows(checked, &path, threshold, problems);
            }
        }
    }
}

fn name_of(checked: &Checked<'_>, path: &str, name: &str, problems: &mut Vec<Problem>) {
    let path = key_path(path, "name");
    if !is_safe(name) {
        problems.push(checked.places.at(&path, unsafe_name("threshold", name)));
    } else if GROUPS.iter().any(|(word, ..)| *word == name) {
        let message = format!("a threshold cannot be named `{name}`, like an operation; name it for its scope");
        problems.push(checked.places.at(&path, message));
    }
}

fn conditions(
    checked: &Checked<'_>,
    path: &str,
    sync: &SyncFile,
    threshold: &ScopedThresholdFile,
    problems: &mut Vec<Problem>,
) {
    for (key, text) in [("scope", &threshold.scope), ("target", &threshold.target)] {
        let Some(text) = text else { continue };
        let path = key_path(path, key);
        let compiled = Scope::compile(std::slice::from_ref(text));
        if let Ok(scope) = &compiled {
            no_lookups(checked, &path, &format!("the threshold's {key}"), scope.lookups(), problems);
        }
        match compiled {
            Err(found) => {
                for problem in found {
                    let message = format!("the threshold's {key}: {}", problem.message);
                    problems.push(checked.places.inside(&path, problem.offset, message));
                }
            }
            Ok(scope) if sync.is_association() && key == "scope" => {
                let ends: Vec<&str> = sync.ends.keys().map(String::as_str).collect();
                for column in scope.columns().iter().filter(|column| !ends.contains(&column.as_str())) {
                    let near = did_you_mean(column, ends.iter().copied());
                    let message = format!("the threshold's scope: no end is called `{column}`{near}");
                    problems.push(checked.places.at(&path, message));
                }
            }
            Ok(_) => {}
        }
    }
}

/// Nobody knows of how many rows a scope of an association is.
fn of_rows(checked: &Checked<'_>, path: &str, threshold: &ScopedThresholdFile, problems: &mut Vec<Problem>) {
    for (key, limits) in threshold.present() {
        if limits.parts().iter().any(|parts| parts.percent.is_some() || parts.tiers.is_some()) {
            let message = format!("`{key}` of a part of an association is limited by `count` alone");
            problems.push(checked.places.at(&key_path(path, key), message));
        }
    }
    if threshold.target.is_some() {
        let message = "`target` belongs to a sync of objects, and `ends` makes this one an association";
        problems.push(checked.places.at_key(&key_path(path, "target"), message));
    }
}
