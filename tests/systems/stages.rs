//! The stages of a whole loop: a first load that is killed on its way, and changes until nothing is left to do.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::World;

/// Tells how long a loop has been under way.
pub(crate) struct Laps(Instant);

impl Laps {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn lap(&self, what: &str) {
        println!("{what}: {:.1} s", self.0.elapsed().as_secs_f64());
    }
}

/// Where an apply is killed: once the target has so many, and before it has all.
pub(crate) struct Kill<'a> {
    pub(crate) count: &'a dyn Fn() -> usize,
    pub(crate) at: usize,
    pub(crate) all: usize,
}

/// Loads an empty target, with so many orders, and kills the apply on its way: nothing is lost, nothing is done twice.
pub(crate) fn first_load(world: &World, job: &str, orders: usize, kills: &[Kill<'_>]) {
    world.muster(&["check", job]).ended(0);
    world.muster(&["run", job]).ended(3);
    assert_eq!(world.orders(job, &world.newest_run(job)).len(), orders);
    world.muster(&["approve", job, "--all", "--comment", "first load"]).ended(0);
    for Kill { count, at, all } in kills {
        let began = Instant::now();
        let mut child = world.command(&["apply", job]).spawn().unwrap();
        while count() < *at {
            let is_in_time = began.elapsed() < Duration::from_secs(240);
            assert!(is_in_time && child.try_wait().unwrap().is_none(), "it ended before");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(count() < *all, "it was killed too late");
    }
    world.muster(&["apply", job]).ended(0);
}

/// A complete run finds nothing to do.
pub(crate) fn nothing_is_left_to_do(world: &World, job: &str) {
    world.muster(&["run", job, "--mode", "complete"]).ended(0);
    assert_eq!(world.orders(job, &world.newest_run(job)), Vec::<Value>::new());
}

/// Runs a job, and gets everything that it wants to do approved and applied. Gives what held it on the way.
pub(crate) fn brought_into_step(world: &World, job: &str, comment: &str) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for _ in 0..3 {
        let said = world.muster(&["run", job]);
        if said.status == 0 {
            return held;
        }
        assert!([3, 4].contains(&said.status), "{said:?}");
        let holds: BTreeSet<String> = said
            .err
            .split("--accept ")
            .skip(1)
            .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
            .collect();
        assert_eq!(said.status == 4, !holds.is_empty(), "{said:?}");
        let mut approve = vec!["approve", job, "--all", "--comment", comment];
        holds.iter().for_each(|name| approve.extend(["--accept", name]));
        let said = world.muster(&approve);
        assert!([0, 3, 4].contains(&said.status), "{said:?}");
        world.muster(&["apply", job]).ended(0);
        held.extend(holds);
    }
    panic!("orders keep coming, held by {held:?}");
}
