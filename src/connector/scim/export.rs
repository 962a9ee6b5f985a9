//! Exports: which lists have to be walked for what was asked, and until when they reach.

use chrono::{DateTime, Duration, SecondsFormat, Utc};

use super::dialect::MembersShown;
use super::members_asked;
use super::pager::total;
use super::present::Present;
use super::walk::{Feed, Walk};
use super::{MEMBERSHIPS, NESTINGS, ScimSystem};
use crate::connector::source::{ExportError, ExportRequest, ExportSink};
use crate::model::failure::{Class, Failure};
use crate::scim::filter;
use crate::scim::schema::Definition;

/// How far a cursor is set back behind the newest change that was seen: changes of other transactions may carry an
/// earlier time and become visible later.
const OVERLAP: Duration = Duration::minutes(2);

pub(super) async fn export(
    system: &ScimSystem,
    request: &ExportRequest,
    sink: &mut dyn ExportSink,
) -> Result<(), ExportError> {
    let discovery = system.discovery().await?;
    // Groups and both of their associations come out of one walk, if they begin at the same cursor.
    let mut walks: Vec<Walk<'_>> = Vec::new();
    for wanted in &request.resources {
        if matches!(wanted.resource.as_str(), MEMBERSHIPS | NESTINGS)
            && system.dialect.members == MembersShown::ByFilter
        {
            members_asked::export(system, &wanted.resource, sink).await?;
            continue;
        }
        let list = match wanted.resource.as_str() {
            MEMBERSHIPS | NESTINGS if discovery.types.contains_key("groups") => "groups",
            plain => plain,
        };
        let definition = system.definition(list).await?;
        let feed = match wanted.resource.as_str() {
            MEMBERSHIPS => Feed::Members,
            NESTINGS => Feed::Nestings,
            _ => {
                // Objects that are looked up later are read with the same columns.
                system.reader(&wanted.resource, definition, &wanted.columns)?;
                Feed::Rows(wanted.columns.clone())
            }
        };
        match walks.iter_mut().find(|walk| walk.list == list && walk.since == wanted.since) {
            Some(walk) => walk.feeds.push(feed),
            None => {
                walks.push(Walk { list: list.to_owned(), definition, since: wanted.since.clone(), feeds: vec![feed] })
            }
        }
    }
    let mut proved = Vec::new();
    for walk in walks {
        let since = match &walk.since {
            Some(since) => Some(prove_since(system, walk.definition, since).await?),
            None => None,
        };
        proved.push((walk, since));
    }
    // Who is there is read before what changed: whoever comes in between is seen all the same.
    let mut present = Present::default();
    for (walk, _) in proved.iter().filter(|(_, since)| since.is_some()) {
        for list in walk.needs_ids_of() {
            if let Some(definition) = discovery.types.get(list) {
                present.read(system, list, definition).await?;
            }
        }
    }
    for (walk, since) in proved {
        match since {
            Some(since) => walk.increment(system, &since, &present, sink).await?,
            None => walk.complete(system, sink).await?,
        }
    }
    Ok(())
}

/// An export since a cursor, after the filter was proved.
pub(super) struct Since {
    pub(super) time: DateTime<Utc>,
    pub(super) text: String,
    pub(super) filter: String,
    /// Everything that the list holds, filter or not.
    pub(super) total: Option<u64>,
}

