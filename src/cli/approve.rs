//! `muster approve RUN` and `muster reject RUN`: decisions, sealed.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::sealing::Signing;
use super::selection::{self, Filter, Matcher, PlannedOrder};
use super::{ending, review, sealing};
use crate::model::approval::Decision;
use crate::model::order::{Order, OrderId, OrderState, Remedy};
use crate::model::record::{HoldKind, OrderRecord, RunRecord};
use crate::model::run::{RunId, RunState};
use crate::report::figures::{count, counted};
use crate::report::safe_text;
use crate::rules::problem::nearest;
use crate::store::database::Store;
use crate::store::review_file::{self, ReviewProblem};
use crate::store::seal::{SealReport, SealRequest};

/// Reasons told one by one; of the orders beyond them only the number.
const TOLD: usize = 10;

/// Orders named for each reason.
const NAMED: usize = 3;

/// `muster approve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Approving orders does not accept a threshold or a suspicion: --accept does.\n\nExamples:\n  muster approve idp-to-vault --all --comment \"as announced, HR-2291\"\n  muster approve idp-to-vault --first 1 --comment \"to look at one\"\n  muster approve idp-to-vault --where \"operation == 'create'\" --comment \"new team\"\n  muster approve idp-to-vault --where \"key.startsWith('Payments ')\" --comment \"one group's rows\"\n  muster approve idp-to-vault --where \"block == 'prior-order'\" --comment \"looked at each\"\n  muster approve 20261122T150405Z-7f3a --file review.csv --comment \"reviewed with HR\"\n  muster approve idp-to-vault --accept vault.users/disable/percent --comment \"team dissolved\"\n\nWhere the job names `review.approvers`, an approval is signed, here or in two steps elsewhere:\n  muster approve idp-to-vault --all --comment \"HR-2291\" --sign ~/.ssh/id_ed25519\n  muster approve 20261122T150405Z-7f3a --all --comment \"HR-2291\" --prepare review.json\n  ssh-keygen -Y sign -n muster -f ~/.ssh/id_ed25519 review.json\n  muster approve 20261122T150405Z-7f3a --seal review.json --signature review.json.sig"
)]
pub(super) struct ApproveArgs {
    /// A run, or a job's name: all its runs with live orders and those that are held, oldest first
    run: String,
    /// Every order that can be approved
    #[arg(long, conflicts_with_all = ["condition", "order", "file"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// A review file with its decisions filled in
    #[arg(long, value_name = "FILE", conflicts_with_all = ["condition", "order", "first", "seal"])]
    file: Option<PathBuf>,
    /// Accept this threshold or suspicion, at the figure that was found
    #[arg(long, alias = "accept-threshold", value_name = "NAME", conflicts_with = "seal")]
    accept: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "seal")]
    comment: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// `muster reject`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster reject idp-to-vault --where \"operation == 'delete'\" --comment \"not before the audit\"\n  muster reject idp-to-vault --all --comment \"wrong export\""
)]
pub(super) struct RejectArgs {
    /// A run, or a job's name: all its runs with live orders, oldest first
    run: String,
    /// Every order that waits or is blocked
    #[arg(long, conflicts_with_all = ["condition", "order"])]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "seal")]
    comment: Option<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Approves orders, and accepts what holds a run.
pub(super) fn approve(context: &Context, args: ApproveArgs) -> Result<u8> {
    if let Some(files) = args.signing.signed() {
        return seal_signed(context, &args.run, files);
    }
    let comment = comment(args.comment.as_deref())?;
    if !args.all && !args.filter.is_set() && args.file.is_none() && args.accept.is_empty() {
        let text = "say what to approve: --all, --where EXPR, --order ID, --first N or --file FILE; or --accept NAME";
        return Err(UsageError(text.to_owned()).into());
    }
    let matcher = args.filter.matcher()?;
    let mut decider = Decider::open(context, &args.run, &args.filter)?;
    let mut accepted = decider.accepted(&args.accept)?;
    let mut review = Review::default();
    if let Some(file) = &args.file {
        review = decider.read_file(file, &args.run)?;
    }
    let mut left = args.filter.first.unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    for (run, orders) in &decider.runs {
        let accepted = accepted.remove(&run.id.0).unwrap_or_default();
        let thresholds = decider.thresholds(run, &accepted)?;
        let standing = match run.plan_digest {
            Some(_) => {
                let rules = sealing::rules(context, &decider.store, run)?;
                Some(decider.store.approved_plan(&run.id, &rules, context.now())?)
            }
            None => None,
        };
        let covered = |order: &OrderRecord| match (&standing, order.approved_by) {
            (Some(plan), Some(number)) => plan.covers(number, &order.id, context.now()),
            _ => false,
        };
        let mut task = Task { accepted, comment: comment.to_owned(), ..Task::default() };
        if review.run.as_ref() == Some(&run.id.0) {
            task.decisions = std::mem::take(&mut review.decisions);
            task.comment.push_str(&review.comments);
        }
        for planned in orders.iter().filter(|_| args.all || args.filter.is_set()) {
            if !matcher.matches(planned)? {
                continue;
            }
            let can = approvable(planned, &thresholds, covered(&planned.record));
            // What was named is handed on, so that sealing says why not; what was only swept up is counted.
            let named = !args.all && args.filter.first.is_none() && planned.record.state.is_live();
            if (can || named) && left > 0 {
                task.decisions.insert(planned.order.id.clone(), Decision::Approve);
                left = left.saturating_sub(usize::from(can));
            } else if !can && let Some(block) = &planned.record.block {
                *task.left_out.entry(block.reason.word()).or_default() += 1;
            }
        }
        tasks.push(task);
    }
    decider.seal(context, tasks, &args.signing)
}

/// Rejects orders.
pub(super) fn reject(context: &Context, args: RejectArgs) -> Result<u8> {
    if let Some(files) = args.signing.signed() {
        return seal_signed(context, &args.run, files);
    }
    let comment = comment(args.comment.as_deref())?;
    if !args.all && !args.filter.is_set() {
        return Err(UsageError("say what to reject: --all, --where EXPR, --order ID or --first N".to_owned()).into());
    }
    let matcher: Matcher = args.filter.matcher()?;
    let mut decider = Decider::open(context, &args.run, &args.filter)?;
    let mut left = args.filter.first.unwrap_or(usize::MAX);
    let mut tasks = Vec::new();
    for (_, orders) in &decider.runs {
        let mut task = Task { comment: comment.to_owned(), ..Task::default() };
        for planned in orders {
            let waits = matches!(planned.record.state, OrderState::PendingReview | OrderState::Blocked);
            let named = !args.all && args.filter.first.is_none() && planned.record.state.is_live();
            if (waits || named) && left > 0 && matcher.matches(planned)? {
                task.decisions.insert(planned.order.id.clone(), Decision::Reject);
                left -= 1;
            }
        }
        tasks.push(task);
    }
    decider.seal(context, tasks, &args.signing)
}

/// Every decision has its reason in words.
fn comment(text: Option<&str>) -> Result<&str> {
    match text.unwrap_or_default().trim() {
        "" => {
            Err(UsageError("--comment is empty; say in a few words why: it stands in the log for good".to_owned())
                .into())
        }
        text => Ok(text),
    }
}

/// Whether a person may approve an order as it stands. `thresholds` are the provisioning thresholds that held its run,
/// each with whether it still does; `covered` says that an approval which holds covers it.
fn approvable(planned: &PlannedOrder, thresholds: &BTreeMap<String, bool>, covered: bool) -> bool {
    let record = &planned.record;
    match record.state {
        OrderState::PendingReview => true,
        // Its approval is over, or is not what was sealed: it needs a new one.
        OrderState::Approved => !covered,
        OrderState::Blocked => record.block.as_ref().is_none_or(|block| match block.reason.remedy() {
            Remedy::Approval => true,
            Remedy::Acceptance => {
                // A block that names none depends on all of them, as it does when the review is sealed.
                let names = |name: &String| block.detail.contains(name.as_str());
                let any = thresholds.keys().any(names);
                !thresholds.iter().any(|(name, holds)| *holds && (!any || names(name)))
            }
            Remedy::Choice | Remedy::CauseGone => false,
        }),
        _ => false,
    }
}

/// What is to be sealed for one run.
#[derive(Default)]
struct Task {
    decisions: BTreeMap<OrderId, Decision>,
    accepted: BTreeMap<String, String>,
    comment: String,
    /// Blocked orders that nobody can approve as they stand, by reason.
    left_out: BTreeMap<&'static str, u64>,
}

/// What a review file decides.
#[derive(Default)]
struct Review {
    run: Option<String>,
    decisions: BTreeMap<OrderId, Decision>,
    comments: String,
}

/// The runs that are decided on.
struct Decider {
    store: Store,
    runs: Vec<(RunRecord, Vec<PlannedOrder>)>,
}

impl Decider {
    fn open(context: &Context, run: &str, filter: &Filter) -> Result<Self> {
        let store = selection::open_store(context)?;
        let mut runs = Vec::new();
        for run in selection::runs(&store, run)? {
            let orders = selection::orders(&store, &run)?;
            runs.push((run, orders));
        }
        filter.check_known(runs.iter().flat_map(|(_, orders)| orders), run)?;
        Ok(Self { store, runs })
    }

