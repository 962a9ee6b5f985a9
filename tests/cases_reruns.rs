//! One run after another: what an order that failed, or that nobody decided on, means for the next ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, Person, people};
use support::undo::{carry_out, change, revert};

/// The update of one person that the newest run planned.
#[track_caller]
fn update(company: &Company, key: &str) -> Value {
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let found = orders.iter().find(|order| order["operation"] == "update" && order["key"] == key);
    found.unwrap_or_else(|| panic!("no update of {key} in {orders:#?}")).clone()
}

/// Where an order of a run stands.
#[track_caller]
fn state(company: &Company, run: &str, order: &Value) -> Value {
    let listed = company.world.muster(&["review", run, "--all", "--format", "json"]).ended(0).json();
    listed.as_array().unwrap().iter().find(|row| row["order"] == order["id"]).unwrap()["state"].clone()
}

fn family(company: &Company, login: &str) -> Value {
    company.vault.user(login).unwrap()["name"]["familyName"].clone()
}

#[test]
fn case_p3_a_new_order_waits_behind_one_that_errored_unless_what_failed_is_gone() {
    let company = Company::of(8);
    company.settle();
    let mut staff = people(8);
    staff[0].family = "One".into();
    staff[1].family = "Two".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let first = company.world.newest_run("corp");
    let olds = [update(&company, "E0001"), update(&company, "E0002")];
    company.world.muster(&["approve", "corp", "--all", "--comment", "weddings"]).ended(0);
    company
        .vault
        .faults(json!({"rules": [{"method": "PATCH", "prefix": "/Users", "action": {"status": {"code": 400}}}]}));
    company.world.muster(&["apply", "corp"]).ended(5);
    company.vault.faults(json!({"rules": []}));
    for old in &olds {
        assert_eq!(state(&company, &first, old), "errored");
    }
    // The same again stays where it failed, and is not raised a second time.
    company.world.muster(&["run", "corp"]).ended(5);
    assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty());

    // One is asked for all that failed and more; of the other, what failed is not wanted any more.
    staff[0].email = "one@corp.example".into();
    staff[1].family = "Other".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    let second = company.world.newest_run("corp");
    let (waits, free) = (update(&company, "E0001"), update(&company, "E0002"));
    assert_eq!(waits["block"]["reason"], "prior-order", "{waits:#}");
    let detail = waits["block"]["detail"].as_str().unwrap();
    assert!(detail.contains(olds[0]["id"].as_str().unwrap()) && detail.contains(&first), "{detail}");
    assert!(free["block"].is_null(), "{free:#}");
    for old in &olds {
        assert_eq!(state(&company, &first, old), "superseded", "never two live orders for one object");
    }
    company.world.muster(&["apply", "corp"]).ended(3);
    assert_eq!(family(&company, "user0001@corp.example"), "Family1");
    let id = waits["id"].as_str().unwrap();
    company.world.muster(&["approve", &second, "--order", id, "--comment", "the server is mended"]).ended(3);
    company.world.muster(&["apply", "corp"]).ended(3);
    assert_eq!(family(&company, "user0001@corp.example"), "One");
    assert_eq!(family(&company, "user0002@corp.example"), "Family2");
    assert_eq!(state(&company, &second, &free), "pending-review");
}

/// What the newest run planned, and what it withheld.
fn planned(company: &Company) -> (Vec<String>, usize) {
    let run = company.world.newest_run("corp");
    let plan = std::fs::read(company.world.run_file("corp", &run, "plan.json")).unwrap();
    let plan: Value = serde_json::from_slice(&plan).unwrap();
    let word = |order: &Value, name: &str| order[name].as_str().unwrap().to_owned();
    let orders = company.world.orders("corp", &run);
    let orders = orders.iter().map(|order| format!("{} {}", word(order, "operation"), word(order, "id")));
    (orders.collect(), plan["withheld"].as_array().map_or(0, Vec::len))
}

