//! What must not happen, from outside: nobody is locked out, whatever is approved.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::json;
use support::World;
use support::company::{Company, Person, people};
use support::orders::{approve, by_hand, id, is_blocked, order, planned, settled, standing, user};

const NETWORK: &str = "[apply]\nprotect = [\"vault.groups/Network\"]\n";

/// Everybody but these.
fn without(n: usize, gone: &[&str]) -> Vec<Person> {
    people(n).into_iter().filter(|person| !gone.contains(&person.id.as_str())).collect()
}

/// The logins of a group's members that are active.
fn in_use(company: &Company, group: &str) -> Vec<String> {
    let users = company.vault.all("Users");
    let groups = company.vault.all("Groups");
    let group = groups.iter().find(|g| g["displayName"] == group).unwrap();
    let members = group["members"].as_array().cloned().unwrap_or_default();
    let mut logins: Vec<String> = users
        .iter()
        .filter(|user| user["active"] == true && members.iter().any(|member| member["value"] == user["id"]))
        .map(|user| user["userName"].as_str().unwrap().to_owned())
        .collect();
    logins.sort();
    logins
}

#[test]
fn the_last_members_of_a_protected_group_stay_counted_over_runs_and_operations() {
    let company = settled(6, NETWORK);
    // One of two may go, by disable and by removal.
    company.hr(&without(6, &["E0001"]));
    let first = planned(&company);
    let of_first = [order(&first, "disable", "E0001"), order(&first, "remove", "T1 → E0001")];
    assert!(of_first.iter().all(|order| order["block"].is_null()), "{first:#?}");
    // Together with the other one of a later run it may not, whichever came first and though it is approved.
    company.world.muster(&["approve", "corp", "--order", id(of_first[0]), "--comment", "left"]).ended(3);
    company.hr(&without(6, &["E0001", "E0004"]));
    let second = planned(&company);
    let of_second = [order(&second, "disable", "E0004"), order(&second, "remove", "T1 → E0004")];
    for order in of_second {
        is_blocked(
            order,
            "protected",
            &[
                "`vault.groups/Network`",
                "user in use",
                "[apply] protect",
                "`user0001@corp.example`, `user0004@corp.example`",
            ],
        );
    }
    for order in of_first.into_iter().chain(of_second) {
        assert_eq!(standing(&company, order), ("blocked".to_owned(), "protected".to_owned()), "{order:#}");
    }
    // Nothing of it can be approved, and nothing is sent.
    let refused = company.world.muster(&["approve", "corp", "--order", id(of_second[0]), "--comment", "anyhow"]);
    refused.says(&["nothing was sealed", "refused", "protected", "vault.groups/Network"]);
    approve(&company);
    company.world.muster(&["apply", "corp"]);
    assert_eq!(in_use(&company, "Network"), ["user0001@corp.example", "user0004@corp.example"]);
    // Whoever is to stay is for a person to say: then the others may go.
    for order in of_second {
        company.world.muster(&["reject", "corp", "--order", id(order), "--comment", "stays for now"]).ended(0);
    }
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, of_first[0]).0, "pending-review");
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(in_use(&company, "Network"), ["user0004@corp.example"]);
}

#[test]
fn the_block_goes_by_itself_when_somebody_else_is_in_the_group() {
    let company = settled(6, NETWORK);
    company.hr(&without(6, &["E0001", "E0004"]));
    let orders = planned(&company);
    let last = order(&orders, "disable", "E0004");
    is_blocked(last, "protected", &["Network"]);
    // A local account, which no sync knows, is a member like any other; a disabled one is none.
    let local = company.vault.add_user("break-glass@corp.example");
    let group = company.vault.all("Groups").into_iter().find(|g| g["displayName"] == "Network").unwrap();
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    by_hand(&company, &format!("/Users/{local}"), &json!({ "op": "replace", "path": "active", "value": false }));
    by_hand(&company, &path, &json!({ "op": "add", "path": "members", "value": [{ "value": local }] }));
    company.world.muster(&["run", "corp"]).ended(0);
    assert_eq!(standing(&company, last).0, "blocked");
    by_hand(&company, &format!("/Users/{local}"), &json!({ "op": "replace", "path": "active", "value": true }));
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, last), ("pending-review".to_owned(), String::new()));
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(in_use(&company, "Network"), ["break-glass@corp.example"]);
}

