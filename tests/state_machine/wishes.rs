//! What a run would raise, worked out from both sides alone; and for how long that is withheld.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use muster::model::order::{Change, Fingerprint, Operation, Order, OrderId};

use crate::effect::keys;
use crate::house::{Content, User};
use crate::support::company::Person;

/// Both sides as a run finds them.
pub(crate) struct Sides<'a> {
    pub(crate) staff: &'a [Person],
    pub(crate) content: &'a Content,
    pub(crate) has_grace: bool,
    /// Keys of objects of which nobody knows yet whether a request took effect.
    pub(crate) under_way: BTreeSet<String>,
}

/// What a run says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It would raise the same.
    Same,
    /// It would not.
    Other,
    /// That depends on what this model does not know.
    Unclear,
}

/// Attributes with their values before and after.
type Changes = BTreeMap<String, (Option<String>, Option<String>)>;

impl Sides<'_> {
    /// Whether a run would raise the same as this order.
    pub(crate) fn wish(&self, order: &Order) -> Wish {
        let keys = keys(order);
        if keys.iter().any(|key| self.under_way.contains(key)) {
            return Wish::Unclear;
        }
        match order.resource.resource.as_str() {
            "groups" => self.group(&keys[0]),
            "memberships" => self.row(order, &keys[0], &keys[1]),
            _ => self.user(order, &changes(&order.changes), &keys[0]),
        }
    }

    /// The same for what an order that undid another withholds: that other one, what would undo the first in turn, and each
    /// single value that it took back, whatever else of the object differs.
    pub(crate) fn wish_to_redo(&self, undoing: &Order, undone: &Order) -> Wish {
        let swapped = |c: &Change| Change { before: c.after.clone(), after: c.before.clone(), ..c.clone() };
        let counter = undoing.operation.opposite().map(|operation| Order {
            operation,
            changes: undoing.changes.iter().map(swapped).collect(),
            ground: undone.ground.clone(),
            ..undoing.clone()
        });
        let mut wishes: Vec<Wish> = [undone].into_iter().chain(&counter).map(|order| self.wish(order)).collect();
        if undoing.resource.resource == "users" {
            let back = changes(&undoing.changes.iter().map(swapped).collect::<Vec<_>>());
            let differing = self.differing(&keys(undoing)[0]);
            let is_for_row = undone.operation != Operation::Disable || undone.ground.starts_with("row ");
            let is_wanted = back
                .iter()
                .any(|(name, values)| differing.get(name) == Some(values) && (name != "active" || is_for_row));
            wishes.extend(is_wanted.then_some(Wish::Same));
        }
        [Wish::Unclear, Wish::Same].into_iter().find(|wish| wishes.contains(wish)).unwrap_or(Wish::Other)
    }

    fn person(&self, key: &str) -> Option<&Person> {
        self.staff.iter().find(|person| person.id == key)
    }

    /// What differs of somebody who is on both sides.
    fn differing(&self, key: &str) -> Changes {
        let Some((person, held)) = self.person(key).zip(self.content.users.get(key)) else { return Changes::new() };
        let pairs = values(key, held).into_iter().zip(values(key, &User::of(person)));
        let differ = pairs.filter(|(before, after)| before != after);
        differ.map(|((name, before), (_, after))| (name, (Some(before), Some(after)))).collect()
    }

    fn user(&self, order: &Order, asked: &Changes, key: &str) -> Wish {
        let operation = order.operation;
        // Whoever is to be disabled because the row is gone is another case than who is switched off in it.
        let is_for = |word: &str| operation != Operation::Disable || order.ground.starts_with(word);
        let (person, held) = (self.person(key), self.content.users.get(key));
        let values = |user: &User| values(key, user);
        let is = |same: bool| if same { Wish::Same } else { Wish::Other };
        match (person, held) {
            (None, None) => Wish::Other,
            (Some(person), None) => {
                let all = values(&User::of(person)).map(|(name, value)| (name, (None, Some(value))));
                is(operation == Operation::Create && *asked == Changes::from(all))
            }
            (Some(_), Some(_)) => {
                let changes = self.differing(key);
                is(!changes.is_empty() && *asked == changes && is_for("row "))
            }
            (None, Some(held)) if self.has_grace && held.enabled => {
                let off = ("active".to_owned(), (Some("true".to_owned()), Some("false".to_owned())));
                is(*asked == Changes::from([off]) && is_for("orphan"))
            }
            (None, Some(held)) => {
                let lost = values(held).map(|(name, value)| (name, (Some(value), None)));
                match operation == Operation::Delete && *asked == Changes::from(lost) {
                    // Whether its grace is over.
                    true if self.has_grace => Wish::Unclear,
                    same => is(same),
                }
            }
        }
    }

    fn group(&self, key: &str) -> Wish {
        if self.content.groups.contains(team(key)) { Wish::Other } else { Wish::Same }
    }

    fn row(&self, order: &Order, user: &str, group: &str) -> Wish {
        let (person, held) = (self.person(user), self.content.users.get(user));
        let is_tied = held.is_some_and(|held| held.teams.contains(team(group)));
        let belongs = person.is_some_and(|person| person.team == group);
        // Whether the row alone is gone, or whoever is in it.
        if order.operation == Operation::Remove && order.ground.is_empty() != person.is_some() {
            return Wish::Other;
        }
        match (order.operation, is_tied, belongs) {
            (Operation::Add, false, true) => Wish::Same,
            (Operation::Remove, true, false) if person.is_some() => Wish::Same,
            // Whoever is deleted takes the rows along.
            (Operation::Remove, true, false) if !self.has_grace => Wish::Other,
            (Operation::Remove, true, false) if held.is_some_and(|held| held.enabled) => Wish::Same,
            (Operation::Remove, true, false) => Wish::Unclear,
            _ => Wish::Other,
        }
    }
}

