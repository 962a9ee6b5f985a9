//! Associations: ends, nesting, who may remove what.

#![allow(clippy::unwrap_used)]

use super::policy::{Members, Nested, OrphanAction};
use super::world::{World, detail, link, shown};
use crate::model::order::{BlockReason, EndRef, ObjectKey, OrderState};

const NONE: [&str; 0] = [];

/// Users 1 and 2 and groups g1 and g2 on both sides, linked.
fn world() -> World {
    let mut world = World::new();
    world
        .users(&["1,a@x,T,true", "2,b@x,T,true"], &["t1,a@x,T,true", "t2,b@x,T,true"])
        .link(&[("1", "t1"), ("2", "t2")]);
    world.groups.source = "id,name\ng1,Admins\ng2,Staff\n".into();
    world.groups.target = "id,displayName\nv1,Admins\nv2,Staff\n".into();
    world.groups.links = vec![link("g1", "v1"), link("g2", "v2")];
    world
}

fn row(group: &str, user: &str) -> String {
    let (users, groups) = ("vault.users".parse().unwrap(), "vault.groups".parse().unwrap());
    let group = ObjectKey::by_source(&groups, &"idp.groups".parse().unwrap(), group);
    let user = ObjectKey::by_source(&users, &"idp.users".parse().unwrap(), user);
    ObjectKey::association(&"vault.memberships".parse().unwrap(), &[&group, &user]).0
}

#[test]
fn rows_are_added_and_removed_by_whose_they_are() {
    let mut world = world();
    world.tie(&["g1,1"], &["v2,t1", "v2,t2", "v1,t9"]);
    assert_eq!(shown(&world.plan()), ["add g1 → 1"], "additive: what people added stays");
    world.ties.as_mut().unwrap().managed_rows.insert(row("g2", "1"));
    let draft = world.plan();
    assert_eq!(shown(&draft), ["add g1 → 1", "remove g2 → 1"]);
    assert_eq!(draft.orders[0].name, "Admins → a@x");
    assert_eq!(draft.orders[0].ends[1].object, EndRef::Target("t1".into()));
    world.ties.as_mut().unwrap().sync.members = Members::Authoritative;
    assert_eq!(shown(&world.plan()), ["add g1 → 1", "remove g2 → 1", "remove g2 → 2"], "t9 is not managed");
    world.ties.as_mut().unwrap().absence = (false, false);
    assert_eq!(shown(&world.plan()), NONE);
}

#[test]
fn a_row_waits_for_the_order_that_creates_its_end() {
    let mut world = world();
    world.users(&["1,a@x,T,true", "3,c@x,T,true"], &["t1,a@x,T,true"]);
    world.users.links.truncate(1);
    world.tie(&["g1,3"], &[]);
    let first = world.plan();
    assert_eq!(shown(&first), ["create 3", "add g1 → 3"]);
    let create = first.orders[0].id.clone();
    assert_eq!(first.orders[1].ends[1].object, EndRef::Order(create.clone()));
    assert_eq!(first.orders[1].name, "Admins → c@x");

    // Rejected: the row cannot go, and says why.
    world.raise(&first, OrderState::PendingReview).end(&create, OrderState::Rejected, false);
    let second = world.plan();
    let (id, block) = &second.reblocked[0];
    assert_eq!(*id, first.orders[1].id);
    assert_eq!(block.as_ref().unwrap().reason, BlockReason::MissingReference);
    assert!(block.as_ref().unwrap().detail.contains(&create.0));

    // Already blocked for it: stays so while the create is stuck, lets go when it is not.
    let mut stuck = vec![second.reblocked[0].clone()];
    let mut held = world.live.iter().find(|live| live.id == first.orders[1].id).unwrap().clone();
    (held.state, held.block) = (OrderState::Blocked, stuck.remove(0).1.map(|b| b.reason));
    world.live = vec![held];
    assert!(world.plan().reblocked.is_empty());

    // Created: the fingerprint is the same, the order stays.
    world.users(&["1,a@x,T,true", "3,c@x,T,true"], &["t1,a@x,T,true", "t3,c@x,T,true"]).link(&[("3", "t3")]);
    let third = world.plan();
    assert_eq!(
        (third.kept, third.reblocked),
        (vec![first.orders[1].id.clone()], vec![(first.orders[1].id.clone(), None)])
    );
}

