//! Whether so much may change: snapshots against their baseline, orders against what is managed.

use std::collections::BTreeMap;

use crate::model::order::Operation;
use crate::model::resource::ResourceName;
use crate::model::threshold::{Excess, Limit};

use super::policy::OrderThresholds;

/// As many keys as an excess names.
const FIRST: usize = 10;

/// Limits on what may differ between a snapshot and its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SnapshotLimits {
    /// Rows that are new.
    pub inserted: Limit,
    /// Rows whose cells differ.
    pub updated: Limit,
    /// Rows that are gone.
    pub deleted: Limit,
}

impl Default for SnapshotLimits {
    /// The same as for orders: what is gone is limited to 5 % or 25, whichever comes first, the rest to 20 %.
    fn default() -> Self {
        let orders = OrderThresholds::default();
        Self { inserted: orders.create, updated: orders.update, deleted: orders.delete }
    }
}

/// How many rows moved in one way, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub count: u64,
    /// The first ten keys.
    pub first: Vec<String>,
}

impl Moved {
    /// Counts one more; the ten smallest keys are kept, so that the order of rows does not matter.
    pub fn add(&mut self, key: &str) {
        self.count += 1;
        if let Err(place) = self.first.binary_search_by(|known| known.as_str().cmp(key))
            && place < FIRST
        {
            self.first.insert(place, key.to_owned());
            self.first.truncate(FIRST);
        }
    }
}

/// Judges a snapshot against its baseline of `rows` rows. Names are `idp.users/deleted/count`.
pub fn synchronization(
    resource: &ResourceName,
    inserted: &Moved,
    updated: &Moved,
    deleted: &Moved,
    rows: u64,
    limits: &SnapshotLimits,
) -> Vec<Excess> {
    let mut excesses = Vec::new();
    for (word, moved, limit) in [
        ("inserted", inserted, limits.inserted),
        ("updated", updated, limits.updated),
        ("deleted", deleted, limits.deleted),
    ] {
        judge(&format!("{resource}/{word}"), moved, rows, &[limit], true, &mut excesses);
    }
    excesses
}

/// The live orders of one target resource, by operation.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Managed objects, or rows of the association, before.
    pub size: u64,
    /// Whether a percent means nothing yet.
    pub first_run: bool,
    /// The limits of each sync that provisions it.
    pub limits: Vec<OrderThresholds>,
    /// Live orders.
    pub orders: BTreeMap<Operation, Moved>,
}

/// Judges all live orders. Names are `vault.users/disable/percent`, for disables and deletes together
/// `vault.users/removal/percent`. Enables count as updates.
pub fn provisioning(loads: &BTreeMap<ResourceName, Load>) -> Vec<Excess> {
    let mut excesses = Vec::new();
    for (resource, load) in loads {
        for (word, operations, pick) in GROUPS {
            let mut moved = Moved::default();
            for part in operations.iter().filter_map(|operation| load.orders.get(operation)) {
                moved.count += part.count;
                moved.first.extend(part.first.iter().cloned());
            }
            moved.first.sort();
            moved.first.truncate(FIRST);
            let limits: Vec<Limit> = load.limits.iter().map(pick).collect();
            judge(&format!("{resource}/{word}"), &moved, load.size, &limits, !load.first_run, &mut excesses);
        }
    }
    excesses
}

type Group = (&'static str, &'static [Operation], fn(&OrderThresholds) -> Limit);

/// What is limited: the word in its name, the operations counted, the limit.
const GROUPS: [Group; 7] = [
    ("create", &[Operation::Create], |limits| limits.create),
    ("update", &[Operation::Update, Operation::Enable], |limits| limits.update),
    ("disable", &[Operation::Disable], |limits| limits.disable),
    ("delete", &[Operation::Delete], |limits| limits.delete),
    ("add", &[Operation::Add], |limits| limits.add),
    ("remove", &[Operation::Remove], |limits| limits.remove),
    ("removal", &[Operation::Disable, Operation::Delete], |limits| limits.removal_sum),
];

/// The operations that the excess of a name is about, for one resource; empty where the name is none of its.
pub(crate) fn operations_of(name: &str, resource: &ResourceName) -> &'static [Operation] {
    let word = name.strip_prefix(&resource.to_string()).and_then(|rest| rest.strip_prefix('/'));
    let word = word.and_then(|rest| rest.split('/').next());
    GROUPS.iter().find(|(group, _, _)| Some(*group) == word).map_or(&[], |(_, operations, _)| operations)
}

/// One figure against all its limits; where several trip in one way, the strictest is told.
fn judge(name: &str, moved: &Moved, size: u64, limits: &[Limit], judge_percent: bool, excesses: &mut Vec<Excess>) {
    let mut tripped: BTreeMap<&'static str, f64> = BTreeMap::new();
    for (part, limit) in limits.iter().flat_map(|limit| limit.exceeded(moved.count, size, judge_percent)) {
        let strictest = tripped.entry(part).or_insert(limit);
        *strictest = strictest.min(limit);
    }
    excesses.extend(tripped.into_iter().map(|(part, limit)| Excess {
        name: format!("{name}/{part}"),
        limit,
        figure: moved.count,
        size,
        first: moved.first.clone(),
        explanation: None,
    }));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn moved(count: u64) -> Moved {
        let mut moved = Moved::default();
        (0..count).rev().for_each(|i| moved.add(&format!("k{i:04}")));
        moved
    }

    #[test]
    fn limits_are_strict_and_have_a_floor() {
        let resource: ResourceName = "idp.users".parse().unwrap();
        let limits = SnapshotLimits {
            inserted: Limit::OFF,
            updated: Limit { count: None, percent: Some(20.0), floor: 50 },
            deleted: Limit { count: Some(25), percent: Some(5.0), floor: 50 },
        };
        let names = |updated, deleted, rows| -> Vec<String> {
            synchronization(&resource, &moved(999), &moved(updated), &moved(deleted), rows, &limits)
                .into_iter()
                .map(|excess| excess.name)
                .collect()
        };
        assert!(names(200, 25, 1000).is_empty());
        assert_eq!(names(201, 25, 1000), ["idp.users/updated/percent"]);
        assert_eq!(names(0, 26, 1000), ["idp.users/deleted/count"]);
        assert_eq!(names(0, 26, 100), ["idp.users/deleted/count", "idp.users/deleted/percent"]);
        assert!(names(49, 25, 49).is_empty());
        let first = &synchronization(&resource, &moved(0), &moved(0), &moved(26), 1000, &limits)[0].first;
        assert_eq!((first.len(), first[0].as_str()), (10, "k0000"));
    }

    #[test]
    fn disables_and_deletes_are_limited_together() {
        let resource: ResourceName = "vault.users".parse().unwrap();
        let orders = [(Operation::Disable, moved(20)), (Operation::Delete, moved(20))].into();
        let mut load = Load { size: 10_000, first_run: false, limits: vec![OrderThresholds::default()], orders };
        let names = |load: &Load| -> Vec<String> {
            provisioning(&[(resource.clone(), load.clone())].into()).into_iter().map(|excess| excess.name).collect()
        };
        assert_eq!(names(&load), ["vault.users/removal/count"]);
        load.size = 100;
        assert_eq!(names(&load).len(), 4, "each alone by percent, and the sum by both");
        load.first_run = true;
        assert_eq!(names(&load), ["vault.users/removal/count"], "numbers hold a first run, percentages do not");
    }
}
