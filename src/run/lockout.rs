//! The last look before something is taken away: others may have left since the plan, and the account that muster uses
//! may be another by now.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{Mutex, MutexGuard};

use super::Conductor;
use super::rows::ResolvedRow;
use super::send::Sender;
use crate::connector::target::Target;
use crate::job::SyncKind;
use crate::model::capabilities::Capabilities;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::object::Object;
use crate::model::order::{Operation, Order};
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::reconcile::NAMES;

/// What of one target system always keeps a member in use.
#[derive(Default)]
pub(super) struct Guards {
    kept: Vec<Kept>,
    /// Two orders that may take the last members of one group wait for each other.
    turn: Mutex<()>,
}

/// The groups of one association.
struct Kept {
    association: String,
    /// The end that the groups are at, and the one of their members.
    end: String,
    other: String,
    groups: ResourceName,
    members: String,
    /// Groups that the job protects: id, and how the job calls them.
    protected: BTreeMap<String, String>,
    /// Every group keeps one (`keep_one`).
    all: bool,
}

impl Conductor {
    /// What is looked at before an order takes something away at a system. Asks the target which groups are meant.
    pub(super) async fn guards(
        &self,
        system: &str,
        target: &dyn Target,
        capabilities: &Capabilities,
    ) -> Result<Guards, Failure> {
        let mut guards = Guards::default();
        // What cannot be read back cannot be looked at before.
        for sync in self.job.syncs.iter().filter(|sync| sync.to.system == system && capabilities.reads_back) {
            let SyncKind::Association(association) = &sync.kind else { continue };
            let [first, second] = association.ends.as_slice() else { continue };
            for (groups, members) in [(first, second), (second, first)] {
                let offered = |name: &ResourceName| capabilities.resources.get(&name.resource);
                let is_account = |name: &ResourceName| offered(name).is_some_and(|offered| offered.enabled.is_some());
                let mut protected = BTreeMap::new();
                if !is_account(&groups.to) && is_account(&members.to) {
                    let prefix = format!("{}/", groups.to);
                    for name in self.job.apply.protect.iter().filter_map(|name| name.strip_prefix(prefix.as_str())) {
                        for id in self.called(target, &groups.to, name, capabilities).await? {
                            protected.insert(id, name.to_owned());
                        }
                    }
                }
                let keep = association.keep_one.as_ref().filter(|keep| keep.end == groups.name);
                let all = keep.is_some_and(|keep| keep.scope.is_none());
                if all || !protected.is_empty() {
                    guards.kept.push(Kept {
                        association: sync.to.resource.clone(),
                        end: groups.name.clone(),
                        other: members.name.clone(),
                        groups: groups.to.clone(),
                        members: members.to.resource.clone(),
                        protected,
                        all,
                    });
                }
            }
        }
        Ok(guards)
    }

    /// Ids of the target's objects that go by a name: their id, what they are called, the key of their source row.
    async fn called(
        &self,
        target: &dyn Target,
        resource: &ResourceName,
        name: &str,
        capabilities: &Capabilities,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut ids = BTreeSet::new();
        let known = capabilities.resources.get(&resource.resource);
        let attributes = NAMES.iter().filter(|name| known.is_some_and(|known| known.attributes.contains_key(**name)));
        for attribute in attributes {
            let found = target.find(&resource.resource, attribute, name).await?;
            ids.extend(found.into_iter().map(|object| object.id));
        }
        match target.get(&resource.resource, name).await {
            Ok(found) => ids.extend(found.map(|object| object.id)),
            // Not every server takes every text for an id.
            Err(failure) if failure.recourse == Recourse::GiveUp => {}
            Err(failure) => return Err(failure),
        }
        for sync in self.job.syncs.iter().filter(|sync| sync.to == *resource) {
            let link = self.store.link_of(&self.job.name, &sync.id, name).map_err(|error| {
                let remedy = "see to the state folder's disk";
                Failure::new(Class::Configuration, Recourse::Stop, &resource.system, error.to_string(), remedy)
            })?;
            ids.extend(link.map(|link| link.target_id));
        }
        Ok(ids)
    }
}

/// Why something is not taken away, in a sentence without its remedy.
pub(super) type Why = String;

