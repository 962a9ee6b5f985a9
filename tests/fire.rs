//! Recovery under fire: whatever goes wrong while approved orders are applied, in the end the target is what was
//! approved, each order has one outcome, and nothing is in effect twice.
//!
//! A plan of faults comes from a seed. `MUSTER_PLANS` plays more of them, `MUSTER_SOAK=10m` plays until the time is over,
//! `MUSTER_SEED` plays one again. A plan that fails is made smaller before it is told.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "support/house.rs"]
mod house;
#[path = "fire/plan.rs"]
mod plan;
#[path = "fire/play.rs"]
mod play;
#[path = "fire/round.rs"]
mod round;
mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plan::FaultPlan;
use play::{Scene, play};

/// Plans that are under way at once: they wait more than they work.
const AT_ONCE: usize = 6;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// `10m`, `90s`, `2h`.
fn soak() -> Option<Duration> {
    let text = std::env::var("MUSTER_SOAK").ok()?;
    Some(muster::job::timer::duration(&text).unwrap_or_else(|error| panic!("MUSTER_SOAK={text}: {error}")))
}

/// The smallest plan that still fails, with why.
async fn shrunk(scene: &Scene, plan: FaultPlan, why: String) -> (FaultPlan, String) {
    let (mut plan, mut why) = (plan, why);
    'smaller: loop {
        for less in plan.smaller() {
            if let Err(still) = play(scene, &less).await {
                (plan, why) = (less, still);
                continue 'smaller;
            }
        }
        return (plan, why);
    }
}

#[test]
fn whatever_goes_wrong_the_target_is_what_was_approved() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (first, plans) = match number("MUSTER_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("MUSTER_PLANS").unwrap_or(1_000)),
    };
    let until = soak().map(|time| Instant::now() + time);
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                let address = house::lasting_address();
                let scenes: Vec<Scene> = (0..Scene::ALL).map(|n| runtime.block_on(Scene::of(n, address))).collect();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    let enough = until.map_or(seed >= first + plans, |until| Instant::now() >= until);
                    if enough || failed.lock().unwrap().len() >= 3 {
                        return;
                    }
                    let (plan, scene) = (FaultPlan::of(seed), &scenes[seed as usize % scenes.len()]);
                    if let Err(why) = runtime.block_on(play(scene, &plan)) {
                        let told = runtime.block_on(shrunk(scene, plan, why));
                        failed.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    let played = next.into_inner() - first - AT_ONCE as u64;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    (first..first + played).for_each(|seed| FaultPlan::of(seed).count(&mut kinds));
    eprintln!("{played} plans in {:?}: {kinds:?}", begun.elapsed());
    let failed = failed.into_inner().unwrap();
    let told: Vec<String> = failed.iter().map(|(plan, why)| format!("{plan:#?}\n{why}\n")).collect();
    assert!(told.is_empty(), "{} plans failed:\n{}", told.len(), told.join("\n"));
}
