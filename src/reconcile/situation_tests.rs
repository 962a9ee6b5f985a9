//! Each situation of one object, from small texts.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::derived::Derived;
use super::groups::GroupRule;
use super::policy::{DriftAction, Nested, OrphanAction, OutOfScopeAction};
use super::world::{CASELESS, World, agree, detail, shown};
use crate::model::order::{Operation, OrderState};
use crate::model::situation::{Cause, Situation};
use crate::model::value::Value;
use crate::rules::matching::MatchRule;
use crate::rules::scope::Scope;

const NONE: [&str; 0] = [];

fn count(world: &World, situation: Situation) -> u64 {
    world.plan().situations[0].counts.get(&situation).copied().unwrap_or(0)
}

#[test]
fn one_object_in_each_situation() {
    type Row = (&'static str, &'static [&'static str], &'static [&'static str], bool, &'static [&'static str]);
    let cases: [Row; 10] = [
        ("equal by canonical value", &["1,a@x,T,TRUE"], &["t1,a@x,T,true"], true, &[]),
        ("missing", &["1,a@x,T,true"], &[], false, &["create 1"]),
        ("changed", &["1,a@x,New,true"], &["t1,a@x,Old,true"], true, &["update 1"]),
        ("disabled at the source", &["1,a@x,T,false"], &["t1,a@x,T,true"], true, &["disable 1"]),
        ("enabled at the source", &["1,a@x,New,yes"], &["t1,a@x,Old,false"], true, &["enable 1"]),
        ("orphan", &[], &["t1,a@x,T,true"], true, &["disable 1"]),
        ("orphan, disabled already", &[], &["t1,a@x,T,0"], true, &[]),
        ("unmanaged is never touched", &[], &["t1,a@x,T,true"], false, &[]),
        ("nothing is left as it is", &["1,a@x,,true"], &["t1,a@x,Kept,true"], true, &[]),
        ("gone at the target: made again", &["1,a@x,T,true"], &["t9,z@x,T,true"], true, &["create 1"]),
    ];
    for (what, source, target, linked, expected) in cases {
        let mut world = World::new();
        world.users(source, target);
        if linked {
            world.link(&[("1", "t1")]);
        }
        assert_eq!(shown(&world.plan()), expected, "{what}");
    }
}

#[test]
fn an_enabling_order_carries_all_changes() {
    let mut world = World::new();
    world.users(&["1,a@x,New,true"], &["t1,a@x,Old,false"]).link(&[("1", "t1")]);
    let draft = world.plan();
    let names: Vec<&str> = draft.orders[0].changes.iter().map(|c| c.attribute.as_str()).collect();
    assert_eq!(names, ["active", "title"]);
    assert_eq!(draft.orders[0].changes[0].after, Value::text("true"));
}

#[test]
fn a_match_is_linked_once_confirmed_and_never_before() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true", "2,b@x,New,true"], &["t1,a@x,T,true", "t2,b@x,Old,true"]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update 2"]);
    let links: Vec<_> = draft.links[0].links().map(|link| (link.source_key, link.target_id)).collect();
    assert_eq!(links, [("1".to_owned(), "t1".to_owned())]);
    agree(&mut world.users, &draft);
    let again = world.plan();
    assert!(again.links[0].recorded.is_empty() && again.links[0].agreed.is_empty(), "nothing new to remember");
}

#[test]
fn a_link_whose_object_is_gone_is_dropped() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t9,a@x,T,true"]).link(&[("1", "t1")]);
    let draft = world.plan();
    assert_eq!(draft.links[0].dropped[0].1, "t1");
    assert_eq!(draft.links[0].recorded.len(), 1, "and the row is correlated again: {:?}", shown(&draft));
    world.users.absence.1 = false;
    let draft = world.plan();
    assert!(draft.links[0].dropped.is_empty() && draft.links[0].recorded.is_empty() && draft.orders.is_empty());
    assert!(draft.warnings[0].contains("does not prove that it is gone"), "{:?}", draft.warnings);
}

