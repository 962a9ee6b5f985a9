//! Users in groups and groups in groups: read from `members`, changed one by one inside a few requests.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::dialect::{MemberRemoval, MembersShown};
use super::lookup::{find, read};
use super::member::{Member, elements, is_group, listed, member_ids};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem, condition, member_names, members_asked};
use crate::connector::failure_table::Asked;
use crate::connector::http::Request;
use crate::connector::target::{Applied, RowChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;
use crate::scim::patch;
use crate::scim::path::member;

/// The end that holds the members, and the end that is one.
pub(super) fn ends_of(resource: &str) -> Option<(&'static str, &'static str)> {
    match resource {
        MEMBERSHIPS => Some(("group", "user")),
        NESTINGS => Some(("parent", "child")),
        _ => None,
    }
}

fn ends<'a>(
    system: &ScimSystem,
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

pub(super) async fn holds(
    system: &ScimSystem,
    resource: &str,
    rows: &[BTreeMap<String, String>],
) -> Result<Vec<bool>, Failure> {
    let definition = system.definition("groups").await?;
    let mut groups: BTreeMap<&str, Option<Json>> = BTreeMap::new();
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let (owner, member) = ends(system, resource, row)?;
        if system.dialect.members == MembersShown::ByFilter {
            answers.push(members_asked::is_member(system, owner, member).await?);
            continue;
        }
        if !groups.contains_key(owner) {
            groups.insert(owner, read(system, definition, owner).await?);
        }
        let group = groups.get(owner).and_then(Option::as_ref);
        answers.push(match group {
            Some(group) => holds_any(system, resource, group, &[member]).await?,
            None => false,
        });
    }
    Ok(answers)
}

/// Whether a group holds any of these ids, whatever it calls its members by.
async fn holds_any(system: &ScimSystem, resource: &str, group: &Json, ids: &[&str]) -> Result<bool, Failure> {
    if resource == NESTINGS || member_names::attribute(system).await?.is_none() {
        let there = member_ids(group);
        let is_there = ids.iter().any(|id| there.contains(*id));
        // None of them by its id: where it is not known that groups go by ids, that says nothing yet.
        if is_there || resource == NESTINGS || member_names::attribute_seen(system, group, None).await?.is_none() {
            return Ok(is_there);
        }
    }
    let names = called(system, resource, ids).await?;
    let are_same = member_names::are_same(system).await?;
    Ok(listed(group).any(|member| ids.iter().zip(&names).any(|(id, name)| member.is(id, name, &are_same))))
}

/// What a group calls users by, in the sequence of their ids.
async fn called(system: &ScimSystem, resource: &str, ids: &[&str]) -> Result<Vec<String>, Failure> {
    if resource == NESTINGS {
        return Ok(ids.iter().map(|id| (*id).to_owned()).collect());
    }
    member_names::calls(system, ids).await
}

