//! One run on the page: its plan, its orders, where they stand, and what is decided of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::desk::{Decided, Desk};
use super::draft::Draft;
use super::filter::{self, Query};
use super::index::{Index, IndexError};
use super::live::Live;
use crate::model::approval::plan_changed;
use crate::model::digest::Digest;
use crate::model::plan::Plan;
use crate::model::record::RunRecord;
use crate::model::run::RunId;
use crate::store::database::Store;

/// Searches that are remembered: pages of one list, and the one before it.
const REMEMBERED: usize = 4;

/// One run.
pub(super) struct Sheet {
    pub(super) run: RunId,
    /// The digest that decisions are bound to.
    pub(super) digest: Option<Digest>,
    /// Its plan; a sentence where that is lost.
    pub(super) plan: Option<Result<Plan, String>>,
    index: OnceLock<Result<Index, String>>,
    /// Bytes of orders.ndjson that were read, and that there are.
    read: AtomicU64,
    size: u64,
    face: Mutex<Face>,
}

/// What of a run changes while the page is open.
pub(super) struct Face {
    pub(super) live: Live,
    pub(super) draft: Draft,
    /// Counts how often it was read anew.
    pub(super) generation: u64,
    /// A review of it is being sealed: nothing else is decided meanwhile.
    pub(super) is_sealing: bool,
    found: Vec<Found>,
}

/// The orders that a search found.
#[derive(Clone)]
pub(super) struct Found {
    query: Query,
    generation: u64,
    revision: u64,
    pub(super) places: Arc<Vec<u32>>,
    /// Of these, the ones that can be approved.
    pub(super) approvable: u64,
    /// Of these, the ones that wait and can be rejected.
    pub(super) rejectable: u64,
    /// Of these, the ones that are decided on.
    pub(super) decided: u64,
}

impl Sheet {
    /// A run, before its orders are read.
    pub(super) fn open(store: &Store, desk: &dyn Desk, record: RunRecord) -> Result<Self, String> {
        let (run, digest) = (record.id.clone(), record.plan_digest.clone());
        let plan = digest.as_ref().map(|_| store.registered_plan(&run).map_err(|why| desk.lost(store, &record, &why)));
        let size = std::fs::metadata(store.layout().orders(&record.job, &run)).map_or(0, |file| file.len());
        let live = Live::of_run(store, desk, record)?;
        let draft = Draft::default();
        let face = Face { live, draft, generation: 0, is_sealing: false, found: Vec::new() };
        Ok(Self { run, digest, plan, index: OnceLock::new(), read: AtomicU64::new(0), size, face: Mutex::new(face) })
    }

    /// Reads its orders, and where they stand.
    pub(super) fn load(&self, store: &Store, desk: &dyn Desk, seed: u64) {
        let Some(Ok(plan)) = &self.plan else { return };
        let path = store.layout().orders(&plan.job, &self.run);
        let read = Index::read(&path, (&plan.orders_digest, plan.orders), seed, |bytes| {
            self.read.store(bytes, Ordering::Relaxed)
        });
        let index = read.map_err(|why| match why {
            IndexError::Changed { .. } | IndexError::Unread { .. } => {
                let written = plan.orders_digest.short();
                let what = format!("{why}, written was {written}");
                format!("{}; plan anew with `muster run {}`", plan_changed(&self.run, &what), plan.job)
            }
            _ => why.to_string(),
        });
        let index = index.and_then(|index| {
            let live = Live::of_orders(store, desk, self.face().live.record.clone(), &index)?;
            let mut face = self.face();
            face.take(live);
            Ok(index)
        });
        // It is read once.
        let _ = self.index.set(index);
    }

    /// Reads anew where it stands.
    pub(super) fn refresh(&self, store: &Store, desk: &dyn Desk, record: RunRecord) -> Result<(), String> {
        let live = match self.index.get() {
            Some(Ok(index)) => Live::of_orders(store, desk, record, index)?,
            _ => Live::of_run(store, desk, record)?,
        };
        self.face().take(live);
        Ok(())
    }

    /// What of it changes.
    pub(super) fn face(&self) -> MutexGuard<'_, Face> {
        // What a panic left is whole: every change is one assignment.
        self.face.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its orders; `None` while they are read, and where there are none to be read.
    pub(super) fn index(&self) -> Option<Result<&Index, &str>> {
        self.index.get().map(|index| index.as_ref().map_err(String::as_str))
    }

    /// Why nothing of it can be decided, where its plan is lost or is not what was registered.
    pub(super) fn failure(&self) -> Option<&str> {
        match (&self.plan, self.index()) {
            (Some(Err(why)), _) => Some(why),
            (_, Some(Err(why))) => Some(why),
            _ => None,
        }
    }

    /// How much of its orders is read, and of how much, in bytes; `None` where nothing is to be waited for.
    pub(super) fn reading(&self) -> Option<(u64, u64)> {
        let waits = matches!(self.plan, Some(Ok(_))) && self.index.get().is_none();
        waits.then(|| (self.read.load(Ordering::Relaxed).min(self.size), self.size))
    }

    /// The orders that a query means.
    pub(super) fn find(&self, face: &mut Face, index: &Index, query: &Query) -> Found {
        let Face { live, draft, generation, found, .. } = face;
        let fits = |one: &Found| {
            one.query == *query
                && one.generation == *generation
                && (query.draft.is_none() || one.revision == draft.revision)
        };
        let known = found.iter().position(fits).map(|at| found.remove(at));
        let mut one = known.unwrap_or_else(|| Found {
            query: query.clone(),
            generation: *generation,
            revision: u64::MAX,
            places: Arc::new(filter::find(index, live, |place| draft.decision(place), query)),
            approvable: 0,
            rejectable: 0,
            decided: 0,
        });
        if one.revision != draft.revision {
            (one.approvable, one.rejectable, one.decided) = (0, 0, 0);
            for place in one.places.iter().map(|place| *place as usize) {
                one.approvable += u64::from(draft.may_approve(live, place));
                one.rejectable += u64::from(live.waits(place));
                one.decided += u64::from(draft.decision(place).is_some());
            }
            one.revision = draft.revision;
        }
        found.insert(0, one.clone());
        found.truncate(REMEMBERED);
        one
    }

    /// The review as it is drafted, to be sealed.
    pub(super) fn decided(&self, face: &Face, comment: &str) -> Decided {
        let draft = &face.draft;
        let mut decisions = BTreeMap::new();
        if let Some(Ok(index)) = self.index() {
            decisions.extend(draft.decided().map(|(place, decision)| (index.entries[place].id(), decision)));
        }
        let mut comment = comment.trim().to_owned();
        for (name, acceptance) in &draft.accepted {
            comment.push_str(&format!("\n{name}: {}", acceptance.reason));
        }
        let accepted = draft.accepted.iter().map(|(name, one)| (name.clone(), one.figure.clone())).collect();
        let plan = self.digest.clone().filter(|_| matches!(self.plan, Some(Ok(_))));
        Decided { plan, decisions, accepted, comment }
    }
}

impl Face {
    fn take(&mut self, live: Live) {
        self.live = live;
        self.generation += 1;
        // What is being sealed is settled by the seal.
        if !self.is_sealing {
            self.draft.follow(&self.live);
        }
        // What was found is not what would be found now.
        self.found.clear();
    }
}
