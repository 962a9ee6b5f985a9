//! What the README tells people to type does what it says.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use support::{Said, World};

const README: &str = include_str!("../README.md");

/// The fenced block in a language that holds a text.
#[track_caller]
fn block(language: &str, holds: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let mut blocks = README.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.find(|block| block.contains(holds)).unwrap_or_else(|| panic!("no block holds `{holds}`"))
}

#[test]
fn the_job_with_groups_and_members_runs_as_it_is_pasted() {
    let world = World::new();
    let plain = world.command(&[]);
    let binaries = std::path::Path::new(plain.get_program()).parent().unwrap().to_owned();
    let script = block("sh", "hr.memberships");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(world.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", format!("{}:/usr/bin:/bin", binaries.display()));
    // The status is that of the last line, which says so.
    assert!(script.lines().last().unwrap().starts_with("muster run team") && script.contains("status 0"));
    Said::from(shell.output().unwrap()).ended(0).says(&["5 orders approved"]);
    let export = world.state().join("export/team").join(world.newest_run("team"));
    let members = std::fs::read_to_string(export.join("vault/memberships.csv")).unwrap();
    assert_eq!(members.lines().count(), 3, "{members}");
}

#[test]
fn every_fault_that_the_readme_names_is_one_that_the_server_knows() {
    let world = World::new();
    let rows = README.lines().skip_while(|line| !line.starts_with("| `action`")).skip(2);
    let cells = rows.take_while(|line| line.starts_with('|')).map(|line| line.split('|').nth(1).unwrap());
    let actions: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let rules: String = actions.iter().map(|action| format!("\n[[rules]]\naction = {action}\n")).collect();
    world.write("faults.toml", format!("{}\n{rules}", block("toml", "[[rules]]")));
    // A rule that it does not know would end it before it says its address.
    drop(world.server_with(&["--faults", "faults.toml"]));
    assert_eq!(actions.len(), 27, "{actions:?}");
}
