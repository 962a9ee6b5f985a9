//! Distinguished names (RFC 4514): written escaped, compared by what they mean.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_128;

/// One attribute of a name with its value, as it is when nothing is escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) attribute: String,
    pub(super) value: Vec<u8>,
}

/// A value as it stands in a name (RFC 4514 section 2.4). Control characters are escaped too: servers read them
/// differently.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => escaped.extend(['\\', c]),
            '#' if place == 0 => escaped.push_str("\\#"),
            ' ' if place == 0 || place == last => escaped.push_str("\\20"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(escaped, "\\{byte:02X}");
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The first part of a name, written: `cn=Jane Doe`.
pub(super) fn rdn(attribute: &str, value: &str) -> String {
    format!("{attribute}={}", escape(value))
}

/// The name of an entry below another.
pub(super) fn below(rdn: &str, parent: &str) -> String {
    if parent.is_empty() { rdn.to_owned() } else { format!("{rdn},{parent}") }
}

/// The first part of a name and the name of the entry above, both as they are written; `None` for what is no name and
/// for the empty one.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    parse(name)?;
    let end = separators(name, b",;").next().unwrap_or(name.len());
    let first = name.get(..end)?.trim_matches(' ');
    (!first.is_empty()).then(|| (first, name.get(end + 1..).unwrap_or("").trim_start_matches(' ')))
}

/// The name taken apart, from the entry up; `None` for what is no name.
pub(super) fn parse(name: &str) -> Option<Vec<Vec<Part>>> {
    if name.trim_matches(' ').is_empty() {
        return Some(Vec::new());
    }
    pieces(name, b",;").map(|rdn| pieces(rdn, b"+").map(part).collect()).collect()
}

fn part(text: &str) -> Option<Part> {
    let (attribute, value) = text.split_once('=')?;
    let attribute = attribute.trim_matches(' ').to_ascii_lowercase();
    let is_name = !attribute.is_empty() && attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    is_name.then_some(())?;
    Some(Part { attribute, value: unescape(value.trim_start_matches(' '))? })
}

/// The places of separators that are not escaped and stand in no quotes.
fn separators<'a>(text: &'a str, separators: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            byte if !quoted && separators.contains(&byte) => return Some(at),
            _ => {}
        }
        None
    })
}

fn pieces<'a>(text: &'a str, by: &'a [u8]) -> impl Iterator<Item = &'a str> + 'a {
    let ends = separators(text, by).chain([text.len()]);
    let mut begin = 0;
    ends.map(move |end| {
        let piece = text.get(begin..end).unwrap_or("");
        begin = end + 1;
        piece
    })
}

/// A value without its escapes: `\,`, `\2C`, `#04024869`, and the quotes of RFC 2253.
fn unescape(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.trim_end_matches(' ').strip_prefix('#') {
        let bytes = hex(digits.as_bytes())?;
        // BER with a length of one byte, as an octet string of a name has.
        return bytes.get(2..).map(<[u8]>::to_vec);
    }
    let bytes = text.as_bytes();
    let mut value = Vec::with_capacity(bytes.len());
    let (mut at, mut kept, mut quoted) = (0, 0, false);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                match bytes.get(at + 1..at + 3).and_then(hex) {
                    Some(decoded) => {
                        value.extend(decoded);
                        at += 3;
                    }
                    None => {
                        value.push(*bytes.get(at + 1)?);
                        at += 2;
                    }
                }
                kept = value.len();
                continue;
            }
            b'"' => quoted = !quoted,
            byte => value.push(byte),
        }
        at += 1;
        if quoted || byte != b' ' {
            kept = value.len();
        }
    }
    // Blanks behind a value belong to it only where they are escaped.
    value.truncate(kept);
    (!quoted).then_some(value)
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

/// One spelling for every name that means the same entry: letter case, blanks in a row, escapes and the order inside a
/// part do not matter (RFC 4518 in short). What is no name stands for itself.
pub(super) fn canonical(name: &str) -> String {
    let Some(parts) = parse(name) else { return name.to_lowercase() };
    let mut text = String::with_capacity(name.len());
    for mut rdn in parts {
        for part in &mut rdn {
            let folded = String::from_utf8_lossy(&part.value).to_lowercase();
            part.value = folded.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes();
        }
        rdn.sort();
        for part in rdn {
            // No attribute's name and no folded value holds these.
            let _ = write!(text, "{}\u{1}{}\u{2}", part.attribute, String::from_utf8_lossy(&part.value));
        }
        text.push('\u{3}');
    }
    text
}

/// A short stand-in for a name, for large maps.
pub(super) fn digest(name: &str) -> u128 {
    xxh3_128(canonical(name).as_bytes())
}

/// Whether two names mean one entry.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || canonical(one) == canonical(other)
}

/// Whether an entry is another one, or lies below it.
pub(super) fn is_at_or_below(name: &str, above: &str) -> bool {
    canonical(name).ends_with(&canonical(above))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a value is, its name has one part with exactly this value, and the parent is what it was.
        #[test]
        fn any_value_is_data_in_a_name(value in "[ -~\\PC]{1,30}|[ ,+\"\\\\<>;=#\n\r\t\u{0}]{1,12}") {
            let name = below(&rdn("cn", &value), "ou=people, dc=example");
            let parts = parse(&name).unwrap();
            prop_assert_eq!(parts.len(), 3);
            prop_assert_eq!(&parts[0], &vec![Part { attribute: "cn".into(), value: value.clone().into_bytes() }]);
            let (first, parent) = split(&name).unwrap();
            prop_assert_eq!(first, rdn("cn", &value));
            prop_assert_eq!(parent, "ou=people, dc=example");
            prop_assert!(name.chars().all(|c| !c.is_control()));
            // Read again as a whole it is the same.
            let tight = below(&rdn("CN", &value), "OU=People,dc=example");
            prop_assert!(is_same(&name, &tight));
        }

        #[test]
        fn any_text_is_read_without_falling(text in "\\PC{0,40}|[\\\\\",=+#0-9a-f ]{0,20}") {
            let _ = (parse(&text), split(&text), digest(&text));
        }
    }

    #[test]
    fn names_are_compared_by_what_they_mean() {
        for (one, other) in [
            ("CN=Jane  Doe,DC=Example", "cn=jane doe, dc=example"),
            ("cn=a\\,b,dc=x", "cn=a\\2cb,dc=x"),
            ("cn=\"a,b\",dc=x", "cn=a\\,b,dc=x"),
            ("cn=a+uid=b,dc=x", "UID=b + CN=a,dc=x"),
            ("cn=J\\C3\\BCrgen,dc=x", "cn=jürgen,dc=x"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        assert!(!is_same("cn=a,dc=x", "cn=a,dc=y"));
        assert!(!is_same("cn=a\\,dc=x", "cn=a,dc=x"));
        assert!(is_at_or_below("cn=a,ou=People,dc=x", "ou=people,dc=x") && is_at_or_below("dc=x", "dc=x"));
        assert!(!is_at_or_below("cn=a,ou=xpeople,dc=x", "ou=people,dc=x"));
        assert_eq!(parse("no name"), None);
        assert_eq!((split(""), parse("")), (None, Some(Vec::new())));
    }
}
