//! Whole loops from outside: Keycloak into a SCIM server, OpenLDAP into Keycloak; and Keycloak's own SCIM API.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Mod;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::ldap_loop::{into_scim, ldap_system};
use crate::realm::Realm;
use crate::staff::{self, GROUPS, USERS, dn, groups_of, login};
use crate::stages::{Kill, Laps, brought_into_step, first_load, nothing_is_left_to_do};
use crate::support::World;
use crate::whole_loop::System;

fn group_name(n: usize) -> String {
    format!("team {n:02}")
}

/// (group, login) of everybody in `people`.
fn pairs(people: impl Iterator<Item = usize>) -> BTreeSet<(String, String)> {
    people.flat_map(|n| groups_of(n).map(move |group| (group_name(group), login(n)))).collect()
}

/// A company in a realm: users by import, memberships by their groups' paths.
fn filled() -> (Realm, BTreeMap<String, String>) {
    let realm = Realm::made();
    for group in 0..GROUPS {
        realm.make("/groups", json!({"name": format!("team {group:02}")}));
    }
    let user = |n: usize| {
        let groups: Vec<String> = groups_of(n).map(|group| format!("/{}", group_name(group))).collect();
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
    let attributes = r#"
userName = "username"
"name.familyName" = "lastName"
title = "attributes.title"
active = "enabled""#;
    into_scim("out", &realm.system("idp"), &vault.url, "file:../token", attributes, "name")
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
    let laps = Laps::begin();
    let vault = System::told("SCIMMY");
    vault.emptied();
    let (realm, ids) = filled();
    let world = World::new();
    world.write("secret", &realm.secret);
    world.write("token", &vault.token);
    world.write("jobs/out.toml", out_of_keycloak(&realm, &vault));
    laps.lap("realm filled");

    let count = || vault.get("/Users?startIndex=1&count=1").1["totalResults"].as_u64().unwrap() as usize;
    first_load(&world, "out", 3550, &[Kill { count: &count, at: 60, all: USERS }]);
    laps.lap("first load applied, killed once");
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
    laps.lap("a day of changes");
    let before = world.runs("out").len();
    brought_into_step(&world, "out", "a day of changes");
    let files = crate::support::files_below(&world.state().join("export/out").join(&world.runs("out")[before]));
    let manifest = files.iter().find(|file| file.ends_with("manifest.json")).unwrap();
    let manifest = std::fs::read_to_string(manifest).unwrap();
    assert!(manifest.contains("admin events since"), "it was an increment: {manifest}");
    laps.lap("changes applied");
    let held = held_by(&vault);
    assert_eq!(held.0, people);
    assert_eq!(held.1.symmetric_difference(&memberships).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    nothing_is_left_to_do(&world, "out");
    vault.emptied();
    laps.lap("both sides agree");
}

fn into_keycloak(directory: &Directory, realm: &Realm) -> String {
    format!(
        r#"name = "in"
{}{}
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
        ldap_system("directory", directory),
        realm.system("idp")
    )
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
    let laps = Laps::begin();
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(staff::fill(&directory, group_name));
    let realm = Realm::made();
    let world = World::new();
    world.write("secret", &realm.secret);
    world.write("password", &directory.password);
    world.write("jobs/in.toml", into_keycloak(&directory, &realm));
    laps.lap("directory filled");

    let count = || realm.get("/users/count").as_u64().unwrap() as usize;
    first_load(&world, "in", 3550, &[Kill { count: &count, at: 60, all: USERS }]);
    laps.lap("first load applied, killed once");
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
    brought_into_step(&world, "in", "a day of changes");
    laps.lap("changes applied");
    assert_eq!(held_by_realm(&realm), (people, memberships));
    nothing_is_left_to_do(&world, "in");
    laps.lap("both sides agree");
}
