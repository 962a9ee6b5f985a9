//! A plan's input, narrowed to what decides about one object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::link::Links;
use crate::model::order::ObjectKey;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::input::{LiveOrder, ObjectInput, Past, PlanInput, SyncInput, Wishes};
use crate::reconcile::policy::{ObjectSync, OrderThresholds};
use crate::snapshot::row::Place;
use crate::snapshot::table::Table;

use super::Subject;
use super::recall::Recall;
use super::vicinity::Vicinity;

/// One sync of objects, narrowed.
pub(super) struct NarrowedSync<'a> {
    pub(super) input: &'a ObjectInput<'a>,
    /// The same sync without limits: what all orders together exceed cannot be told from a few.
    sync: ObjectSync,
    /// `None`: the whole snapshot.
    source: Option<Table>,
    target: Option<Table>,
    links: Links,
    /// Source keys whose objects may be concerned; `None`: any.
    keys: Option<BTreeSet<String>>,
    /// Where the rows stand in the whole snapshots, by key: the source's, the target's.
    pub(super) places: [HashMap<String, Place>; 2],
}

impl<'a> NarrowedSync<'a> {
    fn of(
        input: &'a ObjectInput<'a>,
        vicinity: &Vicinity<'_>,
        refers: bool,
        recall: &dyn Recall,
    ) -> Result<Self, ReconcileError> {
        let mut sync = input.sync.clone();
        sync.thresholds = OrderThresholds::OFF;
        sync.scoped.iter_mut().for_each(|scoped| scoped.thresholds = OrderThresholds::OFF);
        let keys = (!refers).then(|| vicinity.source.asked.clone());
        let places = [vicinity.source.keys.clone(), vicinity.target.keys.clone()];
        if vicinity.is_whole {
            let links = recall.all_links(&sync.id)?;
            return Ok(Self { input, sync, source: None, target: None, links, keys, places });
        }
        let rows = |found: &super::vicinity::Found| found.rows.keys().copied().collect::<Vec<_>>();
        let asked = |found: &super::vicinity::Found| found.asked.iter().cloned().collect::<Vec<_>>();
        let links = recall.links(&sync.id, &asked(&vicinity.source), &asked(&vicinity.target))?;
        Ok(Self {
            input,
            sync,
            source: Some(input.source.excerpt(&rows(&vicinity.source))?),
            target: Some(input.target.excerpt(&rows(&vicinity.target))?),
            links,
            keys,
            places,
        })
    }

    /// The narrowed input.
    pub(super) fn narrowed(&self) -> ObjectInput<'_> {
        ObjectInput {
            sync: &self.sync,
            source: self.source.as_ref().unwrap_or(self.input.source),
            target: self.target.as_ref().unwrap_or(self.input.target),
            links: &self.links,
            free: None,
            seats: None,
            ..*self.input
        }
    }

    /// Whether both snapshots are taken as they are.
    pub(super) fn is_whole(&self) -> bool {
        self.source.is_none()
    }

    /// The live orders of the objects that may be concerned.
    pub(super) fn live(&self, recall: &dyn Recall) -> Result<Vec<LiveOrder>, ReconcileError> {
        let Some(keys) = &self.keys else { return recall.all_live(self.input.identity) };
        let object = |key: &String| ObjectKey::by_source(&self.sync.to, &self.sync.from, key);
        let objects: Vec<ObjectKey> = keys.iter().map(object).collect();
        recall.live(self.input.identity, &objects)
    }
}

/// What a few rows are not judged by: nothing was accepted for them, nothing applied lately counts.
#[derive(Default)]
pub(super) struct Unjudged {
    accepted: BTreeMap<String, u64>,
    past: Past,
}

