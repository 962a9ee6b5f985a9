//! What is remembered about runs and orders, as status, reports and planning read it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::evidence::Mode;
use super::failure::Class;
use super::order::{Block, BlockReason, Fingerprint, ObjectKey, Operation, OrderId, OrderState};
use super::resource::ResourceName;
use super::run::{RunId, RunState};
use super::situation::words;
use super::threshold::Excess;

/// A run as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub id: RunId,
    /// The job.
    pub job: String,
    /// SHA-256 of the job file at its start.
    pub job_digest: Digest,
    /// How much was exported.
    pub mode: Mode,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it is under way, or where it was killed.
    pub ended: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: RunState,
    /// The digest of its plan, once there is one.
    pub plan_digest: Option<Digest>,
    /// Who or what started it.
    pub starter: String,
    /// A sentence about how it ended; may be empty.
    pub note: String,
    /// Its exit status.
    pub exit: Option<u8>,
}

/// What kind of limit holds a run, and so how long an acceptance of it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// A doubt about a snapshot; an acceptance is remembered until the figure changes.
    Suspicion,
    /// A synchronization threshold; an acceptance is for its run alone.
    Snapshot,
    /// A provisioning threshold; an acceptance is for its run alone.
    Plan,
}

words!(HoldKind { Suspicion => "suspicion", Snapshot => "snapshot", Plan => "plan" });

/// One thing that a person has to accept before a held run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// What kind of limit.
    pub kind: HoldKind,
    /// Its name, as a person accepts it: `vault.users/disable/percent`, `idp.users/empty`.
    pub name: String,
    /// One sentence: the limit and what was found.
    pub detail: String,
    /// The figure that was found; an acceptance names it.
    pub figure: String,
    /// The first objects or rows concerned, by key.
    pub first: Vec<String>,
    /// The threshold that tripped, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<Excess>,
}

impl Hold {
    /// What a threshold that tripped holds.
    pub fn of(kind: HoldKind, excess: &Excess) -> Self {
        Self {
            kind,
            name: excess.name.clone(),
            detail: excess.sentence(),
            figure: excess.figure.to_string(),
            first: excess.first.clone(),
            excess: Some(excess.clone()),
        }
    }
}

/// A person's acceptance of one hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The run that was held.
    pub run: RunId,
    /// The hold's name.
    pub name: String,
    /// The figure that was accepted.
    pub figure: String,
    /// Who.
    pub reviewer: String,
    /// Why.
    pub comment: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// An order as it is remembered: where it stands, not what it does in detail (that stands in its plan).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// Its id.
    pub id: OrderId,
    /// Its content.
    pub fingerprint: Fingerprint,
    /// Which raising of this fingerprint it is, from 1.
    pub raised: u64,
    /// The run that planned it.
    pub run: RunId,
    /// The job.
    pub job: String,
    /// The sync that wants it, by a name that outlives the order of syncs in the job file.
    pub sync_id: String,
    /// Its zero-based position in its plan.
    pub seq: u64,
    /// The resource type or association at the target.
    pub resource: ResourceName,
    /// What makes the target the same for another job.
    pub target_identity: String,
    /// The object.
    pub object: ObjectKey,
    /// What a person looks for.
    pub key: String,
    /// What it does.
    pub operation: Operation,
    /// Where it stands.
    pub state: OrderState,
    /// Why it is blocked, where it is.
    pub block: Option<Block>,
    /// The number, within its run, of the approval that it stands under.
    pub approved_by: Option<u32>,
    /// Until when that approval holds.
    pub approval_expires: Option<DateTime<Utc>>,
    /// Whether it was handed over to people in a work-order file, rather than carried out.
    pub handed_over: bool,
    /// When its state last changed.
    pub updated: DateTime<Utc>,
    /// Whether its personal data was erased: then nobody knows any more what it did to whom, and it is never undone.
    pub is_erased: bool,
}

/// An applied order that undid another: what the other did is not raised again by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal {
    /// The order that undid it.
    pub order: OrderId,
    /// The run that it was planned by.
    pub run: RunId,
    /// Who approved it.
    pub who: String,
    /// On which ground the undone order was wanted; `None` where that was not recorded.
    pub ground: Option<String>,
}

