//! Undoing a run: a new plan from the before-images of what it applied, held against how the targets stand now.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;

use super::Conductor;
use super::error::RunError;
use super::live::Database;
use super::offers::Offers;
use super::offload::compute;
use super::plan::Basis;
use super::stage::{RunOptions, Stage};
use super::undo_guards::Undoing;
use crate::connector::source::Source;
use crate::job::{Sync, SyncKind};
use crate::model::event::Event;
use crate::model::evidence::Mode;
use crate::model::failure::{Failure, Recourse};
use crate::model::numbers::counted;
use crate::model::order::{End, EndRef, Operation, Order, OrderId, OrderState};
use crate::model::outcome::Outcome;
use crate::model::plan::{LeftOrder, Plan, Reverted};
use crate::model::record::{OrderRecord, RunRecord};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::reconcile::revert::{AppliedOrder, Now, Preflight, assemble_revert};
use crate::reconcile::threshold::Loads;
use crate::reconcile::{PlanDraft, PlanInput};
use crate::store::erased_files::WHY;

/// Rows that are asked about at once.
const ROWS_AT_ONCE: usize = 500;

/// What is to be undone.
#[derive(Clone, Debug)]
pub struct RevertOptions {
    /// The id of the run that plans it.
    pub run: RunId,
    /// The run that is undone.
    pub of: RunId,
    /// Only these orders of it; all where there are none.
    pub orders: BTreeSet<OrderId>,
    /// Only orders of this kind.
    pub kind: Option<(Operation, ResourceName)>,
}

/// What a plan that undoes a run came to.
#[derive(Debug)]
pub struct RevertEnd {
    /// Where the run that planned it stands.
    pub state: RunState,
    /// New orders.
    pub orders: u64,
    /// Orders of earlier runs that ask for the same already.
    pub kept: u64,
    /// Applied orders that no order undoes.
    pub left: Vec<LeftOrder>,
}

/// An applied order that is to be undone, and what is known about it.
pub(super) struct Candidate<'j> {
    pub(super) applied: AppliedOrder,
    pub(super) sync: &'j Sync,
}

pub(super) type Sources = BTreeMap<String, Arc<dyn Source>>;

impl Conductor {
    /// Plans the inverse of what a run applied, for the same review as any plan. Sends nothing.
    pub async fn revert(&mut self, options: &RevertOptions) -> Result<RevertEnd, RunError> {
        self.recover().await?;
        let of = self.store.run(&options.of)?;
        let plan = self.plan_to_undo(&of)?;
        let chosen = self.applied_orders(options)?;
        let systems: BTreeSet<&str> = chosen.iter().map(|record| record.resource.system.as_str()).collect();
        let (sources, offers) = self.same_targets(&of, &plan, systems).await?;
        let run = RunOptions {
            run: options.run.clone(),
            mode: Mode::Complete,
            stage: Stage::Plan,
            plan: Default::default(),
            from: None,
        };
        self.layout.create_run(&self.job.name, &options.run)?;
        self.begin(&run, None, Some(&of.id))?;
        match self.plan_revert(options, &chosen, &sources, &offers).await {
            Ok(end) => Ok(end),
            Err(error) => {
                self.store.set_run_state(&options.run, RunState::Failed, &error.to_string(), (self.clock)())?;
                Err(error)
            }
        }
    }

    /// The plan of the run that is to be undone.
    fn plan_to_undo(&self, of: &RunRecord) -> Result<Plan, RunError> {
        let cannot = |why: String| Err(RunError::Here(format!("run {} cannot be reverted: {why}", of.id)));
        if of.plan_digest.is_none() {
            return cannot("it has no plan, so that nothing of it was applied".to_owned());
        }
        let folder = self.layout.run_folder(&self.job.name, &of.id);
        if !folder.join("plan.json").is_file() || !folder.join("orders.ndjson").is_file() {
            return cannot(format!(
                "its plan, which holds what was there before, is gone from {} (a run can be undone as long as [retention] keeps it); restore the folder from a backup, or set the objects right at the source and run again",
                folder.display()
            ));
        }
        Ok(self.store.verify_plan(&of.id)?)
    }

