//! After an undo: what stays out, what comes back, and whose change it is.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, Person, people};
use support::orders::{by_hand, id, is_blocked, order, planned, standing};
use support::undo::{carry_out, change, revert};

fn family(company: &Company, of: &Person) -> String {
    company.vault.user(&of.login).unwrap()["name"]["familyName"].as_str().unwrap().to_owned()
}

/// The attributes that an order changes.
fn changed(order: &Value) -> Vec<&str> {
    order["changes"].as_array().unwrap().iter().map(|change| change["attribute"].as_str().unwrap()).collect()
}

/// A company in which a name was changed, and undone by the run that is given.
fn undone() -> (Company, Vec<Person>, String) {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    staff[0].family = "Married".into();
    let run = change(&company, &staff);
    let (undoing, said) = revert(&company, &run);
    said.ended(3);
    carry_out(&company);
    assert_eq!(family(&company, &staff[0]), "Family1");
    (company, staff, undoing)
}

#[test]
fn a_value_that_was_undone_stays_out_while_others_of_its_object_are_changed() {
    let (company, mut staff, undoing) = undone();
    for address in ["one@corp.example", "two@corp.example"] {
        staff[0].email = address.into();
        company.hr(&staff);
        let orders = planned(&company);
        assert_eq!(orders.len(), 1, "{orders:#?}");
        assert_eq!(changed(order(&orders, "update", "E0001")), ["emails"]);
        let why =
            format!("name.familyName of `E0001` in vault.users: reverted by run {undoing}, which tester approved");
        let run = company.world.newest_run("corp");
        company.world.muster(&["review", &run]).says(&[&why, "--ask-again"]);
        company.world.muster(&["explain", "corp", "E0001"]).ended(0).says(&["emails", &undoing]);
        carry_out(&company);
        assert_eq!(family(&company, &staff[0]), "Family1");
        company.world.muster(&["run", "corp"]).ended(0);
        company.world.muster(&["status", "corp"]).says(&["1 order undone before"]);
    }
    // Whoever asks again gets both in one order, and later runs leave that as it is.
    staff[0].email = "three@corp.example".into();
    company.hr(&staff);
    company.world.muster(&["plan", "corp", "--ask-again"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!(changed(order(&orders, "update", "E0001")), ["emails", "name.familyName"]);
    assert!(planned(&company).is_empty());
    assert_eq!(standing(&company, &orders[0]).0, "pending-review");
    carry_out(&company);
    assert_eq!(family(&company, &staff[0]), "Married");
    company.world.muster(&["status", "corp"]).never_says(&["undone before"]);
}

#[test]
fn one_who_is_planned_alone_is_asked_again_for_good() {
    let (company, mut staff, _) = undone();
    staff[0].email = "one@corp.example".into();
    company.hr(&staff);
    let alone = ["plan", "corp", "--only", "E0001"];
    company.world.muster(&alone).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!(changed(order(&orders, "update", "E0001")), ["emails"]);
    company.world.muster(&[&alone[..], &["--ask-again"]].concat()).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert_eq!(changed(order(&orders, "update", "E0001")), ["emails", "name.familyName"]);
    assert!(planned(&company).is_empty());
    carry_out(&company);
    assert_eq!(family(&company, &staff[0]), "Married");
}

#[test]
fn another_value_than_the_undone_one_is_raised() {
    let (company, mut staff, _) = undone();
    staff[0].family = "Other".into();
    company.hr(&staff);
    assert_eq!(changed(order(&planned(&company), "update", "E0001")), ["name.familyName"]);
    carry_out(&company);
    assert_eq!(family(&company, &staff[0]), "Other");
    company.world.muster(&["run", "corp"]).ended(0);
    // What was undone once is another question by now.
    staff[0].family = "Married".into();
    company.hr(&staff);
    assert_eq!(planned(&company).len(), 1);
}

#[test]
fn what_muster_wrote_back_is_no_drift() {
    let company = Company::of(6);
    let report = "unique = [\"userName\"]\non = { drift = \"report\" }\n";
    company.world.write("jobs/corp.toml", company.job_text("").replace("unique = [\"userName\"]\n", report));
    company.settle();
    let mut staff = people(6);
    staff[0].family = "Married".into();
    let run = change(&company, &staff);
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    company.world.muster(&["run", "corp"]).ended(0).never_says(&["changed at the target"]);
    let ordinary = company.world.newest_run("corp");
    company.world.muster(&["review", &ordinary]).says(&["reverted by run"]).never_says(&["changed at the target"]);
    // What the source wants next is the source's wish, and what somebody else does at the vault is drift.
    staff[0].family = "Other".into();
    company.hr(&staff);
    let orders = planned(&company);
    assert_eq!(order(&orders, "update", "E0001")["cause"], "source");
    company.world.muster(&["reject", "corp", "--all", "--comment", "no"]);
    staff[0].family = "Family1".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(0);
    let path = format!("/Users/{}", company.vault.user(&staff[0].login).unwrap()["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "replace", "path": "name.familyName", "value": "Hand" }));
    company.world.muster(&["run", "corp"]).ended(0).says(&["`E0001` was changed at the target", "`Hand`"]);
}

#[test]
fn what_muster_wrote_is_no_change_of_format_and_what_others_wrote_is() {
    let company = Company::of(60);
    let text = |rule: &str| {
        let limits = "[sync.thresholds]\nupdate = \"off\"\n\n[[sync]]\nfrom = \"hr.groups\"";
        let text = company.job_text("").replace("[[sync]]\nfrom = \"hr.groups\"", limits);
        text.replace("\"name.familyName\" = \"family\"", &format!("\"name.familyName\" = \"{rule}\""))
    };
    let digits = "family.replace('Family', '')";
    company.world.write("jobs/corp.toml", text("family"));
    company.settle();
    // A rule that writes digits, its undo, which writes names again, and the runs after both.
    company.world.write("jobs/corp.toml", text(digits));
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    carry_out(&company);
    assert_eq!(family(&company, &people(60)[41]), "42");
    company.world.muster(&["run", "corp"]).ended(0).never_says(&["changed its format"]);
    revert(&company, &run);
    carry_out(&company);
    assert_eq!(family(&company, &people(60)[41]), "Family42");
    company.world.muster(&["run", "corp"]).ended(0).never_says(&["changed its format"]);
    // Somebody else does the same.
    for user in company.vault.all("Users") {
        let path = format!("/Users/{}", user["id"].as_str().unwrap());
        by_hand(&company, &path, &json!({ "op": "replace", "path": "name.familyName", "value": "4711" }));
    }
    company
        .world
        .muster(&["run", "corp"])
        .ended(4)
        .says(&["vault.users/format", "`name.familyName` changed its format"]);
}

#[test]
fn a_leaver_does_not_wait_for_an_undo() {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    (staff[0].family, staff[1].family) = ("One".into(), "Two".into());
    let run = change(&company, &staff);
    let (undoing, _) = revert(&company, &run);
    let undos = company.world.orders("corp", &undoing);
    let (first, second) = (order(&undos, "update", "E0001"), order(&undos, "update", "E0002"));
    company.world.muster(&["approve", &undoing, "--order", id(second), "--comment", "a slip"]).ended(3);
    company.hr(&staff[2..]);
    let mut said = company.world.muster(&["plan", "corp"]).ended(3);
    for undo in [first, second] {
        said = said.says(&[&format!("order {} of run {undoing}", id(undo)), "gives way", "revert again"]);
        assert_eq!(standing(&company, undo).0, "superseded");
    }
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let disable = order(&orders, "disable", "E0001");
    assert!(disable["block"].is_null(), "{disable:#}");
    // To undo the name once more does not take the disable's place.
    let (_, said) = revert(&company, &run);
    said.says(&["left as it is", id(disable), "wait for it"]);
    assert_eq!(standing(&company, disable).0, "pending-review");
    carry_out(&company);
    for of in &staff[..2] {
        assert_eq!(company.vault.user(&of.login).unwrap()["active"], false);
    }
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    assert_eq!(family(&company, &staff[0]), "Family1");
    assert_eq!(company.vault.user(&staff[0].login).unwrap()["active"], false);
}

#[test]
fn rows_that_wait_to_be_undone_are_looked_at_by_each_run() {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    staff[0].team = "T2".into();
    let run = change(&company, &staff);
    let (undoing, said) = revert(&company, &run);
    said.ended(3);
    let orders = company.world.orders("corp", &undoing);
    let (add, remove) = (order(&orders, "add", "T1 → E0001"), order(&orders, "remove", "T2 → E0001"));
    company.job("[apply]\nprotect = [\"vault.users/E0001\"]\n");
    company.world.muster(&["run", "corp"]);
    for row in [add, remove] {
        assert_eq!(standing(&company, row), ("blocked".to_owned(), "protected".to_owned()));
    }
    // One way out is told, and it is the right one.
    company.world.muster(&["review", &undoing]).says(&["revert again"]).never_says(&["clears itself"]);
    let refused = company.world.muster(&["approve", &undoing, "--order", id(add), "--comment", "anyhow"]);
    refused.says(&["revert again"]).never_says(&["clears itself"]);
    company.job("");
    company.world.muster(&["run", "corp"]);
    assert_eq!(standing(&company, add).0, "blocked", "a run frees no undo");
    revert(&company, &run).1.ended(3);
    assert_eq!(standing(&company, add).0, "pending-review");
}

#[test]
fn status_and_the_withheld_name_an_undo_for_what_it_is() {
    let company = Company::of(6);
    company.settle();
    let run = change(&company, &people(6)[1..]);
    let disabled = company.world.orders("corp", &run);
    let (undoing, _) = revert(&company, &run);
    carry_out(&company);
    company.world.muster(&["run", "corp"]).ended(0);
    let listed = company.world.muster(&["list", "corp", "--withheld", "--format", "json"]).json();
    let disable = order(&disabled, "disable", "E0001");
    let row = listed.as_array().unwrap().iter().find(|row| row["order"] == disable["id"]).expect("it is listed");
    let undos = company.world.orders("corp", &undoing);
    assert_eq!((&row["operation"], &row["undone by"]), (&json!("disable"), &order(&undos, "enable", "E0001")["id"]));
    let runs = company.world.muster(&["status", "corp", "--format", "json"]).json()["runs"].clone();
    let line = runs.as_array().unwrap().iter().find(|line| line["run"] == *undoing).unwrap();
    assert_eq!(line["undoes"], *run);
    let text = company.world.muster(&["status", "corp"]).ended(0).out;
    assert!(text.lines().any(|line| line.contains(&undoing) && line.contains(" revert ")), "{text}");
}

#[test]
fn an_undo_beside_a_rejected_order_of_its_object_is_listed_and_counted() {
    let (company, mut staff, undoing) = undone();
    staff[0].email = "one@corp.example".into();
    company.hr(&staff);
    let rejected = planned(&company).remove(0);
    company.world.muster(&["reject", "corp", "--all", "--comment", "not that one"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    let listed = company.world.muster(&["list", "corp", "--withheld", "--format", "json"]).json();
    let rows = listed.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{listed:#}");
    assert!(rows.iter().any(|row| row["why"] == "undone" && row["run"] == *undoing), "{listed:#}");
    assert!(rows.iter().any(|row| row["why"] == "rejected" && row["order"] == rejected["id"]), "{listed:#}");
    let status = company.world.muster(&["status", "corp"]).ended(0);
    status.says(&["1 order rejected before", "1 order undone before"]);
}

#[test]
fn what_forbids_an_undo_says_so_in_its_own_words() {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    staff[0].family = "One".into();
    let run = change(&company, &staff);
    company.job("[apply]\nprotect = [\"vault.users/E0001\"]\n");
    let (undoing, _) = revert(&company, &run);
    let orders = company.world.orders("corp", &undoing);
    is_blocked(order(&orders, "update", "E0001"), "protected", &["revert again"]);
}

/// A vault of CSV files, whose rows say more than who belongs where.
#[test]
fn a_condition_on_further_columns_is_judged_by_the_last_accepted_snapshot() {
    for (role, is_last) in [("guest", false), ("owner", true)] {
        let world = World::new();
        let systems = "[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.vault]\nkind = \"csv\"\npath = \"../vault\"\norders = \"../todo\"\n";
        let objects = |kind: &str, further: &str| {
            format!(
                "[[sync]]\nfrom = \"hr.{kind}\"\nto = \"vault.{kind}\"\nmatch = [{{ source = \"id\", target = \"externalId\" }}]\n[sync.attributes]\nexternalId = \"id\"\n{further}"
            )
        };
        let rows = "[[sync]]\nfrom = \"hr.memberships\"\nto = \"vault.memberships\"\nends = { user = [\"hr.users\", \"vault.users\"], group = [\"hr.groups\", \"vault.groups\"] }\nkeep_one = { end = \"group\", scope = \"role == 'owner'\" }\n";
        let (users, groups) = (objects("users", "active = \"enabled\"\n"), objects("groups", ""));
        world.write("jobs/corp.toml", format!("name = \"corp\"\n{systems}{users}{groups}{rows}"));
        for (file, text) in [
            ("hr/users.csv", "id,enabled\nE1,true\nE2,true\n"),
            ("hr/groups.csv", "id\nG\n"),
            ("hr/memberships.csv", "group,user\nG,E1\nG,E2\n"),
            ("vault/users.csv", "id,externalId,active\nu1,E1,true\nu2,E2,true\n"),
            ("vault/groups.csv", "id,externalId\ng1,G\n"),
            ("vault/memberships.csv", &format!("group,user,role\ng1,u1,{}\n", if is_last { "guest" } else { "owner" })),
        ] {
            world.write(file, text);
        }
        world.muster(&["run", "corp"]).ended(3);
        let run = world.newest_run("corp");
        world.muster(&["approve", "corp", "--all", "--comment", "seen"]).ended(0);
        world.muster(&["apply", "corp"]).ended(0);
        // People carried it out, in this role.
        let done = std::fs::read_to_string(world.path().join("vault/memberships.csv")).unwrap();
        world.write("vault/memberships.csv", format!("{done}g1,u2,{role}\n"));
        world.muster(&["run", "corp"]).ended(0);
        world.muster(&["revert", &run]).ended(if is_last { 0 } else { 3 });
        let orders = world.orders("corp", &world.newest_run("corp"));
        let remove = order(&orders, "remove", "G → E2");
        match is_last {
            true => is_blocked(remove, "protected", &["`vault.groups/g1`", "revert again"]),
            false => assert!(remove["block"].is_null(), "{remove:#}"),
        }
    }
}
