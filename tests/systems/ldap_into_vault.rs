//! The whole loop from a directory into a vault of somebody else's: OpenLDAP into a strict server with the extension for
//! privileged access. People, groups, who is in them, and a safe for each of some groups with the group's rights on it.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Mod;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::exported::modes;
use crate::ldap_loop::out_of_ldap;
use crate::privileged_access::ENDPOINTS;
use crate::staff::{self, GROUPS, GROUPS_OF_A_USER, USERS, dn, group_dn};
use crate::stages::{Kill, Laps, brought_into_step, first_load, nothing_is_left_to_do};
use crate::support::World;
use crate::whole_loop::System;

/// Groups that have a safe.
const SAFES: usize = 10;

fn group_name(n: usize) -> String {
    match n % GROUPS {
        n if n < SAFES => format!("safe-{n:02}"),
        n => format!("team-{n:02}"),
    }
}

fn group(n: usize) -> String {
    group_dn(&group_name(n))
}

/// A day in the directory: forty get another name, twenty another login, twenty are locked, twenty go, twenty come, a
/// hundred change their group, and two groups go, one with its safe.
async fn change(directory: &Directory, day: usize) {
    let first = 200 * day;
    for n in first + 1..=first + 40 {
        directory.modify(&dn(n), vec![Mod::Replace("sn", [format!("Núñez, {n}").as_str()].into())]).await;
    }
    let mut ldap = directory.session().await;
    for n in first + 41..=first + 60 {
        // The entry is renamed, and groups go along.
        ldap.modifydn(&dn(n), &format!("uid=n{n:04}"), true, None).await.unwrap().success().unwrap();
    }
    for n in first + 61..=first + 80 {
        directory.modify(&dn(n), vec![Mod::Replace("pwdAccountLockedTime", ["000001010000Z"].into())]).await;
    }
    for n in first + 81..=first + 100 {
        directory.delete(&dn(n)).await;
    }
    let hired = USERS + 20 * day;
    for n in hired + 1..=hired + 20 {
        staff::hire(directory, n).await;
        directory.modify(&group(n % 20 + 20), vec![Mod::Add("member", [dn(n).as_str()].into())]).await;
    }
    directory.delete(&group(day)).await;
    directory.delete(&group(SAFES + day)).await;
    for n in first + 101..=first + 200 {
        let (from, to) = (n % 20 + 20, n % 20 + 22);
        let name = dn(n);
        for (at, joins) in [(from, false), (to, true)] {
            let found = directory.search(&group(at), &format!("(member={name})"), &["1.1"]).await;
            let change = if joins {
                Mod::Add("member", [name.as_str()].into())
            } else {
                Mod::Delete("member", [name.as_str()].into())
            };
            // Whoever is not in the one group joins the other all the same.
            if found.is_empty() == joins {
                directory.modify(&group(at), vec![change]).await;
            }
        }
    }
}

fn job(directory: &Directory, vault: &System) -> String {
    out_of_ldap(directory, &vault.url, "file:../token")
        + r#"
[[sync]]
from = "idp.groups"
to = "vault.containers"
scope = ["cn.startsWith('safe-')"]
match = [{ source = "id", target = "externalId" }]
on = { orphan = "delete" }
attributes = { externalId = "id", name = "cn", type = "'safe'" }

[[sync]]
from = "idp.groups"
to = "vault.containerPermissions"
scope = ["cn.startsWith('safe-')"]
match = [{ source = "id", target = "externalId" }]
on = { orphan = "delete" }
attributes = { externalId = "id", rights = "['ListAccounts', 'UseAccounts']" }
[sync.references]
"container.value" = { source = "id", from = "idp.groups", to = "vault.containers" }
"group.value" = { source = "id", from = "idp.groups", to = "vault.groups" }
"#
}

/// By the directory's id: login, family name, and whether the account is in use.
type People = BTreeMap<String, (String, String, bool)>;
type Members = BTreeMap<String, BTreeSet<String>>;

/// What the directory says, in its own words: who is there, and who is in which group.
async fn wanted(directory: &Directory) -> (People, Members) {
    let attributes = ["entryUUID", "uid", "sn", "pwdAccountLockedTime"];
    let entries = directory.search("ou=people,dc=example,dc=com", "(objectClass=inetOrgPerson)", &attributes).await;
    let text = |found: &BTreeMap<String, Vec<String>>, name: &str| found[name][0].clone();
    let people = entries.iter().map(|(_, found)| {
        let is_on = !found.contains_key("pwdAccountLockedTime");
        (text(found, "entryUUID"), (text(found, "uid"), text(found, "sn"), is_on))
    });
    let ids: BTreeMap<String, String> =
        entries.iter().map(|(dn, found)| (dn.to_lowercase(), text(found, "entryUUID"))).collect();
    let groups = directory.search("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)", &["cn", "member"]).await;
    let members = groups.iter().map(|(_, found)| {
        let members = found["member"].iter().filter_map(|member| ids.get(&member.to_lowercase()).cloned());
        (text(found, "cn"), members.collect())
    });
    (people.collect(), members.collect())
}

