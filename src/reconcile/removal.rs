//! Managed objects that are no longer wanted: their source row is gone, or the scope leaves it out.

use super::canonical;
use super::decide::{Built, Case, Decider};
use super::ends::name_in;
use super::error::ReconcileError;
use super::policy::{OrphanAction, OutOfScopeAction};
use super::reason::block;
use crate::model::capabilities::AttributeType;
use crate::model::numbers::counted;
use crate::model::order::{BlockReason, Change, Operation};
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
                format!("its row `{key}` is in {}, but the scope leaves it out", sync.from),
            ),
        };
        let nothing = |note: &str| Built {
            listed: self.listed(situation, key, &name, Some(id), note),
            ..Built::nothing(number, situation)
        };
        let Some(operation) = operation else { return Ok(nothing("left as it is, as the job asks")) };
        let says = operation.word();
        let (operation, note) = match (operation, self.wishes.delete_after) {
            (Operation::Delete, Some(grace)) => (
                Operation::Disable,
                format!("; disabled now, to be deleted {} later", counted(grace.as_secs() / 86_400, "day")),
            ),
            (operation, _) => (operation, String::new()),
        };
        let mut unsupported = None;
        let mut changes = Vec::new();
        if operation == Operation::Disable {
            let flag = input.capabilities.enabled.as_deref();
            match flag.and_then(|name| Some((name, input.target.column(name)?))) {
                Some((attribute, column)) => {
                    let before = canonical::value(held.cell(column), AttributeType::Boolean);
                    if before.as_ref().and_then(Value::as_text) == Some("false") {
                        return Ok(nothing("disabled already"));
                    }
                    let after = Value::text("false");
                    changes.push(Change { attribute: attribute.to_owned(), before, after, cause: Cause::Source });
                }
                None => {
                    unsupported = block(
                        BlockReason::Unsupported,
                        format!(
                            "{} shows no attribute that says whether `{id}` is in use, so it cannot be disabled; set on.{setting} = \"delete\" or \"ignore\" in the job, or do it by hand",
                            sync.to
                        ),
                    );
                }
            }
        }
        let unchanged = situation == Situation::OutOfScope
            && link.agreed.is_some_and(|agreed| self.table.source.raw(number) == Some(agreed.source_digest));
        let cause = if unchanged { Cause::Rule } else { Cause::Source };
        changes.iter_mut().for_each(|change| change.cause = cause);
        let foreign = self.claims.get(id).and_then(|who| {
            block(
                BlockReason::Conflict,
                format!("`{id}` of {} is managed by {who} as well; `unlink {key}` here if it moved there", sync.to),
            )
        });
        let own = self.own(operation, &[id, &name], &[]);
        Ok(self.order(Case {
            number,
            key,
            source_key: Some(key),
            target_id: Some(id),
            operation,
            changes,
            situation,
            cause,
            reason: format!("`{id}` is managed, and {why}; the job's on.{setting} is `{says}`{note}"),
            confidence: 100,
            block: self.never(&[key, id, &name]).or(own).or(foreign).or(unsupported),
            name,
        }))
    }
}
