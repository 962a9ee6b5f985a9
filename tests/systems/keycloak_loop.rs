//! Whole loops from outside: Keycloak into a SCIM server, OpenLDAP into Keycloak; and Keycloak's own SCIM API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ldap3::Mod;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::realm::Realm;
use crate::support::World;
use crate::whole_loop::{System, brought_into_step_by};

const USERS: usize = 500;
const GROUPS: usize = 50;
const GROUPS_OF_A_USER: usize = 6;

fn login(n: usize) -> String {
    format!("e{n:04}")
}

/// The groups of somebody, by number.
fn groups_of(n: usize) -> impl Iterator<Item = usize> {
    (0..GROUPS_OF_A_USER).map(move |step| (n + 7 * step) % GROUPS)
}

/// (group, login) of everybody in `people`.
fn pairs(people: impl Iterator<Item = usize>) -> BTreeSet<(String, String)> {
    people.flat_map(|n| groups_of(n).map(move |group| (format!("team {group:02}"), login(n)))).collect()
}

/// Starts an apply and kills it in the middle.
fn killed(world: &World, job: &str, count: impl Fn() -> usize) {
    let began = Instant::now();
    let mut child = world.command(&["apply", job]).spawn().unwrap();
    while count() < 60 {
        assert!(began.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(count() < USERS, "it was killed too late");
}

fn nothing_is_left_to_do(world: &World, job: &str) {
    world.muster(&["run", job, "--mode", "complete"]).ended(0);
    assert_eq!(world.orders(job, &world.newest_run(job)), Vec::<Value>::new());
}

/// A company in a realm: users by import, memberships by their groups' paths.
fn filled() -> (Realm, BTreeMap<String, String>) {
    let realm = Realm::made();
    for group in 0..GROUPS {
        realm.make("/groups", json!({"name": format!("team {group:02}")}));
    }
    let user = |n: usize| {
        let groups: Vec<String> = groups_of(n).map(|group| format!("/team {group:02}")).collect();
        json!({"username": login(n), "enabled": true, "lastName": format!("Family{n}"), "email": format!("{}@corp.example", login(n)),
               "attributes": {"title": ["Clerk"]}, "groups": groups})
    };
    realm.import((1..=USERS).map(user).collect());
    let ids = ids(&realm);
    assert_eq!(ids.len(), USERS);
    (realm, ids)
}

/// Login → id.
fn ids(realm: &Realm) -> BTreeMap<String, String> {
    let text = |user: &Value, name: &str| user[name].as_str().unwrap().to_owned();
    realm.all("/users?briefRepresentation=true").iter().map(|user| (text(user, "username"), text(user, "id"))).collect()
}

fn out_of_keycloak(realm: &Realm, vault: &System) -> String {
    format!(
        r#"name = "out"
{}
[systems.vault]
kind = "scim"
url = "{}"
auth = {{ bearer = "file:../token" }}

[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "disable" }}
[sync.attributes]
externalId = "id"
userName = "username"
"name.familyName" = "lastName"
title = "attributes.title"
active = "enabled"

[[sync]]
from = "idp.groups"
to = "vault.groups"
match = [{{ source = "id", target = "externalId" }}]
[sync.attributes]
externalId = "id"
displayName = "name"

[[sync]]
from = "idp.memberships"
to = "vault.memberships"
ends = {{ user = ["idp.users", "vault.users"], group = ["idp.groups", "vault.groups"] }}

[apply]
concurrency = 4
"#,
        realm.system("idp"),
        vault.url
    )
}

/// Who works there, by login; and who is in which group.
fn held_by(vault: &System) -> (BTreeMap<String, String>, BTreeSet<(String, String)>) {
    let text = |row: &Value| row.as_str().unwrap_or_default().to_owned();
    let users = vault.all("Users");
    let logins: BTreeMap<String, String> =
        users.iter().map(|user| (text(&user["id"]), text(&user["userName"]))).collect();
    let active = users.iter().filter(|user| user["active"] == true);
    let people = active.map(|user| (text(&user["userName"]), text(&user["name"]["familyName"]))).collect();
    let members = vault.all("Groups");
    let members = members.iter().flat_map(|group| {
        let list = group["members"].as_array().cloned().unwrap_or_default();
        let name = text(&group["displayName"]);
        let logins = &logins;
        list.into_iter().map(move |member| (name.clone(), logins[member["value"].as_str().unwrap()].clone()))
    });
    (people, members.collect())
}

#[test]
fn keycloak_is_brought_into_a_scim_server() {
    let began = Instant::now();
    let lap = |what: &str| println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    let vault = System::told("SCIMMY");
    vault.emptied();
    let (realm, ids) = filled();
    let world = World::new();
    world.write("secret", &realm.secret);
    world.write("token", &vault.token);
    world.write("jobs/out.toml", out_of_keycloak(&realm, &vault));
    lap("realm filled");

    world.muster(&["check", "out"]).ended(0);
    world.muster(&["run", "out"]).ended(3);
    assert_eq!(world.orders("out", &world.newest_run("out")).len(), 3550);
    lap("first load planned");
    world.muster(&["approve", "out", "--all", "--comment", "first load"]).ended(0);
    killed(&world, "out", || vault.get("/Users?startIndex=1&count=1").1["totalResults"].as_u64().unwrap() as usize);
    world.muster(&["apply", "out"]).ended(0);
    lap("first load applied, killed once");
    let mut people: BTreeMap<String, String> = (1..=USERS).map(|n| (login(n), format!("Family{n}"))).collect();
    let mut memberships = pairs(1..=USERS);
    assert_eq!(held_by(&vault), (people.clone(), memberships.clone()));
    nothing_is_left_to_do(&world, "out");

    // A day of changes, all by administrators: an increment sees them.
    for n in 1..=20 {
        let changed = json!({"username": format!("n{n:04}"), "lastName": "Núñez", "enabled": true,
                             "email": format!("{}@corp.example", login(n)), "attributes": {"title": ["Boss"]}});
        realm.done("PUT", &format!("/users/{}", ids[&login(n)]), Some(changed));
        people.remove(&login(n));
        people.insert(format!("n{n:04}"), "Núñez".to_owned());
        memberships.retain(|(_, who)| *who != login(n));
        memberships.extend(groups_of(n).map(|group| (format!("team {group:02}"), format!("n{n:04}"))));
    }
    for n in 21..=30 {
        let mut user = realm.get(&format!("/users/{}", ids[&login(n)]));
        user["enabled"] = json!(false);
        realm.done("PUT", &format!("/users/{}", ids[&login(n)]), Some(user));
        people.remove(&login(n));
    }
    for n in 31..=40 {
        realm.done("DELETE", &format!("/users/{}", ids[&login(n)]), None);
        people.remove(&login(n));
        memberships.retain(|(_, who)| *who != login(n));
    }
    let groups: BTreeMap<String, String> = realm
        .all("/groups")
        .iter()
        .map(|group| (group["name"].as_str().unwrap().to_owned(), group["id"].as_str().unwrap().to_owned()))
        .collect();
    for n in 41..=80 {
        let (from, to) = (format!("team {:02}", n % GROUPS), format!("team {:02}", (n + 1) % GROUPS));
        realm.done("DELETE", &format!("/users/{}/groups/{}", ids[&login(n)], groups[&from]), None);
        realm.done("PUT", &format!("/users/{}/groups/{}", ids[&login(n)], groups[&to]), None);
        memberships.remove(&(from, login(n)));
        memberships.insert((to, login(n)));
    }
    let new = realm.make("/users", json!({"username": "fresh", "lastName": "Fresh", "enabled": true}));
    realm.done("PUT", &format!("/users/{new}/groups/{}", groups["team 00"]), None);
    people.insert("fresh".to_owned(), "Fresh".to_owned());
    memberships.insert(("team 00".to_owned(), "fresh".to_owned()));
    lap("a day of changes");
    let before = world.runs("out").len();
    brought_into_step_by(&world, "out", "a day of changes");
    let files = crate::support::files_below(&world.state().join("export/out").join(&world.runs("out")[before]));
    let manifest = files.iter().find(|file| file.ends_with("manifest.json")).unwrap();
    let manifest = std::fs::read_to_string(manifest).unwrap();
    assert!(manifest.contains("admin events since"), "it was an increment: {manifest}");
    lap("changes applied");
    let held = held_by(&vault);
    assert_eq!(held.0, people);
    assert_eq!(held.1.symmetric_difference(&memberships).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    nothing_is_left_to_do(&world, "out");
    vault.emptied();
    lap("both sides agree");
}

fn into_keycloak(directory: &Directory, realm: &Realm) -> String {
    format!(
        r#"name = "in"
[systems.directory]
kind = "ldap"
url = "{}"
base = "{}"
auth = {{ user = "{}", password = "file:../password" }}
[systems.directory.resources.users]
base = "ou=people,{1}"
[systems.directory.resources.groups]
base = "ou=groups,{1}"
{}
[[sync]]
from = "directory.users"
to = "idp.users"
match = [{{ source = "employeeNumber", target = "attributes.employeeNumber" }}]
on = {{ orphan = "disable" }}
unique = ["username"]
[sync.attributes]
"attributes.employeeNumber" = "employeeNumber"
username = "uid"
lastName = "sn"
enabled = "enabled"

[[sync]]
from = "directory.groups"
to = "idp.groups"
match = [{{ source = "cn", target = "name" }}]
on = {{ orphan = "delete" }}
[sync.attributes]
name = "cn"

[[sync]]
from = "directory.memberships"
to = "idp.memberships"
ends = {{ user = ["directory.users", "idp.users"], group = ["directory.groups", "idp.groups"] }}

[apply]
concurrency = 4
"#,
        directory.url,
        directory.base,
        directory.user,
        realm.system("idp")
    )
}

fn dn(n: usize) -> String {
    format!("uid={},ou=people,dc=example,dc=com", login(n))
}

/// Puts the company into the directory.
async fn fill(directory: &Directory) {
    for n in 1..=USERS {
        let (login, family, number) = (login(n), format!("Family{n}"), format!("{n:05}"));
        let attributes: [(&str, &[&str]); 5] = [
            ("objectClass", &["inetOrgPerson"]),
            ("uid", &[&login]),
            ("cn", &[&family]),
            ("sn", &[&family]),
            ("employeeNumber", &[&number]),
        ];
        directory.add(&dn(n), &attributes).await;
    }
    for group in 0..GROUPS {
        let members: Vec<String> = (1..=USERS).filter(|n| groups_of(*n).any(|of| of == group)).map(dn).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let name = format!("team {group:02}");
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["groupOfNames"]), ("cn", &[&name]), ("member", &members)];
        directory.add(&format!("cn={name},ou=groups,dc=example,dc=com"), &attributes).await;
    }
}

