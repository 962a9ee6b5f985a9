//! The door: help, schema, completions, the manual, and the words for what is mistyped.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::World;

#[test]
fn every_command_says_what_it_does() {
    let world = World::new();
    let help = world.muster(&["--help"]).ended(0).says(&["Exit status", "75"]);
    let commands = help.out.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        let said = world.muster(&[name, "--help"]).ended(0).says(&["Usage: muster"]);
        assert!(said.out.lines().next().unwrap().len() > 10, "{name} has no description");
        // `check` takes a job and no more; the examples of `diff` are its Usage.
        let plain = ["check", "diff"].contains(&name);
        assert!(plain || said.out.contains("Examples:"), "{name} has no example:\n{}", said.out);
    }
}

#[test]
fn what_generates_files_does() {
    let world = World::new();
    let schema = world.muster(&["schema"]).ended(0).json();
    assert!(schema["properties"]["sync"].is_object());
    world.muster(&["completions", "bash"]).ended(0).says(&["_muster()"]);
    world.muster(&["man"]).ended(0).says(&[".TH muster 1 \"\" \"muster "]);
}

#[test]
fn each_command_has_a_manual_page_that_is_the_same_every_day() {
    let world = World::new();
    world.muster(&["man", "--output", "man/man1"]).ended(0);
    let program = muster::cli::command();
    let mut expected: Vec<String> =
        program.get_subcommands().map(|command| format!("muster-{}.1", command.get_name())).collect();
    expected.push("muster.1".to_owned());
    expected.sort();
    let folder = world.path().join("man/man1");
    let mut found: Vec<String> =
        folder.read_dir().unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, expected);
    let run = world.read("man/man1/muster-run.1");
    let title = concat!(".TH muster-run 1 \"\" \"muster ", env!("CARGO_PKG_VERSION"), "\" \"muster\"\n");
    assert!(run.starts_with(title), "{run}");
    for part in [".SH EXAMPLES\n.nf\n", "muster run jobs/idp\\-to\\-vault.toml", ".SH \"SEE ALSO\""] {
        assert!(run.contains(part), "{part} is missing in {run}");
    }
    assert!(world.read("man/man1/muster.1").contains("\\fB75\\fR\nanother run of this job is under way"));
    assert_eq!(world.read("man/man1/muster.1"), world.muster(&["man"]).ended(0).out);

    // Where one cannot be written, none of the others is.
    std::fs::create_dir_all(world.path().join("half/muster.1")).unwrap();
    world.muster(&["man", "--output", "half"]).ended(1).says(&["no page is written to half"]);
    assert_eq!(world.path().join("half").read_dir().unwrap().count(), 1);
    std::fs::write(world.path().join("taken"), "").unwrap();
    world.muster(&["man", "--output", "taken"]).ended(1).says(&["taken", "--output"]);
}

#[test]
fn what_is_mistyped_is_a_usage_error_with_the_nearest_name() {
    let world = World::new();
    world.muster(&["runn", "x"]).ended(2).says(&["'run'"]);
    world.muster(&["run", "payrol"]).ended(2).says(&["payrol", "no jobs/ folder"]);
    world.muster(&["sandbox", "--listen", "10.0.0.1:0"]).ended(2).says(&["no loopback address"]);
    world.write("jobs/payroll.toml", "");
    world.write("jobs/vault.toml", "");
    world.muster(&["run", "payrol"]).ended(2).says(&["did you mean `payroll`?"]);
}

#[test]
fn what_the_system_says_is_told_once() {
    let world = World::new();
    world.write("a.csv", "id\n");
    let said = world.muster(&["sandbox", "--database", "a.csv/x.db"]).ended(1);
    assert_eq!(said.err.matches("os error").count(), 1, "{}", said.err);
}
