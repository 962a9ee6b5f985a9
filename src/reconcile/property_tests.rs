//! What holds for every world: plans settle, and depend on nothing but their input.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::PlanDraft;
use super::policy::{Members, OrphanAction};
use super::world::{World, agree, link};
use crate::model::order::{EndRef, Operation, Order, OrderId};

type Users = BTreeMap<String, [String; 3]>;
type Pairs = BTreeSet<(String, String)>;

/// Both systems in memory.
#[derive(Clone, Debug)]
struct Case {
    source: Users,
    target: Users,
    links: Vec<(String, String)>,
    wanted: Pairs,
    held: Pairs,
    authoritative: bool,
    deletes: bool,
    unique: bool,
}

fn users(prefix: &'static str) -> impl Strategy<Value = Users> {
    let value = (0u8..8, 0u8..3, any::<bool>());
    proptest::collection::btree_map(0u8..10, value, 0..8).prop_map(move |users| {
        let user = |(key, (mail, title, active)): (u8, (u8, u8, bool))| {
            let title = if title == 0 { String::new() } else { format!("title {title}") };
            (format!("{prefix}{key}"), [format!("u{mail}@x"), title, active.to_string()])
        };
        users.into_iter().map(user).collect()
    })
}

fn pairs(group: &'static str, user: &'static str) -> impl Strategy<Value = Pairs> {
    let pair = (0u8..3, 0u8..12).prop_map(move |(g, u)| {
        // Some members are groups.
        let member = if u > 9 && user.is_empty() { format!("g{}", u - 10) } else { format!("{user}{u}") };
        (format!("{group}{g}"), member)
    });
    proptest::collection::btree_set(pair, 0..12)
}

fn case() -> impl Strategy<Value = Case> {
    let links = proptest::collection::vec((0u8..12, 0u8..12), 0..6);
    (users(""), users("t"), links, pairs("g", ""), pairs("v", "t"), any::<[bool; 3]>()).prop_map(
        |(source, target, links, wanted, held, [authoritative, deletes, unique])| {
            let (mut sources, mut targets) = (BTreeSet::new(), BTreeSet::new());
            let links = links.into_iter().filter(|(s, t)| sources.insert(*s) && targets.insert(*t));
            let links = links.map(|(s, t)| (s.to_string(), format!("t{t}"))).collect();
            Case { source, target, links, wanted, held, authoritative, deletes, unique }
        },
    )
}

fn lines(users: &Users) -> Vec<String> {
    users.iter().map(|(key, cells)| format!("{key},{}", cells.join(","))).collect()
}

