//! `muster man`: a manual page for the program, and one for each command, made of the table of commands.
//!
//! Pages name no day: the same program makes the same bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::help_notes::HelpNotes;
use super::stdout::print;
use crate::disk::atomic;
use crate::report::safe_text;

/// `muster man`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster man | man -l -\n  sudo muster man --output /usr/local/share/man/man1   # then: man muster-run"
)]
pub(super) struct Args {
    /// Write the page of each command into this folder: muster.1, muster-run.1, …
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the page of the program, or writes all pages.
pub(super) fn run(args: &Args, quiet: bool) -> Result<u8> {
    let program = built(super::command());
    let Some(folder) = &args.output else {
        print(&page(&program, &program)?.1)?;
        return Ok(0);
    };
    let mut pages = vec![page(&program, &program)?];
    for command in program.get_subcommands() {
        pages.push(page(command, &program)?);
    }
    write(folder, &pages)?;
    if !quiet {
        eprintln!("wrote {} pages to {}", pages.len(), shown(folder));
    }
    Ok(0)
}

/// A path, safe to print.
fn shown(path: &Path) -> String {
    safe_text::line(&path.display().to_string()).into_owned()
}

/// All pages or none: each is on the disk before the first gets its name.
fn write(folder: &Path, pages: &[(String, String)]) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made; name another one with --output", shown(folder)))?;
    let files = pages.iter().map(|(name, page)| (folder.join(name), page.as_bytes()));
    atomic::publish_all(files)
        .with_context(|| format!("no page is written to {}; may you write there, and is there room?", shown(folder)))
}

/// The table with everything that commands inherit, and no command that only repeats their help.
fn built(command: clap::Command) -> clap::Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// A page: the name of its file, and its text. Exit statuses are the program's, where the command says none of its own.
fn page(command: &clap::Command, program: &clap::Command) -> Result<(String, String)> {
    let is_program = command.has_subcommands();
    let man = Man::new(command.clone());
    let mut notes = HelpNotes::of(command);
    if notes.statuses.is_empty() {
        notes.statuses = HelpNotes::of(program).statuses;
    }
    let mut text = Vec::new();
    // By hand: the library leaves the empty day out, and what follows would move into its place.
    let (name, version) = (man.get_filename(), env!("CARGO_PKG_VERSION"));
    text.extend(format!(".TH {} 1 \"\" \"muster {version}\" \"muster\"\n", name.trim_end_matches(".1")).into_bytes());
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    let mut remarks = Roff::new();
    for remark in &notes.remarks {
        remarks.control("PP", []).text([roman(remark)]);
    }
    remarks.to_writer(&mut text)?;
    man.render_options_section(&mut text)?;
    if is_program {
        man.render_subcommands_section(&mut text)?;
    }
    endings(&notes, is_program).to_writer(&mut text)?;
    Ok((name, String::from_utf8_lossy(&text).into_owned()))
}

/// What follows the options: exit statuses, examples, other pages.
fn endings(notes: &HelpNotes, is_program: bool) -> Roff {
    let mut roff = Roff::new();
    if !notes.statuses.is_empty() {
        roff.control("SH", ["EXIT STATUS"]);
    }
    for (status, meaning) in &notes.statuses {
        roff.control("TP", []).text([bold(status)]).text([roman(meaning)]);
    }
    if !notes.examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for example in &notes.examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
    }
    if !is_program {
        roff.control("SH", ["SEE ALSO"]).text([bold("muster"), roman("(1)")]);
    }
    roff
}