    /// The orders that are to be undone.
    fn applied_orders(&self, options: &RevertOptions) -> Result<Vec<OrderRecord>, RunError> {
        let of = &options.of;
        let cannot = |why: String| Err(RunError::Here(format!("run {of} cannot be reverted: {why}")));
        let mut records = self.store.orders_of(of)?;
        if let Some(unknown) = options.orders.iter().find(|id| !records.iter().any(|record| record.id == **id)) {
            return cannot(format!("it has no order {unknown}; `muster review {of} --all` lists its orders"));
        }
        records.retain(|record| options.orders.is_empty() || options.orders.contains(&record.id));
        if let Some((operation, resource)) = &options.kind {
            records.retain(|record| record.operation == *operation && record.resource == *resource);
        }
        let open = |r: &&OrderRecord| matches!(r.state, OrderState::InFlight | OrderState::Uncertain);
        if let Some(open) = records.iter().find(open) {
            return cannot(format!(
                "order {} ({} {} `{}`) is {}, so that nobody knows what there is to undo; look at the target, then `muster settle {} --took-effect` or `--had-no-effect`, or name other orders with --order",
                open.id, open.operation, open.resource, open.key, open.state, open.id
            ));
        }
        let mut states: BTreeMap<OrderState, u64> = BTreeMap::new();
        records.iter().for_each(|record| *states.entry(record.state).or_default() += 1);
        records.retain(|record| record.state == OrderState::Applied);
        if records.is_empty() {
            let states: Vec<String> = states.iter().map(|(state, number)| format!("{number} {state}")).collect();
            let has = if states.is_empty() { "no such orders".to_owned() } else { states.join(", ") };
            return cannot(format!("nothing of it is applied ({has}); `muster report {of}` says what became of it"));
        }
        Ok(records)
    }

    /// The targets of the run that is undone, after making sure that the job still names the same addresses.
    async fn same_targets(
        &self,
        of: &RunRecord,
        plan: &Plan,
        systems: BTreeSet<&str>,
    ) -> Result<(Sources, Offers), RunError> {
        let (mut sources, mut offers) = (Sources::new(), Offers::new());
        for system in systems {
            let source = self.source(system).await?;
            let (then, now) = (plan.targets.get(system).map_or("", String::as_str), source.identity());
            if then != now {
                return Err(RunError::Here(format!(
                    "run {} cannot be reverted: it was applied to {system} = `{then}`, and the job file names `{now}` now, where the same ids may be others; put the address back, and revert again",
                    of.id
                )));
            }
            let capabilities = source.capabilities().await?;
            sources.insert(system.to_owned(), source);
            offers.insert(system.to_owned(), (now, capabilities));
        }
        Ok((sources, offers))
    }

    async fn plan_revert(
        &mut self,
        options: &RevertOptions,
        chosen: &[OrderRecord],
        sources: &Sources,
        offers: &Offers,
    ) -> Result<RevertEnd, RunError> {
        let mut left = Vec::new();
        let (undoing, named) = {
            let job = self.job.clone();
            let candidates = self.candidates(&options.of, chosen, &job.syncs, &mut left)?;
            let standing = self.look_at(&candidates, sources).await?;
            let mut undoing = Vec::new();
            for (candidate, now) in candidates.iter().zip(&standing) {
                match self.invert(options, candidate, now, offers) {
                    Ok(order) => undoing.push((order, candidate.applied.identity.clone())),
                    Err(reason) => left.push(reason),
                }
            }
            let named: BTreeMap<OrderId, Order> =
                candidates.into_iter().map(|c| (c.applied.order.id.clone(), c.applied.order)).collect();
            (undoing, named)
        };
        let preflight = self.preflight(&undoing, sources, offers).await?;
        let (draft, in_the_way) = compute(|| self.draft_revert(undoing, &preflight, offers))?;
        for (id, why) in in_the_way {
            left.extend(named.get(&id).map(|order| LeftOrder::of(order, why, false)));
        }
        let place: BTreeMap<&OrderId, u64> = chosen.iter().map(|record| (&record.id, record.seq)).collect();
        left.sort_by_key(|left| place.get(&left.order).copied());
        let reverts = Reverted { run: options.of.clone(), left: left.clone() };
        let basis = Basis { snapshots: BTreeMap::new(), reverts: Some(reverts), holds: Vec::new() };
        let holds = self.write_plan(&options.run, &draft, basis, offers)?;
        let state = if holds.is_empty() { RunState::Planned } else { RunState::HeldPlan };
        self.store.set_run_state(&options.run, state, &format!("undoes run {}", options.of), (self.clock)())?;
        if !left.is_empty() {
            let orders = counted(left.len() as u64, "applied order");
            self.reporter.event(&Event::Note(format!("{orders} left as they are; plan.json says why, one by one")));
        }
        Ok(RevertEnd { state, orders: draft.orders.len() as u64, kept: draft.kept.len() as u64, left })
    }

