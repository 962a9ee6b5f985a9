//! The whole loop from a directory into a vault of somebody else's: OpenLDAP into a strict server with the extension for
//! privileged access. People, groups, who is in them, and a safe for each of some groups with the group's rights on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ldap3::Mod;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::ldap_loop::ldap_system;
use crate::support::World;
use crate::whole_loop::{System, brought_into_step};

const USERS: usize = 500;
const GROUPS: usize = 50;
const GROUPS_OF_A_USER: usize = 6;
/// Groups that have a safe.
const SAFES: usize = 10;
const PEOPLE: &str = "ou=people,dc=example,dc=com";

fn person(login: &str) -> String {
    format!("uid={login},{PEOPLE}")
}

fn login(n: usize) -> String {
    format!("v{n:04}")
}

fn group(n: usize) -> String {
    format!("cn={},ou=groups,dc=example,dc=com", group_name(n))
}

fn group_name(n: usize) -> String {
    match n % GROUPS {
        n if n < SAFES => format!("safe-{n:02}"),
        n => format!("team-{n:02}"),
    }
}

fn groups_of(n: usize) -> impl Iterator<Item = usize> {
    (0..GROUPS_OF_A_USER).map(move |step| (n + 7 * step) % GROUPS)
}

async fn hire(directory: &Directory, n: usize) {
    let (login, family) = (login(n), format!("Family{n}"));
    let attributes: &[(&str, &[&str])] =
        &[("objectClass", &["inetOrgPerson"]), ("uid", &[&login]), ("cn", &[&family]), ("sn", &[&family])];
    directory.add(&person(&login), attributes).await;
}

async fn fill(directory: &Directory) {
    for n in 0..USERS {
        hire(directory, n).await;
    }
    for at in 0..GROUPS {
        let members: Vec<String> =
            (0..USERS).filter(|n| groups_of(*n).any(|group| group == at)).map(|n| person(&login(n))).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let name = group_name(at);
        directory.add(&group(at), &[("objectClass", &["groupOfNames"]), ("cn", &[&name]), ("member", &members)]).await;
    }
}

async fn change(directory: &Directory) {
    let mut ldap = directory.session().await;
    for n in 0..40 {
        directory.modify(&person(&login(n)), vec![Mod::Replace("sn", [format!("Núñez, {n}").as_str()].into())]).await;
    }
    // Another login renames the entry; groups go along.
    for n in 40..60 {
        ldap.modifydn(&person(&login(n)), &format!("uid=n{n:04}"), true, None).await.unwrap().success().unwrap();
    }
    for n in 60..80 {
        let locked = Mod::Replace("pwdAccountLockedTime", ["000001010000Z"].into());
        directory.modify(&person(&login(n)), vec![locked]).await;
    }
    for n in 80..100 {
        directory.delete(&person(&login(n))).await;
    }
    for n in USERS..USERS + 20 {
        hire(directory, n).await;
        let name = person(&login(n));
        directory.modify(&group(n), vec![Mod::Add("member", [name.as_str()].into())]).await;
    }
    // Some change their group.
    for n in 100..200 {
        let name = person(&login(n));
        let to = (n + 3) % GROUPS;
        directory.modify(&group(n), vec![Mod::Delete("member", [name.as_str()].into())]).await;
        directory.modify(&group(to), vec![Mod::Add("member", [name.as_str()].into())]).await;
    }
    // A safe is given up with its group, and another group goes without one.
    directory.delete(&group(0)).await;
    directory.delete(&group(SAFES)).await;
}

fn job(directory: &Directory, vault: &System) -> String {
    let idp = ldap_system("idp", directory);
    format!(
        r#"name = "corp"
{idp}
[systems.vault]
kind = "scim"
url = "{}"
auth = {{ bearer = "file:../token" }}

[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "disable" }}
required = ["userName"]
unique = ["userName"]
[sync.attributes]
externalId = "id"
userName = "uid"
"name.familyName" = "sn"
active = "enabled"

[[sync]]
from = "idp.groups"
to = "vault.groups"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
[sync.attributes]
externalId = "id"
displayName = "cn"

[[sync]]
from = "idp.memberships"
to = "vault.memberships"
ends = {{ user = ["idp.users", "vault.users"], group = ["idp.groups", "vault.groups"] }}

[[sync]]
from = "idp.groups"
to = "vault.containers"
scope = ["cn.startsWith('safe-')"]
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
attributes = {{ externalId = "id", name = "cn", type = "'safe'" }}

[[sync]]
from = "idp.groups"
to = "vault.containerPermissions"
scope = ["cn.startsWith('safe-')"]
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
attributes = {{ externalId = "id", rights = "['ListAccounts', 'UseAccounts']" }}
[sync.references]
"container.value" = {{ source = "id", from = "idp.groups", to = "vault.containers" }}
"group.value" = {{ source = "id", from = "idp.groups", to = "vault.groups" }}

[apply]
concurrency = 4
"#,
        vault.url
    )
}

type Members = BTreeMap<String, BTreeSet<String>>;

