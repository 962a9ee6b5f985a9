//! What a job maps and a target does not take, before anything is planned.

use super::Conductor;
use crate::job::SyncKind;
use crate::model::order::Operation;
use crate::reconcile::target_columns::no_attribute;

impl Conductor {
    /// Mapped attributes that their target does not have, or writes itself, a sentence each. A system that cannot be asked
    /// says so elsewhere.
    pub async fn misfits(&self) -> Vec<String> {
        let mut told = Vec::new();
        for sync in &self.job.syncs {
            let Ok(target) = self.source(&sync.to.system).await else { continue };
            let Ok(offered) = target.capabilities().await else { continue };
            let Some(offered) = offered.resources.get(&sync.to.resource) else { continue };
            let SyncKind::Objects(objects) = &sync.kind else {
                let takes_rows = offered.operations.is_empty() || offered.operations.contains(&Operation::Add);
                if !takes_rows {
                    told.push(format!(
                        "{}: {} holds objects, and no rows of two ends: map its attributes, and what it ties by [sync.references]",
                        sync.id, sync.to
                    ));
                }
                continue;
            };
            if offered.shapes.is_empty() {
                continue;
            }
            for attribute in objects.rules.mapping.attributes() {
                let line = objects.rules.lines.get(attribute);
                let place = line.map_or_else(String::new, |line| format!(" (line {line} of the job file)"));
                let is_own = offered.writes_itself(attribute);
                let is_there = offered.shape(attribute).is_some() || offered.enabled.as_ref() == Some(attribute);
                if is_own {
                    told.push(format!(
                        "{}: {} writes `{attribute}` itself and takes no value for it{place}: orders that set it are blocked; remove its rule",
                        sync.id, sync.to
                    ));
                } else if !is_there {
                    told.push(no_attribute(objects, offered, attribute));
                }
            }
        }
        told
    }
}
