//! What is remembered because of an outcome: links, agreed states, rows that muster added.

use std::collections::BTreeMap;

use super::Conductor;
use super::error::RunError;
use super::send::Sender;
use crate::model::link::{Agreed, How, Link};
use crate::model::order::{Operation, Order, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::value::Attributes;
use crate::reconcile::canonical;
use crate::store::links::LinkChange;

impl Conductor {
    /// The changes to links and rows that go with an outcome. `held` is what the object was read back with.
    pub(super) fn link_changes(
        &self,
        order: &Order,
        outcome: &Outcome,
        held: Option<&Attributes>,
        sender: &Sender,
    ) -> Result<Vec<LinkChange>, RunError> {
        let source = order.source_key.as_ref();
        Ok(match (order.operation, outcome.state) {
            // A row that was there already was added by somebody else: it is not muster's to remove.
            (Operation::Add, OrderState::Applied) if outcome.effected == Some(Effected::AlreadySo) => Vec::new(),
            (Operation::Add, OrderState::Applied) => vec![LinkChange::AddedRow(order.object.0.clone())],
            (Operation::Remove, OrderState::Applied) => vec![LinkChange::RemovedRow(order.object.0.clone())],
            (Operation::Delete, OrderState::Applied) => {
                source.map(|s| LinkChange::Drop(s.clone())).into_iter().collect()
            }
            // What was undone is not what source and target agree on.
            (_, OrderState::Applied) if order.undoes.is_some() => Vec::new(),
            (_, OrderState::Applied) => match (source, &outcome.target_id) {
                (Some(source), Some(target)) => vec![LinkChange::Put(Link {
                    source_key: source.clone(),
                    target_id: target.clone(),
                    how: if outcome.effected == Some(Effected::AlreadySo) { How::Adopted } else { How::Applied },
                    agreed: self.agreed(order, held, sender)?,
                })],
                _ => Vec::new(),
            },
            // An order that is stale because its object was not found drops no link: a wrong answer would make a leaver's
            // account a stranger. Only a snapshot that proves it gone does, in the next run.
            _ => Vec::new(),
        })
    }

    /// The agreed state after an apply: what was agreed before, and what the changed attributes hold now.
    fn agreed(&self, order: &Order, held: Option<&Attributes>, sender: &Sender) -> Result<Option<Agreed>, RunError> {
        let known = match (&order.source_key, self.job.syncs.get(order.sync)) {
            // What was agreed on an object that is made anew says nothing.
            _ if order.operation == Operation::Create && order.source_digest.is_some() => None,
            (Some(source), Some(sync)) => self.store.link_of(&self.job.name, &sync.id, source)?,
            _ => None,
        };
        let known = known.and_then(|link| link.agreed);
        let Some(source_digest) = order.source_digest.or_else(|| known.as_ref().map(Agreed::source_digest)) else {
            return Ok(None);
        };
        let mut attributes: BTreeMap<String, u64> =
            known.iter().flat_map(Agreed::attributes).map(|(name, hash)| (name.to_owned(), hash)).collect();
        let types = sender.capabilities.resources.get(&order.resource.resource);
        for change in &order.changes {
            let kind = types.and_then(|t| t.attributes.get(&change.attribute)).copied().unwrap_or_default();
            let value = match held {
                Some(held) => held.get(&change.attribute),
                None => change.after.as_ref(),
            };
            let cell = value.map(|v| v.to_cell()).unwrap_or_default();
            attributes.insert(change.attribute.clone(), canonical::digest(&cell, kind));
        }
        Ok(Some(Agreed::new(source_digest, &attributes)))
    }
}
