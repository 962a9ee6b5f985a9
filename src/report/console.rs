//! Events for people on a terminal.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::event_line::{Level, event_line, outcome_level};
use super::figures::counted;
use super::progress::Progress;
use super::safe_text;
use crate::model::event::{Event, Reporter};
use crate::model::failure::{Class, Failure};
use crate::model::order::OrderState;
use crate::model::outcome::Outcome;

/// What the console may do. Where it stands is found out by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// The least that is told. Where nobody looks on, only failures are: cron mails every line. `None`: nothing, as
    /// somebody else tells it.
    pub least: Option<Level>,
    /// How many columns the bars have that show how far the work is; `None`: there are none.
    pub bars: Option<usize>,
}

/// Writes a text in whole lines, and is told how much it matters.
pub type Say = Box<dyn Fn(Level, &str) + Send + Sync>;

/// Tells events on standard error: plain lines, and progress bars on a terminal.
///
/// Orders that fail alike are told once; [`Console::end`] says how many there were.
pub struct Console {
    settings: ConsoleSettings,
    say: Say,
    progress: Option<Progress>,
    /// Failed orders by state, class and normalised message: the order told, and how many more were not.
    alike: Mutex<HashMap<Alike, (String, u64)>>,
    /// Why exports and orders failed, as an apply that stops for it would say it.
    causes: Mutex<HashSet<String>>,
    /// When a retry was told last, by system.
    retries: Mutex<HashMap<String, Instant>>,
}

/// How long a system's retries are not told again. One that goes on is not forgotten, and many do not flood.
const RETRIES_APART: Duration = Duration::from_secs(10);

type Alike = (OrderState, Option<Class>, String);

impl Console {
    /// A console that says what it tells by a function.
    pub fn new(settings: ConsoleSettings, say: Say) -> Self {
        Self {
            settings,
            say,
            progress: settings.bars.map(Progress::on_stderr),
            alike: Mutex::default(),
            causes: Mutex::default(),
            retries: Mutex::default(),
        }
    }

    /// Does something while the progress bars are out of the way.
    pub fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.progress {
            Some(progress) => progress.aside(work),
            None => work(),
        }
    }

    /// Takes the progress bars away and says how many failures were alike.
    pub fn end(&self) {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        let alike = std::mem::take(&mut *self.alike.lock().unwrap_or_else(PoisonError::into_inner));
        let mut more: Vec<(String, u64)> = alike.into_values().filter(|(_, more)| *more > 0).collect();
        more.sort();
        for (first, more) in more.into_iter().filter(|_| self.tells(Level::Error)) {
            self.line(Level::Error, &format!("{} ended like {first}", counted(more, "more order")));
        }
    }

    fn tells(&self, level: Level) -> bool {
        self.settings.least.is_some_and(|least| level >= least)
    }

    fn line(&self, level: Level, text: &str) {
        let word = match level {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
            Level::Info | Level::Detail => "",
        };
        self.aside(|| (self.say)(level, &format!("{word}{text}")));
    }

    /// Remembers the causes that were told; the end of an apply with such a cause left out.
    fn without_repetition(&self, event: &Event) -> Option<Event> {
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ExportFailed { system, why } => drop(causes.insert(format!("{system}: {why}"))),
            Event::Ended(outcome) if outcome.state != OrderState::Stale => {
                causes.extend(outcome.failure.as_ref().map(Failure::sentence))
            }
            Event::Stopped { kind, why, untried } => {
                let told = causes.iter().find(|cause| why.ends_with(cause.as_str()))?;
                let why = format!("{}the cause above", &why[..why.len() - told.len()]);
                return Some(Event::Stopped { kind: kind.clone(), why, untried: *untried });
            }
            _ => {}
        }
        None
    }

    /// Whether it is time to say that a system is tried again.
    fn is_due(&self, system: &str, now: Instant) -> bool {
        let mut retries = self.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = retries.get(system).is_none_or(|told| now.saturating_duration_since(*told) >= RETRIES_APART);
        if is_due {
            retries.insert(system.to_owned(), now);
        }
        is_due
    }

    /// Whether a failed order is the first of its kind; counts it where it is not.
    fn is_news(&self, outcome: &Outcome) -> bool {
        let failure = outcome.failure.as_ref();
        let message = failure.map(|f| f.message.as_deref().filter(|m| !m.is_empty()).unwrap_or(&f.cause));
        let message = message.map(crate::model::failure_cause::normalised).unwrap_or_default();
        let mut alike = self.alike.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = false;
        alike
            .entry((outcome.state, failure.map(|f| f.class), message))
            .and_modify(|(_, more)| *more += 1)
            .or_insert_with(|| {
                news = true;
                (safe_text::line(&outcome.order.0).into_owned(), 0)
            });
        news
    }
}

