//! Attributes that refer to other objects: the order of creation, circles, and whoever is referred to and is not there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::company::systems;
use support::{Server, World};

const MANAGER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A department whose people name their managers, and a vault that takes no manager who is not there.
struct Department {
    world: World,
    vault: Server,
}

impl Department {
    /// `key > manager`, one a person.
    fn of(people: &[&str]) -> Self {
        Self::with(people, "", "")
    }

    /// The same, with lines in the sync and at the end of the job file.
    fn with(people: &[&str], lines: &str, further: &str) -> Self {
        let world = World::new();
        let vault = world.server();
        vault.faults(json!({"rules": [{"action": "strict-references"}]}));
        let department = Self { world, vault };
        department.people(people);
        department.job(&format!("\"{MANAGER}\" = {{ source = \"boss\" }}"), lines, further);
        department
    }

    fn job(&self, reference: &str, lines: &str, further: &str) {
        let systems = systems("hr", &self.vault.url);
        let text = format!(
            r#"name = "dept"

{systems}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
{lines}

[sync.attributes]
externalId = "id"
userName = "id"
title = "title"
active = "enabled"

[sync.references]
{reference}

{further}
"#
        );
        self.world.write("jobs/dept.toml", text);
    }

    /// What HR drops: `key > manager`, in this order of rows.
    fn people(&self, people: &[&str]) {
        let mut text = String::from("id,boss,mail,title,enabled\n");
        for person in people {
            let (key, boss) = person.split_once('>').unwrap_or((person, ""));
            let (key, boss) = (key.trim(), boss.trim());
            text.push_str(&format!("{key},{boss},{key}@corp.example,,true\n"));
        }
        self.world.write("hr/users.csv", text);
    }

    /// `key > manager` of everybody in the vault, sorted; managers by their own keys.
    fn held(&self) -> Vec<String> {
        let users = self.vault.all("Users");
        let key = |id: &Value| {
            users.iter().find(|user| user["id"] == *id).map(|user| user["externalId"].as_str().unwrap().to_owned())
        };
        let show = |user: &Value| {
            let own = user["externalId"].as_str().unwrap();
            match &user[ENTERPRISE]["manager"]["value"] {
                Value::Null => own.to_owned(),
                id => format!("{own} > {}", key(id).unwrap_or_else(|| format!("nobody ({id})"))),
            }
        };
        let mut held: Vec<String> = users.iter().map(show).collect();
        held.sort();
        held
    }

    /// `operation key` of each order of the newest run, in the plan's sequence, with its block.
    fn orders(&self) -> Vec<String> {
        let orders = self.world.orders("dept", &self.world.newest_run("dept"));
        let show = |order: &Value| {
            let block = order["block"]["reason"].as_str().map(|reason| format!(" ! {reason}")).unwrap_or_default();
            format!("{} {}{block}", order["operation"].as_str().unwrap(), order["key"].as_str().unwrap())
        };
        orders.iter().map(show).collect()
    }

    #[track_caller]
    fn approve_and_apply(&self) {
        self.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
        self.world.muster(&["apply", "dept"]).ended(0);
    }

    /// Both sides agree: the next run has nothing to do.
    #[track_caller]
    fn is_settled(&self, held: &[&str]) {
        self.world.muster(&["run", "dept"]).ended(0);
        assert_eq!(self.held(), held);
        assert!(self.orders().is_empty(), "{:?}", self.orders());
    }
}

#[test]
fn three_levels_whose_rows_come_in_the_worst_order_come_in_one_apply() {
    // Reports before their managers, and both before the head; more of them than a first wave takes.
    let mut people: Vec<String> = (10..40).map(|n| format!("E{n} > M{}", n % 3)).collect();
    people.extend(["M0 > Z", "M1 > Z", "M2 > Z", "Z"].map(str::to_owned));
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let department = Department::of(&people);
    department.world.muster(&["run", "dept"]).ended(3);
    let of_e10 = department.world.orders("dept", &department.world.newest_run("dept")).remove(0);
    assert_eq!(of_e10["references"][0]["key"], "M1");
    department.approve_and_apply();
    let mut expected = people.clone();
    expected.sort_unstable();
    department.is_settled(&expected);

    // A new head: those who report to the old one are updated, after the new one is there.
    let mut moved = people.clone();
    moved.retain(|person| !person.starts_with("M0"));
    moved.extend(["M0 > A", "A > Z"]);
    department.people(&moved);
    department.world.muster(&["run", "dept"]).ended(3);
    assert_eq!(department.orders(), ["create A", "update M0"]);
    department.world.muster(&["review", "dept"]).ended(0).says(&[&format!("{MANAGER} is `A`, which o-")]);
    department.approve_and_apply();
    moved.sort_unstable();
    department.is_settled(&moved);
}

