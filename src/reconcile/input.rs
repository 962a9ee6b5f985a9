//! What a plan is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::capabilities::{OwnAccount, ResourceCapabilities};
use crate::model::digest::Digest;
use crate::model::link::Links;
use crate::model::order::{BlockReason, Change, EndRef, Fingerprint, ObjectKey, Operation, Order, OrderId, OrderState};
use crate::model::record::{Reversal, TakenBack, Withholding};
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::rules::lookup::Lookups;
use crate::rules::mapping::Mapping;
use crate::snapshot::table::Table;

use super::derived::Derived;
use super::error::ReconcileError;
use super::policy::{AssociationSync, ObjectSync};
use super::threshold::{Bygone, Settled};

/// Everything that a plan depends on: the same input gives the same draft.
pub struct PlanInput<'a> {
    /// The syncs that can be planned, in the job's order. A sync whose system is held is left out, and its live orders
    /// with it.
    pub syncs: &'a [SyncInput<'a>],
    /// Associations of the same targets that cannot be planned now: who must not be locked out hangs on them all the same.
    pub unplanned: &'a [UnplannedRows<'a>],
    /// The live orders of this job, and those of other jobs for the same targets.
    pub live: &'a [LiveOrder],
    /// What earlier runs ordered.
    pub memory: &'a dyn Memory,
    /// Orders because of which something is withheld: those that were decided on before any snapshot of this plan was
    /// begun, so that it may find that the same is not wanted any more.
    pub withholding: &'a [Withholding],
    /// Whether what was rejected is asked again.
    pub ask_again: bool,
    /// Provisioning thresholds that a person accepted, with the figure that was accepted.
    pub accepted: &'a BTreeMap<String, u64>,
    /// What thresholds over time count besides.
    pub past: &'a Past,
    /// The run blocks provisioning (`run --block`).
    pub block_all: bool,
    /// What concerns each object alike.
    pub wishes: Wishes<'a>,
}

/// What was applied lately, as far back as the longest window of the job's thresholds.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Orders that were applied; those of a sync's first load are left out.
    pub applied: Vec<BygoneOrders>,
    /// What of it was accepted.
    pub settled: Settled,
}

/// Orders of one kind that were applied together.
#[derive(Clone, Debug)]
pub struct BygoneOrders {
    /// The resource type or association.
    pub resource: ResourceName,
    /// What they did.
    pub operation: Operation,
    /// The scoped thresholds that count them.
    pub thresholds: Vec<String>,
    /// When, of which run, how many.
    pub bygone: Bygone,
}

/// What the job and the caller want of every object.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Objects never to be touched, as the job writes them: `vault.users/KEY`.
    pub protect: &'a BTreeSet<String>,
    /// The job's grace between disable and delete.
    pub delete_after: Option<Duration>,
    /// The moment, for what becomes due.
    pub now: DateTime<Utc>,
    /// Whether [`super::PlanDraft::listed`] is wanted: one entry for each object that is not confirmed.
    pub list: bool,
}

/// One sync with its snapshots and its memory.
pub enum SyncInput<'a> {
    /// Objects into objects.
    Objects(ObjectInput<'a>),
    /// Rows that tie two resources.
    Association(AssociationInput<'a>),
}

/// A sync of objects with its snapshots and links.
#[derive(Clone, Copy)]
pub struct ObjectInput<'a> {
    /// What the job says.
    pub sync: &'a ObjectSync,
    /// The source's snapshot, with what is derived from others.
    pub source: &'a Table,
    /// What was derived; `None` where nothing is.
    pub derived: Option<&'a Derived>,
    /// The target's snapshot.
    pub target: &'a Table,
    /// Whether a row that is not in the source's snapshot is gone there: it is complete, or a person accepted it.
    pub source_absence: bool,
    /// The same for the target. Nothing is planned from a snapshot that is older than a link, or objects created since
    /// would be created twice: whoever runs the job sees to it.
    pub target_absence: bool,
    /// What the rules of all syncs look up in other snapshots.
    pub lookups: &'a Lookups,
    /// The links of this sync.
    pub links: &'a Links,
    /// Target ids that other jobs manage, with the words to name them by (`job payroll`).
    pub claimed: &'a BTreeMap<String, String>,
    /// What the target offers for this resource type.
    pub capabilities: &'a ResourceCapabilities,
    /// The target's identity, the same in every job that provisions it.
    pub identity: &'a str,
    /// The mapping of the job file that planned last, where today's is another.
    pub earlier: Option<&'a Mapping>,
    /// Whether this sync never linked anything before.
    pub first_run: bool,
    /// Free seats at the target, where it tells.
    pub free: Option<u64>,
    /// All seats at the target, free and taken, where the job tells.
    pub seats: Option<u64>,
    /// The account that muster itself uses at the target, where it is known.
    pub account: Option<&'a OwnAccount>,
}

/// A sync of an association with its snapshots and memory.
#[derive(Clone, Copy)]
pub struct AssociationInput<'a> {
    /// What the job says.
    pub sync: &'a AssociationSync,
    /// Groups in groups, where they are rows of their own at the source.
    pub nestings: Option<&'a Table>,
    /// The source's snapshot.
    pub source: &'a Table,
    /// The target's snapshot.
    pub target: &'a Table,
    /// SHA-256 of the source's file. Numbers of its rows that are kept beside it are used where they are of this.
    pub source_sha256: Option<&'a Digest>,
    /// The same of the target's.
    pub target_sha256: Option<&'a Digest>,
    /// Whether a row that is not in the source's snapshot is gone there.
    pub source_absence: bool,
    /// The same for the target.
    pub target_absence: bool,
    /// What the target offers for this association.
    pub capabilities: &'a ResourceCapabilities,
    /// The target's identity, the same in every job that provisions it.
    pub identity: &'a str,
    /// Whether this sync never added anything before.
    pub first_run: bool,
}

