//! Checks of numbers and times, and of who gets mail.

use super::file::LimitFile;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::{Checked, is_broken};
use super::{size, timer};

pub(super) fn durations(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let file = checked.file;
    let fixed = [
        ("review.expires", &file.review.expires),
        ("apply.retry_budget", &file.apply.retry_budget),
        ("apply.delete_after", &file.apply.delete_after),
        ("retention.exports", &file.retention.exports),
        ("retention.runs", &file.retention.runs),
    ];
    let fixed = fixed.into_iter().map(|(path, text)| (path.to_owned(), text));
    let windows =
        file.snapshot.iter().map(|(name, one)| (key_path(&key_path("snapshot", name), "window"), &one.window));
    for (path, text) in fixed.chain(windows) {
        if let Some(Err(message)) = text.as_deref().map(timer::duration) {
            problems.push(checked.places.at(&path, message));
        }
    }
}

pub(super) fn rates(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if let Some(Err(message)) = checked.file.apply.rate.as_deref().map(timer::rate) {
        problems.push(checked.places.at("apply.rate", message));
    }
}

pub(super) fn memory(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    if let Some(Err(message)) = checked.file.export.memory.as_deref().map(size::memory) {
        problems.push(checked.places.at("export.memory", message));
    }
}

pub(super) fn waves(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let waves = checked.file.apply.waves.iter().flatten();
    let mut before = 0;
    for (number, wave) in waves.enumerate() {
        if *wave == 0 {
            problems.push(checked.places.at(&entry_path("apply.waves", number), "a wave of 0 orders sends nothing"));
        } else if *wave <= before {
            let message = format!("waves grow: {wave} is not more than {before} before it");
            problems.push(checked.places.at(&entry_path("apply.waves", number), message));
        }
        before = *wave;
    }
}

/// A limit without any part, or with a floor alone, would look like a limit and be the default.
pub(super) fn limits(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let mut found = Vec::new();
    let mut look = |path: &str, limits: &[(&str, Option<LimitFile>)]| {
        for (name, limit) in limits {
            if let Some(LimitFile::Parts(parts)) = limit
                && parts.count.is_none()
                && parts.percent.is_none()
                && parts.floor.is_none()
            {
                let path = key_path(path, name);
                if !is_broken(problems, &path) {
                    let message =
                        format!("the limit `{name}` is empty; give it `count` or `percent`, or write \"off\"");
                    found.push(checked.places.at(&path, message));
                }
            }
        }
    };
    for (path, sync) in checked.syncs() {
        let limits = &sync.thresholds;
        let named = [
            ("create", limits.create),
            ("update", limits.update),
            ("disable", limits.disable),
            ("delete", limits.delete),
            ("add", limits.add),
            ("remove", limits.remove),
        ];
        look(&key_path(&path, "thresholds"), &named);
    }
    for (name, snapshot) in &checked.file.snapshot {
        let limits = &snapshot.thresholds;
        let named = [("inserted", limits.inserted), ("updated", limits.updated), ("deleted", limits.deleted)];
        look(&key_path(&key_path("snapshot", name), "thresholds"), &named);
    }
    problems.extend(found);
}

pub(super) fn email(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let Some(to) = checked.file.report.email.as_ref().and_then(|email| email.to.as_ref()) else { return };
    if to.is_empty() {
        problems.push(checked.places.at("report.email.to", "mail to nobody; name an address, or leave `email` out"));
    }
    for (number, address) in to.iter().enumerate() {
        let is_address = address.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
        if !is_address || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            let message = format!("`{address}` is no mail address");
            problems.push(checked.places.at(&entry_path("report.email.to", number), message));
        }
    }
}
