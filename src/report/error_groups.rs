//! Failed orders by cause: one problem is told once, with its count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::errors_csv::ErrorRow;
use super::figures::{count, counted, examples};
use super::safe_text;
use crate::model::apply_end::KindLeft;
use crate::model::failure::Class;
use crate::model::failure_cause::FailureCause;
use crate::model::order::OrderId;
use crate::model::run::RunId;

/// How many orders of a group are named.
const NAMED: usize = 10;

/// Orders that failed for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// What `muster retry --group` takes; the same as long as the cause is.
    pub name: String,
    /// What they have in common.
    pub cause: FailureCause,
    /// Orders that failed; where the class is `stale`, that were skipped.
    #[serde(default)]
    pub failed: u64,
    /// Orders that were not sent because of them, and stay approved.
    #[serde(default)]
    pub untried: u64,
    /// The message of the first, verbatim.
    pub example: String,
    /// What to do next.
    pub remedy: String,
    /// The command that sends the first of them again; empty where all are uncertain, to be settled.
    pub retry: String,
    /// The first orders, up to ten, in the order of the rows.
    pub first: Vec<OrderId>,
    /// The keys of these orders.
    pub keys: Vec<String>,
}

impl ErrorGroup {
    /// What became of the orders: `1 failed, 149 not tried`.
    pub fn orders_sentence(&self) -> String {
        let ended = if self.is_skipped() { "skipped" } else { "failed" };
        format!("{} {ended}{}", count(self.failed), not_tried(self.untried))
    }

    /// Whether its orders were skipped: what changed since the plan is no failure of anything.
    fn is_skipped(&self) -> bool {
        self.cause.class == Class::Stale
    }

    /// When it makes sense to send one of them again; what was refused for its content is the same then.
    pub fn when(&self) -> &'static str {
        if self.cause.class.is_about_content() { "as it was" } else { "when that is mended" }
    }

    /// `permission-3f2a, create vault.users: 1 failed, 149 not tried`.
    pub fn sentence(&self) -> String {
        let Self { name, cause, .. } = self;
        let resource = cause.resource.to_string();
        format!("{name}, {} {}: {}", cause.operation, safe_text::line(&resource), self.orders_sentence())
    }
}

