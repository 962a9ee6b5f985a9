//! A first job file for a directory that runs: proposed from what it says, and right at once.

use tokio::runtime::Runtime;

use crate::directory::Directory;
use crate::staff;
use crate::support::World;

#[test]
fn a_job_out_of_a_directory_is_proposed_and_runs_at_once() {
    let directory = Directory::openldap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        directory.empty("ou=people,dc=example,dc=com", "(objectClass=inetOrgPerson)").await;
        directory.empty("ou=groups,dc=example,dc=com", "(objectClass=groupOfNames)").await;
        staff::hire(&directory, 1).await;
        let member = staff::dn(1);
        let attributes: [(&str, &[&str]); 3] =
            [("objectClass", &["groupOfNames"]), ("cn", &["readers"]), ("member", &[&member])];
        directory.add(&staff::group_dn("readers"), &attributes).await;
    });
    let world = World::new();
    world.write("password", &directory.password);
    let (base, user, ca) = (&directory.base, &directory.user, &directory.ca_file);
    let args = ["--base", base, "--user", user, "--auth", "file:password", "--ca-file", ca, "--to", "sandbox"];
    let init = [&["init", "people", "--from", &directory.url][..], &args].concat();
    world.muster(&init).ended(0).says(&["userName = uid"]).never_says(&[&directory.password, "FAILED"]);
    let written = world.read("jobs/people.toml");
    for line in [
        "password = \"file:../password\"",
        "externalId = \"id\"",
        "scope = [\"enabled\"]",
        "displayName = \"cn\"",
        "nestings = \"directory.nestings\"",
    ] {
        assert!(written.contains(line), "`{line}` is not in\n{written}");
    }
    world.muster(&["check", "people"]).ended(0).never_says(&["warning"]);
    world.settle("people");
    let run = world.newest_run("people");
    let members = world.state().join("export/people").join(run).join("vault/memberships.csv");
    assert_eq!(std::fs::read_to_string(members).unwrap().lines().count(), 2);
}
