//! What a person decides on some runs, and its way to the seal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::lost;
use super::sealed::{conclude, stand, tell};
use super::sealing::{self, Signing};
use super::selection::{self, Filter, PlannedOrder};
use crate::model::approval::Decision;
use crate::model::order::{BlockReason, Order, OrderId};
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::report::figures::counted;
use crate::report::safe_text;
use crate::rules::problem::nearest;
use crate::store::database::Store;
use crate::store::review_file;
use crate::store::review_problem::ReviewProblem;
use crate::store::seal::SealRequest;

/// What is to be sealed for one run.
#[derive(Default)]
pub(super) struct Task {
    /// Decided orders.
    pub(super) decisions: BTreeMap<OrderId, Decision>,
    /// Holds that are accepted, by name, with the figure that was found.
    pub(super) accepted: BTreeMap<String, String>,
    /// Why.
    pub(super) comment: String,
    /// Blocked orders that nobody can approve as they stand, by reason.
    pub(super) left_out: BTreeMap<&'static str, u64>,
}

/// What a review file decides.
#[derive(Default)]
pub(super) struct Review {
    /// The run that it is of.
    pub(super) run: Option<String>,
    /// Decided orders.
    pub(super) decisions: BTreeMap<OrderId, Decision>,
    /// Comments on single orders, a line each.
    pub(super) comments: String,
}

/// The runs that are decided on.
pub(super) struct Decider {
    pub(super) store: Store,
    /// Each with its orders, oldest first.
    pub(super) runs: Vec<(RunRecord, Vec<PlannedOrder>)>,
}

impl Decider {
    /// Opens the runs that a name means.
    pub(super) fn open(context: &Context, name: &str, filter: &Filter) -> Result<Self> {
        let store = selection::open_store(context)?;
        let mut runs = Vec::new();
        for run in selection::runs(&store, name)? {
            if let Some(orders) = lost::orders(&store, &run, name)? {
                runs.push((run, orders));
            }
        }
        filter.check_known(runs.iter().flat_map(|(_, orders)| orders), name)?;
        Ok(Self { store, runs })
    }

    /// By run, the holds that are accepted, with the figure that each has.
    pub(super) fn accepted(&self, names: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
        let mut accepted: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut known = Vec::new();
        for (run, _) in &self.runs {
            for hold in self.store.holds(&run.id)? {
                if names.contains(&hold.name) {
                    accepted.entry(run.id.0.clone()).or_default().insert(hold.name.clone(), hold.figure);
                }
                known.push(hold.name);
            }
        }
        known.sort();
        known.dedup();
        for name in names {
            if known.contains(name) {
                continue;
            }
            let hint = nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
            let held = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            let text =
                format!("--accept {name}: nothing of this name holds it{}; held by: {held}", hint.unwrap_or_default());
            return Err(UsageError(text).into());
        }
        Ok(accepted)
    }

    /// Reads a review file against the one run that it can be of.
    pub(super) fn read_file(&self, file: &Path, of: &str) -> Result<Review> {
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let planned: Vec<_> = self.runs.iter().filter(|(run, _)| run.plan_digest.is_some()).collect();
        let [(run, orders)] = planned.as_slice() else {
            let ids: Vec<&str> = planned.iter().map(|(run, _)| run.id.0.as_str()).collect();
            let which = if ids.is_empty() {
                "it has no plan yet".to_owned()
            } else {
                format!("name one of {}", ids.join(", "))
            };
            return Err(UsageError(format!("--file: a review file is of one run of {of}; {which}")).into());
        };
        let orders: Vec<Order> = orders.iter().map(|planned| planned.order.clone()).collect();
        let read = review_file::read(&bytes, &orders).map_err(|problems| {
            if let [ReviewProblem::OtherPlan { first }] = problems.as_slice() {
                return self.of_another_run(file, &run.id, first);
            }
            let mut text = format!("{} is refused, nothing was sealed:", file.display());
            let gap = if problems.len() > 1 { "\n  " } else { " " };
            for problem in &problems {
                let _ = write!(text, "{gap}{}", safe_text::line(&problem.to_string()));
            }
            let _ = write!(text, "\n  a fresh copy: muster review {} --output FILE", run.id);
            UsageError(text)
        })?;
        let decided = read.comments.iter().filter(|(order, _)| read.decisions.contains_key(*order));
        let comments = decided.map(|(order, comment)| format!("\n{order}: {comment}")).collect();
        Ok(Review { run: Some(run.id.0.clone()), decisions: read.decisions, comments })
    }

