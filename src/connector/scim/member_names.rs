//! What groups call their members by: their ids (RFC 7643 section 4.2), or at some services a login or an external id.
//!
//! It is the job's or the dialect's to say. Where neither does, the members that are seen first tell: what is nobody's id,
//! and is the login or the external id of exactly one user, is what users are called by. Groups that are members go by
//! their ids everywhere.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value as Json;

use super::lookup::{find, read};
use super::member::{Member, is_group, listed};
use super::pager::Pager;
use super::{ScimSystem, id_of};
use crate::model::failure::{Class, Failure};
use crate::model::value::Value;
use crate::scim::column::ColumnReader;
use crate::scim::schema::Definition;

/// The name of the proof.
pub(super) const NAMES: &str = "names of members";
/// The word of the proof for what the standard has.
pub(super) const BY_ID: &str = "id";
/// What else members are called by, as far as muster finds it out itself.
const CANDIDATES: [&str; 2] = ["userName", "externalId"];
/// Members that are looked at, in a group whose members may be gone.
const LOOKED_AT: usize = 5;

/// What was found out.
#[derive(Default)]
pub(super) struct Found(Mutex<Option<String>>);

/// The attribute of users by which groups call them; `None` is their id, and nobody knows better yet.
pub(super) async fn attribute(system: &ScimSystem) -> Result<Option<String>, Failure> {
    let known = known(system).await?;
    Ok(known.filter(|known| known != BY_ID))
}

async fn known(system: &ScimSystem) -> Result<Option<String>, Failure> {
    if let Some(stated) = &system.ways.members_by {
        return Ok(Some(stated.clone()));
    }
    let found = system.member_names.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match found {
        Some(found) => Ok(Some(found)),
        None => Ok(system.proved(NAMES).await?.map(|proof| proof.found)),
    }
}

/// The same, after a look at a group's members where it is not known; `groups` are ids of groups.
pub(super) async fn attribute_seen(
    system: &ScimSystem,
    group: &Json,
    groups: Option<&HashSet<String>>,
) -> Result<Option<String>, Failure> {
    if let Some(known) = known(system).await? {
        return Ok((known != BY_ID).then_some(known));
    }
    let discovery = system.discovery().await?;
    let Some(users) = discovery.types.get("users") else { return Ok(None) };
    let values = listed(group).filter(|member| !is_group(member, groups)).map(Member::id);
    let values: Vec<String> = values.take(LOOKED_AT).collect();
    for value in values {
        let found = match is_id(system, users, &value).await? {
            true => Some(BY_ID),
            false => by_another(system, &value).await?,
        };
        if let Some(found) = found {
            *system.member_names.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.to_owned());
            system.keep(NAMES, found);
            if found != BY_ID {
                system.notice_once(format!(
                    "groups call their members by {found}: `{value}` is nobody's id, and somebody's {found}"
                ));
            }
            return Ok((found != BY_ID).then(|| found.to_owned()));
        }
    }
    Ok(None)
}

/// What a group that refused somebody by their id may call them by instead; `None` where it is known that groups go by ids
/// or what else they go by, or where nobody has that id or it is all that they have.
pub(super) async fn another(system: &ScimSystem, id: &str) -> Result<Option<&'static str>, Failure> {
    if known(system).await?.is_some() {
        return Ok(None);
    }
    let users = system.definition("users").await?;
    let Some(user) = read(system, users, id).await? else { return Ok(None) };
    let name = |candidate: &str| called(&column(system, users, candidate).ok()?, &user);
    Ok(CANDIDATES.into_iter().find(|candidate| name(candidate).is_some_and(|name| name != id)))
}

