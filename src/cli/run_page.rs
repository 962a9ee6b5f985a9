//! What vouches for a run on its page, gathered from the database and the run's folder.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Result;

use super::context::Context;
use crate::model::approval::Decision;
use crate::model::record::RunRecord;
use crate::model::value::Value;
use crate::report::run_page::{Evidence, Sealed, ToldOrder};
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::store::approvals::parse;
use crate::store::database::Store;

/// Waves that are told.
const WAVES: usize = 200;

/// Orders that are told one by one: enough for a day, and a file that can be mailed.
const ORDERS: usize = 1_000;

/// Everything that vouches for a run. A file that is gone or damaged vouches for nothing, and is left out.
///
/// # Errors
/// When the database cannot be read.
pub(super) fn evidence(context: &Context, store: &Store, run: &RunRecord) -> Result<Evidence> {
    let layout = &context.layout;
    let reviewers = store.reviewers_of(&run.id)?;
    let mut approvals = Vec::new();
    for number in store.approval_numbers(&run.id)? {
        let path = layout.approval(&run.job, &run.id, number);
        let Some(approval) = std::fs::read(&path).ok().and_then(|bytes| parse(&path, &bytes).ok()) else { continue };
        // What was never sealed here is nobody's word.
        let Some(reviewer) = reviewers.get(&number) else { continue };
        let of = |wanted: Decision| approval.decisions.values().filter(|decision| **decision == wanted).count() as u64;
        approvals.push(Sealed {
            number,
            reviewer: reviewer.clone(),
            at: approval.at,
            comment: approval.comment.clone(),
            approved: of(Decision::Approve),
            rejected: of(Decision::Reject),
            accepted: approval.accepted.clone().into_iter().collect(),
            digest: approval.decisions_digest.to_string(),
            signed: layout.signature(&run.job, &run.id, number).exists(),
        });
    }
    let manifest = Manifest::read(&layout.export(&run.job, &run.id).join(FILE_NAME)).ok();
    let resources = manifest.iter().flat_map(|manifest| &manifest.systems).flat_map(|(system, resources)| {
        resources.iter().map(move |(resource, exported)| {
            (format!("{system}.{resource}"), exported.rows, exported.sha256.to_string())
        })
    });
    Ok(Evidence {
        plan: run.plan_digest.as_ref().map(ToString::to_string),
        job_file: run.job_digest.to_string(),
        starter: run.starter.clone(),
        approvals,
        snapshots: resources.collect(),
        ended: store.ended_times(&run.id)?,
        orders: told(store, run)?,
        waves: waves(&layout.run_log(&run.job, &run.id)),
    })
}

/// The orders that are told one by one. What a plan that is gone would say of them is left out.
fn told(store: &Store, run: &RunRecord) -> Result<Vec<ToldOrder>> {
    let first = store.first_orders(&run.id, ORDERS)?;
    let mut planned = store.planned_orders(&run.job, &run.id, &first.iter().map(|order| &order.id).collect())?;
    let told = first.into_iter().map(|order| {
        let changes = planned.remove(&order.id).map(|planned| planned.changes).unwrap_or_default();
        let text = |value: Option<Value>| value.map(|value| value.to_string()).unwrap_or_default();
        ToldOrder {
            operation: order.operation,
            resource: order.resource,
            key: order.key,
            name: order.name,
            state: order.state,
            at: order.updated,
            changes: changes.into_iter().map(|c| (c.attribute, text(c.before), text(c.after))).collect(),
        }
    });
    Ok(told.collect())
}

/// The waves that a run's log tells of, the first ones.
fn waves(log: &Path) -> Vec<(String, String)> {
    let Ok(log) = File::open(log) else { return Vec::new() };
    let lines = BufReader::new(log).lines().map_while(std::io::Result::ok);
    let wave = |line: String| {
        let (at, rest) = line.split_once(" info ")?;
        rest.contains(", wave ").then(|| (at.to_owned(), rest.trim().to_owned()))
    };
    lines.filter_map(wave).take(WAVES).collect()
}
