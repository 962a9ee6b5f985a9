//! Objects that refer to each other in a circle and are all to be deleted: a target that keeps nobody's reference dangling
//! lets none of them go. One reference of the circle is cleared first, by an update in the same plan, and each delete of it
//! comes after that of whoever refers to its object.

use std::collections::{HashMap, HashSet};

use super::error::ReconcileError;
use super::guard;
use super::input::{PlanInput, Prior};
use super::objects::bound_fixed;
use super::plan::Planned;
use super::reason::block;
use super::settling::own_key;
use super::standing::{Ledger, Raised};
use super::threshold::CLOSING;
use crate::model::order::{BlockReason, Change, ObjectKey, Operation, Order, OrderId, OrderState, Remedy};
use crate::model::resource::ResourceName;

/// A delete: the plan, and its position among that plan's proposals.
pub(crate) type Place = (usize, usize);

/// Whoever refers to an object of a circle, and is deleted before it.
pub(crate) struct Referrer {
    pub(crate) delete: Place,
    pub(crate) attribute: String,
    pub(crate) key: String,
}

/// What the object of one delete refers to.
struct Tie {
    /// The delete whose object refers.
    from: usize,
    attribute: String,
    /// The delete of what it refers to.
    to: usize,
}

/// A circle, and the tie of it that is cleared.
struct Opened {
    cleared: usize,
    circle: Vec<usize>,
}

