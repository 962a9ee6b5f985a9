//! Data on standard output.

use std::io::{self, ErrorKind, Write as _};

use anyhow::{Context as _, Result};

use super::context::Context;
use super::stderr;
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
        print(&listing.render(format, context.screen()))?;
        if context.tells {
            let around = format!("{before}{after}");
            if !around.is_empty() {
                stderr::say(&around);
            }
        }
        return Ok(());
    }
    let table = listing.without_empty_columns().render(format, context.screen());
    print_text(context, &format!("{before}{}{after}", if table.trim().is_empty() { "" } else { &table }))
}

/// Prints what was rendered in a format: for people as [`print_text`] does, for programs as it is.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn print_as(context: &Context, format: Format, text: &str) -> Result<()> {
    if format == Format::Table { print_text(context, text) } else { print(text) }
}

/// Prints text for people: on a screen no line is wider than it.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn print_text(context: &Context, text: &str) -> Result<()> {
    print(&stderr::shown(text, context.screen()))
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
