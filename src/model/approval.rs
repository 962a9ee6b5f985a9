//! Sealed reviews: who decided what about which orders of which plan.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::approvers::NotAllowed;
use super::digest::Digest;
use super::numbers::counted;
use super::order::OrderId;
use super::run::RunId;
use super::signature::SignatureFault;

/// A person's decision on one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Send it.
    Approve,
    /// Never send it.
    Reject,
}

super::situation::words!(Decision { Approve => "approve", Reject => "reject" });

/// approval-N.json: the sealed review of named orders. A signature lies beside it, as approval-N.json.sig.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Readers refuse what they do not know.
    pub format_version: u32,
    /// The job.
    pub job: String,
    /// The run that it belongs to.
    pub run: RunId,
    /// The plan's digest; `None` where the run is held before its plan, and only acceptances are sealed.
    pub plan: Option<Digest>,
    /// The digest of `decisions` (see [`Approval::digest_of`]).
    pub decisions_digest: Digest,
    /// Each decided order.
    pub decisions: BTreeMap<OrderId, Decision>,
    /// Thresholds and suspicions accepted, by name, with the figure that was accepted.
    pub accepted: BTreeMap<String, String>,
    /// Who: SUDO_USER, else the login; or `rule …`. `None` in one that is signed: there the signature says who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when it holds.
    pub expires: DateTime<Utc>,
    /// Why.
    pub comment: String,
}

impl Approval {
    /// The format that this version writes.
    pub const FORMAT: u32 = 2;

    /// The digest of a set of decisions: of its canonical JSON.
    pub fn digest_of(decisions: &BTreeMap<OrderId, Decision>) -> Digest {
        Digest::of(&serde_json::to_vec(decisions).unwrap_or_default())
    }

    /// The bytes of the approval's file, which are also what is signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Why a signature does not make an approval a reviewer's word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerFault {
    /// There is none.
    #[error("its signature {0} is gone")]
    Gone(String),
    /// It is none of these bytes.
    #[error("its signature {file} proves nothing: {fault}")]
    Wrong {
        /// The signature's file.
        file: String,
        /// Why.
        fault: SignatureFault,
    },
    /// The signer may not approve.
    #[error("{approvers}: {why}")]
    NotAllowed {
        /// The approvers file.
        approvers: String,
        /// Why.
        why: NotAllowed,
    },
    /// The signer started the run.
    #[error("{0} started the run, and `review.four_eyes` asks for somebody else")]
    Starter(String),
    /// Somebody else signed what was sealed as another one's.
    #[error("it was sealed as {sealed}'s, and its signature is {found}'s")]
    Exchanged {
        /// The reviewer, as sealed.
        sealed: String,
        /// The reviewer, as signed.
        found: String,
    },
}

/// That a plan is not what was registered, without what to do about it.
pub fn plan_changed(run: &RunId, what: &str) -> String {
    format!("the plan of run {run} changed after it was written: {what}")
}

