//! One run after another.

#![allow(clippy::unwrap_used)]

use super::input::Prior;
use super::policy::OrderThresholds;
use super::world::{World, detail, shown};
use crate::model::order::{BlockReason, OrderState};
use crate::model::threshold::{Limit, Threshold};

const NONE: [&str; 0] = [];

fn changed() -> World {
    let mut world = World::new();
    world.users(&["1,a@x,New,true"], &["t1,a@x,Old,true"]).link(&[("1", "t1")]);
    world
}

#[test]
fn an_identical_order_stays_where_it_is_reviewed() {
    let mut world = changed();
    let first = world.plan();
    for state in [OrderState::PendingReview, OrderState::Approved, OrderState::Errored] {
        let mut world = changed();
        let again = world.raise(&first, state).plan();
        assert_eq!((shown(&again), again.kept), (vec![], vec![first.orders[0].id.clone()]), "{state}");
    }
    world.raise(&first, OrderState::PendingReview);
    world.users(&["1,a@x,Newer,true"], &["t1,a@x,Old,true"]);
    let other = world.plan();
    assert_eq!(shown(&other), ["update 1"], "a pending order that is replaced blocks nothing");
    assert_eq!(other.superseded[0].0, first.orders[0].id);
    world.users(&["1,a@x,Old,true"], &["t1,a@x,Old,true"]);
    assert_eq!(world.plan().superseded[0].1, "no longer wanted");
}

#[test]
fn case_p3_a_blocked_or_errored_order_is_not_slipped_past() {
    let mut world = changed();
    world.block_all = true;
    let first = world.plan();
    assert_eq!(shown(&first), ["update 1 ! run-blocked"]);
    world.block_all = false;
    world.raise(&first, OrderState::PendingReview);
    world.users(&["1,a@x,Newer,true"], &["t1,a@x,Old,true"]);
    let second = world.plan();
    assert_eq!(shown(&second), ["update 1 ! prior-order"]);
    assert!(detail(&second).contains(&first.orders[0].id.0) && detail(&second).contains("20260101T000000Z-0001"));

    let mut world = changed();
    let first = world.plan();
    world.raise(&first, OrderState::Errored);
    world.users(&["1,a@x,Newer,true"], &["t1,a@x,Old,true"]);
    assert_eq!(shown(&world.plan()), ["update 1"], "its data changed: it may work now");
    world.users(&["1,b@x,New,true"], &["t1,a@x,Old,true"]);
    assert_eq!(shown(&world.plan()), ["update 1 ! prior-order"], "all that failed is asked for again");
}

#[test]
fn a_cause_that_is_gone_lifts_its_block_and_never_causes_prior_order() {
    let mut world = World::new();
    world.users(&["1,,T,true"], &[]);
    world.users.sync.rules.required = vec!["userName".into()];
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.users(&["1,a@x,T,true"], &[]);
    assert_eq!(shown(&world.plan()), ["create 1"], "the data came: another order, not blocked");
    world.users(&["1,,T,true"], &[]);
    world.users.sync.rules.required.clear();
    let lifted = world.plan();
    assert_eq!(lifted.reblocked, [(first.orders[0].id.clone(), None)], "the same order: unblocked");
}

#[test]
fn rejected_is_rejected_until_asked_again_or_changed() {
    let mut world = changed();
    let first = world.plan();
    let id = first.orders[0].id.clone();
    world.raise(&first, OrderState::PendingReview).end(&id, OrderState::Rejected, false);
    let again = world.plan();
    assert_eq!((shown(&again), again.withheld[0].order.clone()), (vec![], id.clone()));
    world.ask_again = true;
    let asked = world.plan();
    assert_eq!(asked.orders[0].id.0, format!("o-{}-2", first.orders[0].fingerprint.0));
    world.ask_again = false;
    world.users(&["1,a@x,Newer,true"], &["t1,a@x,Old,true"]);
    assert_eq!(shown(&world.plan()), ["update 1"]);
}

#[test]
fn stale_is_planned_anew_and_handed_over_is_waited_for() {
    for (state, handed_over, expected) in [
        (OrderState::Stale, false, vec!["update 1"]),
        (OrderState::Applied, false, vec!["update 1"]),
        (OrderState::Applied, true, vec![]),
    ] {
        let mut world = changed();
        let first = world.plan();
        let id = first.orders[0].id.clone();
        let again = world.raise(&first, OrderState::PendingReview).end(&id, state, handed_over).plan();
        assert_eq!(
            (shown(&again), again.handed_over.len()),
            (expected.iter().map(|s| (*s).to_owned()).collect(), usize::from(handed_over))
        );
    }
}

#[test]
fn what_is_under_way_is_left_alone() {
    for state in [OrderState::InFlight, OrderState::Uncertain] {
        let mut world = changed();
        let first = world.plan();
        world.raise(&first, state);
        world.users(&["1,a@x,Newer,true"], &["t1,a@x,Old,true"]);
        let again = world.plan();
        assert_eq!((shown(&again), again.kept.len(), again.superseded.len()), (vec![], 1, 0), "{state}");
        world.users(&["1,a@x,Old,true"], &["t1,a@x,Old,true"]);
        assert_eq!(world.plan().kept.len(), 1, "{state}: not wanted any more, and still nobody knows");
    }
}

