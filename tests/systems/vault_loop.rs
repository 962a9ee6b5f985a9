//! The whole loop: an Active Directory domain into a vault, where people then log in as who they are.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::Mod;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::exported::modes;
use crate::stages::{Kill, Laps, brought_into_step, first_load, nothing_is_left_to_do};
use crate::support::World;
use crate::vault_admin::Vault;

const USERS: usize = 500;
const GROUPS: usize = 50;
const GROUPS_OF_A_USER: usize = 6;

/// The domain, and what is in it.
struct Domain {
    directory: Directory,
    runtime: Runtime,
    /// Login → title.
    people: BTreeMap<String, String>,
    /// Logins of those whose account is switched off.
    disabled: BTreeSet<String>,
    /// Group and login.
    memberships: BTreeSet<(String, String)>,
}

fn login(n: usize) -> String {
    format!("e{n:04}")
}

fn group(n: usize) -> String {
    format!("team{:02}", n % GROUPS)
}

impl Domain {
    fn new() -> Self {
        let (runtime, directory) = (Runtime::new().unwrap(), Directory::active_directory());
        let domain = Self {
            directory,
            runtime,
            people: BTreeMap::new(),
            disabled: BTreeSet::new(),
            memberships: BTreeSet::new(),
        };
        domain.runtime.block_on(async {
            let directory = &domain.directory;
            for ou in ["groups", "people"] {
                let dn = format!("OU={ou},{}", directory.base);
                if directory.search(&directory.base, &format!("(ou={ou})"), &["1.1"]).await.is_empty() {
                    directory.add(&dn, &[("objectClass", &["organizationalUnit"]), ("ou", &[ou])]).await;
                }
                directory.empty(&dn, "(|(objectClass=user)(objectClass=group))").await;
            }
        });
        domain
    }

    /// People are entries that keep their names; what they are called otherwise changes.
    fn entry(&self, n: usize) -> String {
        format!("CN=p{n:04},OU=people,{}", self.directory.base)
    }

    fn team(&self, name: &str) -> String {
        format!("CN={name},OU=groups,{}", self.directory.base)
    }

    fn hire(&mut self, n: usize) {
        let login = login(n);
        let attributes: &[(&str, &[&str])] = &[
            ("objectClass", &["user"]),
            ("sAMAccountName", &[&login]),
            ("title", &["Clerk"]),
            // Switched on, without a password.
            ("userAccountControl", &["544"]),
        ];
        self.runtime.block_on(self.directory.add(&self.entry(n), attributes));
        self.people.insert(login.clone(), "Clerk".to_owned());
        self.memberships.extend((0..GROUPS_OF_A_USER).map(|step| (group(n + 7 * step), login.clone())));
    }

    fn modify(&self, dn: &str, changes: Vec<Mod<&str>>) {
        self.runtime.block_on(self.directory.modify(dn, changes));
    }

    /// Makes the groups, with whom they hold.
    fn found_teams(&self, entries: &BTreeMap<String, String>) {
        for team in (0..GROUPS).map(group) {
            let members = self.memberships.iter().filter(|(of, _)| *of == team);
            let members: Vec<&str> = members.map(|(_, login)| entries[login].as_str()).collect();
            let attributes: &[(&str, &[&str])] =
                &[("objectClass", &["group"]), ("sAMAccountName", &[&team]), ("member", &members)];
            self.runtime.block_on(self.directory.add(&self.team(&team), attributes));
        }
    }

    /// A person leaves a group for another one.
    fn change_team(&mut self, n: usize) {
        let entry = self.entry(n);
        for (team, joins) in [(group(n), false), (group(n + 1), true)] {
            let member = [entry.as_str()].into();
            let change = if joins { Mod::Add("member", member) } else { Mod::Delete("member", member) };
            self.modify(&self.team(&team), vec![change]);
            let row = (team, login(n));
            assert!(if joins { self.memberships.insert(row) } else { self.memberships.remove(&row) });
        }
    }

