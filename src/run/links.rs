//! What is remembered because of an outcome: links, agreed states, rows that muster added.

use std::collections::BTreeMap;

use super::Conductor;
use super::error::RunError;
use super::send::Sender;
use crate::job::SyncKind;
use crate::model::grace::Grace;
use crate::model::link::{Agreed, How, Link};
use crate::model::order::{Operation, Order, OrderState};
use crate::model::outcome::{Effected, Outcome};
use crate::model::situation::Situation;
use crate::model::value::Attributes;
use crate::reconcile::canonical;
use crate::reconcile::policy::{OrphanAction, OutOfScopeAction};
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
            // Nobody has done it yet: what is done shows in a later snapshot.
            (Operation::Update | Operation::Disable | Operation::Enable | Operation::Delete, OrderState::Applied)
                if outcome.effected == Some(Effected::HandedOver) =>
            {
                Vec::new()
            }
            // Cleared of what is to be deleted next: source and target agree on nothing of it, and its grace goes on.
            (Operation::Update, OrderState::Applied)
                if matches!(order.situation, Situation::Orphan | Situation::OutOfScope) =>
            {
                Vec::new()
            }
            // A row that was there already was added by somebody else: it is not muster's to remove.
            (Operation::Add, OrderState::Applied) if outcome.effected == Some(Effected::AlreadySo) => Vec::new(),
            (Operation::Add, OrderState::Applied) => vec![LinkChange::AddedRow(order.object.0.clone())],
            (Operation::Remove, OrderState::Applied) => vec![LinkChange::RemovedRow(order.object.0.clone())],
            (Operation::Delete, OrderState::Applied) => {
                source.map(|s| LinkChange::Drop(s.clone())).into_iter().collect()
            }
            (_, OrderState::Applied) if order.undoes.is_some() => self.agreed_anew(order, outcome, held, sender)?,
            (_, OrderState::Applied) => match (source, &outcome.target_id) {
                (Some(source), Some(target)) => {
                    let is_found = order.renamed_from.is_none() && outcome.effected == Some(Effected::AlreadySo);
                    let moved = order.renamed_from.as_ref().map(|from| LinkChange::Move {
                        from: from.clone(),
                        to: source.clone(),
                        target: target.clone(),
                        how: How::Applied,
                    });
                    let linked = match self.job.syncs.get(order.sync) {
                        Some(sync) if order.operation != Operation::Create => {
                            self.store.link_of(&self.job.name, &sync.id, source)?
                        }
                        _ => None,
                    };
                    let how = match linked.filter(|link| link.target_id == *target) {
                        Some(link) => link.how,
                        // What a match rule did not find surely, a person confirmed.
                        None if order.confidence < 100
                            && order.operation != Operation::Create
                            && order.renamed_from.is_none() =>
                        {
                            How::Person
                        }
                        None if is_found => How::Adopted,
                        None if order.operation == Operation::Create || order.renamed_from.is_some() => How::Applied,
                        None => How::Matched,
                    };
                    let put = LinkChange::Put(Link {
                        source_key: source.clone(),
                        target_id: target.clone(),
                        how,
                        agreed: self.agreed(order, outcome, held, sender)?,
                    });
                    let grace = self
                        .begins_grace(order)
                        .then(|| LinkChange::Grace(source.clone(), Some(Grace::begun(outcome.at))));
                    moved.into_iter().chain([put]).chain(grace).collect()
                }
                _ => Vec::new(),
            },
            // An order that is stale because its object was not found drops no link: a wrong answer would make a leaver's
            // account a stranger. Only a snapshot that proves it gone does, in the next run.
            _ => Vec::new(),
        })
    }

    /// Whether an order takes an object out of use that is to be deleted after a grace.
    fn begins_grace(&self, order: &Order) -> bool {
        let Some(SyncKind::Objects(sync)) = self.job.syncs.get(order.sync).map(|sync| &sync.kind) else { return false };
        let deletes = match order.situation {
            Situation::Orphan => sync.on.orphan == OrphanAction::Delete,
            Situation::OutOfScope => sync.on.out_of_scope == OutOfScopeAction::Delete,
            _ => false,
        };
        deletes && order.operation == Operation::Disable && self.job.apply.delete_after.is_some()
    }

    /// What an undo leaves is muster's own, and no change at the target: it is agreed on. That the source wants something
    /// else is the source's wish, whatever its row held when that was planned.
    fn agreed_anew(
        &self,
        order: &Order,
        outcome: &Outcome,
        held: Option<&Attributes>,
        sender: &Sender,
    ) -> Result<Vec<LinkChange>, RunError> {
        let (Some(source), Some(sync)) = (&order.source_key, self.job.syncs.get(order.sync)) else {
            return Ok(Vec::new());
        };
        let link = self.store.link_of(&self.job.name, &sync.id, source)?;
        let Some(link) = link.filter(|link| Some(&link.target_id) == outcome.target_id.as_ref()) else {
            return Ok(Vec::new());
        };
        Ok(vec![LinkChange::Put(Link { agreed: self.agreed(order, outcome, held, sender)?, ..link })])
    }

    /// The agreed state after an apply: what was agreed before, and what the changed attributes hold now. What nobody
    /// read there is not agreed on.
    fn agreed(
        &self,
        order: &Order,
        outcome: &Outcome,
        held: Option<&Attributes>,
        sender: &Sender,
    ) -> Result<Option<Agreed>, RunError> {
        let known = match (&order.source_key, self.job.syncs.get(order.sync)) {
            // What was agreed on an object that is made anew says nothing.
            _ if order.operation == Operation::Create && order.source_digest.is_some() => None,
            (Some(source), Some(sync)) => {
                let link = |key: &str| self.store.link_of(&self.job.name, &sync.id, key);
                match (link(source)?, &order.renamed_from) {
                    (None, Some(was)) => link(was)?,
                    (known, _) => known,
                }
            }
            _ => None,
        };
        let known = known.and_then(|link| link.agreed);
        let source_digest = match order.situation {
            // The row is gone: whatever comes under its key later is the source's change.
            Situation::Orphan => Some(0),
            _ if order.undoes.is_some() => Some(0),
            _ => order.source_digest.or_else(|| known.as_ref().map(Agreed::source_digest)),
        };
        let Some(source_digest) = source_digest else { return Ok(None) };
        let is_seen = held.is_some() || outcome.effected != Some(Effected::Sent);
        let mut attributes: BTreeMap<String, u64> =
            known.iter().flat_map(Agreed::attributes).map(|(name, hash)| (name.to_owned(), hash)).collect();
        let types = sender.capabilities.resources.get(&order.resource.resource);
        for change in order.changes.iter().filter(|_| is_seen) {
            let kind = types.map(|types| types.kind(&change.attribute)).unwrap_or_default();
            let is_hidden = types.is_some_and(|types| types.hidden.contains(&change.attribute));
            let value = match held {
                Some(held) if !is_hidden => held.get(&change.attribute),
                _ => change.after.as_ref(),
            };
            let cell = value.map(|v| v.to_cell()).unwrap_or_default();
            attributes.insert(change.attribute.clone(), canonical::digest(&cell, kind));
        }
        Ok(Some(Agreed::new(source_digest, &attributes)))
    }
}
