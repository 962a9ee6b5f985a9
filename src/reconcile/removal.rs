//! Managed objects that are no longer wanted: their source row is gone, or the scope leaves it out.

use chrono::{DateTime, Utc};

use super::canonical;
use super::decide::{Built, Case, Decider, GraceNote};
use super::ends::name_in;
use super::error::ReconcileError;
use super::ground;
use super::policy::{NoDisableAction, OrphanAction, OutOfScopeAction};
use super::reason::block;
use crate::model::capabilities::AttributeType;
use crate::model::grace::{Grace, in_words};
use crate::model::link::AgreedView;
use crate::model::order::{Block, BlockReason, Change, Operation};
use crate::model::situation::{Cause, Situation};
use crate::model::value::Value;
use crate::snapshot::row::Cells;

impl Decider<'_> {
    /// A managed object that is no longer wanted.
    pub(crate) fn removal(
        &self,
        number: u32,
        target: u32,
        link: u32,
        situation: Situation,
    ) -> Result<Built, ReconcileError> {
        let (input, sync) = (self.scanner.input, self.scanner.input.sync);
        let link = input.links.get(link);
        let (key, id) = (link.source_key, self.table.target.key(target));
        let held = self.target(target)?;
        let name = name_in(input, &held).unwrap_or_else(|| key.to_owned());
        let unassigned = situation == Situation::OutOfScope && self.scanner.lacks_a_group(&self.source(number)?);
        let (operation, setting, why) = match situation {
            Situation::Orphan => (
                match sync.on.orphan {
                    OrphanAction::Disable => Some(Operation::Disable),
                    OrphanAction::Delete => Some(Operation::Delete),
                    OrphanAction::Ignore => None,
                },
                "orphan",
                format!("its row `{key}` is gone from {}", sync.from),
            ),
            _ => (
                match sync.on.out_of_scope {
                    OutOfScopeAction::Disable => Some(Operation::Disable),
                    OutOfScopeAction::Delete => Some(Operation::Delete),
                    OutOfScopeAction::Ignore => None,
                },
                "out_of_scope",
                match unassigned {
                    true => format!("its row `{key}` is in {}, but in no group that `assigned` names", sync.from),
                    false => format!("its row `{key}` is in {}, but the scope leaves it out", sync.from),
                },
            ),
        };
        let nothing = |note: &str| Built {
            listed: self.listed(situation, key, &name, Some(id), note),
            grace: ended(key, link.grace),
            ..Built::nothing(number, situation)
        };
        let Some(operation) = operation else { return Ok(nothing("left as it is, as the job asks")) };
        let says = operation.word();
        let flag = self.flag(&held);
        let is_off = flag.as_ref().is_some_and(Flag::is_off);
        let can_disable = flag.is_some() && input.capabilities.operations.contains(&Operation::Disable);
        let mut step = Step { operation, note: String::new(), changes: Vec::new(), block: None };
        let mut grace = None;
        match (operation, self.wishes.delete_after) {
            (Operation::Delete, None) => step.changes = self.lost(&held, flag),
            (Operation::Delete, Some(whole)) if !is_off && can_disable => {
                step.operation = Operation::Disable;
                step.note =
                    format!("; disabled now, its delete becomes due {} later, as an order of its own", in_words(whole));
                grace = ended(key, link.grace);
            }
            (Operation::Delete, Some(whole)) if !is_off && sync.on.no_disable == NoDisableAction::Block => {
                step.block = block(
                    BlockReason::DeleteDisallowed,
                    format!(
                        "[apply] delete_after asks for a disable {} before each delete, and {} does not offer one for `{id}`; set on.no_disable = \"wait\" to let it wait as it is and be deleted then, on.{setting} = \"ignore\" to leave it, or do it by hand",
                        in_words(whole),
                        sync.to
                    ),
                );
            }
            (Operation::Delete, Some(whole)) => {
                let looked = link.grace.unwrap_or(Grace::begun(self.wishes.now)).look(self.wishes.now, whole);
                let note = GraceNote { key: key.to_owned(), was: link.grace, now: Some(looked) };
                let state = if is_off { "disabled" } else { "unwanted, and not to be disabled," };
                let since = time(looked.grace.since);
                if !looked.is_over {
                    let due = looked.grace.due(whole);
                    let note_text = format!("{state} since {since}; its delete becomes due {}", time(due));
                    let mut listed = self.listed(situation, key, &name, Some(id), &note_text);
                    listed.iter_mut().for_each(|listed| listed.due = Some(due));
                    return Ok(Built { listed, grace: Some(note), ..Built::nothing(number, situation) });
                }
                step.note = format!("; {state} since {since}, its grace of {} is over", in_words(whole));
                step.changes = self.lost(&held, flag);
                grace = Some(note);
            }
            (_, _) if is_off => return Ok(nothing("disabled already")),
            (_, _) => {
                grace = ended(key, link.grace);
                if flag.is_none() {
                    step.block = block(
                        BlockReason::Unsupported,
                        format!(
                            "{} shows no attribute that says whether `{id}` is in use, so it cannot be disabled; set on.{setting} = \"delete\" or \"ignore\" in the job, or do it by hand",
                            sync.to
                        ),
                    );
                }
            }
        }
        let Step { operation, note, mut changes, block: blocked } = step;
        if operation == Operation::Disable {
            changes.extend(self.flag(&held).map(|flag| flag.change(Value::text("false"))));
        }
        let now = self.table.source.raw(number);
        let is_as_it_was = |before| now.is_some_and(|now| self.scanner.digest.is_as_it_was(before, now));
        let unchanged =
            situation == Situation::OutOfScope && link.agreed.is_some_and(|agreed| is_as_it_was(agreed.source_digest));
        let was_off = |agreed: AgreedView<'_>| {
            let off = canonical::digest("false", AttributeType::Boolean);
            input.capabilities.enabled.as_deref().and_then(|flag| agreed.digest(flag)) == Some(off)
        };
        let is_back = operation == Operation::Disable && link.agreed.is_some_and(was_off);
        let cause = match (is_back, unchanged) {
            (true, _) => Cause::Drift,
            (false, true) => Cause::Rule,
            (false, false) => Cause::Source,
        };
        let note = if is_back {
            format!("{note}; it was disabled before, and somebody enabled it at the target")
        } else {
            note
        };
        changes.iter_mut().for_each(|change| change.cause = cause);
        let foreign = self.claims.get(id).and_then(|who| {
            block(
                BlockReason::Conflict,
                format!(
                    "`{id}` of {} is managed by {who} as well; `muster unlink JOB {key}` if it moved there",
                    sync.to
                ),
            )
        });
        let own = self.own(operation, &[id, &name], &[]);
        let ground = match situation {
            Situation::Orphan => ground::ORPHAN.to_owned(),
            _ if unassigned => {
                let groups = sync.derivation.groups.as_ref();
                ground::of_groups(groups.map_or(&[], |groups| &groups.assigned))
            }
            _ => ground::of_scope(self.scanner.scope(), &self.source(number)?),
        };
        let like = self.like_rows(target, key);
        let built = self.order(Case {
            number,
            key,
            source_key: Some(key),
            target_id: Some(id),
            operation,
            changes,
            situation,
            cause,
            reason: format!("`{id}` is managed, and {why}; the job's on.{setting} is `{says}`{note}{like}"),
            ground,
            confidence: 100,
            block: self.never(&[key, id, &name]).or(own).or(foreign).or(blocked),
            name,
            renamed_from: None,
            references: Vec::new(),
        });
        Ok(Built { grace, ..built })
    }

    /// What a delete takes away, of what the job maps: an object that holds something else by then, or is in use again,
    /// is not what the reviewer saw.
    fn lost(&self, held: &dyn Cells, flag: Option<Flag>) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        for attribute in self.scanner.attributes.iter().filter(|attribute| attribute.exists) {
            if let Some(before) = attribute.held_value(held) {
                let attribute = attribute.name.clone();
                changes.push(Change { attribute, before: Some(before), after: None, cause: Cause::Source });
            }
        }
        let is_told = |flag: &Flag| changes.iter().any(|change| change.attribute == flag.attribute);
        let flag = flag.filter(|flag| flag.before.is_some() && !is_told(flag)).map(|flag| flag.change(None));
        changes.extend(flag);
        changes
    }

    /// What the target says about whether an object is in use, where it does.
    fn flag(&self, held: &dyn Cells) -> Option<Flag> {
        let attribute = self.scanner.input.capabilities.enabled.as_deref()?;
        let column = self.scanner.input.target.column(attribute)?;
        let before = canonical::value(held.cell(column), AttributeType::Boolean);
        Some(Flag { attribute: attribute.to_owned(), before })
    }
}

/// What is to be done to an unwanted object, in parts.
struct Step {
    operation: Operation,
    note: String,
    changes: Vec<Change>,
    block: Option<Block>,
}

/// The attribute that says whether an object is in use, with its value.
struct Flag {
    attribute: String,
    before: Option<Value>,
}

impl Flag {
    fn is_off(&self) -> bool {
        self.before.as_ref().and_then(Value::as_text) == Some("false")
    }

    fn change(self, after: Option<Value>) -> Change {
        Change { attribute: self.attribute, before: self.before, after, cause: Cause::Source }
    }
}

/// The grace of an object, to be forgotten where there is one.
pub(crate) fn ended(key: &str, was: Option<Grace>) -> Option<GraceNote> {
    was.map(|was| GraceNote { key: key.to_owned(), was: Some(was), now: None })
}

/// An instant as it stands in sentences.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}
