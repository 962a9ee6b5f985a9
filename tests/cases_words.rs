//! What an operator reads: as of when a listing is, what became of orders, and the command that moves things forward.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Stdio;

use serde_json::json;
use support::Said;
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
    company.world.muster(&["review", "corp"]).says(&[&apply]).never_says(&["next: muster review"]);
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
    // The next run sees them: ids are whole where nobody looks on.
    company.world.muster(&["run", "corp"]);
    let said = company.world.muster(&["list", "corp", "--managed"]).ended(0);
    let said = said.says(&["user0001@corp.example", "2 objects"]).never_says(&["applied since"]);
    assert!(said.out.lines().any(|line| line.chars().count() > 80), "what goes to a pipe is whole: {}", said.out);
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
    // All that is missing is told at once; a web page in the place of a file is told as what it is.
    company.world.write("hr/users.csv", text.replacen("login,email,family", "name,emial,surname", 1));
    let said = company.world.muster(&["run", "corp"]).ended(1);
    said.says(&["has no columns `", "`email`", "`family`", "`login`", "did you mean `emial` for `email`?"]);
    company.world.write("hr/users.csv", "\n<!DOCTYPE html>\n<html><title>Sign in</title></html>\n");
    let said = company.world.muster(&["run", "corp"]).ended(1).says(&["users.csv", "no CSV: a web page was saved"]);
    said.never_says(&["<html>"]);
    company.hr(&people(3));
    company.world.muster(&["check", "corp"]).says(&["3 csv files"]);
}

/// Refuses the create of one user.
fn refuse_creates_of(company: &Company, nth: u64) {
    let body = json!({ "scimType": "invalidValue", "detail": "bad name" }).to_string();
    company.vault.faults(json!({ "rules": [{ "method": "POST", "prefix": "/Users", "when": { "nth": nth },
        "action": { "status": { "code": 400, "body": body } } }] }));
}

#[test]
fn an_old_error_hides_no_new_order_and_every_status_is_explained() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    refuse_creates_of(&company, 2);
    let said = company.world.muster(&["apply", "corp"]).ended(5);
    said.says(&["7 applied, 1 errored, 1 blocked by these", "1 order of run ", "errors.csv"])
        .never_says(&["not tried"]);
    let old = company.world.newest_run("corp");
    company.vault.faults(json!({ "rules": [] }));
    company.hr(&people(4));
    let anew = format!(
        "muster run corp   # plans anew what is corrected at the source or in the job\nor:   muster retry {old}   # sends the \
         same again\n"
    );
    let both = [
        format!("1 order of run {old} is errored\nnext: muster report {old}\nthen: {anew}"),
        "2 orders wait for review\nnext: muster review corp\n".to_owned(),
    ];
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    company.world.muster(&["--verbose", "run", "corp"]).ended(5).says(&["ends with status 5"]).says(&both);
    company.world.muster(&["apply", "corp"]).ended(5).says(&["nothing is approved"]).says(&both);
    company.world.muster(&["status", "corp"]).ended(0).says(&both);
    // The report is the old run's; what waits since then is told too.
    let causes = format!("is errored: see to the causes above\nnext: {anew}");
    let newer = format!("run {} is newer, and nothing of it was sent yet", company.world.newest_run("corp"));
    company.world.muster(&["report", "corp"]).ended(0).says(&[&causes, both[1], &newer, "errors.csv"]);
    company.world.muster(&["report", &old]).ended(0).says(&[&causes]).never_says(&[both[1]]);
    let status = company.world.muster(&["status", "corp", "--format", "json"]).json();
    assert_eq!(status["next"]["errored"][&old], 1, "{status}");
    assert_eq!(status["next"]["review"], 2, "{status}");
}

