//! Increments of OpenLDAP by syncrepl, driven from outside: put together, they are what a complete export reads.

use ldap3::Mod;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::ldap::{GROUPS, PEOPLE, add_person};
use crate::ldap_loop::out_of_ldap;
use crate::support::World;

fn person(n: usize) -> String {
    format!("uid=s{n:02},{PEOPLE}")
}

async fn team(directory: &Directory, n: usize, members: &[String]) {
    let (name, members) = (format!("g{n}"), members.iter().map(String::as_str).collect::<Vec<_>>());
    let attributes: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("cn", &[&name]), ("member", &members)];
    directory.add(&format!("cn={name},{GROUPS}"), attributes).await;
}

async fn fill(directory: &Directory) {
    for n in 0..30 {
        add_person(directory, &format!("s{n:02}"), &[]).await;
    }
    for n in 0..4 {
        team(directory, n, &(n * 5..n * 5 + 8).map(person).collect::<Vec<_>>()).await;
    }
}

/// Everything that may happen to an entry.
async fn change(directory: &Directory) {
    directory.modify(&person(1), vec![Mod::Replace("sn", ["Boss"].into())]).await;
    let (joins, leaves) = (person(25), person(2));
    let of_team = vec![Mod::Add("member", [joins.as_str()].into()), Mod::Delete("member", [leaves.as_str()].into())];
    directory.modify(&format!("cn=g0,{GROUPS}"), of_team).await;
    directory.delete(&person(6)).await;
    directory.delete(&format!("cn=g3,{GROUPS}")).await;
    add_person(directory, "s30", &[]).await;
    team(directory, 4, &[person(30), person(1)]).await;
    let mut ldap = directory.session().await;
    ldap.modifydn(&person(5), "uid=five", true, None).await.unwrap().success().unwrap();
    // Out of the base of the users.
    let away = "ou=services,dc=example,dc=com";
    ldap.modifydn(&person(4), "uid=s04", true, Some(away)).await.unwrap().success().unwrap();
}

fn exported(world: &World, resource: &str) -> (String, Vec<String>) {
    let folder = format!("state/export/out/{}", world.newest_run("out"));
    let manifest: Value = serde_json::from_str(&world.read(&format!("{folder}/manifest.json"))).unwrap();
    let mode = manifest["systems"]["idp"][resource]["mode"].as_str().unwrap().to_owned();
    let text = world.read(&format!("{folder}/idp/{resource}.csv"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..].sort();
    (mode, lines)
}

#[test]
fn increments_by_syncrepl_put_together_are_what_a_complete_export_reads() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(directory.empty("ou=services,dc=example,dc=com", "(objectClass=inetOrgPerson)"));
    runtime.block_on(fill(&directory));
    let world = World::new();
    world.write("password", &directory.password);
    let vault = world.server();
    let job = out_of_ldap(&directory, &vault.url);
    let by_times = job.clone();
    let job = job.replace("kind = \"ldap\"", "kind = \"ldap\"\npage_size = 7\nincrements = \"syncrepl\"");
    // A cursor of another kind is no failure: everything is read.
    world.write("jobs/out.toml", by_times);
    world.muster(&["run", "out"]).ended(3);
    world.write("jobs/out.toml", job);
    let said = world.muster(&["--verbose", "run", "out", "--mode", "incremental"]).ended(3);
    said.says(&["idp was read completely", "no cookie of syncrepl"]);

    runtime.block_on(change(&directory));
    let said = world.muster(&["--verbose", "run", "out", "--mode", "incremental"]);
    assert!([3, 4].contains(&said.status), "{said:?}");
    let resources = ["users", "groups", "memberships"];
    let increments = resources.map(|resource| exported(&world, resource));
    assert!(increments.iter().all(|(mode, _)| mode == "incremental"), "{}", said.err);
    let said = world.muster(&["run", "out", "--mode", "complete"]);
    assert!([3, 4].contains(&said.status), "{said:?}");
    for (resource, (_, rows)) in resources.into_iter().zip(increments) {
        let (mode, whole) = exported(&world, resource);
        assert_eq!((mode.as_str(), rows), ("complete", whole), "{resource}");
    }
}
