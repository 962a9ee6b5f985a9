//! Folders whose time is over go, and nothing that anything still needs. The months pass inside this process, on a clock
//! of their own; the program is asked as an operator asks it, today.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/house.rs"]
mod house;
mod support;

use std::path::PathBuf;
use std::time::Duration;

use house::{House, days_ago, lasting_address, muster};
use muster::model::approval::Decision;
use muster::model::run::RunId;
use muster::run::Stage;
use serde_json::Value;
use support::company::people;

const KEPT: &str = "[retention]\nruns = \"60d\"\n";

fn folder(house: &House, kind: &str, run: &str) -> PathBuf {
    house.state().join(kind).join("corp").join(run)
}

/// Which of a run's folders are there: of its snapshots, of its plan.
fn there(house: &House, run: &str) -> (bool, bool) {
    (folder(house, "export", run).is_dir(), folder(house, "runs", run).is_dir())
}

fn newest(house: &House) -> String {
    house.store().newest_run("corp").unwrap().unwrap().id.0
}

/// What `prune` says of a folder: `goes`, `stays: …`.
fn end_of(listed: &Value, run: &str, folder: &str) -> String {
    let found = listed.as_array().unwrap().iter().find(|row| row["run"] == run && row["folder"] == folder);
    found.map_or_else(|| "not listed".to_owned(), |row| row["end"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_at_the_end_of_a_run_and_what_waits_stays() {
    let house = House::found(&people(3), KEPT, lasting_address()).await;
    days_ago(&house, 100);
    house.settle().await;
    let first = house.store().runs("corp", 0).unwrap().pop().unwrap().id.0;
    let mut staff = people(3);
    staff[0].family = "Waits".into();
    house.hr(&staff);
    days_ago(&house, 90);
    house.run(Stage::Apply).await.unwrap();
    let waits = newest(&house);
    days_ago(&house, 50);
    house.run(Stage::Apply).await.unwrap();
    let later = newest(&house);
    assert_eq!(there(&house, &waits), (true, true), "its order waits");
    assert_eq!(there(&house, &first), (false, true), "its export is 50 days old by then, and the run is not");
    for days in [40, 30, 20, 10] {
        days_ago(&house, days);
        house.run(Stage::Apply).await.unwrap();
    }

    muster(&house, &["run", "corp"]).ended(3);
    assert_eq!(there(&house, &first), (false, false));
    assert_eq!(there(&house, &waits), (true, true), "its order waits still");
    assert_eq!(there(&house, &later), (false, true));
    assert_eq!(there(&house, &newest(&house)), (true, true));
    // What is gone is told as that, and what the database knows stays known.
    muster(&house, &["review", &first]).ended(1).says(&["was removed on", &format!("muster log {first}")]);
    muster(&house, &["log", &first]).ended(0).says(&["export-removed", "run-removed", "order-applied"]);
    muster(&house, &["revert", &first]).ended(1).says(&["can be undone as long as [retention]"]);
    muster(&house, &["plan", "corp", "--from", &later]).ended(1).says(&["were removed on", "muster plan corp"]);
    muster(&house, &["list", "corp", "--managed"]).ended(0).says(&["6 objects"]);
    muster(&house, &["status", "corp"]).ended(0);
    muster(&house, &["log", "--verify"]).ended(0);
    muster(&house, &["--verbose", "prune", "corp"])
        .ended(0)
        .says(&["stays: orders have not ended", "nothing to remove"]);

    // What no longer waits goes; looking removes nothing.
    house.hr(&people(3));
    muster(&house, &["plan", "corp"]).ended(0);
    let listed = muster(&house, &["prune", "--dry-run", "--format", "json"]).ended(0).json();
    assert_eq!((end_of(&listed, &waits, "export"), end_of(&listed, &waits, "run")), ("goes".into(), "goes".into()));
    assert!(listed[0]["size"].as_u64().unwrap() > 0 && listed[0]["job"] == "corp", "{listed}");
    muster(&house, &["prune", "corp", "--dry-run"]).ended(0).says(&[&waits, "goes", "2 folders would be removed"]);
    assert_eq!(there(&house, &waits), (true, true));
    muster(&house, &["prune"]).ended(0).says(&["removed", "2 folders removed"]);
    assert_eq!(there(&house, &waits), (false, false));
    muster(&house, &["run", "corp"]).ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_logs_and_history_go_in_a_time_of_their_own() {
    let kept = "[retention]\nexports = \"14d\"\nruns = \"60d\"\nrequests = \"25d\"\nhistory = \"90d\"\n";
    let house = House::found(&people(3), kept, lasting_address()).await;
    days_ago(&house, 120);
    house.settle().await;
    let first = house.store().runs("corp", 0).unwrap().pop().unwrap().id.0;
    for name in ["run.log", "requests.ndjson"] {
        std::fs::write(folder(&house, "runs", &first).join(name), "GET /Users\n").unwrap();
    }
    let line_by_line = || folder(&house, "runs", &first).join("requests.ndjson").is_file();
    for days in [110, 100, 90] {
        days_ago(&house, days);
        assert!(line_by_line());
        house.run(Stage::Apply).await.unwrap();
    }
    assert_eq!((line_by_line(), there(&house, &first)), (false, (false, true)), "the plan stays longer");
    assert!(folder(&house, "runs", &first).join("orders.ndjson").is_file());
    for days in [80, 70, 60, 50, 40, 35] {
        days_ago(&house, days);
        house.run(Stage::Apply).await.unwrap();
    }
    assert_eq!(there(&house, &first), (false, false));
    let said = |run: &str| muster(&house, &["log", run, "--limit", "0"]).ended(0);
    said(&first).says(&["requests-removed", "run-removed", "order-applied", "E0001"]);
    let listed = muster(&house, &["prune", "--dry-run", "--format", "json"]).ended(0).json();
    assert_eq!(end_of(&listed, &first, "history"), "goes", "{listed}");
    muster(&house, &["prune"]).ended(0).says(&["the history of", "removed"]);
    // When, what, and who approved it stay; whom it was about does not.
    said(&first).says(&["order-applied", "by jane", "operation=create"]).never_says(&["E0001", "looked at"]);
    muster(&house, &["log", "--verify"]).ended(0).says(&["the log is whole", "was erased by 1 erasure", "retention"]);
    muster(&house, &["thresholds", "corp", "backtest"]).ended(0);
    muster(&house, &["list", "corp", "--managed"]).ended(0).says(&["E0001"]);
    muster(&house, &["prune", "--dry-run"]).ended(0).never_says(&["history"]);
    muster(&house, &["run", "corp"]).ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_accepted_snapshots_and_what_is_held_stay_however_old_they_are() {
    let house = House::found(&people(60), KEPT, lasting_address()).await;
    days_ago(&house, 100);
    house.settle().await;
    let accepted = newest(&house);
    house.hr(&people(60)[..20]);
    days_ago(&house, 80);
    house.run(Stage::Apply).await.unwrap();
    let held = newest(&house);
    let listed = muster(&house, &["prune", "--dry-run", "--format", "json"]).ended(0).json();
    let end = end_of(&listed, &accepted, "export");
    assert_eq!(end, "stays: accepted snapshots of 2 resources", "{listed}");
    assert_eq!(end_of(&listed, &held, "export"), "stays: held", "{listed}");
    muster(&house, &["prune"]).ended(0);
    assert_eq!((there(&house, &accepted), there(&house, &held)), ((true, true), (true, true)));
    // They are as good as ever.
    let holds = house.store().unaccepted_holds(&RunId(held.clone())).unwrap();
    let names: Vec<String> = holds.into_iter().map(|hold| hold.name).collect();
    let mut args = vec!["approve", held.as_str(), "--comment", "they left"];
    names.iter().for_each(|name| args.extend(["--accept", name]));
    muster(&house, &args).ended(0);
    muster(&house, &["--verbose", "run", "corp"]).says(&[&format!("goes on from the snapshots of run {held}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_leaps_removes_nothing() {
    let house = House::found(&people(3), KEPT, lasting_address()).await;
    days_ago(&house, 3);
    house.settle().await;
    let first = house.store().runs("corp", 0).unwrap().pop().unwrap().id.0;
    house.run(Stage::Apply).await.unwrap();
    // A year ahead, for some days: what is kept for 14 and 60 days is not that old.
    for days in [365, 366, 368] {
        days_ago(&house, -days);
        house.run(Stage::Apply).await.unwrap();
        assert_eq!(there(&house, &first), (true, true), "{days} days ahead");
    }
    let overdue = house.conductor(std::time::Duration::ZERO).unwrap().overdue().unwrap();
    let first_of = overdue.iter().find(|overdue| overdue.run.0 == first).unwrap();
    assert!(first_of.stays.as_ref().unwrap().contains("or a leap"), "{first_of:?}");
    // Set right, all is as if it had never happened.
    muster(&house, &["run", "corp"]).ended(0);
    assert_eq!(there(&house, &first), (true, true));
    muster(&house, &["--verbose", "prune", "corp"]).ended(0).says(&["nothing to remove"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_was_cut_short_is_finished_and_nothing_of_it_is_believed() {
    let house = House::found(&people(3), "", lasting_address()).await;
    days_ago(&house, 100);
    house.settle().await;
    let old = newest(&house);
    // As a kill leaves it, behind its new name and halfway through its files.
    let removed = house.state().join("export/corp").join(format!(".removed-{old}"));
    std::fs::rename(folder(&house, "export", &old), &removed).unwrap();
    std::fs::remove_dir_all(removed.join("hr")).unwrap();
    muster(&house, &["status", "corp"]).ended(0);
    muster(&house, &["plan", "corp", "--from", &old]).ended(1);
    muster(&house, &["run", "corp"]);
    assert!(!removed.exists());
    let said = muster(&house, &["log", "corp", "--limit", "0"]).ended(0);
    let of = |line: &&str| line.contains("export-removed") && line.contains(&old);
    assert_eq!(said.out.lines().filter(of).count(), 1, "{}", said.out);
    muster(&house, &["prune"]).ended(0);
    muster(&house, &["log", "--verify"]).ended(0);
}

#[test]
fn runs_are_kept_as_long_as_their_exports() {
    let company = support::company::Company::with(3, "[retention]\nexports = \"2y\"\n");
    company.world.muster(&["check", "corp"]).ended(2).says(&["365 days", "730 days", "at least as long"]);
    company.job("[retention]\nexports = \"14d\"\nruns = \"10y\"\n");
    company.world.muster(&["check", "corp"]).ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_look_that_was_cut_short_left_goes_and_one_that_is_under_way_stays() {
    let house = House::found(&people(3), KEPT, lasting_address()).await;
    house.settle().await;
    let exports = house.state().join("export").join("corp");
    let (left, under_way) = (exports.join(".explain-left"), exports.join(".explain-now"));
    for folder in [&left, &under_way] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("users.csv"), "id\nE0001\n").unwrap();
    }
    let days = std::time::Duration::from_secs(2 * 24 * 60 * 60);
    std::fs::File::open(&left).unwrap().set_modified(std::time::SystemTime::now() - days).unwrap();
    muster(&house, &["prune", "corp"]).ended(0);
    assert_eq!((left.exists(), under_way.exists()), (false, true));
}

/// Plans what HR dropped, approves it and applies it; the run.
async fn carried_out(house: &House) -> String {
    let run = house.run(Stage::Plan).await.unwrap().run;
    house.review(&run, |_| Some(Decision::Approve));
    let applied = house.apply(Duration::ZERO).await.unwrap();
    assert_eq!((applied.applied, applied.errored), (1, 0));
    run.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_clock_that_leapt_ahead_is_not_the_newest_for_years() {
    let house = House::found(&people(8), "", lasting_address()).await;
    house.settle().await;
    let mut staff = people(8);
    staff[0].family = "Ahead".into();
    house.hr(&staff);
    days_ago(&house, -5 * 365);
    let ahead = carried_out(&house).await;
    // The clock is right again.
    days_ago(&house, 0);
    staff[1].family = "Now".into();
    house.hr(&staff);
    let now = carried_out(&house).await;
    assert!(ahead > now && newest(&house) == now, "{ahead}, {now}, {}", newest(&house));
    muster(&house, &["list", "corp"]).says(&[&format!("as of run {now}")]);
    // What was sent and accepted before it makes no new export old.
    muster(&house, &["export", "corp"]).ended(0);
    muster(&house, &["plan", "corp", "--from", &newest(&house)]).ended(0);
    muster(&house, &["revert", "corp"]).ended(3).says(&[&format!("undoes run {now}")]);
}
