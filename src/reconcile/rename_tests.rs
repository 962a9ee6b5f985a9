//! One object under two keys, or two objects.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::policy::{OrderThresholds, RenamePolicy};
use super::world::{World, detail, shown};
use crate::model::order::{ObjectKey, OrderState};
use crate::model::threshold::{Limit, Threshold};
use crate::rules::matching::MatchRule;

const NONE: [&str; 0] = [];

/// A world of people with five attributes beside their number, matched by it alone.
fn people(source: &[&str], target: &[&str]) -> World {
    let mut world = World::new();
    let text = |rows: &[&str]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    world.users.source = format!("id,login,first,last,dept,enabled\n{}", text(source));
    world.users.target = format!("id,number,userName,first,last,dept,active\n{}", text(target));
    world.map(
        &[
            ("number", "id"),
            ("userName", "login"),
            ("first", "first"),
            ("last", "last"),
            ("dept", "dept"),
            ("active", "enabled"),
        ],
        &[],
    );
    world.users.sync.rules.matching = vec![MatchRule::compile("id", "number", 100).unwrap()];
    world
}

/// Ann, who had the number 1 and has the number A1.
fn ann() -> World {
    let mut world = people(
        &["A1,ann,Ann,Archer,Sales,true", "2,bob,Bob,Baker,Sales,true"],
        &["t1,1,ann,Ann,Archer,Sales,true", "t2,2,bob,Bob,Baker,Sales,true"],
    );
    world.link(&[("1", "t1"), ("2", "t2")]);
    world
}

#[test]
fn a_row_under_another_key_is_one_update_for_a_person_to_confirm() {
    let mut world = ann();
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update A1 ! low-confidence"]);
    let order = &draft.orders[0];
    assert_eq!(
        (order.renamed_from.as_deref(), order.target_id.as_deref(), order.confidence),
        (Some("1"), Some("t1"), 99)
    );
    let by = "recognised as 4 of 4 compared attributes are equal (100 %): dept, first, last, userName";
    assert!(
        order.reason.starts_with("renamed: row `1` of idp.users goes by `A1` now, ") && order.reason.contains(by),
        "{}",
        order.reason
    );
    assert!(
        detail(&draft).contains("`1` is gone") && detail(&draft).contains("reject if they are two"),
        "{}",
        detail(&draft)
    );
    assert_eq!((draft.counts().len(), draft.renames().into_values().sum::<u64>()), (1, 1));
    assert!(draft.links[0].links().all(|link| link.source_key != "A1"), "planning moves no link");
    // Muster disabled it before: that says nothing against it.
    world.users.target =
        world.users.target.replace("t1,1,ann,Ann,Archer,Sales,true", "t1,1,ann,Ann,Archer,Sales,false");
    assert_eq!(shown(&world.plan()), ["enable A1 ! low-confidence"]);
    world.users.sync.rename = RenamePolicy::Off;
    assert_eq!(shown(&world.plan()), ["create A1"]);
}

#[test]
fn likeness_has_a_limit_that_the_job_sets() {
    let mut world = ann();
    world.users.source = world.users.source.replace("A1,ann,Ann,Archer,Sales", "A1,ann,Ann,Archer,Ships");
    assert_eq!(shown(&world.plan()), ["create A1", "disable 1"], "3 of 4 are less than 80 %");
    world.users.sync.rename = RenamePolicy::Alike(0.75);
    assert_eq!(shown(&world.plan()), ["update A1 ! low-confidence"]);
    assert_eq!(world.plan().orders[0].confidence, 75);
    // What many have in common says nothing.
    world.users.source = world.users.source.replace("A1,ann,Ann,Archer,Ships", "A1,eve,Bob,Baker,Sales");
    world.users.target = world.users.target.replace("t1,1,ann,Ann,Archer,Sales", "t1,1,ann,Bob,Baker,Sales");
    assert_eq!(shown(&world.plan()), ["create A1", "disable 1"]);
}

