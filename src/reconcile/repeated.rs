//! Rows that cannot be told apart: without a key, or with one that another row has.

use std::collections::HashMap;

use super::error::ReconcileError;
use super::input::ObjectInput;
use super::objects::counted;
use super::rows::Rows;
use crate::model::texts::Texts;

/// Which rows are left out.
pub(crate) fn skipped(keys: &Texts, repeated: &[(u32, u32)]) -> Vec<bool> {
    let mut skipped: Vec<bool> = keys.iter().map(str::is_empty).collect();
    for (first, later) in repeated {
        skipped[*first as usize] = true;
        skipped[*later as usize] = true;
    }
    skipped
}

/// Warns about rows without a key and rows with one key.
pub(crate) fn told_keys(
    input: &ObjectInput<'_>,
    at_source: bool,
    skipped: &[bool],
    repeated: &[(u32, u32)],
    rows: &Rows,
    warnings: &mut Vec<String>,
) -> Result<(), ReconcileError> {
    let (resource, table) = if at_source { (&input.sync.from, input.source) } else { (&input.sync.to, input.target) };
    let empty: Vec<u32> =
        (0..rows.len() as u32).filter(|row| skipped[*row as usize] && rows.key(*row).is_empty()).collect();
    if let Some(first) = empty.first() {
        let line = table.line_of(rows.place(*first))?;
        warnings.push(format!(
            "{resource}: {} without a key, the first is {line}; left out of the plan: give each row its key",
            counted(empty.len(), "row")
        ));
    }
    if !repeated.is_empty() {
        let mut keys: HashMap<&str, Vec<u32>> = HashMap::new();
        for (first, later) in repeated {
            keys.entry(rows.key(*first)).or_insert_with(|| vec![*first]).push(*later);
        }
        let mut keys: Vec<(&str, Vec<u32>)> = keys.into_iter().collect();
        keys.sort();
        let mut shown = Vec::new();
        for (key, numbers) in keys.iter().take(10) {
            let places: Vec<_> = numbers.iter().map(|row| rows.place(*row)).collect();
            let lines: Vec<String> = table.lines_of(&places)?.iter().map(ToString::to_string).collect();
            shown.push(format!("`{key}` at {}", lines.join(" and ")));
        }
        let more =
            if keys.len() > shown.len() { format!(" and {} more", keys.len() - shown.len()) } else { String::new() };
        warnings.push(format!(
            "{resource}: {} not unique: {}{more}; none of these rows is planned, nothing is concluded about their objects: keep one row each",
            if keys.len() == 1 { "1 key is".to_owned() } else { format!("{} keys are", keys.len()) },
            shown.join(", ")
        ));
    }
    Ok(())
}
