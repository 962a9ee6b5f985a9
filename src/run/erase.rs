//! Erasing an identity that is gone: what is in the way, what would go, and the steps of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Conductor;
use super::erase_look::Kept;
use super::error::RunError;
use super::explain::{ExplainRequest, KnownObject};
use super::offload::compute;
use crate::model::erasure::{ErasedPlace, ErasedRows, Erasure, Obstacle, Whom};
use crate::model::event::Event;
use crate::model::numbers::counted;
use crate::model::order::{Order, OrderId, OrderState};
use crate::model::record::{OrderRecord, RunRecord};
use crate::model::run::RunId;
use crate::model::scrub::Scrub;
use crate::store::erased_files::{files_of, rewritten};
use crate::store::erasure::Unfinished;

/// Who is to be erased, and why.
#[derive(Clone, Debug)]
pub struct EraseRequest {
    /// A source key, an id at a target, a login, an address, or what an object is called.
    pub ask: ExplainRequest,
    /// Why.
    pub comment: String,
    /// The made name that stands there from then on.
    pub name: String,
}

/// What came of asking for it.
#[derive(Debug)]
pub enum EraseEnd {
    /// What would be erased, or what is in the way; nothing is written yet.
    Planned(Box<ErasePlan>),
    /// Several identities go by the key.
    Several(Vec<KnownObject>),
    /// None does; a sentence.
    None(String),
}

/// What would be erased.
#[derive(Debug)]
pub struct ErasePlan {
    /// Whom it is about, and where.
    pub erasure: Erasure,
    /// What has to be over before; nothing is erased while there is any.
    pub obstacles: Vec<Obstacle>,
    /// Files that are rewritten and folders that are removed.
    pub places: Vec<ErasedPlace>,
    /// What it comes to in the database.
    pub rows: ErasedRows,
    /// Entries of the log whose content changes.
    pub entries: Vec<i64>,
    /// Other jobs that know it, too.
    pub other_jobs: BTreeSet<String>,
    /// Files that muster handed over and does not touch, in which it is named.
    pub handed_over: Vec<String>,
}

impl Conductor {
    /// Finds an identity, all that is known of it, and what is in the way of erasing it. Nothing is written.
    ///
    /// # Errors
    /// Where the database or a file cannot be read.
    pub fn plan_erasure(&mut self, request: &EraseRequest) -> Result<EraseEnd, RunError> {
        let found = match compute(|| self.gone(&request.ask))? {
            Ok(found) => found,
            Err(end) => return Ok(end),
        };
        let kept = self.kept_exports()?;
        let whom = compute(|| self.whom(&found, &kept))?;
        let scrub = Scrub::new(&request.name, &whom).map_err(RunError::Here)?;
        let records = self.store.orders_of_objects(&self.job.name, &whom.objects)?;
        let own: BTreeSet<OrderId> = records.iter().map(|record| record.id.clone()).collect();
        let naming = self.naming(&own, &scrub)?;
        let mut erasure = Erasure {
            name: request.name.clone(),
            job: self.job.name.clone(),
            who: self.starter.clone(),
            comment: request.comment.clone(),
            whom,
            own,
            naming,
            ..Erasure::default()
        };
        let (holding, current) = compute(|| self.holding(&kept, &erasure.whom, &scrub))?;
        erasure.exports = holding;
        let mut obstacles = current;
        let mut places = Vec::new();
        for run in self.store.runs(&self.job.name, 0)? {
            let folder = self.layout.run_folder(&self.job.name, &run.id);
            for path in files_of(&folder)? {
                if rewritten(&path, &erasure, &scrub)?.is_some() {
                    places.push(self.place(&path, "rewritten"));
                    erasure.runs.insert(run.id.clone());
                }
            }
        }
        for path in self.store.beside(&self.job.name)? {
            if self.store.rewritten_beside(&path, &erasure, &scrub)?.is_some() {
                places.push(self.place(&path, "rewritten"));
            }
        }
        for run in &erasure.exports {
            places.push(self.place(&self.layout.export(&self.job.name, run), "removed"));
        }
        obstacles.extend(self.in_the_way(&erasure, &records)?);
        let (rows, entries) = self.store.rehearse_erasure(&erasure, &scrub)?;
        let called = erasure.whom.keys.union(&erasure.whom.ids).cloned().collect();
        let other_jobs = self.store.other_jobs_with(&self.job.name, &called)?;
        let mut handed_over = Vec::new();
        for path in files_of(&self.layout.work_orders(&self.job.name))? {
            if rewritten(&path, &erasure, &scrub)?.is_some() {
                handed_over.push(self.place(&path, "").path);
            }
        }
        places.sort();
        obstacles.sort();
        obstacles.dedup();
        Ok(EraseEnd::Planned(Box::new(ErasePlan {
            erasure,
            obstacles,
            places,
            rows,
            entries,
            other_jobs,
            handed_over,
        })))
    }

