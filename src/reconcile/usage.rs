//! Rules that nothing came of: a mapping that gave no row a value, a row of a value table that fitted nobody.

use std::collections::BTreeSet;

use crate::snapshot::row::Cells as _;

use super::canonical::{ABSENT, NOTHING};
use super::ends::{EndState, NAMES};
use super::error::ReconcileError;
use super::objects::{ObjectPlan, counted};
use super::reason::some;
use super::rows::Admission;
use super::scan::Scanner;

/// Protected names that nothing at the target goes by, and no row of the source: they protect nothing.
pub(crate) fn unprotecting(plan: &ObjectPlan<'_>, protect: &BTreeSet<String>) -> Result<Vec<String>, ReconcileError> {
    let (input, sync) = (plan.table.input, plan.table.input.sync);
    let prefix = format!("{}/", sync.to);
    let mut unknown: BTreeSet<&str> = protect.iter().filter_map(|name| name.strip_prefix(prefix.as_str())).collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    for table in [input.target, input.source] {
        let columns: Vec<usize> = NAMES.iter().filter_map(|name| table.column(name)).collect();
        let found = table.par_fold(BTreeSet::new, |found, row| {
            let key = table.key_of(row);
            let names = columns.iter().map(|column| row.cell(*column)).chain([&*key]);
            found.extend(names.filter_map(|name| unknown.get(name).copied()));
        })?;
        for name in found.into_iter().flatten() {
            unknown.remove(name);
        }
    }
    let tell = |name| {
        format!(
            "{}: `{prefix}{name}` is protected, and nothing there goes by `{name}`: correct the name under [apply] protect, or remove it",
            sync.id
        )
    };
    Ok(unknown.into_iter().map(tell).collect())
}

/// What a person should know about a sync's rules, in sentences.
pub(crate) fn unused(plan: &ObjectPlan<'_>) -> Result<Vec<String>, ReconcileError> {
    let (table, sync) = (&plan.table, plan.table.input.sync);
    let in_scope: Vec<u32> =
        (0..table.source.len() as u32).filter(|row| table.source.get(*row).admission == Admission::In).collect();
    let mut told = Vec::new();
    if in_scope.is_empty() {
        return Ok(told);
    }
    let rows = counted(in_scope.len(), "row");
    let scanner = Scanner::bind(table.input, &mut Vec::new())?;
    let name = |attribute: &str| format!("{}/{attribute}", sync.to);
    let is_told = |attribute: &str| !sync.idle.contains(attribute);
    for (position, attribute) in sync.rules.mapping.attributes().iter().enumerate() {
        let refers = sync.references.iter().any(|reference| reference.attribute == *attribute);
        let is_table = sync.tables.iter().any(|table| table.attribute == *attribute);
        let is_used = |row: &u32| ![NOTHING, ABSENT].contains(&table.source.get(*row).values[position]);
        // That the target has no such attribute is told already.
        let exists = scanner.attributes[position].exists;
        // That it fails is told by the orders.
        let fails = |row: &u32| table.source.get(*row).failed;
        let is_idle = || !in_scope.iter().any(is_used) && !in_scope.iter().all(fails);
        if exists && !refers && !is_table && is_told(attribute) && is_idle() {
            told.push(format!(
                "{}: the rule of `{attribute}` (`{}`) gave none of {rows} in scope a value; correct or remove it, or name {} under `ignore`",
                sync.id,
                sync.rules.mapping.rule(attribute).unwrap_or_default(),
                name(attribute)
            ));
        }
    }
    if sync.tables.is_empty() {
        return Ok(told);
    }
    let none = || sync.tables.iter().map(|table| vec![false; table.rows.len()]).collect::<Vec<_>>();
    let chunks = table.input.source.par_fold(none, |used, row| {
        if scanner.admission(row).0 != Admission::In {
            return;
        }
        for (table, used) in scanner.tables.iter().zip(used) {
            for (at, used) in used.iter_mut().enumerate().filter(|(_, used)| !**used) {
                *used = table.fits(at, row) == Ok(true);
            }
        }
    })?;
    for (number, table) in sync.tables.iter().enumerate().filter(|(_, table)| is_told(&table.attribute)) {
        let is_used = |at: usize| chunks.iter().any(|used| used[number][at]);
        for row in table.rows.iter().enumerate().filter(|(at, _)| !is_used(*at)).map(|(_, row)| row) {
            told.push(format!(
                "{}: line {} of the job file (`{}` gives `{}` for `{}`) fitted none of {rows} in scope; correct or remove it, or name {} under `ignore`",
                sync.id,
                row.line,
                table.attribute,
                row.value,
                row.when.text(),
                name(&table.attribute)
            ));
        }
    }
    Ok(told)
}

/// Objects that hold what no row gives them any more: whether they are in use, names of value tables, to whom they refer.
/// What a rule leaves empty is left as it is.
pub(crate) fn left_behind(plan: &ObjectPlan<'_>) -> Result<Vec<String>, ReconcileError> {
    let (table, input) = (&plan.table, plan.table.input);
    let sync = input.sync;
    let scanner = Scanner::bind(input, &mut Vec::new())?;
    let counts = |name: &str| {
        input.capabilities.enabled.as_deref() == Some(name)
            || sync.tables.iter().any(|table| table.attribute == name)
            || sync.references.iter().any(|reference| reference.attribute == name)
    };
    let mut told = Vec::new();
    for (position, attribute) in scanner.attributes.iter().enumerate() {
        if !counts(&attribute.name) || sync.idle.contains(&attribute.name) {
            continue;
        }
        let is_left = |row: &u32| {
            let source = table.source.get(*row);
            let EndState::Paired(target) = table.states[*row as usize] else { return false };
            let held = table.target.get(target).values[position];
            source.admission == Admission::In
                && !source.failed
                && source.values[position] == NOTHING
                && ![NOTHING, ABSENT].contains(&held)
        };
        let mut left: Vec<&str> =
            (0..table.source.len() as u32).filter(is_left).map(|row| table.source.key(row)).collect();
        left.sort_unstable();
        if !left.is_empty() {
            told.push(format!(
                "{}: {} a `{}` at {} that its row gives no value for, and {} it: {}; correct the rows, or name `{}` under `clear` to take it away",
                sync.id,
                if left.len() == 1 { "1 object has".to_owned() } else { format!("{} objects have", left.len()) },
                attribute.name,
                sync.to,
                if left.len() == 1 { "keeps" } else { "keep" },
                some(&left.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>()),
                attribute.name
            ));
        }
    }
    Ok(told)
}
