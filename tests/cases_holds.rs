//! Holds: what is told and how often, what is remembered, and what goes on meanwhile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::company::{Company, people};

/// The job file with small pages, and with further lines at its end.
fn small_pages(company: &Company, further: &str) {
    let text = company.job_text(further).replace("kind = \"scim\"\n", "kind = \"scim\"\npage_size = 20\n");
    company.world.write("jobs/corp.toml", text);
}

fn fault(company: &Company, prefix: &str, action: Value) {
    company.vault.faults(json!({"rules": [{"method": "GET", "prefix": prefix, "action": action}]}));
}

fn well(company: &Company) {
    company.vault.faults(json!({"rules": []}));
}

/// Orders that the newest run planned, by resource; none where it planned nothing.
fn planned(company: &Company) -> Vec<Value> {
    let run = company.world.newest_run("corp");
    match company.world.run_file("corp", &run, "orders.ndjson").exists() {
        true => company.world.orders("corp", &run),
        false => Vec::new(),
    }
}

/// Accepts what holds a run, by name.
fn accept(company: &Company, names: &[&str]) {
    let run = company.world.newest_run("corp");
    let mut args = vec!["approve", &run, "--comment", "known"];
    args.extend(names.iter().flat_map(|name| ["--accept", *name]));
    company.world.muster(&args).says(&["accepted"]);
}

#[test]
fn case_x4_an_unchanged_hold_is_told_once_and_every_tick_ends_with_4() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(40));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/deleted/percent", "E0041"]);
    for _ in 0..2 {
        let said = company.world.muster(&["run", "corp"]).ended(4);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "cron mails what is printed");
    }
    // Whoever asks is told again.
    company.world.muster(&["status", "corp"]).says(&["held", "hr.users/deleted/percent"]);
    let whole = company.world.muster(&["run", "corp", "--mode", "complete"]).ended(4);
    whole.says(&["held: hr.users/deleted/percent", "E0041", "next, if that is as it should be: muster approve"]);
    // More of the same is news.
    company.hr(&people(30));
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/deleted/percent", "E0031", "30"]);
    company.world.muster(&["run", "corp"]).ended(4).never_says(&["held"]);
    company.hr(&people(60));
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn what_was_approved_is_not_counted_again_at_apply_whatever_became_of_the_job_file() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "x"]).ended(0);
    let strict = company.world.read("jobs/corp.toml").replacen(
        "to = \"vault.users\"",
        "to = \"vault.users\"\nthresholds = { create = { count = 1 } }",
        1,
    );
    company.world.write("jobs/corp.toml", strict.replace("= \"family\"", "= \"login\""));
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 3);
    // The next plan is bound by it.
    company.hr(&people(6));
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/create/count"]);
}

#[test]
fn case_x5_a_wrong_total_holds_is_accepted_once_and_remembered_until_its_figure_changes() {
    let company = Company::of(60);
    company.settle();
    fault(&company, "/Users", json!({"wrong-total": {"by": 5}}));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["vault.users/total", "60 rows received, the server's own total is 65", "muster approve"]);
    accept(&company, &["vault.users/total"]);
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0).never_says(&["held"]);
    // Another figure is another suspicion.
    fault(&company, "/Users", json!({"wrong-total": {"by": 7}}));
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/total", "67"]);
    well(&company);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_x5_a_page_that_comes_again_is_held() {
    let company = Company::of(60);
    small_pages(&company, "");
    company.settle();
    fault(&company, "/Users", json!("repeat-page"));
    let said = company.world.muster(&["run", "corp", "--mode", "complete"]).ended(4);
    said.says(&["vault.users/repeated-page", "asked for the rows from 21", "vault.users/total", "20 rows received"]);
    assert!(
        planned(&company).iter().all(|order| order["resource"]["resource"] == "groups"),
        "{:#?}",
        planned(&company)
    );
    assert_eq!(company.vault.all("Groups").len(), 3);
}

