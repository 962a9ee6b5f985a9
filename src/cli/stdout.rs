//! Data on standard output.

use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};

use super::context::Context;
use crate::report::table::{Format, Listing};

/// Prints a listing with what is said before and after it. Where others read on, the listing goes there alone, and the
/// rest to whoever looks on.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn print_listing(
    context: &Context,
    listing: Listing,
    format: Format,
    (before, after): (&str, &str),
) -> Result<()> {
    if format != Format::Table {
        print(&listing.render(format, context.table_width()))?;
        if context.tells {
            eprint!("{before}{after}");
        }
        return Ok(());
    }
    let table = listing.without_empty_columns().render(format, context.table_width());
    print(&format!("{before}{}{after}", if table.trim().is_empty() { "" } else { &table }))
}

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
