//! What the thresholds of today would have said to the runs of the past.
//!
//! A run is judged by what was live when it planned, by what had been applied until then, and by how its snapshots
//! moved, all as the database remembers it. A threshold over time that would have held a run which people approved is
//! taken as accepted then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::order::OrderState;
use crate::model::record::{Movement, OrdersOfAKind};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::model::threshold::{Bound, Excess, Window};

use super::policy::{OrderThresholds, ScopedThresholds};
use super::threshold::{
    Bygone, Counted, Figures, Load, Loads, Moved, Movements, Settled, SnapshotThresholds, judge, of_orders, of_snapshot,
};

/// The thresholds that are tried.
#[derive(Clone, Debug, Default)]
pub struct Tried<'a> {
    /// Those of orders, by target resource; a resource may have several syncs.
    pub orders: Vec<(&'a ResourceName, &'a OrderThresholds, &'a [ScopedThresholds])>,
    /// Those of snapshots.
    pub snapshots: Vec<(&'a ResourceName, &'a SnapshotThresholds)>,
}

/// A run of the past.
#[derive(Clone, Debug)]
pub struct PastRun {
    /// Its id.
    pub id: RunId,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended, or the next one started.
    pub ended: DateTime<Utc>,
    /// Where it stands.
    pub state: RunState,
    /// Sizes that its plan was judged by, by what thresholds are about.
    pub sizes: BTreeMap<String, u64>,
    /// The resources that it loaded for the first time.
    pub first_loads: BTreeSet<ResourceName>,
    /// Whether a person accepted something that held it.
    pub accepted: bool,
}

/// What is remembered.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The runs to judge and those before them that still count, the oldest first.
    pub runs: Vec<PastRun>,
    /// How many of the newest are judged.
    pub judged: usize,
    /// Every order of the job.
    pub orders: Vec<OrdersOfAKind>,
    /// How snapshots moved.
    pub movements: Vec<Movement>,
}

/// What became of what a threshold counts in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A person approved or accepted it.
    Approved,
    /// A person rejected it.
    Rejected,
    /// Some of it was approved, some rejected.
    Both,
    /// The job's rule approved it.
    ByRule,
    /// Nobody was asked.
    Passed,
    /// It waits for a person.
    Waiting,
    /// A later run took its place.
    Replaced,
}

impl Fate {
    /// Whether it came into effect, so that a threshold should let it through.
    pub fn is_wanted(self) -> bool {
        matches!(self, Self::Approved | Self::ByRule | Self::Passed)
    }

    /// Whether a person was against some of it.
    pub fn is_refused(self) -> bool {
        matches!(self, Self::Rejected | Self::Both)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Both => "both",
            Self::ByRule => "by rule",
            Self::Passed => "passed",
            Self::Waiting => "waiting",
            Self::Replaced => "replaced",
        })
    }
}

/// A threshold that would have held a run.
#[derive(Clone, Debug)]
pub struct Held {
    /// The run.
    pub run: RunId,
    /// The threshold.
    pub excess: Excess,
    /// What became of it.
    pub fate: Fate,
}

/// A figure of a run.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What the threshold counts.
    pub figure: u64,
    /// The size before; 0 where nobody knows.
    pub size: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What a threshold counts, and over which time: `vault.users/disable`, 7d.
pub type Series = (String, Option<Window>);

/// What came of trying thresholds on the past.
#[derive(Clone, Debug, Default)]
pub struct Backtest {
    /// Every threshold that was tried, by name, with its limit at the newest size.
    pub limits: BTreeMap<String, Bound>,
    /// The size from which a percentage is judged, by the limit's name.
    pub floors: BTreeMap<String, u64>,
    /// What would have been held, the oldest first.
    pub held: Vec<Held>,
    /// The figures of each run that had any, the oldest first; first loads are left out.
    pub samples: BTreeMap<Series, Vec<Sample>>,
}

