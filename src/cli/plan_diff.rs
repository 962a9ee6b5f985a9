//! `muster plan JOB --diff RUN`: what is wanted now and was not in the plan of an earlier run, and the other way round.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;

use super::context::Context;
use super::exit::UsageError;
use super::stdout::{print, print_text};
use crate::model::order::{ObjectKey, Order, OrderId};
use crate::model::record::OrderRecord;
use crate::model::run::RunId;
use crate::report::figures::counted;
use crate::report::review::change_text;
use crate::report::table::{Column, Format, Listing};
use crate::store::database::Store;

/// Tells how the orders that are live now differ from those that were when run `since` had planned.
pub(super) fn tell(context: &Context, store: &Store, job: &str, since: &RunId, format: Format) -> Result<()> {
    let run = store.run(since)?;
    if run.plan_digest.is_none() {
        return Err(UsageError(format!(
            "run {since} made no plan ({}); name one that did: muster status {job}",
            run.state
        ))
        .into());
    }
    // What an earlier run had raised and was still live is part of what that plan wanted.
    let then = store.open_at(job, since, run.ended.unwrap_or(run.started))?;
    let before: BTreeMap<ObjectKey, Order> =
        planned(store, then.iter())?.into_values().map(|order| (order.object.clone(), order)).collect();
    let live = store.live_orders(job)?;
    let is_same =
        |record: &OrderRecord| before.get(&record.object).is_some_and(|order| order.fingerprint == record.fingerprint);
    let same = live.iter().filter(|record| is_same(record)).count() as u64;
    let now = planned(store, live.iter().filter(|record| !is_same(record)))?;
    let columns = [
        Column::whole("change"),
        Column::whole("operation"),
        Column::new("resource"),
        Column::new("key"),
        Column::spare("name"),
        Column::spare("order"),
        Column::new("detail"),
    ];
    let mut rows: Vec<[String; 7]> = Vec::new();
    let mut row = |change: &str, order: &Order, detail: String| {
        rows.push([
            change.to_owned(),
            order.operation.word().to_owned(),
            order.resource.to_string(),
            order.key.clone(),
            order.name.clone(),
            order.id.to_string(),
            detail,
        ]);
    };
    for record in live.iter().filter(|record| !is_same(record)) {
        let Some(order) = now.get(&record.id) else { continue };
        match before.get(&record.object) {
            None => row("added", order, changes(order)),
            Some(was) => {
                row("changed", order, format!("was {} {}; is {}", was.operation, changes(was), changes(order)))
            }
        }
    }
    let wanted: HashSet<&ObjectKey> = live.iter().map(|record| &record.object).collect();
    for (_, order) in before.iter().filter(|(object, _)| !wanted.contains(object)) {
        let state = store.order(&order.id).map(|record| record.state.word().to_owned());
        row("gone", order, format!("{} now", state.unwrap_or_else(|_| "unknown".to_owned())));
    }
    rows.sort();
    let count = |change: &str| rows.iter().filter(|row| row[0] == change).count() as u64;
    let text = format!(
        "since the plan of run {since}: {} added, {} changed, {} gone, {same} the same\n",
        counted(count("added"), "order"),
        count("changed"),
        count("gone")
    );
    let mut listing = Listing::new(columns.to_vec());
    for row in &rows {
        listing.push(row.iter().map(|cell| cell.as_str().into()).collect());
    }
    if format == Format::Table {
        let table = if rows.is_empty() { String::new() } else { listing.render(Format::Table, context.screen()) };
        return print_text(context, &format!("{table}{text}"));
    }
    print(&listing.render(format, context.screen()))?;
    if context.tells {
        eprintln!("{}", text.trim_end());
    }
    Ok(())
}

/// What these orders were planned as.
fn planned<'r>(store: &Store, records: impl Iterator<Item = &'r OrderRecord>) -> Result<HashMap<OrderId, Order>> {
    let mut by_run: BTreeMap<&RunId, HashSet<&OrderId>> = BTreeMap::new();
    records.for_each(|record| {
        by_run.entry(&record.run).or_default().insert(&record.id);
    });
    let mut orders = HashMap::new();
    for (run, ids) in by_run {
        for order in store.read_orders(run)? {
            let order = order?;
            if ids.contains(&order.id) {
                orders.insert(order.id.clone(), order);
            }
        }
    }
    Ok(orders)
}

fn changes(order: &Order) -> String {
    order.changes.iter().map(change_text).collect::<Vec<_>>().join("; ")
}
