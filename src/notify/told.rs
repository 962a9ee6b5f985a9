//! What was said, so that the same is not said at every tick, and what could not be sent yet.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::notice::NoticeKind;
use crate::model::notice_settings::NoticeWhen;
use crate::model::run::RunId;

/// Messages that wait to be sent; of more, the oldest are given up.
const WAITING: usize = 20;

/// How long a message waits.
const PATIENCE: TimeDelta = TimeDelta::days(7);

/// A summary may be so much early: a run that ends a few seconds sooner than yesterday's is a day later all the same.
const EARLY: TimeDelta = TimeDelta::minutes(30);

/// How much more of something that is open is told again.
fn growth(what: &str) -> u64 {
    // Tries go on at every tick, and what they fail for is known.
    if what.starts_with("orders/") { 10 } else { 2 }
}

/// What takes turns with something: the same system fails now for this cause, now for that. As long as one of them goes on,
/// none is forgotten.
fn family(what: &str) -> Option<&str> {
    let takes_turns = ["export/", "apply/", "command/"].iter().any(|part| what.starts_with(part));
    what.rsplit_once('/').map(|(family, _)| family).filter(|_| takes_turns)
}

/// A way of telling people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Mail.
    Email,
    /// A service of the web.
    Webhook,
}

impl Way {
    /// Its word: the key of `[report]`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }
}

/// What is remembered of the messages of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// What each way has told.
    pub ways: BTreeMap<Way, Told>,
    /// What could not be sent yet, oldest first.
    pub waiting: Vec<Waiting>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { format_version: Self::FORMAT, ways: BTreeMap::new(), waiting: Vec::new() }
    }
}

/// What one way has told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What is open and was told, by what it is.
    pub open: BTreeMap<String, Open>,
    /// When the last summary was due, from which the next is counted.
    #[serde(default)]
    pub due: Option<DateTime<Utc>>,
    /// Up to when the last summary told.
    #[serde(default)]
    pub until: Option<DateTime<Utc>>,
}

/// One thing that is open: a failure that goes on, a hold that nobody accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// How large it is.
    pub figure: u64,
    /// The run that it was told of.
    pub run: Option<RunId>,
}

/// A message that waits to be sent, as it will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// By which way.
    pub way: Way,
    /// To whom, of mail.
    pub to: Vec<String>,
    /// The same at each try.
    pub id: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// The subject, of mail.
    pub subject: String,
    /// The text: of mail for people, of a webhook its body.
    pub text: String,
    /// The HTML, of mail.
    pub html: String,
}

impl Memory {
    /// The format that this version writes.
    pub const FORMAT: u32 = 1;

    /// Forgets what was told by a way that is not used any more.
    pub fn keep_ways(&mut self, used: impl Fn(Way) -> bool) {
        self.ways.retain(|way, _| used(*way));
        self.waiting.retain(|one| used(one.way));
    }

    /// Adds a message. Of summaries only the newest waits.
    pub fn wait(&mut self, message: Waiting) {
        if message.kind == NoticeKind::Summary {
            self.waiting.retain(|one| one.way != message.way || one.kind != NoticeKind::Summary);
        }
        self.waiting.push(message);
    }

    /// Gives up what waited for too long, or is too much; what it was.
    pub fn give_up(&mut self, now: DateTime<Utc>) -> Vec<Waiting> {
        let (old, mut kept): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|one| now - one.at > PATIENCE);
        let more = kept.len().saturating_sub(WAITING);
        let given_up = old.into_iter().chain(kept.drain(..more)).collect();
        self.waiting = kept;
        given_up
    }
}

impl Told {
    /// What of everything that is open now is news: it was not told, or is twice as large as when it was, of orders ten
    /// times. All of it counts as told from here on. What is not open any more is forgotten, where this command could tell: `judges` says of what.
    pub fn news(&mut self, now: &BTreeMap<String, Open>, judges: impl Fn(&str) -> bool) -> Vec<String> {
        let families: Vec<&str> = now.keys().filter_map(|what| family(what)).collect();
        let goes_on = |what: &str| family(what).is_some_and(|one| families.contains(&one));
        self.open.retain(|what, _| now.contains_key(what) || goes_on(what) || !judges(what));
        let mut news = Vec::new();
        for (what, open) in now {
            match self.open.get_mut(what) {
                // The run that a person would act upon is the newest.
                Some(told) if open.figure < told.figure.max(1).saturating_mul(growth(what)) => {
                    told.run.clone_from(&open.run);
                }
                _ => {
                    self.open.insert(what.clone(), open.clone());
                    news.push(what.clone());
                }
            }
        }
        news
    }