#[test]
fn a_circle_of_three_is_closed_by_an_update_in_the_same_plan_and_a_head_may_be_their_own() {
    let department =
        Department::with(&["A > B", "B > C", "C > A", "CEO > CEO"], "[sync.thresholds]\nupdate = { count = 0 }", "");
    // Lines of a table of its own have to stand after the sync's keys.
    department.world.muster(&["run", "dept"]).ended(3);
    let creates = ["create A", "create B", "create C", "create CEO"];
    assert_eq!(department.orders(), [&creates[..], &["update C", "update CEO"]].concat());
    department.world.muster(&["review", "dept"]).ended(0).says(&["it is set when both are there"]);
    // Under review it stays as it is.
    department.world.muster(&["run", "dept"]).ended(3);
    assert!(department.orders().is_empty(), "{:?}", department.orders());
    department.approve_and_apply();
    department.is_settled(&["A > B", "B > C", "C > A", "CEO > CEO"]);
}

#[test]
fn a_circle_that_was_created_in_part_is_closed_by_what_was_approved() {
    let department = Department::of(&["A > B", "B > A"]);
    department.world.muster(&["plan", "dept"]).ended(3);
    assert_eq!(department.orders(), ["create A", "create B", "update B"]);
    department.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
    department.world.muster(&["apply", "dept", "--first", "1"]);
    assert_eq!(department.held(), ["B"], "whom nobody waits for goes first");
    // The next run finds B there, and takes the approved orders for what they are.
    department.world.muster(&["run", "dept"]).ended(0);
    assert!(department.orders().is_empty(), "{:?}", department.orders());
    department.is_settled(&["A > B", "B > A"]);
}

#[test]
fn a_manager_who_is_missing_is_told_and_set_when_there_is_one() {
    let department = Department::of(&["A > GONE", "B"]);
    department.world.muster(&["run", "dept"]).ended(3).says(&[
        "manager.value of vault.users refers to nobody and is left as it is, for 1 row: `GONE` (no row of hr.users goes by it)",
    ]);
    department.approve_and_apply();
    assert_eq!(department.held(), ["A", "B"]);
    department.people(&["A > GONE", "B", "GONE"]);
    department.world.muster(&["run", "dept"]).ended(3);
    assert_eq!(department.orders(), ["create GONE", "update A"]);
    department.approve_and_apply();
    department.is_settled(&["A > GONE", "B", "GONE"]);

    // Where nobody may be without one, it blocks, and clears itself.
    department.job(&format!("\"{MANAGER}\" = {{ source = \"boss\" }}"), &format!("required = [\"{MANAGER}\"]"), "");
    department.people(&["A > GONE", "B", "GONE", "N > WHO"]);
    department.world.muster(&["run", "dept"]);
    assert_eq!(department.orders(), ["create N ! missing-reference"]);
    department
        .world
        .muster(&["review", "dept"])
        .says(&["is required and refers to `WHO`, but no row of hr.users goes by it"]);
    department.people(&["A > GONE", "B", "GONE", "N > A"]);
    department.world.muster(&["run", "dept"]).ended(3);
    assert_eq!(department.orders(), ["create N"]);
    department.approve_and_apply();
    department.is_settled(&["A > GONE", "B", "GONE", "N > A"]);
}

#[test]
fn a_manager_whose_order_of_an_earlier_run_still_waits_is_referred_to_by_it() {
    let department = Department::of(&["M"]);
    department.world.muster(&["run", "dept"]).ended(3);
    let earlier = department.world.orders("dept", &department.world.newest_run("dept")).remove(0);
    department.people(&["A > M", "M"]);
    department.world.muster(&["run", "dept"]).ended(3);
    let later = department.world.orders("dept", &department.world.newest_run("dept"));
    assert_eq!((later.len(), &later[0]["references"][0]["object"]["order"]), (1, &earlier["id"]));
    department.approve_and_apply();
    department.is_settled(&["A > M", "M"]);
}

