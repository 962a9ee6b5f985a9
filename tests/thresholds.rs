//! Thresholds over time, by scope and by size; and what a setting would have done in the past.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/house.rs"]
mod house;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use house::{House, lasting_address};
use muster::model::approval::Decision;
use muster::model::run::RunState;
use muster::run::Stage;
use support::company::{Company, Person, people};

/// What HR says once these are gone.
fn without(n: usize, gone: std::ops::RangeInclusive<usize>) -> Vec<Person> {
    people(n).into_iter().enumerate().filter(|(place, _)| !gone.contains(&(place + 1))).map(|(_, one)| one).collect()
}

/// The job file with `lines` in the sync of users, and without limits on what HR may say.
fn job(company: &Company, lines: &str) {
    let hr = "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n";
    company.world.write("jobs/corp.toml", with(&company.job_text(hr), lines));
}

/// A job's text with `lines` in its sync of users, and no limit on members that go with them.
fn with(text: &str, lines: &str) -> String {
    let text = text.replacen("[sync.attributes]", &format!("{lines}\n[sync.attributes]"), 1);
    text.replace("ends = {", "thresholds = { remove = \"off\" }\nends = {")
}

/// Approves and applies what the newest run wants.
fn apply(company: &Company) {
    company.world.muster(&["approve", "corp", "--all", "--comment", "announced"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn case_p11_slices_of_a_removal_trip_the_window_though_each_is_within_the_run() {
    let company = Company::of(200);
    job(
        &company,
        "[sync.thresholds]\ndisable = [{ count = 8, percent = 50 }, { count = 12, percent = 50, window = \"7d\" }]",
    );
    company.settle();
    company.hr(&without(200, 1..=8));
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["held"]);
    apply(&company);
    company.hr(&without(200, 1..=12));
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["held"]);
    apply(&company);
    company.hr(&without(200, 1..=13));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&[
        "held: vault.users/disable/count/7d: 13 over 7d, 12 before this run, the limit is 12",
        "applied before",
    ]);

    let run = company.world.newest_run("corp");
    let name = "vault.users/disable/count/7d";
    company.world.muster(&["approve", &run, "--accept", name, "--comment", "a reorganization"]).says(&["accepted"]);
    apply(&company);
    // What was accepted is not counted again: the week begins anew.
    company.hr(&without(200, 1..=21));
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["held"]);
    apply(&company);
    company.hr(&without(200, 1..=26));
    company.world.muster(&["run", "corp"]).ended(4).says(&["13 over 7d, 8 before this run, the limit is 12"]);
}

