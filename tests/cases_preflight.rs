//! What cannot succeed, from outside: it is blocked before a person reviews it, and free again when its cause is gone.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::json;
use support::World;
use support::company::{Company, people};
use support::orders::{approve, by_hand, id, is_blocked, order, planned, settled, standing, user};

/// A company on a vault with so many seats, whose job knows of them or not.
fn seated(seats: u64, n: usize, told: Option<u64>) -> Company {
    let world = World::new();
    let vault = world.server_with(&["--seats", &format!("users={seats}")]);
    let company = Company { world, vault };
    company.hr(&people(n));
    let seats = told.map_or_else(String::new, |told| format!("seats = {{ users = {told} }}\n"));
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{seats}"));
    company.world.write("jobs/corp.toml", job);
    company
}

#[test]
fn case_k3_creates_beyond_the_seats_are_blocked_before_the_first_is_sent() {
    let company = seated(4, 3, Some(4));
    // Taken by an account that no sync knows; one that is disabled takes none.
    company.vault.add_user("local@corp.example");
    let off = company.vault.add_user("off@corp.example");
    by_hand(&company, &format!("/Users/{off}"), &json!({ "op": "replace", "path": "active", "value": false }));
    company.settle();
    // No seat is left: neither for a new person nor for one who comes back.
    let mut staff = people(5);
    staff[4].enabled = false;
    company.hr(&staff);
    let orders = planned(&company);
    let waits = order(&orders, "create", "E0004");
    is_blocked(waits, "capacity", &["vault.users", "none of its 4 seats is free", "number 1"]);
    assert!(order(&orders, "create", "E0005")["block"].is_null(), "whoever is disabled needs no seat: {orders:#?}");
    let refused = company.world.muster(&["approve", "corp", "--order", id(waits), "--comment", "anyhow"]);
    refused.ended(3).says(&["refused", "capacity"]);
    // A seat is freed: the block goes by itself, and the create through.
    let local = company.vault.user("local@corp.example").unwrap();
    company.vault.send("DELETE", &format!("/Users/{}", local["id"].as_str().unwrap()), None);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, waits), ("pending-review".to_owned(), String::new()));
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(user(&company, 4)["active"], true);
}

#[test]
fn case_k3_a_row_goes_on_together_with_the_account_that_had_no_seat() {
    let company = seated(4, 3, Some(4));
    let local = company.vault.add_user("local@corp.example");
    company.settle();
    company.hr(&people(4));
    let orders = planned(&company);
    let (create, row) = (order(&orders, "create", "E0004"), order(&orders, "add", "T1 → E0004"));
    company.world.muster(&["run", "corp"]);
    assert_eq!(standing(&company, create).0, "blocked");
    assert_eq!(standing(&company, row).0, "blocked", "it needs the account");
    company.vault.send("DELETE", &format!("/Users/{local}"), None);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, create), ("pending-review".to_owned(), String::new()));
    assert_eq!(standing(&company, row), ("pending-review".to_owned(), String::new()), "not a run later");
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(0);
}

#[test]
fn case_k3_a_capacity_error_stops_the_remaining_creates_and_nothing_else() {
    let company = seated(3, 3, None);
    company.settle();
    let mut staff = people(6);
    staff[0].family = "Renamed".into();
    company.hr(&staff);
    planned(&company);
    approve(&company).ended(0);
    let run = company.world.newest_run("corp");
    let said = company.world.muster(&["--verbose", "apply", "corp"]).ended(5);
    said.says(&["No seat is free: all 3 licences are in use", "no licence or seat is free"]);
    let orders = company.world.orders("corp", &run);
    let states: Vec<String> =
        ["E0004", "E0005", "E0006"].iter().map(|key| standing(&company, order(&orders, "create", key)).0).collect();
    assert_eq!(states.iter().filter(|state| *state == "errored").count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| *state == "approved").count(), 2, "{states:?}");
    assert_eq!(user(&company, 1)["name"]["familyName"], "Renamed");
}

#[test]
fn case_d5_what_the_target_does_not_take_is_blocked_before_review() {
    let company = settled(4, "");
    let refuses = "refuses = { users = [\"create\"], memberships = [\"add\"] }\n";
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{refuses}"));
    company.world.write("jobs/corp.toml", job);
    let mut staff = people(5);
    staff[0].family = "Renamed".into();
    staff[0].team = "T2".into();
    company.hr(&staff);
    let orders = planned(&company);
    let create = order(&orders, "create", "E0005");
    is_blocked(create, "unsupported", &["vault.users does not offer `create`", "update"]);
    is_blocked(order(&orders, "add", "T2 → E0001"), "unsupported", &["vault.memberships does not offer `add`"]);
    assert!(order(&orders, "update", "E0001")["block"].is_null());
    let refused = company.world.muster(&["approve", "corp", "--order", id(create), "--comment", "anyhow"]);
    refused.ended(3).says(&["refused", "unsupported"]);
    // The target has learned it meanwhile.
    company.job("");
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, create).0, "pending-review");
}

