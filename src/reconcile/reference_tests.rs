//! Attributes that refer to other objects: any graph of them comes to be, and then there is nothing to do.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::PlanDraft;
use super::policy::ReferenceRule;
use super::world::{World, agree, detail, link, shown};
use crate::model::order::{EndRef, Operation, Order, OrderId, OrderState};
use crate::model::value::Value;
use crate::rules::expression::Expression;
use crate::rules::mapping::Mapping;

/// Users with a `manager` each, by `boss`; groups with an `owner` among the users, users with a `home` group.
fn world() -> World {
    let mut world = World::new();
    let rule = |attribute: &str, kind: &str, by: Option<&str>| ReferenceRule {
        attribute: attribute.into(),
        from: format!("idp.{kind}").parse().unwrap(),
        to: format!("vault.{kind}").parse().unwrap(),
        by: by.map(|by| Expression::compile(by).unwrap()),
    };
    world.users.sync.references = vec![rule("home", "groups", Some("name")), rule("manager", "users", None)];
    world.map(&[("home", "home"), ("manager", "boss"), ("userName", "email")], &[]);
    world.groups.sync.references = vec![rule("owner", "users", None)];
    let rules = [("displayName", "name"), ("owner", "owner")].map(|(a, r)| (a.to_owned(), r.to_owned())).into();
    world.groups.sync.rules.mapping = Mapping::compile(&rules, &BTreeSet::new()).unwrap();
    world
}

/// Keys to whom they name.
type Named = BTreeMap<String, String>;

/// Both systems: of each user the manager and the home group, of each group the owner.
#[derive(Clone, Debug, Default)]
struct Case {
    bosses: Named,
    homes: Named,
    owners: Named,
    users: BTreeMap<String, BTreeMap<String, String>>,
    groups: BTreeMap<String, BTreeMap<String, String>>,
}

fn cells(object: &BTreeMap<String, String>, names: &[&str]) -> String {
    names.iter().map(|name| object.get(*name).cloned().unwrap_or_default()).collect::<Vec<_>>().join(",")
}

impl Case {
    fn write(&self, world: &mut World) {
        let none = String::new();
        let users = self
            .bosses
            .iter()
            .map(|(key, boss)| format!("{key},{key}@x,{boss},{}\n", self.homes.get(key).unwrap_or(&none)));
        world.users.source = format!("id,email,boss,home\n{}", users.collect::<String>());
        let groups = self.owners.iter().map(|(key, owner)| format!("{key},{key}s,{owner}\n"));
        world.groups.source = format!("id,name,owner\n{}", groups.collect::<String>());
        let held = |objects: &BTreeMap<String, BTreeMap<String, String>>, names: &[&str]| -> String {
            objects.iter().map(|(id, object)| format!("{id},{}\n", cells(object, names))).collect()
        };
        let users = held(&self.users, &["userName", "manager", "home", "active"]);
        world.users.target = format!("id,userName,manager,home,active\n{users}");
        world.groups.target = format!("id,displayName,owner\n{}", held(&self.groups, &["displayName", "owner"]));
    }

    /// Does what the orders ask for, each after what it needs, and remembers what a run remembers. Fails where an order
    /// waits for ever, or refers to what is not there.
    fn apply(&mut self, world: &mut World, draft: &PlanDraft) -> Result<(), TestCaseError> {
        for side in [&mut world.users, &mut world.groups] {
            agree(side, draft);
        }
        let mut left: Vec<&Order> = draft.orders.iter().filter(|order| order.block.is_none()).collect();
        let mut made: BTreeMap<OrderId, String> = BTreeMap::new();
        while !left.is_empty() {
            let before = left.len();
            for order in std::mem::take(&mut left) {
                if order.needs().all(|needed| made.contains_key(needed)) {
                    self.send(world, order, &mut made)?;
                } else {
                    left.push(order);
                }
            }
            prop_assert!(left.len() < before, "{} orders wait for each other", left.len());
        }
        self.write(world);
        Ok(())
    }

