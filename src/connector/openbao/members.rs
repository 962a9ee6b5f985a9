//! Entities in groups, groups in groups, and policies of groups. The server takes each of these lists as a whole, so that
//! each change reads it, writes all of it, and reads it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::OpenBaoSystem;
use super::columns::{GROUP_POLICIES, GROUPS, MEMBERSHIPS, NESTINGS, USERS};
use crate::connector::target::{Applied, RowChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;

/// The end that holds the members, the end that is one, and where its members stand.
pub(super) fn ends_of(resource: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match resource {
        MEMBERSHIPS => Some(("group", "user", "member_entity_ids")),
        NESTINGS => Some(("parent", "child", "member_group_ids")),
        GROUP_POLICIES => Some(("group", "policy", "policies")),
        _ => None,
    }
}

/// The ids in a field, sorted and each once.
pub(super) fn ids_in(object: &Json, field: &str) -> Vec<String> {
    let ids = object.get(field).and_then(Json::as_array).into_iter().flatten();
    let ids: BTreeSet<&str> = ids.filter_map(Json::as_str).filter(|id| !id.is_empty()).collect();
    ids.into_iter().map(str::to_owned).collect()
}

fn association(system: &OpenBaoSystem, resource: &str) -> Result<(&'static str, &'static str, &'static str), Failure> {
    ends_of(resource).ok_or_else(|| {
        let cause = format!(
            "`{resource}` is no association of this system; it has: {MEMBERSHIPS}, {NESTINGS}, {GROUP_POLICIES}"
        );
        system.failure(Class::Configuration, cause, "correct the sync's `to` and `ends` in the job file")
    })
}

pub(super) async fn holds(
    system: &OpenBaoSystem,
    resource: &str,
    rows: &[BTreeMap<String, String>],
) -> Result<Vec<bool>, Failure> {
    let (owner, member, field) = association(system, resource)?;
    let mut members_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(owner), Some(member)) = (row.get(owner), row.get(member)) else {
            let cause = format!("a row of `{resource}` needs the ends `{owner}` and `{member}`");
            return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
        };
        if !members_of.contains_key(owner.as_str()) {
            let group = system.object(GROUPS, "id", owner).await?;
            members_of.insert(owner, group.map(|group| ids_in(&group, field)).unwrap_or_default());
        }
        answers.push(members_of.get(owner.as_str()).is_some_and(|members| members.contains(member)));
    }
    Ok(answers)
}

/// The ids at the other end of all rows of an object; none where it is not there.
pub(super) async fn members(
    system: &OpenBaoSystem,
    resource: &str,
    end: &str,
    id: &str,
) -> Result<Vec<String>, Failure> {
    let (owner, member, field) = association(system, resource)?;
    let (of, field) = match end {
        end if end == member && resource == GROUP_POLICIES => {
            let groups = system.found_by(GROUPS, "policies", id).await?;
            let holds = |group: &&Json| ids_in(group, field).iter().any(|policy| policy == id);
            let ids = groups.iter().filter(holds).filter_map(|group| group.get("id")?.as_str());
            return Ok(ids.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect());
        }
        end if end == owner => (GROUPS, field),
        end if end == member && resource == MEMBERSHIPS => (USERS, "direct_group_ids"),
        end if end == member => (GROUPS, "parent_group_ids"),
        _ => {
            let cause = format!("`{resource}` has no end `{end}`; it has {owner} and {member}");
            return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
        }
    };
    let object = system.object(of, "id", id).await?;
    Ok(object.map(|object| ids_in(&object, field)).unwrap_or_default())
}

