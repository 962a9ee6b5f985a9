//! What changed since a cursor: by `modifyTimestamp` (RFC 4512 section 3.4.2), or by `uSNChanged` on Active Directory
//! (MS-ADTS section 3.1.1.1.9).
//!
//! Every increment also counts what there is: where it does not add up, something went that nobody told of, and the run
//! reads everything.

use chrono::{DateTime, Duration, Utc};
use ldap3::Scope;

use super::export::Export;
use super::flavour::Root;
use super::layout::ResourceType;
use super::people::People;
use super::search::{self, Pager, Search};
use super::{LdapSystem, filter, times};
use crate::connector::config::Flavour;
use crate::connector::failure_table::Asked;
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::failure::{Class, Failure};
use crate::model::numbers::counted;

/// How far a cursor of times is set back behind the newest change that was seen: another server's changes may carry an
/// earlier time and arrive later.
const OVERLAP: Duration = Duration::minutes(2);

/// Where an increment begins.
pub(super) enum Since {
    /// At a time.
    Time(DateTime<Utc>),
    /// Behind a change that one domain controller counted.
    Usn(u64),
}

/// The cursor of a domain controller: its counter means nothing to another one.
pub(super) fn usn_cursor(root: &Root) -> Option<String> {
    Some(format!("usn:{}:{}", root.latest_usn?, root.service.as_deref()?))
}

/// The newest change that was seen, less an overlap; never before the cursor that this export began at.
pub(super) fn time_cursor(newest: Option<DateTime<Utc>>, since: Option<&Since>) -> Option<String> {
    let since = match since {
        Some(Since::Time(since)) => Some(*since),
        _ => None,
    };
    let until = newest.map(|newest| newest - OVERLAP);
    until.max(since).map(times::rfc3339)
}

/// The failure that makes a run go complete: nothing is wrong, increments just are not possible now.
pub(super) fn unsupported(system: &LdapSystem, cause: String) -> Failure {
    system.failure(
        Class::Unsupported,
        format!("no incremental export: {cause}"),
        "the next export reads everything; nothing has to be done",
    )
}

impl Since {
    pub(super) fn read(export: &Export<'_>, text: &str) -> Result<Self, Failure> {
        let nothing = || unsupported(export.system, format!("`{text}` is no cursor of this system"));
        if export.layout.flavour != Flavour::Ad {
            return times::from_rfc3339(text).map(Self::Time).ok_or_else(nothing);
        }
        let (usn, service) = text.strip_prefix("usn:").and_then(|rest| rest.split_once(':')).ok_or_else(nothing)?;
        let here = export.layout.root.service.as_deref().unwrap_or("");
        if service != here {
            let cause = format!("the last export was from the domain controller {service}, this one is {here}");
            return Err(unsupported(export.system, cause));
        }
        let usn: u64 = usn.parse().map_err(|_| nothing())?;
        match export.layout.root.latest_usn {
            Some(latest) if latest < usn => Err(unsupported(
                export.system,
                format!("the last export saw change {usn}, and the server counts only to {latest}: it was put back"),
            )),
            _ => Ok(Self::Usn(usn)),
        }
    }

    fn changed(&self, export: &Export<'_>) -> String {
        let attribute = export.layout.change_attribute();
        match self {
            Self::Time(time) => filter::at_least(attribute, &times::to_generalized(*time, false)),
            Self::Usn(usn) => filter::at_least(attribute, &usn.saturating_add(1).to_string()),
        }
    }

    /// Entries of a resource that changed.
    pub(super) fn filter(&self, export: &Export<'_>, of: &ResourceType) -> String {
        filter::all(&[&self.changed(export), &of.filter])
    }

    /// Proves that the server compares changes: something changed after the beginning, if there is anything.
    pub(super) async fn prove(&self, export: &Export<'_>, of: &ResourceType) -> Result<(), Failure> {
        let link = &export.system.link;
        let Some(_) = search::some(link, &of.search(vec!["1.1".to_owned()]), Asked::List).await? else { return Ok(()) };
        let beginning = match self {
            Self::Time(_) => Self::Time(DateTime::UNIX_EPOCH),
            Self::Usn(_) => Self::Usn(0),
        };
        let search = Search { filter: beginning.filter(export, of), ..of.search(vec!["1.1".to_owned()]) };
        match search::some(link, &search, Asked::List).await? {
            Some(_) => Ok(()),
            None => Err(unsupported(
                export.system,
                format!(
                    "the server finds nothing by {}: it cannot compare it, or the account may not",
                    export.layout.change_attribute()
                ),
            )),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Time(time) => times::rfc3339(*time),
            Self::Usn(usn) => format!("change {usn}"),
        }
    }
}

