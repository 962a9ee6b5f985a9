//! Users in groups and groups in groups, asked for by their ids.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};

use super::entry::Entry;
use super::filter;
use super::flavour::IN_CHAIN;
use super::layout::{Layout, Membership, ResourceType};
use super::lookup;
use super::search::{self, Pager, Search};
use super::{LdapSystem, MEMBERSHIPS, NESTINGS, dn, people};
use crate::connector::failure_table::Asked;
use crate::model::failure::{Class, Failure};

/// The groups of an entry, as the server keeps them.
pub(super) const MEMBER_OF: &str = "memberOf";
/// Ids asked for in one search.
pub(super) const IDS_A_SEARCH: usize = 50;
/// Questions under way at once.
const AT_ONCE: usize = 8;

/// The end that holds the members, and the end that is one.
pub(super) fn ends_of(resource: &str) -> Option<(&'static str, &'static str)> {
    match resource {
        MEMBERSHIPS => Some(("group", "user")),
        NESTINGS => Some(("parent", "child")),
        _ => None,
    }
}

/// The ids of a row's ends: whose members, and which member.
pub(super) fn ends<'a>(
    system: &LdapSystem,
    resource: &str,
    row: &'a BTreeMap<String, String>,
) -> Result<(&'a str, &'a str), Failure> {
    let names = ends_of(resource);
    let found = names.and_then(|(owner, member)| Some((row.get(owner)?.as_str(), row.get(member)?.as_str())));
    found.filter(|(owner, member)| !owner.is_empty() && !member.is_empty()).ok_or_else(|| {
        let cause = match names {
            Some((owner, member)) => format!("a row of `{resource}` needs the ends `{owner}` and `{member}`"),
            None => format!("`{resource}` is no association of this system; it has: {MEMBERSHIPS}, {NESTINGS}"),
        };
        system.failure(Class::Configuration, cause, "correct the sync's `to` and `ends` in the job file")
    })
}

/// An association's sides.
pub(super) struct Sides<'a> {
    pub(super) system: &'a LdapSystem,
    pub(super) layout: &'a Layout,
    pub(super) groups: &'a ResourceType,
    pub(super) membership: &'a Membership,
    /// What the members are: users, or groups.
    pub(super) members: &'a ResourceType,
    /// Whether they may be members through other groups.
    in_chain: bool,
}

impl<'a> Sides<'a> {
    pub(super) async fn of(system: &'a LdapSystem, resource: &str) -> Result<Self, Failure> {
        let layout = system.layout().await?;
        let (groups, membership) = system.group_members(layout)?;
        let (_, members) = system.resource(if resource == NESTINGS { "groups" } else { "users" }).await?;
        let in_chain = membership.in_chain && resource == MEMBERSHIPS;
        Ok(Self { system, layout, groups, membership, members, in_chain })
    }

    /// What stands in a group for a member: its name, or its login.
    pub(super) fn stands(&self, entry: &Entry) -> Option<String> {
        match &self.membership.login {
            Some(login) => entry.text(login).map(str::to_owned),
            None => Some(entry.dn.clone()),
        }
    }

    /// What stands in a group for some members, by their ids; those that are not there are left out.
    pub(super) async fn values(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
        let mut values = self.values_among(self.members, ids).await?;
        // A group may also be put into a group as any member is.
        let others: Vec<&str> = ids.iter().filter(|id| !values.contains_key(**id)).copied().collect();
        if !others.is_empty() && self.members.name != self.groups.name && self.membership.login.is_none() {
            values.extend(self.values_among(self.groups, &others).await?);
        }
        Ok(values)
    }

    async fn values_among(&self, of: &ResourceType, ids: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
        let attributes = || {
            let mut attributes = self.layout.asked(of, &[]);
            attributes.extend(self.membership.login.clone());
            attributes
        };
        let mut values = BTreeMap::new();
        let mut searches = Vec::new();
        for chunk in ids.chunks(IDS_A_SEARCH) {
            searches.push(lookup::by_ids(self.system, of, chunk, attributes()));
        }
        let found: Vec<Vec<Entry>> = at_once(searches).await?;
        for entry in found.iter().flatten() {
            if let (Some(id), Some(value)) = (of.id(entry), self.stands(entry)) {
                values.insert(id, value);
            }
        }
        Ok(values)
    }

