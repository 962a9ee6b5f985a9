//! Groups that call their members by something else than their ids, or say little of them: whoever is in them is known,
//! comes and goes all the same.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::World;
use support::company::{Company, people};
use support::orders::{approve, by_hand, planned};

const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A company whose vault has these quirks and a group of its own with one member, who is named in `local`'s words.
fn company(quirks: &str, settings: &str, local: &str) -> Company {
    let world = World::new();
    world.write("quirks.toml", quirks);
    let vault = world.server_with(&["--dialect", "quirks.toml"]);
    let company = Company { world, vault };
    company.hr(&people(6));
    let job = company.job_text("").replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{settings}"));
    company.world.write("jobs/corp.toml", job);
    if !local.is_empty() {
        let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Local",
            "externalId": "X-1", "active": true});
        let (_, user) = company.vault.send("POST", "/Users", Some(user));
        let name = user[local].clone();
        let group = json!({"schemas": [GROUP], "displayName": "Locals", "members": [{"value": name}]});
        let (status, answer) = company.vault.send("POST", "/Groups", Some(group));
        assert_eq!(status, 201, "{answer}");
    }
    company
}

/// Group and login of everybody who is in one, asked user by user.
fn memberships(company: &Company) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let users = company.vault.all("Users");
    let of = |user: &Value| {
        let login = text(&user["userName"]);
        let groups = user["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().map(move |group| (text(&group["display"]), login.clone())).collect::<Vec<_>>()
    };
    users.iter().flat_map(of).collect()
}

/// A first load, then people who change their teams and one who leaves all of them: each is where HR has them, by orders
/// for nobody else, and then nothing is left to do.
fn in_step(company: &Company) {
    let expected = |staff: &[support::company::Person]| -> BTreeSet<(String, String)> {
        let name = |team: &str| match team {
            "T0" => "Databases".to_owned(),
            "T1" => "Network".to_owned(),
            _ => "Payments".to_owned(),
        };
        staff.iter().map(|person| (name(&person.team), person.login.clone())).collect()
    };
    let is_so = |staff: &[support::company::Person]| {
        let mut there = memberships(company);
        there.remove(&("Locals".to_owned(), "Local".to_owned()));
        assert_eq!(there, expected(staff));
    };
    company.settle();
    let mut staff = people(6);
    is_so(&staff);
    staff[0].team = "T2".into();
    staff[1].team = "T0".into();
    company.hr(&staff);
    let orders = planned(company);
    assert_eq!(orders.len(), 4, "{orders:#?}");
    approve(company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    is_so(&staff);
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty());
}

fn log(company: &Company) -> String {
    let runs = company.world.runs("corp");
    let logs = runs.iter().map(|run| std::fs::read_to_string(company.world.run_file("corp", run, "run.log")).unwrap());
    logs.collect()
}

#[test]
fn members_by_login_or_external_id_are_noticed_by_the_first_that_are_seen() {
    for (attribute, parts) in [
        ("userName", ""),
        ("externalId", ""),
        ("userName", "member_parts = [\"value\"]"),
        ("externalId", "member_parts = [\"value\", \"type\"]"),
        ("userName", "member_parts = [\"value\", \"display\", \"$ref\"]"),
    ] {
        let company = company(&format!("members_by = \"{attribute}\"\n{parts}\n"), "", attribute);
        in_step(&company);
        let told = format!("groups call their members by {attribute}");
        assert!(log(&company).contains(&told), "{}", log(&company));
        let check = company.world.muster(&["check", "corp"]).ended(0);
        check.says(&["names of members", &format!("by {attribute} (proved ")]);
    }
}

#[test]
fn what_the_job_says_of_the_names_of_members_holds_where_there_are_none_yet() {
    for attribute in ["userName", "externalId"] {
        let quirks = format!("members_by = \"{attribute}\"\nmember_parts = [\"value\"]\n");
        let company = company(&quirks, &format!("members_by = \"{attribute}\"\n"), "");
        in_step(&company);
        let check = company.world.muster(&["check", "corp"]).ended(0);
        check.says(&[&format!("by {attribute}, as the job or the dialect says")]);
    }
}

/// Nobody is in a group yet, so that nothing shows what it calls its members by, and the service refuses their ids.
#[test]
fn who_is_refused_by_their_id_before_anybody_is_in_a_group_is_told_of_the_setting() {
    let company = company("members_by = \"userName\"\nmember_parts = [\"value\"]\n", "", "");
    let setting = "members_by = \"userName\"";
    let failed = |company: &Company| {
        company.world.muster(&["run", "corp"]).ended(3);
        approve(company).ended(0);
        company.world.muster(&["apply", "corp"]).ended(5);
        let run = company.world.newest_run("corp");
        company.world.read(&format!("state/runs/corp/{run}/errors.csv")).replace("\"\"", "\"")
    };
    let told = failed(&company);
    // After five of one cause no more are sent.
    assert_eq!(told.matches(setting).count(), 5, "{told}");
    let job = company.world.read("jobs/corp.toml");
    company.world.write("jobs/corp.toml", job.replace("kind = \"scim\"\n", &format!("kind = \"scim\"\n{setting}\n")));
    company.world.muster(&["retry", "corp"]).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(memberships(&company).len(), 6);
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);

    // Where members show that groups go by ids, and where it is about something else, nothing is said of it.
    let company = self::company("", "", "id");
    company
        .vault
        .faults(json!({"rules": [{"method": "PATCH", "prefix": "/Groups/", "action": {"status": {"code": 400}}}]}));
    let told = failed(&company);
    assert!(told.contains("a scripted fault") && !told.contains("members_by"), "{told}");
}

