//! What must not, or cannot, be done to an object: because the job protects it, because muster itself uses it, because
//! the target does not offer it.

use std::collections::BTreeSet;

use crate::model::capabilities::{OwnAccount, ResourceCapabilities, covers};
use crate::model::order::{Block, BlockReason, Change, Operation};
use crate::model::resource::ResourceName;
use crate::rules::scope::BoundScope;
use crate::snapshot::row::Cells;
use crate::snapshot::table::Table;

use super::policy::Fixed;
use super::reason::{block, some};

/// Whom an order concerns, by all that they go by.
pub(crate) struct Concerned<'a> {
    pub(crate) resource: &'a ResourceName,
    pub(crate) operation: Operation,
    pub(crate) changes: &'a [Change],
    /// What the job may call the object or row.
    pub(crate) names: Vec<&'a str>,
    /// What the object goes by at the target.
    pub(crate) at_target: Vec<&'a str>,
    /// Of a row what is at its ends; none of an object.
    pub(crate) ends: Vec<ConcernedEnd<'a>>,
}

/// An end of a row that an order concerns.
pub(crate) struct ConcernedEnd<'a> {
    pub(crate) resource: &'a ResourceName,
    /// What its object goes by.
    pub(crate) names: Vec<&'a str>,
    /// Whether it is a group whose members are counted, rather than never touched.
    pub(crate) is_counted: bool,
}

/// What must not be done, whatever it is: the job protects an object, or muster itself uses it.
pub(crate) fn forbidden(protect: &BTreeSet<String>, account: Option<&OwnAccount>, of: &Concerned<'_>) -> Option<Block> {
    let end = |end: &ConcernedEnd<'_>| protected(protect, end.resource, &end.names);
    let never = protected(protect, of.resource, &of.names)
        .or_else(|| of.ends.iter().filter(|end| !end.is_counted).find_map(end));
    never.or_else(|| match of.ends.is_empty() {
        true => own(account, of.resource, of.operation, &of.at_target, of.changes),
        false => of.ends.iter().find_map(|end| own(account, end.resource, of.operation, &end.names, &[])),
    })
}

/// Whether the job protects an object that goes by any of these names.
pub(crate) fn protected(protect: &BTreeSet<String>, resource: &ResourceName, names: &[&str]) -> Option<Block> {
    if protect.is_empty() {
        return None;
    }
    let name = names.iter().find(|name| protect.contains(&format!("{resource}/{name}")))?;
    block(
        BlockReason::Protected,
        format!(
            "`{resource}/{name}` is protected by the job ([apply] protect); it is never touched while it stands there: do it by hand, or take it out of the list, and run again"
        ),
    )
}

/// Whether an order would lock out the account that muster itself uses; `names` are what the object goes by at the
/// target.
pub(crate) fn own(
    account: Option<&OwnAccount>,
    resource: &ResourceName,
    operation: Operation,
    names: &[&str],
    changes: &[Change],
) -> Option<Block> {
    let account = account.filter(|account| account.is(names))?;
    let renames = |change: &Change| change.attribute == "userName" && change.before.is_some();
    let locks_out = match operation {
        Operation::Disable | Operation::Delete | Operation::Remove => true,
        _ => changes.iter().any(renames),
    };
    let name = names.iter().rev().find(|name| !name.is_empty()).copied().unwrap_or_default();
    block(
        BlockReason::Protected,
        format!(
            "`{resource}/{name}` is the account that muster itself uses at {} (known by {}), and `{operation}` would lock it out; do it by hand, or give muster another account, and run again",
            resource.system, account.known_by
        ),
    )
    .filter(|_| locks_out)
}

/// Whether a target row is one whose attributes the target does not let change.
pub(crate) fn fixed(
    bound: &[(BoundScope, &Fixed)],
    resource: &ResourceName,
    held: &dyn Cells,
    changes: &[Change],
) -> Option<Block> {
    bound.iter().find_map(|(scope, fixed)| {
        let is_fixed = |change: &&Change| fixed.attributes.is_empty() || fixed.attributes.contains(&change.attribute);
        let names: Vec<&str> = changes.iter().filter(is_fixed).map(|change| change.attribute.as_str()).collect();
        if names.is_empty() || !scope.admits(held).unwrap_or(false) {
            return None;
        }
        block(
            BlockReason::Unsupported,
            format!(
                "{resource} does not let {} be changed where `{}`, as the job says (`fixed`); change it where the object comes from, or by hand, and run again",
                some(&names),
                fixed.text
            ),
        )
    })
}

/// Whether a target row belongs to another directory, which alone changes some of it.
pub(crate) fn federated(
    capabilities: &ResourceCapabilities,
    target: &Table,
    resource: &ResourceName,
    held: &dyn Cells,
    changes: &[Change],
) -> Option<Block> {
    capabilities.federated.iter().find_map(|federated| {
        let mark = held.cell(target.column(&federated.marked_by)?);
        let is_fixed = |change: &&Change| covers(&federated.attributes, &change.attribute);
        let names: Vec<&str> = changes.iter().filter(is_fixed).map(|change| change.attribute.as_str()).collect();
        if mark.is_empty() || names.is_empty() {
            return None;
        }
        block(
            BlockReason::Unsupported,
            format!(
                "{resource} does not let {} be changed of an object that belongs to another directory (`{}` is `{mark}`); change it there, or leave it out for such objects with [[sync.fixed]], and run again",
                some(&names),
                federated.marked_by
            ),
        )
    })
}

/// Whether the target can do an operation with these changes.
pub(crate) fn unsupported(
    capabilities: &ResourceCapabilities,
    resource: &ResourceName,
    operation: Operation,
    changes: &[Change],
) -> Option<Block> {
    if !capabilities.operations.contains(&operation) {
        let offered: Vec<&str> = capabilities.operations.iter().map(|operation| operation.word()).collect();
        let offered = if offered.is_empty() { "nothing".to_owned() } else { some(&offered) };
        return block(
            BlockReason::Unsupported,
            format!(
                "{resource} does not offer `{operation}`, it offers {offered}; do it by hand, or change the sync's policy"
            ),
        );
    }
    let written: Vec<&str> = changes
        .iter()
        .filter(|c| c.after.is_some() && capabilities.writes_itself(&c.attribute))
        .map(|c| c.attribute.as_str())
        .collect();
    if !written.is_empty() {
        return block(
            BlockReason::Unsupported,
            format!("{resource} writes {} itself and takes no value for it; remove its rule", some(&written)),
        );
    }
    // Nothing is changed of what is made, or goes.
    if matches!(operation, Operation::Create | Operation::Delete) {
        return None;
    }
    let without_effect =
        |c: &&Change| !capabilities.changeable.is_empty() && !covers(&capabilities.changeable, &c.attribute);
    let ignored: Vec<&str> = changes.iter().filter(without_effect).map(|c| c.attribute.as_str()).collect();
    if !ignored.is_empty() {
        let taken: Vec<&str> = capabilities.changeable.iter().map(String::as_str).collect();
        return block(
            BlockReason::Unsupported,
            format!(
                "{resource} takes over changes of {} alone, and ignores {}; change it by hand, or remove its rule",
                some(&taken),
                some(&ignored)
            ),
        );
    }
    let fixed: Vec<&str> = changes
        .iter()
        .filter(|c| c.before.is_some() && capabilities.immutable.contains(&c.attribute))
        .map(|c| c.attribute.as_str())
        .collect();
    if fixed.is_empty() {
        return None;
    }
    block(
        BlockReason::Unsupported,
        format!("{resource} does not change {} once set; change it by hand, or remove its rule", some(&fixed)),
    )
}