#[test]
fn another_job_s_live_order_is_named() {
    let mut world = changed();
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.live[0].of_other_job = Some("payroll".into());
    world.live[0].object = crate::model::order::ObjectKey("vault.users/hr.people=7".into());
    world.priors.clear();
    let again = world.plan();
    assert_eq!(shown(&again), ["update 1 ! conflict"]);
    assert!(detail(&again).contains("job payroll"), "{}", detail(&again));
    assert!(again.superseded.is_empty() && again.kept.is_empty());
}

#[test]
fn no_second_live_order_for_one_object_across_jobs() {
    let mut world = changed();
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.live[0].of_other_job = Some("payroll".into());
    let again = world.plan();
    assert_eq!(shown(&again), NONE);
    assert!(again.warnings[0].contains("job payroll has order"), "{:?}", again.warnings);
}

#[test]
fn a_block_whose_cause_changes_is_lifted_and_set() {
    let mut world = World::new();
    world.users(&["1,,T,true"], &[]);
    world.users.sync.rules.required = vec!["userName".into()];
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.protect.insert("vault.users/1".into());
    let reasons: Vec<Option<BlockReason>> =
        world.plan().reblocked.into_iter().map(|(_, block)| block.map(|b| b.reason)).collect();
    assert_eq!(reasons, [None, Some(BlockReason::Protected)]);
}

#[test]
fn live_orders_of_syncs_that_are_not_planned_are_left_alone() {
    let mut world = World::new();
    let first = changed().plan();
    world.raise(&first, OrderState::PendingReview);
    world.live[0].object = crate::model::order::ObjectKey("vault.roles/idp.roles=1".into());
    let draft = world.plan();
    assert!(draft.superseded.is_empty() && draft.kept.is_empty());
}

fn limit(count: Option<u64>, percent: Option<f64>) -> Vec<Threshold> {
    vec![Threshold::of_run(Limit { count, percent, floor: 0 })]
}

#[test]
fn case_p11_all_live_orders_count_and_a_tripped_threshold_holds() {
    let mut world = World::new();
    world.users.sync.thresholds = OrderThresholds { disable: limit(Some(2), None), ..OrderThresholds::OFF };
    world.users(&[], &["t1,a@x,T,true", "t2,b@x,T,true", "t3,c@x,T,true"]).link(&[("1", "t1"), ("2", "t2")]);
    let first = world.plan();
    assert_eq!(shown(&first), ["disable 1", "disable 2"]);
    world.raise(&first, OrderState::PendingReview).link(&[("3", "t3")]);
    let second = world.plan();
    assert_eq!(shown(&second), ["disable 3 ! threshold"], "not even in slices");
    assert_eq!((second.excesses[0].name.as_str(), second.excesses[0].figure), ("vault.users/disable/count", 3));
    assert_eq!(second.excesses[0].first, ["1", "2", "3"]);
    assert!(detail(&second).contains("--accept vault.users/disable/count"), "{}", detail(&second));
    assert!(second.reblocked.iter().all(|(_, block)| block.as_ref().unwrap().reason == BlockReason::Threshold));
    world.accepted.insert("vault.users/disable/count".into(), 3);
    let accepted = world.plan();
    assert_eq!((shown(&accepted), accepted.excesses.len()), (vec!["disable 3".to_owned()], 0));
    world.accepted.insert("vault.users/disable/count".into(), 2);
    assert_eq!(world.plan().excesses.len(), 1, "an acceptance holds up to its figure");
}

#[test]
fn a_threshold_that_is_kept_again_lets_go() {
    let mut world = World::new();
    world.users.sync.thresholds = OrderThresholds { disable: limit(Some(1), None), ..OrderThresholds::OFF };
    world.users(&[], &["t1,a@x,T,true", "t2,b@x,T,true"]).link(&[("1", "t1"), ("2", "t2")]);
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.users(&["2,b@x,T,true"], &["t1,a@x,T,true", "t2,b@x,T,true"]);
    let second = world.plan();
    assert_eq!(shown(&second), NONE);
    assert_eq!(second.reblocked, [(first.orders[0].id.clone(), None)]);
}

#[test]
fn a_first_run_is_held_by_numbers_not_by_percent() {
    let mut world = World::new();
    let rows: Vec<String> = (0..60).map(|i| format!("{i},u{i}@x,T,true")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    world.users(&rows, &[]);
    world.users.sync.thresholds.create = limit(None, Some(20.0));
    world.users.first_run = true;
    assert!(world.plan().excesses.is_empty());
    world.users.sync.thresholds.create = limit(Some(50), Some(20.0));
    assert_eq!(world.plan().excesses[0].name, "vault.users/create/count");
}

#[test]
fn a_run_that_blocks_says_so_and_a_stronger_cause_stays() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true", "2,,T,true"], &[]);
    world.users.sync.rules.required = vec!["userName".into()];
    world.block_all = true;
    assert_eq!(shown(&world.plan()), ["create 1 ! run-blocked", "create 2 ! incomplete"]);
}

#[test]
fn prior_orders_are_counted_in_ids() {
    let mut world = changed();
    let first = world.plan();
    world.priors.insert(first.orders[0].fingerprint.clone(), Prior { raised: 4, ..Prior::default() });
    assert!(world.plan().orders[0].id.0.ends_with("-5"));
}
