//! One walk through the entries of a resource, and what it saw.

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::export::Export;
use super::layout::{self, ResourceType};
use super::people::Id;
use super::search::Pager;
use super::times;
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::evidence::Evidence;
use crate::model::failure::Failure;

/// What one walk saw.
pub(super) struct Seen {
    pub(super) evidence: Evidence,
    /// The newest change among the entries.
    pub(super) newest: Option<DateTime<Utc>>,
    /// Who is there, where that was read.
    pub(super) ids: Vec<Id>,
}

impl Seen {
    /// Ends an increment of objects, where this is everything that is there and `evidence` is of the changes: nothing else is
    /// there any more, and the merged snapshot is held against it.
    pub(super) fn end(
        self,
        of: &ResourceType,
        mut evidence: Evidence,
        cursor: Option<String>,
        sink: &mut dyn ExportSink,
    ) -> Result<ExportEnd, ExportError> {
        evidence.cut_off = evidence.cut_off.or(self.evidence.cut_off);
        if evidence.anomalies.is_empty() {
            evidence.anomalies = self.evidence.anomalies;
        }
        let proves_absence = evidence.cut_off.is_none();
        if proves_absence {
            sink.only(&of.name, layout::ID, &mut self.ids.iter().map(Id::text))?;
            (evidence.total_start, evidence.total_end) = (Some(self.ids.len() as u64), Some(self.ids.len() as u64));
        }
        Ok(ExportEnd { evidence, cursor, proves_absence })
    }
}

/// A walk under way.
pub(super) struct Walk<'a> {
    export: &'a Export<'a>,
    of: &'a ResourceType,
    pager: Pager<'a>,
    newest: Option<DateTime<Utc>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(export: &'a Export<'a>, of: &'a ResourceType, pager: Pager<'a>) -> Self {
        Self { export, of, pager, newest: None }
    }

    /// Some entries more, each with an id.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Entry>>, Failure> {
        let Some(entries) = self.pager.next().await? else { return Ok(None) };
        for entry in &entries {
            if self.of.id(entry).is_none() {
                return Err(self.export.no_id(self.of, &entry.dn));
            }
            let changed = entry.text(self.export.layout.change_attribute());
            self.newest = self.newest.max(changed.and_then(times::from_generalized));
        }
        Ok(Some(entries))
    }

    /// Whether the server broke the list off.
    pub(super) fn is_cut_off(&self) -> bool {
        self.pager.evidence.cut_off.is_some()
    }

    pub(super) fn end(self) -> Seen {
        Seen { evidence: self.pager.evidence, newest: self.newest, ids: Vec::new() }
    }
}
