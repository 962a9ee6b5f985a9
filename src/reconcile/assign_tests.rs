//! Generated values are free, nobody's but one's, and stay.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::model::order::OrderState;
use crate::model::value::Value;
use crate::reconcile::PlanDraft;
use crate::reconcile::generate::{Collision, GenerateRule};
use crate::reconcile::world::{CASELESS, World};
use crate::rules::matching::MatchRule;

/// Newcomers by the number of their key, each with the number of the login that they want; logins of the target, with the
/// number that stands behind them.
fn world(wanted: &BTreeMap<u8, u8>, held: &BTreeSet<(u8, u8)>) -> World {
    let mut world = World::new();
    set(&mut world, wanted, held);
    world.map(&[("userName", "email"), ("active", "enabled")], &[]);
    world.users.sync.rules.matching = vec![MatchRule::compile("title", "title", 100).unwrap()];
    world.users.capabilities.attributes = BTreeMap::from([
        ("userName".to_owned(), CASELESS),
        ("active".to_owned(), CASELESS),
        ("title".to_owned(), CASELESS),
    ]);
    let on_collision = Collision::parse("{value}{n}").unwrap();
    world.users.sync.generated =
        vec![GenerateRule { attribute: "userName".into(), on_collision, from: 2, follow: false }];
    world
}

fn set(world: &mut World, wanted: &BTreeMap<u8, u8>, held: &BTreeSet<(u8, u8)>) {
    let source: Vec<String> = wanted.iter().map(|(key, name)| format!("k{key:03},user{name}x,s{key},true")).collect();
    let target = held.iter().enumerate().map(|(id, (name, n))| {
        let number = if *n < 2 { String::new() } else { n.to_string() };
        format!("t{id},USER{name}X{number},t{id},true")
    });
    let target: Vec<String> = target.collect();
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    world.users.source = format!("id,email,title,enabled\n{}", lines(&source));
    world.users.target = format!("id,userName,title,active\n{}", lines(&target));
}

fn logins(draft: &PlanDraft) -> BTreeMap<String, String> {
    let login = |order: &crate::model::order::Order| {
        let change = order.changes.iter().find(|change| change.attribute == "userName")?;
        Some((order.key.clone(), change.after.as_ref().and_then(Value::as_text)?.to_owned()))
    };
    draft.orders.iter().filter_map(login).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn generated_values_are_free_and_nobody_s_but_one_s_and_stay(
        wanted in proptest::collection::btree_map(0u8..60, 0u8..3, 1..14),
        held in proptest::collection::btree_set((0u8..3, 1u8..5), 0..8),
        later in proptest::collection::btree_map(0u8..60, 0u8..3, 0..8),
    ) {
        let mut world = world(&wanted, &held);
        let first = world.plan();
        prop_assert_eq!(&first.orders, &world.plan().orders);
        let given = logins(&first);
        prop_assert_eq!(given.len(), wanted.len());
        let taken: BTreeSet<String> = held
            .iter()
            .map(|(name, n)| if *n < 2 { format!("user{name}x") } else { format!("user{name}x{n}") })
            .collect();
        for (key, name) in &wanted {
            let login = &given[&format!("k{key:03}")];
            prop_assert!(login.starts_with(&format!("user{name}x")) && !taken.contains(login), "{} {}", key, login);
        }
        prop_assert_eq!(given.values().collect::<BTreeSet<_>>().len(), given.len());

        // They wait, others come, some of them with keys before theirs, and some of the held ones go.
        world.raise(&first, OrderState::PendingReview);
        let mut all = later.clone();
        all.extend(wanted.clone());
        let left: BTreeSet<(u8, u8)> = held.iter().copied().filter(|(_, n)| n % 2 == 0).collect();
        set(&mut world, &all, &left);
        let second = world.plan();
        let newly = logins(&second);
        prop_assert!(newly.keys().all(|key| !given.contains_key(key)), "{:?} after {:?}", newly, given);
        prop_assert_eq!(newly.len() + given.len(), all.len());
        let everybody: BTreeSet<&String> = newly.values().chain(given.values()).collect();
        prop_assert_eq!(everybody.len(), all.len(), "{:?} after {:?}", newly, given);
    }
}
