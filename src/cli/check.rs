//! `muster check JOB`: reaches every system of a job, stage by stage, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::future::join_all;
use serde_json::json;

use super::check_memory::Memory;
use super::context::Context;
use super::exit::Ending;
use super::session::{self, Purpose, Session};
use super::stdout::print_as;
use super::ways;
use crate::connector::config::SystemConfig;
use crate::connector::source::{Needs, Source, Step};
use crate::model::failure::{Failure, Stage};
use crate::report::figures::counted;
use crate::report::safe_text;
use crate::report::screen::Screen;
use crate::report::table::{Column, Format, Listing};
use crate::report::wrap::broken;
use crate::run::typed;

/// Columns that what is told of a step takes beside the others at least.
const ROOM: usize = 28;

/// `muster check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every system is tried, whatever becomes of the others. Stages: proxy, resolve, connect, tls, http, login, permission, schema, and of SCIM services proof (what muster relies on, tried by questions alone) and capacity; what was not tried because an earlier stage failed is listed as such. Then the way to the mail server and the webhook of [report], up to the login; no message is sent. Exit status 0 only where every step passed.\n\nChanges that somebody makes at the target by hand come out as drift at the next run.\n\nExamples:\n  muster check idp-to-vault\n  muster check jobs/idp-to-vault.toml --format json"
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// table, json or csv
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// One line of the answer.
pub(super) struct Line {
    system: String,
    stage: String,
    what: String,
    end: End,
    milliseconds: u64,
}

/// How a step ended.
pub(super) enum End {
    Passed(String),
    Failed(Failure),
    /// A stage before it failed.
    NotTried,
    /// Nothing failed, and a person should know this.
    Warned(String),
}

impl End {
    /// The word for it, for programs.
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "ok",
            Self::Failed(_) => "failed",
            Self::NotTried => "not-tried",
            Self::Warned(_) => "warning",
        }
    }
}

impl From<Result<String, Failure>> for End {
    fn from(result: Result<String, Failure>) -> Self {
        match result {
            Ok(told) => Self::Passed(told),
            Err(failure) => Self::Failed(failure),
        }
    }
}

impl Line {
    /// What was found out beside the steps of a probe.
    pub(super) fn found(failure: Failure, what: &str) -> Self {
        Self {
            system: failure.system.clone(),
            stage: failure.stage.map_or("setup", |stage| stage.word()).to_owned(),
            what: what.to_owned(),
            end: End::Failed(failure),
            milliseconds: 0,
        }
    }

    /// Whether the step failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.end, End::Failed(_))
    }
}

/// Tries every system.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let session = session::open(context, &args.job, Purpose::Check)?;
    let lines = look(context, &session).await;
    session.console.end();
    let failed = lines.iter().filter(|line| matches!(line.end, End::Failed(_))).count() as u64;
    let format = if args.json { Format::Json } else { args.format };
    let shown = match format {
        Format::Json => json_text(&lines),
        Format::Csv => listing(&lines).render(format, context.screen()),
        Format::Table => text(&lines, context.screen()),
    };
    print_as(context, format, &shown)?;
    // Whoever reads a table at a terminal wants to go on.
    if context.tells && format == Format::Table {
        let job = typed(&args.job);
        match failed {
            0 => eprintln!("next: muster run {job}"),
            some => eprintln!("{} failed: mend the cause\nnext: muster check {job}", counted(some, "step")),
        }
    }
    let failed = failed > 0;
    Ok(if failed { Ending::Failed } else { Ending::Done }.status())
}

/// What trying every system of a job says, as JSON.
///
/// # Errors
/// A job that cannot be opened.
pub(super) async fn told(context: &Context, job: &str) -> Result<String> {
    let session = session::open(context, job, Purpose::Check)?;
    let lines = look(context, &session).await;
    session.console.end();
    Ok(json_text(&lines))
}