#[test]
fn absence_is_concluded_only_where_it_is_proved() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true", "2,b@x,T,false"], &["t2,b@x,T,true", "t3,c@x,T,true"]);
    world.link(&[("2", "t2"), ("3", "t3")]);
    assert_eq!(shown(&world.plan()), ["create 1", "disable 2", "disable 3"]);
    world.users.absence = (false, false);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["disable 2"], "what a row says needs no proof");
    assert_eq!(draft.warnings.len(), 2, "{:?}", draft.warnings);
}

#[test]
fn removal_follows_the_policy_of_its_situation() {
    let mut world = World::new();
    world.users(&["2,b@x,T,true"], &["t1,a@x,T,true", "t2,b@x,T,true"]).link(&[("1", "t1"), ("2", "t2")]);
    world.users.sync.rules.scope = Scope::compile(&["title == 'Other'".to_owned()]).unwrap();
    assert_eq!(shown(&world.plan()), ["disable 1", "disable 2"]);
    assert_eq!((count(&world, Situation::Orphan), count(&world, Situation::OutOfScope)), (1, 1));
    world.users.sync.on.orphan = OrphanAction::Delete;
    world.users.sync.on.out_of_scope = OutOfScopeAction::Ignore;
    assert_eq!(shown(&world.plan()), ["delete 1"]);
    world.delete_after = Some(Duration::from_secs(30 * 86_400));
    let draft = world.plan();
    assert_eq!(shown(&draft), ["disable 1"]);
    assert!(draft.orders[0].reason.contains("its delete becomes due 30 days later"), "{}", draft.orders[0].reason);
    world.users.capabilities.enabled = None;
    let draft = world.plan();
    assert_eq!(shown(&draft), ["delete 1 ! delete-disallowed"]);
    assert!(detail(&draft).contains("vault.users does not offer one for `t1`; set on.no_disable = \"wait\""));
}

#[test]
fn a_changed_scope_rule_is_told_from_a_changed_row() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true"]).link(&[("1", "t1")]);
    let draft = world.plan();
    agree(&mut world.users, &draft);
    world.users.sync.rules.scope = Scope::compile(&["title == 'Other'".to_owned()]).unwrap();
    assert_eq!(world.plan().orders[0].cause, Cause::Rule);
    world.users(&["1,a@x,U,true"], &["t1,a@x,T,true"]);
    assert_eq!(world.plan().orders[0].cause, Cause::Source);
}

#[test]
fn case_k4_a_required_value_that_is_missing_names_attribute_source_and_rule() {
    let mut world = World::new();
    world.users(&["1,,T,true"], &[]);
    world.users.sync.rules.required = vec!["userName".into()];
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 1 ! incomplete"]);
    for part in ["`userName`", "rule `email`", "email = ``", "`1` in idp.users"] {
        assert!(detail(&draft).contains(part), "{part}: {}", detail(&draft));
    }
}

#[test]
fn a_failing_rule_blocks_its_order_and_no_other() {
    let mut world = World::new();
    world.users(&["1,a@x,7,true", "2,b@x,seven,true"], &["t1,a@x,7,true"]).link(&[("1", "t1")]);
    world.map(&[("userName", "email"), ("title", "string(int(title))")], &[]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 2 ! incomplete"]);
    assert!(detail(&draft).contains("title = `seven`"), "{}", detail(&draft));
}

#[test]
fn clear_clears_and_only_where_the_job_says_so() {
    let mut world = World::new();
    world.users(&["1,a@x,,true"], &["t1,a@x,T,true"]).link(&[("1", "t1")]);
    world.map(&[("title", "title")], &["title"]);
    let draft = world.plan();
    assert_eq!(draft.orders[0].changes[0].after, None);
    assert_eq!(draft.orders[0].changes[0].before, Value::text("T"));
}

#[test]
fn several_candidates_are_ambiguous_and_named() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true", "t2,a@x,T,true"]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update 1 ! ambiguous"]);
    assert!(detail(&draft).contains("`t1` (a@x), `t2` (a@x)"), "{}", detail(&draft));
    world.users(&["1,a@x,T,true", "2,a@x,T,true"], &["t1,a@x,T,true"]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update 1 ! ambiguous", "update 2 ! ambiguous"]);
    assert!(draft.links[0].recorded.is_empty());
}