impl Sender {
    /// Whether an order on one object would lock somebody out. Where it may be sent, nothing else that concerns the same
    /// groups is sent while the guard lives.
    pub(super) async fn locks_out(
        &self,
        order: &Order,
        held: Option<&Object>,
        tries: &mut u32,
    ) -> Result<Result<Option<MutexGuard<'_, ()>>, Why>, Failure> {
        let resource = order.resource.resource.as_str();
        let id = order.target_id.as_deref().unwrap_or_default();
        if !matches!(order.operation, Operation::Disable | Operation::Delete) {
            return Ok(Ok(None));
        }
        let name =
            held.and_then(|object| object.attributes.get("userName")).and_then(Value::as_text).unwrap_or_default();
        if let Some(why) = self.is_own(resource, &[id, name]) {
            return Ok(Err(why));
        }
        let mut turn = None;
        for kept in self.guards.kept.iter().filter(|kept| kept.members == resource) {
            for (group, called) in &kept.protected {
                let read = || self.target.members(&kept.association, &kept.end, group);
                if !self.patiently(order, tries, read).await?.iter().any(|member| member == id) {
                    continue;
                }
                if turn.is_none() {
                    turn = Some(self.guards.turn.lock().await);
                }
                let members = self.patiently(order, tries, read).await?;
                if !self.stays(order, kept, &members, &BTreeSet::from([id]), tries).await? {
                    return Ok(Err(kept.why(called)));
                }
            }
        }
        Ok(Ok(turn))
    }

    /// Of rows that are to be removed, those that must stay, each with its reason.
    pub(super) async fn rows_that_stay(
        &self,
        resource: &str,
        rows: &[ResolvedRow],
        open: &[usize],
        tries: &mut u32,
    ) -> Result<BTreeMap<usize, Why>, Failure> {
        let mut staying = BTreeMap::new();
        for at in open.iter().copied() {
            for end in &rows[at].order.ends {
                let id = rows[at].ends.get(&end.name).map_or("", String::as_str);
                if let Some(why) = self.is_own(&end.resource.resource, &[id, &end.label]) {
                    staying.insert(at, why);
                }
            }
        }
        for kept in self.guards.kept.iter().filter(|kept| kept.association == resource) {
            let end = |at: usize, name: &str| rows[at].ends.get(name).map_or("", String::as_str);
            let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for at in open.iter().copied().filter(|at| !staying.contains_key(at)) {
                let group = end(at, &kept.end);
                if kept.all || kept.protected.contains_key(group) {
                    groups.entry(group).or_default().push(at);
                }
            }
            for (group, going) in groups {
                let order = &rows[going[0]].order;
                let read = || self.target.members(&kept.association, &kept.end, group);
                let members = self.patiently(order, tries, read).await?;
                let leaving = going.iter().map(|at| end(*at, &kept.other)).collect();
                if !self.stays(order, kept, &members, &leaving, tries).await? {
                    let label = order.ends.iter().find(|end| end.name == kept.end).map_or(group, |end| &end.label);
                    staying.extend(going.into_iter().map(|at| (at, kept.why(label))));
                }
            }
        }
        Ok(staying)
    }

    /// Whether a member in use stays when some leave.
    async fn stays(
        &self,
        order: &Order,
        kept: &Kept,
        members: &[String],
        leaving: &BTreeSet<&str>,
        tries: &mut u32,
    ) -> Result<bool, Failure> {
        let flag = self.capabilities.resources.get(&kept.members).and_then(|offered| offered.enabled.as_deref());
        for id in members.iter().filter(|id| !leaving.contains(id.as_str())) {
            let Some(member) = self.patiently(order, tries, || self.target.get(&kept.members, id)).await? else {
                continue;
            };
            let state = flag.and_then(|flag| member.attributes.get(flag)).and_then(Value::as_text);
            if state != Some("false") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_own(&self, resource: &str, names: &[&str]) -> Option<Why> {
        let has_accounts = self.capabilities.resources.get(resource).is_some_and(|offered| offered.enabled.is_some());
        let account = self.capabilities.account.as_ref().filter(|account| has_accounts && account.is(names))?;
        Some(format!("it is the account that muster itself uses (known by {})", account.known_by))
    }
}

impl Kept {
    fn why(&self, called: &str) -> Why {
        let setting = if self.protected.values().any(|name| name == called) { "[apply] protect" } else { "keep_one" };
        format!(
            "`{}/{called}` would be left without a {} in use ({setting}): the others are gone or disabled by now",
            self.groups, self.other
        )
    }
}