    /// Why the review file of another run is refused; `first` is an order in it.
    fn of_another_run(&self, file: &Path, expected: &RunId, first: &OrderId) -> UsageError {
        let file = file.display();
        UsageError(match self.store.order(first) {
            Ok(order) => format!(
                "{file} is the review file of run {other} (job {job}), and run {expected} was to be decided: nothing was sealed; decide {other} with it, or write one of {expected}: muster review {expected} --output FILE",
                other = order.run,
                job = safe_text::line(&order.job),
            ),
            Err(_) => format!(
                "{file} is the review file of a run that is not known here, and run {expected} was to be decided: nothing was sealed; write one of {expected}: muster review {expected} --output FILE"
            ),
        })
    }

    /// Seals what each run has, oldest first, and says what came of it.
    pub(super) fn seal(&mut self, context: &Context, tasks: Vec<Task>, signing: &Signing) -> Result<u8> {
        let is_empty = |task: &Task| task.decisions.is_empty() && task.accepted.is_empty();
        if signing.prepares() && tasks.iter().filter(|task| !is_empty(task)).count() > 1 {
            let ids: Vec<&str> = self.runs.iter().map(|(run, _)| run.id.0.as_str()).collect();
            let text = format!("--prepare: a review is of one run; name one of {}", ids.join(", "));
            return Err(UsageError(text).into());
        }
        if self.runs.is_empty() {
            say!(context, "nothing to decide");
        }
        let mut endings = Vec::new();
        let decides = tasks.iter().any(|task| !is_empty(task));
        for ((run, orders), task) in self.runs.iter().zip(tasks) {
            let unsure = unsure(orders, &task);
            if is_empty(&task) {
                // Beside a run of which something is decided, what does not concern another one is no news.
                if !decides || !task.left_out.is_empty() {
                    say!(context, "run {}: nothing to decide", run.id);
                }
            } else {
                let rules = sealing::rules(context, &self.store, run)?;
                let request = SealRequest {
                    run: run.id.clone(),
                    plan: run.plan_digest.clone(),
                    decisions: task.decisions,
                    accepted: task.accepted,
                    reviewer: Some(context.person()),
                    comment: task.comment,
                    expires: context.now() + rules.lasts,
                };
                match signing.seal(context, &mut self.store, request, &rules)? {
                    Some((request, report)) => {
                        tell(context, run, &request, &report);
                        if unsure > 0 {
                            say!(
                                context,
                                "  of these {unsure} matched or classed with less than 100 %: approving says that it is so; reject those that are wrong"
                            );
                        }
                    }
                    None => {
                        endings.push(stand(context, &self.store, run)?.0);
                        continue;
                    }
                }
            }
            for (reason, number) in &task.left_out {
                say!(context, "  left out: {} blocked, {reason}", counted(*number, "order"));
            }
            endings.push(conclude(context, &self.store, run)?);
        }
        Ok(Ending::worst(endings).status())
    }
}

/// How many orders a task approves of which a person alone can say that they are about the right object.
fn unsure(orders: &[PlannedOrder], task: &Task) -> usize {
    let is_unsure = |planned: &&PlannedOrder| {
        let block = planned.record.block.as_ref();
        block.is_some_and(|block| block.reason == BlockReason::LowConfidence)
            && task.decisions.get(&planned.order.id) == Some(&Decision::Approve)
    };
    orders.iter().filter(is_unsure).count()
}

/// Seals a review that was signed elsewhere.
pub(super) fn seal_signed(context: &Context, of: &str, files: (&Path, &Path)) -> Result<u8> {
    let mut store = selection::open_store(context)?;
    let (run, request, report) = sealing::seal_signed(context, &mut store, of, files)?;
    tell(context, &run, &request, &report);
    Ok(conclude(context, &store, &run)?.status())
}
