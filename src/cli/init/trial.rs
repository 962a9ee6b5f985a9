//! Trying a system as it is answered for: the stages that `muster check` runs, and what the system offers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::check::{Line, not_tried, steps};
use crate::cli::context::Context;
use crate::cli::registry::registry;
use crate::connector::config::SystemConfig;
use crate::connector::registry::ConnectContext;
use crate::connector::source::{Needs, Source};
use crate::job::proposal::{Look, Side, people_of, resource_name};
use crate::model::capabilities::Capabilities;
use crate::model::failure::{Class, Failure, Recourse, Stage};

/// Rows of a file that are looked at.
const ROWS: usize = 1_000;

/// The resources that a job is made for, where a system has them.
const WANTED: [&str; 3] = ["users", "groups", "memberships"];

/// What trying a system showed.
#[derive(Default)]
pub(super) struct Trial {
    pub(super) lines: Vec<Line>,
    /// What it offers; `None` where it could not be asked.
    pub(super) offered: Option<Capabilities>,
    /// What the first rows of files show, by resource.
    pub(super) looks: BTreeMap<String, Look>,
}

impl Trial {
    pub(super) fn has_failed(&self) -> bool {
        self.lines.iter().any(Line::has_failed)
    }
}

/// Tries a system whose paths are absolute. `writes`: as the target.
pub(super) async fn trial(context: &Context, name: &str, config: &SystemConfig, writes: bool) -> Trial {
    let mut trial = Trial::default();
    let here = Path::new(".");
    // Nobody waits for a minute at a question: what is asked again by a run is not asked again here.
    let connect = ConnectContext {
        secrets: context.secrets(here),
        retry_budget: Duration::ZERO,
        ..ConnectContext::plain(here, "init")
    };
    let source: Arc<dyn Source> = match registry(context).source(name, config, &connect).await {
        Ok(source) => Arc::from(source),
        Err(failure) => {
            trial.lines.push(Line::found(failure, "job file"));
            return trial;
        }
    };
    trial.lines = steps(name, source.as_ref(), &Needs::default()).await;
    if !trial.has_failed() {
        match source.capabilities().await {
            Ok(offered) => {
                let (kind, looks) = (config.kind().to_owned(), BTreeMap::new());
                let side = Side { system: name.to_owned(), kind, offered: offered.clone(), looks };
                let is_there = |name: &&str| offered.resources.contains_key(*name);
                let wanted = WANTED.into_iter().filter(is_there).chain(people_of(&side));
                let wanted: Vec<String> = wanted.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect();
                let needs = Needs {
                    reads: wanted.iter().map(|name| (name.clone(), Vec::new())).collect(),
                    writes: if writes { wanted } else { Vec::new() },
                    ..Needs::default()
                };
                trial.lines = steps(name, source.as_ref(), &needs).await;
                if let SystemConfig::Csv(csv) = config {
                    of_files(name, &csv.path, &offered, &mut trial);
                }
                trial.offered = Some(offered);
            }
            Err(failure) => trial.lines.push(Line::found(failure, "what it offers")),
        }
    }
    if trial.has_failed() {
        let untried = not_tried(name, &config.stages(), &trial.lines);
        trial.lines.extend(untried);
    }
    trial
}

/// Whether a folder has what a job can be made of; looks at the first rows.
fn of_files(system: &str, folder: &Path, offered: &Capabilities, trial: &mut Trial) {
    let failed = |cause: String, remedy: &str| {
        let mut failure = Failure::new(Class::Configuration, Recourse::Stop, system, cause, remedy);
        failure.stage = Some(Stage::Schema);
        failure
    };
    if offered.resources.keys().all(|name| resource_name(name).is_none()) {
        let cause = match offered.resources.keys().next() {
            None => format!("there is no csv file in {}", folder.display()),
            Some(name) => format!("`{name}.csv` in {} has a name that no job can write", folder.display()),
        };
        let remedy = "put users.csv there, with a header; names are letters, digits, `-` and `_`";
        trial.lines.push(Line::found(failed(cause, remedy), "csv files"));
    }
    for name in offered.resources.keys() {
        if let Ok(look) = look(&folder.join(format!("{name}.csv"))) {
            trial.looks.insert(name.clone(), look);
        }
    }
}

/// The first rows of a file. What cannot be read is for the run to tell.
fn look(file: &Path) -> Result<Look, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(file)?;
    let columns = reader.headers()?.clone();
    let mut look = Look::default();
    for row in reader.records().take(ROWS) {
        look.row(columns.iter().zip(row?.iter()));
    }
    Ok(look)
}
