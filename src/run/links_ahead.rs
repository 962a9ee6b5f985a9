//! Links are read while the systems are exported: there are as many of them as there are objects.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use super::Conductor;
use crate::model::link::Links;
use crate::store::database::Store;
use crate::store::error::StoreError;
use crate::store::links_of_moment::LinksOfMoment;

/// The links of a job's syncs, being read on a thread of their own.
pub(super) struct LinksAhead(Option<JoinHandle<Result<LinksOfMoment, StoreError>>>);

impl LinksAhead {
    /// None are read ahead.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The links by sync, unless anything happened since that may have changed them, or they could not be read: then
    /// they are read when they are needed, and what is wrong is told then.
    pub(super) fn taken(self, store: &Store) -> Result<BTreeMap<String, Links>, StoreError> {
        let Some(Ok(Ok(read))) = self.0.map(JoinHandle::join) else { return Ok(BTreeMap::new()) };
        Ok(if store.links_stand(&read)? { read.links } else { BTreeMap::new() })
    }
}

impl Conductor {
    /// Begins to read the links of all syncs.
    pub(super) fn read_links_ahead(&self) -> LinksAhead {
        let Ok(store) = self.store.reader() else { return LinksAhead::none() };
        let job = self.job.name.clone();
        let syncs: Vec<String> = self.job.syncs.iter().map(|sync| sync.id.clone()).collect();
        LinksAhead(Some(std::thread::spawn(move || store.links_of_moment(&job, &syncs))))
    }
}
