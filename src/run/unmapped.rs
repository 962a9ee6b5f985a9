//! What the systems have and the job does not map.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use super::demand;
use crate::job::Job;
use crate::model::resource::ResourceName;

/// Kinds of permissions that mean little one without the other, in lower case and letters alone.
const TOGETHER: [[&str; 2]; 1] = [["containerpermissions", "privilegeddatapermissions"]];

impl Conductor {
    /// What a person should know about what does not flow, in sentences. A system that cannot be asked says so elsewhere.
    pub async fn unmapped(&self) -> Vec<String> {
        let used: BTreeSet<ResourceName> = demand::columns(&self.job)
            .into_iter()
            .flat_map(|(system, resources)| {
                resources.into_keys().map(|resource| ResourceName::new(&system, &resource)).collect::<Vec<_>>()
            })
            .collect();
        let mut told = Vec::new();
        let mut offered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for system in self.job.systems.keys() {
            let is_source = self.job.syncs.iter().any(|sync| sync.from.system == *system);
            if !is_source {
                continue;
            }
            let Ok(source) = self.source(system).await else { continue };
            let Ok(capabilities) = source.capabilities().await else { continue };
            let has: BTreeSet<String> = capabilities.resources.into_keys().collect();
            let all = has.iter().map(|resource| ResourceName::new(system, resource));
            let left: Vec<String> = all
                .filter(|name| !used.contains(name) && !self.job.ignored.contains(name))
                .map(|name| name.to_string())
                .collect();
            if !left.is_empty() {
                let (is, them) = if left.len() == 1 { ("is", "it") } else { ("are", "them") };
                let inner = left.iter().find(|name| name.ends_with(".nestings")).map(|name| {
                    format!("; for whoever is in a group in a group: nestings = \"{name}\" in the sync of memberships")
                });
                told.push(format!(
                    "{} {is} there and no sync maps {them}: nothing of {them} flows; add a [[sync]], or name {them} under `ignore`{}",
                    left.join(", "),
                    inner.unwrap_or_default()
                ));
            }
            offered.insert(system.clone(), has);
        }
        told.extend(halves(&self.job, &offered));
        told
    }
}

/// Permissions of one kind that are mapped without those of the other.
fn halves(job: &Job, offered: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let plain = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    let mapped: BTreeMap<(String, String), &ResourceName> =
        job.syncs.iter().map(|sync| ((sync.to.system.clone(), plain(&sync.to.resource)), &sync.to)).collect();
    let mut told = Vec::new();
    for ((system, kind), to) in &mapped {
        let other = TOGETHER.iter().find_map(|[a, b]| match kind.as_str() {
            kind if kind == *a => Some(*b),
            kind if kind == *b => Some(*a),
            _ => None,
        });
        let Some(other) = other.filter(|other| !mapped.contains_key(&(system.clone(), (*other).to_owned()))) else {
            continue;
        };
        let known = offered.get(system).and_then(|names| names.iter().find(|name| plain(name) == other));
        let missing = ResourceName::new(system, known.map_or(spelled(other), String::as_str));
        if !job.ignored.iter().any(|name| name.system == *system && plain(&name.resource) == other) {
            told.push(format!(
                "{to} is mapped and {missing} is not: such permissions work together, and one without the other gives accounts half of what they need; add a [[sync]] to {missing}, or name it under `ignore`"
            ));
        }
    }
    told
}

/// How such a resource is called where nobody says otherwise.
fn spelled(kind: &str) -> &'static str {
    if kind == "containerpermissions" { "containerPermissions" } else { "privilegedDataPermissions" }
}
