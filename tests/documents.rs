//! What the documents tell people to type works as it stands.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::company::{Company, people};
use support::{Said, World};

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The shell blocks of a document, one script.
fn script(name: &str) -> String {
    let text = document(name);
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    format!("set -eu\n{}\n", blocks.collect::<Vec<_>>().join("\n"))
}

/// Types a script in a world's folder, with the program on the path.
fn typed(world: &World, script: &str) -> Said {
    let plain = world.command(&[]);
    let programs = Path::new(plain.get_program()).parent().unwrap().to_owned();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).current_dir(world.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    shell.output().unwrap().into()
}

#[test]
fn the_first_ten_minutes_go_as_they_are_written() {
    let world = World::new();
    let said = typed(&world, &script("getting-started.md")).ended(0);
    said.says(&["`Lovelace` → `King`", "muster-people@.service", "3 orders approved", "2 orders approved"]);
    world.muster(&["run", "people"]).ended(0);
}

#[test]
fn what_an_operator_types_goes_as_it_is_written() {
    let company = Company::of(6);
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    typed(&company.world, &script("operating.md")).ended(0).says(&["job corp", "1 order approved"]);
}

#[test]
fn every_command_that_a_symptom_calls_for_is_one() {
    let world = World::new();
    let mut commands = 0;
    for name in ["troubleshooting.md", "operating.md", "getting-started.md"] {
        let text = document(name);
        let inline = text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("muster "));
        for code in inline {
            let mut words = vec![String::new()];
            let mut is_quoted = false;
            for c in code.chars() {
                match c {
                    '"' => is_quoted = !is_quoted,
                    ' ' if !is_quoted => words.push(String::new()),
                    c => words.last_mut().unwrap().push(c),
                }
            }
            // Help is told where what stands before it is understood.
            let mut args: Vec<&str> =
                words.iter().skip(1).map(String::as_str).filter(|word| !word.is_empty()).collect();
            args.push("--help");
            world.muster(&args).ended(0);
            commands += 1;
        }
    }
    assert!(commands > 40, "{commands}");
}