/// Five of six people of a company whose sixth was dropped by mistake: both orders about that were rejected.
#[track_caller]
fn rejected_leaver(further: &str) -> (Company, Vec<String>) {
    let company = Company::with(6, further);
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    let (orders, _) = planned(&company);
    assert_eq!(orders.len(), 2, "{orders:?}");
    company.world.muster(&["reject", "corp", "--all", "--comment", "HR dropped E0006 by mistake"]).ended(0);
    (company, orders)
}

/// The same orders, raised once more.
fn raised_again(orders: &[String]) -> Vec<String> {
    orders.iter().map(|order| order.replace("-1", "-2")).collect()
}

#[test]
fn case_k10_whoever_leaves_is_disabled_also_where_it_was_rejected_before_they_came_back() {
    let (company, first) = rejected_leaver("");
    // As long as nothing changes, the rejection stands, and the operator sees it.
    for _ in 0..2 {
        company.world.muster(&["run", "corp"]).ended(0);
        assert_eq!(planned(&company), (vec![], 2));
    }
    let command = "muster list corp --withheld";
    company.world.muster(&["status", "corp"]).ended(0).says(&["2 orders rejected before", command, "--ask-again"]);
    let listed = company.world.muster(&["list", "corp", "--withheld"]).ended(0);
    listed.says(&["disable", "remove", "E0006", &first[0][first[0].find("o-").unwrap()..], "2 orders withheld"]);
    assert_eq!(company.world.muster(&["list", "corp", "--withheld", "--format", "json"]).json()[0]["why"], "rejected");
    // HR mends its file, and one day the person leaves indeed.
    company.hr(&people(6));
    company.world.muster(&["run", "corp"]).ended(0);
    company.world.muster(&["status", "corp"]).ended(0).never_says(&["withheld"]);
    company.world.muster(&["log", "corp"]).says(&["order-lapsed", "what it withheld is not wanted any more"]);
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(planned(&company), (raised_again(&first), 0));
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0006@corp.example").unwrap()["active"], false);
}

/// Employees 1 to 6, the last of whom HR has switched off.
fn sixth_is_off() -> Vec<Person> {
    let mut staff = people(6);
    staff[5].enabled = false;
    staff
}

/// The reason of the one disable that the newest run planned.
#[track_caller]
fn why_disabled(company: &Company) -> String {
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let disables: Vec<&Value> = orders.iter().filter(|order| order["operation"] == "disable").collect();
    assert_eq!(disables.len(), 1, "{orders:#?}");
    disables[0]["reason"].as_str().unwrap().to_owned()
}

#[test]
fn case_k10_a_leaver_is_wanted_away_for_another_reason_than_the_one_that_was_rejected() {
    let (company, first) = rejected_leaver("");
    let disable = first.iter().find(|order| order.starts_with("disable")).unwrap().replace("disable ", "");
    // Their row is back, and says that they left: the very same order, and nobody ever rejected that.
    company.hr(&sixth_is_off());
    company.world.muster(&["run", "corp"]).ended(3);
    let why = why_disabled(&company);
    assert!(why.contains(&format!("{disable} asked the same for another reason, and was rejected")), "{why}");
    company.world.muster(&["status", "corp"]).never_says(&["withheld"]);
    // Nobody decides: nothing more is asked.
    for _ in 0..2 {
        company.world.muster(&["run", "corp"]).ended(3);
        assert_eq!(planned(&company), (vec![], 0));
    }
    // Rejected for that, too, it stands as long as that is so, whatever else changes of the row.
    company.world.muster(&["reject", "corp", "--all", "--comment", "they stay on until May"]).ended(0);
    for family in ["Family6", "Family6", "Other"] {
        let mut staff = sixth_is_off();
        staff[5].family = family.into();
        staff[4].family = family.into();
        company.hr(&staff);
        company.world.muster(&["run", "corp"]);
        let (orders, withheld) = planned(&company);
        let disables = orders.iter().filter(|order| order.starts_with("disable")).count();
        // With another value the order is another one.
        let expected = if family == "Other" { (1, 0) } else { (0, 1) };
        assert_eq!((disables, withheld), expected, "{family}: {orders:?}");
    }
    // Gone once more, they are asked about once more.
    company.world.muster(&["reject", "corp", "--all", "--comment", "not yet"]).ended(0);
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    why_disabled(&company);
    company.world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.user("user0006@corp.example").unwrap()["active"], false);
}

