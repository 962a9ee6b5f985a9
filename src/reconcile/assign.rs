//! Gives generated values to the orders that need one: none that an object of the target holds, that another order was
//! promised, or that this plan gave to another row. Rows are served in the order of their keys, so that the same input
//! gives the same values; what was promised in an earlier run is promised still.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::model::order::{BlockReason, Fingerprint, ObjectKey, Operation, Order, OrderId};
use crate::model::record::{WithheldFor, Withholding};
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;
use crate::model::value::Value;

use super::canonical::{self, ABSENT};
use super::ends::EndTable;
use super::fit;
use super::generate::LAST;
use super::input::{LiveOrder, ObjectInput};
use super::objects::Proposal;
use super::reason::block;
use super::scan::{Attribute, Scanner};

/// So many values are tried for a rejected order.
const REJECTED_TRIED: usize = 100;

/// Generated values that objects are to get: by orders that wait, and by this plan.
#[derive(Clone, Default)]
pub(crate) struct Promised {
    /// By the target's identity, the resource type and the attribute.
    by: HashMap<(String, ResourceName, String), Promises>,
    /// By object, the contents that a person rejected.
    rejected: Arc<HashMap<ObjectKey, Vec<Fingerprint>>>,
}

/// Of one attribute.
#[derive(Clone, Default)]
struct Promises {
    /// By the value as it is compared: who gets it.
    takers: HashMap<String, ObjectKey>,
    /// The other way round, with the value as it is written.
    values: HashMap<ObjectKey, String>,
}

impl Promises {
    fn promise(&mut self, text: String, value: &str, object: &ObjectKey) {
        self.takers.insert(text, object.clone());
        self.values.insert(object.clone(), value.to_owned());
    }
}

