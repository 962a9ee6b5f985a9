//! Where a run and its orders stand now, as the database says; read anew when somebody changed it.

use std::collections::BTreeMap;

use super::desk::Desk;
use super::index::Index;
use crate::model::order::{Block, BlockReason, OrderState};
use crate::model::record::{Hold, RunRecord};
use crate::model::review_terms::ReviewTerms;
use crate::run::{approvable, thresholds};
use crate::store::database::Store;
use crate::store::stands::{Stand, Stands};

/// What nobody knows of an order yet.
const UNREAD: Stand =
    Stand { state: OrderState::PendingReview, block: None, approved_by: None, approval_expires: None };

/// Where a run stands.
pub(super) struct Live {
    pub(super) record: RunRecord,
    /// Everything that held it.
    pub(super) holds: Vec<Hold>,
    /// The names of what still does.
    pub(super) open: Vec<String>,
    /// Its provisioning thresholds, with whether each still holds.
    pub(super) thresholds: BTreeMap<String, bool>,
    pub(super) terms: ReviewTerms,
    /// Why orders are blocked.
    pub(super) blocks: Vec<Block>,
    stands: Vec<Stand>,
    /// Of approved orders: whether an approval that holds covers them.
    covered: Vec<bool>,
    /// Of each order that waits for further reviewers: who approved it. In the plan's sequence.
    seconded: BTreeMap<u32, Vec<String>>,
    /// Who sealed each approval that holds.
    pub(super) reviewers: BTreeMap<u32, String>,
    /// Why approvals of the run do not hold.
    pub(super) refusals: Vec<String>,
    /// Orders by state.
    pub(super) states: BTreeMap<OrderState, u64>,
    /// Blocked orders by reason.
    pub(super) reasons: BTreeMap<BlockReason, u64>,
}

impl Live {
    /// The run alone; where its orders stand is not known yet.
    pub(super) fn of_run(store: &Store, desk: &dyn Desk, record: RunRecord) -> Result<Self, String> {
        let run = &record.id;
        let mut terms = store.review_terms(run).map_err(|e| e.to_string())?;
        if let Ok(rules) = desk.rules(store, &record) {
            terms = rules.terms.stricter(terms);
        }
        let open = store.unaccepted_holds(run).map_err(|e| e.to_string())?;
        Ok(Self {
            holds: store.holds(run).map_err(|e| e.to_string())?,
            open: if record.state.is_held() { open.into_iter().map(|hold| hold.name).collect() } else { Vec::new() },
            thresholds: thresholds(store, run, &BTreeMap::new()).map_err(|e| e.to_string())?,
            terms,
            ..Self::unread(record)
        })
    }

    /// A run of which nothing else is read yet.
    fn unread(record: RunRecord) -> Self {
        Self {
            holds: Vec::new(),
            open: Vec::new(),
            thresholds: BTreeMap::new(),
            terms: ReviewTerms::default(),
            blocks: Vec::new(),
            stands: Vec::new(),
            covered: Vec::new(),
            seconded: BTreeMap::new(),
            reviewers: BTreeMap::new(),
            refusals: Vec::new(),
            states: BTreeMap::new(),
            reasons: BTreeMap::new(),
            record,
        }
    }

    /// The run with its orders.
    pub(super) fn of_orders(store: &Store, desk: &dyn Desk, record: RunRecord, index: &Index) -> Result<Self, String> {
        let Stands { orders: stands, blocks } = store.stands(&record.id).map_err(|e| e.to_string())?;
        if stands.len() != index.entries.len() {
            return Err(format!(
                "run {}: orders.ndjson does not hold the orders that were planned; plan anew with `muster run {}`",
                record.id, record.job
            ));
        }
        let mut live = Self { stands, blocks, ..Self::of_run(store, desk, record)? };
        for place in 0..live.stands.len() {
            *live.states.entry(live.stands[place].state).or_default() += 1;
            if let Some(reason) = live.block(place).map(|block| block.reason) {
                *live.reasons.entry(reason).or_default() += 1;
            }
        }
        live.verify(store, desk, index)?;
        Ok(live)
    }

