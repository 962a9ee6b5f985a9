//! Two syncs that want one unique value for objects of one target.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::capabilities::AttributeType;
use crate::model::order::{BlockReason, Remedy};
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;

use super::canonical;
use super::objects::ObjectPlan;
use super::plan::Planned;
use super::reason::{block, some};
use super::unique::attributes;

/// Blocks orders of different syncs that would set one unique value; inside a sync that is found before.
pub(crate) fn unique(plans: &mut [Planned<'_>]) {
    let several: Vec<bool> = plans
        .iter()
        .map(|(plan, _)| {
            let to = &plan.table.input.sync.to;
            plans.iter().filter(|(other, _)| other.table.input.sync.to == *to).count() > 1
        })
        .collect();
    // Digests first: a million orders want a million values, and hardly one of them is wanted by two syncs.
    let mut first: HashMap<(&ResourceName, &str, u64), usize> = HashMap::new();
    let mut disputed: HashSet<(&ResourceName, &str, u64)> = HashSet::new();
    for (at, (plan, _)) in plans.iter().enumerate().filter(|(at, _)| several[*at]) {
        for (_, attribute, cell, kind) in values(plan) {
            let of = (&plan.table.input.sync.to, attribute, canonical::digest(&cell, kind));
            if *first.entry(of).or_insert(at) != at {
                disputed.insert(of);
            }
        }
    }
    let mut wanted: BTreeMap<(String, String, String), Vec<(usize, usize)>> = BTreeMap::new();
    for (at, (plan, _)) in plans.iter().enumerate().filter(|(at, _)| several[*at] && !disputed.is_empty()) {
        let to = &plan.table.input.sync.to;
        for (number, attribute, cell, kind) in values(plan) {
            if disputed.contains(&(to, attribute, canonical::digest(&cell, kind))) {
                let text = canonical::canonical(&cell, kind).into_owned();
                wanted.entry((to.to_string(), attribute.to_owned(), text)).or_default().push((at, number));
            }
        }
    }
    drop((first, disputed));
    for ((_, attribute, text), all) in wanted {
        for (at, number) in &all {
            let others: BTreeSet<String> = all
                .iter()
                .filter(|(other, _)| other != at)
                .map(|(other, number)| {
                    let (plan, _) = &plans[*other];
                    format!("`{}` of {}", plan.proposals[*number].order.key, plan.table.input.sync.from)
                })
                .collect();
            if others.is_empty() {
                continue;
            }
            let others: Vec<String> = others.into_iter().collect();
            let (plan, _) = &mut plans[*at];
            let from = &plan.table.input.sync.from;
            let order = &mut plan.proposals[*number].order;
            if order.block.as_ref().is_some_and(|b| b.reason.remedy() == Remedy::CauseGone) {
                continue;
            }
            order.situation = Situation::Conflict;
            order.block = block(
                BlockReason::Conflict,
                format!(
                    "{attribute} `{text}` must be unique: row `{}` of {from} and {} both want it; change one of the values, or narrow the scope of one sync, and run again",
                    order.key,
                    some(&others)
                ),
            );
        }
    }
}

/// The unique values that the orders of a sync would set: position of the order, attribute, cell, kind.
fn values<'p>(plan: &'p ObjectPlan<'_>) -> impl Iterator<Item = (usize, &'p str, String, AttributeType)> {
    let input = plan.table.input;
    attributes(input).flat_map(move |attribute| {
        let kind = input.capabilities.kind(attribute);
        plan.proposals.iter().enumerate().filter_map(move |(number, proposal)| {
            let change = proposal.order.changes.iter().find(|change| change.attribute == *attribute)?;
            Some((number, attribute.as_str(), change.after.as_ref()?.to_cell(), kind))
        })
    })
}
