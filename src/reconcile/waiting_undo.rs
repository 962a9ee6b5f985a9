//! Undos that wait for a person are never planned again; what came to forbid them meanwhile is found here.

use super::error::ReconcileError;
use super::guard;
use super::input::{LiveOrder, PlanInput};
use super::objects::bound_fixed;
use super::plan::Planned;
use crate::model::order::{Block, Operation};

/// What forbids an undo of one object now: the job protects it, muster itself uses it, or the target does not let it be
/// changed as it is.
pub(crate) fn forbids(
    input: &PlanInput<'_>,
    plans: &[Planned<'_>],
    live: &LiveOrder,
) -> Result<Option<Block>, ReconcileError> {
    let Some(plan) = plans.iter().map(|(plan, _)| plan).find(|plan| plan.table.input.sync.to == live.resource) else {
        return Ok(None);
    };
    let id = live.target_id.as_deref().unwrap_or_default();
    let source_key = live.object.0.split_once('=').map_or("", |(_, key)| key);
    let names: Vec<&str> = [live.key.as_str(), source_key, id].into_iter().filter(|name| !name.is_empty()).collect();
    if let Some(block) = guard::protected(input.wishes.protect, &live.resource, &names) {
        return Ok(Some(block));
    }
    let changes = live.changes.as_deref().unwrap_or_default();
    let of = plan.table.input;
    if let Some(block) = guard::own(of.account, &live.resource, live.operation, &names, changes) {
        return Ok(Some(block));
    }
    let Some(row) = plan.table.find_target(id).filter(|_| live.operation != Operation::Delete) else { return Ok(None) };
    let held = of.target.fetch(plan.table.target.place(row))?;
    Ok(guard::fixed(&bound_fixed(of)?, &live.resource, &held, changes))
}
