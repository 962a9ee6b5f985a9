//! Whether so much may change: snapshots against their baseline, orders against what is managed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::order::Operation;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::model::threshold::{Bound, Earlier, Excess, Limit, Threshold, Window};

use super::policy::{OrderThresholds, ScopedThresholds};

/// As many keys as an excess names.
const FIRST: usize = 10;

/// Limits on what may differ between a snapshot and its baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotThresholds {
    /// Rows that the baseline does not have.
    pub inserted: Vec<Threshold>,
    /// Rows that differ from the baseline's.
    pub updated: Vec<Threshold>,
    /// Rows of the baseline that are gone.
    pub deleted: Vec<Threshold>,
}

impl Default for SnapshotThresholds {
    fn default() -> Self {
        let changing = || vec![Threshold::of_run(Limit { count: None, percent: Some(20.0), floor: Limit::FLOOR })];
        let deleted = Limit { count: Some(100), percent: Some(5.0), floor: Limit::FLOOR };
        Self { inserted: changing(), updated: changing(), deleted: vec![Threshold::of_run(deleted)] }
    }
}

impl SnapshotThresholds {
    /// What they are about, as it stands in their names, with those about it.
    pub fn each(&self) -> [(&'static str, &[Threshold]); 3] {
        [("inserted", &self.inserted), ("updated", &self.updated), ("deleted", &self.deleted)]
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

/// Something that happened before, as thresholds over time count it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bygone {
    /// How long ago.
    pub age: Duration,
    /// The run that it came of.
    pub run: RunId,
    /// How many orders or rows.
    pub count: u64,
}

/// By name, the newest run for which a person accepted a threshold over time: what that run and those before it
/// brought was accepted with it, and is not counted again.
pub type Settled = BTreeMap<String, RunId>;

/// Rows of one resource that moved: now, and in snapshots that were accepted before.
#[derive(Clone, Debug, Default)]
pub struct Movements {
    /// Rows of the baseline.
    pub rows: u64,
    /// What moved since the baseline, by the words of [`SnapshotThresholds::each`].
    pub now: BTreeMap<&'static str, Moved>,
    /// The same of accepted snapshots before.
    pub before: BTreeMap<&'static str, Vec<Bygone>>,
}

/// Judges a snapshot against its baseline. Names are `idp.users/deleted/count`, over time `idp.users/deleted/count/7d`.
pub fn synchronization(
    resource: &ResourceName,
    movements: &Movements,
    thresholds: &SnapshotThresholds,
    settled: &Settled,
) -> Vec<Excess> {
    judge(&of_snapshot(resource, movements, thresholds), settled)
}

/// What the thresholds of a snapshot are held against.
pub fn of_snapshot<'a>(
    resource: &ResourceName,
    movements: &'a Movements,
    thresholds: &'a SnapshotThresholds,
) -> Vec<Figures<'a>> {
    let figures = thresholds.each().into_iter().map(|(word, thresholds)| Figures {
        name: format!("{resource}/{word}"),
        now: movements.now.get(word).cloned().unwrap_or_default(),
        before: movements.before.get(word).map(Vec::as_slice).unwrap_or_default().iter().collect(),
        size: movements.rows,
        judge_percent: true,
        thresholds: thresholds.iter().collect(),
    });
    figures.collect()
}

/// Whose orders a load counts: all of a target resource, or those that a scoped threshold of this name counts.
pub type Subject = (ResourceName, Option<String>);

/// A subject as it stands in names: `vault.users`, `vault.users/admins`.
pub fn subject_name((resource, scope): &Subject) -> String {
    scope.as_ref().map_or_else(|| resource.to_string(), |scope| format!("{resource}/{scope}"))
}

/// The live orders of one subject, by operation.
#[derive(Clone, Debug, Default)]
pub struct Load<'a> {
    /// Managed objects, or rows of the association, before.
    pub size: u64,
    /// Whether a percent means nothing yet.
    pub first_run: bool,
    /// The limits of each sync that provisions it.
    pub thresholds: Vec<&'a OrderThresholds>,
    /// Live orders.
    pub orders: BTreeMap<Operation, Moved>,
    /// Orders that were applied before.
    pub before: BTreeMap<Operation, Vec<Bygone>>,
    /// Live orders that are renames, which are no plain updates.
    pub renames: Moved,
    /// Those that were applied before.
    pub renames_before: Vec<Bygone>,
}

