//! The history of one object: from the snapshots that are kept, from its orders, and from the job files of its runs.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use super::error::RunError;
use super::explain::{ExplainRequest, KnownObject, Look};
use super::offload::compute;
use crate::disk::atomic;
use crate::job::{Sync, SyncKind};
use crate::model::digest::Digest;
use crate::model::history::{History, HistoryEntry, HistoryKind};
use crate::model::order::{ObjectKey, OrderId, OrderState};
use crate::model::record::RunRecord;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::model::situation::Cause;
use crate::model::value::Value;
use crate::reconcile::single::Subject;
use crate::snapshot::manifest::{FILE_NAME, Manifest};
use crate::snapshot::row::Cells as _;
use crate::snapshot::table::Table;

/// What came of asking for a history.
#[derive(Debug)]
pub enum HistoryEnd {
    /// It.
    One(History),
    /// Several objects go by the key.
    Several(Vec<KnownObject>),
    /// None does, and no order was ever raised for one; a sentence.
    None(String),
}

/// Kept snapshots that differ and are looked at where one object is explained; `history` looks at all.
const LOOKED_AT: usize = 4;

/// Lines of a job file's change that are told.
const LINES: usize = 12;

impl Conductor {
    /// Keeps the text of the job file with a run, so that it can be told later what was changed in it. A file that was
    /// edited since it was read is left out.
    pub(super) fn keep_job_file(&self, run: &RunId) -> Result<(), RunError> {
        let Ok(text) = std::fs::read(&self.job.path) else { return Ok(()) };
        if Digest::of(&text) != self.job.digest {
            return Ok(());
        }
        self.layout.create_run(&self.job.name, run)?;
        let path = self.layout.job_file(&self.job.name, run);
        atomic::write(&path, &text).map_err(|error| RunError::Here(format!("{error}; see to the state folder's disk")))
    }

    /// Every change of an object's values that snapshots, orders and job files tell, the newest last. Asks no system and
    /// writes nothing.
    ///
    /// # Errors
    /// Where the database or a file that is there cannot be read.
    pub fn history(&self, ask: &ExplainRequest) -> Result<HistoryEnd, RunError> {
        let subjects = match self.newest_look()? {
            Some(look) => compute(|| self.subjects(&look, ask))?,
            None => Vec::new(),
        };
        let subjects = if subjects.is_empty() { self.subjects_of_orders(ask)? } else { subjects };
        match subjects.as_slice() {
            [] => Ok(HistoryEnd::None(format!(
                "`{}` is in no snapshot of the job {}, and no order was ever raised for it; look for its source key, its id or its login",
                ask.key, self.job.name
            ))),
            [(subject, _)] => Ok(HistoryEnd::One(compute(|| self.history_of(subject))?)),
            _ => Ok(HistoryEnd::Several(subjects.into_iter().map(|(_, known)| known).collect())),
        }
    }

    pub(super) fn subjects(&self, look: &Look, ask: &ExplainRequest) -> Result<Vec<(Subject, KnownObject)>, RunError> {
        let opened = self.opened(look, false)?;
        self.with_input(&opened, |input, recall| {
            let hits = self.hits(input, ask, recall)?;
            Ok(hits.into_iter().filter_map(|hit| Some((hit.subject.clone(), self.known(hit)?))).collect())
        })
    }

