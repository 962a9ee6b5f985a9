//! Whole loops from outside: HR's files into OpenLDAP, and OpenLDAP into a SCIM server.

use std::collections::{BTreeMap, BTreeSet};

use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::stages::{Kill, Laps, brought_into_step, first_load, nothing_is_left_to_do};
use crate::support::World;
use crate::whole_loop::Company;

/// Asks the directory itself.
async fn holds(directory: &Directory, company: &Company) {
    let attributes = ["employeeNumber", "uid", "sn", "pwdAccountLockedTime"];
    let entries = directory.search("ou=people,dc=example,dc=com", "(objectClass=inetOrgPerson)", &attributes).await;
    let of =
        |found: &BTreeMap<String, Vec<String>>, name: &str| found.get(name).map(|v| v[0].clone()).unwrap_or_default();
    let people: BTreeMap<String, (String, String)> = entries
        .iter()
        .filter(|(_, found)| !found.contains_key("pwdAccountLockedTime"))
        .map(|(_, found)| (of(found, "employeeNumber"), (of(found, "uid"), of(found, "sn"))))
        .collect();
    assert_eq!(people, company.people);
    for (dn, found) in &entries {
        assert!(dn.starts_with(&format!("uid={}", of(found, "uid"))), "{dn} is named by its login");
    }
    let numbers: BTreeMap<String, String> =
        entries.iter().map(|(dn, found)| (dn.to_lowercase(), of(found, "employeeNumber"))).collect();
    let groups = directory.search("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)", &["cn", "member"]).await;
    let memberships: BTreeSet<(String, String)> = groups
        .iter()
        .flat_map(|(_, found)| {
            let members = found["member"].iter().filter(|member| !member.is_empty());
            members.map(|member| (of(found, "cn"), numbers[&member.to_lowercase()].clone()))
        })
        .collect();
    assert_eq!(memberships, company.memberships);
}

pub(crate) fn ldap_system(name: &str, directory: &Directory) -> String {
    format!(
        r#"[systems.{name}]
kind = "ldap"
url = "{}"
base = "{}"
auth = {{ user = "{}", password = "file:../password" }}
[systems.{name}.resources.users]
base = "ou=people,{1}"
[systems.{name}.resources.groups]
base = "ou=groups,{1}"
"#,
        directory.url, directory.base, directory.user
    )
}

pub(crate) fn into_ldap(directory: &Directory) -> String {
    format!(
        r#"name = "corp"
[systems.hr]
kind = "csv"
path = "../hr"
{}
[[sync]]
from = "hr.users"
to = "ldap.users"
match = [{{ source = "id", target = "employeeNumber" }}]
on = {{ orphan = "disable" }}
unique = ["uid"]
[sync.attributes]
employeeNumber = "id"
uid = "login"
cn = "family"
sn = "family"
enabled = "enabled"

[[sync]]
from = "hr.groups"
to = "ldap.groups"
match = [{{ source = "id", target = "cn" }}]
[sync.attributes]
cn = "id"
description = "name"

[[sync]]
from = "hr.memberships"
to = "ldap.memberships"
ends = {{ user = ["hr.users", "ldap.users"], group = ["hr.groups", "ldap.groups"] }}

[apply]
concurrency = 4
"#,
        ldap_system("ldap", directory)
    )
}

/// A job of people, groups and who is in them, out of a system `idp` into a SCIM server.
pub(crate) fn into_scim(name: &str, idp: &str, vault: &str, token: &str, attributes: &str, group_name: &str) -> String {
    format!(
        r#"name = "{name}"
{idp}
[systems.vault]
kind = "scim"
url = "{vault}"
auth = {{ bearer = "{token}" }}

[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "disable" }}
[sync.attributes]
externalId = "id"{attributes}

[[sync]]
from = "idp.groups"
to = "vault.groups"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
[sync.attributes]
externalId = "id"
displayName = "{group_name}"

[[sync]]
from = "idp.memberships"
to = "vault.memberships"
ends = {{ user = ["idp.users", "vault.users"], group = ["idp.groups", "vault.groups"] }}

[apply]
concurrency = 4
"#
    )
}

pub(crate) fn out_of_ldap(directory: &Directory, vault: &str, token: &str) -> String {
    let attributes = r#"
userName = "uid"
"name.familyName" = "sn"
active = "enabled""#;
    into_scim("out", &ldap_system("idp", directory), vault, token, attributes, "cn")
}

#[test]
fn hr_is_brought_into_openldap_and_openldap_into_a_scim_server() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    let world = World::new();
    world.write("password", &directory.password);
    world.write("jobs/corp.toml", into_ldap(&directory));
    let mut company = Company::new("");
    company.drop(&world);
    let laps = Laps::begin();

    let count = || {
        runtime.block_on(directory.search("ou=people,dc=example,dc=com", "(objectClass=inetOrgPerson)", &["1.1"])).len()
    };
    first_load(&world, "corp", 3550, &[Kill { count: &count, at: 100, all: company.people.len() }]);
    laps.lap("first load applied, killed once");
    runtime.block_on(holds(&directory, &company));
    nothing_is_left_to_do(&world, "corp");

    company.a_day();
    company.drop(&world);
    brought_into_step(&world, "corp", "a day of changes");
    laps.lap("changes applied");
    runtime.block_on(holds(&directory, &company));
    nothing_is_left_to_do(&world, "corp");
    laps.lap("both sides agree");

    // And out of the directory again.
    let other = World::new();
    other.write("password", &directory.password);
    let vault = other.server();
    other.write("jobs/out.toml", out_of_ldap(&directory, &vault.url, "env:VAULT_TOKEN"));
    other.muster(&["run", "out"]).ended(3);
    other.muster(&["approve", "out", "--all", "--comment", "first load"]).ended(0);
    other.muster(&["apply", "out"]).ended(0);
    laps.lap("OpenLDAP into the SCIM server");
    let rows = |endpoint: &str| vault.all(endpoint);
    assert_eq!(rows("Users").iter().filter(|user| user["active"] == true).count(), company.people.len());
    let members = rows("Groups").iter().map(|group| group["members"].as_array().map_or(0, Vec::len)).sum::<usize>();
    assert_eq!(members, company.memberships.len());
    nothing_is_left_to_do(&other, "out");
    // Somebody moves on in the directory; an increment sees it, and that somebody went.
    runtime.block_on(async {
        directory
            .modify("uid=e0400,ou=people,dc=example,dc=com", vec![ldap3::Mod::Replace("sn", ["Smith"].into())])
            .await;
        directory.delete("uid=e0401,ou=people,dc=example,dc=com").await;
    });
    other.muster(&["run", "out", "--mode", "incremental"]).ended(3);
    let orders = other.orders("out", &other.newest_run("out"));
    let operations: BTreeSet<&str> = orders.iter().map(|order| order["operation"].as_str().unwrap()).collect();
    assert!(operations.contains("update") && operations.contains("disable"), "{orders:#?}");
    laps.lap("an increment");
}
