//! What an order is about, and what it does to the target.

use std::collections::{BTreeMap, BTreeSet};

use muster::model::order::{Operation, Order};

use crate::house::User;
use crate::wishes::team;

/// The source keys that an order is about.
pub(crate) fn keys(order: &Order) -> Vec<String> {
    let after = |name: &str| {
        let (_, rest) = order.object.0.split_once(name)?;
        Some(rest.split([' ', ')', ';']).next().unwrap_or(rest).to_owned())
    };
    [after("hr.users="), after("hr.groups=")].into_iter().flatten().collect()
}

/// What an order does to the target.
pub(crate) fn effect(order: &Order, users: &mut BTreeMap<String, User>) {
    let keys = keys(order);
    if order.resource.resource == "groups" {
        return;
    }
    if order.resource.resource == "memberships" {
        let [user, group] = &keys[..] else { return };
        let name = team(group);
        if let Some(user) = users.get_mut(user) {
            match order.operation {
                Operation::Add => drop(user.teams.insert(name.to_owned())),
                _ => drop(user.teams.remove(name)),
            }
        }
        return;
    }
    let Some(key) = keys.first() else { return };
    if order.operation == Operation::Delete {
        users.remove(key);
        return;
    }
    let blank = User {
        login: String::new(),
        email: String::new(),
        family: String::new(),
        enabled: false,
        teams: BTreeSet::new(),
    };
    let user = users.entry(key.clone()).or_insert(blank);
    for change in &order.changes {
        let after = change.after.as_ref().map(ToString::to_string).unwrap_or_default();
        match change.attribute.as_str() {
            "userName" => user.login = after,
            "emails" => user.email = after,
            "name.familyName" => user.family = after,
            "active" => user.enabled = after == "true",
            _ => {}
        }
    }
}
