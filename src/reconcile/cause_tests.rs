//! Causes over many runs: whatever was rejected, failed or left in between, each is as a small model says.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::policy::DriftAction;
use super::world::{World, agree};
use super::{PlanDraft, canonical};
use crate::model::capabilities::AttributeType;
use crate::model::link::Agreed;
use crate::model::order::{Order, OrderState};
use crate::model::situation::Cause;

/// Something that happens to a person of one mapped title; titles and rules are numbers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Source(u8),
    Target(u8),
    /// 0: the title as it is; else a constant.
    Rule(u8),
    /// What stands in the row and no rule is about.
    Unmapped(u8),
    Reject,
    Fail,
    Apply,
    /// A run that nobody looks at.
    Run,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..3).prop_map(Step::Source),
        3 => (0u8..3).prop_map(Step::Target),
        2 => (0u8..3).prop_map(Step::Rule),
        1 => (0u8..2).prop_map(Step::Unmapped),
        2 => Just(Step::Reject),
        2 => Just(Step::Fail),
        3 => Just(Step::Apply),
        2 => Just(Step::Run),
    ]
}

/// What both sides hold, and what the model says was agreed: the title, and the source row and its rule then.
#[derive(Clone, Debug)]
struct Model {
    source: u8,
    unmapped: u8,
    target: u8,
    rule: u8,
    agreed: Option<(u8, (u8, u8))>,
    drift: DriftAction,
}

impl Model {
    fn wanted(&self) -> u8 {
        if self.rule == 0 { self.source } else { self.rule + 10 }
    }

    fn row(&self) -> (u8, u8) {
        (self.source, self.unmapped)
    }

    /// The cause of the difference; `None` where there is none.
    fn cause(&self) -> Option<Cause> {
        let wanted = self.wanted();
        if wanted == self.target {
            return None;
        }
        Some(match self.agreed {
            None => Cause::Initial,
            Some((agreed, _)) if self.target != agreed && wanted != agreed => Cause::Both,
            Some((agreed, _)) if self.target != agreed => Cause::Drift,
            Some((_, row)) if row == self.row() => Cause::Rule,
            Some(_) => Cause::Source,
        })
    }

    fn write(&self, world: &mut World) {
        world.users.source = format!("id,title,room\n1,T{},R{}\n", self.source, self.unmapped);
        world.users.target = format!("id,title\nt1,T{}\n", self.target);
        let rule = if self.rule == 0 { "title".to_owned() } else { format!("'T{}'", self.rule + 10) };
        world.map(&[("title", &rule)], &[]);
    }
}

/// The order's fate, in the world and in the model.
fn end(world: &mut World, model: &mut Model, order: &Order, state: OrderState) {
    if state != OrderState::Applied {
        match state {
            OrderState::Errored => world.live.iter_mut().for_each(|live| live.state = OrderState::Errored),
            _ => drop(world.end(&order.id, state, false)),
        }
        return;
    }
    world.end(&order.id, state, false);
    model.target = model.wanted();
    model.agreed = Some((model.target, model.row()));
    let digest = canonical::digest(&format!("T{}", model.target), AttributeType::Text);
    let agreed = Agreed::new(order.source_digest.unwrap(), &[("title".to_owned(), digest)].into());
    world.users.links[0].agreed = Some(agreed);
}

/// A run: what it raises waits, what it replaces is gone, what it finds equal is agreed on.
fn run(world: &mut World, model: &mut Model) -> PlanDraft {
    model.write(world);
    let draft = world.plan();
    for (id, _) in &draft.superseded {
        world.end(id, OrderState::Superseded, false);
    }
    world.raise(&draft, OrderState::PendingReview);
    agree(&mut world.users, &draft);
    if model.cause().is_none() {
        model.agreed = Some((model.target, model.row()));
    }
    draft
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn causes_are_judged_by_what_was_agreed_and_by_nothing_else(
        steps in proptest::collection::vec(step(), 1..30), drift in 0usize..3,
    ) {
        let drift = [DriftAction::Correct, DriftAction::Report, DriftAction::Leave][drift];
        let mut world = World::new();
        world.users.sync.rules.matching.clear();
        world.users.sync.on.drift = drift;
        world.users.capabilities.enabled = None;
        world.link(&[("1", "t1")]);
        let mut model = Model { source: 0, unmapped: 0, target: 0, rule: 0, agreed: None, drift };
        let mut live: Option<Order> = None;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Source(title) => model.source = title,
                Step::Target(title) => model.target = title,
                Step::Rule(rule) => model.rule = rule,
                Step::Unmapped(room) => model.unmapped = room,
                Step::Run => {}
                Step::Reject | Step::Fail | Step::Apply => {
                    let state = match step {
                        Step::Reject => OrderState::Rejected,
                        Step::Fail => OrderState::Errored,
                        _ => OrderState::Applied,
                    };
                    // What stands unlike what a run would plan now is stale; only what is just so is sent.
                    let is_fresh = |order: &Order| {
                        let before = order.changes[0].before.as_ref().map(ToString::to_string);
                        before == Some(format!("T{}", model.target))
                            && order.changes[0].after.as_ref().map(ToString::to_string) == Some(format!("T{}", model.wanted()))
                    };
                    if let Some(order) = live.take_if(|order| state != OrderState::Applied || is_fresh(order)) {
                        end(&mut world, &mut model, &order, state);
                    }
                }
            }
            let before = model.clone();
            let draft = run(&mut world, &mut model);
            live = live.filter(|order| draft.superseded.iter().all(|(id, _)| *id != order.id));
            let expected = before.cause().filter(|cause| *cause != Cause::Drift || before.drift == DriftAction::Correct);
            for order in &draft.orders {
                prop_assert_eq!(Some(order.cause), expected, "step {}: {:?}", number, before);
                live = Some(order.clone());
            }
            let told = draft.warnings.iter().any(|warning| warning.contains("was changed at the target"));
            prop_assert_eq!(told, before.cause() == Some(Cause::Drift) && drift == DriftAction::Report);
            if expected.is_none() {
                prop_assert!(draft.orders.is_empty() && draft.kept.is_empty(), "step {number}: {before:?}");
            } else {
                let known = draft.orders.len() + draft.kept.len() + draft.withheld.len();
                prop_assert_eq!(known, 1, "step {}: {:?}", number, before);
            }
        }
    }
}
