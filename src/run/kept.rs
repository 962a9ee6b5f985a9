//! What of a target system always keeps a member in use, as the job says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Conductor;
use super::leaving::Leaving;
use super::offload::compute;
use crate::connector::source::Source;
use crate::job::{Sync, SyncKind};
use crate::model::capabilities::Capabilities;
use crate::model::failure::{Class, Failure, Recourse};
use crate::model::resource::ResourceName;
use crate::reconcile::NAMES;
use crate::reconcile::policy::{EndSync, KeepOne};
use crate::rules::scope::BoundScope;
use crate::snapshot::row::Cells as _;
use crate::snapshot::table::Table;

/// What is looked at before something is taken away at a system.
#[derive(Default)]
pub(super) struct Guards {
    pub(super) kept: Vec<Kept>,
    /// Associations by each of their ends.
    pub(super) ties: Vec<Tie>,
    /// Who leaves in this apply.
    pub(super) leaving: Leaving,
}

/// One end of an association.
pub(super) struct Tie {
    pub(super) association: String,
    pub(super) end: String,
    /// The resource at this end, and the one at the other.
    pub(super) of: String,
    pub(super) others: String,
}

/// The groups of one association, each of which keeps a member: those that the job protects, or all.
pub(super) struct Kept {
    pub(super) association: String,
    /// The end that the groups are at, and the one of their members.
    pub(super) end: String,
    pub(super) other: String,
    pub(super) groups: ResourceName,
    pub(super) members: String,
    /// Groups that the job protects: id, and how the job calls them.
    pub(super) protected: BTreeMap<String, String>,
    /// Every group keeps one (`keep_one`).
    pub(super) all: bool,
    /// Of every group only rows that this admits count, with its text.
    scope: Option<(BoundScope, String)>,
    /// The groups that whoever leaves was in when the last accepted snapshot was made, by member: what a target says of
    /// an account's groups is not whole everywhere.
    pub(super) last_known: HashMap<String, BTreeSet<String>>,
}

impl Kept {
    /// Whether a row may be one that has to stay. What cannot be judged may be.
    pub(super) fn may_count(&self, group: &str, member: &str) -> bool {
        self.admits(group, member).unwrap_or(true)
    }

    /// Whether a row certainly is one of those of which one stays.
    pub(super) fn counts(&self, group: &str, member: &str) -> bool {
        self.admits(group, member).unwrap_or(false)
    }

    fn admits(&self, group: &str, member: &str) -> Option<bool> {
        let Some((scope, _)) = &self.scope else { return Some(true) };
        scope.admits(&vec![group.to_owned(), member.to_owned()]).ok()
    }

    /// Why the last one has to stay, and what became of the others.
    pub(super) fn why(&self, called: &str, others: Others) -> String {
        let setting = if self.all { "keep_one" } else { "[apply] protect" };
        let scope = self.scope.as_ref().map_or_else(String::new, |(_, text)| format!(" with `{text}`"));
        format!(
            "`{}/{called}` would be left without a {} in use{scope} ({setting}): {}",
            self.groups,
            self.other,
            others.words()
        )
    }
}

/// What became of the others.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Others {
    /// None of them is in use at the target.
    Gone,
    /// Orders of the same apply take some away, and there are no further ones.
    Leaving,
}

impl Others {
    fn words(self) -> &'static str {
        match self {
            Self::Gone => "the others are gone or disabled by now",
            Self::Leaving => "other orders of this apply take the others away, or they are gone by now",
        }
    }
}

/// What a sync keeps one of at an end: the setting, and its condition on what is known of a row without its snapshot.
pub(super) fn keeps(
    keep: Option<&KeepOne>,
    (groups, members): (&EndSync, &EndSync),
    system: &str,
) -> Result<Option<Option<(BoundScope, String)>>, Failure> {
    let Some(keep) = keep.filter(|keep| keep.end == groups.name) else { return Ok(None) };
    let Some((scope, text)) = &keep.scope else { return Ok(Some(None)) };
    let columns = [groups.name.clone(), members.name.clone()];
    let bound = scope.bind(&columns).map_err(|problems| {
        let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let cause = format!("keep_one: {problems}; nothing but both ends of a row can be asked for at {system}");
        Failure::new(
            Class::Configuration,
            Recourse::Stop,
            system,
            cause,
            "correct `keep_one` of the sync in the job file",
        )
    })?;
    Ok(Some(Some((bound, text.clone()))))
}