#[test]
fn whoever_left_after_the_plan_is_seen_before_the_last_one_is_taken() {
    for by_removal in [false, true] {
        let company = settled(6, NETWORK);
        let mut staff = people(6);
        // By disable, or out of the group alone.
        match by_removal {
            true => staff[0].team = "T2".into(),
            false => staff[0].enabled = false,
        }
        company.hr(&staff);
        planned(&company);
        approve(&company).ended(0);
        let other = user(&company, 4);
        let path = format!("/Users/{}", other["id"].as_str().unwrap());
        by_hand(&company, &path, &json!({ "op": "replace", "path": "active", "value": false }));
        let said = company.world.muster(&["--verbose", "apply", "corp"]);
        let why = "`vault.groups/Network` would be left without a user in use ([apply] protect)";
        let said =
            said.says(&["1 stale", why, "the others are gone or disabled by now"]).never_says(&["changed since"]);
        let told = said.err.lines().any(|line| line.starts_with("  `") && line.contains(&format!("`: {why}")));
        assert!(told, "the guard is what it is told to be stale for:\n{}", said.err);
        assert_eq!(in_use(&company, "Network"), ["user0001@corp.example"], "by removal: {by_removal}");
    }
}

#[test]
fn two_that_are_each_the_last_but_one_do_not_go_together() {
    let company = settled(9, NETWORK);
    // Three members, two of them go: the third leaves while the orders wait.
    company.hr(&without(9, &["E0001", "E0004"]));
    planned(&company);
    approve(&company).ended(0);
    let other = user(&company, 7);
    let group = company.vault.all("Groups").into_iter().find(|g| g["displayName"] == "Network").unwrap();
    let member = format!("members[value eq \"{}\"]", other["id"].as_str().unwrap());
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "remove", "path": member }));
    // Each request takes a while, so that both would be under way at once.
    company.vault.faults(json!({"rules": [{"method": "PATCH", "action": {"delay": {"ms": 200}}}]}));
    let said = company.world.muster(&["apply", "corp"]);
    assert_eq!(in_use(&company, "Network").len(), 1);
    said.says(&["other orders of this apply take the others away"]).never_says(&["are gone or disabled by now"]);
}

#[test]
fn the_account_that_muster_itself_uses_is_never_taken_out_of_use() {
    let world = World::new();
    let vault = world.server_with(&["--me", "user0002@corp.example"]);
    let company = Company { world, vault };
    company.hr(&people(6));
    company.job("");
    company.settle();
    let told = "known by /Me of the server";
    company.hr(&without(6, &["E0002"]));
    let orders = planned(&company);
    for (operation, key) in [("disable", "E0002"), ("remove", "T2 → E0002")] {
        is_blocked(order(&orders, operation, key), "protected", &["user0002@corp.example", "muster itself", told]);
    }
    // Neither deleted nor renamed; another attribute of it is like any other.
    let job = company.job_text("").replacen("required =", "on = { orphan = \"delete\" }\nrequired =", 1);
    company.world.write("jobs/corp.toml", job);
    is_blocked(order(&planned(&company), "delete", "E0002"), "protected", &[told]);
    let mut staff = people(6);
    staff[1].login = "other@corp.example".into();
    company.hr(&staff);
    is_blocked(order(&planned(&company), "update", "E0002"), "protected", &[told, "user0002@corp.example"]);
    staff[1] = people(2)[1].clone();
    staff[1].family = "Robot".into();
    company.hr(&staff);
    assert!(order(&planned(&company), "update", "E0002")["block"].is_null());

    // Where the server does not say, the job does.
    let company = settled(6, "");
    let job =
        company.job_text("").replace("kind = \"scim\"\n", "kind = \"scim\"\naccount = \"USER0003@corp.example\"\n");
    company.world.write("jobs/corp.toml", job);
    company.hr(&without(6, &["E0002", "E0003"]));
    let orders = planned(&company);
    is_blocked(order(&orders, "disable", "E0003"), "protected", &["known by `account` of system vault"]);
    assert!(order(&orders, "disable", "E0002")["block"].is_null());
}