    /// By run, the holds that are accepted, with the figure that each has.
    fn accepted(&self, names: &[String]) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
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

    /// The provisioning thresholds of a run, with whether each still holds it once these are accepted.
    fn thresholds(&self, run: &RunRecord, accepted: &BTreeMap<String, String>) -> Result<BTreeMap<String, bool>> {
        let open = self.store.unaccepted_holds(&run.id)?;
        let holds = self.store.holds(&run.id)?.into_iter().filter(|hold| hold.kind == HoldKind::Plan);
        let holds = holds.map(|hold| {
            let still = open.iter().any(|other| other.name == hold.name) && !accepted.contains_key(&hold.name);
            (hold.name, still)
        });
        Ok(holds.collect())
    }

    /// Reads a review file against the one run that it can be of.
    fn read_file(&self, file: &Path, of: &str) -> Result<Review> {
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
            for problem in &problems {
                let _ = write!(text, "\n  {}", safe_text::line(&problem.to_string()));
            }
            let fresh = format!("\n  a fresh copy: muster review {} --output FILE", run.id);
            UsageError(text + &fresh)
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
    fn seal(&mut self, context: &Context, tasks: Vec<Task>, signing: &Signing) -> Result<u8> {
        let is_empty = |task: &Task| task.decisions.is_empty() && task.accepted.is_empty();
        if signing.prepares() && tasks.iter().filter(|task| !is_empty(task)).count() > 1 {
            let ids: Vec<&str> = self.runs.iter().map(|(run, _)| run.id.0.as_str()).collect();
            let text = format!("--prepare: a review is of one run; name one of {}", ids.join(", "));
            return Err(UsageError(text).into());
        }
        let mut endings = Vec::new();
        for ((run, _), task) in self.runs.iter().zip(tasks) {
            if is_empty(&task) {
                eprintln!("run {}: nothing to decide", run.id);
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
                    Some((request, report)) => tell(context, run, &request, &report),
                    None => {
                        endings.push(stand(context, &self.store, run)?.0);
                        continue;
                    }
                }
            }
            for (reason, number) in &task.left_out {
                eprintln!("  left out: {} blocked, {reason}", counted(*number, "order"));
            }
            endings.push(conclude(context, &self.store, run)?);
        }
        Ok(Ending::worst(endings).status())
    }
}

/// Seals a review that was signed elsewhere.
fn seal_signed(context: &Context, of: &str, files: (&Path, &Path)) -> Result<u8> {
    let mut store = selection::open_store(context)?;
    let (run, request, report) = sealing::seal_signed(context, &mut store, of, files)?;
    tell(context, &run, &request, &report);
    Ok(conclude(context, &store, &run)?.status())
}

/// Where a run stands now: how a command on it ends, and how many of its orders wait.
fn stand(context: &Context, store: &Store, run: &RunRecord) -> Result<(Ending, u64)> {
    let held = ending::is_held(store, &store.run(&run.id)?)?;
    let orders = store.orders_of(&run.id)?;
    let waiting = orders.iter().filter(|order| ending::waits(order, context.now())).count() as u64;
    let ending = match (held, waiting) {
        (true, _) => Ending::Held,
        (false, 0) => Ending::Done,
        (false, _) => Ending::Waits,
    };
    Ok((ending, waiting))
}

/// Says what is next for a run.
fn conclude(context: &Context, store: &Store, run: &RunRecord) -> Result<Ending> {
    let (ending, waiting) = stand(context, store, run)?;
    eprint!("{}", next(store, &store.run(&run.id)?, ending == Ending::Held, waiting)?);
    Ok(ending)
}

/// What sealing did.
fn tell(context: &Context, run: &RunRecord, request: &SealRequest, report: &SealReport) {
    let mut done = Vec::new();
    let words = [
        (&report.approved, "approved"),
        (&report.approved_in_vain, "approved and blocked by what they need"),
        (&report.seconded, "approved in part"),
        (&report.rejected, "rejected"),
    ];
    for (orders, word) in words {
        if !orders.is_empty() {
            done.push(format!("{} {word}", counted(orders.len() as u64, "order")));
        }
    }
    done.extend(
        request.accepted.iter().map(|(name, figure)| format!("{} accepted at {figure}", safe_text::line(name))),
    );
    let done = if done.is_empty() { "nothing was sealed".to_owned() } else { done.join(", ") };
    eprintln!("run {}: {done}, by {}", run.id, safe_text::line(request.reviewer.as_deref().unwrap_or("nobody")));
    if let Some(number) = report.number {
        let path = context.layout.approval(&run.job, &run.id, number);
        eprintln!("  sealed in {}, until {}", path.display(), request.expires.format("%Y-%m-%d %H:%M UTC"));
    }
    if !report.seconded.is_empty() {
        let seconded = counted(report.seconded.len() as u64, "order");
        eprintln!("  needs another reviewer's approval: {seconded}");
    }
    for hold in report.holds.iter().filter(|hold| request.accepted.contains_key(&hold.name)) {
        eprintln!("  {} still holds it: it needs another reviewer's acceptance", safe_text::line(&hold.name));
    }
    tell_orders("refused", &report.refused);
    tell_orders("skipped", &report.skipped);
    tell_orders("blocked now", &report.blocked);
    if !report.unblocked.is_empty() {
        eprintln!("  {} may go on", counted(report.unblocked.len() as u64, "order"));
    }
}

/// Orders with what is to be said of each; those of which the same is said stand together.
fn tell_orders(word: &str, orders: &[(OrderId, String)]) {
    let mut reasons: Vec<(&str, Vec<&OrderId>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (order, why) in orders {
        let at = *known.entry(why).or_insert(reasons.len());
        if at == reasons.len() {
            reasons.push((why, Vec::new()));
        }
        reasons[at].1.push(order);
    }
    for (why, orders) in reasons.iter().take(TOLD) {
        let mut named = orders.iter().take(NAMED).map(|order| order.0.as_str()).collect::<Vec<_>>().join(", ");
        if orders.len() > NAMED {
            let _ = write!(named, " and {} more", count((orders.len() - NAMED) as u64));
        }
        eprintln!("  {word}: {named}: {}", safe_text::line(why));
    }
    let more: usize = reasons.iter().skip(TOLD).map(|(_, orders)| orders.len()).sum();
    if more > 0 {
        eprintln!("  {word}: and {} more, for other reasons", count(more as u64));
    }
}

/// What still holds the run, and the next command.
fn next(store: &Store, run: &RunRecord, held: bool, waiting: u64) -> Result<String> {
    if held {
        let plan = store.unaccepted_holds(&run.id)?.iter().any(|hold| hold.kind == HoldKind::Plan);
        let what = if plan { "nothing of it is applied yet" } else { "what depends on a held snapshot waits" };
        return Ok(format!("  {what}\n{}", review::holds_text(store, run)?));
    }
    if run.state == RunState::HeldSnapshot {
        return Ok(format!("next: muster run {}\n", safe_text::line(&run.job)));
    }
    let mut text = String::new();
    if waiting > 0 {
        let verb = if waiting == 1 { "waits" } else { "wait" };
        let _ = writeln!(text, "  {} still {verb}: muster review {}", counted(waiting, "order"), run.id);
    }
    let approved = store.order_counts(&run.job, Some(&run.id))?.get(&OrderState::Approved).copied().unwrap_or(0);
    if approved > 0 {
        let _ = writeln!(text, "next: muster apply {}", run.id);
    }
    Ok(text)
}