/// Tries thresholds on the past.
pub fn replay(history: &History, tried: &Tried<'_>) -> Backtest {
    let mut backtest = Backtest::default();
    let mut settled = Settled::new();
    let first = history.runs.len().saturating_sub(history.judged);
    for run in history.runs.iter().skip(first) {
        for (resource, thresholds) in &tried.snapshots {
            let Some(movements) = movements(history, run, resource) else { continue };
            let fate = fate_of_snapshot(history, run, resource);
            for figures in of_snapshot(resource, &movements, thresholds) {
                backtest.take(run, &figures, fate, &mut settled);
            }
        }
        let loads = loads(history, run, tried);
        for figures in of_orders(&loads) {
            if let Some(fate) = fate_of_orders(history, run, &figures.name) {
                backtest.take(run, &figures, fate, &mut settled);
            }
        }
    }
    let (sizes, first_loads) =
        history.runs.last().map_or_else(Default::default, |newest| (newest.sizes.clone(), newest.first_loads.clone()));
    for (resource, thresholds) in &tried.snapshots {
        let newest = history.movements.iter().rfind(|movement| movement.resource == **resource);
        let movements = Movements { rows: newest.map_or(0, |newest| newest.rows), ..Movements::default() };
        of_snapshot(resource, &movements, thresholds).iter().for_each(|figures| backtest.name(figures));
    }
    of_orders(&subjects(&sizes, &first_loads, tried)).iter().for_each(|figures| backtest.name(figures));
    backtest
}

impl Backtest {
    fn take(&mut self, run: &PastRun, figures: &Figures<'_>, fate: Fate, settled: &mut Settled) {
        if figures.now.count == 0 {
            return;
        }
        let windows: BTreeSet<Option<Window>> =
            figures.thresholds.iter().map(|threshold| threshold.window).chain([None]).collect();
        // A first load is no measure of what comes after it.
        for window in windows.into_iter().filter(|_| figures.judge_percent) {
            let earlier = window.map_or(0, |window| figures.earlier(window, None));
            let sample = Sample { figure: figures.now.count + earlier, size: figures.size, fate };
            self.samples.entry((figures.name.clone(), window)).or_default().push(sample);
        }
        for excess in judge(std::slice::from_ref(figures), settled) {
            if excess.earlier.is_some() && fate.is_wanted() {
                settled.insert(excess.name.clone(), run.id.clone());
            }
            self.held.push(Held { run: run.id.clone(), excess, fate });
        }
    }

    fn name(&mut self, figures: &Figures<'_>) {
        for threshold in &figures.thresholds {
            let limit = threshold.at(figures.size);
            for bound in limit.count.map(Bound::Count).into_iter().chain(limit.percent.map(Bound::Percent)) {
                let name = format!("{}/{}{}", figures.name, bound.word(), threshold.suffix());
                if let Bound::Percent(_) = bound {
                    self.floors.insert(name.clone(), limit.floor);
                }
                let strictest = self.limits.entry(name).or_insert(bound);
                if bound.figure() < strictest.figure() {
                    *strictest = bound;
                }
            }
        }
    }
}

/// How a resource's snapshot moved in a run, and in those accepted before.
fn movements(history: &History, run: &PastRun, resource: &ResourceName) -> Option<Movements> {
    let of_resource = || history.movements.iter().filter(|movement| movement.resource == *resource);
    let own = of_resource().find(|movement| movement.run == run.id)?;
    let figures = |of: &Movement| [("inserted", of.inserted), ("updated", of.updated), ("deleted", of.deleted)];
    let moved = |(word, count)| (word, Moved { count, first: Vec::new() });
    let mut all =
        Movements { rows: own.rows, now: figures(own).into_iter().map(moved).collect(), before: BTreeMap::new() };
    for earlier in of_resource().filter(|earlier| earlier.at < own.at && earlier.accepted.is_some()) {
        for (word, count) in figures(earlier) {
            let bygone = Bygone { age: between(earlier.at, own.at), run: earlier.run.clone(), count };
            all.before.entry(word).or_default().push(bygone);
        }
    }
    Some(all)
}

