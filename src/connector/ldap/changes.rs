//! What a server told of changes since a cursor, and what comes of it: rows as they are now.
//!
//! A server tells which entries changed; what they are is read as any entry is, with the resource's own base and filter.
//! So rows look the same whichever way they came. What is none any more shows by the list of all that are there.

use std::collections::{BTreeMap, BTreeSet};

use super::NESTINGS;
use super::entry::Entry;
use super::export::Export;
use super::layout::{Membership, ResourceType};
use super::lookup;
use super::members::{self, IDS_A_SEARCH};
use super::newcomers::Newcomers;
use super::people::{Member, People};
use crate::connector::source::{ExportEnd, ExportError, ExportSink};
use crate::model::evidence::Evidence;
use crate::model::failure::Failure;
use crate::model::numbers::counted;

/// What changed since a cursor.
#[derive(Default)]
pub(super) struct Changes {
    /// Where the next increment begins.
    pub(super) cursor: String,
    changed: BTreeMap<String, Change>,
}

/// What changed of one entry.
#[derive(Default)]
pub(super) struct Change {
    /// Members that came: id → name.
    joined: BTreeMap<String, String>,
    /// Ids of members that went.
    left: BTreeSet<String>,
    /// Whether anything else changed: it may be in a resource that it was not in before.
    is_more: bool,
}

impl Change {
    /// More than single members changed.
    pub(super) fn note_more(&mut self) {
        self.is_more = true;
    }

    /// Somebody came into a group; what is told later counts.
    pub(super) fn note_joined(&mut self, id: String, name: &str) {
        self.left.remove(&id);
        self.joined.insert(id, name.to_owned());
    }

    /// Somebody went out of a group.
    pub(super) fn note_left(&mut self, id: String) {
        self.joined.remove(&id);
        self.left.insert(id);
    }

    /// More than single members changed.
    pub(super) fn is_more(&self) -> bool {
        self.is_more
    }

    /// The ids of those who came, of one kind.
    fn joined(&self, membership: &Membership, people: &People, groups: bool) -> Vec<String> {
        let found = self.joined.values().filter_map(|name| match people.member(membership, name) {
            Member::Group(member) if groups => Some(member),
            Member::User(member) if !groups => Some(member),
            _ => None,
        });
        found.collect()
    }
}

impl Changes {
    /// None yet, until a cursor.
    pub(super) fn until(cursor: String) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// An entry changed; what of it is for the caller to say.
    pub(super) fn note_changed(&mut self, id: String) -> &mut Change {
        self.changed.entry(id).or_default()
    }

    /// An entry was deleted.
    pub(super) fn note_gone(&mut self, id: &str) {
        self.changed.remove(id);
    }

    /// The objects of a resource that changed.
    pub(super) async fn objects(
        &self,
        export: &Export<'_>,
        of: &ResourceType,
        columns: &[String],
        people: &mut People,
        sink: &mut dyn ExportSink,
    ) -> Result<ExportEnd, ExportError> {
        let whole = export.keys(of, people).await?;
        sink.begin(&of.name, columns, &[super::layout::ID.to_owned()])?;
        let mut evidence = Evidence::default();
        for chunk in self.ids(|_| true).chunks(IDS_A_SEARCH) {
            let asked = export.layout.asked(of, columns);
            for entry in self.found(export, of, chunk, asked, &mut evidence).await?.values() {
                let cells = export.layout.cells(of, columns, entry);
                sink.row(&of.name, &cells.iter().map(String::as_str).collect::<Vec<_>>())?;
                evidence.rows_received += 1;
            }
        }
        let changed = counted(evidence.rows_received, "object");
        evidence.notes.push(format!("{changed} changed since the last cookie"));
        whole.end(of, evidence, Some(self.cursor.clone()), sink)
    }

    /// Who came into groups and who went out of them, and the rows of newcomers.
    pub(super) async fn members(
        &self,
        export: &Export<'_>,
        resources: &[&str],
        people: &People,
        newcomers: &Newcomers,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let (groups, membership) = export.system.group_members(export.layout)?;
        let mut tally = BTreeMap::new();
        let mut evidence = Evidence::default();
        for resource in resources {
            people.begin(sink, resource, true)?;
            tally.insert(*resource, newcomers.hand_over(resource, sink)?);
        }
        for chunk in self.ids(|_| true).chunks(IDS_A_SEARCH) {
            let asked = export.asked_members(groups, membership);
            for (id, entry) in self.found(export, groups, chunk, asked, &mut evidence).await? {
                let change = &self.changed[&id];
                let all = match change.is_more {
                    true => Some(export.members_of(&entry, membership, people).await?),
                    false => None,
                };
                for resource in resources {
                    let is_nesting = *resource == NESTINGS;
                    let list = match &all {
                        Some(all) => {
                            sink.replace(resource, members::ends_of(resource).unwrap_or(("group", "user")).0, &id)?;
                            if is_nesting { all.groups.clone() } else { all.users.clone() }
                        }
                        None => {
                            change.left.iter().try_for_each(|member| sink.gone(resource, &[&id, member]))?;
                            change.joined(membership, people, is_nesting)
                        }
                    };
                    list.iter().try_for_each(|member| sink.row(resource, &[&id, member]))?;
                    *tally.entry(resource).or_default() += list.len() as u64;
                }
            }
        }
        for resource in resources {
            let mut evidence = evidence.clone();
            evidence.rows_received = tally.get(resource).copied().unwrap_or_default();
            evidence.cut_off = people.cut_off.clone();
            let proves_absence = evidence.cut_off.is_none();
            sink.end(resource, ExportEnd { evidence, cursor: Some(self.cursor.clone()), proves_absence })?;
        }
        Ok(())
    }

    /// The ids of what changed in a way.
    pub(super) fn ids(&self, way: impl Fn(&Change) -> bool) -> Vec<&str> {
        self.changed.iter().filter(|(_, change)| way(change)).map(|(id, _)| id.as_str()).collect()
    }

    async fn found(
        &self,
        export: &Export<'_>,
        of: &ResourceType,
        ids: &[&str],
        asked: Vec<String>,
        evidence: &mut Evidence,
    ) -> Result<BTreeMap<String, Entry>, Failure> {
        evidence.pages_asked += 1;
        let found = lookup::by_ids(export.system, of, ids, asked).await?;
        evidence.pages_received += 1;
        Ok(found.into_iter().filter_map(|entry| Some((of.id(&entry)?, entry))).collect())
    }
}
