//! Taking somebody's names out of texts: a made name stands in their place, and all else stays as it is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::erasure::Whom;
use super::order::OrderId;

/// Members of JSON objects whose text names an object, however short it is.
const NAMING: [&str; 9] =
    ["key", "source_key", "target_id", "renamed_from", "label", "object", "name", "user", "externalId"];

/// Members that are of a format, and name nobody: words of enums, names of attributes and resources, ids of orders and runs.
const STRUCTURE: [&str; 29] = [
    "id",
    "order",
    "orders",
    "run",
    "runs",
    "job",
    "fingerprint",
    "operation",
    "resource",
    "system",
    "sync",
    "state",
    "cause",
    "situation",
    "class",
    "stage",
    "kind",
    "mode",
    "verdict",
    "attribute",
    "closes",
    "undoes",
    "effect",
    "recourse",
    "method",
    "digest",
    "sha256",
    "thresholds",
    "format_version",
];

/// What follows a number that counts something, in sentences.
const COUNTED: [&str; 16] = [
    "row", "rows", "order", "orders", "ms", "s", "byte", "bytes", "B", "new", "request", "requests", "object",
    "objects", "runs", "errors",
];

/// Shorter values are replaced only where they stand alone: within a sentence they are mostly something else.
const LEAST_LETTERS: usize = 3;

/// What addresses escape (RFC 3986 section 2.3), and what many spare in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_IN_PATHS: &AsciiSet = &ESCAPED.remove(b'@');

/// Replaces what an identity goes by.
pub struct Scrub {
    name: String,
    whom: Whom,
    /// What is looked for in texts, and what stands there instead.
    patterns: Vec<(String, String)>,
    found: AhoCorasick,
}

impl Scrub {
    /// What names `whom` becomes `name`.
    ///
    /// # Errors
    /// A sentence, where there are too many values to look for.
    pub fn new(name: &str, whom: &Whom) -> Result<Self, String> {
        let mut patterns: BTreeMap<String, String> = BTreeMap::new();
        for object in &whom.objects {
            let before = object.rfind(['=', '#']).map_or("", |at| &object[..=at]);
            patterns.insert(object.clone(), format!("{before}{name}"));
        }
        for value in whom.values.iter().chain(&whom.keys).chain(&whom.ids).filter(|value| is_telling(value)) {
            for written in spellings(value) {
                patterns.insert(written, name.to_owned());
            }
        }
        // Those that tell little within a sentence are told in backticks, or stand between blanks.
        for value in whom.values.iter().chain(&whom.keys).chain(&whom.ids).filter(|value| !is_telling(value)) {
            patterns.insert(format!("`{value}`"), format!("`{name}`"));
            if is_sought(value) {
                patterns.insert(value.clone(), name.to_owned());
            }
        }
        let patterns: Vec<(String, String)> = patterns.into_iter().collect();
        let found = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(patterns.iter().map(|(text, _)| text.as_str()))
            .map_err(|error| format!("its values cannot be looked for: {error}"))?;
        Ok(Self { name: name.to_owned(), whom: whom.clone(), patterns, found })
    }

