//! Which orders wait for which: the phase of each, its kind's turn within the phase, and its step within the kind.

use std::collections::{BTreeSet, HashMap};

use crate::model::order::{EndRef, ObjectKey, Operation, Order, OrderId};
use crate::model::resource::ResourceName;

/// When an order is sent, compared with the others of one apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Accounts lose access first; then what others refer to comes before what refers to it, and removals go the other
    /// way round.
    pub(super) phase: u8,
    /// Of kinds that need each other, which goes first.
    pub(super) turn: u32,
    /// Of orders of one kind, which go first: those of one step never wait for each other.
    pub(super) step: u32,
}

/// The phase of an order that needs no other one.
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

/// The place of each order, in their sequence. `refers` says of a sync's attribute which resource type it refers to.
///
/// What is created goes before what refers to it; what is deleted after it. Two changes of one object go one after the
/// other.
pub(super) fn places(orders: &[Order], refers: impl Fn(usize, &str) -> Option<ResourceName>) -> Vec<Place> {
    let mut places: Vec<Place> = orders.iter().map(|order| Place { phase: phase(order), turn: 0, step: 0 }).collect();
    let before = before(orders, refers);
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); orders.len()];
    let mut open: Vec<usize> = vec![0; orders.len()];
    for (at, needed) in before.iter().enumerate() {
        open[at] = needed.len();
        needed.iter().for_each(|needed| after[*needed].push(at));
    }
    let mut waiting: BTreeSet<usize> = (0..orders.len()).filter(|at| open[*at] > 0).collect();
    let mut ready: Vec<usize> = (0..orders.len()).filter(|at| open[*at] == 0 && !after[*at].is_empty()).collect();
    // Deletes may refer to each other in a circle: then one of them goes first all the same.
    while let Some(at) = ready.pop().or_else(|| waiting.first().copied()) {
        waiting.remove(&at);
        let place = before[at]
            .iter()
            .fold(places[at], |place, needed| later(place, (&orders[at], &orders[*needed]), places[*needed]));
        places[at] = place;
        for next in std::mem::take(&mut after[at]) {
            open[next] = open[next].saturating_sub(1);
            if open[next] == 0 && waiting.remove(&next) {
                ready.push(next);
            }
        }
    }
    places
}

/// The place of an order that goes after another one.
fn later(place: Place, (order, needed): (&Order, &Order), theirs: Place) -> Place {
    fn kind(order: &Order) -> (&ResourceName, Operation, usize) {
        (&order.resource, order.operation, order.sync)
    }
    let least = match kind(order).cmp(&kind(needed)) {
        std::cmp::Ordering::Equal => Place { step: theirs.step + 1, ..theirs },
        std::cmp::Ordering::Greater => Place { step: 0, ..theirs },
        std::cmp::Ordering::Less => Place { turn: theirs.turn + 1, step: 0, ..theirs },
    };
    place.max(least)
}

/// By order, those that go before it.
fn before(orders: &[Order], refers: impl Fn(usize, &str) -> Option<ResourceName>) -> Vec<Vec<usize>> {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); orders.len()];
    if orders.iter().any(|order| !order.references.is_empty() || order.closes.is_some()) {
        let creates = orders.iter().enumerate().filter(|(_, order)| order.operation == Operation::Create);
        let made: HashMap<&ObjectKey, usize> = creates.clone().map(|(at, order)| (&order.object, at)).collect();
        let by_row = |order: &'_ Order| (order.sync, order.source_key.clone());
        let own: HashMap<(usize, Option<String>), usize> = creates.map(|(at, order)| (by_row(order), at)).collect();
        for (at, order) in orders.iter().enumerate() {
            for reference in &order.references {
                if let EndRef::Order(_) = reference.object {
                    before[at].extend(made.get(&reference.identity));
                }
            }
            if order.closes.is_some() {
                before[at].extend(own.get(&by_row(order)));
            }
        }
        let mut changed: HashMap<(usize, Option<String>), usize> = HashMap::new();
        let changes = orders.iter().enumerate().filter(|(_, order)| {
            matches!(order.operation, Operation::Update | Operation::Enable) && order.source_key.is_some()
        });
        for (at, order) in changes {
            if let Some(earlier) = changed.insert(by_row(order), at) {
                before[at].push(earlier);
            }
        }
    }
    let deleted: HashMap<(&ResourceName, &str), usize> = orders
        .iter()
        .enumerate()
        .filter(|(_, order)| order.operation == Operation::Delete)
        .filter_map(|(at, order)| Some(((&order.resource, order.target_id.as_deref()?), at)))
        .collect();
    for at in deleted.values() {
        for change in &orders[*at].changes {
            let Some(to) = refers(orders[*at].sync, &change.attribute) else { continue };
            let Some(id) = change.before.as_ref().and_then(|value| value.as_text()) else { continue };
            if let Some(held) = deleted.get(&(&to, id)).filter(|held| *held != at) {
                before[*held].push(*at);
            }
        }
    }
    before.iter_mut().for_each(|needed| needed.sort_unstable());
    before
}

