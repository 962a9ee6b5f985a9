//! What a terminal, a pipe and a log collector get: nothing wider than the screen, every listing for programs, and lines
//! that the journal sorts by how much they matter.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::Said;
use support::company::{Company, people};
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Names that are wide, long, written from right to left, made of several characters, or no names at all.
fn names() -> Vec<String> {
    let plain = [
        "山田太郎",
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} Familie",
        "Jose\u{301} A\u{30a}ngstro\u{308}m",
        "שלום עולם",
        "محمد علي",
        "\u{1b}[31mred\u{1b}[0m",
        "=cmd|' /C calc'!A0",
        "two\nlines",
        "O'Neill & \"Sons\" $HOME",
    ];
    let mut names: Vec<String> = plain.iter().map(|name| (*name).to_owned()).collect();
    names.extend(["x".repeat(200), "田".repeat(100), "a long name of many words ".repeat(8).trim_end().to_owned()]);
    names
}

/// A company whose people and teams are called so.
fn company() -> Company {
    let company = Company::of(1);
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut users = String::from("id,login,email,family,enabled\n");
    let mut groups = String::from("id,name\n");
    let mut memberships = String::from("group,user\n");
    for (n, name) in names().iter().enumerate() {
        let name = quoted(name);
        users.push_str(&format!("{name},{name},u{n}@corp.example,{name},true\n"));
        groups.push_str(&format!("{name},{name}\n"));
        memberships.push_str(&format!("{name},{name}\n"));
    }
    company.world.write("hr/users.csv", users);
    company.world.write("hr/groups.csv", groups);
    company.world.write("hr/memberships.csv", memberships);
    company
}

/// The same with something in every state: applied, rejected, errored, waiting, and a snapshot that was never planned.
fn busy() -> (Company, String) {
    let company = company();
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let reject = ["reject", "corp", "--where", "key == 'two\\nlines' && resource == 'vault.groups'", "--comment", "no"];
    company.world.muster(&reject);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]);
    let body = json!({ "detail": "wide 山田太郎 ".repeat(20) }).to_string();
    company.vault.faults(json!({ "rules": [{ "method": "POST", "prefix": "/Users", "when": { "nth": 5 },
        "action": { "status": { "code": 400, "body": body } } }] }));
    company.world.muster(&["apply", "corp"]).ended(5);
    company.vault.faults(json!({ "rules": [] }));
    (company, run)
}

/// The columns that a line takes, colours aside.
fn columns(line: &str) -> usize {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain.graphemes(true).map(|one| one.width()).sum()
}

/// Fails where a line is wider than the screen. What is to be copied stays whole: paths, and the words of a command.
#[track_caller]
fn fits(what: &str, text: &str, width: usize) {
    for line in text.lines() {
        let words = line.trim_start();
        let is_one_word = !words.trim_end_matches(" \\").contains(' ');
        let is_place = |word: &str| word.contains('/') && columns(word) + 20 > width;
        let is_command = words.starts_with(['\'', '$', '-']) || words.contains("muster ");
        let is_copied = is_one_word || is_command || words.split(' ').any(is_place);
        assert!(columns(line) <= width || is_copied, "{what}: {} columns: {line}\n{text}", columns(line));
    }
}

const READING: [&[&str]; 21] = [
    &["status"],
    &["status", "corp"],
    &["review", "corp"],
    &["review", "corp", "--all"],
    &["review", "corp", "--all", "--format", "table"],
    &["report", "corp"],
    &["report", "corp", "--since", "1d"],
    &["log"],
    &["log", "corp", "--errors"],
    &["list", "corp"],
    &["list", "corp", "--managed"],
    &["list", "corp", "--withheld"],
    &["list", "corp", "--incomplete"],
    &["links", "corp"],
    &["links", "corp", "--check"],
    &["check", "corp"],
    &["thresholds", "corp"],
    &["thresholds", "corp", "backtest"],
    &["prune", "corp", "--dry-run"],
    &["explain", "corp", "山田太郎", "--resource", "vault.users"],
    &["history", "corp", "山田太郎", "--resource", "vault.users"],
];

