//! Who takes part by their groups, which names groups give, what an account is: assignment, value tables, classes; and what
//! the job does not map.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/grants.rs"]
mod grants;
mod support;

use grants::House;
use serde_json::{Value, json};
use support::World;

const ORGANIZATION: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization";

const GROUPS: &str = r#"groups = { via = "hr.memberships", of = "hr.groups", by = "name" }"#;

fn assigned(group: &str) -> String {
    format!("{GROUPS}\nassigned = [\"{group}\"]")
}

#[test]
fn a_column_that_tells_no_groups_is_told_before_anything_runs() {
    let house = House::new(&GROUPS.replace(" }", ", member = \"usr\" }"));
    let said = house.world.muster(&["check", "corp"]).ended(1);
    assert!(said.out.contains("memberships.csv") && said.out.contains("`usr`"), "{said:?}");
    house.world.muster(&["run", "corp"]).says(&["hr", "memberships.csv", "`usr`"]);
    // Nor does a guard stand that reads what is not there, or a list of names without names.
    house.job(&assigned("vault-users"), "[[sync.fixed]]\ntarget = \"userTyp == 'Federated'\"\n");
    house
        .world
        .muster(&["run", "corp"])
        .ended(1)
        .says(&["fixed: vault.users has no attribute `userTyp`", "`userType`"]);
    let table = "[sync.grants.roles]\namong = \"vault.groups\"\nby = \"displayNam\"\nprecedence = \"first\"\n\
                 table = [{ when = \"true\", value = \"Member\" }]\n";
    house.role("Member");
    house.job("", table);
    house.world.muster(&["run", "corp"]).ended(1).says(&["no row of vault.groups has a value in `displayNam`"]);
    house.job(&GROUPS.replace(" }", ", member = \"usr\" }"), "");
    // What there is to look at without a run, and what not.
    house.world.muster(&["links", "corp", "--check"]).ended(1).says(&["muster run corp"]).never_says(&["--live"]);
    house.world.muster(&["explain", "corp", "E1"]).ended(1).says(&["muster run corp", "--live"]);
}

/// What cannot be judged is left alone, orders of earlier plans too.
#[test]
fn an_order_that_waits_does_not_go_while_its_scope_cannot_be_judged() {
    let nested =
        |how: &str| GROUPS.replace(" }", &format!(", nested = \"{how}\" }}")) + "\nassigned = [\"vault-users\"]";
    let house = House::new(&nested("flatten"));
    house.world.settle("corp");
    house.job(&nested("direct"), "");
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["disable E2"], "who is there through a group in the group alone");
    let run = house.world.newest_run("corp");
    for is_approved in [false, true] {
        if is_approved {
            house.world.muster(&["approve", &run, "--all", "--comment", "they go"]).ended(0);
        }
        house.job(&nested("refuse"), "");
        house.world.muster(&["run", "corp"]).says(&["cannot be judged"]);
        house.world.muster(&["approve", "corp", "--all", "--comment", "go"]);
        house.world.muster(&["apply", "corp"]);
        let active = |login: &str| house.vault.user(login).unwrap()["active"].clone();
        assert_eq!(active("grace@corp.example"), true, "approved before: {is_approved}");
        house.world.muster(&["review", &run, "--order-state", "blocked"]).says(&["cannot be judged", "refuse"]);
        // As soon as it can be judged again it waits for its review like any other.
        house.job(&nested("direct"), "");
        house.world.muster(&["run", "corp"]);
    }
    house.world.muster(&["approve", &run, "--all", "--comment", "now"]);
    house.world.muster(&["apply", "corp"]).ended(0);
}

