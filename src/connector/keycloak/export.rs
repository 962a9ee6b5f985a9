//! Exports: what is asked for, by the list that it is read from.

use super::KeycloakSystem;
use super::columns::{ASSIGNMENTS, COMPOSITES, IDENTITIES, RESOURCES, ROLES, USERS, ends_of, problem};
use super::events::Cursor;
use super::users::Wanted;
use super::{groups, increment, roles, users};
use crate::connector::source::{ExportEnd, ExportError, ExportRequest, ExportSink};
use crate::model::evidence::Evidence;
use crate::model::failure::{Class, Failure};

/// Which list a resource is read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Users,
    Groups,
    Roles,
}

pub(super) fn list_of(resource: &str) -> List {
    match resource {
        USERS | IDENTITIES => List::Users,
        ROLES | ASSIGNMENTS | COMPOSITES => List::Roles,
        _ => List::Groups,
    }
}

pub(super) async fn export(
    system: &KeycloakSystem,
    request: &ExportRequest,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    for wanted in &request.resources {
        let resource = wanted.resource.as_str();
        if !RESOURCES.contains(&resource) {
            return Err(system.no_such_resource(resource).into());
        }
        let profile = system.profile().await?;
        let columns = wanted.columns.iter().filter(|_| ends_of(resource).is_none());
        for column in columns {
            if let Some((cause, remedy)) = problem(resource, profile, column) {
                return Err(system.failure(Class::Configuration, cause, remedy).into());
            }
        }
    }
    // What happens while the lists are read is seen again by the next increment.
    let cursor = system.cursor().await?;
    for list in [List::Groups, List::Users, List::Roles] {
        let of_list = || request.resources.iter().filter(|wanted| list_of(&wanted.resource) == list);
        let whole: Vec<Wanted> = of_list()
            .filter(|wanted| wanted.since.is_none())
            .map(|wanted| Wanted { resource: wanted.resource.clone(), columns: wanted.columns.clone() })
            .collect();
        if !whole.is_empty() {
            let seen = match list {
                List::Users => users::whole(system, &whole, sink).await?,
                List::Groups => groups::whole(system, &whole, sink).await?,
                List::Roles => roles::whole(system, &whole, sink).await?,
            };
            for (resource, evidence) in seen {
                end(&resource, evidence, cursor.as_ref(), sink)?;
            }
        }
        for wanted in of_list() {
            let Some(since) = &wanted.since else { continue };
            increment::goes_with_others(system, wanted, request)?;
            let from = read_cursor(system, since, cursor.as_ref())?;
            let resource = Wanted { resource: wanted.resource.clone(), columns: wanted.columns.clone() };
            let evidence = increment::changed(system, &resource, &from, sink).await?;
            end(&wanted.resource, evidence, cursor.as_ref(), sink)?;
        }
    }
    Ok(())
}

fn read_cursor(system: &KeycloakSystem, text: &str, now: Option<&Cursor>) -> Result<Cursor, Failure> {
    let cursor =
        Cursor::read(text).ok_or_else(|| system.no_increment(format!("`{text}` is no cursor of this system")))?;
    // A clock that was ahead would hide what comes until then.
    match now {
        Some(now) if now.time < cursor.time && !now.event.is_empty() => Err(system.no_increment(format!(
            "it would begin at {}, and the newest event that there is was at {}",
            cursor.text(),
            now.text()
        ))),
        _ => Ok(cursor),
    }
}

fn end(
    resource: &str,
    evidence: Evidence,
    cursor: Option<&Cursor>,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    // A row that an increment leaves out was read as gone after an event said so; who went without an event is still there,
    // until the number of users does not add up.
    sink.end(resource, ExportEnd { evidence, cursor: cursor.map(Cursor::text), proves_absence: true })
}