/// The ids at the other end of all rows of an object; none where it is not there.
pub(super) async fn members(system: &ScimSystem, resource: &str, end: &str, id: &str) -> Result<Vec<String>, Failure> {
    let mut ids: Vec<String> = match ends_of(resource) {
        Some((owner, _)) if system.dialect.members == MembersShown::ByFilter => {
            members_asked::members(system, owner == end, id).await?
        }
        Some((owner, _)) if owner == end => match read(system, system.definition("groups").await?, id).await? {
            Some(group) => ids_of(system, &group).await?,
            None => Vec::new(),
        },
        Some((_, member)) if member == end => owners(system, resource, id).await?,
        _ => {
            let cause = format!("the rows of `{resource}` have no end `{end}`");
            return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
        }
    };
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// The ids of everybody in a group, whatever it calls them by.
async fn ids_of(system: &ScimSystem, group: &Json) -> Result<Vec<String>, Failure> {
    let Some(attribute) = member_names::attribute_seen(system, group, None).await? else {
        return Ok(member_ids(group).into_iter().collect());
    };
    let meant = member_names::Meant::read(system, attribute).await?;
    let id = |member: Member| if is_group(&member, None) { Ok(member.id()) } else { meant.id(system, member) };
    listed(group).map(id).collect()
}

/// The ids of the groups that somebody is in: as their own resource says (RFC 7643, section 4.1.2), else those that are
/// found to hold them. Groups that hold them through another group may be among them.
async fn owners(system: &ScimSystem, resource: &str, id: &str) -> Result<Vec<String>, Failure> {
    if resource == MEMBERSHIPS {
        let user = read(system, system.definition("users").await?, id).await?;
        if let Some(groups) = user.as_ref().and_then(|user| member(user, "groups")).and_then(Json::as_array) {
            return Ok(groups.iter().filter_map(Member::read).map(Member::id).collect());
        }
    }
    let name = called(system, resource, &[id]).await?.remove(0);
    let found = find(system, "groups", "members.value", &name).await?;
    Ok(found.into_iter().map(|group| group.id).collect())
}

pub(super) async fn apply_rows(
    system: &ScimSystem,
    resource: &str,
    operation: Operation,
    rows: &[RowChange],
) -> Vec<Result<Applied, Failure>> {
    let mut results: Vec<Option<Result<Applied, Failure>>> = rows.iter().map(|_| None).collect();
    let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, row) in rows.iter().enumerate() {
        match ends(system, resource, &row.ends) {
            Ok((owner, _)) => owners.entry(owner).or_default().push(position),
            Err(failure) => results[position] = Some(Err(failure)),
        }
    }
    let member_of = |position: usize| ends(system, resource, &rows[position].ends).map_or("", |(_, member)| member);
    let mut stop: Option<Failure> = None;
    for (owner, positions) in owners {
        let mut waiting: Vec<Vec<usize>> =
            positions.chunks(system.ways.member_batch.max(1)).rev().map(<[usize]>::to_vec).collect();
        while let Some(batch) = waiting.pop() {
            let ids: Vec<&str> = batch.iter().map(|position| member_of(*position)).collect();
            let sent = match &stop {
                Some(failure) => Err(failure.clone()),
                None => change(system, (resource, owner), operation, &ids).await,
            };
            match sent {
                Ok(effected) => {
                    for position in batch {
                        results[position] = Some(Ok(Applied { id: None, effected, note: None }));
                    }
                }
                // The request as a whole was refused: one of its rows is the culprit.
                Err(failure) if batch.len() > 1 && failure.status != Some(404) && is_about_content(&failure) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.push(second.to_vec());
                    waiting.push(first.to_vec());
                }
                Err(failure) => {
                    for position in batch {
                        let settled = settle(system, (resource, owner), member_of(position), operation, &failure).await;
                        results[position] = Some(settled);
                    }
                    if stop.is_none() && !is_about_content(&failure) && failure.recourse != Recourse::GiveUp {
                        // What is left was never sent.
                        stop = Some(Failure { effect: Effect::None, ..failure });
                    }
                }
            }
        }
    }
    let lost = || Err(system.failure(Class::Server, "the row was not tried", "`muster retry` sends it"));
    results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
}

/// Whether a refusal is about what was sent, and certainly nothing of it was done.
fn is_about_content(failure: &Failure) -> bool {
    failure.effect == Effect::None
        && failure.recourse == Recourse::GiveUp
        && matches!(
            failure.class,
            Class::Data | Class::Conflict | Class::Stale | Class::Unsupported | Class::Configuration
        )
}

/// A refusal of a single row is success where things are as they should be already.
async fn settle(
    system: &ScimSystem,
    (resource, owner): (&str, &str),
    member: &str,
    operation: Operation,
    failure: &Failure,
) -> Result<Applied, Failure> {
    if !is_about_content(failure) {
        return Err(failure.clone());
    }
    let definition = system.definition("groups").await?;
    let wanted = operation == Operation::Add;
    let (is_so, note) = match read(system, definition, owner).await? {
        Some(_) if system.dialect.members == MembersShown::ByFilter => {
            (members_asked::is_member(system, owner, member).await? == wanted, None)
        }
        Some(group) => (holds_any(system, resource, &group, &[member]).await? == wanted, None),
        None => (!wanted, Some(format!("the group `{owner}` is not there any more"))),
    };
    if is_so {
        return Ok(Applied { id: None, effected: Effected::AlreadySo, note });
    }
    let mut failure = failure.clone();
    if let Some(note) = note {
        failure.class = Class::Stale;
        failure.cause = format!("{}; {note}", failure.cause);
    } else if wanted
        && resource == MEMBERSHIPS
        && let Some(attribute) = member_names::another(system, member).await?
    {
        failure.remedy = format!(
            "no member is there yet that shows what groups call their members by here: if it is the {attribute}, set \
             members_by = \"{attribute}\" for this system, then `muster retry`; else {}",
            failure.remedy
        );
    }
    Err(failure)
}

