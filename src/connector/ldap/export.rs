//! Exports: objects list by list, and then who is in which group.
//!
//! Groups name their members by DN, and rows name them by id: before the groups' members are read, every user and group
//! is, and the map between both is all that grows with the directory.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::changes::Changes;
use super::entry::Entry;
use super::increment::{self, Since};
use super::layout::{Layout, Membership, ResourceType};
use super::newcomers::{self, Newcomers, Told};
use super::people::{Id, Member, People};
use super::search::{self, Pager, Search};
use super::walk::{Seen, Walk};
use super::{LdapSystem, MEMBERSHIPS, NESTINGS, dirsync, layout, lookup, members, syncrepl};
use crate::connector::config::{Flavour, Increments};
use crate::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink, ResourceRequest};
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
    let mut changed: BTreeMap<&str, Changes> = BTreeMap::new();
    let mut mark = None;
    if let Some(way) = system.config.increments {
        for cursor in request.resources.iter().filter_map(|wanted| wanted.since.as_deref()) {
            if !changed.contains_key(cursor) {
                let read = match way {
                    Increments::DirSync => dirsync::since(system, layout, cursor, &request.resources).await?,
                    Increments::Syncrepl => syncrepl::since(system, cursor).await?,
                };
                mark.get_or_insert_with(|| read.cursor.clone());
                changed.insert(cursor, read);
            }
        }
        if mark.is_none() {
            mark = Some(match way {
                Increments::DirSync => dirsync::now(system, layout).await?,
                Increments::Syncrepl => syncrepl::now(system).await?,
            });
        }
    } else if layout.flavour == Flavour::Ad {
        mark = increment::usn_cursor(&layout::root(&system.link).await?);
    }
    let export = Export { system, layout, mark, changes: changed };
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

pub(super) struct Export<'a> {
    pub(super) system: &'a LdapSystem,
    pub(super) layout: &'a Layout,
    /// Where the next increment begins, where the server counts its changes.
    mark: Option<String>,
    /// What the server told of changes, by the cursor that it was asked with.
    changes: BTreeMap<&'a str, Changes>,
}

