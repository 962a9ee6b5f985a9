//! A run's folder that is removed or damaged while its orders live: every command says so, nothing of it is sent, and the
//! next run is the way out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::company::{Company, Person, people};

/// What becomes of a run's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Removed,
    /// Half of its last order is missing.
    Truncated,
    /// orders.ndjson reads well, and says something else.
    Edited,
    /// plan.json alone.
    PlanRemoved,
}

const ALL: [Damage; 4] = [Damage::Removed, Damage::Truncated, Damage::Edited, Damage::PlanRemoved];

fn damage(company: &Company, run: &str, damage: Damage) {
    let orders = company.world.run_file("corp", run, "orders.ndjson");
    match damage {
        Damage::Removed => fs::remove_dir_all(orders.parent().unwrap()).unwrap(),
        Damage::PlanRemoved => fs::remove_file(orders.with_file_name("plan.json")).unwrap(),
        Damage::Truncated => {
            let mut bytes = fs::read(&orders).unwrap();
            bytes.truncate(bytes.len() - 40);
            fs::write(orders, bytes).unwrap();
        }
        Damage::Edited => {
            let text = fs::read_to_string(&orders).unwrap();
            assert!(text.contains("-Newname"));
            fs::write(orders, text.replace("-Newname", "-Forged")).unwrap();
        }
    }
}

/// The file that is told to be missing or changed.
fn file(damage: Damage) -> &'static str {
    if matches!(damage, Damage::Removed | Damage::PlanRemoved) { "plan.json" } else { "orders.ndjson" }
}

/// Four employees of whom the first two marry: two orders wait in the run that is given.
fn married() -> (Company, String, Vec<Person>) {
    let company = Company::of(4);
    company.settle();
    let mut staff = people(4);
    staff[..2].iter_mut().for_each(|person| person.family.push_str("-Newname"));
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    assert_eq!(company.world.orders("corp", &run).len(), 2);
    (company, run, staff)
}

fn family(company: &Company, number: usize) -> String {
    let user = company.vault.user(&format!("user{number:04}@corp.example")).unwrap();
    user["name"]["familyName"].as_str().unwrap().to_owned()
}

fn states(company: &Company, run: &str) -> Value {
    company.world.muster(&["report", run, "--format", "json"]).json()["orders_by_state"].clone()
}

fn nothing_sent(company: &Company) {
    assert_eq!([family(company, 1), family(company, 2)], ["Family1", "Family2"]);
}

