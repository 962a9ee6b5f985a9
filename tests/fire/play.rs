//! Plays a fault plan against a company whose orders are approved, and looks at what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use muster::model::approval::Decision;
use muster::model::order::{Operation, OrderId, OrderState};
use muster::model::run::RunId;
use muster::run::Stage;
use muster::store::chain_query::LogQuery;
use muster::store::journal::Finding;

use crate::house::{Content, House};
use crate::plan::FaultPlan;
use crate::round::disturbed;
use crate::support::company::{Person, people, person};

/// No more than what a small company needs.
const FURTHER: &str = "[apply]\nconcurrency = 4\n";

/// A company before its apply: what is copied for each plan, and what must come of it.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    /// Where its vault listens: what is approved is for that address.
    address: SocketAddr,
    run: RunId,
    before: Content,
    after: BTreeMap<String, Person>,
    rejected: Vec<OrderId>,
}

impl Scene {
    /// Scene number `n` of [`Self::ALL`]: a first load; a day's changes; a day's changes of which some are rejected.
    pub(crate) async fn of(n: usize, address: SocketAddr) -> Self {
        let after = match n {
            0 => people(5),
            _ => changed(),
        };
        let house = House::found(&people(if n == 0 { 5 } else { 6 }), FURTHER, address).await;
        if n > 0 {
            house.settle().await;
            house.hr(&after);
        }
        let before = house.content().await;
        let run = house.run(Stage::Plan).await.unwrap().run;
        let refused = |operation| n == 2 && matches!(operation, Operation::Update | Operation::Disable);
        let report = house
            .review(&run, |order| Some(if refused(order.operation) { Decision::Reject } else { Decision::Approve }));
        assert!(report.approved.len() >= 7 && report.refused.is_empty(), "{report:?}");
        assert_eq!(report.rejected.len(), if n == 2 { 3 } else { 0 }, "{report:?}");
        let mut wanted: BTreeMap<String, Person> = after.into_iter().map(|p| (p.id.clone(), p)).collect();
        if n == 2 {
            for kept in [1, 2, 5] {
                wanted.insert(person(kept).id, person(kept));
            }
        }
        Self { folder: house.close().await, address, run, before, after: wanted, rejected: report.rejected }
    }

    pub(crate) const ALL: usize = 3;
}

/// Six people a day later: one may not work, two have other names, one has gone, one is in another team, two are new.
fn changed() -> Vec<Person> {
    let mut people = people(8);
    people[0].enabled = false;
    people[1].family = "Renamed".to_owned();
    people[3].team = "T2".to_owned();
    people[4].email = "other@corp.example".to_owned();
    people.remove(2);
    people
}

/// Plays a plan; the error says what was not as it should be.
pub(crate) async fn play(scene: &Scene, plan: &FaultPlan) -> Result<(), String> {
    let house = House::copy(scene.folder.path(), FURTHER, scene.address).await;
    for round in &plan.rounds {
        disturbed(&house, round).await;
    }
    let played = match recovered(&house, scene).await {
        Ok(()) => checked(&house, scene).await,
        Err(why) => Err(why),
    };
    // The address is the next plan's.
    house.close().await;
    played
}

/// What an operator does afterwards: applies again, says what became of uncertain orders, retries those that failed.
async fn recovered(house: &House, scene: &Scene) -> Result<(), String> {
    for _ in 0..4 {
        let applied =
            house.apply(Duration::ZERO).await.map_err(|error| format!("an apply in peace failed: {error}"))?;
        if applied.stopped.is_some() || !applied.refused.is_empty() || !applied.expired.is_empty() {
            return Err(format!("an apply in peace stopped or refused: {applied:?}"));
        }
        let mut store = house.store();
        let orders = store.orders_of(&scene.run).map_err(|error| error.to_string())?;
        let of = |state| orders.iter().filter(move |order| order.state == state).map(|order| order.id.clone());
        let errored: Vec<OrderId> = of(OrderState::Errored).collect();
        let uncertain: Vec<OrderId> = of(OrderState::Uncertain).collect();
        if errored.is_empty() && uncertain.is_empty() {
            return Ok(());
        }
        for order in uncertain {
            let now = house.now();
            // Only a person who looks can tell; here nothing is left that the next look of an apply would not find.
            store
                .settle(&order, Finding::HadNoEffect, "jane", "looked", &[], now)
                .map_err(|error| error.to_string())?;
        }
        store.retry(&errored, "jane", house.now()).map_err(|error| error.to_string())?;
        house.review(&scene.run, |_| Some(Decision::Approve));
    }
    Ok(())
}

/// What must hold, whatever went wrong.
async fn checked(house: &House, scene: &Scene) -> Result<(), String> {
    let mut faults = Vec::new();
    let content = house.content().await;
    let wanted = scene.after.iter().map(|(key, person)| (key.clone(), crate::house::User::of(person))).collect();
    if content.users != wanted {
        faults.push(format!("the target holds\n{:#?}\nand not\n{wanted:#?}", content.users));
    }
    // Nothing is in effect twice: what was made is at its first version, what was changed is one further.
    for (key, version) in &content.versions {
        let (before, is_group) = (scene.before.versions.get(key), key.starts_with('T'));
        let most = match before {
            // Rows come one by one at worst.
            _ if is_group => before.copied().unwrap_or(1) + 8,
            None => 1,
            Some(before) => before + u64::from(scene.before.users.get(key) != content.users.get(key)),
        };
        if *version > most {
            faults.push(format!("{key} is at version {version}, which takes more than its orders: {most}"));
        }
    }
    let store = house.store();
    let told = store.log(&LogQuery { run: Some(scene.run.clone()), ..LogQuery::default() });
    let mut counts: BTreeMap<OrderId, BTreeMap<String, usize>> = BTreeMap::new();
    for entry in told.map_err(|error| error.to_string())? {
        for order in entry.orders {
            *counts.entry(order).or_default().entry(entry.kind.clone()).or_default() += 1;
        }
    }
    for order in store.orders_of(&scene.run).map_err(|error| error.to_string())? {
        let seen = counts.remove(&order.id).unwrap_or_default();
        let count = |kinds: &[&str]| kinds.iter().filter_map(|kind| seen.get(*kind)).sum::<usize>();
        let is_rejected = scene.rejected.contains(&order.id);
        let end = if is_rejected { OrderState::Rejected } else { OrderState::Applied };
        let ended = ["order-applied", "order-errored", "order-stale", "order-uncertain", "order-released"];
        let as_it_should = order.state == end
            && count(&["order-applied"]) == usize::from(!is_rejected)
            && count(&["order-stale"]) == 0
            && count(&["orders-begun"]) == count(&ended);
        if !as_it_should {
            faults.push(format!("{} of {} is {}, and was {seen:?}", order.operation, order.key, order.state));
        }
    }
    if let Err(broken) = store.verify_log().map_err(|error| error.to_string())? {
        faults.push(broken.to_string());
    }
    drop(store);
    let next = house.run(Stage::Plan).await.map_err(|error| format!("the next run failed: {error}"))?;
    for order in house.store().orders_of(&next.run).map_err(|error| error.to_string())? {
        faults.push(format!("the next run still wants to {} {}", order.operation, order.key));
    }
    if !next.failures.is_empty() {
        faults.push(format!("the next run ended with {:?}", next.failures));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}
