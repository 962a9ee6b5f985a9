//! Who is told by mail or over the web at the end of a run or an apply: what is news, once, and what waits since before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::context::Context;
use super::period;
use super::troubles::{self, Ended, Trouble};
use super::ways;
use crate::disk::{atomic, private};
use crate::model::event::Event;
use crate::model::notice_settings::NoticeWhen;
use crate::notify::notice::{Notice, NoticeKind};
use crate::notify::told::{Memory, Open, Told, Waiting, Way};
use crate::report::figures::{count, counted};
use crate::report::next_steps::NextSteps;
use crate::report::safe_text;
use crate::report::section::Section;
use crate::run::Conductor;

/// Causes that a message tells one by one.
const TOLD: usize = 10;

/// Tells people at the end of a command. Nothing of it changes how the command ends: what cannot be told is a warning.
/// A command that somebody tells to end tells nobody; the next run does.
pub(super) async fn tell(context: &Context, conductor: &Conductor, ended: &Ended<'_>) {
    let report = &conductor.job.report;
    let used = BTreeMap::from_iter(
        [
            (Way::Email, report.email.as_ref().map(|way| way.when)),
            (Way::Webhook, report.webhook.as_ref().map(|way| way.when)),
        ]
        .into_iter()
        .filter_map(|(way, when)| Some((way, when?)))
        .filter(|(_, when)| *when != NoticeWhen::Never),
    );
    let file = file(context, &conductor.job.name);
    if conductor.halt.by().is_some() || (used.is_empty() && !file.exists()) {
        return;
    }
    let told = async {
        let mut memory = read(&file);
        memory.keep_ways(|way| used.contains_key(&way));
        let mut maker = Maker { context, conductor, ended, now: context.now() };
        if let Err(error) = maker.make(&mut memory, &used) {
            warn(&format!("nobody was told how this ended: {error:#}"));
        }
        keep(&file, &memory);
        if !memory.waiting.is_empty() {
            send(context, conductor, &mut memory).await;
            keep(&file, &memory);
        }
    };
    tokio::select! {
        () = told => {}
        _ = conductor.halt.raised() => {}
    }
}

/// What was told, by job.
fn file(context: &Context, job: &str) -> PathBuf {
    context.layout.notices(job)
}

/// What is remembered; nothing where the file is not there.
fn read(file: &std::path::Path) -> Memory {
    let Ok(bytes) = std::fs::read(file) else { return Memory::default() };
    match serde_json::from_slice::<Memory>(&bytes) {
        Ok(memory) if memory.format_version == Memory::FORMAT => memory,
        _ => {
            let place = safe_text::line(&file.display().to_string()).into_owned();
            warn(&format!("{place} is no memory of messages that this version knows; what is open is told anew"));
            Memory::default()
        }
    }
}

fn keep(file: &std::path::Path, memory: &Memory) {
    let kept = file.parent().map_or(Ok(()), private::create_folder).and_then(|()| {
        let bytes = serde_json::to_vec_pretty(memory).unwrap_or_default();
        atomic::write(file, &bytes)
    });
    if let Err(error) = kept {
        warn(&format!("what was told cannot be remembered, and is told again: {error}"));
    }
}

fn warn(text: &str) {
    eprintln!("muster: warning: {}", safe_text::line(text));
}

/// Makes messages.
struct Maker<'a> {
    context: &'a Context,
    conductor: &'a Conductor,
    ended: &'a Ended<'a>,
    now: DateTime<Utc>,
}

