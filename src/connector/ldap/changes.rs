//! What a server told of changes since a cursor, and what comes of it: rows as they are now, and rows that are none any
//! more.
//!
//! A server tells which entries changed; what they are is read as any entry is, with the resource's own base and filter.
//! So whatever left them is told too, and rows look the same whichever way they came.

use std::collections::{BTreeMap, BTreeSet};

use super::NESTINGS;
use super::entry::Entry;
use super::export::Export;
use super::layout::ResourceType;
use super::lookup;
use super::members::{self, IDS_A_SEARCH};
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
    gone: BTreeSet<String>,
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
}

impl Changes {
    /// None yet, until a cursor.
    pub(super) fn until(cursor: String) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// An entry changed; what of it is for the caller to say.
    pub(super) fn note_changed(&mut self, id: String) -> &mut Change {
        self.gone.remove(&id);
        self.changed.entry(id).or_default()
    }

    /// An entry was deleted.
    pub(super) fn note_gone(&mut self, id: String) {
        self.changed.remove(&id);
        self.gone.insert(id);
    }

    /// The objects of a resource that changed, and those that are none any more.
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
        for id in &self.gone {
            sink.gone(&of.name, &[id])?;
        }
        let mut evidence = Evidence::default();
        let ids: Vec<&str> = self.changed.keys().map(String::as_str).collect();
        for chunk in ids.chunks(IDS_A_SEARCH) {
            let asked = export.layout.asked(of, columns);
            let found = self.found(export, of, chunk, asked, &mut evidence).await?;
            for id in chunk {
                match found.get(*id) {
                    Some(entry) => {
                        let cells = export.layout.cells(of, columns, entry);
                        sink.row(&of.name, &cells.iter().map(String::as_str).collect::<Vec<_>>())?;
                        evidence.rows_received += 1;
                    }
                    None => sink.gone(&of.name, &[id])?,
                }
            }
        }
        let changed = counted(evidence.rows_received, "object");
        evidence.notes.push(format!("{changed} changed since the last cookie"));
        let total = whole.evidence.cut_off.is_none().then_some(whole.evidence.rows_received);
        (evidence.total_start, evidence.total_end) = (total, total);
        evidence.cut_off = whole.evidence.cut_off;
        Ok(ExportEnd { evidence, cursor: Some(self.cursor.clone()), proves_absence: false })
    }

    /// Who came into groups and who went out of them.
    pub(super) async fn members(
        &self,
        export: &Export<'_>,
        resources: &[&str],
        people: &People,
        sink: &mut dyn ExportSink,
    ) -> Result<(), ExportError> {
        let (groups, membership) = export.system.group_members(export.layout)?;
        let users = export.layout.types.get("users");
        let mut tally = BTreeMap::new();
        let mut evidence = Evidence::default();
        for resource in resources {
            let (owner, member) = members::ends_of(resource).unwrap_or(("group", "user"));
            let ends = [owner.to_owned(), member.to_owned()];
            sink.begin(resource, &ends, &ends)?;
            self.gone.iter().try_for_each(|id| without(sink, resource, id))?;
            tally.insert(*resource, 0_u64);
        }
        let ids: Vec<&str> = self.changed.keys().map(String::as_str).collect();
        for chunk in ids.chunks(IDS_A_SEARCH) {
            let asked = export.asked_members(groups, membership);
            let found = self.found(export, groups, chunk, asked, &mut evidence).await?;
            let mut others = Vec::new();
            for id in chunk {
                let change = &self.changed[*id];
                match found.get(*id) {
                    Some(entry) if change.is_more => {
                        let all = export.members_of(entry, membership, people).await?;
                        for resource in resources {
                            let list = if *resource == NESTINGS { &all.groups } else { &all.users };
                            let (owner, _) = members::ends_of(resource).unwrap_or(("group", "user"));
                            sink.replace(resource, owner, id)?;
                            list.iter().try_for_each(|member| sink.row(resource, &[id, member]))?;
                            *tally.entry(resource).or_default() += list.len() as u64;
                        }
                    }
                    Some(_) => {
                        for resource in resources {
                            change.left.iter().try_for_each(|member| sink.gone(resource, &[id, member]))?;
                            for name in change.joined.values() {
                                let member = match people.member(membership, name) {
                                    Member::Group(member) if *resource == NESTINGS => member,
                                    Member::User(member) if *resource != NESTINGS => member,
                                    _ => continue,
                                };
                                sink.row(resource, &[id, &member])?;
                                *tally.entry(resource).or_default() += 1;
                            }
                        }
                    }
                    None if change.is_more => others.push(*id),
                    None => {}
                }
            }
            // What is no group here and no user may have been one, or was moved away.
            let asked = users.map(|users| export.layout.asked(users, &[])).unwrap_or_default();
            let found = match users {
                Some(users) => self.found(export, users, &others, asked, &mut evidence).await?,
                None => BTreeMap::new(),
            };
            for id in others.iter().filter(|id| !found.contains_key(**id)) {
                resources.iter().try_for_each(|resource| without(sink, resource, id))?;
            }
        }
        for resource in resources {
            let mut evidence = evidence.clone();
            evidence.rows_received = tally.get(resource).copied().unwrap_or_default();
            evidence.cut_off = people.cut_off.clone();
            let cursor = Some(self.cursor.clone());
            sink.end(resource, ExportEnd { evidence, cursor, proves_absence: false })?;
        }
        Ok(())
    }

    /// Deleted entries.
    pub(super) fn gone(&self) -> impl Iterator<Item = &String> {
        self.gone.iter()
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

/// No row of an association has this object at either end any more.
pub(super) fn without(sink: &mut dyn ExportSink, resource: &str, id: &str) -> Result<(), ExportError> {
    let (owner, member) = members::ends_of(resource).unwrap_or(("group", "user"));
    sink.replace(resource, owner, id)?;
    sink.replace(resource, member, id)
}