#[test]
fn a_replaced_create_takes_the_rows_that_refer_to_it_along() {
    let mut world = world();
    world.users(&["1,a@x,T,true", "3,c@x,T,true"], &["t1,a@x,T,true"]);
    world.users.links.truncate(1);
    world.tie(&["g1,3"], &[]);
    let first = world.plan();
    world.raise(&first, OrderState::PendingReview);
    world.users(&["1,a@x,T,true", "3,c@x,New,true"], &["t1,a@x,T,true"]);
    let second = world.plan();
    assert_eq!(shown(&second), ["create 3", "add g1 → 3"]);
    assert_eq!(second.orders[1].ends[1].object, EndRef::Order(second.orders[0].id.clone()));
    assert_eq!(second.superseded.len(), 2);
}

#[test]
fn a_blocked_create_blocks_its_rows() {
    let mut world = world();
    world.users.sync.rules.required = vec!["userName".into()];
    world.users(&["3,,T,true"], &[]);
    world.users.links.clear();
    world.tie(&["g1,3"], &[]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 3 ! incomplete", "add g1 → 3 ! missing-reference"]);
}

#[test]
fn case_k7_nested_groups_are_flattened_skipped_or_refused() {
    let mut world = world();
    // Staff is in Admins, Admins is in Staff; user 2 is in Staff.
    world.tie(&["g1,g2", "g2,g1", "g2,2"], &[]);
    let flat = world.plan();
    assert_eq!(shown(&flat), ["add g1 → 2", "add g2 → 2"]);
    assert!(flat.warnings.iter().any(|w| w.contains("`g1` ↔ `g2`")), "{:?}", flat.warnings);
    world.ties.as_mut().unwrap().sync.nested = Nested::Direct;
    let direct = world.plan();
    assert_eq!(shown(&direct), ["add g2 → 2"]);
    assert!(direct.warnings.iter().any(|w| w.contains("2 nested groups skipped")), "{:?}", direct.warnings);
    world.raise(&direct, OrderState::PendingReview);
    world.ties.as_mut().unwrap().sync.nested = Nested::Refuse;
    let refused = world.plan();
    assert!(refused.orders.is_empty() && refused.superseded.is_empty(), "live orders wait");
    assert!(refused.warnings.iter().any(|w| w.contains("`g1` in `g2`")), "{:?}", refused.warnings);
}

#[test]
fn case_d7_a_delete_takes_its_rows_along() {
    let mut world = world();
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true", "t2,b@x,T,true"]);
    world.users.sync.on.orphan = OrphanAction::Delete;
    let ties = world.tie(&[], &["v1,t2", "v2,t2", "v9,t2"]);
    ties.sync.members = Members::Authoritative;
    let draft = world.plan();
    assert_eq!(shown(&draft), ["delete 2"], "no orders for what goes along");
    assert_eq!(draft.orders[0].takes_along, ["3 rows of vault.memberships"]);
}

#[test]
fn rows_of_ends_that_are_not_wanted_are_counted() {
    let mut world = world();
    world.tie(&["g1,9", "g9,1"], &[]);
    let draft = world.plan();
    assert_eq!(shown(&draft), NONE);
    assert!(
        draft.warnings.iter().any(|w| w.contains("2 rows name an object that is in no snapshot")),
        "{:?}",
        draft.warnings
    );
}

#[test]
fn a_protected_group_keeps_its_members() {
    let mut world = world();
    world.protect.insert("vault.groups/Admins".into());
    world.tie(&["g1,1"], &[]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["add g1 → 1 ! protected"]);
    assert!(detail(&draft).contains("vault.groups/Admins"));
}
