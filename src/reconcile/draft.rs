//! What a plan comes to: orders, and what is to be remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::model::grace::Grace;
use crate::model::link::{Agreed, How, Link};
use crate::model::order::{Block, Operation, Order, OrderId};
use crate::model::plan::{SyncSituations, Withheld};
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;
use crate::model::threshold::Excess;

/// A plan before it is written. Deterministic, sorted throughout.
#[derive(Debug, Default)]
pub struct PlanDraft {
    /// New orders, in the order of [`crate::model::plan::sort_orders`].
    pub orders: Vec<Order>,
    /// Live orders that are still wanted and stay where they are.
    pub kept: Vec<OrderId>,
    /// Kept orders whose block changed: a cause appeared or is gone. `None` lifts the block; where one cause follows
    /// another, the block is lifted first and set by a second entry.
    pub reblocked: Vec<(OrderId, Option<Block>)>,
    /// Wanted again, but a reviewer refused the same content, or had it undone.
    pub withheld: Vec<Withheld>,
    /// Handed over to people and not done yet: the order, and what it was about.
    pub handed_over: Vec<(OrderId, String)>,
    /// Orders that withhold nothing any more, with the reason.
    pub lapsed: Vec<(OrderId, String)>,
    /// Live orders that were replaced or are no longer wanted, with the reason.
    pub superseded: Vec<(OrderId, String)>,
    /// Managed objects, or rows of the association, before: by what thresholds are about, `vault.users`,
    /// `vault.users/admins`.
    pub sizes: BTreeMap<String, u64>,
    /// Thresholds that the live orders together exceed and nobody accepted.
    pub excesses: Vec<Excess>,
    /// Objects by situation, for each planned sync.
    pub situations: Vec<SyncSituations>,
    /// What changed about links, for each sync of objects.
    pub links: Vec<LinkBook>,
    /// Objects that are not confirmed, where the input asked for them.
    pub listed: Vec<ListedObject>,
    /// Syncs of which no row can be judged, by id: nothing was decided about anybody.
    pub judges_nobody: Vec<String>,
    /// What a person should know, in sentences.
    pub warnings: Vec<String>,
}

impl PlanDraft {
    /// How many new orders are renames, by resource type.
    pub fn renames(&self) -> BTreeMap<ResourceName, u64> {
        let mut renames = BTreeMap::new();
        for order in self.orders.iter().filter(|order| order.renamed_from.is_some()) {
            *renames.entry(order.resource.clone()).or_default() += 1;
        }
        renames
    }

    /// New orders by resource type and operation.
    pub fn counts(&self) -> BTreeMap<ResourceName, BTreeMap<Operation, u64>> {
        let mut counts: BTreeMap<ResourceName, BTreeMap<Operation, u64>> = BTreeMap::new();
        for order in &self.orders {
            *counts.entry(order.resource.clone()).or_default().entry(order.operation).or_default() += 1;
        }
        counts
    }
}

/// What a plan learned about the links of one sync. Kept compact: a first load agrees on every object.
#[derive(Debug, Default)]
pub struct LinkBook {
    /// The sync's id.
    pub sync_id: String,
    /// The mapped attributes, sorted, in the order of [`Settled::values`].
    pub attributes: Arc<[String]>,
    /// Matches of 100 % confidence that were found confirmed: links to record.
    pub recorded: Vec<Settled>,
    /// Linked objects that were found confirmed with values other than the agreed ones.
    pub agreed: Vec<Settled>,
    /// Objects whose grace goes on or ended, by source key, as far as that has to be remembered.
    pub graces: Vec<(String, Option<Grace>)>,
    /// Links whose object is gone from the target, or from both sides: source key, target id, why.
    pub dropped: Vec<(String, String, String)>,
}

/// A confirmed object.
#[derive(Debug)]
pub struct Settled {
    /// The source row's key.
    pub source_key: Box<str>,
    /// The target's id.
    pub target_id: Box<str>,
    /// How its link came to be.
    pub how: How,
    /// Digest of all cells of the source row.
    pub source_digest: u64,
    /// Digest of each mapped attribute.
    pub values: Box<[u64]>,
}

impl LinkBook {
    /// The links to remember, new ones first, each with its agreed state.
    pub fn links(&self) -> impl Iterator<Item = Link> + '_ {
        self.recorded.iter().chain(&self.agreed).map(|settled| Link {
            source_key: settled.source_key.to_string(),
            target_id: settled.target_id.to_string(),
            how: settled.how,
            agreed: Agreed::of(settled.source_digest, &self.attributes, &settled.values),
        })
    }
}

/// An object that is not confirmed, for listings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedObject {
    /// The sync, as its position in the job file.
    pub sync: usize,
    /// How it stands.
    pub situation: Situation,
    /// The source key, else the target id.
    pub key: String,
    /// What to call it; may be empty.
    pub name: String,
    /// The target's id, where there is one.
    pub target_id: Option<String>,
    /// What there is to say about it; may be empty.
    pub note: String,
    /// When its delete becomes due, where it is in grace.
    pub due: Option<DateTime<Utc>>,
}
