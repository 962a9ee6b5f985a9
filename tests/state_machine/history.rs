//! A history: its steps, as data, and the model that they are held against.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use muster::model::approval::Decision;
use muster::model::order::{Change, Operation, Order, OrderId, OrderState, Remedy};
use muster::model::record::{HoldKind, OrderRecord, RunRecord};
use muster::model::run::{RunId, RunState};
use muster::run::Stage;
use muster::store::chain_query::LogQuery;
use serde_json::json;

use crate::effect::{effect, keys};
use crate::house::{Content, House, User};
use crate::round::{Round, disturbed};
use crate::support::company::{Person, people, person};
use crate::support::dice::Dice;
use crate::wishes::{Left, Sides, Wish, Withheld, content, value};

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// HR takes on a new person.
    Hire,
    /// HR writes something else about somebody.
    Leave(usize),
    /// Whoever left last comes back.
    Return,
    /// So many days pass.
    Wait(i64),
    Rename(usize, usize),
    Move(usize),
    Switch(usize),
    /// Somebody changes the target by hand.
    Drift(usize, usize),
    Strike(usize),
    /// cron.
    Run {
        applies: bool,
    },
    /// A person decides on every order that waits, by dice of this seed.
    Review(u64),
    Apply,
    Fire(Round),
    Retry,
    /// Somebody wants undone what was applied last.
    Undo,
}

/// The steps of a seed.
pub(crate) fn steps(seed: u64) -> Vec<Step> {
    let mut dice = Dice(seed);
    let mut steps = vec![Step::Run { applies: false }, Step::Review(seed), Step::Apply];
    for _ in 0..14 {
        let (one, other) = (dice.below(8), dice.below(3));
        steps.push(match dice.below(24) {
            0 => Step::Hire,
            1 => Step::Leave(one),
            2 | 3 => Step::Rename(one, other),
            4 => Step::Move(one),
            5 => Step::Switch(one),
            6 => Step::Drift(one, other),
            7 => Step::Strike(one),
            8..11 => Step::Run { applies: false },
            11 | 12 => Step::Run { applies: true },
            13..16 => Step::Review(dice.below(1_000_000) as u64),
            16 => Step::Apply,
            17 | 18 => Step::Fire(Round::roll(&mut dice)),
            19 => Step::Return,
            20 | 21 => Step::Wait(1 + dice.below(14) as i64),
            22 => Step::Undo,
            _ => Step::Retry,
        });
    }
    steps
}

/// What is known of the world, beside the program's own memory.
struct World {
    house: House,
    staff: Vec<Person>,
    hired: usize,
    orders: BTreeMap<OrderId, OrderRecord>,
    planned: BTreeMap<OrderId, Order>,
    content: Content,
    /// What is not raised again, because it was rejected or undone.
    withheld: Withheld,
    /// Who left; deletes have a grace, or none.
    left: Vec<Left>,
    has_grace: bool,
}