#[test]
fn members_without_a_value_or_a_type_are_known_by_what_is_there() {
    for (parts, told) in [("[\"$ref\"]", false), ("[\"value\"]", false), ("[\"$ref\", \"type\"]", true)] {
        let company = company(&format!("member_parts = {parts}\n"), "", "id");
        in_step(&company);
        assert!(!log(&company).contains("call their members"), "{told}: {}", log(&company));
    }
}

/// A service without PATCH: groups are read and written back whole.
#[test]
fn a_group_that_is_written_back_whole_keeps_those_whom_it_calls_by_their_logins() {
    let company = company("members_by = \"userName\"\n", "", "userName");
    let (_, mut config) = company.vault.send("GET", "/ServiceProviderConfig", None);
    config["patch"]["supported"] = json!(false);
    let body = config.to_string();
    company.vault.faults(json!({"rules": [{"method": "GET", "prefix": "/ServiceProviderConfig",
        "action": {"status": {"code": 200, "body": body}}}, {"action": "refuse-patch"}]}));
    in_step(&company);
}

/// A service that shows nobody's groups and no group's members: who is in one is asked by what it calls them.
#[test]
fn who_is_in_a_group_that_shows_nobody_is_asked_by_what_it_calls_them() {
    let world = World::new();
    let played = "members_by = \"userName\"\nshows_members = false\n";
    world.write("quirks.toml", played);
    world.write("jobs/ours.toml", "product = \"ours\"\nmembers = \"by-filter\"\nmembers_by = \"userName\"\n");
    let vault = world.server_with(&["--dialect", "quirks.toml"]);
    let company = Company { world, vault };
    company.hr(&people(6));
    let job = company.job_text("").replace("kind = \"scim\"\n", "kind = \"scim\"\ndialect = \"ours.toml\"\n");
    company.world.write("jobs/corp.toml", job);
    company.settle();
    let count =
        || company.world.read(&format!("state/export/corp/{}/vault/memberships.csv", company.world.newest_run("corp")));
    assert_eq!(count().lines().count(), 7, "{}", count());
    let mut staff = people(6);
    staff[0].team = "T2".into();
    company.hr(&staff);
    assert_eq!(planned(&company).len(), 2);
    approve(&company).ended(0);
    company.world.muster(&["apply", "corp"]).ended(0);
    company.world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert!(company.world.orders("corp", &company.world.newest_run("corp")).is_empty());
}

#[test]
fn a_name_that_several_have_is_refused_and_nobody_is_taken_for_another() {
    let company = company("members_by = \"externalId\"\nmember_parts = [\"value\"]\n", "", "externalId");
    let twin =
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "twin", "externalId": "X-1"});
    let settings = "kind = \"scim\"\nmembers_by = \"externalId\"\n";
    let job = company.world.read("jobs/corp.toml").replace("kind = \"scim\"\n", settings);
    company.world.write("jobs/corp.toml", job);
    assert_eq!(company.vault.send("POST", "/Users", Some(twin)).0, 201);
    let said = company.world.muster(&["run", "corp"]).ended(1);
    said.says(&[
        "the member `X-1`, which is the externalId of several users",
        "[data",
        "give each of them one of their own",
    ]);
}

#[test]
fn who_would_be_the_last_in_a_group_is_known_by_any_name() {
    let company = company("members_by = \"userName\"\nmember_parts = [\"value\"]\n", "", "userName");
    let job = company.world.read("jobs/corp.toml");
    company.world.write("jobs/corp.toml", format!("{job}keep_one = {{ end = \"group\" }}\n"));
    company.settle();
    // E0001 and E0004 are in Network; one leaves it, and somebody takes the other one out meanwhile.
    let mut staff = people(6);
    staff[0].team = "T2".into();
    company.hr(&staff);
    planned(&company);
    approve(&company).ended(0);
    let network = company.vault.all("Groups").into_iter().find(|group| group["displayName"] == "Network").unwrap();
    let taken = json!({"op": "remove", "path": "members", "value": [{"value": "user0004@corp.example"}]});
    by_hand(&company, &format!("/Groups/{}", network["id"].as_str().unwrap()), &taken);
    let said = company.world.muster(&["--verbose", "apply", "corp"]);
    said.says(&["stale", "`vault.groups/Network` would be left without a user in use (keep_one)"]);
    assert!(memberships(&company).contains(&("Network".to_owned(), "user0001@corp.example".to_owned())));
}