#[test]
fn case_k10_whoever_the_scope_leaves_out_for_another_reason_is_asked_about_again() {
    let company = Company::of(6);
    let scope = "scope = [\"enabled && !family.startsWith('X')\"]\nrequired = [";
    company.world.write("jobs/corp.toml", company.job_text("").replacen("required = [", scope, 1));
    company.settle();
    let mut staff = people(6);
    staff[5].family = "X-ray".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    why_disabled(&company);
    company.world.muster(&["reject", "corp", "--all", "--comment", "that is their name"]).ended(0);
    // What the condition does not read changes nothing; what it reads does.
    staff[5].email = "xray@corp.example".into();
    company.hr(&staff);
    for _ in 0..2 {
        company.world.muster(&["run", "corp"]).ended(0);
    }
    staff[5].enabled = false;
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(why_disabled(&company).contains("for another reason"));
}

#[test]
fn what_was_undone_is_raised_again_when_it_is_wanted_for_another_reason() {
    let company = Company::of(6);
    company.settle();
    let run = change(&company, &people(5));
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    for _ in 0..2 {
        company.world.muster(&["run", "corp"]).ended(0);
        assert_eq!(planned(&company), (vec![], 2));
    }
    company.hr(&sixth_is_off());
    company.world.muster(&["run", "corp"]).ended(3);
    why_disabled(&company);
    carry_out(&company);
    assert_eq!(company.vault.user("user0006@corp.example").unwrap()["active"], false);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn a_rejection_outlasts_snapshots_that_are_held_partial_or_older() {
    let company = Company::with(6, "[snapshot.\"hr.users\"]\nthresholds = { inserted = { count = 3 } }\n");
    company.settle();
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(3);
    let (first, _) = planned(&company);
    company.hr(&people(6));
    company.world.muster(&["export", "corp"]).ended(0);
    let before = company.world.newest_run("corp");
    company.world.muster(&["reject", "corp", "--all", "--comment", "HR dropped E0006 by mistake"]).ended(0);
    // Older than the decision.
    company.world.muster(&["plan", "corp", "--from", &before]).ended(0);
    // Held: whoever is in this export may not be there.
    company.hr(&people(12));
    company.world.muster(&["run", "corp"]).ended(4);
    // Partial, and no snapshot at all.
    company.hr(&people(6));
    company
        .vault
        .faults(json!({"rules": [{"method": "GET", "prefix": "/Users", "action": {"status": {"code": 500}}}]}));
    company.world.muster(&["run", "corp"]).ended(1);
    company.vault.faults(json!({"rules": []}));
    company.hr(&people(5));
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(planned(&company), (vec![], 2));
    // A person who asks again is asked.
    company.world.muster(&["plan", "corp", "--ask-again"]).ended(3);
    assert_eq!(planned(&company).0, raised_again(&first));
    company.world.muster(&["status", "corp"]).never_says(&["withheld"]);
}

#[test]
fn what_was_handed_over_once_is_handed_over_again_when_it_is_wanted_again() {
    let world = support::World::new();
    let job = "name = \"desk\"\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.desk]\nkind = \"csv\"\npath = \"../desk\"\norders = \"../orders\"\n[[sync]]\nfrom = \"hr.users\"\nto = \"desk.users\"\nmatch = [{ source = \"id\", target = \"id\" }]\n[sync.attributes]\nid = \"id\"\nlogin = \"login\"\nactive = \"enabled\"\n";
    world.write("jobs/desk.toml", job);
    let row = |active: &str| format!("id,login,active\n1,ada,true\n2,bob,{active}\n");
    let hr = |rows: &str| world.write("hr/users.csv", format!("id,login,enabled\n1,ada,true\n{rows}"));
    world.write("desk/users.csv", row("true"));
    hr("2,bob,true\n");
    world.muster(&["run", "desk"]).ended(0);
    for raised in 1..3 {
        hr("");
        world.muster(&["run", "desk"]).ended(3);
        let orders = world.orders("desk", &world.newest_run("desk"));
        assert_eq!(orders.len(), 1, "{orders:#?}");
        assert!(
            orders[0]["operation"] == "disable" && orders[0]["id"].as_str().unwrap().ends_with(&format!("-{raised}"))
        );
        world.muster(&["approve", "desk", "--all", "--comment", "left"]).ended(0);
        world.muster(&["apply", "desk"]).ended(0);
        // People have not done it yet: nobody is told twice.
        world.muster(&["run", "desk"]).ended(0);
        world.muster(&["status", "desk"]).says(&["1 order handed over to people"]);
        // They did; later somebody takes the person back, at HR and by hand.
        world.write("desk/users.csv", row("false"));
        world.muster(&["run", "desk"]).ended(0);
        hr("2,bob,true\n");
        world.write("desk/users.csv", row("true"));
        world.muster(&["run", "desk"]).ended(0);
    }
}

#[test]
fn a_first_load_waits_for_a_person_also_where_a_later_plan_replaced_its_orders() {
    let company = Company::with(1, "[review]\nrequire = \"blocked-or-held\"\n");
    company.settle();
    // The state is lost. Who is there already is known again by match, the others are a first load.
    std::fs::remove_dir_all(company.world.state()).unwrap();
    let mut staff = people(4);
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["list", "corp", "--managed"]).ended(0).says(&["E0001"]).never_says(&["E0002"]);
    for person in &mut staff[1..] {
        person.family.push_str("-Newname");
    }
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(company.vault.all("Users").len(), 1, "a first load was applied by the job's rule");
    company.world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 4);
    // Once a person has decided, the job's rule is free to.
    company.hr(&people(4));
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(family(&company, "user0002@corp.example"), "Family2");
}

