//! A made-up company, from day to day: the files that its HR system drops.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

const GIVEN: [&str; 10] = ["Ana", "Björn", "Chidi", "Dana", "Elif", "Farid", "Grace", "Hana", "Ivo", "Zoë"];
const FAMILY: [&str; 10] =
    ["Okafor", "Müller", "Lindqvist", "Novák", "O'Brien", "Tanaka", "Haddad", "Silva", "Kowalska", "van der Berg"];
const TEAMS: [&str; 4] = ["Databases", "Network", "Payments", "Platform"];

/// One employee as HR knows them.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) number: u32,
    pub(super) given: String,
    pub(super) family: String,
    pub(super) login: String,
    pub(super) team: usize,
    pub(super) employed: bool,
}

impl Person {
    pub(super) fn new(number: u32) -> Self {
        let given = GIVEN[number as usize % 10];
        let family = FAMILY[(number as usize / 10 + number as usize) % 10];
        Self {
            number,
            given: given.to_owned(),
            family: family.to_owned(),
            login: format!("user{number:03}@corp.example"),
            team: number as usize % TEAMS.len(),
            employed: true,
        }
    }
}

/// Writes users.csv, groups.csv and memberships.csv as the HR system would.
pub(super) fn write(folder: &Path, people: &[Person]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut users = String::from("id,login,firstName,lastName,email,enabled\n");
    let mut memberships = String::from("group,user\n");
    for p in people {
        writeln!(users, "E{:04},{},{},{},{},{}", p.number, p.login, p.given, p.family, p.login, p.employed)?;
        writeln!(memberships, "T{},E{:04}", p.team, p.number)?;
    }
    let mut groups = String::from("id,name\n");
    for (n, team) in TEAMS.iter().enumerate() {
        writeln!(groups, "T{n},{team} vault users")?;
    }
    for (file, text) in [("users.csv", users), ("groups.csv", groups), ("memberships.csv", memberships)] {
        let path = folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The job of the tour.
pub(super) const JOB: &str = r#"# Employees from the HR drop, into the vault.
name = "demo"

[systems.hr]
kind = "csv"
path = "../hr"

[systems.vault]
kind = "sandbox"
faults = "../faults.json"

[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "id", target = "externalId" }]
required = ["userName", "emails"]
unique = ["userName"]

[sync.attributes]
externalId = "id"
userName = "login.lowerAscii()"
"name.givenName" = "firstName"
"name.familyName" = "lastName"
displayName = "firstName + ' ' + lastName"
emails = "email"
active = "enabled"

[[sync]]
from = "hr.groups"
to = "vault.groups"
match = [{ source = "id", target = "externalId" }]

[sync.attributes]
externalId = "id"
displayName = "name"

[[sync]]
from = "hr.memberships"
to = "vault.memberships"
ends = { user = ["hr.users", "vault.users"], group = ["hr.groups", "vault.groups"] }
"#;

/// No faults.
pub(super) const NO_FAULTS: &str = "{\"rules\": []}\n";

/// The third account to be created is refused.
pub(super) const REFUSES_ONE: &str = r#"{"rules": [{"method": "POST", "prefix": "/Users", "when": {"nth": 3},
  "action": {"status": {"code": 400, "body": "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"400\",\"scimType\":\"invalidValue\",\"detail\":\"The 'emails' attribute was invalid.\"}"}}}]}
"#;
