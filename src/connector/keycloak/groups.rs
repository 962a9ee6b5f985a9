//! The tree of groups, level by level, and who is in them.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;

use super::KeycloakSystem;
use super::ask::{id_of, is_gone};
use super::columns::{GROUPS, MEMBERSHIPS, NESTINGS};
use super::pages::Pager;
use super::users::{Wanted, columns_of, row};
use crate::connector::second_look::{doubt, first_look};
use crate::connector::source::{ExportError, ExportSink};
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::Failure;
use crate::model::numbers::counted;

/// Groups below groups at most.
const DEEPEST: usize = 64;

/// Readings of a group whose members change meanwhile.
const TRIES: usize = 3;

/// What the logins of clients' accounts begin with; Keycloak keeps them out of its list of users.
const OF_CLIENTS: &str = "service-account-";

/// Every group, parents before what is below them, and what was seen of the tree.
pub(super) async fn tree(system: &KeycloakSystem) -> Result<(Vec<Json>, Evidence), Failure> {
    let mut seen = look(system).await?;
    if let Some(why) = doubt(&seen.1) {
        system.notice_once(&format!("{GROUPS}: {why}: the list is read once more"));
        let first = first_look(why, seen.1);
        seen = look(system).await?;
        seen.1.first_look = Some(first);
    }
    Ok(seen)
}

async fn look(system: &KeycloakSystem) -> Result<(Vec<Json>, Evidence), Failure> {
    let total_start = system.count(&["groups", "count"]).await?;
    let full = [("briefRepresentation", "false")];
    let mut pager = Pager::new(system, &["groups"], &full, 0);
    let mut level = Vec::new();
    while let Some(mut groups) = pager.next().await? {
        level.append(&mut groups);
    }
    let (mut all, mut evidence) = (Vec::new(), pager.evidence);
    for depth in 0.. {
        let mut below = Vec::new();
        for group in &mut level {
            // Versions before 23 answer with the whole tree at once.
            if group.get("subGroupCount").is_none() {
                let parent = id_of(group).unwrap_or_default().to_owned();
                if let Some(Json::Array(inline)) = group.get_mut("subGroups").map(Json::take) {
                    below.extend(inline.into_iter().map(|child| with_parent(child, &parent)));
                }
            }
        }
        let parents =
            level.iter().filter(|group| group.get("subGroupCount").and_then(Json::as_u64).is_some_and(|n| n > 0));
        let asked = parents.filter_map(id_of).map(|parent| async move {
            let mut pager = Pager::new(system, &["groups", parent, "children"], &full, 0);
            let mut children = Vec::new();
            loop {
                match pager.next().await {
                    Ok(Some(page)) => children.extend(page.into_iter().map(|child| with_parent(child, parent))),
                    Ok(None) => break,
                    Err(failure) if is_gone(&failure) => break,
                    Err(failure) => return Err(failure),
                }
            }
            Ok((children, pager.evidence))
        });
        // Collected first: the borrow of a stream over `level` is not general enough for the compiler.
        let asked: Vec<_> = asked.collect();
        let mut answers = stream::iter(asked).buffered(system.config.reads_in_flight);
        while let Some((mut children, of)) = answers.try_next().await? {
            below.append(&mut children);
            add(&mut evidence, &of);
        }
        drop(answers);
        all.append(&mut level);
        if below.is_empty() || depth > DEEPEST {
            break;
        }
        level = below;
    }
    evidence.rows_received = all.len() as u64;
    evidence.total_start = Some(total_start);
    evidence.total_end = Some(system.count(&["groups", "count"]).await?);
    Ok((all, evidence))
}

fn with_parent(mut child: Json, parent: &str) -> Json {
    if let Some(child) = child.as_object_mut() {
        child.insert("parentId".to_owned(), Json::String(parent.to_owned()));
    }
    child
}

fn add(to: &mut Evidence, of: &Evidence) {
    to.pages_asked += of.pages_asked;
    to.pages_received += of.pages_received;
    to.shifted_rows += of.shifted_rows;
    to.anomalies.extend(of.anomalies.iter().cloned());
    for (status, times) in &of.statuses {
        *to.statuses.entry(*status).or_default() += times;
    }
}

/// Reads the tree, and hands over what is wanted of it. What was seen, by resource.
pub(super) async fn whole(
    system: &KeycloakSystem,
    wanted: &[Wanted],
    sink: &mut dyn ExportSink,
) -> Result<Vec<(String, Evidence)>, ExportError> {
    let (groups, of_groups) = tree(system).await?;
    let profile = system.profile().await?;
    let mut seen = Vec::new();
    for wanted in wanted {
        let resource = wanted.resource.as_str();
        let evidence = match resource {
            GROUPS => {
                let columns = columns_of(system, wanted).await?;
                sink.begin(GROUPS, &columns, &["id".to_owned()])?;
                for group in &groups {
                    row(GROUPS, profile, &columns, group, sink)?;
                }
                of_groups.clone()
            }
            NESTINGS => {
                let ends = ["parent".to_owned(), "child".to_owned()];
                sink.begin(NESTINGS, &ends, &ends)?;
                let mut rows = 0;
                for (parent, child) in groups.iter().filter_map(nesting) {
                    sink.row(NESTINGS, &[parent, child])?;
                    rows += 1;
                }
                of_association(&of_groups, Evidence { rows_received: rows, ..of_groups.clone() })
            }
            _ => members(system, &groups, &of_groups, sink).await?,
        };
        seen.push((resource.to_owned(), evidence));
    }
    Ok(seen)
}