#[test]
fn the_examples_that_the_help_gives_work_as_they_stand() {
    let company = Company::of(4);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", &run, "--output", "review.csv"]).ended(0);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_muster")).parent().unwrap().to_owned();
    let mut tried = 0;
    let reading = ["status", "list", "links", "explain", "history", "thresholds", "check", "report", "prune", "export"];
    for command in ["review", "approve", "reject", "log"].into_iter().chain(reading) {
        let help = company.world.muster(&[command, "--help"]).ended(0);
        let examples = help.out.lines().map(str::trim).filter(|line| line.starts_with(&format!("muster {command} ")));
        // Nothing is held here that could be accepted, nobody signed elsewhere, a review file is not written over another,
        // and a page stays open until somebody ends it.
        let elsewhere = ["--accept", "--output", "--sign ", "--prepare", "--seal", "--serve"];
        for example in examples.filter(|line| !elsewhere.iter().any(|option| line.contains(option))) {
            let line = example.replace("idp-to-vault", "corp").replace("20261122T150405Z-7f3a", &run);
            // A name that nobody knows is a slip of the pen.
            let line = line.replace("--key 4711", "--key E0001").replace("--reviewer jane", "--reviewer tester");
            let line = line.replace("jane@example.com", "user0001@corp.example").replace("E0042", "E0002");
            let line = line.replace("G7", "T1");
            let world = company.world.command(&[]);
            let mut shell = std::process::Command::new("/bin/sh");
            shell.args(["-c", &line]).current_dir(company.world.path()).env_clear();
            shell.envs(world.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.env("PATH", format!("{}:/usr/bin:/bin", binary.display()));
            let said = support::Said::from(shell.output().unwrap());
            assert!([0, 3].contains(&said.status), "{line}\n{said:#?}");
            tried += 1;
        }
    }
    assert!(tried > 35, "{tried} examples");
}
