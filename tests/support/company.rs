//! A small company: an HR drop in `hr/`, a vault on the built-in server, a job between them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use super::{Server, World};

/// One employee, as HR knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub login: String,
    pub email: String,
    pub family: String,
    pub team: String,
    pub enabled: bool,
}

/// Employee number `n`.
pub fn person(n: usize) -> Person {
    Person {
        id: format!("E{n:04}"),
        login: format!("user{n:04}@corp.example"),
        email: format!("user{n:04}@corp.example"),
        family: format!("Family{n}"),
        team: format!("T{}", n % 3),
        enabled: true,
    }
}

/// Employees 1 to `n`.
pub fn people(n: usize) -> Vec<Person> {
    (1..=n).map(person).collect()
}

/// What HR drops: the name of each file, and its text.
pub fn hr_files(people: &[Person]) -> [(&'static str, String); 3] {
    let mut users = String::from("id,login,email,family,enabled\n");
    let mut memberships = String::from("group,user\n");
    for p in people {
        users.push_str(&format!("{},{},{},{},{}\n", p.id, p.login, p.email, p.family, p.enabled));
        memberships.push_str(&format!("{},{}\n", p.team, p.id));
    }
    let groups = "id,name\nT0,Databases\nT1,Network\nT2,Payments\n".to_owned();
    [("hr/users.csv", users), ("hr/groups.csv", groups), ("hr/memberships.csv", memberships)]
}

/// The systems of a job file: the drop `name` in the folder of the same name, and the SCIM server at `url`.
pub fn systems(name: &str, url: &str) -> String {
    format!(
        r#"[systems.{name}]
kind = "csv"
path = "../{name}"

[systems.vault]
kind = "scim"
url = "{url}"
auth = {{ bearer = "env:VAULT_TOKEN" }}
"#
    )
}

/// Teams as groups, and who is in them.
pub const TEAMS: &str = r#"[[sync]]
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

/// The text of a job file: users, groups and memberships from `../hr` to the SCIM server at `url`.
pub fn job_text(url: &str, further: &str) -> String {
    let systems = systems("hr", url);
    format!(
        r#"name = "corp"

{systems}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
required = ["userName", "emails"]
unique = ["userName"]

[sync.attributes]
externalId = "id"
userName = "login"
"name.familyName" = "family"
emails = "email"
active = "enabled"

{TEAMS}
{further}
"#
    )
}

/// The company's world: folder, vault, job file.
pub struct Company {
    pub world: World,
    pub vault: Server,
}

impl Company {
    /// A company with `n` employees and an empty vault.
    pub fn of(n: usize) -> Self {
        Self::with(n, "")
    }

    /// The same, with further lines at the end of the job file.
    pub fn with(n: usize, further: &str) -> Self {
        let world = World::new();
        let vault = world.server();
        let company = Company { world, vault };
        company.hr(&people(n));
        company.job(further);
        company
    }

    /// Writes jobs/corp.toml: users, groups and memberships, with `further` lines at its end.
    pub fn job(&self, further: &str) {
        self.world.write("jobs/corp.toml", self.job_text(further));
    }

    /// The job file's text.
    pub fn job_text(&self, further: &str) -> String {
        job_text(&self.vault.url, further)
    }

    /// Writes what HR drops.
    pub fn hr(&self, people: &[Person]) {
        for (file, text) in hr_files(people) {
            self.world.write(file, text);
        }
    }

    /// Runs, approves everything and applies, until both sides agree.
    #[track_caller]
    pub fn settle(&self) {
        self.world.settle("corp");
    }
}