    /// The name of a group; `None` where there is none.
    pub(super) async fn group(&self, id: &str) -> Result<Option<String>, Failure> {
        let found = lookup::read(self.system, self.layout, self.groups, id, &[]).await?;
        Ok(found.map(|entry| entry.dn))
    }

    /// The names of some groups, by their ids; those that are not there are left out.
    async fn names(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
        let mut searches = Vec::new();
        for chunk in ids.chunks(IDS_A_SEARCH) {
            searches.push(lookup::by_ids(self.system, self.groups, chunk, self.layout.asked(self.groups, &[])));
        }
        let found: Vec<Vec<Entry>> = at_once(searches).await?;
        Ok(found.into_iter().flatten().filter_map(|entry| Some((self.groups.id(&entry)?, entry.dn))).collect())
    }

    /// Whether the server finds a group by a member that it has; an attribute that it cannot compare, or that the account may
    /// not search by, finds nobody, and it does not say why (RFC 4511 section 4.5.1.7).
    pub(super) async fn finds_members(&self) -> Result<bool, Failure> {
        let attribute = self.membership.attribute.as_str();
        let holding = filter::all(&[&filter::present(attribute), &self.groups.filter]);
        let search = Search { filter: holding, ..self.groups.search(vec![attribute.to_owned()]) };
        let Some(group) = search::some(&self.system.link, &search, Asked::List).await? else { return Ok(true) };
        match group.values(attribute).first() {
            Some(value) => self.fits(&group.dn, filter::equals(attribute, value)).await,
            None => Ok(true),
        }
    }

    /// Whether a group holds what stands for a member.
    pub(super) async fn holds(&self, group: &str, value: &str) -> Result<bool, Failure> {
        self.fits(group, self.holding(value)).await
    }

    async fn fits(&self, group: &str, filter: String) -> Result<bool, Failure> {
        let search = Search { filter, ..Search::entry(group, &["1.1"]) };
        Ok(!search::all(&self.system.link, &search, Asked::Object).await?.is_empty())
    }

    /// Which of some members a group holds. Mostly it is none of them or all, which is two questions for many; where it is a
    /// part, the group's own list is read.
    async fn held<'v>(&self, group: &str, values: Vec<&'v str>) -> Result<BTreeSet<&'v str>, Failure> {
        let (mut held, mut some) = (BTreeSet::new(), Vec::new());
        for chunk in values.chunks(IDS_A_SEARCH) {
            let each: Vec<String> = chunk.iter().map(|value| self.holding(value)).collect();
            let all = filter::all(&each.iter().map(String::as_str).collect::<Vec<_>>());
            if !self.fits(group, filter::any(each)).await? {
                continue;
            }
            match chunk.len() == 1 || self.fits(group, all).await? {
                true => held.extend(chunk),
                false => some.extend(chunk),
            }
        }
        if some.is_empty() {
            return Ok(held);
        }
        if self.in_chain {
            // No list names them.
            for value in some {
                if self.holds(group, value).await? {
                    held.insert(value);
                }
            }
            return Ok(held);
        }
        let listed = self.listed(group).await?;
        let listed: HashSet<u128> = listed.iter().map(|value| people::digest(self.membership, value)).collect();
        held.extend(some.into_iter().filter(|value| listed.contains(&people::digest(self.membership, value))));
        Ok(held)
    }

    /// Everything that stands in a group.
    async fn listed(&self, group: &str) -> Result<Vec<String>, Failure> {
        let (link, attribute) = (&self.system.link, self.membership.attribute.as_str());
        let Some(entry) = search::entry(link, group, &[attribute]).await? else { return Ok(Vec::new()) };
        let values = search::whole(link, &entry, attribute, self.system.config.member_range).await?;
        Ok(values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect())
    }

    /// What finds the groups that hold a member.
    fn holding(&self, value: &str) -> String {
        match self.in_chain {
            true => filter::matches(&self.membership.attribute, IN_CHAIN, value),
            false => filter::equals(&self.membership.attribute, value.as_bytes()),
        }
    }

    /// The ids of a group's members that are of this kind.
    async fn ids_in(&self, group: &str) -> Result<Vec<String>, Failure> {
        if self.in_chain {
            let mut walk = in_chain(self.system, self.layout, self.members, group);
            let mut ids = Vec::new();
            while let Some(entries) = walk.next().await? {
                ids.extend(entries.iter().filter_map(|entry| self.members.id(entry)));
            }
            return Ok(ids);
        }
        let mut lookups = Vec::new();
        for value in self.listed(group).await? {
            lookups.push(self.id_of(value));
        }
        let ids: Vec<Option<String>> = at_once(lookups).await?;
        Ok(ids.into_iter().flatten().collect())
    }

    /// The id of a member; `None` where it is of another kind.
    async fn id_of(&self, value: String) -> Result<Option<String>, Failure> {
        let attributes = self.layout.asked(self.members, &[]);
        let search = match &self.membership.login {
            Some(login) => {
                let filter = filter::all(&[&filter::equals(login, value.as_bytes()), &self.members.filter]);
                Search { filter, ..self.members.search(attributes) }
            }
            None if !value.is_empty() && dn::is_at_or_below(&value, &self.members.base) => {
                Search { filter: self.members.filter.clone(), attributes, ..Search::entry(&value, &[]) }
            }
            None => return Ok(None),
        };
        let found = search::all(&self.system.link, &search, Asked::Object).await?;
        Ok(found.first().and_then(|entry| self.members.id(entry)))
    }

    /// The ids of the groups that hold a member.
    async fn groups_of(&self, id: &str) -> Result<Vec<String>, Failure> {
        let values = self.values(&[id]).await?;
        match values.values().next() {
            Some(value) => self.groups_holding(value).await,
            None => Ok(Vec::new()),
        }
    }

    /// The same of what stands there for it.
    pub(super) async fn groups_holding(&self, value: &str) -> Result<Vec<String>, Failure> {
        let search = self.groups.search(self.layout.asked(self.groups, &[]));
        let search = Search { filter: filter::all(&[&self.holding(value), &self.groups.filter]), ..search };
        let found = search::all(&self.system.link, &search, Asked::Object).await?;
        Ok(found.iter().filter_map(|entry| self.groups.id(entry)).collect())
    }
}

