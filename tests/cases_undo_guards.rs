//! An undo passes a plan's guards before its review.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};
use support::orders::{by_hand, id, is_blocked, order, standing};
use support::undo::{carry_out, change, revert};

/// A settled company with further lines for its vault.
fn settled_with(n: usize, vault: &str, server: &[&str]) -> Company {
    let world = World::new();
    let vault_server = world.server_with(server);
    let company = Company { world, vault: vault_server };
    company.hr(&people(n));
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{vault}"));
    company.world.write("jobs/corp.toml", job);
    company.settle();
    company
}

fn orders_of(company: &Company, run: &str) -> Vec<Value> {
    company.world.orders("corp", run)
}

#[test]
fn what_a_target_does_not_take_back_is_blocked_in_the_review_of_the_undo() {
    let company = Company::of(6);
    company.settle();
    let mut staff = people(6);
    (staff[0].family, staff[1].family) = ("One".into(), "Two".into());
    staff[2].team = "T1".into();
    let run = change(&company, &staff);
    // One of them is federated by now, and memberships are no longer taken away there.
    let path = format!("/Users/{}", company.vault.user(&staff[0].login).unwrap()["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "add", "path": "userType", "value": "Federated" }));
    let groups = "[[sync]]\nfrom = \"hr.groups\"";
    let fixed = "[[sync.fixed]]\ntarget = \"userType == 'Federated'\"\nattributes = [\"name.familyName\"]\n\n";
    let refuses = "kind = \"scim\"\nrefuses = { memberships = [\"remove\"] }\n";
    let text = company.job_text("");
    let job = text.replace(groups, &format!("{fixed}{groups}")).replace("kind = \"scim\"\n", refuses);
    company.world.write("jobs/corp.toml", job);
    let (undoing, said) = revert(&company, &run);
    said.ended(3);
    let orders = orders_of(&company, &undoing);
    let waits = order(&orders, "update", "E0001");
    is_blocked(
        waits,
        "unsupported",
        &["vault.users does not let name.familyName be changed where `userType == 'Federated'`", "revert again"],
    );
    is_blocked(order(&orders, "remove", "T1 → E0003"), "unsupported", &["vault.memberships does not offer `remove`"]);
    assert!(
        order(&orders, "update", "E0002")["block"].is_null() && order(&orders, "add", "T0 → E0003")["block"].is_null()
    );
    let refused = company.world.muster(&["approve", "corp", "--order", id(waits), "--comment", "anyhow"]);
    refused.says(&["refused", "unsupported"]);
    company.world.muster(&["review", &undoing]).says(&["unsupported", "does not let name.familyName be changed"]);
    // The cause is gone: reverting again frees it.
    company.job("");
    revert(&company, &run).1.ended(3);
    assert_eq!(standing(&company, waits), ("pending-review".to_owned(), String::new()));
    carry_out(&company);
    assert_eq!(company.vault.user(&staff[0].login).unwrap()["name"]["familyName"], "Family1");
    // What is refused altogether is an order too, so that its reviewer reads why.
    let refuses = "kind = \"scim\"\nrefuses = { users = [\"disable\"] }\n";
    company.world.write("jobs/corp.toml", text.replace("kind = \"scim\"\n", refuses));
    let first = company.world.runs("corp")[0].clone();
    company.world.muster(&["revert", &first, "--group", "create vault.users"]).ended(0);
    let orders = orders_of(&company, &company.world.newest_run("corp"));
    is_blocked(order(&orders, "disable", "E0001"), "unsupported", &["vault.users does not offer `disable`"]);
}

#[test]
fn an_undo_that_needs_a_seat_or_a_login_of_somebody_else_is_blocked() {
    let company = settled_with(3, "seats = { users = 3 }\n", &["--seats", "users=3"]);
    let mut staff = people(3);
    staff[0].enabled = false;
    let run = change(&company, &staff);
    // The seat is free still.
    let (undoing, said) = revert(&company, &run);
    said.ended(3);
    let orders = orders_of(&company, &undoing);
    let enable = order(&orders, "enable", "E0001");
    assert!(enable["block"].is_null(), "{enable:#}");
    // Somebody else has it by now, as the next run sees.
    company.vault.add_user("local@corp.example");
    company.world.muster(&["run", "corp"]);
    revert(&company, &run);
    assert_eq!(standing(&company, enable), ("blocked".to_owned(), "capacity".to_owned()));

    let company = Company::of(3);
    company.settle();
    let mut staff = people(3);
    let before = std::mem::replace(&mut staff[0].login, "married@corp.example".into());
    let run = change(&company, &staff);
    let taken = company.vault.add_user(&before);
    let (undoing, _) = revert(&company, &run);
    let orders = orders_of(&company, &undoing);
    let texts = [&*format!("userName `{before}` must be unique: `{taken}` of vault.users holds it"), "revert again"];
    is_blocked(order(&orders, "update", "E0001"), "conflict", &texts);
    company.vault.send("DELETE", &format!("/Users/{taken}"), None);
    revert(&company, &run).1.ended(3);
    carry_out(&company);
    assert_eq!(company.vault.user(&before).unwrap()["externalId"], "E0001");
}

#[test]
fn an_undo_that_waits_is_blocked_by_what_came_to_forbid_it_meanwhile() {
    let company = Company::of(4);
    company.settle();
    let mut staff = people(4);
    (staff[0].family, staff[1].family) = ("One".into(), "Two".into());
    let run = change(&company, &staff);
    let (undoing, said) = revert(&company, &run);
    said.ended(3);
    let orders = orders_of(&company, &undoing);
    let (first, second) = (order(&orders, "update", "E0001"), order(&orders, "update", "E0002"));
    company.job("[apply]\nprotect = [\"vault.users/E0001\"]\n");
    company.world.muster(&["run", "corp"]);
    assert_eq!(standing(&company, first), ("blocked".to_owned(), "protected".to_owned()));
    assert_eq!(standing(&company, second), ("pending-review".to_owned(), String::new()));
    let groups = "[[sync]]\nfrom = \"hr.groups\"";
    let fixed = "[[sync.fixed]]\ntarget = \"true\"\nattributes = [\"name.familyName\"]\n\n";
    company.world.write("jobs/corp.toml", company.job_text("").replace(groups, &format!("{fixed}{groups}")));
    company.world.muster(&["run", "corp"]);
    assert_eq!(standing(&company, second), ("blocked".to_owned(), "unsupported".to_owned()));
    company.world.muster(&["approve", "corp", "--all", "--comment", "seen"]);
    company.world.muster(&["apply", "corp"]);
    assert_eq!(company.vault.user(&staff[0].login).unwrap()["name"]["familyName"], "One");
    assert_eq!(company.vault.user(&staff[1].login).unwrap()["name"]["familyName"], "Two");
}
