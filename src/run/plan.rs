//! From proved snapshots to a plan on disk and its orders in the database.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use super::demand;
use super::error::RunError;
use super::explain::ExplainRequest;
use super::link_check::would_differ;
use super::links_ahead::LinksAhead;
use super::live::Database;
use super::offers::Offers;
use super::offload::compute;
use super::plan_input::{Memories, Snapshots, open, sync_inputs};
use super::prove::Proof;
use crate::job::{Job, Sync, SyncKind};
use crate::model::digest::Digest;
use crate::model::event::Event;
use crate::model::link::{Link, Links};
use crate::model::numbers::counted;
use crate::model::order::{BlockReason, Order, OrderState};
use crate::model::plan::{Plan, Reverted};
use crate::model::record::{Hold, HoldKind, Withholding};
use crate::model::resource::ResourceName;
use crate::model::run::{RunId, RunState};
use crate::reconcile::draft::{ListedObject, PlanDraft};
use crate::reconcile::explanation::{OrdersInQuestion, explain_orders};
use crate::reconcile::input::{UnplannedRows, Wishes};
use crate::reconcile::policy::EndSync;
use crate::reconcile::single::assemble_only;
use crate::reconcile::threshold::Counted;
use crate::reconcile::{PlanInput, assemble};
use crate::store::baselines::Baseline;
use crate::store::plan_files;
use crate::store::raise::{NewOrder, RegisterPlan};

/// How to plan.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Everything is planned as blocked.
    pub block: bool,
    /// What was rejected is asked again.
    pub ask_again: bool,
    /// One object alone, by whatever it goes by, and the resource where that is to be looked for.
    pub only: Option<ExplainRequest>,
}

/// Links that are written in one transaction: a first load finds as many as there are objects.
const LINKS_AT_ONCE: usize = 50_000;

/// What was read before the systems were exported.
pub(super) struct Remembered {
    pub(super) links: LinksAhead,
    /// What was withheld by then: the snapshots are younger, and may show that it is not wanted any more.
    pub(super) withholding: Vec<Withholding>,
    /// What a person should know besides, in sentences.
    pub(super) notes: Vec<String>,
}

impl Remembered {
    /// All is read when it is needed, and nothing lapses.
    pub(super) fn nothing() -> Self {
        Self { links: LinksAhead::none(), withholding: Vec::new(), notes: Vec::new() }
    }
}

/// How a plan ended.
pub(super) struct Planned {
    pub(super) state: RunState,
    /// Syncs of which no row can be judged, by id.
    pub(super) judges_nobody: Vec<String>,
}

/// What a plan is made from and about, besides its orders.
pub(super) struct Basis {
    /// SHA-256 of each snapshot.
    pub(super) snapshots: BTreeMap<ResourceName, Digest>,
    /// The run that it undoes, where it does.
    pub(super) reverts: Option<Reverted>,
    /// What holds its run besides, where anything of the plan is held.
    pub(super) holds: Vec<Hold>,
}

/// The rows of all snapshots that are used.
fn rows_of(proof: &Proof) -> u64 {
    let rows = |name: &ResourceName| proof.manifest.resource(&name.system, &name.resource).map_or(0, |one| one.rows);
    proof.usable.iter().map(rows).sum()
}

impl Conductor {
    /// Plans every sync whose snapshots may be used, and registers the plan. The run's state says how it ended.
    pub(super) async fn plan(
        &mut self,
        run: &RunId,
        proof: &Proof,
        options: &PlanOptions,
        known: Remembered,
    ) -> Result<Planned, RunError> {
        let targets = self.ask_targets(proof).await?;
        let (mut draft, snapshots) = compute(|| self.draft(proof, &targets, options, known, false))?;
        // One row alone says nothing of the others.
        let judges_nobody = if options.only.is_none() { std::mem::take(&mut draft.judges_nobody) } else { Vec::new() };
        let state = self.register(run, proof, draft, &snapshots, &targets, options.only.is_none())?;
        Ok(Planned { state, judges_nobody })
    }

    /// What a plan from these snapshots would come to, and every object that is not confirmed, as of what the targets
    /// offered then. Asks no system and writes nothing.
    pub(super) fn survey(&self, proof: &Proof) -> Result<Vec<ListedObject>, RunError> {
        let targets = self.kept_targets(&proof.manifest.run)?;
        let (draft, _) = compute(|| self.draft(proof, &targets, &PlanOptions::default(), Remembered::nothing(), true))?;
        Ok(draft.listed)
    }

    /// A sync is planned only where every snapshot that it depends on may be used; an association also needs the
    /// syncs of its ends.
    pub(super) fn plannable(&self, index: usize, proof: &Proof) -> bool {
        demand::snapshots_of(&self.job, index).is_subset(&proof.usable)
    }

