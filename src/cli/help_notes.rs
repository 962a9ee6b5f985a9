//! What stands below the options in a command's help: remarks, exit statuses, examples.

use super::exit::Ending;

/// The parts of that text, for pages that give each a heading of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelpNotes {
    /// Paragraphs.
    pub remarks: Vec<String>,
    /// Exit statuses and what they mean, where the command says them.
    pub statuses: Vec<(String, String)>,
    /// Command lines as they are typed, some with a comment.
    pub examples: Vec<String>,
}

/// What begins the exit statuses.
const STATUSES: &str = "Exit status: ";
/// What stands between two of them.
const BETWEEN: &str = " · ";
/// What begins the examples.
const EXAMPLES: &str = "Examples:";

impl HelpNotes {
    /// Those of a command.
    pub fn of(command: &clap::Command) -> Self {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut notes = Self::default();
        let mut is_example = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line == EXAMPLES {
                is_example = true;
            } else if is_example {
                notes.examples.push(line.to_owned());
            } else if let Some(statuses) = line.strip_prefix(STATUSES) {
                let split = statuses.split(BETWEEN).filter_map(|one| one.split_once(' '));
                notes.statuses.extend(split.map(|(status, meaning)| (status.to_owned(), meaning.to_owned())));
            } else {
                notes.remarks.push(line.to_owned());
            }
        }
        notes
    }
}

/// The exit statuses of all commands, in a line below the help of the program itself.
pub(super) fn exit_statuses() -> String {
    let all = Ending::ALL.map(|ending| format!("{} {}", ending.status(), ending.meaning()));
    format!("{STATUSES}{}", all.join(BETWEEN))
}
