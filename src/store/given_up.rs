//! Orders whose plan is lost: what they were to do is not known any more, so that they are never sent.

use chrono::{DateTime, Utc};

use super::chain::Entry;
use super::database::Store;
use super::error::StoreError;
use super::orders::{Numbered, orders_where, step};
use crate::model::approval::Refusal;
use crate::model::order::OrderState;
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
}

impl StoreError {
    /// Whether the plan of a run is gone, or is not what was registered: nothing of it can be reviewed or sent.
    pub fn is_lost_plan(&self) -> bool {
        matches!(self, Self::Refused(Refusal::PlanChanged { .. }) | Self::Removed { .. })
    }
}
