#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::threshold::Tier;

const DAY: u64 = 86_400;

fn moved(count: u64) -> Moved {
    let mut moved = Moved::default();
    (0..count).rev().for_each(|i| moved.add(&format!("k{i:04}")));
    moved
}

fn users() -> ResourceName {
    "vault.users".parse().unwrap()
}

fn over(days: u64, count: Option<u64>, percent: Option<f64>) -> Threshold {
    let window = (days > 0).then(|| Window(Duration::from_secs(days * DAY)));
    Threshold { window, ..Threshold::of_run(Limit { count, percent, floor: 50 }) }
}

fn ago(days: u64, run: &str, count: u64) -> Bygone {
    Bygone { age: Duration::from_secs(days * DAY), run: RunId(run.to_owned()), count }
}

#[test]
fn limits_are_strict_and_have_a_floor() {
    let thresholds = SnapshotThresholds {
        inserted: Vec::new(),
        updated: vec![over(0, None, Some(20.0))],
        deleted: vec![over(0, Some(25), Some(5.0))],
    };
    let excesses = |updated, deleted, rows| {
        let now = [("inserted", moved(999)), ("updated", moved(updated)), ("deleted", moved(deleted))].into();
        let movements = Movements { rows, now, before: BTreeMap::new() };
        synchronization(&"idp.users".parse().unwrap(), &movements, &thresholds, &Settled::new())
    };
    let names = |updated, deleted, rows| -> Vec<String> {
        excesses(updated, deleted, rows).into_iter().map(|excess| excess.name).collect()
    };
    assert!(names(200, 25, 1000).is_empty());
    assert_eq!(names(201, 25, 1000), ["idp.users/updated/percent"]);
    assert_eq!(names(0, 26, 1000), ["idp.users/deleted/count"]);
    assert_eq!(names(0, 26, 100), ["idp.users/deleted/count", "idp.users/deleted/percent"]);
    assert!(names(49, 25, 49).is_empty());
    let first = &excesses(0, 26, 1000)[0].first;
    assert_eq!((first.len(), first[0].as_str()), (10, "k0000"));
}

#[test]
fn disables_and_deletes_are_limited_together() {
    let thresholds = OrderThresholds::default();
    let orders: BTreeMap<Operation, Moved> = [(Operation::Disable, moved(20)), (Operation::Delete, moved(20))].into();
    let names = |size, first_run| -> Vec<String> {
        let mut loads = Loads::default();
        *loads.of(&users()) =
            Load { size, first_run, thresholds: vec![&thresholds], orders: orders.clone(), ..Load::default() };
        provisioning(&loads, &Settled::new()).into_iter().map(|excess| excess.name).collect()
    };
    assert_eq!(names(10_000, false), ["vault.users/removal/count"]);
    assert_eq!(names(100, false).len(), 4, "each alone by percent, and the sum by both");
    assert_eq!(names(100, true), ["vault.users/removal/count"], "numbers hold a first run, percentages do not");
}

#[test]
fn a_window_counts_what_was_applied_in_it_and_not_what_a_person_accepted_already() {
    let thresholds =
        OrderThresholds { disable: vec![over(0, Some(9), None), over(7, Some(20), None)], ..OrderThresholds::OFF };
    let told = |now, settled: &[&str]| -> Vec<String> {
        let mut loads = Loads::default();
        let before = vec![ago(1, "r3", 6), ago(6, "r2", 6), ago(8, "r1", 600)];
        *loads.of(&users()) = Load {
            size: 1000,
            thresholds: vec![&thresholds],
            orders: [(Operation::Disable, moved(now))].into(),
            before: [(Operation::Disable, before)].into(),
            ..Load::default()
        };
        let name = || "vault.users/disable/count/7d".to_owned();
        let settled = settled.iter().map(|run| (name(), RunId((*run).to_owned()))).collect();
        provisioning(&loads, &settled).iter().map(Excess::sentence).collect()
    };
    assert!(told(8, &[]).is_empty(), "12 and 8 are 20, and what is older than the window is over");
    let by_slices = "vault.users/disable/count/7d: 21 over 7d, 12 before this run, the limit is 20";
    assert_eq!(told(9, &[]), [by_slices]);
    let both = told(15, &["r2"]);
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(both[1], "vault.users/disable/count/7d: 21 over 7d, 6 before this run, the limit is 20");
    assert!(told(9, &["r3"]).is_empty(), "accepted once, with all before it");
    assert!(told(0, &[]).is_empty(), "nothing is held by the past alone");
}

#[test]
fn tiers_and_scopes_have_their_own_answer() {
    let tier = |up_to, percent| Tier { up_to, limit: Limit { count: None, percent: Some(percent), floor: 0 } };
    let all = OrderThresholds {
        disable: vec![Threshold { tiers: vec![tier(200, 10.0), tier(10_000, 2.0)], ..over(0, None, Some(0.5)) }],
        ..OrderThresholds::OFF
    };
    let admins = OrderThresholds { disable: vec![over(0, Some(1), None)], ..OrderThresholds::OFF };
    let scoped = ScopedThresholds {
        name: "admins".into(),
        scope: crate::rules::scope::Scope::default(),
        target: None,
        thresholds: admins,
    };
    let told = |size, disabled, of_admins| -> Vec<String> {
        let mut loads = Loads::default();
        loads.of(&users()).size = size;
        loads.of(&users()).thresholds.push(&all);
        loads.of_scope(&users(), &scoped);
        for number in 0..disabled {
            let scopes = if number < of_admins { vec!["admins".to_owned()] } else { Vec::new() };
            let key = format!("k{number:04}");
            loads.counting(&users(), &scopes, |load| load.orders.entry(Operation::Disable).or_default().add(&key));
        }
        provisioning(&loads, &Settled::new()).iter().map(Excess::sentence).collect()
    };
    assert!(told(200, 20, 1).is_empty());
    assert_eq!(told(200, 21, 1), ["vault.users/disable/percent: 10.5 % (21 of 200), the limit is 10 %"]);
    assert!(told(1000, 20, 0).is_empty());
    assert_eq!(told(1000, 21, 0), ["vault.users/disable/percent: 2.1 % (21 of 1000), the limit is 2 %"]);
    assert_eq!(told(20_000, 101, 0).len(), 1);
    assert_eq!(told(1000, 2, 2), ["vault.users/admins/disable/count: 2, the limit is 1"]);
}

#[test]
fn a_name_says_which_orders_count() {
    let admin = ["admins".to_owned()];
    let counts = |name, operation, scopes: &[String]| {
        Counted::by(name, &users()).is_some_and(|counted| counted.counts(operation, scopes))
    };
    assert!(counts("vault.users/removal/count/7d", Operation::Disable, &[]));
    assert!(!counts("vault.users/removal/count/7d", Operation::Create, &[]));
    assert!(counts("vault.users/admins/update/count", Operation::Enable, &admin));
    assert!(!counts("vault.users/admins/update/count", Operation::Enable, &[]));
    assert!(!counts("vault.usersandmore/disable/count", Operation::Disable, &[]));
}
