//! requests.ndjson: a line for each request to a system, without a body and without a secret.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::run_log::Clock;
use super::safe_text;
use crate::model::event::{Event, Reporter};
use crate::model::exchange::Traffic;

/// Appends each request and what came of it to a log.
///
/// A line that cannot be written is lost without a word: a full disk must not stop an apply.
pub struct RequestLog {
    out: Mutex<File>,
    clock: Clock,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    /// When its answer was there.
    at: String,
    system: &'a str,
    request: String,
    /// None where no answer came.
    status: Option<u16>,
    /// Bytes of both bodies.
    sent: u64,
    received: u64,
    /// Until the last byte of the answer, in milliseconds.
    ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl RequestLog {
    /// Opens a log for appending and makes it where it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, clock: Clock) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { out: Mutex::new(options.open(path)?), clock })
    }
}

impl Reporter for RequestLog {
    fn event(&self, event: &Event) {
        let Event::Exchanged(exchange) = event else { return };
        let at: DateTime<Utc> = (self.clock)();
        let line = Line {
            at: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            system: &exchange.system,
            request: exchange.request.clone(),
            status: exchange.status,
            sent: exchange.sent,
            received: exchange.received,
            ms: (exchange.took.as_secs_f64() * 1e5).round() / 1e2,
            id: exchange.request_id.clone(),
            failure: exchange.failure.clone(),
        };
        let Ok(mut text) = serde_json::to_string(&line).map(safe_text::json) else { return };
        text.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line, so that nothing is missing after a crash, and lines of two processes never mix.
        let _ = out.write_all(text.as_bytes());
    }
}

/// What the requests of a log come to, by system; nothing where there is no log.
///
/// A line that was cut off by a crash is passed over.
///
/// # Errors
/// The file is there and cannot be read.
pub fn traffic(path: &Path) -> io::Result<BTreeMap<String, Traffic>> {
    let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(traffic),
        Err(error) => return Err(error),
    };
    let (mut lines, mut text) = (BufReader::with_capacity(1 << 16, file), Vec::new());
    while lines.read_until(b'\n', &mut text)? > 0 {
        if let Ok(line) = serde_json::from_slice::<Line<'_>>(&text) {
            let of = match traffic.get_mut(line.system) {
                Some(of) => of,
                None => traffic.entry(line.system.to_owned()).or_default(),
            };
            let took = Duration::try_from_secs_f64(line.ms / 1e3).unwrap_or_default();
            of.add(line.status, line.sent, line.received, took);
        }
        text.clear();
    }
    Ok(traffic)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::exchange::Exchange;

    #[test]
    fn what_was_asked_is_counted_by_system_whatever_a_crash_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.ndjson");
        assert_eq!(traffic(&path).unwrap(), BTreeMap::new());
        let log = RequestLog::open(&path, Arc::new(|| DateTime::UNIX_EPOCH)).unwrap();
        let exchange = Exchange {
            system: "vault".to_owned(),
            request: "GET /Users?count=100&filter=…".to_owned(),
            status: Some(200),
            sent: 0,
            received: 10,
            took: Duration::from_millis(20),
            request_id: Some("r-\"1\"".to_owned()),
            failure: None,
        };
        log.event(&Event::Exchanged(exchange.clone()));
        log.event(&Event::Exchanged(Exchange { status: Some(429), ..exchange.clone() }));
        let failure = Some("no answer\nat all".to_owned());
        log.event(&Event::Exchanged(Exchange { status: None, failure, sent: 5, ..exchange }));
        drop(log);
        let mut text = std::fs::read(&path).unwrap();
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 3);
        text.extend_from_slice(b"{\"at\":\"2026");
        std::fs::write(&path, text).unwrap();
        let found = &traffic(&path).unwrap()["vault"];
        assert_eq!((found.requests, found.throttled, found.failed, found.sent, found.received), (3, 1, 1, 5, 30));
    }
}