#[test]
fn case_k6_only_members_of_the_groups_that_the_job_names_take_part() {
    let house = House::new(&assigned("vault-users"));
    house.world.muster(&["run", "corp"]).ended(3).never_says(&["warning"]);
    assert_eq!(house.shown(), ["create E1", "create E2"], "E2 through a group in the group");
    let said = house.world.muster(&["explain", "corp", "E3"]).ended(0);
    said.says(&["assign", "not assigned", "vault-users", "it is not in it"]);
    house.world.muster(&["explain", "corp", "E1"]).ended(0).says(&["it is in it"]);
    house.world.settle("corp");
    // Whoever leaves the group is out of scope: disabled, and for the source's sake.
    house.members(&["G1,E1", "G1,G2", "G3,E2", "G3,E3"]);
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["disable E2"]);
    assert_eq!(house.orders()[0]["situation"], "out-of-scope");
    house.world.muster(&["review", "corp"]).says(&["in no group that `assigned` names"]);
    // A group that nobody knows is told with the nearest one, and nobody leaves for it.
    house.job(&assigned("Vault Users"), "");
    let said = house.world.muster(&["run", "corp"]);
    said.says(&[
        "`assigned` names what is no group of hr.groups: `Vault Users` (nearest: `vault-users`",
        "nobody whom it may be about can be judged",
        "nothing was planned of it",
        "cannot be judged",
    ]);
    assert!(house.orders().is_empty());
    // Whom the scope leaves out by the row's own cells goes all the same, and the run is no good one.
    house.job(&format!("scope = [\"family != 'Lovelace'\"]\n{}", assigned("Vault Users")), "");
    house.world.muster(&["run", "corp"]).ended(1).says(&["nobody whom it may be about"]);
    assert_eq!(house.shown(), ["disable E1"]);
}

#[test]
fn case_k10_whoever_left_a_group_is_asked_about_again_where_others_assign() {
    let house = House::new(&assigned("vault-users"));
    house.world.muster(&["run", "corp"]).ended(3);
    house.world.settle("corp");
    house.members(&["G1,E1", "G1,G2", "G3,E2", "G3,E3"]);
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["disable E2"]);
    house.world.muster(&["reject", "corp", "--all", "--comment", "on leave"]).ended(0);
    // Groups that do not assign change nothing; which ones do is another reason.
    house.members(&["G1,E1", "G1,G2", "G3,E1", "G3,E3"]);
    house.world.muster(&["run", "corp"]).ended(0);
    house.job(&format!("{GROUPS}\nassigned = [\"vault-users\", \"vault-admins\"]"), "");
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["disable E2"]);
    let reason = house.orders()[0]["reason"].to_string();
    assert!(reason.contains("for another reason, and was rejected"), "{reason}");
}

#[test]
fn case_k7_nested_groups_are_flattened_skipped_or_refused_and_circles_named() {
    let house = House::new(&assigned("vault-users"));
    let nested = |word: &str| {
        let groups = GROUPS.replace(" }", &format!(", nested = \"{word}\" }}"));
        house.job(&format!("{groups}\nassigned = [\"vault-users\"]"), "");
    };
    nested("direct");
    house.world.muster(&["run", "corp"]).ended(3).says(&["1 nested group", "nested = \"direct\""]);
    assert_eq!(house.shown(), ["create E1"]);
    nested("refuse");
    house.world.muster(&["run", "corp"]).says(&["cannot be judged", "take `G2` in `G1` apart"]);
    assert!(house.orders().is_empty());
    house.world.muster(&["explain", "corp", "E1"]).ended(0).says(&["cannot be judged", "nested = \"refuse\""]);
    nested("flatten");
    // Why is she in, asked by the name that the job gives the group, and by one that is nearly right.
    let asked = |key: &str, group: &str| house.world.muster(&["explain", "corp", key, "--entitlement", group]);
    asked("E2", "vault-users").ended(0).says(&["through groups in", "`G2` in `G1`"]);
    asked("E1", "vault-users").ended(0).says(&["`E1` is in `vault-users` of hr.memberships directly"]);
    asked("E3", "vault-users")
        .ended(0)
        .says(&["no row of hr.memberships puts `E3` into `vault-users`", "not assigned"]);
    asked("E3", "vault-user").ended(1).says(&["is no group", "did you mean `vault-users`"]);
    house.members(&["G1,E1", "G1,G2", "G2,E2", "G2,G1", "G3,E3"]);
    house.world.muster(&["run", "corp"]).says(&["contain each other: `G1` ↔ `G2`"]);
    house.world.muster(&["review", "corp"]).says(&["E1", "E2"]).never_says(&["E3"]);
}

const ROLES: &str = r#"
[sync.grants.roles]
precedence = "first"
among = "vault.groups"
table = [
  { when = "'vault-admins' in groups", value = "Administrator" },
  { when = "'vault-users' in groups", value = "Member" },
]
"#;

