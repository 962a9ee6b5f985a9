//! A row that comes back under another key is the same person: one update, and not one account less and one more.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::company::{Company, Person, people};

/// The company's people, some of them under new numbers.
fn renumbered(n: usize, which: impl Fn(usize) -> bool) -> Vec<Person> {
    let mut all = people(n);
    for (place, person) in all.iter_mut().enumerate().filter(|(place, _)| which(*place)) {
        person.id = format!("H{}", 9_000 + place);
    }
    all
}

/// The company's job with these lines in its sync of users.
fn job(company: &Company, lines: &str, further: &str) {
    let text = company.job_text(further);
    company.world.write("jobs/corp.toml", text.replacen("required =", &format!("{lines}\nrequired ="), 1));
}

/// The source key of the user with a login, as it is linked.
fn linked(company: &Company, login: &str) -> String {
    let listed = company.world.muster(&["list", "corp", "--managed", "--format", "json"]).ended(0).json();
    let found = listed.as_array().unwrap().iter().find(|one| one["name"] == login).unwrap();
    found["source_key"].as_str().unwrap().to_owned()
}

fn ids(company: &Company) -> Vec<String> {
    company.vault.all("Users").iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_person_under_a_new_number_is_one_update_that_a_person_confirms() {
    let company = Company::of(6);
    company.settle();
    let before = ids(&company);
    let all = renumbered(6, |place| place == 0);
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(3);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", "corp"]).ended(0).says(&[
        "1 new order",
        "of these is 1 rename in vault.users",
        "update vault.users  E0001 → H9000 (user0001@corp.example)  rename  [blocked]",
        "externalId: \"E0001\" → \"H9000\"",
        "recognised as 3 of 3 compared attributes are equal (100 %): emails, name.familyName, userName",
        "blocked, low-confidence",
        "reject if they are two",
    ]);
    assert!(company.world.read(&format!("state/runs/corp/{run}/review.csv")).contains("renamed: E0001 → H9000"));
    assert_eq!(linked(&company, "user0001@corp.example"), "E0001", "planning moves no link");
    company.world.muster(&["run", "corp"]).ended(3);
    assert!(
        company.world.orders("corp", &company.world.newest_run("corp")).is_empty(),
        "it waits where it is reviewed"
    );

    company.world.muster(&["approve", "corp", "--all", "--comment", "renumbered"]).ended(0);
    assert_eq!(linked(&company, "user0001@corp.example"), "H9000", "a person said so");
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(ids(&company), before, "nobody was made anew");
    assert_eq!(company.vault.user("user0001@corp.example").unwrap()["externalId"], "H9000");

    // What muster added to a group under the old number is still its own to remove.
    let mut moved = all.clone();
    moved[0].team = "T0".into();
    company.hr(&moved);
    company.world.muster(&["run", "corp"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let words: Vec<&Value> = orders.iter().map(|order| &order["operation"]).collect();
    assert_eq!(words, ["add", "remove"], "{orders:#?}");
}

#[test]
fn whom_a_person_calls_two_are_two() {
    let company = Company::of(6);
    company.settle();
    company.hr(&renumbered(6, |place| place == 0));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["reject", "corp", "--all", "--comment", "another Family1"]).ended(0);
    company.world.muster(&["run", "corp"]);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let of_users = orders.iter().filter(|order| order["resource"] == "vault.users");
    let words: Vec<(&Value, &Value)> = of_users.map(|order| (&order["operation"], &order["key"])).collect();
    assert_eq!(words, [(&json!("create"), &json!("H9000")), (&json!("disable"), &json!("E0001"))]);
    assert_eq!(linked(&company, "user0001@corp.example"), "E0001");
}

#[test]
fn an_id_that_is_kept_needs_no_confirmation_and_the_link_moves_when_the_order_is_applied() {
    let company = Company::of(6);
    let text = company.job_text("");
    let one = "match = [{ source = \"id\", target = \"externalId\" }]\nrequired";
    let two = "match = [{ source = \"id\", target = \"externalId\" }, { source = \"login\", target = \"userName\" }]\nrequired";
    assert!(text.contains(one));
    company.world.write("jobs/corp.toml", text.replacen(one, two, 1));
    company.settle();
    company.hr(&renumbered(6, |place| place == 0));
    company.world.muster(&["run", "corp"]).ended(3);
    company.world.muster(&["review", "corp"]).ended(0).says(&[
        "E0001 → H9000 (user0001@corp.example)  rename  [pending-review]",
        "recognised by the match rule `login = userName` (100 %)",
    ]);
    company.world.muster(&["approve", "corp", "--all", "--comment", "renumbered"]).ended(0);
    assert_eq!(linked(&company, "user0001@corp.example"), "E0001", "approving alone moves nothing");
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(linked(&company, "user0001@corp.example"), "H9000");
    company.world.muster(&["run", "corp"]).ended(0);

    // Undone, it goes the other way; and that undone, the first way again.
    for arrow in ["H9000 → E0001", "E0001 → H9000"] {
        company.world.muster(&["revert", "corp"]).ended(3);
        let run = company.world.newest_run("corp");
        company.world.muster(&["review", &run]).says(&[&format!("{arrow} (user0001@corp.example)  rename  [")]);
        let csv = company.world.read(&format!("state/runs/corp/{run}/review.csv"));
        assert!(csv.contains(&format!("renamed: {arrow}")), "{csv}");
        company.world.muster(&["approve", "corp", "--all", "--comment", "back"]).ended(0);
        company.world.muster(&["apply", "corp"]).ended(0);
        assert_eq!(linked(&company, "user0001@corp.example"), "H9000", "the row is still the one there is");
    }
}

