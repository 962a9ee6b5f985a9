//! What the server was asked, and what it answered: a line of JSON for each request, in the sequence of the answers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Writes a line for each request.
pub(super) struct RequestLog {
    out: Mutex<(u64, File)>,
}

impl RequestLog {
    /// Begins an empty log.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: Mutex::new((0, File::create(path)?)) })
    }

    /// Writes down a request; `status` is `None` where it was left without an answer. A line that cannot be written is
    /// lost: the server goes on.
    pub(super) fn note(&self, method: &str, path: &str, query: &str, body: &[u8], status: Option<u16>) {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.0 += 1;
        let line =
            json!({ "n": out.0, "method": method, "path": path, "query": query, "status": status, "body": body });
        let _ = out.1.write_all(format!("{line}\n").as_bytes());
    }
}