/// The run after the damage gives up what is lost and asks for the same again; then the way is free.
#[track_caller]
fn gets_out(company: &Company, lost: &str, given_up: u64, kind: Damage) {
    let said = company.world.muster(&["run", "corp"]).ended(1);
    said.says(&[lost, file(kind), "given up", "not sent", "plans anew", "2 new orders to review"]);
    nothing_sent(company);
    assert_eq!(states(company, lost), json!({ "stale": given_up }), "{kind:?}");
    company.world.muster(&["log", "corp", "--errors"]).ended(0).says(&["orders-stale", lost, file(kind)]);
    let next = company.world.newest_run("corp");
    let anew = company.world.orders("corp", &next);
    assert_eq!(anew.len(), 2);
    // Told once: from now on it is a review like any other.
    company.world.muster(&["run", "corp"]).ended(3).never_says(&["given up"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "once more"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!([family(company, 1), family(company, 2)], ["Family1-Newname", "Family2-Newname"]);
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["log", "--verify"]).ended(0);
}

#[test]
fn what_waits_for_review_is_planned_anew_when_its_folder_is_gone_or_damaged() {
    for kind in ALL {
        let (company, run, _) = married();
        damage(&company, &run, kind);
        // What is missing, of which run, what becomes of it, and the one command that leads out.
        for command in [
            &["review", "corp"][..],
            &["approve", "corp", "--all", "--comment", "x"],
            &["approve", &run, "--all", "--comment", "x"],
            &["reject", &run, "--all", "--comment", "x"],
            &["list", "corp"],
        ] {
            let said = company.world.muster(command);
            if command[0] == "list" && said.status == 0 {
                continue;
            }
            said.ended(1).says(&[&run, file(kind), "nothing more of it is sent", "muster run corp"]);
        }
        company.world.muster(&["status", "corp"]).says(&["wait for review"]);
        company.world.muster(&["explain", "corp", "E0001"]);
        // A plan of one object alone gives up nothing of the others.
        let only = company.world.muster(&["plan", "corp", "--only", "E0001"]);
        if matches!(kind, Damage::Removed | Damage::Truncated) {
            only.ended(1).says(&[&run, file(kind), "muster run corp"]);
        }
        assert_eq!(states(&company, &run), json!({ "pending-review": 2 }));
        gets_out(&company, &run, 2, kind);
    }
}

#[test]
fn what_was_approved_is_not_sent_from_a_folder_that_is_gone_or_damaged() {
    for kind in ALL {
        let (company, run, _) = married();
        company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
        damage(&company, &run, kind);
        for name in ["corp", run.as_str()] {
            let said = company.world.muster(&["apply", name]).ended(1);
            said.says(&["refused", &run, file(kind), "nothing more of it is sent", "muster run corp"]);
        }
        nothing_sent(&company);
        gets_out(&company, &run, 2, kind);
    }
}

#[test]
fn what_errored_is_told_and_planned_anew_when_its_folder_is_gone() {
    for kind in [Damage::Removed, Damage::Truncated] {
        let (company, run, _) = married();
        company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
        let refuses = json!({"rules": [{"method": "PATCH", "prefix": "/Users", "action": {"status": {"code": 400}}}]});
        company.vault.faults(refuses);
        company.world.muster(&["apply", "corp"]).ended(5);
        company.vault.faults(json!({"rules": []}));
        damage(&company, &run, kind);
        company.world.muster(&["report", &run]).says(&["400", file(kind)]);
        company.world.muster(&["retry", "corp"]);
        company.world.muster(&["apply", "corp"]).ended(1).says(&["nothing more of it is sent"]);
        gets_out(&company, &run, 2, kind);
    }
}

/// Approves, and ends an apply after the vault has changed the first of both, before it said so; gives its order.
fn cut_off(company: &Company, run: &str) -> Value {
    company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
    let late = json!({"method": "PATCH", "prefix": "/Users", "action": {"delay-after": {"ms": 5_000}}});
    company.vault.faults(json!({ "rules": [late] }));
    let mut apply = company.world.command(&["apply", "corp"]).spawn().unwrap();
    while !(1..=2).any(|number| family(company, number).ends_with("-Newname")) {
        assert!(apply.try_wait().unwrap().is_none(), "the apply ended before");
        std::thread::sleep(Duration::from_millis(5));
    }
    apply.kill().unwrap();
    apply.wait().unwrap();
    company.vault.faults(json!({"rules": []}));
    assert_eq!(states(company, run), json!({ "in-flight": 1, "approved": 1 }));
    let done = if family(company, 1).ends_with("-Newname") { "E0001" } else { "E0002" };
    let orders = company.world.orders("corp", run);
    orders.into_iter().find(|order| order["key"] == done).unwrap()
}

#[test]
fn what_was_under_way_is_looked_up_where_its_order_can_be_read_and_left_to_a_person_where_not() {
    // The last order alone is damaged: the one under way is the first, and can be read.
    let (company, run, _) = married();
    let order = cut_off(&company, &run);
    assert_eq!(order, company.world.orders("corp", &run)[0], "the first one goes first");
    damage(&company, &run, Damage::Truncated);
    company.world.muster(&["run", "corp"]).ended(1).says(&["1 order of it is given up", "1 new order to review"]);
    assert_eq!(states(&company, &run), json!({ "applied": 1, "stale": 1 }));
    company.world.muster(&["approve", "corp", "--all", "--comment", "once more"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!([family(&company, 1), family(&company, 2)], ["Family1-Newname", "Family2-Newname"]);
    company.world.muster(&["run", "corp"]).ended(0);

    // Nothing is left of it: nobody can tell, and a person is told what to look at.
    for command in ["apply", "run"] {
        let (company, run, _) = married();
        let order = cut_off(&company, &run);
        let (id, key) = (order["id"].as_str().unwrap(), order["key"].as_str().unwrap());
        damage(&company, &run, Damage::Removed);
        let said = company.world.muster(&[command, "corp"]).ended(1);
        said.says(&[key, "in flight when muster ended", &run, "muster settle", id, "--took-effect"]);
        company.world.muster(&["run", "corp"]);
        assert_eq!(states(&company, &run), json!({ "uncertain": 1, "stale": 1 }), "{command}");
        company.world.muster(&["report", &run]).says(&[id, "muster settle"]);
        let settle = format!("muster settle {id} --took-effect");
        company.world.muster(&["status", "corp"]).says(&["uncertain", &settle]);
        // Whatever runs meanwhile, it stays as it is, and nothing else is planned for its object.
        company.world.muster(&["run", "corp"]);
        assert_eq!(states(&company, &run), json!({ "uncertain": 1, "stale": 1 }));
        company.world.muster(&["settle", id, "--took-effect", "--comment", "seen in the vault"]).says(&["applied"]);
        company.world.muster(&["approve", "corp", "--all", "--comment", "once more"]).ended(0);
        company.world.muster(&["apply", "corp"]).ended(0);
        assert_eq!([family(&company, 1), family(&company, 2)], ["Family1-Newname", "Family2-Newname"]);
        company.world.muster(&["run", "corp"]).ended(0);
        company.world.muster(&["log", "--verify"]).ended(0);
    }
}

#[test]
fn what_was_applied_from_a_folder_that_is_gone_and_a_lost_review_file_stop_nothing() {
    let (company, run, mut staff) = married();
    company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    damage(&company, &run, Damage::Removed);
    staff[2].family.push_str("-Newname");
    company.hr(&staff);
    // The vault's own changes are those of the lost run, and no surprise.
    company.world.muster(&["run", "corp"]).ended(3);
    let next = company.world.newest_run("corp");
    fs::remove_file(company.world.run_file("corp", &next, "review.csv")).unwrap();
    company.world.muster(&["review", "corp", "--output", "review.csv"]).ended(0);
    let text = company.world.read("review.csv");
    let (header, rows) = text.split_once('\n').unwrap();
    let columns: Vec<&str> = header.trim_start_matches('\u{feff}').trim_end().split(',').collect();
    assert_eq!(columns[0], "decision");
    company.world.write("review.csv", format!("{header}\napprove{rows}"));
    company.world.muster(&["approve", &next, "--file", "review.csv", "--comment", "seen"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(family(&company, 3), "Family3-Newname");
}

#[test]
fn an_undo_whose_folder_is_gone_is_told_for_itself() {
    let (company, run, _) = married();
    company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["revert", &run]).ended(3);
    let undo = company.world.newest_run("corp");
    damage(&company, &undo, Damage::Removed);
    let said = company.world.muster(&["run", "corp"]).ended(1);
    said.says(&[&undo, "2 of them were to undo something", "muster revert"]);
    company.world.muster(&["revert", &run]).ended(3);
}

#[test]
fn an_uncertain_order_of_a_lost_plan_bars_no_other_run_of_its_job() {
    let (company, lost, _) = married();
    let lost = lost.as_str();
    let order = cut_off(&company, lost);
    let id = order["id"].as_str().unwrap();
    damage(&company, lost, Damage::Removed);
    company.world.muster(&["run", "corp"]).ended(1).says(&["1 order of it is given up"]);
    let next = company.world.newest_run("corp");
    assert_eq!(company.world.orders("corp", &next).len(), 1);
    let settle = format!("muster settle {id} --took-effect");

    // By its id a person is told what became of it, and what to do: not to wait for a run that never ends it.
    for command in [
        &["review", lost][..],
        &["approve", lost, "--all", "--comment", "x"],
        &["reject", lost, "--all", "--comment", "x"],
    ] {
        let said = company.world.muster(command).ended(1);
        said.says(&["plan.json is gone", &format!("given up by run {next}"), &settle]).never_says(&["give it up"]);
    }
    let said = company.world.muster(&["report", lost]).ended(0);
    said.says(&[&settle]).never_says(&["muster retry", "give it up", &format!("muster review {lost}")]);
    for command in ["status", "apply"] {
        let said = company.world.muster(&[command, "corp"]);
        said.says(&[&settle]).never_says(&[&format!("muster review {lost}")]);
    }

    // By the job's name the others go on.
    let passed_over = format!("run {lost} is passed over");
    let said = company.world.muster(&["review", "corp"]).ended(0);
    said.says(&[&passed_over, &settle, "1 order waits for review"]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "x"]).says(&[&passed_over, "1 order approved"]);
    let said = company.world.muster(&["reject", "corp", "--all", "--comment", "not yet"]);
    said.says(&[&passed_over, "1 order rejected"]);
    assert_eq!(states(&company, &next), json!({ "rejected": 1 }));
    assert_eq!(states(&company, lost), json!({ "uncertain": 1, "stale": 1 }));

    // What is settled as without effect waits, and is given up like all of a lost plan.
    company.world.muster(&["settle", id, "--had-no-effect", "--comment", "looked"]).says(&["waits for review"]);
    company.world.muster(&["run", "corp"]).ended(1).says(&[lost, "1 order of it is given up"]);
    let by = company.world.newest_run("corp");
    let said = company.world.muster(&["approve", lost, "--all", "--comment", "x"]).ended(1);
    said.says(&[&format!("given up by run {by}"), "muster status corp"]).never_says(&["let `muster run"]);
}
