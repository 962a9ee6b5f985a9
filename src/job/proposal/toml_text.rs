//! Values as TOML writes them, whatever characters they are made of.

use std::fmt::Write as _;

/// A text in quotes. What a terminal or a reader's eye would obey stands as its code point.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if is_plain(c) => quoted.push(c),
            // TOML has four digits for most characters, and eight for all.
            c if u32::from(c) > 0xffff => drop(write!(quoted, "\\U{:08X}", u32::from(c))),
            c => drop(write!(quoted, "\\u{:04X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// A key: bare where it may be.
pub(super) fn key(text: &str) -> String {
    let is_bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { text.to_owned() } else { quoted(text) }
}

/// A list of texts.
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A text inside a comment: one line, whatever it is made of.
pub(super) fn comment(text: &str) -> String {
    text.chars().flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || (' '..='~').contains(&c)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a column is called, the file says it on one line, and is read as it was meant.
        #[test]
        fn a_text_is_read_as_it_was_written(text in "\\PC*|[\\x00-\\x7f\u{2028}\u{202e}\u{1f600}\"'\\\\]{0,12}") {
            let line = format!("{} = {} # {}", key(&text), quoted(&text), comment(&text));
            prop_assert_eq!(line.lines().count(), 1);
            let table: toml::Table = toml::from_str(&line).unwrap();
            prop_assert_eq!(table.get(&text).and_then(toml::Value::as_str), Some(text.as_str()));
        }
    }
}