#[test]
fn a_group_that_holds_the_account_of_muster_is_not_deleted() {
    let company = settled(6, "");
    let further = "account = \"user0003@corp.example\"\n";
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{further}"));
    let groups = "from = \"hr.groups\"\nto = \"vault.groups\"\n";
    let job = job.replace(groups, &format!("{groups}on = {{ orphan = \"delete\" }}\n"));
    company.world.write("jobs/corp.toml", job);
    // T0 has E0003, T1 has not.
    company.world.write("hr/groups.csv", "id,name\nT2,Payments\n");
    let orders = planned(&company);
    is_blocked(
        order(&orders, "delete", "T0"),
        "protected",
        &["`vault.groups/Databases` holds `user0003@corp.example`", "take these rights away"],
    );
    assert!(order(&orders, "delete", "T1")["block"].is_null());
}

#[test]
fn a_sync_that_keeps_one_leaves_every_group_somebody() {
    let company = settled(6, "keep_one = { end = \"group\" }\nmembers = \"authoritative\"\n");
    // Network loses both, Payments one of two.
    company.hr(&without(6, &["E0001", "E0004", "E0002"]));
    let orders = planned(&company);
    for key in ["E0001", "E0004"] {
        let texts = ["`vault.groups/Network`", "keep_one of the sync to vault.memberships"];
        is_blocked(order(&orders, "disable", key), "protected", &texts);
    }
    assert!(order(&orders, "disable", "E0002")["block"].is_null());
    // At apply too: the row of the last one stays.
    let mut staff = people(6);
    staff[0].team = "T0".into();
    company.hr(&staff);
    planned(&company);
    assert_eq!(standing(&company, order(&orders, "remove", "T1 → E0001")).0, "pending-review");
    approve(&company).ended(0);
    let path = format!("/Users/{}", user(&company, 4)["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "replace", "path": "active", "value": false }));
    company.world.muster(&["--verbose", "apply", "corp"]).says(&["1 stale", "(keep_one)"]);
    assert_eq!(in_use(&company, "Network"), ["user0001@corp.example"]);
}

#[test]
fn an_undo_locks_nobody_out_either() {
    let company = settled(6, "keep_one = { end = \"group\" }\nmembers = \"authoritative\"\n");
    let first = company.world.runs("corp")[0].clone();
    let revert = ["revert", &first, "--group", "create vault.users"];
    let undo = |status: i32| {
        company.world.muster(&revert).ended(status);
        company.world.orders("corp", &company.world.newest_run("corp"))
    };
    // All of them are the last ones together, and nothing of it can be approved.
    let orders = undo(0);
    assert_eq!(orders.len(), 6, "{orders:#?}");
    let texts = ["`vault.groups/Network`", "user in use", "keep_one of the sync to vault.memberships"];
    is_blocked(order(&orders, "disable", "E0001"), "protected", &texts);
    let names = ["`user0001@corp.example`, `user0004@corp.example`", "reject the order of whoever is to stay"];
    is_blocked(order(&orders, "disable", "E0004"), "protected", &[names[0], names[1], "and revert again"]);
    is_blocked(order(&orders, "disable", "E0002"), "protected", &["`vault.groups/Payments`"]);
    let run = company.world.newest_run("corp");
    let review = std::fs::read_to_string(company.world.run_file("corp", &run, "review.csv")).unwrap();
    assert!(review.contains("protected"), "{review}");
    let waits = order(&orders, "disable", "E0001");
    let refused = company.world.muster(&["approve", "corp", "--order", id(waits), "--comment", "anyhow"]);
    refused.says(&["refused", "protected"]);
    // What is blocked there keeps no leaver: whoever else is in the group stays.
    company.hr(&without(6, &["E0005"]));
    company.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(standing(&company, order(&orders, "disable", "E0005")).0, "pending-review");
    company.hr(&people(6));
    company.world.muster(&["run", "corp"]);
    // Where somebody else is in the group, those of it may go: only the really last ones stay.
    let local = company.vault.add_user("break-glass@corp.example");
    let group = company.vault.all("Groups").into_iter().find(|g| g["displayName"] == "Network").unwrap();
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "add", "path": "members", "value": [{ "value": local }] }));
    undo(3);
    assert_eq!(standing(&company, waits), ("pending-review".to_owned(), String::new()));
    assert_eq!(standing(&company, order(&orders, "disable", "E0002")).0, "blocked");
    approve(&company);
    company.world.muster(&["apply", "corp"]);
    assert_eq!(in_use(&company, "Network"), ["break-glass@corp.example"]);
    assert_eq!(in_use(&company, "Payments").len(), 2);

    let company = settled(6, "");
    let account = "kind = \"scim\"\naccount = \"user0003@corp.example\"\n";
    company.world.write("jobs/corp.toml", company.job_text("").replace("kind = \"scim\"\n", account));
    let first = company.world.runs("corp")[0].clone();
    let revert = ["revert", &first, "--group", "create vault.users"];
    company.world.muster(&revert).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    is_blocked(order(&orders, "disable", "E0003"), "protected", &["user0003@corp.example", "muster itself uses"]);
    let free = orders.iter().filter(|order| order["block"].is_null() && order["operation"] == "disable");
    assert_eq!((orders.len(), free.count()), (6, 5), "{orders:#?}");
}

