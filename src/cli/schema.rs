//! `muster schema`: the JSON Schema of job files, for editors.

use crate::job;

/// Prints the schema to standard output.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn run() -> anyhow::Result<u8> {
    let mut text = serde_json::to_string_pretty(&job::schema())?;
    text.push('\n');
    super::stdout::print(&text)?;
    Ok(0)
}
