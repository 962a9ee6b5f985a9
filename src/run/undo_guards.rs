//! What the guards of a plan that undoes others go by: asked of the targets, as no snapshot is made for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::StreamExt as _;

use super::Conductor;
use super::demand;
use super::error::RunError;
use super::lost::orders_left;
use super::offers::Offers;
use super::offload::compute;
use super::revert::Sources;
use crate::connector::source::Source;
use crate::job::{Sync, SyncKind};
use crate::model::capabilities::{AttributeType, Capabilities};
use crate::model::object::Object;
use crate::model::order::{Block, EndRef, Operation, Order, OrderId};
use crate::model::resource::ResourceName;
use crate::model::value::Value;
use crate::reconcile::kept_now::{KeptNow, MemberNow, RightsNow, keep_one_of};
use crate::reconcile::policy::{AssociationSync, EndSync};
use crate::reconcile::revert::Preflight;
use crate::reconcile::seats::SeatsNow;
use crate::reconcile::{LiveOrder, NAMES, canonical, unique};
use crate::rules::scope::{BoundScope, Scope};
use crate::snapshot::row::Cells as _;
use crate::snapshot::table::Table;

/// An order that would undo another, with its target's identity.
pub(super) type Undoing = (Order, String);

/// Whoever leaves by the orders in question and by those that are live; by the target's ids.
struct Leavers {
    objects: HashSet<(ResourceName, String)>,
    rows: HashSet<(ResourceName, String, String)>,
}

/// The groups at one end of an association, and the condition on their rows.
struct Groups<'a> {
    sync: &'a Sync,
    groups: &'a EndSync,
    members: &'a EndSync,
    is_first: bool,
    protected: BTreeMap<String, String>,
    scope: Option<(RowScope, String)>,
    all: bool,
}

/// A condition on rows.
enum RowScope {
    /// It asks for both ends alone.
    Ends(BoundScope),
    /// It asks for more, which only snapshots show: what the last accepted one says of its rows, by group and member.
    Known(HashMap<(String, String), bool>),
}

impl RowScope {
    /// Whether a row counts; `None` where nobody can tell.
    fn admits(&self, group: &str, member: &str) -> Option<bool> {
        match self {
            Self::Ends(scope) => scope.admits(&vec![group.to_owned(), member.to_owned()]).ok(),
            Self::Known(rows) => rows.get(&(group.to_owned(), member.to_owned())).copied(),
        }
    }
}

impl Conductor {
    /// What the guards go by, as far as these orders need it.
    pub(super) async fn preflight(
        &self,
        undoing: &[Undoing],
        sources: &Sources,
        offers: &Offers,
    ) -> Result<Preflight, RunError> {
        let identities: BTreeSet<&str> = offers.values().map(|(identity, _)| identity.as_str()).collect();
        let live = self.live(&identities.into_iter().collect::<Vec<_>>())?;
        let leavers = Leavers::of(undoing, &live);
        let mut preflight = Preflight {
            taken: self.taken(undoing, sources, offers).await?,
            seats: compute(|| self.seats_now(undoing, offers))?,
            ..Preflight::default()
        };
        for sync in &self.job.syncs {
            let SyncKind::Association(rows) = &sync.kind else { continue };
            let Some((source, (_, offered))) = sources.get(&sync.to.system).zip(offers.get(&sync.to.system)) else {
                continue;
            };
            let [first, second] = rows.ends.as_slice() else { continue };
            for (is_first, groups, members) in [(true, first, second), (false, second, first)] {
                let protected = self.protected_groups((groups, members), &**source, offered).await?;
                for of in self.kept_of((sync, rows), (groups, members), is_first, protected) {
                    for group in self.at_stake(&of, undoing, &**source).await? {
                        preflight.kept.extend(kept_now(&of, &group, &leavers, &**source, offered).await?);
                    }
                }
                let ties = (&sync.to, groups, members);
                preflight.rights.extend(rights_now(ties, undoing, &**source, offered).await?);
            }
        }
        Ok(preflight)
    }

