//! run.log: one line an event.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};

use super::event_line::event_line;
use crate::model::event::{Event, Reporter};

/// Says what time it is; the caller decides by which clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Appends each event to a log: RFC 3339 time in UTC with milliseconds, level, text.
///
/// A line that cannot be written is lost without a word: a full disk must not stop an apply, whose own journal says
/// what it needs.
pub struct RunLog {
    out: Mutex<Box<dyn Write + Send>>,
    clock: Clock,
}

impl RunLog {
    /// Opens a log for appending and makes it where it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, clock: Clock) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self::to(Box::new(options.open(path)?), clock))
    }

    /// Writes the lines elsewhere.
    pub fn to(out: Box<dyn Write + Send>, clock: Clock) -> Self {
        Self { out: Mutex::new(out), clock }
    }
}

impl Reporter for RunLog {
    fn event(&self, event: &Event) {
        let Some((level, text)) = event_line(event) else { return };
        let at = (self.clock)().to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = format!("{at} {:<7} {text}\n", level.word());
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line, so that lines of two processes never mix; a failure is kept here.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn clock() -> Clock {
        Arc::new(|| "2026-11-22T15:04:05.678Z".parse().unwrap())
    }

    #[test]
    fn an_event_is_one_line_whatever_it_holds_and_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        for text in ["one\ntwo \u{1b}[31mred", "again"] {
            RunLog::open(&path, clock()).unwrap().event(&Event::Warning(text.to_owned()));
        }
        let log = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            log,
            "2026-11-22T15:04:05.678Z warning one\\ntwo \\u{1b}[31mred\n2026-11-22T15:04:05.678Z warning again\n"
        );
    }

    #[test]
    fn a_full_disk_stops_nobody() {
        RunLog::to(Box::new(Full), clock()).event(&Event::Warning("unheard".to_owned()));
    }
}
