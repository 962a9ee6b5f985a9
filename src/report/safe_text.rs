//! Makes text from outside safe to show: what a terminal or a reader's eye would obey becomes a visible escape.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Whether a character must not reach a terminal or a line of a log as it is.
///
/// Control characters (C0, DEL, C1) carry terminal sequences and line breaks; bidirectional controls reorder what
/// follows (Unicode TR 36 section 2.4); separators, invisible operators and tag characters hide text.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line that is safe to show; borrowed where nothing had to change.
///
/// Line breaks and tabs become `\n`, `\r`, `\t`, anything else unsafe its code point: `\u{1b}`, `\u{202e}`.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// JSON text with the same characters as JSON escapes, so that it stays the same JSON and is safe on a terminal.
///
/// Expects text that serde_json wrote: there such characters stand in strings only, and C0 is escaped already. Line
/// breaks and blanks between values stay.
pub fn json(text: String) -> String {
    let foreign = |c: char| !matches!(c, '\n' | '\t' | '\r') && is_unsafe(c);
    if !text.contains(foreign) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if foreign(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// What a reader takes for one character (a letter with its accents, a family of emoji), and its columns on a terminal.
pub fn characters(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.graphemes(true).map(|one| (one, one.width()))
}

/// How many columns a safe text takes on a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { characters(text).map(|(_, columns)| columns).sum() }
}

/// A safe text cut to at most `columns` columns, with `…` for what was left out.
pub fn clip(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let mut used = 0;
    let mut kept = String::with_capacity(columns + 3);
    for (one, columns) in characters(text) {
        used += columns;
        if used > room {
            break;
        }
        kept.push_str(one);
    }
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// A cell that no spreadsheet takes for a formula: a leading `= + - @`, tab or CR gets an apostrophe before it.
pub fn spreadsheet_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(line("plain Ünal 田中 👩‍💻"), "plain Ünal 田中 👩‍💻");
        assert_eq!(line("a\u{1b}[2Jb\r\n\tc"), r"a\u{1b}[2Jb\r\n\tc");
        assert_eq!(line("x\u{202e}gpj.exe\u{9b}31m\u{7f}"), r"x\u{202e}gpj.exe\u{9b}31m\u{7f}");
        for code in 0..=0x10_ffffu32 {
            if let Some(c) = char::from_u32(code) {
                assert!(!line(&c.to_string()).contains(|c: char| c.is_control()), "U+{code:04X}");
            }
        }
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = serde_json::json!({"name": "a\u{1b}\u{9b}\u{202e}\u{e0041}\u{7f}\n\"é"});
        let text = json(serde_json::to_string_pretty(&value).unwrap_or_default());
        assert!(!text.contains(|c: char| c != '\n' && is_unsafe(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }

    #[test]
    fn clipping_counts_columns_and_never_splits_a_character() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abcde…");
        assert_eq!(clip("田中角栄", 6), "田中…");
        assert_eq!(clip("abc", 0), "");
        let family = "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        assert_eq!((width(family), width("e\u{301}")), (2, 1));
        assert_eq!(clip(&format!("{family}{family}e\u{301}x"), 5), format!("{family}{family}…"));
    }
}
