//! The last look before something is taken away: others may have left since the plan, and the account that muster uses
//! may be another by now.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use super::kept::{Kept, Others};
use super::leaving::{Leaver, Ticket};
use super::rows::ResolvedRow;
use super::send::{Ended, Sender};
use crate::model::failure::{Effect, Failure};
use crate::model::object::Object;
use crate::model::order::{Operation, Order, OrderState};
use crate::model::value::Value;
use crate::reconcile::NAMES;

/// Why something is not taken away, in a sentence without its remedy.
pub(super) type Why = String;

/// Whether a member in use stays.
#[derive(Clone, Copy, PartialEq)]
enum Stays {
    Yes,
    /// Nobody: the others have left.
    No(Others),
    /// Nobody if what is under way takes effect.
    IfOthersStay,
}

impl Sender {
    /// Whether an order on one object would lock somebody out. Where it may be sent, whoever leaves by it is counted as
    /// gone from now on, until the ticket says otherwise.
    pub(super) async fn locks_out(
        &self,
        order: &Order,
        held: Option<&Object>,
        tries: &mut u32,
    ) -> Result<Result<Ticket<'_>, Why>, Failure> {
        let resource = order.resource.resource.as_str();
        let id = order.target_id.as_deref().unwrap_or_default();
        if !matches!(order.operation, Operation::Disable | Operation::Delete) {
            return Ok(Ok(Ticket::none()));
        }
        let name =
            held.and_then(|object| object.attributes.get("userName")).and_then(Value::as_text).unwrap_or_default();
        if let Some(why) = self.is_own(resource, &[id, name]) {
            return Ok(Err(why));
        }
        if order.operation == Operation::Delete
            && let Some(why) = self.takes_own_rights(order, resource, id, tries).await?
        {
            return Ok(Err(why));
        }
        let mut at_stake: Vec<(&Kept, BTreeSet<String>)> = Vec::new();
        for kept in self.guards.kept.iter().filter(|kept| kept.members == resource) {
            let mut groups: BTreeSet<String> = kept.protected.keys().cloned().collect();
            if kept.all {
                let of_member = || self.target.members(&kept.association, &kept.other, id);
                groups.extend(self.patiently(order, tries, of_member).await?);
                groups.extend(kept.last_known.get(id).into_iter().flatten().cloned());
            }
            at_stake.push((kept, groups));
        }
        if at_stake.iter().all(|(_, groups)| groups.is_empty()) {
            return Ok(Ok(Ticket::none()));
        }
        loop {
            let mut woken = pin!(self.guards.leaving.woken());
            woken.as_mut().enable();
            let turn = self.guards.leaving.turn().await;
            match self.account_stays(order, id, &at_stake, tries).await? {
                None => {
                    let leaver = Leaver::Account(resource.to_owned(), id.to_owned());
                    return Ok(Ok(self.guards.leaving.begin(BTreeSet::from([leaver]))));
                }
                Some((Stays::IfOthersStay, _)) => {
                    drop(turn);
                    woken.await;
                }
                Some((_, why)) => return Ok(Err(why)),
            }
        }
    }

    /// Whether an account has to stay for one of some groups, and why.
    async fn account_stays(
        &self,
        order: &Order,
        id: &str,
        at_stake: &[(&Kept, BTreeSet<String>)],
        tries: &mut u32,
    ) -> Result<Option<(Stays, Why)>, Failure> {
        let mut waits = None;
        for (kept, groups) in at_stake {
            for group in groups {
                let members = self.members(order, kept, group, tries).await?;
                if !members.iter().any(|member| member == id) || !kept.may_count(group, id) {
                    continue;
                }
                match self.stays(order, kept, group, &members, &BTreeSet::from([id]), tries).await? {
                    Stays::Yes => {}
                    Stays::IfOthersStay => waits = Some((Stays::IfOthersStay, String::new())),
                    Stays::No(others) => {
                        let called = self.group_called(order, kept, group, tries).await?;
                        return Ok(Some((Stays::No(others), kept.why(&called, others))));
                    }
                }
            }
        }
        Ok(waits)
    }

    /// Of rows that are to be removed, those that must stay, each with its reason. The others are counted as gone from
    /// now on, until the ticket says otherwise.
    pub(super) async fn rows_that_stay(
        &self,
        resource: &str,
        rows: &[ResolvedRow],
        open: &[usize],
        tries: &mut u32,
    ) -> Result<(BTreeMap<usize, Why>, Ticket<'_>), Failure> {
        let mut own = BTreeMap::new();
        for at in open.iter().copied() {
            for end in &rows[at].order.ends {
                let id = rows[at].ends.get(&end.name).map_or("", String::as_str);
                if let Some(why) = self.is_own(&end.resource.resource, &[id, &end.label]) {
                    own.insert(at, why);
                }
            }
        }
        if !self.guards.kept.iter().any(|kept| kept.association == resource) {
            return Ok((own, Ticket::none()));
        }
        loop {
            let mut woken = pin!(self.guards.leaving.woken());
            woken.as_mut().enable();
            let turn = self.guards.leaving.turn().await;
            let mut staying = own.clone();
            if self.kept_rows(resource, rows, open, &mut staying, tries).await? {
                drop(turn);
                woken.await;
                continue;
            }
            let going = open.iter().filter(|at| !staying.contains_key(at));
            let leavers = going.flat_map(|at| self.leavers(resource, &rows[*at])).collect();
            return Ok((staying, self.guards.leaving.begin(leavers)));
        }
    }

    /// Adds to `staying` the rows without which an object would keep none; true where that hangs on others that are under
    /// way.
    async fn kept_rows(
        &self,
        resource: &str,
        rows: &[ResolvedRow],
        open: &[usize],
        staying: &mut BTreeMap<usize, Why>,
        tries: &mut u32,
    ) -> Result<bool, Failure> {
        for kept in self.guards.kept.iter().filter(|kept| kept.association == resource) {
            let end = |at: usize, name: &str| rows[at].ends.get(name).map_or("", String::as_str);
            let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for at in open.iter().copied().filter(|at| !staying.contains_key(at)) {
                let group = end(at, &kept.end);
                let is_kept = kept.all || kept.protected.contains_key(group);
                if is_kept && kept.may_count(group, end(at, &kept.other)) {
                    groups.entry(group).or_default().push(at);
                }
            }
            for (group, going) in groups {
                let order = &rows[going[0]].order;
                let members = self.members(order, kept, group, tries).await?;
                let leaving = going.iter().map(|at| end(*at, &kept.other)).collect();
                match self.stays(order, kept, group, &members, &leaving, tries).await? {
                    Stays::Yes => {}
                    Stays::IfOthersStay => return Ok(true),
                    Stays::No(others) => {
                        let label = order.ends.iter().find(|end| end.name == kept.end).map_or(group, |end| &end.label);
                        for at in going {
                            // Whoever is out of use already is nobody's last one.
                            if self.is_in_use(order, kept, end(at, &kept.other), tries).await? {
                                staying.insert(at, kept.why(label, others));
                            }
                        }
                    }
                }
            }
        }
        Ok(false)
    }

    /// What a row that goes is called among those who leave: for each object that keeps one.
    pub(super) fn leavers(&self, resource: &str, row: &ResolvedRow) -> BTreeSet<Leaver> {
        let end = |name: &str| row.ends.get(name).cloned().unwrap_or_default();
        let kept = self.guards.kept.iter().filter(|kept| kept.association == resource);
        kept.map(|kept| Leaver::Row(resource.to_owned(), end(&kept.end), end(&kept.other))).collect()
    }

    async fn members(&self, order: &Order, kept: &Kept, group: &str, tries: &mut u32) -> Result<Vec<String>, Failure> {
        self.patiently(order, tries, || self.target.members(&kept.association, &kept.end, group)).await
    }

    /// Whether a member in use stays when some leave.
    async fn stays(
        &self,
        order: &Order,
        kept: &Kept,
        group: &str,
        members: &[String],
        leaving: &BTreeSet<&str>,
        tries: &mut u32,
    ) -> Result<Stays, Failure> {
        let mut waits = false;
        let mut by_apply = leaving.len() > 1;
        for id in members {
            if leaving.contains(id.as_str()) || !kept.counts(group, id) {
                continue;
            }
            let as_account = Leaver::Account(kept.members.clone(), id.clone());
            let as_row = Leaver::Row(kept.association.clone(), group.to_owned(), id.clone());
            let leaves = [self.guards.leaving.leaves(&as_account), self.guards.leaving.leaves(&as_row)];
            if leaves.contains(&Some(true)) {
                by_apply = true;
                continue;
            }
            match (self.is_in_use(order, kept, id, tries).await?, leaves.contains(&Some(false))) {
                (false, _) => {}
                (true, true) => waits = true,
                (true, false) => return Ok(Stays::Yes),
            }
        }
        if waits {
            return Ok(Stays::IfOthersStay);
        }
        let by_apply = by_apply || self.guards.leaving.took_from(&kept.association, group);
        Ok(Stays::No(if by_apply { Others::Leaving } else { Others::Gone }))
    }

    /// Whether a member is there and not disabled.
    async fn is_in_use(&self, order: &Order, kept: &Kept, id: &str, tries: &mut u32) -> Result<bool, Failure> {
        let flag = self.capabilities.resources.get(&kept.members).and_then(|offered| offered.enabled.as_deref());
        let found = self.patiently(order, tries, || self.target.get(&kept.members, id)).await?;
        Ok(found.is_some_and(|member| {
            flag.and_then(|flag| member.attributes.get(flag)).and_then(Value::as_text) != Some("false")
        }))
    }

    /// What a group is called, for people.
    async fn group_called(&self, order: &Order, kept: &Kept, group: &str, tries: &mut u32) -> Result<String, Failure> {
        if let Some(called) = kept.protected.get(group) {
            return Ok(called.clone());
        }
        let found = self.patiently(order, tries, || self.target.get(&kept.groups.resource, group)).await?;
        let name = |name: &&str| found.as_ref()?.attributes.get(*name).and_then(Value::as_text).map(str::to_owned);
        Ok(NAMES.iter().find_map(name).unwrap_or_else(|| group.to_owned()))
    }

    fn is_own(&self, resource: &str, names: &[&str]) -> Option<Why> {
        let account =
            self.capabilities.account.as_ref().filter(|account| self.is_account(resource) && account.is(names))?;
        Some(format!("it is the account that muster itself uses (known by {})", account.known_by))
    }

    fn is_account(&self, resource: &str) -> bool {
        self.capabilities.resources.get(resource).is_some_and(|offered| offered.enabled.is_some())
    }

    /// Whether deleting an object takes rights from the account that muster itself uses.
    async fn takes_own_rights(
        &self,
        order: &Order,
        resource: &str,
        id: &str,
        tries: &mut u32,
    ) -> Result<Option<Why>, Failure> {
        let Some(account) = &self.capabilities.account else { return Ok(None) };
        for tie in self.guards.ties.iter().filter(|tie| tie.of == resource && self.is_account(&tie.others)) {
            let held = self.patiently(order, tries, || self.target.members(&tie.association, &tie.end, id)).await?;
            if held.is_empty() {
                continue;
            }
            let mut own: BTreeSet<String> = account.names.iter().cloned().collect();
            for name in &account.names {
                let found = self.patiently(order, tries, || self.target.find(&tie.others, "userName", name)).await?;
                own.extend(found.into_iter().map(|object| object.id));
            }
            if held.iter().any(|id| own.contains(id)) {
                let known_by = &account.known_by;
                return Ok(Some(format!(
                    "it holds the account that muster itself uses (known by {known_by}), whose rights would go with it"
                )));
            }
        }
        Ok(None)
    }
}

/// Whether whoever was to leave by an order certainly is where they were.
pub(super) fn certainly_stayed(ended: &Ended) -> bool {
    match ended {
        Ended::Untried(_) => true,
        Ended::Open(_) => false,
        Ended::Outcome(outcome, _) => match outcome.state {
            OrderState::Applied | OrderState::Uncertain => false,
            _ => outcome.failure.as_ref().is_none_or(|failure| failure.effect == Effect::None),
        },
    }
}
