//! The house keeps its shape: reads the sources and fails on what docs/architecture.md rules out.
//!
//! A breach names the rule, the file and line, what was found, and why the rule is there.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use rules::{EVERYTHING, IMPORTS, breaches, text_breaches};

/// The package's own folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under some files and folders of the package, sorted; what is missing is left out.
fn files(places: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = places.iter().map(|place| root().join(place)).collect();
    while let Some(place) = open.pop() {
        if place.is_dir() {
            open.extend(std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.is_file() {
            found.push(place);
        }
    }
    found.sort();
    found
}

/// A file's name inside the package, with `/` between folders, and its text; `None` where it is not UTF-8.
fn read(file: &Path) -> Option<(String, String)> {
    let name = file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
    Some((name, String::from_utf8(std::fs::read(file).unwrap()).ok()?))
}

#[test]
fn the_sources_keep_to_the_rules() {
    let mut found = Vec::new();
    for file in files(&["src", "tests", "benches"]) {
        let Some((name, text)) = read(&file).filter(|(name, _)| name.ends_with(".rs")) else { continue };
        found.extend(breaches(&name, &text));
    }
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let places = [
        "src",
        "tests",
        "benches",
        "docs",
        "jobs",
        "fixtures",
        ".ci",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.toml",
    ];
    let found: Vec<String> = files(&places)
        .iter()
        // A lock file says where its packages come from, as cargo writes it.
        .filter(|file| !file.ends_with("Cargo.lock"))
        .filter_map(|file| read(file))
        .flat_map(|(name, text)| text_breaches(&name, &text))
        .collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_folder_has_its_row_and_the_document_shows_the_same_table() {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for (module, may_import) in IMPORTS {
        let may = match *may_import {
            [] => "nothing of ours".to_owned(),
            EVERYTHING => "everything".to_owned(),
            some => some.join(", "),
        };
        let row = format!("| `{module}` | {may} |");
        assert!(document.contains(&row), "docs/architecture.md lacks the row\n{row}");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, IMPORTS.len(), "docs/architecture.md has rows that tests/architecture/rules.rs has not");
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            assert!(IMPORTS.iter().any(|(module, _)| *module == name), "src/{name} has no row in the table of imports");
        }
    }
}

/// What is found in a made-up file, by rule and line.
fn found(file: &str, text: &str) -> Vec<(String, usize)> {
    let breach = |line: &String| {
        let mut parts = line.splitn(4, ':');
        let (_, line, rule) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
        (rule.trim().to_owned(), line.parse().unwrap())
    };
    breaches(file, text).iter().map(breach).collect()
}

#[test]
fn an_import_outside_the_table_is_caught_in_every_spelling() {
    let one = [("imports".to_owned(), 1)];
    for bad in [
        "use crate::connector::source::Source;",
        "use crate::{model::value::Value, connector};",
        "use {crate::{model, connector::{self as edge}}};",
        "fn f() { let x = crate::connector::scim::Client::new(); }",
        "use super::super::connector::source;",
        "mod inner { use super::super::super::connector; }",
        "fn f() -> Vec<crate::connector::X> { vec![] }",
        "#[cfg(test)] mod tests { use crate::connector::source; }",
        "use crate::nowhere;",
    ] {
        assert_eq!(found("src/rules/mapping.rs", bad), one, "{bad}");
    }
    for good in [
        "use crate::model::value::Value; use crate::{model, snapshot::row::Cells};",
        "use super::expression; use self::inner::x; mod inner { use super::super::scope; }",
        "// use crate::connector;\n/* crate::connector::x /* nested */ crate::store */",
        "const X: &str = \"crate::connector::x\"; const Y: &str = r#\"crate::\"store\"::x\"#; const C: char = '\"';",
        "pub(crate) fn f<'a>(x: &'a str) -> &'a str { x }",
        "use crate::rules::scope;",
    ] {
        assert_eq!(found("src/rules/mapping.rs", good), [], "{good}");
    }
    assert_eq!(found("src/model/order.rs", "use crate::report::table;"), one);
    assert_eq!(found("src/cli/run.rs", "use crate::report::table; use crate::sandbox;"), []);
    assert_eq!(found("src/run/apply.rs", "use crate::report::console;"), one);
}

#[test]
fn a_crate_outside_its_home_is_caught() {
    let one = [("homes".to_owned(), 2)];
    assert_eq!(found("src/run/apply.rs", "\nuse rayon::prelude::*;"), one);
    assert_eq!(found("src/run/offload.rs", "\nuse rayon::prelude::*;"), []);
    assert_eq!(found("src/report/table.rs", "\nuse {std::fmt, anyhow as trouble};"), one);
    assert_eq!(found("src/job/file.rs", "\n#[derive(clap::Parser)] struct X;"), one);
    assert_eq!(found("src/cli/mod.rs", "\n#[derive(clap::Parser)] struct X;"), []);
    assert_eq!(found("src/store/links.rs", "\nfn f() { rusqlite::params![1]; self.reqwest.x(); }"), []);
    assert_eq!(found("src/connector/scim/http.rs", "\nuse rusqlite::Connection;"), one);
}

#[test]
fn the_clock_the_environment_and_the_screen_belong_to_the_door() {
    let lines = |rule: &str, lines: &[usize]| lines.iter().map(|l| (rule.to_owned(), *l)).collect::<Vec<_>>();
    let clock = "fn f() { chrono::Utc::now(); }\nuse std::time::{Instant, SystemTime};\nfn g() { SystemTime::now(); }";
    assert_eq!(found("src/store/history.rs", clock), lines("clock", &[1, 3]));
    let environment =
        "use std::{env, fs};\nfn f() { std::env::var(\"X\"); }\nconst V: &str = env!(\"CARGO_PKG_VERSION\");";
    assert_eq!(found("src/connector/http.rs", environment), lines("environment", &[1, 2]));
    let screen = "fn f() { println!(\"x\"); }\nfn g() { eprint!(\"x\"); writeln!(out); }";
    assert_eq!(found("src/run/apply.rs", screen), lines("screen", &[1, 2]));
    for file in ["src/main.rs", "src/cli/mod.rs"] {
        assert_eq!(found(file, &[clock, environment, screen].join("\n")), []);
    }
    let in_tests = "#[cfg(test)]\nmod tests {\n fn f() { Utc::now(); std::env::temp_dir(); println!(\"\"); }\n}\nfn g() { Utc::now(); }";
    assert_eq!(found("src/store/history.rs", in_tests), lines("clock", &[5]));
}

#[test]
fn a_large_file_a_vague_name_and_a_silenced_test_are_caught() {
    assert_eq!(found("src/run/apply.rs", &"\n".repeat(500)), []);
    assert_eq!(found("src/run/apply.rs", &"\n".repeat(501)), [("size".to_owned(), 501)]);
    assert_eq!(found("src/run/util.rs", ""), [("names".to_owned(), 1)]);
    assert_eq!(found("src/misc/apply.rs", ""), [("names".to_owned(), 1)]);
    assert_eq!(found("tests/recovery.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), [("silence".to_owned(), 2)]);
    assert_eq!(found("src/run/apply.rs", "#![allow(unused, dead_code)]"), [("silence".to_owned(), 1)]);
    assert_eq!(found("tests/support/mod.rs", "#![allow(dead_code)]"), []);
    let folder = concat!("see .", "./shar", "ed/x");
    assert_eq!(text_breaches("docs/x.md", &format!("fine\n{folder}")).len(), 1);
}