/// Proves that the provider filters by lastModified: everything changed after 1970, and the increment is no guess.
async fn prove_since(system: &ScimSystem, definition: &Definition, since: &str) -> Result<Since, Failure> {
    let endpoint = &definition.resource_type.endpoint;
    let Ok(time) = DateTime::parse_from_rfc3339(since) else {
        return Err(unsupported(system, format!("`{since}` is no cursor of this system")));
    };
    if system.dialect.incremental == Some(false) {
        return Err(unsupported(system, format!("{} cannot filter by time", system.dialect.product)));
    }
    if system.discovery().await?.provider.filter.is_none() {
        return Err(unsupported(system, "the provider says that it has no filters".to_owned()));
    }
    let all = total(system, endpoint, &[]).await?;
    let epoch = filter::gt("meta.lastModified", "1970-01-01T00:00:00Z");
    let after_epoch =
        total(system, endpoint, &[("filter", epoch)]).await.map_err(|failure| refused(system, failure))?;
    match (all, after_epoch) {
        (Some(all), Some(found)) if found < all => Err(unsupported(
            system,
            format!(
                "of {all} objects only {found} have changed after 1970, says the provider: it cannot filter by meta.lastModified"
            ),
        )),
        _ => Ok(Since {
            time: time.to_utc(),
            text: since.to_owned(),
            filter: filter::gt("meta.lastModified", since),
            total: all,
        }),
    }
}

/// The failure that makes a run go complete: nothing is wrong, the system just cannot do increments.
pub(super) fn unsupported(system: &ScimSystem, cause: String) -> Failure {
    system.failure(
        Class::Unsupported,
        format!("no incremental export: {cause}"),
        "the next export reads everything; nothing has to be done",
    )
}

/// An increment from a moment that the server has not come to yet would show nothing until then.
pub(super) fn not_ahead(system: &ScimSystem, since: &Since, server_time: Option<DateTime<Utc>>) -> Result<(), Failure> {
    // The server tells whole seconds.
    match server_time.filter(|now| since.time >= *now + Duration::seconds(1)) {
        Some(now) => Err(unsupported(
            system,
            format!(
                "it would begin at {}, and the server's clock says {}: one of them was wrong",
                since.text,
                now.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
        )),
        None => Ok(()),
    }
}

/// A refused filter means that increments are not possible; anything else stays what it is.
pub(super) fn refused(system: &ScimSystem, failure: Failure) -> Failure {
    let status = failure.status;
    match failure.class {
        Class::Unsupported | Class::Data if status.is_some_and(|status| status < 500 || status == 501) => {
            let mut told = unsupported(system, failure.cause);
            (told.message, told.status, told.scim_type) = (failure.message, status, failure.scim_type);
            told
        }
        _ => failure,
    }
}

/// Where the next increment may begin: the newest change that was seen, or the server's own time where that is earlier or
/// nothing was seen, less an overlap; never before the cursor that this export began at. A change that is dated in the
/// future hides none that comes before that.
pub(super) fn cursor(
    newest: Option<DateTime<Utc>>,
    server_time: Option<DateTime<Utc>>,
    since: Option<&Since>,
) -> Option<String> {
    let until = match (newest, since) {
        (Some(newest), _) => server_time.map_or(newest, |now| newest.min(now)) - OVERLAP,
        (None, Some(since)) => return Some(since.text.clone()),
        (None, None) => server_time? - OVERLAP,
    };
    match since {
        Some(since) if since.time >= until => Some(since.text.clone()),
        _ => Some(until.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cursors_overlap_and_never_go_back() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let since = |text: &str| Since { time: at(text), text: text.to_owned(), filter: String::new(), total: None };
        let noon = Some(at("2026-11-22T12:00:00Z"));
        assert_eq!(cursor(noon, None, None).unwrap(), "2026-11-22T11:58:00.000Z");
        assert_eq!(cursor(None, noon, None).unwrap(), "2026-11-22T11:58:00.000Z");
        assert_eq!(cursor(None, None, None), None);
        assert_eq!(cursor(Some(at("2027-11-22T12:00:00Z")), noon, None).unwrap(), "2026-11-22T11:58:00.000Z");
        let late = since("2026-11-22T11:59:00Z");
        assert_eq!(cursor(noon, noon, Some(&late)).unwrap(), late.text);
        assert_eq!(cursor(None, noon, Some(&late)).unwrap(), late.text);
        assert_eq!(cursor(noon, None, Some(&since("2026-11-01T00:00:00Z"))).unwrap(), "2026-11-22T11:58:00.000Z");
    }
}
