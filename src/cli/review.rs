//! `muster review RUN`: what a run wants to do, or what holds it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::selection::{self, Filter, PlannedOrder};
use super::stdout::print_as;
use super::{ending, lost, seconds};
use crate::job::timer::duration;
use crate::model::order::{BlockReason, Order, OrderState, Remedy};
use crate::model::record::{Hold, RunRecord};
use crate::model::run::RunState;
use crate::report::explanation::explanation_text;
use crate::report::figures::{counted, examples};
use crate::report::review::{review_listing, review_text};
use crate::report::safe_text;
use crate::report::summary::{PlanView, plan_next, plan_summary};
use crate::report::table::{Column, Format, Listing};
use crate::run::typed;
use crate::store::database::Store;
use crate::store::review_file;

/// Orders shown where nobody said which.
const SHOWN: usize = 50;

/// `muster review`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster review idp-to-vault\n  muster review idp-to-vault --where \"operation == 'delete'\"\n  muster review 20261122T150405Z-7f3a --output review.csv\n  muster review idp-to-vault --serve        # the same in a browser on this machine"
)]
pub(super) struct Args {
    /// A run, or a job's name: all its runs with live orders and those that are held, oldest first
    run: String,
    #[command(flatten)]
    filter: Filter,
    /// Only orders in this state: pending-review, blocked, approved, rejected, applied, errored …
    #[arg(long, value_name = "STATE")]
    order_state: Option<OrderState>,
    /// Orders that have ended as well, where others of their run have not
    #[arg(long)]
    all: bool,
    /// List the orders as table, json or csv instead of telling what they do
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write a copy of the review file, to be filled in and given to `approve --file`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["condition", "order", "first", "order_state", "all", "format"])]
    output: Option<PathBuf>,
    /// Show it in a browser on this machine, where it is decided and sealed too; prints an address that works once
    #[arg(long, conflicts_with_all = ["condition", "order", "first", "order_state", "all", "format", "output"])]
    serve: bool,
    /// With --serve: sign what is sealed there with this SSH key, where the job names approvers
    #[arg(long, value_name = "KEY", requires = "serve")]
    sign: Option<PathBuf>,
    /// With --serve: end the page when nobody used it for so long
    #[arg(long, value_name = "TIME", requires = "serve", default_value = "30m", value_parser = duration)]
    idle: Duration,
}

impl Args {
    /// Whether it is to be shown in a browser.
    pub(super) fn serves(&self) -> bool {
        self.serve
    }

    /// What is to be shown there, the key that is signed with, and how long nobody may use it.
    pub(super) fn served(self) -> (String, Option<PathBuf>, Duration) {
        (self.run, self.sign, self.idle)
    }
}

/// Shows runs.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let matcher = args.filter.matcher()?;
    let store = selection::open_store(context)?;
    let mut reviews = Vec::new();
    for run in selection::runs(&store, &args.run)? {
        let Some(mut orders) = lost::orders(&store, &run, &args.run)? else { continue };
        let mut approved_by = seconds::shown(context, &store, &run)?;
        for planned in &mut orders {
            planned.approved_by = approved_by.remove(&planned.order.id);
        }
        reviews.push((run, orders));
    }
    args.filter.check_known(reviews.iter().flat_map(|(_, orders)| orders), &args.run)?;
    if let Some(file) = &args.output {
        return copy(context, &reviews, file, &args.run);
    }
    let filtered = args.filter.is_set() || args.order_state.is_some();
    let mut texts = Vec::new();
    let mut listed = Vec::new();
    for (run, orders) in &reviews {
        let mut chosen = Vec::new();
        for planned in orders {
            if args.order_state.is_none_or(|state| planned.record.state == state) && matcher.matches(planned)? {
                chosen.push(planned);
            }
        }
        if let Some(first) = args.filter.first {
            chosen.truncate(first);
        }
        let chosen = if filtered || args.all { Chosen::all(chosen) } else { Chosen::open(chosen) };
        if args.format.is_none() {
            texts.push(told(&store, run, orders, &chosen, filtered, context)?);
        }
        listed.extend(chosen.shown);
    }
    let mut text = texts.join("\n");
    if let Some(format) = args.format {
        let has_plan = reviews.is_empty() || reviews.iter().any(|(run, _)| run.plan_digest.is_some());
        let mut listing =
            if has_plan { review_listing(listed.iter().map(|order| order.row())) } else { holds(&store, &reviews)? };
        if format == Format::Table && !listing.rows.is_empty() {
            listing = listing.without_empty_columns();
        }
        text = listing.render(format, context.screen());
    }
    print_as(context, args.format.unwrap_or_default(), &text)?;
    Ok(Ending::Done.status())
}

/// The orders of a run that a review shows.
struct Chosen<'a> {
    shown: Vec<&'a PlannedOrder>,
    /// Those that ended, and are left out for it.
    ended: u64,
}

