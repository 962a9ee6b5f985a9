//! Links as they are remembered, and what is wrong with some of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::Conductor;
use super::error::RunError;
use super::inventory::Pair;
use super::offload::compute;
use super::plan_input::{open, sync_inputs};
use crate::job::{Job, Sync, SyncKind};
use crate::model::numbers::counted;
use crate::model::resource::ResourceName;
use crate::model::run::RunId;
use crate::reconcile::link_check::{DoubtfulLink, LinkTrouble, check};
use crate::reconcile::{ObjectInput, SyncInput};

/// Links that a person should look at.
#[derive(Debug)]
pub struct LinkReport {
    /// The run whose snapshots they were held against.
    pub run: RunId,
    /// When these were taken.
    pub at: DateTime<Utc>,
    /// How many orders were applied since; the snapshots do not show what came of them.
    pub applied: u64,
    /// How many links there are.
    pub links: u64,
    /// Those that are wrong, or that today's rules would make otherwise.
    pub doubtful: Vec<DoubtfulLink>,
}

impl Conductor {
    /// Every link of the job, with what the target calls its object where the newest snapshots show it.
    ///
    /// # Errors
    /// Where the database or a snapshot cannot be read.
    pub fn links(&self) -> Result<Vec<Pair>, RunError> {
        if let Some(proof) = self.newest_proof()? {
            return compute(|| self.pairs(&proof));
        }
        let mut pairs = Vec::new();
        for sync in self.job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_))) {
            for link in self.store.links(&self.job.name, &sync.id)?.iter() {
                let (source_key, target_id) = (link.source_key.to_owned(), link.target_id.to_owned());
                pairs.push(Pair { sync: sync.index, source_key, target_id, name: None, how: link.how });
            }
        }
        Ok(pairs)
    }

    /// Of a pair that is to be linked, the ends that the newest snapshots do not show, each in a sentence.
    ///
    /// # Errors
    /// Where nothing was planned yet, or its files cannot be read.
    pub fn unseen_ends(&self, sync: &Sync, source_key: &str, target_id: &str) -> Result<Vec<String>, RunError> {
        let look = self.newest_look()?.ok_or_else(|| self.no_look(""))?;
        let of = look.run.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
        compute(|| {
            let tables = open(&self.job, &look.proof)?.tables;
            let mut unseen = Vec::new();
            for (name, key) in [(&sync.from, source_key), (&sync.to, target_id)] {
                let Some(table) = tables.get(name) else { continue };
                let seen = table.par_fold(|| false, |seen, row| *seen |= table.key_of(row) == key)?;
                if !seen.contains(&true) {
                    unseen.push(format!("`{key}` is in no row of {name}{of}"));
                }
            }
            Ok(unseen)
        })
    }

    /// Holds every link against the newest snapshots that were planned from and against today's match rules. Asks no
    /// system and writes nothing.
    ///
    /// # Errors
    /// Where nothing was planned yet, or its files cannot be read.
    pub fn check_links(&self) -> Result<LinkReport, RunError> {
        let look = self.newest_look()?.ok_or_else(|| self.no_look(""))?;
        let claimed = BTreeMap::new();
        let (links, doubtful) = compute(|| {
            let opened = self.opened(&look, true)?;
            let links = opened.memories.iter().map(|(_, memory)| memory.links.len() as u64).sum();
            let mut doubtful = Vec::new();
            let mut linked: BTreeMap<(ResourceName, String), (String, String)> = BTreeMap::new();
            for sync in sync_inputs(&opened.memories, &opened.snapshots, &claimed) {
                if let SyncInput::Objects(objects) = sync {
                    doubtful.append(&mut check(&objects)?);
                    doubtful.append(&mut twice(&objects, &mut linked));
                }
            }
            Ok::<_, RunError>((links, doubtful))
        })?;
        // What was created since cannot be in these snapshots.
        let mut since: BTreeSet<String> = BTreeSet::new();
        let mut applied = 0;
        for system in self.job.systems.keys() {
            let orders = self.store.applied_since(&self.job.name, system, look.at)?;
            applied += orders.values().map(|orders| orders.len() as u64).sum::<u64>();
            since.extend(orders.into_values().flatten().filter_map(|(_, target_id)| target_id));
        }
        let mut doubtful: Vec<DoubtfulLink> = doubtful;
        doubtful.retain(|link| link.trouble != LinkTrouble::Dead || !since.contains(&link.target_id));
        let run = look.run.unwrap_or_else(|| look.proof.manifest.run.clone());
        Ok(LinkReport { run, at: look.at, applied, links, doubtful })
    }
}

/// Links to objects that another sync of the job has linked; `linked` are those of the syncs before.
fn twice(
    objects: &ObjectInput<'_>,
    linked: &mut BTreeMap<(ResourceName, String), (String, String)>,
) -> Vec<DoubtfulLink> {
    let mut doubtful = Vec::new();
    for link in objects.links.iter() {
        let object = (objects.sync.to.clone(), link.target_id.to_owned());
        match linked.get(&object) {
            None => drop(linked.insert(object, (objects.sync.id.clone(), link.source_key.to_owned()))),
            Some((sync, row)) => doubtful.push(DoubtfulLink {
                sync: objects.sync.index,
                source_key: link.source_key.to_owned(),
                trouble: LinkTrouble::Twice,
                target_id: link.target_id.to_owned(),
                how: link.how,
                detail: format!("the sync {sync} has linked row `{row}` with the same object"),
                instead: None,
            }),
        }
    }
    doubtful
}

/// How many links the rules of an edited job file would make otherwise: a sentence for each sync that has some. None is
/// moved by that.
pub(super) fn would_differ(job: &Job, syncs: &[SyncInput<'_>]) -> Result<Vec<String>, RunError> {
    let mut told = Vec::new();
    for sync in syncs {
        let SyncInput::Objects(objects) = sync else { continue };
        if objects.links.is_empty() {
            continue;
        }
        let doubtful = check(objects)?;
        let of = |trouble: LinkTrouble| doubtful.iter().filter(move |link| link.trouble == trouble);
        for (trouble, what) in
            [(LinkTrouble::Differs, "would lead elsewhere"), (LinkTrouble::Unfound, "would not be found again")]
        {
            let Some(first) = of(trouble).next() else { continue };
            told.push(format!(
                "{}: the job file changed, and by its match rules {} {what}, first `{}`: {}; none is moved: `muster links {} --check` lists them, with the command that lets the next run pair each anew",
                objects.sync.id,
                counted(of(trouble).count() as u64, "link"),
                first.source_key,
                first.detail,
                job.name
            ));
        }
    }
    Ok(told)
}
