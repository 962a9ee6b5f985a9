//! Sealing a review: the approval becomes a file, and its decisions become states, in one step.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::approvals::{parse, sealed_digests, signed_by};
use super::database::Store;
use super::error::{Fault, StoreError};
use super::sealing::{Before, Done, carry_out, record};
use super::verified::{ApprovedPlan, VerifiedApprovals};
use crate::model::approval::{Approval, Decision, Refusal};
use crate::model::digest::Digest;
use crate::model::order::OrderId;
use crate::model::record::{Hold, RunRecord};
use crate::model::review_terms::ReviewRules;
use crate::model::run::RunId;

/// A review to be sealed.
#[derive(Clone, Debug)]
pub struct SealRequest {
    /// The run.
    pub run: RunId,
    /// The plan that was reviewed; `None` where only acceptances are sealed.
    pub plan: Option<Digest>,
    /// The decisions.
    pub decisions: BTreeMap<OrderId, Decision>,
    /// Holds that are accepted, by name, with the figure that the person saw.
    pub accepted: BTreeMap<String, String>,
    /// Who; `None` where a signature is still to say it.
    pub reviewer: Option<String>,
    /// Why.
    pub comment: String,
    /// Until when the approval holds.
    pub expires: DateTime<Utc>,
}

/// What sealing did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SealReport {
    /// The approval's number; `None` where nothing was left to seal.
    pub number: Option<u32>,
    /// Orders that are approved now, and may go.
    pub approved: Vec<OrderId>,
    /// Orders that this review approves and that cannot go as things stand: they are among the blocked ones, and stand
    /// approved once what they need may come.
    pub approved_in_vain: Vec<OrderId>,
    /// Orders that this reviewer approved and that need further reviewers.
    pub seconded: Vec<OrderId>,
    /// Orders that are rejected now.
    pub rejected: Vec<OrderId>,
    /// Orders that ended or were decided meanwhile, with a sentence; no reason to refuse the others.
    pub skipped: Vec<(OrderId, String)>,
    /// Orders that cannot be approved as they stand, with a sentence saying what it takes.
    pub refused: Vec<(OrderId, String)>,
    /// Orders that wait for one that will not come, and are blocked for it now.
    pub blocked: Vec<(OrderId, String)>,
    /// Orders that may be reviewed or sent again, because what blocked them is accepted or approved.
    pub unblocked: Vec<OrderId>,
    /// What still holds the run.
    pub holds: Vec<Hold>,
}

/// A review that somebody signed, as the files say.
#[derive(Clone, Copy, Debug)]
pub struct SignedReview<'a> {
    /// Where the review came from, for messages.
    pub file: &'a Path,
    /// What [`Store::draft`] gave: an approval's bytes.
    pub bytes: &'a [u8],
    /// Where the signature came from, for messages.
    pub signature_file: &'a Path,
    /// What `ssh-keygen -Y sign` wrote.
    pub signature: &'a [u8],
}

impl Store {
    /// Seals a review: verifies the plan, applies the decisions, writes approval-N.json and records its digest.
    ///
    /// Nothing of it happens where the plan changed or an acceptance does not fit; single orders that cannot be
    /// decided are reported and left out of the sealed file.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the plan is not the one that was reviewed, [`StoreError::Unsigned`] where the job
    /// or the run asks for a signature, [`StoreError::NotHeld`], [`StoreError::NoRun`], or when the file or the database
    /// cannot be written.
    pub fn seal(
        &mut self,
        request: &SealRequest,
        rules: &ReviewRules,
        at: DateTime<Utc>,
    ) -> Result<SealReport, StoreError> {
        let basis = self.basis(request, rules, at)?;
        if basis.approvals().terms().signed || request.reviewer.is_none() {
            return Err(StoreError::Unsigned { run: request.run.clone() });
        }
        let folder = self.layout.clone();
        self.write(|tx, log| {
            let run = reviewed(tx, request)?;
            let Done { number, decisions, mut report } = carry_out(tx, log, &run, request, basis.before(), at)?;
            if decisions.is_empty() && request.accepted.is_empty() {
                return Ok(report);
            }
            let approval = approval(&run, request, decisions, at);
            let bytes = approval.to_bytes();
            // The file comes first: without its row in the database it is nothing, and is replaced by the next.
            super::layout::create_folder(&folder.run_folder(&run.job, &run.id))?;
            put(&folder.approval(&run.job, &run.id, number), &bytes)?;
            let reviewer = request.reviewer.as_deref().unwrap_or_default();
            record(tx, log, number, &approval, reviewer, &Digest::of(&bytes), at)?;
            report.number = Some(number);
            Ok(report)
        })
    }

    /// What sealing a review would come to, and the approval that is to be signed for it; `None` where nothing is left
    /// to seal. Changes nothing.
    ///
    /// # Errors
    /// As of [`Self::seal`].
    pub fn draft(
        &mut self,
        request: &SealRequest,
        rules: &ReviewRules,
        at: DateTime<Utc>,
    ) -> Result<(Option<Approval>, SealReport), StoreError> {
        let basis = self.basis(request, rules, at)?;
        self.rehearse(|tx, log| {
            let run = reviewed(tx, request)?;
            let Done { decisions, report, .. } = carry_out(tx, log, &run, request, basis.before(), at)?;
            let is_nothing = decisions.is_empty() && request.accepted.is_empty();
            Ok(((!is_nothing).then(|| approval(&run, request, decisions, at)), report))
        })
    }