#[test]
fn case_i7_groups_give_roles_and_the_precedence_is_told_where_several_fit() {
    let house = House::new("");
    ["Administrator", "Member"].into_iter().for_each(|role| house.role(role));
    house.job(GROUPS, ROLES);
    house.world.muster(&["run", "corp"]).ended(3);
    let orders = house.orders();
    let roles = |orders: &[Value], key: &str| {
        let order = orders.iter().find(|order| order["key"] == key).unwrap();
        let changes = order["changes"].as_array().unwrap();
        changes.iter().find(|change| change["attribute"] == "roles").map(|change| change["after"].clone())
    };
    assert_eq!(roles(&orders, "E1"), Some(json!("Member")));
    assert_eq!(roles(&orders, "E2"), Some(json!("Administrator")));
    assert_eq!(roles(&orders, "E3"), None);
    let first =
        format!("`roles`: `'vault-admins' in groups` (line {}, the first of 2 that hold)", house.line("vault-admins"));
    house.world.muster(&["review", "corp"]).says(&[&first]);
    house.world.settle("corp");
    assert_eq!(house.vault.user("grace@corp.example").unwrap()["roles"][0]["value"], "Administrator");
    house.world.muster(&["explain", "corp", "E2", "--entitlement", "vault-admins"]).ended(0).says(&[
        "`E2` is in `vault-admins` of hr.memberships directly",
        "`vault-admins` is named by the rules of roles",
        "confirmed",
    ]);
    let asked = |key: &str, role: &str| house.world.muster(&["explain", "corp", key, "--entitlement", role]);
    let line = house.line("vault-admins");
    asked("E2", "Administrator").ended(0).says(&[
        &format!("`Administrator` of `roles` is given, by line {line} of the job file"),
        "'vault-admins' in groups",
        "the target has it",
        "confirmed",
    ]);
    let later = format!("`Member` of `roles` is not given: line {} holds for it, but line {line}", line + 1);
    asked("E2", "Member").ended(0).says(&[&later, "the target does not have it"]);
    asked("E3", "Member").ended(0).says(&["`Member` of `roles` is not given: no row of its table"]);
    asked("E3", "Membre").ended(1).says(&["is no group, role", "did you mean `Member`?"]);
    // No row changed: how groups in groups are taken is the job's rule. Then she is taken out of one, at the source.
    let alone = GROUPS.replace(" }", ", nested = \"direct\" }");
    let member = ROLES.replace("'vault-admins' in groups", "'vault-admins' in groups && !('vault-users' in groups)");
    house.job(&alone, &member);
    house.world.muster(&["run", "corp"]).ended(0);
    house.job(GROUPS, &member);
    house.world.muster(&["run", "corp"]).ended(3);
    let cause = || house.orders().iter().find(|order| order["key"] == "E2").map(|order| order["cause"].clone());
    assert_eq!(cause(), Some(json!("rule")));
    house.world.settle("corp");
    house.members(&["G1,E1", "G2,E2", "G3,E3"]);
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(cause(), Some(json!("source")));
    house.members(&["G1,E1", "G1,G2", "G2,E2", "G3,E3"]);
    house.job(GROUPS, ROLES);
    house.world.settle("corp");
    // A group that changes is a change at the source; with `all`, each row that fits counts.
    house.job(GROUPS, &ROLES.replace("first", "all"));
    house.members(&["G1,E1", "G1,G2", "G2,E2", "G2,E3"]);
    house.world.muster(&["run", "corp"]).ended(3);
    let orders = house.orders();
    assert_eq!(roles(&orders, "E2"), Some(json!(["Administrator", "Member"])));
    assert_eq!(roles(&orders, "E3"), Some(json!(["Administrator", "Member"])));
    house.world.muster(&["explain", "corp", "E3"]).ended(0).says(&["roles", "source", "vault-admins"]);
    // Whoever no row fits keeps what there is, unless `clear` names it.
    house.members(&["G1,E1", "G3,E2", "G3,E3"]);
    house.world.muster(&["run", "corp"]).ended(0);
    house.job(&format!("{GROUPS}\nclear = [\"roles\"]"), &ROLES.replace("first", "all"));
    house.world.muster(&["run", "corp"]).ended(3);
    let orders = house.orders();
    assert_eq!((orders.len(), roles(&orders, "E2")), (1, Some(Value::Null)), "{orders:?}");
}

