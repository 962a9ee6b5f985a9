//! A rejection stands while the same is wanted, and no longer.

#![allow(clippy::unwrap_used)]

use super::policy::RenamePolicy;
use super::world::{World, shown};
use crate::model::order::OrderState;

const NONE: [&str; 0] = [];
const HERE: &str = "1,a@x,T,true";
const THERE: &str = "t1,a@x,T,true";

/// One user at the target whose row is gone; the disable was rejected.
fn left() -> World {
    let mut world = World::new();
    world.users(&[], &[THERE]).link(&[("1", "t1")]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["disable 1"]);
    world.reject(&draft);
    assert_eq!((world.lapses(), shown(&world.plan())), (vec![], vec![]), "it stands");
    world
}

#[test]
fn a_leaver_who_was_back_in_between_is_disabled() {
    let mut world = left();
    world.users(&[HERE], &[THERE]);
    assert_eq!(world.lapses(), ["1"]);
    world.users(&[], &[THERE]);
    let again = world.plan();
    assert_eq!((shown(&again), again.orders[0].id.0.ends_with("-2")), (vec!["disable 1".to_owned()], true));
    // Rejected once more, it stands once more.
    world.reject(&again);
    assert_eq!((world.lapses(), shown(&world.plan())), (vec![], vec![]));
}

#[test]
fn the_same_for_another_reason_is_asked_again() {
    let mut world = left();
    world.users(&["1,a@x,T,false"], &[THERE]);
    let again = world.plan();
    assert_eq!((shown(&again), again.orders[0].id.0.ends_with("-2")), (vec!["disable 1".to_owned()], true));
    assert!(again.orders[0].reason.contains("for another reason, and was rejected"), "{}", again.orders[0].reason);
    assert!(again.lapsed.len() == 1 && again.lapsed[0].1.contains(&again.orders[0].id.0), "{:?}", again.lapsed);
    // Of a rejection from before grounds were recorded nobody knows what it was about.
    world.priors.values_mut().for_each(|prior| prior.ground = None);
    assert_eq!(shown(&world.plan()), Vec::<String>::new());
}

