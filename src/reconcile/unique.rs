//! Unique values inside one sync, by the job's word or the target's: what two rows want, or what another object of the
//! target holds already.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rayon::prelude::*;

use crate::model::order::{Block, BlockReason, Operation, Order};
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;

use super::canonical::{self, NOTHING};
use super::ends::{EndState, EndTable};
use super::error::ReconcileError;
use super::input::ObjectInput;
use super::objects::Proposal;
use super::reason::{block, some};
use super::rows::Admission;
use super::scan::{Attribute, Scanner, Wanted};

/// Blocks orders that would set a unique value which somebody else wants or holds.
pub(crate) fn unique(
    scanner: &Scanner<'_>,
    table: &EndTable<'_>,
    proposals: &mut [Proposal],
) -> Result<(), ReconcileError> {
    for attribute in attributes(scanner.input) {
        // Generated values are free when they are given.
        let mapped = scanner.position(attribute).filter(|at| scanner.attributes[*at].generated.is_none());
        if let Some(position) = mapped {
            unique_attribute(scanner, table, proposals, position)?;
        }
    }
    Ok(())
}

/// Attributes of which no two objects may have one value: by the job's word or the target's.
pub(crate) fn attributes<'a>(input: &ObjectInput<'a>) -> impl Iterator<Item = &'a String> {
    let named = &input.sync.rules.unique;
    named.iter().chain(input.capabilities.unique.iter().filter(|attribute| !named.contains(attribute)))
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
        Some(change.after.as_ref()?.to_cell())
    };
    let digests: Vec<(usize, u64)> = proposals
        .par_iter()
        .enumerate()
        .filter(|(_, p)| p.order.situation != Situation::Ambiguous)
        .filter_map(|(i, p)| Some((i, canonical::digest(&asked(&p.order)?, attribute.kind))))
        .collect();
    if digests.is_empty() {
        return Ok(());
    }
    let interest: HashSet<u64> = digests.iter().map(|(_, digest)| *digest).collect();
    let concerns = |values: &[u64]| values.get(position).copied().filter(|d| *d != NOTHING && interest.contains(d));
    let claiming: Vec<(u32, u64)> = (0..table.source.len() as u32)
        .into_par_iter()
        .filter(|row| table.source.get(*row).admission == Admission::In)
        .filter_map(|row| Some((row, concerns(table.source.get(row).values)?)))
        .collect();
    let holding: Vec<(u32, u64)> = (0..table.target.len() as u32)
        .into_par_iter()
        .filter_map(|row| Some((row, concerns(table.target.get(row).values)?)))
        .collect();
    // A first load wants a million values, of which hardly one is wanted twice: only the rows of those are read again.
    let mut disputed: HashSet<u64> = holding.iter().map(|(_, digest)| *digest).collect();
    let mut once: HashSet<u64> = HashSet::with_capacity(claiming.len());
    disputed.extend(claiming.iter().filter(|(_, digest)| !once.insert(*digest)).map(|(_, digest)| *digest));
    drop(once);
    let concerned: Vec<(usize, String)> = digests
        .into_iter()
        .filter(|(_, digest)| disputed.contains(digest))
        .filter_map(|(i, _)| Some((i, canonical::canonical(&asked(&proposals[i].order)?, attribute.kind).into_owned())))
        .collect();
    if concerned.is_empty() {
        return Ok(());
    }
    let claimants: Vec<u32> =
        claiming.into_iter().filter(|(_, digest)| disputed.contains(digest)).map(|(row, _)| row).collect();
    let holders: Vec<u32> = holding.into_iter().map(|(row, _)| row).collect();
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
    let holders: HashSet<&str> = holding.values().flatten().map(|row| table.target.key(*row)).collect();
    let frees: BTreeMap<String, Frees> = proposals
        .iter()
        .filter(|p| p.order.target_id.as_deref().is_some_and(|id| holders.contains(id)))
        .filter_map(|p| Some((p.order.target_id.clone()?, Frees::of(&p.order, attribute)?)))
        .collect();
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
        let clash = Clash { attribute: &attribute.name, text: &text, others, taken };
        let holds =
            |id: &str, text: &str| holding.get(text).into_iter().flatten().any(|row| table.target.key(*row) == id);
        let swaps = |wants: &str| own.is_some_and(|own| holds(own, wants));
        let detail = clash.detail(scanner, table, &proposal.order.key, &frees, &swaps);
        proposal.order.block = block(BlockReason::Conflict, detail);
    }
    Ok(())
}

