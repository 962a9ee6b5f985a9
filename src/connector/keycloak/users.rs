//! Users page by page, held against the server's own count; and the accounts of other providers that they are known by.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};

use super::KeycloakSystem;
use super::ask::{id_of, is_gone};
use super::columns::{IDENTITIES, USERS, exported, value};
use super::pages::Pager;
use super::profile::Profile;
use crate::connector::second_look::{doubt, first_look};
use crate::connector::source::{ExportError, ExportSink};
use crate::model::evidence::Evidence;
use crate::model::failure::Failure;

/// What is wanted of users, with the columns that the job names.
pub(super) struct Wanted {
    pub(super) resource: String,
    pub(super) columns: Vec<String>,
}

/// Hands the cells of an object over.
pub(super) fn row(
    resource: &str,
    profile: &Profile,
    columns: &[String],
    object: &Json,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    let cell = |name: &String| value(resource, profile, name, object).map(|value| value.to_cell()).unwrap_or_default();
    let cells: Vec<String> = columns.iter().map(cell).collect();
    sink.row(resource, &cells.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The columns of a resource in an export.
pub(super) async fn columns_of(system: &KeycloakSystem, wanted: &Wanted) -> Result<Vec<String>, Failure> {
    Ok(exported(&wanted.resource, system.profile().await?, &wanted.columns))
}

/// Reads all users, and a second time where the first look leaves a doubt. What was seen, by resource.
pub(super) async fn whole(
    system: &KeycloakSystem,
    wanted: &[Wanted],
    sink: &mut dyn ExportSink,
) -> Result<Vec<(String, Evidence)>, ExportError> {
    let mut seen = look(system, wanted, sink).await?;
    if let Some(why) = seen.first().and_then(|(_, evidence)| doubt(evidence)) {
        system.notice_once(&format!("{USERS}: {why}: the list is read once more"));
        let before = std::mem::take(&mut seen);
        seen = look(system, wanted, sink).await?;
        for ((_, evidence), (_, before)) in seen.iter_mut().zip(before).take(1) {
            evidence.first_look = Some(first_look(why.clone(), before));
        }
    }
    // The first is of the users themselves, whether they were asked for or not.
    if !wanted.iter().any(|wanted| wanted.resource == USERS) {
        seen.remove(0);
    }
    Ok(seen)
}

async fn look(
    system: &KeycloakSystem,
    wanted: &[Wanted],
    sink: &mut dyn ExportSink,
) -> Result<Vec<(String, Evidence)>, ExportError> {
    let profile = system.profile().await?;
    let (mut of_users, mut of_identities) = (None, None);
    for wanted in wanted {
        let columns = columns_of(system, wanted).await?;
        sink.begin(&wanted.resource, &columns, &["id".to_owned()])?;
        match wanted.resource.as_str() {
            IDENTITIES => of_identities = Some((columns, 0)),
            _ => of_users = Some(columns),
        }
    }
    let total_start = system.count(&["users", "count"]).await?;
    let brief = if of_users.is_some() { "false" } else { "true" };
    let mut pager = Pager::new(system, &["users"], &[("briefRepresentation", brief)], total_start);
    while let Some(users) = pager.next().await? {
        if let Some(columns) = &of_users {
            for user in &users {
                row(USERS, profile, columns, user, sink)?;
            }
        }
        if let Some((columns, rows)) = &mut of_identities {
            let ids: Vec<String> = users.iter().filter_map(id_of).map(str::to_owned).collect();
            let links = stream::iter(ids)
                .map(|user| async move { identities(system, &user).await })
                .buffered(system.config.reads_in_flight);
            let links: Vec<Vec<Json>> = links.try_collect().await?;
            for link in links.iter().flatten() {
                row(IDENTITIES, profile, columns, link, sink)?;
                *rows += 1;
            }
        }
    }
    let mut evidence = pager.evidence;
    evidence.total_start = Some(total_start);
    evidence.total_end = Some(system.count(&["users", "count"]).await?);
    let mut seen = vec![(USERS.to_owned(), evidence.clone())];
    if let Some((_, rows)) = of_identities {
        let of = Evidence { rows_received: rows, total_start: None, total_end: None, ..evidence };
        seen.push((IDENTITIES.to_owned(), of));
    }
    Ok(seen)
}

/// By which accounts of other providers a user is known; none where there is no such user.
pub(super) async fn identities(system: &KeycloakSystem, user: &str) -> Result<Vec<Json>, Failure> {
    let links = match system.list(&["users", user, "federated-identity"], &[]).await {
        Ok((links, _)) => links,
        Err(failure) if is_gone(&failure) => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let text = |link: &Json, name: &str| link.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok(links
        .iter()
        .map(|link| {
            let provider = text(link, "identityProvider");
            json!({
                "id": format!("{user}/{provider}"),
                "user": user,
                "provider": provider,
                "userId": text(link, "userId"),
                "userName": text(link, "userName"),
            })
        })
        .collect())
}