#[test]
fn case_i5_a_role_that_the_target_has_no_more_blocks_its_orders_with_role_and_line() {
    let house = House::new("");
    ["Administrators", "Members", "Member"].into_iter().for_each(|role| house.role(role));
    house.job(GROUPS, ROLES);
    let line = house.line("vault-admins");
    let said = house.world.muster(&["run", "corp"]).ended(3);
    // The nearest names, by letter case, blanks and letters.
    let wrong = format!(
        "`roles` gives `Administrator` (line {line} of the job file), which vault.groups does not have (nearest there: `Administrators`)"
    );
    said.says(&[&wrong]);
    let orders = house.orders();
    let block = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap()["block"].clone();
    assert_eq!(block("E2")["reason"], "missing-reference");
    assert!(block("E2")["detail"].as_str().unwrap().contains(&wrong), "{}", block("E2"));
    assert!(block("E1").is_null() && block("E3").is_null());
    // Nothing of it goes, whoever approves all; made again, it is free by itself.
    house.world.muster(&["approve", "corp", "--all", "--comment", "x"]);
    house.world.muster(&["apply", "corp"]);
    assert!(house.vault.user("grace@corp.example").is_none());
    house.role("Administrator");
    house.world.muster(&["run", "corp"]).ended(3);
    house.world.muster(&["approve", "corp", "--all", "--comment", "it is back"]).ended(0);
    house.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(house.vault.user("grace@corp.example").unwrap()["roles"][0]["value"], "Administrator");
}

#[test]
fn case_f2_names_that_do_not_match_exactly_are_told_with_the_nearest_that_do() {
    let house = House::new("");
    ["Folder Owner", "Secret Viewer", "Auditor"].into_iter().for_each(|role| house.role(role));
    let table = |name: &str| ROLES.replace("Administrator", name).replace("Member", "Auditor");
    for (name, near) in
        [("folder owner", "Folder Owner"), ("Secret-Viewer", "Secret Viewer"), ("Secret Vewer", "Secret Viewer")]
    {
        house.job(GROUPS, &table(name));
        let line = house.line(name);
        let told = format!(
            "`roles` gives `{name}` (line {line} of the job file), which vault.groups does not have (nearest there: `{near}`)"
        );
        house.world.muster(&["--verbose", "run", "corp"]).ended(3).says(&[&told]);
    }
    house.job(GROUPS, &table("Folder Owner"));
    house.world.muster(&["--verbose", "run", "corp"]).ended(3).never_says(&["does not have"]);
}

#[test]
fn case_i6_an_organization_that_was_deleted_blocks_its_orders() {
    let house = House::new("");
    house.role("Engineering");
    let table = format!(
        "[sync.grants.\"{ORGANIZATION}\"]\nprecedence = \"first\"\namong = \"vault.groups\"\nby = \"displayName\"\ntable = [\n  {{ when = \"'staff' in groups\", value = \"enginering \" }},\n  {{ when = \"true\", value = \"Engineering\" }},\n]\n"
    );
    house.job(GROUPS, &table);
    house.world.muster(&["run", "corp"]).ended(3).says(&["`enginering ` (line", "nearest there: `Engineering`"]);
    let blocked: Vec<Value> = house.orders().into_iter().filter(|order| !order["block"].is_null()).collect();
    assert_eq!(blocked.len(), 1);
    assert_eq!((&blocked[0]["key"], &blocked[0]["block"]["reason"]), (&json!("E3"), &json!("missing-reference")));
}

