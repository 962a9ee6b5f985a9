//! One walk through a list, feeding everything that comes out of it: rows, memberships, nestings.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::export::{Since, cursor, refused, unsupported};
use super::groups::Groups;
use super::lookup::on_request;
use super::pager::Pager;
use super::rows::{RowReader, last_modified};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem, id_of};
use super::{member, members};
use crate::connector::second_look::{doubt, first_look, moved};
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::Failure;
use crate::model::numbers::counted;
use crate::scim::schema::Definition;

/// What comes out of a walk.
pub(super) enum Feed {
    /// The objects, with further columns.
    Rows(Vec<String>),
    /// Users in groups.
    Members,
    /// Groups in groups.
    Nestings,
}

/// One list to be walked once.
pub(super) struct Walk<'a> {
    pub(super) list: String,
    pub(super) definition: &'a Definition,
    pub(super) since: Option<String>,
    pub(super) feeds: Vec<Feed>,
}

/// A feed under way.
pub(super) struct Open {
    pub(super) resource: String,
    reader: Option<RowReader>,
    /// For associations: the owner's end, and whether it is the nestings.
    pub(super) association: Option<(&'static str, bool)>,
    pub(super) rows: u64,
}

/// What one walk saw.
pub(super) struct Look {
    pub(super) evidence: Evidence,
    pub(super) feeds: Vec<Open>,
    /// The newest change among the rows.
    pub(super) newest: Option<DateTime<Utc>>,
    /// The server's own time on the first page.
    pub(super) date: Option<DateTime<Utc>>,
    /// Of an increment: the ids of all that came.
    pub(super) came: HashSet<String>,
}

/// How a list is walked.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner<'a> {
    /// Only what changed.
    pub(super) filter: Option<&'a Since>,
    /// Whether the rows go into a snapshot that there is.
    pub(super) is_increment: bool,
    /// The ids of all that the list holds, where they were read.
    pub(super) ids: Option<&'a HashSet<String>>,
}

impl Walk<'_> {
    /// Reads the whole list.
    pub(super) async fn complete(&self, system: &ScimSystem, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
        let Look { mut evidence, feeds, newest, date, .. } = self.looked(system, Manner::default(), sink).await?;
        evidence.notes.extend(system.discovery().await?.notes.iter().cloned());
        let next = cursor(newest, date, None);
        for feed in feeds {
            let seen = match feed.association {
                None => evidence.clone(),
                Some(_) => of_association(&evidence, feed.rows, false),
            };
            sink.end(&feed.resource, ExportEnd { evidence: seen, cursor: next.clone(), proves_absence: false })?;
        }
        Ok(())
    }

    /// One walk, and a second one where the first leaves a doubt: what the sink got of the first is thrown away.
    pub(super) async fn looked(
        &self,
        system: &ScimSystem,
        manner: Manner<'_>,
        sink: &mut dyn ExportSink,
    ) -> Result<Look, ExportError> {
        let mut seen = self.look(system, manner, sink).await?;
        // What an increment makes is held against what the whole list holds; its own total is no proof of anything.
        let unsure = if manner.filter.is_some() { moved(&seen.evidence) } else { doubt(&seen.evidence) };
        if let Some(why) = unsure {
            system.notice_once(format!("{}: {why}: the list is read once more", self.list));
            let first = first_look(why, seen.evidence);
            seen = self.look(system, manner, sink).await?;
            seen.evidence.first_look = Some(first);
        }
        Ok(seen)
    }

    /// One walk from the first page to the last.
    async fn look(
        &self,
        system: &ScimSystem,
        manner: Manner<'_>,
        sink: &mut dyn ExportSink,
    ) -> Result<Look, ExportError> {
        let mut parameters = Vec::new();
        parameters.extend(manner.filter.map(|since| ("filter", since.filter.clone())));
        parameters.extend(on_request(self.definition));
        let mut pager = Pager::new(system, &self.definition.resource_type.endpoint, parameters).await?;
        let mut feeds = self.open(system, sink)?;
        let mut taker = Taker::new(system, self.definition, manner, &feeds);
        let mut newest: Option<DateTime<Utc>> = None;

        let first = pager.next().await.map_err(|failure| match manner.filter {
            Some(_) => refused(system, failure),
            None => failure,
        })?;
        let mut page = first;
        while let Some(resources) = page {
            if let (Some(total), true) = (pager.total(), feeds.iter().any(|feed| feed.resource == self.list)) {
                sink.expect(&self.list, total);
            }
            if let Some(since) = manner.filter {
                self.check_filtered(system, since, &resources)?;
            }
            newest = newest.max(resources.iter().filter_map(last_modified).max());
            taker.take(resources, &mut feeds, sink).await?;
            page = pager.next().await?;
        }
        Ok(Look { evidence: pager.evidence, feeds, newest, date: pager.date, came: taker.came })
    }

    fn open(&self, system: &ScimSystem, sink: &mut dyn ExportSink) -> Result<Vec<Open>, ExportError> {
        let mut open = Vec::new();
        for feed in &self.feeds {
            let (resource, reader, association) = match feed {
                Feed::Rows(extra) => {
                    let reader = RowReader::new(system, self.definition, extra)?;
                    sink.begin(&self.list, &reader.names, &["id".to_owned()])?;
                    (self.list.clone(), Some(reader), None)
                }
                Feed::Members | Feed::Nestings => {
                    let nested = matches!(feed, Feed::Nestings);
                    let resource = if nested { NESTINGS } else { MEMBERSHIPS };
                    let (owner, member) = members::ends_of(resource).unwrap_or(("group", "user"));
                    let ends = [owner.to_owned(), member.to_owned()];
                    sink.begin(resource, &ends, &ends)?;
                    (resource.to_owned(), None, Some((owner, nested)))
                }
            };
            open.push(Open { resource, reader, association, rows: 0 });
        }
        Ok(open)
    }

    /// A provider that ignores the filter answers with everybody and 200.
    fn check_filtered(&self, system: &ScimSystem, since: &Since, resources: &[Json]) -> Result<(), Failure> {
        let old = resources.iter().find(|resource| last_modified(resource).is_none_or(|time| time <= since.time));
        match old {
            None => Ok(()),
            Some(resource) => Err(unsupported(
                system,
                format!(
                    "asked for {} changed since {}, the provider sent `{}`, which did not change since: it ignores the filter",
                    self.list,
                    since.text,
                    id_of(resource).unwrap_or_default()
                ),
            )),
        }
    }
}