#[test]
fn whoever_needs_a_manager_who_is_rejected_is_blocked_and_goes_without_in_the_next_plan() {
    let department = Department::of(&["A > M", "B > A", "M"]);
    department.world.muster(&["run", "dept"]).ended(3);
    let run = department.world.newest_run("dept");
    let orders = department.world.orders("dept", &run);
    let of_m = orders.iter().find(|order| order["key"] == "M").unwrap()["id"].as_str().unwrap().to_owned();
    department.world.muster(&["reject", "dept", "--order", &of_m, "--comment", "not yet"]).says(&["missing-reference"]);
    department.world.muster(&["review", "dept"]).says(&["it needs M, and the order that creates it", "is rejected"]);
    department.world.muster(&["run", "dept"]).ended(3).says(&["`A` goes without", "it refers to `M`", "was rejected"]);
    assert_eq!(department.orders(), ["create A"], "B is free again with A");
    department.approve_and_apply();
    department.is_settled(&["A", "B > A"]);
}

#[test]
fn who_errored_holds_back_those_who_refer_to_them_and_nobody_else() {
    let department = Department::of(&["A > M", "M", "X"]);
    department.world.muster(&["run", "dept"]).ended(3);
    // Somebody takes the login after the plan foresaw nothing of it.
    let taken = department.vault.add_user("M");
    department.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
    department.world.muster(&["apply", "dept"]).ended(5);
    let there: Vec<Value> = department.vault.all("Users").iter().map(|user| user["userName"].clone()).collect();
    assert_eq!(there, [json!("M"), json!("X")]);
    let (status, _) = department.vault.send("DELETE", &format!("/Users/{taken}"), None);
    assert_eq!(status, 204);
    department.world.muster(&["retry", "dept"]).ended(0);
    department.world.muster(&["apply", "dept"]).ended(0);
    department.is_settled(&["A > M", "M", "X"]);
}