#[test]
fn a_refused_value_is_corrected_at_the_source_and_planned_anew_not_sent_again() {
    let company = Company::of(1);
    let wrong = company.world.read("hr/users.csv").replace(
        "E0001,user0001@corp.example,user0001@corp.example,Family1,true",
        "E0001,user0001@corp.example,user0001@corp.example,Forbidden,true",
    );
    company.world.write("hr/users.csv", wrong);
    // What no schema tells, the target tells when it is asked.
    let body = json!({ "detail": "value of 'familyName' is not allowed", "scimType": "invalidValue" }).to_string();
    company.vault.faults(json!({ "rules": [{ "method": "POST", "prefix": "/Users",
        "action": { "status": { "code": 400, "body": body } } }] }));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    let anew = "corrected at the source or in the job, muster run corp plans anew";
    let next = "next: muster run corp   # plans anew what is corrected at the source or in the job";
    let then = next.replace("next:", "then:");
    company.world.muster(&["apply", "corp"]).ended(5).says(&["1 errored", &then]);
    let run = company.world.newest_run("corp");
    company.world.muster(&["report", &run]).says(&[
        "[data, status 400, invalidValue]",
        "the next run plans it anew",
        next,
    ]);
    // The value is as it was: nothing else can come of it.
    let said = company.world.muster(&["retry", "corp"]).ended(0);
    said.says(&[
        "1 order approved again",
        "1 order of which the target refused the content is sent again as it was",
        anew,
    ]);
    company.world.muster(&["apply", "corp"]).ended(5).says(&["1 errored"]);

    company.hr(&people(1));
    company.vault.faults(json!({ "rules": [] }));
    company.world.muster(&["run", "corp"]).ended(3).says(&["2 new orders to review"]).never_says(&["prior-order"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "corrected"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["active"], true);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn what_nobody_can_lift_waits_for_nobody() {
    let company = Company::of(3);
    company.world.muster(&["run", "corp"]).ended(3);
    let one = ["--where", "key == 'E0002' && resource == 'vault.users'", "--comment", "not her"];
    company.world.muster(&[&["reject", "corp"][..], &one].concat()).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "the others"]).ended(0);
    let blocked = "1 order is blocked until the cause is gone (missing-reference: 1)";
    let said = company.world.muster(&["status", "corp"]).ended(0);
    said.says(&["7 orders are approved\nnext: muster apply corp\n", blocked]).never_says(&["next: muster review"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    let said = company.world.muster(&["apply", "corp"]).ended(0);
    said.says(&["nothing is approved\nnothing waits for a person\n", blocked]).never_says(&["next:"]);
    company.world.muster(&["status", "corp"]).says(&["nothing waits for a person", blocked]).never_says(&["next:"]);
    let run = company.world.newest_run("corp");
    company.world.muster(&["report", &run]).says(&[blocked]).never_says(&["errors.csv", "next:"]);
    company.world.muster(&["--verbose", "run", "corp"]).ended(0).says(&[blocked]).never_says(&["next:"]);
}

#[test]
fn an_apply_says_which_orders_were_stale() {
    let company = Company::of(3);
    company.settle();
    let mut staff = people(3);
    staff[0].family = "Newname".to_owned();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "married"]).ended(0);
    let id = company.vault.user("user0001@corp.example").unwrap()["id"].as_str().unwrap().to_owned();
    let patch = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "name.familyName", "value": "Other" }] });
    assert!(company.vault.send("PATCH", &format!("/Users/{id}"), Some(patch)).0 < 300);
    let said = company.world.muster(&["apply", "corp"]).ended(0);
    said.says(&[
        "orders: 0 applied, 1 stale",
        "  `update vault.users E0001`: name.familyName was `Family1` when planned and is `Other` now",
        "the next run plans anew",
    ]);
}

#[test]
fn a_target_that_is_gone_is_told_once_with_one_number() {
    let company = Company::with(5, "[apply]\nretry_budget = \"1s\"\n");
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    let Company { world, vault } = company;
    vault.kill();
    let said = world.muster(&["apply", "corp"]).ended(1);
    let said =
        said.says(&["13 orders were not tried and stay approved", "0 applied, 13 not tried", "muster apply corp"]);
    for once in ["no connection", "the apply stopped"] {
        assert_eq!(said.err.matches(once).count(), 1, "{once}:\n{}", said.err);
    }
    // A run whose export fails for the same cause says it once, too.
    let said = world.muster(&["run", "corp"]).ended(1);
    let said = said.says(&["the apply stopped: the cause above; 13 orders"]);
    assert_eq!(said.err.matches("no connection").count(), 1, "{}", said.err);
}