impl Export<'_> {
    fn pager(&self, search: Search, most: u64) -> Pager<'_> {
        let size = self.system.page_size(self.layout).map(|size| size.min(most));
        Pager::new(&self.system.link, search, size).keeping_what_came()
    }

    fn membership(&self) -> Option<&Membership> {
        self.layout.types.get("groups").and_then(|groups| groups.member.as_ref())
    }

    /// A walk through what a search finds.
    pub(super) fn walk<'a>(
        &'a self,
        of: &'a ResourceType,
        columns: &[String],
        filter: Option<String>,
        most: u64,
    ) -> Walk<'a> {
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
        Walk::new(self, of, self.pager(search, most))
    }

    pub(super) fn no_id(&self, of: &ResourceType, dn: &str) -> Failure {
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
        if let Some(changes) = wanted.since.as_deref().and_then(|since| self.changes.get(since)) {
            let end = changes.objects(self, of, &columns, people, sink).await?;
            return sink.end(&of.name, end);
        }
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
        let cursor = self.cursor(seen.newest, None).filter(|_| seen.evidence.cut_off.is_none());
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
        let seen = walk.end();
        if counts {
            people.lack(&seen.evidence);
        }
        Ok(seen)
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
        let counts = matches!(of.name.as_str(), "users" | "groups");
        let (mut walk, mut ids) = (self.walk(of, &[], None, u64::MAX), Vec::new());
        while let Some(entries) = walk.next().await? {
            for entry in &entries {
                ids.extend(of.id(entry).map(|id| Id::of(&id)));
                if counts {
                    people.note(of, membership, entry, is_group);
                }
            }
        }
        let seen = Seen { ids, ..walk.end() };
        if counts {
            people.lack(&seen.evidence);
        }
        Ok(seen)
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
        let changes = since.and_then(|since| self.changes.get(since));
        let is_increment = since.is_some();
        let since = since.filter(|_| changes.is_none()).map(|since| Since::read(self, since)).transpose()?;
        if let Some(since) = &since {
            since.prove(self, groups).await?;
        }
        let told = changes.map(Told::Changes).or(since.as_ref().map(Told::Since)).filter(|_| !membership.in_chain);
        let newcomers = match told {
            Some(told) => newcomers::of_changed(self, told, resources, people).await?,
            None => Some(Newcomers::default()),
        };
        if let (Some(changes), Some(newcomers), false) = (changes, &newcomers, membership.in_chain) {
            return changes.members(self, resources, people, newcomers, sink).await;
        }
        let mut failed = 0;
        let (mut seen, counts) = loop {
            for resource in resources {
                people.begin(sink, resource, is_increment)?;
                newcomers.as_ref().map(|newcomers| newcomers.hand_over(resource, sink)).transpose()?;
            }
            // A group changes without a trace of its own where one that is in it does.
            let reads_all = membership.in_chain || newcomers.is_none();
            let filter = since.as_ref().filter(|_| !reads_all).map(|since| since.filter(self, groups));
            let mut counts = Counts::default();
            match self.members_once(filter, is_increment, resources, people, &mut counts, sink).await {
                Err(ExportError::System(failure)) => {
                    failed += 1;
                    self.system.link.wait(&failure, failed).await.ok_or(failure)?;
                }
                other => break (other?, counts),
            }
        };
        if newcomers.is_none() {
            seen.evidence
                .notes
                .push("too many changed to look for each in the groups: all groups were read".to_owned());
        }
        let cursor = self.cursor(seen.newest, since.as_ref());
        for resource in resources {
            let mut evidence = seen.evidence.clone();
            evidence.rows_received = if *resource == NESTINGS { counts.groups } else { counts.users };
            evidence.notes.extend(counts.notes());
            evidence.cut_off = evidence.cut_off.or_else(|| people.cut_off.clone());
            let proves_absence = evidence.cut_off.is_none();
            sink.end(resource, ExportEnd { evidence, cursor: cursor.clone(), proves_absence })?;
        }
        Ok(())
    }

    async fn members_once(
        &self,
        filter: Option<String>,
        is_increment: bool,
        resources: &[&str],
        people: &People,
        counts: &mut Counts,
        sink: &mut dyn ExportSink,
    ) -> Result<Seen, ExportError> {
        let (groups, membership) = self.system.group_members(self.layout)?;
        let mut walk = self.walk(groups, &[self.member_column(membership)], filter, GROUPS_A_PAGE);
        let mut cut_off = None;
        while let Some(entries) = walk.next().await? {
            for entry in &entries {
                let Members { mut users, groups: inner, others } = self.members_of(entry, membership, people).await?;
                others.iter().for_each(|value| counts.outsider(value));
                if membership.in_chain && !(inner.is_empty() && others.is_empty()) {
                    users = self.in_chain(&entry.dn, &mut cut_off).await?;
                    counts.chains += 1;
                }
                let id = groups.id(entry).unwrap_or_default();
                for resource in resources {
                    let (list, owner) = match *resource {
                        MEMBERSHIPS => (&users, "group"),
                        _ => (&inner, "parent"),
                    };
                    if is_increment {
                        sink.replace(resource, owner, &id)?;
                    }
                    list.iter().try_for_each(|member| sink.row(resource, &[&id, member]))?;
                }
                counts.users += users.len() as u64;
                counts.groups += inner.len() as u64;
            }
        }
        let mut seen = walk.end();
        seen.evidence.cut_off = seen.evidence.cut_off.or(cut_off);
        Ok(seen)
    }

    /// The ids of all users in a group, as the server finds them through groups in it.
    async fn in_chain(&self, group: &str, cut_off: &mut Option<String>) -> Result<Vec<String>, Failure> {
        let (_, users) = self.system.resource("users").await?;
        let mut walk = members::in_chain(self.system, self.layout, users, group).keeping_what_came();
        let mut ids = Vec::new();
        while let Some(entries) = walk.next().await? {
            ids.extend(entries.iter().filter_map(|entry| users.id(entry)));
        }
        *cut_off = cut_off.take().or(walk.evidence.cut_off);
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// What members are asked for by.
    fn member_column(&self, membership: &Membership) -> String {
        match self.system.config.member_range.filter(|_| self.layout.flavour == Flavour::Ad) {
            Some(most) => format!("{};range=0-{}", membership.attribute, most - 1),
            None => membership.attribute.clone(),
        }
    }

    /// What is asked of groups whose members are read.
    pub(super) fn asked_members(&self, groups: &ResourceType, membership: &Membership) -> Vec<String> {
        self.layout.asked(groups, &[self.member_column(membership)])
    }

    /// Who stands in a group, all of them, sorted.
    pub(super) async fn members_of(
        &self,
        entry: &Entry,
        membership: &Membership,
        people: &People,
    ) -> Result<Members, Failure> {
        let most = self.system.config.member_range.filter(|_| self.layout.flavour == Flavour::Ad);
        let mut members = Members::default();
        for value in search::whole(&self.system.link, entry, &membership.attribute, most).await? {
            let value = String::from_utf8_lossy(&value);
            match people.member(membership, &value) {
                Member::User(id) => members.users.push(id),
                Member::Group(id) => members.groups.push(id),
                Member::Outside if membership.stand_in.as_deref() == Some(&*value) => {}
                Member::Outside => members.others.push(value.into_owned()),
            }
        }
        for list in [&mut members.users, &mut members.groups] {
            list.sort();
            list.dedup();
        }
        Ok(members)
    }

    /// Where the next increment may begin.
    pub(super) fn cursor(&self, newest: Option<DateTime<Utc>>, since: Option<&Since>) -> Option<String> {
        match (self.system.config.increments, self.layout.flavour) {
            (Some(_), _) | (None, Flavour::Ad) => self.mark.clone(),
            _ => increment::time_cursor(newest, since),
        }
    }
}

/// Who stands in one group.
#[derive(Default)]
pub(super) struct Members {
    /// Ids of users.
    pub(super) users: Vec<String>,
    /// Ids of groups.
    pub(super) groups: Vec<String>,
    /// What is neither.
    others: Vec<String>,
}

/// Members that were seen.
#[derive(Default)]
struct Counts {
    users: u64,
    groups: u64,
    /// Groups of which the server was asked who is in them.
    chains: u64,
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

    fn notes(&self) -> impl Iterator<Item = String> {
        let chains = (self.chains > 0).then(|| {
            format!(
                "{} with groups in them were asked for whoever is in them at any depth",
                counted(self.chains, "group")
            )
        });
        let outside = (self.outside > 0).then(|| {
            format!(
                "{} of groups {} no user or group of this system, and left out: {}",
                counted(self.outside, "member"),
                if self.outside == 1 { "is" } else { "are" },
                self.first.join("; ")
            )
        });
        chains.into_iter().chain(outside)
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
