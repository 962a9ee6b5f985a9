//! Every command: what it does, what may be typed after it, examples.

use clap::{Arg, Command};
use muster::cli::HelpNotes;

use crate::markdown::{anchor, code, table};

/// docs/reference/commands.md.
pub(crate) fn page() -> String {
    let mut program = muster::cli::command().disable_help_subcommand(true);
    program.build();
    let mut text = "# Commands\n\n".to_owned();
    text.push_str(
        "Made of the program's own table of commands by `tests/reference.rs`. Each command's `--help` says the same, and so does \
         `man muster-run` where the pages are installed (`muster man --output DIR`).\n\n\
         JOB is a job file, or a name that is looked up in jobs/; a run has an id, such as `20261122T150405Z-7f3a`. What a \
         status or another word means: [words.md](words.md).\n\n",
    );
    let index: Vec<Vec<String>> = program
        .get_subcommands()
        .map(|command| {
            let heading = format!("muster {}", command.get_name());
            vec![format!("[{}](#{})", command.get_name(), anchor(&heading)), about(command)]
        })
        .collect();
    text.push_str(&table(&["command", "what it does"], &index));
    text.push_str("\nEvery command takes these, too:\n\n");
    text.push_str(&arguments(program.get_arguments().filter(|arg| arg.is_global_set())));
    for command in program.get_subcommands() {
        text.push_str(&section(command));
    }
    text
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(command: &Command) -> String {
    let long = command.get_long_about().map_or_else(|| about(command), ToString::to_string);
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage.trim_start_matches("Usage:").lines().map(str::trim).collect();
    let mut text =
        format!("\n## muster {}\n\n{}\n\n```text\n{}\n```\n", command.get_name(), long.trim(), usage.join("\n"));
    let notes = HelpNotes::of(command);
    for remark in &notes.remarks {
        text.push_str(&format!("\n{remark}\n"));
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    if !own.is_empty() {
        text.push('\n');
        text.push_str(&arguments(own.into_iter()));
    }
    if !notes.statuses.is_empty() {
        let rows: Vec<Vec<String>> =
            notes.statuses.iter().map(|(status, meaning)| vec![status.clone(), meaning.clone()]).collect();
        text.push('\n');
        text.push_str(&table(&["exit status", "meaning"], &rows));
    }
    if !notes.examples.is_empty() {
        text.push_str(&format!("\n```sh\n{}\n```\n", notes.examples.join("\n")));
    }
    text
}

/// What may be typed, positional arguments first.
fn arguments<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut args: Vec<&Arg> = args.collect();
    args.sort_by_key(|arg| !arg.is_positional());
    let rows: Vec<Vec<String>> = args.into_iter().map(|arg| vec![typed(arg), meaning(arg)]).collect();
    table(&["typed", "meaning"], &rows)
}

fn typed(arg: &Arg) -> String {
    let takes = arg.get_num_args().is_some_and(|range| range.takes_values());
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let names = arg.get_value_names().unwrap_or_default();
    let value: Vec<String> = names.iter().map(|name| format!("{name}{}", if many { "…" } else { "" })).collect();
    let value = value.join(" ");
    if arg.is_positional() {
        return code(&if arg.is_required_set() { value } else { format!("[{value}]") });
    }
    let value = if takes { format!(" {value}") } else { String::new() };
    let mut forms: Vec<String> = arg.get_short().iter().map(|short| code(&format!("-{short}{value}"))).collect();
    forms.extend(arg.get_long().map(|long| code(&format!("--{long}{value}"))));
    forms.extend(arg.get_visible_aliases().unwrap_or_default().iter().map(|alias| code(&format!("--{alias}{value}"))));
    forms.join(", ")
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let takes = arg.get_num_args().is_some_and(|range| range.takes_values());
    let words = arg.get_possible_values();
    let words: Vec<String> = words
        .iter()
        .filter(|word| !word.is_hide_set())
        .map(|word| match word.get_help() {
            Some(help) => format!("{} ({help})", code(word.get_name())),
            None => code(word.get_name()),
        })
        .collect();
    if takes && !words.is_empty() && !arg.is_hide_possible_values_set() {
        text.push_str(&format!(" [{}]", words.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes && !defaults.is_empty() && !arg.is_hide_default_value_set() {
        text.push_str(&format!(" [default: {}]", code(&defaults.join(","))));
    }
    text
}
