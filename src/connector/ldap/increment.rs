//! What changed since a cursor: by `modifyTimestamp` (RFC 4512 section 3.4.2), or by `uSNChanged` on Active Directory
//! (MS-ADTS section 3.1.1.1.9).
//!
//! Every increment also reads the ids of all that there is: what is not among them is gone. Where they are more than the
//! last snapshot and the changes make up, something came that nobody told of, and the run reads everything.

use chrono::{DateTime, Duration, Utc};

use super::export::Export;
use super::flavour::Root;
use super::layout::ResourceType;
use super::people::People;
use super::search::{self, Search};
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
    let mut seen = export.rows(of, columns, Some(since.filter(export, of)), people, sink).await?;
    let changed = counted(seen.evidence.rows_received, "object");
    seen.evidence.notes.push(format!("{changed} changed since {}", since.told()));
    let cursor = export.cursor(seen.newest.max(whole.newest), Some(since));
    whole.end(of, seen.evidence, cursor, sink)
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
