//! `muster check JOB`: reaches every system of a job, stage by stage, and changes nothing.

use anyhow::Result;
use futures::future::join_all;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Ending;
use super::session::{self, Purpose};
use super::stdout::print;
use crate::connector::source::{Needs, Source, Step};
use crate::model::failure::Failure;
use crate::report::safe_text;

/// `muster check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every system is tried, whatever becomes of the others. Exit status 0 only where every step passed.\nChanges that somebody makes at the target by hand come out as drift at the next run."
)]
pub(super) struct Args {
    /// A job file, or a name looked up in jobs/
    job: String,
    /// table or json
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

/// One line of the answer.
struct Line {
    system: String,
    stage: String,
    what: String,
    result: Result<String, Failure>,
    milliseconds: u64,
}

/// Tries every system.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8> {
    let session = session::open(context, &args.job, Purpose::Check)?;
    let needs = session.conductor.needs();
    let none = Needs::default();
    let sources = session.conductor.sources().await;
    let tries = sources.iter().map(|(system, source)| try_system(system, source, needs.get(system).unwrap_or(&none)));
    let lines: Vec<Line> = join_all(tries).await.into_iter().flatten().collect();
    session.console.end();
    print(&if args.format == "json" { json_text(&lines) } else { text(&lines) })?;
    let failed = lines.iter().any(|line| line.result.is_err());
    Ok(if failed { Ending::Failed } else { Ending::Done }.status())
}

/// Goes through the stages of one system; one that cannot even be set up has one failed step.
async fn try_system(system: &str, source: &Result<std::sync::Arc<dyn Source>, Failure>, needs: &Needs) -> Vec<Line> {
    match source {
        Ok(source) => source.probe(needs).await.into_iter().map(|step| line(system, step)).collect(),
        Err(failure) => vec![Line {
            system: system.to_owned(),
            stage: failure.stage.map_or("setup", |stage| stage.word()).to_owned(),
            what: "job file".to_owned(),
            result: Err(failure.clone()),
            milliseconds: 0,
        }],
    }
}

fn line(system: &str, step: Step) -> Line {
    Line {
        system: system.to_owned(),
        stage: step.stage.word().to_owned(),
        what: step.what,
        result: step.result,
        milliseconds: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// One line a step, the first three columns aligned; nothing of a failure is cut.
fn text(lines: &[Line]) -> String {
    let cells = |line: &Line| [&line.system, &line.stage, &line.what].map(|cell| safe_text::line(cell).into_owned());
    let mut widths = [0; 3];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(cells(line)) {
            *width = (*width).max(safe_text::width(&cell));
        }
    }
    let mut text = String::new();
    for line in lines {
        for (width, cell) in widths.iter().zip(cells(line)) {
            let blanks = " ".repeat(width - safe_text::width(&cell) + 2);
            text.push_str(&cell);
            text.push_str(&blanks);
        }
        let took = format!("{} ms", line.milliseconds);
        text.push_str(&match &line.result {
            Ok(told) if told.is_empty() => format!("ok      {took}\n"),
            Ok(told) => format!("ok      {took}  {}\n", safe_text::line(told)),
            Err(failure) => format!("FAILED  {took}  {}\n", safe_text::line(&failure.sentence())),
        });
    }
    text
}

fn json_text(lines: &[Line]) -> String {
    let of_line = |line: &Line| {
        let (told, failure) = match &line.result {
            Ok(told) => (Some(told.as_str()), None),
            Err(failure) => (None, Some(json!({ "sentence": failure.sentence(), "failure": failure }))),
        };
        let mut object = json!({
            "system": line.system, "stage": line.stage, "what": line.what, "ok": line.result.is_ok(),
            "told": told, "milliseconds": line.milliseconds,
        });
        if let (Some(object), Some(Value::Object(failure))) = (object.as_object_mut(), failure) {
            object.extend(failure);
        }
        object
    };
    let mut text = serde_json::to_string_pretty(&lines.iter().map(of_line).collect::<Vec<_>>()).unwrap_or_default();
    text.push('\n');
    safe_text::json(text)
}
