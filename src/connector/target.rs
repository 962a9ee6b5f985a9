//! Writing to a system. Only apply ever holds a target.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::source::Source;
use crate::model::failure::Failure;
use crate::model::order::{Operation, OrderId};
use crate::model::outcome::Effected;
use crate::model::value::{Attributes, Value};

/// One change to one object.
#[derive(Clone, Debug)]
pub struct ObjectChange {
    /// The order that asks for it, for systems that keep it (work-order files, idempotency headers).
    pub order: OrderId,
    /// create, update, disable, enable or delete.
    pub operation: Operation,
    /// The resource type at the system.
    pub resource: String,
    /// The object; `None` for creates.
    pub id: Option<String>,
    /// Attribute → wanted value, `None` = cleared. A disable or enable may carry more than the switch itself: what
    /// else changed on the day. Empty for deletes.
    pub attributes: BTreeMap<String, Option<Value>>,
    /// What the attributes held when they were read just before; for systems that replace whole objects.
    pub before: Attributes,
    /// Entity tag of that reading, for a conditional request where the target was proved to honour it.
    pub version: Option<String>,
    /// What to call the object in front of people.
    pub name: String,
}

/// One association row to add or remove.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// The order that asks for it.
    pub order: OrderId,
    /// End column → target id.
    pub ends: BTreeMap<String, String>,
    /// What to call the row in front of people.
    pub name: String,
}

/// What a target did.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The object's id; set for creates.
    pub id: Option<String>,
    /// How it came into effect.
    pub effected: Effected,
    /// Anything a person should know.
    pub note: Option<String>,
}

/// A system that can be changed: what can be written can be read.
///
/// A target sends each request once. Waiting, retrying, journalling and the reading before and after belong to apply.
#[async_trait]
pub trait Target: Source {
    /// Changes one object. 404 on delete is success with [`Effected::AlreadySo`].
    async fn apply(&self, change: &ObjectChange) -> Result<Applied, Failure>;

    /// Adds or removes association rows that share their first end, in one request where the target can.
    /// One answer a row, in order; a refused request is split by the target until the culprit is found.
    async fn apply_rows(
        &self,
        resource: &str,
        operation: Operation,
        rows: &[RowChange],
    ) -> Vec<Result<Applied, Failure>>;

    /// How rows are grouped into one request: the end column that must be equal, and the largest number.
    fn row_batch(&self, resource: &str) -> (Option<String>, usize);

    /// What to do where the target accepted a change of these attributes without effect, in the terms of the product;
    /// `None` = the usual words.
    fn when_ignored(&self, resource: &str, attributes: &[String]) -> Option<String> {
        let _ = (resource, attributes);
        None
    }
}
