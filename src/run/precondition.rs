//! What is read before a change is sent, and after: is the object still what the reviewer saw?

use std::collections::{BTreeMap, BTreeSet};

use crate::connector::source::Source;
use crate::model::capabilities::ResourceCapabilities;
use crate::model::failure::Failure;
use crate::model::object::Object;
use crate::model::order::{Change, Operation, Order};
use crate::model::value::{Attributes, Value};
use crate::reconcile::canonical::canonical;

/// How the target stands against an order.
#[derive(Debug)]
pub(super) enum Standing {
    /// As the plan saw it: the change may be sent. Holds the object, where one exists.
    AsPlanned(Option<Box<Object>>),
    /// Already as the order wants it. Holds the object's id, where one exists.
    InEffect(Option<String>),
    /// The object is gone from the target.
    Gone,
    /// Changed since the plan; the sentence says what.
    Moved(String),
    /// Another object holds a unique value that the order wants.
    Taken(String),
}

/// Reads the object of an order and compares it with the plan.
///
/// `identifying` names the attributes by which an object to be created would be found (match rules, unique values).
pub(super) async fn look(
    target: &dyn Source,
    order: &Order,
    identifying: &BTreeSet<String>,
    types: &ResourceCapabilities,
) -> Result<Standing, Failure> {
    let resource = &order.resource.resource;
    if order.operation == Operation::Create {
        return look_for_twin(target, order, identifying, types).await;
    }
    let Some(id) = &order.target_id else {
        return Ok(Standing::Gone);
    };
    let found = target.get(resource, id).await?;
    Ok(match (order.operation, found) {
        (Operation::Delete, None) => Standing::InEffect(Some(id.clone())),
        (Operation::Delete, Some(object)) => deletable(order, object, types),
        (_, None) => Standing::Gone,
        (_, Some(object)) => compare(order, object, types),
    })
}

/// An object that is to be created must not be there; one that is there and equal is adopted.
async fn look_for_twin(
    target: &dyn Source,
    order: &Order,
    identifying: &BTreeSet<String>,
    types: &ResourceCapabilities,
) -> Result<Standing, Failure> {
    for change in &order.changes {
        let Some(Value::Text(value)) = &change.after else { continue };
        if !identifying.contains(&change.attribute) {
            continue;
        }
        let found = target.find(&order.resource.resource, &change.attribute, value).await?;
        let Some(object) = found.into_iter().next() else { continue };
        let different: Vec<&str> = order
            .changes
            .iter()
            .filter(|c| !same(types, &c.attribute, object.attributes.get(&c.attribute), c.after.as_ref()))
            .map(|c| c.attribute.as_str())
            .collect();
        if different.is_empty() {
            return Ok(Standing::InEffect(Some(object.id)));
        }
        return Ok(Standing::Taken(format!(
            "{} `{}` is taken by object {}, which differs in {}",
            change.attribute,
            value,
            object.id,
            different.join(", ")
        )));
    }
    Ok(Standing::AsPlanned(None))
}

/// What is to be deleted has to be as the reviewer saw it: out of use, where it had to be.
fn deletable(order: &Order, object: Object, types: &ResourceCapabilities) -> Standing {
    let now = |change: &Change| object.attributes.get(&change.attribute);
    let moved = order.changes.iter().filter(|c| !same(types, &c.attribute, now(c), c.before.as_ref()));
    let moved: Vec<String> = moved
        .map(|c| {
            let (before, now) = (shown(c.before.as_ref()), shown(now(c)));
            format!("{} was {before} when planned and is {now} now", c.attribute)
        })
        .collect();
    if moved.is_empty() { Standing::AsPlanned(Some(Box::new(object))) } else { Standing::Moved(moved.join("; ")) }
}

fn compare(order: &Order, object: Object, types: &ResourceCapabilities) -> Standing {
    let held = &object.attributes;
    if order.changes.iter().all(|c| same(types, &c.attribute, held.get(&c.attribute), c.after.as_ref())) {
        return Standing::InEffect(Some(object.id));
    }
    let moved: Vec<String> = order
        .changes
        .iter()
        .filter(|c| {
            let now = held.get(&c.attribute);
            !same(types, &c.attribute, now, c.before.as_ref()) && !same(types, &c.attribute, now, c.after.as_ref())
        })
        .map(|c| {
            format!(
                "{} was {} when planned and is {} now",
                c.attribute,
                shown(c.before.as_ref()),
                shown(held.get(&c.attribute))
            )
        })
        .collect();
    if moved.is_empty() { Standing::AsPlanned(Some(Box::new(object))) } else { Standing::Moved(moved.join("; ")) }
}

/// The attributes of an order that the object does not hold after the change, in words; empty where all took effect.
pub(super) fn without_effect(order: &Order, held: &Attributes, types: &ResourceCapabilities) -> Vec<(String, String)> {
    let told =
        |c: &Change| format!("{} is {}, not {}", c.attribute, shown(held.get(&c.attribute)), shown(c.after.as_ref()));
    order
        .changes
        .iter()
        // What the target never shows, a password above all, cannot be read back.
        .filter(|c| !types.hidden.contains(&c.attribute))
        .filter(|c| !same(types, &c.attribute, held.get(&c.attribute), c.after.as_ref()))
        .map(|c| (c.attribute.clone(), told(c)))
        .collect()
}

/// The wanted attributes of an order.
pub(super) fn wanted(order: &Order) -> BTreeMap<String, Option<Value>> {
    order.changes.iter().map(|c| (c.attribute.clone(), c.after.clone())).collect()
}

/// Whether both spell the same value, as the plan compared them.
fn same(types: &ResourceCapabilities, attribute: &str, left: Option<&Value>, right: Option<&Value>) -> bool {
    let kind = types.kind(attribute);
    let cell = |value: Option<&Value>| value.map(Value::to_cell).unwrap_or_default();
    left == right || canonical(&cell(left), kind) == canonical(&cell(right), kind)
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| format!("`{value}`"))
}