/// Groups the failed orders of a run by cause, the largest group first.
///
/// Orders that were left because of a cause are counted to its group; what was left for another reason belongs to none.
pub fn error_groups(run: &RunId, rows: &[ErrorRow], left: &[KindLeft]) -> Vec<ErrorGroup> {
    let mut groups: BTreeMap<FailureCause, ErrorGroup> = BTreeMap::new();
    for row in rows {
        let cause = row.cause();
        let group = groups.entry(cause.clone()).or_insert_with(|| ErrorGroup {
            name: cause.name(),
            retry: String::new(),
            cause,
            failed: 0,
            untried: 0,
            example: row.message.clone(),
            remedy: row.remedy.clone(),
            first: Vec::new(),
            keys: Vec::new(),
        });
        group.failed += 1;
        if !row.is_uncertain && group.retry.is_empty() {
            group.retry = format!("muster retry {run} --group {} --first", group.name);
        }
        if group.first.len() < NAMED {
            group.first.push(row.order.clone());
            group.keys.push(row.key.clone());
        }
    }
    for left in left {
        if let Some(group) = left.cause.as_ref().and_then(|cause| groups.get_mut(cause)) {
            group.untried += left.orders;
        }
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    let concerned = |group: &ErrorGroup| (group.failed + group.untried, group.failed);
    groups.sort_by(|a, b| concerned(b).cmp(&concerned(a)).then_with(|| a.cause.cmp(&b.cause)));
    groups
}

/// All groups in a few words: `1 cause, 1 order failed, 149 not tried`.
pub fn groups_sentence(groups: &[ErrorGroup]) -> String {
    let (skipped, failed): (Vec<&ErrorGroup>, Vec<&ErrorGroup>) = groups.iter().partition(|group| group.is_skipped());
    let sum = |groups: &[&ErrorGroup]| groups.iter().map(|group| group.failed).sum::<u64>();
    let ended = match (sum(&failed), sum(&skipped)) {
        (0, skipped) => format!("{} skipped", counted(skipped, "order")),
        (failed, 0) => format!("{} failed", counted(failed, "order")),
        (failed, skipped) => format!("{} failed, {} skipped", counted(failed, "order"), count(skipped)),
    };
    let untried = groups.iter().map(|group| group.untried).sum();
    format!("{}, {ended}{}", counted(groups.len() as u64, "cause"), not_tried(untried))
}

fn not_tried(orders: u64) -> String {
    if orders == 0 { String::new() } else { format!(", {} not tried", count(orders)) }
}

/// The groups for people: name, kind, count, cause, first objects, what to do next, and the command that tries one again.
pub fn groups_text(groups: &[ErrorGroup]) -> String {
    let mut text = String::new();
    for group in groups {
        let cause = &group.cause;
        let mut kind = cause.class.to_string();
        if let Some(status) = cause.status {
            kind.push_str(&format!(", status {status}"));
        }
        if let Some(scim_type) = &cause.scim_type {
            kind.push_str(&format!(", {}", safe_text::line(scim_type)));
        }
        let objects = examples(group.keys.iter().map(String::as_str), group.failed, 3);
        text.push_str(&format!(
            "{} [{kind}]\n   {}\n   objects: {objects}\n",
            group.sentence(),
            safe_text::line(&group.example),
        ));
        if !group.remedy.is_empty() {
            text.push_str(&format!("   remedy: {}\n", safe_text::line(&group.remedy)));
        }
        if !group.retry.is_empty() {
            text.push_str(&format!("   one order again, {}: {}\n", group.when(), group.retry));
        }
    }
    text
}

/// What was left, kind by kind, for people: `149  create vault.users: stopped by permission-3f2a`.
pub fn left_text(left: &[KindLeft], stopped: Option<&str>) -> String {
    let mut text = String::new();
    for kind in left {
        let begun = if kind.is_started { "stopped" } else { "not started" };
        let why = match &kind.cause {
            Some(cause) => format!(" by {}", cause.name()),
            None if kind.why.is_empty() || Some(kind.why.as_str()) == stopped => String::new(),
            None => format!(": {}", safe_text::line(&kind.why)),
        };
        let what = safe_text::line(&kind.kind);
        text.push_str(&format!("{:>7}  {what}: {begun}{why}\n", count(kind.orders)));
    }
    text
}

/// The kinds of which nothing was tried: `add vault.memberships (149 orders)`; empty where there are none.
pub fn not_started(left: &[KindLeft]) -> String {
    let kinds = left.iter().filter(|kind| !kind.is_started);
    let kinds = kinds.map(|kind| format!("{} ({})", safe_text::line(&kind.kind), counted(kind.orders, "order")));
    kinds.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::errors_csv::tests::row;
    use super::*;
    use crate::model::order::Operation;
    use crate::model::resource::ResourceName;

    fn run() -> RunId {
        RunId("20261122T150405Z-7f3a".to_owned())
    }

    fn left(cause: Option<FailureCause>) -> KindLeft {
        let resource = ResourceName::new("vault", "users");
        let (is_started, why) = (cause.is_some(), "the vault is down".to_owned());
        let kind = "create vault.users".to_owned();
        KindLeft { kind, operation: Operation::Create, resource, orders: 147, is_started, why, cause }
    }

    #[test]
    fn one_cause_is_told_once_with_what_it_held_up() {
        let rows: Vec<ErrorRow> = (0..3).map(|n| row(n, &format!("userName 'user {n}' is taken"))).collect();
        let untried = [left(Some(rows[0].cause()))];
        let groups = error_groups(&run(), &rows, &untried);
        assert_eq!(groups_sentence(&groups), "1 cause, 3 orders failed, 147 not tried");
        assert_eq!(groups[0].first.len(), 3);
        let name = &groups[0].name;
        assert_eq!(
            groups_text(&groups),
            format!(
                "{name}, create vault.users: 3 failed, 147 not tried [conflict, status 409, uniqueness]\n   \
                 userName 'user 0' is taken\n   objects: `u-0`, `u-1`, `u-2`\n   remedy: rename one of the two\n   \
                 one order again, as it was: muster retry 20261122T150405Z-7f3a --group {name} --first\n"
            )
        );
        assert_eq!(left_text(&untried, None), format!("    147  create vault.users: stopped by {name}\n"));
        assert_eq!(not_started(&untried), "");
    }

    #[test]
    fn what_was_left_for_another_reason_belongs_to_no_cause() {
        let untried = [left(None)];
        let groups = error_groups(&run(), &[row(1, "taken")], &untried);
        assert_eq!(groups_sentence(&groups), "1 cause, 1 order failed");
        assert_eq!(not_started(&untried), "create vault.users (147 orders)");
        assert_eq!(left_text(&untried, Some("the vault is down")), "    147  create vault.users: not started\n");
    }

    #[test]
    fn different_causes_stay_apart_and_the_largest_comes_first() {
        let mut rows: Vec<ErrorRow> = (0..12).map(|n| row(n, "taken")).collect();
        let mut other = row(90, "taken");
        other.status = Some(400);
        rows.insert(0, other);
        let groups = error_groups(&run(), &rows, &[]);
        assert_eq!(groups.iter().map(|g| (g.failed, g.first.len())).collect::<Vec<_>>(), [(12, 10), (1, 1)]);
        assert_eq!(groups_sentence(&groups), "2 causes, 13 orders failed");
        rows.iter_mut().take(3).for_each(|row| row.class = Class::Stale);
        assert_eq!(groups_sentence(&error_groups(&run(), &rows, &[])), "3 causes, 10 orders failed, 3 skipped");
        assert_ne!(groups[0].name, groups[1].name);
    }
}