impl Reversal {
    /// Who took it back, and in which run.
    pub fn words(&self) -> String {
        format!("reverted by run {}, which {} approved, as {}", self.run, self.who, self.order)
    }
}

/// The values of one object that an applied order took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// The order, and who approved it.
    pub by: Reversal,
    /// The object.
    pub object: ObjectKey,
    /// What is not done to it, each change by itself ([`super::order::Order::content_of`]).
    pub contents: Vec<Fingerprint>,
}

/// Why an order keeps what was asked for from being raised again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithheldFor {
    /// A reviewer refused it.
    Rejected,
    /// It was handed over to people, who may not have done it yet.
    HandedOver,
    /// It undid what had been applied.
    Undone,
}

words!(WithheldFor { Rejected => "rejected", HandedOver => "handed-over", Undone => "undone" });

/// An order because of which something is not raised again, for as long as run after run would raise the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withholding {
    /// The order.
    pub order: OrderId,
    /// The run that planned it.
    pub run: RunId,
    /// Why.
    pub why: WithheldFor,
    /// The object.
    pub object: ObjectKey,
    /// What makes the target the same for another job.
    pub target_identity: String,
    /// The resource type or association at the target.
    pub resource: ResourceName,
    /// What is not done to it.
    pub operation: Operation,
    /// The order that would: itself, or the one that it undid.
    pub withheld: OrderId,
    /// What a person looks for.
    pub key: String,
    /// The contents that are not raised.
    pub contents: Vec<Fingerprint>,
    /// On which ground they are not; `None` where that does not matter, or was not recorded.
    #[serde(skip)]
    pub ground: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// How far a snapshot was from the baseline of its time. Rows that muster itself changed are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Movement {
    /// What it is a snapshot of.
    pub resource: ResourceName,
    /// The run that exported it; the held one before it, where it came under what a person accepted of that.
    pub run: RunId,
    /// When its export began.
    pub at: DateTime<Utc>,
    /// Rows of the baseline.
    pub rows: u64,
    /// Rows that the baseline did not have.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Rows of the baseline that were gone.
    pub deleted: u64,
    /// When it became the baseline; `None` where it never did.
    pub accepted: Option<DateTime<Utc>>,
}

/// Orders of one kind that changed their state last at the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersOfAKind {
    /// The run that raised them.
    pub run: RunId,
    /// The sync that wanted them.
    pub sync_id: String,
    /// The resource type or association.
    pub resource: ResourceName,
    /// What they do.
    pub operation: Operation,
    /// The scoped thresholds that count them.
    pub thresholds: Vec<String>,
    /// Where they stand.
    pub state: OrderState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How many.
    pub count: u64,
    /// Whether they stand under an approval by the job's rule, not by a person.
    pub by_rule: bool,
}

/// One entry of the hash-chained log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its position, from 1, without gaps.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened: `run-started`, `orders-raised`, `approval-sealed`, `order-applied` …
    pub kind: String,
    /// The run concerned.
    pub run: Option<RunId>,
    /// The orders concerned.
    pub orders: Vec<OrderId>,
    /// Who or what caused it; empty where muster itself did.
    pub who: String,
    /// Whether it tells of an error.
    pub error: bool,
    /// The rest, as JSON.
    pub detail: serde_json::Value,
    /// SHA-256 over the previous entry's hash and all of the above.
    pub hash: Digest,
}

/// Live orders of one run that stand alike, as a person has to know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveKind {
    /// The run that raised them.
    pub run: RunId,
    /// Where they stand.
    pub state: OrderState,
    /// Why they are blocked, where they are.
    pub block: Option<BlockReason>,
    /// What they failed for, where they are errored.
    pub failed: Option<Class>,
    /// When their approval ends, where they have one.
    pub approval_expires: Option<DateTime<Utc>>,
    /// How many.
    pub orders: u64,
}

impl LiveKind {
    /// The kind of one order, whatever it failed for.
    pub fn of(order: &OrderRecord) -> Self {
        Self {
            run: order.run.clone(),
            state: order.state,
            block: order.block.as_ref().map(|block| block.reason),
            failed: None,
            approval_expires: order.approval_expires,
            orders: 1,
        }
    }
}
