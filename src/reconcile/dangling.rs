//! Objects that refer to what is deleted: they point to nobody then.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ReconcileError;
use super::objects::counted;
use super::plan::Planned;
use crate::model::order::{Operation, Order};
use crate::model::resource::ResourceName;
use crate::snapshot::row::Cells as _;

/// What refers to each object that an order deletes, in words, by resource and id: objects that stay, and whose attribute
/// no order of the plan changes.
pub(super) fn dangling(
    plans: &[Planned<'_>],
    orders: &[Order],
) -> Result<BTreeMap<(ResourceName, String), Vec<String>>, ReconcileError> {
    let mut going: BTreeMap<&ResourceName, BTreeSet<&str>> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.operation == Operation::Delete) {
        going.entry(&order.resource).or_default().extend(order.target_id.as_deref());
    }
    let (mut found, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (plan, _) in plans {
        let (sync, target) = (plan.table.input.sync, plan.table.input.target);
        for rule in &sync.references {
            let Some(wanted) = going.get(&rule.to) else { continue };
            let Some(column) = target.column(&rule.attribute) else { continue };
            if !seen.insert((&sync.to, &rule.attribute, &rule.to)) {
                continue;
            }
            let is_changed = |order: &&Order| {
                order.resource == sync.to && order.changes.iter().any(|change| change.attribute == rule.attribute)
            };
            let changed = orders.iter().filter(is_changed).filter_map(|order| order.target_id.as_deref());
            let apart: BTreeSet<&str> = changed.chain(going.get(&sync.to).into_iter().flatten().copied()).collect();
            let counts = target.par_fold(BTreeMap::new, |counts: &mut BTreeMap<String, usize>, row| {
                let id = row.cell(column);
                if wanted.contains(id) && !apart.contains(target.key_of(row).as_str()) {
                    *counts.entry(id.to_owned()).or_default() += 1;
                }
            })?;
            let mut all: BTreeMap<String, usize> = BTreeMap::new();
            counts.into_iter().flatten().for_each(|(id, count)| *all.entry(id).or_default() += count);
            for (id, count) in all {
                let verb = if count == 1 { "refers" } else { "refer" };
                let said = format!("{} of {} {verb} to it ({})", counted(count, "object"), sync.to, rule.attribute);
                found.entry((rule.to.clone(), id)).or_insert_with(Vec::new).push(said);
            }
        }
    }
    Ok(found)
}
