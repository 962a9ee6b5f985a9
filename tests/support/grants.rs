//! Three people and three groups of HR, and a job that brings the people into a vault by rules of one's own.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use serde_json::{Value, json};

use crate::support::company::systems;
use crate::support::{Server, World};

/// Three people, three groups, and a job whose only sync is of people; `rules` stand in its `[[sync]]`.
pub struct House {
    pub world: World,
    pub vault: Server,
}

impl House {
    pub fn new(rules: &str) -> Self {
        let world = World::new();
        let vault = world.server();
        let house = Self { world, vault };
        house.people(&["E1,ada,Lovelace", "E2,grace,Hopper", "E3,mary,Somerville"]);
        house.world.write("hr/groups.csv", "id,name\nG1,vault-users\nG2,vault-admins\nG3,staff\n");
        // Admins are users, as one group is in the other.
        house.members(&["G1,E1", "G1,G2", "G2,E2", "G3,E3"]);
        house.job(rules, "");
        house
    }

    pub fn people(&self, rows: &[&str]) {
        let rows: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells: Vec<&str> = row.split(',').collect();
                format!("{0},{1}@corp.example,{1}@corp.example,{2},true\n", cells[0], cells[1], cells[2])
            })
            .collect();
        self.world.write("hr/users.csv", format!("id,login,email,family,enabled\n{}", rows.concat()));
    }

    pub fn members(&self, rows: &[&str]) {
        self.world.write("hr/memberships.csv", format!("group,user\n{}\n", rows.join("\n")));
    }

    pub fn job(&self, rules: &str, tables: &str) {
        let systems = systems("hr", &self.vault.url);
        self.world.write(
            "jobs/corp.toml",
            format!(
                r#"name = "corp"
{systems}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
thresholds = {{ disable = "off", update = "off" }}
{rules}
[sync.attributes]
externalId = "id"
userName = "login"
"name.familyName" = "family"
emails = "email"
active = "enabled"
{tables}
"#
            ),
        );
    }

    /// A group of the vault: what may be given there.
    pub fn role(&self, name: &str) {
        let group = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name });
        assert_eq!(self.vault.send("POST", "/Groups", Some(group)).0, 201);
    }

    /// The newest run's orders, as `operation key`.
    pub fn shown(&self) -> Vec<String> {
        let orders = self.orders();
        orders
            .iter()
            .map(|order| format!("{} {}", order["operation"].as_str().unwrap(), order["key"].as_str().unwrap()))
            .collect()
    }

    pub fn orders(&self) -> Vec<Value> {
        self.world.orders("corp", &self.world.newest_run("corp"))
    }

    /// The line of the job file that holds a text.
    pub fn line(&self, text: &str) -> usize {
        self.world.read("jobs/corp.toml").lines().position(|line| line.contains(text)).unwrap() + 1
    }
}
