//! What a job reads and writes of each system.

use std::collections::{BTreeMap, BTreeSet};

use crate::connector::source::Needs;
use crate::job::{Job, SyncKind};
use crate::model::resource::ResourceName;
use crate::reconcile::policy::{OrphanAction, OutOfScopeAction};

/// The columns that the job reads, by system and resource.
pub(super) fn columns(job: &Job) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut demand: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut want = |name: &ResourceName, columns: &mut dyn Iterator<Item = String>| {
        demand.entry(name.system.clone()).or_default().entry(name.resource.clone()).or_default().extend(columns);
    };
    for sync in &job.syncs {
        match &sync.kind {
            SyncKind::Objects(objects) => {
                let rules = &objects.rules;
                let matching = rules.matching.iter();
                let mut source = rules.columns();
                source.extend(objects.scoped.iter().flat_map(|scoped| scoped.scope.columns()));
                let beside = &objects.derivation;
                source.extend(beside.classes.iter().flat_map(|rule| rule.when.columns()));
                source.extend(beside.joins.iter().flat_map(|join| join.here.columns()));
                let derived = beside.columns();
                want(&sync.from, &mut source.into_iter().filter(|column| !derived.contains(column)));
                beside.resources().for_each(|name| want(name, &mut std::iter::empty()));
                if let Some((of, by)) =
                    beside.groups.as_ref().and_then(|groups| groups.of.as_ref().zip(groups.by.as_ref()))
                {
                    want(of, &mut std::iter::once(by.clone()));
                }
                if let Some(groups) = &beside.groups {
                    want(&groups.via, &mut [groups.member.clone(), groups.group.clone()].into_iter());
                }
                for join in &beside.joins {
                    want(&join.from, &mut join.reads.iter().cloned().chain(join.there.columns()));
                }
                for among in objects.tables.iter().filter_map(|table| table.among.as_ref()) {
                    want(&among.resource, &mut among.by.iter().cloned());
                }
                let target = rules.mapping.attributes().iter().cloned().chain(matching.map(|m| m.target.clone()));
                let scoped = objects.scoped.iter().filter_map(|scoped| scoped.target.as_ref());
                let conditions = scoped.chain(objects.fixed.iter().map(|fixed| &fixed.target));
                let target = target.chain(conditions.flat_map(|target| target.columns()));
                want(&sync.to, &mut target.collect::<Vec<_>>().into_iter());
                for lookup in sync.lookups() {
                    want(&lookup.resource, &mut [lookup.key.clone(), lookup.wanted.clone()].into_iter());
                }
                for reference in &objects.references {
                    want(&reference.from, &mut reference.by.iter().flat_map(|by| by.columns()));
                    want(&reference.to, &mut std::iter::empty());
                }
            }
            SyncKind::Association(association) => {
                want(&sync.from, &mut std::iter::empty());
                association.nestings.iter().for_each(|name| want(name, &mut std::iter::empty()));
                let kept = association.keep_one.iter().filter_map(|keep| keep.scope.as_ref());
                want(&sync.to, &mut kept.flat_map(|(scope, _)| scope.columns()));
                for end in &association.ends {
                    want(&end.from, &mut std::iter::empty());
                    want(&end.to, &mut std::iter::empty());
                }
            }
        }
    }
    demand
}

/// The associations of one system: by resource, end column → the resource that it points to.
pub(super) fn ends(job: &Job, system: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for sync in &job.syncs {
        if let SyncKind::Objects(objects) = &sync.kind
            && let Some(groups) = objects.derivation.groups.as_ref().filter(|groups| groups.via.system == system)
        {
            let ends = found.entry(groups.via.resource.clone()).or_default();
            ends.insert(groups.member.clone(), sync.from.resource.clone());
            let of = groups.of.as_ref().map_or("groups", |of| of.resource.as_str());
            ends.insert(groups.group.clone(), of.to_owned());
        }
        let SyncKind::Association(association) = &sync.kind else { continue };
        for end in &association.ends {
            for (name, points_to) in [(&sync.from, &end.from), (&sync.to, &end.to)] {
                if name.system == system {
                    let ends = found.entry(name.resource.clone()).or_default();
                    ends.insert(end.name.clone(), points_to.resource.clone());
                }
            }
        }
    }
    found
}

/// What each system has to offer for the job to work.
pub(super) fn needs(job: &Job) -> BTreeMap<String, Needs> {
    let mut needs: BTreeMap<String, Needs> = BTreeMap::new();
    for (system, resources) in columns(job) {
        let reads = resources.into_iter().map(|(resource, columns)| (resource, columns.into_iter().collect()));
        needs.insert(system, Needs { reads: reads.collect(), ..Needs::default() });
    }
    for sync in &job.syncs {
        let of = needs.entry(sync.to.system.clone()).or_default();
        if !of.writes.contains(&sync.to.resource) {
            of.writes.push(sync.to.resource.clone());
        }
        if let SyncKind::Objects(objects) = &sync.kind
            && (objects.on.orphan == OrphanAction::Delete || objects.on.out_of_scope == OutOfScopeAction::Delete)
            && !of.deletes.contains(&sync.to.resource)
        {
            of.deletes.push(sync.to.resource.clone());
        }
    }
    for (name, attributes) in identifying(job) {
        let of = needs.entry(name.system).or_default();
        of.finds.insert(name.resource, attributes.into_iter().collect());
    }
    // A system that no sync uses is tried all the same: it stands in the job file.
    for system in job.systems.keys() {
        needs.entry(system.clone()).or_default();
    }
    needs
}

/// The snapshots that one sync depends on: its own, those that its rules look something up in, and those of the syncs
/// that make what its rows tie or its attributes refer to.
pub(super) fn snapshots_of(job: &Job, index: usize) -> BTreeSet<ResourceName> {
    let mut names = BTreeSet::new();
    let (mut next, mut seen) = (vec![index], BTreeSet::new());
    while let Some(index) = next.pop() {
        let Some(sync) = job.syncs.get(index).filter(|_| seen.insert(index)) else { continue };
        names.extend(sync.resources());
        let flows: Vec<(&ResourceName, &ResourceName)> = match &sync.kind {
            SyncKind::Objects(objects) => objects.references.iter().map(|one| (&one.from, &one.to)).collect(),
            SyncKind::Association(rows) => rows.ends.iter().map(|end| (&end.from, &end.to)).collect(),
        };
        for (from, to) in flows {
            names.extend([from.clone(), to.clone()]);
            let makes = |other: &&crate::job::Sync| {
                matches!(other.kind, SyncKind::Objects(_)) && other.from == *from && other.to == *to
            };
            next.extend(job.syncs.iter().filter(makes).map(|other| other.index));
        }
    }
    names
}

/// By target resource, the attributes by which an object would be found: match rules and unique values.
pub(super) fn identifying(job: &Job) -> BTreeMap<ResourceName, BTreeSet<String>> {
    let mut found: BTreeMap<ResourceName, BTreeSet<String>> = BTreeMap::new();
    for sync in &job.syncs {
        if let SyncKind::Objects(objects) = &sync.kind {
            let attributes = found.entry(sync.to.clone()).or_default();
            let certain = objects.rules.matching.iter().filter(|m| m.confidence == 100);
            attributes.extend(certain.map(|m| m.target.clone()));
            attributes.extend(objects.rules.unique.iter().cloned());
        }
    }
    found
}