/// Marks an order as a rename, among the names of the scoped thresholds that count it.
pub const RENAME: &str = "rename";

/// Marks an update that closes a circle of references, or opens one before deletes, in the same place: it belongs to the
/// create or the delete of its object, which is counted.
pub const CLOSING: &str = "@closing";

fn is_counted(marks: &[String]) -> bool {
    !marks.iter().any(|mark| mark == CLOSING)
}

/// Whether an order is counted as a rename: one that takes an account out of use is counted for that.
fn is_rename(operation: Operation, marks: &[String]) -> bool {
    matches!(operation, Operation::Update | Operation::Enable) && marks.iter().any(|mark| mark == RENAME)
}

impl Load<'_> {
    /// Counts so many live orders alike.
    pub fn add_count(&mut self, operation: Operation, marks: &[String], count: u64) {
        match is_rename(operation, marks) {
            true => self.renames.count += count,
            false => self.orders.entry(operation).or_default().count += count,
        }
    }

    /// Counts a live order; `marks` are the scoped thresholds that count it, and whether it is a rename.
    pub fn add(&mut self, operation: Operation, marks: &[String], key: &str) {
        match is_rename(operation, marks) {
            true => self.renames.add(key),
            false => self.orders.entry(operation).or_default().add(key),
        }
    }

    /// The same of orders that were applied before.
    pub fn add_before(&mut self, operation: Operation, marks: &[String], bygone: Bygone) {
        match is_rename(operation, marks) {
            true => self.renames_before.push(bygone),
            false => self.before.entry(operation).or_default().push(bygone),
        }
    }
}

/// The loads of a plan.
#[derive(Clone, Debug, Default)]
pub struct Loads<'a>(pub BTreeMap<Subject, Load<'a>>);

impl<'a> Loads<'a> {
    /// The load of a resource as a whole.
    pub fn of(&mut self, resource: &ResourceName) -> &mut Load<'a> {
        self.0.entry((resource.clone(), None)).or_default()
    }

    /// The load that a scoped threshold counts.
    pub fn of_scope(&mut self, resource: &ResourceName, scoped: &'a ScopedThresholds) -> &mut Load<'a> {
        let load = self.0.entry((resource.clone(), Some(scoped.name.clone()))).or_default();
        load.thresholds.push(&scoped.thresholds);
        load
    }

    /// Whether anything of a resource is judged.
    pub fn has(&self, resource: &ResourceName) -> bool {
        self.0.contains_key(&(resource.clone(), None))
    }

    /// Every load that counts an order of a resource which these scoped thresholds count.
    pub fn counting(&mut self, resource: &ResourceName, scopes: &[String], mut count: impl FnMut(&mut Load<'a>)) {
        for ((of, scope), load) in &mut self.0 {
            if of == resource && is_counted(scopes) && scope.as_ref().is_none_or(|scope| scopes.contains(scope)) {
                count(load);
            }
        }
    }
}

/// Judges all live orders. Names are `vault.users/disable/percent`, for disables and deletes together
/// `vault.users/removal/percent`, within a scope `vault.users/admins/disable/count`. Enables count as updates.
pub fn provisioning(loads: &Loads<'_>, settled: &Settled) -> Vec<Excess> {
    judge(&of_orders(loads), settled)
}

/// What the thresholds of orders are held against.
pub fn of_orders<'a>(loads: &'a Loads<'a>) -> Vec<Figures<'a>> {
    let mut figures = Vec::new();
    for (subject, load) in &loads.0 {
        for (word, operations, pick) in GROUPS {
            let mut now = Moved::default();
            for part in operations.iter().filter_map(|operation| load.orders.get(operation)) {
                now.count += part.count;
                now.first.extend(part.first.iter().cloned());
            }
            now.first.sort();
            now.first.truncate(FIRST);
            let mut before: Vec<&Bygone> =
                operations.iter().filter_map(|operation| load.before.get(operation)).flatten().collect();
            if word == RENAME {
                (now, before) = (load.renames.clone(), load.renames_before.iter().collect());
            }
            figures.push(Figures {
                name: format!("{}/{word}", subject_name(subject)),
                now,
                before,
                size: load.size,
                judge_percent: !load.first_run,
                thresholds: load.thresholds.iter().flat_map(|thresholds| pick(thresholds)).collect(),
            });
        }
    }
    figures
}

type Group = (&'static str, &'static [Operation], fn(&OrderThresholds) -> &[Threshold]);

/// What is limited: the word in its name, the operations counted, the limits.
pub const GROUPS: [Group; 8] = [
    ("create", &[Operation::Create], |limits| &limits.create),
    ("update", &[Operation::Update, Operation::Enable], |limits| &limits.update),
    (RENAME, &[Operation::Update, Operation::Enable], |limits| &limits.rename),
    ("disable", &[Operation::Disable], |limits| &limits.disable),
    ("delete", &[Operation::Delete], |limits| &limits.delete),
    ("add", &[Operation::Add], |limits| &limits.add),
    ("remove", &[Operation::Remove], |limits| &limits.remove),
    ("removal", &[Operation::Disable, Operation::Delete], |limits| &limits.removal_sum),
];

/// The orders that a threshold of a name counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<'a> {
    scope: Option<&'a str>,
    operations: &'static [Operation],
    renames: bool,
}