/// Two texts that belong together.
type Pair = (String, String);

/// What the vault itself says, all of it.
fn held(vault: &System) -> (People, Members, BTreeSet<Pair>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let users = vault.all("Users");
    let people = users.iter().map(|row| {
        let said = (text(&row["userName"]), text(&row["name"]["familyName"]), row["active"] == true);
        (text(&row["externalId"]), said)
    });
    let people: People = people.collect();
    assert_eq!(people.len(), users.len(), "nobody is there twice");
    let ids: BTreeMap<String, String> = users.iter().map(|row| (text(&row["id"]), text(&row["externalId"]))).collect();
    let groups = vault.all("Groups");
    let mut members = Members::new();
    for row in &groups {
        let listed = row["members"].as_array().into_iter().flatten();
        let listed: Vec<String> = listed.map(|member| ids[member["value"].as_str().unwrap()].clone()).collect();
        let once: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), once.len(), "nobody is in a group twice");
        assert!(members.insert(text(&row["displayName"]), once).is_none(), "no group is there twice");
    }
    let named = |rows: &[Value], name: &str| -> BTreeMap<String, String> {
        rows.iter().map(|row| (text(&row["id"]), text(&row[name]))).collect()
    };
    let (safes, groups) = (named(&vault.all("Containers"), "name"), named(&groups, "displayName"));
    let mut grants = BTreeSet::new();
    for row in vault.all("ContainerPermissions") {
        let rights: BTreeSet<&str> = row["rights"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(rights, BTreeSet::from(["ListAccounts", "UseAccounts"]), "{row}");
        let (safe, group) = (row["container"]["value"].as_str().unwrap(), row["group"]["value"].as_str().unwrap());
        assert!(grants.insert((safes[safe].clone(), groups[group].clone())), "twice: {row}");
    }
    assert_eq!(safes.len(), grants.len(), "one grant on each safe");
    (people, members, grants)
}

/// Every row of the vault against the directory as it is now, and those whom the directory had before.
fn agree(runtime: &Runtime, directory: &Directory, vault: &System, known: &mut People) {
    let (people, members) = runtime.block_on(wanted(directory));
    known.values_mut().for_each(|(_, _, is_on)| *is_on = false);
    known.extend(people);
    let (held_people, held_members, grants) = held(vault);
    assert_eq!(held_people, *known);
    let safes = members.keys().filter(|name| name.starts_with("safe-"));
    assert_eq!(grants, safes.map(|name| (name.clone(), name.clone())).collect());
    for (name, members) in &members {
        let held = &held_members[name];
        assert_eq!(held.symmetric_difference(members).collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
    }
    assert_eq!(held_members.len(), members.len());
}

#[test]
fn a_directory_is_brought_into_a_vault_with_safes_and_rights() {
    let laps = Laps::begin();
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(staff::fill(&directory, group_name));
    let vault = System::told("PAM");
    vault.emptied_of(&ENDPOINTS);
    let world = World::new();
    world.write("password", &directory.password);
    world.write("token", &vault.token);
    world.write("jobs/out.toml", job(&directory, &vault));
    laps.lap("the directory is there");

    // Killed in the middle of the people, and once more in the middle of their memberships.
    let people = || vault.get("/Users?count=1").1["totalResults"].as_u64().unwrap_or(0) as usize;
    let members = || vault.all("Groups").iter().map(|row| row["members"].as_array().map_or(0, Vec::len)).sum::<usize>();
    let rows = USERS * GROUPS_OF_A_USER;
    let kills = [Kill { count: &people, at: 150, all: USERS }, Kill { count: &members, at: 600, all: rows }];
    first_load(&world, "out", USERS + GROUPS + rows + 2 * SAFES, &kills);
    laps.lap("first load applied, killed twice");
    let mut known = People::new();
    agree(&runtime, &directory, &vault, &mut known);
    nothing_is_left_to_do(&world, "out");

    for (day, increments) in ["", "increments = \"syncrepl\"\n"].into_iter().enumerate() {
        let job = job(&directory, &vault).replace("kind = \"ldap\"\n", &format!("kind = \"ldap\"\n{increments}"));
        world.write("jobs/out.toml", job);
        world.muster(&["run", "out"]).ended(0);
        runtime.block_on(change(&directory, day));
        laps.lap("a day of changes");
        let before = world.runs("out").len();
        let held = brought_into_step(&world, "out", "a day of changes");
        assert!(held.contains("idp.memberships/deleted/count"), "so much at once asks for a word: {held:?}");
        assert_eq!(modes(&world, "out", before, "idp"), BTreeSet::from(["incremental".to_owned()]));
        agree(&runtime, &directory, &vault, &mut known);
        nothing_is_left_to_do(&world, "out");
        laps.lap("both sides agree");
    }
    vault.emptied_of(&ENDPOINTS);
}
