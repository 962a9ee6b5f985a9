//! Snapshots of an earlier run, taken up again: accepted after a hold, or planned from once more.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use super::prove::Proof;
use super::story::time;
use crate::disk::private::create_folder;
use crate::model::evidence::Completeness;
use crate::model::record::{Hold, HoldKind, OrderRecord, RunRecord};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::snapshot::{kept_pairs, sidecar};
use crate::store::database::Store;
use crate::store::retention::Folder;

/// Why the snapshots of an earlier run are of no use any more.
#[derive(Debug)]
pub(super) enum Overtaken {
    /// Orders were applied since, later snapshots were accepted, or a person linked something; a plan would undo that.
    /// Says what.
    MovedOn(String),
    /// The job names another system than the one that was read; says both.
    Elsewhere(String),
}

/// Refuses to plan from the snapshots of a job's run `from` where they were removed, or what happened since overtook them.
///
/// # Errors
/// [`RunError::Here`] with the reason and the command for new snapshots; where the run's manifest or the database cannot be
/// read.
pub fn require_current(store: &Store, job: &str, from: &RunId) -> Result<(), RunError> {
    let cannot = |why: String| {
        Err(RunError::Here(format!("cannot plan from the snapshots of run {from}{why} with `muster plan {job}`")))
    };
    if let Some(at) = store.removed_at(from, Folder::Export)? {
        let on = at.format("%Y-%m-%d");
        return cannot(format!(": they were removed on {on}, when the time of [retention] was over; export anew"));
    }
    let manifest = Manifest::read(&store.layout().export(job, from).join(FILE_NAME))?;
    let exports = Exports::of(store, job)?;
    let taken = time(manifest.started);
    if let Some(what) = moved_on(store, job, &manifest, &exports)? {
        return cannot(format!(
            ", taken at {taken}: {what}; what changed since would be undone, so nothing is planned: export anew"
        ));
    }
    let Some((name, newer)) = exports.newest_since(&manifest) else { return Ok(()) };
    let (at, run) = (time(newer.started), &newer.run);
    cannot(format!(
        ", taken at {taken}: a later snapshot of {name} was taken since, at {at} (run {run}); what changed since would \
         be undone, so nothing is planned: plan from that one with `muster plan {job} --from {run}`, or export anew"
    ))
}

/// The exports of a job, each with where its run stands in the log: first the one that was made first. Those that a
/// later run took over are named once, by the run that made them.
struct Exports(Vec<(i64, Manifest)>);

impl Exports {
    fn of(store: &Store, job: &str) -> Result<Self, RunError> {
        let mut exports: Vec<(i64, Manifest)> = Vec::new();
        for run in store.runs(job, 0)?.into_iter().rev() {
            // Unfinished, or removed when its time was over.
            let Ok(manifest) = Manifest::read(&store.layout().export(job, &run.id).join(FILE_NAME)) else { continue };
            if exports.iter().all(|(_, earlier)| earlier.started != manifest.started) {
                exports.push((store.begun(&run.id)?, manifest));
            }
        }
        Ok(Self(exports))
    }

    /// Where the run stands in the log whose export began then.
    fn place(&self, started: DateTime<Utc>) -> Option<i64> {
        self.0.iter().find(|(_, export)| export.started == started).map(|(place, _)| *place)
    }

    /// The newest export after these snapshots that read one of their resources to its end, whoever accepted it.
    fn newest_since(&self, manifest: &Manifest) -> Option<(ResourceName, &Manifest)> {
        let place = self.place(manifest.started)?;
        self.0.iter().rev().filter(|(later, _)| *later > place).find_map(|(_, export)| {
            export.systems.iter().find_map(|(system, resources)| {
                let mut read =
                    resources.iter().filter(|(_, of)| !matches!(of.completeness, Completeness::Partial { .. }));
                let (resource, _) = read.find(|(resource, _)| manifest.resource(system, resource).is_some())?;
                Some((ResourceName::new(system, resource), export))
            })
        })
    }
}