impl Conductor {
    /// What is looked at before an order takes something away at a system. Asks the target which groups are meant.
    /// `leavers` are the ids of the objects that are to be taken out of use or away.
    pub(super) async fn guards(
        &self,
        system: &str,
        target: &dyn Source,
        capabilities: &Capabilities,
        leavers: &HashSet<String>,
    ) -> Result<Guards, Failure> {
        let mut guards = Guards::default();
        // What cannot be read back cannot be looked at before.
        for sync in self.job.syncs.iter().filter(|sync| sync.to.system == system && capabilities.reads_back) {
            let SyncKind::Association(association) = &sync.kind else { continue };
            let [first, second] = association.ends.as_slice() else { continue };
            for (groups, members) in [(first, second), (second, first)] {
                guards.ties.push(Tie {
                    association: sync.to.resource.clone(),
                    end: groups.name.clone(),
                    of: groups.to.resource.clone(),
                    others: members.to.resource.clone(),
                });
                let protected = self.protected_groups((groups, members), target, capabilities).await?;
                let kept = |protected, scope, all, last_known| Kept {
                    association: sync.to.resource.clone(),
                    end: groups.name.clone(),
                    other: members.name.clone(),
                    groups: groups.to.clone(),
                    members: members.to.resource.clone(),
                    protected,
                    all,
                    scope,
                    last_known,
                };
                if !protected.is_empty() {
                    guards.kept.push(kept(protected, None, false, HashMap::new()));
                }
                if let Some(scope) = keeps(association.keep_one.as_ref(), (groups, members), system)? {
                    let last_known = match leavers.is_empty() {
                        true => HashMap::new(),
                        false => compute(|| self.last_known(sync, (groups, members), leavers)),
                    };
                    guards.kept.push(kept(BTreeMap::new(), scope, true, last_known));
                }
            }
        }
        Ok(guards)
    }

    /// Ids of the groups at an end whose members the job protects, each with what the job calls it; none where it is no
    /// end of groups of accounts.
    pub(super) async fn protected_groups(
        &self,
        (groups, members): (&EndSync, &EndSync),
        target: &dyn Source,
        capabilities: &Capabilities,
    ) -> Result<BTreeMap<String, String>, Failure> {
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
        Ok(protected)
    }

    /// The groups that some accounts were in when the last accepted snapshot was made. A hint beside what the target
    /// itself says: where there is no such snapshot, there is none.
    pub(super) fn last_known(
        &self,
        sync: &Sync,
        (groups, members): (&EndSync, &EndSync),
        leavers: &HashSet<String>,
    ) -> HashMap<String, BTreeSet<String>> {
        let read = || {
            let baseline = self.store.baseline(&self.job.name, &sync.to).ok()??;
            let table = Table::open(&self.layout.root.join(&baseline.path), &baseline.key).ok()?;
            let (group, member) = (table.column(&groups.name)?, table.column(&members.name)?);
            let chunks = table.par_fold(Vec::new, |found: &mut Vec<(String, String)>, row| {
                if leavers.contains(row.cell(member)) {
                    found.push((row.cell(member).to_owned(), row.cell(group).to_owned()));
                }
            });
            chunks.ok()
        };
        let mut known: HashMap<String, BTreeSet<String>> = HashMap::new();
        for (member, group) in read().into_iter().flatten().flatten() {
            known.entry(member).or_default().insert(group);
        }
        known
    }

    /// Ids of the target's objects that go by a name: their id, what they are called, the key of their source row.
    async fn called(
        &self,
        target: &dyn Source,
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