#[test]
fn what_was_accepted_and_is_exported_anew_counts_once_in_the_window() {
    let limits = "[snapshot.\"hr.users\"]\nthresholds = { deleted = [{ count = 1000, percent = 100 }, { count = 5, window = \"7d\" }] }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n";
    let company = Company::with(60, limits);
    company.settle();
    // A joiner is approved and waits to be applied while six others leave: too many, and a person says it is right.
    let mut all = people(61);
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "the joiner"]).ended(0);
    all.drain(..6);
    company.hr(&all);
    let name = "hr.users/deleted/count/7d";
    company.world.muster(&["run", "corp"]).ended(4).says(&[name]);
    company.world.muster(&["apply", "corp"]);
    let held = company.world.newest_run("corp");
    company.world.muster(&["approve", &held, "--accept", name, "--comment", "a branch closed"]).says(&["accepted"]);
    // The vault moved on meanwhile, so both sides are exported anew; the acceptance holds at the same figure.
    let said = company.world.muster(&["--verbose", "run", "corp"]);
    said.says(&["what was accepted of run", "holds at the same figures"]).never_says(&[name]);
    all.drain(..1);
    company.hr(&all);
    company.world.muster(&["run", "corp"]).never_says(&[name]);
    // Those six are settled; five more within the week are not.
    all.drain(..5);
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(4).says(&[name, "6 over 7d, 1 before this run, the limit is 5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_the_window_counts_no_more_and_a_first_load_never_does() {
    let limit = "[snapshot.\"hr.users\"]\nthresholds = { deleted = [{ percent = 100, count = 1000 }, { count = 5, window = \"7d\" }] }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n";
    let mut house = House::found(&people(60), limit, lasting_address()).await;
    let lines = "[sync.thresholds]\ncreate = { percent = 5, window = \"24h\" }\ndisable = \"off\"\ndelete = \"off\"\n";
    let text = with(&support::company::job_text(&house.vault.url, limit), lines);
    house.job = muster::job::parse(&text, &house.path().join("jobs/corp.toml")).unwrap();
    let first = house.run(Stage::Plan).await.unwrap();
    assert_eq!(first.state, RunState::Planned, "percentages do not hold a first load");
    house.review(&first.run, |_| Some(Decision::Approve));
    assert_eq!(house.apply(Duration::ZERO).await.unwrap().errored, 0);
    let mut all = people(63);
    house.hr(&all);
    let grown = house.run(Stage::Plan).await.unwrap();
    assert_eq!(grown.state, RunState::Planned, "60 of the first load are not counted");
    house.review(&grown.run, |_| Some(Decision::Approve));
    house.apply(Duration::ZERO).await.unwrap();
    all.push(support::company::person(64));
    house.hr(&all);
    assert_eq!(house.run(Stage::Plan).await.unwrap().state, RunState::HeldPlan, "a fourth within 24 hours");
    house.ahead.fetch_add(25, Ordering::SeqCst);
    assert_eq!(house.run(Stage::Plan).await.unwrap().state, RunState::Planned, "a day later it is the first");

    // The same for what HR takes away: accepted snapshots count for a week.
    let gone =
        |n: usize| all.iter().filter(|one| one.id.as_str() > format!("E{n:04}").as_str()).cloned().collect::<Vec<_>>();
    house.hr(&gone(5));
    assert_eq!(house.run(Stage::Plan).await.unwrap().state, RunState::Planned);
    house.ahead.fetch_add(24, Ordering::SeqCst);
    house.hr(&gone(6));
    let held = house.run(Stage::Plan).await.unwrap();
    let holds = house.store().holds(&held.run).unwrap();
    assert!(holds[0].detail.starts_with("hr.users/deleted/count/7d: 6 over 7d, 5 before this run"), "{holds:#?}");
    house.ahead.fetch_add(7 * 24, Ordering::SeqCst);
    assert_eq!(house.run(Stage::Plan).await.unwrap().state, RunState::Planned);
}

#[test]
fn a_part_of_the_objects_has_limits_of_its_own_whoever_leaves_it_included() {
    let company = Company::of(100);
    let scoped = "[[sync.threshold]]\nname = \"admins\"\nscope = \"family.startsWith('Admin')\"\ndisable = { count = 1 }\nupdate = { percent = 50, floor = 2 }\n";
    let none = "[sync.thresholds]\ndisable = \"off\"\ndelete = \"off\"";
    job(&company, &format!("{scoped}\n{none}"));
    let mut all = people(100);
    all.iter_mut().take(4).for_each(|one| one.family = format!("Admin {}", one.id));
    company.hr(&all);
    company.settle();
    // Ten others leave, and one administrator: within the limits.
    let some = |gone: &[usize]| -> Vec<Person> {
        all.iter().enumerate().filter(|(place, _)| !gone.contains(place)).map(|(_, one)| one.clone()).collect()
    };
    company.hr(&some(&[0, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]));
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["held"]);
    // Their source rows are gone: that they were administrators is known from the target.
    company.hr(&some(&[0, 1, 10, 11]));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["held: vault.users/admins/disable/count: 2, the limit is 1", "E0001, E0002"]);
    let run = company.world.newest_run("corp");
    let blocked = company.world.muster(&["review", &run, "--format", "csv"]).out;
    assert_eq!(
        blocked.lines().filter(|line| line.contains("vault.users/admins/disable/count")).count(),
        1,
        "{blocked}"
    );
    // Three of four are renamed away: 75 % of the administrators, 3 % of all.
    let mut renamed = all.clone();
    renamed.iter_mut().take(3).for_each(|one| one.family = "Nobody".to_owned());
    company.hr(&renamed);
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["vault.users/admins/update/percent: 75.0 % (3 of 4), the limit is 50 %"]);
}

