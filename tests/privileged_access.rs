//! The extension for privileged access on the built-in server: whatever resource type a server publishes is kept in step.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{World, safes};

#[test]
fn people_safes_and_rights_are_brought_into_step_and_kept_there() {
    let world = World::new();
    let vault = world.server_with(&["--privileged-access"]);
    world.write("jobs/safes.toml", safes::job(&vault.url, "env:VAULT_TOKEN", "kind = \"scim\"\n"));
    safes::converges(&world, |endpoint| vault.all(endpoint));
    // Who may do what on a safe, asked by the person and the safe.
    let asked = |key: &str, safe: &str| world.muster(&["explain", "safes", key, "--entitlement", safe]);
    asked("E1", "Payroll").ended(0).says(&["vault.containerPermissions `G1`", "ManageSafe", "confirmed"]);
    asked("grace@corp.example", "S1").ended(0).says(&["vault.containerPermissions `G3`", "UseAccounts"]);
    asked("E1", "Network").ended(1).says(&["no row of hr.grants gives `E1` anything at `S2`"]);
    asked("E1", "Payrol").ended(1).says(&["is no group, role or container"]);
}

#[test]
fn a_product_that_changes_no_rights_blocks_the_change_and_takes_what_comes_and_goes() {
    let world = World::new();
    let vault = world.server_with(&["--dialect", "delinea"]);
    world.write(
        "jobs/safes.toml",
        safes::job(&vault.url, "env:VAULT_TOKEN", "kind = \"scim\"\ndialect = \"delinea\"\n"),
    );
    safes::drops(&world, &[("G1", "S1", "E1", "UseAccounts"), ("G2", "S2", "E2", "UseAccounts")]);
    world.settle("safes");
    safes::drops(&world, &[("G1", "S1", "E1", "ManageSafe"), ("G3", "S1", "E2", "UseAccounts")]);
    world.muster(&["run", "safes"]).ended(3);
    let orders = world.orders("safes", &world.newest_run("safes"));
    let of = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap();
    assert_eq!((&of("G1")["operation"], &of("G1")["block"]["reason"]), (&"update".into(), &"unsupported".into()));
    assert_eq!((&of("G2")["operation"], &of("G3")["operation"]), (&"delete".into(), &"create".into()));
    assert!(of("G2")["block"].is_null() && of("G3")["block"].is_null());
}

#[test]
fn what_belongs_to_another_directory_is_changed_there_alone() {
    let world = World::new();
    let vault = world.server_with(&["--dialect", "delinea"]);
    let text = safes::job(&vault.url, "env:VAULT_TOKEN", "kind = \"scim\"\ndialect = \"delinea\"\n");
    let text = text.replacen("userName = \"login\" }", "userName = \"login\", displayName = \"login + '!'\" }", 1);
    world.write("jobs/safes.toml", text.replace("+ '!'", ""));
    safes::drops(&world, &[("G1", "S1", "E1", "UseAccounts")]);
    world.settle("safes");
    let ada = vault.user("ada@corp.example").unwrap();
    let linked = serde_json::json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "add", "path": "urn:ietf:params:scim:schemas:pam:1.0:LinkedObject:nativeIdentifier", "value": "CN=ada,DC=corp"}]});
    let (status, body) = vault.send("PATCH", &format!("/Users/{}", ada["id"].as_str().unwrap()), Some(linked));
    assert!(status < 300, "{body}");
    world.write("jobs/safes.toml", text);
    world.muster(&["run", "safes"]).ended(3);
    let orders = world.orders("safes", &world.newest_run("safes"));
    let of = |key: &str| orders.iter().find(|order| order["key"] == key).unwrap();
    let detail = of("E1")["block"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("belongs to another directory") && detail.contains("CN=ada,DC=corp"), "{:#}", of("E1"));
    assert!(of("E2")["block"].is_null());
}
