//! Which orders a scoped threshold counts, and of how many objects.
//!
//! An order counts where the scope holds of its source row as it is, or of its target row as it was: whoever stops being
//! an administrator is one as long as the target says so. What cannot be judged counts, so that nothing gets past a
//! limit because nobody can tell.

use rayon::prelude::*;

use crate::model::order::Order;
use crate::model::threshold::Threshold;
use crate::rules::problem::RuleProblem;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::Cells;

use super::error::ReconcileError;
use super::input::{AssociationInput, ObjectInput};
use super::objects::ObjectPlan;
use super::policy::ScopedThresholds;
use super::target_columns;

/// A scoped threshold whose conditions know their columns.
struct Bound<'a> {
    scoped: &'a ScopedThresholds,
    source: BoundScope,
    /// `None` where the target's rows do not show it.
    target: Option<BoundScope>,
}

impl<'a> Bound<'a> {
    fn new(input: &ObjectInput<'a>, scoped: &'a ScopedThresholds) -> Result<Self, ReconcileError> {
        let wrong = |resource, problems: Vec<RuleProblem>| ReconcileError::Rule {
            sync: input.sync.id.clone(),
            resource,
            cause: format!(
                "the threshold `{}`: {}",
                scoped.name,
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ),
        };
        let sync = input.sync;
        let source =
            scoped.scope.bind(input.source.columns()).map_err(|problems| wrong(sync.from.clone(), problems))?;
        let target = match &scoped.target {
            Some(target) => {
                Some(target_columns::condition(input, &format!("the threshold `{}`", scoped.name), target)?)
            }
            None => scoped.scope.bind(&as_mapped(input)).ok(),
        };
        Ok(Self { scoped, source, target })
    }

    fn counts(&self, source: Option<&dyn Cells>, target: Option<&dyn Cells>) -> bool {
        let source = source.map(|row| self.source.admits(row));
        let target = target.and_then(|row| Some(self.target.as_ref()?.admits(row)));
        let mut judged = source.into_iter().chain(target).peekable();
        judged.peek().is_none() || judged.any(|verdict| verdict.unwrap_or(true))
    }
}

/// The target's columns by the names of the source columns that they are mapped from as they are.
fn as_mapped(input: &ObjectInput<'_>) -> Vec<String> {
    let source = input.source.columns();
    let refers = |column: &String| input.sync.references.iter().any(|reference| reference.attribute == *column);
    let name = |column: &String| {
        // The target holds an id there, and the source what names its row.
        if refers(column) {
            return None;
        }
        let rule = input.sync.rules.mapping.rule(column)?;
        source.iter().find(|known| *known == rule.trim()).cloned()
    };
    // No column is called so: what the mapping does not show stays unknown.
    input.target.columns().iter().map(|column| name(column).unwrap_or_else(|| "\0".to_owned())).collect()
}

/// Writes into each proposed order which scoped thresholds count it.
pub(crate) fn mark(plan: &mut ObjectPlan<'_>) -> Result<(), ReconcileError> {
    let input = plan.table.input;
    for scoped in &input.sync.scoped {
        let bound = Bound::new(input, scoped)?;
        let table = &plan.table;
        plan.proposals.par_iter_mut().try_for_each(|proposal| {
            let has_row = (proposal.number as usize) < table.source.len();
            let source = has_row.then(|| input.source.fetch(table.source.rows.place(proposal.number))).transpose()?;
            let target = proposal.order.target_id.as_deref().and_then(|id| table.find_target(id));
            let target = target.map(|row| input.target.fetch(table.target.place(row))).transpose()?;
            if bound.counts(source.as_ref().map(|row| row as _), target.as_ref().map(|row| row as _)) {
                proposal.order.thresholds.push(bound.scoped.name.clone());
            }
            Ok::<(), ReconcileError>(())
        })?;
    }
    Ok(())
}

/// How many managed objects a scoped threshold is about; 0 where none of its limits asks.
pub(crate) fn size(plan: &ObjectPlan<'_>, scoped: &ScopedThresholds) -> Result<u64, ReconcileError> {
    let (table, input) = (&plan.table, plan.table.input);
    if !asks_for_size(scoped) {
        return Ok(0);
    }
    let bound = Bound::new(input, scoped)?;
    let holds: Vec<bool> = match &bound.target {
        Some(target) => {
            let holds = input.target.par_map(|row| target.admits(row).unwrap_or(true))?;
            holds.into_iter().zip(0..).map(|(holds, row)| holds && table.number_of(row).is_some()).collect()
        }
        None => {
            let holds = input.source.par_map(|row| bound.source.admits(row).unwrap_or(true))?;
            holds.into_iter().zip(0..).map(|(holds, row)| holds && table.target_of(row).is_some()).collect()
        }
    };
    Ok(holds.into_iter().filter(|holds| *holds).count() as u64)
}

fn asks_for_size(scoped: &ScopedThresholds) -> bool {
    let asks = |threshold: &Threshold| threshold.limit.percent.is_some() || !threshold.tiers.is_empty();
    super::threshold::GROUPS.iter().any(|(_, _, pick)| pick(&scoped.thresholds).iter().any(asks))
}

/// The same as [`mark`] for rows of an association: by what their ends are called.
pub(crate) fn mark_rows(input: &AssociationInput<'_>, orders: &mut [Order]) -> Result<(), ReconcileError> {
    let names: Vec<String> = input.sync.ends.iter().map(|end| end.name.clone()).collect();
    for scoped in &input.sync.scoped {
        let bound = scoped.scope.bind(&names).map_err(|problems| ReconcileError::Rule {
            sync: input.sync.id.clone(),
            resource: input.sync.from.clone(),
            cause: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        })?;
        orders.par_iter_mut().for_each(|order| {
            let labels: Vec<String> = order.ends.iter().map(|end| end.label.clone()).collect();
            if bound.admits(&labels).unwrap_or(true) {
                order.thresholds.push(scoped.name.clone());
            }
        });
    }
    Ok(())
}
