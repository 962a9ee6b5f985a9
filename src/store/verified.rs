//! What was verified: a plan, and the approvals that hold for it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::model::approval::{Approval, Decision, Refusal};
use crate::model::order::OrderId;
use crate::model::plan::Plan;
use crate::model::review_terms::ReviewTerms;
use crate::model::run::RunId;

/// An approval that was read back and holds, with whose word it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// As sealed.
    pub approval: Approval,
    /// The signer, where the job asks for signatures; else as sealed.
    pub reviewer: String,
}

/// The verified approvals of a run.
#[derive(Clone, Debug)]
pub struct VerifiedApprovals {
    pub(super) terms: ReviewTerms,
    /// Those that hold, by number.
    pub(super) holding: BTreeMap<u32, Sealed>,
    pub(super) refusals: Vec<Refusal>,
    /// Who accepted what, by name and figure; an acceptance outlives the time of its approval.
    pub(super) accepted: BTreeMap<(String, String), BTreeSet<String>>,
    /// What was decided last on orders that were rejected last; a rejection outlives the time of its approval.
    pub(super) rejected: BTreeMap<OrderId, Rejection>,
}

/// A sealed rejection of an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    /// The number of its approval.
    pub number: u32,
    /// Who.
    pub reviewer: String,
    /// Why.
    pub comment: String,
}

impl VerifiedApprovals {
    /// What the review of the run takes.
    pub fn terms(&self) -> ReviewTerms {
        self.terms
    }

    /// The approvals that hold, by number.
    pub fn holding(&self) -> &BTreeMap<u32, Sealed> {
        &self.holding
    }

    /// Why other approvals of the run do not hold; nothing under them is applied.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Whether enough people accepted a hold at a figure, as the sealed files say.
    pub fn accepts(&self, name: &str, figure: &str) -> bool {
        let by = self.accepted.get(&(name.to_owned(), figure.to_owned())).map_or(0, BTreeSet::len);
        by >= self.terms.reviewers as usize
    }

    /// The sealed rejection of an order, where nothing else was sealed of it since.
    pub fn rejection(&self, order: &OrderId) -> Option<&Rejection> {
        self.rejected.get(order)
    }

    /// Who approves an order under approvals that hold at `now` and came after one, with the first end of these
    /// approvals. A reviewer counts once, with the approval that lasts longest.
    pub fn reviewers(&self, order: &OrderId, after: u32, now: DateTime<Utc>) -> BTreeMap<&str, DateTime<Utc>> {
        let mut reviewers: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for (_, sealed) in self.holding.range(after.saturating_add(1)..) {
            let approval = &sealed.approval;
            if approval.expires > now && approval.decisions.get(order) == Some(&Decision::Approve) {
                let end = reviewers.entry(&sealed.reviewer).or_insert(approval.expires);
                *end = (*end).max(approval.expires);
            }
        }
        reviewers
    }
}

/// A plan whose files were verified, with the approvals that were verified for it. The only way to begin an order.
#[derive(Clone, Debug)]
pub struct ApprovedPlan {
    pub(super) run: RunId,
    pub(super) plan: Plan,
    pub(super) approvals: VerifiedApprovals,
    /// A threshold of the plan is not accepted by approvals that hold.
    pub(super) is_open: bool,
}

impl ApprovedPlan {
    /// The run that it is of.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The plan's header.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The approvals of its run.
    pub fn approvals(&self) -> &VerifiedApprovals {
        &self.approvals
    }

    /// Why approvals of the run do not hold; nothing under them is applied.
    pub fn refusals(&self) -> &[Refusal] {
        self.approvals.refusals()
    }

    /// Whether the sealed file of this approval approves this order and still holds at `now`, and those of as many
    /// other reviewers as the job asks for do too.
    pub fn covers(&self, number: u32, order: &OrderId, now: DateTime<Utc>) -> bool {
        let Some(sealed) = self.approvals.holding.get(&number).filter(|_| !self.is_open) else { return false };
        let approval = &sealed.approval;
        let approves = approval.expires > now
            && approval.decisions.get(order) == Some(&Decision::Approve)
            && self.approvals.rejection(order).is_none();
        let needed = self.approvals.terms.reviewers as usize;
        approves && (needed <= 1 || self.approvals.reviewers(order, 0, now).len() >= needed)
    }
}