async fn change(
    system: &ScimSystem,
    (resource, group): (&str, &str),
    operation: Operation,
    ids: &[&str],
) -> Result<Effected, Failure> {
    let discovery = system.discovery().await?;
    let definition = system.definition("groups").await?;
    let url = system.http.address(&[definition.resource_type.endpoint.trim_matches('/'), group]);
    if !discovery.provider.patch {
        return replace(system, definition, url, (resource, group), operation, ids).await;
    }
    let names = called(system, resource, ids).await?;
    let names = || names.iter().map(String::as_str);
    let send = async |operations: Vec<Json>| {
        let request = Request {
            body: Some(patch::request(operations)),
            ..Request::new(Method::PATCH, url.clone(), Asked::Write)
        };
        system.http.send(&request).await
    };
    if operation == Operation::Add {
        send(vec![patch::add_members(names())]).await?;
        return Ok(Effected::Sent);
    }
    let by_value = || vec![patch::remove_members_by_value(names())];
    let by_path = || names().map(patch::remove_member).collect();
    match removal(system).await? {
        Some(MemberRemoval::ByValues) => return send(by_value()).await.map(|_| Effected::Sent),
        Some(MemberRemoval::ByPath) => return send(by_path()).await.map(|_| Effected::Sent),
        None => {}
    }
    let why = match send(by_path()).await {
        // Some servers answer with success and do nothing. Where that cannot be read, nothing is proved by it.
        Ok(_) => match any_left(system, (resource, group), ids).await {
            Ok(true) => {
                send(by_value()).await?;
                "is accepted without effect".to_owned()
            }
            left => {
                if left.is_ok() {
                    found_removal(system, MemberRemoval::ByPath);
                }
                return Ok(Effected::Sent);
            }
        },
        // Some take only the other form; the refused request did nothing.
        Err(failure) if failure.status == Some(400) => match send(by_value()).await {
            Ok(_) => format!("is refused ({})", failure.cause),
            Err(other) if other.effect != Effect::None => return Err(other),
            Err(_) => return Err(failure),
        },
        Err(failure) => return Err(failure),
    };
    if let Ok(false) = any_left(system, (resource, group), ids).await {
        found_removal(system, MemberRemoval::ByValues);
        system.notice_once(format!("members[value eq …] {why}: members are removed by a list of values"));
    }
    Ok(Effected::Sent)
}

/// The name of the proof.
pub(super) const REMOVAL: &str = "removal of members";
/// By the path `members[value eq "id"]`.
pub(super) const BY_PATH: &str = "by path";
/// By a list of values.
pub(super) const BY_VALUES: &str = "by values";

/// How members are taken out, as far as it is known.
async fn removal(system: &ScimSystem) -> Result<Option<MemberRemoval>, Failure> {
    let found = *system.removal.lock().unwrap_or_else(PoisonError::into_inner);
    if found.is_some() {
        return Ok(found);
    }
    Ok(system.proved(REMOVAL).await?.and_then(|proof| match proof.found.as_str() {
        BY_PATH => Some(MemberRemoval::ByPath),
        BY_VALUES => Some(MemberRemoval::ByValues),
        _ => None,
    }))
}

fn found_removal(system: &ScimSystem, found: MemberRemoval) {
    *system.removal.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    let word = match found {
        MemberRemoval::ByPath => BY_PATH,
        MemberRemoval::ByValues => BY_VALUES,
    };
    system.keep(REMOVAL, word);
}

/// Whether any of these is still in a group.
async fn any_left(system: &ScimSystem, (resource, group): (&str, &str), ids: &[&str]) -> Result<bool, Failure> {
    if system.dialect.members == MembersShown::ByFilter {
        for id in ids {
            if members_asked::is_member(system, group, id).await? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    match read(system, system.definition("groups").await?, group).await? {
        Some(found) => holds_any(system, resource, &found, ids).await,
        None => Ok(false),
    }
}

/// Without PATCH: the whole group is read and written back.
async fn replace(
    system: &ScimSystem,
    definition: &crate::scim::schema::Definition,
    url: url::Url,
    (resource, group): (&str, &str),
    operation: Operation,
    ids: &[&str],
) -> Result<Effected, Failure> {
    let Some(mut body) = read(system, definition, group).await? else {
        let mut gone = system.failure(
            Class::Stale,
            format!("the group `{group}` is not there any more"),
            "the next run correlates it anew",
        );
        gone.status = Some(404);
        return Err(gone);
    };
    let mut list = elements(&body).to_vec();
    let before = list.len();
    let (names, are_same) = (called(system, resource, ids).await?, member_names::are_same(system).await?);
    let names = || ids.iter().zip(&names);
    if operation == Operation::Add {
        let is_there = |(id, name): &(&&str, &String)| listed(&body).any(|member| member.is(id, name, &are_same));
        list.extend(names().filter(|one| !is_there(one)).map(|(_, name)| json!({"value": name})));
    } else {
        let is_it = |member: &Member| names().any(|(id, name)| member.is(id, name, &are_same));
        list.retain(|element| Member::read(element).is_none_or(|member| !is_it(&member)));
    }
    if list.len() == before {
        return Ok(Effected::AlreadySo);
    }
    let version = member(&body, "meta").and_then(|meta| member(meta, "version")?.as_str().map(str::to_owned));
    if let Json::Object(members) = &mut body {
        members.retain(|name, _| !name.eq_ignore_ascii_case("members") && !name.eq_ignore_ascii_case("meta"));
        members.insert("members".to_owned(), Json::Array(list));
    }
    let request = Request { body: Some(body), ..Request::new(Method::PUT, url, Asked::Write) };
    condition::send(system, (definition, group), version.as_deref(), request).await.map(|_| Effected::Sent)
}
