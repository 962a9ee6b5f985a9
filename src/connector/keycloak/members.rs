//! Users in groups, roles of users; and what ties them. Each row is a request of its own, and sending it twice does no
//! harm: Keycloak answers a membership that is there already as it answers a new one.

use std::collections::BTreeMap;

use reqwest::Method;

use super::KeycloakSystem;
use super::ask::{id_of, is_gone};
use super::columns::{ASSIGNMENTS, COMPOSITES, GROUPS, MEMBERSHIPS, NESTINGS, ROLES, ends_of};
use super::groups::{groups_of, members_of};
use super::lookup::{object, parent_of};
use super::pages::Pager;
use super::roles::{holders, mapping, parts, roles_of};
use crate::connector::target::{Applied, RowChange};
use crate::model::failure::{Class, Effect, Failure, Recourse};
use crate::model::order::Operation;
use crate::model::outcome::Effected;

/// Rows of one user that go together: what that user has is read once before them and once behind them.
const OF_A_USER: usize = 25;

type Ends = [(&'static str, &'static str); 2];

fn association(system: &KeycloakSystem, resource: &str) -> Result<Ends, Failure> {
    ends_of(resource).ok_or_else(|| {
        let cause = format!(
            "`{resource}` is no association of this system; it has: {MEMBERSHIPS}, {NESTINGS}, {ASSIGNMENTS}, {COMPOSITES}"
        );
        system.failure(Class::Configuration, cause, "correct the sync's `to` and `ends` in the job file")
    })
}

pub(super) fn row_batch(resource: &str) -> (Option<String>, usize) {
    match resource {
        MEMBERSHIPS | ASSIGNMENTS => (Some("user".to_owned()), OF_A_USER),
        _ => (None, 1),
    }
}

pub(super) async fn holds(
    system: &KeycloakSystem,
    resource: &str,
    rows: &[BTreeMap<String, String>],
) -> Result<Vec<bool>, Failure> {
    let [(first, _), (second, _)] = association(system, resource)?;
    let mut others: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(first), Some(known)) = (row.get(first), row.get(second)) else {
            let cause = format!("a row of `{resource}` needs the ends `{first}` and `{second}`");
            return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
        };
        if !others.contains_key(known.as_str()) {
            others.insert(known, members(system, resource, second, known).await?);
        }
        answers.push(others.get(known.as_str()).is_some_and(|others| others.contains(first)));
    }
    Ok(answers)
}

/// The ids at the other end of all rows of an object, sorted; none where it is not there.
pub(super) async fn members(
    system: &KeycloakSystem,
    resource: &str,
    end: &str,
    id: &str,
) -> Result<Vec<String>, Failure> {
    let [(first, _), (second, _)] = association(system, resource)?;
    if end != first && end != second {
        let cause = format!("`{resource}` has no end `{end}`; it has {first} and {second}");
        return Err(system.failure(Class::Configuration, cause, "correct the sync's `ends` in the job file"));
    }
    if matches!(id, "" | "." | "..") {
        return Ok(Vec::new());
    }
    let is_first = end == first;
    let mut found = match (resource, is_first) {
        (MEMBERSHIPS, true) => members_of(system, id).await?.users,
        (MEMBERSHIPS, false) => groups_of(system, id).await?,
        (NESTINGS, true) => {
            let query = [("briefRepresentation", "true")];
            match Pager::new(system, &["groups", id, "children"], &query, 0).all().await {
                Ok(children) => children.iter().filter_map(id_of).map(str::to_owned).collect(),
                Err(failure) if is_gone(&failure) => Vec::new(),
                Err(failure) => return Err(failure),
            }
        }
        (NESTINGS, false) => object(system, GROUPS, id).await?.as_ref().and_then(parent_of).into_iter().collect(),
        (ASSIGNMENTS, true) => match object(system, ROLES, id).await? {
            Some(role) => holders(system, &role).await?,
            None => Vec::new(),
        },
        (ASSIGNMENTS, false) => roles_of(system, id).await?,
        (_, true) => match object(system, ROLES, id).await? {
            Some(role) => parts(system, &role).await?,
            None => Vec::new(),
        },
        (_, false) => {
            let mut parents = Vec::new();
            for role in super::roles::all(system).await?.0 {
                if parts(system, &role).await?.iter().any(|part| part == id) {
                    parents.extend(id_of(&role).map(str::to_owned));
                }
            }
            parents
        }
    };
    found.sort();
    Ok(found)
}

/// Sends one row after the other; what concerns everything ends it, and what follows was not sent.
pub(super) async fn apply_rows(
    system: &KeycloakSystem,
    resource: &str,
    operation: Operation,
    rows: &[RowChange],
) -> Vec<Result<Applied, Failure>> {
    let mut results = Vec::with_capacity(rows.len());
    let mut stopped: Option<Failure> = None;
    for row in rows {
        if let Some(failure) = &stopped {
            results.push(Err(Failure { effect: Effect::None, ..failure.clone() }));
            continue;
        }
        let result = apply_row(system, resource, operation, row).await;
        stopped = result.as_ref().err().filter(|failure| failure.recourse != Recourse::GiveUp).cloned();
        results.push(result);
    }
    results
}

async fn apply_row(
    system: &KeycloakSystem,
    resource: &str,
    operation: Operation,
    row: &RowChange,
) -> Result<Applied, Failure> {
    let [(first, _), (second, _)] = association(system, resource)?;
    let end = |name: &str| row.ends.get(name).map(String::as_str).filter(|id| !matches!(*id, "" | "." | ".."));
    let (Some(first), Some(user)) = (end(first), end(second)) else {
        let cause = format!("`{}` has no id at one of its ends `{first}` and `{second}`", row.name);
        return Err(system.failure(Class::Stale, cause, "the next run correlates it anew"));
    };
    let is_add = operation == Operation::Add;
    let sent = match resource {
        MEMBERSHIPS => {
            let method = if is_add { Method::PUT } else { Method::DELETE };
            system.write(method, &["users", user, "groups", first], None).await
        }
        ASSIGNMENTS => {
            let Some((path, body)) = mapping(system, user, first).await? else {
                return gone(system, operation, format!("the role `{first}` is not there any more"));
            };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let method = if is_add { Method::POST } else { Method::DELETE };
            system.write(method, &path, Some(body)).await
        }
        _ => Err(system.failure(
            Class::Unsupported,
            format!("rows of {resource} cannot be added or removed"),
            "leave them out of the job as a target; where a group is in the tree is its attribute `parent`",
        )),
    };
    match sent {
        Ok(_) => Ok(Applied { id: None, effected: Effected::Sent, note: None }),
        Err(failure) if is_gone(&failure) => gone(system, operation, failure.cause.clone()).map_err(|_| failure),
        Err(failure) => Err(failure),
    }
}

/// Where one of the ends is not there, there is nothing to remove, and nothing can be added.
fn gone(system: &KeycloakSystem, operation: Operation, cause: String) -> Result<Applied, Failure> {
    if operation == Operation::Remove {
        let note = Some("one of its ends was absent already".to_owned());
        return Ok(Applied { id: None, effected: Effected::AlreadySo, note });
    }
    let remedy = "the next run correlates it anew; nothing has to be done unless it comes back";
    Err(system.failure(Class::Stale, cause, remedy))
}
