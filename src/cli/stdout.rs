//! Data on standard output.

use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};

/// Prints data. A reader that had enough and closed the pipe (`| head`) is no failure.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
