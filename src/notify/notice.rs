//! What there is to say, once, for every way of saying it.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::page;
use crate::model::run::RunId;
use crate::report::figures::time;
use crate::report::safe_text;
use crate::report::section::{Section, sections_json, sections_text};

/// Columns that the text of a mail is wrapped to.
const WIDTH: usize = 80;

/// Columns of a subject; the rest of it stands in the mail.
const SUBJECT: usize = 120;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// What was done since the last one, and what is open.
    Summary,
    /// Something failed.
    Errors,
    /// A person has to accept something before a run goes on.
    Held,
}

impl NoticeKind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Errors => "errors",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The job.
    pub job: String,
    /// The run that it was made at the end of.
    pub run: Option<RunId>,
    /// The machine that it comes from.
    pub host: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// In a few words, for a subject: `held: vault.users/disable/percent`.
    pub title: String,
    /// What happened, in parts.
    pub details: Vec<Section>,
    /// What to do next: commands and sentences.
    pub next: Vec<String>,
    /// Figures by name.
    pub counts: BTreeMap<String, u64>,
    /// Where more of it lies.
    pub lies: Option<String>,
}

impl Notice {
    /// The format of the JSON that a webhook gets.
    pub const FORMAT: u32 = 1;

    /// What a mail has as its subject; safe, one line, not too long.
    pub fn subject(&self) -> String {
        let whole = format!("muster: {} {}", self.job, self.title);
        safe_text::clip(&safe_text::line(&whole), SUBJECT).into_owned()
    }

    /// For people who read plain text.
    pub fn text(&self) -> String {
        let mut text = sections_text(&self.sections(), WIDTH);
        text.push('\n');
        for line in self.origin() {
            text.push_str(&safe_text::line(&line));
            text.push('\n');
        }
        text
    }

    /// For people who read HTML: a whole page that asks nobody for anything.
    pub fn html(&self) -> String {
        page::page(&self.subject(), &self.sections(), &self.origin())
    }

    /// For programs.
    pub fn json(&self, id: &str) -> String {
        let value = json!({
            "format_version": Self::FORMAT,
            "id": id,
            "kind": self.kind,
            "job": self.job,
            "run": self.run,
            "host": self.host,
            "at": self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "title": self.title,
            "details": sections_json(&self.details),
            "next": self.next,
            "counts": self.counts,
        });
        safe_text::json(value.to_string())
    }

    /// Everything that is told, what to do next at its end.
    fn sections(&self) -> Vec<Section> {
        let mut sections = self.details.clone();
        let mut next = Section::new("next");
        for line in &self.next {
            next = next.line(line.as_str());
        }
        sections.push(next);
        sections
    }

    /// Where it comes from.
    fn origin(&self) -> Vec<String> {
        let run = self.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
        let mut lines = vec![format!("job {}{run}, on {}, {}", self.job, self.host, time(self.at))];
        lines.extend(self.lies.as_ref().map(|lies| format!("more: {lies}")));
        lines
    }
}
