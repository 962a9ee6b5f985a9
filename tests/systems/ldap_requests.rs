//! How many requests muster sends to a directory, by its own log of them.

use std::time::{Duration, Instant};

use ldap3::Mod;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::ldap_loop::into_ldap;
use crate::support::{World, files_below};

const USERS: usize = 300;
const GROUP: &str = "cn=G1,ou=groups,dc=example,dc=com";

/// HR's files, with so many members of the group.
fn drop(world: &World, members: usize) {
    let users: String = (0..USERS).map(|n| format!("E{n},m{n:03},Family{n},true\n")).collect();
    world.write("hr/users.csv", format!("id,login,family,enabled\n{users}"));
    world.write("hr/groups.csv", "id,name\nG1,Team\n");
    let members: String = (0..members).map(|n| format!("G1,E{n}\n")).collect();
    world.write("hr/memberships.csv", format!("group,user\n{members}"));
}

/// Requests that read a group by its name, in all logs.
fn looks(world: &World) -> usize {
    let logs = files_below(&world.state()).into_iter().filter(|file| file.ends_with("requests.ndjson"));
    let lines = logs.flat_map(|log| {
        let text = std::fs::read_to_string(log).unwrap();
        // A crash may have cut the last line.
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>()
    });
    lines.filter(|line| line["request"].as_str().unwrap().starts_with("read below ou=groups")).count()
}

#[test]
fn members_are_looked_up_together_before_a_change_after_it_and_after_a_crash() {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::emptied());
    let world = World::new();
    world.write("password", &directory.password);
    world.write("jobs/corp.toml", into_ldap(&directory));
    drop(&world, 1);
    world.settle("corp");

    drop(&world, USERS);
    world.muster(&["run", "corp"]).ended(3);
    world.muster(&["approve", "corp", "--all", "--comment", "they join"]).ended(0);
    // Some were put in by hand meanwhile: a part of a batch is so already.
    let by_hand: Vec<String> = (50..60).map(|n| format!("uid=m{n:03},ou=people,dc=example,dc=com")).collect();
    let by_hand = by_hand.iter().map(String::as_str).collect();
    runtime.block_on(directory.modify(GROUP, vec![Mod::Add("member", by_hand)]));
    let members = || {
        let found = runtime.block_on(directory.search(GROUP, "(objectClass=*)", &["member"])).remove(0);
        // The empty name stands in where there is nobody.
        found.1["member"].iter().filter(|member| !member.is_empty()).count()
    };
    let before = looks(&world);
    let mut child = world.command(&["apply", "corp"]).spawn().unwrap();
    let began = Instant::now();
    while members() < 100 {
        assert!(began.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(members() < USERS, "it was killed too late");
    world.muster(&["apply", "corp"]).ended(0);
    assert_eq!(members(), USERS);
    // Fifty a question: each batch once before it is sent and twice after, and what was in flight once more; not every
    // member, before and after.
    let looks = looks(&world) - before;
    assert!((6..=40).contains(&looks), "{looks} requests for {USERS} members");
    world.muster(&["run", "corp"]).ended(0);
}
