//! The whole loop against a server of somebody else's: a first load, a day of changes, and both sides agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::stages::{Laps, brought_into_step, nothing_is_left_to_do};
use crate::support::company::{TEAMS, systems};
use crate::support::{World, send};

const USERS: usize = 500;
const GROUPS: usize = 50;
const GROUPS_OF_A_USER: usize = 6;

/// A running server.
pub(crate) struct System {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl System {
    /// The one that the environment names.
    pub(crate) fn told(name: &str) -> Self {
        let of = |what: &str| crate::told(&format!("MUSTER_TEST_{name}_{what}"));
        Self { url: of("URL"), token: of("TOKEN") }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        send("GET", &format!("{}{path}", self.url), Some(&self.token), None)
    }

    /// Nobody and nothing is left.
    pub(crate) fn emptied(&self) {
        self.emptied_of(&["Groups", "Users"]);
    }

    pub(crate) fn emptied_of(&self, endpoints: &[&str]) {
        for endpoint in endpoints {
            for row in self.all(endpoint) {
                let url = format!("{}/{endpoint}/{}", self.url, row["id"].as_str().unwrap());
                let (status, said) = send("DELETE", &url, Some(&self.token), None);
                assert!(status < 300, "{url}: {said}");
            }
        }
    }

    /// All resources of an endpoint, each once.
    pub(crate) fn all(&self, endpoint: &str) -> Vec<Value> {
        let mut rows: BTreeMap<String, Value> = BTreeMap::new();
        loop {
            let (status, page) = self.get(&format!("/{endpoint}?startIndex={}&count=100", rows.len() + 1));
            assert_eq!(status, 200, "{page}");
            let before = rows.len();
            for row in page["Resources"].as_array().cloned().unwrap_or_default() {
                rows.insert(row["id"].as_str().unwrap().to_owned(), row);
            }
            if rows.len() == before || rows.len() as u64 == page["totalResults"] {
                return rows.into_values().collect();
            }
        }
    }
}

/// What HR knows, and what the target should hold.
pub(crate) struct Company {
    /// What stands behind each login: `@corp.example`.
    domain: &'static str,
    /// Employee number → login and family name.
    pub(crate) people: BTreeMap<String, (String, String)>,
    /// (group, employee number).
    pub(crate) memberships: BTreeSet<(String, String)>,
}

fn number(n: usize) -> String {
    format!("E{n:04}")
}

fn group(n: usize) -> String {
    format!("G{:02}", n % GROUPS)
}

impl Company {
    pub(crate) fn new(domain: &'static str) -> Self {
        let mut company = Company { domain, people: BTreeMap::new(), memberships: BTreeSet::new() };
        (1..=USERS).for_each(|n| company.hire(n));
        company
    }

    fn hire(&mut self, n: usize) {
        self.people.insert(number(n), (format!("e{n:04}{}", self.domain), format!("Family{n}")));
        self.memberships.extend((0..GROUPS_OF_A_USER).map(|step| (group(n + 7 * step), number(n))));
    }

    fn dismiss(&mut self, n: usize) {
        self.people.remove(&number(n));
        self.memberships.retain(|(_, user)| *user != number(n));
    }

    fn marry(&mut self, n: usize) {
        self.people.get_mut(&number(n)).unwrap().1 = format!("Núñez, {n}");
    }

    /// Another login.
    fn rename(&mut self, n: usize) {
        self.people.get_mut(&number(n)).unwrap().0 = format!("n{n:04}{}", self.domain);
    }

    fn change_team(&mut self, n: usize) {
        assert!(self.memberships.remove(&(group(n), number(n))), "{n} is in its first group");
        assert!(self.memberships.insert((group(n + 1), number(n))), "{n} is not in the group after it");
    }

    /// Sixty get another name, twenty leave, twenty come, two hundred change their team, and forty their login.
    pub(crate) fn a_day(&mut self) {
        (1..=60).for_each(|n| self.marry(n));
        (61..=80).for_each(|n| self.dismiss(n));
        (USERS + 1..=USERS + 20).for_each(|n| self.hire(n));
        (101..=300).for_each(|n| self.change_team(n));
        (41..=60).chain(301..=320).for_each(|n| self.rename(n));
    }

    pub(crate) fn drop(&self, world: &World) {
        let mut users = String::from("id,login,family,enabled\n");
        for (id, (login, family)) in &self.people {
            writeln!(users, "{id},{login},\"{family}\",true").unwrap();
        }
        let mut groups = String::from("id,name\n");
        (0..GROUPS).for_each(|n| writeln!(groups, "{},Team {n}", group(n)).unwrap());
        let mut memberships = String::from("group,user\n");
        self.memberships.iter().for_each(|(group, user)| writeln!(memberships, "{group},{user}").unwrap());
        world.write("hr/users.csv", users);
        world.write("hr/groups.csv", groups);
        world.write("hr/memberships.csv", memberships);
    }

    /// Asks the server itself, not the connector.
    pub(crate) fn is_what_the_target_holds(&self, system: &System) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let users = system.all("Users");
        let active = users.iter().filter(|row| row["active"] == true);
        let people =
            active.map(|row| (text(&row["externalId"]), (text(&row["userName"]), text(&row["name"]["familyName"]))));
        assert_eq!(people.collect::<BTreeMap<_, _>>(), self.people);

        let ids: BTreeMap<&str, String> =
            users.iter().map(|row| (row["id"].as_str().unwrap(), text(&row["externalId"]))).collect();
        let mut pairs = Vec::new();
        for row in system.all("Groups") {
            for member in row["members"].as_array().into_iter().flatten() {
                let user = ids.get(member["value"].as_str().unwrap()).expect("a member is a user").clone();
                pairs.push((text(&row["externalId"]), user));
            }
        }
        let distinct: BTreeSet<(String, String)> = pairs.iter().cloned().collect();
        assert_eq!(pairs.len(), distinct.len(), "nobody is in a group twice");
        assert_eq!(distinct, self.memberships);
    }
}

pub(crate) fn job(system: &System) -> String {
    let systems = systems("hr", &system.url).replace("env:VAULT_TOKEN", "file:../token");
    format!(
        r#"name = "corp"

{systems}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "disable" }}
required = ["userName"]
unique = ["userName"]

[sync.attributes]
externalId = "id"
userName = "login"
"name.familyName" = "family"
active = "enabled"

{TEAMS}
[apply]
concurrency = 4
"#
    )
}

/// A first load, a day of changes, and at the end a complete run that finds nothing to do.
pub(crate) fn converges(system: &System) {
    let world = World::new();
    world.write("token", &system.token);
    world.write("jobs/corp.toml", job(system));
    let mut company = Company::new("@corp.example");
    company.drop(&world);
    let laps = Laps::begin();

    world.muster(&["run", "corp"]).ended(3);
    assert_eq!(world.orders("corp", &world.newest_run("corp")).len(), 3550);
    laps.lap("first load planned");
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);
    laps.lap("first load applied");
    company.is_what_the_target_holds(system);
    nothing_is_left_to_do(&world, "corp");

    company.a_day();
    company.drop(&world);
    let held = brought_into_step(&world, "corp", "a day of changes");
    let expected = ["hr.memberships/deleted/count", "hr.memberships/deleted/percent"];
    assert!(expected.iter().all(|name| held.contains(*name)), "{held:?}");
    laps.lap("changes applied");
    company.is_what_the_target_holds(system);

    nothing_is_left_to_do(&world, "corp");
    laps.lap("both sides agree");
}