#[test]
fn no_line_is_wider_than_the_screen_whatever_people_are_called() {
    let (company, _) = busy();
    for width in [40, 80, 200] {
        for args in READING {
            let mut command = company.world.command(args);
            let said = Said::from(command.env("COLUMNS", width.to_string()).output().unwrap());
            assert!([0, 1].contains(&said.status), "{args:?}: {said:?}");
            fits(&format!("{args:?} at {width}"), &said.out, width);
        }
    }
    // A pipe gets the whole: every name in every listing that has it.
    for args in
        [&["review", "corp", "--all", "--format", "table"][..], &["links", "corp"], &["review", "corp", "--all"]]
    {
        let said = company.world.muster(args).ended(0);
        for name in ["x".repeat(200), "田".repeat(100)] {
            assert!(said.out.contains(&name), "{args:?} cuts {name}:\n{}", said.out);
        }
        assert!(!said.out.contains('…') && !said.out.contains('\u{1b}'), "{args:?}:\n{}", said.out);
    }
}

#[test]
fn a_terminal_gets_colour_with_words_beside_it_and_a_dumb_one_none() {
    let (company, _) = busy();
    let shown = |variables: &[(&str, &str)], args: &str| {
        let binary = env!("CARGO_BIN_EXE_muster");
        let inner = format!("stty cols 80; '{binary}' {args}");
        let mut command = Command::new("script");
        let world = company.world.command(&[]);
        command.args(["-qec", &inner, "/dev/null"]).current_dir(company.world.path()).env_clear();
        command.envs(world.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", "xterm").envs(variables.iter().copied()).stdin(Stdio::null());
        Said::from(command.output().unwrap()).out.replace('\r', "")
    };
    for args in ["status corp", "review corp --all", "log corp", "check corp"] {
        let colours = shown(&[], args);
        assert!(colours.contains("\u{1b}[3"), "{args}: {colours:?}");
        fits(args, &colours, 80);
        for plain in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
            let plain = shown(&plain, args);
            assert!(!plain.contains('\u{1b}'), "{args}: {plain:?}");
            let ages = |text: &str| text.lines().filter(|line| !line.contains("ms") && !line.contains("ago")).count();
            assert_eq!(ages(&plain), ages(&colours), "{args}: colour changes nothing else");
        }
    }
    // What is drawn while the work goes on is gone at its end, and what is said is whole lines.
    let said = shown(&[], "run corp --mode complete");
    assert!(said.contains("export vault.users") && said.contains("plan  "), "{said:?}");
    let last = said.rsplit("\u{1b}[2K").next().unwrap();
    fits("run", last, 80);
    assert!(said.ends_with('\n'), "{said:?}");
    let said = shown(&[], "apply corp");
    assert!(!said.contains("panicked"), "{said:?}");
}

/// Listings whose JSON is an array of the objects that are the records of their CSV.
const LISTINGS: [&[&str]; 12] = [
    &["review", "corp", "--all"],
    &["list", "corp"],
    &["list", "corp", "--managed"],
    &["list", "corp", "--withheld"],
    &["list", "corp", "--incomplete"],
    &["links", "corp"],
    &["links", "corp", "--check"],
    &["thresholds", "corp"],
    &["thresholds", "corp", "backtest"],
    &["prune", "corp", "--dry-run"],
    &["export", "corp"],
    &["log", "corp"],
];

#[test]
fn every_listing_is_there_for_programs_too() {
    let (company, run) = busy();
    let of = |args: &[&str], format: &str| {
        let said = company.world.muster(&[args, &["--format", format]].concat());
        assert!([0, 5].contains(&said.status), "{args:?} --format {format}: {said:?}");
        said
    };
    let records = |args: &[&str]| {
        let text = of(args, "csv").out;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        for cell in rows.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{args:?}: a formula: {cell}");
        }
        (header, rows.len())
    };
    for args in LISTINGS {
        let json = of(args, "json").json();
        let listed = json.as_array().unwrap_or_else(|| panic!("{args:?} is no array: {json}")).clone();
        let (header, rows) = records(args);
        assert_eq!(rows, listed.len(), "{args:?}");
        for object in listed.iter().filter(|_| args[0] != "log") {
            let names: Vec<&String> = object.as_object().unwrap().keys().collect();
            assert_eq!(names, header.iter().collect::<Vec<_>>(), "{args:?}");
        }
        assert!(!of(args, "table").out.starts_with(['[', '{']), "{args:?}");
    }
    // Of these the JSON has a shape of its own.
    let further: [&[&str]; 6] = [
        &["check", "corp"],
        &["status", "corp"],
        &["report", "corp"],
        &["history", "corp", "山田太郎", "--resource", "vault.users"],
        &["explain", "corp", "山田太郎", "--resource", "vault.users"],
        &["log", "--verify"],
    ];
    for args in further {
        assert!(!of(args, "json").json().is_null(), "{args:?}");
        let (header, rows) = records(args);
        assert!(rows > 0 && !header.is_empty(), "{args:?}");
        of(args, "table");
    }
    let diff = company.world.muster(&["plan", "corp", "--diff", &run, "--format", "csv"]);
    assert!(diff.out.starts_with("change,operation,resource,key,name,order,detail\n"), "{diff:?}");
    company.world.muster(&["list", "corp", "--format", "yaml"]).ended(2).says(&["table, json, csv"]);
}