    /// What is known about each applied order; those of which too little is known are left.
    fn candidates<'j>(
        &self,
        of: &RunId,
        chosen: &[OrderRecord],
        syncs: &'j [Sync],
        left: &mut Vec<LeftOrder>,
    ) -> Result<Vec<Candidate<'j>>, RunError> {
        let outcomes: BTreeMap<OrderId, Outcome> =
            self.store.outcomes(of)?.into_iter().map(|outcome| (outcome.order.clone(), outcome)).collect();
        let records: BTreeMap<&OrderId, &OrderRecord> = chosen.iter().map(|record| (&record.id, record)).collect();
        let (mut known, mut found) = (BTreeMap::new(), Vec::new());
        for order in self.store.read_orders(of)? {
            let mut order = order?;
            let Some(record) = records.get(&order.id) else { continue };
            let Some(sync) = syncs.iter().find(|sync| sync.id == record.sync_id) else {
                let why = format!("the job has no sync `{}` any more; put it back to undo this", record.sync_id);
                left.push(LeftOrder::of(&order, why, false));
                continue;
            };
            if record.is_erased {
                let why = format!("{WHY}, so that nobody knows any more what there is to undo");
                left.push(LeftOrder::of(&order, why, false));
                continue;
            }
            order.sync = sync.index;
            let outcome = outcomes.get(&order.id);
            let mut target_id = outcome.and_then(|o| o.target_id.clone()).or_else(|| order.target_id.clone());
            if let (None, Some(key), true) = (&target_id, &order.source_key, order.ends.is_empty()) {
                target_id = self.store.link_of(&self.job.name, &sync.id, key)?.map(|link| link.target_id);
            }
            if target_id.is_none() && order.ends.is_empty() {
                let why = "it is not known under which id the target keeps its object".to_owned();
                left.push(LeftOrder::of(&order, why, false));
                continue;
            }
            let ends = match self.resolve(&order, &mut known)? {
                Ok(ids) => order.ends.iter().map(|end| at_target(end, &ids)).collect(),
                Err(why) => {
                    left.push(LeftOrder::of(&order, why, false));
                    continue;
                }
            };
            let order = match self.with_ids(order, &mut known)? {
                Ok(order) => order,
                Err((order, why)) => {
                    left.push(LeftOrder::of(&order, why, false));
                    continue;
                }
            };
            let (effected, identity) = (outcome.and_then(|o| o.effected), record.target_identity.clone());
            found.push(Candidate { applied: AppliedOrder { order, effected, target_id, ends, identity }, sync });
        }
        Ok(found)
    }

    /// How the target stands with each order, in their sequence.
    async fn look_at(&self, candidates: &[Candidate<'_>], sources: &Sources) -> Result<Vec<Now>, RunError> {
        let at_once = self.job.apply.concurrency.max(1);
        let mut standing: Vec<Now> = vec![Now::Object(None); candidates.len()];
        let objects = candidates.iter().enumerate().filter(|(_, c)| c.applied.order.ends.is_empty());
        let objects = objects.filter_map(|(at, c)| {
            let order = &c.applied.order;
            let source = sources.get(&order.resource.system)?.clone();
            Some((at, source, order.resource.resource.clone(), c.applied.target_id.clone()?))
        });
        let mut read = futures::stream::iter(objects.collect::<Vec<_>>())
            .map(|(at, source, resource, id)| async move { (at, source.get(&resource, &id).await) })
            .buffered(at_once);
        while let Some((at, found)) = read.next().await {
            standing[at] = match found {
                Ok(object) => Now::Object(object.map(|object| object.attributes)),
                Err(failure) => unreadable(failure)?,
            };
        }
        let gone = self.ends_that_are_gone(candidates, sources).await?;
        let mut rows: BTreeMap<&ResourceName, Vec<usize>> = BTreeMap::new();
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| !c.applied.order.ends.is_empty()) {
            rows.entry(&candidate.applied.order.resource).or_default().push(at);
        }
        for (name, mut places) in rows {
            let Some(source) = sources.get(&name.system) else { continue };
            // Rows of one owner are read with it, once.
            places.sort_by_cached_key(|at| ids(&candidates[*at].applied.ends));
            for some in places.chunks(ROWS_AT_ONCE) {
                let asked: Vec<BTreeMap<String, String>> =
                    some.iter().map(|at| ids(&candidates[*at].applied.ends)).collect();
                let tied = source.holds(&name.resource, &asked).await;
                for (number, at) in some.iter().enumerate() {
                    let missing = candidates[*at].applied.ends.iter().filter(|end| gone.contains(&place_of(end)));
                    let missing = missing.map(|end| format!("its {} `{}` is", end.name, end.label)).collect();
                    standing[*at] = match &tied {
                        Ok(tied) => Now::Row(tied.get(number).copied().unwrap_or(false), missing),
                        Err(failure) => unreadable(failure.clone())?,
                    };
                }
            }
        }
        Ok(standing)
    }

    /// Ends of rows that would be added again, and that the target has no more.
    async fn ends_that_are_gone(
        &self,
        candidates: &[Candidate<'_>],
        sources: &Sources,
    ) -> Result<HashSet<(ResourceName, String)>, RunError> {
        let removed = candidates.iter().filter(|c| c.applied.order.operation == Operation::Remove);
        let ends: BTreeSet<(ResourceName, String)> = removed.flat_map(|c| &c.applied.ends).map(place_of).collect();
        let asked = ends.into_iter().filter_map(|(name, id)| Some((sources.get(&name.system)?.clone(), name, id)));
        let mut read = futures::stream::iter(asked.collect::<Vec<_>>())
            .map(|(source, name, id)| async move {
                let found = source.get(&name.resource, &id).await;
                (name, id, found)
            })
            .buffered(self.job.apply.concurrency.max(1));
        let mut gone = HashSet::new();
        while let Some((name, id, found)) = read.next().await {
            match found {
                Ok(None) => drop(gone.insert((name, id))),
                // What cannot be read now is tried all the same: the target has the last word.
                Ok(Some(_)) => {}
                Err(failure) => drop(unreadable(failure)?),
            }
        }
        Ok(gone)
    }

    fn draft_revert(
        &self,
        undoing: Vec<Undoing>,
        preflight: &Preflight,
        offers: &Offers,
    ) -> Result<(PlanDraft, BTreeMap<OrderId, String>), RunError> {
        let identities: BTreeSet<&str> = offers.values().map(|(identity, _)| identity.as_str()).collect();
        let live = self.live(&identities.into_iter().collect::<Vec<_>>())?;
        let (accepted, past) = (self.accepted_thresholds()?, self.past()?);
        let touched: BTreeSet<&ResourceName> = undoing.iter().map(|(order, _)| &order.resource).collect();
        let loads = self.loads(&touched)?;
        let input = PlanInput {
            syncs: &[],
            unplanned: &[],
            live: &live,
            memory: &Database { store: &self.store, job: &self.job.name },
            withholding: &[],
            // Whoever asks for it asks again.
            ask_again: true,
            accepted: &accepted,
            past: &past,
            block_all: false,
            wishes: self.wishes(false),
        };
        drop(touched);
        Ok(assemble_revert(&input, undoing, preflight, loads)?)
    }

    /// What the thresholds of some resources are held against: as many objects as are linked, or rows as were counted
    /// last or added since.
    fn loads(&self, touched: &BTreeSet<&ResourceName>) -> Result<Loads<'_>, RunError> {
        let runs = self.store.runs(&self.job.name, 200)?;
        let newest = runs.iter().find_map(|run| self.store.registered_plan(&run.id).ok());
        let counted_last = newest.map(|plan| plan.sizes).unwrap_or_default();
        let mut loads = Loads::default();
        for sync in self.job.syncs.iter().filter(|sync| touched.contains(&sync.to)) {
            let remembered = self.store.managed_count(&self.job.name, &sync.id)?;
            let last = counted_last.get(&sync.to.to_string()).copied().unwrap_or(0);
            let load = loads.of(&sync.to);
            let (thresholds, scoped) = match &sync.kind {
                SyncKind::Objects(objects) => {
                    load.size += remembered;
                    (&objects.thresholds, &objects.scoped)
                }
                SyncKind::Association(rows) => {
                    load.size = load.size.max(remembered).max(last);
                    (&rows.thresholds, &rows.scoped)
                }
            };
            load.thresholds.push(thresholds);
            for scoped in scoped {
                let size = counted_last.get(&format!("{}/{}", sync.to, scoped.name)).copied().unwrap_or(0);
                loads.of_scope(&sync.to, scoped).size = size;
            }
        }
        Ok(loads)
    }
}

fn at_target(end: &End, ids: &BTreeMap<String, String>) -> End {
    let object = ids.get(&end.name).map_or_else(|| end.object.clone(), |id| EndRef::Target(id.clone()));
    End { object, ..end.clone() }
}

fn ids(ends: &[End]) -> BTreeMap<String, String> {
    let id = |end: &End| match &end.object {
        EndRef::Target(id) => (end.name.clone(), id.clone()),
        EndRef::Order(order) => (end.name.clone(), order.0.clone()),
    };
    ends.iter().map(id).collect()
}

fn place_of(end: &End) -> (ResourceName, String) {
    let id = match &end.object {
        EndRef::Target(id) => id.clone(),
        EndRef::Order(order) => order.0.clone(),
    };
    (end.resource.clone(), id)
}

/// A failure that concerns one object alone leaves that one; any other ends the command.
fn unreadable(failure: Failure) -> Result<Now, RunError> {
    if failure.recourse == Recourse::GiveUp {
        return Ok(Now::Unknown(format!("it cannot be read now: {}", failure.sentence())));
    }
    Err(failure.into())
}
