//! What is said of one object is what a plan of all of them does.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Recall, Subject, account, assemble_only};
use crate::model::link::Links;
use crate::model::order::Fingerprint;
use crate::model::order::{ObjectKey, Order, OrderState};
use crate::model::situation::Situation;
use crate::reconcile::input::{LiveOrder, Memory, Prior};
use crate::reconcile::policy::OrphanAction;
use crate::reconcile::world::{World, link};
use crate::reconcile::{PlanDraft, ReconcileError};
use crate::rules::matching::MatchRule;
use crate::rules::scope::Scope;

/// The world's memory, asked about single objects.
struct Remembered<'a> {
    world: &'a World,
    links: Links,
}

impl Memory for Remembered<'_> {
    fn standing(&self, identity: &str, fingerprints: &[&Fingerprint]) -> Result<Vec<Prior>, ReconcileError> {
        self.world.standing(identity, fingerprints)
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
        Ok(if sync_id == self.world.users.sync.id { self.links.clone() } else { Links::default() })
    }

    fn live(&self, _: &str, objects: &[ObjectKey]) -> Result<Vec<LiveOrder>, ReconcileError> {
        Ok(self.world.live.iter().filter(|live| objects.contains(&live.object)).cloned().collect())
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
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// For every user of any world: the situation, the order, what is kept, replaced and blocked.
    #[test]
    fn one_object_is_decided_as_the_plan_of_all_decides_it(case in case()) {
        let mut world = case.world();
        case.reviewed(&mut world);
        let draft = world.plan();
        let keys: BTreeSet<u8> = case.source.keys().copied().chain(case.links.iter().map(|(s, _)| *s)).collect();
        for key in keys {
            let key = key.to_string();
            let alone = world.alone(|input, links| {
                let recall = Remembered { world: &world, links };
                let subject = Subject { sync: 0, source_key: Some(key.clone()), target_id: None };
                account(input, &subject, &recall).unwrap().unwrap()
            });
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
            let subject = Subject { sync: 0, source_key: Some(key.clone()), target_id: None };
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
}
