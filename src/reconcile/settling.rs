//! Orders of objects, each after those that create what it refers to, set against what earlier runs ordered.
//!
//! References among new objects may run in a circle. The first order that is met again while what it refers to is
//! settled is created without its reference, and an update of its own, in the same plan, closes the circle.

use std::collections::{HashMap, HashSet};

use super::ends::EndState;
use super::error::ReconcileError;
use super::guard;
use super::input::{PlanInput, Prior};
use super::plan::Planned;
use super::reason::{self, block};
use super::standing::{Ledger, Raised};
use super::threshold::CLOSING;
use super::untying::{Place, Referrer, is_withheld, wait_for};
use crate::model::capabilities::ResourceCapabilities;
use crate::model::order::{BlockReason, EndRef, Fingerprint, ObjectKey, Operation, Order, OrderId, Reference};
use crate::model::value::Value;

/// An order that a sync would raise.
struct Node {
    plan: usize,
    number: u32,
    /// Taken when it is settled.
    order: Option<Order>,
    prior: Prior,
    /// Its object is not at the target, and this order makes it.
    creates: bool,
    visit: Visit,
    raised: Option<Raised>,
    /// Attributes that refer back to whoever waits for it.
    cut: HashSet<String>,
    /// A delete that goes before this one, and whose it is.
    follows: Option<(usize, Referrer)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Unseen,
    /// What it refers to is being settled.
    Open,
    Done,
}

/// A reference that closes a circle: the node whose object has it, and the node that makes what it refers to.
struct Circle {
    of: usize,
    to: usize,
    order: Order,
}

/// Settles the proposals of all syncs, in their order; what is created first where something refers to it. `follows` says
/// which deletes wait for others.
pub(crate) fn settle(
    input: &PlanInput<'_>,
    plans: &mut [Planned<'_>],
    known: Vec<Vec<Prior>>,
    mut follows: HashMap<Place, Referrer>,
    ledger: &mut Ledger<'_>,
) -> Result<(), ReconcileError> {
    let (mut begins, mut all) = (Vec::with_capacity(known.len()), 0);
    for priors in &known {
        begins.push(all);
        all += priors.len();
    }
    let mut nodes = Vec::with_capacity(all);
    for (at, ((plan, _), priors)) in plans.iter_mut().zip(known).enumerate() {
        for (place, (proposal, prior)) in std::mem::take(&mut plan.proposals).into_iter().zip(priors).enumerate() {
            let (number, order) = (proposal.number, Some(proposal.order));
            let creates = matches!(plan.table.states[number as usize], EndState::Creating);
            let (visit, raised, cut) = (Visit::Unseen, None, HashSet::new());
            let follows = follows.remove(&(at, place)).map(|of| (begins[of.delete.0] + of.delete.1, of));
            nodes.push(Node { plan: at, number, order, prior, creates, visit, raised, cut, follows });
        }
    }
    ledger.draft.orders.reserve(nodes.len());
    let mut settling = Settling { input, plans, nodes, makers: HashMap::new(), circles: Vec::new() };
    settling.prepare(ledger)?;
    for root in 0..settling.nodes.len() {
        settling.visit(root, ledger)?;
    }
    settling.close(ledger)?;
    let Settling { plans, nodes, .. } = settling;
    for node in nodes.into_iter().filter(|node| node.creates) {
        if let Some(raised) = node.raised {
            plans[node.plan].1.insert(node.number, raised);
        }
    }
    Ok(())
}

struct Settling<'s, 'a> {
    input: &'s PlanInput<'s>,
    plans: &'s mut [Planned<'a>],
    nodes: Vec<Node>,
    /// Who makes an object that others refer to.
    makers: HashMap<ObjectKey, usize>,
    circles: Vec<Circle>,
}

