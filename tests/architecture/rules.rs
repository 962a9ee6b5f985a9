//! The rules, and what breaks them.

use crate::source::{Path, Source};

/// Marks a module that may import every other.
pub(crate) const EVERYTHING: &[&str] = &["*"];

/// Who may import whom. docs/architecture.md shows the same table.
pub(crate) const IMPORTS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("scim", &[]),
    ("disk", &[]),
    ("snapshot", &["model", "disk"]),
    ("rules", &["model", "snapshot"]),
    ("reconcile", &["model", "snapshot", "rules"]),
    ("connector", &["model", "snapshot", "scim", "disk"]),
    ("store", &["model", "snapshot", "disk"]),
    ("report", &["model"]),
    ("notify", &["model", "report"]),
    ("sandbox", &["model", "scim"]),
    ("job", &["model", "rules", "reconcile", "connector"]),
    ("run", &["model", "scim", "disk", "snapshot", "rules", "reconcile", "connector", "store", "job"]),
    ("serve", &["model", "report", "store", "run"]),
    ("cli", EVERYTHING),
];

/// Where the crates live that would spread if they were let: a module, or one file of it.
const HOMES: &[(&str, &[&str])] = &[
    ("rayon", &["src/snapshot/", "src/reconcile/", "src/run/offload.rs", "src/run/offload/"]),
    ("rusqlite", &["src/store/", "src/sandbox/"]),
    ("reqwest", &["src/connector/", "src/notify/"]),
    ("lettre", &["src/notify/"]),
    ("ring", &["src/model/signature.rs", "src/notify/webhook.rs"]),
    ("ssh_key", &["src/model/signature.rs", "src/model/approvers.rs"]),
    ("axum", &["src/sandbox/", "src/serve/"]),
    ("indicatif", &["src/report/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
];

/// The most lines of a file.
const MOST_LINES: usize = 500;

/// Names that say nothing about what a file or folder holds.
const VAGUE: [&str; 7] = ["util", "utils", "common", "manager", "helpers", "misc", "imp"];

/// What the sources of a file break, one line each: `file:line: rule: what was found; why`.
pub(crate) fn breaches(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut breach = |line: usize, rule: &str, what: String, why: &str| {
        found.push(format!("{file}:{line}: {rule}: {what}; {why}"));
    };
    let lines = text.lines().count();
    if lines > MOST_LINES {
        let what = format!("{lines} lines, the most is {MOST_LINES}");
        breach(lines, "size", what, "a file that is read at one sitting stays understood: split it by what it holds");
    }
    if let Some(name) = file.trim_end_matches(".rs").split('/').find(|name| VAGUE.contains(name)) {
        breach(1, "names", format!("`{name}`"), "files are named for what they hold");
    }
    let source = Source::read(file, text);
    for (line, what) in source.silenced() {
        // What several tests or benches share is used by each in part.
        if ["tests/support/", "benches/measure/", "benches/generate/"].iter().any(|shared| file.starts_with(shared))
            && what.contains("dead_code")
        {
            continue;
        }
        breach(line, "silence", what, "a test that does not run and code that nobody uses are removed, not hidden");
    }
    let Some(module) = module_of(file) else { return found };
    let is_door = module == "cli";

    for path in source.paths() {
        if let Some(why) = forbidden_import(module, &path) {
            breach(path.line, "imports", format!("`{path}`"), &why);
        }
        if let Some((name, homes)) = HOMES.iter().find(|(name, _)| path.first() == *name)
            && !homes.iter().any(|home| file.starts_with(home))
            && !path.in_tests
        {
            let why = format!("{name} lives in {} alone, so that it can be replaced there", homes.join(", "));
            breach(path.line, "homes", format!("`{path}`"), &why);
        }
        if is_door || path.in_tests {
            continue;
        }
        if path.has(&["Utc", "now"]) || path.has(&["Local", "now"]) || path.has(&["SystemTime", "now"]) {
            let why = "time is a parameter, so that a run can be repeated: only cli reads the clock";
            breach(path.line, "clock", format!("`{path}`"), why);
        }
        if path.reads_environment() {
            let why = "what is read from the environment is a setting: only cli reads it, and passes it on";
            breach(path.line, "environment", format!("`{path}`"), why);
        }
    }
    if !is_door && module != "report" {
        for (line, name) in source.prints() {
            let why = "the engine emits events; only report and cli speak to people";
            breach(line, "screen", format!("`{name}!`"), why);
        }
    }
    found
}

/// The module of a file under src; the binary belongs to cli. `None` for lib.rs, which only declares, and for tests.
fn module_of(file: &str) -> Option<&str> {
    match file.strip_prefix("src/")? {
        "lib.rs" => None,
        "main.rs" => Some("cli"),
        inside => inside.split('/').next().map(|name| name.trim_end_matches(".rs")),
    }
}

/// Why a module may not use a path, where it may not.
fn forbidden_import(module: &str, path: &Path) -> Option<String> {
    let to = path.of_ours()?;
    if to == module {
        return None;
    }
    let Some((_, may)) = IMPORTS.iter().find(|(name, _)| *name == module) else {
        return Some(format!("{module} has no row in the table of imports"));
    };
    if !IMPORTS.iter().any(|(name, _)| *name == to) {
        return Some(format!("{to} has no row in the table of imports"));
    }
    if *may == EVERYTHING || may.contains(&to) {
        return None;
    }
    let may = if may.is_empty() { "nothing of ours".to_owned() } else { may.join(", ") };
    Some(format!("{module} may import {may}: docs/architecture.md says who depends on whom"))
}

/// What the text of a file must not mention: the project speaks of itself alone, and works wherever it is put.
pub(crate) fn text_breaches(file: &str, text: &str) -> Vec<String> {
    // Written in two parts, so that this file does not break its own rule.
    let foreign = [
        concat!("../sha", "red"),
        concat!("/wor", "k/"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("deb.debian", ".org"),
    ];
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = foreign.iter().find(|word| line.contains(**word)) {
            found.push(format!("{file}:{}: words: `{word}`; the project names no place outside itself", number + 1));
        }
    }
    found
}
