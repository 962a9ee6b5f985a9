//! `muster links JOB`: which source row belongs to which object of the target, and which of these links are wrong.

use anyhow::Result;

use super::context::Context;
use super::exit::Ending;
use super::selection;
use super::session::{self, Purpose, Session};
use super::stdout::print_listing;
use crate::model::link::How;
use crate::model::resource::ResourceName;
use crate::reconcile::link_check::DoubtfulLink;
use crate::report::figures::{ago, counted, time};
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::run::typed;

/// `muster links`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "How a link came about: matched (a match rule found it), person (`muster link`, or an approval), applied (an order made the object), adopted (an order found it there).\nWhat --check finds: dead (its object is gone), twice (another sync has linked its object), differs (today's match rules would choose another object), unfound (a rule found it, none does any more). Nothing is moved by it. Where a link is wrong, `unlink` forgets it, and the next run pairs the row by the rules as they are; where it is right, nothing has to be done.\n\nExamples:\n  muster links idp-to-vault --how person\n  muster links idp-to-vault --key E0042\n  muster links idp-to-vault --check --format csv"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// Only links that came about so: matched, person, applied, adopted
    #[arg(long, value_name = "HOW", value_parser = how)]
    how: Option<How>,
    /// Only links of this source key or target id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only links to this target resource
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    to: Option<ResourceName>,
    /// Only links that are wrong, or that today's match rules would make otherwise, each with the command that mends it
    #[arg(long)]
    check: bool,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

fn how(word: &str) -> Result<How, String> {
    let known: Vec<&str> = How::ALL.iter().map(|how| how.word()).collect();
    let found = How::ALL.into_iter().find(|how| how.word() == word);
    found.ok_or_else(|| format!("known are {}", known.join(", ")))
}

/// Lists links.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let session = session::open(context, &args.job, Purpose::Look)?;
    let (listing, text) = if args.check { checked(context, &session, &args)? } else { known(&session, &args)? };
    print_listing(context, listing, args.format, ("", &text))?;
    Ok(Ending::Done.status())
}

impl Args {
    fn shows(&self, how: How, source_key: &str, target_id: &str, to: Option<&ResourceName>) -> bool {
        self.how.is_none_or(|wanted| wanted == how)
            && self.key.as_ref().is_none_or(|key| key == source_key || key == target_id)
            && self.to.as_ref().is_none_or(|wanted| to == Some(wanted))
    }
}

/// Every link that is asked for.
fn known(session: &Session, args: &Args) -> Result<(Listing, String)> {
    let columns = [
        Column::new("resource"),
        Column::new("source_key"),
        Column::new("name"),
        Column::spare("target_id"),
        Column::whole("how"),
    ];
    let mut listing = Listing::new(columns.to_vec());
    for pair in session.conductor.links()? {
        let to = session.conductor.job.syncs.get(pair.sync).map(|sync| &sync.to);
        if args.shows(pair.how, &pair.source_key, &pair.target_id, to) {
            listing.push(vec![
                to.map(ToString::to_string).into(),
                pair.source_key.as_str().into(),
                pair.name.as_deref().into(),
                pair.target_id.as_str().into(),
                pair.how.word().into(),
            ]);
        }
    }
    let text = format!("{}\n", counted(listing.rows.len() as u64, "link"));
    Ok((listing, text))
}

/// The links that a person should look at.
fn checked(context: &Context, session: &Session, args: &Args) -> Result<(Listing, String)> {
    let report = session.conductor.check_links()?;
    let columns = [
        Column::state("trouble"),
        Column::new("resource"),
        Column::new("source_key"),
        Column::spare("target_id"),
        Column::whole("how"),
        Column::new("detail"),
        Column::spare("instead"),
        Column::roomy("repair"),
    ];
    let mut listing = Listing::new(columns.to_vec());
    let job = selection::typed(&session.conductor.store, &args.job, &session.conductor.job.name);
    let mut repairs = Vec::new();
    for link in &report.doubtful {
        let to = session.conductor.job.syncs.get(link.sync).map(|sync| &sync.to);
        if !args.shows(link.how, &link.source_key, &link.target_id, to) {
            continue;
        }
        let repair = repair(link, job, to);
        listing.push(vec![
            link.trouble.word().into(),
            to.map(ToString::to_string).into(),
            link.source_key.as_str().into(),
            link.target_id.as_str().into(),
            link.how.word().into(),
            link.detail.as_str().into(),
            link.instead.as_deref().into(),
            repair.as_str().into(),
        ]);
        repairs.push(repair);
    }
    let when = format!("as of run {}, {} ({})", report.run, ago(report.at, context.now()), time(report.at));
    let when = match report.applied {
        0 => when,
        applied => format!("{when}; {} applied since", counted(applied, "order")),
    };
    let mut text = match repairs.len() as u64 {
        0 => format!("{when}\n{}, none to look at\n", counted(report.links, "link")),
        some => format!(
            "{when}\n{some} of {} to look at; nothing was moved. Where a link is wrong, forget it, and the next run pairs its row by the rules:\n",
            counted(report.links, "link")
        ),
    };
    for repair in repairs.iter().take(20) {
        text.push_str(&format!("  {}\n", safe_text::line(repair)));
    }
    if repairs.len() > 20 {
        text.push_str("  … all of them, with --format csv, in the column repair\n");
    }
    Ok((listing, text))
}

/// The command that mends a link: without it, the next run pairs the row by the rules as they are.
fn repair(link: &DoubtfulLink, job: &str, to: Option<&ResourceName>) -> String {
    let to = to.map(|to| format!(" --to {to}")).unwrap_or_default();
    format!("muster unlink {} {}{to}", typed(job), typed(&link.source_key))
}