    fn send(
        &mut self,
        world: &mut World,
        order: &Order,
        made: &mut BTreeMap<OrderId, String>,
    ) -> Result<(), TestCaseError> {
        let is_user = order.resource.resource == "users";
        let closes = order.closes.as_ref().map(|create| made[create].clone());
        let id = order.target_id.clone().or(closes).unwrap_or_else(|| format!("{}-{}", order.resource, order.key));
        let mut values = BTreeMap::new();
        for change in &order.changes {
            let reference = order.references.iter().find(|reference| reference.attribute == change.attribute);
            let text = change.after.as_ref().map(Value::to_cell).unwrap_or_default();
            let text = match reference.map(|reference| &reference.object) {
                Some(EndRef::Order(needed)) => made[needed].clone(),
                _ => text,
            };
            if let Some(reference) = reference {
                let there = if reference.resource.resource == "users" { &self.users } else { &self.groups };
                prop_assert!(there.contains_key(&text), "{} refers to {text}, which is not there", order.key);
            }
            values.insert(change.attribute.clone(), text);
        }
        let (objects, side) = match is_user {
            true => (&mut self.users, &mut world.users),
            false => (&mut self.groups, &mut world.groups),
        };
        objects.entry(id.clone()).or_default().extend(values);
        if !side.links.iter().any(|link| link.source_key == order.key) {
            side.links.push(link(&order.key, &id));
        }
        if order.operation == Operation::Create {
            made.insert(order.id.clone(), id);
        }
        Ok(())
    }
}

fn named(keys: &'static [&'static str], whom: &'static [&'static str]) -> impl Strategy<Value = Named> {
    let one = (proptest::sample::select(keys), proptest::sample::select(whom));
    proptest::collection::vec(one, 0..10)
        .prop_map(|all| all.into_iter().map(|(key, whom)| (key.to_owned(), whom.to_owned())).collect())
}

const USERS: &[&str] = &["a", "b", "c", "d", "e", "f"];
const BOSSES: &[&str] = &["a", "b", "c", "d", "e", "f", "nobody", ""];
const GROUPS: &[&str] = &["g", "h"];
const HOMES: &[&str] = &["gs", "hs", ""];