/// What the directory says, in its own words: who works, and who is in which group.
async fn wanted(directory: &Directory) -> (BTreeMap<String, (String, String)>, Members) {
    let attributes = ["entryUUID", "uid", "sn", "pwdAccountLockedTime"];
    let entries = directory.search(PEOPLE, "(objectClass=inetOrgPerson)", &attributes).await;
    let people = entries.iter().filter(|(_, found)| !found.contains_key("pwdAccountLockedTime"));
    let people = people
        .map(|(_, found)| (found["entryUUID"][0].clone(), (found["uid"][0].clone(), found["sn"][0].clone())))
        .collect();
    let ids: BTreeMap<String, String> =
        entries.iter().map(|(dn, found)| (dn.to_lowercase(), found["entryUUID"][0].clone())).collect();
    let groups = directory.search("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)", &["cn", "member"]).await;
    let members = groups.into_iter().map(|(_, found)| {
        let members = found["member"].iter().filter_map(|member| ids.get(&member.to_lowercase()).cloned());
        (found["cn"][0].clone(), members.collect())
    });
    (people, members.collect())
}

/// Two texts that belong together.
type Pair = (String, String);

/// What the vault itself says.
fn held(vault: &System) -> (BTreeMap<String, Pair>, Members, BTreeSet<Pair>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let users = vault.all("Users");
    let people = users
        .iter()
        .filter(|row| row["active"] == true)
        .map(|row| (text(&row["externalId"]), (text(&row["userName"]), text(&row["name"]["familyName"]))))
        .collect();
    let ids: BTreeMap<String, String> = users.iter().map(|row| (text(&row["id"]), text(&row["externalId"]))).collect();
    let groups = vault.all("Groups");
    let mut members = Members::new();
    for row in &groups {
        let listed = row["members"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|member| ids[member["value"].as_str().unwrap()].clone());
        let listed: Vec<String> = listed.collect();
        let once: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), once.len(), "nobody is in a group twice");
        assert!(members.insert(text(&row["displayName"]), once).is_none(), "no group is there twice");
    }
    let named = |rows: &[Value], name: &str| -> BTreeMap<String, String> {
        rows.iter().map(|row| (text(&row["id"]), text(&row[name]))).collect()
    };
    let (safes, groups) = (named(&vault.all("Containers"), "name"), named(&groups, "displayName"));
    let permissions = vault.all("ContainerPermissions");
    let mut grants = BTreeSet::new();
    for row in &permissions {
        let rights: BTreeSet<&str> = row["rights"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(rights, BTreeSet::from(["ListAccounts", "UseAccounts"]), "{row}");
        let (safe, group) = (row["container"]["value"].as_str().unwrap(), row["group"]["value"].as_str().unwrap());
        assert!(grants.insert((safes[safe].clone(), groups[group].clone())), "twice: {row}");
    }
    assert_eq!(safes.len(), grants.len(), "one grant on each safe");
    (people, members, grants)
}

fn agree(runtime: &Runtime, directory: &Directory, vault: &System) {
    let (people, members) = runtime.block_on(wanted(directory));
    let (held_people, held_members, grants) = held(vault);
    assert_eq!(held_people, people);
    let safes = members.keys().filter(|name| name.starts_with("safe-"));
    assert_eq!(grants, safes.map(|name| (name.clone(), name.clone())).collect());
    assert_eq!(held_members, members);
}

#[test]
fn a_directory_is_brought_into_a_vault_with_safes_and_rights() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(fill(&directory));
    let vault = System::told("LDAP_VAULT");
    let world = World::new();
    world.write("password", &directory.password);
    world.write("token", &vault.token);
    world.write("jobs/corp.toml", job(&directory, &vault));
    let began = Instant::now();
    let lap = |what: &str| println!("{what}: {:.1} s", began.elapsed().as_secs_f64());

    world.muster(&["check", "corp"]).ended(0);
    world.muster(&["run", "corp"]).ended(3);
    let orders = world.orders("corp", &world.newest_run("corp")).len();
    assert_eq!(orders, USERS + GROUPS + USERS * GROUPS_OF_A_USER + 2 * SAFES);
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    lap("first load approved");
    // Killed in the middle of the people, and once more in the middle of their memberships.
    let people = || vault.get("/Users?count=1").1["totalResults"].as_u64().unwrap_or(0);
    let members =
        || vault.all("Groups").iter().map(|row| row["members"].as_array().map_or(0, Vec::len) as u64).sum::<u64>();
    let counts: [(&dyn Fn() -> u64, u64, u64); 2] = [(&people, 150, 500), (&members, 600, 3000)];
    for (count, enough, all) in counts {
        let mut child = world.command(&["apply", "corp"]).spawn().unwrap();
        while count() < enough {
            assert!(
                began.elapsed() < Duration::from_secs(180) && child.try_wait().unwrap().is_none(),
                "it ended before"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(count() < all, "it was killed too late");
    }
    world.muster(&["apply", "corp"]).ended(0);
    lap("first load applied, killed twice");
    agree(&runtime, &directory, &vault);
    world.muster(&["run", "corp", "--mode", "complete"]).ended(0);

    runtime.block_on(change(&directory));
    let held = brought_into_step(&world, "a day of changes");
    lap("changes applied");
    assert!(!held.is_empty(), "so much at once asks for a word");
    agree(&runtime, &directory, &vault);
    world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
    assert_eq!(world.orders("corp", &world.newest_run("corp")), Vec::<Value>::new());
    lap("both sides agree");
}
