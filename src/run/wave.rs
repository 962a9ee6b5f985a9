//! In which sequence orders are sent: phases by dependency, and kinds within them.

use crate::model::order::{Operation, Order};
use crate::model::resource::ResourceName;

/// Orders of one kind: one operation on one resource type. What goes wrong for one may go wrong for all.
#[derive(Debug)]
pub(super) struct Kind {
    /// What they do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// In the plan's sequence.
    pub orders: Vec<Order>,
}

impl Kind {
    /// For people: `create vault.users`.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.operation, self.resource)
    }
}

/// Sorts orders into kinds, in the sequence in which they depend on each other.
///
/// Accounts lose access first. Then what others refer to comes before what refers to it (containers and groups,
/// users, associations); removals go the other way round.
pub(super) fn kinds(orders: Vec<Order>) -> Vec<Kind> {
    let mut kinds: Vec<(u8, Kind)> = Vec::new();
    for order in orders {
        let phase = phase(&order);
        let known = kinds
            .iter_mut()
            .find(|(p, k)| *p == phase && k.operation == order.operation && k.resource == order.resource);
        match known {
            Some((_, kind)) => kind.orders.push(order),
            None => kinds.push((
                phase,
                Kind { operation: order.operation, resource: order.resource.clone(), orders: vec![order] },
            )),
        }
    }
    kinds.sort_by(|(pa, a), (pb, b)| (pa, &a.resource, a.operation).cmp(&(pb, &b.resource, b.operation)));
    kinds.into_iter().map(|(_, kind)| kind).collect()
}

fn phase(order: &Order) -> u8 {
    let account = order.resource.resource == "users";
    match order.operation {
        Operation::Disable => 0,
        Operation::Create | Operation::Update | Operation::Enable => 1 + u8::from(account),
        Operation::Add => 3,
        Operation::Remove => 4,
        Operation::Delete => 6 - u8::from(account),
    }
}
