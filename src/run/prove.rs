//! From exported files to snapshots that may be used: completeness, synchronization thresholds, what is held.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use super::Conductor;
use super::baseline::{Accepted, Examined, New, OwnChanges, examine, explain, movements};
use super::demand;
use super::error::RunError;
use super::export::{ExportFault, SystemExport, SystemRequest, Unseen, export_system};
use super::lost::orders_left;
use super::offload::{apart, compute};
use crate::model::event::Event;
use crate::model::evidence::{Completeness, Missed, Mode};
use crate::model::order::EndRef;
use crate::model::record::{Hold, HoldKind, Movement};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::reconcile::threshold::{Movements, synchronization};
use crate::snapshot::completeness::{Settings, Subject};
use crate::snapshot::diff::{DiffError, DiffOptions};
use crate::snapshot::error::SnapshotError;
use crate::snapshot::manifest::{FILE_NAME, FORMAT_VERSION, Manifest, ManifestError, ResourceManifest};
use crate::snapshot::table::Table;
use crate::store::baselines::Baseline;

/// The snapshots of a run, judged.
#[derive(Debug)]
pub(super) struct Proof {
    /// What was exported; files are relative to `folder`.
    pub(super) manifest: Manifest,
    /// The run's export folder.
    pub(super) folder: PathBuf,
    /// Snapshots that are whole and within their limits, or accepted.
    pub(super) usable: BTreeSet<ResourceName>,
    /// What a person has to accept before the others are used.
    pub(super) holds: Vec<Hold>,
    /// Systems that could not be exported, each with why.
    pub(super) failures: Vec<(String, String)>,
}

impl Conductor {
    /// Exports every system and judges what came. The manifest is written last. What was accepted of run `overtaken`
    /// is accepted here too, at the same figures.
    pub(super) async fn export(
        &mut self,
        run: &RunId,
        mode: Mode,
        overtaken: Option<&RunId>,
    ) -> Result<Proof, RunError> {
        let started = (self.clock)();
        self.layout.create_run(&self.job.name, run)?;
        let folder = self.layout.export(&self.job.name, run);
        let mut exports = JoinSet::new();
        let mut failures = Vec::new();
        for (system, resources) in demand::columns(&self.job) {
            let request = self.request(&system, resources, mode)?;
            match self.source(&system).await {
                Ok(source) => {
                    let (folder, reporter) = (folder.clone(), self.reporter.clone());
                    apart(&mut exports, async move {
                        let export = export_system(source, request, folder, reporter).await;
                        (system, export)
                    });
                }
                Err(failure) => failures.push((system, ExportFault::System(failure))),
            }
        }
        let mut systems: BTreeMap<String, SystemExport> = BTreeMap::new();
        let mut ended = BTreeMap::new();
        while let Some(export) = exports.join_next().await {
            let (system, result) = export.map_err(|e| RunError::Here(format!("an export broke off: {e}")))?;
            ended.insert(system, result);
        }
        for (system, result) in ended {
            match result {
                Ok(export) => {
                    systems.insert(system, export);
                }
                Err(fault) => failures.push((system, fault)),
            }
        }
        if mode == Mode::Incremental && !systems.is_empty() && systems.values().all(|s| s.mode == Mode::Complete) {
            self.store.set_run_mode(run, Mode::Complete, "no system was read by increments", (self.clock)())?;
        }
        let mut told = Vec::new();
        for (system, fault) in failures {
            told.push((system.clone(), fault.to_string()));
            self.note_failure(run, &system, &fault)?;
        }
        let mut proof = self.judge(run, folder, started, systems, overtaken)?;
        proof.failures.splice(0..0, told);
        Ok(proof)
    }

    fn note_failure(&mut self, run: &RunId, system: &str, fault: &ExportFault) -> Result<(), RunError> {
        let why = fault.to_string();
        self.reporter.event(&Event::ExportFailed { system: system.to_owned(), why: why.clone() });
        Ok(self.store.export_failed(&self.job.name, run, system, &why, (self.clock)())?)
    }

