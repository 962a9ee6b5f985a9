//! In which sequence orders are sent: phases by dependency, kinds within them, and in each kind a canary for each rule
//! before its orders go wide.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::sequence::{places, steps};
use crate::model::order::{Operation, Order, OrderId};
use crate::model::resource::ResourceName;

/// How many attributes a kind's name shows.
const NAMED: usize = 3;

/// Orders of one operation on one resource type that one sync wants. What goes wrong for one may go wrong for all.
#[derive(Debug)]
pub(super) struct Kind {
    /// What they do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// For people: `create vault.users`; `create vault.users from hr.staff` where several syncs make such orders.
    pub label: String,
    /// Those of the first step come first; in a step those that were tried before, then the plan's sequence.
    pub orders: Vec<Order>,
    /// The steps of orders that go after others of their kind: those before them have ended when they are sent.
    pub steps: HashMap<OrderId, u32>,
    /// Orders of this kind that this apply was not asked for; what stops the kind stops them too.
    pub beyond: Vec<Order>,
}

impl Kind {
    /// Keeps the first so many orders.
    pub(super) fn truncate(&mut self, first: usize) {
        self.beyond = self.orders.split_off(first.min(self.orders.len()));
    }
}

/// Sorts orders into kinds, in the sequence in which they depend on each other.
///
/// Accounts lose access first. Then what others refer to comes before what refers to it (containers and groups,
/// users, associations); removals go the other way round. `refers` says of a sync's attribute to what it refers. Orders
/// in `retried` failed before: how they end now tells most.
pub(super) fn kinds(
    orders: Vec<Order>,
    retried: &HashSet<OrderId>,
    source_of: impl Fn(usize) -> Option<String>,
    refers: impl Fn(usize, &str) -> Option<ResourceName>,
) -> Vec<Kind> {
    let places = places(&orders, refers);
    let steps = steps(&orders, &places);
    let mut kinds: BTreeMap<(u8, u32, ResourceName, Operation, usize), Vec<Order>> = BTreeMap::new();
    for (order, place) in orders.into_iter().zip(places) {
        let key = (place.phase, place.turn, order.resource.clone(), order.operation, order.sync);
        kinds.entry(key).or_default().push(order);
    }
    let mut syncs: BTreeMap<(ResourceName, Operation), BTreeSet<usize>> = BTreeMap::new();
    for (_, _, resource, operation, sync) in kinds.keys() {
        syncs.entry((resource.clone(), *operation)).or_default().insert(*sync);
    }
    kinds
        .into_iter()
        .map(|((_, _, resource, operation, sync), mut orders)| {
            let mut label = format!("{operation} {resource}");
            if syncs.get(&(resource.clone(), operation)).is_some_and(|syncs| syncs.len() > 1)
                && let Some(source) = source_of(sync)
            {
                label.push_str(&format!(" from {source}"));
            }
            let step = |order: &Order| steps.get(&order.id).copied().unwrap_or(0);
            orders.sort_by_key(|order| (step(order), !retried.contains(&order.id)));
            let later = orders.iter().filter(|order| step(order) > 0);
            let steps = later.map(|order| (order.id.clone(), step(order))).collect();
            Kind { operation, resource, label, orders, steps, beyond: Vec::new() }
        })
        .collect()
}

/// The rules that an order rests on: for an update those of the attributes that it changes, each of which may be wrong by
/// itself; for anything else one, the sync's.
fn rules(order: &Order) -> BTreeSet<&str> {
    match order.operation {
        Operation::Update => attributes(order).collect(),
        _ => BTreeSet::from([""]),
    }
}

/// Whether an order rests on one of these rules.
pub(super) fn rests_on(order: &Order, some: &BTreeSet<String>) -> bool {
    rules(order).iter().any(|rule| some.contains(*rule))
}

/// The orders of one kind while they are sent: which rules an order succeeded under, and which are given up.
///
/// An order goes wide only when each of its rules had an order that succeeded. So an update kind has as many canaries as
/// attributes at most, however many combinations of them it has.
pub(super) struct Unsent {
    /// Rest on a rule that no order succeeded under yet.
    unproved: Vec<Order>,
    /// May go wide.
    ready: Vec<Order>,
    proved: BTreeSet<String>,
    retried: HashSet<OrderId>,
    /// What most orders have in common: a failure of such a one tells most.
    usual: Option<Vec<String>>,
    steps: HashMap<OrderId, u32>,
}