#[test]
fn killed_in_the_middle_and_applied_again_nothing_is_lost_or_done_twice() {
    // A chain: whenever it is killed, somebody is there and somebody is not.
    let mut people: Vec<String> = (1..12).map(|n| format!("E{:02} > E{n:02}", n + 1)).collect();
    people.push("E01 > E12".to_owned());
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let department = Department::of(&people);
    department.world.muster(&["run", "dept"]).ended(3);
    department.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
    department.vault.faults(json!({"rules": [
        {"action": "strict-references"},
        {"method": "POST", "action": {"delay-after": {"ms": 200}}},
    ]}));
    let mut apply =
        department.world.command(&["apply", "dept"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while department.vault.all("Users").len() < 5 {
        assert!(apply.try_wait().unwrap().is_none(), "it ended before it could be killed");
    }
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert!(department.vault.all("Users").len() < 12);
    department.world.muster(&["apply", "dept"]).ended(0);
    let mut expected = people.clone();
    expected.sort_unstable();
    department.is_settled(&expected);
}

#[test]
fn whoever_leaves_is_deleted_after_those_who_name_them() {
    let department = Department::with(&["A > B", "B > C", "C", "X > C"], "on = { orphan = \"delete\" }", "");
    let _ = department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    department.people(&["X"]);
    department.job(
        &format!("\"{MANAGER}\" = {{ source = \"boss\" }}"),
        &format!("on = {{ orphan = \"delete\" }}\nclear = [\"{MANAGER}\"]"),
        "[snapshot.\"hr.users\"]\nthresholds = { deleted = \"off\" }",
    );
    department.world.muster(&["run", "dept"]).ended(3);
    assert_eq!(department.orders(), ["update X", "delete A", "delete B", "delete C"]);
    department.approve_and_apply();
    department.is_settled(&["X"]);
}

/// A department that deletes whoever leaves, settled, in which only these are left.
fn left(people: &[&str], remain: &[&str], further: &str) -> Department {
    let further = format!("{further}[snapshot.\"hr.users\"]\nthresholds = {{ deleted = \"off\" }}");
    let department = Department::with(people, "on = { orphan = \"delete\" }", &further);
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    department.people(remain);
    department.world.muster(&["run", "dept"]).ended(3);
    department
}

#[test]
fn a_circle_of_leavers_is_opened_by_an_update_before_they_are_deleted() {
    let people = ["A > B", "B > C", "C > A", "D > A", "P > Q", "Q > P", "CEO > CEO", "X"];
    let department = left(&people, &["X"], "");
    let deletes = ["A", "B", "C", "CEO", "D", "P", "Q"].map(|key| format!("delete {key}"));
    let expected: Vec<String> = ["update A", "update P"].map(str::to_owned).into_iter().chain(deletes).collect();
    assert_eq!(department.orders(), expected);
    department.world.muster(&["review", "dept"]).says(&["it is cleared first", "of `A` refers to it, which o-"]);
    // Under review it stays as it is, as it does when a part of it is done.
    department.world.muster(&["run", "dept"]).ended(3);
    assert!(department.orders().is_empty(), "{:?}", department.orders());
    department.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
    department.world.muster(&["apply", "dept", "--first", "1"]);
    assert_eq!(department.held()[0], "A");
    department.world.muster(&["run", "dept"]).ended(0);
    department.is_settled(&["X"]);
}

#[test]
fn who_may_not_be_cleared_is_left_and_what_hangs_on_it_is_blocked() {
    let department = left(&["A > B", "B > A", "X"], &["X"], "");
    let orders = department.world.orders("dept", &department.world.newest_run("dept"));
    let update = orders.iter().find(|order| order["operation"] == "update").unwrap()["id"].as_str().unwrap();
    let delete = orders.iter().find(|order| order["operation"] == "delete" && order["key"] == "B").unwrap();
    assert_eq!(delete["after"], *update);
    let reject = ["reject", "dept", "--order", update, "--comment", "not yet"];
    department.world.muster(&reject).says(&["missing-reference"]);
    department.world.muster(&["review", "dept"]).says(&["A refers to it, and the order that clears that", "rejected"]);
    department.world.muster(&["run", "dept"]);
    assert!(department.orders().is_empty(), "{:?}", department.orders());
    department.world.muster(&["plan", "dept", "--ask-again"]).ended(3);
    assert_eq!(department.orders(), ["update A", "delete B"]);
    department.approve_and_apply();
    department.is_settled(&["X"]);

    // One whose manager the target does not let be changed keeps theirs: the other one's is cleared.
    let fixed = "[[sync.fixed]]\ntarget = \"userName == 'A'\"\n\n";
    let department = left(&["A > B", "B > A", "X"], &["X"], fixed);
    assert_eq!(department.orders(), ["update B", "delete A", "delete B"]);
    department.approve_and_apply();
    department.is_settled(&["X"]);
}

#[test]
fn the_deletes_of_a_circle_wait_for_each_other() {
    let department = left(&["A > B", "B > C", "C > A", "X"], &["X"], "");
    let run = department.world.newest_run("dept");
    let orders = department.world.orders("dept", &run);
    let of = |operation: &str, key: &str| {
        let found = orders.iter().find(|order| order["operation"] == operation && order["key"] == key);
        found.unwrap_or_else(|| panic!("no {operation} of {key} in {orders:#?}"))
    };
    for (delete, first) in [("B", of("update", "A")), ("C", of("delete", "B")), ("A", of("delete", "C"))] {
        assert_eq!(of("delete", delete)["after"], first["id"]);
    }
    // Without the update none is sent that the target could only refuse, and later runs leave it so.
    let deletes = ["approve", "dept", "--where", "operation == 'delete'", "--comment", "left"];
    department.world.muster(&deletes).ended(3);
    for command in ["apply", "run"] {
        department.world.muster(&[command, "dept"]).never_says(&["errored"]);
        assert_eq!(department.held(), ["A > B", "B > C", "C > A", "X"]);
    }
    let update = of("update", "A")["id"].as_str().unwrap();
    department.world.muster(&["reject", &run, "--order", update, "--comment", "not yet"]).says(&["missing-reference"]);
    let rows = department.world.muster(&["review", &run, "--all", "--format", "json"]).json();
    let blocked = rows.as_array().unwrap().iter().filter(|row| row["state"] == "blocked");
    assert_eq!(blocked.count(), 3, "{rows:#}");
    department.world.muster(&["plan", "dept", "--ask-again"]).ended(3);
    department.approve_and_apply();
    department.is_settled(&["X"]);
}

#[test]
fn a_delete_that_the_target_refuses_for_a_reference_says_so() {
    let department = left(&["A > B", "B", "X"], &["A", "X"], "");
    assert_eq!(department.orders(), ["delete B"]);
    department.world.muster(&["approve", "dept", "--all", "--comment", "looked at"]).ended(0);
    department.world.muster(&["apply", "dept"]).ended(5);
    let said = department.world.muster(&["report", "dept"]);
    said.says(&["as manager", "see in the server's message what refers to it; let that go first"])
        .never_says(&["is there already", "muster link"]);
}

#[test]
fn an_update_of_a_reference_is_undone_and_not_asked_again() {
    let department = Department::of(&["A > M", "M", "N"]);
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    department.people(&["A > N", "M", "N"]);
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    let run = department.world.newest_run("dept");
    assert_eq!(department.held(), ["A > N", "M", "N"]);
    department.world.muster(&["revert", &run]).ended(3);
    assert_eq!(department.orders(), ["update A"]);
    department.approve_and_apply();
    assert_eq!(department.held(), ["A > M", "M", "N"]);
    department.world.muster(&["run", "dept"]).ended(0);
    assert!(department.orders().is_empty(), "what was undone is withheld: {:?}", department.orders());

    // A first load undone: what closed a circle is taken back, and the created are out of use.
    let circle = Department::of(&["A > B", "B > A"]);
    circle.world.muster(&["run", "dept"]).ended(3);
    circle.approve_and_apply();
    circle.world.muster(&["revert", "dept"]).ended(3);
    assert_eq!(circle.orders(), ["update B", "disable A", "disable B"]);
    circle.approve_and_apply();
    assert_eq!(circle.held(), ["A > B", "B"]);
    assert!(circle.vault.all("Users").iter().all(|user| user["active"] == false));
}

#[test]
fn what_drifts_is_put_back_and_what_is_not_mapped_stays() {
    let department = Department::of(&["A > M", "M", "N"]);
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    let id = |login: &str| department.vault.user(login).unwrap()["id"].as_str().unwrap().to_owned();
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "path": MANAGER, "value": id("N")},
        {"op": "add", "path": format!("{ENTERPRISE}:manager.$ref"), "value": "../Users/by-hand"},
    ]});
    let (status, body) = department.vault.send("PATCH", &format!("/Users/{}", id("A")), Some(patch));
    assert!(status < 300, "{body}");
    department.world.muster(&["run", "dept"]).ended(3);
    department.world.muster(&["review", "dept"]).says(&["manager.value: changed at the target"]);
    department.approve_and_apply();
    assert_eq!(department.vault.user("A").unwrap()[ENTERPRISE]["manager"]["$ref"], "../Users/by-hand");
    department.is_settled(&["A > M", "M", "N"]);
}

