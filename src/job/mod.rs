//! Job files: text in; a job, or every problem, out.

mod approvers;
mod build;
mod build_derived;
mod build_report;
mod build_thresholds;
mod check_derived;
mod check_dialects;
mod check_generate;
mod check_guards;
mod check_limits;
mod check_names;
mod check_references;
mod check_report;
mod check_review;
mod check_rules;
mod check_systems;
mod check_thresholds;
mod check_tiers;
mod derived_file;
mod file;
mod operation_file;
mod place;
pub mod problem;
pub mod proposal;
mod shape;
pub mod size;
mod threshold_file;
pub mod timer;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;
use toml::de::DeTable;

use crate::connector::config::SystemConfig;
use crate::model::digest::Digest;
use crate::model::evidence::Check;
use crate::model::resource::ResourceName;
use crate::model::settings::{
    ApplySettings, ExportSettings, ReportSettings, RetentionSettings, ReviewSettings, ScheduleSettings,
};
use crate::reconcile::policy::{AssociationSync, ObjectSync};
use crate::reconcile::threshold::SnapshotThresholds;
use crate::rules::expression::Expression;
use crate::rules::lookup::Lookup;

use file::JobFile;
use place::Places;
use problem::{JobProblems, Problem};
use shape::Shape;
use validate::Checked;

/// What a job file means.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name; safe as the name of a folder.
    pub name: String,
    /// The file, as it was named.
    pub path: PathBuf,
    /// The file's folder; relative paths of systems start there.
    pub folder: PathBuf,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The systems by name.
    pub systems: BTreeMap<String, SystemConfig>,
    /// What flows, in the file's order.
    pub syncs: Vec<Sync>,
    /// Resource types of sources that no sync maps on purpose.
    pub ignored: BTreeSet<ResourceName>,
    /// Settings of each snapshot that a sync uses, defaults where the file says nothing.
    pub snapshots: BTreeMap<ResourceName, SnapshotSettings>,
    /// How snapshots are held against each other.
    pub export: ExportSettings,
    /// Who decides. The approvers' path starts at the folder of the job file already.
    pub review: ReviewSettings,
    /// How orders are sent.
    pub apply: ApplySettings,
    /// When it runs.
    pub schedule: ScheduleSettings,
    /// How long things are kept.
    pub retention: RetentionSettings,
    /// Who is told.
    pub report: ReportSettings,
}

/// One sync.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Its zero-based position in the job file.
    pub index: usize,
    /// Names it for ever in links and history: `idp.users->vault.users`, with `#2` and so on for further ones.
    pub id: String,
    /// Where the rows come from.
    pub from: ResourceName,
    /// Where they are provisioned.
    pub to: ResourceName,
    /// Of objects or of an association.
    pub kind: SyncKind,
}

impl Sync {
    /// The snapshots that it is planned from, but for those that its ends and references lead to.
    pub fn resources(&self) -> Vec<ResourceName> {
        let mut names = vec![self.from.clone(), self.to.clone()];
        names.extend(self.lookups().map(|lookup| lookup.resource.clone()));
        if let SyncKind::Objects(objects) = &self.kind {
            names.extend(objects.derivation.resources().cloned());
            names.extend(objects.tables.iter().filter_map(|table| Some(table.among.as_ref()?.resource.clone())));
        }
        if let SyncKind::Association(rows) = &self.kind {
            names.extend(rows.nestings.clone());
        }
        names
    }

    /// Whether a snapshot is one of those that it takes rows, or what is known of them, from.
    pub fn takes_from(&self, name: &ResourceName) -> bool {
        let beside = match &self.kind {
            SyncKind::Objects(objects) => objects.derivation.resources().any(|other| other == name),
            SyncKind::Association(rows) => rows.nestings.as_ref() == Some(name),
        };
        // What stands at the target may be empty before a first load, whoever reads it.
        let looks_up = name.system != self.to.system && self.lookups().any(|lookup| lookup.resource == *name);
        self.from == *name || looks_up || beside
    }
}

