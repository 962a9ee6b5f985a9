//! Whom an erasure is about: found as other commands find it, or by what is left of it, and all that it goes by.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use super::erase::EraseEnd;
use super::erase_look::Kept;
use super::error::RunError;
use super::explain::{ExplainRequest, KnownObject};
use crate::job::{Sync, SyncKind};
use crate::model::erasure::Whom;
use crate::model::failure::Class;
use crate::model::order::{BlockReason, EndRef, ObjectKey, Operation, Order, OrderId, OrderState};
use crate::model::resource::ResourceName;
use crate::model::scrub::{is_sought, is_telling};
use crate::model::situation::{Cause, Situation};
use crate::model::value::Value;
use crate::store::erasure::is_about;

/// An identity that was found: by its row's key, or by its id alone.
#[derive(Debug)]
pub(super) struct Gone {
    /// Where its row comes from, or where the object is.
    pub(super) resource: ResourceName,
    pub(super) source_key: Option<String>,
    pub(super) target_id: Option<String>,
    pub(super) names: BTreeSet<String>,
}

impl Conductor {
    /// The one identity that goes by a key.
    pub(super) fn gone(&self, ask: &ExplainRequest) -> Result<Result<Gone, EraseEnd>, RunError> {
        let mut known: Vec<KnownObject> = match self.newest_look()? {
            Some(look) => self.subjects(&look, ask)?.into_iter().map(|(_, known)| known).collect(),
            None => Vec::new(),
        };
        if known.is_empty() {
            known = self.subjects_of_orders(ask)?.into_iter().map(|(_, known)| known).collect();
        }
        if known.is_empty() {
            known = self.by_what_is_left(ask)?;
        }
        let mut by: BTreeMap<(ResourceName, String), Gone> = BTreeMap::new();
        for object in &known {
            let place = match (&object.source_key, &object.target_id) {
                (Some(key), _) => (object.from.clone(), key.clone()),
                (None, Some(id)) => (object.to.clone(), id.clone()),
                (None, None) => continue,
            };
            let gone = by.entry(place.clone()).or_insert_with(|| Gone {
                resource: place.0,
                source_key: object.source_key.clone(),
                target_id: None,
                names: BTreeSet::new(),
            });
            gone.target_id = gone.target_id.take().or_else(|| object.target_id.clone());
            gone.names.extend(Some(object.name.clone()).filter(|name| !name.is_empty()));
        }
        let key = &ask.key;
        let mut found: Vec<Gone> = by.into_values().collect();
        Ok(match found.len() {
            1 if key.starts_with("erased-") => Err(EraseEnd::None(format!("`{key}` was erased already"))),
            1 => Ok(found.remove(0)),
            0 => Err(EraseEnd::None(format!(
                "`{key}` is in no snapshot of the job {0} that is kept, no order was ever raised for it, and nothing is linked to it: there is nothing to erase under this key; look for its source key, its id or its login (`muster log {0} --key KEY`)",
                self.job.name
            ))),
            _ => Err(EraseEnd::Several(known)),
        })
    }

    /// Objects that only an outcome, a link, or an older snapshot still tells.
    fn by_what_is_left(&self, ask: &ExplainRequest) -> Result<Vec<KnownObject>, RunError> {
        let job = &self.job.name;
        let mut objects: BTreeSet<ObjectKey> = self.store.objects_with_id(job, &ask.key)?;
        for sync in self.object_syncs() {
            let alone = ObjectKey::by_target(&sync.to, &ask.key);
            if !self.store.orders_about(job, &alone)?.is_empty() {
                objects.insert(alone);
            }
        }
        let mut found = Vec::new();
        for sync in self.object_syncs() {
            let known = |source_key: Option<&str>, target_id: Option<&str>, by: &str| KnownObject {
                from: sync.from.clone(),
                to: sync.to.clone(),
                source_key: source_key.map(str::to_owned),
                target_id: target_id.map(str::to_owned),
                name: String::new(),
                by: by.to_owned(),
            };
            let (by_source, by_target) =
                (ObjectKey::by_source(&sync.to, &sync.from, "").0, ObjectKey::by_target(&sync.to, "").0);
            for object in &objects {
                if let Some(key) = object.0.strip_prefix(&by_source) {
                    found.push(known(Some(key), None, "order"));
                } else if let Some(id) = object.0.strip_prefix(&by_target) {
                    found.push(known(None, Some(id), "order"));
                }
            }
            let called = BTreeSet::from([ask.key.clone()]);
            for (key, id, _) in self.store.linked_as(job, &BTreeSet::from([sync.id.clone()]), &called)? {
                found.push(known(Some(&key), Some(&id), "link"));
            }
        }
        let is_there = |object: &KnownObject| {
            ask.resource.as_ref().is_none_or(|resource| object.from == *resource || object.to == *resource)
        };
        if found.is_empty() {
            found = self.in_older_snapshots(&ask.key)?;
        }
        found.retain(is_there);
        Ok(found)
    }

    pub(super) fn object_syncs(&self) -> impl Iterator<Item = &Sync> {
        self.job.syncs.iter().filter(|sync| matches!(sync.kind, SyncKind::Objects(_)))
    }

