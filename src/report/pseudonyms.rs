//! Names that stand for people and objects where a text leaves the house: the same name for the same value, and nothing
//! that leads back to it without the key, which stays at home.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use sha2::{Digest as _, Sha256};

/// Shorter values are replaced where they stand alone only: within a sentence they are mostly something else, unless they
/// are of letters and digits.
const LEAST_LETTERS: usize = 3;

/// What may name somebody, whoever it is: addresses, ids, what stands in backticks, the values of a distinguished name's
/// parts, and what follows a collection in a path.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<mail>[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*)",
        r"|(?P<id>\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b)",
        r"|`(?P<quoted>[^`\n]{1,400})`",
        r#"|(?i:\b(?:uid|cn|sn|gn|givenName|mail|sAMAccountName|userPrincipalName|displayName|employeeNumber)=)(?P<rdn>[^,+)"`\s][^,+)"`\n]*)"#,
        r"|/(?i:users|groups|name|id|role|people)/(?P<segment>[^/?\s\x22`]{1,200})",
    ))
    .ok()
});

/// Replaces values by names.
pub struct Pseudonyms {
    key: [u8; 32],
    /// Values of this run, longest first where two begin alike; `None` where they are too many: then no text goes out.
    known: Option<AhoCorasick>,
    values: BTreeSet<String>,
    /// Values that stay, because somebody asked for them by name.
    spared: BTreeSet<String>,
    /// The job's own words: what stands in it as a whole word is no person.
    words: String,
    /// What was replaced: name → value.
    used: BTreeMap<String, String>,
}

impl Pseudonyms {
    /// `values` are replaced wherever they stand, `spared` nowhere; `words` is the text whose words are nobody's names.
    pub fn new(key: [u8; 32], values: BTreeSet<String>, spared: BTreeSet<String>, words: String) -> Self {
        let values: BTreeSet<String> = values
            .into_iter()
            .filter(|value| !value.is_empty() && !spared.contains(value) && !is_flag(value))
            .collect();
        let long = values.iter().filter(|value| value.chars().count() >= LEAST_LETTERS || is_code(value));
        let known = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(long).ok();
        Self { key, known, values, spared, words, used: BTreeMap::new() }
    }

    /// The name that stands for a value; nothing for nothing.
    pub fn of(&mut self, value: &str) -> String {
        if value.is_empty() || self.spared.contains(value) {
            return value.to_owned();
        }
        let digest = Sha256::digest([&self.key[..], value.as_bytes()].concat());
        let name: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("p-{name}");
        self.used.insert(name.clone(), value.to_owned());
        name
    }

    /// A sentence, a line of a log, a path, without anybody's name.
    pub fn text(&mut self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = 0;
        let Some(known) = &self.known else { return String::new() };
        let found: Vec<(usize, usize)> = known
            .find_iter(text)
            .map(|found| (found.start(), found.end()))
            .filter(|(start, end)| is_whole(text, *start, *end))
            .collect();
        for (start, end) in found {
            told.push_str(&text[rest..start]);
            told.push_str(&self.of(&text[start..end]));
            rest = end;
        }
        told.push_str(&text[rest..]);
        self.unknown(&told)
    }

    /// Whatever looks like a name, and is none of the job's own words.
    fn unknown(&mut self, text: &str) -> String {
        let Some(names) = NAMES.as_ref() else { return String::new() };
        let mut told = String::with_capacity(text.len());
        let mut rest = 0;
        for found in names.captures_iter(text) {
            let named = ["mail", "id", "quoted", "rdn", "segment"].iter().find_map(|group| found.name(group));
            let Some(named) = named.filter(|named| !self.is_own(named.as_str())) else { continue };
            told.push_str(&text[rest..named.start()]);
            told.push_str(&self.of(named.as_str()));
            rest = named.end();
        }
        told.push_str(&text[rest..]);
        told
    }