impl<'a> Chosen<'a> {
    fn all(shown: Vec<&'a PlannedOrder>) -> Self {
        Self { shown, ended: 0 }
    }

    /// Those that are still to end; where there are none, all of them. What nobody can tell comes first: the target
    /// has to be looked at.
    fn open(mut shown: Vec<&'a PlannedOrder>) -> Self {
        let all = shown.len();
        if shown.iter().any(|planned| planned.record.state.is_live()) {
            shown.retain(|planned| planned.record.state.is_live());
            shown.sort_by_key(|planned| planned.record.state != OrderState::Uncertain);
        }
        let ended = (all - shown.len()) as u64;
        Self { shown, ended }
    }
}

/// One run for people.
fn told(
    store: &Store,
    run: &RunRecord,
    orders: &[PlannedOrder],
    chosen: &Chosen<'_>,
    filtered: bool,
    context: &Context,
) -> Result<String> {
    let mut text = String::new();
    if run.plan_digest.is_none() {
        text.push_str(&without_plan(run));
        text.push_str(&holds_text(store, run)?);
        return Ok(text);
    }
    let mut next = String::new();
    if !filtered {
        let (summary, then) = summary(store, run, orders, context)?;
        text.push_str(&summary);
        text.push('\n');
        next = then;
    }
    let shown = &chosen.shown;
    let most = if filtered { shown.len() } else { SHOWN };
    for planned in shown.iter().take(most) {
        text.push_str(&review_text(&planned.row(), context.screen()));
    }
    if shown.len() > most {
        let more = counted((shown.len() - most) as u64, "more order");
        text.push_str(&format!(
            "\n{more}: narrow it down with --where, --order-state or --first, or see all with `muster review {} --format csv`\n",
            run.id
        ));
    }
    if chosen.ended > 0 {
        let ended = counted(chosen.ended, "other order");
        text.push_str(&format!("\n{ended} of this run ended: muster report {0}, muster review {0} --all\n", run.id));
    }
    if shown.is_empty() && filtered {
        text.push_str(&format!("run {}: none of its {} fits\n", run.id, counted(orders.len() as u64, "order")));
    }
    if !next.is_empty() {
        let gap = if text.ends_with("\n\n") { "" } else { "\n" };
        text.push_str(&format!("{gap}{next}"));
    }
    Ok(text)
}

/// What a plan wants, and what brings it forward: that is told last, after its orders.
fn summary(store: &Store, run: &RunRecord, orders: &[PlannedOrder], context: &Context) -> Result<(String, String)> {
    let mut plan = store.verify_plan(&run.id)?;
    let open = store.unaccepted_holds(&run.id)?;
    // What was accepted holds nothing any more.
    plan.excesses.retain(|excess| run.state.is_held() && open.iter().any(|hold| hold.name == excess.name));
    let mut blocked: BTreeMap<BlockReason, u64> = BTreeMap::new();
    for planned in orders.iter().filter(|planned| planned.record.state == OrderState::Blocked) {
        if let Some(block) = &planned.record.block {
            *blocked.entry(block.reason).or_default() += 1;
        }
    }
    let kept = store.live_orders(&run.job)?.iter().filter(|live| live.run < run.id).count() as u64;
    let waits = |planned: &&PlannedOrder| ending::waits(&planned.record, context.now());
    let of = |state: OrderState| orders.iter().filter(move |planned| planned.record.state == state);
    let uncertain: Vec<String> = of(OrderState::Uncertain).map(|planned| planned.order.id.0.clone()).collect();
    let planned = store.last_of_kind(&run.id, "plan")?;
    let superseded = planned.and_then(|entry| entry.detail.get("superseded")?.as_u64()).unwrap_or(0);
    let is_choice = |planned: &&PlannedOrder| {
        planned.record.block.as_ref().is_some_and(|block| block.reason.remedy() == Remedy::Choice)
    };
    let choices: Vec<String> =
        orders.iter().filter(waits).filter(is_choice).map(|planned| typed(&planned.order.key)).collect();
    let view = PlanView {
        run: &run.id,
        plan: &plan,
        kept,
        superseded,
        blocked: &blocked,
        waiting: orders.iter().filter(waits).count() as u64,
        choices: &choices,
        approved: of(OrderState::Approved).filter(|planned| !waits(planned)).count() as u64,
        errored: of(OrderState::Errored).count() as u64,
        uncertain: &uncertain,
    };
    let next = if run.state == RunState::HeldSnapshot { holds_text(store, run)? } else { plan_next(&view) };
    Ok((plan_summary(&view, context.width()), next))
}

fn without_plan(run: &RunRecord) -> String {
    let note = if run.note.is_empty() { String::new() } else { format!(": {}", safe_text::line(&run.note)) };
    let head = format!("run {} of job {}", run.id, safe_text::line(&run.job));
    match run.state {
        RunState::HeldSnapshot | RunState::HeldPlan => format!("{head}: held before its plan\n"),
        RunState::Started => format!("{head}: under way, or killed before it planned anything{note}\n"),
        RunState::Failed => format!("{head}: failed{note}\nnext: muster check {}\n", safe_text::line(&run.job)),
        RunState::Planned | RunState::Replaced => format!("{head}: {}, without a plan{note}\n", run.state),
    }
}

