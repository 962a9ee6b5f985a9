//! The door: help, schema, completions, the manual, diff, and the words for what is mistyped.

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
    world.muster(&["man"]).ended(0).says(&[".TH muster"]);
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
fn diff_answers_in_three_forms_and_by_status() {
    let world = World::new();
    world.write("a.csv", "id,name\n1,a\n2,b\n3,c\n");
    world.write("b.csv", "id,name\n4,d\n2,x\n1,a\n");
    let diff = |more: &[&str]| world.muster(&[&["diff", "a.csv", "b.csv", "--key", "id"], more].concat());
    let want = "change,key,columns\nchanged,2,name\nremoved,3,\nadded,4,\n";
    assert_eq!(diff(&[]).ended(0).out, want);
    assert_eq!(diff(&["--exit-code"]).ended(1).out, want);
    assert_eq!(diff(&["--format", "ndjson"]).ended(0).out.lines().count(), 3);
    diff(&["--format", "summary"]).ended(0).says(&["1  added", "1  removed", "1  changed", "1  unchanged"]);
    diff(&["--output", "out.csv"]).ended(0);
    assert_eq!(world.read("out.csv"), want);
    world.muster(&["diff", "a.csv", "a.csv", "--key", "id", "--exit-code"]).ended(0);
    world.muster(&["diff", "a.csv", "none.csv", "--key", "id"]).ended(2).says(&["none.csv"]);
    let said = world.muster(&["sandbox", "--database", "a.csv/x.db"]).ended(1);
    assert_eq!(said.err.matches("os error").count(), 1, "{}", said.err);
    world.muster(&["diff", "a.csv", "b.csv", "--key", "idd"]).ended(2).says(&["idd", "`id`"]);
    world.muster(&["diff", "a.csv", "b.csv"]).ended(2).says(&["--key"]);
}
