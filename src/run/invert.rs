//! What the job says about undoing one applied order.

use super::Conductor;
use super::offers::Offers;
use super::revert::{Candidate, RevertOptions};
use crate::job::SyncKind;
use crate::model::order::{End, Order};
use crate::model::plan::LeftOrder;
use crate::reconcile::policy::Fixed;
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
        let (fixed, required): (&[Fixed], &[String]) = match &candidate.sync.kind {
            SyncKind::Objects(objects) => (&objects.fixed, &objects.rules.required),
            SyncKind::Association(_) => (&[], &[]),
        };
        let is_account = |end: &End| {
            let offered = offers.get(&end.resource.system);
            let offered = offered.and_then(|(_, offered)| offered.resources.get(&end.resource.resource));
            offered.is_some_and(|offered| offered.enabled.is_some())
        };
        let counted: Vec<String> = match candidate.applied.ends.as_slice() {
            [first, second] => [(first, second), (second, first)]
                .into_iter()
                .filter(|(groups, members)| !is_account(groups) && is_account(members))
                .map(|(groups, _)| groups.name.clone())
                .collect(),
            _ => Vec::new(),
        };
        let terms = UndoTerms {
            run: &options.of,
            capabilities,
            deletes,
            protect: &self.job.apply.protect,
            counted: &counted,
            takes_along: &takes_along,
            account: offers.get(&order.resource.system).and_then(|(_, offered)| offered.account.as_ref()),
            fixed,
            required,
        };
        invert(&candidate.applied, now, &terms)
    }
}
