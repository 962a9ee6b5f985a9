//! Where each key and value of a job file stands.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// The text of a job file, with the place of everything in it.
pub(super) struct Places<'t> {
    text: &'t str,
    /// By path: the key's bytes and the value's bytes.
    known: HashMap<String, (Range<usize>, Range<usize>)>,
}

/// The path of a key in a table.
pub(super) fn key_path(parent: &str, key: &str) -> String {
    let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key = if is_plain { key.to_owned() } else { format!("\"{key}\"") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// The path of an entry of a list.
pub(super) fn entry_path(parent: &str, number: usize) -> String {
    format!("{parent}[{number}]")
}

impl<'t> Places<'t> {
    pub(super) fn of(text: &'t str, root: &DeTable<'_>) -> Self {
        let mut places = Self { text, known: HashMap::new() };
        places.table("", root);
        places
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = key_path(path, key.get_ref());
            self.value(path, key.span(), value);
        }
    }

    fn value(&mut self, path: String, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(&path, table),
            DeValue::Array(entries) => {
                for (number, entry) in entries.iter().enumerate() {
                    self.value(entry_path(&path, number), entry.span(), entry);
                }
            }
            _ => {}
        }
        self.known.insert(path, (key, value.span()));
    }

    /// A problem with the value at a path; with a nearer parent's place where the path does not exist.
    pub(super) fn at(&self, path: &str, message: impl Into<String>) -> Problem {
        let (_, value) = self.nearest(path);
        self.problem(value.start, path, message)
    }

    /// A problem with the key at a path.
    pub(super) fn at_key(&self, path: &str, message: impl Into<String>) -> Problem {
        let (key, _) = self.nearest(path);
        self.problem(key.start, path, message)
    }

    /// A problem inside the text at a path, `offset` bytes after the text's beginning.
    pub(super) fn inside(&self, path: &str, offset: usize, message: impl Into<String>) -> Problem {
        let (_, value) = self.nearest(path);
        let raw = self.text.get(value.clone()).unwrap_or_default();
        self.problem(value.start + raw_offset(raw, offset), path, message)
    }

    /// Whether the file has something at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.known.contains_key(path)
    }

    /// The line of a path, from 1.
    pub(super) fn line(&self, path: &str) -> usize {
        self.at_key(path, "").line
    }

    /// A problem at a byte of the file.
    pub(super) fn problem(&self, byte: usize, path: &str, message: impl Into<String>) -> Problem {
        let (line, column) = line_and_column(self.text, byte);
        Problem { line, column, path: path.to_owned(), message: message.into(), hint: None }
    }

    fn nearest(&self, path: &str) -> (Range<usize>, Range<usize>) {
        let mut path = path;
        loop {
            if let Some(found) = self.known.get(path) {
                return found.clone();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return (0..0, 0..0),
            }
        }
    }
}

/// Line and column of a byte, both from 1, columns in characters.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.matches('\n').count() + 1, column + 1)
}

/// Bytes from the opening quote to the place that is `offset` bytes into the text that a TOML string stands for.
fn raw_offset(raw: &str, offset: usize) -> usize {
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let has_escapes = raw.starts_with('"');
    let mut at = quotes;
    if quotes == 3 {
        // A line end right after the opening quotes does not belong to the text.
        let rest = raw.get(3..).unwrap_or_default();
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let mut decoded = 0;
    let mut characters = raw.get(at..).unwrap_or_default().chars();
    while decoded < offset {
        let Some(character) = characters.next() else { break };
        at += character.len_utf8();
        decoded += character.len_utf8();
        if has_escapes && character == '\\' {
            let Some(escaped) = characters.next() else { break };
            at += escaped.len_utf8();
            let digits = match escaped {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            let code: String = characters.by_ref().take(digits).collect();
            at += code.len();
            if digits > 0 {
                let written = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                decoded += written.map_or(0, char::len_utf8).saturating_sub(1);
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_inside_texts_follow_escapes_and_quotes() {
        assert_eq!(raw_offset("'abc'", 2), 3);
        assert_eq!(raw_offset(r#""a\"b""#, 2), 4);
        assert_eq!(raw_offset(r#""\u00e9x""#, 2), 7);
        assert_eq!(raw_offset("'''\nabc'''", 1), 5);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(line_and_column("a\néx = 1", 4), (2, 2));
    }
}