    fn rename(&mut self, n: usize) {
        let (old, new) = (login(n), format!("n{n:04}"));
        let changes =
            vec![Mod::Replace("sAMAccountName", [new.as_str()].into()), Mod::Replace("title", ["Boss"].into())];
        self.modify(&self.entry(n), changes);
        self.people.remove(&old);
        self.people.insert(new.clone(), "Boss".to_owned());
        let rows = self
            .memberships
            .iter()
            .map(|(team, login)| (team.clone(), if *login == old { new.clone() } else { login.clone() }));
        self.memberships = rows.collect();
    }

    fn disable(&mut self, n: usize) {
        self.modify(&self.entry(n), vec![Mod::Replace("userAccountControl", ["546"].into())]);
        self.disabled.insert(login(n));
    }

    fn remove(&mut self, n: usize) {
        self.runtime.block_on(self.directory.delete(&self.entry(n)));
        self.people.remove(&login(n));
        self.memberships.retain(|(_, of)| *of != login(n));
    }

    /// Sixty change their login and title, twenty are switched off, twenty go, forty change their team, and twenty come.
    fn a_day(&mut self, day: usize) {
        let first = 140 * day;
        (first + 1..=first + 60).for_each(|n| self.rename(n));
        (first + 61..=first + 80).for_each(|n| self.disable(n));
        (first + 81..=first + 100).for_each(|n| self.remove(n));
        (first + 101..=first + 140).for_each(|n| self.change_team(n));
        let teams = self.memberships.clone();
        let hired = USERS + 20 * day;
        (hired + 1..=hired + 20).for_each(|n| self.hire(n));
        let mut joined: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (team, login) in self.memberships.difference(&teams) {
            joined.entry(team).or_default().push(self.entry(login[1..].parse().unwrap()));
        }
        for (team, entries) in joined {
            let entries = entries.iter().map(String::as_str).collect();
            self.modify(&self.team(team), vec![Mod::Add("member", entries)]);
        }
    }

    /// Asks the vault itself.
    fn is_what_the_vault_holds(&self, vault: &Vault) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entities = vault.all("entity");
        let names: BTreeMap<String, String> =
            entities.iter().map(|one| (text(&one["id"]), text(&one["name"]))).collect();
        let is_off = |one: &&Value| one["disabled"] == true;
        let off: BTreeSet<String> = entities.iter().filter(is_off).map(|one| text(&one["name"])).collect();
        let on = entities.iter().filter(|one| !is_off(one));
        let on: BTreeMap<String, String> =
            on.map(|one| (text(&one["name"]), text(&one["metadata"]["title"]))).collect();
        let mut people = self.people.clone();
        people.retain(|login, _| !self.disabled.contains(login));
        assert_eq!(on, people);
        assert!(self.disabled.iter().all(|login| off.contains(login)), "{off:?}");
        let mut memberships = Vec::new();
        for one in vault.all("group") {
            let members = one["member_entity_ids"].as_array().cloned().unwrap_or_default();
            memberships.extend(members.iter().map(|id| (text(&one["name"]), names[id.as_str().unwrap()].clone())));
        }
        let distinct: BTreeSet<(String, String)> = memberships.iter().cloned().collect();
        assert_eq!((memberships.len(), &distinct), (self.memberships.len(), &self.memberships));
        let aliases: BTreeMap<String, String> = vault
            .all("entity-alias")
            .iter()
            .map(|one| (text(&one["name"]), names[&text(&one["canonical_id"])].clone()))
            .collect();
        assert_eq!(aliases, self.people.keys().map(|login| (login.clone(), login.clone())).collect());
    }
}