#[test]
fn a_file_with_all_its_keys_changed_is_held_as_renames() {
    let further = "[snapshot.\"hr.memberships\"]\nthresholds = { inserted = \"off\", deleted = \"off\", updated = \"off\" }\n[snapshot.\"hr.users\"]\nthresholds = { inserted = \"off\", deleted = \"off\" }\n";
    let company = Company::with(60, further);
    company.settle();
    let before = ids(&company);
    company.hr(&renumbered(60, |_| true));
    company.world.muster(&["run", "corp"]).ended(4).says(&["held: vault.users/rename/percent: 100.0 % (60 of 60)"]);
    let run = company.world.newest_run("corp");
    company.world.muster(&["review", "corp"]).ended(0).says(&["of these are 60 renames in vault.users"]).never_says(&[
        "vault.users/update/percent",
        "vault.users/create",
        "vault.users/disable",
    ]);
    let plan: Value = serde_json::from_str(&company.world.read(&format!("state/runs/corp/{run}/plan.json"))).unwrap();
    assert_eq!((&plan["renames"]["vault.users"], &plan["counts"]["vault.users"]), (&json!(60), &json!({"update": 60})));
    // Approving them accepts no threshold: nothing goes.
    company.world.muster(&["approve", &run, "--where", "renamed_from != ''", "--comment", "renumbered"]);
    company.world.muster(&["apply", "corp"]);
    assert!(company.vault.all("Users").iter().all(|user| user["externalId"].as_str().unwrap().starts_with('E')));
    let accept = ["approve", &run, "--accept", "vault.users/rename/percent", "--comment", "the new numbers"];
    company.world.muster(&accept).says(&["accepted"]);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(ids(&company), before);
    assert!(company.vault.all("Users").iter().all(|user| user["externalId"].as_str().unwrap().starts_with('H')));
}

#[test]
fn the_job_says_how_alike_two_have_to_be() {
    let company = Company::of(6);
    company.settle();
    let mut all = renumbered(6, |place| place == 0);
    all[0].family = "Married".into();
    company.hr(&all);
    company.world.muster(&["plan", "corp"]);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(orders.iter().all(|order| order.get("renamed_from").is_none()), "2 of 3 are less than 80 %");
    job(&company, "rename = { similarity = 0.6 }", "");
    company.world.muster(&["plan", "corp"]);
    company
        .world
        .muster(&["review", "corp"])
        .says(&["2 of 3 compared attributes are equal (66 %): emails, userName", "confidence 66 %"]);
    job(&company, "rename = \"off\"", "");
    company.world.muster(&["plan", "corp"]);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(orders.iter().any(|order| order["operation"] == "disable" && order["key"] == "E0001"), "{orders:#?}");
}

#[test]
fn a_namesake_who_leaves_is_not_taken_for_who_came_back_under_another_number() {
    let company = Company::of(0);
    let text = company.job_text("").replacen("userName = \"login\"\n", "title = \"family\"\n", 1);
    let made = "\n[sync.generate]\nuserName = { rule = \"family.lowerAscii()\", on_collision = \"{value}{n}\" }\n";
    let end = text.find("[sync.attributes]").unwrap();
    let next = text[end..].find("\n[[sync]]").map_or(text.len(), |at| end + at);
    company.world.write("jobs/corp.toml", format!("{}{made}{}", &text[..next], &text[next..]));
    let mut all = people(3);
    all.iter_mut().for_each(|person| person.family = "Café".into());
    company.hr(&all);
    company.settle();
    assert_eq!(company.vault.all("Users").len(), 3);
    // The first goes, and the second has a new number: nobody is made a second time.
    all.remove(0);
    all[0].id = "H9001".into();
    company.hr(&all);
    company.world.muster(&["run", "corp"]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let told: Vec<String> = orders
        .iter()
        .map(|one| format!("{} {}", one["operation"].as_str().unwrap(), one["key"].as_str().unwrap()))
        .collect();
    assert!(!told.contains(&"create H9001".to_owned()), "{told:?}");
}
