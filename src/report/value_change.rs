//! Values and what became of them, in the width of a line: what differs stays in sight.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

use super::safe_text::{clip, line, width};

/// Columns of what both values begin with that are left in sight.
const CONTEXT: usize = 8;

/// A value: an empty one by that word, one with white space at an end in quotes, so that it can be seen.
pub(super) fn shown_value(value: &str) -> Cow<'_, str> {
    if value.is_empty() {
        return Cow::Borrowed("(empty)");
    }
    if value.trim().len() < value.len() { Cow::Owned(format!("\"{}\"", line(value))) } else { line(value) }
}

/// The value before and the one after, in at most so many columns together.
pub(super) fn shown_pair(before: &str, after: &str, room: usize) -> (String, String) {
    let (mut before, mut after) = if looks_alike(before, after) {
        (spelled(before), spelled(after))
    } else {
        (shown_value(before).into_owned(), shown_value(after).into_owned())
    };
    if width(&before) + width(&after) > room {
        // What both begin with says nothing about the change.
        let skipped = common_start(&before, &after);
        if skipped > 0 {
            before = format!("…{}", &before[skipped..]);
            after = format!("…{}", &after[skipped..]);
        }
    }
    let half = room / 2;
    let (left, right) = match (width(&before), width(&after)) {
        (left, right) if left + right <= room => (left, right),
        (left, right) if left <= half => (left, (room - left).min(right)),
        (left, right) if right <= half => ((room - right).min(left), right),
        _ => (half, half),
    };
    (clip(&before, left).into_owned(), clip(&after, right).into_owned())
}

/// Whether two different values could not be told apart by eye: composed and decomposed characters.
fn looks_alike(before: &str, after: &str) -> bool {
    before != after && before.nfkc().eq(after.nfkc())
}

/// A value with what is not ASCII spelled by its code points.
fn spelled(value: &str) -> String {
    let mut text = String::with_capacity(value.len() * 2);
    for c in value.chars() {
        if c.is_ascii() && !c.is_control() { text.push(c) } else { text.extend(c.escape_unicode()) }
    }
    if value.trim().len() < value.len() { format!("\"{text}\"") } else { text }
}

/// Bytes that both texts begin with, less what is left in sight.
fn common_start(before: &str, after: &str) -> usize {
    let same: Vec<(usize, char)> =
        before.char_indices().zip(after.chars()).take_while(|((_, a), b)| a == b).map(|(a, _)| a).collect();
    same.len().checked_sub(CONTEXT).and_then(|first| same.get(first)).map_or(0, |(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_stays_in_sight() {
        assert_eq!(shown_pair("", "x ", 40), ("(empty)".into(), "\"x \"".into()));
        assert_eq!(shown_pair("é", "e\u{301}", 40), (r"\u{e9}".into(), r"e\u{301}".into()));
        let long = "the same words over and over, the same words over and over, then ";
        let (before, after) = shown_pair(&format!("{long}one"), &format!("{long}two"), 40);
        assert_eq!((before.as_str(), after.as_str()), ("…r, then one", "…r, then two"));
        let (before, after) = shown_pair(&"田".repeat(50), "b", 20);
        assert_eq!((width(&before), after.as_str()), (19, "b"));
    }

    #[test]
    fn nothing_hostile_is_shown() {
        let (before, after) = shown_pair("\u{1b}[31m\u{202e}", "a\nb", 60);
        assert_eq!((before.as_str(), after.as_str()), (r"\u{1b}[31m\u{202e}", r"a\nb"));
    }
}