fn job(directory: &Directory, vault: &Vault) -> String {
    format!(
        r#"name = "corp"
[systems.ad]
kind = "ldap"
url = "{}"
base = "{}"
ca_file = "{}"
auth = {{ user = "{}", password = "file:../password" }}
[systems.ad.resources.users]
base = "OU=people,{1}"
[systems.ad.resources.groups]
base = "OU=groups,{1}"

[systems.vault]
kind = "openbao"
url = "{}"
auth = {{ token = "file:../token" }}

[[sync]]
from = "ad.users"
to = "vault.users"
match = [{{ source = "id", target = "metadata.guid" }}]
[sync.attributes]
name = "sAMAccountName"
"metadata.guid" = "id"
"metadata.title" = "title"
active = "enabled"

[[sync]]
from = "ad.users"
to = "vault.aliases"
match = [{{ source = "'userpass/' + sAMAccountName", target = "login" }}]
on = {{ orphan = "delete" }}
[sync.attributes]
name = "sAMAccountName"
mount = "'userpass'"
[sync.references]
user = {{ source = "id", from = "ad.users", to = "vault.users" }}

[[sync]]
from = "ad.groups"
to = "vault.groups"
match = [{{ source = "id", target = "metadata.guid" }}]
[sync.attributes]
name = "cn"
"metadata.guid" = "id"

[[sync]]
from = "ad.memberships"
to = "vault.memberships"
ends = {{ user = ["ad.users", "vault.users"], group = ["ad.groups", "vault.groups"] }}
"#,
        directory.url, directory.base, directory.ca_file, directory.user, vault.url
    )
}

/// Logs somebody in; the status, and what came of it.
fn logs_in(vault: &Vault, login: &str) -> (u16, Value) {
    vault.done("POST", &format!("auth/userpass/users/{login}"), json!({ "password": "hunter2" }));
    vault.send_as("", "POST", &format!("auth/userpass/login/{login}"), Some(json!({ "password": "hunter2" })))
}

#[test]
fn a_domain_is_brought_into_a_vault_where_its_people_log_in_as_who_they_are() {
    let laps = Laps::begin();
    let vault = Vault::emptied();
    vault.method("userpass");
    let mut domain = Domain::new();
    (1..=USERS).for_each(|n| domain.hire(n));
    let entries: BTreeMap<String, String> = (1..=USERS).map(|n| (login(n), domain.entry(n))).collect();
    domain.found_teams(&entries);
    laps.lap("the domain is there");

    let world = World::new();
    world.write("password", &domain.directory.password);
    world.write("token", vault.documented_token(&[]));
    world.write("jobs/corp.toml", job(&domain.directory, &vault));
    let count = || vault.list("identity/entity/id").len();
    let orders = 2 * USERS + GROUPS + USERS * GROUPS_OF_A_USER;
    first_load(&world, "corp", orders, &[Kill { count: &count, at: 100, all: USERS }]);
    laps.lap("first load applied, killed once");
    domain.is_what_the_vault_holds(&vault);
    nothing_is_left_to_do(&world, "corp");

    // One day by the controller's count of changes, and one by DirSync; groups are not told of whom the domain deletes.
    for (day, increments) in ["", "increments = \"dirsync\"\n"].into_iter().enumerate() {
        let job =
            job(&domain.directory, &vault).replace("kind = \"ldap\"\n", &format!("kind = \"ldap\"\n{increments}"));
        world.write("jobs/corp.toml", job);
        world.muster(&["run", "corp"]).ended(0);
        domain.a_day(day);
        laps.lap("a day of changes");
        let before = world.runs("corp").len();
        let held = brought_into_step(&world, "corp", "a day of changes");
        assert!(held.contains("vault.users/disable/count"), "{held:?}");
        assert_eq!(modes(&world, "corp", before, "ad"), BTreeSet::from(["incremental".to_owned()]));
        laps.lap("changes applied");
        domain.is_what_the_vault_holds(&vault);
        nothing_is_left_to_do(&world, "corp");
        laps.lap("both sides agree");
    }

    // Whoever logs in is who muster says, also under a new name; whoever is switched off does not get in.
    for name in ["n0001", "e0300"] {
        let (status, answer) = logs_in(&vault, name);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["auth"]["entity_id"], vault.named("entity", name).unwrap()["id"], "{answer}");
    }
    let (status, answer) = logs_in(&vault, "e0061");
    assert_eq!(status, 403, "{answer}");
}