/// Clears one reference of each circle among what is deleted, and lets the delete of what it referred to wait for that.
/// By the other deletes of each circle: for whose delete they wait.
pub(crate) fn untie(
    input: &PlanInput<'_>,
    plans: &mut [Planned<'_>],
    known: &mut [Vec<Prior>],
    ledger: &mut Ledger<'_>,
) -> Result<HashMap<Place, Referrer>, ReconcileError> {
    if plans.iter().all(|(plan, _)| plan.table.input.sync.references.is_empty()) {
        return Ok(HashMap::new());
    }
    let deletes = deletes(plans);
    let ties = ties(plans, &deletes);
    let mut updates = Vec::new();
    let opened = to_clear(deletes.len(), &ties, |tie| can_be_cleared(plans, &deletes, tie))?;
    for Opened { cleared: number, .. } in &opened {
        let Tie { from, attribute, to } = &ties[*number];
        let (from, to) = (deletes[*from], deletes[*to]);
        let identity = plans[from.0].0.table.input.identity;
        let key = plans[to.0].0.proposals[to.1].order.key.clone();
        let order = &mut plans[from.0].0.proposals[from.1].order;
        updates.extend(cleared(order, attribute, &key).map(|update| (update, attribute, identity, to)));
        // What is cleared first is not there any more when it is deleted.
        order.changes.retain(|change| change.attribute != *attribute);
        order.fingerprint = Order::fingerprint_of(&order.resource, order.operation, &order.object, &order.changes);
        order.id = OrderId::new(&order.fingerprint, 0);
        known[from.0][from.1] = prior(input, identity, order)?;
    }
    for (update, attribute, identity, to) in updates {
        let delete = &plans[to.0].0.proposals[to.1].order;
        if is_withheld(&known[to.0][to.1], delete) && !input.ask_again {
            continue;
        }
        let (prior, whose) = (prior(input, identity, &update)?, update.key.clone());
        let Raised { id, refused, .. } = ledger.settle(update, &prior, identity);
        let delete = &mut plans[to.0].0.proposals[to.1].order;
        if let Some(why) = refused {
            let why = why.replace("which would make it", "which would clear that");
            delete.block = delete.block.take().or_else(|| {
                block(
                    BlockReason::MissingReference,
                    format!(
                        "{attribute} of `{whose}` refers to it, and {why}; decide or mend that first, and run again"
                    ),
                )
            });
        }
        delete.reason.push_str(&format!("; {attribute} of `{whose}` refers to it, which {id} clears first"));
        delete.after = Some(id);
    }
    let referrer = |number: usize| {
        let Tie { from, attribute, .. } = &ties[number];
        let (delete, attribute) = (deletes[*from], attribute.clone());
        Referrer { delete, attribute, key: plans[delete.0].0.proposals[delete.1].order.key.clone() }
    };
    let follows = follows(input, plans, &deletes, &ties, &opened);
    Ok(follows.into_iter().map(|(to, number)| (deletes[to], referrer(number))).collect())
}

/// By delete, the tie that it waits for: the target may refuse it for as long as that reference is there. An order has one
/// other to wait for, and what is cleared is waited for already.
fn follows(
    input: &PlanInput<'_>,
    plans: &[Planned<'_>],
    deletes: &[Place],
    ties: &[Tie],
    opened: &[Opened],
) -> HashMap<usize, usize> {
    let cleared: HashSet<usize> = opened.iter().map(|opened| opened.cleared).collect();
    let freed: HashSet<usize> = cleared.iter().map(|number| ties[*number].to).collect();
    let order = |delete: usize| &plans[deletes[delete].0].0.proposals[deletes[delete].1].order;
    let own = || input.live.iter().filter(|live| live.of_other_job.is_none() && live.operation == Operation::Delete);
    let waits: HashMap<&ObjectKey, &OrderId> =
        own().filter_map(|live| Some((&live.object, live.after.as_ref()?))).collect();
    let objects: HashMap<&OrderId, &ObjectKey> = own().map(|live| (&live.id, &live.object)).collect();
    // A circle that is opened by now is none any more: what waits in it goes on waiting.
    let waits_already = |tie: &Tie| {
        let Some(after) = waits.get(&order(tie.to).object) else { return false };
        let of = order(tie.from);
        after.fingerprint().as_ref() == Some(&of.fingerprint) || objects.get(after).copied() == Some(&of.object)
    };
    let in_circles = opened.iter().flat_map(|opened| opened.circle.iter().copied());
    let waiting = (0..ties.len()).filter(|number| waits_already(&ties[*number]));
    let mut follows: HashMap<usize, usize> = HashMap::new();
    for number in in_circles.chain(waiting) {
        let Tie { from, to, .. } = &ties[number];
        if cleared.contains(&number) || freed.contains(to) || follows.contains_key(to) {
            continue;
        }
        // Circles that share objects could make one wait for itself.
        let mut at = Some(*from);
        while let Some(delete) = at.filter(|delete| delete != to) {
            at = follows.get(&delete).map(|number| ties[*number].from);
        }
        if at.is_none() {
            follows.insert(*to, number);
        }
    }
    follows
}

/// Lets a delete wait for that of whoever refers to its object.
pub(super) fn wait_for(delete: &mut Order, Referrer { attribute, key, .. }: &Referrer, raised: &Raised) {
    let Raised { id, refused, .. } = raised;
    if let Some(why) = refused {
        let why = why.replace("which would make it", "which would delete that");
        delete.block = delete.block.take().or_else(|| {
            block(
                BlockReason::MissingReference,
                format!("{attribute} of `{key}` refers to it, and {why}; decide or mend that first, and run again"),
            )
        });
    }
    delete.reason.push_str(&format!("; {attribute} of `{key}` refers to it, which {id} deletes first"));
    delete.after = Some(id.clone());
}

/// The deletes that a person may let go, in the sequence of their objects.
fn deletes(plans: &[Planned<'_>]) -> Vec<Place> {
    let mut deletes = Vec::new();
    for (number, (plan, _)) in plans.iter().enumerate() {
        for (at, proposal) in plan.proposals.iter().enumerate() {
            let order = &proposal.order;
            let can_go = order.block.as_ref().is_none_or(|block| block.reason.remedy() != Remedy::CauseGone);
            if order.operation == Operation::Delete && can_go {
                deletes.push((number, at));
            }
        }
    }
    deletes
}

fn ties(plans: &[Planned<'_>], deletes: &[Place]) -> Vec<Tie> {
    let order = |place: &Place| &plans[place.0].0.proposals[place.1].order;
    let mut by_id: HashMap<(&str, &ResourceName, &str), usize> = HashMap::with_capacity(deletes.len());
    for (number, place) in deletes.iter().enumerate() {
        let (order, identity) = (order(place), plans[place.0].0.table.input.identity);
        by_id.extend(order.target_id.as_deref().map(|id| ((identity, &order.resource, id), number)));
    }
    let mut ties = Vec::new();
    for (from, place) in deletes.iter().enumerate() {
        let input = plans[place.0].0.table.input;
        for rule in &input.sync.references {
            let held = order(place).changes.iter().find(|change| change.attribute == rule.attribute);
            let Some(id) = held.and_then(|change| change.before.as_ref()).and_then(|value| value.as_text()) else {
                continue;
            };
            // Whoever refers to itself stands in nobody's way.
            let to = by_id.get(&(input.identity, &rule.to, id)).filter(|to| **to != from);
            ties.extend(to.map(|to| Tie { from, attribute: rule.attribute.clone(), to: *to }));
        }
    }
    ties
}

/// The ties that are cleared: of each circle the first one that the target and the job let be cleared. Whoever nobody
/// refers to can be deleted, and refers to nobody then: what is left over goes round in circles.
fn to_clear(
    deletes: usize,
    ties: &[Tie],
    can_be_cleared: impl Fn(&Tie) -> Result<bool, ReconcileError>,
) -> Result<Vec<Opened>, ReconcileError> {
    let mut open = vec![0usize; deletes];
    let (mut of, mut into) = (vec![Vec::new(); deletes], vec![Vec::new(); deletes]);
    for (number, tie) in ties.iter().enumerate() {
        open[tie.to] += 1;
        of[tie.from].push(number);
        into[tie.to].push(number);
    }
    let mut is_gone = vec![false; deletes];
    let mut is_cleared = vec![false; ties.len()];
    let mut ready: Vec<usize> = (0..deletes).filter(|at| open[*at] == 0).collect();
    let (mut opened, mut first) = (Vec::new(), 0);
    loop {
        while let Some(at) = ready.pop() {
            // Whoever was tried out of turn is met again when nobody refers to them any more.
            if std::mem::replace(&mut is_gone[at], true) {
                continue;
            }
            for number in of[at].iter().filter(|number| !is_cleared[**number]) {
                open[ties[*number].to] -= 1;
                if open[ties[*number].to] == 0 {
                    ready.push(ties[*number].to);
                }
            }
        }
        first = match (first..deletes).find(|at| !is_gone[*at]) {
            Some(first) => first,
            None => break,
        };
        let is_open = |number: &usize| !is_cleared[*number] && !is_gone[ties[*number].from];
        let circle = circle(first, |at| into[at].iter().copied().find(is_open), ties);
        let mut able = Vec::new();
        for number in &circle {
            if can_be_cleared(&ties[*number])? {
                able.push(*number);
            }
        }
        match able.into_iter().min_by_key(|number| (ties[*number].from, *number)) {
            Some(number) => {
                is_cleared[number] = true;
                opened.push(Opened { cleared: number, circle });
                open[ties[number].to] -= 1;
                if open[ties[number].to] == 0 {
                    ready.push(ties[number].to);
                }
            }
            // Nothing helps but to try: a target that is not strict lets it go.
            None => ready.push(first),
        }
    }
    opened.sort_by_key(|opened| (ties[opened.cleared].from, opened.cleared));
    Ok(opened)
}

/// The ties of one circle, found against their direction from a delete that somebody in a circle leads to.
fn circle(first: usize, referrer: impl Fn(usize) -> Option<usize>, ties: &[Tie]) -> Vec<usize> {
    let (mut way, mut passed, mut at): (Vec<usize>, HashMap<usize, usize>, usize) = (Vec::new(), HashMap::new(), first);
    loop {
        if let Some(begin) = passed.insert(at, way.len()) {
            return way.split_off(begin);
        }
        let Some(tie) = referrer(at) else { return Vec::new() };
        way.push(tie);
        at = ties[tie].from;
    }
}

/// Whether the job and the target let a reference be cleared.
fn can_be_cleared(plans: &[Planned<'_>], deletes: &[Place], tie: &Tie) -> Result<bool, ReconcileError> {
    let (plan, at) = deletes[tie.from];
    let (plan, order) = (&plans[plan].0, &plans[plan].0.proposals[at].order);
    let input = plan.table.input;
    let Some(change) = order.changes.iter().find(|change| change.attribute == tie.attribute) else { return Ok(false) };
    let changes = [Change { after: None, ..change.clone() }];
    let is_required = [&input.sync.rules.required, &input.capabilities.required]
        .into_iter()
        .any(|names| names.contains(&tie.attribute));
    let is_read_only = input.capabilities.writes_itself(&tie.attribute);
    if is_required
        || is_read_only
        || guard::unsupported(input.capabilities, &order.resource, Operation::Update, &changes).is_some()
    {
        return Ok(false);
    }
    let row = order.target_id.as_deref().and_then(|id| plan.table.find_target(id));
    let Some(row) = row.filter(|_| !input.sync.fixed.is_empty()) else { return Ok(true) };
    let held = input.target.fetch(plan.table.target.place(row))?;
    Ok(guard::fixed(&bound_fixed(input)?, &order.resource, &held, &changes).is_none())
}

/// The update that clears one reference of an object that is to be deleted; `key` is whom it refers to.
fn cleared(delete: &Order, attribute: &str, key: &str) -> Option<Order> {
    let change = delete.changes.iter().find(|change| change.attribute == attribute)?;
    let mut update = Order {
        operation: Operation::Update,
        object: own_key(delete, attribute)?,
        changes: vec![Change { after: None, ..change.clone() }],
        reason: format!(
            "{attribute} of `{}` refers to `{key}` in a circle of objects that are all to be deleted: it is cleared first, or the target might let none of them go",
            delete.key
        ),
        thresholds: vec![CLOSING.to_owned()],
        after: None,
        block: None,
        ..delete.clone()
    };
    update.fingerprint = Order::fingerprint_of(&update.resource, update.operation, &update.object, &update.changes);
    update.id = OrderId::new(&update.fingerprint, 0);
    Some(update)
}

fn prior(input: &PlanInput<'_>, identity: &str, order: &Order) -> Result<Prior, ReconcileError> {
    Ok(input.memory.standing(identity, &[&order.fingerprint])?.pop().unwrap_or_default())
}

/// Whether what is wanted was rejected, undone or handed over before.
pub(super) fn is_withheld(prior: &Prior, wanted: &Order) -> bool {
    prior.reversal_of(wanted).is_some()
        || prior.rejection_of(wanted).is_some()
        || matches!(&prior.newest, Some((_, OrderState::Applied, true)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Deletes whose objects refer to one other each, or to none, and whether that can be cleared.
    fn ties(refers: &[(Option<usize>, bool)]) -> Vec<Tie> {
        let all = refers.iter().enumerate().filter_map(|(from, (to, _))| Some((from, (*to)?)));
        let others = all.filter(|(from, to)| from != to && *to < refers.len());
        others.map(|(from, to)| Tie { from, attribute: "manager".into(), to }).collect()
    }

    /// Whether one is led round and round by ties, those that were cleared left out.
    fn goes_round(from: usize, ties: &[Tie], cleared: &[usize]) -> bool {
        let left: HashMap<usize, usize> =
            ties.iter().enumerate().filter(|(n, _)| !cleared.contains(n)).map(|(_, tie)| (tie.from, tie.to)).collect();
        let mut at = from;
        (0..=ties.len()).all(|_| left.get(&at).map(|to| at = *to).is_some())
    }

    proptest! {
        /// No circle is left that could be opened, none is opened twice, and nothing is cleared that stands in no circle.
        #[test]
        fn each_circle_is_opened_once(
            refers in proptest::collection::vec((proptest::option::of(0usize..12), any::<bool>()), 0..12),
        ) {
            let ties = ties(&refers);
            let opened = to_clear(refers.len(), &ties, |tie| Ok(refers[tie.from].1)).unwrap();
            let cleared: Vec<usize> = opened.iter().map(|opened| opened.cleared).collect();
            for number in &cleared {
                let others: Vec<usize> = cleared.iter().copied().filter(|other| other != number).collect();
                prop_assert!(refers[ties[*number].from].1);
                prop_assert!(goes_round(ties[*number].from, &ties, &others), "needlessly: {number}");
            }
            for from in 0..refers.len() {
                // Walked far enough, one is inside the circle.
                let mut at = from;
                for _ in 0..ties.len() {
                    at = ties.iter().find(|tie| tie.from == at).map_or(at, |tie| tie.to);
                }
                let mut circle = vec![at];
                while let Some(tie) = ties.iter().find(|tie| tie.from == *circle.last().unwrap() && tie.to != at) {
                    if circle.contains(&tie.to) { break; }
                    circle.push(tie.to);
                }
                let can = circle.iter().any(|of| refers[*of].1);
                prop_assert!(!goes_round(at, &ties, &cleared) || !can, "{circle:?} still goes round");
            }
        }
    }
}