/// The mapped values of a user.
fn values(key: &str, user: &User) -> [(String, String); 5] {
    let pairs = [
        ("externalId", key.to_owned()),
        ("userName", user.login.clone()),
        ("name.familyName", user.family.clone()),
        ("emails", user.email.clone()),
        ("active", user.enabled.to_string()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value))
}

fn changes(changes: &[Change]) -> Changes {
    let text = |value: &Option<muster::model::value::Value>| value.as_ref().map(ToString::to_string);
    changes.iter().map(|c| (c.attribute.clone(), (text(&c.before), text(&c.after)))).collect()
}

/// What a group is called.
pub(crate) fn team(key: &str) -> &'static str {
    ["Databases", "Network", "Payments"][key[1..].parse::<usize>().unwrap()]
}

/// What an order asks for, and on which ground.
pub(crate) fn content(order: &Order) -> (Fingerprint, String) {
    (order.fingerprint.clone(), order.ground.clone())
}

/// What a single change of an order asks for, and on which ground.
pub(crate) fn value(order: &Order, change: &Change) -> (Fingerprint, String) {
    (order.content_of(change), ground_of(change, &order.ground))
}

/// Only who is switched off is so on a ground.
fn ground_of(change: &Change, ground: &str) -> String {
    if change.attribute == "active" { ground.to_owned() } else { String::new() }
}

/// What is withheld, by the order because of which it is.
#[derive(Default)]
pub(crate) struct Withheld {
    pub(crate) standing: BTreeSet<OrderId>,
    /// Those that were, and are not any more.
    pub(crate) lapsed: BTreeSet<OrderId>,
}

impl Withheld {
    /// What is not raised, and on which ground.
    pub(crate) fn contents(&self, planned: &BTreeMap<OrderId, Order>) -> BTreeSet<(Fingerprint, String)> {
        let contents = |id: &OrderId| {
            let (contents, ground) = match &planned[id] {
                undoing @ Order { undoes: Some(undone), .. } => {
                    let undone = &planned[undone];
                    ([Some(undone.fingerprint.clone()), undoing.counter()], &undone.ground)
                }
                order => ([Some(order.fingerprint.clone()), None], &order.ground),
            };
            contents.map(|content| Some((content?, ground.clone())))
        };
        self.standing.iter().flat_map(contents).flatten().collect()
    }

    /// The single changes that are not made, as they were undone.
    pub(crate) fn values(&self, planned: &BTreeMap<OrderId, Order>) -> BTreeSet<(Fingerprint, String)> {
        let orders = self.standing.iter().map(|id| &planned[id]);
        let undos = orders.filter_map(|undo| Some((undo, &planned[undo.undoes.as_ref()?].ground)));
        let of_one = |(undo, ground): (&Order, &String)| {
            let back = undo.taken_back().into_iter().zip(&undo.changes);
            back.map(|(content, change)| (content, ground_of(change, ground))).collect::<Vec<_>>()
        };
        undos.flat_map(of_one).collect()
    }

    pub(crate) fn ends(&mut self, order: &OrderId) {
        if self.standing.remove(order) {
            self.lapsed.insert(order.clone());
        }
    }
}

/// Who left, and when.
pub(crate) type Left = (Person, DateTime<Utc>);