    /// The groups of which these orders take a member.
    async fn at_stake(
        &self,
        of: &Groups<'_>,
        undoing: &[Undoing],
        source: &dyn Source,
    ) -> Result<BTreeSet<String>, RunError> {
        let mut groups = BTreeSet::new();
        for (order, _) in undoing.iter().filter(|(order, _)| order.resource == of.sync.to) {
            let group = order.ends.iter().find(|end| end.name == of.groups.name);
            if let (Operation::Remove, Some(EndRef::Target(id))) = (order.operation, group.map(|end| &end.object))
                && (of.all || of.protected.contains_key(id))
            {
                groups.insert(id.clone());
            }
        }
        let takes = |order: &Order| matches!(order.operation, Operation::Disable | Operation::Delete);
        let leaving = undoing.iter().filter(|(order, _)| order.resource == of.members.to && takes(order));
        let ids: HashSet<String> = leaving.filter_map(|(order, _)| order.target_id.clone()).collect();
        if ids.is_empty() {
            return Ok(groups);
        }
        groups.extend(of.protected.keys().cloned());
        if of.all {
            let known = compute(|| self.last_known(of.sync, (of.groups, of.members), &ids));
            groups.extend(known.into_values().flatten());
            let (resource, end) = (&of.sync.to.resource, &of.members.name);
            let mut asked = futures::stream::iter(&ids)
                .map(|id| source.members(resource, end, id))
                .buffer_unordered(self.job.apply.concurrency.max(1));
            while let Some(found) = asked.next().await {
                groups.extend(found?);
            }
        }
        Ok(groups)
    }