#[test]
fn a_container_has_limits_of_its_own_and_sizes_have_theirs() {
    let company = Company::of(60);
    let text = company
        .job_text("[[sync.threshold]]\nname = \"payments\"\nscope = \"group == 'Payments'\"\nadd = { count = 2 }\n");
    let tiers = "[sync.thresholds]\nupdate = { percent = 1, tiers = [{ up_to = 30, count = 1 }, { up_to = 60, percent = 10 }] }\n\n[sync.attributes]";
    company.world.write("jobs/corp.toml", text.replacen("[sync.attributes]", tiers, 1));
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.memberships/payments/add/count: 20, the limit is 2"]);
    company.world.muster(&[
        "approve",
        "corp",
        "--accept",
        "vault.memberships/payments/add/count",
        "--comment",
        "the first load",
    ]);
    apply(&company);
    company.world.muster(&["run", "corp"]).ended(0);
    let mut all = people(60);
    all.iter_mut().take(6).for_each(|one| one.family = "Other".to_owned());
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(3);
    all[6].family = "Other".to_owned();
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(4).says(&["update/percent: 11.7 % (7 of 60), the limit is 10 %"]);
}

/// A year of a company in six runs: what was announced, and a mistake that somebody rejected.
#[test]
fn the_past_is_tried_again_and_suggests_limits() {
    let company = Company::of(200);
    job(&company, "[sync.thresholds]\ndisable = [{ count = 20, percent = 50 }, { count = 30, window = \"7d\" }]");
    company.world.muster(&["thresholds", "corp"]).ended(0).says(&["vault.users/disable/count/7d", "30"]);
    company.world.muster(&["thresholds", "corp", "backtest"]).ended(1).says(&["nothing is remembered"]);
    company.settle();
    for leavers in [4, 12] {
        company.hr(&without(200, 1..=leavers));
        company.world.muster(&["run", "corp"]).ended(3);
        apply(&company);
    }
    let eight = company.world.newest_run("corp");
    let lost: Vec<String> = people(114).split_off(99).into_iter().map(|one| one.id).collect();
    company.hr(&without(200, 1..=12).into_iter().filter(|one| !lost.contains(&one.id)).collect::<Vec<_>>());
    company.world.muster(&["run", "corp"]).ended(3);
    let fifteen = company.world.newest_run("corp");
    company.world.muster(&["reject", &fifteen, "--all", "--comment", "an export that lost a page"]).ended(0);
    company.hr(&without(200, 1..=14));
    company.world.muster(&["run", "corp"]).ended(3);
    apply(&company);

    let backtest = ["thresholds", "corp", "backtest"];
    let said = company.world.muster(&backtest).ended(0).says(&["6 runs of corp", "no run would have been held"]);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    // What would a stricter setting have done?
    job(&company, "[sync.thresholds]\ndisable = [{ count = 7, percent = 50 }, { count = 12, window = \"7d\" }]");
    let said = company.world.muster(&backtest).ended(0);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    let json = company.world.muster(&[&backtest[..], &["--format", "json"]].concat()).json();
    let held: Vec<(&str, &str, u64, &str)> = json
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| !row["run"].is_null())
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap();
            (text("threshold"), text("run"), row["figure"].as_u64().unwrap(), text("became"))
        })
        .collect();
    let (count, week) = ("vault.users/disable/count", "vault.users/disable/count/7d");
    let newest = company.world.newest_run("corp");
    assert_eq!(
        held,
        [
            (count, eight.as_str(), 8, "approved"),
            (count, fifteen.as_str(), 15, "rejected"),
            (week, fifteen.as_str(), 27, "rejected"),
            (week, newest.as_str(), 14, "approved"),
        ]
    );
    let only = company.world.muster(&[&backtest[..], &["--runs", "1", "--format", "csv"]].concat()).ended(0);
    assert_eq!(only.out.lines().filter(|line| line.contains(&newest)).count(), 1, "{}", only.out);

    // The least that lets through 4, 8 and 2, and not 15; over a week 4, 12 and 14, and not 27.
    let said = company.world.muster(&[&backtest[..], &["--suggest"]].concat()).ended(0);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    assert!(said.out.contains("disable: 3 runs, half up to 4, nine tenths up to 8, most 8"), "{}", said.out);
    assert!(said.out.contains("it would have held 1 of 1 run rejected"), "{}", said.out);
    let block = said.out.split("# in the [[sync]] to vault.users:\n").nth(1).unwrap();
    let block = block.split("\n\n").next().unwrap();
    let pasted: toml::Table = block.parse().unwrap();
    let disable = pasted["sync"]["thresholds"]["disable"].as_array().unwrap();
    assert_eq!((disable[0]["count"].as_integer(), disable[1]["count"].as_integer()), (Some(8), Some(14)), "{block}");
    job(&company, block);
    company.world.muster(&backtest).ended(0).says(&[&fifteen, "rejected"]).never_says(&[&eight, &newest]);
}