#[test]
fn case_p4_a_match_that_is_not_sure_waits_and_is_not_linked() {
    let mut world = World::new();
    world.users.sync.rules.matching =
        vec![MatchRule::compile("id", "id", 100).unwrap(), MatchRule::compile("email", "userName", 80).unwrap()];
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true"]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update 1 ! low-confidence"]);
    assert_eq!(draft.orders[0].confidence, 80);
    assert!(detail(&draft).contains("email = userName") && draft.links[0].recorded.is_empty());
}

#[test]
fn text_without_regard_to_case_matches_and_compares_so() {
    let mut world = World::new();
    world.users(&["1,A@X,T,true"], &["t1,a@x,T,true"]);
    assert_eq!(shown(&world.plan()), ["create 1"]);
    world.users.capabilities.attributes =
        [("userName", CASELESS), ("title", CASELESS)].map(|(n, k)| (n.to_owned(), k)).into();
    assert_eq!(shown(&world.plan()), NONE);
}

#[test]
fn case_i8_drift_is_told_from_a_source_change() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true"]);
    let draft = world.plan();
    agree(&mut world.users, &draft);
    for (source, target, rule, expected) in [
        ("1,a@x,T,true", "t1,a@x,Moved,true", "title", Cause::Drift),
        ("1,a@x,New,true", "t1,a@x,T,true", "title", Cause::Source),
        ("1,a@x,T,true", "t1,a@x,T,true", "'Fixed'", Cause::Rule),
        ("1,a@x,New,true", "t1,a@x,Moved,true", "title", Cause::Both),
    ] {
        world.users(&[source], &[target]);
        world.map(&[("userName", "email"), ("title", rule), ("active", "enabled")], &[]);
        assert_eq!(world.plan().orders[0].cause, expected, "{source} {target}");
    }
    world.users(&["1,a@x,T,true"], &["t1,a@x,Moved,true"]);
    world.map(&[("userName", "email"), ("title", "title"), ("active", "enabled")], &[]);
    world.users.sync.on.drift = DriftAction::Report;
    let draft = world.plan();
    assert_eq!(shown(&draft), NONE);
    assert!(draft.warnings[0].contains("title is `Moved` instead of `T`"), "{:?}", draft.warnings);
    world.users.sync.on.drift = DriftAction::Leave;
    assert!(world.plan().warnings.is_empty());
}

#[test]
fn case_p7_unique_values_are_claimed_by_nobody_else() {
    let mut world = World::new();
    world.users.sync.rules.unique = vec!["userName".into()];
    world.users.sync.rules.matching.clear();
    world.users(&["1,a@x,T,true", "2,a@x,T,true"], &[]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 1 ! conflict", "create 2 ! conflict"]);
    assert!(detail(&draft).contains("row `1` and `2`"), "{}", detail(&draft));
    world.users(&["1,a@x,T,true"], &["t9,a@x,T,true"]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 1 ! conflict"]);
    assert!(detail(&draft).contains("`t9` (not managed)"), "{}", detail(&draft));
    world.users(&["1,a@x,T,true"], &["t1,old@x,T,true", "t9,a@x,T,true"]).link(&[("1", "t1")]);
    assert_eq!(shown(&world.plan()), ["update 1 ! conflict"]);
}

#[test]
fn rows_that_share_a_key_are_left_out_and_nothing_is_concluded() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true", "1,b@x,T,true", ",c@x,T,true"], &["t1,a@x,T,true"]).link(&[("1", "t1")]);
    let draft = world.plan();
    assert_eq!(shown(&draft), NONE);
    assert!(draft.warnings.iter().any(|w| w.contains("`1` at row 2 and row 3")), "{:?}", draft.warnings);
    assert!(draft.warnings.iter().any(|w| w.contains("1 row without a key")), "{:?}", draft.warnings);
}

#[test]
fn protected_objects_and_foreign_ones_are_never_touched() {
    for name in ["1", "t1", "a@x"] {
        let mut world = World::new();
        world.users(&["1,a@x,New,true"], &["t1,a@x,Old,true"]).link(&[("1", "t1")]);
        world.protect.insert(format!("vault.users/{name}"));
        assert_eq!(shown(&world.plan()), ["update 1 ! protected"], "{name}");
    }
    let mut world = World::new();
    world.users(&["1,a@x,New,true"], &["t1,a@x,Old,true"]).link(&[("1", "t1")]);
    world.users.claimed.insert("t1".into(), "job payroll".into());
    let draft = world.plan();
    assert_eq!(shown(&draft), ["update 1 ! conflict"]);
    assert!(detail(&draft).contains("job payroll"));
}

#[test]
fn what_the_target_cannot_do_is_blocked_before_review() {
    let mut world = World::new();
    world.users(&["1,a@x,New,true", "2,b@x,T,true"], &["t1,a@x,Old,true"]).link(&[("1", "t1")]);
    world.users.capabilities.operations = vec![Operation::Update];
    world.users.capabilities.immutable = vec!["title".into()];
    assert_eq!(shown(&world.plan()), ["create 2 ! unsupported", "update 1 ! unsupported"]);
    // Whoever goes is not changed, whatever of them cannot be.
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t1,a@x,T,true", "t2,b@x,T,true"]).link(&[("1", "t1"), ("2", "t2")]);
    world.users.sync.on.orphan = OrphanAction::Delete;
    world.users.capabilities.immutable = vec!["title".into()];
    assert_eq!(shown(&world.plan()), ["delete 2"]);
}

#[test]
fn case_k3_creates_beyond_the_free_seats_are_blocked() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true", "2,b@x,T,true", "3,c@x,T,true"], &[]);
    world.users.free = Some(2);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create 1", "create 2", "create 3 ! capacity"]);
}

