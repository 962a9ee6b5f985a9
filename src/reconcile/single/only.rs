//! A plan of one object alone: what a plan of all says of it, and nothing of the others.
//!
//! Their live orders stay as they are, and count: for limits, seats, and who would be the last one to go.

use std::collections::{BTreeMap, HashSet};

use crate::model::order::{EndRef, ObjectKey, OrderId};
use crate::reconcile::draft::PlanDraft;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::PlanInput;
use crate::reconcile::plan::{consider, judge};

use super::Subject;

/// Makes a plan of one object and of the association rows that have it at an end.
///
/// # Errors
/// Whatever keeps a plan of all objects from being made.
pub fn assemble_only(input: &PlanInput<'_>, subject: &Subject) -> Result<PlanDraft, ReconcileError> {
    let mut considered = consider(input)?;
    let plan = considered.plans.iter().map(|(plan, _)| plan).find(|plan| plan.table.input.sync.index == subject.sync);
    let Some(plan) = plan else { return Ok(PlanDraft::default()) };
    let (table, sync) = (&plan.table, plan.table.input.sync);
    // What is known by its id alone is known by its row as soon as a match rule tells which.
    let by_id = || {
        let row = table.find_target(subject.target_id.as_deref()?)?;
        Some(table.key(table.number_of(row)?).to_owned())
    };
    let Some(key) = subject.source_key.clone().or_else(by_id) else { return Ok(PlanDraft::default()) };
    let (sync_id, number) = (sync.id.clone(), sync.index);
    let object = ObjectKey::by_source(&sync.to, &sync.from, &key);
    let mut objects = vec![object];
    let orders = &considered.ledger.draft.orders;
    let renamed = orders.iter().find(|order| order.object == objects[0]).and_then(|order| order.renamed_from.clone());
    objects.extend(renamed.iter().map(|was| ObjectKey::by_source(&sync.to, &sync.from, was)));

    let closing = |attribute: &str| ObjectKey::reference(&sync.to, attribute, &format!("{}={key}", sync.from));
    objects.extend(sync.references.iter().map(|reference| closing(&reference.attribute)));

    let concerns = |known: &ObjectKey| objects.iter().any(|object| known == object || is_end(known, object));
    considered.ledger.keep_only(&concerns);
    let waiting = without_ends(&mut considered);
    let own: HashSet<OrderId> =
        considered.ledger.live().filter(|live| concerns(&live.object)).map(|live| live.id.clone()).collect();
    let mut draft = judge(input, considered)?;
    // That others are stopped, or go again, is for a plan of all of them.
    draft.reblocked.retain(|(id, _)| own.contains(id));
    draft.withheld.retain(|withheld| withheld.about.contains(key.as_str()));
    draft.handed_over.retain(|(_, about)| about.contains(key.as_str()));
    draft.warnings.retain(|warning| warning.contains(key.as_str()));
    draft.listed.retain(|listed| listed.sync == number && listed.key == key);
    let known = |source: &str| source == key || renamed.as_deref() == Some(source);
    draft.links.retain(|book| book.sync_id == sync_id);
    for book in &mut draft.links {
        book.recorded.retain(|settled| known(&settled.source_key));
        book.agreed.retain(|settled| known(&settled.source_key));
        book.graces.retain(|(source, _)| known(source));
        book.dropped.retain(|(source, ..)| known(source));
    }
    for (about, end) in waiting {
        draft
            .warnings
            .push(format!("{about} waits for `{end}`, which no order of this plan makes: plan the whole job"));
    }
    Ok(draft)
}

/// Drops rows that need an object which only an order of another object's plan would make; what they are about, and
/// what they need.
fn without_ends(considered: &mut crate::reconcile::plan::Considered<'_>) -> BTreeMap<String, String> {
    let live: HashSet<OrderId> = considered.ledger.live().map(|live| live.id.clone()).collect();
    let orders = &mut considered.ledger.draft.orders;
    let new: HashSet<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
    let mut waiting = BTreeMap::new();
    orders.retain(|order| {
        let lacks = |object: &EndRef| match object {
            EndRef::Target(_) => false,
            EndRef::Order(id) => !new.contains(id) && !live.contains(id),
        };
        let end = order.ends.iter().find(|end| lacks(&end.object)).map(|end| &end.label);
        let reference = order.references.iter().find(|reference| lacks(&reference.object)).map(|found| &found.key);
        let cleared = order.after.as_ref().filter(|id| !new.contains(id) && !live.contains(id)).map(|id| &id.0);
        let lacking = end.or(reference).or(cleared);
        if let Some(label) = lacking {
            waiting.insert(format!("{} `{}` in {}", order.operation, order.key, order.resource), label.clone());
        }
        lacking.is_none()
    });
    waiting
}

/// Whether an association row has an object at an end.
fn is_end(row: &ObjectKey, object: &ObjectKey) -> bool {
    let inside = row.0.strip_suffix(')').and_then(|row| row.split_once('(')).map(|(_, inside)| inside);
    inside.is_some_and(|inside| {
        let first = inside.strip_prefix(object.0.as_str()).is_some_and(|rest| rest.starts_with(" ; "));
        first || inside.strip_suffix(object.0.as_str()).is_some_and(|rest| rest.ends_with(" ; "))
    })
}
