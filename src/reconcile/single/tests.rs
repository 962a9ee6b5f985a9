//! What is said of one object is what a plan of all of them does.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Recall, Subject, account, assemble_only, tie};
use crate::model::link::Links;
use crate::model::order::Fingerprint;
use crate::model::order::{ObjectKey, Order, OrderState};
use crate::model::record::TakenBack;
use crate::model::resource::ResourceName;
use crate::model::situation::Situation;
use crate::reconcile::input::{LiveOrder, Memory, Prior};
use crate::reconcile::policy::{Members, Nested, OrphanAction};
use crate::reconcile::world::{World, link};
use crate::reconcile::{PlanDraft, ReconcileError};
use crate::rules::matching::MatchRule;
use crate::rules::scope::Scope;

/// The world's memory, asked about single objects.
struct Remembered<'a> {
    world: &'a World,
    users: Links,
    groups: Links,
}

impl<'a> Remembered<'a> {
    fn of(world: &'a World) -> Self {
        Self { world, users: world.users.remembered(), groups: world.groups.remembered() }
    }
}

impl Memory for Remembered<'_> {
    fn standing(&self, identity: &str, fingerprints: &[&Fingerprint]) -> Result<Vec<Prior>, ReconcileError> {
        self.world.standing(identity, fingerprints)
    }

    fn taken_back(&self, identity: &str) -> Result<Vec<TakenBack>, ReconcileError> {
        self.world.taken_back(identity)
    }

    fn added(&self, sync_id: &str, rows: &[ObjectKey]) -> Result<Vec<bool>, ReconcileError> {
        self.world.added(sync_id, rows)
    }
}

impl Recall for Remembered<'_> {
    fn links(&self, sync_id: &str, sources: &[String], targets: &[String]) -> Result<Links, ReconcileError> {
        let wanted = |source: &str, target: &str| {
            sources.iter().any(|key| key == source) || targets.iter().any(|id| id == target)
        };
        let all = self.all_links(sync_id)?;
        Ok(all.iter().filter(|link| wanted(link.source_key, link.target_id)).map(|link| link.to_link()).collect())
    }

    fn all_links(&self, sync_id: &str) -> Result<Links, ReconcileError> {
        let known = [(&self.world.users, &self.users), (&self.world.groups, &self.groups)];
        let found = known.into_iter().find(|(side, _)| side.sync.id == sync_id);
        Ok(found.map(|(_, links)| links.clone()).unwrap_or_default())
    }

    fn live(&self, _: &str, objects: &[ObjectKey]) -> Result<Vec<LiveOrder>, ReconcileError> {
        Ok(self.world.live.iter().filter(|live| objects.contains(&live.object)).cloned().collect())
    }

    fn all_live(&self, _: &str) -> Result<Vec<LiveOrder>, ReconcileError> {
        Ok(self.world.live.clone())
    }
}

/// Users of both sides: mail, title, city, in use; and who is linked with whom.
#[derive(Clone, Debug)]
struct Case {
    source: BTreeMap<u8, (u8, u8, u8, bool)>,
    target: BTreeMap<u8, (u8, u8, u8, bool)>,
    links: Vec<(u8, u8)>,
    /// Whether: unique, orphans are deleted, there is a scope, a second match rule, names are free to resemble.
    choices: [bool; 5],
    states: Vec<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    let users = || proptest::collection::btree_map(0u8..14, (0u8..7, 0u8..4, 0u8..3, any::<bool>()), 0..11);
    let links = proptest::collection::vec((0u8..14, 0u8..14), 0..9);
    let states = proptest::collection::vec(0u8..8, 0..12);
    (users(), users(), links, any::<[bool; 5]>(), states).prop_map(|(source, target, links, choices, states)| {
        let (mut sources, mut targets) = (BTreeSet::new(), BTreeSet::new());
        let links = links.into_iter().filter(|(s, t)| sources.insert(*s) && targets.insert(*t)).collect();
        Case { source, target, links, choices, states }
    })
}

