//! Failed orders by cause: one problem is told once, with its count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::errors_csv::ErrorRow;
use super::figures::{count, counted, examples};
use super::safe_text;
use crate::model::failure_cause::FailureCause;
use crate::model::order::{Operation, OrderId};
use crate::model::resource::ResourceName;

/// How many orders of a group are named.
const NAMED: usize = 10;

/// Orders that failed for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// What they have in common.
    pub cause: FailureCause,
    /// Orders concerned: those that failed, and those that were not tried because of them.
    pub orders: u64,
    /// Orders that failed.
    pub tried: u64,
    /// The message of the first, verbatim.
    pub example: String,
    /// What to do next.
    pub remedy: String,
    /// The first orders, up to ten, in the order of the rows.
    pub first: Vec<OrderId>,
    /// The keys of these orders.
    pub keys: Vec<String>,
}

/// Orders that stay approved because the apply stopped before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// What they were to do.
    pub operation: Operation,
    /// To what.
    pub resource: ResourceName,
    /// How many.
    pub orders: u64,
}

/// Groups failed orders by cause, the largest group first.
///
/// Untried orders are counted to the largest group of their operation and resource type: that is what stopped them.
/// Where no order of their kind failed they belong to no group.
pub fn error_groups(rows: &[ErrorRow], untried: &[Untried]) -> Vec<ErrorGroup> {
    let mut groups: BTreeMap<FailureCause, ErrorGroup> = BTreeMap::new();
    for row in rows {
        let cause = row.cause();
        let group = groups.entry(cause.clone()).or_insert_with(|| ErrorGroup {
            cause,
            orders: 0,
            tried: 0,
            example: row.message.clone(),
            remedy: row.remedy.clone(),
            first: Vec::new(),
            keys: Vec::new(),
        });
        group.orders += 1;
        group.tried += 1;
        if group.first.len() < NAMED {
            group.first.push(row.order.clone());
            group.keys.push(row.key.clone());
        }
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| b.tried.cmp(&a.tried).then_with(|| a.cause.cmp(&b.cause)));
    for left in untried {
        let of_kind = |g: &&mut ErrorGroup| g.cause.operation == left.operation && g.cause.resource == left.resource;
        if let Some(group) = groups.iter_mut().find(of_kind) {
            group.orders += left.orders;
        }
    }
    groups
}

/// All groups in a few words: `1 cause, 150 orders, 1 tried`.
pub fn groups_sentence(groups: &[ErrorGroup]) -> String {
    let orders = groups.iter().map(|group| group.orders).sum();
    let tried: u64 = groups.iter().map(|group| group.tried).sum();
    let tried = if tried == orders { String::new() } else { format!(", {} tried", count(tried)) };
    format!("{}, {}{tried}", counted(groups.len() as u64, "cause"), counted(orders, "order"))
}

/// The groups for people: cause, count, first objects, and what to do next.
pub fn groups_text(groups: &[ErrorGroup]) -> String {
    let mut text = String::new();
    for (number, group) in groups.iter().enumerate() {
        let cause = &group.cause;
        let mut kind = cause.class.to_string();
        if let Some(status) = cause.status {
            kind.push_str(&format!(", status {status}"));
        }
        if let Some(scim_type) = &cause.scim_type {
            kind.push_str(&format!(", {}", safe_text::line(scim_type)));
        }
        let tried = if group.tried == group.orders { String::new() } else { format!(", {} tried", count(group.tried)) };
        let objects = examples(group.keys.iter().map(String::as_str), group.tried, 3);
        text.push_str(&format!(
            "{}. {} {}: {}{tried} [{kind}]\n   {}\n   objects: {objects}\n",
            number + 1,
            cause.operation,
            cause.resource,
            counted(group.orders, "order"),
            safe_text::line(&group.example),
        ));
        if !group.remedy.is_empty() {
            text.push_str(&format!("   next: {}\n", safe_text::line(&group.remedy)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::errors_csv::tests::row;
    use super::*;

    #[test]
    fn one_cause_is_told_once_with_what_it_held_up() {
        let rows: Vec<ErrorRow> = (0..3).map(|n| row(n, &format!("userName 'user {n}' is taken"))).collect();
        let untried =
            [Untried { operation: Operation::Create, resource: ResourceName::new("vault", "users"), orders: 147 }];
        let groups = error_groups(&rows, &untried);
        assert_eq!(groups_sentence(&groups), "1 cause, 150 orders, 3 tried");
        assert_eq!(groups[0].first.len(), 3);
        assert_eq!(
            groups_text(&groups),
            "1. create vault.users: 150 orders, 3 tried [conflict, status 409, uniqueness]\n   \
             userName 'user 0' is taken\n   objects: `u-0`, `u-1`, `u-2`\n   next: rename one of the two\n"
        );
    }

    #[test]
    fn different_causes_stay_apart_and_the_largest_comes_first() {
        let mut rows: Vec<ErrorRow> = (0..12).map(|n| row(n, "taken")).collect();
        let mut other = row(90, "taken");
        other.status = Some(400);
        rows.insert(0, other);
        let groups = error_groups(&rows, &[]);
        assert_eq!(groups.iter().map(|g| (g.tried, g.first.len())).collect::<Vec<_>>(), [(12, 10), (1, 1)]);
        assert_eq!(groups_sentence(&groups), "2 causes, 13 orders");
    }
}