fn borrowed(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

impl Case {
    fn world(&self) -> World {
        let mut world = World::new();
        world.groups.source = "id,name\ng0,G0\ng1,G1\ng2,G2\n".into();
        world.groups.target = "id,displayName\nv0,G0\nv1,G1\n".into();
        world.users.links = self.links.iter().map(|(s, t)| link(s, t)).collect();
        if self.deletes {
            world.users.sync.on.orphan = OrphanAction::Delete;
        }
        if self.unique {
            world.users.sync.rules.unique = vec!["userName".into()];
        }
        self.write(&mut world);
        world
    }

    fn write(&self, world: &mut World) {
        let (source, target) = (lines(&self.source), lines(&self.target));
        world.users(&borrowed(&source), &borrowed(&target));
        let rows = |pairs: &Pairs| -> Vec<String> { pairs.iter().map(|(g, u)| format!("{g},{u}")).collect() };
        let managed = world.ties.take().map(|ties| ties.managed_rows).unwrap_or_default();
        let ties = world.tie(&borrowed(&rows(&self.wanted)), &borrowed(&rows(&self.held)));
        ties.managed_rows = managed;
        if self.authoritative {
            ties.sync.members = Members::Authoritative;
        }
    }

    /// Does what every order that is not blocked asks for, objects first, and remembers what a run remembers.
    fn apply(&mut self, world: &mut World, draft: &PlanDraft) {
        for side in [&mut world.users, &mut world.groups] {
            agree(side, draft);
            for book in draft.links.iter().filter(|book| book.sync_id == side.sync.id) {
                side.links.retain(|link| !book.dropped.iter().any(|(dropped, ..)| *dropped == link.source_key));
            }
        }
        let mut made: BTreeMap<OrderId, String> = BTreeMap::new();
        for order in draft.orders.iter().filter(|order| order.block.is_none()) {
            match order.resource.resource.as_str() {
                "users" => self.apply_user(world, order, &mut made),
                "groups" => {
                    // A fresh id: rows that name an object which is not there must not come to life.
                    let id = format!("w{}", order.key);
                    world.groups.target.push_str(&format!("{id},{}\n", order.changes[0].after.as_ref().unwrap()));
                    world.groups.links.push(link(&order.key, &id));
                    made.insert(order.id.clone(), id);
                }
                _ => {
                    let end = |i: usize| match &order.ends[i].object {
                        EndRef::Target(id) => id.clone(),
                        EndRef::Order(id) => made[id].clone(),
                    };
                    let ties = world.ties.as_mut().unwrap();
                    if order.operation == Operation::Add {
                        self.held.insert((end(0), end(1)));
                        ties.managed_rows.insert(order.object.0.clone());
                    } else {
                        self.held.remove(&(end(0), end(1)));
                    }
                }
            }
        }
        self.write(world);
    }

    fn apply_user(&mut self, world: &mut World, order: &Order, made: &mut BTreeMap<OrderId, String>) {
        let id = order.target_id.clone().unwrap_or_else(|| format!("n{}", order.key));
        if order.operation == Operation::Delete {
            self.target.remove(&id);
            self.held.retain(|(_, user)| *user != id);
            world.users.links.retain(|link| link.target_id != id);
            return;
        }
        world.users.links.retain(|link| Some(&link.source_key) != order.renamed_from.as_ref());
        let cells = self.target.entry(id.clone()).or_default();
        for change in &order.changes {
            let column = ["userName", "title", "active"].iter().position(|name| *name == change.attribute).unwrap();
            cells[column] = change.after.as_ref().map(ToString::to_string).unwrap_or_default();
        }
        if !world.users.links.iter().any(|link| link.source_key == order.key) {
            world.users.links.push(link(&order.key, &id));
        }
        made.insert(order.id.clone(), id);
    }
}

fn ready(draft: &PlanDraft) -> Vec<String> {
    draft
        .orders
        .iter()
        .filter(|order| order.block.is_none())
        .map(|order| format!("{} {}", order.operation, order.key))
        .collect()
}

fn told(draft: &PlanDraft) -> String {
    format!("{draft:#?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_a_plan_leaves_nothing_to_do(mut case in case()) {
        let mut world = case.world();
        let mut draft = world.plan();
        let blocked = draft.orders.iter().any(|order| order.block.is_some());
        // What was blocked by a value that somebody held may follow once it is free.
        for round in 0..6 {
            if ready(&draft).is_empty() {
                break;
            }
            prop_assert!(round == 0 || blocked, "left after round {round}: {:?}\n{case:?}", ready(&draft));
            case.apply(&mut world, &draft);
            draft = world.plan();
        }
        prop_assert_eq!(ready(&draft), Vec::<String>::new(), "{:?}", case);
    }

    #[test]
    fn a_plan_depends_on_neither_the_order_of_rows_nor_the_threads(case in case()) {
        let mut world = case.world();
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let one = pool(1).install(|| told(&world.plan()));
        prop_assert_eq!(&one, &pool(4).install(|| told(&world.plan())));
        for text in [&mut world.users.source, &mut world.users.target] {
            let (header, rows) = text.split_once('\n').unwrap();
            let rows: Vec<&str> = rows.lines().rev().collect();
            *text = format!("{header}\n{}", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
        }
        world.users.links.reverse();
        prop_assert_eq!(&one, &told(&world.plan()));
    }
}
