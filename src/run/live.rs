//! What earlier runs ordered, as planning reads it.

use std::collections::{BTreeMap, HashMap};

use super::Conductor;
use super::error::RunError;
use crate::model::link::{Agreed, How, Link};
use crate::model::order::{EndRef, Fingerprint, Order, OrderId};
use crate::model::record::OrderRecord;
use crate::model::run::RunId;
use crate::reconcile::{LiveOrder, Prior, Standing};
use crate::store::database::Store;
use crate::store::links;

impl Conductor {
    /// The live orders of this job, and those of other jobs at the same targets.
    pub(super) fn live(&self, identities: &[&str]) -> Result<Vec<LiveOrder>, RunError> {
        let mut live = Vec::new();
        let mut planned: BTreeMap<RunId, HashMap<OrderId, Order>> = BTreeMap::new();
        for record in self.store.live_orders(&self.job.name)? {
            if !planned.contains_key(&record.run) {
                let orders = self.store.read_orders(&record.run)?;
                let orders = orders.map(|o| o.map(|o| (o.id.clone(), o))).collect::<Result<_, _>>()?;
                planned.insert(record.run.clone(), orders);
            }
            let order = planned.get(&record.run).and_then(|orders| orders.get(&record.id));
            live.push(live_order(&record, order, None));
        }
        for identity in identities {
            for (_, record) in self.store.live_elsewhere(&self.job.name, identity)? {
                live.push(live_order(&record, None, Some(record.job.clone())));
            }
        }
        Ok(live)
    }
}

fn live_order(record: &OrderRecord, order: Option<&Order>, of_other_job: Option<String>) -> LiveOrder {
    let needs = order.into_iter().flat_map(|o| &o.ends).filter_map(|end| match &end.object {
        EndRef::Order(id) => Some(id.clone()),
        EndRef::Target(_) => None,
    });
    LiveOrder {
        id: record.id.clone(),
        fingerprint: record.fingerprint.clone(),
        run: record.run.clone(),
        object: record.object.clone(),
        target_id: order.and_then(|o| o.target_id.clone()),
        identity: record.target_identity.clone(),
        resource: record.resource.clone(),
        operation: record.operation,
        key: record.key.clone(),
        state: record.state,
        block: record.block.as_ref().map(|b| b.reason),
        changes: order.map(|o| o.changes.clone()),
        needs: needs.collect(),
        of_other_job,
    }
}

/// Looks up in the database what became of orders with the same content.
pub(super) struct Memory<'a> {
    pub(super) store: &'a Store,
    pub(super) job: &'a str,
}

impl Standing for Memory<'_> {
    fn of(&self, fingerprint: &Fingerprint) -> Prior {
        // Registering the plan checks again, in its transaction, that an id is new; a failed look-up ends there.
        let Ok(mut found) = self.store.standing(self.job, std::slice::from_ref(fingerprint)) else {
            return Prior::default();
        };
        let Some(standing) = found.remove(fingerprint) else { return Prior::default() };
        let newest = standing.newest.map(|(id, state)| {
            let handed_over = self.store.order(&id).is_ok_and(|record| record.handed_over);
            (id, state, handed_over)
        });
        Prior { raised: standing.raised, newest }
    }
}

/// A remembered pair, as planning reads it.
pub(super) fn link(sync_id: &str, link: links::Link) -> Link {
    Link {
        sync_id: sync_id.to_owned(),
        source_key: link.source_key,
        target_id: link.target_id,
        how: match link.how {
            links::How::Matched => How::Match,
            links::How::Person => How::Person,
            links::How::Applied | links::How::Adopted => How::Applied,
        },
        agreed: link.agreed.map(|a| Agreed {
            source_digest: a.source_digest(),
            attributes: a.attributes().map(|(name, hash)| (name.to_owned(), hash)).collect(),
        }),
    }
}

/// The same pair, as it is stored.
pub(super) fn stored(link: Link) -> links::Link {
    links::Link {
        source_key: link.source_key,
        target_id: link.target_id,
        how: match link.how {
            How::Match => links::How::Matched,
            How::Person => links::How::Person,
            How::Applied => links::How::Applied,
        },
        agreed: link.agreed.map(|a| links::Agreed::new(a.source_digest, &a.attributes)),
    }
}
