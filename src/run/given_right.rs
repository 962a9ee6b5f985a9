//! Why somebody has a right on a container, or has it not: rows that refer to both, such as permissions.

use super::Conductor;
use super::error::RunError;
use super::explain::{ExplainEnd, KnownObject, Look, Opened};
use super::live::Database;
use crate::job::{Sync, SyncKind};
use crate::reconcile::PlanInput;
use crate::reconcile::policy::{ObjectSync, ReferenceRule};
use crate::reconcile::single::{Subject, account, find};
use crate::snapshot::row::Cells as _;

impl Conductor {
    /// What is to be said of the rows that refer to an object by its key and to another one by its name or key; `None`
    /// where no rows of the job could.
    pub(super) fn explain_given_right(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        (input, recall): (&PlanInput<'_>, &Database<'_>),
        (member, key): (&Sync, &str),
        name: &str,
    ) -> Result<Option<ExplainEnd>, RunError> {
        for (sync, objects) in self.job.syncs.iter().filter_map(objects_of) {
            let Some(table) = opened.snapshots.tables.get(&sync.from) else { continue };
            let by_key = |rule: &&ReferenceRule| rule.by.is_none();
            let column = |rule: &ReferenceRule| table.column(objects.rules.mapping.rule(&rule.attribute)?.trim());
            let mut references = objects.references.iter().filter(by_key);
            let Some(own) = references.find(|rule| rule.from == member.from).and_then(column) else { continue };
            for other in objects.references.iter().filter(by_key).filter(|rule| rule.from != member.from) {
                let Some(at) = column(other) else { continue };
                let is_of = |index: usize| self.job.syncs.get(index).is_some_and(|sync| sync.from == other.from);
                let hits = find(input, name, &is_of, recall)?;
                let [hit] = hits.as_slice() else { continue };
                let Some(held) = hit.subject.source_key.as_deref() else { continue };
                let rows = table.par_fold(Vec::new, |keys, row| {
                    if row.cell(own) == key && row.cell(at) == held {
                        keys.push(table.key_of(row));
                    }
                })?;
                let mut rows: Vec<String> = rows.into_iter().flatten().collect();
                rows.sort();
                return self.told_right(look, opened, (input, recall), (sync, rows), (key, held)).map(Some);
            }
        }
        Ok(None)
    }

    fn told_right(
        &self,
        look: &Look,
        opened: &Opened<'_>,
        (input, recall): (&PlanInput<'_>, &Database<'_>),
        (sync, rows): (&Sync, Vec<String>),
        (member, held): (&str, &str),
    ) -> Result<ExplainEnd, RunError> {
        let [row] = rows.as_slice() else {
            if rows.is_empty() {
                return Ok(ExplainEnd::None(format!(
                    "no row of {} gives `{member}` anything at `{held}`; what the target has all the same, muster did not give: muster list {} --unmanaged",
                    sync.from, self.job.name
                )));
            }
            let known = |key: String| KnownObject {
                from: sync.from.clone(),
                to: sync.to.clone(),
                source_key: Some(key),
                target_id: None,
                name: format!("{held} → {member}"),
                by: "right".to_owned(),
            };
            return Ok(ExplainEnd::Several(rows.into_iter().map(known).collect()));
        };
        let subject = Subject { sync: sync.index, source_key: Some(row.clone()), target_id: None };
        let Some(account) = account(input, &subject, recall)? else {
            return Ok(ExplainEnd::None(self.nowhere(look, row)));
        };
        let mut explained = self.told(look, opened, account)?;
        explained.name = format!("{held} → {member}");
        Ok(ExplainEnd::One(Box::new(explained)))
    }
}

fn objects_of(sync: &Sync) -> Option<(&Sync, &ObjectSync)> {
    match &sync.kind {
        SyncKind::Objects(objects) => Some((sync, objects)),
        SyncKind::Association(_) => None,
    }
}
