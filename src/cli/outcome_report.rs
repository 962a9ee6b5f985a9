//! The record of a run, built from what is remembered: report.json, errors.csv and errors.json in the run's folder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::context::Context;
use super::review::hold_sentence;
use super::run_page::evidence;
use super::{lost, selection};
use crate::disk::atomic;
use crate::model::order::{Operation, OrderId, OrderState};
use crate::model::outcome::Outcome;
use crate::model::record::RunRecord;
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::report::error_groups::error_groups;
use crate::report::errors_csv::{ErrorRow, errors_csv, errors_json};
use crate::report::report_json::{Export, RunReport};
use crate::report::request_log::traffic;
use crate::report::run_page::run_page;
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::store::database::Store;

/// Builds the record of a run and writes it, with the per-order error report, into the run's folder.
///
/// # Errors
/// A plan that was changed; a file that cannot be written.
pub(super) fn write(context: &Context, store: &Store, run: &RunId, exit: u8) -> Result<RunReport> {
    let record = store.run(run)?;
    let (mut report, errors) = build(store, &record, exit)?;
    if record.state != RunState::Started && report.ended.is_none() {
        report.ended = Some(context.now());
    }
    context.layout.create_run(&record.job, run)?;
    let csv = context.layout.errors(&record.job, run);
    atomic::write(&csv, errors_csv(&errors, &report.error_groups).as_bytes())?;
    atomic::write(&csv.with_extension("json"), errors_json(&errors).as_bytes())?;
    atomic::write(&context.layout.report_json(&record.job, run), report.to_json().as_bytes())?;
    let page = run_page(&report, &evidence(context, store, &record)?);
    atomic::write(&context.layout.report_page(&record.job, run), page.as_bytes())?;
    Ok(report)
}

/// The record of a run, and a row for each order that failed and was not returned to be tried again.
///
/// # Errors
/// A plan that was changed.
pub(super) fn build(store: &Store, run: &RunRecord, exit: u8) -> Result<(RunReport, Vec<ErrorRow>)> {
    let mut report = RunReport::new(run.id.clone(), &run.job, run.mode, run.state, run.started);
    report.exit_status = exit;
    report.exports = exports(&store.layout().export(&run.job, &run.id));
    // Only figures hang on it.
    report.traffic = traffic(&store.layout().request_log(&run.job, &run.id)).unwrap_or_default();
    let outcomes = store.outcomes(&run.id)?;
    report.ended = run.ended.into_iter().chain(outcomes.iter().map(|outcome| outcome.at)).max();

    let mut approved = BTreeMap::<(Operation, ResourceName), u64>::new();
    for (state, operation, resource, count) in store.tally(&run.id)? {
        *report.orders_by_state.entry(state).or_default() += count;
        add(&mut report.orders_by_operation, operation, &resource, count);
        match state {
            OrderState::Applied => add(&mut report.applied_by_operation, operation, &resource, count),
            OrderState::Approved => drop(approved.insert((operation, resource), count)),
            _ => {}
        }
    }
    let failed = outcomes.into_iter().filter(|outcome| outcome.failure.is_some());
    let failed: BTreeMap<OrderId, Outcome> = failed.map(|outcome| (outcome.order.clone(), outcome)).collect();
    // Only an order that failed is told by itself.
    let records = if failed.is_empty() { Vec::new() } else { store.orders_of(&run.id)? };
    let (names, lost) = if failed.is_empty() { (BTreeMap::new(), None) } else { names(store, run)? };
    let mut errors = Vec::new();
    for order in records {
        let Some((outcome, failure)) = failed.get(&order.id).and_then(|o| Some((o, o.failure.as_ref()?))) else {
            continue;
        };
        match order.state {
            // Returned by `retry`: not failed any more, and not yet tried again.
            OrderState::Approved => {
                let count = approved.entry((order.operation, order.resource.clone())).or_default();
                *count = count.saturating_sub(1);
            }
            OrderState::Applied | OrderState::PendingReview | OrderState::InFlight => {}
            _ => {
                let name = names.get(&order.id).map_or("", String::as_str);
                errors.push(ErrorRow::of(&order, name, failure, outcome.tries, outcome.at));
            }
        }
    }
    let end = store.apply_end(&run.id)?;
    // What was left is left still, as far as it is approved.
    for mut kind in end.left {
        let approved = approved.entry((kind.operation, kind.resource.clone())).or_default();
        kind.orders = kind.orders.min(*approved);
        *approved -= kind.orders;
        if kind.orders > 0 {
            report.left.push(kind);
        }
    }
    report.untried = report.left.iter().map(|kind| kind.orders).sum();
    report.stopped = end.stopped.filter(|_| report.untried > 0);
    let groups = error_groups(&run.id, &errors, &report.left);
    let mut report = report.with_errors(groups);
    tell_holds(store, run, &mut report)?;
    report.warnings.extend(lost.filter(|lost| !report.warnings.contains(lost)));
    Ok((report, errors))
}

/// What the objects of a run's orders are called; or why that is not known any more.
fn names(store: &Store, run: &RunRecord) -> Result<(BTreeMap<OrderId, String>, Option<String>)> {
    match selection::orders(store, run) {
        Ok(orders) => Ok((orders.into_iter().map(|planned| (planned.order.id, planned.order.name)).collect(), None)),
        Err(error) => match selection::lost_plan(&error) {
            Some(why) => Ok((BTreeMap::new(), Some(lost::told(store, run, why)?))),
            None => Err(error),
        },
    }
}

/// What holds the run, and what its plan warns of.
fn tell_holds(store: &Store, run: &RunRecord, report: &mut RunReport) -> Result<()> {
    let holds = if run.state.is_held() { store.unaccepted_holds(&run.id)? } else { Vec::new() };
    if run.plan_digest.is_some() {
        match store.registered_plan(&run.id) {
            Ok(plan) => {
                report.warnings = plan.warnings;
                report.undoes = plan.reverts.map(|reverted| reverted.run);
            }
            Err(error) if error.is_lost_plan() => report.warnings.push(lost::told(store, run, &error)?),
            Err(error) => return Err(error.into()),
        }
    }
    for hold in &holds {
        match &hold.excess {
            Some(excess) => report.holds.push(excess.clone()),
            None => report.warnings.push(format!("held by {}", hold_sentence(hold))),
        }
    }
    let ended_early = run.plan_digest.is_none() || matches!(run.state, RunState::Failed | RunState::Replaced);
    if ended_early && !run.note.is_empty() && holds.is_empty() {
        report.warnings.push(run.note.clone());
    }
    Ok(())
}

fn add(
    counts: &mut BTreeMap<ResourceName, BTreeMap<Operation, u64>>,
    operation: Operation,
    resource: &ResourceName,
    count: u64,
) {
    *counts.entry(resource.clone()).or_default().entry(operation).or_default() += count;
}

/// The snapshots of an export folder; none where the folder is gone or its export was never finished.
pub(super) fn exports(folder: &Path) -> Vec<Export> {
    let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { return Vec::new() };
    let mut exports = Vec::new();
    for (system, resources) in &manifest.systems {
        for (name, resource) in resources {
            exports.push(Export {
                resource: ResourceName::new(system, name),
                rows: resource.rows,
                bytes: resource.bytes,
                at: manifest.ended,
                mode: resource.mode,
                missed: resource.evidence.missed,
                pages: resource.evidence.pages_received,
                total: resource.evidence.total_end,
                read_again: resource.evidence.first_look.as_ref().map(|first| first.why.clone()),
                verdict: resource.completeness.clone(),
            });
        }
    }
    exports
}