#[test]
fn case_f1_what_the_source_has_and_nobody_maps_and_rules_that_nothing_came_of_are_told() {
    let house = House::new("");
    ["Administrator", "Member", "Auditor"].into_iter().for_each(|role| house.role(role));
    house.world.write("hr/badges.csv", "id,badge\n1,2\n");
    let table = ROLES.replace("\n]\n", "\n  { when = \"'auditors' in groups\", value = \"Auditor\" },\n]\n");
    house.job(GROUPS, &format!("title = \"''\"\n{table}"));
    let unmapped = "hr.badges is there and no sync maps it";
    house.world.muster(&["check", "corp"]).ended(0).says(&["warning", unmapped]);
    let idle = "the rule of `title` (`''`) gave none of 3 rows in scope a value";
    let unfit = format!("line {} of the job file (`roles` gives `Auditor`", house.line("auditors"));
    house.world.muster(&["run", "corp"]).ended(3).says(&[unmapped, idle, &unfit]);
    let text = house.world.read("jobs/corp.toml");
    let ignore = "ignore = [\"hr.badges\", \"vault.users/title\", \"vault.users/roles\"]\n";
    house.world.write("jobs/corp.toml", text.replacen("\n", &format!("\n{ignore}"), 1));
    house.world.muster(&["--verbose", "run", "corp"]).never_says(&["badges", "gave none", "fitted none"]);
    house.world.muster(&["check", "corp"]).ended(0).never_says(&["warning"]);
    // What is named there has to be something.
    house.world.write("jobs/corp.toml", text.replacen("\n", "\nignore = [\"vault.users/titel\"]\n", 1));
    house.world.muster(&["check", "corp"]).ended(2).says(&["no sync to vault.users maps `titel`"]);
}

#[test]
fn case_f3_only_one_of_two_kinds_of_permissions_is_told_with_the_missing_one() {
    let world = World::new();
    for folder in ["hr", "pam"] {
        world.write(&format!("{folder}/users.csv"), "id,login\nE1,ada\n");
        world.write(&format!("{folder}/containers.csv"), "id,name\nC1,Safe\n");
        world.write(&format!("{folder}/containerPermissions.csv"), "container,user\nC1,E1\n");
    }
    let objects = |name: &str, mapping: &str| {
        format!(
            "[[sync]]\nfrom = \"hr.{name}\"\nto = \"pam.{name}\"\nmatch = [{{ source = \"id\", target = \"id\" }}]\nattributes = {{ {mapping} }}\n"
        )
    };
    let job = format!(
        "name = \"pam\"\nignore = []\n[systems.hr]\nkind = \"csv\"\npath = \"../hr\"\n[systems.pam]\nkind = \"csv\"\npath = \"../pam\"\norders = \"../orders\"\n{}{}[[sync]]\nfrom = \"hr.containerPermissions\"\nto = \"pam.containerPermissions\"\nends = {{ container = [\"hr.containers\", \"pam.containers\"], user = [\"hr.users\", \"pam.users\"] }}\n",
        objects("users", "login = \"login\""),
        objects("containers", "name = \"name\"")
    );
    world.write("jobs/pam.toml", &job);
    let missing = "pam.containerPermissions is mapped and pam.privilegedDataPermissions is not";
    world.muster(&["check", "pam"]).ended(0).says(&[missing]);
    world.write("jobs/pam.toml", job.replace("ignore = []", "ignore = [\"pam.privilegedDataPermissions\"]"));
    world.muster(&["check", "pam"]).ended(0).never_says(&["privilegedDataPermissions"]);
}

#[test]
fn case_p15_an_account_whose_class_is_not_sure_waits_for_a_person() {
    let house = House::new("");
    let classes = r#"classify = [
  { when = "login.startsWith('svc-')", class = "service", confidence = 90 },
  { when = "'vault-admins' in groups", class = "privileged" },
  { when = "family != ''", class = "person" },
]
threshold = [{ name = "services", scope = "class == 'service'", create = { count = 0 } }]
"#;
    house.people(&["E1,ada,Lovelace", "E2,grace,Hopper", "E3,svc-backup,", "E4,nobody,"]);
    house.job(&format!("{GROUPS}\n{classes}"), "userType = \"class\"");
    let said = house.world.muster(&["run", "corp"]).ended(4);
    said.says(&["vault.users/services/create/count"]);
    let orders = house.orders();
    let order = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap();
    assert_eq!(order("E3")["confidence"], 90);
    assert_eq!(order("E3")["block"]["reason"], "low-confidence");
    let why = order("E3")["block"]["detail"].as_str().unwrap();
    assert!(why.contains("taken for `service` by `login.startsWith('svc-')`, with 90 % only"), "{why}");
    let why = order("E4")["block"]["detail"].as_str().unwrap();
    assert!(why.contains("`E4` is of no class"), "{why}");
    let class = |key: &str| {
        let changes = order(key)["changes"].as_array().unwrap();
        changes.iter().find(|change| change["attribute"] == "userType").map(|change| change["after"].clone())
    };
    assert_eq!((class("E1"), class("E2")), (Some(json!("person")), Some(json!("privileged"))));
    house.world.muster(&["explain", "corp", "E3"]).ended(0).says(&["class", "`service`, 90 % sure", "decides", "svc-"]);
    // Whoever approves says that it is one; what does not follow from the class needs no second word.
    house
        .world
        .muster(&[
            "approve",
            "corp",
            "--all",
            "--accept",
            "vault.users/services/create/count",
            "--comment",
            "backup it is",
        ])
        .ended(0);
    house.world.muster(&["apply", "corp"]).ended(0);
    house.world.muster(&["run", "corp"]).ended(0);
    house.people(&["E1,ada,Lovelace", "E2,grace,Hopper", "E3,svc-backup,Renamed", "E4,nobody,"]);
    house.world.muster(&["run", "corp"]).ended(3);
    let orders = house.orders();
    assert_eq!((&orders[0]["key"], &orders[0]["block"]), (&json!("E3"), &Value::Null), "{orders:?}");
}

