//! Values that a person had undone: orders for the same object go without them, whatever else these change.

use std::collections::HashMap;

use super::input::{ObjectInput, PlanInput};
use super::objects::ObjectPlan;
use super::reason;
use super::standing::Ledger;
use crate::model::order::{Change, ObjectKey, Operation, Order, OrderId};
use crate::model::plan::Withheld;
use crate::model::record::{Reversal, TakenBack};

/// What of one sync's proposals was undone before.
#[derive(Default)]
pub(crate) struct Undone {
    /// Single changes that orders go without.
    told: Vec<Withheld>,
    /// The orders that took back what is wanted still.
    wanted: Vec<OrderId>,
    /// Proposals of which all was undone, by their position, and by whom.
    pub(crate) whole: Vec<(usize, Reversal)>,
    /// Asked for again: the order that took it back, and the object.
    asked_again: Vec<(OrderId, ObjectKey)>,
}

/// Takes out of a sync's proposals what was undone at its target. One of which nothing would be left stays as it is, to
/// be withheld as a whole.
pub(crate) fn leave(input: &PlanInput<'_>, plan: &mut ObjectPlan<'_>, taken_back: &[TakenBack]) {
    let mut by_object: HashMap<&ObjectKey, Vec<&TakenBack>> = HashMap::new();
    taken_back.iter().for_each(|taken| by_object.entry(&taken.object).or_default().push(taken));
    let flag = plan.table.input.capabilities.enabled.as_deref();
    for (at, proposal) in plan.proposals.iter_mut().enumerate() {
        let order = &mut proposal.order;
        let is_change = matches!(order.operation, Operation::Update | Operation::Disable | Operation::Enable);
        let Some(of_object) = by_object.get(&order.object).filter(|_| is_change) else { continue };
        let by = |change: &Change| {
            let content = order.content_of(change);
            // Only who is switched off is so on a ground: on another one that is another question.
            let is_same = |by: &Reversal| by.ground.as_ref().is_none_or(|ground| *ground == order.ground);
            let holds = |taken: &TakenBack| flag != Some(change.attribute.as_str()) || is_same(&taken.by);
            let taken = of_object.iter().rev().find(|taken| taken.contents.contains(&content) && holds(taken));
            taken.map(|taken| &taken.by)
        };
        let found: Vec<Option<&Reversal>> = order.changes.iter().map(by).collect();
        let Some(first) = found.iter().flatten().next().copied() else { continue };
        if input.ask_again {
            plan.undone.asked_again.extend(found.iter().flatten().map(|by| (by.order.clone(), order.object.clone())));
            continue;
        }
        plan.undone.wanted.extend(found.iter().flatten().map(|by| by.order.clone()));
        // Whoever has a link needs no confirmation of who it is: of what class it is says its row.
        let is_plain = order.renamed_from.is_none() && (order.confidence == 100 || is_linked(plan.table.input, order));
        if found.iter().all(Option::is_some) && is_plain {
            plan.undone.whole.push((at, Reversal { ground: None, ..first.clone() }));
            continue;
        }
        let (mut kept, mut is_flag) = (Vec::new(), false);
        for (change, by) in std::mem::take(&mut order.changes).into_iter().zip(found) {
            let Some(by) = by else {
                kept.push(change);
                continue;
            };
            is_flag |= flag == Some(change.attribute.as_str());
            plan.undone.told.push(Withheld {
                order: by.order.clone(),
                about: format!("{} of `{}` in {}", change.attribute, order.key, order.resource),
                why: by.words(),
            });
        }
        order.references.retain(|reference| kept.iter().any(|change| change.attribute == reference.attribute));
        order.changes = kept;
        if is_flag {
            order.operation = Operation::Update;
            order.ground = String::new();
        }
        let was = order.reason.clone();
        mend(order, is_plain);
        let listed = plan.listed.iter_mut().filter(|listed| listed.key == order.key && listed.note == was);
        listed.for_each(|listed| listed.note.clone_from(&order.reason));
    }
}

/// Whether the object is linked with its row already.
fn is_linked(input: &ObjectInput<'_>, order: &Order) -> bool {
    let (key, id) = (order.source_key.as_deref(), order.target_id.as_deref());
    input.links.iter().any(|link| Some(link.source_key) == key && Some(link.target_id) == id)
}

/// Brings what is derived from an order's changes up to date.
fn mend(order: &mut Order, is_plain: bool) {
    let Order { resource, operation, object, changes, references, .. } = &*order;
    order.fingerprint = Order::fingerprint_with(resource, *operation, object, changes, references);
    order.id = OrderId::new(&order.fingerprint, 0);
    order.cause = order.changes.iter().map(|change| change.cause).max().unwrap_or(order.cause);
    if is_plain {
        order.reason = reason::update(&order.changes, "");
    }
}

impl Undone {
    /// Tells what orders go without, and for how long that lasts.
    pub(crate) fn tell(self, ledger: &mut Ledger<'_>) {
        ledger.draft.withheld.extend(self.told);
        self.wanted.iter().for_each(|order| ledger.lapses.still_wanted(order));
        for (taken_back_by, object) in self.asked_again {
            if let Some(order) = ledger.draft.orders.iter().find(|order| order.object == object) {
                ledger.lapses.again(&taken_back_by, &order.id);
            }
        }
    }
}
