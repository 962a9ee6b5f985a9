//! Increments of SCIM servers of others: whoever is gone there is disabled by a run that reads what changed alone.

use serde_json::{Value, json};

use crate::exported::mode;
use crate::support::{World, send};
use crate::whole_loop::System;

const JOB: &str = "out";

fn post(system: &System, endpoint: &str, body: &Value) -> String {
    let (status, said) = send("POST", &format!("{}/{endpoint}", system.url), Some(&system.token), Some(body.clone()));
    assert_eq!(status, 201, "{said}");
    said["id"].as_str().unwrap().to_owned()
}

/// A server with twelve people in a group; the id of each.
fn filled(system: &System) -> Vec<String> {
    system.emptied();
    let user = |n: usize| {
        let login = format!("left{n:02}@corp.example");
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": login, "active": true})
    };
    let ids: Vec<String> = (0..12).map(|n| post(system, "Users", &user(n))).collect();
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id, "type": "User"})).collect();
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Leavers",
        "members": members});
    post(system, "Groups", &group);
    ids
}

fn leavers_are_seen(system: &System) {
    let (world, ids) = (World::new(), filled(system));
    let vault = world.server();
    world.write("jobs/token", &system.token);
    world.write(
        "jobs/out.toml",
        format!(
            r#"name = "{JOB}"

[systems.idp]
kind = "scim"
url = "{}"
auth = {{ bearer = "file:token" }}
page_size = 5

[systems.vault]
kind = "scim"
url = "{}"
auth = {{ bearer = "env:VAULT_TOKEN" }}

[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
attributes = {{ externalId = "id", userName = "userName", active = "active" }}

[[sync]]
from = "idp.groups"
to = "vault.groups"
match = [{{ source = "id", target = "externalId" }}]
attributes = {{ externalId = "id", displayName = "displayName" }}

[[sync]]
from = "idp.memberships"
to = "vault.memberships"
ends = {{ user = ["idp.users", "vault.users"], group = ["idp.groups", "vault.groups"] }}
"#,
            system.url, vault.url
        ),
    );
    world.settle(JOB);
    let gone = &ids[3];
    let (status, said) = send("DELETE", &format!("{}/Users/{gone}", system.url), Some(&system.token), None);
    assert!(status < 300, "{said}");
    world.muster(&["--verbose", "run", JOB]).ended(3).never_says(&["read completely"]);
    let run = world.newest_run(JOB);
    assert_eq!(mode(&world, JOB, &run, ("idp", "users")), "incremental");
    let orders = world.orders(JOB, &run);
    let is_theirs = |order: &&Value| order["operation"] == "disable" && order["key"] == json!(gone);
    assert_eq!(orders.iter().filter(is_theirs).count(), 1, "{orders:#?}");
    world.muster(&["approve", JOB, "--all", "--comment", "left"]).ended(0);
    world.muster(&["apply", JOB]).ended(0);
    world.muster(&["run", JOB, "--mode", "complete"]).ended(0).never_says(&["missed"]);
    world.muster(&["check", JOB]).says(&["ids of users alone", "increments read them"]);
    // Others begin with an empty server.
    system.emptied();
}

#[test]
fn scim2_server_tells_an_increment_who_is_gone() {
    leavers_are_seen(&System::told("SCIM2"));
}

#[test]
fn scimmy_tells_an_increment_who_is_gone() {
    leavers_are_seen(&System::told("SCIMMY"));
}
