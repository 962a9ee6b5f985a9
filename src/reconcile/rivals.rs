//! Two syncs that want one unique value for objects of one target.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::order::{BlockReason, Remedy};
use crate::model::situation::Situation;

use super::canonical;
use super::plan::Planned;
use super::reason::{block, some};

/// Blocks orders of different syncs that would set one unique value; inside a sync that is found before.
pub(crate) fn unique(plans: &mut [Planned<'_>]) {
    let mut wanted: BTreeMap<(String, String, String), Vec<(usize, usize)>> = BTreeMap::new();
    for (at, (plan, _)) in plans.iter().enumerate() {
        let sync = plan.table.input.sync;
        let rivals = plans.iter().filter(|(other, _)| other.table.input.sync.to == sync.to);
        if rivals.count() < 2 {
            continue;
        }
        for attribute in &sync.rules.unique {
            let kind = plan.table.input.capabilities.attributes.get(attribute).copied().unwrap_or_default();
            for (number, proposal) in plan.proposals.iter().enumerate() {
                let change = proposal.order.changes.iter().find(|change| change.attribute == *attribute);
                let Some(value) = change.and_then(|change| change.after.as_ref()) else { continue };
                let text = canonical::canonical(&value.to_cell(), kind).into_owned();
                wanted.entry((sync.to.to_string(), attribute.clone(), text)).or_default().push((at, number));
            }
        }
    }
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