/// What a sync carries.
#[derive(Clone, Debug)]
pub enum SyncKind {
    /// Objects of one resource type.
    Objects(Box<ObjectSync>),
    /// Rows that tie objects.
    Association(Box<AssociationSync>),
}

impl Sync {
    /// What its rules look up in other snapshots.
    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        let objects = match &self.kind {
            SyncKind::Objects(objects) => Some(objects),
            SyncKind::Association(_) => None,
        };
        objects.into_iter().flat_map(|objects| {
            let rules = &objects.rules;
            let matching = rules.matching.iter().flat_map(|rule| rule.source.lookups());
            let by = objects.references.iter().filter_map(|one| one.by.as_ref()).flat_map(Expression::lookups);
            let classes = objects.derivation.classes.iter().flat_map(|rule| rule.when.lookups());
            let placed = rules.scope.lookups().chain(matching).chain(by).chain(classes).map(|placed| &placed.lookup);
            rules.mapping.lookups().chain(placed)
        })
    }
}

impl SyncKind {
    /// The resource type that an attribute's values refer to, where they do.
    pub fn refers(&self, attribute: &str) -> Option<&ResourceName> {
        let Self::Objects(objects) = self else { return None };
        let rule = objects.references.iter().find(|reference| reference.attribute == attribute)?;
        Some(&rule.to)
    }
}

/// `[snapshot."system.resource"]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotSettings {
    /// Limits against the baseline.
    pub thresholds: SnapshotThresholds,
    /// Keys of objects that every whole export holds.
    pub sentinels: Vec<String>,
    /// Whether an export without any row is legitimate.
    pub allow_empty: bool,
    /// Checks of completeness that are switched off.
    pub off: BTreeSet<Check>,
}

impl Job {
    /// The settings of a snapshot; the defaults where the job has none.
    pub fn snapshot(&self, name: &ResourceName) -> SnapshotSettings {
        self.snapshots.get(name).cloned().unwrap_or_default()
    }

    /// The checks of a snapshot that are not made: those that the job switches off, and, of one that the job only looks
    /// things up in or joins, whether its keys repeat. Rows that say the same may, and those that differ block what reads
    /// them.
    pub fn checks_off(&self, name: &ResourceName) -> BTreeSet<Check> {
        let mut off = self.snapshot(name).off;
        let is_only_looked_up = self.syncs.iter().all(|sync| {
            let is_needed = match &sync.kind {
                SyncKind::Objects(objects) => objects.derivation.of_groups().any(|other| other == name),
                SyncKind::Association(association) => {
                    association.ends.iter().any(|end| end.from == *name || end.to == *name)
                }
            };
            sync.from != *name && sync.to != *name && !is_needed
        });
        if is_only_looked_up {
            off.insert(Check::DuplicateKeys);
        }
        off
    }
}

/// Reads a job file.
///
/// # Errors
/// Every mistake in it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Job, JobProblems> {
    let bytes = std::fs::read(path).map_err(|error| whole(path, format!("the job file cannot be read: {error}")))?;
    read(&bytes, path)
}

/// Reads the bytes of a job file. `path` is what messages call it, and where relative paths start.
///
/// # Errors
/// Every mistake in it.
pub fn read(bytes: &[u8], path: &Path) -> Result<Job, JobProblems> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = error.valid_up_to();
        whole(path, format!("the job file is not UTF-8 text, from byte {good} on; save it as UTF-8"))
    })?;
    parse(text, path)
}

/// What is wrong with a job's name, or a system's (`what`); `None` where it is a good one.
pub fn name_problem(what: &str, name: &str) -> Option<String> {
    (!check_names::is_safe(name)).then(|| check_names::unsafe_name(what, name))
}

/// What is wrong with a system, as a job file with it would be told: key, and a sentence.
pub fn system_problems(system: &SystemConfig) -> Vec<(String, String)> {
    check_systems::found(system)
        .into_iter()
        .map(|(key, message, hint)| {
            (key.to_owned(), hint.map_or(message.clone(), |hint| format!("{message} ({hint})")))
        })
        .collect()
}

