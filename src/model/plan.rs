//! The plan: a header and a sorted stream of orders.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::approval::Refusal;
use super::digest::Digest;
use super::order::{Operation, Order, OrderId};
use super::resource::ResourceName;
use super::run::RunId;
use super::situation::Situation;
use super::threshold::Excess;

/// plan.json: everything about a plan but its orders, which stand in orders.ndjson beside it.
///
/// Deterministic: the same snapshots, job file and state give the same bytes, so it names no run and no time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// The job's name.
    pub job: String,
    /// SHA-256 of the job file.
    pub job_digest: Digest,
    /// What each target is by address, as its connector names it: an order is for this one and for no other that the
    /// job file may name later.
    pub targets: BTreeMap<String, String>,
    /// SHA-256 of each snapshot that the plan was made from.
    pub snapshots: BTreeMap<ResourceName, Digest>,
    /// SHA-256 of orders.ndjson.
    pub orders_digest: Digest,
    /// How many orders stand there.
    pub orders: u64,
    /// New orders by resource type and operation.
    pub counts: BTreeMap<ResourceName, BTreeMap<Operation, u64>>,
    /// How many of these orders are renames, by resource type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub renames: BTreeMap<ResourceName, u64>,
    /// Objects by situation, for each sync in the job file's order.
    pub situations: Vec<SyncSituations>,
    /// Managed objects, or rows of the association, before: by what thresholds are about, `vault.users`,
    /// `vault.users/admins`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sizes: BTreeMap<String, u64>,
    /// Provisioning thresholds that all live orders together exceed.
    pub excesses: Vec<Excess>,
    /// What a person should know, in sentences.
    pub warnings: Vec<String>,
    /// Orders that cannot be undone once they are applied; each says why.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub irreversible: u64,
    /// What is wanted and not raised, because it was rejected or reverted before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
    /// Of a plan that undoes a run: which, and what of it is left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts: Option<Reverted>,
}

/// Something that is wanted and not raised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Withheld {
    /// The order that was rejected, or that undid it.
    pub order: OrderId,
    /// What is wanted, in words.
    pub about: String,
    /// Why it is not raised, in half a sentence.
    pub why: String,
}

/// The run that a plan undoes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverted {
    /// The run.
    pub run: RunId,
    /// Applied orders of it that no order undoes, in the sequence of its plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftOrder>,
}

/// An applied order that is not undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOrder {
    /// The order.
    pub order: OrderId,
    /// What it did.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// What a person looks for.
    pub key: String,
    /// Why, in half a sentence.
    pub why: String,
    /// Whether nothing is left to be done: all is as it was before the order.
    pub is_undone: bool,
}

impl LeftOrder {
    /// One that is left for a reason.
    pub fn of(order: &Order, why: String, is_undone: bool) -> Self {
        let (operation, resource) = (order.operation, order.resource.clone());
        Self { order: order.id.clone(), operation, resource, key: order.key.clone(), why, is_undone }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How many objects are in which situation, for one sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSituations {
    /// `from → to`.
    pub sync: String,
    /// Whether nothing had been linked by this sync before.
    pub first_run: bool,
    /// Objects by situation.
    pub counts: BTreeMap<Situation, u64>,
    /// Objects that are to be deleted after a grace, and wait for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<InGrace>,
}

/// Objects that wait for the end of their grace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InGrace {
    /// How many.
    pub objects: u64,
    /// When the first of those that were known before becomes due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
}

impl Plan {
    /// The format that this version writes.
    pub const FORMAT: u32 = 2;

    /// The bytes of plan.json.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Refuses a target that is another one than the plan was made for.
    ///
    /// # Errors
    /// [`Refusal::OtherTarget`].
    pub fn require_target(&self, run: &RunId, system: &str, identity: &str) -> Result<(), Refusal> {
        let planned = self.targets.get(system).map_or("", String::as_str);
        if planned == identity {
            return Ok(());
        }
        Err(Refusal::OtherTarget {
            run: run.clone(),
            system: system.to_owned(),
            planned: planned.to_owned(),
            named: identity.to_owned(),
        })
    }

    /// The digest that approvals bind to: of plan.json, which holds the digest of the orders.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// Sorts orders into the sequence in which they stand in a plan: by resource type, operation, object.
pub fn sort_orders(orders: &mut [Order]) {
    sort_wide(orders, |a, b| {
        (a.sync, &a.resource, a.operation, &a.object, &a.id).cmp(&(b.sync, &b.resource, b.operation, &b.object, &b.id))
    });
}

/// Sorts what is many words long, as orders are: by their numbers first, so that each of them moves but once or twice.
/// Equal ones keep their order.
pub fn sort_wide<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    if items.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return;
    }
    // Where what belongs into each place is found.
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by(|a, b| compare(&items[*a], &items[*b]));
    for place in 0..places.len() {
        // Meanwhile it was moved to where that place's own went.
        let mut found = places[place];
        while found < place {
            found = places[found];
        }
        places[place] = found;
        items.swap(place, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn wide_things_are_sorted_as_others_are(keys in proptest::collection::vec(0_u8..40, 0..120)) {
            // What is equal shows by its second half whether it kept its order.
            let mut wide: Vec<(u8, usize)> = keys.into_iter().zip(0..).collect();
            let mut plain = wide.clone();
            sort_wide(&mut wide, |a, b| a.0.cmp(&b.0));
            plain.sort_by_key(|(key, _)| *key);
            proptest::prop_assert_eq!(wide, plain);
        }
    }
}