#[test]
fn case_d11_attributes_of_federated_users_are_not_even_tried() {
    let company = settled(4, "");
    let federated = user(&company, 1);
    let path = format!("/Users/{}", federated["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "add", "path": "userType", "value": "Federated" }));
    let fixed =
        "[[sync.fixed]]\ntarget = \"userType == 'Federated'\"\nattributes = [\"name.familyName\", \"emails\"]\n\n";
    let groups = "[[sync]]\nfrom = \"hr.groups\"";
    let job = company.job_text("").replace(groups, &format!("{fixed}{groups}"));
    company.world.write("jobs/corp.toml", &job);
    let mut staff = people(4);
    staff[0].family = "Renamed".into();
    staff[1].family = "Renamed".into();
    company.hr(&staff);
    let orders = planned(&company);
    is_blocked(
        order(&orders, "update", "E0001"),
        "unsupported",
        &["vault.users does not let name.familyName be changed where `userType == 'Federated'`"],
    );
    assert!(order(&orders, "update", "E0002")["block"].is_null());
    // Their accounts are disabled like any other.
    let mut staff = people(4);
    staff[0].enabled = false;
    company.hr(&staff);
    assert!(order(&planned(&company), "disable", "E0001")["block"].is_null());
    // A slip of the pen is told.
    company.world.write("jobs/corp.toml", job.replace("\"emails\"]\n\n[[", "\"email\"]\n\n[["));
    company.world.muster(&["check", "corp"]).ended(2).says(&["`email` is no mapped attribute; did you mean `emails`?"]);
}

#[test]
fn case_p7_a_login_that_another_order_frees_says_which_one_goes_first() {
    let company = settled(4, "");
    let mut staff = people(4);
    // E0002 takes over the login of E0001, who gets another one.
    staff[1].login = staff[0].login.clone();
    staff[0].login = "first@corp.example".into();
    company.hr(&staff);
    let orders = planned(&company);
    let waits = order(&orders, "update", "E0002");
    let first = order(&orders, "update", "E0001");
    is_blocked(
        waits,
        "conflict",
        &["user0001@corp.example", "the `update` of", "`E0001`", "approve and apply that one first"],
    );
    assert!(first["block"].is_null(), "{first:#}");
    company.world.muster(&["approve", "corp", "--order", id(first), "--comment", "first"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, waits).0, "pending-review");
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(user(&company, 1)["externalId"], "E0002");
    // Two that exchange their logins wait for ever, unless a person gives one of them a third.
    let login = staff[2].login.clone();
    staff[2].login = std::mem::replace(&mut staff[3].login, login);
    company.hr(&staff);
    let orders = planned(&company);
    for key in ["E0003", "E0004"] {
        is_blocked(order(&orders, "update", key), "conflict", &["each holds what the other wants", "a third value"]);
    }
}

#[test]
fn case_p7_two_syncs_that_want_one_login_are_both_named() {
    let company = Company::of(2);
    company.world.write("hr/guests.csv", "id,login\nG1,User0002@corp.example\nG2,guest@corp.example\n");
    let guests = r#"
[[sync]]
from = "hr.guests"
to = "vault.users"
match = [{ source = "id", target = "externalId" }]
unique = ["userName"]
attributes = { externalId = "id", userName = "login" }
"#;
    company.job(guests);
    let orders = planned(&company);
    is_blocked(
        order(&orders, "create", "E0002"),
        "conflict",
        &["user0002@corp.example", "`E0002` of hr.users", "`G1` of hr.guests"],
    );
    is_blocked(order(&orders, "create", "G1"), "conflict", &["`G1` of hr.guests", "`E0002` of hr.users"]);
    assert!(order(&orders, "create", "G2")["block"].is_null());
    approve(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 2);
}

#[test]
fn what_only_the_schema_of_the_target_says_is_unique_is_foreseen() {
    let company = settled(3, "");
    // The job says nothing of it; the server's schema does, of logins and of groups' names, whatever their case.
    let unique = "unique = [\"userName\"]\n";
    assert!(company.job_text("").contains(unique));
    company.world.write("jobs/corp.toml", company.job_text("").replace(unique, ""));
    company.vault.add_user("Local@corp.example");
    let mut staff = people(7);
    staff[3].login = "Twice@corp.example".into();
    staff[4].login = "twice@corp.example".into();
    staff[5].login = "LOCAL@corp.example".into();
    staff[0].login = "local@corp.example".into();
    company.hr(&staff);
    company.world.write("hr/groups.csv", "id,name\nT0,Databases\nT1,Network\nT2,Payments\nT3,NETWORK\n");
    let orders = planned(&company);
    let both = ["userName", "must be unique", "row `E0004` and `E0005` of hr.users both want it"];
    is_blocked(order(&orders, "create", "E0004"), "conflict", &both);
    is_blocked(order(&orders, "create", "E0005"), "conflict", &["`E0005` and `E0004` of hr.users both want it"]);
    let held = ["local@corp.example", "(not managed) of vault.users holds it"];
    is_blocked(order(&orders, "create", "E0006"), "conflict", &held);
    is_blocked(order(&orders, "update", "E0001"), "conflict", &held);
    is_blocked(order(&orders, "create", "T3"), "conflict", &["displayName `network` must be unique", "`T1`"]);
    assert!(order(&orders, "create", "E0007")["block"].is_null());
    // Nothing of it is tried, and the rest goes through.
    approve(&company);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(company.vault.all("Users").len(), 5);
    // An e-mail address, which may be shared, is nobody's alone.
    staff[6].email = staff[1].email.clone();
    company.hr(&staff);
    assert!(order(&planned(&company), "update", "E0007")["block"].is_null());
}