impl Settling<'_, '_> {
    /// Finds who makes what is referred to, and which references travel by themselves already.
    fn prepare(&mut self, ledger: &Ledger<'_>) -> Result<(), ReconcileError> {
        let pending = self.nodes.iter().filter_map(|node| node.order.as_ref()).flat_map(waiting);
        let named: HashSet<ObjectKey> = pending.map(|reference| reference.identity.clone()).collect();
        let mut apart: Vec<(usize, String, Order)> = Vec::new();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let Some(order) = &node.order else { continue };
            if node.creates && named.contains(&order.object) {
                self.makers.entry(order.object.clone()).or_insert(at);
            }
            for reference in &order.references {
                let goes_alone = own_key(order, &reference.attribute).is_some_and(|own| ledger.has_live(&own, None));
                if goes_alone {
                    // A circle that was cut here once stays cut here, also when its object is there.
                    node.cut.insert(reference.attribute.clone());
                } else if !node.creates {
                    apart.extend(alone(order, reference).map(|alone| (at, reference.attribute.clone(), alone)));
                }
            }
        }
        // What was refused, or undone, as an order of its own is not asked again as a part of another.
        let mut by_plan: HashMap<usize, Vec<usize>> = HashMap::new();
        for (number, (at, ..)) in apart.iter().enumerate() {
            by_plan.entry(self.nodes[*at].plan).or_default().push(number);
        }
        for (plan, numbers) in by_plan {
            let identity = self.plans[plan].0.table.input.identity;
            let prints: Vec<&Fingerprint> = numbers.iter().map(|number| &apart[*number].2.fingerprint).collect();
            let priors = self.input.memory.standing(identity, &prints)?;
            for (number, prior) in numbers.iter().zip(priors) {
                let (at, attribute, _) = &apart[*number];
                if is_withheld(&prior, &apart[*number].2) {
                    self.nodes[*at].cut.insert(attribute.clone());
                }
            }
        }
        Ok(())
    }

    /// Settles an order after those that make what it refers to.
    fn visit(&mut self, root: usize, ledger: &mut Ledger<'_>) -> Result<(), ReconcileError> {
        let mut open = vec![root];
        while let Some(at) = open.last().copied() {
            if self.nodes[at].visit == Visit::Done {
                open.pop();
                continue;
            }
            self.nodes[at].visit = Visit::Open;
            let (mut next, mut back) = (None, Vec::new());
            if let Some(order) = &self.nodes[at].order {
                for reference in waiting(order).filter(|r| !self.nodes[at].cut.contains(&r.attribute)) {
                    let Some(maker) = self.makers.get(&reference.identity).copied() else { continue };
                    match self.nodes[maker].visit {
                        Visit::Done => {}
                        Visit::Open => back.push(reference.attribute.clone()),
                        Visit::Unseen => {
                            next = Some(maker);
                            break;
                        }
                    }
                }
            }
            self.nodes[at].cut.extend(back);
            let first = self.nodes[at].follows.as_ref().map(|(first, _)| *first);
            let next = next.or_else(|| first.filter(|first| self.nodes[*first].visit == Visit::Unseen));
            match next {
                Some(maker) => open.push(maker),
                None => {
                    self.finish(at, ledger)?;
                    self.nodes[at].visit = Visit::Done;
                    open.pop();
                }
            }
        }
        Ok(())
    }

    /// Settles one order. What it refers to is settled, but for what closes a circle.
    fn finish(&mut self, at: usize, ledger: &mut Ledger<'_>) -> Result<(), ReconcileError> {
        let Some(mut order) = self.nodes[at].order.take() else { return Ok(()) };
        if let Some((first, referrer)) = &self.nodes[at].follows
            && let Some(raised) = &self.nodes[*first].raised
        {
            wait_for(&mut order, referrer, raised);
        }
        let input = self.plans[self.nodes[at].plan].0.table.input;
        if order.references.is_empty() {
            self.nodes[at].raised = Some(ledger.settle(order, &self.nodes[at].prior, input.identity));
            return Ok(());
        }
        let (identity, required) = {
            let mut required = input.sync.rules.required.clone();
            required.extend(input.capabilities.required.iter().cloned());
            (input.identity, required)
        };
        let content = order.fingerprint.clone();
        let mut alone_now = Vec::new();
        for reference in std::mem::take(&mut order.references) {
            if self.nodes[at].cut.contains(&reference.attribute) {
                alone_now.extend(alone(&Order { references: vec![reference.clone()], ..order.clone() }, &reference));
                order.changes.retain(|change| change.attribute != reference.attribute);
                continue;
            }
            match self.found(&reference) {
                Ok(object) => keep(&mut order, Reference { object, ..reference }),
                Err((why, maker)) if required.contains(&reference.attribute) => {
                    refuse(&mut order, &reference, &why);
                    let object = maker.map_or(reference.object.clone(), EndRef::Order);
                    keep(&mut order, Reference { object, ..reference });
                }
                Err((why, _)) => {
                    self.leave(at, &reference, &why);
                    order.changes.retain(|change| change.attribute != reference.attribute);
                }
            }
        }
        let plain = order.renamed_from.is_none() && order.confidence == 100;
        let was_some = !self.is_content(&order, &content);
        if was_some {
            self.mend(&mut order);
        }
        if order.operation == Operation::Create {
            for alone in alone_now {
                let to = alone.references.first().and_then(|r| self.makers.get(&r.identity)).copied();
                self.circles.push(Circle { of: at, to: to.unwrap_or(at), order: alone });
            }
        } else {
            for alone in alone_now {
                self.settle_alone(at, alone, identity, ledger)?;
            }
            if was_some && order.changes.is_empty() && plain {
                return Ok(());
            }
        }
        if was_some {
            self.nodes[at].prior = self.prior(identity, &order.fingerprint)?;
        }
        tell(&mut order);
        self.nodes[at].raised = Some(ledger.settle(order, &self.nodes[at].prior, identity));
        Ok(())
    }

    fn is_content(&self, order: &Order, content: &Fingerprint) -> bool {
        fingerprint(order) == *content
    }

    /// Brings what is derived from an order's changes up to date.
    fn mend(&self, order: &mut Order) {
        order.fingerprint = fingerprint(order);
        order.id = OrderId::new(&order.fingerprint, 0);
        if order.operation != Operation::Create {
            order.cause = order.changes.iter().map(|change| change.cause).max().unwrap_or(order.cause);
            if order.renamed_from.is_none() && order.confidence == 100 && !order.changes.is_empty() {
                order.reason = reason::update(&order.changes, "");
            }
        }
    }

    fn prior(&self, identity: &str, content: &Fingerprint) -> Result<Prior, ReconcileError> {
        Ok(self.input.memory.standing(identity, &[content])?.pop().unwrap_or_default())
    }

    /// What a reference leads to; or why it leads nowhere, and the order that would have made it.
    fn found(&self, reference: &Reference) -> Result<EndRef, (String, Option<OrderId>)> {
        if let EndRef::Target(_) = reference.object {
            return Ok(reference.object.clone());
        }
        let maker = self.makers.get(&reference.identity).map(|maker| &self.nodes[*maker]);
        match maker.and_then(|maker| maker.raised.as_ref()) {
            Some(Raised { refused: Some(why), id, .. }) => Err((why.clone(), Some(id.clone()))),
            Some(raised) => Ok(EndRef::Order(raised.id.clone())),
            None => Err(("no order of this plan makes it".to_owned(), None)),
        }
    }

    /// Tells that an object goes without a reference for now.
    fn leave(&mut self, at: usize, reference: &Reference, why: &str) {
        let (plan, _) = &mut self.plans[self.nodes[at].plan];
        let key = match (self.nodes[at].number as usize) < plan.table.source.len() {
            true => plan.table.source.key(self.nodes[at].number).to_owned(),
            false => String::new(),
        };
        plan.warnings.push(format!(
            "{}: `{key}` goes without {} for now, it refers to `{}`, and {why}; it is set when that is there",
            plan.table.input.sync.id, reference.attribute, reference.key
        ));
    }

    /// A reference of an object that is there, and which travels by itself since it closed a circle.
    fn settle_alone(
        &mut self,
        at: usize,
        mut order: Order,
        identity: &str,
        ledger: &mut Ledger<'_>,
    ) -> Result<(), ReconcileError> {
        for reference in std::mem::take(&mut order.references) {
            match self.found(&reference) {
                Ok(object) => keep(&mut order, Reference { object, ..reference }),
                Err((why, _)) => {
                    self.leave(at, &reference, &why);
                    return Ok(());
                }
            }
        }
        if ledger.has_live(&order.object, Some(&order.fingerprint)) {
            order.thresholds = vec![CLOSING.to_owned()];
        }
        let prior = self.prior(identity, &order.fingerprint)?;
        tell(&mut order);
        ledger.settle(order, &prior, identity);
        Ok(())
    }

    /// The updates that close circles, when both their ends are settled.
    fn close(&mut self, ledger: &mut Ledger<'_>) -> Result<(), ReconcileError> {
        for Circle { of, to, mut order } in std::mem::take(&mut self.circles) {
            let Some(created) = self.nodes[of].raised.clone() else { continue };
            let (identity, capabilities): (&str, &ResourceCapabilities) = {
                let input = self.plans[self.nodes[of].plan].0.table.input;
                (input.identity, input.capabilities)
            };
            let (mut missing, mut kept) = (created.refused.clone().map(|why| (order.key.clone(), why)), Vec::new());
            for reference in std::mem::take(&mut order.references) {
                let made = self.nodes[to].raised.as_ref();
                let object = match (&reference.object, made) {
                    (EndRef::Order(_), Some(Raised { id, refused, .. })) => {
                        missing = missing.or_else(|| Some((reference.key.clone(), refused.clone()?)));
                        EndRef::Order(id.clone())
                    }
                    (object, _) => object.clone(),
                };
                kept.push(Reference { object, ..reference });
            }
            kept.into_iter().for_each(|reference| keep(&mut order, reference));
            order.closes = Some(created.id);
            order.thresholds = vec![CLOSING.to_owned()];
            order.block =
                guard::unsupported(capabilities, &order.resource, order.operation, &order.changes).or_else(|| {
                    let (key, why) = missing?;
                    let detail = format!(
                        "`{key}` is not in {}: {why}; decide or mend that first, and run again",
                        order.resource
                    );
                    block(BlockReason::MissingReference, detail)
                });
            let prior = self.prior(identity, &order.fingerprint)?;
            ledger.settle(order, &prior, identity);
        }
        Ok(())
    }
}