/// Changes rows of one group, one answer a row, in order. Where a request is refused, its halves are sent until the one
/// that is at fault is found.
pub(super) async fn apply_rows(
    system: &OpenBaoSystem,
    resource: &str,
    operation: Operation,
    rows: &[RowChange],
) -> Vec<Result<Applied, Failure>> {
    let ends = match association(system, resource) {
        Ok(ends) => ends,
        Err(failure) => return rows.iter().map(|_| Err(failure.clone())).collect(),
    };
    let (owner, member, _) = ends;
    let Some(group) = rows.first().and_then(|row| row.ends.get(owner)).cloned() else { return Vec::new() };
    let turn = system.turns.lock().await.entry(group.clone()).or_insert_with(Arc::default).clone();
    let _turn = turn.lock().await;
    let mut results: Vec<Option<Result<Applied, Failure>>> = rows.iter().map(|_| None).collect();
    let mut parts: Vec<Vec<usize>> = vec![(0..rows.len()).collect()];
    while let Some(part) = parts.pop() {
        let members: BTreeSet<&str> =
            part.iter().filter_map(|at| rows[*at].ends.get(member).map(String::as_str)).collect();
        match change(system, ends, &group, operation, &members).await {
            Ok(changed) => {
                for at in part {
                    let is_new = rows[at].ends.get(member).is_some_and(|member| changed.contains(member));
                    let effected = if is_new { Effected::Sent } else { Effected::AlreadySo };
                    results[at] = Some(Ok(Applied { id: None, effected, note: None }));
                }
            }
            Err(failure)
                if part.len() > 1
                    && failure.effect == Effect::None
                    && failure.recourse == Recourse::GiveUp
                    && failure.class == Class::Data =>
            {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second.to_vec(), first.to_vec()]);
            }
            Err(failure) => part.into_iter().for_each(|at| results[at] = Some(Err(failure.clone()))),
        }
    }
    let lost = || system.failure(Class::Server, "a row was not answered for", "look at the group, then `muster retry`");
    results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
}

/// Adds or removes members of one group; those that were not so before.
async fn change(
    system: &OpenBaoSystem,
    (owner, _, field): (&str, &str, &str),
    group: &str,
    operation: Operation,
    members: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, Failure> {
    let found = system.object(GROUPS, "id", group).await?;
    let Some(found) = found else {
        if operation == Operation::Remove {
            return Ok(BTreeSet::new());
        }
        return Err(system.failure(
            Class::Stale,
            format!("the {owner} `{group}` is not there any more"),
            "the next run correlates it anew; nothing has to be done unless it comes back",
        ));
    };
    let name = found.get("name").and_then(Json::as_str).unwrap_or(group).to_owned();
    if found.get("type").and_then(Json::as_str) == Some("external") && field == "member_entity_ids" {
        return Err(system.failure(
            Class::Unsupported,
            format!("`{name}` is an external group: its members come from its login method and cannot be set"),
            "change them where that method takes them from (an LDAP group, a claim), or map an internal group",
        ));
    }
    let what = if field == "policies" { field } else { "members" };
    let before: BTreeSet<String> = ids_in(&found, field).into_iter().collect();
    let wanted: BTreeSet<String> = match operation {
        Operation::Add => before.iter().cloned().chain(members.iter().map(|id| (*id).to_owned())).collect(),
        _ => before.iter().filter(|id| !members.contains(id.as_str())).cloned().collect(),
    };
    if wanted == before {
        return Ok(BTreeSet::new());
    }
    system.write(Method::POST, &["identity", "group", "id", group], Some(json!({field: wanted}))).await?;
    // Another writer's change between both readings is lost with the whole list, and is told where it can be seen.
    let after = system.object(GROUPS, "id", group).await.map_err(Failure::once_sent)?;
    let after: BTreeSet<String> = after.map(|group| ids_in(&group, field).into_iter().collect()).unwrap_or_default();
    let is_so = |id: &&str| after.contains(*id) == (operation == Operation::Add);
    if !members.iter().all(is_so) {
        let mut failure = system.failure(
            Class::Conflict,
            format!("the {what} of `{name}` are not what was written: somebody else writes them at the same time"),
            "see who else changes this group; the server takes them as a whole, so that two writers undo each other",
        );
        failure.effect = Effect::Unknown;
        return Err(failure);
    }
    Ok(wanted.symmetric_difference(&before).cloned().collect())
}