fn fate_of_snapshot(history: &History, run: &PastRun, resource: &ResourceName) -> Fate {
    let own = history.movements.iter().find(|one| one.run == run.id && one.resource == *resource);
    match own.is_some_and(|own| own.accepted.is_some()) {
        true if run.accepted => Fate::Approved,
        true => Fate::Passed,
        false if run.state.is_held() => Fate::Waiting,
        false => Fate::Replaced,
    }
}

/// What thresholds are about, without any order yet.
fn subjects<'t>(sizes: &BTreeMap<String, u64>, first_loads: &BTreeSet<ResourceName>, tried: &Tried<'t>) -> Loads<'t> {
    let mut loads = Loads::default();
    let size = |name: &str| sizes.get(name).copied().unwrap_or_default();
    for (resource, thresholds, scoped) in &tried.orders {
        let first_run = first_loads.contains(*resource);
        let load = loads.of(resource);
        (load.size, load.first_run) = (size(&resource.to_string()), first_run);
        load.thresholds.push(thresholds);
        for scoped in scoped.iter() {
            let load = loads.of_scope(resource, scoped);
            (load.size, load.first_run) = (size(&format!("{resource}/{}", scoped.name)), first_run);
        }
    }
    loads
}

/// What was live when a run planned, its own orders included, and what had been applied before.
fn loads<'t>(history: &History, run: &PastRun, tried: &Tried<'t>) -> Loads<'t> {
    let mut loads = subjects(&run.sizes, &run.first_loads, tried);
    let first_load =
        |of: &OrdersOfAKind| history.runs.iter().any(|run| run.id == of.run && run.first_loads.contains(&of.resource));
    for orders in history.orders.iter().filter(|orders| orders.run <= run.id) {
        let count = |load: &mut Load<'_>| {
            if was_live(orders, run) {
                load.add_count(orders.operation, &orders.thresholds, orders.count);
            } else if orders.state == OrderState::Applied && !first_load(orders) {
                let age = between(orders.since, run.started);
                let bygone = Bygone { age, run: orders.run.clone(), count: orders.count };
                load.add_before(orders.operation, &orders.thresholds, bygone);
            }
        };
        loads.counting(&orders.resource, &orders.thresholds, count);
    }
    loads
}

/// Whether orders still counted when a run had planned. What it replaced itself did not.
fn was_live(orders: &OrdersOfAKind, run: &PastRun) -> bool {
    let replaced = orders.state == OrderState::Superseded && orders.since <= run.ended;
    orders.run == run.id || orders.state.is_live() || (orders.since > run.started && !replaced)
}

/// What became of the orders of a run that a threshold counts; `None` where it raised none.
fn fate_of_orders(history: &History, run: &PastRun, name: &str) -> Option<Fate> {
    let counted = |orders: &&OrdersOfAKind| {
        let by = Counted::by(name, &orders.resource);
        orders.run == run.id && by.is_some_and(|by| by.counts(orders.operation, &orders.thresholds))
    };
    let (mut by_person, mut by_rule, mut rejected, mut waiting, mut any) = (false, false, false, false, false);
    for orders in history.orders.iter().filter(counted) {
        any = true;
        match orders.state {
            OrderState::Rejected => rejected = true,
            OrderState::PendingReview | OrderState::Blocked => waiting = true,
            OrderState::Superseded => {}
            _ if orders.by_rule => by_rule = true,
            _ => by_person = true,
        }
    }
    let fate = match (by_person || by_rule, rejected) {
        (true, true) => Fate::Both,
        (true, false) if by_person => Fate::Approved,
        (true, false) => Fate::ByRule,
        (false, true) => Fate::Rejected,
        (false, false) if waiting => Fate::Waiting,
        (false, false) => Fate::Replaced,
    };
    any.then_some(fate)
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}
