//! Exports: objects list by list, and then who is in which group.
//!
//! Groups name their members by DN, and rows name them by id: before the groups' members are read, every user and group
//! is, and the map between both is all that grows with the directory.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::increment::{self, Since};
use super::layout::{Layout, Membership, ResourceType};
use super::people::{Member, People};
use super::search::{self, Pager, Search};
use super::{LdapSystem, MEMBERSHIPS, NESTINGS, layout, lookup, members, times};
use crate::connector::config::Flavour;
use crate::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink, ResourceRequest};
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};
use crate::model::numbers::counted;

/// Groups asked for in one page where their members come with them.
const GROUPS_A_PAGE: u64 = 50;

pub(super) async fn export(
    system: &LdapSystem,
    request: &ExportRequest,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    let layout = system.layout().await?;
    let (mut objects, mut associations): (Vec<&ResourceRequest>, Vec<&ResourceRequest>) = (Vec::new(), Vec::new());
    for wanted in &request.resources {
        if members::ends_of(&wanted.resource).is_some() {
            system.group_members(layout)?;
            associations.push(wanted);
            continue;
        }
        let (_, of) = system.resource(&wanted.resource).await?;
        for column in wanted.columns.iter().filter(|name| !of.columns([]).contains(name)) {
            lookup::known(system, layout, &wanted.resource, column)?;
        }
        objects.push(wanted);
    }
    // A cursor that was read before anything else hides no change.
    let mark = match layout.flavour {
        Flavour::Ad => Some(layout::root(&system.link).await?),
        _ => None,
    };
    let export = Export { system, layout, mark: mark.as_ref().and_then(increment::usn_cursor) };
    let mut people = People::default();
    for wanted in &objects {
        let (_, of) = system.resource(&wanted.resource).await?;
        export.objects(of, wanted, &mut people, sink).await?;
    }
    if associations.is_empty() {
        return Ok(());
    }
    for name in ["users", "groups"] {
        let is_read = objects.iter().any(|wanted| wanted.resource == name);
        if let Some(of) = layout.types.get(name).filter(|_| !is_read) {
            export.keys(of, &mut people).await?;
        }
    }
    // Both associations come out of one walk, if they begin at the same cursor.
    let mut walks: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for wanted in associations {
        walks.entry(wanted.since.as_deref()).or_default().push(&wanted.resource);
    }
    for (since, resources) in walks {
        export.members(since, &resources, &people, sink).await?;
    }
    Ok(())
}

/// What one walk saw.
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    /// The newest change among the entries.
    pub(super) newest: Option<DateTime<Utc>>,
}

/// A walk under way.
struct Walk<'a> {
    export: &'a Export<'a>,
    of: &'a ResourceType,
    pager: Pager<'a>,
    newest: Option<DateTime<Utc>>,
}

impl Walk<'_> {
    /// Some entries more, each with an id.
    async fn next(&mut self) -> Result<Option<Vec<Entry>>, Failure> {
        let Some(entries) = self.pager.next().await? else { return Ok(None) };
        for entry in &entries {
            if self.of.id(entry).is_none() {
                return Err(self.export.no_id(self.of, &entry.dn));
            }
            let changed = entry.text(self.export.layout.change_attribute());
            self.newest = self.newest.max(changed.and_then(times::from_generalized));
        }
        Ok(Some(entries))
    }

    fn end(self) -> Seen {
        Seen { evidence: self.pager.evidence, newest: self.newest }
    }
}

pub(super) struct Export<'a> {
    pub(super) system: &'a LdapSystem,
    pub(super) layout: &'a Layout,
    /// Where the next increment begins, where the server counts its changes.
    mark: Option<String>,
}

