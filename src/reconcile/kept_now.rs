//! Who must not be locked out, as a target answers when it is asked: for plans that are made without its snapshots.

use std::collections::{BTreeSet, HashMap};

use super::lockout::{Leaving, holds_own, in_use, last_of, protected};
use super::standing::Ledger;
use crate::model::capabilities::OwnAccount;
use crate::model::order::{Block, Operation};
use crate::model::resource::ResourceName;

/// An object that keeps a member in use, with its members as they are.
#[derive(Clone, Debug)]
pub struct KeptNow {
    /// The association.
    pub association: ResourceName,
    /// What the object is, its id and what it is called.
    pub of: ResourceName,
    /// Its id.
    pub id: String,
    /// What it is called.
    pub called: String,
    /// The end of the members, and the accounts that they are.
    pub member: String,
    /// The accounts that the members are.
    pub accounts: ResourceName,
    /// Whether the object is at the first of both ends.
    pub is_first: bool,
    /// The setting that keeps one, for people.
    pub setting: String,
    /// Its condition, where it has one.
    pub scope: Option<String>,
    /// The members.
    pub members: Vec<MemberNow>,
}

/// The setting that keeps one of each, for people.
pub fn keep_one_of(association: &ResourceName) -> String {
    format!("keep_one of the sync to {association}")
}

/// A member.
#[derive(Clone, Debug)]
pub struct MemberNow {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub called: String,
    /// Whether it is there and not disabled.
    pub in_use: bool,
    /// Whether the condition admits its row; `None` where that cannot be judged.
    pub counts: Option<bool>,
}

/// An object that the account of muster has rights by.
#[derive(Clone, Debug)]
pub struct RightsNow {
    /// What it is.
    pub of: ResourceName,
    /// Its id.
    pub id: String,
    /// What it is called.
    pub called: String,
    /// The account.
    pub account: OwnAccount,
}

/// Blocks the orders that would lock somebody out.
pub(crate) fn guard(kept: &[KeptNow], rights: &[RightsNow], ledger: &mut Ledger<'_>) {
    let takes = |operation| matches!(operation, Operation::Disable | Operation::Delete | Operation::Remove);
    let (leaving, going) = Leaving::of(ledger, takes);
    let mut blocks: Vec<(usize, Option<Block>)> = kept.iter().flat_map(|kept| kept.judge(&leaving)).collect();
    for held in rights {
        let detail = holds_own(&held.of, &held.called, &held.account);
        let orders = leaving.deleted.get(&(&held.of, held.id.as_str())).into_iter().flatten();
        blocks.extend(orders.map(|which| (*which, protected(detail.clone()))));
    }
    drop(leaving);
    for (number, block) in blocks {
        if let Some(block) = block {
            ledger.stop(going[number], block);
        }
    }
}

impl KeptNow {
    fn judge(&self, leaving: &Leaving<'_>) -> Vec<(usize, Option<Block>)> {
        let none = HashMap::new();
        let removed = leaving.rows.get(&self.association).unwrap_or(&none);
        let takers = |member: &MemberNow| -> BTreeSet<usize> {
            let (first, second) = if self.is_first { (&self.id, &member.id) } else { (&member.id, &self.id) };
            let of_row = removed.get(&(first.as_str(), second.as_str())).into_iter().flatten();
            let of_object = leaving.objects.get(&(&self.accounts, member.id.as_str())).into_iter().flatten();
            of_row.chain(of_object).copied().collect()
        };
        let (mut lost, mut going) = (Vec::new(), BTreeSet::new());
        for member in &self.members {
            let takers = takers(member);
            match takers.is_empty() {
                true if member.in_use && member.counts == Some(true) => return Vec::new(),
                false if member.counts != Some(false) => {
                    lost.push(format!("`{}`", member.called));
                    going.extend(takers);
                }
                _ => {}
            }
        }
        let what = in_use(&self.member, self.scope.as_deref());
        let detail = last_of(&self.of, &self.called, &what, &self.setting, lost);
        going.into_iter().map(|which| (which, protected(detail.clone()))).collect()
    }
}
