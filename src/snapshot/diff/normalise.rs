//! What a column's values mean rather than how they are written: the same form for all that mean the same.
//!
//! Each form is itself one of the writings that it stands for, so that a value which is not of the kind (a number that
//! is none) stays as it is without meeting the form of another.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use crate::model::value::Value;

/// A difference in writing that makes none in a column. In a cell with several values (a JSON array, or what `Set`
/// splits) the others work on each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Normaliser {
    /// Upper and lower case, by Unicode's lower-case mapping.
    Case,
    /// White space (Unicode's) at both ends.
    Trim,
    /// Composed and decomposed characters, by Unicode's normal form C.
    Nfc,
    /// Decimal numbers of the same value: `1`, `+1.0`, `01`, `10e-1`. Exact, whatever the number of digits.
    Number,
    /// Truth in any word, in any case: true, t, yes, y, on, 1; false, f, no, n, off, 0.
    Boolean,
    /// The same instant: RFC 3339, also with a space for the `T` or without a zone (then UTC); `20261122T150405Z` and
    /// LDAP's generalized time (RFC 4517, section 3.3.13); a date alone is its midnight in UTC.
    Date,
    /// Lists as sets: values between `,`, `;` or `|`, blanks around them dropped, in any order, however often.
    Set,
}

impl Normaliser {
    /// All of them, in the order of their names' first mention in documents.
    pub const ALL: [Self; 7] = [Self::Case, Self::Trim, Self::Nfc, Self::Number, Self::Boolean, Self::Date, Self::Set];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::Trim => "trim",
            Self::Nfc => "nfc",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Set => "set",
        }
    }

    fn apply(self, value: Cow<'_, str>) -> Cow<'_, str> {
        let new = match self {
            Self::Case if value.is_ascii() => {
                value.bytes().any(|b| b.is_ascii_uppercase()).then(|| value.to_ascii_lowercase())
            }
            Self::Case => Some(value.to_lowercase()),
            Self::Trim => {
                let trimmed = value.trim();
                (trimmed.len() < value.len()).then(|| trimmed.to_owned())
            }
            Self::Nfc => (is_nfc_quick(value.chars()) != IsNormalized::Yes).then(|| value.nfc().collect()),
            Self::Number => number(&value),
            Self::Boolean => boolean(&value).map(|truth| if truth { "true" } else { "false" }.to_owned()),
            Self::Date => instant(&value).map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::Set => None,
        };
        new.map_or(value, Cow::Owned)
    }
}

impl fmt::Display for Normaliser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that names no normaliser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no normaliser; there are case, trim, nfc, number, boolean, date and set")]
pub struct UnknownNormaliser(String);

impl FromStr for Normaliser {
    type Err = UnknownNormaliser;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|n| n.word() == word).ok_or_else(|| UnknownNormaliser(word.to_owned()))
    }
}

/// A cell in the form that is compared: several values are a set, and each is written in the normalisers' form.
pub fn canonical_cell<'a>(cell: &'a str, normalisers: &[Normaliser]) -> Cow<'a, str> {
    if normalisers.is_empty() && !cell.starts_with('[') {
        return Cow::Borrowed(cell);
    }
    let canonical = |value: Cow<'a, str>| normalisers.iter().fold(value, |value, n| n.apply(value));
    let several = |values: &mut dyn Iterator<Item = Cow<'a, str>>| {
        let values = Value::many(values.map(|value| canonical(value).into_owned()));
        Cow::Owned(values.map_or_else(String::new, |values| values.to_cell()))
    };
    if cell.starts_with('[')
        && let Ok(values) = serde_json::from_str::<Vec<String>>(cell)
    {
        return several(&mut values.into_iter().map(Cow::Owned));
    }
    if normalisers.contains(&Normaliser::Set) {
        return several(&mut cell.split([',', ';', '|']).map(|value| Cow::Borrowed(value.trim())));
    }
    canonical(Cow::Borrowed(cell))
}