/// A mistake of the whole file.
fn whole(path: &Path, message: String) -> JobProblems {
    let problem = Problem { line: 0, column: 0, path: String::new(), message, hint: None };
    JobProblems::new(path.to_owned(), vec![problem])
}

/// Reads the text of a job file. `path` is what messages call it, and where relative paths start.
///
/// # Errors
/// Every mistake in it.
pub fn parse(text: &str, path: &Path) -> Result<Job, JobProblems> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    let fail = |problems| JobProblems::new(path.to_owned(), problems);
    // Editors on some systems begin a text with a byte order mark; it is no part of it.
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (root, errors) = DeTable::parse_recoverable(plain);
    let places = Places::of(plain, root.get_ref());
    if !errors.is_empty() {
        return Err(fail(syntax(&errors, plain, &places)));
    }
    let schema = schema();
    let mut shape = Shape { schema: &schema, places: &places, problems: Vec::new() };
    let fitting = shape.table(root.get_ref(), &schema, "");
    let mut problems = shape.problems;
    let file: JobFile = serde_json::from_value(fitting)
        .map_err(|error| fail(vec![places.problem(0, "", format!("the job file cannot be read: {error}"))]))?;
    let systems = systems(&file, &places, &mut problems);
    let tables = root.get_ref().get("systems").and_then(|systems| systems.get_ref().as_table());
    let system_names: Vec<String> = tables.into_iter().flatten().map(|(name, _)| name.get_ref().to_string()).collect();
    let checked =
        Checked { file: &file, systems: &systems, system_names: &system_names, places: &places, folder: &folder };
    validate::run(&checked, &mut problems);
    if !problems.is_empty() {
        return Err(fail(problems));
    }
    let digest = Digest::of(text.as_bytes());
    build::job(file, systems, path, folder, digest, &places)
        .map_err(|message| fail(vec![places.problem(0, "", message)]))
}

/// The mistakes of a text that is not TOML: one a line, up to the first after which the parser is lost in a list, a
/// text or a table that was not closed.
fn syntax(errors: &[toml::de::Error], text: &str, places: &Places<'_>) -> Vec<Problem> {
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let mut errors: Vec<&toml::de::Error> = errors.iter().collect();
    errors.sort_by_key(|error| start(error));
    let mut problems: Vec<Problem> = Vec::new();
    for error in errors {
        let message = error.message().trim().replace('\n', ", ");
        let key = error.span().and_then(|span| text.get(span)).filter(|_| message == "duplicate key");
        let message = key.map_or_else(|| format!("not TOML: {message}"), |key| format!("the key `{key}` stands twice"));
        let problem = places.problem(start(error), "", message);
        if problems.last().is_some_and(|before| before.line == problem.line) {
            continue;
        }
        let is_lost =
            ["array", "inline table", "unclosed", "invalid"].iter().any(|word| problem.message.contains(word));
        problems.push(problem);
        if is_lost {
            break;
        }
    }
    problems
}

/// Reads each system by its kind. One whose shape has a problem already is left out without a word.
fn systems(file: &JobFile, places: &Places<'_>, problems: &mut Vec<Problem>) -> BTreeMap<String, SystemConfig> {
    let mut systems = BTreeMap::new();
    for (name, value) in file.systems.iter().flatten() {
        let path = place::key_path("systems", name);
        match SystemConfig::deserialize(value) {
            Ok(system) => {
                systems.insert(name.clone(), system);
            }
            Err(message) => {
                let is_known = problems.iter().any(|problem| problem.path.starts_with(&path));
                if !is_known {
                    problems.push(places.at_key(&path, format!("system `{name}`: {message}")));
                }
            }
        }
    }
    systems
}

/// The JSON Schema (2020-12) of a job file.
pub fn schema() -> Value {
    schemars::schema_for!(JobFile).to_value()
}