impl Promised {
    /// What the live orders of earlier runs promise to objects of these syncs, and what was rejected of them.
    pub(crate) fn of(live: &[LiveOrder], withholding: &[Withholding], syncs: &[&ObjectInput<'_>]) -> Self {
        let mut rejected: HashMap<ObjectKey, Vec<Fingerprint>> = HashMap::new();
        for withheld in withholding.iter().filter(|withheld| withheld.why == WithheldFor::Rejected) {
            rejected.entry(withheld.object.clone()).or_default().extend(withheld.contents.iter().cloned());
        }
        let mut promised = Self { rejected: Arc::new(rejected), ..Self::default() };
        for sync in syncs.iter().filter(|sync| !sync.sync.generated.is_empty()) {
            let sets = |live: &&LiveOrder| {
                live.resource == sync.sync.to
                    && live.identity == sync.identity
                    && live.block != Some(BlockReason::Ambiguous)
                    && !matches!(live.operation, Operation::Delete | Operation::Add | Operation::Remove)
            };
            for live in live.iter().filter(sets) {
                for rule in &sync.sync.generated {
                    let changes = live.changes.iter().flatten();
                    let change = changes.into_iter().find(|change| change.attribute == rule.attribute);
                    if let Some(Value::Text(value)) = change.and_then(|change| change.after.as_ref()) {
                        let kind = sync.capabilities.kind(&rule.attribute);
                        let text = canonical::canonical(value, kind).into_owned();
                        promised.promises(sync, &rule.attribute).promise(text, value, &live.object);
                    }
                }
            }
        }
        promised
    }

    fn promises(&mut self, input: &ObjectInput<'_>, attribute: &str) -> &mut Promises {
        let of = (input.identity.to_owned(), input.sync.to.clone(), attribute.to_owned());
        self.by.entry(of).or_default()
    }
}

/// Gives every order that needs one a generated value.
pub(crate) fn assign(scanner: &Scanner<'_>, table: &EndTable<'_>, promised: &mut Promised, proposals: &mut [Proposal]) {
    for (position, attribute) in scanner.attributes.iter().enumerate() {
        let needs = |p: &Proposal| p.generated.contains(&position) && p.order.situation != Situation::Ambiguous;
        if attribute.generated.is_none() || !proposals.iter().any(needs) {
            continue;
        }
        let rows = (0..table.target.len() as u32).into_par_iter();
        let held: HashSet<u64> =
            rows.map(|row| table.target.get(row).values[position]).filter(|digest| *digest != ABSENT).collect();
        let rejected = Arc::clone(&promised.rejected);
        let promises = promised.promises(scanner.input, &attribute.name);
        let mut next: HashMap<String, u32> = HashMap::new();
        for proposal in proposals.iter_mut().filter(|proposal| needs(proposal)) {
            if !is_rejected(scanner, attribute, &rejected, &mut proposal.order) {
                give(scanner, attribute, &held, promises, &mut next, &mut proposal.order);
            }
        }
    }
}

/// Whether an order with some value was rejected: that is the one that is not raised again, whoever was given which value
/// since. Nothing is promised for it.
fn is_rejected(
    scanner: &Scanner<'_>,
    attribute: &Attribute,
    rejected: &HashMap<ObjectKey, Vec<Fingerprint>>,
    order: &mut Order,
) -> bool {
    let Some(contents) = rejected.get(&order.object) else { return false };
    let Some(rule) = attribute.generated.and_then(|at| scanner.input.sync.generated.get(at)) else { return false };
    let wanted = order.changes.iter().find(|change| change.attribute == attribute.name);
    let Some(Value::Text(wanted)) = wanted.and_then(|change| change.after.clone()) else { return false };
    let found = rule.candidates(&wanted, 0).take(REJECTED_TRIED).find_map(|(_, value)| {
        let mut changes = order.changes.clone();
        for change in changes.iter_mut().filter(|change| change.attribute == attribute.name) {
            change.after = Some(Value::Text(value.clone()));
        }
        let content =
            Order::fingerprint_with(&order.resource, order.operation, &order.object, &changes, &order.references);
        contents.contains(&content).then_some((changes, content))
    });
    let Some((changes, content)) = found else { return false };
    order.changes = changes;
    order.id = OrderId::new(&content, 0);
    order.fingerprint = content;
    true
}

/// Gives one order a value. `next` says by value from which number on there may be a free one.
fn give(
    scanner: &Scanner<'_>,
    attribute: &Attribute,
    held: &HashSet<u64>,
    promises: &mut Promises,
    next: &mut HashMap<String, u32>,
    order: &mut Order,
) {
    let Some(rule) = attribute.generated.and_then(|at| scanner.input.sync.generated.get(at)) else { return };
    let wanted = order.changes.iter().find(|change| change.attribute == attribute.name);
    let Some(Value::Text(wanted)) = wanted.and_then(|change| change.after.clone()) else { return };
    let is_free = |text: &str, value: &str| {
        let is_others = promises.takers.get(text).is_some_and(|taker| *taker != order.object);
        !is_others && !held.contains(&canonical::digest(value, attribute.kind))
    };
    let plain = |value: &str| canonical::canonical(value, attribute.kind).into_owned();
    let earlier = promises.values.get(&order.object).filter(|value| rule.could_be(&wanted, value, attribute.kind));
    let earlier = earlier.filter(|value| is_free(&plain(value), value)).cloned();
    let from = next.get(&plain(&wanted)).copied().unwrap_or(0);
    let found = earlier.map(|value| (None, value)).or_else(|| {
        let mut tried = rule.candidates(&wanted, from);
        tried.find(|(_, value)| is_free(&plain(value), value)).map(|(number, value)| (Some(number), value))
    });
    let is_weaker = order.block.as_ref().is_none_or(|b| b.reason == BlockReason::LowConfidence);
    let Some((number, value)) = found else {
        if is_weaker {
            let detail = format!(
                "{} `{wanted}` is taken, and so is every value with a number up to {LAST}; make the rule's values differ more, and run again",
                attribute.name
            );
            order.block = block(BlockReason::Conflict, detail);
        }
        return;
    };
    if let Some(number) = number {
        next.insert(plain(&wanted), number + 1);
    }
    promises.promise(plain(&value), &value, &order.object);
    if value == wanted {
        return;
    }
    if let Some(takes) = attribute.shape.as_ref().and_then(|shape| fit::misfit(&value, shape)).filter(|_| is_weaker) {
        let to = &scanner.input.sync.to;
        let detail = format!("{} would be `{value}`, and {to} {takes}; change the rule, and run again", attribute.name);
        order.block = block(BlockReason::Incomplete, detail);
    }
    order.reason.push_str(&format!("; {} `{wanted}` is taken, so it is `{value}`", attribute.name));
    if order.name == wanted {
        order.name.clone_from(&value);
    }
    for change in order.changes.iter_mut().filter(|change| change.attribute == attribute.name) {
        change.after = Some(Value::Text(value.clone()));
    }
    let content: Fingerprint =
        Order::fingerprint_with(&order.resource, order.operation, &order.object, &order.changes, &order.references);
    order.id = OrderId::new(&content, 0);
    order.fingerprint = content;
}

#[cfg(test)]
#[path = "assign_tests.rs"]
mod tests;