    /// Objects that are in no snapshot any more, by the orders that were raised for them.
    pub(super) fn subjects_of_orders(&self, ask: &ExplainRequest) -> Result<Vec<(Subject, KnownObject)>, RunError> {
        let mut found: BTreeMap<Subject, KnownObject> = BTreeMap::new();
        for (object, name) in self.store.objects_called(&self.job.name, &ask.key)? {
            for sync in self.job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_))) {
                let prefix = ObjectKey::by_source(&sync.to, &sync.from, "").0;
                let Some(key) = object.0.strip_prefix(&prefix) else { continue };
                let is_there = |resource: &ResourceName| *resource == sync.from || *resource == sync.to;
                if !ask.resource.as_ref().is_none_or(is_there) {
                    continue;
                }
                let subject = Subject { sync: sync.index, source_key: Some(key.to_owned()), target_id: None };
                let known = KnownObject {
                    from: sync.from.clone(),
                    to: sync.to.clone(),
                    source_key: Some(key.to_owned()),
                    target_id: None,
                    name: name.clone(),
                    by: "order".to_owned(),
                };
                found.entry(subject).or_insert(known);
            }
        }
        Ok(found.into_iter().collect())
    }

    fn history_of(&self, subject: &Subject) -> Result<History, RunError> {
        let sync = &self.job.syncs[subject.sync];
        let mut runs = self.store.runs(&self.job.name, 0)?;
        runs.reverse();
        let mut entries = self.job_files(&runs);
        let OfOrders { entries: orders, applied, ids } = self.of_orders(sync, subject)?;
        entries.extend(orders);
        let target_id = subject.target_id.clone().or_else(|| ids.into_iter().next_back());
        entries.extend(self.linked(sync, subject.source_key.as_deref())?);
        let mut since = None;
        let source = self.kept(&runs, &sync.from, subject.source_key.as_deref(), &mut since)?;
        entries.extend(moved(&source, HistoryKind::Source, &[]));
        let mapped: &[String] = match &sync.kind {
            SyncKind::Objects(objects) => objects.rules.mapping.attributes(),
            SyncKind::Association(_) => &[],
        };
        let target = self.kept(&runs, &sync.to, target_id.as_deref(), &mut since)?;
        // What the job does not map is no change of its.
        entries.extend(moved(&target, HistoryKind::Target, &applied).into_iter().filter(|e| mapped.contains(&e.what)));
        entries.sort_by(|a, b| (a.at, a.kind, &a.what).cmp(&(b.at, b.kind, &b.what)));
        let key = subject.source_key.as_deref().or(subject.target_id.as_deref()).unwrap_or_default();
        Ok(History { about: format!("{} {key}", sync.to), entries, snapshots_since: since })
    }

    /// The orders of an object, a change an entry; those that were applied; and the ids that it got.
    fn of_orders(&self, sync: &Sync, subject: &Subject) -> Result<OfOrders, RunError> {
        let OfOrders { mut entries, mut applied, mut ids } = OfOrders::default();
        let Some(key) = &subject.source_key else { return Ok(OfOrders::default()) };
        for (record, order) in self.orders_of_object(&ObjectKey::by_source(&sync.to, &sync.from, key))? {
            let who = self.store.approver(&record)?.map(|by| by.reviewer).unwrap_or_default();
            let ended = self.store.outcome(&record.id)?;
            ids.extend(ended.as_ref().and_then(|outcome| outcome.target_id.clone()));
            ids.extend(order.as_ref().and_then(|order| order.target_id.clone()));
            let at = ended.map_or(record.updated, |outcome| outcome.at);
            let entry =
                |what: &str, before: Option<&Value>, after: Option<&Value>, cause: Option<Cause>| HistoryEntry {
                    at,
                    run: Some(record.run.clone()),
                    kind: HistoryKind::Order,
                    what: what.to_owned(),
                    before: before.map(Value::to_string),
                    after: after.map(Value::to_string),
                    cause,
                    order: Some(record.id.clone()),
                    state: Some(record.state),
                    who: who.clone(),
                };
            // What refers to an object that another order was to create holds that object's id once it is sent.
            let mut changes = order.as_ref().map(|order| order.changes.clone()).unwrap_or_default();
            for change in &mut changes {
                if let Some(Value::Text(text)) = &change.after
                    && let Some(made) = self.made_by(&OrderId(text.clone()))?
                {
                    change.after = Some(Value::Text(made));
                }
            }
            let mut of_order: Vec<HistoryEntry> = Vec::new();
            for change in &changes {
                let what = format!("{} {}", record.operation, change.attribute);
                of_order.push(entry(&what, change.before.as_ref(), change.after.as_ref(), Some(change.cause)));
            }
            if of_order.is_empty() {
                of_order.push(entry(record.operation.word(), None, None, order.as_ref().map(|order| order.cause)));
            }
            if record.state == OrderState::Applied {
                applied.extend(changes.iter().map(|change| HistoryEntry {
                    // As a snapshot has it.
                    after: change.after.as_ref().map(Value::to_cell),
                    ..entry(&change.attribute, change.before.as_ref(), None, Some(change.cause))
                }));
            }
            entries.extend(of_order);
        }
        Ok(OfOrders { entries, applied, ids })
    }

    /// What people said by `link` and `unlink` about a source key.
    fn linked(&self, sync: &Sync, key: Option<&str>) -> Result<Vec<HistoryEntry>, RunError> {
        let Some(key) = key else { return Ok(Vec::new()) };
        let mut before = None;
        let said = self.store.links_by_people(&self.job.name, &sync.id, key)?.into_iter().map(|said| {
            let after = said.target_id;
            HistoryEntry {
                at: said.at,
                run: None,
                kind: HistoryKind::Link,
                what: if after.is_some() { "link" } else { "unlink" }.to_owned(),
                before: std::mem::replace(&mut before, after.clone()),
                after,
                cause: None,
                order: None,
                state: None,
                who: said.who,
            }
        });
        Ok(said.collect())
    }

    /// The id of the object that an order created, where the text is the id of one that did.
    fn made_by(&self, order: &OrderId) -> Result<Option<String>, RunError> {
        if !OrderId::is_id(&order.0) {
            return Ok(None);
        }
        Ok(self.store.outcome(order)?.and_then(|outcome| outcome.target_id))
    }

    /// A row as each kept snapshot has it, oldest first; snapshots with the same bytes are read once.
    fn kept(
        &self,
        runs: &[RunRecord],
        name: &ResourceName,
        key: Option<&str>,
        since: &mut Option<RunId>,
    ) -> Result<Vec<Kept>, RunError> {
        let mut kept: Vec<Kept> = Vec::new();
        let Some(key) = key else { return Ok(kept) };
        let mut last: Option<Digest> = None;
        for run in runs {
            let folder = self.layout.export(&self.job.name, &run.id);
            let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { continue };
            let Some(exported) = manifest.resource(&name.system, &name.resource) else { continue };
            if since.as_ref().is_none_or(|since| run.id < *since) {
                *since = Some(run.id.clone());
            }
            if last.as_ref() == Some(&exported.sha256) {
                continue;
            }
            let Ok(table) = exported
                .path(&folder)
                .map_err(RunError::from)
                .and_then(|path| Table::open(&path, &exported.key).map_err(RunError::from))
            else {
                continue;
            };
            last = Some(exported.sha256.clone());
            let found = table.par_fold(Vec::new, |found: &mut Vec<BTreeMap<String, String>>, row| {
                let is_it = match table.key_columns() {
                    [only] => row.cell(*only) == key,
                    _ => table.key_of(row) == key,
                };
                if is_it {
                    let cells = table.columns().iter().enumerate();
                    let cells = cells.map(|(at, column)| (column.clone(), row.cell(at).to_owned()));
                    found.push(cells.filter(|(_, cell)| !cell.is_empty()).collect());
                }
            })?;
            let row = found.into_iter().flatten().next();
            let columns = table.columns().iter().cloned().collect();
            kept.push(Kept { run: run.id.clone(), at: manifest.started, columns, row });
        }
        Ok(kept)
    }

    /// What changed last in each column of a source row, and in which run: as far as the newest few kept snapshots that
    /// differ tell it, up to and with the one of run `newest`.
    pub(super) fn changed_last(
        &self,
        sync: &Sync,
        key: Option<&str>,
        newest: Option<&RunId>,
    ) -> Result<Vec<HistoryEntry>, RunError> {
        let (Some(key), Some(newest)) = (key, newest) else { return Ok(Vec::new()) };
        let (mut some, mut last, mut differing) = (Vec::new(), None, 0);
        for run in self.store.runs(&self.job.name, 0)?.into_iter().filter(|run| run.id <= *newest) {
            let folder = self.layout.export(&self.job.name, &run.id);
            let Ok(manifest) = Manifest::read(&folder.join(FILE_NAME)) else { continue };
            let Some(exported) = manifest.resource(&sync.from.system, &sync.from.resource) else { continue };
            if last.as_ref() != Some(&exported.sha256) {
                differing += 1;
                last = Some(exported.sha256.clone());
            }
            if differing > LOOKED_AT {
                break;
            }
            some.push(run);
        }
        some.reverse();
        let moves = moved(&self.kept(&some, &sync.from, Some(key), &mut None)?, HistoryKind::Source, &[]);
        let mut newest_of: BTreeMap<String, HistoryEntry> = BTreeMap::new();
        for entry in moves {
            newest_of.insert(entry.what.clone(), entry);
        }
        Ok(newest_of.into_values().collect())
    }

    /// Where the job file of a run is another than that of the run before.
    fn job_files(&self, runs: &[RunRecord]) -> Vec<HistoryEntry> {
        let mut entries = Vec::new();
        for pair in runs.windows(2) {
            let [before, after] = pair else { continue };
            if before.job_digest == after.job_digest {
                continue;
            }
            let text = |run: &RunRecord| std::fs::read_to_string(self.layout.job_file(&self.job.name, &run.id)).ok();
            let entry = |what: String, was: Option<String>, is: Option<String>| HistoryEntry {
                at: after.started,
                run: Some(after.id.clone()),
                kind: HistoryKind::JobFile,
                what,
                before: was,
                after: is,
                cause: Some(Cause::Rule),
                order: None,
                state: None,
                who: after.starter.clone(),
            };
            match (text(before), text(after)) {
                (Some(old), Some(new)) => {
                    let (removed, added) = changed_lines(&old, &new);
                    for line in 0..removed.len().max(added.len()).min(LINES) {
                        let at = |lines: &[String]| lines.get(line).cloned();
                        entries.push(entry("line".to_owned(), at(&removed), at(&added)));
                    }
                }
                _ => {
                    let short = |run: &RunRecord| Some(format!("SHA-256 {}", run.job_digest.short()));
                    entries.push(entry("text".to_owned(), short(before), short(after)));
                }
            }
        }
        entries
    }

    /// Where rules made something else of a row: since when the job file is another, in a sentence.
    pub(super) fn job_file_note(&self) -> Result<Option<String>, RunError> {
        let runs = self.store.runs(&self.job.name, 0)?;
        let planned: Vec<&RunRecord> = runs.iter().filter(|run| run.plan_digest.is_some()).collect();
        let Some(other) = planned.iter().position(|run| run.job_digest != self.job.digest) else { return Ok(None) };
        let now = match other.checked_sub(1).and_then(|first| planned.get(first)) {
            Some(first) => format!("run {} was the first with it as it is now", first.id),
            None => "no run has planned with it as it is now".to_owned(),
        };
        Ok(Some(format!(
            "the job file changed: run {} still planned with another (SHA-256 {}, now {}); {now}",
            planned[other].id,
            planned[other].job_digest.short(),
            self.job.digest.short()
        )))
    }
}

