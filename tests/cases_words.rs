//! What an operator reads: as of when a listing is, what became of orders, and the command that moves things forward.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::company::{Company, people};

#[test]
fn the_next_command_moves_things_forward_from_the_first_run_to_the_last() {
    let company = Company::of(3);
    let said = company.world.muster(&["--verbose", "run", "corp"]).ended(3);
    said.says(&[": complete, because there is no accepted snapshot yet"]).never_says(&["incremental"]);
    let run = company.world.newest_run("corp");
    let approve = format!("next: muster approve {run} --all");
    let said = company.world.muster(&["review", &run]).says(&["first load of", &approve]);
    let said = said.never_says(&["next: muster review"]);
    assert!(said.out.rfind(&approve) > said.out.rfind("[pending-review]"), "the next command is told last");
    company.world.muster(&["approve", &run, "--all", "--comment", "first load"]).ended(0);
    let apply = format!("next: muster apply {run}");
    company.world.muster(&["review", "corp"]).says(&[&apply]).never_says(&["muster review"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["review", &run]).says(&["nothing waits for review"]);
}

#[test]
fn listings_say_as_of_when_they_are_and_what_was_applied_since() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    let users = ["--where", "resource == 'vault.users' && key != 'E0003'", "--comment", "two first"];
    company.world.muster(&[&["approve", run.as_str()][..], &users].concat());
    let third = ["--where", "key == 'E0003'", "--comment", "not this one"];
    company.world.muster(&[&["reject", run.as_str()][..], &third].concat());
    company.world.muster(&["apply", "corp"]);
    let as_of = format!("as of run {run}");
    let said = company.world.muster(&["list", "corp"]).ended(0);
    said.says(&[&as_of, "2 orders were applied since", "create applied since"]);
    let said = company.world.muster(&["status", "corp"]).ended(0);
    said.says(&["2 orders were applied since", "their orders, by where they stand now", "rejected"]);
    let status = company.world.muster(&["status", "corp", "--format", "json"]).json();
    assert_eq!(status["applied_since"], 2);
    assert_eq!(status["runs"][0]["by_state"]["applied"], 2);
    assert_eq!(status["runs"][0]["by_state"]["rejected"], 1);
    // The next run sees them: names at 80 columns, ids whole where programs read.
    company.world.muster(&["run", "corp"]);
    let said = company.world.muster(&["list", "corp", "--managed"]).ended(0);
    let said = said.says(&["user0001@corp.example", "2 objects"]).never_says(&["applied since"]);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    let managed = company.world.muster(&["list", "corp", "--managed", "--format", "json"]).json();
    assert_eq!(managed[0]["target_id"].as_str().unwrap().len(), 36, "{managed}");
}

#[test]
fn a_missing_column_is_a_slip_of_the_pen_only_where_it_can_be_one() {
    let company = Company::of(3);
    let text = company.world.read("hr/users.csv");
    company.world.write("hr/users.csv", text.replacen("email", "emial", 1));
    company.world.muster(&["run", "corp"]).ended(1).says(&["has no column `email`", "did you mean `emial`?"]);
    for other in ["telephone", "mailbox"] {
        company.world.write("hr/users.csv", text.replacen("email", other, 1));
        let said = company.world.muster(&["run", "corp"]).ended(1).says(&["has no column `email`", other]);
        said.never_says(&["did you mean"]);
    }
    company.hr(&people(3));
    company.world.muster(&["check", "corp"]).says(&["3 csv files"]);
}