/// Orders that go together.
pub(super) struct Next {
    pub(super) orders: Vec<Order>,
    /// The rules that these are to prove; empty where all is proved.
    pub(super) proving: BTreeSet<String>,
}

impl Unsent {
    /// With `has_canary` false everything goes wide at once.
    pub(super) fn new(orders: Vec<Order>, retried: &HashSet<OrderId>, has_canary: bool) -> Self {
        let retried = orders.iter().map(|order| &order.id).filter(|id| retried.contains(id)).cloned().collect();
        let usual = has_canary.then(|| usual(&orders)).flatten();
        let (unproved, ready) = if has_canary { (orders, Vec::new()) } else { (Vec::new(), orders) };
        Self { unproved, ready, proved: BTreeSet::new(), retried, usual, steps: HashMap::new() }
    }

    /// Lets no order go together with one of an earlier step.
    pub(super) fn in_steps(self, steps: HashMap<OrderId, u32>) -> Self {
        Self { steps, ..self }
    }

    fn step(&self, order: &Order) -> u32 {
        self.steps.get(&order.id).copied().unwrap_or(0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unproved.is_empty() && self.ready.is_empty()
    }

    /// Whether what comes next proves rules.
    pub(super) fn is_proving(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next orders: of those that may go wide so many, else canaries. `size` is asked which of the two it is for.
    pub(super) fn next(&mut self, size: usize) -> Next {
        let size = size.max(1);
        if !self.ready.is_empty() {
            let first = self.ready.first().map(|order| self.step(order));
            let together = self.ready.iter().take(size).take_while(|order| Some(self.step(order)) == first).count();
            let rest = self.ready.split_off(together.max(1));
            let orders = std::mem::replace(&mut self.ready, rest);
            return Next { orders, proving: BTreeSet::new() };
        }
        let Some(first) = self.canary() else { return Next { orders: Vec::new(), proving: BTreeSet::new() } };
        let (proving, step) = (self.unproved_rules(&self.unproved[first]), self.step(&self.unproved[first]));
        let mut orders = vec![self.unproved.remove(first)];
        while orders.len() < size
            && let Some(at) =
                self.unproved.iter().position(|o| self.step(o) == step && self.unproved_rules(o) == proving)
        {
            orders.push(self.unproved.remove(at));
        }
        Next { orders, proving }
    }

    /// The order whose failure tells most: of the first step; one that failed before; one that proves the fewest rules,
    /// so that its failure points at one; one that is like most others; the first of the plan.
    fn canary(&self) -> Option<usize> {
        let key = |(at, order): &(usize, &Order)| {
            let is_usual =
                self.usual.as_ref().is_none_or(|usual| attributes(order).eq(usual.iter().map(String::as_str)));
            let proving = rules(order).iter().filter(|rule| !self.proved.contains(**rule)).count();
            (self.step(order), !self.retried.contains(&order.id), proving, !is_usual, *at)
        };
        self.unproved.iter().enumerate().min_by_key(key).map(|(at, _)| at)
    }

    fn unproved_rules(&self, order: &Order) -> BTreeSet<String> {
        rules(order).into_iter().filter(|rule| !self.proved.contains(*rule)).map(str::to_owned).collect()
    }

    /// An order that rests on these rules succeeded.
    pub(super) fn prove(&mut self, rules_proved: BTreeSet<String>) {
        self.proved.extend(rules_proved);
        let is_ready = |order: &Order| rules(order).iter().all(|rule| self.proved.contains(*rule));
        let (ready, unproved) = std::mem::take(&mut self.unproved).into_iter().partition(is_ready);
        (self.unproved, self.ready) = (unproved, ready);
    }

    /// Gives up the orders that rest on one of these rules.
    pub(super) fn give_up(&mut self, given_up: &BTreeSet<String>) -> Vec<Order> {
        let (left, rest) = std::mem::take(&mut self.unproved).into_iter().partition(|order| rests_on(order, given_up));
        self.unproved = rest;
        left
    }

    /// Gives up all.
    pub(super) fn give_up_all(&mut self) -> Vec<Order> {
        let mut left = std::mem::take(&mut self.ready);
        left.append(&mut self.unproved);
        left
    }
}

/// What an order sets or changes.
fn attributes(order: &Order) -> impl Iterator<Item = &str> {
    order.changes.iter().map(|change| change.attribute.as_str())
}

/// What most orders set or change; among equals what the first does.
fn usual(orders: &[Order]) -> Option<Vec<String>> {
    let mut counts: HashMap<Vec<&str>, (usize, usize)> = HashMap::new();
    for (at, order) in orders.iter().enumerate() {
        counts.entry(attributes(order).collect()).or_insert((0, at)).0 += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)))?;
    Some(most.0.into_iter().map(str::to_owned).collect())
}

