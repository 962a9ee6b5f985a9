//! A vault with the extension for privileged access: people, safes, and who may do what on which safe.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test crate uses a part of it, and a test may panic"
)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::World;
use super::company::systems;

/// A grant: its key, the safe, the user, the right.
pub type Grant<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The job: people, safes and grants from `../hr` to the server at `url`; `token` is where its token is.
pub fn job(url: &str, token: &str, settings: &str) -> String {
    let systems = systems("hr", url).replace("env:VAULT_TOKEN", token).replace("kind = \"scim\"\n", settings);
    format!(
        r#"name = "safes"

{systems}
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
attributes = {{ externalId = "id", userName = "login" }}

[[sync]]
from = "hr.safes"
to = "vault.containers"
match = [{{ source = "name", target = "name" }}]
attributes = {{ name = "name", description = "text", type = "'safe'" }}

[[sync]]
from = "hr.grants"
to = "vault.containerPermissions"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
attributes = {{ externalId = "id", rights = "[right, 'ListAccounts']" }}

[sync.references]
"container.value" = {{ source = "safe", from = "hr.safes", to = "vault.containers" }}
"user.value" = {{ source = "user", from = "hr.users", to = "vault.users" }}
"#
    )
}

/// What HR says from now on.
pub fn drops(world: &World, grants: &[Grant<'_>]) {
    world.write("hr/users.csv", "id,login\nE1,ada@corp.example\nE2,grace@corp.example\n");
    world.write("hr/safes.csv", "id,name,text\nS1,Payroll,pay\nS2,Network,net\n");
    let rows: Vec<String> =
        grants.iter().map(|(id, safe, user, right)| format!("{id},{safe},{user},{right}\n")).collect();
    world.write("hr/grants.csv", format!("id,safe,user,right\n{}", rows.concat()));
}

/// What the server holds, in words: safe, login, right; `get` asks it for all resources of an endpoint.
pub fn held(get: impl Fn(&str) -> Vec<Value>) -> BTreeSet<String> {
    let named = |endpoint: &str, name: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        get(endpoint).iter().map(|row| (text(&row["id"]), text(&row[name]))).collect()
    };
    let (safes, users) = (named("Containers", "name"), named("Users", "userName"));
    let of = |list: &[(String, String)], id: &Value| {
        list.iter().find(|(known, _)| *id == known.as_str()).map(|(_, name)| name.clone()).unwrap_or_default()
    };
    let row = |row: &Value| {
        let rights: BTreeSet<&str> = row["rights"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let rights: Vec<&str> = rights.into_iter().collect();
        let (safe, user) = (of(&safes, &row["container"]["value"]), of(&users, &row["user"]["value"]));
        format!("{safe} {user} {}", rights.join("+"))
    };
    get("ContainerPermissions").iter().map(row).collect()
}

/// The whole loop: a first load, grants that come, change and go, and at the end nothing to do.
pub fn converges(world: &World, get: impl Fn(&str) -> Vec<Value>) {
    drops(world, &[("G1", "S1", "E1", "UseAccounts"), ("G2", "S2", "E2", "UseAccounts")]);
    world.settle("safes");
    let wanted = |rows: &[&str]| rows.iter().map(|row| (*row).to_owned()).collect::<BTreeSet<String>>();
    let first =
        ["Payroll ada@corp.example ListAccounts+UseAccounts", "Network grace@corp.example ListAccounts+UseAccounts"];
    assert_eq!(held(&get), wanted(&first));
    drops(world, &[("G1", "S1", "E1", "ManageSafe"), ("G3", "S1", "E2", "UseAccounts")]);
    world.settle("safes");
    let then =
        ["Payroll ada@corp.example ListAccounts+ManageSafe", "Payroll grace@corp.example ListAccounts+UseAccounts"];
    assert_eq!(held(&get), wanted(&then));
    world.muster(&["run", "safes", "--mode", "complete"]).ended(0);
}
