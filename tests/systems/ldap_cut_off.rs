//! A directory that gives a part of its people to the account that muster has there.

use std::fmt::Write as _;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::ldap_loop::ldap_system;
use crate::support::World;

/// Nobody is disabled because a size limit hid them: the snapshot is kept, says that it is partial, and is not used.
#[test]
fn whom_a_size_limit_hides_is_not_gone() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(async {
        for n in 0..320 {
            let uid = format!("c{n:03}");
            let person: &[(&str, &[&str])] =
                &[("objectClass", &["inetOrgPerson"]), ("uid", &[&uid]), ("cn", &[&uid]), ("sn", &[&uid])];
            directory.add(&format!("uid={uid},ou=people,dc=example,dc=com"), person).await;
        }
    });
    let world = World::new();
    world.write("password", &directory.password);
    let mut job = String::from("name = \"corp\"\n[systems.vault]\nkind = \"sandbox\"\n");
    let idp = ldap_system("idp", &directory);
    job.push_str(&idp.replace("kind = \"ldap\"", "kind = \"ldap\"\npage_size = 200"));
    write!(
        job,
        r#"
[[sync]]
from = "idp.users"
to = "vault.users"
match = [{{ source = "id", target = "externalId" }}]
on = {{ orphan = "delete" }}
[sync.attributes]
externalId = "id"
userName = "uid"
"#
    )
    .unwrap();
    world.write("jobs/corp.toml", &job);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "first load"]).ended(0);
    world.muster(&["apply", "corp"]).ended(0);

    world.write("jobs/corp.toml", job.replace("cn=muster,ou=services", "cn=clipped,ou=services"));
    let said = world.muster(&["run", "corp", "--mode", "complete"]).ended(1);
    said.says(&["idp", "it is not whole, so nothing of it is used", "size.prtotal=unlimited", "300 entries had come"]);
    let run = world.newest_run("corp");
    let folder = format!("state/export/corp/{run}");
    let manifest: Value = serde_json::from_str(&world.read(&format!("{folder}/manifest.json"))).unwrap();
    let users = &manifest["systems"]["idp"]["users"];
    assert_eq!((&users["rows"], &users["completeness"]["verdict"]), (&Value::from(300), &Value::from("partial")));
    assert_eq!(world.read(&format!("{folder}/idp/users.csv")).lines().count(), 301, "what came is kept");
    assert!(!world.state().join("runs/corp").join(&run).join("orders.ndjson").exists(), "nothing was planned");

    // With its rights back the account sees all of them, and there is nothing to do.
    world.write("jobs/corp.toml", &job);
    world.muster(&["run", "corp", "--mode", "complete"]).ended(0);
}
