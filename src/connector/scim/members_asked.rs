//! Who is in which group where no answer shows members: asked by a filter on groups, user by user, by whatever groups call
//! them.

use futures::{StreamExt as _, TryStreamExt as _};

use super::member_names::{self, Names};
use super::members::ends_of;
use super::pager::Pager;
use super::{MEMBERSHIPS, ScimSystem, id_of};
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::evidence::{Evidence, Suspicion};
use crate::model::failure::{Class, Failure};
use crate::model::numbers::counted;
use crate::scim::filter;

/// An id that nobody has, in the form of one.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Reads all rows. A filter that finds groups for an id that nobody has is ignored by the service, and one that finds
/// none for anybody proves nothing.
pub(super) async fn export(system: &ScimSystem, resource: &str, sink: &mut dyn ExportSink) -> Result<(), ExportError> {
    if resource != MEMBERSHIPS {
        let cause = format!("{} has no groups in groups", system.dialect.product);
        return Err(system.failure(Class::Unsupported, cause, "leave this sync out of the job").into());
    }
    prove(system).await?;
    let (owner, member) = ends_of(resource).unwrap_or(("group", "user"));
    let ends = [owner.to_owned(), member.to_owned()];
    sink.begin(resource, &ends, &ends)?;
    let definition = system.definition("users").await?;
    let mut pager = Pager::new(system, &definition.resource_type.endpoint, Vec::new()).await?;
    let names = Names::of(system).await?;
    let (mut rows, mut users) = (0, 0);
    while let Some(page) = pager.next().await? {
        users += page.len() as u64;
        let named: Vec<(String, String)> = page.iter().filter_map(|user| names.read(user)).collect();
        let asked = named.clone().into_iter().map(|(_, name)| async move { groups_of(system, &name).await });
        let found: Vec<Vec<String>> =
            futures::stream::iter(asked).buffered(system.ways.pages_in_flight).try_collect().await?;
        for ((user, _), groups) in named.iter().zip(found) {
            for group in groups {
                sink.row(resource, &[&group, user])?;
                rows += 1;
            }
        }
    }
    let seen = pager.evidence;
    let is_whole = seen.total_end.is_none_or(|total| total == seen.rows_received);
    let mut evidence = Evidence { rows_received: rows, total_start: None, total_end: None, ..seen };
    if !is_whole || (rows == 0 && users > 0) {
        evidence.anomalies.push(Suspicion {
            name: "members-asked".to_owned(),
            detail: match is_whole {
                true => "the filter on members found no group for anybody, which proves nothing".to_owned(),
                false => "not all users came, so that not everybody's groups were asked for".to_owned(),
            },
            figure: format!("{rows} of {}", counted(users, "user")),
        });
    }
    evidence.notes.push(format!("groups show no members here: {} asked for by a filter", counted(users, "user")));
    sink.end(resource, ExportEnd { evidence, cursor: None, proves_absence: false })?;
    Ok(())
}

/// Whether somebody is in a group.
pub(super) async fn is_member(system: &ScimSystem, group: &str, member: &str) -> Result<bool, Failure> {
    let name = member_names::calls(system, &[member]).await?.remove(0);
    is_called_in(system, group, &name).await
}

async fn is_called_in(system: &ScimSystem, group: &str, name: &str) -> Result<bool, Failure> {
    let asked = format!("{} and {}", filter::eq("id", group), filter::eq("members", name));
    Ok(groups(system, asked).await?.iter().any(|found| found == group))
}

/// Everybody in a group, or the groups that somebody is in.
pub(super) async fn members(system: &ScimSystem, of_group: bool, id: &str) -> Result<Vec<String>, Failure> {
    if !of_group {
        return groups_of(system, &member_names::calls(system, &[id]).await?.remove(0)).await;
    }
    let names = Names::of(system).await?;
    let definition = system.definition("users").await?;
    let mut pager = Pager::new(system, &definition.resource_type.endpoint, Vec::new()).await?;
    let mut found = Vec::new();
    while let Some(page) = pager.next().await? {
        for (user, name) in page.iter().filter_map(|user| names.read(user)) {
            if is_called_in(system, id, &name).await? {
                found.push(user);
            }
        }
    }
    Ok(found)
}

/// The groups of whoever they call so.
async fn groups_of(system: &ScimSystem, name: &str) -> Result<Vec<String>, Failure> {
    groups(system, filter::eq("members", name)).await
}

async fn groups(system: &ScimSystem, asked: String) -> Result<Vec<String>, Failure> {
    let definition = system.definition("groups").await?;
    let mut pager = Pager::new(system, &definition.resource_type.endpoint, vec![("filter", asked)]).await?;
    let mut found = Vec::new();
    while let Some(page) = pager.next().await? {
        found.extend(page.iter().filter_map(id_of));
    }
    Ok(found)
}

async fn prove(system: &ScimSystem) -> Result<(), Failure> {
    if groups_of(system, NOBODY).await?.is_empty() {
        return Ok(());
    }
    Err(system.failure(
        Class::Unsupported,
        "the filter on members finds groups for an id that nobody has: the service ignores it",
        "leave memberships out of the job, or ask whoever runs the service how they can be read",
    ))
}
