//! Why somebody is in a group that the job only reads (`groups`), and what that group gives.

use super::Conductor;
use super::entitlement::Chain;
use super::error::RunError;
use super::explain::{Look, Opened};
use crate::job::SyncKind;
use crate::model::explained::{Explained, Fact, Step, StepName};
use crate::model::numbers::counted;
use crate::reconcile::groups::GroupRule;
use crate::reconcile::policy::Nested;
use crate::reconcile::single::{Account, Found, Way, way};
use crate::rules::problem::alike;

impl Conductor {
    /// The chain from a group to what it gives a member; where no group of the sync goes by the name, those that look
    /// like it.
    pub(super) fn explain_given(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        member: Account,
        group: &str,
    ) -> Result<Result<Explained, Vec<String>>, RunError> {
        let sync = &self.job.syncs[member.subject.sync];
        let SyncKind::Objects(objects) = &sync.kind else { return Ok(Err(Vec::new())) };
        let Some(rule) = &objects.derivation.groups else { return Ok(Err(Vec::new())) };
        let key = Chain::key(&member).to_owned();
        let way = match way(rule, &opened.snapshots.tables, &key, group)? {
            Found::Group(way) => way,
            Found::Names(names) => {
                let near = alike(group, names.iter().map(String::as_str));
                return Ok(Err(near.into_iter().map(str::to_owned).collect()));
            }
        };
        // What rules do with it: by their texts, which name it in quotes.
        let names: Vec<String> = way
            .keys
            .iter()
            .map(String::as_str)
            .chain([group])
            .flat_map(|n| [format!("'{n}'"), format!("\"{n}\"")])
            .collect();
        let mapping = &objects.rules.mapping;
        let reads = |attribute: &str| {
            mapping.rule(attribute).is_some_and(|rule| names.iter().any(|name| rule.contains(name.as_str())))
        };
        let given: Vec<String> =
            mapping.attributes().iter().filter(|name| reads(name)).map(|n| n.to_string()).collect();
        let mut explained = self.told(look, opened, member)?;
        for step in &mut explained.steps {
            match step.step {
                StepName::Read => {
                    let mut read = read(rule, &way, &key, group);
                    read.facts.append(&mut step.facts);
                    *step = read;
                }
                StepName::Map | StepName::Compare => {
                    step.facts.retain(|fact| given.contains(&fact.about));
                    let differing = step.facts.iter().filter(|fact| fact.verdict.starts_with("differs")).count();
                    step.verdict = match (step.step, given.len()) {
                        (StepName::Map, 0) => {
                            format!("no rule of the sync names `{group}`: it gives nothing by itself")
                        }
                        (StepName::Map, _) => format!("`{group}` is named by the rules of {}", given.join(", ")),
                        (_, 0) => "nothing that it gives".to_owned(),
                        (..) if step.facts.is_empty() => std::mem::take(&mut step.verdict),
                        (..) => {
                            format!(
                                "of what it gives, {differing} of {} differs",
                                counted(given.len() as u64, "attribute")
                            )
                        }
                    };
                }
                _ => {}
            }
        }
        explained.name = format!("{group} → {}", if explained.name.is_empty() { &key } else { &explained.name });
        Ok(Ok(explained))
    }
}

fn read(rule: &GroupRule, way: &Way, key: &str, group: &str) -> Step {
    let via = &rule.via;
    let path: Vec<String> = way.path.iter().map(|group| format!("`{group}`")).collect();
    let verdict = match (way.is_direct, path.is_empty()) {
        (true, _) => format!("`{key}` is in `{group}` of {via} directly"),
        (false, true) => format!("no row of {via} puts `{key}` into `{group}`, directly or through other groups"),
        (false, false) => {
            let counts = match rule.nested {
                Nested::Flatten => "",
                Nested::Direct => ", which does not count: nested = \"direct\"",
                Nested::Refuse => ", which the job refuses: nested = \"refuse\"",
            };
            format!("`{key}` is in `{group}` of {via} through groups in groups: {}{counts}", path.join(" in "))
        }
    };
    let mut step = Step::new(StepName::Read, verdict);
    let groups: Vec<String> = way.groups.iter().take(20).map(|group| format!("`{group}`")).collect();
    let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
    step.facts.push(Fact::new(format!("the groups of `{key}`"), groups));
    step
}
