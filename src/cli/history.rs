//! `muster history JOB KEY`: every change of one object's values, and who or what made it.

use anyhow::{Result, bail};
use chrono::SecondsFormat;

use super::context::Context;
use super::exit::Ending;
use super::session::{self, Purpose};
use super::stdout::print_as;
use crate::model::history::{History, HistoryEntry, HistoryKind};
use crate::model::resource::ResourceName;
use crate::model::situation::Cause;
use crate::report::safe_text;
use crate::report::table::{Column, Format, Listing};
use crate::report::wrap::broken;
use crate::run::{ExplainRequest, HistoryEnd, typed};

/// `muster history`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What a snapshot shows is told as far back as snapshots are kept, orders and job files as far as runs are.\n\nExamples:\n  muster history idp-to-vault E0004\n  muster history idp-to-vault jane@example.com --since 30d --format csv"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// A source key, an id of the target, a login, an address
    key: String,
    /// Only this resource, of either side: where several objects go by the key
    #[arg(long, value_name = "SYSTEM.RESOURCE")]
    resource: Option<ResourceName>,
    /// From this long ago on (24h, 7d), or from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

/// Shows the history.
pub(super) fn run(context: &Context, args: Args) -> Result<u8> {
    let since = args.since.as_deref().map(|text| super::log::since(text, context.now())).transpose()?;
    let session = session::open(context, &args.job, Purpose::Look)?;
    let ask = ExplainRequest { key: args.key.clone(), resource: args.resource, entitlement: None };
    let mut history = match session.conductor.history(&ask)? {
        HistoryEnd::One(history) => history,
        HistoryEnd::Several(known) => return Err(super::explain::several(context, &args.key, &known).into()),
        HistoryEnd::None(nothing) => bail!("{nothing}"),
    };
    history.entries.retain(|entry| since.is_none_or(|since| entry.at >= since));
    let text = match args.format {
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&history)?;
            text.push('\n');
            safe_text::json(text)
        }
        Format::Csv => listing(&history.entries).render(Format::Csv, context.screen()),
        Format::Table => table(&history, context.screen().width),
    };
    print_as(context, args.format, &text)?;
    if context.tells && args.format == Format::Table {
        eprintln!("why it is as it is: muster explain {} {}", typed(&args.job), typed(&args.key));
    }
    Ok(Ending::Done.status())
}

/// Columns before what an entry says: its time.
const LABEL: usize = 22;

/// An entry on one or two lines, on a screen on as many as it takes: nothing of a value is cut.
fn table(history: &History, width: usize) -> String {
    let mut text = format!("{}\n", safe_text::line(&history.about));
    // What the target shows of an applied order is told by the order's own entry.
    let repeats = |entry: &&HistoryEntry| entry.kind == HistoryKind::Target && entry.order.is_some();
    for entry in history.entries.iter().filter(|entry| !repeats(entry)) {
        let at = entry.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let what = safe_text::line(&entry.what);
        let mut line = format!("{at}  {:<8}  {what}", entry.kind);
        if entry.before.is_some() || entry.after.is_some() {
            let shown = |value: &Option<String>| match value {
                Some(value) => format!("`{}`", safe_text::line(value)),
                None => "(empty)".to_owned(),
            };
            line.push_str(&format!(": {} → {}", shown(&entry.before), shown(&entry.after)));
        }
        text.push_str(&broken(&line, LABEL, width));
        text.push('\n');
        let mut parts: Vec<String> = entry.run.iter().map(|run| format!("run {run}")).collect();
        parts.extend(entry.cause.map(|cause| cause.to_string()));
        if let (Some(order), Some(state)) = (&entry.order, entry.state) {
            parts.push(format!("order {order} ({state})"));
        }
        if !entry.who.is_empty() {
            let verb = match entry.kind {
                HistoryKind::Link => "by",
                _ if entry.order.is_some() => "approved by",
                _ => "started by",
            };
            parts.push(format!("{verb} {}", safe_text::line(&entry.who)));
        } else if entry.cause == Some(Cause::Drift) {
            parts.push("seen first in this run; who changed it there is not known here".to_owned());
        }
        let parts = format!("{:LABEL$}{}", "", parts.join(", "));
        text.push_str(&broken(&parts, LABEL, width));
        text.push('\n');
    }
    if history.entries.is_empty() {
        text.push_str("no change is known\n");
    }
    if let Some(since) = &history.snapshots_since {
        text.push_str(&format!("snapshots are kept from run {since} on\n"));
    }
    text
}

fn listing(entries: &[HistoryEntry]) -> Listing {
    let columns = ["at", "run", "kind", "what", "before", "after", "cause", "order", "state", "who"];
    let mut listing = Listing::new(columns.map(Column::whole).to_vec());
    for entry in entries {
        listing.push(vec![
            entry.at.to_rfc3339_opts(SecondsFormat::Millis, true).into(),
            entry.run.as_ref().map(|run| run.0.as_str()).into(),
            entry.kind.word().into(),
            entry.what.as_str().into(),
            entry.before.as_deref().into(),
            entry.after.as_deref().into(),
            entry.cause.map(|cause| cause.word()).into(),
            entry.order.as_ref().map(|order| order.0.as_str()).into(),
            entry.state.map(|state| state.word()).into(),
            entry.who.as_str().into(),
        ]);
    }
    listing
}
