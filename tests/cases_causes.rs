//! Whose change it was: the target's, the source's, the job's rules', or both sides' at once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};

/// The company's job with these lines in its sync of users, and these at its end.
fn job(company: &Company, lines: &str, further: &str) {
    let text = company.job_text(further);
    company.world.write("jobs/corp.toml", text.replacen("required =", &format!("{lines}\nrequired ="), 1));
}

/// Somebody changes a family name at the target.
fn by_hand(company: &Company, login: &str, family: &str) {
    let id = company.vault.user(login).unwrap()["id"].as_str().unwrap().to_owned();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "name.familyName", "value": family}],
    });
    let (status, answer) = company.vault.send("PATCH", &format!("/Users/{id}"), Some(body));
    assert!(status < 300, "{answer}");
}

fn family(company: &Company, login: &str) -> Value {
    company.vault.user(login).unwrap()["name"]["familyName"].clone()
}

/// The newest order of a person, as planned.
fn cause(company: &Company, key: &str) -> Value {
    let runs = company.world.runs("corp");
    let orders = runs.iter().rev().flat_map(|run| company.world.orders("corp", run));
    orders.into_iter().find(|order| order["key"] == key).unwrap()["cause"].clone()
}

const ONE: &str = "user0001@corp.example";

#[test]
fn case_i8_a_change_at_the_target_is_told_apart_and_the_job_decides() {
    let company = Company::of(6);
    company.settle();
    by_hand(&company, ONE, "Local");
    let mut staff = people(6);
    staff[1].family = "Second".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["review", "corp"]).ended(0).says(&[
        "name.familyName: \"Local\" → \"Family1\"",
        "changed, drift: name.familyName: changed at the target",
        "name.familyName: \"Family2\" → \"Second\"",
        "changed, source: name.familyName: changed at the source",
    ]);

    for (word, told) in [("report", true), ("leave", false)] {
        job(&company, &format!("on = {{ drift = \"{word}\" }}"), "");
        company.world.muster(&["run", "corp"]).ended(3);
        let run = company.world.newest_run("corp");
        let plan = company.world.read(&format!("state/runs/corp/{run}/plan.json"));
        let sentence = "`E0001` was changed at the target: name.familyName is `Local` instead of `Family1`";
        assert_eq!(plan.contains(sentence), told, "{word}: {plan}");
        let open = company.world.muster(&["review", "corp", "--format", "json"]).ended(0).json();
        let keys: Vec<&Value> = open.as_array().unwrap().iter().map(|one| &one["key"]).collect();
        assert_eq!(keys, ["E0002"], "{word}");
    }
    company.world.muster(&["approve", "corp", "--all", "--comment", "a wedding"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(family(&company, ONE), "Local", "left as it is");

    job(&company, "on = { drift = \"correct\" }", "");
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["approve", "corp", "--all", "--comment", "back"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(family(&company, ONE), "Family1");
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_i8_causes_last_over_rejections_errors_and_runs_and_what_moved_on_both_sides_is_always_reviewed() {
    let company = Company::of(6);
    company.settle();
    // Rejected, and seen again in two runs: it stays the source's.
    let mut staff = people(6);
    staff[0].family = "One".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["reject", "corp", "--all", "--comment", "not yet"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    staff[0].family = "Uno".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(cause(&company, "E0001"), "source");
    // It fails: nothing was agreed on.
    company.world.muster(&["approve", "corp", "--all", "--comment", "now"]).ended(0);
    company
        .vault
        .faults(json!({"rules": [{"method": "PATCH", "prefix": "/Users", "action": {"status": {"code": 400}}}]}));
    company.world.muster(&["apply", "corp"]).ended(5);
    company.vault.faults(json!({"rules": []}));
    staff[0].family = "Eins".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]);
    assert_eq!(cause(&company, "E0001"), "source");

    // A rule approves what nobody objects to; what moved on both sides waits for a person all the same.
    job(&company, "", "[review]\nrequire = \"blocked-or-held\"\n");
    by_hand(&company, ONE, "Local");
    by_hand(&company, "user0002@corp.example", "Local");
    staff[2].family = "Third".into();
    company.hr(&staff);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(["E0001", "E0002", "E0003"].map(|key| cause(&company, key)), ["both", "drift", "source"]);
    assert_eq!((family(&company, ONE), family(&company, "user0002@corp.example")), (json!("Local"), json!("Family2")));
    assert_eq!(family(&company, "user0003@corp.example"), "Third");
    company
        .world
        .muster(&["review", "corp"])
        .ended(0)
        .says(&["changed on both sides since they last agreed, look closely"]);
    // However often it runs.
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(family(&company, ONE), "Local");
    company.world.muster(&["approve", "corp", "--all", "--comment", "HR is right"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);

    // The job's rules: nobody touched a row.
    let text = company.job_text("[review]\nrequire = \"always\"\n");
    let rule = "\"name.familyName\" = \"family\"";
    assert!(text.contains(rule));
    company.world.write("jobs/corp.toml", text.replacen(rule, "\"name.familyName\" = \"family + ' (HR)'\"", 1));
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(cause(&company, "E0004"), "rule");
}

#[test]
fn what_was_handed_over_is_not_taken_for_done() {
    let world = World::new();
    let hr = |mails: &[&str]| {
        let row = |(number, mail): (usize, &&str)| format!("{number},login{number},{mail}\n");
        let rows: String = mails.iter().enumerate().map(row).collect();
        world.write("hr/people.csv", format!("number,login,mail\n{rows}"));
    };
    let vault = |people: usize| {
        let row = |number: usize| format!("u{number},{number},login{number},m{number}@x,true\n");
        let rows: String = (0..people).map(row).collect();
        world.write("vault/users.csv", format!("id,externalId,userName,mail,active\n{rows}"));
    };
    world.write(
        "jobs/desk.toml",
        r#"name = "desk"
[systems.hr]
kind = "csv"
path = "../hr"
keys = { people = ["number"] }
[systems.vault]
kind = "csv"
path = "../vault"
orders = "../orders"
[[sync]]
from = "hr.people"
to = "vault.users"
match = [{ source = "number", target = "externalId" }]
on = { orphan = "delete" }
attributes = { externalId = "number", userName = "login", mail = "mail" }
"#,
    );
    let carry_out = || {
        world.muster(&["run", "desk"]).ended(3);
        world.muster(&["approve", "desk", "--all", "--comment", "to the desk"]).ended(0);
        world.muster(&["apply", "desk"]).ended(0);
    };
    let planned = || world.orders("desk", &world.newest_run("desk"));
    hr(&["m0@x", "m1@x", "m2@x"]);
    vault(3);
    world.muster(&["run", "desk"]).ended(0);
    hr(&["m0@x", "m1@x", "new@x"]);
    carry_out();
    world.muster(&["run", "desk"]).ended(0);
    assert!(planned().is_empty(), "the desk has it");
    // The target stands as it did: only the source has moved, once more.
    hr(&["m0@x", "m1@x", "newer@x"]);
    world.muster(&["run", "desk"]).ended(3);
    assert_eq!((planned().len(), &planned()[0]["cause"]), (1, &json!("source")));

    hr(&["m0@x", "m1@x"]);
    carry_out();
    let managed = || world.muster(&["list", "desk", "--managed", "--format", "csv"]).ended(0).out;
    assert!(managed().contains("u2"), "it is there, and whose it is stays known");
    world.muster(&["run", "desk"]).ended(0);
    assert!(planned().is_empty() && managed().contains("u2"));
    vault(2);
    world.muster(&["run", "desk"]).ended(0);
    assert!(!managed().contains("u2"));
}