impl Maker<'_> {
    /// Adds what is news to what waits to be sent.
    fn make(&mut self, memory: &mut Memory, used: &BTreeMap<Way, NoticeWhen>) -> Result<()> {
        let (store, job) = (&self.conductor.store, &self.conductor.job.name);
        let (troubles, steps) = troubles::open(store, job, self.ended, self.now)?;
        let open: BTreeMap<String, Open> = troubles.iter().map(|one| (one.what.clone(), one.open.clone())).collect();
        let mut messages = Vec::new();
        for (way, when) in used {
            let told = memory.ways.entry(*way).or_default();
            self.forget_accepted(told, &open)?;
            let news: BTreeSet<String> = told.news(&open, |what| self.ended.judges(what)).into_iter().collect();
            for kind in [NoticeKind::Errors, NoticeKind::Held] {
                messages.extend(self.about(kind, &troubles, &news, &steps).map(|notice| (*way, notice)));
            }
            // An apply alone begins no day.
            if self.ended.end.is_some()
                && let Some(since) = told.summary(*when, self.now)
            {
                messages.push((*way, self.summary(since)?));
            }
        }
        for (way, notice) in messages {
            memory.wait(self.waiting(way, &notice));
        }
        for one in memory.give_up(self.now) {
            warn(&format!("a message that could not be sent is given up: {}", one.subject));
        }
        Ok(())
    }

    /// What a person accepted is over: what comes after it under the same name is news.
    fn forget_accepted(&self, told: &mut Told, now: &BTreeMap<String, Open>) -> Result<()> {
        let mut over = Vec::new();
        for (what, open) in &told.open {
            // Where it takes two people, the first one's word ends nothing.
            let is_same = now.get(what).is_some_and(|now| now.run == open.run);
            if let (Some(name), Some(run)) = (what.strip_prefix("held/"), &open.run)
                && !is_same
                && self.conductor.store.acceptances(run)?.iter().any(|one| one.name == name)
            {
                over.push(what.clone());
            }
        }
        over.iter().for_each(|what| drop(told.open.remove(what)));
        Ok(())
    }

    /// The message about what failed, or about what is held; none where nothing of it is news.
    fn about(
        &self,
        kind: NoticeKind,
        troubles: &[Trouble],
        news: &BTreeSet<String>,
        steps: &NextSteps,
    ) -> Option<Notice> {
        let (new, old): (Vec<&Trouble>, Vec<&Trouble>) =
            troubles.iter().filter(|one| one.kind == kind).partition(|one| news.contains(&one.what));
        let first = new.first()?;
        let more = match new.len() - 1 {
            0 => String::new(),
            more => format!(" and {} more", count(more as u64)),
        };
        let title = match kind {
            NoticeKind::Held => format!("held: {}{more}", first.title),
            _ => format!("errors: {}{more}", first.title),
        };
        let mut details: Vec<Section> = new.iter().take(TOLD).map(|one| one.section.clone()).collect();
        if new.len() > TOLD {
            let more = counted((new.len() - TOLD) as u64, "more cause");
            details.push(Section::new("").line(format!("and {more}: muster report {}", self.conductor.job.name)));
        }
        if !old.is_empty() {
            let mut section = Section::new("told before, and still so");
            for one in old.iter().take(TOLD) {
                section = section.line(one.title.as_str());
            }
            details.push(section);
        }
        let mut next: Vec<String> = Vec::new();
        for line in new.iter().take(TOLD).flat_map(|one| &one.next) {
            if !next.contains(line) {
                next.push(line.clone());
            }
        }
        let run = if kind == NoticeKind::Held { first.open.run.clone() } else { None };
        let mut notice = self.notice(kind, title, details, next);
        notice.run = run.or(notice.run);
        notice.counts = counts(steps, self.ended);
        Some(notice)
    }

    /// The summary since a moment, which is also written into the folder of its run.
    fn summary(&self, since: DateTime<Utc>) -> Result<Notice> {
        let (store, job) = (&self.conductor.store, &self.conductor.job.name);
        let report = period::build(store, job, since, self.now)?;
        let next = vec![format!("muster report {job} --since 24h    # the same, at any time")];
        let mut notice =
            self.notice(NoticeKind::Summary, format!("summary: {}", report.in_short()), report.sections(job), next);
        let (applied, failed) = report.totals();
        notice.counts = counts(&report.open, self.ended);
        notice.counts.extend([("applied".to_owned(), applied), ("failed".to_owned(), failed)]);
        if let Some(run) = self.ended.run {
            let folder = self.context.layout.run_folder(job, run);
            for (name, text) in [("summary.html", notice.html()), ("summary.json", report.to_json())] {
                if let Err(error) = atomic::write(&folder.join(name), text.as_bytes()) {
                    warn(&format!("the summary was not written: {error}"));
                }
            }
        }
        Ok(notice)
    }

    fn notice(&self, kind: NoticeKind, title: String, details: Vec<Section>, next: Vec<String>) -> Notice {
        let job = self.conductor.job.name.clone();
        let lies = self.ended.run.map(|run| self.context.layout.run_folder(&job, run).display().to_string());
        Notice {
            kind,
            run: self.ended.run.cloned(),
            host: ways::host(),
            at: self.now,
            title,
            details,
            next,
            counts: BTreeMap::new(),
            lies,
            job,
        }
    }

    fn waiting(&self, way: Way, notice: &Notice) -> Waiting {
        let about = self.ended.run.map_or("apply", |run| &run.0);
        let id = format!("{about}-{}-{}", notice.kind, self.now.timestamp_millis());
        let (to, text, html) = match (way, &self.conductor.job.report.email) {
            (Way::Email, Some(email)) => (email.to.clone(), notice.text(), notice.html()),
            _ => (Vec::new(), notice.json(&id), String::new()),
        };
        Waiting { way, to, id, kind: notice.kind, at: self.now, subject: notice.subject(), text, html }
    }
}

/// What is open, in figures.
fn counts(steps: &NextSteps, ended: &Ended<'_>) -> BTreeMap<String, u64> {
    let figures = [
        ("held_runs", steps.held.len() as u64),
        ("orders_errored", steps.errored.values().sum()),
        ("orders_uncertain", steps.uncertain.values().sum()),
        ("orders_to_review", steps.review),
        ("systems_failed", ended.end.map_or(0, |end| end.failures.len() as u64)),
    ];
    figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect()
}

/// Sends what waits; what cannot be sent goes on waiting.
async fn send(context: &Context, conductor: &Conductor, memory: &mut Memory) {
    let waiting = std::mem::take(&mut memory.waiting);
    let (mails, posts): (Vec<Waiting>, Vec<Waiting>) = waiting.into_iter().partition(|one| one.way == Way::Email);
    let (mailed, posted) = tokio::join!(ways::mail(context, conductor, mails), ways::post(context, conductor, posts));
    for (one, failure) in mailed.into_iter().chain(posted) {
        let to = if one.to.is_empty() { String::new() } else { format!(" to {}", one.to.join(", ")) };
        match failure {
            None => {
                let told = format!("told by {}{to}: {}", one.way.word(), one.subject);
                conductor.reporter.event(&Event::Note(told));
            }
            Some(failure) => {
                let what = format!(
                    "a message was not sent{to} ({}): {}; it is tried again at the next run",
                    one.subject,
                    failure.sentence()
                );
                warn(&what);
                conductor.reporter.event(&Event::Note(what));
                memory.waiting.push(one);
            }
        }
    }
    memory.waiting.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
    let left = memory.waiting.len() as u64;
    if left > 1 {
        conductor.reporter.event(&Event::Note(format!("{} messages wait to be sent", count(left))));
    }
}
