//! Rows that cannot be told apart: without a key, or with one that another row has.

use std::collections::{BTreeMap, HashMap};

use unicode_normalization::UnicodeNormalization as _;

use super::error::ReconcileError;
use super::index::KeyIndex;
use super::input::ObjectInput;
use super::objects::counted;
use super::reason::some;
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

/// Warns about keys that a person would take for one: they differ in blanks, or in how letters are composed. Each of them
/// is planned as an object of its own.
pub(crate) fn told_near_keys(
    input: &ObjectInput<'_>,
    rows: &Rows,
    index: &KeyIndex,
    warnings: &mut Vec<String>,
) -> Result<(), ReconcileError> {
    let mut near: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    // Two keys as they should be are never one another's.
    for (row, key) in (0..rows.len() as u32).zip(rows.keys.iter()).filter(|(_, key)| !is_plain(key)) {
        near.entry(plain(key)).or_default().push(row);
    }
    let mut told = Vec::new();
    for (key, mut numbers) in near {
        numbers.extend(index.get(&key).filter(|row| !numbers.contains(row)));
        numbers.sort_unstable();
        numbers.dedup_by_key(|row| rows.key(*row));
        if numbers.len() > 1 {
            let places: Vec<_> = numbers.iter().map(|row| rows.place(*row)).collect();
            let lines = input.source.lines_of(&places)?;
            let keys = numbers.iter().zip(lines).map(|(row, line)| format!("`{}` ({line})", rows.key(*row)));
            told.push(keys.collect::<Vec<_>>().join(" and "));
        }
    }
    if !told.is_empty() {
        warnings.push(format!(
            "{}: keys that differ in blanks or in how their letters are composed only: {}; each is planned as an object of its own: correct them at the source if they are one",
            input.sync.from,
            some(&told)
        ));
    }
    Ok(())
}

/// Whether a key is as `plain` makes it, without a look at each letter's composition.
fn is_plain(key: &str) -> bool {
    let bytes = key.as_bytes();
    let is_blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    key.is_ascii() && !is_blank(bytes.first()) && !is_blank(bytes.last()) && !bytes.windows(2).any(|two| two == b"  ")
}

/// A key without needless blanks, its letters composed.
fn plain(key: &str) -> String {
    key.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect()
}
