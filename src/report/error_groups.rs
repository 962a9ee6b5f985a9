//! Failed orders by cause: one problem is told once, with its count.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::errors_csv::ErrorRow;
use super::figures::{count, counted, examples};
use super::safe_text;
use crate::model::apply_end::KindLeft;
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
    /// Orders concerned: those that failed, and those that were not tried because of them.
    pub orders: u64,
    /// Orders that failed.
    pub tried: u64,
    /// The message of the first, verbatim.
    pub example: String,
    /// What to do next.
    pub remedy: String,
    /// The command that sends the first of them again.
    pub retry: String,
    /// The first orders, up to ten, in the order of the rows.
    pub first: Vec<OrderId>,
    /// The keys of these orders.
    pub keys: Vec<String>,
}

impl ErrorGroup {
    /// How many there are and were tried: `150 orders, 1 tried`.
    pub fn orders_sentence(&self) -> String {
        let tried = if self.tried == self.orders { String::new() } else { format!(", {} tried", count(self.tried)) };
        format!("{}{tried}", counted(self.orders, "order"))
    }

    /// When it makes sense to send one of them again; what was refused for its content is the same then.
    pub fn when(&self) -> &'static str {
        if self.cause.class.is_about_content() { "as it was" } else { "when that is mended" }
    }

    /// `permission-3f2a, create vault.users: 150 orders, 1 tried`.
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
            retry: format!("muster retry {run} --group {} --first", cause.name()),
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
    for left in left {
        if let Some(group) = left.cause.as_ref().and_then(|cause| groups.get_mut(cause)) {
            group.orders += left.orders;
        }
    }
    let mut groups: Vec<ErrorGroup> = groups.into_values().collect();
    groups.sort_by(|a, b| (b.orders, b.tried).cmp(&(a.orders, a.tried)).then_with(|| a.cause.cmp(&b.cause)));
    groups
}

/// All groups in a few words: `1 cause, 150 orders, 1 tried`.
pub fn groups_sentence(groups: &[ErrorGroup]) -> String {
    let orders = groups.iter().map(|group| group.orders).sum();
    let tried: u64 = groups.iter().map(|group| group.tried).sum();
    let tried = if tried == orders { String::new() } else { format!(", {} tried", count(tried)) };
    format!("{}, {}{tried}", counted(groups.len() as u64, "cause"), counted(orders, "order"))
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
        let objects = examples(group.keys.iter().map(String::as_str), group.tried, 3);
        text.push_str(&format!(
            "{} [{kind}]\n   {}\n   objects: {objects}\n",
            group.sentence(),
            safe_text::line(&group.example),
        ));
        if !group.remedy.is_empty() {
            text.push_str(&format!("   next: {}\n", safe_text::line(&group.remedy)));
        }
        text.push_str(&format!("   one order again, {}: {}\n", group.when(), group.retry));
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
        assert_eq!(groups_sentence(&groups), "1 cause, 150 orders, 3 tried");
        assert_eq!(groups[0].first.len(), 3);
        let name = &groups[0].name;
        assert_eq!(
            groups_text(&groups),
            format!(
                "{name}, create vault.users: 150 orders, 3 tried [conflict, status 409, uniqueness]\n   \
                 userName 'user 0' is taken\n   objects: `u-0`, `u-1`, `u-2`\n   next: rename one of the two\n   \
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
        assert_eq!(groups_sentence(&groups), "1 cause, 1 order");
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
        assert_eq!(groups.iter().map(|g| (g.tried, g.first.len())).collect::<Vec<_>>(), [(12, 10), (1, 1)]);
        assert_eq!(groups_sentence(&groups), "2 causes, 13 orders");
        assert_ne!(groups[0].name, groups[1].name);
    }
}