    /// What to ask a system for: everything after a failed export, else what the mode says.
    fn request(
        &self,
        system: &str,
        resources: BTreeMap<String, BTreeSet<String>>,
        mode: Mode,
    ) -> Result<SystemRequest, RunError> {
        let (mut baselines, mut read_from) = (BTreeMap::new(), BTreeMap::new());
        for resource in resources.keys() {
            let name = ResourceName::new(system, resource);
            if let Some(baseline) = self.store.baseline(&self.job.name, &name)? {
                let path = self.layout.root.join(&baseline.path);
                if let Ok(Some(exported)) = self.previous(&baseline, &name) {
                    read_from.insert(resource.clone(), exported.identity);
                }
                baselines.insert(resource.clone(), (baseline, path));
            }
        }
        let record = self.store.export_record(&self.job.name, system)?;
        let first = baselines.is_empty();
        // A system that never gave a cursor is always read completely, and nobody need be told.
        let cursors = baselines.values().any(|(baseline, _)| baseline.cursor.is_some());
        let by_increments = mode == Mode::Incremental && record.failed.is_none() && !first && cursors;
        if mode == Mode::Incremental
            && let Some((at, _)) = &record.failed
        {
            self.reporter.event(&Event::Warning(format!(
                "{system} is read completely: its export of {} failed",
                at.format("%Y-%m-%d %H:%M:%S UTC")
            )));
        }
        let mode = if by_increments { Mode::Incremental } else { Mode::Complete };
        Ok(SystemRequest { resources, baselines, read_from, mode, memory: self.memory_to_compare() })
    }

