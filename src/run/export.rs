//! Exports every system of a job, side by side, and proves what came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::landing::{Landed, Landing};
use crate::connector::source::{ExportError, ExportRequest, ResourceRequest, Source};
use crate::model::event::Reporter;
use crate::model::evidence::Mode;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::numbers::counted;
use crate::snapshot::diff::{Change, DiffError, DiffOptions, diff};
use crate::snapshot::manifest::ResourceManifest;
use crate::snapshot::merge::merge;
use crate::snapshot::table::Table;
use crate::snapshot::writer::Writer;
use crate::store::baselines::Baseline;

/// What is to be read of one system.
#[derive(Clone, Debug, Default)]
pub struct SystemRequest {
    /// Columns that the job reads, by resource.
    pub resources: BTreeMap<String, BTreeSet<String>>,
    /// The last accepted snapshot of each, with its file.
    pub baselines: BTreeMap<String, (Baseline, PathBuf)>,
    /// The identity of the system that each of them was read from, where that is known.
    pub read_from: BTreeMap<String, String>,
    /// How much to read.
    pub mode: Mode,
    /// Bytes of memory that a comparison may take; `None` = no limit.
    pub memory: Option<u64>,
}

/// What came of one system.
#[derive(Debug)]
pub struct SystemExport {
    /// Each resource, not judged yet; file names are relative to the export folder.
    pub resources: BTreeMap<String, ResourceManifest>,
    /// How it was read in the end.
    pub mode: Mode,
    /// Why it was read completely though increments were asked for.
    pub because: Option<String>,
    /// What the chain of increments would not have shown, by resource, where that was looked at.
    pub unseen: BTreeMap<String, Unseen>,
}

/// Keys of rows that a chain of increments would have shown otherwise than a complete export does.
#[derive(Debug, Default)]
pub struct Unseen {
    /// Rows that are new or changed.
    pub rows: Vec<String>,
    /// Rows that are gone.
    pub deletions: Vec<String>,
}

/// Why a system could not be exported.
#[derive(Debug)]
pub enum ExportFault {
    /// The system's side.
    System(Failure),
    /// What came of the system is not whole: the cause, whose side it is on, and what to do next.
    Partial(String),
    /// This machine's side.
    Here(String),
}

/// The cause, whose side it is on, and what to do next; the system is named by the caller.
impl std::fmt::Display for ExportFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(failure) => f.write_str(&failure.account()),
            Self::Partial(cause) => {
                write!(f, "it is not whole, so nothing of it is used: {cause}")
            }
            Self::Here(cause) => {
                write!(f, "{cause} [this machine]; see to the state folder's disk and rights, then run again")
            }
        }
    }
}

impl From<ExportError> for ExportFault {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::System(failure) => Self::System(failure),
            ExportError::Disk(cause) => Self::Here(cause),
        }
    }
}

/// Exports one system into `folder/<system>/`.
pub async fn export_system(
    source: Arc<dyn Source>,
    request: SystemRequest,
    folder: PathBuf,
    reporter: Arc<dyn Reporter>,
) -> Result<SystemExport, ExportFault> {
    let system = source.system().to_owned();
    let home = folder.join(crate::store::layout::escaped(&system));
    let mut because = None;
    // A chain of increments that was never used has missed nothing.
    let mut compares = request.mode == Mode::Complete
        && request.read_from.values().all(|identity| *identity == source.identity())
        && request.baselines.values().any(|(baseline, _)| baseline.mode == Mode::Incremental);
    if request.mode == Mode::Incremental {
        match increments(&*source, &request, &home, &reporter).await {
            Ok(Increment::Merged(resources)) => {
                return Ok(SystemExport {
                    resources: in_folder(resources, &folder, &*source),
                    mode: Mode::Incremental,
                    because: None,
                    unseen: BTreeMap::new(),
                });
            }
            Ok(Increment::GoComplete(why)) => because = Some(why),
            Ok(Increment::Differs(why)) => {
                because = Some(why);
                compares = true;
            }
            Err(ExportFault::System(failure)) if failure.class == Class::Unsupported => {
                because = Some(format!("{system} cannot be asked for changes alone: {}", failure.cause));
            }
            Err(fault) => return Err(fault),
        }
    }
    let resources = complete(&*source, &request, &home, &reporter).await?;
    let unseen = match compares {
        true => compare_with_increments(&*source, &request, &home, &reporter, &resources).await,
        false => BTreeMap::new(),
    };
    Ok(SystemExport { resources: in_folder(resources, &folder, &*source), mode: Mode::Complete, because, unseen })
}

