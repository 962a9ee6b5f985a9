//! What `muster schedule` writes, as systemd itself reads it.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::World;

/// The exposure that systemd-analyze finds, in tenths: 0 is none, 100 the most.
const EXPOSURE: &str = "13";

fn analyze(folder: &Path, args: &[&str]) -> Output {
    Command::new("systemd-analyze").current_dir(folder).args(args).output().unwrap()
}

#[test]
fn case_x3_systemd_takes_the_units_and_finds_little_exposed() {
    let world = World::new();
    let job = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/jobs/scim-to-scim.toml")).unwrap();
    world.write("jobs/people and vault.toml", job);
    for further in [&[][..], &["--dynamic-user", "--on-failure", "page@%n.service"][..]] {
        let mut args = vec!["schedule", "jobs/people and vault.toml", "--output", "."];
        args.extend_from_slice(further);
        world.muster(&args).ended(0);
        world.write("page@.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n");
        let name = "muster-scim-to-scim";
        for unit in ["@complete.service", "@incremental.service", "-complete.timer", "-incremental.timer"] {
            let said = analyze(world.path(), &["verify", "--man=no", &format!("./{name}{unit}")]);
            assert!(said.status.success() && said.stderr.is_empty(), "{unit}: {said:?}");
        }
        let unit = format!("./{name}@complete.service");
        std::fs::copy(world.path().join(format!("{name}@.service")), world.path().join(&unit)).unwrap();
        let said = analyze(world.path(), &["security", "--offline=true", &format!("--threshold={EXPOSURE}"), &unit]);
        let out = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{out}");
        std::fs::remove_file(world.path().join(&unit)).unwrap();
    }
    for time in ["*:0/15", "0/6:00", "*-*-* 03:05:00"] {
        assert!(analyze(world.path(), &["calendar", time]).status.success(), "{time}");
    }
}
