//! Disasters that a threshold stops: each is explained in a line, not told as a list of rows.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::company::systems;
use support::{Server, World};

/// People of the directory.
const PEOPLE: usize = 200;

/// One person, as the directory exports them.
#[derive(Clone)]
struct Person {
    id: String,
    login: String,
    dn: String,
    department: String,
    city: String,
    hired: String,
}

/// Neither ids nor departments follow the order of the export; half of the tree is the east.
fn people() -> Vec<Person> {
    let departments = ["Sales", "Nursing", "Finance", "Payments"];
    let person = |n: usize| {
        let number = n * 73 % PEOPLE;
        let department = departments[number % 4];
        let side = if (number / 4).is_multiple_of(2) { "East" } else { "West" };
        Person {
            id: format!("E{number:04}"),
            login: format!("user{number:04}@corp.example"),
            dn: format!("CN=Name {number},OU={department},OU={side},DC=corp"),
            department: department.to_owned(),
            city: ["Bern", "Basel", "Chur", "Genf", "Thun"][number % 5].to_owned(),
            hired: format!("20{:02}-{:02}-{:02}", 10 + number % 15, 1 + number % 12, 1 + number % 28),
        }
    };
    (0..PEOPLE).map(person).collect()
}

/// A directory as a CSV drop, and a vault that has everybody of it.
struct Directory {
    world: World,
    vault: Server,
}

impl Directory {
    fn settled() -> Self {
        let world = World::new();
        let vault = world.server();
        let directory = Self { world, vault };
        directory.job("login != ''");
        directory.export(&people());
        directory.world.settle("corp");
        directory
    }

    fn job(&self, scope: &str) {
        let systems = systems("ad", &self.vault.url);
        let text = format!(
            r#"name = "corp"

{systems}
[[sync]]
from = "ad.users"
to = "vault.users"
scope = ["{scope}"]
match = [{{ source = "id", target = "externalId" }}]

[sync.attributes]
externalId = "id"
userName = "login"
title = "department"
"#
        );
        self.world.write("jobs/corp.toml", text);
    }

    fn export(&self, people: &[Person]) {
        self.export_under("id,login,dn,department,city,hired", people);
    }

    fn export_under(&self, header: &str, people: &[Person]) {
        let mut text = format!("{header}\n");
        for p in people {
            text.push_str(&format!("{},{},\"{}\",{},{},{}\n", p.id, p.login, p.dn, p.department, p.city, p.hired));
        }
        self.world.write("ad/users.csv", text);
    }

    /// Runs into a hold, and gives what report.json says of a threshold. The screen, `review` and `report` say its
    /// lines too.
    #[track_caller]
    fn held_by(&self, threshold: &str, lines: &[&str]) -> Value {
        self.world.muster(&["run", "corp"]).ended(4).says(&[threshold]).says(lines);
        let run = self.world.newest_run("corp");
        self.world.muster(&["review", &run]).says(lines);
        self.world.muster(&["report", &run]).says(lines);
        let report = fs::read_to_string(self.world.run_file("corp", &run, "report.json")).unwrap();
        explanation(&serde_json::from_str::<Value>(&report).unwrap()["holds"], threshold)
    }

    /// Accepts a threshold of the newest run, and runs into the next hold.
    #[track_caller]
    fn accept(&self, threshold: &str) {
        let run = self.world.newest_run("corp");
        self.world.muster(&["approve", &run, "--accept", threshold, "--comment", "known"]).says(&["accepted"]);
    }
}

/// The explanation of one excess of several.
#[track_caller]
fn explanation(excesses: &Value, threshold: &str) -> Value {
    let excess = excesses.as_array().unwrap().iter().find(|excess| excess["name"] == threshold);
    excess.unwrap_or_else(|| panic!("no {threshold} in {excesses:#}"))["explanation"].clone()
}

/// The only fact of an explanation, and what it leaves over.
#[track_caller]
fn only_fact(explanation: &Value) -> (&Value, &Value, &Value) {
    assert_eq!(explanation["facts"].as_array().unwrap().len(), 1, "{explanation:#}");
    (&explanation["facts"][0]["kind"], &explanation["facts"][0]["count"], &explanation["rest"])
}

#[test]
fn a_lost_page_is_a_range_of_rows() {
    let directory = Directory::settled();
    let mut left = people();
    // A page of twenty is gone, and two people left.
    left.drain(60..80);
    left.remove(150);
    left.remove(5);
    directory.export(&left);
    let said = "20 of 22: rows 62 to 81 of the last accepted snapshot, one after the other";
    let found = directory.held_by("ad.users/deleted/percent", &[said, "2 of 22: for other reasons"]);
    assert_eq!(only_fact(&found), (&json!("range"), &json!(20), &json!(2)));
}

