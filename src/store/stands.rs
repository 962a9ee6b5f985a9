//! Where the orders of a run stand, without what their plan says of them: small enough for millions to be kept.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::database::{Store, maybe_instant, word};
use super::error::{Fault, StoreError};
use crate::model::order::{Block, OrderState};
use crate::model::run::RunId;

/// Where one order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its state.
    pub state: OrderState,
    /// Why it is blocked, by its place in [`Stands::blocks`]; `None` where it never was.
    pub block: Option<u32>,
    /// The number of the approval that it stands under.
    pub approved_by: Option<u32>,
    /// Until when that holds.
    pub approval_expires: Option<DateTime<Utc>>,
}

/// Where the orders of a run stand, in the plan's sequence.
#[derive(Clone, Debug, Default)]
pub struct Stands {
    /// One for each order.
    pub orders: Vec<Stand>,
    /// What blocks them, each once.
    pub blocks: Vec<Block>,
}

impl Store {
    /// Where the orders of a run stand.
    ///
    /// # Errors
    /// When the database cannot be read, or does not number the orders one by one as a plan does.
    pub fn stands(&self, run: &RunId) -> Result<Stands, StoreError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT seq, state, block_reason, block_detail, approved_by, approval_expires FROM orders
                 WHERE run = ? ORDER BY seq",
            )?;
            let mut rows = statement.query([&run.0])?;
            let mut stands = Stands::default();
            let mut known: HashMap<(String, String), u32> = HashMap::new();
            while let Some(row) = rows.next()? {
                if row.get::<_, i64>(0)? != stands.orders.len() as i64 {
                    return Err(Fault::Row(format!("the orders of run {run} are not numbered one by one")));
                }
                let block = match row.get::<_, Option<String>>(2)? {
                    None => None,
                    Some(reason) => {
                        let said = (reason, row.get::<_, Option<String>>(3)?.unwrap_or_default());
                        let place = match known.get(&said) {
                            Some(place) => *place,
                            None => {
                                let reason = said.0.parse().map_err(Fault::Row)?;
                                stands.blocks.push(Block { reason, detail: said.1.clone() });
                                let place = (stands.blocks.len() - 1) as u32;
                                known.insert(said, place);
                                place
                            }
                        };
                        Some(place)
                    }
                };
                stands.orders.push(Stand {
                    state: word(row, 1)?,
                    block,
                    approved_by: row.get(4)?,
                    approval_expires: maybe_instant(row, 5)?,
                });
            }
            Ok(stands)
        })
    }

    /// A number that is another one once another connection has changed the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn version(&self) -> Result<i64, StoreError> {
        self.read(|db| Ok(db.query_row("PRAGMA data_version", [], |row| row.get(0))?))
    }
}
