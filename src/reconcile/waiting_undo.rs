//! Undos that wait for a person are never planned again; what came to forbid them meanwhile is found here.

use super::ends::{EndTable, name_in};
use super::error::ReconcileError;
use super::guard::{self, Concerned, ConcernedEnd};
use super::input::{LiveOrder, PlanInput};
use super::lockout::counts_members;
use super::objects::bound_fixed;
use super::plan::{Planned, association_of, ends_of};
use crate::model::order::{Block, EndRef, Operation};

/// What forbids an undo now: the job protects what it concerns, muster itself uses it, or the target does not let it be
/// changed as it is.
pub(crate) fn forbids(
    input: &PlanInput<'_>,
    plans: &[Planned<'_>],
    live: &LiveOrder,
) -> Result<Option<Block>, ReconcileError> {
    if !live.ends.is_empty() {
        return forbids_row(input, plans, live);
    }
    let Some(plan) = plans.iter().map(|(plan, _)| plan).find(|plan| plan.table.input.sync.to == live.resource) else {
        return Ok(None);
    };
    let (of, id) = (plan.table.input, live.target_id.as_deref().unwrap_or_default());
    let source_key = live.object.0.split_once('=').map_or("", |(_, key)| key);
    let row = plan.table.find_target(id);
    let held = row.map(|row| of.target.fetch(plan.table.target.place(row))).transpose()?;
    let name = held.as_ref().and_then(|held| name_in(of, held)).unwrap_or_default();
    let names = [live.key.as_str(), source_key, id, name.as_str()].into_iter().filter(|name| !name.is_empty());
    let changes = live.changes.as_deref().unwrap_or_default();
    let concerned = Concerned {
        resource: &live.resource,
        operation: live.operation,
        changes,
        names: names.clone().collect(),
        at_target: names.collect(),
        ends: Vec::new(),
    };
    if let Some(block) = guard::forbidden(input.wishes.protect, of.account, &concerned) {
        return Ok(Some(block));
    }
    let Some(held) = held.filter(|_| live.operation != Operation::Delete) else { return Ok(None) };
    Ok(guard::fixed(&bound_fixed(of)?, &live.resource, &held, changes))
}

/// The same of a row of an association: what is at its ends counts.
fn forbids_row(
    input: &PlanInput<'_>,
    plans: &[Planned<'_>],
    live: &LiveOrder,
) -> Result<Option<Block>, ReconcileError> {
    let rows = input.syncs.iter().filter_map(association_of).find(|rows| rows.sync.to == live.resource);
    let Some(rows) = rows else { return Ok(None) };
    let tables = ends_of(rows.sync, plans)?.map(|end| &end.plan.table);
    let mut names = Vec::new();
    for (table, end) in tables.iter().zip(&live.ends) {
        names.push(names_of(table, end)?);
    }
    let ends = names.iter().enumerate().map(|(at, names)| ConcernedEnd {
        resource: &tables[at].input.sync.to,
        names: names.iter().map(String::as_str).collect(),
        is_counted: counts_members(tables, at),
    });
    let concerned = Concerned {
        resource: &live.resource,
        operation: live.operation,
        changes: &[],
        names: vec![live.key.as_str()],
        at_target: Vec::new(),
        ends: ends.collect(),
    };
    Ok(guard::forbidden(input.wishes.protect, tables[0].input.account, &concerned))
}

/// What the object at an end goes by.
fn names_of(table: &EndTable<'_>, end: &EndRef) -> Result<Vec<String>, ReconcileError> {
    let EndRef::Target(id) = end else { return Ok(Vec::new()) };
    let mut names = vec![id.clone()];
    if let Some(row) = table.find_target(id) {
        names.extend(table.number_of(row).map(|number| table.key(number).to_owned()));
        names.extend(name_in(table.input, &table.input.target.fetch(table.target.place(row))?));
    }
    Ok(names)
}
