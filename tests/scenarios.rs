//! Stories with their ends: every folder of `fixtures/scenarios` is planned and compared with what it expects.
//!
//! A scenario is a job between two CSV folders. Where it has a `yesterday`, that is planned first, so that the pairs are
//! known. `MUSTER_BLESS=1` writes what is found as what is expected; read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::World;

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// What a scenario ends with, file by file.
fn play(scenario: &Path) -> Vec<(&'static str, String)> {
    let name = scenario.file_name().unwrap().to_str().unwrap();
    let world = World::new();
    fs::copy(scenario.join("job.toml"), world.path().join("job.toml")).unwrap();
    let day = |folder: &Path| {
        for side in ["source", "target"] {
            copy(&folder.join(side), &world.path().join(side));
        }
    };
    if scenario.join("yesterday").exists() {
        day(&scenario.join("yesterday"));
        world.muster(&["plan", "job.toml"]).ended(0);
    }
    day(scenario);
    let said = world.muster(&["plan", "job.toml"]);
    let run = world.newest_run(name);
    let file = |file: &str| fs::read_to_string(world.run_file(name, &run, file)).unwrap();
    let plan: Value = serde_json::from_str(&file("plan.json")).unwrap();
    let shown = json!({
        "exit_status": said.status,
        "counts": plan["counts"],
        "situations": plan["situations"],
        "excesses": plan["excesses"],
        "warnings": plan["warnings"],
    });
    let shown = serde_json::to_string_pretty(&shown).unwrap() + "\n";
    vec![("plan.json", shown), ("orders.ndjson", file("orders.ndjson")), ("review.csv", file("review.csv"))]
}

#[test]
fn every_scenario_ends_as_expected() {
    let bless = std::env::var_os("MUSTER_BLESS").is_some();
    let scenarios = scenarios();
    assert!(scenarios.len() >= 10, "scenarios are missing");
    let mut wrong = Vec::new();
    for scenario in scenarios {
        let expected = scenario.join("expected");
        for (file, found) in play(&scenario) {
            let path = expected.join(file);
            if bless {
                fs::create_dir_all(&expected).unwrap();
                fs::write(&path, &found).unwrap();
            }
            let wanted = fs::read_to_string(&path).unwrap_or_default();
            if found != wanted {
                wrong.push(format!("{}\n--- expected\n{wanted}\n--- found\n{found}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