/// The objects that changed, and what there is altogether.
pub(super) async fn objects(
    export: &Export<'_>,
    of: &ResourceType,
    columns: &[String],
    since: &Since,
    people: &mut People,
    sink: &mut dyn ExportSink,
) -> Result<ExportEnd, ExportError> {
    since.prove(export, of).await?;
    let whole = export.keys(of, people).await?;
    if let (Since::Time(since), Some(newest)) = (since, whole.newest)
        && *since > newest
    {
        let cause = format!(
            "it would begin at {}, and the newest change that there is was at {}",
            times::rfc3339(*since),
            times::rfc3339(newest)
        );
        return Err(unsupported(export.system, cause).into());
    }
    sink.begin(&of.name, columns, &[super::layout::ID.to_owned()])?;
    let gone = tombstones(export, of, since).await?;
    for id in gone.iter().flatten() {
        sink.gone(&of.name, &[id])?;
    }
    let mut seen = export.rows(of, columns, Some(since.filter(export, of)), people, sink).await?;
    let changed = counted(seen.evidence.rows_received, "object");
    seen.evidence.notes.push(format!("{changed} changed since {}", since.told()));
    if let Some(gone) = &gone {
        seen.evidence.notes.push(format!(
            "{} among the deleted objects since then",
            counted(gone.len() as u64, "entry").replace("entrys", "entries")
        ));
    }
    // The merged snapshot is held against them.
    let total = whole.evidence.cut_off.is_none().then_some(whole.evidence.rows_received);
    (seen.evidence.total_start, seen.evidence.total_end) = (total, total);
    seen.evidence.cut_off = seen.evidence.cut_off.or(whole.evidence.cut_off);
    let cursor = export.cursor(seen.newest.max(whole.newest), Some(since));
    Ok(ExportEnd { evidence: seen.evidence, cursor, proves_absence: false })
}

/// The ids of users and groups that were deleted since, as far as it is told.
pub(super) async fn gone(export: &Export<'_>, since: &Since) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for of in ["users", "groups"].into_iter().filter_map(|name| export.layout.types.get(name)) {
        ids.extend(tombstones(export, of, since).await?.unwrap_or_default());
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// The ids of what Active Directory and 389 Directory Server keep of deleted entries; `None` where nothing is kept, or the
/// account may not see it.
async fn tombstones(export: &Export<'_>, of: &ResourceType, since: &Since) -> Result<Option<Vec<String>>, Failure> {
    let Some(key) = &of.key else { return Ok(None) };
    let (base, scope, filter) = match (export.layout.flavour, since, &export.layout.root.domain) {
        (Flavour::Ad, _, Some(domain)) => {
            let filter = filter::all(&["(isDeleted=TRUE)", &since.changed(export)]);
            (format!("CN=Deleted Objects,{domain}"), Scope::OneLevel, filter)
        }
        // The change that made it a tombstone begins with its second, in hexadecimal digits.
        (Flavour::Ds389, Since::Time(since), _) => {
            let second = format!("{:08x}000000000000", since.timestamp().max(0));
            let filter = filter::all(&["(objectClass=nsTombstone)", &filter::at_least("nsTombstoneCSN", &second)]);
            (of.base.clone(), Scope::Subtree, filter)
        }
        _ => return Ok(None),
    };
    let search = Search { base, scope, filter, attributes: vec![key.attribute.clone()] };
    let mut pager = Pager::new(&export.system.link, search, export.system.page_size(export.layout));
    if export.layout.flavour == Flavour::Ad {
        pager = pager.with_deleted();
    }
    let mut ids = Vec::new();
    loop {
        match pager.next().await {
            Ok(Some(entries)) => ids.extend(entries.iter().filter_map(|entry| of.id(entry))),
            Ok(None) => return Ok(Some(ids)),
            Err(failure) if matches!(failure.status, Some(12 | 32 | 50)) => {
                export.system.notice_once(
                    "the account may not see deleted objects: what was deleted is found by counting".to_owned(),
                );
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cursors_overlap_and_never_go_back() {
        let at = |text: &str| times::from_rfc3339(text).unwrap();
        let noon = Some(at("2026-11-22T12:00:00Z"));
        assert_eq!(time_cursor(noon, None).unwrap(), "2026-11-22T11:58:00Z");
        assert_eq!(time_cursor(noon, Some(&Since::Time(at("2026-11-22T11:59:00Z")))).unwrap(), "2026-11-22T11:59:00Z");
        assert_eq!(time_cursor(None, Some(&Since::Time(at("2026-11-22T11:59:00Z")))).unwrap(), "2026-11-22T11:59:00Z");
        assert_eq!(time_cursor(None, None), None);
        let root = Root { latest_usn: Some(7), service: Some("CN=NTDS".to_owned()), ..Root::default() };
        assert_eq!((usn_cursor(&root).unwrap().as_str(), usn_cursor(&Root::default())), ("usn:7:CN=NTDS", None));
    }
}