/// Plays a history; the error says at which step what was not as it should be.
pub(crate) async fn play(seed: u64, steps: &[Step]) -> Result<(), String> {
    let staff = people(4);
    let has_grace = seed % 2 == 1;
    let grace = if has_grace { "delete_after = \"30d\"\n" } else { "" };
    let apply = format!("[apply]\nconcurrency = 2\n{grace}");
    let house = House::found(&staff, &apply, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let mut world = World {
        hired: staff.len(),
        house,
        staff,
        orders: BTreeMap::new(),
        planned: BTreeMap::new(),
        content: Content::default(),
        withheld: Withheld::default(),
        left: Vec::new(),
        has_grace,
    };
    for (at, step) in steps.iter().enumerate() {
        let told = |why| format!("after step {at}, {step:?}: {why}");
        world.take(step).await.map_err(told)?;
        world.check(matches!(step, Step::Drift(..) | Step::Strike(_))).await.map_err(told)?;
    }
    world.rest().await.map_err(|why| format!("at rest (seed {seed}): {why}"))
}

impl World {
    async fn take(&mut self, step: &Step) -> Result<(), String> {
        let count = self.staff.len();
        let words = ["Smith", "Jones", "Miller"];
        match step {
            Step::Hire => {
                self.hired += 1;
                self.staff.push(person(self.hired));
            }
            Step::Leave(one) if count > 3 => self.left.push((self.staff.remove(one % count), self.house.now())),
            Step::Return => self.staff.extend(self.left.pop().map(|(person, _)| person)),
            Step::Wait(days) => drop(self.house.ahead.fetch_add(days * 24, Ordering::SeqCst)),
            Step::Leave(_) => {}
            Step::Rename(one, other) => self.staff[one % count].family = words[*other].to_owned(),
            Step::Move(one) => {
                let team = &mut self.staff[one % count].team;
                *team = if team == "T2" { "T0".to_owned() } else { "T2".to_owned() };
            }
            Step::Switch(one) => self.staff[one % count].enabled ^= true,
            Step::Drift(one, other) => self.at_target(*one, Some(words[*other])).await,
            Step::Strike(one) => self.at_target(*one, None).await,
            Step::Run { applies } => {
                self.house.hr(&self.staff);
                // It may go on from what was held, as both sides were then.
                let goes_on = self.house.store().runs("corp", 0).unwrap().iter().any(is_held);
                let told = self.tell();
                let stage = if *applies { Stage::Apply } else { Stage::Plan };
                let end = self.house.run(stage).await.map_err(|error| format!("the run failed: {error}"))?;
                if !end.failures.is_empty() {
                    return Err(format!("the run ended with {:?}", end.failures));
                }
                let holds = self.house.store().holds(&end.run).unwrap();
                let is_held = holds.iter().any(|hold| hold.kind != HoldKind::Plan);
                self.lapse(told, goes_on, is_held, *applies)?;
            }
            Step::Review(seed) => self.review(
                |dice, _| match dice.below(10) {
                    0..7 => Some(Decision::Approve),
                    7 => Some(Decision::Reject),
                    _ => None,
                },
                *seed,
            ),
            Step::Apply => self.house.apply(Duration::ZERO).await.map(drop).map_err(|error| error.to_string())?,
            Step::Fire(round) => disturbed(&self.house, round).await,
            Step::Undo => {
                let applied = self.orders.values().filter(|order| order.state == OrderState::Applied);
                if let Some(of) = applied.map(|order| order.run.clone()).max() {
                    // Refused where orders of it are under way.
                    let _ = self.house.revert(of).await;
                }
            }
            Step::Retry => {
                let mut store = self.house.store();
                let errored = self.orders.values().filter(|order| order.state == OrderState::Errored);
                let errored: Vec<OrderId> = errored.map(|order| order.id.clone()).collect();
                store.retry(&errored, "jane", self.house.now()).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// What a run that looks at both sides as they are would say of all that is or was withheld.
    fn tell(&self) -> BTreeMap<OrderId, Wish> {
        let under_way = |order: &&OrderRecord| matches!(order.state, OrderState::InFlight | OrderState::Uncertain);
        let under_way = self.orders.values().filter(under_way).flat_map(|order| keys(&self.planned[&order.id]));
        let sides = Sides {
            staff: &self.staff,
            content: &self.content,
            has_grace: self.has_grace,
            under_way: under_way.collect(),
        };
        let wish = |id: &OrderId| match &self.planned[id] {
            undoing @ Order { undoes: Some(undone), .. } => sides.wish_to_redo(undoing, &self.planned[undone]),
            order => sides.wish(order),
        };
        self.withheld.standing.iter().chain(&self.withheld.lapsed).map(|id| (id.clone(), wish(id))).collect()
    }

    /// A run was made. What was not wanted any more is withheld no longer, all else is; and what lapsed once and is wanted
    /// again is asked. Where a snapshot is held, nothing need lapse, and nothing is said of what goes on from an older one.
    fn lapse(
        &mut self,
        told: BTreeMap<OrderId, Wish>,
        goes_on: bool,
        is_held: bool,
        applies: bool,
    ) -> Result<(), String> {
        let store = self.house.store();
        let withheld: BTreeSet<OrderId> =
            store.withholding("corp").unwrap().into_iter().map(|withholding| withholding.order).collect();
        // What a run itself applied, to undo something, withholds from then on.
        let is_of_before = |id: &&OrderId| !applies || self.planned[*id].undoes.is_none();
        if let Some(new) = withheld.difference(&self.withheld.standing).find(is_of_before) {
            return Err(format!("{new} withholds something, and should not"));
        }
        for id in self.withheld.standing.clone() {
            let (is_withheld, wish) = (withheld.contains(&id), told[&id]);
            let fits = match wish {
                Wish::Same => is_withheld || goes_on,
                Wish::Other => !is_withheld || goes_on || is_held,
                Wish::Unclear => true,
            };
            if !fits {
                return Err(format!("that {id} withholds something is {is_withheld}, and its wish is {wish:?}"));
            }
            if !is_withheld {
                self.withheld.ends(&id);
            }
        }
        let (contents, values) = (self.withheld.contents(&self.planned), self.withheld.values(&self.planned));
        let live: BTreeSet<_> = store.live_orders("corp").unwrap().into_iter().map(|order| order.object).collect();
        for id in self.withheld.lapsed.iter().filter(|id| told.get(*id) == Some(&Wish::Same)) {
            let order = &self.planned[id];
            let is_undone =
                !order.changes.is_empty() && order.changes.iter().all(|change| values.contains(&value(order, change)));
            let is_asked = live.contains(&order.object) || contents.contains(&content(order)) || is_undone;
            if order.undoes.is_none() && !is_asked && !goes_on && !is_held && !applies {
                return Err(format!("{id} lapsed and is wanted again, and nobody is asked"));
            }
        }
        Ok(())
    }

    fn review(&mut self, decide: impl Fn(&mut Dice, &Order) -> Option<Decision>, seed: u64) {
        let store = self.house.store();
        let mut runs: BTreeSet<RunId> = store.live_runs("corp").unwrap().into_iter().collect();
        runs.extend(store.runs("corp", 0).unwrap().into_iter().filter(|run| run.state.is_held()).map(|run| run.id));
        for run in runs {
            let dice = std::cell::RefCell::new(Dice(seed));
            let report = self.house.review(&run, |order| decide(&mut dice.borrow_mut(), order));
            let rejected = report.rejected.into_iter().filter(|id| self.planned[id].undoes.is_none());
            self.withheld.standing.extend(rejected);
        }
    }

    /// A user's family name is changed at the target, or the user is deleted there.
    async fn at_target(&mut self, one: usize, family: Option<&str>) {
        let (_, list) = self.house.ask("GET", "/Users?count=200", None).await;
        let users = list["Resources"].as_array().cloned().unwrap_or_default();
        if users.is_empty() {
            return;
        }
        let path = format!("/Users/{}", users[one % users.len()]["id"].as_str().unwrap());
        let (status, _) = match family {
            Some(family) => {
                let change = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                    "Operations": [{"op": "replace", "path": "name.familyName", "value": family}],
                });
                self.house.ask("PATCH", &path, Some(change)).await
            }
            None => self.house.ask("DELETE", &path, None).await,
        };
        assert!(status < 300, "{status}");
    }

    /// Holds the program's memory and the target against what was known before the step.
    async fn check(&mut self, by_hand: bool) -> Result<(), String> {
        let store = self.house.store();
        let mut now: BTreeMap<OrderId, OrderRecord> = BTreeMap::new();
        for run in store.runs("corp", 0).map_err(|error| error.to_string())? {
            now.extend(
                store.orders_of(&run.id).map_err(|error| error.to_string())?.into_iter().map(|o| (o.id.clone(), o)),
            );
            if run.plan_digest.is_some() {
                let orders = store.read_orders(&run.id).map_err(|error| error.to_string())?;
                self.planned.extend(orders.map(|order| order.map(|o| (o.id.clone(), o)).unwrap()));
            }
        }
        let mut live = BTreeMap::new();
        for order in now.values().filter(|order| order.state.is_live()) {
            if let Some(other) = live.insert(order.object.clone(), &order.id) {
                return Err(format!("{other} and {} both live for {}", order.id, order.object.0));
            }
        }
        let (withheld, values) = (self.withheld.contents(&self.planned), self.withheld.values(&self.planned));
        let mut applied = Vec::new();
        for (id, order) in &now {
            let before = self.orders.get(id).map(|order| order.state);
            let early = |(person, at): &(Person, DateTime<Utc>)| {
                keys(&self.planned[id]).contains(&person.id) && self.house.now() - *at < TimeDelta::days(30)
            };
            let is_delete = self.has_grace && before.is_none() && order.operation == Operation::Delete;
            if is_delete && order.resource.resource == "users" && self.left.iter().any(early) {
                return Err(format!("{id} is a delete, and its grace is not over"));
            }
            let undoes = self.planned[id].undoes.as_ref();
            if before.is_none() && undoes.is_none() && withheld.contains(&content(&self.planned[id])) {
                return Err(format!("{id} was raised, and the same is withheld"));
            }
            let is_undone = |change: &Change| values.contains(&value(&self.planned[id], change));
            if before.is_none() && undoes.is_none() && self.planned[id].changes.iter().any(is_undone) {
                return Err(format!("{id} was raised, and a value of it was undone"));
            }
            // Only what takes access away goes before an undo that does not.
            let takes = |operation| matches!(operation, Operation::Disable | Operation::Delete);
            let by_run = |other: &OrderRecord| {
                let is_of_run = other.run != order.run && self.planned[&other.id].undoes.is_none();
                is_of_run && (takes(order.operation) || !takes(other.operation))
            };
            if undoes.is_some() && order.state == OrderState::Superseded && before != Some(OrderState::Superseded) {
                let liftable = self.orders.get(id).and_then(|o| o.block.as_ref()).map(|b| b.reason.remedy());
                let heir = now.values().find(|other| other.object == order.object && other.state.is_live());
                if liftable != Some(Remedy::CauseGone) && heir.is_some_and(by_run) {
                    return Err(format!("{id} was to undo something, and a run dropped it for {heir:?}"));
                }
            }
            if let Some(before) = before.filter(|before| !before.is_live() && *before != order.state) {
                return Err(format!("{id} was {before} and is {}", order.state));
            }
            if order.state == OrderState::Applied && before != Some(OrderState::Applied) {
                if !matches!(before, Some(OrderState::Approved | OrderState::InFlight)) {
                    return Err(format!("{id} is applied and was {before:?} before"));
                }
                applied.push(id.clone());
            }
        }
        for id in &applied {
            let Some(undone) = &self.planned[id].undoes else { continue };
            // What is undone in turn withholds nothing, and nor does what undoes it.
            if self.planned[undone].undoes.is_none() || self.is_turned(undone) {
                self.withheld.standing.insert(id.clone());
            }
            self.withheld.ends(undone);
        }
        let told = store.log(&LogQuery::default()).map_err(|error| error.to_string())?;
        let mut ends: BTreeMap<&OrderId, usize> = BTreeMap::new();
        for order in told.iter().filter(|entry| entry.kind == "order-applied").flat_map(|entry| &entry.orders) {
            *ends.entry(order).or_default() += 1;
        }
        if let Some((order, times)) = ends.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{order} was applied {times} times"));
        }
        drop(store);
        let content = self.house.content().await;
        if !by_hand {
            self.compare(&now, &applied, &content)?;
        }
        (self.orders, self.content) = (now, content);
        Ok(())
    }

    /// Whether an order undoes one that undid another.
    fn is_turned(&self, id: &OrderId) -> bool {
        let undone = self.planned[id].undoes.as_ref();
        undone.is_some_and(|undone| self.planned[undone].undoes.is_some() && !self.is_turned(undone))
    }

    /// The target is what it was, and what was applied since. Of what is under way nobody knows yet.
    fn compare(
        &self,
        now: &BTreeMap<OrderId, OrderRecord>,
        applied: &[OrderId],
        content: &Content,
    ) -> Result<(), String> {
        let mut wanted = self.content.users.clone();
        for operations in [
            &[Operation::Disable, Operation::Create, Operation::Update, Operation::Enable][..],
            &[Operation::Add, Operation::Remove],
            &[Operation::Delete],
        ] {
            for id in applied.iter().filter(|id| operations.contains(&now[*id].operation)) {
                effect(&self.planned[id], &mut wanted);
            }
        }
        let under_way: BTreeSet<String> = (now.values())
            // A request without an outcome may be in effect.
            .filter(|order| matches!(order.state, OrderState::InFlight | OrderState::Uncertain))
            .flat_map(|order| keys(&self.planned[&order.id]))
            .collect();
        for key in wanted.keys().chain(content.users.keys()).collect::<BTreeSet<_>>() {
            if wanted.get(key) != content.users.get(key) && !under_way.contains(key) {
                return Err(format!("{key} is {:?}, and not {:?}", content.users.get(key), wanted.get(key)));
            }
        }
        Ok(())
    }

    /// Everything is approved, until nothing is left to do: both sides agree, but for what was rejected.
    async fn rest(mut self) -> Result<(), String> {
        for _ in 0..if self.has_grace { 14 } else { 6 } {
            if self.has_grace {
                self.take(&Step::Wait(10)).await?;
            }
            self.take(&Step::Run { applies: true }).await?;
            self.check(false).await?;
            let is_open = |order: &OrderRecord| order.state.is_live() && order.state != OrderState::Blocked;
            // A run that says the same as one that is held is none itself.
            let store = self.house.store();
            let runs = store.runs("corp", 0).unwrap();
            let held = runs.first().is_some_and(|run| run.state.is_held()) || runs.iter().any(is_held);
            drop(store);
            let graces = self.house.store().graces("corp", "hr.users->vault.users").unwrap();
            if !held && graces.is_empty() && !self.orders.values().any(is_open) {
                break;
            }
            self.take(&Step::Retry).await?;
            self.review(|_, _| Some(Decision::Approve), 0);
            self.check(false).await?;
            self.take(&Step::Apply).await?;
            self.check(false).await?;
        }
        let denied: BTreeSet<String> = self.withheld.standing.iter().flat_map(|id| keys(&self.planned[id])).collect();
        // Nobody can be in a group that may not be.
        let is_group_denied = denied.iter().any(|key| key.starts_with('T'));
        for person in &self.staff {
            let held = self.content.users.get(&person.id).cloned();
            let mut wanted = User::of(person);
            if let Some(held) = held.as_ref().filter(|_| is_group_denied) {
                wanted.teams = held.teams.clone();
            }
            if held.as_ref() != Some(&wanted) && !denied.contains(&person.id) {
                return Err(format!("{} is {held:?}, and not {wanted:?}; {:#?}", person.id, self.about(&person.id)));
            }
        }
        for key in self.content.users.keys() {
            if !self.staff.iter().any(|person| person.id == *key) && !denied.contains(key) {
                return Err(format!("{key} is still there; {:#?}", self.about(key)));
            }
        }
        match self.house.store().verify_log().map_err(|error| error.to_string())? {
            Ok(_) => Ok(()),
            Err(broken) => Err(broken.to_string()),
        }
    }

    /// What became of the orders about a key.
    fn about(&self, key: &str) -> Vec<String> {
        let orders = self.orders.values().filter(|order| keys(&self.planned[&order.id]).iter().any(|k| k == key));
        orders.map(|o| format!("{} {} {} {} {:?}", o.id, o.operation, o.object.0, o.state, o.block)).collect()
    }
}

fn is_held(run: &RunRecord) -> bool {
    run.state == RunState::HeldSnapshot
}
