//! What must not, or cannot, be done: protected objects, what the target does not offer, values that are taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use crate::model::capabilities::ResourceCapabilities;
use crate::model::order::{Block, BlockReason, Change, Operation, Order};
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;

use super::canonical::{self, NOTHING};
use super::ends::{EndState, EndTable};
use super::error::ReconcileError;
use super::objects::Proposal;
use super::reason::{block, some};
use super::rows::Admission;
use super::scan::{Scanner, Wanted};

/// Whether the job protects an object that goes by any of these names.
pub(crate) fn protected(protect: &BTreeSet<String>, resource: &ResourceName, names: &[&str]) -> Option<Block> {
    if protect.is_empty() {
        return None;
    }
    let name = names.iter().find(|name| protect.contains(&format!("{resource}/{name}")))?;
    block(
        BlockReason::Protected,
        format!(
            "`{resource}/{name}` is protected by the job ([apply] protect); it is never touched while it stands there"
        ),
    )
}

/// Whether the target can do an operation with these changes.
pub(crate) fn unsupported(
    capabilities: &ResourceCapabilities,
    resource: &ResourceName,
    operation: Operation,
    changes: &[Change],
) -> Option<Block> {
    if !capabilities.operations.contains(&operation) {
        let offered: Vec<&str> = capabilities.operations.iter().map(|operation| operation.word()).collect();
        let offered = if offered.is_empty() { "nothing".to_owned() } else { some(&offered) };
        return block(
            BlockReason::Unsupported,
            format!(
                "{resource} does not offer `{operation}`, it offers {offered}; do it by hand, or change the sync's policy"
            ),
        );
    }
    if operation == Operation::Create {
        return None;
    }
    let fixed: Vec<&str> = changes
        .iter()
        .filter(|c| c.before.is_some() && capabilities.immutable.contains(&c.attribute))
        .map(|c| c.attribute.as_str())
        .collect();
    if fixed.is_empty() {
        return None;
    }
    block(
        BlockReason::Unsupported,
        format!("{resource} does not change {} once set; change it by hand, or remove its rule", some(&fixed)),
    )
}

/// Blocks orders that would set a unique value which somebody else wants or holds.
pub(crate) fn unique(
    scanner: &Scanner<'_>,
    table: &EndTable<'_>,
    proposals: &mut [Proposal],
) -> Result<(), ReconcileError> {
    for attribute in &scanner.input.sync.rules.unique {
        if let Some(position) = scanner.position(attribute) {
            unique_attribute(scanner, table, proposals, position)?;
        }
    }
    Ok(())
}

fn unique_attribute(
    scanner: &Scanner<'_>,
    table: &EndTable<'_>,
    proposals: &mut [Proposal],
    position: usize,
) -> Result<(), ReconcileError> {
    let attribute = &scanner.attributes[position];
    let asked = |order: &Order| {
        let change = order.changes.iter().find(|change| change.attribute == attribute.name)?;
        let cell = change.after.as_ref()?.to_cell();
        Some(canonical::canonical(&cell, attribute.kind).into_owned())
    };
    let concerned: Vec<(usize, String)> = proposals
        .iter()
        .enumerate()
        .filter(|(_, p)| p.order.situation != Situation::Ambiguous)
        .filter_map(|(i, p)| Some((i, asked(&p.order)?)))
        .collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let interest: HashSet<u64> = concerned.iter().map(|(_, text)| canonical::digest(text, attribute.kind)).collect();
    let concerns = |values: &[u64]| values.get(position).is_some_and(|d| *d != NOTHING && interest.contains(d));
    let claimants: Vec<u32> = (0..table.source.len() as u32)
        .into_par_iter()
        .filter(|row| table.source.get(*row).admission == Admission::In && concerns(table.source.get(*row).values))
        .collect();
    let holders: Vec<u32> =
        (0..table.target.len() as u32).into_par_iter().filter(|row| concerns(table.target.get(*row).values)).collect();
    let mut wanting: HashMap<String, Vec<u32>> = HashMap::new();
    let read: Result<Vec<(u32, String)>, ReconcileError> = claimants
        .into_par_iter()
        .map(|row| {
            let cells = scanner.input.source.fetch(table.source.rows.place(row))?;
            let text = match scanner.wanted(&cells).into_iter().nth(position) {
                Some(Wanted::Set(text)) => canonical::canonical(&text, attribute.kind).into_owned(),
                _ => String::new(),
            };
            Ok((row, text))
        })
        .collect();
    for (row, text) in read? {
        wanting.entry(text).or_default().push(row);
    }
    let mut holding: HashMap<String, Vec<u32>> = HashMap::new();
    for row in holders {
        let cells = scanner.input.target.fetch(table.target.place(row))?;
        let text = canonical::canonical(attribute.held(&cells), attribute.kind).into_owned();
        holding.entry(text).or_default().push(row);
    }
    for (i, text) in concerned {
        let proposal = &mut proposals[i];
        let others: BTreeMap<&str, u32> = wanting
            .get(&text)
            .into_iter()
            .flatten()
            .filter(|row| **row != proposal.number)
            .map(|row| (table.source.key(*row), *row))
            .collect();
        let own = proposal.order.target_id.as_deref();
        let taken: BTreeSet<&str> = holding
            .get(&text)
            .into_iter()
            .flatten()
            .map(|row| table.target.key(*row))
            .filter(|id| Some(*id) != own)
            .collect();
        if others.is_empty() && taken.is_empty() {
            continue;
        }
        let stronger = proposal.order.block.as_ref().is_some_and(|b| b.reason != BlockReason::LowConfidence);
        if stronger {
            continue;
        }
        proposal.order.situation = Situation::Conflict;
        proposal.order.block = block(
            BlockReason::Conflict,
            conflict(scanner, table, &attribute.name, &proposal.order.key, &text, &others, &taken),
        );
    }
    Ok(())
}

fn conflict(
    scanner: &Scanner<'_>,
    table: &EndTable<'_>,
    attribute: &str,
    key: &str,
    text: &str,
    others: &BTreeMap<&str, u32>,
    taken: &BTreeSet<&str>,
) -> String {
    let sync = scanner.input.sync;
    let mut parts = Vec::new();
    if !others.is_empty() {
        let names: Vec<String> = others.keys().map(|other| format!("`{other}`")).collect();
        parts.push(format!("row `{key}` and {} of {} both want it", some(&names), sync.from));
    }
    if !taken.is_empty() {
        let names: Vec<String> = taken
            .iter()
            .map(|id| {
                let managed = table.find_target(id).and_then(|row| table.number_of(row));
                let held = managed.filter(|n| !matches!(table.states[*n as usize], EndState::Undecided));
                match held {
                    Some(number) => format!("`{id}` (managed from `{}`)", table.key(number)),
                    None => format!("`{id}` (not managed)"),
                }
            })
            .collect();
        parts.push(format!("{} of {} holds it", some(&names), sync.to));
    }
    format!(
        "{attribute} `{text}` must be unique: {}; change one of the values, or `link` the row to the object that it belongs to, and run again",
        parts.join("; ")
    )
}
