//! How a value is written: what a person would call the format of a column.

use serde::{Deserialize, Serialize};

use super::situation::words;

/// The way a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// No value.
    Empty,
    /// `true` or `false`, in any case.
    Truth,
    /// `2026-11-22`.
    IsoDate,
    /// `22.11.2026`.
    DottedDate,
    /// `11/22/2026` or `22/11/2026`.
    SlashedDate,
    /// `2026-11-22T15:04:05Z`, and with a blank for the `T`.
    Timestamp,
    /// `20261122150405Z`, as LDAP writes instants (RFC 4517, section 3.3.13).
    GeneralizedTime,
    /// Digits alone.
    Digits,
    /// A number with a sign or a decimal point.
    Number,
    /// `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
    Uuid,
    /// One `@` with text around it.
    Email,
    /// A distinguished name: `CN=Jane,OU=Sales`.
    DistinguishedName,
    /// Begins with a scheme: `https://…`.
    Url,
    /// Several values, as a JSON array.
    Several,
    /// Letters, none of them large.
    LowerCase,
    /// Letters, none of them small.
    UpperCase,
    /// Letters of both kinds, or of scripts without them.
    Text,
    /// Letters and digits.
    LettersAndDigits,
    /// Neither letters nor digits.
    Other,
}

words!(Shape {
    Empty => "empty", Truth => "true or false", IsoDate => "YYYY-MM-DD", DottedDate => "DD.MM.YYYY",
    SlashedDate => "date with slashes", Timestamp => "YYYY-MM-DDThh:mm:ss", GeneralizedTime => "YYYYMMDDhhmmssZ",
    Digits => "digits", Number => "number", Uuid => "UUID", Email => "e-mail address",
    DistinguishedName => "distinguished name", Url => "URL", Several => "list", LowerCase => "lower-case text",
    UpperCase => "upper-case text", Text => "text", LettersAndDigits => "letters and digits", Other => "signs",
});

impl Shape {
    /// The shape of a cell.
    pub fn of(cell: &str) -> Self {
        let bytes = cell.as_bytes();
        let Some(first) = bytes.first() else { return Self::Empty };
        if cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false") {
            return Self::Truth;
        }
        if *first == b'[' && bytes.last() == Some(&b']') {
            return Self::Several;
        }
        if (first.is_ascii_digit() || matches!(first, b'+' | b'-'))
            && let Some(shape) = Self::of_digits(bytes)
        {
            return shape;
        }
        if is_uuid(bytes) {
            return Self::Uuid;
        }
        Self::of_text(cell)
    }

    /// Shapes that begin with a digit or a sign.
    fn of_digits(bytes: &[u8]) -> Option<Self> {
        if bytes.iter().all(u8::is_ascii_digit) {
            return Some(Self::Digits);
        }
        if fits(bytes, b"9999-99-99") {
            return Some(Self::IsoDate);
        }
        if fits(bytes, b"99.99.9999") {
            return Some(Self::DottedDate);
        }
        if fits(bytes, b"99/99/9999") {
            return Some(Self::SlashedDate);
        }
        if bytes.len() >= 19
            && (fits(&bytes[..19], b"9999-99-99T99:99:99") || fits(&bytes[..19], b"9999-99-99 99:99:99"))
        {
            return Some(Self::Timestamp);
        }
        if bytes.len() >= 15 && bytes[..14].iter().all(u8::is_ascii_digit) && bytes.last() == Some(&b'Z') {
            return Some(Self::GeneralizedTime);
        }
        let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
        let signs = usize::from(matches!(bytes[0], b'+' | b'-'));
        let points = bytes.iter().filter(|b| matches!(b, b'.' | b',')).count();
        (digits > 0 && points <= 1 && digits + signs + points == bytes.len()).then_some(Self::Number)
    }

    fn of_text(cell: &str) -> Self {
        let (mut ats, mut equals, mut digits, mut lower, mut upper, mut other) = (0, 0, 0, 0, 0, 0);
        for c in cell.chars() {
            match c {
                '@' => ats += 1,
                '=' => equals += 1,
                _ if c.is_ascii_digit() => digits += 1,
                _ if c.is_lowercase() => lower += 1,
                _ if c.is_uppercase() => upper += 1,
                _ if c.is_alphabetic() => other += 1,
                _ => {}
            }
        }
        if cell.contains("://") {
            return Self::Url;
        }
        if ats == 1 && !cell.starts_with('@') && !cell.ends_with('@') {
            return Self::Email;
        }
        if equals > 0 && cell.split(',').all(|part| part.contains('=')) {
            return Self::DistinguishedName;
        }
        match (digits, lower, upper, other) {
            (0, 0, 0, 0) => Self::Other,
            (1.., ..) => Self::LettersAndDigits,
            (_, _, 0, 0) => Self::LowerCase,
            (_, 0, _, 0) => Self::UpperCase,
            _ => Self::Text,
        }
    }
}

/// Whether bytes have the form of a pattern, in which `9` stands for any digit.
fn fits(bytes: &[u8], pattern: &[u8]) -> bool {
    let same = |(byte, pattern): (&u8, &u8)| if *pattern == b'9' { byte.is_ascii_digit() } else { byte == pattern };
    bytes.len() == pattern.len() && bytes.iter().zip(pattern).all(same)
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn values_have_the_shape_that_a_person_would_name() {
        for (cell, shape) in [
            ("", Shape::Empty),
            ("True", Shape::Truth),
            ("2026-11-22", Shape::IsoDate),
            ("22.11.2026", Shape::DottedDate),
            ("2026-11-22T15:04:05.5+01:00", Shape::Timestamp),
            ("20261122150405Z", Shape::GeneralizedTime),
            ("0042", Shape::Digits),
            ("-4.2", Shape::Number),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", Shape::Uuid),
            ("jane@corp.example", Shape::Email),
            ("CN=Jane,OU=Sales", Shape::DistinguishedName),
            ("[\"a\"]", Shape::Several),
            ("head nurse", Shape::LowerCase),
            ("HEAD NURSE", Shape::UpperCase),
            ("Head nurse", Shape::Text),
            ("看護師", Shape::Text),
            ("E0042", Shape::LettersAndDigits),
            ("…", Shape::Other),
        ] {
            assert_eq!(Shape::of(cell), shape, "{cell}");
        }
    }
}