    /// Seals a review that was drafted and then signed: all of it, but for orders that ended meanwhile. The signer is
    /// the reviewer.
    ///
    /// # Errors
    /// [`StoreError::NotSealed`] where the review does not fit (any more) or was sealed before,
    /// [`StoreError::Refused`] where the plan changed; as of [`Self::seal`].
    pub fn seal_signed(
        &mut self,
        of: &RunId,
        review: &SignedReview<'_>,
        rules: &ReviewRules,
        at: DateTime<Utc>,
    ) -> Result<(SealRequest, SealReport), StoreError> {
        let no = |what: String| StoreError::NotSealed { file: review.file.to_owned(), what };
        let approval = parse(review.file, review.bytes)?;
        let run = self.run(of)?;
        if approval.run != *of || approval.job != run.job {
            return Err(no(format!("it is a review of run {}, not of run {of}; name that run", approval.run)));
        }
        if approval.to_bytes() != review.bytes || approval.decisions_digest != Approval::digest_of(&approval.decisions)
        {
            return Err(no("it was changed after `--prepare` wrote it; prepare it anew".to_owned()));
        }
        if approval.expires <= at {
            return Err(no(format!("it expired at {}; prepare it anew", approval.expires)));
        }
        if approval.reviewer.is_some() || approval.expires > at + rules.lasts {
            return Err(no("it would hold for longer than `review.expires` allows; prepare it anew".to_owned()));
        }
        let sha256 = Digest::of(review.bytes);
        if self.read(sealed_digests)?.contains_key(&sha256) {
            return Err(no("it is sealed already, and counts once".to_owned()));
        }
        let terms = rules.terms.stricter(self.review_terms(of)?);
        let signature = (review.signature_file, review.signature);
        let reviewer = signed_by(&run, review.bytes, signature, rules, terms, at)?
            .map_err(|fault| StoreError::NotSealed { file: review.file.to_owned(), what: fault.to_string() })?;
        let request = SealRequest {
            run: of.clone(),
            plan: approval.plan.clone(),
            decisions: approval.decisions.clone(),
            accepted: approval.accepted.clone(),
            reviewer: Some(reviewer.clone()),
            comment: approval.comment.clone(),
            expires: approval.expires,
        };
        let basis = self.basis(&request, rules, at)?;
        let folder = self.layout.clone();
        let report = self.write(|tx, log| {
            let run = reviewed(tx, &request)?;
            let Done { number, mut report, .. } = carry_out(tx, log, &run, &request, basis.before(), at)?;
            if let Some((order, why)) = report.refused.first() {
                return Err(no(format!("order {order} cannot be approved any more: {why}; prepare it anew")).into());
            }
            super::layout::create_folder(&folder.run_folder(&run.job, &run.id))?;
            put(&folder.signature(&run.job, &run.id, number), review.signature)?;
            put(&folder.approval(&run.job, &run.id, number), review.bytes)?;
            record(tx, log, number, &approval, &reviewer, &sha256, at)?;
            report.number = Some(number);
            Ok(report)
        })?;
        Ok((request, report))
    }

    fn basis(&self, request: &SealRequest, rules: &ReviewRules, at: DateTime<Utc>) -> Result<Basis, StoreError> {
        if request.plan.is_some() || !request.decisions.is_empty() {
            return Ok(Basis::Plan(Box::new(self.approved_plan(&request.run, rules, at)?)));
        }
        Ok(Basis::Holds(self.verified_approvals(&request.run, rules, at)?))
    }
}

/// What was verified of the run: with its plan, or of one that has none.
enum Basis {
    Plan(Box<ApprovedPlan>),
    Holds(VerifiedApprovals),
}

impl Basis {
    fn approvals(&self) -> &VerifiedApprovals {
        match self {
            Self::Plan(plan) => plan.approvals(),
            Self::Holds(approvals) => approvals,
        }
    }

    fn before(&self) -> Before<'_> {
        let plan = match self {
            Self::Plan(plan) => Some(&**plan),
            Self::Holds(_) => None,
        };
        Before { approvals: self.approvals(), plan }
    }
}

/// The run of a review, if its plan is the one that was reviewed.
fn reviewed(tx: &Connection, request: &SealRequest) -> Result<RunRecord, Fault> {
    let run = super::runs::known(tx, &request.run)?;
    if request.plan != run.plan_digest && (request.plan.is_some() || !request.decisions.is_empty()) {
        let what = "the review is of another plan".to_owned();
        return Err(Refusal::PlanChanged { run: request.run.clone(), job: run.job, what }.into());
    }
    Ok(run)
}

fn approval(
    run: &RunRecord,
    request: &SealRequest,
    decisions: BTreeMap<OrderId, Decision>,
    at: DateTime<Utc>,
) -> Approval {
    Approval {
        format_version: Approval::FORMAT,
        job: run.job.clone(),
        run: run.id.clone(),
        plan: request.plan.clone(),
        decisions_digest: Approval::digest_of(&decisions),
        decisions,
        accepted: request.accepted.clone(),
        reviewer: request.reviewer.clone(),
        at,
        expires: request.expires,
        comment: request.comment.clone(),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    crate::disk::atomic::write(path, bytes).map_err(StoreError::from)
}