#[test]
fn an_account_that_lost_sight_of_half_the_tree_names_the_subtree() {
    let directory = Directory::settled();
    let mut seen = people();
    seen.retain(|person| !person.dn.contains("OU=West"));
    directory.export(&seen);
    let said = "100 of 100: they lie in `OU=West,DC=corp`, by `dn`";
    let found = directory.held_by("ad.users/deleted/percent", &[said]);
    assert_eq!(only_fact(&found), (&json!("container"), &json!(100), &json!(0)));

    // Accepted all the same, the orders themselves are held.
    directory.accept("ad.users/deleted/percent");
    let said = "100 of 100: their source rows are gone";
    directory.held_by("vault.users/disable/percent", &[said]);
    let plan = fs::read_to_string(directory.world.run_file("corp", &directory.world.newest_run("corp"), "plan.json"));
    let plan: Value = serde_json::from_str(&plan.unwrap()).unwrap();
    let found = explanation(&plan["excesses"], "vault.users/disable/percent");
    assert_eq!(only_fact(&found), (&json!("situation"), &json!(100), &json!(0)));
}

#[test]
fn a_renamed_unit_is_one_change_in_the_snapshot_and_in_the_orders() {
    let directory = Directory::settled();
    let mut renamed = people();
    for person in renamed.iter_mut().filter(|person| person.department == "Sales") {
        person.dn = person.dn.replace("OU=Sales", "OU=Vertrieb");
        person.department = "Vertrieb".to_owned();
    }
    directory.export(&renamed);
    let found = directory.held_by("ad.users/updated/percent", &["50 of 50: `", "`: `Sales` became `Vertrieb`"]);
    assert_eq!(only_fact(&found), (&json!("replaced"), &json!(50), &json!(0)));
    directory.accept("ad.users/updated/percent");
    let found = directory.held_by("vault.users/update/percent", &["50 of 50: `title`: `Sales` became `Vertrieb`"]);
    assert_eq!(only_fact(&found), (&json!("replaced"), &json!(50), &json!(0)));
}

#[test]
fn a_column_that_changed_its_format_is_named() {
    let directory = Directory::settled();
    let mut written = people();
    for person in &mut written {
        let parts: Vec<&str> = person.hired.split('-').rev().collect();
        person.hired = parts.join(".");
    }
    // Among the usual changes of a day.
    written[7].city = "Zug".to_owned();
    directory.export(&written);
    let doubt = "ad.users/format: column `hired` changed its format: 100 % of its values are written as DD.MM.YYYY";
    let said = "200 of 200: `hired` changed its format: YYYY-MM-DD became DD.MM.YYYY";
    let found = directory.held_by("ad.users/updated/percent", &[said, doubt]);
    assert_eq!(only_fact(&found), (&json!("format"), &json!(200), &json!(0)));
}

#[test]
fn two_headers_that_were_swapped_are_named() {
    let directory = Directory::settled();
    directory.export_under("id,login,dn,city,department,hired", &people());
    let doubt = "ad.users/swapped-columns: columns `city` and `department`";
    let said = "200 of 200: the columns `department` and `city` hold each other's values";
    let found = directory.held_by("ad.users/updated/percent", &[said, doubt]);
    assert_eq!(only_fact(&found), (&json!("swapped"), &json!(200), &json!(0)));
}

#[test]
fn a_changed_scope_rule_is_named() {
    let directory = Directory::settled();
    directory.job("department != 'Sales'");
    let said = "50 of 50: the scope leaves them out, and the job file was changed";
    let found = directory.held_by("vault.users/disable/percent", &[said]);
    assert_eq!(only_fact(&found), (&json!("scope-changed"), &json!(50), &json!(0)));
}

#[test]
fn what_has_nothing_in_common_is_not_explained_away() {
    let directory = Directory::settled();
    let mut left = people();
    // Every fifteenth of the export leaves: of all departments, cities and units.
    let mut n = 0;
    left.retain(|_| {
        n += 1;
        n % 15 != 0
    });
    directory.export(&left);
    let found = directory.held_by("ad.users/deleted/percent", &["13 with nothing in common"]);
    assert_eq!((&found["facts"], &found["rest"]), (&json!([]), &json!(13)));
}