#[test]
fn case_x5_a_truncated_page_is_held() {
    let company = Company::of(60);
    small_pages(&company, "");
    company.settle();
    // The last page loses half of its rows at both looks; the total says so. (Behind each look it is read once more.)
    let third = |nth: u32| json!({"method": "GET", "prefix": "/Users", "when": {"nth": nth}, "action": {"truncate-page": {"keep": 10}}});
    company.vault.faults(json!({"rules": [third(3), third(7)]}));
    let said = company.world.muster(&["run", "corp", "--mode", "complete"]).ended(4);
    said.says(&["vault.users/total", "50 rows received, the server's own total is 60"])
        .says(&["it was the same when the list was read before"]);
    assert!(planned(&company).is_empty(), "nobody is created a second time: {:#?}", planned(&company));
    well(&company);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_x5_a_sentinel_that_is_missing_holds() {
    let company = Company::with(60, "[snapshot.\"hr.users\"]\nsentinels = [\"E0007\", \"svc-muster@corp.example\"]\n");
    let mut all = people(60);
    all[59].login = "svc-muster@corp.example".to_owned();
    company.hr(&all);
    company.settle();
    let mut fewer = all.clone();
    fewer.remove(59);
    company.hr(&fewer);
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["hr.users/sentinel", "`svc-muster@corp.example` is missing, which every whole export holds"]);
    accept(&company, &["hr.users/sentinel"]);
    company.world.muster(&["run", "corp"]).ended(3);
    let disabled: Vec<Value> = planned(&company).into_iter().filter(|o| o["operation"] == "disable").collect();
    assert_eq!(disabled.len(), 1, "{disabled:#?}");
    // Remembered: the same one missing holds nothing more; another one does.
    company.world.muster(&["run", "corp"]).ended(3);
    fewer.remove(6);
    company.hr(&fewer);
    company.world.muster(&["run", "corp"]).ended(4).says(&["hr.users/sentinel", "`E0007`"]);
}

#[test]
fn only_the_syncs_that_depend_on_a_held_snapshot_wait() {
    let company = Company::of(60);
    company.settle();
    // Groups are in doubt; a new user has nothing to do with them, his membership has.
    company.hr(&people(61));
    fault(&company, "/Groups", json!({"wrong-total": {"by": 2}}));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["vault.groups/total", "vault.memberships/groups-total"]).never_says(&["vault.users/"]);
    let orders = planned(&company);
    assert_eq!(orders.len(), 1, "{orders:#?}");
    assert_eq!((&orders[0]["operation"], &orders[0]["key"]), (&json!("create"), &json!("E0061")));
    company.world.muster(&["approve", "corp", "--all", "--comment", "the joiner"]).ended(4).says(&["approved"]);
    company.world.muster(&["apply", "corp"]).ended(4);
    assert!(company.vault.user("user0061@corp.example").is_some(), "the user goes on");

    // Accepted, the rest follows; and the user who was created meanwhile is not wanted a second time.
    accept(&company, &["vault.groups/total", "vault.memberships/groups-total"]);
    company.world.muster(&["run", "corp"]);
    let orders = planned(&company);
    assert!(orders.iter().all(|order| order["operation"] != "create"), "{orders:#?}");
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "the rest"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    well(&company);
    company.world.muster(&["run", "corp"]).ended(0);
    let members: usize = company.vault.all("Groups").iter().map(|g| g["members"].as_array().unwrap().len()).sum();
    assert_eq!((members, company.vault.all("Users").len()), (61, 61));
}

