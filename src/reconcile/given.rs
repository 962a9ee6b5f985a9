//! What value tables and the classification say of one row: which names it gets and why, and what a person has to see.

use crate::model::capabilities::AttributeType::CaselessText;
use crate::model::order::{Block, BlockReason, Change};
use crate::model::value::Value;
use crate::rules::grants::{Precedence, ValueTable};
use crate::snapshot::row::Cells;

use super::derived::{CLASS, KnownNames, unknown_name};
use super::reason::block;
use super::rows::{Admission, SourceRow};
use super::scan::Scanner;

/// Names that the changes would set and that the target does not have.
pub(crate) fn unknown(scanner: &Scanner<'_>, row: &dyn Cells, changes: &[Change]) -> Option<Block> {
    let sync = scanner.input.sync;
    let mut told = Vec::new();
    for (position, table, change) in changed(scanner, changes) {
        let known = scanner.input.derived.and_then(|derived| derived.names.get(position)?.as_ref());
        let (Some(known), Some(after)) = (known, &change.after) else { continue };
        let names = match after {
            Value::Text(name) => std::slice::from_ref(name),
            Value::Many(names) => names,
        };
        for name in names.iter().filter(|name| !known.names.contains(*name)) {
            let gives = |at: &usize| table.rows.get(*at).filter(|row| row.value == *name).map(|row| row.line);
            let lines: Vec<usize> = scanner.tables[position].fitting(row).iter().filter_map(gives).collect();
            told.push(unknown_name(&table.attribute, name, &lines, known));
        }
    }
    told.extend(nowhere(scanner, changes));
    if told.is_empty() {
        return None;
    }
    block(
        BlockReason::MissingReference,
        format!(
            "{}; make it again at {}, or correct the job file or the source, and run again",
            told.join("; "),
            sync.to.system
        ),
    )
}

/// New names of plain rules that lead nowhere at the target, although it would take them.
fn nowhere(scanner: &Scanner<'_>, changes: &[Change]) -> Vec<String> {
    let mut told = Vec::new();
    for change in changes {
        let tables = &scanner.input.sync.tables;
        let shape = scanner.input.capabilities.shape(&change.attribute);
        let Some((shape, among)) = shape.and_then(|shape| Some((shape, shape.among.as_ref()?))) else { continue };
        if tables.iter().any(|table| table.attribute == change.attribute) {
            continue;
        }
        let names = |value: &Option<Value>| match value {
            Some(Value::Text(name)) => vec![name.clone()],
            Some(Value::Many(names)) => names.clone(),
            None => Vec::new(),
        };
        let before = names(&change.before);
        let is_there = |name: &String| {
            let same = |known: &String| known == name || shape.kind == CaselessText && known.eq_ignore_ascii_case(name);
            among.names.contains(name) || among.names.iter().any(same) || before.iter().any(same)
        };
        let known = KnownNames {
            names: among.names.clone(),
            place: format!("{}.{}", scanner.input.sync.to.system, among.resource),
        };
        let gone = names(&change.after).into_iter().filter(|name| !is_there(name));
        told.extend(gone.map(|name| unknown_name(&change.attribute, &name, &[], &known)));
    }
    told
}

/// Which rows of the value tables gave the new values, as the end of a reason; empty where none did.
pub(crate) fn by_which_rows(scanner: &Scanner<'_>, row: &dyn Cells, changes: &[Change]) -> String {
    let mut told = String::new();
    for (position, table, _) in changed(scanner, changes) {
        let fitting = scanner.tables[position].fitting(row);
        told.push_str(&match fitting.first().and_then(|first| table.rows.get(*first)) {
            None => continue,
            Some(first) if table.precedence == Precedence::First || fitting.len() == 1 => {
                let of = match fitting.len() {
                    1 => String::new(),
                    several => format!(", the first of {several} that hold"),
                };
                format!("; `{}`: `{}` (line {}{of})", table.attribute, first.when.text(), first.line)
            }
            Some(_) => {
                let rows: Vec<String> = fitting
                    .iter()
                    .filter_map(|at| table.rows.get(*at))
                    .map(|row| format!("`{}` (line {})", row.when.text(), row.line))
                    .collect();
                format!("; `{}`: all that hold: {}", table.attribute, rows.join(", "))
            }
        });
    }
    told
}

/// The value tables whose attribute changes, with their positions.
fn changed<'s>(
    scanner: &Scanner<'s>,
    changes: &'s [Change],
) -> impl Iterator<Item = (usize, &'s ValueTable, &'s Change)> {
    let tables = scanner.input.sync.tables.iter().enumerate();
    tables.filter_map(|(position, table)| {
        let change = changes.iter().find(|change| change.attribute == table.attribute && change.after.is_some())?;
        Some((position, table, change))
    })
}

/// Why the scope of a row cannot be judged, where it cannot.
pub(crate) fn unjudged(scanner: &Scanner<'_>, source: SourceRow<'_>, why: &str) -> Option<Block> {
    let (from, key) = (&scanner.input.sync.from, source.key);
    if source.admission != Admission::Unknown {
        return None;
    }
    let detail = format!("the scope cannot be judged for row `{key}` of {from}: {why}; correct the row, or the scope");
    Some(Block { reason: BlockReason::Incomplete, detail })
}

/// What the classification has a person confirm, and how sure it is in percent. Of an object that is known already, only
/// where something that follows from its class changes.
pub(crate) fn unsure(
    scanner: &Scanner<'_>,
    row: &dyn Cells,
    key: &str,
    changes: &[Change],
    is_new: bool,
) -> Option<(Block, u8)> {
    let sync = scanner.input.sync;
    if sync.derivation.classes.is_empty() {
        return None;
    }
    let readers = sync.rules.mapping.readers(CLASS);
    let class = scanner.class(row);
    let follows = || changes.iter().any(|change| readers.contains(&change.attribute.as_str()));
    if class.is_ok() && !is_new && !follows() {
        return None;
    }
    match class {
        Err(failure) => {
            let detail = format!(
                "a rule of the classification failed for row `{key}` of {}: {failure}; correct the row, or the rule, and run again",
                sync.from
            );
            Some((Block { reason: BlockReason::Incomplete, detail }, 0))
        }
        Ok(Some(found)) if found.confidence >= 100 => None,
        Ok(Some(found)) => {
            let detail = format!(
                "`{key}` is taken for `{}` by `{}`, with {} % only; approve if it is one, or correct the row or the classification, and run again",
                found.class, found.rule, found.confidence
            );
            Some((Block { reason: BlockReason::LowConfidence, detail }, found.confidence))
        }
        Ok(None) => {
            let detail = format!(
                "`{key}` is of no class: none of the {} rules of the classification holds; approve if it is right without one, or add a rule, and run again",
                sync.derivation.classes.len()
            );
            Some((Block { reason: BlockReason::LowConfidence, detail }, 0))
        }
    }
}
