//! What is not raised again, because it was rejected, handed over or undone before.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;

use super::context::Context;
use super::stdout::print_listing;
use crate::model::record::{WithheldFor, Withholding};
use crate::report::figures::{counted, time};
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::store::database::Store;

/// What is withheld of a job, the newest decision on each object. What was undone is withheld value by value, so that each
/// undo of other values stands beside that decision.
fn withheld(store: &Store, job: &str) -> Result<Vec<Withholding>> {
    let mut all = store.withholding(job)?;
    let (mut seen, mut orders) = (HashSet::new(), HashSet::new());
    all.reverse();
    all.retain(|one| {
        let undone = (one.why == WithheldFor::Undone).then(|| one.contents.clone());
        // One that undid something may have been handed over, too.
        orders.insert(one.order.clone()) && seen.insert((one.target_identity.clone(), one.object.clone(), undone))
    });
    all.reverse();
    Ok(all)
}

/// How many orders are withheld, by why.
pub(super) fn count(store: &Store, job: &str) -> Result<BTreeMap<WithheldFor, u64>> {
    let mut counts = BTreeMap::new();
    for one in withheld(store, job)? {
        *counts.entry(one.why).or_default() += 1;
    }
    Ok(counts)
}

/// Lists what is withheld of a job; `typed` is how it was called.
pub(super) fn list(context: &Context, store: &Store, job: &str, typed: &str, format: Format) -> Result<()> {
    let columns = [
        Column::whole("order"),
        Column::whole("why"),
        Column::whole("operation"),
        Column::new("resource"),
        Column::new("key"),
        Column::whole("undone by"),
        Column::spare("run"),
        Column::whole("since"),
    ];
    let mut listing = Listing::new(columns.to_vec());
    for one in withheld(store, job)? {
        listing.push(vec![
            one.withheld.0.as_str().into(),
            one.why.word().into(),
            one.operation.word().into(),
            one.resource.to_string().into(),
            one.key.as_str().into(),
            (one.order != one.withheld).then(|| one.order.0.clone()).into(),
            one.run.0.as_str().into(),
            time(one.since).into(),
        ]);
    }
    let number = listing.rows.len() as u64;
    let mut text = format!("{} withheld\n", counted(number, "order"));
    if number > 0 {
        let job = safe_text::line(typed);
        text.push_str(&format!(
            "each is raised anew once a run finds that it is not wanted, and a later one that it is\nask again now, for all of them: muster plan {job} --ask-again\nwho decided, and why: muster log {job} --key ORDER (of what was undone: the one under `undone by`)\n"
        ));
    }
    print_listing(context, listing, format, ("", &text))
}