#[test]
fn case_x3_a_run_that_would_overlap_another_ends_with_75_and_harms_nothing() {
    let company = Company::of(5);
    company.settle();
    let before = company.world.runs("corp");
    fault(&company, "/Users", json!({"delay": {"ms": 4000}}));
    let mut first = company.world.command(&["run", "corp"]).stderr(Stdio::piped()).spawn().unwrap();
    let patience = Instant::now();
    while company.world.runs("corp") == before {
        assert!(patience.elapsed() < Duration::from_secs(60), "the first run does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = company.world.muster(&["run", "corp"]).ended(75);
    said.says(&["job corp is under way", &format!("process {}", first.id()), "since", "nothing was done"]);
    company.world.muster(&["status", "corp"]).says(&["under way"]);
    // Another job's command, and a look at this one, are not kept out.
    company.world.muster(&["review", "corp"]).never_says(&["is under way"]);
    well(&company);
    assert_eq!(first.wait().unwrap().code(), Some(0), "the first run goes on undisturbed");
    assert_eq!(company.world.runs("corp").len(), before.len() + 1, "the second left no run behind");
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_p11_a_held_snapshot_beside_a_held_plan_hides_neither() {
    let company = Company::with(100, "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n");
    company.settle();
    // More leave than may be disabled without a word, and groups are in doubt.
    company.hr(&people(90));
    fault(&company, "/Groups", json!({"wrong-total": {"by": 2}}));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&["vault.users/disable/percent", "vault.groups/total", "vault.memberships/groups-total"]);
    let run = company.world.newest_run("corp");
    accept(&company, &["vault.groups/total", "vault.memberships/groups-total", "hr.memberships/deleted/percent"]);
    // Approving orders accepts no threshold.
    company.world.muster(&["approve", &run, "--all", "--comment", "all of it"]).ended(4);
    company.world.muster(&["apply", "corp"]);
    let active = || company.vault.all("Users").iter().filter(|user| user["active"] == true).count();
    assert_eq!(active(), 100, "nothing is applied before the threshold itself is accepted");
}

#[test]
fn what_is_planned_from_an_export_is_held_by_what_holds_the_export() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(30));
    company.world.muster(&["export", "corp"]);
    let exported = company.world.newest_run("corp");
    let held = company.world.muster(&["plan", "corp", "--from", &exported]).ended(4);
    held.says(&["hr.users/deleted/percent"]);
    assert_eq!(planned(&company), Vec::<Value>::new(), "nobody accepted that half the company left");
    accept(&company, &["hr.users/deleted/percent"]);
    company.world.muster(&["run", "corp"]);
    company.world.muster(&["status", "corp"]).says(&["30"]);
}

#[test]
fn a_run_that_is_not_known_is_no_run_to_plan_from_and_quiet_hides_no_hold() {
    let company = Company::of(60);
    company.settle();
    let runs = company.world.runs("corp").len();
    company.world.muster(&["plan", "corp", "--from", "20260101T000000Z-0000"]).ended(2).says(&["is not known"]);
    assert_eq!(company.world.runs("corp").len(), runs, "a slip of the keyboard is no run that failed");
    company.hr(&people(30));
    company.world.muster(&["run", "corp"]).ended(4);
    company.world.muster(&["-q", "apply", "corp"]).ended(4).says(&["is held"]);
}

#[test]
fn case_p11_a_held_plan_of_which_all_is_rejected_holds_nothing_any_more() {
    let company = Company::with(
        100,
        "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }\n[snapshot.\"hr.memberships\"]\nthresholds = { deleted = \"off\" }\n",
    );
    company.settle();
    company.hr(&people(80));
    company.world.muster(&["run", "corp"]).ended(4).says(&["vault.users/disable/percent"]);
    let run = company.world.newest_run("corp");
    let said = company.world.muster(&["reject", &run, "--all", "--comment", "HR's mistake"]).ended(0);
    said.says(&["rejected", "it is not held any more"]);
    company
        .world
        .muster(&["status", "corp"])
        .ended(0)
        .says(&["there is nothing left to accept"])
        .never_says(&["is held"]);
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn case_p8_one_object_of_a_held_snapshot_says_that_it_is_held_and_how_to_accept_that() {
    let company = Company::of(60);
    company.settle();
    company.hr(&people(30));
    company.world.muster(&["run", "corp"]).ended(4);
    let held = company.world.newest_run("corp");
    let said = company.world.muster(&["plan", "corp", "--only", "E0001"]).ended(4);
    let said =
        said.says(&["nothing was planned of `E0001`", "hr.users/deleted/percent", &format!("muster review {held}")]);
    said.never_says(&["is in no snapshot"]);
    company.world.muster(&["status", "corp"]).never_says(&["failed"]);
}