#[test]
fn whatever_else_is_wanted_ends_it() {
    for (source, target, what) in [
        (vec![], vec!["t1,a@x,T,false"], "disabled by hand"),
        (vec![], vec![], "gone on both sides"),
        (vec!["1,a@x,Other,true"], vec![THERE], "another order"),
        (vec![HERE], vec![], "gone at the target"),
    ] {
        let mut world = left();
        world.users(&source, &target);
        assert_eq!(world.lapses(), ["1"], "{what}");
    }
    // A joiner who left, and an update whose value agrees again.
    let mut world = World::new();
    world.users(&[HERE, "2,b@x,New,true"], &["t2,b@x,Old,true"]).link(&[("2", "t2")]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 1", "update 2"]);
    world.reject(&draft);
    assert_eq!(world.lapses(), NONE);
    world.users(&["2,b@x,Old,true"], &["t2,b@x,Old,true"]);
    assert_eq!(world.lapses(), ["1", "2"]);
    world.users(&[HERE, "2,b@x,New,true"], &["t2,b@x,Old,true"]);
    assert_eq!(shown(&world.plan()), ["create 1", "update 2"]);
}

#[test]
fn what_is_not_proved_ends_nothing() {
    // Gone from the source, as far as a snapshot says that proves no absence; or from the target; or from both.
    for (absence, source, target) in [
        ((false, true), vec![], vec![THERE]),
        ((true, false), vec![HERE], vec![]),
        ((true, false), vec![], vec![]),
        ((false, true), vec![], vec![]),
    ] {
        let mut world = left();
        world.users.absence = absence;
        world.users(&source, &target);
        assert_eq!(world.lapses(), NONE, "{absence:?} {source:?} {target:?}");
    }
    // What both rows say holds, whatever is proved.
    let mut world = left();
    world.users.absence = (false, false);
    world.users(&[HERE], &[THERE]);
    assert_eq!(world.lapses(), ["1"]);
    // A row that is there twice says nothing; nor does a plan of other objects, or of another target.
    let mut world = left();
    world.users(&[HERE, HERE], &[THERE]);
    assert_eq!(world.lapses(), NONE);
    let mut world = left();
    world.users(&[HERE], &[THERE]);
    world.withholding[0].target_identity = "https://other".into();
    assert_eq!(world.lapses(), NONE);
    world.withholding[0].object.0.insert_str(0, "other.");
    assert_eq!(world.lapses(), NONE);
    // While nobody knows what became of another order of it, the same is wanted as before.
    let mut world = left();
    let mut other = World::new();
    other.users(&["1,a@x,Other,true"], &[THERE]).link(&[("1", "t1")]);
    world.raise(&other.plan(), OrderState::Uncertain);
    assert_eq!(world.lapses(), NONE);
}

#[test]
fn who_asks_again_is_asked_in_place_of_who_rejected() {
    let mut world = left();
    world.ask_again = true;
    let again = world.plan();
    assert_eq!(again.lapsed.len(), 1);
    assert!(again.lapsed[0].1.contains(&again.orders[0].id.0), "{:?}", again.lapsed);
}

#[test]
fn a_refused_rename_stays_refused_while_both_look_alike() {
    let mut world = World::new();
    world.map(&[("userName", "email"), ("title", "title"), ("department", "id")], &[]);
    world.users.source = "id,email,title\n9,a@x,T\n".into();
    world.users.target = "id,userName,title,department\nt1,a@x,T,1\n".into();
    world.users.sync.rename = RenamePolicy::default();
    world.link(&[("1", "t1")]);
    let draft = world.plan();
    assert_eq!(draft.orders[0].renamed_from.as_deref(), Some("1"), "{:?}", shown(&draft));
    world.reject(&draft);
    for _ in 0..2 {
        assert_eq!(world.lapses(), NONE);
        assert!(world.plan().orders.iter().all(|order| order.renamed_from.is_none()));
    }
    // The old key comes back: they are two indeed, and what looks alike one day is asked again.
    world.users.source = "id,email,title\n1,a@x,T\n9,a@x,T\n".into();
    assert_eq!(world.lapses(), ["9"]);
}

/// Two users, two groups; one row on one side only.
fn tied(source: &[&str], target: &[&str]) -> World {
    let mut world = World::new();
    world.users(&[HERE, "2,b@x,T,true"], &[THERE, "t2,b@x,T,true"]).link(&[("1", "t1"), ("2", "t2")]);
    world.groups.source = "id,name\nG1,G1\n".into();
    world.groups.target = "id,displayName\nh1,G1\n".into();
    world.groups.links = vec![super::world::link("G1", "h1")];
    world.tie(source, target).managed_rows.extend(
        ["1", "2"].map(|user| format!("vault.memberships(vault.groups/idp.groups=G1 ; vault.users/idp.users={user})")),
    );
    world
}

fn rows(world: &mut World, source: &[&str], target: &[&str], absence: (bool, bool)) {
    let ties = world.ties.as_mut().unwrap();
    let text = |rows: &[&str]| format!("group,user\n{}", rows.iter().map(|r| format!("{r}\n")).collect::<String>());
    (ties.source, ties.target, ties.absence) = (text(source), text(target), absence);
}

#[test]
fn rows_of_associations_lapse_by_what_rows_say_and_by_what_is_proved() {
    const BOTH: (bool, bool) = (true, true);
    for (rejected, source, target, absence, lapses) in [
        // A removal was rejected; the row is in the source again, or gone at the target.
        ("remove", &["G1,1"][..], &["h1,t1"][..], (false, false), true),
        ("remove", &[], &[], BOTH, true),
        ("remove", &[], &[], (true, false), false),
        ("remove", &[], &["h1,t1"], (false, true), false),
        ("remove", &[], &["h1,t1"], BOTH, false),
        // An addition was rejected; the row is at the target, or gone from the source.
        ("add", &["G1,1"], &["h1,t1"], (false, false), true),
        ("add", &[], &["h1,t1"], (false, false), true),
        ("add", &[], &[], (true, false), true),
        ("add", &[], &[], (false, true), false),
        ("add", &["G1,1"], &[], (true, false), false),
        ("add", &["G1,1"], &[], BOTH, false),
    ] {
        let mut world = if rejected == "add" { tied(&["G1,1"], &[]) } else { tied(&[], &["h1,t1"]) };
        let draft = world.plan();
        assert_eq!(shown(&draft), [format!("{rejected} G1 → 1")]);
        world.reject(&draft);
        rows(&mut world, source, target, absence);
        assert_eq!(!world.lapses().is_empty(), lapses, "{rejected} {source:?} {target:?} {absence:?}");
    }
    // Whoever is in no snapshot is in no row, where all of them are whole.
    for (absence, lapses) in [(true, true), (false, false)] {
        let mut world = tied(&["G1,1"], &[]);
        let draft = world.plan();
        world.reject(&draft);
        world.users(&["2,b@x,T,true"], &["t2,b@x,T,true"]);
        rows(&mut world, &[], &[], BOTH);
        world.users.absence.0 = absence;
        assert_eq!(!world.lapses().is_empty(), lapses);
    }
}
