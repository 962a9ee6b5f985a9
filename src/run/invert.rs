//! What the job says about undoing one applied order.

use super::Conductor;
use super::offers::Offers;
use super::revert::{Candidate, RevertOptions};
use crate::job::SyncKind;
use crate::model::order::Order;
use crate::model::plan::LeftOrder;
use crate::reconcile::policy::EndSync;
use crate::reconcile::revert::{Now, UndoTerms, invert};

impl Conductor {
    /// The order that undoes an applied one, or why none does.
    pub(super) fn invert(
        &self,
        options: &RevertOptions,
        candidate: &Candidate<'_>,
        now: &Now,
        offers: &Offers,
    ) -> Result<Order, LeftOrder> {
        let order = &candidate.applied.order;
        let none = Default::default();
        let offered = offers.get(&order.resource.system).and_then(|(_, c)| c.resources.get(&order.resource.resource));
        let capabilities = offered.unwrap_or(&none);
        let (mut deletes, mut takes_along) = (false, Vec::new());
        if let SyncKind::Objects(objects) = &candidate.sync.kind {
            deletes = objects.deletes_at_once(self.job.apply.delete_after);
            let mapped = objects.rules.mapping.attributes();
            let unread = order.changes.iter().find(|change| {
                !mapped.contains(&change.attribute) && !capabilities.attributes.contains_key(&change.attribute)
            });
            if let Some(change) = unread {
                let why = format!("the job does not map {} any more, so that nobody reads it", change.attribute);
                return Err(LeftOrder::of(order, why, false));
            }
        }
        for sync in &self.job.syncs {
            if let SyncKind::Association(rows) = &sync.kind
                && rows.ends.iter().any(|end| end.to == order.resource)
            {
                takes_along.push(format!("its rows of {}, as far as they are left", sync.to));
            }
        }
        let keeps_one = self.keeps_one(candidate);
        let terms = UndoTerms {
            run: &options.of,
            capabilities,
            deletes,
            protect: &self.job.apply.protect,
            takes_along: &takes_along,
            account: offers.get(&order.resource.system).and_then(|(_, offered)| offered.account.as_ref()),
            keeps_one: keeps_one.as_deref(),
        };
        invert(&candidate.applied, now, &terms)
    }

    /// A sync with `keep_one` that concerns an applied order. Who is left is counted only where a run plans from whole
    /// snapshots; rows without a condition are looked at once more when they are sent.
    fn keeps_one(&self, candidate: &Candidate<'_>) -> Option<String> {
        let order = &candidate.applied.order;
        let concerned = self.job.syncs.iter().find(|sync| match &sync.kind {
            SyncKind::Association(rows) => rows.keep_one.as_ref().is_some_and(|keep| {
                let member = |end: &EndSync| end.name != keep.end && end.to == order.resource;
                match order.ends.is_empty() {
                    true => rows.ends.iter().any(member),
                    false => sync.id == candidate.sync.id && keep.scope.is_some(),
                }
            }),
            SyncKind::Objects(_) => false,
        })?;
        Some(format!(
            "whether everybody else is gone by now is not counted here, and the sync to {} keeps one (`keep_one`); change it at the source, and run",
            concerned.to
        ))
    }
}