impl Export<'_> {
    fn pager(&self, search: Search, most: u64) -> Pager<'_> {
        let size = self.system.page_size(self.layout).map(|size| size.min(most));
        Pager::new(&self.system.link, search, size)
    }

    fn membership(&self) -> Option<&Membership> {
        self.layout.types.get("groups").and_then(|groups| groups.member.as_ref())
    }

    /// A walk through what a search finds.
    fn walk<'a>(&'a self, of: &'a ResourceType, columns: &[String], filter: Option<String>, most: u64) -> Walk<'a> {
        let changed = self.layout.change_attribute();
        let mut attributes = self.layout.asked(of, columns);
        let login = self.membership().and_then(|membership| membership.login.clone());
        for name in [changed.to_owned()].into_iter().chain(login) {
            if !attributes.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                attributes.push(name);
            }
        }
        let mut search = of.search(attributes);
        if let Some(filter) = filter {
            search.filter = filter;
        }
        Walk { export: self, of, pager: self.pager(search, most), newest: None }
    }

    fn no_id(&self, of: &ResourceType, dn: &str) -> Failure {
        let key = of.key.as_ref().map_or("dn", |key| key.attribute.as_str());
        self.system.failure(
            Class::Configuration,
            format!("{dn} has no {key}, or it may not be read: without it an entry has no id"),
            "let the account of `auth` read this attribute, or set the `key` of this resource to one that every entry has, or to `dn`",
        )
    }

    /// The objects of a resource: everything, or what changed.
    async fn objects(
        &self,
        of: &ResourceType,
        wanted: &ResourceRequest,
        people: &mut People,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let columns = of.columns(&wanted.columns);
        if let Some(since) = &wanted.since {
            let since = Since::read(self, since)?;
            let end = increment::objects(self, of, &columns, &since, people, sink).await?;
            return sink.end(&of.name, end);
        }
        let mut failed = 0;
        let seen = loop {
            // Whatever came of a walk that broke off is thrown away.
            sink.begin(&of.name, &columns, &[layout::ID.to_owned()])?;
            match self.rows(of, &columns, None, people, sink).await {
                Err(ExportError::System(failure)) => {
                    failed += 1;
                    self.system.link.wait(&failure, failed).await.ok_or(failure)?;
                }
                other => break other?,
            }
        };
        let cursor = self.cursor(seen.newest, None);
        sink.end(&of.name, ExportEnd { evidence: seen.evidence, cursor, proves_absence: false })
    }

    /// One walk that hands over rows.
    pub(super) async fn rows(
        &self,
        of: &ResourceType,
        columns: &[String],
        filter: Option<String>,
        people: &mut People,
        sink: &mut dyn ExportSink,
    ) -> Result<Seen, ExportError> {
        let (membership, is_group) = (self.membership(), of.name == "groups");
        let counts = matches!(of.name.as_str(), "users" | "groups");
        let mut walk = self.walk(of, columns, filter, u64::MAX);
        while let Some(entries) = walk.next().await? {
            for entry in &entries {
                let cells = self.layout.cells(of, columns, entry);
                let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                sink.row(&of.name, &cells)?;
                if counts {
                    people.note(of, membership, entry, is_group);
                }
            }
        }
        Ok(walk.end())
    }

    /// One walk that reads ids alone.
    pub(super) async fn keys(&self, of: &ResourceType, people: &mut People) -> Result<Seen, ExportError> {
        let mut failed = 0;
        loop {
            match self.keys_once(of, people).await {
                Err(failure) => {
                    failed += 1;
                    self.system.link.wait(&failure, failed).await.ok_or(failure)?;
                }
                Ok(seen) => return Ok(seen),
            }
        }
    }

    async fn keys_once(&self, of: &ResourceType, people: &mut People) -> Result<Seen, Failure> {
        let (membership, is_group) = (self.membership(), of.name == "groups");
        let mut walk = self.walk(of, &[], None, u64::MAX);
        while let Some(entries) = walk.next().await? {
            entries.iter().for_each(|entry| people.note(of, membership, entry, is_group));
        }
        Ok(walk.end())
    }

    /// Who is in which group: of all groups, or of those that changed.
    async fn members(
        &self,
        since: Option<&str>,
        resources: &[&str],
        people: &People,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let (groups, membership) = self.system.group_members(self.layout)?;
        let since = since.map(|since| Since::read(self, since)).transpose()?;
        if let Some(since) = &since {
            since.prove(self, groups).await?;
        }
        let mut failed = 0;
        let (seen, counts) = loop {
            for resource in resources {
                let (owner, member) = members::ends_of(resource).unwrap_or(("group", "user"));
                let ends = [owner.to_owned(), member.to_owned()];
                sink.begin(resource, &ends, &ends)?;
            }
            let mut counts = Counts::default();
            match self.members_once(groups, membership, since.as_ref(), resources, people, &mut counts, sink).await {
                Err(ExportError::System(failure)) => {
                    failed += 1;
                    self.system.link.wait(&failure, failed).await.ok_or(failure)?;
                }
                other => break (other?, counts),
            }
        };
        let cursor = self.cursor(seen.newest, since.as_ref());
        for resource in resources {
            let mut evidence = seen.evidence.clone();
            evidence.rows_received = if *resource == NESTINGS { counts.groups } else { counts.users };
            evidence.notes.extend(counts.note());
            sink.end(resource, ExportEnd { evidence, cursor: cursor.clone(), proves_absence: false })?;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one walk, with everything that it hands over")]
    async fn members_once(
        &self,
        groups: &ResourceType,
        membership: &Membership,
        since: Option<&Since>,
        resources: &[&str],
        people: &People,
        counts: &mut Counts,
        sink: &mut dyn ExportSink,
    ) -> Result<Seen, ExportError> {
        let most = self.system.config.member_range.filter(|_| self.layout.flavour == Flavour::Ad);
        let asked = match most {
            Some(most) => format!("{};range=0-{}", membership.attribute, most - 1),
            None => membership.attribute.clone(),
        };
        let filter = since.map(|since| since.filter(self, groups));
        let mut walk = self.walk(groups, &[asked], filter, GROUPS_A_PAGE);
        while let Some(entries) = walk.next().await? {
            for entry in &entries {
                let values = search::whole(&self.system.link, entry, &membership.attribute, most).await?;
                let (mut users, mut inner) = (Vec::new(), Vec::new());
                for value in &values {
                    let value = String::from_utf8_lossy(value);
                    match people.member(membership, &value) {
                        Member::User(id) => users.push(id),
                        Member::Group(id) => inner.push(id),
                        Member::Outside if membership.stand_in.as_deref() == Some(&*value) => {}
                        Member::Outside => counts.outsider(&value),
                    }
                }
                let id = groups.id(entry).unwrap_or_default();
                for resource in resources {
                    let (list, owner) = match *resource {
                        MEMBERSHIPS => (&mut users, "group"),
                        _ => (&mut inner, "parent"),
                    };
                    if since.is_some() {
                        sink.replace(resource, owner, &id)?;
                    }
                    list.sort();
                    list.dedup();
                    for member in list.iter() {
                        sink.row(resource, &[&id, member])?;
                    }
                }
                counts.users += users.len() as u64;
                counts.groups += inner.len() as u64;
            }
        }
        Ok(walk.end())
    }

    /// Where the next increment may begin.
    pub(super) fn cursor(&self, newest: Option<DateTime<Utc>>, since: Option<&Since>) -> Option<String> {
        match self.layout.flavour {
            Flavour::Ad => self.mark.clone(),
            _ => increment::time_cursor(newest, since),
        }
    }
}

/// Members that were seen.
#[derive(Default)]
struct Counts {
    users: u64,
    groups: u64,
    outside: u64,
    first: Vec<String>,
}

impl Counts {
    fn outsider(&mut self, value: &str) {
        self.outside += 1;
        if self.first.len() < 3 {
            self.first.push(value.to_owned());
        }
    }

    fn note(&self) -> Option<String> {
        (self.outside > 0).then(|| {
            format!(
                "{} of groups {} no user or group of this system, and left out: {}",
                counted(self.outside, "member"),
                if self.outside == 1 { "is" } else { "are" },
                self.first.join("; ")
            )
        })
    }
}

impl LdapSystem {
    /// The groups, with where their members are.
    pub(super) fn group_members<'a>(&self, layout: &'a Layout) -> Result<(&'a ResourceType, &'a Membership), Failure> {
        let groups = layout.types.get("groups");
        groups.and_then(|groups| Some((groups, groups.member.as_ref()?))).ok_or_else(|| {
            self.failure(
                Class::Configuration,
                "groups have no members here",
                "name the attribute in `member` of `groups`",
            )
        })
    }

    /// Entries a page; `None` where the server knows no pages.
    pub(super) fn page_size(&self, layout: &Layout) -> Option<u64> {
        if layout.root.knows(super::flavour::PAGED) || layout.root.controls.is_empty() {
            return Some(self.config.page_size);
        }
        self.notice_once("the server does not read lists page by page (RFC 2696): each comes in one answer".to_owned());
        None
    }
}