/// Tries every system, and remembers those that pass.
async fn look(context: &Context, session: &Session) -> Vec<Line> {
    let needs = session.conductor.needs();
    let none = Needs::default();
    let sources = session.conductor.sources().await;
    let tries = sources.iter().map(|(system, source)| try_system(system, source, needs.get(system).unwrap_or(&none)));
    let mut lines = Vec::new();
    let mut memory = Memory::read(context, &session.conductor.job.name);
    let job_file = session.conductor.job.digest.short();
    for ((system, source), mut tried) in sources.iter().zip(join_all(tries).await) {
        let stages = session.conductor.job.systems.get(system).map(SystemConfig::stages).unwrap_or_default();
        tried.extend(session.conductor.job.systems.get(system).and_then(|config| shared_data(context, system, config)));
        let untried = not_tried(system, &stages, &tried);
        tried.extend(untried);
        let facts = facts(context, session, (system, source), &tried, &memory);
        let failed = tried.iter().any(Line::has_failed);
        let told = memory.of(system).and_then(|seen| seen.since(&facts, job_file, failed));
        if let Some(told) = told {
            let end = if failed { End::Warned(told) } else { End::Passed(told) };
            let (stage, what) = ("since".to_owned(), "the last check that passed".to_owned());
            // What stands behind a failure was not tried, and this was seen before any of it.
            tried.insert(0, Line { system: system.clone(), stage, what, end, milliseconds: 0 });
        }
        if !failed {
            memory.passed(system, context.now(), facts, job_file);
        }
        lines.extend(tried);
    }
    let mut warnings = session.conductor.misfits().await;
    warnings.extend(session.conductor.unmapped().await);
    for warning in warnings {
        let (system, stage, what) = (String::new(), "mapping".to_owned(), "job file".to_owned());
        lines.push(Line { system, stage, what, end: End::Warned(warning), milliseconds: 0 });
    }
    for (way, steps, stages) in ways::check(context, &session.conductor.job).await {
        let tried: Vec<Line> = steps.into_iter().map(|step| line(way, step)).collect();
        let untried = not_tried(way, &stages, &tried);
        lines.extend(tried);
        lines.extend(untried);
    }
    lines.extend(drift(session));
    memory.write(context, &session.conductor.job.name);
    lines
}

/// Goes through the stages of one system; one that cannot even be set up has one failed step.
async fn try_system(system: &str, source: &Result<std::sync::Arc<dyn Source>, Failure>, needs: &Needs) -> Vec<Line> {
    match source {
        Ok(source) => steps(system, source.as_ref(), needs).await,
        Err(failure) => vec![Line::found(failure.clone(), "job file")],
    }
}

/// Goes through the stages of a system that is set up.
pub(super) async fn steps(system: &str, source: &dyn Source, needs: &Needs) -> Vec<Line> {
    source.probe(needs).await.into_iter().map(|step| line(system, step)).collect()
}

/// What becomes of changes that somebody makes at a target: nothing starts by itself there.
fn drift(session: &Session) -> Option<Line> {
    let targets: BTreeSet<&str> = session.conductor.job.syncs.iter().map(|sync| sync.to.system.as_str()).collect();
    let targets: Vec<&str> = targets.into_iter().collect();
    let told = "what somebody changes there by hand starts nothing; it comes out as drift at the next run";
    (!targets.is_empty()).then(|| Line {
        system: String::new(),
        stage: "drift".to_owned(),
        what: targets.join(", "),
        end: End::Passed(told.to_owned()),
        milliseconds: 0,
    })
}

/// What is worth comparing with the last check that passed.
fn facts(
    context: &Context,
    session: &Session,
    (system, source): (&str, &Result<std::sync::Arc<dyn Source>, Failure>),
    lines: &[Line],
    memory: &Memory,
) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let job = &session.conductor.job;
    facts.extend(source.as_ref().ok().map(|source| ("address".to_owned(), source.identity())));
    if let Some(reference) = job.systems.get(system).and_then(SystemConfig::secret) {
        let secrets = context.secrets(&job.folder);
        let credential = memory.fingerprint(reference, secrets.as_ref());
        facts.extend(credential.map(|credential| ("credential".to_owned(), credential)));
    }
    for line in lines {
        match (line.stage.as_str(), &line.end) {
            ("tls", End::Passed(told)) => drop(facts.insert("certificate".to_owned(), told.clone())),
            ("proof", End::Passed(told)) if line.what == "version" => {
                facts.insert("version".to_owned(), told.clone());
            }
            ("http", End::Passed(_)) => drop(facts.insert("status".to_owned(), "it answers".to_owned())),
            (_, End::Failed(failure)) => {
                let status = failure.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
                facts.insert("status".to_owned(), status);
            }
            _ => {}
        }
    }
    facts
}

