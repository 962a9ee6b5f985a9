//! What can be undone once it is applied, by which operation, and what cannot and why.

use std::collections::BTreeMap;

use crate::model::capabilities::ResourceCapabilities;
use crate::model::order::{Operation, Order};
use crate::model::resource::ResourceName;

use super::input::{PlanInput, SyncInput};
use super::policy::{ObjectSync, OrphanAction};
use super::reason::some;

impl ObjectSync {
    /// Whether the job removes objects of this sync at once: only then what it made is removed where it is undone.
    pub fn deletes_at_once(&self, grace: Option<std::time::Duration>) -> bool {
        self.on.orphan == OrphanAction::Delete && grace.is_none()
    }
}

/// The operation that undoes an applied order, where the target offers it.
///
/// # Errors
/// Half a sentence that says why there is none.
pub fn inverse(order: &Order, capabilities: &ResourceCapabilities, deletes: bool) -> Result<Operation, String> {
    let (resource, offered) = (&order.resource, &capabilities.operations);
    let opposite = opposite(order, capabilities, deletes)?;
    if !offered.contains(&opposite) {
        return Err(format!("{resource} does not offer `{opposite}`"));
    }
    let fixed = among(order, &capabilities.immutable);
    if order.operation != Operation::Create && !fixed.is_empty() {
        return Err(format!("{resource} does not change {} once set", some(&fixed)));
    }
    Ok(opposite)
}

/// The operation that would undo an applied order, whether or not the target offers it.
///
/// # Errors
/// Half a sentence that says why none could.
pub(crate) fn opposite(order: &Order, capabilities: &ResourceCapabilities, deletes: bool) -> Result<Operation, String> {
    let (resource, offered) = (&order.resource, &capabilities.operations);
    let Some(opposite) = order.operation.opposite() else {
        return match order.operation {
            Operation::Create if deletes && offered.contains(&Operation::Delete) => Ok(Operation::Delete),
            Operation::Create if capabilities.enabled.is_some() => Ok(Operation::Disable),
            Operation::Create if deletes => Err(format!("{resource} offers neither to delete nor to disable objects")),
            Operation::Create => Err(format!(
                "objects of {resource} cannot be disabled, and the job does not delete there at once (on.orphan is not `delete`, or delete_after is set)"
            )),
            _ => Err("an object that was deleted comes back, if at all, as a new one with a new id, and without what the target removed along with it".to_owned()),
        };
    };
    let hidden = among(order, &capabilities.hidden);
    if !hidden.is_empty() {
        return Err(format!("{resource} never shows {}, so that what it held before is not known", some(&hidden)));
    }
    Ok(opposite)
}

/// Those of an order's attributes that are in a list.
fn among<'o>(order: &'o Order, list: &[String]) -> Vec<&'o str> {
    let changed = order.changes.iter().map(|change| change.attribute.as_str());
    changed.filter(|attribute| list.iter().any(|known| known == attribute)).collect()
}

/// Marks the orders that cannot be undone, so that whoever reviews them knows before.
pub(crate) fn mark(orders: &mut [Order], input: &PlanInput<'_>) {
    let mut means: BTreeMap<&ResourceName, (&ResourceCapabilities, bool)> = BTreeMap::new();
    for sync in input.syncs {
        match sync {
            SyncInput::Objects(objects) => {
                let deletes = objects.sync.deletes_at_once(input.wishes.delete_after);
                means.entry(&objects.sync.to).or_insert((objects.capabilities, deletes)).1 |= deletes;
            }
            SyncInput::Association(rows) => {
                means.entry(&rows.sync.to).or_insert((rows.capabilities, false));
            }
        }
    }
    for order in orders {
        let Some((capabilities, deletes)) = means.get(&order.resource) else { continue };
        order.irreversible = inverse(order, capabilities, *deletes).err();
    }
}