impl<'a> Counted<'a> {
    /// What the threshold of a name counts of one resource; `None` where the name is none of its.
    pub fn by(name: &'a str, resource: &ResourceName) -> Option<Self> {
        let mut parts = name.strip_prefix(&resource.to_string())?.strip_prefix('/')?.split('/');
        let group = |word: &str| GROUPS.iter().find(|(group, ..)| *group == word);
        let first = parts.next()?;
        let (scope, (word, operations, _)) = match group(first) {
            Some(group) => (None, group),
            None => (Some(first), group(parts.next()?)?),
        };
        Some(Self { scope, operations, renames: *word == RENAME })
    }

    /// Whether it counts an order of the resource, which these scoped thresholds count.
    pub fn counts(self, operation: Operation, scopes: &[String]) -> bool {
        self.operations.contains(&operation)
            && is_counted(scopes)
            && self.renames == is_rename(operation, scopes)
            && self.scope.is_none_or(|scope| scopes.iter().any(|known| known == scope))
    }
}

/// What some thresholds are held against.
#[derive(Clone, Debug)]
pub struct Figures<'a> {
    /// What their names begin with: `vault.users/disable`.
    pub name: String,
    /// What is there now.
    pub now: Moved,
    before: Vec<&'a Bygone>,
    /// The size before.
    pub size: u64,
    /// Whether a percent means something: not on a first load.
    pub judge_percent: bool,
    /// The thresholds; those of several syncs may be of one window.
    pub thresholds: Vec<&'a Threshold>,
}

impl Figures<'_> {
    /// What happened before within a window, but for what was settled with this run and those before it.
    pub fn earlier(&self, window: Window, settled: Option<&RunId>) -> u64 {
        let counts = |one: &&&Bygone| one.age <= window.0 && settled.is_none_or(|settled| one.run > *settled);
        self.before.iter().filter(counts).map(|one| one.count).sum()
    }
}

/// Every figure against its thresholds, sorted by name; where several trip under one name, the strictest is told. What
/// is over its limit by the past alone is no news: something of it has to be there now.
pub fn judge(figures: &[Figures<'_>], settled: &Settled) -> Vec<Excess> {
    let mut tripped: BTreeMap<String, Excess> = BTreeMap::new();
    for figures in figures.iter().filter(|figures| figures.now.count > 0) {
        for threshold in &figures.thresholds {
            for bound in threshold.at(figures.size).bounds(figures.size, figures.judge_percent) {
                let Some(excess) = excess(figures, threshold, bound, settled) else { continue };
                let strictest = tripped.entry(excess.name.clone()).or_insert(excess);
                strictest.limit = strictest.limit.min(bound.figure());
            }
        }
    }
    tripped.into_values().collect()
}

fn excess(figures: &Figures<'_>, threshold: &Threshold, bound: Bound, settled: &Settled) -> Option<Excess> {
    let Figures { now, size, .. } = figures;
    let name = format!("{}/{}{}", figures.name, bound.word(), threshold.suffix());
    let earlier = threshold.window.map(|window| {
        let figure = figures.earlier(window, settled.get(&name));
        Earlier { window: window.to_string(), figure }
    });
    let figure = now.count + earlier.as_ref().map_or(0, |earlier| earlier.figure);
    let first = now.first.clone();
    let limit = bound.figure();
    bound.is_exceeded(figure, *size).then_some(Excess {
        name,
        limit,
        figure,
        size: *size,
        first,
        earlier,
        explanation: None,
    })
}

#[cfg(test)]
#[path = "threshold_tests.rs"]
mod tests;
