//! The ids that an order's values refer to, and that of its own object, where other orders had to create them first.

use std::collections::BTreeMap;

use super::Conductor;
use super::apply::Applied;
use super::error::RunError;
use crate::model::event::Event;
use crate::model::order::{EndRef, Order, OrderId};
use crate::model::value::Value;

/// What orders that create objects came to, as far as it was asked.
pub(super) type Created = BTreeMap<OrderId, Option<String>>;

impl Conductor {
    /// An order of an object as it is sent: with the ids of what it refers to. The sentence says which order it still
    /// waits for.
    pub(super) fn with_ids(
        &self,
        mut order: Order,
        known: &mut Created,
    ) -> Result<Result<Order, (Box<Order>, String)>, RunError> {
        for at in 0..order.references.len() {
            let EndRef::Order(needed) = &order.references[at].object else { continue };
            let Some(id) = self.created(needed, known)? else {
                let why = format!("{} is to be created by order {needed} first", order.references[at].key);
                return Ok(Err((Box::new(order), why)));
            };
            let attribute = &order.references[at].attribute;
            if let Some(change) = order.changes.iter_mut().find(|change| change.attribute == *attribute) {
                change.after = Value::text(id.as_str());
            }
            order.references[at].object = EndRef::Target(id);
        }
        if let (Some(needed), None) = (&order.closes, &order.target_id) {
            match self.created(needed, known)? {
                Some(id) => order.target_id = Some(id),
                None => {
                    let why = format!("{} is to be created by order {needed} first", order.key);
                    return Ok(Err((Box::new(order), why)));
                }
            }
        }
        if let Some(needed) = &order.after
            && self.created(needed, known)?.is_none()
        {
            let why = format!("what refers to {} is to be cleared or deleted by order {needed} first", order.key);
            return Ok(Err((Box::new(order), why)));
        }
        Ok(Ok(order))
    }

    /// Those of some orders whose ids are known by now, and those that wait; the latter stay approved.
    pub(super) fn with_known_ids(
        &self,
        orders: Vec<Order>,
        result: &mut Applied,
    ) -> Result<(Vec<Order>, Vec<Order>), RunError> {
        let (mut ready, mut waiting) = (Vec::with_capacity(orders.len()), Vec::new());
        let mut known = Created::new();
        for order in orders {
            match self.with_ids(order, &mut known)? {
                Ok(order) => ready.push(order),
                Err((order, why)) => {
                    self.reporter.event(&Event::Note(format!("{} waits: {why}", order.id)));
                    result.untried += 1;
                    waiting.push(*order);
                }
            }
        }
        Ok((ready, waiting))
    }

    /// The object that an order created; `known` keeps what was asked before.
    pub(super) fn created(&self, order: &OrderId, known: &mut Created) -> Result<Option<String>, RunError> {
        if let Some(created) = known.get(order) {
            return Ok(created.clone());
        }
        let created = self.created_by(order)?;
        known.insert(order.clone(), created.clone());
        Ok(created)
    }
}