    /// What keeps one at an end of an association: groups that the job protects, and all where the sync keeps one.
    fn kept_of<'a>(
        &self,
        (sync, rows): (&'a Sync, &'a AssociationSync),
        (groups, members): (&'a EndSync, &'a EndSync),
        is_first: bool,
        protected: BTreeMap<String, String>,
    ) -> Vec<Groups<'a>> {
        let of = |protected, scope, all| Groups { sync, groups, members, is_first, protected, scope, all };
        let mut kept = Vec::new();
        if !protected.is_empty() {
            kept.push(of(protected, None, false));
        }
        if let Some(keep) = rows.keep_one.as_ref().filter(|keep| keep.end == groups.name) {
            let columns = [groups.name.clone(), members.name.clone()];
            let scope = keep.scope.as_ref().map(|(scope, text)| {
                let known = || RowScope::Known(compute(|| self.rows_that_count(sync, (groups, members), scope)));
                (scope.bind(&columns).map_or_else(|_| known(), RowScope::Ends), text.clone())
            });
            kept.push(of(BTreeMap::new(), scope, true));
        }
        kept
    }

    /// Whether a condition admits each row of the last accepted snapshot, by group and member; of none where there is no
    /// such snapshot.
    fn rows_that_count(
        &self,
        sync: &Sync,
        (groups, members): (&EndSync, &EndSync),
        scope: &Scope,
    ) -> HashMap<(String, String), bool> {
        let read = || {
            let baseline = self.store.baseline(&self.job.name, &sync.to).ok()??;
            let table = Table::open(&self.layout.root.join(&baseline.path), &baseline.key).ok()?;
            let (group, member) = (table.column(&groups.name)?, table.column(&members.name)?);
            let bound = scope.bind(table.columns()).ok()?;
            let chunks = table.par_fold(Vec::new, |found: &mut Vec<((String, String), bool)>, row| {
                if let Ok(admits) = bound.admits(row) {
                    found.push(((row.cell(group).to_owned(), row.cell(member).to_owned()), admits));
                }
            });
            chunks.ok()
        };
        read().into_iter().flatten().flatten().collect()
    }

    /// By the applied order that is undone, why a value that it would have again is not free.
    async fn taken(
        &self,
        undoing: &[Undoing],
        sources: &Sources,
        offers: &Offers,
    ) -> Result<BTreeMap<OrderId, Block>, RunError> {
        let identifying = demand::identifying(&self.job);
        let concerned: HashMap<(&ResourceName, &str), &Order> =
            undoing.iter().filter_map(|(o, _)| Some(((&o.resource, o.target_id.as_deref()?), o))).collect();
        let mut taken = BTreeMap::new();
        for (order, _) in undoing.iter().filter(|(order, _)| order.block.is_none()) {
            let (Some(undone), Some(source)) = (&order.undoes, sources.get(&order.resource.system)) else { continue };
            let (system, resource) = (&order.resource.system, &order.resource.resource);
            let told = offers.get(system).and_then(|(_, offered)| offered.resources.get(resource));
            let must_be_free = |attribute: &String| {
                identifying.get(&order.resource).is_some_and(|names| names.contains(attribute))
                    || told.is_some_and(|told| told.unique.contains(attribute))
            };
            for change in order.changes.iter().filter(|change| must_be_free(&change.attribute)) {
                let Some(Value::Text(value)) = &change.after else { continue };
                let found = source.find(resource, &change.attribute, value).await?;
                let mut ids: Vec<String> = found.into_iter().map(|object| object.id).collect();
                ids.retain(|id| Some(id) != order.target_id.as_ref());
                ids.sort();
                if ids.is_empty() {
                    continue;
                }
                let frees = |id: &String| {
                    let other = concerned.get(&(&order.resource, id.as_str()))?;
                    let gives_up = other.operation == Operation::Delete
                        || other.changes.iter().any(|c| c.attribute == change.attribute);
                    gives_up.then_some(other.operation)
                };
                let block = unique::taken(&change.attribute, value, &order.resource, &ids, frees(&ids[0]));
                taken.extend(block.map(|block| (undone.clone(), block)));
                break;
            }
        }
        Ok(taken)
    }

    /// The seats of what these orders take back into use.
    fn seats_now(&self, undoing: &[Undoing], offers: &Offers) -> Result<Vec<SeatsNow>, RunError> {
        let enabled = undoing.iter().filter(|(order, _)| order.operation == Operation::Enable);
        let resources: BTreeSet<&ResourceName> = enabled.map(|(order, _)| &order.resource).collect();
        let mut seats = Vec::new();
        for name in resources {
            let Some((_, offered)) = offers.get(&name.system) else { continue };
            let flag = offered.resources.get(&name.resource).and_then(|offered| offered.enabled.clone());
            let all = match (offered.seats.get(&name.resource), &flag) {
                (Some(all), Some(flag)) => self.in_use(name, flag)?.map(|taken| (*all, taken)),
                _ => None,
            };
            let free = offered.free.get(&name.resource).copied();
            seats.push(SeatsNow { resource: name.clone(), free, all, flag });
        }
        Ok(seats)
    }

    /// How many accounts of a target are in use: as the last accepted snapshot counts them, and what muster itself applied
    /// since. `None` where there is no such snapshot.
    fn in_use(&self, name: &ResourceName, flag: &str) -> Result<Option<u64>, RunError> {
        let Some(baseline) = self.store.baseline(&self.job.name, name)? else { return Ok(None) };
        let mut since: HashMap<String, bool> = HashMap::new();
        for (run, outcomes) in self.store.applied_since(&self.job.name, &name.system, baseline.at)? {
            for order in orders_left(&self.store, &run)? {
                let order = order?;
                let Some(known) = outcomes.get(&order.id).filter(|_| order.resource == *name) else { continue };
                let Some(id) = known.clone().or(order.target_id) else { continue };
                let is_off = || {
                    let change = order.changes.iter().find(|change| change.attribute == flag);
                    change.and_then(|change| change.after.as_ref()).and_then(Value::as_text) == Some("false")
                };
                match order.operation {
                    Operation::Create => drop(since.insert(id, !is_off())),
                    Operation::Enable => drop(since.insert(id, true)),
                    Operation::Disable | Operation::Delete => drop(since.insert(id, false)),
                    Operation::Update | Operation::Add | Operation::Remove => {}
                }
            }
        }
        let table = Table::open(&self.layout.root.join(&baseline.path), &baseline.key)?;
        let column = table.column(flag);
        let counts = table.par_fold(
            || 0,
            |count: &mut u64, row| {
                let value = column.and_then(|column| canonical::value(row.cell(column), AttributeType::Boolean));
                let is_off = value.as_ref().and_then(Value::as_text) == Some("false");
                *count += u64::from(!is_off && !since.contains_key(&table.key_of(row)));
            },
        )?;
        Ok(Some(counts.into_iter().sum::<u64>() + since.into_values().filter(|in_use| *in_use).count() as u64))
    }
}

impl Leavers {
    fn of(undoing: &[Undoing], live: &[LiveOrder]) -> Self {
        let mut leavers = Self { objects: HashSet::new(), rows: HashSet::new() };
        for (order, _) in undoing {
            let ends: Vec<&EndRef> = order.ends.iter().map(|end| &end.object).collect();
            leavers.take(&order.resource, order.operation, order.target_id.as_deref(), &ends);
        }
        for live in live.iter().filter(|live| live.of_other_job.is_none()) {
            let ends: Vec<&EndRef> = live.ends.iter().collect();
            leavers.take(&live.resource, live.operation, live.target_id.as_deref(), &ends);
        }
        leavers
    }