    /// Which approvals hold, and for whom.
    fn verify(&mut self, store: &Store, desk: &dyn Desk, index: &Index) -> Result<(), String> {
        let (run, now) = (&self.record.id, desk.now());
        let any = store.approval_numbers(run).map_err(|e| e.to_string())?;
        if any.is_empty() {
            return Ok(());
        }
        let rules = match desk.rules(store, &self.record) {
            Ok(rules) => rules,
            Err(why) => {
                self.refusals.push(why);
                return Ok(());
            }
        };
        if self.terms.reviewers > 1 {
            let seconded = store.seconded(run, &rules, now).map_err(|e| e.to_string())?;
            self.seconded = seconded.into_iter().filter_map(|(id, by)| Some((index.place_of(&id)?, by))).collect();
        }
        let plan = match store.approved_plan(run, &rules, now) {
            Ok(plan) => plan,
            Err(why) => {
                self.refusals.push(why.to_string());
                return Ok(());
            }
        };
        self.refusals.extend(plan.refusals().iter().map(ToString::to_string));
        let sealed = plan.approvals().holding().iter();
        self.reviewers = sealed.map(|(number, sealed)| (*number, sealed.reviewer.clone())).collect();
        self.covered = vec![false; self.stands.len()];
        for (place, stand) in self.stands.iter().enumerate() {
            if let (OrderState::Approved, Some(number)) = (stand.state, stand.approved_by) {
                let lasts = stand.approval_expires.is_some_and(|expires| expires > now);
                self.covered[place] = lasts && plan.covers(number, &index.entries[place].id(), now);
            }
        }
        Ok(())
    }

    /// Where an order stands.
    pub(super) fn stand(&self, place: usize) -> Stand {
        self.stands.get(place).copied().unwrap_or(UNREAD)
    }

    /// Why an order is blocked, where it is.
    pub(super) fn block(&self, place: usize) -> Option<&Block> {
        let stand = self.stand(place);
        self.blocks.get(stand.block.filter(|_| stand.state == OrderState::Blocked)? as usize)
    }

    /// Who approved an order, where not enough did.
    pub(super) fn seconded(&self, place: usize) -> Option<&[String]> {
        self.seconded.get(&(place as u32)).map(Vec::as_slice)
    }

    /// How many orders are known.
    pub(super) fn len(&self) -> usize {
        self.stands.len()
    }

    /// Whether an approval that holds covers an order.
    pub(super) fn is_covered(&self, place: usize) -> bool {
        self.covered.get(place).copied().unwrap_or(false)
    }

    /// By the place of each block, whether it may be lifted by approving, once these thresholds are accepted.
    pub(super) fn liftable(&self, accepted: impl Fn(&str) -> bool) -> Vec<bool> {
        let holding: BTreeMap<String, bool> =
            self.thresholds.iter().map(|(name, holds)| (name.clone(), *holds && !accepted(name))).collect();
        let lifts = |block: &Block| approvable(OrderState::Blocked, Some(block), &holding, false);
        self.blocks.iter().map(lifts).collect()
    }

    /// Whether an order may be approved; `liftable` is of [`Self::liftable`].
    pub(super) fn may_approve(&self, place: usize, liftable: &[bool]) -> bool {
        let stand = self.stand(place);
        match (stand.state, stand.block) {
            (OrderState::Blocked, Some(block)) => liftable.get(block as usize).copied().unwrap_or(false),
            (state, _) => approvable(state, None, &self.thresholds, self.is_covered(place)),
        }
    }

    /// Whether an order may be rejected, as sealing has it.
    pub(super) fn may_reject(&self, place: usize) -> bool {
        use OrderState::{Approved, Blocked, Errored, PendingReview};
        matches!(self.stand(place).state, PendingReview | Blocked | Approved | Errored)
    }

    /// Whether an order waits for a person's word: what a wide sweep rejects.
    pub(super) fn waits(&self, place: usize) -> bool {
        matches!(self.stand(place).state, OrderState::PendingReview | OrderState::Blocked)
    }
}

#[cfg(test)]
impl Live {
    /// Of a run of which nothing is known.
    pub(super) fn none() -> Self {
        let record = serde_json::json!({
            "id": "20261122T150405Z-7f3a", "job": "people", "job_digest": crate::model::digest::Digest::of(b""),
            "mode": "complete", "started": "2026-11-22T15:04:05Z", "ended": null, "state": "planned", "plan_digest": null,
            "starter": "", "note": "", "exit": null,
        });
        Self::unread(serde_json::from_value(record).unwrap_or_else(|e| panic!("{e}")))
    }
}
