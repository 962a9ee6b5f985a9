//! One walk through a list, feeding everything that comes out of it: rows, memberships, nestings.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::Value as Json;

use super::export::{Since, cursor, not_ahead, refused, unsupported};
use super::lookup::on_request;
use super::member;
use super::member_names::{self, Meant};
use super::members;
use super::pager::{Pager, total};
use super::rows::{RowReader, last_modified};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem, id_of};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::second_look::{doubt, first_look, moved};
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::Failure;
use crate::model::numbers::counted;
use crate::scim::path;
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
struct Open {
    resource: String,
    reader: Option<RowReader>,
    /// For associations: the owner's end, and whether it is the nestings.
    association: Option<(&'static str, bool)>,
    rows: u64,
}

/// What one walk saw.
struct Look {
    evidence: Evidence,
    feeds: Vec<Open>,
    /// The newest change among the rows.
    newest: Option<DateTime<Utc>>,
    /// The server's own time on the first page.
    date: Option<DateTime<Utc>>,
}

/// Whether list answers hold the members of groups. Some providers send them for single groups only.
#[derive(Clone, Copy, PartialEq)]
enum MembersIn {
    Unknown,
    List,
    Object,
}

impl Walk<'_> {
    /// Reads the list, and a second time where the first look leaves a doubt: what the sink got of the first is thrown
    /// away.
    pub(super) async fn run(
        self,
        system: &ScimSystem,
        since: Option<Since>,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let mut seen = self.look(system, since.as_ref(), sink).await?;
        // What an increment makes is held against the total of the whole list; its own total is no proof of anything.
        let unsure = if since.is_some() { moved(&seen.evidence) } else { doubt(&seen.evidence) };
        if let Some(why) = unsure {
            system.notice_once(format!("{}: {why}: the list is read once more", self.list));
            let first = first_look(why, seen.evidence);
            seen = self.look(system, since.as_ref(), sink).await?;
            seen.evidence.first_look = Some(first);
        }
        let Look { mut evidence, feeds, newest, date } = seen;
        if let Some(since) = &since {
            not_ahead(system, since, date)?;
            // The totals of an increment are those of the whole list: the merged snapshot is held against them.
            evidence.notes.push(format!("{} changed since {}", counted(evidence.rows_received, "object"), since.text));
            evidence.total_start = since.total;
            evidence.total_end = total(system, &self.definition.resource_type.endpoint, &[]).await?;
        }
        evidence.notes.extend(system.discovery().await?.notes.iter().cloned());
        let next = cursor(newest, date, since.as_ref());
        for feed in feeds {
            let seen = match feed.association {
                None => evidence.clone(),
                Some(_) => of_association(&evidence, feed.rows, since.is_some()),
            };
            sink.end(&feed.resource, ExportEnd { evidence: seen, cursor: next.clone(), proves_absence: false })?;
        }
        Ok(())
    }

    /// One walk from the first page to the last.
    async fn look(
        &self,
        system: &ScimSystem,
        since: Option<&Since>,
        sink: &mut dyn ExportSink,
    ) -> Result<Look, ExportError> {
        let mut parameters = Vec::new();
        parameters.extend(since.map(|since| ("filter", since.filter.clone())));
        parameters.extend(on_request(self.definition));
        let endpoint = &self.definition.resource_type.endpoint;
        let mut pager = Pager::new(system, endpoint, parameters).await?;
        let mut feeds = self.open(system, sink)?;
        let has_associations = feeds.iter().any(|feed| feed.association.is_some());
        let mut groups = Groups { system, endpoint, members_in: MembersIn::Unknown, ids: None, meant: None };
        let mut newest: Option<DateTime<Utc>> = None;

        let first = pager.next().await.map_err(|failure| match since {
            Some(_) => refused(system, failure),
            None => failure,
        })?;
        let mut page = first;
        while let Some(mut resources) = page {
            if let Some(since) = since {
                self.check_filtered(system, since, &resources)?;
            }
            if has_associations {
                groups.with_members(&mut resources).await?;
            }
            for resource in &resources {
                newest = newest.max(last_modified(resource));
                let split = if has_associations { Some(groups.split(resource).await?) } else { None };
                for feed in &mut feeds {
                    feed.take(resource, split.as_ref(), since.is_some(), sink)?;
                }
            }
            page = pager.next().await?;
        }
        Ok(Look { evidence: pager.evidence, feeds, newest, date: pager.date })
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
fn of_association(groups: &Evidence, rows: u64, is_increment: bool) -> Evidence {
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

/// What has to be found out about groups while they are walked.
struct Groups<'a> {
    system: &'a ScimSystem,
    endpoint: &'a str,
    members_in: MembersIn,
    /// All groups' ids, read once a member does not say what it is.
    ids: Option<HashSet<String>>,
    /// Who the users are, where groups call them by something else than their ids.
    meant: Option<Meant>,
}

impl Groups<'_> {
    /// Sees to it that groups come with their members.
    async fn with_members(&mut self, resources: &mut [Json]) -> Result<(), Failure> {
        if self.members_in == MembersIn::Unknown {
            if resources.iter().any(|group| path::member(group, "members").is_some()) {
                self.members_in = MembersIn::List;
            } else if let Some(id) = resources.first().and_then(id_of) {
                let single = self.read(&id).await?;
                if single.as_ref().and_then(|group| path::member(group, "members")).is_some() {
                    self.system
                        .notice_once("lists of groups come without members: each group is read by itself".to_owned());
                    self.members_in = MembersIn::Object;
                }
            }
        }
        if self.members_in == MembersIn::Object {
            let ids: Vec<Option<String>> = resources.iter().map(id_of).collect();
            let this = &*self;
            let reads = ids.into_iter().map(|id| async move {
                match id {
                    Some(id) => this.read(&id).await,
                    None => Ok(None),
                }
            });
            let singles: Vec<Option<Json>> =
                futures::stream::iter(reads).buffered(this.system.ways.pages_in_flight).try_collect().await?;
            for (group, single) in resources.iter_mut().zip(singles) {
                if let Some(single) = single {
                    *group = single;
                }
            }
        }
        Ok(())
    }

    async fn read(&self, id: &str) -> Result<Option<Json>, Failure> {
        let url = self.system.http.address(&[self.endpoint.trim_matches('/'), id]);
        match self.system.http.read(&Request::new(Method::GET, url, Asked::Object)).await {
            Ok(answer) => Ok(answer.json().ok()),
            Err(failure) if failure.status == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn split(&mut self, group: &Json) -> Result<member::Split, Failure> {
        if self.ids.is_none() && member::has_untyped(group) {
            let mut ids = HashSet::new();
            let mut pager = Pager::new(self.system, self.endpoint, vec![("attributes", "id".to_owned())]).await?;
            while let Some(page) = pager.next().await? {
                ids.extend(page.iter().filter_map(id_of));
            }
            self.ids = Some(ids);
        }
        let ids = self.ids.as_ref();
        if self.meant.is_none()
            && let Some(attribute) = member_names::attribute_seen(self.system, group, ids).await?
        {
            self.meant = Some(Meant::read(self.system, attribute).await?);
        }
        member::split(group, ids, |member| match &self.meant {
            Some(meant) => meant.id(self.system, member),
            None => Ok(member.id()),
        })
    }
}