impl Case {
    fn world(&self) -> World {
        let [unique, deletes, scoped, twice, apart] = self.choices;
        let mut world = World::new();
        world.map(
            &[("userName", "email"), ("title", "title"), ("active", "enabled"), ("city", "city"), ("mail", "email")],
            &["title"],
        );
        let line = |prefix: &str, (key, (mail, title, city, active)): (&u8, &(u8, u8, u8, bool))| {
            let title = if *title == 0 { String::new() } else { format!("title {title}") };
            let mail = if apart { format!("u{mail}-{key}@x") } else { format!("u{mail}@x") };
            let mail = if *city == 2 { format!("u{city}@x") } else { mail };
            format!("{prefix}{key},{mail},{title},{active},city {city},u{}@x\n", (*city + *key) % 5)
        };
        let lines = |prefix: &str, users: &BTreeMap<u8, (u8, u8, u8, bool)>| {
            users.iter().map(|user| line(prefix, user)).collect::<String>()
        };
        world.users.source = format!("id,email,title,enabled,city,second\n{}", lines("", &self.source));
        world.users.target = format!("id,userName,title,active,city,mail\n{}", lines("t", &self.target));
        world.users.links = self.links.iter().map(|(s, t)| link(&s.to_string(), &format!("t{t}"))).collect();
        world.users.capabilities.immutable = if twice { vec!["city".into()] } else { Vec::new() };
        if unique {
            world.users.sync.rules.unique = vec!["userName".into()];
        }
        if deletes {
            world.users.sync.on.orphan = OrphanAction::Delete;
        }
        if scoped {
            world.users.sync.rules.scope = Scope::compile(&["title != 'title 2'".to_owned()]).unwrap();
        }
        if twice {
            let second = MatchRule::compile("second", "mail", 80).unwrap();
            world.users.sync.rules.matching.insert(usize::from(apart), second);
        }
        world
    }

    /// Some of a plan's orders stand where a review or an apply left them.
    fn reviewed(&self, world: &mut World) {
        let draft = world.plan();
        let states = [
            OrderState::PendingReview,
            OrderState::Approved,
            OrderState::Rejected,
            OrderState::Errored,
            OrderState::Uncertain,
            OrderState::Blocked,
            OrderState::Stale,
            OrderState::PendingReview,
        ];
        for (order, state) in draft.orders.iter().zip(&self.states) {
            let state = states[*state as usize];
            let one = PlanDraft { orders: vec![order.clone()], ..PlanDraft::default() };
            world.raise(&one, state);
            world.live.retain(|live| live.state.is_live());
        }
    }
}

/// What a plan says of a user, in comparable words.
fn planned(draft: &PlanDraft, world: &World, key: &str) -> String {
    let object = ObjectKey::by_source(&world.users.sync.to, &world.users.sync.from, key);
    let order = draft.orders.iter().find(|order| order.object == object);
    let own: Vec<_> = world.live.iter().filter(|live| live.object == object).map(|live| live.id.clone()).collect();
    let kept = draft.kept.iter().find(|kept| own.contains(kept));
    let superseded: Vec<_> = draft.superseded.iter().filter(|(id, _)| own.contains(id)).collect();
    let reblocked: Vec<_> = draft.reblocked.iter().filter(|(id, _)| own.contains(id)).map(|(_, b)| b).collect();
    let situation = order.map(|order| order.situation).or_else(|| {
        let listed = draft.listed.iter().find(|listed| listed.sync == 0 && listed.key == key);
        listed.map(|listed| listed.situation)
    });
    said(situation, order, kept, &superseded, &reblocked)
}