    fn draft(
        &self,
        proof: &Proof,
        targets: &Offers,
        options: &PlanOptions,
        known: Remembered,
        list: bool,
    ) -> Result<(PlanDraft, Snapshots), RunError> {
        // A list is told at once; of a plan that takes its time, how far it is.
        let tell = |stage, rows| {
            if !list {
                self.reporter.event(&Event::Planning { stage, rows });
            }
        };
        tell("reading what is known of", Some(rows_of(proof)));
        let mut snapshots = open(&self.job, proof)?;
        let mut links = known.links.taken(&self.store)?;
        let mut memories = Vec::new();
        let mut earlier = self.earlier_mappings(&proof.manifest.run)?;
        for sync in self.job.syncs.iter().filter(|sync| self.plannable(sync.index, proof)) {
            let memory = self.remember(sync, targets, links.remove(&sync.id))?;
            memories.push((sync, Memories { earlier: earlier.remove(&sync.id), ..memory }));
        }
        snapshots.derive(&memories)?;
        let claimed = BTreeMap::new();
        let syncs = sync_inputs(&memories, &snapshots, &claimed);
        let unplanned = self.unplanned(proof, &snapshots, targets);
        let identities: BTreeSet<&str> = targets.values().map(|(identity, _)| identity.as_str()).collect();
        let live = self.live(&identities.into_iter().collect::<Vec<_>>())?;
        let (accepted, past) = (self.accepted_thresholds()?, self.past()?);
        let input = PlanInput {
            syncs: &syncs,
            unplanned: &unplanned,
            live: &live,
            memory: &Database { store: &self.store, job: &self.job.name },
            withholding: &known.withholding,
            ask_again: options.ask_again,
            accepted: &accepted,
            past: &past,
            block_all: options.block,
            wishes: self.wishes(list),
        };
        tell("comparing", Some(rows_of(proof)));
        let mut draft = match &options.only {
            None => assemble(&input)?,
            Some(only) => assemble_only(&input, &self.subject_of(&input, only)?)?,
        };
        if options.only.is_none() {
            draft.warnings.extend(known.notes);
        }
        if !list {
            let job_changed = self.job_changed()?;
            if job_changed && options.only.is_none() {
                draft.warnings.extend(would_differ(&self.job, &syncs)?);
            }
            let question = OrdersInQuestion { orders: &draft.orders, syncs: &syncs, job_changed };
            for excess in &mut draft.excesses {
                excess.explanation = Some(explain_orders(&question, excess)?);
            }
        }
        Ok((draft, snapshots))
    }