/// Runs muster with standard error in a file, which is the journal where `is_journal`.
fn logged(company: &Company, is_journal: bool, args: &[&str]) -> Vec<String> {
    let path = company.world.path().join("stderr.log");
    let file = File::create(&path).unwrap();
    let stat = file.metadata().unwrap();
    let mut command = company.world.command(args);
    let inode = if is_journal { stat.ino() } else { stat.ino() + 1 };
    command.env("JOURNAL_STREAM", format!("{}:{inode}", stat.dev())).stderr(file).stdout(Stdio::null());
    command.status().unwrap();
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_journal_is_told_how_much_each_line_matters() {
    let company = Company::of(3);
    let lines = logged(&company, true, &["run", "corp"]);
    assert!(lines.iter().all(|line| line.starts_with("<6>") || line.starts_with("<5>")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("<6>exported hr.users: 3 rows")), "{lines:?}");
    let lines = logged(&company, false, &["run", "corp"]);
    assert!(lines.iter().all(|line| !line.starts_with('<')), "another stream took its place: {lines:?}");
    company.world.write("hr/users.csv", "id,login,email,family,enabled\n");
    let lines = logged(&company, true, &["run", "corp"]);
    assert!(lines.iter().any(|line| line.starts_with("<4>muster: held: ")), "{lines:?}");
    std::fs::remove_file(company.world.path().join("hr/users.csv")).unwrap();
    let lines = logged(&company, true, &["-q", "run", "corp"]);
    assert!(lines.iter().any(|line| line.starts_with("<3>error: the export of hr failed")), "{lines:?}");
    let lines = logged(&company, true, &["run", "nobody"]);
    assert!(lines.iter().all(|line| line.starts_with("<3>")) && !lines.is_empty(), "{lines:?}");
}

#[test]
fn a_log_collector_gets_one_object_a_line() {
    let company = company();
    let parsed = |args: &[&str]| -> Vec<Value> {
        let lines = logged(&company, false, args);
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let entries: Vec<Value> = lines.iter().map(parse).collect();
        for entry in &entries {
            assert!(["time", "level", "event", "text"].iter().all(|name| entry[name].is_string()), "{entry}");
            let level = entry["level"].as_str().unwrap();
            assert!(["error", "warning", "info", "debug"].contains(&level), "{entry}");
        }
        entries
    };
    let entries = parsed(&["--log-format", "json", "run", "corp"]);
    let run = company.world.newest_run("corp");
    let planned = entries.iter().find(|entry| entry["event"] == "planned").unwrap();
    assert_eq!((&planned["job"], &planned["run"]), (&json!("corp"), &json!(run)), "{planned}");
    assert_eq!(planned["fields"]["orders"], names().len() as u64 * 3);
    assert!(entries.iter().any(|entry| entry["event"] == "exported" && entry["fields"]["resource"] == "hr.users"));
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]);
    let body = json!({ "detail": "\u{1b}[2J no\nnot this one" }).to_string();
    company.vault.faults(json!({ "rules": [{ "method": "POST", "prefix": "/Users", "when": { "nth": 5 },
        "action": { "status": { "code": 400, "body": body } } }] }));
    let entries = parsed(&["--log-format", "json", "--verbose", "apply", "corp"]);
    let ended: Vec<&Value> = entries.iter().filter(|entry| entry["event"] == "order-ended").collect();
    assert!(ended.iter().any(|entry| entry["fields"]["state"] == "applied" && entry["level"] == "debug"));
    let failed = ended.iter().find(|entry| entry["level"] == "error").unwrap();
    assert_eq!(failed["fields"]["failure"]["status"], 400, "{failed}");
    assert!(entries.iter().any(|entry| entry["event"] == "applying"), "how many there are to send");
    // The variable says the same, and what is quiet says what went wrong alone.
    let mut quiet = company.world.command(&["-q", "run", "nobody"]);
    let said = Said::from(quiet.env("MUSTER_LOG_FORMAT", "json").output().unwrap()).ended(2);
    let told: Value = serde_json::from_str(said.err.trim()).unwrap_or_else(|error| panic!("{error}: {}", said.err));
    assert_eq!((&told["level"], &told["event"]), (&json!("error"), &json!("said")), "{told}");
}