#[test]
fn an_id_that_is_kept_needs_nobody_and_two_candidates_are_none() {
    let mut world = ann();
    world.users.sync.rules.matching.push(MatchRule::compile("login", "userName", 100).unwrap());
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update A1"]);
    assert!(draft.orders[0].reason.contains("recognised by the match rule `login = userName` (100 %)"));
    world.users.sync.rules.matching[1] = MatchRule::compile("login", "userName", 70).unwrap();
    assert_eq!(
        (shown(&world.plan()), world.plan().orders[0].confidence),
        (vec!["update A1 ! low-confidence".to_owned()], 70)
    );

    let mut world = ann();
    world.users.capabilities.immutable = vec!["userName".into()];
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update A1"]);
    assert!(draft.orders[0].reason.contains("recognised by `userName`, which it keeps"), "{}", draft.orders[0].reason);

    for twin in ["A2,ann,Ann,Archer,Sales,true", "A2,ann,Ann,Archer,Ships,true"] {
        let mut world = ann();
        world.users.sync.rename = RenamePolicy::Alike(0.7);
        world.users.source.push_str(&format!("{twin}\n"));
        let draft = world.plan();
        assert_eq!(shown(&draft), ["create A1", "create A2", "disable 1"], "{twin}");
        let told = ["like `t1` (ann)", "like `t1` (ann)", "like it: `A1`, `A2`;"];
        for (order, told) in draft.orders.iter().zip(told) {
            assert!(order.reason.contains(told), "whoever reviews it is told: {}", order.reason);
        }
        let mut world = ann();
        world.users.sync.rename = RenamePolicy::Alike(0.7);
        world.users.target.push_str(&twin.replace("A2,ann", "t3,3,ann"));
        world.link(&[("3", "t3")]);
        let draft = world.plan();
        assert_eq!(shown(&draft), ["create A1", "disable 1", "disable 3"], "{twin}");
        assert!(draft.orders[0].reason.contains("like `t1` (ann), `t3` (ann) of"), "{}", draft.orders[0].reason);
        assert!(draft.orders[2].reason.contains("like it: `A1`;"), "{}", draft.orders[2].reason);
    }
}

#[test]
fn who_was_refused_to_be_one_is_two() {
    let mut world = ann();
    let draft = world.plan();
    let id = draft.orders[0].id.clone();
    world.raise(&draft, OrderState::PendingReview);
    assert_eq!((shown(&world.plan()), world.plan().kept.len()), (vec![], 1));
    world.end(&id, OrderState::Rejected, false);
    assert_eq!(shown(&world.plan()), ["create A1", "disable 1"]);
    world.ask_again = true;
    assert_eq!(shown(&world.plan()), ["update A1 ! low-confidence"]);
}

#[test]
fn absence_that_is_not_proved_and_an_order_under_way_recognise_nobody() {
    for absence in [(false, true), (true, false)] {
        let mut world = ann();
        world.users.absence = absence;
        assert!(world.plan().orders.iter().all(|order| order.renamed_from.is_none()), "{absence:?}");
    }
    let mut world = ann();
    world.users.sync.rename = RenamePolicy::Off;
    let mut draft = world.plan();
    draft.orders.retain(|order| order.key == "1");
    assert_eq!(draft.orders.len(), 1);
    world.raise(&draft, OrderState::Uncertain);
    world.users.sync.rename = RenamePolicy::default();
    assert_eq!(shown(&world.plan()), ["create A1"], "nobody knows yet whether it is disabled");
}

#[test]
fn everybody_under_new_keys_is_held_as_renames() {
    let row = |key: String, i: usize| format!("{key}login{i},First{i},Last{i},Sales,true");
    let source: Vec<String> = (0..60).map(|i| row(format!("N{i},"), i)).collect();
    let target: Vec<String> = (0..60).map(|i| row(format!("t{i},{i},"), i)).collect();
    let borrowed = |rows: &[String]| -> Vec<&'static str> {
        rows.iter().map(|row| &*Box::leak(row.clone().into_boxed_str())).collect()
    };
    let mut world = people(&borrowed(&source), &borrowed(&target));
    for i in 0..60 {
        world.link(&[(&i.to_string(), &format!("t{i}"))]);
    }
    let percent = |percent| vec![Threshold::of_run(Limit { count: None, percent: Some(percent), floor: 0 })];
    world.users.sync.thresholds =
        OrderThresholds { rename: percent(20.0), update: percent(20.0), create: percent(20.0), ..OrderThresholds::OFF };
    let draft = world.plan();
    let names: Vec<&str> = draft.excesses.iter().map(|excess| excess.name.as_str()).collect();
    assert_eq!(names, ["vault.users/rename/percent"], "as renames, and as nothing else");
    assert_eq!((draft.orders.len(), draft.renames().into_values().sum::<u64>()), (60, 60));
    world.raise(&draft, OrderState::PendingReview);
    assert_eq!(world.plan().excesses[0].figure, 60, "those that wait count as well");
}

#[test]
fn rows_that_muster_added_under_the_old_key_are_still_its_own() {
    let mut world = ann();
    world.users.links.retain(|link| link.source_key != "1");
    world.link(&[("A1", "t1")]);
    world.groups.source.push_str("g1,G1\n");
    world.groups.target.push_str("v1,G1\n");
    let ties = world.tie(&[], &["v1,t1"]);
    let ends = ["vault.groups/idp.groups=g1", "vault.users/idp.users=1"].map(|end| ObjectKey(end.into()));
    let row = ObjectKey::association(&"vault.memberships".parse().unwrap(), &[&ends[0], &ends[1]]);
    ties.managed_rows = BTreeSet::from([row.0]);
    let remove =
        |world: &World| shown(&world.plan()).into_iter().filter(|o| o.starts_with("remove")).collect::<Vec<_>>();
    assert_eq!(remove(&world), NONE);
    world.users.former.insert("A1".into(), vec!["0".into(), "1".into()]);
    assert_eq!(remove(&world), ["remove g1 → A1"]);
}