#[test]
fn a_run_waits_for_another_as_long_as_it_is_told_to() {
    let company = Company::of(3);
    company.vault.faults(json!({ "rules": [
        { "method": "GET", "prefix": "/Users", "when": "every", "action": { "delay": { "ms": 3_000 } } }] }));
    let mut first = company.world.command(&["run", "corp"]).stderr(Stdio::null()).spawn().unwrap();
    let lock_is_held = || company.world.muster(&["status", "corp"]).out.starts_with("job corp: under way");
    while !lock_is_held() {
        assert!(first.try_wait().unwrap().is_none(), "the first run ended before");
    }
    company.world.muster(&["run", "corp"]).ended(75).says(&["job corp is under way: run (process "]);
    let said = company.world.muster(&["--verbose", "run", "corp", "--wait", "5m"]).ended(3);
    said.says(&["waiting until it has ended", "0 new orders"]);
    assert_eq!(first.wait().unwrap().code(), Some(3));
    let runs = company.world.muster(&["status", "corp", "--format", "json"]).json()["runs"].clone();
    assert!(runs[0]["started"].as_str() >= runs[1]["ended"].as_str(), "one after the other: {runs}");
    company.world.muster(&["run", "corp", "--wait", "long"]).ended(2).says(&["`long` is no duration"]);
}