#[test]
fn what_is_not_confirmed_is_listed() {
    let mut world = World::new();
    world.users(&["1,a@x,T,true"], &["t2,b@x,T,true"]);
    let listed: Vec<_> =
        world.plan().listed.into_iter().map(|o| (o.situation, o.key, o.name, o.target_id.is_some())).collect();
    assert_eq!(
        listed,
        [
            (Situation::Missing, "1".into(), "a@x".into(), false),
            (Situation::Unmanaged, "t2".into(), "b@x".into(), true)
        ]
    );
}

#[test]
fn whoever_is_in_no_group_that_assigns_is_left_alone_until_that_is_proved() {
    let mut world = World::new();
    world.users.source =
        "id,email,title,enabled,groups\n1,a@x,T,true,\"[\"\"in\"\"]\"\n2,b@x,T,true,\n3,c@x,T,true,out\n".into();
    world.users.target = "id,userName,title,active\nt1,a@x,T,true\nt2,b@x,T,true\n".into();
    world.link(&[("1", "t1"), ("2", "t2")]);
    world.users.sync.derivation.groups = Some(GroupRule {
        via: "idp.memberships".parse().unwrap(),
        member: "user".into(),
        group: "group".into(),
        of: None,
        by: None,
        nestings: None,
        nested: Nested::Flatten,
        column: "groups".into(),
        assigned: vec!["in".into(), "in as well".into()],
    });
    let derived = |proves_absence: bool, doubt: Option<&str>| {
        Some(Derived { proves_absence, doubt: doubt.map(str::to_owned), ..Derived::default() })
    };
    world.users.derived = derived(true, None);
    assert_eq!(shown(&world.plan()), ["disable 2"]);
    // Its live order stays as it is, too: nobody knows whether it is wanted.
    let draft = world.plan();
    world.raise(&draft, OrderState::PendingReview);
    world.users.derived = derived(false, None);
    let draft = world.plan();
    assert_eq!((shown(&draft), draft.kept.len(), draft.superseded.len()), (vec![], 1, 0));
    assert!(draft.warnings[0].contains("1 row is in no group that `assigned` names, but"), "{:?}", draft.warnings);
    assert!(draft.warnings[0].ends_with(": 2"), "the newcomer who is in none is no news: {:?}", draft.warnings);
    world.users.derived = derived(true, Some("groups contain groups"));
    let draft = world.plan();
    assert_eq!((shown(&draft), draft.kept.len()), (vec![], 1));
    assert!(draft.warnings[0].contains("the scope cannot be judged for 3 rows"), "{:?}", draft.warnings);
}