#[test]
fn several_sources_of_one_person_are_joined_and_the_first_value_counts() {
    let house = House::new("");
    house.world.write(
        "payroll/staff.csv",
        "slip,number,mail,title\n1,E1,ada@home.example,Countess\n2,E2,,Admiral\n3,E9,x@y.example,Ghost\n",
    );
    let text = r#"
title = "pay.title"
[sync.join.pay]
from = "payroll.staff"
here = "id"
there = "number"
"#;
    house.job("", text);
    let job = house.world.read("jobs/corp.toml");
    let job = job.replace("emails = \"email\"", "emails = [\"pay.mail\", \"email\"]");
    house.world.write(
        "jobs/corp.toml",
        format!("{job}\n[systems.payroll]\nkind = \"csv\"\npath = \"../payroll\"\nkeys = {{ staff = [\"slip\"] }}\n"),
    );
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["create E1", "create E2", "create E3"], "`from` alone says who there is");
    house.world.settle("corp");
    let user = |login: &str| house.vault.user(login).unwrap();
    assert_eq!(user("ada@corp.example")["emails"][0]["value"], "ada@home.example");
    assert_eq!(user("grace@corp.example")["emails"][0]["value"], "grace@corp.example");
    assert_eq!(user("grace@corp.example")["title"], "Admiral");
    house.world.muster(&["explain", "corp", "E2"]).ended(0).says(&[
        "email = `grace@corp.example`, pay.mail (of payroll.staff) is",
        "pay.title (of payroll.staff) = `Admiral`",
    ]);
    // Two rows for one person are nobody's.
    house
        .world
        .write("payroll/staff.csv", "slip,number,mail,title\n1,E1,ada@home.example,Countess\n2,E2,,Admiral\n4,E3,,A\n");
    house.world.muster(&["run", "corp"]).ended(3);
    assert_eq!(house.shown(), ["update E3"]);
    // Which of two rows is meant nobody guesses, nor takes the next source instead; where they agree nothing is in doubt.
    let twice = "slip,number,mail,title\n1,E1,ada@home.example,Countess\n5,E1,ada@work.example,Countess\n\
                 2,E2,,Admiral\n4,E3,,B\n";
    house.world.write("payroll/staff.csv", twice);
    house
        .world
        .muster(&["run", "corp"])
        .ended(3)
        .says(&["several rows of payroll.staff are joined by one value of `number` and differ: `E1`"]);
    let orders = house.orders();
    let shown = |order: &Value| format!("{} {}", order["operation"].as_str().unwrap(), order["key"].as_str().unwrap());
    assert_eq!(orders.iter().map(shown).collect::<Vec<_>>(), ["update E1", "update E3"]);
    let detail = orders[0]["block"]["detail"].as_str().unwrap();
    assert!(detail.contains("`mail` differs in them") && detail.contains("`E1`"), "{detail}");
    house.world.muster(&["explain", "corp", "E1"]).ended(0).says(&["pay.title (of payroll.staff) = `Countess`"]);
}