/// Says of each resource where it lies in the export folder, and which system it was read from.
fn in_folder(
    mut resources: BTreeMap<String, ResourceManifest>,
    folder: &Path,
    source: &dyn Source,
) -> BTreeMap<String, ResourceManifest> {
    for manifest in resources.values_mut() {
        manifest.identity = source.identity();
        if let Ok(file) = manifest.file.strip_prefix(folder) {
            manifest.file = file.to_owned();
        }
    }
    resources
}

async fn complete(
    source: &dyn Source,
    request: &SystemRequest,
    home: &Path,
    reporter: &Arc<dyn Reporter>,
) -> Result<BTreeMap<String, ResourceManifest>, ExportFault> {
    let asked = requests(request, |_| None);
    let landed = land(source, &asked, home, "", reporter, &request.baselines).await?;
    Ok(landed
        .into_iter()
        .map(|(name, landed)| {
            let Landed { path, columns, key, written, end, .. } = landed;
            let mut manifest = ResourceManifest::new(path, &columns, &key, written, Mode::Complete);
            manifest.cursor = end.cursor;
            manifest.evidence = end.evidence;
            manifest.proves_absence = true;
            (name, manifest)
        })
        .collect())
}

enum Increment {
    Merged(BTreeMap<String, ResourceManifest>),
    GoComplete(String),
    /// They do not make up what the system says it holds.
    Differs(String),
}

/// Reads what changed and merges it into the baselines.
async fn increments(
    source: &dyn Source,
    request: &SystemRequest,
    home: &Path,
    reporter: &Arc<dyn Reporter>,
) -> Result<Increment, ExportFault> {
    for resource in request.resources.keys() {
        let Some((baseline, path)) = request.baselines.get(resource) else {
            return Ok(Increment::GoComplete(format!("{}.{resource} has no accepted snapshot yet", source.system())));
        };
        if baseline.cursor.is_none() {
            return Ok(Increment::GoComplete(format!("{}.{resource} gives no cursor to go on from", source.system())));
        }
        // The same ids may mean others there, and a cursor of one system means nothing to another.
        let (then, now) = (request.read_from.get(resource), source.identity());
        if then != Some(&now) {
            let then = then.map_or("an address that is not known any more", String::as_str);
            return Ok(Increment::GoComplete(format!("the last snapshot was read from {then}, the job names {now}")));
        }
        if let Err(error) = verify(baseline, path) {
            return Ok(Increment::GoComplete(error));
        }
        let lacking: Vec<&String> =
            request.resources[resource].iter().filter(|c| !baseline.columns.contains(c)).collect();
        if let Some(column) = lacking.first() {
            return Ok(Increment::GoComplete(format!("the job reads {column}, which the last snapshot does not have")));
        }
    }
    let merged = merged(source, request, home, reporter).await?;
    for (name, Merged { manifest, total }) in &merged {
        // Rows of an association have no total of their own; those of a resource type have.
        if let Some(total) = total.filter(|total| manifest.key.len() == 1 && *total != manifest.rows) {
            return Ok(Increment::Differs(format!(
                "{}.{name} holds {}, the increments make {}",
                source.system(),
                counted(total, "row"),
                manifest.rows
            )));
        }
    }
    Ok(Increment::Merged(merged.into_iter().map(|(name, merged)| (name, merged.manifest)).collect()))
}

/// A baseline with the changes since its cursor.
struct Merged {
    manifest: ResourceManifest,
    /// How many rows the system says that it holds.
    total: Option<u64>,
}

/// Reads what changed since the baselines, and writes them with it into `home`.
async fn merged(
    source: &dyn Source,
    request: &SystemRequest,
    home: &Path,
    reporter: &Arc<dyn Reporter>,
) -> Result<BTreeMap<String, Merged>, ExportFault> {
    let asked = requests(request, |name| request.baselines.get(name).and_then(|(b, _)| b.cursor.clone()));
    let landed = land(source, &asked, home, ".delta", reporter, &request.baselines).await?;
    let mut resources = BTreeMap::new();
    for (name, landed) in landed {
        let Some((baseline, path)) = request.baselines.get(&name) else { continue };
        let total = landed.end.evidence.total_end.or(landed.end.evidence.total_start);
        let manifest = put_together(baseline, path, landed, &home.join(file_name(&name)))?;
        resources.insert(name, Merged { manifest, total });
    }
    Ok(resources)
}

