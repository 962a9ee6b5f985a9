//! Increments of OpenLDAP by syncrepl, driven from outside: put together, they are what a complete export reads.

use ldap3::Mod;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::exported::{mode, rows};
use crate::ldap::{GROUPS, PEOPLE, add_person};
use crate::ldap_loop::out_of_ldap;
use crate::stages::brought_into_step;
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
    directory.empty("ou=services,dc=example,dc=com", "(objectClass=inetOrgPerson)").await;
    for n in 0..30 {
        add_person(directory, &format!("s{n:02}"), if n == 10 { &[("title", &["Guest"])] } else { &[] }).await;
    }
    for n in 0..4 {
        team(directory, n, &(n * 5..n * 5 + 8).map(person).collect::<Vec<_>>()).await;
    }
}

/// Everything that may happen to an entry.
async fn change(directory: &Directory) {
    directory.modify(&person(1), vec![Mod::Replace("sn", ["Boss"].into())]).await;
    // Fits the filter now, and is in groups that do not change.
    directory.modify(&person(10), vec![Mod::Replace("title", ["Clerk"].into())]).await;
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
    let (run, resource) = (world.newest_run("out"), ("idp", resource));
    (mode(world, "out", &run, resource), rows(world, "out", &run, resource))
}

#[test]
fn increments_by_syncrepl_put_together_are_what_a_complete_export_reads() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    runtime.block_on(fill(&directory));
    let world = World::new();
    world.write("password", &directory.password);
    let vault = world.server();
    let filter = "\nfilter = \"(&(objectClass=inetOrgPerson)(!(title=Guest)))\"";
    let job = out_of_ldap(&directory, &vault.url, "env:VAULT_TOKEN")
        .replace("\nbase = \"ou=people", &format!("{filter}\nbase = \"ou=people"));
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

/// What is held back keeps its own place in time, while users and groups move on.
#[test]
fn memberships_that_were_held_back_miss_nothing_that_others_moved_past() {
    let runtime = Runtime::new().unwrap();
    for increments in ["", "\nincrements = \"syncrepl\""] {
        let directory = runtime.block_on(Directory::emptied());
        runtime.block_on(fill(&directory));
        let world = World::new();
        world.write("password", &directory.password);
        let vault = world.server();
        let job = out_of_ldap(&directory, &vault.url, "env:VAULT_TOKEN")
            .replace("kind = \"ldap\"", &format!("kind = \"ldap\"{increments}"));
        let limit = "\n[snapshot.\"idp.memberships\"]\nthresholds = { deleted = { count = 3 } }\n";
        world.write("jobs/out.toml", job + limit);
        world.muster(&["run", "out"]).ended(3);
        world.muster(&["approve", "out", "--all", "--comment", "first load"]).ended(0);
        world.muster(&["apply", "out"]).ended(0);

        // A group with eight members goes, and somebody who is in two others.
        runtime.block_on(async {
            directory.delete(&format!("cn=g3,{GROUPS}")).await;
            directory.delete(&person(6)).await;
        });
        let said = world.muster(&["run", "out", "--mode", "incremental"]).ended(4);
        said.says(&["idp.memberships/deleted/count"]);
        // Users and groups are settled; nothing of them changes but a name.
        runtime.block_on(directory.modify(&person(1), vec![Mod::Replace("sn", ["Boss"].into())]));
        let said = world.muster(&["run", "out", "--mode", "incremental"]).ended(4);
        let resources = ["users", "groups", "memberships"];
        let increments = resources.map(|resource| exported(&world, resource));
        assert!(increments.iter().all(|(mode, _)| mode == "incremental"), "{}", said.err);
        let accept = ["--accept", "idp.memberships/deleted/count"];
        world.muster(&[&["approve", "out", "--all", "--comment", "they left"][..], &accept].concat());
        brought_into_step(&world, "out", "they left");
        let members = vault.all("Groups").iter().map(|g| g["members"].as_array().map_or(0, Vec::len)).sum::<usize>();
        assert_eq!(members, 3 * 8 - 2);
        world.muster(&["run", "out", "--mode", "complete"]).ended(0);
        for (resource, (_, rows)) in resources.into_iter().zip(increments) {
            let (mode, whole) = exported(&world, resource);
            assert_eq!((mode.as_str(), rows), ("complete", whole), "{resource}");
        }
    }
}