/// Digits without zeros at either end, and their power of ten: `15e-1`, `-2e3`, `7`, `0`.
fn number(text: &str) -> Option<String> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, power) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let leading = digits.trim_start_matches('0');
    let significant = leading.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let power = i64::from(power) - fraction.len() as i64 + (leading.len() - significant.len()) as i64;
    let sign = if negative { "-" } else { "" };
    Some(if power == 0 { format!("{sign}{significant}") } else { format!("{sign}{significant}e{power}") })
}

fn boolean(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "t", "yes", "y", "on", "1"]) {
        Some(true)
    } else if is_one_of(&["false", "f", "no", "n", "off", "0"]) {
        Some(false)
    } else {
        None
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    if !text.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let zoned = || DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    let compact = || {
        ["%Y%m%d%H%M%S%.f%#z", "%Y%m%dT%H%M%S%.f%#z"]
            .iter()
            .find_map(|form| DateTime::parse_from_str(text, form).ok())
            .map(|at| at.to_utc())
    };
    let local = || {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|at| at.and_utc())
    };
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc())
    };
    match text.len() {
        ..=10 => day(),
        _ => zoned().or_else(compact).or_else(local),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn forms(normalisers: &str, cells: &[&str]) -> Vec<String> {
        let normalisers: Vec<Normaliser> = normalisers.split(' ').map(|word| word.parse().unwrap()).collect();
        let mut forms: Vec<String> = cells.iter().map(|cell| canonical_cell(cell, &normalisers).into_owned()).collect();
        for form in &forms {
            assert_eq!(canonical_cell(form, &normalisers), form.as_str(), "a form is its own form");
        }
        forms.dedup();
        forms
    }

    #[test]
    fn writings_of_one_value_have_one_form_and_those_of_others_their_own() {
        for (normalisers, same) in [
            ("case", &["ÄRGER", "ärger", "Ärger"][..]),
            ("trim", &["a b", " a b\t", "\u{a0}a b"]),
            ("nfc", &["\u{e9}", "e\u{301}"]),
            ("number", &["1", "+1", "1.0", "01", "10e-1", "0.1E1", "1."]),
            ("number", &["0", "-0", "0.000", "0e9", ".0"]),
            ("number", &["123456789012345678901234567890.10", "0123456789012345678901234567890.1"]),
            ("boolean", &["true", "TRUE", "t", "yes", "Y", "on", "1"]),
            ("date", &["2026-01-02", "2026-01-02T00:00:00Z", "2026-01-02 01:00:00+01:00", "20260102000000Z"]),
            ("date", &["20260101T230000.0-01", "2026-01-02T00:00:00.000", "20260102000000.0+0000"]),
            ("set", &["a, b", "b;a", "a|b|a", "[\"b\",\"a\"]"]),
            ("set case trim", &["A,b", "[\"B \",\"a\"]"]),
            ("case", &["[\"B\",\"a\"]", "[\"A\",\"b\",\"\\u0042\"]"]),
            ("trim number", &[" 1.50", "1.5 "]),
        ] {
            assert_eq!(forms(normalisers, same).len(), 1, "{normalisers}: {same:?}");
        }
        for (normalisers, other) in [
            ("number", &["1", "10", "0.1", "-1", "1e", "e1", "1 ", ".", "+", "1e99999999999", "1_0", "١"][..]),
            ("boolean", &["true", "false", "2", "", "tru"]),
            ("date", &["2026-01-02", "2026-01-03", "2026-1-", "20260102", "2026-02-30", "2026-01-02T00:00:00.5Z"]),
            ("set", &["a,b", "a", "", "a b"]),
        ] {
            assert_eq!(forms(normalisers, other), forms(normalisers, other));
            assert_eq!(forms(normalisers, other).len(), other.len(), "{normalisers}: {other:?}");
        }
    }
}
