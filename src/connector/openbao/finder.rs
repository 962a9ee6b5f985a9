//! Who holds a value that the server cannot be asked for: everybody is read once, and what muster writes is added.
//!
//! What it finds is read again before it is believed. What others write meanwhile is not seen: the name, which is unique
//! and by which nothing is overwritten, keeps two creates of one object apart.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::OpenBaoSystem;
use super::ask::place;
use super::columns::value;
use crate::model::failure::Failure;
use crate::model::value::Value;

/// (resource, attribute) → value → ids.
type Holders = BTreeMap<(String, String), BTreeMap<String, Vec<String>>>;

/// The values that were read.
#[derive(Default)]
pub(super) struct Finder {
    holders: Mutex<Holders>,
}

impl OpenBaoSystem {
    /// Objects that hold a value now, among all that ever were seen to.
    pub(super) async fn found_by(&self, resource: &str, attribute: &str, wanted: &str) -> Result<Vec<Json>, Failure> {
        let key = (resource.to_owned(), attribute.to_owned());
        let ids = {
            // Held while everybody is read, so that this happens once.
            let mut holders = self.finder.holders.lock().await;
            if !holders.contains_key(&key) {
                let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
                let path = place(resource).unwrap_or_default();
                let ids = self.list(&[path, &["id"]].concat()).await?;
                let mut objects = stream::iter(ids)
                    .map(|id| async move { self.object(resource, "id", &id).await })
                    .buffer_unordered(self.config.reads_in_flight);
                while let Some(found) = objects.try_next().await? {
                    found.iter().for_each(|object| add(&mut known, resource, attribute, object));
                }
                holders.insert(key.clone(), known);
            }
            holders.get(&key).and_then(|known| known.get(wanted)).cloned().unwrap_or_default()
        };
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.object(resource, "id", &id).await?);
        }
        Ok(found)
    }

    /// Whoever writes and is not told what became of it has everybody read again before anything is believed.
    pub(super) async fn forget_values(&self, resource: &str) {
        self.finder.holders.lock().await.retain(|(of, _), _| of != resource);
    }

    /// Remembers what was written just now.
    pub(super) async fn remember(&self, resource: &str, object: &Json) {
        for ((of, attribute), known) in self.finder.holders.lock().await.iter_mut() {
            if of == resource {
                add(known, resource, attribute, object);
            }
        }
    }
}

fn add(known: &mut BTreeMap<String, Vec<String>>, resource: &str, attribute: &str, object: &Json) {
    let Some(id) = object.get("id").and_then(Json::as_str) else { return };
    let values = match value(resource, attribute, object) {
        Some(Value::Text(text)) => vec![text],
        Some(Value::Many(values)) => values,
        None => Vec::new(),
    };
    for value in values {
        let ids = known.entry(value).or_default();
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
}