    /// A text without the identity's names.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut places: Vec<(usize, usize, usize)> = self
            .found
            .find_overlapping_iter(text)
            .map(|found| (found.start(), found.end(), found.pattern().as_usize()))
            .filter(|(start, end, pattern)| {
                let found = &text[*start..*end];
                let stands = if is_telling(found) || found.starts_with('`') { is_whole } else { is_apart };
                self.is_meant(found, *pattern) && stands(text, *start, *end)
            })
            .collect();
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        places.sort_by_key(|(start, end, _)| (*start, usize::MAX - *end));
        let (mut told, mut rest) = (String::with_capacity(text.len()), 0);
        for (start, end, pattern) in places {
            if start >= rest {
                told.push_str(&text[rest..start]);
                told.push_str(&self.patterns[pattern].1);
                rest = end;
            }
        }
        told.push_str(&text[rest..]);
        Cow::Owned(told)
    }

    /// A text of the identity's own, or about it alone: without what it is called, whoever else may be called so.
    pub fn own_text(&self, text: &str) -> String {
        let mut told = self.text(text).into_owned();
        for name in self.whom.names.iter().filter(|name| is_telling(name)) {
            let mut from = 0;
            while let Some(start) = told[from..].find(name.as_str()).map(|at| at + from) {
                let end = start + name.len();
                if is_whole(&told, start, end) {
                    told.replace_range(start..end, &self.name);
                    from = start + self.name.len();
                } else {
                    from = end;
                }
            }
        }
        told
    }

    /// Takes the names out of the texts of a JSON value, but for what belongs to its format; whether there were any.
    pub fn json(&self, value: &mut Value) -> bool {
        match value {
            // What is nothing but a short word or a number is mostly something else.
            Value::String(text) if !is_telling(text) || OrderId::is_id(text) => false,
            Value::String(text) => self.replace(text),
            Value::Array(values) => values.iter_mut().fold(false, |changed, value| self.json(value) | changed),
            Value::Object(members) => {
                let mut changed = false;
                for (member, value) in members.iter_mut() {
                    let is_text = matches!(value, Value::String(_));
                    match value {
                        _ if is_text && STRUCTURE.contains(&member.as_str()) => {}
                        Value::String(text) if NAMING.contains(&member.as_str()) && text.contains(" → ") => {
                            let part = |part| {
                                if self.is_name(part) { self.name.clone() } else { self.text(part).into_owned() }
                            };
                            let told = text.split(" → ").map(part).collect::<Vec<_>>().join(" → ");
                            changed |= told != *text;
                            *text = told;
                        }
                        Value::String(text) if NAMING.contains(&member.as_str()) && self.is_name(text) => {
                            changed |= *text != self.name;
                            text.clone_from(&self.name);
                        }
                        value => changed |= self.json(value),
                    }
                }
                let named: BTreeSet<String> =
                    members.keys().filter(|key| is_telling(key) && self.is_name(key)).cloned().collect();
                for member in named {
                    if let Some(value) = members.remove(&member) {
                        members.insert(self.name.clone(), value);
                        changed = true;
                    }
                }
                changed
            }
            _ => false,
        }
    }

    /// Whether a text names the identity.
    pub fn names(&self, text: &str) -> bool {
        matches!(self.text(text), Cow::Owned(_))
    }

    fn replace(&self, text: &mut String) -> bool {
        let Cow::Owned(told) = self.text(text) else { return false };
        *text = told;
        true
    }

    fn is_name(&self, text: &str) -> bool {
        self.whom.keys.contains(text) || self.whom.ids.contains(text) || self.whom.values.contains(text)
    }

    /// Words are meant as they are written; what no word looks like, in any case.
    fn is_meant(&self, found: &str, pattern: usize) -> bool {
        let (text, _) = &self.patterns[pattern];
        found == text || text.contains(|c: char| c.is_ascii_digit() || c == '@' || c == '.' || c == '=')
    }
}