#[test]
fn the_listing_of_a_review_is_what_the_review_shows_and_fits_the_terminal() {
    let company = Company::of(6);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["approve", "corp", "--where", "key == 'E0001'", "--comment", "one"]).ended(3);
    company.world.muster(&["apply", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--where", "key == 'E0002'", "--comment", "another"]).ended(3);
    let rows = |args: &[&str]| {
        let said = company.world.muster(&[&["review", "corp", "--format", "json"], args].concat()).ended(0);
        said.json().as_array().unwrap().clone()
    };
    let (shown, all) = (rows(&[]), rows(&["--all"]));
    assert_eq!((shown.len() + 1, all.len()), (all.len(), company.world.orders("corp", &run).len()));
    assert!(shown.iter().all(|row| row["state"] != "applied"), "{shown:#?}");
    for (key, state, by) in [("E0001", "applied", "tester"), ("E0002", "approved", "tester")] {
        let row = all.iter().find(|row| row["key"] == key).unwrap();
        assert_eq!((&row["state"], &row["approved_by"]), (&json!(state), &json!(by)), "{row:#}");
    }
    assert!(all.iter().filter(|row| row["state"] == "pending-review").all(|row| row["approved_by"].is_null()));
    company.world.muster(&["review", "corp"]).says(&[
        "[approved by tester]",
        "1 other order of this run ended",
        "--all",
    ]);
    let id = shown[0]["order"].as_str().unwrap().to_owned();
    for (width, at_least) in [("80", "key"), ("160", "approved_by")] {
        let mut command = company.world.command(&["review", "corp", "--format", "table"]);
        let said = Said::from(command.env("COLUMNS", width).output().unwrap()).ended(0).says(&[at_least, &id]);
        let most = said.out.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(most <= width.parse().unwrap(), "{most} columns\n{}", said.out);
    }
    // Recorded data is shown to whoever may read it: no system is asked, and no credential is needed.
    let mut command = company.world.command(&["list", "corp", "--format", "csv"]);
    let listed = Said::from(command.env_remove("VAULT_TOKEN").output().unwrap()).ended(0);
    listed.says(&["E0001", "create applied since", "E0006"]);
}

#[test]
fn looking_makes_no_state_folder() {
    let company = Company::of(1);
    let order = "o-608cf67bedaaa6a2-1";
    for command in [
        &["list", "corp"][..],
        &["status"],
        &["status", "corp"],
        &["report", "corp"],
        &["review", "corp"],
        &["log"],
        &["thresholds", "corp", "backtest"],
        &["settle", order, "--took-effect", "--comment", "x"],
        &["approve", "corp", "--all", "--comment", "x"],
        &["reject", "corp", "--all", "--comment", "x"],
        &["link", "corp", "E0001", "1", "--to", "vault.users"],
        &["unlink", "corp", "E0001", "--to", "vault.users"],
        &["apply", "corp"],
        &["retry", "corp"],
    ] {
        let said = company.world.muster(&[command, &["--state", "nowhere/x"]].concat()).ended(1);
        said.says(&["nothing is remembered in", "nowhere/x (chosen by --state): it holds no muster.db"]);
        assert!(!company.world.path().join("nowhere").exists(), "{command:?}");
    }
}

#[test]
fn commands_name_the_job_as_whoever_typed_it_did() {
    let company = Company::of(2);
    company.hr(&[]);
    company.world.write("jobs/c.toml", company.world.read("jobs/corp.toml"));
    std::fs::remove_file(company.world.path().join("jobs/corp.toml")).unwrap();
    company.hr(&people(2));
    let told = |args: &[&str], status: i32, next: &str| {
        company.world.muster(args).ended(status).says(&[&format!("next: muster {next}\n")]);
    };
    told(&["--verbose", "run", "c"], 3, "review c");
    told(&["status", "c"], 0, "review c");
    told(&["status", "corp"], 0, "review corp");
    told(&["status"], 0, "review corp");
    told(&["report", "jobs/c.toml"], 0, "review jobs/c.toml");
    company.world.muster(&["review", "c"]).ended(0);
    company.world.muster(&["approve", "c", "--all", "--comment", "x"]).ended(0);
    told(&["status", "c"], 0, "apply c");
    company.world.muster(&["apply", "c", "--first", "1"]).ended(0);
    company.world.muster(&["list", "c"]).ended(0).says(&["`muster run c` shows"]);
    // A name that a shell would take apart is not one to copy.
    company.world.write("jobs/the job.toml", company.world.read("jobs/c.toml"));
    told(&["status", "the job"], 0, "apply corp");
}

#[test]
fn a_list_of_nothing_says_that_all_is_well() {
    let company = Company::of(3);
    company.settle();
    company.world.muster(&["run", "corp"]).ended(0);
    let said = company.world.muster(&["list", "corp"]).ended(0);
    said.says(&["every object is confirmed, 6 managed objects: --managed lists them"]).never_says(&["0 objects"]);
    company.world.muster(&["list", "corp", "--orphans"]).ended(0).says(&["0 objects"]);
    // Files of a report have labels.
    let said = company.world.muster(&["report", "corp"]).ended(0);
    assert!(said.err.lines().all(|line| !line.starts_with('/')), "{}", said.err);
    said.says(&["this report for programs: /"]);
}

#[test]
fn whoever_asks_for_quiet_hears_only_what_went_wrong() {
    let company = Company::of(3);
    let quiet = |args: &[&str], status: i32| {
        let said = company.world.muster(&[&["-q"], args].concat()).ended(status);
        assert_eq!(said.err, "", "{args:?}");
        said.out
    };
    quiet(&["run", "corp"], 3);
    let run = company.world.newest_run("corp");
    assert!(quiet(&["review", "corp"], 0).contains("[pending-review]"), "data is no chatter");
    quiet(&["review", "corp", "--output", "copy.csv"], 0);
    quiet(&["approve", "corp", "--first", "1", "--comment", "one"], 3);
    quiet(&["reject", "corp", "--where", "key == 'E0003'", "--comment", "not this one"], 3);
    quiet(&["approve", "corp", "--all", "--comment", "the others"], 0);
    quiet(&["approve", "corp", "--all", "--comment", "once more"], 0);
    quiet(&["apply", "corp"], 0);
    quiet(&["apply", "corp"], 0);
    quiet(&["retry", "corp"], 0);
    quiet(&["report", "corp"], 0);
    quiet(&["log", "corp", "--operation", "delete"], 0);
    quiet(&["list", "corp"], 0);
    quiet(&["prune"], 0);
    quiet(&["revert", &run], 3);
    quiet(&["reject", "corp", "--all", "--comment", "it was a rehearsal"], 0);

    // What goes wrong is told all the same: an order that is refused, a snapshot that is held, an export that fails.
    company.hr(&people(4));
    quiet(&["run", "corp"], 3);
    quiet(&["approve", "corp", "--all", "--comment", "new"], 0);
    refuse_creates_of(&company, 1);
    company.world.muster(&["-q", "apply", "corp"]).ended(5).says(&["errored", "bad name", "1 failed"]);
    company.world.write("hr/users.csv", "id,login,email,family,enabled\n");
    company.world.muster(&["-q", "run", "corp"]).ended(4).says(&["muster: held: ", "muster approve "]);
    std::fs::remove_file(company.world.path().join("hr/users.csv")).unwrap();
    company.world.muster(&["-q", "run", "corp"]).ended(1).says(&["the export of hr failed"]);
}