/// What happened since snapshots were taken that a plan from them would undo, or do twice: a sentence.
fn moved_on(store: &Store, job: &str, manifest: &Manifest, exports: &Exports) -> Result<Option<String>, RunError> {
    let place = |started, run: &RunId| exports.place(started).map_or_else(|| store.begun(run), Ok);
    let since = place(manifest.started, &manifest.run)?;
    for (system, resources) in &manifest.systems {
        for resource in resources.keys() {
            let name = ResourceName::new(system, resource);
            let Some(newer) = store.baseline(job, &name)? else { continue };
            if newer.at != manifest.started && place(newer.at, &newer.run)? > since {
                let (at, run) = (time(newer.at), newer.run);
                return Ok(Some(format!("a later snapshot of {name} is accepted since, of {at} (run {run})")));
            }
        }
    }
    if let Some((order, at)) = store.tried_since(job, since)? {
        let OrderRecord { id, run, operation, resource, key, .. } = order;
        let what = format!("{operation} {resource} `{key}` ({id} of run {run})");
        return Ok(Some(format!("orders were sent since, at last {what} at {}", time(at))));
    }
    if let Some(link) = store.linked_since(job, since)? {
        return Ok(Some(format!("{} changed what is linked since, at {}", link.who, time(link.at))));
    }
    Ok(None)
}

