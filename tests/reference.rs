//! The pages of docs/reference are made of the program itself: commands of the table that clap reads, the job file of its
//! JSON Schema, the words of the types that speak them. A page that says anything else fails here.
//!
//! `MUSTER_BLESS=1` writes the pages.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "reference/commands.rs"]
mod commands;
#[path = "reference/doc_comments.rs"]
mod doc_comments;
#[path = "reference/fixtures.rs"]
mod fixtures;
#[path = "reference/job_file.rs"]
mod job_file;
#[path = "reference/job_types.rs"]
mod job_types;
#[path = "reference/markdown.rs"]
mod markdown;
#[path = "reference/words.rs"]
mod words;

use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a page against what the program says, or writes it.
fn holds(page: &str, made: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(made.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| written.lines().count().min(made.lines().count()));
    let (is, should) = (written.lines().nth(line), made.lines().nth(line));
    assert!(
        written == made,
        "docs/reference/{page}, line {}, is not what the program says; MUSTER_BLESS=1 writes it\n  is:     {is:?}\n  should: {should:?}",
        line + 1
    );
}

#[test]
fn the_commands_are_those_of_the_program() {
    holds("commands.md", &commands::page());
}

#[test]
fn the_job_file_is_that_of_the_schema() {
    holds("job-file.md", &job_file::page());
}

#[test]
fn the_words_are_those_of_the_types() {
    holds("words.md", &words::page());
}