    /// All keys and ids of an identity, those that it had before among them.
    pub(super) fn keys_and_ids(&self, found: &Gone) -> Result<Whom, RunError> {
        let mut whom = Whom::default();
        whom.keys.extend(found.source_key.clone());
        whom.ids.extend(found.target_id.clone());
        let by_row = found.source_key.is_some();
        let about = |sync: &&Sync| if by_row { sync.from == found.resource } else { sync.to == found.resource };
        let syncs: Vec<&Sync> = self.object_syncs().filter(about).collect();
        whom.resources.insert(found.resource.clone());
        for sync in &syncs {
            whom.syncs.insert(sync.id.clone());
            whom.resources.extend([sync.from.clone(), sync.to.clone()]);
        }
        loop {
            let before = (whom.keys.len(), whom.ids.len());
            for sync in &syncs {
                for key in &whom.keys {
                    let object = ObjectKey::by_source(&sync.to, &sync.from, key).0;
                    whom.objects.extend([object, format!("{}={key}", sync.from)]);
                }
                whom.objects.extend(whom.ids.iter().map(|id| ObjectKey::by_target(&sync.to, id).0));
            }
            for record in self.store.orders_of_objects(&self.job.name, &whom.objects)? {
                let is_row = record.object.0.ends_with(')') && !whom.objects.contains(&record.object.0);
                if is_row || record.is_erased {
                    continue;
                }
                whom.ids.extend(self.store.outcome(&record.id)?.and_then(|outcome| outcome.target_id));
            }
            let called = whom.keys.union(&whom.ids).cloned().collect();
            for (key, id, former) in self.store.linked_as(&self.job.name, &whom.syncs, &called)? {
                whom.keys.insert(key);
                whom.ids.insert(id);
                whom.keys.extend(former);
            }
            self.every_order(|order| {
                let is_it = |key: &Option<String>| key.as_ref().is_some_and(|key| whom.keys.contains(key));
                if !order.ends.is_empty() || !whom.resources.contains(&order.resource) {
                    return;
                }
                if is_about(&order.object, &whom.objects) || is_it(&order.source_key) || is_it(&order.renamed_from) {
                    whom.ids.extend(order.target_id);
                    whom.keys.extend(order.source_key);
                    whom.keys.extend(order.renamed_from);
                }
            })?;
            if (whom.keys.len(), whom.ids.len()) == before {
                return Ok(whom);
            }
        }
    }

    /// What the orders of an identity say of it: its names and the values of its attributes.
    pub(super) fn said_of(&self, whom: &Whom) -> Result<BTreeSet<String>, RunError> {
        let mut said = BTreeSet::new();
        self.every_order(|order| {
            if !is_about(&order.object, &whom.objects) {
                return;
            }
            for end in &order.ends {
                if matches!(&end.object, EndRef::Target(id) if whom.ids.contains(id)) {
                    said.insert(end.label.clone());
                }
            }
            if order.ends.is_empty() {
                said.insert(order.name.clone());
                said.extend(values_of(&order));
            }
        })?;
        for record in self.store.orders_of_objects(&self.job.name, &whom.objects)? {
            if !record.object.0.ends_with(')') {
                said.extend(self.store.name_of(&record.id)?);
                said.insert(record.key);
            }
        }
        said.remove("");
        Ok(said)
    }

    /// Those of some values that name this identity and nobody else: no order of others has them, and no other row of a kept
    /// snapshot.
    pub(super) fn of_nobody_else(
        &self,
        candidates: BTreeSet<String>,
        kept: &[Kept],
        whom: &Whom,
    ) -> Result<BTreeSet<String>, RunError> {
        let own_words = self.words()?;
        let is_name = |value: &String| {
            (is_telling(value) || is_sought(value))
                && !OrderId::is_id(value)
                && !own_words.contains(&value.to_lowercase())
        };
        let mut left: BTreeSet<String> = candidates.into_iter().filter(is_name).collect();
        self.every_order(|order| {
            if is_about(&order.object, &whom.objects) {
                return;
            }
            left.remove(&order.name);
            left.remove(&order.key);
            for text in values_of(&order) {
                left.remove(&text);
            }
            for end in &order.ends {
                left.remove(&end.label);
            }
        })?;
        self.drop_those_of_others(&mut left, kept, whom)?;
        Ok(left)
    }

    /// The words of the job's files and formats, in small letters: who is called like a system, an attribute, or a state of an
    /// order is not looked for by that, only in what is their own.
    fn words(&self) -> Result<BTreeSet<String>, RunError> {
        let mut texts = vec![std::fs::read_to_string(&self.job.path).unwrap_or_default()];
        for run in self.store.runs(&self.job.name, 0)? {
            for path in [self.layout.job_file(&self.job.name, &run.id), self.layout.targets(&self.job.name, &run.id)] {
                texts.extend(std::fs::read_to_string(path).ok());
            }
        }
        // The words of a plan, of its orders, and of what became of them.
        texts.extend(Operation::ALL.iter().map(|word| word.word().to_owned()));
        texts.extend(OrderState::ALL.iter().map(|word| word.word().to_owned()));
        texts.extend(Situation::ALL.iter().map(|word| word.word().to_owned()));
        texts.extend(Cause::ALL.iter().map(|word| word.word().to_owned()));
        texts.extend(Class::ALL.iter().map(|word| word.word().to_owned()));
        texts.extend(BlockReason::ALL.iter().map(|word| word.word().to_owned()));
        let mut words: BTreeSet<String> = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for text in texts.into_iter().filter(|text| seen.insert(text.clone())) {
            let lower = text.to_lowercase();
            words
                .extend(lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned));
            words.extend(lower.split(|c: char| c.is_whitespace() || "\"',[]{}=".contains(c)).map(str::to_owned));
        }
        Ok(words)
    }
}

/// All texts among the values of an order, before and after.
fn values_of(order: &Order) -> Vec<String> {
    let values = order.changes.iter().flat_map(|change| [&change.before, &change.after]).flatten();
    values.flat_map(texts_of).collect()
}

/// The texts of a value.
pub(super) fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::Many(texts) => texts.clone(),
    }
}