    fn judge(
        &mut self,
        run: &RunId,
        folder: PathBuf,
        started: DateTime<Utc>,
        systems: BTreeMap<String, SystemExport>,
        overtaken: Option<&RunId>,
    ) -> Result<Proof, RunError> {
        let mut accepted = self.store.accepted(run)?;
        if let Some(held) = overtaken {
            accepted.extend(self.store.acceptances(held)?.into_iter().map(|a| (a.name, a.figure)));
        }
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            job: self.job.name.clone(),
            run: run.clone(),
            started,
            ended: started,
            systems: BTreeMap::new(),
        };
        let (mut usable, mut holds, mut failures) = (BTreeSet::new(), Vec::new(), Vec::new());
        let mut moved = Vec::new();
        for (system, mut export) in systems {
            if let Some(because) = &export.because {
                self.reporter.event(&Event::Warning(format!("{system} was read completely: {because}")));
            }
            let (mut partial, mut own) = (Vec::new(), BTreeMap::new());
            for (resource, mut exported) in export.resources {
                let name = ResourceName::new(&system, &resource);
                let path = exported.path(&folder)?;
                let mut moves = None;
                if let Some(unseen) = export.unseen.remove(&resource) {
                    exported.evidence.missed = Some(self.missed(&system, &unseen)?);
                }
                let verdict = self.verdict(&name, &path, &mut exported, &accepted, &mut own, &mut moves)?;
                // What is here under another run's acceptance was settled with that run, and counts no second time.
                moved.extend(moves.map(|(moves, is_accepted)| {
                    movement(&name, overtaken.filter(|_| is_accepted).unwrap_or(run), started, &moves)
                }));
                match &verdict {
                    Verdict::Usable => {
                        usable.insert(name.clone());
                    }
                    Verdict::Held(found) => holds.extend(found.iter().cloned()),
                    Verdict::Partial(cause) => {
                        let rest = if exported.evidence.cut_off.is_some() { "" } else { NOT_WHOLE };
                        partial.push(format!("{cause}{rest}"));
                    }
                }
                let missed = exported.evidence.missed;
                self.reporter.event(&Event::Exported {
                    resource: name.clone(),
                    rows: exported.rows,
                    missed,
                    read_again: exported.evidence.first_look.as_ref().map(|first| first.why.clone()),
                    verdict: exported.completeness.clone(),
                });
                manifest.systems.entry(system.clone()).or_default().insert(resource, exported);
            }
            if partial.is_empty() {
                self.store.export_succeeded(&self.job.name, run, &system, export.mode, (self.clock)())?;
            } else {
                let fault = ExportFault::Partial(partial.join("; "));
                self.note_failure(run, &system, &fault)?;
                failures.push((system, fault.to_string()));
            }
        }
        if !moved.is_empty() {
            self.store.note_movements(&self.job.name, run, &moved, (self.clock)())?;
        }
        manifest.ended = (self.clock)();
        manifest.write(&folder.join(FILE_NAME))?;
        Ok(Proof { manifest, folder, usable, holds, failures })
    }

    fn verdict(
        &self,
        name: &ResourceName,
        path: &Path,
        exported: &mut ResourceManifest,
        accepted: &BTreeMap<String, String>,
        own: &mut BTreeMap<DateTime<Utc>, OwnChanges>,
        moves: &mut Option<(Movements, bool)>,
    ) -> Result<Verdict, RunError> {
        let snapshot = self.job.snapshot(name);
        let baseline = self.store.baseline(&self.job.name, name)?;
        let rekeyed = baseline.as_ref().filter(|baseline| baseline.key != exported.key).map(|baseline| {
            format!("its rows go by `{}` now, they went by `{}`", exported.key.join("`, `"), baseline.key.join("`, `"))
        });
        let (previous, unreadable) = match baseline.as_ref().map(|b| self.previous(b, name)) {
            Some(Ok(_)) if rekeyed.is_some() => (None, rekeyed),
            Some(Ok(previous)) => (previous, None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let table = match Table::open(path, &exported.key) {
            Ok(table) => table,
            Err(error) => {
                // Several problems stand on lines of their own; a verdict is one line.
                let cause = error.to_string().replace("\n  ", "; ");
                exported.completeness = Completeness::Partial { cause: cause.clone() };
                return Ok(Verdict::Partial(cause));
            }
        };
        let settings = Settings {
            sentinels: snapshot.sentinels.clone(),
            allow_empty: snapshot.allow_empty,
            off: self.job.checks_off(name),
        };
        let options = DiffOptions {
            memory: self.memory_to_compare(),
            spill_folder: Some(self.layout.exports(&self.job.name)),
            ..DiffOptions::default()
        };
        let old = baseline.as_ref().map(|baseline| (baseline, self.layout.root.join(&baseline.path)));
        let accepted_before = old.as_ref().map(|(baseline, path)| Accepted {
            baseline,
            path,
            manifest: unreadable.as_deref().map_or(Ok(previous.as_ref()), Err),
        });
        let tell = |text| self.reporter.event(&Event::Note(text));
        let new = New { table: &table, sha256: &exported.sha256, settings: &settings };
        let Examined { census, moved } = match compute(|| examine(new, accepted_before, &options, &tell)) {
            Ok(examined) => examined,
            Err(DiffError::Snapshot(SnapshotError::Malformed { path, problems })) if path == table.path() => {
                let cause = SnapshotError::Malformed { path, problems }.to_string();
                exported.completeness = Completeness::Partial { cause: cause.clone() };
                return Ok(Verdict::Partial(format!("{name}: {cause}")));
            }
            Err(error) => return Err(error.into()),
        };
        let only_target = !self.job.syncs.iter().any(|sync| sync.takes_from(name));
        let subject = Subject {
            name,
            table: &table,
            mode: exported.mode,
            previous: previous.as_ref(),
            settings: &settings,
            accepted,
            is_target: self.job.syncs.iter().any(|sync| sync.to == *name),
            may_be_empty: baseline.as_ref().map_or(only_target, |b| b.rows == 0),
            besides: None,
        };
        let (evidence, since) = (std::mem::take(&mut exported.evidence), baseline.as_ref().map(|b| b.at));
        let (evidence, completeness) = self.judged(&subject, evidence, &census, since, &options)?;
        exported.evidence = evidence;
        exported.completeness = completeness;
        let mut holds = match &exported.completeness {
            Completeness::Complete => Vec::new(),
            Completeness::Partial { cause } => return Ok(Verdict::Partial(format!("{name}: {cause}"))),
            Completeness::Suspect { suspicions } => suspicions
                .iter()
                .map(|s| Hold {
                    kind: HoldKind::Suspicion,
                    name: s.name.clone(),
                    detail: format!("{}: {}", s.name, s.detail),
                    figure: s.figure.clone(),
                    first: Vec::new(),
                    excess: None,
                })
                .collect(),
        };
        if let (Some((baseline, path)), Some(moved)) = (&old, moved) {
            match moved {
                Ok(moved) => {
                    // The resources of a system were mostly exported together: its orders are read once.
                    let own = &*match own.entry(baseline.at) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(unknown) => unknown.insert(self.own_changes(&name.system, baseline.at)?),
                    };
                    let mut movements = movements(&moved, own)?;
                    let all = snapshot.thresholds.each().into_iter().flat_map(|(_, thresholds)| thresholds);
                    movements.before = self.moved_before(name, all)?;
                    let settled = self.store.last_accepted(&self.job.name)?;
                    let found = synchronization(name, &movements, &snapshot.thresholds, &settled);
                    let (known, news): (Vec<_>, Vec<_>) =
                        found.into_iter().partition(|e| accepted.get(&e.name) == Some(&e.figure.to_string()));
                    *moves = Some((movements, !known.is_empty()));
                    for mut excess in news {
                        let pages = previous.as_ref().map(|previous| previous.evidence.pages_received);
                        excess.explanation =
                            compute(|| explain((baseline, path), &table, &moved, &excess, pages, own))?;
                        self.reporter.event(&Event::Exceeded(excess.clone()));
                        holds.push(Hold::of(HoldKind::Snapshot, &excess));
                    }
                }
                // Without it no threshold can be judged: a loss of half the rows would pass unseen.
                Err(cause) => holds.push(Hold {
                    kind: HoldKind::Snapshot,
                    name: format!("{name}/baseline"),
                    detail: format!(
                        "the last accepted snapshot, of run {}, cannot be compared with, so no threshold can be judged: {cause}",
                        baseline.run
                    ),
                    // Other content is another question.
                    figure: format!("{} rows, SHA-256 {}", exported.rows, exported.sha256),
                    first: Vec::new(),
                    excess: None,
                }),
            }
        }
        Ok(if holds.is_empty() { Verdict::Usable } else { Verdict::Held(holds) })
    }

    /// Bytes that a comparison may take: what the job says, else what the machine has to spare.
    fn memory_to_compare(&self) -> Option<u64> {
        self.job.export.memory.or(self.memory)
    }

    /// The manifest entry of a baseline, where its export folder still has one.
    fn previous(&self, baseline: &Baseline, name: &ResourceName) -> Result<Option<ResourceManifest>, ManifestError> {
        let path = self.layout.export(&self.job.name, &baseline.run).join(FILE_NAME);
        match Manifest::read(&path) {
            Ok(manifest) => Ok(manifest.resource(&name.system, &name.resource).cloned()),
            Err(ManifestError::Disk(error)) if error.cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a chain of increments had missed: what muster's own orders did since it began is known without them.
    fn missed(&self, system: &str, unseen: &Unseen) -> Result<Missed, RunError> {
        if unseen.rows.is_empty() && unseen.deletions.is_empty() {
            return Ok(Missed::default());
        }
        let begun = self.store.export_record(&self.job.name, system)?.complete;
        let own = begun.map(|begun| self.own_changes(system, begun)).transpose()?.unwrap_or_default();
        let news = |keys: &[String]| keys.iter().filter(|key| !own.expects(key)).count() as u64;
        Ok(Missed { rows: news(&unseen.rows), deletions: news(&unseen.deletions) })
    }

    /// What muster's own orders changed at a system since a moment.
    fn own_changes(&self, system: &str, since: DateTime<Utc>) -> Result<OwnChanges, RunError> {
        let mut own = OwnChanges::default();
        let applied = self.store.applied_since(&self.job.name, system, since)?;
        for (run, mut outcomes) in applied {
            for order in orders_left(&self.store, &run)? {
                let order = order?;
                let Some(known) = outcomes.remove(&order.id) else { continue };
                if order.ends.is_empty() {
                    own.objects.extend(known.or(order.target_id));
                    continue;
                }
                let mut ends = Vec::new();
                for end in &order.ends {
                    ends.push(match &end.object {
                        EndRef::Target(id) => id.clone(),
                        EndRef::Order(id) => self.store.outcome(id)?.and_then(|o| o.target_id).unwrap_or_default(),
                    });
                }
                ends.sort();
                own.rows.insert(ends);
            }
            // Where the plan is lost, it is known still which objects the target told of.
            own.objects.extend(outcomes.into_values().flatten());
        }
        Ok(own)
    }
}

/// What is remembered of how a snapshot moved.
fn movement(name: &ResourceName, run: &RunId, at: DateTime<Utc>, moves: &Movements) -> Movement {
    let figure = |word| moves.now.get(word).map_or(0, |moved| moved.count);
    Movement {
        resource: name.clone(),
        run: run.clone(),
        at,
        rows: moves.rows,
        inserted: figure("inserted"),
        updated: figure("updated"),
        deleted: figure("deleted"),
        accepted: None,
    }
}

/// Whose side it is on, and what to do next, where the system itself did not say that something is missing.
const NOT_WHOLE: &str = " [data]; run again, or see to the system";

enum Verdict {
    Usable,
    Held(Vec<Hold>),
    Partial(String),
}
