//! What changed of a list since a cursor, and what there is altogether.
//!
//! What is not among the ids of all that there is ([`super::present`]) is gone. What came without a newer
//! `meta.lastModified`, and groups in which somebody was who is gone, are read one by one; where these are many, or where the
//! changes do not tell which groups to read, the whole list is.

use std::collections::{BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value as Json;

use super::export::{Since, cursor, not_ahead};
use super::lookup::read;
use super::pager::total;
use super::present::Present;
use super::walk::{Feed, Look, Manner, Taker, Walk, of_association};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem, member_names, members};
use crate::connector::second_look::doubt;
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::numbers::counted;

/// So many are read one by one at most.
const ONE_BY_ONE: usize = 100;

/// What the changes leave open.
enum Left {
    /// These objects have to be read.
    Few(BTreeSet<String>),
    /// Everything has, for a reason.
    All(String),
}

impl Walk<'_> {
    /// The lists of which it has to be known who is there.
    pub(super) fn needs_ids_of(&self) -> impl Iterator<Item = &str> {
        [self.list.as_str()].into_iter().chain(self.has(MEMBERSHIPS).then_some("users"))
    }

    fn has(&self, resource: &str) -> bool {
        self.feeds.iter().any(|feed| match feed {
            Feed::Rows(_) => resource == self.list,
            Feed::Members => resource == MEMBERSHIPS,
            Feed::Nestings => resource == NESTINGS,
        })
    }

    /// Reads what changed since a moment.
    pub(super) async fn increment(
        &self,
        system: &ScimSystem,
        since: &Since,
        present: &Present,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let ids = present.ids(&self.list);
        let manner = Manner { filter: Some(since), is_increment: true, ids };
        let mut seen = self.looked(system, manner, sink).await?;
        not_ahead(system, since, seen.date)?;
        let changed = counted(seen.evidence.rows_received, "object");
        let mut notes = vec![format!("{changed} changed since {}", since.text)];
        let all = match self.left(system, present, &seen.came, sink).await? {
            Left::All(why) => Some(why),
            Left::Few(few) => match self.one_by_one(system, manner, &few, &mut seen, sink).await? {
                true => {
                    let read = (!few.is_empty()).then(|| counted(few.len() as u64, "object"));
                    notes.extend(read.map(|read| format!("{read} without a newer lastModified, read one by one")));
                    None
                }
                false => Some("not everything that is listed could be read by itself".to_owned()),
            },
        };
        if let Some(why) = &all {
            notes.push(format!("{why}: all of {} were read", self.list));
            seen = self.looked(system, Manner { filter: None, ..manner }, sink).await?;
        }
        let Look { mut evidence, feeds, newest, date, came } = seen;
        let there: Option<HashSet<&str>> = match ids {
            _ if all.is_some() => doubt(&evidence).is_none().then(|| came.iter().map(String::as_str).collect()),
            Some(ids) => Some(ids.iter().chain(&came).map(String::as_str).collect()),
            None => None,
        };
        notes.extend(present.doubt(&self.list).map(|why| format!("who is gone is not known: {why}")));
        evidence.notes.extend(notes);
        evidence.notes.extend(system.discovery().await?.notes.iter().cloned());
        // The merged snapshot is held against what the whole list holds.
        (evidence.total_start, evidence.total_end) = match &there {
            Some(there) => (Some(there.len() as u64), Some(there.len() as u64)),
            None => (since.total, total(system, &self.definition.resource_type.endpoint, &[]).await?),
        };
        let next = cursor(newest, date, Some(since));
        for feed in feeds {
            let mut proves_absence = there.is_some();
            if let Some(there) = &there {
                let column = feed.association.map_or("id", |(owner, _)| owner);
                sink.only(&feed.resource, column, &mut there.iter().map(|id| (*id).to_owned()))?;
            }
            let seen = match feed.association {
                None => evidence.clone(),
                Some((_, nested)) => {
                    proves_absence &= nested || all.is_some() || present.ids("users").is_some();
                    of_association(&evidence, feed.rows, true)
                }
            };
            sink.end(&feed.resource, ExportEnd { evidence: seen, cursor: next.clone(), proves_absence })?;
        }
        Ok(())
    }

    /// What has to be read besides the changes.
    async fn left(
        &self,
        system: &ScimSystem,
        present: &Present,
        came: &HashSet<String>,
        sink: &mut dyn ExportSink,
    ) -> Result<Left, ExportError> {
        if self.has(MEMBERSHIPS)
            && let Some(attribute) = member_names::attribute(system).await?
        {
            return Ok(Left::All(format!("groups call their members by {attribute}, which may mean others by now")));
        }
        let Some(ids) = present.ids(&self.list) else { return Ok(Left::Few(BTreeSet::new())) };
        if !self.has(&self.list) {
            return Ok(Left::All(format!("associations go on from another moment than {}", self.list)));
        }
        let mut unknown: HashSet<&str> = ids.difference(came).map(String::as_str).collect();
        let mut few = BTreeSet::new();
        let mut forget = |cells: &[&str]| _ = cells.first().map(|id| unknown.remove::<str>(id));
        if sink.last(&self.list, &["id"], &mut forget)? {
            few.extend(unknown.into_iter().map(str::to_owned));
        }
        for resource in [MEMBERSHIPS, NESTINGS].into_iter().filter(|resource| self.has(resource)) {
            let members = if resource == NESTINGS { Some(ids) } else { present.ids("users") };
            let (Some(members), Some((owner, member))) = (members, members::ends_of(resource)) else { continue };
            sink.last(resource, &[owner, member], &mut |cells| {
                if let [owner, member] = cells
                    && ids.contains(*owner)
                    && !came.contains(*owner)
                    && !members.contains(*member)
                    && !few.contains(*owner)
                {
                    few.insert((*owner).to_owned());
                }
            })?;
        }
        Ok(match few.len() {
            0..=ONE_BY_ONE => Left::Few(few),
            many => {
                Left::All(format!("{} may have changed without a newer lastModified", counted(many as u64, "object")))
            }
        })
    }

    /// Reads objects by themselves and hands them over; false where one of them cannot be read so.
    async fn one_by_one(
        &self,
        system: &ScimSystem,
        manner: Manner<'_>,
        few: &BTreeSet<String>,
        seen: &mut Look,
        sink: &mut dyn ExportSink,
    ) -> Result<bool, ExportError> {
        // Collected first: the borrows are not general enough for the compiler.
        let reads: Vec<_> = few.iter().map(|id| read(system, self.definition, id)).collect();
        let mut reads = futures::stream::iter(reads).buffered(system.ways.pages_in_flight);
        let mut found: Vec<Json> = Vec::new();
        loop {
            match reads.try_next().await {
                Ok(None) => break,
                Ok(Some(Some(object))) => found.push(object),
                Ok(Some(None)) => return Ok(false),
                Err(failure) if failure.status.is_some() => return Ok(false),
                Err(failure) => return Err(failure.into()),
            }
        }
        seen.evidence.rows_received += found.len() as u64;
        let mut taker = Taker::new(system, self.definition, manner, &seen.feeds);
        taker.take(found, &mut seen.feeds, sink).await?;
        seen.came.extend(taker.came);
        Ok(true)
    }
}