#[test]
fn an_undo_leaves_a_protected_group_its_last_member() {
    let company = settled(6, NETWORK);
    let mut staff = people(6);
    staff[1].team = "T1".into();
    company.hr(&staff);
    planned(&company);
    let joined = company.world.newest_run("corp");
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    // The others leave the group.
    for number in [1, 4] {
        let path = format!("/Users/{}", user(&company, number)["id"].as_str().unwrap());
        by_hand(&company, &path, &json!({ "op": "replace", "path": "active", "value": false }));
    }
    company.world.muster(&["revert", &joined]).ended(3);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    let texts =
        ["`vault.groups/Network` would be left without a user in use ([apply] protect)", "user0002@corp.example"];
    is_blocked(order(&orders, "remove", "T1 → E0002"), "protected", &texts);
    assert!(order(&orders, "add", "T2 → E0002")["block"].is_null(), "{orders:#?}");
}

#[test]
fn a_group_that_keeps_one_is_looked_at_again_before_an_account_goes() {
    for operation in ["disable", "delete"] {
        let company = settled(6, "keep_one = { end = \"group\" }\n");
        let text = std::fs::read_to_string(company.world.path().join("jobs/corp.toml")).unwrap();
        let on = format!("on = {{ orphan = \"{operation}\" }}\nrequired =");
        company.world.write("jobs/corp.toml", text.replacen("required =", &on, 1));
        company.hr(&without(6, &["E0001"]));
        assert!(order(&planned(&company), operation, "E0001")["block"].is_null());
        approve(&company).ended(0);
        let path = format!("/Users/{}", user(&company, 4)["id"].as_str().unwrap());
        by_hand(&company, &path, &json!({ "op": "replace", "path": "active", "value": false }));
        let said = company.world.muster(&["--verbose", "apply", "corp"]);
        said.says(&["stale", "`vault.groups/Network` would be left without a user in use (keep_one)"]);
        assert_eq!(in_use(&company, "Network"), ["user0001@corp.example"], "{operation}");
    }
}

#[test]
fn of_several_that_are_sent_at_once_the_last_one_stays_and_a_failed_one_counts_as_there() {
    for fails in [false, true] {
        let company = settled(12, "keep_one = { end = \"group\" }\n[apply]\nwaves = [10]\n");
        // Four members, three of them go at once: the fourth leaves while the orders wait.
        company.hr(&without(12, &["E0001", "E0004", "E0007"]));
        planned(&company);
        approve(&company).ended(0);
        let path = format!("/Users/{}", user(&company, 10)["id"].as_str().unwrap());
        by_hand(&company, &path, &json!({ "op": "replace", "path": "active", "value": false }));
        let mut rules = vec![json!({"method": "PATCH", "prefix": "/Users", "action": {"delay": {"ms": 300}}})];
        if fails {
            let refuse = json!({"status": {"code": 400}});
            // The first one only proves that a wrong tag is refused.
            rules.push(json!({"method": "PATCH", "prefix": "/Users", "when": {"nth": 2}, "action": refuse}));
        }
        company.vault.faults(json!({ "rules": rules }));
        let said = company.world.muster(&["--verbose", "apply", "corp"]);
        assert_eq!(in_use(&company, "Network").len(), 1, "fails: {fails} {said:#?}");
        // The rows of those who went go too; that of the one who stays does not.
        said.says(&[if fails { "orders: 4 applied, 1 errored, 1 stale" } else { "orders: 4 applied, 2 stale" }]);
    }
}