/// What holds a run, and the command that accepts it.
pub(super) fn holds_text(store: &Store, run: &RunRecord) -> Result<String> {
    let open = store.unaccepted_holds(&run.id)?;
    let job = safe_text::line(&run.job);
    let mut text = String::new();
    if !run.state.is_held() {
        return Ok(text);
    }
    if open.is_empty() {
        return Ok(format!("everything that held it is accepted\nnext: muster run {job}\n"));
    }
    text.push_str("held by:\n");
    for hold in &open {
        text.push_str(&hold_text(hold));
    }
    text.push_str(&format!("next, if that is as it should be: {}\n", accept_command(run, &open)));
    if run.state == RunState::HeldSnapshot {
        text.push_str(&format!("then: muster run {job}; or mend the data at its system, and the next run is clean\n"));
    }
    Ok(text)
}

fn hold_text(hold: &Hold) -> String {
    let mut text = format!("  {}\n", safe_text::line(&hold_sentence(hold)));
    let all = hold.figure.parse().unwrap_or(hold.first.len() as u64);
    let first = examples(hold.first.iter().map(String::as_str), all, 5);
    if !first.is_empty() {
        text.push_str(&format!("    {first}\n"));
    }
    text.push_str(&hold_explanation(hold, 4));
    text
}

/// What the rows or orders behind a hold have in common, where that was looked for.
pub(super) fn hold_explanation(hold: &Hold, indent: usize) -> String {
    let explanation = hold.excess.as_ref().and_then(|excess| excess.explanation.as_ref());
    explanation.map_or(String::new(), |explanation| explanation_text(explanation, indent))
}

/// What holds a run, in one sentence with its name.
pub(super) fn hold_sentence(hold: &Hold) -> String {
    if hold.detail.contains(&hold.name) { hold.detail.clone() } else { format!("{}: {}", hold.name, hold.detail) }
}

/// The command that accepts some holds of a run.
pub(super) fn accept_command(run: &RunRecord, holds: &[Hold]) -> String {
    let names: String = holds.iter().map(|hold| format!(" --accept {}", safe_text::line(&hold.name))).collect();
    format!("muster approve {}{names} --comment \"why\"", run.id)
}

/// What holds runs that have no plan, as a listing.
fn holds(store: &Store, reviews: &[(RunRecord, Vec<PlannedOrder>)]) -> Result<Listing> {
    let mut listing = Listing::new(vec![
        Column::whole("run"),
        Column::whole("hold"),
        Column::whole("kind"),
        Column::whole("figure"),
        Column::new("detail"),
        Column::new("first"),
    ]);
    for (run, _) in reviews.iter().filter(|(run, _)| run.state.is_held()) {
        for hold in store.unaccepted_holds(&run.id)? {
            listing.push(vec![
                run.id.0.as_str().into(),
                hold.name.into(),
                hold.kind.word().into(),
                hold.figure.into(),
                hold.detail.into(),
                hold.first.into(),
            ]);
        }
    }
    Ok(listing)
}

/// Writes a fresh review file; never over an existing file, which may hold somebody's decisions.
fn copy(context: &Context, reviews: &[(RunRecord, Vec<PlannedOrder>)], path: &Path, of: &str) -> Result<u8> {
    let planned: Vec<_> = reviews.iter().filter(|(run, _)| run.plan_digest.is_some()).collect();
    let (run, orders) = match planned.as_slice() {
        [] => return Err(UsageError(format!("{of} has no plan to review yet; see `muster review {of}`")).into()),
        [one] => one,
        several => {
            let ids: Vec<&str> = several.iter().map(|(run, _)| run.id.0.as_str()).collect();
            let text =
                format!("a review file is of one run, and {of} has several to review: name one of {}", ids.join(", "));
            return Err(UsageError(text).into());
        }
    };
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text =
                format!("{} is there already and may hold decisions; name another file, or remove it", path.display());
            return Err(UsageError(text).into());
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}; check its folder", path.display())),
    };
    let rows: Vec<Order> = orders.iter().map(|planned| planned.order.clone()).collect();
    let mut output = BufWriter::new(file);
    let written = review_file::write(&rows, &mut output).and_then(|()| output.flush());
    if let Err(error) = written {
        // Half a review file would be refused later, with less to go by.
        let _ = std::fs::remove_file(path);
        return Err(error).with_context(|| format!("cannot write {}; check the room on its disk", path.display()));
    }
    say!(context, "{} of run {} written to {}", counted(rows.len() as u64, "order"), run.id, path.display());
    say!(
        context,
        "fill in `decision` (approve, reject), then: muster approve {} --file {} --comment \"why\"",
        run.id,
        path.display()
    );
    Ok(Ending::Done.status())
}