async fn is_id(system: &ScimSystem, users: &Definition, value: &str) -> Result<bool, Failure> {
    match read(system, users, value).await {
        Ok(found) => Ok(found.is_some()),
        // An answer with another id: somebody is found by another name too.
        Err(failure) if failure.status == Some(200) => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn by_another(system: &ScimSystem, value: &str) -> Result<Option<&'static str>, Failure> {
    for candidate in CANDIDATES {
        if find(system, "users", candidate, value).await?.len() == 1 {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// What groups call users by, in the sequence of their ids.
pub(super) async fn calls(system: &ScimSystem, ids: &[&str]) -> Result<Vec<String>, Failure> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let Some(attribute) = attribute(system).await? else { return Ok(ids) };
    let users = system.definition("users").await?;
    let column = column(system, users, &attribute)?;
    let (attribute, column) = (&attribute, &column);
    let asked = ids.into_iter().map(|id| async move {
        // Who is gone is called as nobody is: what is asked about them finds nobody, either.
        let Some(user) = read(system, users, &id).await? else { return Ok(id) };
        called(column, &user).ok_or_else(|| {
            system.failure(
                Class::Data,
                format!("user `{id}` has no {attribute}, by which groups call their members here"),
                format!("map `{attribute}` of the users, so that each has one; then `muster retry`"),
            )
        })
    });
    // Collected first: the borrows are not general enough for the compiler.
    let asked: Vec<_> = asked.collect();
    futures::stream::iter(asked).buffered(system.ways.pages_in_flight).try_collect().await
}

/// Reads what groups call users by off the users themselves.
pub(super) struct Names(Option<ColumnReader>);

impl Names {
    pub(super) async fn of(system: &ScimSystem) -> Result<Self, Failure> {
        let Some(attribute) = attribute(system).await? else { return Ok(Self(None)) };
        column(system, system.definition("users").await?, &attribute).map(|column| Self(Some(column)))
    }

    /// The id of a user, and what groups call them; `None` of whoever has no such name, and is in no group therefore.
    pub(super) fn read(&self, user: &Json) -> Option<(String, String)> {
        let id = id_of(user)?;
        let name = match &self.0 {
            Some(column) => called(column, user)?,
            None => id.clone(),
        };
        Some((id, name))
    }
}

/// Whether two names are the same one, as the schema compares the attribute; ids to the letter.
pub(super) async fn are_same(system: &ScimSystem) -> Result<impl Fn(&str, &str) -> bool, Failure> {
    let exact = match attribute(system).await? {
        None => true,
        Some(attribute) => is_exact(system, &attribute).await?,
    };
    Ok(move |one: &str, other: &str| one == other || (!exact && one.to_lowercase() == other.to_lowercase()))
}

async fn is_exact(system: &ScimSystem, attribute: &str) -> Result<bool, Failure> {
    let users = system.definition("users").await?;
    let column = column(system, users, attribute)?;
    Ok(users.find(column.path()).is_some_and(|attribute| attribute.leaf().case_exact))
}

fn column(system: &ScimSystem, users: &Definition, attribute: &str) -> Result<ColumnReader, Failure> {
    ColumnReader::of(attribute, users).map_err(|error| {
        system.failure(Class::Configuration, format!("members_by: {error}"), "correct it in the job file")
    })
}

fn called(column: &ColumnReader, user: &Json) -> Option<String> {
    match Value::from_cell(&column.cell(user))? {
        Value::Text(text) => Some(text),
        Value::Many(values) => values.into_iter().next(),
    }
}

/// Whom groups mean by what they call their members: an id for each name.
pub(super) struct Meant {
    attribute: String,
    exact: bool,
    /// `None` where several have the name.
    ids: HashMap<String, Option<String>>,
}

impl Meant {
    /// Reads what all users are called by an attribute.
    pub(super) async fn read(system: &ScimSystem, attribute: String) -> Result<Self, Failure> {
        let users = system.definition("users").await?;
        let (column, exact) = (column(system, users, &attribute)?, is_exact(system, &attribute).await?);
        let mut pager = Pager::new(system, &users.resource_type.endpoint, Vec::new()).await?;
        let mut meant = Self { attribute, exact, ids: HashMap::new() };
        while let Some(page) = pager.next().await? {
            for user in &page {
                let (Some(id), Some(name)) = (id_of(user), called(&column, user)) else { continue };
                let name = meant.key(&name);
                let known = meant.ids.entry(name).or_insert_with(|| Some(id.clone()));
                if known.as_ref() != Some(&id) {
                    *known = None;
                }
            }
        }
        Ok(meant)
    }

    fn key(&self, name: &str) -> String {
        if self.exact { name.to_owned() } else { name.to_lowercase() }
    }

    /// The id of a member; what nobody is called stays as it is, as an id that points nowhere.
    pub(super) fn id(&self, system: &ScimSystem, member: Member) -> Result<String, Failure> {
        let reference = member.reference.clone();
        let name = member.id();
        let reference = reference.filter(|reference| *reference != name);
        match self.ids.get(&self.key(&name)) {
            Some(Some(id)) => Ok(id.clone()),
            None => Ok(reference.unwrap_or(name)),
            Some(None) => reference.ok_or_else(|| {
                system.failure(
                    Class::Data,
                    format!("a group has the member `{name}`, which is the {} of several users", self.attribute),
                    "give each of them one of their own at the target: whom the group means cannot be told",
                )
            }),
        }
    }
}
