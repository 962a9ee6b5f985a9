//! The life of orders, one step after the other at random: edits on both sides, runs, reviews, applies, crashes, retries;
//! after each step the program's memory and the target are held against a small model.
//!
//! `MUSTER_PLANS` plays more histories, `MUSTER_SEED` one again. One that fails is made smaller before it is told.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "state_machine/effect.rs"]
mod effect;
#[path = "state_machine/history.rs"]
mod history;
#[path = "support/house.rs"]
mod house;
#[path = "fire/round.rs"]
mod round;
mod support;
#[path = "state_machine/wishes.rs"]
mod wishes;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use history::{Step, play, steps};

/// Histories that are under way at once: they wait more than they work.
const AT_ONCE: usize = 4;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// The smallest history that still fails, with why.
async fn shrunk(seed: u64, steps: Vec<Step>, why: String) -> (Vec<Step>, String) {
    let (mut steps, mut why) = (steps, why);
    'smaller: loop {
        for at in (0..steps.len()).rev() {
            let mut less = steps.clone();
            less.remove(at);
            if let Err(still) = play(seed, &less).await {
                (steps, why) = (less, still);
                continue 'smaller;
            }
        }
        return (steps, why);
    }
}

#[test]
fn no_order_lives_twice_and_nothing_changes_that_nobody_approved() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (first, count) = match number("MUSTER_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("MUSTER_PLANS").unwrap_or(60)),
    };
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + count || failed.lock().unwrap().len() >= 3 {
                        return;
                    }
                    let steps = steps(seed);
                    if let Err(why) = runtime.block_on(play(seed, &steps)) {
                        let (steps, why) = runtime.block_on(shrunk(seed, steps, why));
                        failed.lock().unwrap().push(format!("seed {seed}: {steps:#?}\n{why}\n"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} histories failed:\n{}", failed.len(), failed.join("\n"));
}