/// Who may log in, by login; and who is in which group.
fn held_by_realm(realm: &Realm) -> (BTreeMap<String, String>, BTreeSet<(String, String)>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let users = realm.all("/users?briefRepresentation=true");
    let active = users.iter().filter(|user| user["enabled"] == true);
    let people = active.map(|user| (text(&user["username"]), text(&user["lastName"]))).collect();
    let members = realm.members().into_iter();
    (people, members.flat_map(|(group, logins)| logins.into_iter().map(move |login| (group.clone(), login))).collect())
}

#[test]
fn openldap_is_brought_into_keycloak() {
    let began = Instant::now();
    let lap = |what: &str| println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(fill(&directory));
    let realm = Realm::made();
    let world = World::new();
    world.write("secret", &realm.secret);
    world.write("password", &directory.password);
    world.write("jobs/in.toml", into_keycloak(&directory, &realm));
    lap("directory filled");

    world.muster(&["check", "in"]).ended(0);
    world.muster(&["run", "in"]).ended(3);
    assert_eq!(world.orders("in", &world.newest_run("in")).len(), 3550);
    world.muster(&["approve", "in", "--all", "--comment", "first load"]).ended(0);
    lap("first load approved");
    killed(&world, "in", || realm.get("/users/count").as_u64().unwrap() as usize);
    world.muster(&["apply", "in"]).ended(0);
    lap("first load applied, killed once");
    let mut people: BTreeMap<String, String> = (1..=USERS).map(|n| (login(n), format!("Family{n}"))).collect();
    let mut memberships = pairs(1..=USERS);
    assert_eq!(held_by_realm(&realm), (people.clone(), memberships.clone()));
    nothing_is_left_to_do(&world, "in");

    runtime.block_on(async {
        for n in 1..=20 {
            directory.modify(&dn(n), vec![Mod::Replace("sn", ["Núñez"].into())]).await;
            let mut ldap = directory.session().await;
            ldap.modifydn(&dn(n), &format!("uid=n{n:04}"), true, None).await.unwrap().success().unwrap();
        }
        for n in 21..=30 {
            directory.modify(&dn(n), vec![Mod::Add("pwdAccountLockedTime", ["000001010000Z"].into())]).await;
        }
        for n in 31..=40 {
            directory.delete(&dn(n)).await;
        }
        // The referential integrity of the directory comes a moment later.
        directory
            .modify("cn=team 07,ou=groups,dc=example,dc=com", vec![Mod::Delete("member", [dn(57).as_str()].into())])
            .await;
        directory
            .modify("cn=team 08,ou=groups,dc=example,dc=com", vec![Mod::Add("member", [dn(57).as_str()].into())])
            .await;
    });
    for n in 1..=20 {
        people.remove(&login(n));
        people.insert(format!("n{n:04}"), "Núñez".to_owned());
    }
    memberships = memberships
        .into_iter()
        .map(|(group, who)| if who.as_str() <= "e0020" { (group, who.replace('e', "n")) } else { (group, who) })
        .collect();
    for n in 21..=40 {
        people.remove(&login(n));
    }
    // Those who are gone are disabled, and are in no group.
    memberships.retain(|(_, who)| !("e0031".."e0041").contains(&who.as_str()));
    memberships.remove(&("team 07".to_owned(), login(57)));
    memberships.insert(("team 08".to_owned(), login(57)));
    brought_into_step_by(&world, "in", "a day of changes");
    lap("changes applied");
    assert_eq!(held_by_realm(&realm), (people, memberships));
    nothing_is_left_to_do(&world, "in");
    lap("both sides agree");
}