impl Conductor {
    /// The newest run that was held before its plan and whose holds a person has accepted by now.
    pub(super) fn accepted_hold(&self) -> Result<Option<RunRecord>, RunError> {
        for run in self.store.runs(&self.job.name, 200)? {
            if run.state == RunState::HeldSnapshot && self.store.unaccepted_holds(&run.id)?.is_empty() {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    /// Why a plan from a held run's own snapshots would be wrong by now; `None` where it would be right.
    pub(super) async fn overtaken(&self, held: &RunRecord) -> Result<Option<Overtaken>, RunError> {
        let folder = self.layout.export(&self.job.name, &held.id);
        let manifest = Manifest::read(&folder.join(FILE_NAME))?;
        if let Some(elsewhere) = self.read_elsewhere(&manifest).await {
            return Ok(Some(Overtaken::Elsewhere(elsewhere)));
        }
        let exports = Exports::of(&self.store, &self.job.name)?;
        Ok(moved_on(&self.store, &self.job.name, &manifest, &exports)?.map(Overtaken::MovedOn))
    }

    /// Whether the job names another address of a system than the one that snapshots were read from: a sentence. A
    /// system that cannot be connected to says so later, where it is needed.
    async fn read_elsewhere(&self, manifest: &Manifest) -> Option<String> {
        for (system, resources) in &manifest.systems {
            let Ok(source) = self.source(system).await else { continue };
            let named = source.identity();
            if let Some(then) = resources.values().map(|r| &r.identity).find(|then| **then != named) {
                return Some(format!("{system} was read from {then} then, and the job names {named} now"));
            }
        }
        None
    }

    /// Refuses to plan from the snapshots of run `from` where the job names other systems by now.
    pub(super) async fn require_same_systems(&self, from: &RunId) -> Result<(), RunError> {
        let manifest = Manifest::read(&self.layout.export(&self.job.name, from).join(FILE_NAME))?;
        match self.read_elsewhere(&manifest).await {
            None => Ok(()),
            Some(elsewhere) => Err(RunError::Here(format!(
                "cannot plan from the snapshots of run {from}: {elsewhere}; export anew with `muster run {}`, or put \
                 the address back",
                self.job.name
            ))),
        }
    }

    /// Takes the snapshots of run `from` over into `run`, without exporting anything. The files are shared, so that
    /// neither run's retention takes them from the other.
    pub(super) fn take_over(&mut self, from: &RunId, run: &RunId) -> Result<Proof, RunError> {
        let (old, new) = (self.layout.export(&self.job.name, from), self.layout.export(&self.job.name, run));
        let mut manifest = Manifest::read(&old.join(FILE_NAME))?;
        manifest.verify(&old)?;
        self.layout.create_run(&self.job.name, run)?;
        for (system, resources) in &manifest.systems {
            create_folder(&new.join(crate::store::layout::escaped(system)))
                .map_err(|error| RunError::Here(error.to_string()))?;
            for resource in resources.values() {
                let (file, copy) = (resource.path(&old)?, resource.path(&new)?);
                if std::fs::hard_link(&file, &copy).is_err() {
                    std::fs::copy(&file, &copy)
                        .map_err(|e| RunError::Here(format!("cannot copy {}: {e}", file.display())))?;
                }
                // Its digests save time; where they cannot be had, they are made anew.
                let (digests, copied) = (sidecar::path_of(&file), sidecar::path_of(&copy));
                let _ = std::fs::hard_link(&digests, &copied).or_else(|_| std::fs::copy(&digests, &copied).map(drop));
                kept_pairs::carry_over(&file, &copy);
            }
        }
        manifest.run = run.clone();
        manifest.write(&new.join(FILE_NAME))?;
        let holds = self.store.holds(from)?;
        let open: BTreeSet<String> = self.store.unaccepted_holds(from)?.into_iter().map(|h| h.name).collect();
        let of = |hold: &Hold, name: &ResourceName| hold.name.starts_with(&format!("{name}/"));
        let mut usable = BTreeSet::new();
        for (system, resources) in &manifest.systems {
            for (resource, exported) in resources {
                let name = ResourceName::new(system, resource);
                let partial = matches!(exported.completeness, Completeness::Partial { .. });
                let held = holds.iter().any(|h| h.kind != HoldKind::Plan && of(h, &name) && open.contains(&h.name));
                if !partial && !held {
                    usable.insert(name);
                }
            }
        }
        let holds = holds.into_iter().filter(|h| h.kind != HoldKind::Plan && open.contains(&h.name)).collect();
        Ok(Proof { manifest, folder: new, usable, holds, failures: Vec::new() })
    }

    /// Held runs of one kind that `run` makes pointless are marked as replaced by it.
    pub(super) fn replace_held(&mut self, run: &RunId, state: RunState) -> Result<(), RunError> {
        for held in self.store.runs(&self.job.name, 200)? {
            if held.state == state && held.id != *run {
                let why = format!("replaced by run {run}, which is within the limits");
                self.store.set_run_state(&held.id, RunState::Replaced, &why, (self.clock)())?;
            }
        }
        Ok(())
    }

    /// The held run that says the same as these holds already, if there is one.
    pub(super) fn same_hold(&self, run: &RunId, holds: &[Hold]) -> Result<Option<RunId>, RunError> {
        for held in self.store.runs(&self.job.name, 200)? {
            if held.state != RunState::HeldSnapshot || held.id == *run {
                continue;
            }
            let open = self.store.unaccepted_holds(&held.id)?;
            let same = |hold: &Hold| open.iter().any(|h| h.name == hold.name && h.figure == hold.figure);
            // One that is held by more says something else: accepting it would go on from its own, older snapshots.
            if open.len() == holds.len() && holds.iter().all(same) {
                return Ok(Some(held.id));
            }
        }
        Ok(None)
    }
}

impl Conductor {
    /// The snapshots that the newest plan was made from; `None` where there is no plan yet.
    pub(super) fn newest_proof(&self) -> Result<Option<Proof>, RunError> {
        for run in self.store.runs(&self.job.name, 200)? {
            if run.plan_digest.is_none() {
                continue;
            }
            let folder = self.layout.export(&self.job.name, &run.id);
            let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { continue };
            let plan = self.store.verify_plan(&run.id)?;
            let usable: BTreeSet<ResourceName> = plan.snapshots.into_keys().collect();
            for exported in usable.iter().filter_map(|name| manifest.resource(&name.system, &name.resource)) {
                exported.verify(&folder)?;
            }
            return Ok(Some(Proof { manifest, folder, usable, holds: Vec::new(), failures: Vec::new() }));
        }
        Ok(None)
    }
}