fn case() -> impl Strategy<Value = Case> {
    (named(USERS, BOSSES), named(USERS, HOMES), named(GROUPS, BOSSES)).prop_map(|(bosses, homes, owners)| Case {
        bosses,
        homes,
        owners,
        ..Case::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Circles, chains, references across resource types and to nobody: all in one plan, and the next one is empty. Then
    /// the same from there to another graph.
    #[test]
    fn any_graph_of_references_comes_to_be_in_one_plan(mut first in case(), then in case()) {
        let mut world = world();
        for round in 0..2 {
            first.write(&mut world);
            let draft = world.plan();
            prop_assert!(draft.orders.iter().all(|order| order.block.is_none()), "{:?}", shown(&draft));
            first.apply(&mut world, &draft)?;
            let again = world.plan();
            prop_assert!(again.orders.is_empty(), "round {}: {:?}\n{:#?}\n{}", round, shown(&again), first, world.users.target);
            for (key, boss) in &first.bosses {
                let id = |key: &String| world.users.links.iter().find(|l| l.source_key == *key).map(|l| l.target_id.clone());
                let held = id(key).and_then(|id| first.users[&id].get("manager").cloned()).filter(|text| !text.is_empty());
                if let Some(boss) = id(boss).filter(|_| first.bosses.contains_key(boss)) {
                    prop_assert_eq!(held, Some(boss));
                }
            }
            // Nobody leaves: what is at the target stays, so that every name of the first graph still leads somewhere.
            let Case { bosses, homes, owners, .. } = then.clone();
            first.bosses.extend(bosses);
            first.homes.extend(homes);
            first.owners.extend(owners);
        }
    }

    /// What waits is not asked again, whatever part of it was applied meanwhile: the approved rest is what is wanted.
    #[test]
    fn what_is_live_stays_live_while_parts_of_it_are_applied(mut case in case(), cut in 0usize..12) {
        let mut world = world();
        case.write(&mut world);
        let draft = world.plan();
        world.raise(&draft, OrderState::Approved);
        let mut made: BTreeMap<OrderId, String> = BTreeMap::new();
        let mut left: Vec<&Order> = draft.orders.iter().collect();
        let mut sent = 0;
        while sent < cut && !left.is_empty() {
            let Some(at) = left.iter().position(|order| order.needs().all(|needed| made.contains_key(needed))) else { break };
            let order = left.remove(at);
            case.send(&mut world, order, &mut made)?;
            world.end(&order.id, OrderState::Applied, false);
            sent += 1;
        }
        case.write(&mut world);
        let again = world.plan();
        prop_assert!(again.orders.is_empty() && again.superseded.is_empty(),
            "{:?} superseded {:?}\n{:?}", shown(&again), again.superseded, shown(&draft));
        let kept: BTreeSet<OrderId> = again.kept.iter().cloned().collect();
        prop_assert_eq!(kept, left.iter().map(|order| order.id.clone()).collect::<BTreeSet<_>>());
    }
}

/// A world whose users name these bosses, none of them at the target.
fn of(bosses: &[(&str, &str)]) -> (World, Case) {
    let bosses = bosses.iter().map(|(key, boss)| ((*key).to_owned(), (*boss).to_owned())).collect();
    let (mut world, case) = (world(), Case { bosses, ..Case::default() });
    case.write(&mut world);
    (world, case)
}

#[test]
fn a_circle_is_cut_once_and_its_update_belongs_to_the_create() {
    let (mut world, _) = of(&[("a", "b"), ("b", "c"), ("c", "a"), ("z", "z")]);
    world.users.sync.thresholds.update =
        vec![crate::model::threshold::Threshold::of_run(crate::model::threshold::Limit {
            count: Some(0),
            percent: None,
            floor: 0,
        })];
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create a", "create b", "create c", "create z", "update c", "update z"]);
    assert!(draft.excesses.is_empty(), "{:?}", draft.excesses);
    let (create, close) = (&draft.orders[2], &draft.orders[4]);
    assert!(create.references.is_empty() && create.changes.iter().all(|change| change.attribute != "manager"));
    assert_eq!(close.closes.as_ref(), Some(&create.id));
    assert_eq!(close.references[0].object, EndRef::Order(draft.orders[0].id.clone()));
    // The same circle, met from elsewhere, stays cut where it is under review.
    world.raise(&draft, OrderState::PendingReview);
    world.users.source.push_str("A0,A0@x,b,\n");
    let next = world.plan();
    assert_eq!((shown(&next), next.superseded.len()), (vec!["create A0".to_owned()], 0));
}

#[test]
fn whoever_refers_to_nobody_goes_without_unless_it_is_required() {
    let (mut world, _) = of(&[("a", "gone"), ("b", "")]);
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create a", "create b"]);
    assert!(
        draft.warnings[0].contains("manager of vault.users refers to nobody and is left as it is, for 1 row: `gone`")
    );
    world.users.sync.rules.required = vec!["manager".into()];
    let draft = world.plan();
    assert_eq!(shown(&draft), ["create a ! missing-reference", "create b ! incomplete"]);
    assert!(detail(&draft).contains("refers to `gone`, but no row of idp.users goes by it"), "{}", detail(&draft));
}

#[test]
fn who_is_refused_is_nobody_and_whoever_needs_them_says_so() {
    let (mut world, _) = of(&[("a", ""), ("b", "a"), ("c", "b")]);
    let first = world.plan();
    let of_a = first.orders[0].id.clone();
    world.raise(&first, OrderState::PendingReview).end(&of_a, OrderState::Rejected, false);
    let next = world.plan();
    // Only what referred to it directly changes; what refers to that goes by its identity.
    assert_eq!(shown(&next), ["create b"]);
    assert_eq!(next.superseded.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&first.orders[1].id]);
    assert!(next.orders[0].references.is_empty());
    let told = "`b` goes without manager for now, it refers to `a`, and order";
    assert!(next.warnings.iter().any(|warning| warning.contains(told)), "{:?}", next.warnings);
    let (mut strict, _) = of(&[("a", "a"), ("b", "a"), ("c", "b")]);
    strict.users.sync.rules.required = vec!["manager".into()];
    let first = strict.plan();
    let of_a = first.orders.iter().find(|order| order.key == "a" && order.closes.is_none()).unwrap().id.clone();
    strict.raise(&first, OrderState::PendingReview).end(&of_a, OrderState::Rejected, false);
    let next = strict.plan();
    let blocked: Vec<&str> = next.reblocked.iter().map(|(_, block)| block.as_ref().unwrap().reason.word()).collect();
    assert_eq!((shown(&next), blocked), (vec![], vec!["missing-reference"; 3]), "b, c, and the update of a");
    // Asked again, it is another order, and who needed the refused one needs that.
    strict.ask_again = true;
    let again = strict.plan();
    assert_eq!(shown(&again)[..2], ["create a", "create b"]);
    assert_eq!(again.orders[1].references[0].object, EndRef::Order(again.orders[0].id.clone()));
}