impl Reporter for Console {
    fn event(&self, event: &Event) {
        if let Some(progress) = &self.progress {
            progress.event(event);
        }
        // Most of what an apply says is for the log alone, and is not put into words for nobody.
        let for_the_log = match event {
            Event::Sending { .. } | Event::Exchanged(_) => true,
            Event::Ended(outcome) => outcome_level(outcome.state) == Level::Detail,
            _ => false,
        };
        if for_the_log {
            return;
        }
        let shorter = self.without_repetition(event);
        let Some((level, text)) = event_line(shorter.as_ref().unwrap_or(event)) else { return };
        let level = match event {
            Event::Retrying { failure, .. } if self.is_due(&failure.system, Instant::now()) => Level::Warning,
            _ => level,
        };
        if !self.tells(level) {
            return;
        }
        if let Event::Ended(outcome) = event
            && !self.is_news(outcome)
        {
            return;
        }
        self.line(level, &text);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::model::failure::Recourse;
    use crate::model::order::OrderId;

    fn failed(order: u32) -> Event {
        let cause = format!("userName 'u{order}' is taken");
        let failure = Failure::new(Class::Conflict, Recourse::GiveUp, "vault", cause, "rename it");
        Event::Ended(Box::new(Outcome {
            order: OrderId(format!("o-{order}-1")),
            state: OrderState::Errored,
            effected: None,
            target_id: None,
            note: None,
            failure: Some(failure),
            tries: 1,
            at: "2026-11-22T15:04:05Z".parse().unwrap(),
        }))
    }

    fn console(least: Option<Level>) -> (Console, Arc<Mutex<Vec<String>>>) {
        let page = Arc::new(Mutex::new(Vec::new()));
        let lines = page.clone();
        let say = Box::new(move |_, text: &str| lines.lock().unwrap().push(text.to_owned()));
        (Console::new(ConsoleSettings { least, bars: None }, say), page)
    }

    fn told(least: Option<Level>) -> String {
        let (console, page) = console(least);
        console.event(&Event::Warning("look \u{1b}]0;x".to_owned()));
        console.event(&Event::Note("log only".to_owned()));
        for order in 0..4 {
            console.event(&failed(order));
        }
        console.end();
        let page = page.lock().unwrap();
        page.join("\n")
    }

    #[test]
    fn retries_of_one_system_are_told_again_after_a_while() {
        let (console, _) = console(Some(Level::Info));
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let told = [("vault", 0), ("vault", 9), ("hr", 9), ("vault", 10), ("vault", 19), ("vault", 20)];
        let told = told.map(|(system, seconds)| console.is_due(system, after(seconds)));
        assert_eq!(told, [true, false, true, true, false, true]);
    }

    #[test]
    fn failures_that_are_alike_are_told_once_and_no_more_than_is_wanted() {
        let errors = "error: o-0-1 errored: vault: userName 'u0' is taken [conflict]; rename it";
        let rest = "error: 3 more orders ended like o-0-1";
        assert_eq!(told(Some(Level::Info)), format!("warning: look \\u{{1b}}]0;x\n{errors}\n{rest}"));
        assert_eq!(told(Some(Level::Error)), format!("{errors}\n{rest}"));
        assert_eq!(told(None), "");
    }
}
