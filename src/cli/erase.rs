//! `muster erase JOB KEY`: the personal data of an identity that is gone, out of what is remembered.

use std::time::Duration;

use anyhow::{Result, bail};

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::session::{self, Purpose};
use super::stdout::print_text;
use super::{outcome_report, report, selection};
use crate::model::erasure::Obstacle;
use crate::model::resource::ResourceName;
use crate::report::figures::counted;
use crate::report::safe_text;
use crate::run::{EraseEnd, ErasePlan, EraseRequest, ExplainRequest, told_erased};

/// Entries of the log that a dry run names.
const ENTRIES: usize = 20;

/// `muster erase`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "For an identity that is removed on both sides: from the database and from the folders of runs goes what it was called, every value of its orders, its links and its tries; a made name stands there instead, so that it stays known that somebody was created, changed or deleted, when, and who approved it. Snapshots that hold it are removed. The log stays verifiable. Refused while it is in the newest snapshots, while an order or an approval about it is open, or while an undo waits; then nothing is written. What muster cannot reach: backups, mails that were sent, the systems themselves.\n\nExamples:\n  muster erase idp-to-vault E0004 --dry-run\n  muster erase idp-to-vault jane@example.com --comment \"request 4711\""
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// A source key, an id of the target, a login, an address
    key: String,
    /// Why; it is kept, without the names in it
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    comment: Option<String>,
    /// Only this resource, of either side: where several objects go by the key
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    resource: Option<ResourceName>,
    /// Only list what would be erased, and what is in the way
    #[arg(long)]
    dry_run: bool,
    /// How long to wait while another command works on the job; 0s: not at all
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = session::patience)]
    wait: Duration,
}

/// Erases an identity, or says what is in the way.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let comment = args.comment.clone().unwrap_or_default();
    if !args.dry_run && comment.trim().is_empty() {
        return Err(UsageError("--comment is empty: say why, a ticket or a request".to_owned()).into());
    }
    if args.key.trim().is_empty() {
        return Err(UsageError("KEY is empty: name a source key, an id, a login or an address".to_owned()).into());
    }
    let purpose = if args.dry_run { Purpose::Look } else { Purpose::Erase(args.wait) };
    let mut session = session::open(context, &args.job, purpose)?;
    let conductor = &mut session.conductor;
    if !args.dry_run
        && let Some((name, is_it)) = conductor.finish_erasure(&args.key)?
    {
        print_text(context, &format!("the erasure that was cut short is finished; the identity goes by {name} now\n"))?;
        if is_it {
            return Ok(Ending::Done.status());
        }
    }
    let ask = ExplainRequest { key: args.key.clone(), resource: args.resource.clone(), entitlement: None };
    let name = format!("erased-{}", &uuid::Uuid::new_v4().simple().to_string()[..10]);
    let plan = match conductor.plan_erasure(&EraseRequest { ask, comment, name })? {
        EraseEnd::Planned(plan) => plan,
        EraseEnd::Several(known) => return Err(super::explain::several(context, &args.key, &known).into()),
        EraseEnd::None(nothing) => bail!("{}", safe_text::line(&nothing)),
    };
    if args.dry_run {
        print_text(context, &listing(&plan, &args.key))?;
    }
    if !plan.obstacles.is_empty() {
        bail!("{}", in_the_way(&args.key, &plan.obstacles));
    }
    if args.dry_run {
        let job = &plan.erasure.job;
        let key = crate::run::typed(&args.key);
        say!(
            context,
            "nothing is in the way, and nothing was erased\nnext: muster erase {job} {key} --comment \"why\""
        );
        return Ok(Ending::Done.status());
    }
    let rows = conductor.erase(&plan.erasure)?;
    let store = selection::open_store(context)?;
    for run in &plan.erasure.runs {
        let record = store.run(run)?;
        outcome_report::write(context, &store, run, report::exit_of(context, &store, &record)?)?;
    }
    print_text(context, &format!("erased: {}\n", told_erased(&rows)))?;
    print_text(
        context,
        &format!(
            "  {} rewritten, {} removed; it goes by {} now\n",
            counted(plan.places.iter().filter(|place| place.what == "rewritten").count() as u64, "file"),
            counted(plan.erasure.exports.len() as u64, "export folder"),
            plan.erasure.name
        ),
    )?;
    print_text(context, &beyond(&plan, &args.key))?;
    Ok(Ending::Done.status())
}

/// What would be erased, place by place.
fn listing(plan: &ErasePlan, key: &str) -> String {
    let mut text = format!("would be erased: {}\n", told_erased(&plan.rows));
    for place in &plan.places {
        text.push_str(&format!("  {:<9}  {}\n", place.what, safe_text::line(&place.path)));
    }
    for order in plan.erasure.own.iter().chain(&plan.erasure.naming) {
        text.push_str(&format!("  order      {order}\n"));
    }
    let entries: Vec<String> = plan.entries.iter().take(ENTRIES).map(ToString::to_string).collect();
    let more = plan.entries.len().saturating_sub(ENTRIES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    if !entries.is_empty() {
        text.push_str(&format!("  log        {}{more}\n", entries.join(", ")));
    }
    text.push_str(&beyond(plan, key));
    text
}

/// What stays out of reach.
fn beyond(plan: &ErasePlan, key: &str) -> String {
    let mut text = String::from(
        "out of reach: the job file and the copies of it that runs keep, backups, mails and messages that were sent, bundles for support, what the systems themselves keep, and who decided or started something; heads of the log that were written down stay valid\n",
    );
    for file in &plan.handed_over {
        text.push_str(&format!("  handed over, and left: {}\n", safe_text::line(file)));
    }
    for job in &plan.other_jobs {
        let job = safe_text::line(job);
        text.push_str(&format!(
            "  job {job} knows it, too; next: muster erase {job} {} --dry-run\n",
            crate::run::typed(key)
        ));
    }
    text
}

/// All that has to be over before, each with what ends it.
fn in_the_way(key: &str, obstacles: &[Obstacle]) -> String {
    let mut text = format!("`{}` cannot be erased yet, nothing was written:", safe_text::line(key));
    for Obstacle { what, next } in obstacles {
        text.push_str(&format!("\n  {}; next: {}", safe_text::line(what), safe_text::line(next)));
    }
    text
}