    /// Erases what was planned. Whoever calls this holds the job's lock, and saw that nothing is in the way.
    ///
    /// # Errors
    /// Where something cannot be written; then the same command, or the next run, goes on where it ended.
    pub fn erase(&mut self, erasure: &Erasure) -> Result<ErasedRows, RunError> {
        self.store.begin_erasure(erasure)?;
        self.carry_out_erasure(erasure)
    }

    /// Finishes the erasure that was cut short, where one was; its made name, and whether it was about this key.
    ///
    /// # Errors
    /// As of [`Self::erase`].
    pub fn finish_erasure(&mut self, key: &str) -> Result<Option<(String, bool)>, RunError> {
        match self.store.unfinished_erasure(&self.job.name)? {
            None => Ok(None),
            Some(Unfinished::Unswept(name)) => {
                self.store.sweep_erasure(&self.job.name)?;
                Ok(Some((name, false)))
            }
            Some(Unfinished::Begun(erasure)) => {
                let is_it = erasure.whom.is_called(key);
                self.carry_out_erasure(&erasure)?;
                Ok(Some((erasure.name, is_it)))
            }
        }
    }

    /// Does so before anything else is begun.
    pub(super) fn finish_erasing(&mut self) -> Result<(), RunError> {
        if let Some((name, _)) = self.finish_erasure("")? {
            self.reporter.event(&Event::Warning(format!("an erasure that was cut short is finished: {name}")));
        }
        Ok(())
    }

    fn carry_out_erasure(&mut self, erasure: &Erasure) -> Result<ErasedRows, RunError> {
        let scrub = Scrub::new(&erasure.name, &erasure.whom).map_err(RunError::Here)?;
        for run in &erasure.runs {
            self.store.rewrite_run(erasure, &scrub, run)?;
        }
        self.store.rewrite_beside(erasure, &scrub)?;
        let now = (self.clock)();
        self.store.remove_erased_exports(&erasure.job, &erasure.exports, now)?;
        let rows = self.store.erase_rows(erasure, &scrub, now)?;
        self.store.sweep_erasure(&erasure.job)?;
        Ok(rows)
    }

    fn place(&self, path: &Path, what: &'static str) -> ErasedPlace {
        let below = path.strip_prefix(&self.layout.root).unwrap_or(path);
        ErasedPlace { path: below.display().to_string(), what }
    }

    /// Orders of others of which a value names the identity: they are never undone after it is gone.
    fn naming(&self, own: &BTreeSet<OrderId>, scrub: &Scrub) -> Result<BTreeSet<OrderId>, RunError> {
        let mut naming = BTreeSet::new();
        self.every_order(|order| {
            let Order { object, changes, ends, references, renamed_from, .. } = &order;
            if !own.contains(&order.id)
                && let Ok(mut content) = serde_json::to_value((object, changes, ends, references, renamed_from))
                && scrub.json(&mut content)
            {
                naming.insert(order.id);
            }
        })?;
        Ok(naming)
    }