/// Words that many a value is.
fn is_flag(value: &str) -> bool {
    ["true", "false", "yes", "no", "none", "null"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a value tells somebody within a sentence: neither short nor only of digits, nor a time.
pub fn is_telling(value: &str) -> bool {
    let has_letter = value.chars().any(|c| c.is_alphabetic() && c != 'T' && c != 'Z');
    has_letter && !is_flag(value) && value.chars().count() >= LEAST_LETTERS
}

/// Whether a value that tells little within a sentence is looked for all the same, where it stands apart.
pub fn is_sought(value: &str) -> bool {
    let least = if value.chars().all(|c| c.is_ascii_digit()) { LEAST_LETTERS } else { 2 };
    !is_flag(value) && value.chars().count() >= least && value.chars().all(char::is_alphanumeric)
}

/// Whether what stands there stands between blanks, brackets or quotes, and counts nothing.
fn is_apart(text: &str, start: usize, end: usize) -> bool {
    let opens = |c: char| c.is_whitespace() || "`'\"(<>/=→".contains(c);
    let is_open = text[..start].chars().next_back().is_none_or(opens);
    let rest = &text[end..];
    let mut after = rest.chars();
    let is_closed = match (after.next(), after.next()) {
        (None, _) => true,
        (Some('.' | ',' | ';' | ':'), next) => next.is_none_or(char::is_whitespace),
        (Some(c), _) => c.is_whitespace() || "`'\")<>/&?→".contains(c),
    };
    let word = rest.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let counts =
        rest.starts_with(' ') && text[start..end].bytes().all(|b| b.is_ascii_digit()) && COUNTED.contains(&word);
    is_open && is_closed && !counts
}

/// A value as it stands in plain text, in JSON, in pages, in addresses and in cells.
fn spellings(value: &str) -> BTreeSet<String> {
    let mut written = BTreeSet::from([value.to_owned()]);
    let json = Value::from(value).to_string();
    written.insert(json.trim_matches('"').to_owned());
    let page = |apostrophe: &str| {
        let text = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\'', apostrophe)
    };
    written.extend([page("'"), page("&#39;"), page("&#x27;"), value.replace('"', "\"\"")]);
    written.insert(utf8_percent_encode(value, ESCAPED).to_string());
    written.insert(utf8_percent_encode(value, ESCAPED_IN_PATHS).to_string());
    written.retain(|text| !text.is_empty());
    written
}

/// Whether what stands there is a word of its own and no part of a longer one: of a name with a dot, of an address.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let joins = |c: char| matches!(c, '.' | '-' | '+');
    let mut before = text[..start].chars().rev();
    let (first, second) = (before.next(), before.next());
    // `%3D` ends in a letter, and what follows is a word of its own.
    let third = before.next();
    let is_escape = third == Some('%') && [first, second].iter().flatten().all(char::is_ascii_hexdigit);
    let joined = |one: Option<char>, other: Option<char>| match one {
        Some(c) if is_letter(c) => true,
        Some(c) if joins(c) => other.is_some_and(is_letter),
        _ => false,
    };
    let begins = text[start..end].chars().next().is_some_and(is_letter);
    let ends = text[start..end].chars().next_back().is_some_and(is_letter);
    let at_front = begins && !is_escape && (joined(first, second) || first == Some('@'));
    let mut after = text[end..].chars();
    let at_back = ends && joined(after.next(), after.next());
    !at_front && !at_back
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn jane() -> Scrub {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let whom = Whom {
            keys: set(&["E0042", "42", "4711"]),
            ids: set(&["d1c6"]),
            values: set(&["jane", "wu", "Jane D'Oe", "jane@corp.example"]),
            objects: set(&["vault.users/hr.users=42", "hr.users=42"]),
            ..Whom::default()
        };
        Scrub::new("erased-1", &whom).unwrap()
    }

    #[test]
    fn whole_words_go_the_longest_first_and_nothing_else() {
        let scrub = jane();
        for (text, told) in [
            ("jane@corp.example is taken, by E0042.", "erased-1 is taken, by erased-1."),
            ("GET /Users/d1c6 and %22jane%22, uid%3Djane", "GET /Users/erased-1 and %22erased-1%22, uid%3Derased-1"),
            ("vault.users/hr.users=42 ; x, `42`, 42 rows", "vault.users/hr.users=erased-1 ; x, `erased-1`, 42 rows"),
            ("<b>Jane D&#39;Oe</b>, e0042", "<b>erased-1</b>, erased-1"),
            (
                "create vault.users 4711: 4711 rows, 2026-4711, 14711",
                "create vault.users erased-1: 4711 rows, 2026-4711, 14711",
            ),
            ("4711 asked, ticket 12 of wu.", "erased-1 asked, ticket 12 of erased-1."),
        ] {
            assert_eq!(scrub.text(text), told);
        }
        for text in ["mary.jane@corp.example", "E00421", "vault.users/hr.users=421", "Jane", "jane.doe", "42"] {
            assert!(!scrub.names(text), "{text}");
        }
    }

    #[test]
    fn in_json_a_short_key_goes_where_an_object_is_named() {
        let mut value = serde_json::json!({"key": "42", "rows": "42", "of": ["jane", 42], "E0042": {"x": "ok"}});
        assert!(jane().json(&mut value));
        assert_eq!(
            value,
            serde_json::json!({"key": "erased-1", "rows": "42", "of": ["erased-1", 42], "erased-1": {"x": "ok"}})
        );
        assert!(!jane().json(&mut value), "what is clean stays as it is");
        let mut row = serde_json::json!({"key": "G1 → 4711", "operation": "jane", "n": "4711"});
        assert!(jane().json(&mut row));
        assert_eq!(row, serde_json::json!({"key": "G1 → erased-1", "operation": "jane", "n": "4711"}));
        assert_eq!(jane().own_text("of Doe"), "of Doe");
    }
}