/// A kind and the rules in question: `update vault.users (department, title)`.
pub(super) fn with_rules(label: &str, rules: &BTreeSet<String>) -> String {
    let named: Vec<&str> = rules.iter().map(String::as_str).filter(|rule| !rule.is_empty()).collect();
    match named.len() {
        0 => label.to_owned(),
        all if all <= NAMED => format!("{label} ({})", named.join(", ")),
        all => format!("{label} ({} and {} more)", named[..NAMED].join(", "), all - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::{Change, ObjectKey};
    use crate::model::situation::{Cause, Situation};
    use proptest::prelude::*;

    fn order(number: usize, operation: Operation, attributes: &[&str]) -> Order {
        let resource = ResourceName::new("vault", "users");
        let change =
            |name: &&str| Change { attribute: (*name).to_owned(), before: None, after: None, cause: Cause::Source };
        let object = ObjectKey(format!("{number}"));
        let changes: Vec<Change> = attributes.iter().map(change).collect();
        let fingerprint = Order::fingerprint_of(&resource, operation, &object, &changes);
        Order {
            id: OrderId::new(&fingerprint, 1),
            fingerprint,
            operation,
            resource,
            sync: 0,
            object,
            target_id: None,
            source_key: None,
            renamed_from: None,
            source_digest: None,
            key: number.to_string(),
            name: String::new(),
            changes,
            ends: Vec::new(),
            references: Vec::new(),
            closes: None,
            after: None,
            situation: Situation::Changed,
            cause: Cause::Source,
            reason: String::new(),
            confidence: 100,
            takes_along: Vec::new(),
            thresholds: Vec::new(),
            block: None,
            undoes: None,
            ground: String::new(),
            irreversible: None,
        }
    }

    #[test]
    fn a_create_that_is_like_most_goes_first_and_one_that_failed_before_all() {
        let create = |number, attributes: &[&str]| order(number, Operation::Create, attributes);
        let orders = vec![create(1, &["a"]), create(2, &["a", "b"]), create(3, &["a", "b"])];
        let retried = HashSet::from([orders[2].id.clone()]);
        let first =
            |retried: &HashSet<OrderId>| Unsent::new(orders.clone(), retried, true).next(1).orders[0].key.clone();
        assert_eq!((first(&HashSet::new()).as_str(), first(&retried).as_str()), ("2", "3"));
    }

    proptest! {
        /// However many combinations: a canary for each attribute at most, nothing wide before it, nothing lost.
        #[test]
        fn no_update_goes_wide_before_each_of_its_rules_has_a_success(
            sets in proptest::collection::vec(proptest::collection::btree_set(0usize..6, 1..5), 1..80),
            broken in 0usize..7,
        ) {
            const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let orders: Vec<Order> = sets.iter().enumerate().map(|(number, set)| {
                let names: Vec<&str> = set.iter().map(|at| NAMES[*at]).collect();
                order(number, Operation::Update, &names)
            }).collect();
            let mut unsent = Unsent::new(orders.clone(), &HashSet::new(), true);
            let fails = |order: &Order| NAMES.get(broken).is_some_and(|name| rules(order).contains(name));
            let (mut canaries, mut failed, mut ended) = (0, 0, 0);
            let mut proved = BTreeSet::new();
            while !unsent.is_empty() {
                let is_proving = unsent.is_proving();
                let Next { orders, proving } = unsent.next(1);
                prop_assert_eq!(is_proving, !proving.is_empty());
                ended += orders.len();
                if !is_proving {
                    prop_assert!(rules(&orders[0]).iter().all(|rule| proved.contains(*rule)));
                    continue;
                }
                canaries += 1;
                if fails(&orders[0]) {
                    failed += 1;
                    ended += unsent.give_up(&proving).len();
                } else {
                    proved.extend(proving.iter().cloned());
                    unsent.prove(proving);
                }
            }
            prop_assert_eq!(ended, orders.len());
            prop_assert!(canaries <= 6 && failed <= 6, "{} canaries", canaries);
        }
    }
}