/// Where the built-in server keeps its data, and who else writes there.
fn shared_data(context: &Context, system: &str, config: &SystemConfig) -> Option<Line> {
    let SystemConfig::Sandbox(sandbox) = config else { return None };
    let (what, told) = match &sandbox.database {
        Some(file) => (file.display().to_string(), "shared by every job that names this `database`".to_owned()),
        None => {
            let file = context.layout.sandbox(system);
            let file = file.strip_prefix(&context.layout.root).unwrap_or(&file).display().to_string();
            (file, format!("shared by every job here with a sandbox `{system}`; `database` = one of its own"))
        }
    };
    Some(Line { system: system.to_owned(), stage: "data".to_owned(), what, end: End::Passed(told), milliseconds: 0 })
}

fn line(system: &str, step: Step) -> Line {
    Line {
        system: system.to_owned(),
        stage: step.stage.word().to_owned(),
        what: step.what,
        end: step.result.into(),
        milliseconds: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The stages of a system of which nothing was seen.
pub(super) fn not_tried(system: &str, stages: &[Stage], tried: &[Line]) -> Vec<Line> {
    let unseen = stages.iter().filter(|stage| !tried.iter().any(|line| line.stage == stage.word()));
    let line = |stage: &Stage| Line {
        system: system.to_owned(),
        stage: stage.word().to_owned(),
        what: String::new(),
        end: End::NotTried,
        milliseconds: 0,
    };
    unseen.map(line).collect()
}

/// One line a step, the first three columns aligned; nothing of a failure is cut.
pub(super) fn text(lines: &[Line], screen: Screen) -> String {
    let cells = |line: &Line| [&line.system, &line.stage, &line.what].map(|cell| safe_text::line(cell).into_owned());
    let mut widths = [0; 3];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(cells(line)) {
            *width = (*width).max(safe_text::width(&cell));
        }
    }
    // Where the columns leave no room for what is told, it stands below.
    let label = widths.iter().sum::<usize>() + 2 * widths.len();
    let hanging = if label + ROOM <= screen.width { label + "FAILED  ".len() } else { 4 };
    let mut text = String::new();
    for line in lines {
        let mut told = String::new();
        for (width, cell) in widths.iter().zip(cells(line)) {
            let blanks = " ".repeat(width - safe_text::width(&cell) + 2);
            told.push_str(&cell);
            told.push_str(&blanks);
        }
        let took = format!("{} ms", line.milliseconds);
        let (ok, failed, warning) =
            (screen.paint_state("ok"), screen.paint_state("FAILED"), screen.paint_state("warning"));
        told.push_str(&match &line.end {
            End::Passed(said) if said.is_empty() => format!("{ok}      {took}"),
            End::Passed(said) => format!("{ok}      {took}  {}", safe_text::line(said)),
            End::Failed(failure) => format!("{failed}  {took}  {}", safe_text::line(&failure.sentence())),
            End::NotTried => "not tried".to_owned(),
            End::Warned(said) => format!("{warning}  {}", safe_text::line(said)),
        });
        text.push_str(&broken(&told, hanging, screen.width));
        text.push('\n');
    }
    text
}

/// The steps for programs that read CSV.
fn listing(lines: &[Line]) -> Listing {
    let columns = ["system", "stage", "what", "end", "told", "milliseconds"];
    let mut listing = Listing::new(columns.map(Column::whole).to_vec());
    for line in lines {
        let told = match &line.end {
            End::Passed(told) | End::Warned(told) => Some(told.clone()),
            End::Failed(failure) => Some(failure.sentence()),
            End::NotTried => None,
        };
        listing.push(vec![
            line.system.as_str().into(),
            line.stage.as_str().into(),
            line.what.as_str().into(),
            line.end.word().into(),
            told.into(),
            line.milliseconds.into(),
        ]);
    }
    listing
}

fn json_text(lines: &[Line]) -> String {
    let of_line = |line: &Line| {
        let mut object = json!({
            "system": line.system, "stage": line.stage, "what": line.what,
            "ok": matches!(line.end, End::Passed(_) | End::Warned(_)), "tried": !matches!(line.end, End::NotTried),
            "end": line.end.word(), "told": null, "milliseconds": line.milliseconds,
        });
        match &line.end {
            End::Passed(told) | End::Warned(told) => object["told"] = json!(told),
            End::Failed(failure) => {
                object["sentence"] = json!(failure.sentence());
                object["failure"] = json!(failure);
            }
            End::NotTried => {}
        }
        object
    };
    let mut text = serde_json::to_string_pretty(&lines.iter().map(of_line).collect::<Vec<_>>()).unwrap_or_default();
    text.push('\n');
    safe_text::json(text)
}
