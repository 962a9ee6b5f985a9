//! What runs exported of a system.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::World;

/// How a run read a resource: `incremental`, `complete`.
pub(crate) fn mode(world: &World, job: &str, run: &str, resource: (&str, &str)) -> String {
    let manifest = world.read(&format!("state/export/{job}/{run}/manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["systems"][resource.0][resource.1]["mode"].as_str().unwrap().to_owned()
}

/// The snapshot that a run made of a resource: its header, then its rows, sorted.
pub(crate) fn rows(world: &World, job: &str, run: &str, (system, resource): (&str, &str)) -> Vec<String> {
    let text = world.read(&format!("state/export/{job}/{run}/{system}/{resource}.csv"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

/// How the runs after some read users, groups and memberships of a system.
pub(crate) fn modes(world: &World, job: &str, before: usize, system: &str) -> BTreeSet<String> {
    let resources = ["users", "groups", "memberships"];
    let runs = world.runs(job);
    let all = runs[before..].iter().flat_map(|run| resources.map(|name| mode(world, job, run, (system, name))));
    all.collect()
}