    /// Every text of a JSON value; the names of its members stay.
    pub fn json(&mut self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) if self.values.contains(text.as_str()) => *text = self.of(text),
            serde_json::Value::String(text) => *text = self.text(text),
            serde_json::Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            serde_json::Value::Object(members) => members.values_mut().for_each(|value| self.json(value)),
            _ => {}
        }
    }

    /// What was replaced so far: name → value. It belongs to those who know the key.
    pub fn used(&self) -> &BTreeMap<String, String> {
        &self.used
    }

    /// Whether a text is a word of the job's, a command, a placeholder or a name that was given already.
    fn is_own(&self, text: &str) -> bool {
        let is_name =
            |text: &str| text.strip_prefix("p-").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let is_made = text.starts_with("muster ") || text.starts_with('{') || is_name(text) || is_flag(text);
        let mut places = self.words.match_indices(text).map(|(at, found)| (at, at + found.len()));
        self.spared.contains(text) || is_made || places.any(|(start, end)| is_whole(&self.words, start, end))
    }
}

/// Whether a value says yes or no, which names nobody.
fn is_flag(value: &str) -> bool {
    ["true", "false", "yes", "no"].iter().any(|flag| value.eq_ignore_ascii_case(flag))
}

/// Whether a value is of letters and digits, as keys are and words are not.
fn is_code(value: &str) -> bool {
    value.contains(char::is_alphabetic) && value.contains(|c: char| c.is_ascii_digit())
}

/// Whether what stands there is a word of its own and no part of a longer one.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let before = text[..start].chars().next_back().filter(|c| is_letter(*c));
    let after = text[end..].chars().next().filter(|c| is_letter(*c));
    let (first, last) = (text[start..end].chars().next(), text[start..end].chars().next_back());
    let is_part = before.is_some() && first.is_some_and(is_letter) || after.is_some() && last.is_some_and(is_letter);
    !is_part
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn house(values: &[&str], spared: &[&str]) -> Pseudonyms {
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Pseudonyms::new([7; 32], set(values), set(spared), "from = \"hr.users\"\nuserName = \"login\"\n".to_owned())
    }

    #[test]
    fn nobody_is_named_and_everybody_keeps_one_name() {
        let mut names = house(&["E0042", "Jane Doe", "jane", "Jane", "42"], &[]);
        let jane = names.of("E0042");
        let told = names.text("update vault.users E0042 (Jane Doe): `E0042` of hr.users, `userName` is taken by `jim`");
        for name in ["E0042", "Jane", "Doe", "jim"] {
            assert!(!told.contains(name), "{told}");
        }
        assert!(told.starts_with(&format!("update vault.users {jane} (p-")) && told.contains("`userName`"), "{told}");
        assert_eq!(told.matches(&jane).count(), 2, "{told}");
        // Parts of words are left, and so are figures that happen to be somebody's key.
        assert_eq!(names.text("janitor, 42 rows, E00421"), "janitor, 42 rows, E00421");
        let mut value = serde_json::json!({"42": ["42", 42, "true"], "at": "mail jane.roe@corp.example now"});
        names.json(&mut value);
        assert!(value["42"][0].as_str().unwrap().starts_with("p-") && value["42"][1] == 42, "{value}");
        assert!(!value.to_string().contains("roe@"), "{value}");
        assert_eq!(names.used()[&jane], "E0042");
    }

    #[test]
    fn ids_paths_and_distinguished_names_name_nobody_unless_asked() {
        let mut names = house(&[], &["jane"]);
        let id = "d1c60eae-6c34-4ff2-9873-50369649907c";
        for text in [format!("GET /Users/{id}"), "search uid=jim,ou=people,dc=example".into(), "GET /groups/Ops".into()]
        {
            let told = names.text(&text);
            assert!(told.contains("p-") && ![id, "jim", "Ops"].iter().any(|name| told.contains(name)), "{told}");
        }
        assert!(names.text("search uid=jim,ou=people,dc=example").ends_with(",ou=people,dc=example"));
        assert_eq!(names.text("update `jane`, see `muster review corp`"), "update `jane`, see `muster review corp`");
        let again = house(&[], &[]).text("/Users/x1");
        assert_eq!(again, house(&[], &[]).text("/Users/x1"), "the same key gives the same names");
    }
}