/// The references of an order that other orders have to make first.
fn waiting(order: &Order) -> impl Iterator<Item = &Reference> {
    order.references.iter().filter(|reference| matches!(reference.object, EndRef::Order(_)))
}

/// The identity of an order that is about one reference of an object alone.
pub(super) fn own_key(order: &Order, attribute: &str) -> Option<ObjectKey> {
    let source = order.object.0.strip_prefix(&order.resource.to_string())?.strip_prefix('/')?;
    Some(ObjectKey::reference(&order.resource, attribute, source))
}

/// One reference of an object as an order of its own.
fn alone(order: &Order, reference: &Reference) -> Option<Order> {
    let change = order.changes.iter().find(|change| change.attribute == reference.attribute)?;
    let object = own_key(order, &reference.attribute)?;
    let is_new = order.operation == Operation::Create;
    let reason = match is_new {
        true if reference.identity == order.object => {
            format!("{} of `{}` refers to itself: it is set when it is there", reference.attribute, order.key)
        }
        true => format!(
            "{} of `{}` refers to `{}`, which needs it in turn: it is set when both are there",
            reference.attribute, order.key, reference.key
        ),
        false => reason::update(std::slice::from_ref(change), ""),
    };
    let mut alone = Order {
        operation: Operation::Update,
        object,
        renamed_from: None,
        changes: vec![change.clone()],
        ground: String::new(),
        references: vec![reference.clone()],
        cause: change.cause,
        reason,
        ..order.clone()
    };
    alone.fingerprint = fingerprint(&alone);
    alone.id = OrderId::new(&alone.fingerprint, 0);
    Some(alone)
}

