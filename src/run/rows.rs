//! Sends association rows: those of one owner travel together, each has an outcome of its own.

use std::collections::BTreeMap;

use super::send::{Ended, Sender};
use crate::connector::target::RowChange;
use crate::model::event::Event;
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::{Operation, Order, OrderState};
use crate::model::outcome::{Effected, Outcome};

/// A row whose ends are known by now.
#[derive(Clone, Debug)]
pub(super) struct ResolvedRow {
    pub(super) order: Order,
    pub(super) ends: BTreeMap<String, String>,
}

/// Puts rows that share an owner together, up to the target's limit; `single` keeps each apart.
pub(super) fn batches(rows: Vec<ResolvedRow>, owner: Option<&str>, limit: usize) -> Vec<Vec<ResolvedRow>> {
    let Some(owner) = owner else { return rows.into_iter().map(|row| vec![row]).collect() };
    let mut by_owner: BTreeMap<String, Vec<ResolvedRow>> = BTreeMap::new();
    for row in rows {
        by_owner.entry(row.ends.get(owner).cloned().unwrap_or_default()).or_default().push(row);
    }
    let cut = |rows: Vec<ResolvedRow>| -> Vec<Vec<ResolvedRow>> {
        rows.chunks(limit.max(1)).map(<[ResolvedRow]>::to_vec).collect()
    };
    by_owner.into_values().flat_map(cut).collect()
}

impl Sender {
    /// Sends rows of one owner. Their intents are committed already. One end a row, in order.
    pub(super) async fn rows(&self, operation: Operation, rows: &[ResolvedRow]) -> Vec<Ended> {
        let Some(first) = rows.first() else { return Vec::new() };
        let resource = first.order.resource.resource.clone();
        for row in rows {
            self.reporter.event(&Event::Sending {
                order: row.order.id.clone(),
                operation,
                resource: row.order.resource.clone(),
                key: row.order.key.clone(),
            });
        }
        let ends: Vec<BTreeMap<String, String>> = rows.iter().map(|row| row.ends.clone()).collect();
        let mut tries = 0;
        let held = match self.patiently(&first.order, &mut tries, || self.target.holds(&resource, &ends)).await {
            Ok(held) => held,
            Err(failure) => return rows.iter().map(|row| self.row_failed(row, failure.clone(), tries)).collect(),
        };
        let wanted = operation == Operation::Add;
        let mut results: Vec<Option<Ended>> = rows.iter().map(|_| None).collect();
        let mut open: Vec<usize> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if held.get(i).copied().unwrap_or(!wanted) == wanted && self.capabilities.reads_back {
                results[i] = Some(self.row_applied(row, Effected::AlreadySo, Some("was already so"), tries + 1));
            } else {
                open.push(i);
            }
        }
        let mut attempt = 0;
        while !open.is_empty() {
            attempt += 1;
            let changes: Vec<RowChange> = open
                .iter()
                .map(|i| RowChange {
                    order: rows[*i].order.id.clone(),
                    ends: rows[*i].ends.clone(),
                    name: rows[*i].order.key.clone(),
                })
                .collect();
            let answers = self.target.apply_rows(&resource, operation, &changes).await;
            let mut again = Vec::new();
            let mut cause = None;
            for (i, answer) in open.iter().copied().zip(answers) {
                match answer {
                    Ok(applied) => {
                        results[i] = Some(self.row_applied(
                            &rows[i],
                            applied.effected,
                            applied.note.as_deref(),
                            tries + attempt,
                        ));
                    }
                    // Adding and removing a row may be repeated: the second time changes nothing.
                    Err(failure) if failure.recourse == Recourse::Retry || failure.effect == Effect::Unknown => {
                        again.push(i);
                        cause = Some(failure);
                    }
                    Err(failure) => results[i] = Some(self.row_failed(&rows[i], failure, tries + attempt)),
                }
            }
            open = again;
            if let Some(failure) = cause
                && !self.wait(&first.order, &failure, attempt).await
            {
                for i in open.drain(..) {
                    results[i] = Some(Ended::Untried(failure.clone()));
                }
            }
        }
        let mut ended: Vec<Ended> = results.into_iter().flatten().collect();
        self.confirm(&resource, wanted, rows, &ends, &mut ended).await;
        ended
    }

    /// Reads the owner once and takes back what was accepted without effect.
    async fn confirm(
        &self,
        resource: &str,
        wanted: bool,
        rows: &[ResolvedRow],
        ends: &[BTreeMap<String, String>],
        ended: &mut [Ended],
    ) {
        let sent = |e: &Ended| matches!(e, Ended::Outcome(o, _) if o.effected == Some(Effected::Sent));
        if !self.capabilities.reads_back || !ended.iter().any(sent) {
            return;
        }
        match self.target.holds(resource, ends).await {
            Ok(held) => {
                for (i, end) in ended.iter_mut().enumerate() {
                    if sent(end) && held.get(i) != Some(&wanted) {
                        let failure = Failure::new(
                            Class::Unsupported,
                            Recourse::GiveUp,
                            self.target.system(),
                            format!("{} of {} was accepted without effect", rows[i].order.operation, rows[i].order.key),
                            "look at both ends in the target: it may refuse such members silently",
                        );
                        *end = self.row_failed(&rows[i], failure, 1);
                    }
                }
            }
            Err(failure) => self.reporter.event(&Event::Warning(format!(
                "{} rows of {resource} were acknowledged but not read back: {failure}",
                rows.len()
            ))),
        }
    }

    fn row_applied(&self, row: &ResolvedRow, effected: Effected, note: Option<&str>, tries: u32) -> Ended {
        let outcome = Outcome {
            order: row.order.id.clone(),
            state: OrderState::Applied,
            effected: Some(effected),
            target_id: None,
            note: note.map(str::to_owned),
            failure: None,
            tries,
            at: (self.clock)(),
        };
        Ended::Outcome(Box::new(outcome), None)
    }

    fn row_failed(&self, row: &ResolvedRow, failure: Failure, tries: u32) -> Ended {
        if failure.recourse != Recourse::GiveUp {
            return Ended::Untried(failure);
        }
        let state = if failure.class == Class::Stale { OrderState::Stale } else { OrderState::Errored };
        let outcome = Outcome {
            order: row.order.id.clone(),
            state,
            effected: None,
            target_id: None,
            note: None,
            failure: Some(failure),
            tries: tries.max(1),
            at: (self.clock)(),
        };
        Ended::Outcome(Box::new(outcome), None)
    }
}
