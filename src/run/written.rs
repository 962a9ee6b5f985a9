//! What muster itself wrote at a target since the last accepted snapshot: how columns changed by that is no surprise.

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use super::offload::compute;
use crate::model::evidence::{Completeness, Evidence};
use crate::model::order::Operation;
use crate::model::value::Value;
use crate::snapshot::completeness::{Census, Subject, Written, count_besides, doubts_columns, judge};
use crate::snapshot::diff::DiffOptions;

impl Conductor {
    /// A verdict on a snapshot, in which what muster wrote since `since` raises no doubt about columns.
    pub(super) fn judged(
        &self,
        subject: &Subject<'_>,
        evidence: Evidence,
        census: &Census,
        since: Option<DateTime<Utc>>,
        options: &DiffOptions,
    ) -> Result<(Evidence, Completeness), RunError> {
        let (evidence, verdict) = judge(subject, evidence, census);
        let Some(since) = since.filter(|_| subject.is_target && doubts_columns(subject.name, &verdict)) else {
            return Ok((evidence, verdict));
        };
        let written = self.written(subject, since)?;
        if written.is_empty() {
            return Ok((evidence, verdict));
        }
        let besides = compute(|| count_besides(subject.table, subject.settings, &written, options))?;
        Ok(judge(&Subject { besides: Some(&besides), ..*subject }, evidence, census))
    }

    /// What its own orders left in a target's columns since a moment.
    fn written(&self, subject: &Subject<'_>, since: DateTime<Utc>) -> Result<Written, RunError> {
        let mut written = Written::new();
        // Later runs come later.
        for (run, outcomes) in self.store.applied_since(&self.job.name, &subject.name.system, since)? {
            for order in self.store.read_orders(&run)? {
                let order = order?;
                let Some(known) = outcomes.get(&order.id).filter(|_| order.resource == *subject.name) else { continue };
                let Some(id) = known.clone().or(order.target_id) else { continue };
                // What an object was not given when it was made, it lacks for that reason.
                if order.operation == Operation::Create {
                    for column in subject.table.columns() {
                        written.entry(column.clone()).or_default().insert(id.clone(), String::new());
                    }
                }
                for change in order.changes {
                    let cell = change.after.as_ref().map(Value::to_cell).unwrap_or_default();
                    written.entry(change.attribute).or_default().insert(id.clone(), cell);
                }
            }
        }
        Ok(written)
    }
}
