//! `muster log [JOB]`: what happened, who caused it, and whether the record of it is whole.

use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::context::Context;
use super::exit::{Ending, UsageError};
use super::stdout::print_as;
use super::{log_names, selection};
use crate::job::timer::duration;
use crate::model::erasure::ToldErasure;
use crate::model::order::Operation;
use crate::model::record::LogEntry;
use crate::model::run::RunId;
use crate::report::figures::{count, counted};
use crate::report::log_entry::{entry_detail, entry_line};
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::store::chain_check::WholeLog;
use crate::store::chain_query::LogQuery;

/// `muster log`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  muster log idp-to-vault --since 24h\n  muster log idp-to-vault --key 4711 --operation disable\n  muster log --reviewer jane --since 7d\n  muster log --errors --since 2026-11-22T00:00:00Z\n  muster log --verify"
)]
pub(super) struct Args {
    /// A job's name or file, or a run [default: every job]
    #[arg(value_name = "JOB|RUN")]
    about: Option<String>,
    /// From this long ago on (24h, 7d), or from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// About this object: its key or its name (a login), or an order's id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// About orders for this system, or the system itself
    #[arg(long, value_name = "SYSTEM")]
    system: Option<String>,
    /// About orders of this operation: create, update, disable, enable, delete, add, remove
    #[arg(long, value_name = "OPERATION")]
    operation: Option<Operation>,
    /// Caused by this person (who started, approved, rejected …) or rule; of an outcome, who approved its order
    #[arg(long, value_name = "WHO")]
    reviewer: Option<String>,
    /// Of this run
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
    /// Errors only
    #[arg(long)]
    errors: bool,
    /// The newest so many entries; 0 for all
    #[arg(long, value_name = "N", default_value_t = 200)]
    limit: usize,
    /// Read the whole database, recompute the hashes of the whole log, which all jobs share, and say whether both are
    /// whole
    #[arg(long, conflicts_with_all = ["since", "key", "system", "operation", "reviewer", "run", "errors"])]
    verify: bool,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// Shows the log.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let since = args.since.as_deref().map(|text| since(text, context.now())).transpose()?;
    let store = selection::open_store(context)?;
    let (mut job, mut run) = (None, args.run);
    match args.about {
        Some(about) if RunId::is_id(&about) => run = Some(RunId(about)),
        Some(name) => job = Some(selection::job_name(&store, &name)?),
        None => {}
    }
    if let Some(run) = &run {
        selection::runs(&store, &run.0)?;
    }
    if args.verify {
        store.check_whole()?;
        let whole = match store.whole_log()? {
            Ok(whole) => whole,
            Err(broken) => bail!("{broken}"),
        };
        let (_, head) = store.log_head()?;
        let WholeLog { entries, erased, erasures } = &whole;
        let text = match args.format {
            Format::Json => {
                let told =
                    json!({ "entries": entries, "head": head, "whole": true, "erased": erased, "erasures": erasures });
                safe_text::json(format!("{told}\n"))
            }
            Format::Csv => format!("entries,head,whole,erased\n{entries},{head},yes,{erased}\n"),
            Format::Table => {
                let head = format!("the log is whole: entries 1 to {} of all jobs, head {head}\n", count(*entries));
                head + &told_erasures(*erased, erasures)
            }
        };
        print_as(context, args.format, &text)?;
        return Ok(Ending::Done.status());
    }
    let query = LogQuery {
        job,
        run,
        since,
        key: args.key,
        system: args.system,
        operation: args.operation,
        who: args.reviewer,
        errors: args.errors,
        limit: args.limit,
    };
    let entries = store.log(&query)?;
    if entries.is_empty() {
        let why = log_names::why_nothing(&store, &query)?;
        say!(context, "{why}");
    }
    if args.limit > 0 && entries.len() == args.limit {
        say!(context, "the newest {} entries; --limit 0 shows all", args.limit);
    }
    let text = match args.format {
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&entries)?;
            text.push('\n');
            safe_text::json(text)
        }
        Format::Csv => listing(&entries).render(Format::Csv, context.screen()),
        Format::Table => entries.iter().map(|entry| entry_line(entry, context.screen())).collect(),
    };
    print_as(context, args.format, &text)?;
    Ok(Ending::Done.status())
}

/// That the content of some entries was erased, and by whom: what they said nobody can verify any more, what is left of them
/// an erasure vouches for.
fn told_erasures(erased: u64, erasures: &[ToldErasure]) -> String {
    if erasures.is_empty() {
        return String::new();
    }
    let mut text =
        format!("the content of {} was erased by {}:\n", entries_of(erased), counted(erasures.len() as u64, "erasure"));
    for erasure in erasures {
        let ToldErasure { at, who, comment, name, entries } = erasure;
        let line = format!("{who}, {}: {comment} ({name}, {})", at.format("%Y-%m-%d"), entries_of(*entries));
        text.push_str(&format!("  {}\n", safe_text::line(&line)));
    }
    text
}

fn entries_of(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{} entries", count(number)) }
}

/// A run's id.
fn run_id(text: &str) -> Result<RunId, String> {
    let wrong = || format!("`{text}` is no run; `muster status` lists them");
    RunId::is_id(text).then(|| RunId(text.to_owned())).ok_or_else(wrong)
}

/// A duration before `now`, or a time.
pub(super) fn since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let wrong = || UsageError(format!("--since {text}: write how long ago (24h, 7d) or a time (2026-11-22T15:04:05Z)"));
    let ago = duration(text).map_err(|_| wrong())?;
    let ago = TimeDelta::from_std(ago).map_err(|_| wrong())?;
    Ok(now.checked_sub_signed(ago).ok_or_else(wrong)?)
}

fn listing(entries: &[LogEntry]) -> Listing {
    let columns = ["seq", "at", "kind", "run", "who", "error", "orders", "detail"];
    let mut listing = Listing::new(columns.map(Column::whole).to_vec());
    for entry in entries {
        listing.push(vec![
            entry.seq.into(),
            entry.at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
            entry.kind.as_str().into(),
            entry.run.as_ref().map(|run| run.0.as_str()).into(),
            entry.who.as_str().into(),
            entry.error.into(),
            entry.orders.iter().map(|order| order.0.clone()).collect::<Vec<_>>().into(),
            entry_detail(entry, None).into(),
        ]);
    }
    listing
}