/// A walk through everybody whom the server finds in a group, directly or through groups in it.
pub(super) fn in_chain<'a>(system: &'a LdapSystem, layout: &Layout, members: &ResourceType, group: &str) -> Pager<'a> {
    let found = filter::matches(MEMBER_OF, IN_CHAIN, group);
    let search = members.search(layout.asked(members, &[]));
    let search = Search { filter: filter::all(&[&found, &members.filter]), ..search };
    Pager::new(&system.link, search, system.page_size(layout))
}

pub(super) async fn holds(
    system: &LdapSystem,
    resource: &str,
    rows: &[BTreeMap<String, String>],
) -> Result<Vec<bool>, Failure> {
    let rows: Vec<(&str, &str)> = rows.iter().map(|row| ends(system, resource, row)).collect::<Result<_, _>>()?;
    let sides = Sides::of(system, resource).await?;
    let values = sides.values(&distinct(rows.iter().map(|(_, member)| *member))).await?;
    let names = sides.names(&distinct(rows.iter().map(|(owner, _)| *owner))).await?;
    let known = |(owner, member): &(&str, &str)| Some((names.get(*owner)?.as_str(), values.get(*member)?.as_str()));
    let mut asked: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (group, value) in rows.iter().filter_map(known) {
        asked.entry(group).or_default().insert(value);
    }
    let mut lookups = Vec::new();
    for (group, values) in &asked {
        lookups.push(sides.held(group, values.iter().copied().collect()));
    }
    let held: BTreeMap<&str, BTreeSet<&str>> = asked.keys().copied().zip(at_once(lookups).await?).collect();
    Ok(rows.iter().map(|row| known(row).is_some_and(|(group, value)| held[group].contains(value))).collect())
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    ids.collect::<BTreeSet<&str>>().into_iter().collect()
}

/// Answers in order, so many questions under way at once.
pub(super) async fn at_once<T>(asked: Vec<impl Future<Output = Result<T, Failure>>>) -> Result<Vec<T>, Failure> {
    futures::stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

/// The ids at the other end of all rows of an object; none where it is not there.
pub(super) async fn members(system: &LdapSystem, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
    let mut ids = match ends_of(resource) {
        Some((owner, _)) if owner == end => {
            let sides = Sides::of(system, resource).await?;
            match sides.group(id).await? {
                Some(group) => sides.ids_in(&group).await?,
                None => Vec::new(),
            }
        }
        Some((_, member)) if member == end => Sides::of(system, resource).await?.groups_of(id).await?,
        _ => {
            let cause = format!("the rows of `{resource}` have no end `{end}`");
            return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
        }
    };
    ids.sort();
    ids.dedup();
    Ok(ids)
}