#[test]
fn a_reference_may_go_by_another_column_than_the_key() {
    let department = Department::of(&["A > M@CORP.example", "M"]);
    department.job(
        &format!("\"{MANAGER}\" = {{ source = \"boss.lowerAscii()\", by = \"mail.lowerAscii()\" }}"),
        "",
        "",
    );
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    department.is_settled(&["A > M", "M"]);
}

#[test]
fn mistakes_in_references_are_told_with_their_place() {
    let department = Department::of(&["A"]);
    department.job(
        "\"title\" = { source = \"boss\" }\n\"a\" = { source = \"boss\", from = \"hr.user\" }\n\"b\" = { source = \"boss\", to = \"hr.users\" }\n\"c\" = { source = \"boss ==\" }\n\"d\" = { sourze = \"boss\" }",
        "unique = [\"a\"]",
        "",
    );
    department.world.muster(&["check", "dept"]).ended(2).says(&[
        "`title` stands under `attributes` too",
        "no [[sync]] goes from hr.user to vault.users, so the reference would have no links",
        "did you mean `hr.users`?",
        "`hr.users` is not in `vault`",
        "the reference of `c`",
        "unknown key `sourze`",
        "did you mean `source`?",
        "`a` refers to another object, which many may do; it cannot be unique",
    ]);
}

#[test]
fn explain_tells_whom_a_value_refers_to_and_plans_one_with_whom_they_need_alone() {
    let department = Department::of(&["A > M", "M"]);
    department.world.muster(&["run", "dept"]).ended(3);
    department.world.muster(&["explain", "dept", "A"]).says(&["refers to `M`", "create"]);
    department.world.muster(&["reject", "dept", "--all", "--comment", "not yet"]);
    department.people(&["A > M", "M", "X"]);
    // X needs nobody; the orders of others stay as they are.
    department.world.muster(&["plan", "dept", "--only", "X"]).ended(3);
    let orders = department.world.orders("dept", &department.world.newest_run("dept"));
    assert_eq!(orders.iter().map(|order| order["key"].clone()).collect::<Vec<_>>(), [json!("X")]);
}

#[test]
fn case_d7_a_delete_tells_who_would_refer_to_nobody() {
    let department = Department::with(&["A > B", "B", "C > B", "D > B"], "on = { orphan = \"delete\" }", "");
    department.world.muster(&["run", "dept"]).ended(3);
    department.approve_and_apply();
    department.is_settled(&["A > B", "B", "C > B", "D > B"]);
    // One of those who reported to whoever leaves gets another manager by the same plan.
    department.people(&["A > B", "C > B", "D > A"]);
    department.world.muster(&["run", "dept"]).ended(3);
    let takes = format!("takes along: 2 objects of vault.users refer to it ({MANAGER})");
    department.world.muster(&["review", "dept"]).ended(0).says(&["delete vault.users  B", &takes]);
}