#[test]
fn every_command_has_examples_and_they_name_it() {
    let company = Company::of(1);
    let help = company.world.muster(&["--help"]).ended(0).out;
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let named = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = named.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 25, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = company.world.muster(&[command, "--help"]).ended(0).out;
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        let of_it = examples.lines().filter(|line| line.contains(&format!("muster {command}"))).count();
        assert!(of_it >= 2, "`muster {command} --help` has {of_it} examples:\n{help}");
        fits(command, &help, 100);
    }
}

#[test]
fn the_next_command_can_be_pasted_after_every_ending() {
    let company = Company::of(3);
    let next = |args: &[&str], status: i32| -> Vec<String> {
        let said = company.world.muster(args).ended(status);
        let all = format!("{}\n{}", said.out, said.err);
        let told = all.lines().filter_map(|line| line.trim().strip_prefix("next")?.split_once(": "));
        let told: Vec<String> = told.map(|(_, command)| command.to_owned()).collect();
        assert!(told.iter().all(|command| command.starts_with("muster ")), "{args:?}: {told:?}");
        assert!(!told.is_empty(), "{args:?} says no next command:\n{all}");
        told
    };
    // Typed as it is told, each leads to the next, as far as a person has nothing to decide.
    let paste = |command: &str, statuses: &[i32]| {
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_muster")).parent().unwrap();
        let world = company.world.command(&[]);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(company.world.path()).env_clear();
        shell.envs(world.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", format!("{}:/usr/bin:/bin", binary.display()));
        let said = Said::from(shell.output().unwrap());
        assert!(statuses.contains(&said.status), "{command}: {said:?}");
    };
    let exported = next(&["--verbose", "export", "corp"], 0);
    paste(&exported[0], &[3]);
    paste(&next(&["--verbose", "check", "corp"], 0)[0], &[3]);
    let review = next(&["--verbose", "run", "corp"], 3);
    paste(&review[0], &[0]);
    let approve = next(&["review", "corp"], 0);
    paste(&approve[0], &[0]);
    paste(&next(&["status", "corp"], 0)[0], &[0, 3]);
    for _ in 0..2 {
        company.world.muster(&["approve", "corp", "--all", "--comment", "the rest"]);
        company.world.muster(&["apply", "corp"]).ended(0);
        company.world.muster(&["run", "corp"]);
    }
    company.world.muster(&["run", "corp"]).ended(0);
    company.hr(&people(4));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "new"]).ended(0);
    company.vault.faults(json!({ "rules": [{ "method": "POST", "prefix": "/Users",
        "action": { "status": { "code": 403 } } }] }));
    let said = company.world.muster(&["apply", "corp"]);
    assert!([1, 5].contains(&said.status), "{said:?}");
    company.vault.faults(json!({ "rules": [] }));
    paste(&next(&["status", "corp"], 0)[0], &[0]);
    paste(&next(&["report", "corp"], 0)[0], &[0, 3]);
    company.world.muster(&["apply", "corp"]).ended(0);
    // Failed, and held.
    std::fs::remove_file(company.world.path().join("hr/users.csv")).unwrap();
    paste(&next(&["--verbose", "run", "corp"], 1)[0], &[1]);
    company.world.write("hr/users.csv", "id,login,email,family,enabled\n");
    for command in next(&["run", "corp"], 4) {
        paste(&command, &[0, 3, 4]);
    }
}
