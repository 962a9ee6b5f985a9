//! Increments of Active Directory, driven from outside: put together, they are what a complete export reads.

use std::fmt::Write as _;

use ldap3::Mod;
use tokio::runtime::Runtime;

use crate::active_directory::emptied;
use crate::directory::Directory;
use crate::exported::{mode, rows};
use crate::support::World;

const BASE: &str = "DC=samdom,DC=example,DC=com";

fn person(n: usize) -> String {
    format!("CN=u{n:02},OU=people,{BASE}")
}

fn team(n: usize) -> String {
    format!("CN=g{n},OU=groups,{BASE}")
}

/// A way to learn what changed, and whether memberships hold whoever is in a group through others.
struct Way {
    increments: &'static str,
    in_chain: bool,
}

fn job(directory: &Directory, way: &Way) -> String {
    let mut job = format!(
        r#"name = "ad"
[systems.ad]
kind = "ldap"
url = "{}"
ca_file = "{}"
base = "{BASE}"
auth = {{ user = "{}", password = "file:../password" }}
page_size = 7
{}
[systems.ad.resources.users]
filter = "(&(objectCategory=person)(objectClass=user)(!(title=Guest)))"
base = "OU=people,{BASE}"
[systems.ad.resources.groups]
base = "OU=groups,{BASE}"
in_chain = {}
[systems.vault]
kind = "sandbox"
"#,
        directory.url, directory.ca_file, directory.user, way.increments, way.in_chain
    );
    for (resource, name) in [("users", "userName"), ("groups", "displayName")] {
        write!(
            job,
            r#"
[[sync]]
from = "ad.{resource}"
to = "vault.{resource}"
match = [{{ source = "id", target = "externalId" }}]
[sync.attributes]
externalId = "id"
{name} = "sAMAccountName"
"#
        )
        .unwrap();
    }
    job.push_str(
        r#"
[[sync]]
from = "ad.memberships"
to = "vault.memberships"
ends = { user = ["ad.users", "vault.users"], group = ["ad.groups", "vault.groups"] }
"#,
    );
    job
}

async fn fill(directory: &Directory) {
    for n in 0..30 {
        let login = format!("u{n:02}");
        let title = if n == 11 { "Guest" } else { "Clerk" };
        directory
            .add(&person(n), &[("objectClass", &["user"]), ("sAMAccountName", &[&login]), ("title", &[title])])
            .await;
    }
    for (n, members) in [
        (0, (0..10).map(person).collect::<Vec<_>>()),
        (1, vec![team(0), person(10)]),
        (2, vec![team(1), person(11)]),
        (3, (20..25).map(person).collect()),
    ] {
        let (login, members) = (format!("g{n}"), members.iter().map(String::as_str).collect::<Vec<_>>());
        directory
            .add(&team(n), &[("objectClass", &["group"]), ("sAMAccountName", &[&login]), ("member", &members)])
            .await;
    }
}

async fn change(directory: &Directory, moves: bool) {
    directory.modify(&person(1), vec![Mod::Replace("title", ["Boss"].into())]).await;
    let (joins, leaves) = (person(15), person(2));
    let of_team = vec![Mod::Add("member", [joins.as_str()].into()), Mod::Delete("member", [leaves.as_str()].into())];
    directory.modify(&team(0), of_team).await;
    // Groups are not told of somebody in them who fits the filter now, nor of those who are deleted.
    directory.modify(&person(11), vec![Mod::Replace("title", ["Clerk"].into())]).await;
    directory.delete(&person(3)).await;
    directory.delete(&team(3)).await;
    directory.add(&person(30), &[("objectClass", &["user"]), ("sAMAccountName", &["u30"])]).await;
    directory.modify(&team(1), vec![Mod::Add("member", [person(30).as_str()].into())]).await;
    let mut ldap = directory.session().await;
    ldap.modifydn(&person(5), "CN=Five\\, the fifth", true, None).await.unwrap().success().unwrap();
    if moves {
        let elsewhere = format!("OU=groups,{BASE}");
        ldap.modifydn(&person(4), "CN=u04", true, Some(&elsewhere)).await.unwrap().success().unwrap();
    }
}

#[test]
fn increments_put_together_are_what_a_complete_export_reads() {
    let runtime = Runtime::new().unwrap();
    for way in [
        Way { increments: "", in_chain: false },
        Way { increments: "", in_chain: true },
        Way { increments: "increments = \"dirsync\"", in_chain: false },
        Way { increments: "increments = \"dirsync\"", in_chain: true },
    ] {
        let directory = runtime.block_on(emptied());
        runtime.block_on(fill(&directory));
        let world = World::new();
        world.write("password", &directory.password);
        world.write("jobs/ad.toml", job(&directory, &way));
        world.muster(&["run", "ad"]).ended(3);
        let first = world.newest_run("ad");
        // Through g0 all its members are in g1 and g2, too.
        let snapshot = |run: &str, resource| rows(&world, "ad", run, ("ad", resource));
        let memberships = snapshot(&first, "memberships").len() - 1;
        assert_eq!(memberships, if way.in_chain { 10 + 11 + 11 + 5 } else { 10 + 1 + 5 });

        // Where somebody moves out of the base, only DirSync can tell; otherwise counting finds it, and reads everything.
        let is_dirsync = !way.increments.is_empty();
        runtime.block_on(change(&directory, is_dirsync));
        let said = world.muster(&["run", "ad", "--mode", "incremental"]);
        assert!([3, 4].contains(&said.status), "{said:?}");
        let increment = world.newest_run("ad");
        let resources = ["users", "groups", "memberships"];
        for resource in resources {
            assert_eq!(
                mode(&world, "ad", &increment, ("ad", resource)),
                "incremental",
                "{}{resource}\n{}",
                way.increments,
                said.err
            );
        }
        let said = world.muster(&["run", "ad", "--mode", "complete"]);
        assert!([3, 4].contains(&said.status), "{said:?}");
        let complete = world.newest_run("ad");
        assert_ne!(increment, complete);
        for resource in resources {
            assert_eq!(
                snapshot(&increment, resource),
                snapshot(&complete, resource),
                "{resource}, {}, in chain {}",
                way.increments,
                way.in_chain
            );
        }
        assert_ne!(snapshot(&first, "memberships"), snapshot(&complete, "memberships"));
    }
}

/// A cookie of somewhere else is no failure: everything is read.
#[test]
fn a_cookie_that_the_server_does_not_take_is_an_export_of_everything() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(emptied());
    runtime.block_on(fill(&directory));
    let world = World::new();
    world.write("password", &directory.password);
    let counting = Way { increments: "", in_chain: false };
    world.write("jobs/ad.toml", job(&directory, &counting));
    world.muster(&["run", "ad"]).ended(3);
    world.write("jobs/ad.toml", job(&directory, &Way { increments: "increments = \"dirsync\"", ..counting }));
    world
        .muster(&["--verbose", "run", "ad", "--mode", "incremental"])
        .ended(3)
        .says(&["ad was read completely", "no cursor of DirSync"]);
    assert_eq!(mode(&world, "ad", &world.newest_run("ad"), ("ad", "users")), "complete");
}