/// The steps of orders, by their ids; those of the first step are left out.
pub(super) fn steps(orders: &[Order], places: &[Place]) -> HashMap<OrderId, u32> {
    let later = orders.iter().zip(places).filter(|(_, place)| place.step > 0);
    later.map(|(order, place)| (order.id.clone(), place.step)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    /// An order of `resource`; it refers to what `create` creates, or holds `before` in `manager`.
    fn order(resource: &str, operation: &str, key: &str, create: Option<&str>, before: Option<&str>) -> Order {
        let object = |key: &str| match key.split_once('/') {
            Some((resource, key)) => format!("vault.{resource}/idp.{resource}={key}"),
            None => format!("vault.{resource}/idp.{resource}={key}"),
        };
        let reference = create.map(|create| {
            json!({"attribute": "manager", "resource": "vault.users", "object": {"order": "o-0-1"},
                "identity": object(create), "key": create})
        });
        let change = json!({"attribute": "manager", "before": before, "after": null, "cause": "source"});
        serde_json::from_value(json!({
            "id": format!("o-{resource}{key}-1"), "fingerprint": "0", "operation": operation,
            "resource": format!("vault.{resource}"), "sync": 0, "object": object(key), "target_id": key,
            "source_key": key, "key": key, "name": key, "changes": [change],
            "references": reference.into_iter().collect::<Vec<_>>(), "situation": "missing", "cause": "initial",
            "reason": "", "confidence": 100,
        }))
        .unwrap()
    }

    fn sequence(orders: &[Order]) -> Vec<(u8, u32, u32)> {
        let manager = |_: usize, attribute: &str| (attribute == "manager").then(|| ResourceName::new("vault", "users"));
        places(orders, manager).into_iter().map(|place| (place.phase, place.turn, place.step)).collect()
    }

    #[test]
    fn what_is_referred_to_goes_first_across_kinds_and_within_one() {
        let create = |resource: &str, key: &str, needed: Option<&str>| order(resource, "create", key, needed, None);
        let orders = [
            create("users", "c", Some("users/b")),
            create("users", "b", Some("users/a")),
            create("users", "a", None),
            create("groups", "g", Some("users/c")),
            create("groups", "h", None),
            // An account that needs a group which needs an account.
            create("users", "d", Some("groups/g")),
            order("users", "update", "e", Some("users/d"), None),
        ];
        let expected = [(2, 0, 2), (2, 0, 1), (2, 0, 0), (2, 1, 0), (1, 0, 0), (2, 1, 0), (2, 1, 0)];
        assert_eq!(sequence(&orders), expected);
    }

    #[test]
    fn what_is_deleted_goes_after_those_who_name_it_and_a_circle_of_deletes_still_goes() {
        let delete = |key: &str, manager: Option<&str>| order("users", "delete", key, None, manager);
        let orders =
            [delete("a", None), delete("b", Some("a")), delete("c", Some("b")), delete("x", Some("elsewhere"))];
        assert_eq!(sequence(&orders).iter().map(|(_, _, step)| *step).collect::<Vec<_>>(), [2, 1, 0, 0]);
        let circle = [delete("a", Some("b")), delete("b", Some("a")), delete("c", Some("c"))];
        assert_eq!(sequence(&circle).len(), 3, "it comes to an end");
    }
}
