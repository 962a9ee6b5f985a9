//! The facts of one row: its values, the containers that it lies in, and how its columns changed.

use super::facts::Sight;
use crate::model::explanation::FactKind;
use crate::model::shape::Shape;

/// Levels of a container path that are looked at.
const LEVELS: usize = 8;
/// Changed columns of a row among which two are sought that were swapped.
const SWAPPABLE: usize = 16;

/// A column's value, and the containers that it names.
pub(super) fn value(subject: u32, cell: &str, see: &mut dyn FnMut(Sight<'_>)) {
    if cell.is_empty() {
        return;
    }
    see(Sight { kind: FactKind::Value, subject, before: cell, after: "" });
    let mut within = |container: &str| {
        if !container.is_empty() {
            see(Sight { kind: FactKind::Container, subject, before: container, after: "" });
        }
    };
    if cell.contains('=') {
        // A distinguished name lies in each of its suffixes.
        cell.match_indices(',').take(LEVELS).for_each(|(at, _)| within(cell[at + 1..].trim_start()));
    } else if let Some((_, domain)) = cell.split_once('@') {
        within(domain);
    } else if cell.contains('/') && !cell.contains("://") {
        cell.match_indices('/').filter(|(at, _)| *at > 0).take(LEVELS).for_each(|(at, _)| within(&cell[..at]));
    }
}

/// How one column changed.
pub(super) fn change(subject: u32, before: &str, after: &str, see: &mut dyn FnMut(Sight<'_>)) {
    if before == after {
        return;
    }
    let plain = |kind| Sight { kind, subject, before: "", after: "" };
    match (before.is_empty(), after.is_empty()) {
        (true, _) => see(plain(FactKind::Filled)),
        (_, true) => see(plain(FactKind::Cleared)),
        _ => {
            let (old, new) = (Shape::of(before), Shape::of(after));
            if old != new {
                see(Sight { kind: FactKind::Format, subject, before: old.word(), after: new.word() });
            }
            let (before, after) = replaced(before, after);
            see(Sight { kind: FactKind::Replaced, subject, before, after });
        }
    }
    see(plain(FactKind::Changed));
}

/// Columns of one row that hold each other's values. `names` names the subjects.
pub(super) fn swaps(changes: &[(u32, &str, &str)], names: &[String], see: &mut dyn FnMut(Sight<'_>)) {
    let changes = &changes[..changes.len().min(SWAPPABLE)];
    for (i, (subject, before, after)) in changes.iter().enumerate() {
        for (other, other_before, other_after) in &changes[i + 1..] {
            if before == other_after && after == other_before {
                let other = names.get(*other as usize).map_or("", String::as_str);
                see(Sight { kind: FactKind::Swapped, subject: *subject, before: other, after: "" });
            }
        }
    }
}

/// What differs between two values, without what they begin and end with alike. Words are kept whole.
fn replaced<'v>(before: &'v str, after: &'v str) -> (&'v str, &'v str) {
    let (old, new) = (before.as_bytes(), after.as_bytes());
    let alike = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let start = (0..=alike).rev().find(|at| is_edge(old, *at) && is_edge(new, *at)).unwrap_or(0);
    let (old, new) = (&old[start..], &new[start..]);
    let alike = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let edge = |bytes: &[u8], end: usize| is_edge(bytes, bytes.len() - end);
    let end = (0..=alike).rev().find(|end| edge(old, *end) && edge(new, *end)).unwrap_or(0);
    let part = |value: &'v str| value.get(start..value.len() - end).unwrap_or(value);
    (part(before), part(after))
}

/// Whether a word begins or ends at a position. Bytes of other scripts count as letters.
fn is_edge(bytes: &[u8], at: usize) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    at == 0 || at == bytes.len() || !word(&bytes[at - 1]) || !word(&bytes[at])
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn what_was_replaced_is_whole_words() {
        for (before, after, old, new) in [
            ("CN=Jane,OU=Sales,DC=corp", "CN=Jane,OU=Vertrieb,DC=corp", "Sales", "Vertrieb"),
            ("OU=Sales,DC=corp", "OU=Salesforce,DC=corp", "Sales", "Salesforce"),
            ("jane", "jane@corp.example", "", "@corp.example"),
            ("jane@old.example", "jane@new.example", "old", "new"),
            ("Müller", "Möller", "Müller", "Möller"),
            ("a a", "a a a", "", " a"),
        ] {
            assert_eq!(replaced(before, after), (old, new), "{before} to {after}");
        }
    }
}