#[test]
fn a_condition_of_keep_one_holds_at_the_last_look_too() {
    let company = settled(6, "");
    let glass = company.vault.add_user("break-glass@corp.example");
    let group = company.vault.all("Groups").into_iter().find(|g| g["displayName"] == "Network").unwrap();
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "add", "path": "members", "value": [{ "value": glass }] }));
    // Whoever breaks the glass is nobody who keeps a group.
    company.job(&format!("keep_one = {{ end = \"group\", scope = \"user != '{glass}'\" }}\n"));
    let mut staff = people(6);
    staff[0].team = "T2".into();
    company.hr(&staff);
    assert!(order(&planned(&company), "remove", "T1 → E0001")["block"].is_null());
    approve(&company).ended(0);
    let other = format!("/Users/{}", user(&company, 4)["id"].as_str().unwrap());
    by_hand(&company, &other, &json!({ "op": "replace", "path": "active", "value": false }));
    let said = company.world.muster(&["--verbose", "apply", "corp"]);
    said.says(&["stale", "without a user in use with `user != "]);
    assert_eq!(in_use(&company, "Network"), ["break-glass@corp.example", "user0001@corp.example"]);
}

#[test]
fn where_the_memberships_are_held_nobody_is_taken_for_counted() {
    let company = settled(6, "");
    let limit = "[snapshot.\"vault.memberships\"]\nthresholds = { deleted = { count = 0 } }\n";
    company.job(&format!("keep_one = {{ end = \"group\" }}\n{limit}"));
    let group = company.vault.all("Groups").into_iter().find(|g| g["displayName"] == "Network").unwrap();
    let member = format!("members[value eq \"{}\"]", user(&company, 4)["id"].as_str().unwrap());
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    by_hand(&company, &path, &json!({ "op": "remove", "path": member }));
    company.hr(&without(6, &["E0001"]));
    let said = company.world.muster(&["run", "corp"]).ended(4);
    said.says(&[
        "vault.memberships/deleted/count",
        "nobody was counted (keep_one of the sync to vault.memberships) for 1 order: vault is asked",
    ]);
    let orders = company.world.orders("corp", &company.world.newest_run("corp"));
    assert!(order(&orders, "disable", "E0001")["block"].is_null());
    approve(&company);
    company.world.muster(&["--verbose", "apply", "corp"]).says(&["stale", "(keep_one)"]);
    assert_eq!(in_use(&company, "Network"), ["user0001@corp.example"]);

    // A target that cannot be asked later: blocked, and free again with the snapshot.
    let world = World::new();
    world.write("hr/users.csv", "id,name,enabled\nE1,Ann,true\nE2,Bob,true\n");
    world.write("hr/groups.csv", "id,name\nG1,Servers\n");
    world.write("hr/memberships.csv", "group,user\nG1,E1\nG1,E2\n");
    world.write("vault/users.csv", "id,userName,active\nu1,Ann,true\nu2,Bob,true\nu3,Cyd,true\n");
    world.write("vault/groups.csv", "id,displayName\ng1,Servers\n");
    world.write("vault/memberships.csv", "group,user\ng1,u1\ng1,u2\ng1,u3\n");
    let job = r#"name = "corp"
systems.hr = { kind = "csv", path = "../hr" }
systems.vault = { kind = "csv", path = "../vault", orders = "../orders" }
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "name", target = "userName" }]
attributes = { userName = "name", active = "enabled" }
[[sync]]
from = "hr.groups"
to = "vault.groups"
match = [{ source = "name", target = "displayName" }]
attributes = { displayName = "name" }
[[sync]]
from = "hr.memberships"
to = "vault.memberships"
ends = { user = ["hr.users", "vault.users"], group = ["hr.groups", "vault.groups"] }
keep_one = { end = "group" }
[snapshot."vault.memberships"]
thresholds = { deleted = { count = 0 } }
"#;
    world.write("jobs/corp.toml", job);
    world.muster(&["run", "corp"]).ended(0);
    world.write("hr/users.csv", "id,name,enabled\nE1,Ann,false\nE2,Bob,true\n");
    world.write("vault/memberships.csv", "group,user\ng1,u1\ng1,u2\n");
    world.muster(&["run", "corp"]).ended(4);
    let held = world.newest_run("corp");
    let orders = world.orders("corp", &held);
    let texts =
        ["the snapshot of vault.memberships may not be used in this run", "cannot be asked when orders are sent"];
    is_blocked(order(&orders, "disable", "E1"), "protected", &texts);
    world.muster(&["approve", &held, "--accept", "vault.memberships/deleted/count", "--comment", "Cyd left"]);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "left"]).ended(0).says(&["1 "]);
}