    /// What the job wants of every plan, as of now; with a list of all objects that are not confirmed where asked.
    pub(super) fn wishes(&self, list: bool) -> Wishes<'_> {
        let apply = &self.job.apply;
        Wishes { protect: &apply.protect, delete_after: apply.delete_after, now: (self.clock)(), list }
    }

    /// Associations of this plan's targets that cannot be planned now.
    fn unplanned<'a>(&'a self, proof: &Proof, snapshots: &'a Snapshots, targets: &'a Offers) -> Vec<UnplannedRows<'a>> {
        let unplanned = |sync: &'a Sync| {
            let SyncKind::Association(rows) = &sync.kind else { return None };
            let (_, offered) = targets.get(&sync.to.system).filter(|_| !self.plannable(sync.index, proof))?;
            let is_account = |end: Option<&EndSync>| {
                let end = end.and_then(|end| offered.resources.get(&end.to.resource));
                end.is_some_and(|offered| offered.enabled.is_some())
            };
            Some(UnplannedRows {
                sync: rows,
                target: snapshots.tables.get(&sync.to),
                accounts: [is_account(rows.ends.first()), is_account(rows.ends.get(1))],
                asked_again: offered.reads_back,
                account: offered.account.as_ref(),
            })
        };
        self.job.syncs.iter().filter_map(unplanned).collect()
    }

    /// Whether the job file is another than that of the last plan that was within its limits.
    fn job_changed(&self) -> Result<bool, RunError> {
        let runs = self.store.runs(&self.job.name, 0)?;
        let last = runs.into_iter().find(|run| run.state == RunState::Planned && run.plan_digest.is_some());
        Ok(last.is_some_and(|run| run.job_digest != self.job.digest))
    }

    /// What is remembered of a sync; its links, where they were not read ahead, are read now.
    pub(super) fn remember(&self, sync: &Sync, targets: &Offers, links: Option<Links>) -> Result<Memories, RunError> {
        let (identity, capabilities) = targets.get(&sync.to.system).cloned().unwrap_or_default();
        Ok(Memories {
            earlier: None,
            // A first load that waits for its review stays a first load.
            first_run: !self.store.has_links(&self.job.name, &sync.id)?,
            links: match links {
                Some(links) => links,
                None => self.store.links(&self.job.name, &sync.id)?,
            },
            identity,
            free: capabilities.free.get(&sync.to.resource).copied(),
            seats: capabilities.seats.get(&sync.to.resource).copied(),
            account: capabilities.account.clone(),
            capabilities: capabilities.resources.get(&sync.to.resource).cloned().unwrap_or_default(),
        })
    }

    /// Provisioning thresholds that a person accepted for runs whose orders still live, with the accepted figure.
    pub(super) fn accepted_thresholds(&self) -> Result<BTreeMap<String, u64>, RunError> {
        let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
        for run in self.store.live_runs(&self.job.name)? {
            let open = self.store.unaccepted_holds(&run)?;
            let holds = self.store.holds(&run)?.into_iter().filter(|h| h.kind == HoldKind::Plan && !open.contains(h));
            for hold in holds {
                if let Ok(figure) = hold.figure.parse::<u64>() {
                    let known = accepted.entry(hold.name).or_default();
                    *known = (*known).max(figure);
                }
            }
        }
        Ok(accepted)
    }

    fn register(
        &mut self,
        run: &RunId,
        proof: &Proof,
        draft: PlanDraft,
        snapshots: &Snapshots,
        targets: &Offers,
        is_whole: bool,
    ) -> Result<RunState, RunError> {
        let digests = snapshots.tables.keys().filter_map(|name| {
            Some((name.clone(), proof.manifest.resource(&name.system, &name.resource)?.sha256.clone()))
        });
        let basis = Basis { snapshots: digests.collect(), reverts: None, holds: proof.holds.clone() };
        let holds = self.write_plan(run, &draft, basis, targets)?;
        self.learn(&draft)?;
        self.promote(run, proof)?;
        let state = if !holds.is_empty() {
            RunState::HeldPlan
        } else if !proof.holds.is_empty() {
            self.store.hold(run, RunState::HeldSnapshot, &proof.holds, (self.clock)())?;
            RunState::HeldSnapshot
        } else {
            RunState::Planned
        };
        if draft.excesses.is_empty() && is_whole {
            self.replace_held(run, RunState::HeldPlan)?;
        }
        // To give back the memory of many orders takes a while, which nobody needs to wait for.
        std::thread::spawn(move || drop(draft));
        Ok(state)
    }

    /// Writes a plan's files and registers its orders; what holds it.
    pub(super) fn write_plan(
        &mut self,
        run: &RunId,
        draft: &PlanDraft,
        basis: Basis,
        targets: &Offers,
    ) -> Result<Vec<Hold>, RunError> {
        let now = (self.clock)();
        self.reporter.event(&Event::Planning { stage: "writing what is new", rows: None });
        let folder = self.layout.run_folder(&self.job.name, run);
        let plan = |orders_digest: &Digest| Plan {
            format_version: Plan::FORMAT,
            job: self.job.name.clone(),
            job_digest: self.job.digest.clone(),
            targets: targets.iter().map(|(system, (identity, _))| (system.clone(), identity.clone())).collect(),
            snapshots: basis.snapshots.clone(),
            orders_digest: orders_digest.clone(),
            orders: draft.orders.len() as u64,
            counts: draft.counts(),
            renames: draft.renames(),
            situations: draft.situations.clone(),
            sizes: draft.sizes.clone(),
            excesses: draft.excesses.clone(),
            warnings: draft.warnings.clone(),
            irreversible: draft.orders.iter().filter(|order| order.irreversible.is_some()).count() as u64,
            withheld: draft.withheld.clone(),
            reverts: basis.reverts.clone(),
        };
        let orders: Vec<NewOrder<'_>> = draft.orders.iter().map(|order| new_order(&self.job, order, targets)).collect();
        let mut holds = plan_holds(draft);
        if !holds.is_empty() {
            // Both may hold at once: the plan as a whole, and the syncs whose snapshots are in doubt.
            holds.extend(basis.holds.iter().cloned());
        }
        let register =
            RegisterPlan { run, orders: &orders, superseded: &draft.superseded, lapsed: &draft.lapsed, holds: &holds };
        // The files are written while the database takes the orders; they show before it says that they are there.
        std::thread::scope(|scope| {
            let files = scope.spawn(|| plan_files::begin(&folder, &draft.orders));
            let show = || {
                let files = files.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                let plan = plan(files.orders_digest());
                files.show(&plan)?;
                Ok(plan.digest())
            };
            self.store.register_plan(&register, show, now)
        })?;
        for (order, block) in &draft.reblocked {
            let state = if block.is_some() { OrderState::Blocked } else { OrderState::PendingReview };
            let why = block.as_ref().map_or("what blocked it is gone", |b| b.detail.as_str());
            self.store.set_order_state(order, state, block.as_ref(), why, now)?;
        }
        for warning in &draft.warnings {
            self.reporter.event(&Event::Warning(warning.clone()));
        }
        let blocked = draft.orders.iter().filter(|o| o.block.is_some()).count() as u64;
        self.reporter.event(&Event::Planned {
            run: run.clone(),
            orders: draft.orders.len() as u64,
            kept: draft.kept.len() as u64,
            superseded: draft.superseded.len() as u64,
            blocked,
        });
        for excess in &draft.excesses {
            self.reporter.event(&Event::Exceeded(excess.clone()));
        }
        if !draft.withheld.is_empty() {
            let orders = counted(draft.withheld.len() as u64, "order");
            let why = "rejected or undone before, and not raised again though wanted";
            self.reporter.event(&Event::Note(format!("{why}: {orders}; `muster review {run}` tells which")));
        }
        if !draft.handed_over.is_empty() {
            let orders = counted(draft.handed_over.len() as u64, "order");
            let why = "handed over to people before, and not done yet";
            self.reporter.event(&Event::Note(format!("{why}: {orders}; `muster list {} --withheld`", self.job.name)));
        }
        if !draft.lapsed.is_empty() {
            let orders = counted(draft.lapsed.len() as u64, "order");
            let why = "rejected, handed over or undone before, and not wanted any more, so that a person is asked when it is wanted again";
            self.reporter.event(&Event::Note(format!("{why}: {orders}")));
        }
        Ok(holds)
    }

    /// Remembers what the plan found confirmed, and forgets links whose object is gone.
    fn learn(&mut self, draft: &PlanDraft) -> Result<(), RunError> {
        let now = (self.clock)();
        for book in &draft.links {
            let dropped: Vec<String> = book.dropped.iter().map(|(source, ..)| source.clone()).collect();
            for (source, target, why) in &book.dropped {
                self.reporter.event(&Event::Note(format!("the link {source} → {target} is dropped: {why}")));
            }
            if !dropped.is_empty() {
                self.store.drop_links(&self.job.name, &book.sync_id, &dropped, "", now)?;
            }
            if !book.graces.is_empty() {
                self.store.set_graces(&self.job.name, &book.sync_id, &book.graces, now)?;
            }
            let mut links = book.links();
            loop {
                let some: Vec<Link> = links.by_ref().take(LINKS_AT_ONCE).collect();
                if some.is_empty() {
                    break;
                }
                self.store.put_links(&self.job.name, &book.sync_id, &some, "", now)?;
            }
        }
        Ok(())
    }

    /// Snapshots that are whole and within their limits, or accepted, become the baselines.
    pub(super) fn promote(&mut self, run: &RunId, proof: &Proof) -> Result<(), RunError> {
        let now = (self.clock)();
        let root = self.layout.root.clone();
        let mut baselines = Vec::new();
        for name in &proof.usable {
            let Some(exported) = proof.manifest.resource(&name.system, &name.resource) else { continue };
            let path = exported.path(&proof.folder)?;
            baselines.push(Baseline {
                job: self.job.name.clone(),
                resource: name.clone(),
                run: run.clone(),
                path: path.strip_prefix(&root).map(ToOwned::to_owned).unwrap_or(path),
                sha256: exported.sha256.clone(),
                rows: exported.rows,
                columns: exported.columns.clone(),
                key: exported.key.clone(),
                cursor: exported.cursor.clone(),
                mode: exported.mode,
                // Orders applied while the export ran may or may not be in it.
                at: proof.manifest.started,
            });
        }
        Ok(self.store.set_baselines(&baselines, now)?)
    }
}

