//! What orders share: their changes, their causes, and the rows that they concern at either side.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cells;
use super::facts::{Fact, Sight};
use super::rows::Rows;
use super::{Inquiry, OwnFacts};
use crate::model::explanation::{Explanation, FactKind};
use crate::model::order::{EndRef, Operation, Order};
use crate::model::situation::{Cause, Situation};
use crate::model::threshold::Excess;
use crate::model::value::Value;
use crate::reconcile::input::{ObjectInput, SyncInput};
use crate::reconcile::threshold::Counted;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::table::Table;

/// The orders of a plan, of which some exceed a threshold.
#[derive(Clone, Copy)]
pub struct OrdersInQuestion<'a> {
    /// All new orders.
    pub orders: &'a [Order],
    /// The syncs that they come from.
    pub syncs: &'a [SyncInput<'a>],
    /// Whether the job file is another than that of the last plan within its limits.
    pub job_changed: bool,
}

/// Explains the orders behind an excess. Those of earlier runs that it counts too are one fact of it.
///
/// # Errors
/// When a snapshot cannot be read any more.
pub fn explain_orders(question: &OrdersInQuestion<'_>, excess: &Excess) -> Result<Explanation, SnapshotError> {
    let counted = |order: &&Order| {
        Counted::by(&excess.name, &order.resource).is_some_and(|by| by.counts(order.operation, &order.thresholds))
    };
    let orders: Vec<&Order> = question.orders.iter().filter(counted).collect();
    let mut subjects: BTreeSet<&str> = BTreeSet::new();
    for order in &orders {
        subjects.extend(order.changes.iter().map(|change| change.attribute.as_str()));
        subjects.extend(order.ends.iter().map(|end| end.name.as_str()));
    }
    let numbers: BTreeMap<&str, u32> = subjects.iter().copied().zip(0..).collect();
    let mut subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for sync in question.syncs.iter().filter_map(objects) {
        let of_sync = || (0u32..).zip(&orders).filter(|(_, order)| order.sync == sync.sync.index);
        for (name, table, keys) in [
            (&sync.sync.from, sync.source, keys(of_sync(), source_key)),
            (&sync.sync.to, sync.target, keys(of_sync(), removed_id)),
        ] {
            if !keys.is_empty() {
                rows.push(Rows::by_key(table, subjects.len() as u32, &keys, format!("the export of {name}"))?);
                subjects.extend(columns(table).map(|column| format!("{name}.{column}")));
            }
        }
    }
    let new = orders.len() as u64;
    let cases = excess.figure.max(new);
    let applied = excess.earlier.as_ref().map_or(0, |earlier| earlier.figure).min(cases - new);
    let mut known = Vec::new();
    for (from, to, text) in [
        (new, cases - applied, "they wait since earlier runs, approved or not".to_owned()),
        (cases - applied, cases, format!("they were applied before, within {}", window(excess))),
    ] {
        if from < to {
            known.push((Fact::said(FactKind::Earlier, text), from as u32..to as u32));
        }
    }
    let names = subjects.clone();
    let own: &OwnFacts<'_> = &|case, see| {
        if let Some(order) = orders.get(case as usize) {
            order_facts(order, question.job_changed, &numbers, &names, see);
        }
    };
    Inquiry { subjects, cases, own, rows, known }.explain()
}

/// The time that an excess counts over.
fn window(excess: &Excess) -> &str {
    excess.earlier.as_ref().map_or("", |earlier| earlier.window.as_str())
}

fn objects<'s, 'a>(sync: &'s SyncInput<'a>) -> Option<&'s ObjectInput<'a>> {
    match sync {
        SyncInput::Objects(objects) => Some(objects),
        SyncInput::Association(_) => None,
    }
}

fn columns(table: &Table) -> impl Iterator<Item = &String> {
    table.columns().iter()
}

fn keys<'o>(
    orders: impl Iterator<Item = (u32, &'o &'o Order)>,
    key: fn(&Order) -> Option<&str>,
) -> HashMap<&'o str, u32> {
    orders.filter_map(|(case, order)| Some((key(order)?, case))).collect()
}

/// The row that an object is wanted by, or was: at the source there is none of an orphan.
fn source_key(order: &Order) -> Option<&str> {
    order.source_key.as_deref().filter(|_| order.situation != Situation::Orphan)
}

/// The target's row of an object that is to go.
fn removed_id(order: &Order) -> Option<&str> {
    order.target_id.as_deref().filter(|_| removes(order))
}

fn removes(order: &Order) -> bool {
    matches!(order.operation, Operation::Disable | Operation::Delete)
}

/// The facts that stand in an order itself.
fn order_facts(
    order: &Order,
    job_changed: bool,
    numbers: &BTreeMap<&str, u32>,
    names: &[String],
    see: &mut dyn FnMut(Sight<'_>),
) {
    let mut said = |kind, text| see(Sight { kind, subject: 0, before: text, after: "" });
    match (order.situation, order.operation) {
        (Situation::Orphan, _) => said(FactKind::Situation, "their source rows are gone"),
        (Situation::OutOfScope, _) if job_changed => {
            said(FactKind::ScopeChanged, "the scope leaves them out, and the job file was changed: see its scope rule");
        }
        (Situation::OutOfScope, _) => said(FactKind::Situation, "the scope leaves their source rows out"),
        (_, Operation::Create) => said(FactKind::Situation, "they are wanted and absent at the target"),
        (_, Operation::Enable) => said(FactKind::Situation, "their source rows are enabled again"),
        (_, Operation::Disable) => said(FactKind::Situation, "their source rows are disabled"),
        _ if order.cause == Cause::Drift => said(FactKind::Situation, "they were changed at the target"),
        _ => {}
    }
    for end in &order.ends {
        let subject = numbers.get(end.name.as_str()).copied().unwrap_or(0);
        let id = match &end.object {
            EndRef::Target(id) => id.as_str(),
            EndRef::Order(order) => order.0.as_str(),
        };
        let before = if end.label.is_empty() { id } else { end.label.as_str() };
        see(Sight { kind: FactKind::Value, subject, before, after: "" });
    }
    // What is set along with a removal or a creation is the same for all of them.
    if order.operation != Operation::Update {
        return;
    }
    let mut changes: Vec<(u32, Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(order.changes.len());
    for change in &order.changes {
        let subject = numbers.get(change.attribute.as_str()).copied().unwrap_or(0);
        if change.cause == Cause::Rule {
            see(Sight { kind: FactKind::RuleChanged, subject, before: "", after: "" });
        }
        changes.push((subject, cell(change.before.as_ref()), cell(change.after.as_ref())));
    }
    let changes: Vec<(u32, &str, &str)> = changes.iter().map(|(s, before, after)| (*s, &**before, &**after)).collect();
    for (subject, before, after) in &changes {
        cells::change(*subject, before, after, see);
    }
    cells::swaps(&changes, names, see);
}

/// A value as a snapshot's cell holds it.
fn cell(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None => Cow::Borrowed(""),
        Some(Value::Text(text)) => Cow::Borrowed(text),
        Some(many) => Cow::Owned(many.to_cell()),
    }
}