#[test]
fn the_last_owner_of_a_container_stays() {
    let world = World::new();
    world.write("hr/users.csv", "id,name\nE1,Ann\nE2,Bob\nE3,Cyd\n");
    world.write("hr/containers.csv", "id,name\nC1,Servers\nC2,Routers\n");
    world.write("vault/users.csv", "id,userName,active\nu1,Ann,true\nu2,Bob,true\nu3,Cyd,false\n");
    world.write("vault/containers.csv", "id,displayName\nv1,Servers\nv2,Routers\n");
    // Ann owns Servers, Bob may look; Routers is owned by Bob and by Cyd, who is disabled.
    let permissions = "container,user,right\nv1,u1,Owner\nv1,u2,View\nv2,u2,Owner\nv2,u3,Owner\n";
    world.write("vault/permissions.csv", permissions);
    world.write("hr/permissions.csv", "container,user\nC1,E2\nC2,E3\n");
    let job = |keep: &str| {
        format!(
            r#"name = "rights"
systems.hr = {{ kind = "csv", path = "../hr" }}
systems.vault = {{ kind = "csv", path = "../vault", orders = "../orders", keys = {{ permissions = ["container", "user"] }} }}

[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "name", target = "userName" }}]
attributes = {{ userName = "name" }}

[[sync]]
from = "hr.containers"
to = "vault.containers"
match = [{{ source = "name", target = "displayName" }}]
attributes = {{ displayName = "name" }}

[[sync]]
from = "hr.permissions"
to = "vault.permissions"
ends = {{ user = ["hr.users", "vault.users"], container = ["hr.containers", "vault.containers"] }}
members = "authoritative"
{keep}"#
        )
    };
    world.write("jobs/rights.toml", job("keep_one = { end = \"container\", scope = \"right == 'Owner'\" }\n"));
    // Nothing waits for a person: both can only be blocked.
    world.muster(&["run", "rights"]).ended(0);
    let orders = world.orders("rights", &world.newest_run("rights"));
    let owner = "user in use with `right == 'Owner'`";
    is_blocked(order(&orders, "remove", "C1 → E1"), "protected", &["vault.containers/Servers", owner, "`Ann`"]);
    is_blocked(order(&orders, "remove", "C2 → E2"), "protected", &["vault.containers/Routers", owner, "`Bob`"]);
    // Without the setting, both go.
    world.write("jobs/rights.toml", job(""));
    world.muster(&["run", "rights"]).ended(3);
    world.muster(&["approve", "rights", "--all", "--comment", "as HR says"]).ended(0).says(&["2 "]);
    // A condition on a column that is not there, and an end that is not: told, not ignored.
    world.write("jobs/rights.toml", job("keep_one = { end = \"container\", scope = \"role == 'Owner'\" }\n"));
    world.muster(&["run", "rights"]).ended(1).says(&["role"]);
    world.write("jobs/rights.toml", job("keep_one = { end = \"containr\", scope = \"right = 'Owner'\" }\n"));
    world.muster(&["run", "rights"]).ended(2).says(&[
        "`containr`",
        "did you mean `container`?",
        "rights.toml:22:47: cannot be read from here",
    ]);
}
