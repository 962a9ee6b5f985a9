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
fn the_job_with_groups_and_members_runs_as_it_is_pasted() {
    let world = World::new();
    // The status is that of the last line, which says so.
    let pasted = script("jobs.md");
    assert!(pasted.lines().last().unwrap().starts_with("muster run team") && pasted.contains("status 0"));
    let waits = pasted.replacen("muster run team\n", "muster run team || [ $? -eq 3 ]\n", 1);
    typed(&world, &waits).ended(0).says(&["5 orders approved"]);
    let export = world.state().join("export/team").join(world.newest_run("team"));
    let members = std::fs::read_to_string(export.join("vault/memberships.csv")).unwrap();
    assert_eq!(members.lines().count(), 3, "{members}");
}

#[test]
fn every_fault_that_the_page_names_is_one_that_the_server_knows() {
    let world = World::new();
    let page = document("rehearsing.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| `action`")).skip(2);
    let cells = rows.take_while(|line| line.starts_with('|')).map(|line| line.split('|').nth(1).unwrap());
    let actions: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let rules: String = actions.iter().map(|action| format!("\n[[rules]]\naction = {action}\n")).collect();
    let example = page.split("```toml\n").nth(1).unwrap().split("\n```").next().unwrap();
    world.write("faults.toml", format!("{example}\n{rules}"));
    // A rule that it does not know would end it before it says its address.
    drop(world.server_with(&["--faults", "faults.toml"]));
    assert_eq!(actions.len(), 27, "{actions:?}");
}

/// The pages, README first, each as its path below the project's folder.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "CHANGELOG.md".to_owned()];
    for folder in ["docs", "docs/systems", "docs/reference"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else { continue };
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")));
    }
    pages
}

/// What a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(root.join(&page)).unwrap();
        let folder = root.join(&page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.contains(['{', '"', ' ']) {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { root.join(&page) } else { folder.join(path) };
            assert!(path.exists(), "{page}: {link} leads nowhere");
            if !heading.is_empty() {
                let linked = std::fs::read_to_string(&path).unwrap();
                let headings = linked.lines().filter(|line| line.starts_with('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#').trim()));
                assert!(anchors.any(|one| one == heading), "{page}: {link} leads to no heading");
            }
            links += 1;
        }
    }
    assert!(links > 40, "{links}");
}

#[test]
fn every_command_that_a_page_calls_for_is_one() {
    let world = World::new();
    let (mut commands, mut refused) = (0, Vec::new());
    for name in pages().into_iter().filter(|name| !name.starts_with("CHANGELOG")) {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap();
        let inline = text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("muster "));
        for code in inline {
            let mut words = vec![String::new()];
            let mut is_quoted = false;
            for c in code.chars() {
                match c {
                    '"' => is_quoted = !is_quoted,
                    ' ' | '\n' if !is_quoted => words.push(String::new()),
                    c => words.last_mut().unwrap().push(c),
                }
            }
            // Help is told where what stands before it is understood.
            let mut args: Vec<&str> =
                words.iter().skip(1).map(String::as_str).filter(|word| !word.is_empty()).collect();
            args.push("--help");
            let said = world.muster(&args);
            if said.status != 0 {
                refused.push(format!("{name}: {code}\n{}", said.err));
            }
            commands += 1;
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(commands > 100, "{commands}");
}
