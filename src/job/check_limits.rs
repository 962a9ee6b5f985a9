//! Checks of numbers and times.

use super::operation_file::ScheduleFile;
use super::place::{entry_path, key_path};
use super::problem::Problem;
use super::validate::Checked;
use super::{build, build_thresholds, check_thresholds, size, timer};
use crate::model::grace::in_words;
use crate::model::settings::RetentionSettings;

pub(super) fn durations(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let file = checked.file;
    let fixed = [
        ("review.expires", &file.review.expires),
        ("apply.retry_budget", &file.apply.retry_budget),
        ("apply.delete_after", &file.apply.delete_after),
        ("retention.exports", &file.retention.exports),
        ("retention.runs", &file.retention.runs),
        ("retention.requests", &file.retention.requests),
    ];
    for (path, text) in fixed {
        if let Some(Err(message)) = text.as_deref().map(timer::duration) {
            problems.push(checked.places.at(path, message));
        }
    }
    if let Some(Err(message)) = file.retention.history.as_deref().map(timer::or_forever) {
        problems.push(checked.places.at("retention.history", message));
    }
    for (name, snapshot) in &file.snapshot {
        if let Some(Err(message)) = snapshot.window.as_deref().map(build_thresholds::window) {
            problems.push(checked.places.at(&key_path(&key_path("snapshot", name), "window"), message));
        }
    }
}

/// Times that a clock can keep.
pub(super) fn schedule(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let ScheduleFile { incremental, complete } = &checked.file.schedule;
    let one = |incremental: &Option<String>, complete: &Option<String>| {
        let file = ScheduleFile { incremental: incremental.clone(), complete: complete.clone() };
        build::schedule(&file).err()
    };
    let wrong = [("schedule.incremental", one(incremental, &None)), ("schedule.complete", one(&None, complete))];
    for (path, message) in wrong {
        problems.extend(message.map(|message| checked.places.at(path, message)));
    }
}

/// A run without its folder says nothing about its snapshots.
pub(super) fn retention(checked: &Checked<'_>, problems: &mut Vec<Problem>) {
    let (default, file) = (RetentionSettings::default(), &checked.file.retention);
    let time = |text: &Option<String>, default| text.as_deref().map_or(Ok(default), timer::duration);
    let (Ok(exports), Ok(runs)) = (time(&file.exports, default.exports), time(&file.runs, default.runs)) else {
        return;
    };
    if runs < exports {
        let path = if file.runs.is_some() { "retention.runs" } else { "retention.exports" };
        let message = format!(
            "runs would be kept for {}, less long than their exports ({}); keep runs at least as long",
            in_words(runs),
            in_words(exports)
        );
        problems.push(checked.places.at(path, message));
    }
    if let Some(Ok(Some(history))) = file.history.as_deref().map(timer::or_forever) {
        let window = check_thresholds::longest_window(checked).filter(|window| *window > runs);
        let (needed, what) =
            window.map_or((runs, "the folders of its runs"), |window| (window, "the longest window of a threshold"));
        if history < needed {
            let message = format!(
                "the history would be kept for {}, less long than {what} ({}); keep it at least as long",
                in_words(history),
                in_words(needed)
            );
            problems.push(checked.places.at("retention.history", message));
        }
    }
    // They lie in the folder of their run, and go with it.
    if let Ok(requests) = time(&file.requests, runs)
        && requests > runs
    {
        let message = format!(
            "requests would be kept for {}, longer than the runs that they lie with ({}); keep them at most as long",
            in_words(requests),
            in_words(runs)
        );
        problems.push(checked.places.at("retention.requests", message));
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