    /// What has to be over before, by what the database knows.
    fn in_the_way(&self, erasure: &Erasure, records: &[OrderRecord]) -> Result<Vec<Obstacle>, RunError> {
        let job = &self.job.name;
        let mut found: Vec<Obstacle> = records.iter().filter(|record| record.state.is_live()).map(live).collect();
        let mut named: BTreeMap<RunId, &'static str> = BTreeMap::new();
        for run in records.iter().map(|record| &record.run) {
            named.insert(run.clone(), "has orders about it");
        }
        for run in &erasure.exports {
            named.entry(run.clone()).or_insert("has it in its snapshots");
        }
        for run in &erasure.runs {
            named.entry(run.clone()).or_insert("names it");
        }
        let live: BTreeSet<RunId> = self.store.live_runs(job)?.into_iter().collect();
        let approved = self.store.approvals_that_hold(job, (self.clock)())?;
        let runs: BTreeMap<RunId, RunRecord> =
            self.store.runs(job, 0)?.into_iter().map(|run| (run.id.clone(), run)).collect();
        for (run, names) in &named {
            if let Some(record) = runs.get(run).filter(|record| record.state.is_held()) {
                found.push(Obstacle {
                    what: format!("run {run}, which {names}, is {}", record.state),
                    next: format!("muster review {run}"),
                });
            }
            if live.contains(run) {
                found.push(Obstacle {
                    what: format!("run {run}, which {names}, has orders that have not ended"),
                    next: format!("muster review {run}"),
                });
            }
            if let Some(until) = approved.get(run) {
                found.push(Obstacle {
                    what: format!("an approval of run {run}, which {names}, holds until {}", until.format("%F %TZ")),
                    next: "the same command again, after that".to_owned(),
                });
            }
        }
        let about: BTreeSet<RunId> = named.into_keys().collect();
        for (order, run, undone) in self.store.live_undoing(job, &about)? {
            found.push(Obstacle {
                what: format!("order {order} waits to undo something of run {undone}"),
                next: format!("muster review {run}"),
            });
        }
        Ok(found)
    }

    /// Hands every order of the job whose plan is there to `tell`. A line that is none is left out: it is searched as text.
    pub(super) fn every_order(&self, mut tell: impl FnMut(Order)) -> Result<(), RunError> {
        for run in self.store.runs(&self.job.name, 0)? {
            let path = self.layout.orders(&self.job.name, &run.id);
            if path.is_file() {
                crate::store::plan_files::read_orders(&path)?.flatten().for_each(&mut tell);
            }
        }
        Ok(())
    }

    fn whom(&self, found: &super::erase_whom::Gone, kept: &[Kept]) -> Result<Whom, RunError> {
        let mut whom = self.keys_and_ids(found)?;
        let mut candidates = self.said_of(&whom)?;
        candidates.extend(self.cells_of(kept, &whom)?);
        candidates.extend(found.names.iter().cloned());
        whom.names = candidates.clone();
        whom.values = self.of_nobody_else(candidates, kept, &whom)?;
        Ok(whom)
    }
}

/// A live order, and what ends it.
fn live(record: &OrderRecord) -> Obstacle {
    let OrderRecord { id, run, operation, resource, state, job, .. } = record;
    let reject = format!("muster reject {run} --order {id} --comment …");
    let next = match state {
        OrderState::InFlight => format!("muster run {job}, which looks up what became of it"),
        OrderState::Uncertain => format!("muster settle {id} --took-effect or --had-no-effect"),
        OrderState::Approved => format!("muster apply {job}, or {reject}"),
        _ => reject,
    };
    Obstacle { what: format!("order {id} ({operation} {resource}) is {state}"), next }
}

/// How many orders and entries an erasure came to, in words.
pub fn told(rows: &ErasedRows) -> String {
    let parts = [
        (rows.orders, "order"),
        (rows.naming, "order of others that named it"),
        (rows.attempts, "try"),
        (rows.links, "link"),
        (rows.texts, "text"),
    ];
    let mut said: Vec<String> = Vec::new();
    for (number, what) in parts.into_iter().filter(|(number, _)| *number > 0) {
        said.push(match (what, number) {
            ("try", 2..) => format!("{number} tries"),
            ("order of others that named it", 2..) => format!("{number} orders of others that named it"),
            _ => counted(number, what),
        });
    }
    let entries = match rows.entries {
        1 => "1 entry of the log".to_owned(),
        many => format!("{} entries of the log", crate::model::numbers::count(many)),
    };
    said.push(entries);
    said.join(", ")
}