/// What the orders of an object tell.
#[derive(Default)]
struct OfOrders {
    /// Each change of each order.
    entries: Vec<HistoryEntry>,
    /// Each attribute's change by orders that were applied.
    applied: Vec<HistoryEntry>,
    /// The ids that the object had at the target.
    ids: BTreeSet<String>,
}

/// A row as one snapshot has it.
struct Kept {
    run: RunId,
    at: chrono::DateTime<chrono::Utc>,
    columns: BTreeSet<String>,
    row: Option<BTreeMap<String, String>>,
}

/// What changed from snapshot to snapshot. What an applied order did is told as carried by it, the rest of a target's
/// changes as drift.
fn moved(kept: &[Kept], kind: HistoryKind, applied: &[HistoryEntry]) -> Vec<HistoryEntry> {
    let mut entries = Vec::new();
    let none = BTreeMap::new();
    for pair in kept.windows(2) {
        let [before, after] = pair else { continue };
        let (old, new) = (before.row.as_ref().unwrap_or(&none), after.row.as_ref().unwrap_or(&none));
        // What one of the two was not asked for did not change.
        let told = |column: &&String| before.columns.contains(*column) && after.columns.contains(*column);
        let columns: BTreeSet<&String> = old.keys().chain(new.keys()).filter(told).collect();
        for column in columns.into_iter().filter(|column| old.get(*column) != new.get(*column)) {
            let carried = applied.iter().rev().find(|order| {
                order.what == *column && order.at <= after.at && is_same(order.after.as_ref(), new.get(column))
            });
            let cause = match (kind, carried) {
                (HistoryKind::Target, Some(order)) => order.cause,
                (HistoryKind::Target, None) => before.row.is_some().then_some(Cause::Drift),
                _ => Some(Cause::Source),
            };
            entries.push(HistoryEntry {
                at: after.at,
                run: Some(after.run.clone()),
                kind,
                what: column.clone(),
                before: old.get(column).cloned(),
                after: new.get(column).cloned(),
                cause,
                order: carried.and_then(|order| order.order.clone()),
                state: carried.and_then(|order| order.state),
                // Who changed a row, no snapshot tells.
                who: carried.map_or_else(String::new, |order| order.who.clone()),
            });
        }
    }
    entries
}

/// Whether two cells hold the same: a list of one is what many targets make of one value.
fn is_same(one: Option<&String>, other: Option<&String>) -> bool {
    let values = |cell: Option<&String>| match cell.and_then(|cell| Value::from_cell(cell)) {
        Some(Value::Text(text)) => vec![text],
        Some(Value::Many(mut values)) => {
            values.sort();
            values
        }
        None => Vec::new(),
    };
    one == other || values(one) == values(other)
}

/// Lines of one text that the other does not have, in their order: removed, added.
fn changed_lines(old: &str, new: &str) -> (Vec<String>, Vec<String>) {
    let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (old, new) = (lines(old), lines(new));
    let only = |these: &[String], those: &[String]| {
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        those.iter().for_each(|line| *left.entry(line.clone()).or_default() += 1);
        let mut found = Vec::new();
        for line in these.iter().filter(|line| !line.is_empty()) {
            match left.get_mut(line) {
                Some(count) if *count > 0 => *count -= 1,
                _ => found.push(line.clone()),
            }
        }
        found
    };
    (only(&old, &new), only(&new, &old))
}