/// Why an approval, or an order under it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// plan.json or orders.ndjson is not what was approved.
    #[error(
        "{}; nothing more of it is sent: put the run's folder back as it was, or let `muster run {job}` give it up, which plans anew what is still wanted",
        plan_changed(.run, .what)
    )]
    PlanChanged {
        /// The run.
        run: RunId,
        /// Its job.
        job: String,
        /// Which file, and how.
        what: String,
    },
    /// Personal data was erased from its plan or its approvals.
    #[error(
        "personal data was erased from run {run}, so that nothing of it is approved or sent any more; `muster run {job}` plans what is wanted"
    )]
    Erased {
        /// The run.
        run: RunId,
        /// Its job.
        job: String,
    },
    /// The job file names another target than the one that the plan was made for.
    #[error(
        "run {run} was planned for {system} = `{planned}`, and the job file now names `{named}`: nothing approved for the one is sent to the other; put the address back, or plan anew with `muster run`"
    )]
    OtherTarget {
        /// The run.
        run: RunId,
        /// The target's name in the job file.
        system: String,
        /// What the plan names.
        planned: String,
        /// What the job file names.
        named: String,
    },
    /// The approval's file is not the one that was sealed.
    #[error(
        "approval {number} of run {run} was altered after it was sealed: {what}; nothing under it is applied: approve again with `muster approve {run} --all --comment …`"
    )]
    Altered {
        /// The run.
        run: RunId,
        /// The approval's number.
        number: u32,
        /// What differs.
        what: String,
    },
    /// The approval names another run.
    #[error("approval {number} belongs to run {other}, not to run {run}; approve run {run} itself")]
    OtherRun {
        /// The run that is to be applied.
        run: RunId,
        /// The approval's number.
        number: u32,
        /// The run that the approval names.
        other: RunId,
    },
    /// The approval's time is over.
    #[error(
        "approval {number} of run {run} expired at {at}; approve again with `muster approve {run} --all --comment …`"
    )]
    Expired {
        /// The run.
        run: RunId,
        /// The approval's number.
        number: u32,
        /// When it expired.
        at: DateTime<Utc>,
    },
    /// Its signature does not make it a reviewer's word (any more).
    #[error(
        "approval {number} of run {run} does not count: {fault}; nothing under it is applied: approve again with `muster approve {run} --all --comment … --sign KEY`"
    )]
    Signature {
        /// The run.
        run: RunId,
        /// The approval's number.
        number: u32,
        /// Why.
        fault: SignerFault,
    },
    /// The job file names no approvers any more, and the run's orders are to be approved by them.
    #[error(
        "run {run} started under `review.approvers`, and the job file names none any more; put it back, or reject what waits and run anew"
    )]
    NoApprovers {
        /// The run.
        run: RunId,
    },
    /// A threshold was accepted as the database says, and the sealed files do not say so.
    #[error(
        "run {run} exceeded {name}, and the approvals that hold do not accept that; look with `muster log --verify`, then accept it with `muster approve {run} --accept {name} --comment …`"
    )]
    NotAccepted {
        /// The run.
        run: RunId,
        /// The threshold.
        name: String,
    },
    /// The approval is not known to the database.
    #[error(
        "approval {number} of run {run} was never sealed here: its file is not in the database; approve with `muster approve {run} --all --comment …`"
    )]
    Unknown {
        /// The run.
        run: RunId,
        /// The approval's number.
        number: u32,
    },
    /// The database calls orders approved that the sealed file does not.
    #[error(
        "approval {number} of run {run} does not approve {orders} that the database calls approved ({first}): it was changed beside muster; nothing of it is sent: look with `muster log --verify`, then approve again with `muster approve {run} --all --comment …`"
    )]
    NotCovered {
        /// The run.
        run: RunId,
        /// The approval that the database names.
        number: u32,
        /// How many orders, as `1 order` or `12 orders`.
        orders: String,
        /// The first of them.
        first: OrderId,
    },
    /// The database calls orders approved and names no approval.
    #[error(
        "the database calls {orders} of run {run} approved ({first}) and no approval does: it was changed beside muster; nothing of it is sent: look with `muster log --verify`, then approve again with `muster approve {run} --all --comment …`"
    )]
    NoApproval {
        /// The run.
        run: RunId,
        /// How many orders, as `1 order` or `12 orders`.
        orders: String,
        /// The first of them.
        first: OrderId,
    },
    /// The job asks for more reviewers than approved.
    #[error(
        "{by} of {asked} reviewers approved {orders} of run {run} ({first}); another one has to: `muster approve {run}`"
    )]
    FewReviewers {
        /// The run.
        run: RunId,
        /// How many did.
        by: usize,
        /// How many have to.
        asked: u32,
        /// How many orders, as `1 order` or `12 orders`.
        orders: String,
        /// The first of them.
        first: OrderId,
    },
    /// The file has a format that this version does not know.
    #[error("{file} has format version {found}, this muster reads {known}; use the version that wrote it")]
    Format {
        /// The file.
        file: String,
        /// What it says.
        found: u32,
        /// What is known.
        known: u32,
    },
}

impl Refusal {
    /// Orders that the database calls approved under an approval that does not name them, or under none at all.
    pub fn uncovered(run: &RunId, number: Option<u32>, orders: &[OrderId]) -> Self {
        let (run, (orders, first)) = (run.clone(), told(orders));
        match number {
            Some(number) => Self::NotCovered { run, number, orders, first },
            None => Self::NoApproval { run, orders, first },
        }
    }

    /// Orders that fewer reviewers approved than the job asks for.
    pub fn few(run: &RunId, by: usize, asked: u32, orders: &[OrderId]) -> Self {
        let (orders, first) = told(orders);
        Self::FewReviewers { run: run.clone(), by, asked, orders, first }
    }

    /// The number of the approval that is refused; `None` where it is the plan.
    pub fn number(&self) -> Option<u32> {
        match self {
            Self::Altered { number, .. }
            | Self::OtherRun { number, .. }
            | Self::Expired { number, .. }
            | Self::Signature { number, .. }
            | Self::Unknown { number, .. }
            | Self::NotCovered { number, .. } => Some(*number),
            Self::PlanChanged { .. }
            | Self::OtherTarget { .. }
            | Self::FewReviewers { .. }
            | Self::NoApproval { .. }
            | Self::NoApprovers { .. }
            | Self::NotAccepted { .. }
            | Self::Erased { .. }
            | Self::Format { .. } => None,
        }
    }
}

/// How many orders, in words, and the first of them.
fn told(orders: &[OrderId]) -> (String, OrderId) {
    (counted(orders.len() as u64, "order"), orders.first().cloned().unwrap_or_else(|| OrderId(String::new())))
}