/// An association that is not planned now.
pub struct UnplannedRows<'a> {
    /// What the job says.
    pub sync: &'a AssociationSync,
    /// The target's snapshot, where that may be used.
    pub target: Option<&'a Table>,
    /// Whether the objects at each end are accounts.
    pub accounts: [bool; 2],
    /// Whether the target is asked once more before anything is taken away.
    pub asked_again: bool,
    /// The account that muster itself uses at the target, where it is known.
    pub account: Option<&'a OwnAccount>,
}

/// An order of an earlier run that still counts.
#[derive(Clone, Debug)]
pub struct LiveOrder {
    /// The order.
    pub id: OrderId,
    /// Its content.
    pub fingerprint: Fingerprint,
    /// The run that planned it.
    pub run: RunId,
    /// The object that it concerns.
    pub object: ObjectKey,
    /// The target's id of the object, where the order has one.
    pub target_id: Option<String>,
    /// The target's identity.
    pub identity: String,
    /// The resource type or association.
    pub resource: ResourceName,
    /// What it does.
    pub operation: Operation,
    /// What a person looks for.
    pub key: String,
    /// Where it stands.
    pub state: OrderState,
    /// Why it is blocked, where it is.
    pub block: Option<BlockReason>,
    /// Its changes, where they are at hand; without them an errored order never counts as repeated.
    pub changes: Option<Vec<Change>>,
    /// Its ends, sorted by their names, for association rows.
    pub ends: Vec<EndRef>,
    /// To what its new values refer, sorted by attribute.
    pub references: Vec<EndRef>,
    /// The order that creates its object, where it closes a circle of references.
    pub closes: Option<OrderId>,
    /// The order after which it can be deleted, where something refers to it until then.
    pub after: Option<OrderId>,
    /// The scoped thresholds that count it, as it was planned.
    pub thresholds: Vec<String>,
    /// Whether it undoes an applied order: a person asked for it, so that no plan drops it for being unwanted.
    pub undoes: bool,
    /// The other job that it belongs to; `None` for this job.
    pub of_other_job: Option<String>,
}

impl LiveOrder {
    /// The orders that it needs, as it was planned.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &OrderId> {
        let created = self.ends.iter().chain(&self.references).filter_map(|object| match object {
            EndRef::Order(order) => Some(order),
            EndRef::Target(_) => None,
        });
        created.chain(&self.closes).chain(&self.after)
    }
}

/// What became of the orders with one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// How often it was raised.
    pub raised: u64,
    /// The newest of them, its state, and whether it was handed over to people (work-order files).
    pub newest: Option<(OrderId, OrderState, bool)>,
    /// On which ground the newest was wanted ([`Order::ground`]); `None` where that was not recorded.
    pub ground: Option<String>,
    /// The applied order that undid them, where one did and nobody asked again since.
    pub reversal: Option<Reversal>,
}

impl Prior {
    /// The rejected order, where its rejection holds for a wanted one: the reviewer saw the same content, wanted on the
    /// same ground.
    pub(crate) fn rejection_of(&self, wanted: &Order) -> Option<&OrderId> {
        let (rejected, _, _) = self.newest.as_ref().filter(|(_, state, _)| *state == OrderState::Rejected)?;
        self.ground.as_ref().is_none_or(|ground| *ground == wanted.ground).then_some(rejected)
    }

    /// What undid the same, where that holds for a wanted order: it is wanted on the same ground as what was undone.
    pub(crate) fn reversal_of(&self, wanted: &Order) -> Option<&Reversal> {
        let same = |reversal: &&Reversal| reversal.ground.as_ref().is_none_or(|ground| *ground == wanted.ground);
        self.reversal.as_ref().filter(same)
    }

    /// What was decided of the same when it was wanted on another ground: whoever reviews it now has to know.
    pub(crate) fn otherwise(&self, wanted: &Order) -> Option<String> {
        if let Some(Reversal { order, .. }) = self.reversal.as_ref().filter(|_| self.reversal_of(wanted).is_none()) {
            return Some(format!("{order} undid the same, which was wanted for another reason"));
        }
        let (rejected, _, _) = self.newest.as_ref().filter(|(_, state, _)| *state == OrderState::Rejected)?;
        let is_another = self.rejection_of(wanted).is_none();
        is_another.then(|| format!("{rejected} asked the same for another reason, and was rejected"))
    }
}

/// Remembers what earlier runs ordered. Asked about many at once, as one question costs much more than its answer.
pub trait Memory {
    /// What became of orders with these contents for a target, by its identity; one answer each.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn standing(&self, identity: &str, fingerprints: &[&Fingerprint]) -> Result<Vec<Prior>, ReconcileError>;

    /// What undoing took back at a target, by its identity, and is not set again by itself.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn taken_back(&self, identity: &str) -> Result<Vec<TakenBack>, ReconcileError>;

    /// Whether muster added these rows of an association ([`ObjectKey::association`]), one answer each.
    ///
    /// # Errors
    /// [`ReconcileError::Memory`] where it cannot be told.
    fn added(&self, sync_id: &str, rows: &[ObjectKey]) -> Result<Vec<bool>, ReconcileError>;
}