impl Open {
    fn take(
        &mut self,
        resource: &Json,
        split: Option<&member::Split>,
        is_increment: bool,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        match (&self.reader, self.association, split) {
            (Some(reader), ..) => {
                let cells = reader.cells(resource);
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                sink.row(&self.resource, &cells)?;
            }
            (None, Some((owner, nested)), Some(split)) => {
                let id = id_of(resource).unwrap_or_default();
                if is_increment {
                    sink.replace(&self.resource, owner, &id)?;
                }
                for member in if nested { &split.groups } else { &split.users } {
                    sink.row(&self.resource, &[&id, member])?;
                    self.rows += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What is known about an association's completeness: pages and their faults, but the totals speak of the groups.
pub(super) fn of_association(groups: &Evidence, rows: u64, is_increment: bool) -> Evidence {
    let mut evidence = Evidence { rows_received: rows, total_start: None, total_end: None, ..groups.clone() };
    if let Some(total) = groups.total_end.filter(|total| !is_increment && *total != groups.rows_received) {
        evidence.anomalies.push(Suspicion {
            name: "groups-total".to_owned(),
            detail: format!(
                "members of {} were read, the server's own total of groups is {total}",
                counted(groups.rows_received, "group")
            ),
            figure: format!("{} of {total}", groups.rows_received),
        });
    }
    evidence
}

/// Hands the rows of resources over, whichever way these were read.
pub(super) struct Taker<'a> {
    groups: Option<Groups<'a>>,
    is_increment: bool,
    /// Of an increment: the ids of all that came.
    pub(super) came: HashSet<String>,
}

impl<'a> Taker<'a> {
    pub(super) fn new(system: &'a ScimSystem, definition: &'a Definition, manner: Manner<'a>, feeds: &[Open]) -> Self {
        let has_associations = feeds.iter().any(|feed| feed.association.is_some());
        let groups = has_associations.then(|| Groups::new(system, &definition.resource_type.endpoint, manner.ids));
        Self { groups, is_increment: manner.is_increment, came: HashSet::new() }
    }

    pub(super) async fn take(
        &mut self,
        mut resources: Vec<Json>,
        feeds: &mut [Open],
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        if let Some(groups) = &mut self.groups {
            groups.with_members(&mut resources).await?;
        }
        for resource in &resources {
            let split = match &mut self.groups {
                Some(groups) => Some(groups.split(resource).await?),
                None => None,
            };
            for feed in feeds.iter_mut() {
                feed.take(resource, split.as_ref(), self.is_increment, sink)?;
            }
        }
        if self.is_increment {
            self.came.extend(resources.iter().filter_map(id_of));
        }
        Ok(())
    }
}