fn nesting(group: &Json) -> Option<(&str, &str)> {
    Some((group.get("parentId")?.as_str()?, id_of(group)?))
}

/// What is known of an association's completeness: its pages, and whether all groups were there to be asked.
fn of_association(groups: &Evidence, seen: Evidence) -> Evidence {
    let mut evidence = Evidence { total_start: None, total_end: None, ..seen };
    if let Some(total) = groups.total_end.filter(|total| *total != groups.rows_received) {
        evidence.anomalies.push(Suspicion {
            name: "groups-total".to_owned(),
            detail: format!(
                "members of {} were read, the server's own count of groups is {total}",
                counted(groups.rows_received, "group")
            ),
            figure: format!("{} of {total}", groups.rows_received),
        });
    }
    evidence
}

async fn members(
    system: &KeycloakSystem,
    groups: &[Json],
    of_groups: &Evidence,
    sink: &mut dyn ExportSink,
) -> Result<Evidence, ExportError> {
    let ends = ["group".to_owned(), "user".to_owned()];
    sink.begin(MEMBERSHIPS, &ends, &ends)?;
    let (mut evidence, mut of_clients) = (Evidence::default(), 0u64);
    let ids: Vec<String> = groups.iter().filter_map(id_of).map(str::to_owned).collect();
    let mut answers = stream::iter(ids)
        .map(|group| async move { members_of(system, &group).await.map(|found| (group, found)) })
        .buffered(system.config.reads_in_flight);
    while let Some((group, found)) = answers.try_next().await? {
        add(&mut evidence, &found.evidence);
        of_clients += found.of_clients;
        for user in &found.users {
            sink.row(MEMBERSHIPS, &[&group, user])?;
        }
        evidence.rows_received += found.users.len() as u64;
    }
    if of_clients > 0 {
        let told = counted(of_clients, "membership");
        evidence.notes.push(format!("{told} of clients' own accounts left out, as they are in the list of users"));
    }
    Ok(of_association(of_groups, evidence))
}

/// Who is in a group.
#[derive(Default)]
pub(super) struct Members {
    pub(super) users: Vec<String>,
    /// Accounts of clients, which are no users to the job.
    of_clients: u64,
    evidence: Evidence,
}

/// Who is in a group; nobody where there is no such group. A list that moves while it is read is read again; one that never
/// rests is told.
pub(super) async fn members_of(system: &KeycloakSystem, group: &str) -> Result<Members, Failure> {
    let mut found = members_once(system, group).await?;
    for _ in 1..TRIES {
        if found.evidence.shifted_rows == 0 {
            break;
        }
        found = members_once(system, group).await?;
    }
    if found.evidence.shifted_rows > 0 {
        found.evidence.anomalies.push(Suspicion {
            name: "members-moved".to_owned(),
            detail: format!("the members of the group {group} changed during each of {TRIES} readings"),
            figure: found.users.len().to_string(),
        });
    }
    Ok(found)
}

async fn members_once(system: &KeycloakSystem, group: &str) -> Result<Members, Failure> {
    let mut found = Members::default();
    let mut pager = Pager::new(system, &["groups", group, "members"], &[("briefRepresentation", "true")], 0);
    loop {
        match pager.next().await {
            Ok(Some(page)) => {
                for user in &page {
                    let login = user.get("username").and_then(Json::as_str).unwrap_or_default();
                    match id_of(user) {
                        Some(_) if login.starts_with(OF_CLIENTS) => found.of_clients += 1,
                        Some(id) => found.users.push(id.to_owned()),
                        None => {}
                    }
                }
            }
            Ok(None) => break,
            Err(failure) if is_gone(&failure) => break,
            Err(failure) => return Err(failure),
        }
    }
    found.evidence = pager.evidence;
    Ok(found)
}

/// The groups that a user is in, by id; none where there is no such user.
pub(super) async fn groups_of(system: &KeycloakSystem, user: &str) -> Result<Vec<String>, Failure> {
    let pager = Pager::new(system, &["users", user, "groups"], &[("briefRepresentation", "true")], 0).ending_short();
    match pager.all().await {
        Ok(groups) => Ok(groups.iter().filter_map(id_of).map(str::to_owned).collect()),
        Err(failure) if is_gone(&failure) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// By id, for lookups that the server has no question for.
pub(super) async fn by_id(system: &KeycloakSystem) -> Result<BTreeMap<String, Json>, Failure> {
    let (groups, _) = tree(system).await?;
    Ok(groups.into_iter().filter_map(|group| Some((id_of(&group)?.to_owned(), group))).collect())
}
