//! From a disable over its grace to a delete, and back.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chrono::TimeDelta;

use super::PlanDraft;
use super::policy::{NoDisableAction, OrphanAction};
use super::world::{World, agree, shown};
use crate::model::situation::Situation;
use crate::model::value::Value;

const NONE: [&str; 0] = [];

/// `1` is gone, and to be deleted after 30 days.
fn leaver() -> World {
    let mut world = World::new();
    world.users(&[], &["t1,a@x,T,true"]).link(&[("1", "t1")]);
    world.users.sync.on.orphan = OrphanAction::Delete;
    world.delete_after = Some(Duration::from_secs(30 * 86_400));
    world
}

/// A plan so many days later, and what it remembers.
fn after(world: &mut World, days: i64) -> PlanDraft {
    world.now += TimeDelta::days(days);
    let draft = world.plan();
    agree(&mut world.users, &draft);
    draft
}

#[test]
fn a_disabled_orphan_is_deleted_when_its_grace_is_over() {
    let mut world = leaver();
    assert_eq!(shown(&world.plan()), ["disable 1"]);
    world.users(&[], &["t1,a@x,T,false"]);
    let first = after(&mut world, 0);
    assert_eq!((shown(&first), first.situations[0].grace.clone().unwrap().objects), (vec![], 1));
    assert_eq!(first.listed[0].due, Some(world.now + TimeDelta::days(30)));
    for _ in 0..2 {
        let waiting = after(&mut world, 14);
        assert_eq!(shown(&waiting), NONE);
        let due = waiting.situations[0].grace.clone().unwrap().due.unwrap();
        assert_eq!(due, chrono::DateTime::UNIX_EPOCH + TimeDelta::days(30));
    }
    let over = after(&mut world, 2);
    assert_eq!(shown(&over), ["delete 1"]);
    let order = &over.orders[0];
    assert!(
        order.reason.contains("disabled since 1970-01-01 00:00:00Z, its grace of 30 days is over"),
        "{}",
        order.reason
    );
    assert_eq!((order.changes[0].before.clone(), order.changes[0].after.clone()), (Value::text("false"), None));
    world.raise(&over, crate::model::order::OrderState::PendingReview);
    assert_eq!(after(&mut world, 20).kept.len(), 1, "due stays due");
    // It comes back: the delete is superseded by an enable, and its clock forgotten.
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,false"]);
    let back = after(&mut world, 1);
    assert_eq!((shown(&back), back.superseded.len()), (vec!["enable 1".to_owned()], 1));
    world.users(&[], &["t1,a@x,T,false"]);
    assert_eq!(shown(&after(&mut world, 1)), NONE, "gone again: it begins anew");
}

#[test]
fn what_somebody_enabled_is_disabled_again_and_counted_anew() {
    let mut world = leaver();
    world.users(&[], &["t1,a@x,T,false"]);
    after(&mut world, 0);
    after(&mut world, 15);
    world.users(&[], &["t1,a@x,T,true"]);
    assert_eq!(shown(&after(&mut world, 14)), ["disable 1"]);
    assert!(world.users.graces.is_empty());
    world.users(&[], &["t1,a@x,T,false"]);
    assert_eq!(shown(&after(&mut world, 1)), NONE);
    assert_eq!(shown(&after(&mut world, 14)), NONE);
}

#[test]
fn a_clock_that_goes_wrong_is_told_and_makes_nothing_due() {
    let mut world = leaver();
    world.users(&[], &["t1,a@x,T,false"]);
    after(&mut world, 0);
    let leapt = after(&mut world, 4_000);
    assert_eq!(shown(&leapt), NONE);
    let told = "no run looked at 1 object in grace for 4,000 days, or the clock leapt; half of the grace of 30 days";
    assert!(leapt.warnings[0].contains(told), "{:?}", leapt.warnings);
    let back = after(&mut world, -3_999);
    assert_eq!(shown(&back), NONE);
    assert!(back.warnings[0].contains("the clock went back by 3,999 days"), "{:?}", back.warnings);
    for days in [14, 14] {
        assert_eq!(shown(&after(&mut world, days)), NONE);
    }
    assert_eq!(shown(&after(&mut world, 2)), ["delete 1"]);
}

#[test]
fn what_cannot_be_disabled_waits_where_the_job_says_so() {
    let mut world = leaver();
    world.users.capabilities.enabled = None;
    assert_eq!(shown(&world.plan()), ["delete 1 ! delete-disallowed"]);
    world.users.sync.on.no_disable = NoDisableAction::Wait;
    assert_eq!(shown(&after(&mut world, 0)), NONE);
    after(&mut world, 15);
    let over = after(&mut world, 15);
    assert_eq!(shown(&over), ["delete 1"]);
    assert!(over.orders[0].reason.contains("unwanted, and not to be disabled, since"), "{}", over.orders[0].reason);
}

#[test]
fn nothing_is_counted_where_the_snapshot_does_not_prove_absence() {
    let mut world = leaver();
    world.users(&[], &["t1,a@x,T,false"]);
    after(&mut world, 0);
    world.users.absence.0 = false;
    let draft = after(&mut world, 14);
    assert!(draft.links[0].graces.is_empty() && draft.situations[0].grace.is_none());
    world.users.absence.0 = true;
    assert_eq!(shown(&after(&mut world, 14)), NONE, "28 days without a look are no grace");
    assert_eq!(world.plan().situations[0].counts.get(&Situation::Orphan), Some(&1));
}