fn said(
    situation: Option<Situation>,
    order: Option<&Order>,
    kept: impl std::fmt::Debug,
    superseded: impl std::fmt::Debug,
    reblocked: impl std::fmt::Debug,
) -> String {
    format!("{situation:?}\n{order:#?}\nkept {kept:?}\nsuperseded {superseded:?}\nreblocked {reblocked:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// For every user of any world: the situation, the order, what is kept, replaced and blocked.
    #[test]
    fn one_object_is_decided_as_the_plan_of_all_decides_it(case in case()) {
        let mut world = case.world();
        case.reviewed(&mut world);
        let draft = world.plan();
        let keys: BTreeSet<u8> = case.source.keys().copied().chain(case.links.iter().map(|(s, _)| *s)).collect();
        for key in keys {
            let key = key.to_string();
            let subject = Subject { sync: 0, source_key: Some(key.clone()), target_id: None };
            let recall = Remembered::of(&world);
            let alone = world.planned_by(|input| account(input, &subject, &recall).unwrap().unwrap());
            let verdict = &alone.verdict;
            let superseded: Vec<_> = verdict.superseded.iter().collect();
            let reblocked: Vec<_> = verdict.reblocked.iter().collect();
            let mut told = verdict.situation;
            if told == Some(Situation::Confirmed) {
                // A plan counts them and lists none.
                told = None;
            }
            let (alone, all) = (
                said(told, verdict.order.as_ref(), verdict.kept.as_ref(), superseded, reblocked),
                planned(&draft, &world, &key),
            );
            prop_assert_eq!(alone, all, "{} of\n{}\n{}\n{:?}", key, world.users.source, world.users.target, case);
            // A plan of this one alone raises, keeps and replaces the same, and touches nobody else.
            let only = world.planned_by(|input| assemble_only(input, &subject).unwrap());
            let all = planned(&draft, &world, &key);
            prop_assert_eq!(planned(&only, &world, &key), all, "only {} {:?}", key, case);
            let object = ObjectKey::by_source(&world.users.sync.to, &world.users.sync.from, &key);
            let was = only.orders.iter().find_map(|order| order.renamed_from.clone()).unwrap_or_default();
            let before = ObjectKey::by_source(&world.users.sync.to, &world.users.sync.from, &was);
            prop_assert!(only.orders.iter().all(|order| order.object == object));
            let touched = only.superseded.iter().map(|(id, _)| id).chain(only.reblocked.iter().map(|(id, _)| id));
            for id in touched {
                let live = world.live.iter().find(|live| live.id == *id).unwrap();
                prop_assert!(live.object == object || live.object == before, "{} touches {:?}", key, live.object);
            }
        }
    }

    /// For every pair of a user and a group of any world: the order that ties or unties them.
    #[test]
    fn one_row_is_decided_as_the_plan_of_all_decides_it(case in ties()) {
        let world = case.world();
        let draft = world.plan();
        let recall = Remembered::of(&world);
        for (user, group) in (0..6).flat_map(|user| (0..3).map(move |group| (user, group))) {
            let of = |sync: usize, key: String| Subject { sync, source_key: Some(key), target_id: None };
            let (user, group) = (of(0, user.to_string()), of(1, format!("g{group}")));
            let (object, alone) = world.planned_by(|input| {
                let user = account(input, &user, &recall).unwrap().unwrap();
                let group = account(input, &group, &recall).unwrap().unwrap();
                let tie = tie(input, 2, (&user, &group), &recall).unwrap().unwrap();
                (tie.object, tie.verdict.order)
            });
            let all = draft.orders.iter().find(|order| Some(&order.object) == object.as_ref());
            prop_assert_eq!(alone.as_ref(), all, "{:?} {:?} of {:?}", user, group, case);
        }
    }
}

/// Who is in which group on either side. Members from 6 on are groups.
#[derive(Clone, Debug)]
struct Tied {
    users: BTreeSet<u8>,
    linked: BTreeSet<u8>,
    wanted: BTreeSet<(u8, u8)>,
    held: BTreeSet<(u8, u8)>,
    nested: usize,
    /// Whether: the source has the last word, all rows are muster's, one title is out of scope.
    choices: [bool; 3],
}

fn ties() -> impl Strategy<Value = Tied> {
    let some = || proptest::collection::btree_set(0u8..6, 0..6);
    let pairs = |members: u8| proptest::collection::btree_set((0u8..3, 0u8..members), 0..12);
    (some(), some(), pairs(9), pairs(6), 0usize..3, any::<[bool; 3]>()).prop_map(
        |(users, linked, wanted, held, nested, choices)| Tied { users, linked, wanted, held, nested, choices },
    )
}

impl Tied {
    fn world(&self) -> World {
        let [authoritative, ours, scoped] = self.choices;
        let mut world = World::new();
        let source: Vec<String> = self.users.iter().map(|n| format!("{n},u{n}@x,title {},true", n % 2)).collect();
        let target: Vec<String> = self.linked.iter().map(|n| format!("t{n},u{n}@x,title {},true", n % 2)).collect();
        world.users(
            &source.iter().map(String::as_str).collect::<Vec<_>>(),
            &target.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        world.users.links = self.linked.iter().map(|n| link(&n.to_string(), &format!("t{n}"))).collect();
        if scoped {
            world.users.sync.rules.scope = Scope::compile(&["title != 'title 1'".to_owned()]).unwrap();
        }
        world.groups.source = "id,name\ng0,G0\ng1,G1\ng2,G2\n".into();
        world.groups.target = "id,displayName\nv0,G0\nv1,G1\n".into();
        world.groups.links = vec![link("g0", "v0")];
        let member = |n: u8| if n > 5 { format!("g{}", n - 6) } else { n.to_string() };
        let wanted: Vec<String> = self.wanted.iter().map(|(group, n)| format!("g{group},{}", member(*n))).collect();
        let held: Vec<String> = self.held.iter().map(|(group, n)| format!("v{group},t{n}")).collect();
        let ties = world.tie(
            &wanted.iter().map(String::as_str).collect::<Vec<_>>(),
            &held.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        ties.sync.nested = [Nested::Flatten, Nested::Direct, Nested::Refuse][self.nested];
        if authoritative {
            ties.sync.members = Members::Authoritative;
        }
        if ours {
            let to: [ResourceName; 3] =
                ["vault.memberships", "vault.groups", "vault.users"].map(|name| name.parse().unwrap());
            let from: [ResourceName; 2] = ["idp.groups", "idp.users"].map(|name| name.parse().unwrap());
            let row = |(group, n): &(u8, u8)| {
                let group = ObjectKey::by_source(&to[1], &from[0], &format!("g{group}"));
                let user = ObjectKey::by_source(&to[2], &from[1], &n.to_string());
                ObjectKey::association(&to[0], &[&group, &user]).0
            };
            ties.managed_rows = self.held.iter().map(row).collect();
        }
        world
    }
}
