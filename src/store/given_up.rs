//! Orders that are never sent: their plan is lost, so that nobody knows any more what they were to do; or they are
//! rejected, though the database says otherwise.

use chrono::{DateTime, Utc};

use super::chain::Entry;
use super::database::Store;
use super::error::StoreError;
use super::needs::{block_needing, needing};
use super::orders::{Numbered, orders_where, require, step};
use super::verified::Rejection;
use crate::model::approval::{Refusal, plan_changed};
use crate::model::order::{OrderId, OrderState};
use crate::model::run::RunId;

/// What became of a run's live orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Orders that are stale now.
    pub orders: u64,
    /// How many of these were to undo something.
    pub undoing: u64,
    /// Orders that stay as they are: their requests may have taken effect.
    pub under_way: u64,
}

impl Store {
    /// Ends as stale what of a run was not sent, with a sentence why.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn give_up(&mut self, run: &RunId, why: &str, at: DateTime<Utc>) -> Result<GivenUp, StoreError> {
        self.write(|tx, log| {
            let mut result = GivenUp::default();
            let mut ended: Vec<Numbered> = Vec::new();
            let mut undoes = tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM reverts WHERE \"order\" = ?)")?;
            for (n, order) in orders_where(tx, "o.run = ? ORDER BY o.seq", &[&run.0])? {
                match order.state {
                    state if state.is_under_way() => result.under_way += 1,
                    state if state.is_live() => {
                        step(tx, n, &order, OrderState::Stale, None, at)?;
                        result.undoing += u64::from(undoes.query_row([n], |row| row.get::<_, bool>(0))?);
                        ended.push((n, order.id));
                    }
                    _ => {}
                }
            }
            result.orders = ended.len() as u64;
            if !ended.is_empty() {
                let detail = serde_json::json!({ "why": why });
                let entry = Entry { error: true, ..Entry::new(at, "orders-stale", Some(run), detail) };
                log.append_orders(tx, &entry, &ended)?;
            }
            Ok(result)
        })
    }

    /// Sets approved orders of a run back to rejected, as the sealed file of its review says.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn reject_again(
        &mut self,
        run: &RunId,
        rejection: &Rejection,
        orders: &[OrderId],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.write(|tx, log| {
            let mut rejected: Vec<Numbered> = Vec::new();
            for id in orders {
                let (n, order) = require(tx, id)?;
                if order.state == OrderState::Approved {
                    step(tx, n, &order, OrderState::Rejected, None, at)?;
                    rejected.push((n, order.id));
                }
            }
            let Rejection { number, reviewer, comment } = rejection;
            let detail = serde_json::json!({ "approval": number, "comment": comment, "again": true });
            let entry = Entry { error: true, ..Entry::new(at, "orders-rejected", Some(run), detail).by(reviewer) };
            log.append_orders(tx, &entry, &rejected)?;
            let numbers: Vec<i64> = rejected.iter().map(|(n, _)| *n).collect();
            block_needing(tx, log, needing(tx, &numbers)?, at)?;
            Ok(())
        })
    }
}

impl StoreError {
    /// Whether the plan of a run is gone, or is not what was registered: nothing of it can be reviewed or sent.
    pub fn is_lost_plan(&self) -> bool {
        matches!(self, Self::Refused(Refusal::PlanChanged { .. }) | Self::Removed { .. })
    }

    /// How a plan was lost that should be there still, without what to do about it; one that was removed in its time was
    /// not.
    pub fn plan_loss(&self) -> Option<String> {
        match self {
            Self::Refused(Refusal::PlanChanged { run, what, .. }) => Some(plan_changed(run, what)),
            _ => None,
        }
    }
}
