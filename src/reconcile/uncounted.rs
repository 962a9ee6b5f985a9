//! Who must not be locked out where nobody can be counted: the association's snapshot may not be used in this run.

use std::collections::BTreeSet;

use super::input::UnplannedRows;
use super::kept_now::keep_one_of;
use super::lockout::{Leaving, protected};
use super::objects::counted;
use crate::model::order::Block;

/// What would have needed the count: blocked where the target cannot be asked later, else told.
pub(crate) fn judge(
    rows: &UnplannedRows<'_>,
    protect: &BTreeSet<String>,
    leaving: &Leaving<'_>,
) -> (Vec<(usize, Block)>, Vec<String>) {
    let sync = rows.sync;
    let [first, second] = sync.ends.as_slice() else { return Default::default() };
    let (mut blocks, mut warnings) = (Vec::new(), Vec::new());
    for (kept, (groups, members)) in [(first, second), (second, first)].into_iter().enumerate() {
        let of_accounts = !rows.accounts[kept] && rows.accounts[1 - kept];
        let prefix = format!("{}/", groups.to);
        let mut needing: BTreeSet<usize> = BTreeSet::new();
        let mut settings = Vec::new();
        if of_accounts && protect.iter().any(|name| name.starts_with(&prefix)) {
            settings.push("[apply] protect".to_owned());
        }
        if sync.keep_one.as_ref().is_some_and(|keep| keep.end == groups.name) {
            settings.push(keep_one_of(&sync.to));
        }
        if !settings.is_empty() {
            let objects = leaving.objects.iter().filter(|((resource, _), _)| **resource == members.to);
            needing.extend(objects.flat_map(|(_, which)| which));
            needing.extend(leaving.rows.get(&sync.to).into_iter().flat_map(|rows| rows.values().flatten()));
        }
        if of_accounts && rows.account.is_some() {
            let deleted = leaving.deleted.iter().filter(|((resource, _), _)| **resource == groups.to);
            let before = needing.len();
            needing.extend(deleted.flat_map(|(_, which)| which));
            if needing.len() > before {
                settings.push("the rights of the account that muster itself uses".to_owned());
            }
        }
        if needing.is_empty() {
            continue;
        }
        let (to, settings) = (&sync.to, settings.join(", "));
        if rows.asked_again {
            warnings.push(format!(
                "{to}: its snapshot may not be used in this run, so that nobody was counted ({settings}) for {}: {} is asked right before each is sent, and what would take the last one is skipped as `stale`",
                counted(needing.len(), "order"),
                to.system,
            ));
            continue;
        }
        let detail = format!(
            "the snapshot of {to} may not be used in this run, so that nobody can say whether a {} in use stays ({settings}), and {} cannot be asked when orders are sent; accept what is suspected of it, or mend it, and run again",
            members.name, to.system,
        );
        blocks.extend(needing.into_iter().filter_map(|which| Some((which, protected(detail.clone())?))));
    }
    (blocks, warnings)
}