/// A plan's input of a few rows, and otherwise as the whole one.
pub(super) fn few<'f>(
    whole: &PlanInput<'f>,
    syncs: &'f [SyncInput<'f>],
    live: &'f [LiveOrder],
    recall: &'f dyn Recall,
    unjudged: &'f Unjudged,
) -> PlanInput<'f> {
    PlanInput {
        syncs,
        unplanned: &[],
        live,
        memory: recall,
        withholding: &[],
        ask_again: whole.ask_again,
        accepted: &unjudged.accepted,
        past: &unjudged.past,
        block_all: whole.block_all,
        wishes: Wishes { list: true, ..whole.wishes },
    }
}

/// The live orders of some narrowed syncs, with further ones, each once.
pub(super) fn live_of(
    narrowed: &[NarrowedSync<'_>],
    further: Vec<LiveOrder>,
    recall: &dyn Recall,
) -> Result<Vec<LiveOrder>, ReconcileError> {
    let mut live = further;
    for sync in narrowed {
        live.append(&mut sync.live(recall)?);
    }
    live.sort_by(|a, b| a.id.cmp(&b.id));
    live.dedup_by(|a, b| a.id == b.id);
    Ok(live)
}

/// The subject's sync and those that might want the same object, in the plan's order. `input` has whole tables and no
/// links.
pub(super) fn narrow<'a>(
    input: &'a PlanInput<'a>,
    subject: &Subject,
    recall: &'a dyn Recall,
) -> Result<Vec<NarrowedSync<'a>>, ReconcileError> {
    narrow_all(input, subject, &BTreeSet::new(), recall)
}

/// The same, with further source rows of the subject's sync.
pub(super) fn narrow_all<'a>(
    input: &'a PlanInput<'a>,
    subject: &Subject,
    further: &BTreeSet<String>,
    recall: &'a dyn Recall,
) -> Result<Vec<NarrowedSync<'a>>, ReconcileError> {
    let objects = || {
        input.syncs.iter().filter_map(|sync| match sync {
            SyncInput::Objects(objects) => Some(objects),
            SyncInput::Association(_) => None,
        })
    };
    let Some(own) = objects().find(|objects| objects.sync.index == subject.sync) else { return Ok(Vec::new()) };
    if objects().any(|objects| !objects.sync.references.is_empty() || !objects.sync.generated.is_empty()) {
        // Whom a value refers to, and who creates them, may be anywhere; so may who holds a value that could be given.
        let whole = |sync| {
            let mut vicinity = Vicinity::new(sync, recall)?;
            vicinity.is_whole = true;
            NarrowedSync::of(sync, &vicinity, true, recall)
        };
        return objects().map(whole).collect();
    }
    let mut vicinity = Vicinity::new(own, recall)?;
    subject.source_key.iter().for_each(|key| vicinity.ask_source(key));
    subject.target_id.iter().for_each(|id| vicinity.ask_target(id));
    further.iter().for_each(|key| vicinity.ask_source(key));
    vicinity.explore(subject.source_key.as_deref())?;
    let (key, id) = vicinity.pair_of(subject);
    vicinity.is_whole |= vicinity.resembles(key.as_deref(), id.as_deref())?;
    let mut narrowed = Vec::new();
    for sync in objects().filter(|sync| sync.sync.to == own.sync.to) {
        if sync.sync.index == own.sync.index {
            narrowed.push(NarrowedSync::of(own, &vicinity, false, recall)?);
            continue;
        }
        let mut rival = Vicinity::new(sync, recall)?;
        rival.is_whole = vicinity.is_whole;
        vicinity.target.asked.iter().for_each(|id| rival.ask_target(id));
        if sync.sync.from == own.sync.from {
            key.iter().for_each(|key| rival.ask_source(key));
        }
        for (attribute, digest) in vicinity.unique_values(key.as_deref()) {
            if let Some(at) = rival.scanner.position(&attribute) {
                rival.ask_value(at, digest);
            }
        }
        rival.explore(None)?;
        narrowed.push(NarrowedSync::of(sync, &rival, false, recall)?);
    }
    Ok(narrowed)
}