    /// Whether a summary is due, and since when it tells; notes that it was made. Once a day: the time of day is that of the
    /// first one, so that it does not move.
    pub fn summary(&mut self, when: NoticeWhen, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let day = TimeDelta::days(1);
        if when != NoticeWhen::Daily {
            return None;
        }
        // A clock that went back by more than a day would keep everybody waiting.
        let last = self.due.filter(|due| *due - now < day);
        let due = match last {
            None => now,
            Some(last) if now - last < day - EARLY => return None,
            Some(last) => {
                let days = (now - last + EARLY).num_days().max(1);
                last + TimeDelta::days(days)
            }
        };
        self.due = Some(due);
        let since = self.until.filter(|until| *until < now && now - *until < TimeDelta::days(31));
        self.until = Some(now);
        Some(since.unwrap_or(now - day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(figures: &[(&str, u64)]) -> BTreeMap<String, Open> {
        figures.iter().map(|(what, figure)| ((*what).to_owned(), Open { figure: *figure, run: None })).collect()
    }

    #[test]
    fn what_goes_on_is_told_once_and_again_when_it_grows_or_comes_back() {
        let mut told = Told::default();
        let mut news = |figures: &[(&str, u64)]| told.news(&open(figures), |_| true).join(" ");
        assert_eq!(news(&[("export/hr", 1)]), "export/hr");
        assert_eq!(news(&[("export/hr", 1)]), "", "the same at the next tick");
        assert_eq!(news(&[("export/hr", 1), ("orders/x", 10), ("held/y", 10)]), "held/y orders/x");
        assert_eq!(news(&[("export/hr", 1), ("orders/x", 99), ("held/y", 19)]), "", "it is not so much more yet");
        assert_eq!(news(&[("export/hr", 1), ("orders/x", 100), ("held/y", 20)]), "held/y orders/x");
        assert_eq!(news(&[("orders/x", 3)]), "");
        assert_eq!(news(&[("export/hr/a", 1)]), "export/hr/a");
        assert_eq!(news(&[("export/hr/b", 1)]), "export/hr/b", "another cause");
        assert_eq!(news(&[("export/hr/a", 1)]), "", "they take turns");
        assert_eq!(news(&[]), "");
        assert_eq!(news(&[("export/hr/a", 1)]), "export/hr/a");
        assert_eq!(news(&[]), "");
        assert_eq!(news(&[("export/hr", 1), ("orders/x", 1)]), "export/hr orders/x", "all was well in between");
    }

    #[test]
    fn what_a_command_cannot_see_stays_told() {
        let mut told = Told::default();
        told.news(&open(&[("export/hr", 1)]), |_| true);
        told.news(&open(&[]), |what| !what.starts_with("export/"));
        assert!(told.news(&open(&[("export/hr", 1)]), |_| true).is_empty());
    }

    #[test]
    fn a_summary_comes_once_a_day_at_its_time_of_day_whatever_the_ticks() {
        let start: DateTime<Utc> = "2026-11-22T03:06:10Z".parse().unwrap_or_default();
        let mut told = Told::default();
        let mut sent = Vec::new();
        // A run every quarter of an hour, with a few seconds more or less, for ten days.
        for tick in 0..(10 * 96) {
            let now = start + TimeDelta::minutes(15 * tick) - TimeDelta::seconds(tick % 7);
            if let Some(since) = told.summary(NoticeWhen::Daily, now) {
                sent.push((now, since));
            }
        }
        // The first one, and one for each day.
        assert_eq!(sent.len(), 11);
        for (number, (now, since)) in sent.iter().enumerate().skip(1) {
            assert_eq!(*since, sent[number - 1].0, "nothing is told twice, and nothing left out");
            let off = *now - (start + TimeDelta::days(number as i64));
            assert!(off.abs() <= EARLY, "{off}");
        }
        // A job that runs once a day, at about the same time; a week without one; a clock that was set back.
        let mut told = Told::default();
        let daily: Vec<bool> = [0, 86_395, 172_790, 172_800 + 7 * 86_400, 3_600]
            .map(|at| told.summary(NoticeWhen::Daily, start + TimeDelta::seconds(at)).is_some())
            .to_vec();
        assert_eq!(daily, [true, true, true, true, true]);
        assert_eq!(told.summary(NoticeWhen::OnErrors, start + TimeDelta::days(30)), None);
    }

    #[test]
    fn what_cannot_be_sent_waits_for_a_week_and_of_summaries_the_newest() {
        let start: DateTime<Utc> = "2026-11-22T03:06:10Z".parse().unwrap_or_default();
        let message = |kind, day| Waiting {
            way: Way::Email,
            to: Vec::new(),
            id: String::new(),
            kind,
            at: start + TimeDelta::days(day),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
        };
        let mut memory = Memory::default();
        for day in 0..3 {
            memory.wait(message(NoticeKind::Errors, day));
            memory.wait(message(NoticeKind::Summary, day));
        }
        assert_eq!(memory.waiting.len(), 4);
        assert_eq!(memory.give_up(start + TimeDelta::days(8)).len(), 1);
        assert_eq!(memory.waiting.len(), 3);
        memory.keep_ways(|way| way == Way::Webhook);
        assert!(memory.waiting.is_empty());
    }
}