/// Merges one delta into its baseline and removes it.
fn put_together(baseline: &Baseline, path: &Path, landed: Landed, out: &Path) -> Result<ResourceManifest, ExportFault> {
    let here = |e: crate::snapshot::error::SnapshotError| ExportFault::Here(e.to_string());
    let writer = Writer::create(out, &landed.columns, &landed.key).map_err(here)?;
    let merged = merge(path, &landed.key, &landed.path, &landed.gone, &landed.replaced, &landed.only, writer);
    let merged = merged.map_err(here)?;
    let mut manifest =
        ResourceManifest::new(out.to_owned(), &landed.columns, &landed.key, merged.written, Mode::Incremental);
    // The cursor moves on only where something newer was seen.
    manifest.cursor = landed.end.cursor.or_else(|| baseline.cursor.clone());
    manifest.evidence = landed.end.evidence;
    manifest.proves_absence = landed.end.proves_absence;
    let _ = std::fs::remove_file(&landed.path);
    Ok(manifest)
}

/// Compares what the chain of increments would have shown now with what a complete export shows.
///
/// Only a report hangs on it, so what goes wrong here is no failure of the export.
async fn compare_with_increments(
    source: &dyn Source,
    request: &SystemRequest,
    home: &Path,
    reporter: &Arc<dyn Reporter>,
    complete: &BTreeMap<String, ResourceManifest>,
) -> BTreeMap<String, Unseen> {
    let mut unseen = BTreeMap::new();
    let asked = request.resources.keys();
    if !asked.into_iter().all(|name| request.baselines.get(name).is_some_and(|(b, _)| b.cursor.is_some())) {
        return unseen;
    }
    let options = DiffOptions { memory: request.memory, ..DiffOptions::default() };
    let chain = home.join("chain");
    for (name, increments) in merged(source, request, &chain, reporter).await.unwrap_or_default() {
        let Some(whole) = complete.get(&name) else { continue };
        let tables = Table::open(&increments.manifest.file, &whole.key)
            .and_then(|old| Ok((old, Table::open(&whole.file, &whole.key)?)));
        let Ok((old, new)) = tables else { continue };
        let Ok(found) = diff(&old, &new, &options) else { continue };
        let mut keys = Unseen::default();
        let all = found.for_each(|key, change| {
            let list = if matches!(change, Change::Removed(_)) { &mut keys.deletions } else { &mut keys.rows };
            list.push(key.to_owned());
            Ok::<(), DiffError>(())
        });
        if all.is_ok() {
            unseen.insert(name, keys);
        }
    }
    let _ = std::fs::remove_dir_all(&chain);
    unseen
}

fn file_name(resource: &str) -> String {
    format!("{}.csv", crate::store::layout::escaped(resource))
}

fn requests(request: &SystemRequest, since: impl Fn(&str) -> Option<String>) -> ExportRequest {
    let resources = request
        .resources
        .iter()
        .map(|(resource, columns)| ResourceRequest {
            resource: resource.clone(),
            columns: columns.iter().cloned().collect(),
            since: since(resource),
        })
        .collect();
    ExportRequest { resources }
}

async fn land(
    source: &dyn Source,
    asked: &ExportRequest,
    home: &Path,
    suffix: &'static str,
    reporter: &Arc<dyn Reporter>,
    accepted: &BTreeMap<String, (Baseline, PathBuf)>,
) -> Result<BTreeMap<String, Landed>, ExportFault> {
    let mut landing = Landing::new(home.to_owned(), suffix, source.system(), reporter.clone(), accepted);
    source.export(asked, &mut landing).await?;
    let landed = landing.landed();
    let missing: Vec<&str> =
        asked.resources.iter().map(|r| r.resource.as_str()).filter(|r| !landed.contains_key(*r)).collect();
    if missing.is_empty() {
        return Ok(landed);
    }
    Err(ExportFault::System(Failure::new(
        Class::Server,
        Recourse::Stop,
        source.system(),
        format!("the export of {} ended without a word", missing.join(", ")),
        "this is a fault of muster's connector; run `muster run` with --mode complete, and report it",
    )))
}

/// Whether a baseline's file is still the one that was accepted; else a sentence.
pub(super) fn verify(baseline: &Baseline, path: &Path) -> Result<(), String> {
    let mut manifest = ResourceManifest::new(
        path.file_name().map(PathBuf::from).unwrap_or_default(),
        &baseline.columns,
        &baseline.key,
        crate::snapshot::writer::Written { rows: baseline.rows, bytes: 0, sha256: baseline.sha256.clone() },
        baseline.mode,
    );
    manifest.bytes = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    manifest.verify(path.parent().unwrap_or(Path::new("."))).map_err(|e| e.to_string())
}
