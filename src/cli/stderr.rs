//! Words for people on standard error: lines of a screen, of the journal, or JSON.
//!
//! Sources: sd-daemon(3) for `<N>` before a line, systemd.exec(5) for `$JOURNAL_STREAM`.

use std::env;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, OnceLock, PoisonError};

use chrono::Utc;

use crate::report::event_line::Level;
use crate::report::json_log::{Subject, said};
use crate::report::screen::{Screen, Tone};
use crate::report::wrap::wrapped;

/// How standard error is written (`--log-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people; where they go to the journal, with their level.
    #[default]
    Human,
    /// A JSON object a line, for programs that collect logs.
    Json,
}

/// What is known of standard error.
struct Stderr {
    format: LogFormat,
    is_journal: bool,
    /// How lines are shown; `None` where nobody looks on.
    screen: Option<Screen>,
    /// What is worked on.
    subject: Mutex<Subject>,
}

static STDERR: OnceLock<Stderr> = OnceLock::new();

fn known() -> &'static Stderr {
    STDERR.get_or_init(|| look(LogFormat::Human))
}

fn look(format: LogFormat) -> Stderr {
    let is_terminal = std::io::stderr().is_terminal();
    let width = super::context::columns(std::io::stderr()).unwrap_or(crate::report::table::DEFAULT_WIDTH);
    let screen = is_terminal.then(|| Screen { width, color: super::context::wants_color() });
    Stderr { format, is_journal: is_journal(), screen, subject: Mutex::default() }
}

/// Settles how standard error is written, before anything is.
pub(super) fn begin(format: LogFormat) {
    // It is settled once.
    let _ = STDERR.set(look(format));
}

/// Whether lines are JSON.
pub(super) fn is_json() -> bool {
    known().format == LogFormat::Json
}

/// Whether somebody reads what goes on, and is not mailed each line of it: a log of JSON lines, or the journal.
pub(super) fn is_log() -> bool {
    is_json() || known().is_journal
}

/// What the lines that follow are about.
pub(super) fn is_about(subject: Subject) {
    *known().subject.lock().unwrap_or_else(PoisonError::into_inner) = subject;
}

/// Says something in lines. Standard error may be closed or full; that changes nothing of what was done, nor of the exit
/// status that says so.
pub(super) fn say(text: &str) {
    tell(level_of(text), text);
}

/// Says something that matters so much.
pub(super) fn tell(level: Level, text: &str) {
    let stderr = known();
    let text = text.strip_suffix('\n').unwrap_or(text);
    if stderr.format == LogFormat::Json {
        let subject = stderr.subject.lock().unwrap_or_else(PoisonError::into_inner).clone();
        return line(level, &said(&subject, Utc::now(), level, text));
    }
    if let Some(screen) = stderr.screen {
        write(&coloured(&wrapped(text, screen.width), screen));
    } else {
        text.split('\n').for_each(|one| line(level, one));
    }
}

/// Writes one line as it is, in the journal with its level.
pub(super) fn line(level: Level, line: &str) {
    match known().is_journal {
        true => write(&format!("<{}>{line}", priority(level, line))),
        false => write(line),
    }
}

fn write(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// How much a line matters that begins so.
fn level_of(text: &str) -> Level {
    let of = |word: &str| text.strip_prefix("muster: ").is_some_and(|text| text.starts_with(word));
    match text {
        _ if of("error:") => Level::Error,
        _ if ["warning:", "held:", "refused:", "not applied:"].iter().any(|word| of(word)) => Level::Warning,
        _ => Level::Info,
    }
}

/// The level of syslog(3): 3 error, 4 warning, 5 notice, 6 informational, 7 debug.
fn priority(level: Level, line: &str) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warning => 4,
        // What cron would mail.
        Level::Info if line.starts_with("muster: ") => 5,
        Level::Info => 6,
        Level::Detail => 7,
    }
}

/// The words that say how much a line matters in colour, and what is to be typed.
fn coloured(text: &str, screen: Screen) -> String {
    let words = [
        ("error:", Tone::Bad),
        ("warning:", Tone::Doubtful),
        ("held:", Tone::Doubtful),
        ("refused:", Tone::Bad),
        ("next:", Tone::Command),
        ("next,", Tone::Command),
        ("then:", Tone::Command),
        ("or:", Tone::Command),
    ];
    let mut shown = Vec::new();
    for line in text.split('\n') {
        let begin = line.len() - line.trim_start_matches(' ').len();
        let begin = if line[begin..].starts_with("muster: ") { begin + "muster: ".len() } else { begin };
        let found = words.iter().find(|(word, _)| line[begin..].starts_with(word));
        shown.push(match found {
            Some((word, tone)) if screen.color => {
                let (before, rest) = line.split_at(begin);
                format!("{before}{}{}", screen.paint(*tone, word), &rest[word.len()..])
            }
            _ => line.to_owned(),
        });
    }
    shown.join("\n")
}

/// A text for standard output, as a screen shows it: no line is wider, and what is to be typed stands out.
pub(super) fn shown(text: &str, screen: Screen) -> String {
    coloured(&wrapped(text, screen.width), screen)
}

/// Whether standard error is the journal's own stream, and not one that was put in its place since.
fn is_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else { return false };
    let is_it = |stat: rustix::fs::Stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino);
    rustix::fs::fstat(std::io::stderr()).is_ok_and(is_it)
}