/// What holds a plan: the thresholds that its own orders exceed. One that is exceeded only through orders of an earlier
/// held run adds nothing to accept.
fn plan_holds(draft: &PlanDraft) -> Vec<Hold> {
    // What waits for a person's word anyway is counted all the same, and lifted by that word alone.
    let counts = |order: &Order| {
        let mut by = draft.excesses.iter().filter_map(|excess| Counted::by(&excess.name, &order.resource));
        by.any(|by| by.counts(order.operation, &order.thresholds))
    };
    let concerned = |order: &Order| match order.block.as_ref().map(|block| block.reason) {
        Some(BlockReason::Threshold) => true,
        Some(BlockReason::LowConfidence) => counts(order),
        _ => false,
    };
    if !draft.orders.iter().any(concerned) {
        return Vec::new();
    }
    draft.excesses.iter().map(|excess| Hold::of(HoldKind::Plan, excess)).collect()
}

fn new_order<'a>(job: &'a Job, order: &'a Order, targets: &'a Offers) -> NewOrder<'a> {
    NewOrder {
        order,
        raised: order.id.0.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(1),
        sync_id: job.syncs.get(order.sync).map_or("", |sync| sync.id.as_str()),
        target_identity: targets.get(&order.resource.system).map_or("", |(identity, _)| identity.as_str()),
    }
}
