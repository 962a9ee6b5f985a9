//! Who leaves while something else cannot be told; and what stays at the target because nothing takes it away.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/grants.rs"]
mod grants;
mod support;

use grants::House;
use serde_json::json;

/// Grace's row: whether she is in use, and a level that a rule reads as a number.
fn grace(house: &House, enabled: bool, level: &str) {
    let row = |key: &str, login: &str, family: &str, enabled: bool, level: &str| {
        format!("{key},{login}@corp.example,{login}@corp.example,{family},{enabled},{level}\n")
    };
    let text = [row("E1", "ada", "Lovelace", true, "5"), row("E2", "grace", "Hopper", enabled, level)].concat();
    house.world.write("hr/users.csv", format!("id,login,email,family,enabled,level\n{text}"));
}

fn order_of(house: &House, key: &str) -> serde_json::Value {
    house.orders().into_iter().find(|order| order["key"] == key).unwrap()
}

#[test]
fn who_leaves_is_disabled_though_the_scope_cannot_be_judged() {
    let house = House::new("");
    grace(&house, true, "7");
    house.job("scope = [\"int(level) > 3\"]", "");
    house.world.settle("corp");
    // In use, nothing is done about her, and that is told as long as it is so.
    grace(&house, true, "abc");
    house.world.muster(&["run", "corp"]).ended(0).says(&["the scope cannot be judged for 1 row", "`E2`"]);
    house.world.muster(&["run", "corp"]).ended(0);
    house.world.muster(&["status", "corp"]).says(&["warnings of the newest plan", "the scope cannot be judged"]);
    house.world.muster(&["list", "corp"]).says(&["incomplete", "E2", "the scope cannot be judged"]);
    // Out of use she goes, and nothing else of her is touched.
    grace(&house, false, "abc");
    house.world.muster(&["run", "corp"]).ended(3);
    let order = order_of(&house, "E2");
    assert_eq!(order["operation"], "disable");
    assert_eq!(order["changes"].as_array().unwrap().len(), 1, "{order:#}");
    assert!(order["reason"].as_str().unwrap().contains("the scope cannot be judged for row `E2`"), "{order:#}");
    assert!(order["block"].is_null(), "{order:#}");
    // It stands at the next run, and is gone once it is applied.
    house.world.muster(&["run", "corp"]).ended(3);
    house.world.muster(&["approve", "corp", "--all", "--comment", "she left"]).ended(0);
    house.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(house.vault.user("grace@corp.example").unwrap()["active"], json!(false));
    house.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn who_leaves_is_disabled_though_no_class_can_be_told() {
    let house = House::new("");
    let rules = "classify = [{ class = \"person\", when = \"int(level) > 1\", confidence = 100 }]";
    grace(&house, true, "7");
    house.job(rules, "");
    house.world.settle("corp");
    grace(&house, false, "abc");
    house.world.muster(&["run", "corp"]).ended(3);
    let order = order_of(&house, "E2");
    assert_eq!((order["operation"].as_str(), order["block"].is_null()), (Some("disable"), true), "{order:#}");
    assert!(order["reason"].as_str().unwrap().contains("a rule of the classification failed"), "{order:#}");
}

#[test]
fn roles_that_nothing_gives_any_more_are_told_with_whoever_keeps_them() {
    let table = "[sync.grants.roles]\nprecedence = \"all\"\ntable = [\n  { when = \"'vault-admins' in groups\", value = \"Administrator\" },\n  { when = \"'vault-users' in groups\", value = \"Member\" },\n]\n";
    let groups = "groups = { via = \"hr.memberships\", of = \"hr.groups\", by = \"name\" }";
    let house = House::new("");
    house.job(groups, table);
    house.world.settle("corp");
    house.world.muster(&["status", "corp"]).never_says(&["keeps it"]);
    // Out of every group: the role stays, as no rule gives another value, and that is no secret.
    house.members(&["G1,E1", "G3,E3"]);
    let told = ["1 object has a `roles` at vault.users that its row gives no value for, and keeps it: `E2`", "`clear`"];
    house.world.muster(&["run", "corp"]).ended(0).says(&told);
    house.world.muster(&["run", "corp"]).ended(0).never_says(&told);
    house.world.muster(&["status", "corp"]).says(&told);
    house.world.muster(&["list", "corp"]).says(&["every object is confirmed", "muster status corp"]);
    house.job(&format!("{groups}\nclear = [\"roles\"]"), table);
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["update E2"]);
}
