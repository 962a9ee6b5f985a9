//! Accounts that are at the target and do not work, and whether an order that waits will mend them.

use std::collections::BTreeMap;

use super::Conductor;
use super::error::RunError;
use super::inventory::Inventory;
use super::offload::compute;
use super::plan_input::sync_inputs;
use crate::job::SyncKind;
use crate::model::order::{BlockReason, Operation, Remedy};
use crate::reconcile::broken::{BrokenAccount, Lack, find};
use crate::reconcile::policy::DriftAction;
use crate::reconcile::{LiveOrder, SyncInput};

/// An account that does not work.
#[derive(Debug)]
pub struct Incomplete {
    /// Which account, and what it lacks.
    pub account: BrokenAccount,
    /// What it lacks, in words.
    pub missing: Vec<String>,
    /// Whether orders that wait mend all of it.
    pub mends: bool,
    /// Which order mends it, or why none does, in words.
    pub mended_by: Vec<String>,
}

impl Conductor {
    /// The job's accounts that do not work, as of the newest snapshots that were planned from. Asks no system and writes
    /// nothing.
    ///
    /// # Errors
    /// Where nothing was planned yet, or its files cannot be read.
    pub fn incomplete(&self) -> Result<(Inventory, Vec<Incomplete>), RunError> {
        let inventory = self.inventory()?;
        let look = self.newest_look()?.ok_or_else(|| self.no_look(""))?;
        let claimed = BTreeMap::new();
        let accounts = compute(|| {
            let opened = self.opened(&look, true)?;
            let mut accounts = Vec::new();
            for sync in sync_inputs(&opened.memories, &opened.snapshots, &claimed) {
                if let SyncInput::Objects(objects) = sync {
                    accounts.append(&mut find(&objects)?);
                }
            }
            Ok::<_, RunError>(accounts)
        })?;
        let live = self.live(&[])?;
        let told = accounts.into_iter().map(|account| self.told_incomplete(account, &live));
        Ok((inventory, told.collect()))
    }

    fn told_incomplete(&self, account: BrokenAccount, live: &[LiveOrder]) -> Incomplete {
        let sync = &self.job.syncs[account.sync];
        let own: Vec<&LiveOrder> = live
            .iter()
            .filter(|order| order.resource == sync.to && order.target_id.as_deref() == Some(&account.target_id))
            .collect();
        let (mut missing, mut mended_by, mut mends) = (Vec::new(), Vec::new(), true);
        for lack in &account.lacks {
            let order = own.iter().find(|order| sets(order, lack));
            let no_seat = order.is_some_and(|order| order.block == Some(BlockReason::Capacity));
            missing.push(match lack.is_disabled {
                true if no_seat => "disabled at the target, and no seat is free".to_owned(),
                true => "disabled at the target".to_owned(),
                false => format!("no {}", lack.attribute),
            });
            mended_by.push(match order {
                Some(order) => {
                    let block = order.block.map(|block| format!(", {}", block.word())).unwrap_or_default();
                    mends &= order.block.is_none_or(|block| block.remedy() != Remedy::CauseGone);
                    format!("{} {} ({}{block})", order.operation, order.id, order.state)
                }
                None => {
                    mends = false;
                    self.why_not(&account, lack)
                }
            });
        }
        mended_by.dedup();
        Incomplete { account, missing, mends, mended_by }
    }

    /// Why no order waits that gives an account what it lacks.
    fn why_not(&self, account: &BrokenAccount, lack: &Lack) -> String {
        let sync = &self.job.syncs[account.sync];
        let drift = match &sync.kind {
            SyncKind::Objects(objects) => objects.on.drift,
            SyncKind::Association(_) => DriftAction::Correct,
        };
        match (&lack.wanted, &lack.rule) {
            (Some(_), _) if drift != DriftAction::Correct => {
                format!("nothing: on.drift leaves what was changed at {}; mend it there", sync.to.system)
            }
            (Some(_), _) => format!("nothing waits; muster explain {} {}", self.job.name, account.source_key),
            (None, Some(rule)) => {
                format!("nothing: `{rule}` yields no value; complete row `{}` of {}", account.source_key, sync.from)
            }
            (None, None) => format!("nothing: the job maps no `{}`; add it to [sync.attributes]", lack.attribute),
        }
    }
}

/// Whether an order gives an account what it lacks.
fn sets(order: &LiveOrder, lack: &Lack) -> bool {
    let enables = lack.is_disabled && order.operation == Operation::Enable;
    let mut changes = order.changes.iter().flatten();
    enables || changes.any(|change| change.attribute == lack.attribute && change.after.is_some())
}