    fn take(&mut self, resource: &ResourceName, operation: Operation, id: Option<&str>, ends: &[&EndRef]) {
        match (operation, id, ends) {
            (Operation::Disable | Operation::Delete, Some(id), _) => {
                self.objects.insert((resource.clone(), id.to_owned()));
            }
            (Operation::Remove, _, [EndRef::Target(first), EndRef::Target(second)]) => {
                self.rows.insert((resource.clone(), first.clone(), second.clone()));
            }
            _ => {}
        }
    }
}

/// A group with its members, where nobody else is certain to stay.
async fn kept_now(
    of: &Groups<'_>,
    group: &str,
    leavers: &Leavers,
    source: &dyn Source,
    offered: &Capabilities,
) -> Result<Option<KeptNow>, RunError> {
    let accounts = &of.members.to;
    let flag = offered.resources.get(&accounts.resource).and_then(|offered| offered.enabled.as_deref());
    let counts = |member: &str| match &of.scope {
        None => Some(true),
        Some((scope, _)) => scope.admits(group, member),
    };
    let leaves = |member: &str| {
        let (first, second) = if of.is_first { (group, member) } else { (member, group) };
        leavers.objects.contains(&(accounts.clone(), member.to_owned()))
            || leavers.rows.contains(&(of.sync.to.clone(), first.to_owned(), second.to_owned()))
    };
    let ids = source.members(&of.sync.to.resource, &of.groups.name, group).await?;
    let (going, staying): (Vec<String>, Vec<String>) = ids.into_iter().partition(|id| leaves(id));
    let in_use = |object: &Object| {
        let state = flag.and_then(|flag| object.attributes.get(flag));
        let state = state.and_then(|value| canonical::value(&value.to_cell(), AttributeType::Boolean));
        state.as_ref().and_then(Value::as_text) != Some("false")
    };
    for id in staying.iter().filter(|id| counts(id) == Some(true)) {
        if source.get(&accounts.resource, id).await?.is_some_and(|object| in_use(&object)) {
            return Ok(None);
        }
    }
    let mut members = Vec::new();
    for id in going {
        let Some(object) = source.get(&accounts.resource, &id).await? else { continue };
        members.push(MemberNow {
            called: name_of(&object).unwrap_or_else(|| id.clone()),
            in_use: in_use(&object),
            counts: counts(&id),
            id,
        });
    }
    let called = match of.protected.get(group) {
        Some(called) => called.clone(),
        None => called(source, &of.groups.to, group).await?,
    };
    Ok(Some(KeptNow {
        association: of.sync.to.clone(),
        of: of.groups.to.clone(),
        id: group.to_owned(),
        called,
        member: of.members.name.clone(),
        accounts: accounts.clone(),
        is_first: of.is_first,
        setting: if of.all { keep_one_of(&of.sync.to) } else { "[apply] protect".to_owned() },
        scope: of.scope.as_ref().map(|(_, text)| text.clone()),
        members,
    }))
}

/// Objects that these orders delete and by which the account of muster has rights.
async fn rights_now(
    (association, groups, members): (&ResourceName, &EndSync, &EndSync),
    undoing: &[Undoing],
    source: &dyn Source,
    offered: &Capabilities,
) -> Result<Vec<RightsNow>, RunError> {
    let mut rights = Vec::new();
    let is_account = offered.resources.get(&members.to.resource).is_some_and(|offered| offered.enabled.is_some());
    let Some(account) = offered.account.as_ref().filter(|_| is_account) else { return Ok(rights) };
    let deleted = undoing.iter().filter(|(o, _)| o.resource == groups.to && o.operation == Operation::Delete);
    for id in deleted.filter_map(|(order, _)| order.target_id.as_ref()) {
        let held = source.members(&association.resource, &groups.name, id).await?;
        if held.is_empty() {
            continue;
        }
        let mut own: BTreeSet<String> = account.names.iter().cloned().collect();
        for name in &account.names {
            let found = source.find(&members.to.resource, "userName", name).await?;
            own.extend(found.into_iter().map(|object| object.id));
        }
        if held.iter().any(|member| own.contains(member)) {
            let called = called(source, &groups.to, id).await?;
            rights.push(RightsNow { of: groups.to.clone(), id: id.clone(), called, account: account.clone() });
        }
    }
    Ok(rights)
}

async fn called(source: &dyn Source, of: &ResourceName, id: &str) -> Result<String, RunError> {
    let object = source.get(&of.resource, id).await?;
    Ok(object.as_ref().and_then(name_of).unwrap_or_else(|| id.to_owned()))
}

fn name_of(object: &Object) -> Option<String> {
    NAMES.iter().find_map(|name| object.attributes.get(*name).and_then(Value::as_text).map(str::to_owned))
}