/// An order that takes a unique value away from its object.
struct Frees {
    operation: Operation,
    /// What the object gets instead.
    wants: Option<String>,
}

impl Frees {
    fn of(order: &Order, attribute: &Attribute) -> Option<Self> {
        let change = order.changes.iter().find(|change| change.attribute == attribute.name);
        if order.operation != Operation::Delete && change.is_none() {
            return None;
        }
        let wants = change.and_then(|change| change.after.as_ref());
        let wants = wants.map(|value| canonical::canonical(&value.to_cell(), attribute.kind).into_owned());
        Some(Self { operation: order.operation, wants })
    }
}

/// A unique value that somebody else wants or holds.
struct Clash<'c> {
    attribute: &'c str,
    text: &'c str,
    /// Rows of the source that want it.
    others: BTreeMap<&'c str, u32>,
    /// Ids of the target's objects that hold it.
    taken: BTreeSet<&'c str>,
}

impl Clash<'_> {
    /// Names both sides, and what is to be done. `swaps` says whether the object of this order holds a value.
    fn detail(
        &self,
        scanner: &Scanner<'_>,
        table: &EndTable<'_>,
        key: &str,
        frees: &BTreeMap<String, Frees>,
        swaps: &dyn Fn(&str) -> bool,
    ) -> String {
        let sync = scanner.input.sync;
        let mut parts = Vec::new();
        if !self.others.is_empty() {
            let names: Vec<String> = self.others.keys().map(|other| format!("`{other}`")).collect();
            parts.push(format!("row `{key}` and {} of {} both want it", some(&names), sync.from));
        }
        if !self.taken.is_empty() {
            let names: Vec<String> = self.taken.iter().map(|id| held_by(table, id)).collect();
            parts.push(format!("{} of {} holds it", some(&names), sync.to));
        }
        let freeing: Vec<&Frees> = self.taken.iter().filter_map(|id| frees.get(*id)).collect();
        let remedy = match freeing.as_slice() {
            [one] if self.others.is_empty() && self.taken.len() == 1 => {
                if one.wants.as_deref().is_some_and(swaps) {
                    "each holds what the other wants: give one of the two a third value by hand, and run again"
                        .to_owned()
                } else {
                    freed_by(one.operation, &held_by(table, self.taken.first().copied().unwrap_or_default()))
                }
            }
            _ => CHANGE_ONE.to_owned(),
        };
        sentence(self.attribute, self.text, &parts.join("; "), &remedy)
    }
}

/// Why a value cannot be had, and what to do.
fn sentence(attribute: &str, text: &str, who: &str, remedy: &str) -> String {
    format!("{attribute} `{text}` must be unique: {who}; {remedy}")
}

/// Where nobody frees it.
const CHANGE_ONE: &str = "change one of the values, or `link` the row to the object that it belongs to, and run again";

/// Where another order frees it.
fn freed_by(operation: Operation, holder: &str) -> String {
    format!("the `{operation}` of {holder} in this job frees it: approve and apply that one first, then run again")
}

/// A unique value that other objects of the target hold when it is to be set; `frees` says which of them an order of the
/// same plan makes give it up.
pub fn taken(
    attribute: &str,
    text: &str,
    to: &ResourceName,
    ids: &[String],
    frees: Option<Operation>,
) -> Option<Block> {
    let names: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    let remedy = match (frees, names.as_slice()) {
        (Some(operation), [one]) => freed_by(operation, one),
        _ => CHANGE_ONE.to_owned(),
    };
    let who = format!("{} of {to} holds it", some(&names));
    block(BlockReason::Conflict, sentence(attribute, text, &who, &remedy))
}

fn held_by(table: &EndTable<'_>, id: &str) -> String {
    let managed = table.find_target(id).and_then(|row| table.number_of(row));
    match managed.filter(|number| !matches!(table.states[*number as usize], EndState::Undecided)) {
        Some(number) => format!("`{id}` (managed from `{}`)", table.key(number)),
        None => format!("`{id}` (not managed)"),
    }
}