/// Says whom new values refer to: an id says nothing to a person, and less so the id of an order.
fn tell(order: &mut Order) {
    for reference in &order.references {
        let made = match &reference.object {
            EndRef::Order(maker) => format!(", which {maker} creates"),
            EndRef::Target(_) => String::new(),
        };
        order.reason.push_str(&format!("; {} is `{}`{made}", reference.attribute, reference.key));
    }
}

fn fingerprint(order: &Order) -> Fingerprint {
    Order::fingerprint_with(&order.resource, order.operation, &order.object, &order.changes, &order.references)
}

/// Puts a reference whose object is known into an order: its value is the object's id, or the order that makes it.
fn keep(order: &mut Order, reference: Reference) {
    let value = match &reference.object {
        EndRef::Target(id) => id,
        EndRef::Order(order) => &order.0,
    };
    if let Some(change) = order.changes.iter_mut().find(|change| change.attribute == reference.attribute) {
        change.after = Value::text(value.as_str()).or_else(|| change.after.clone());
    }
    order.references.push(reference);
}

/// Blocks an order whose object must not be without what it refers to.
fn refuse(order: &mut Order, reference: &Reference, why: &str) {
    let is_weaker = order.block.as_ref().is_none_or(|b| b.reason == BlockReason::LowConfidence);
    if is_weaker {
        order.block = block(
            BlockReason::MissingReference,
            format!(
                "`{}` is required and refers to `{}`, which is not in {}: {why}; decide or mend that first, and run again",
                reference.attribute, reference.key, reference.resource
            ),
        );
    }
}
