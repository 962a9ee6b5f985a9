//! One spelling for each value, so that `TRUE` equals `true` where the target holds booleans.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::model::capabilities::AttributeType;
use crate::model::value::Value;

/// The digest of an absent value.
pub const ABSENT: u64 = 0;
/// Stands for "the rule yields nothing, leave the attribute as it is"; no value has this digest.
pub(crate) const NOTHING: u64 = 1;

/// The spelling that is compared: equal texts mean that the target would hold the same value.
pub fn canonical(cell: &str, kind: AttributeType) -> Cow<'_, str> {
    // Asked of every cell; `starts_with` would call a function for it.
    if cell.as_bytes().first() == Some(&b'[')
        && let Some(Value::Many(values)) = Value::from_cell(cell)
    {
        // A source that knows one address and a target that keeps a list of one mean the same.
        if let [only] = values.as_slice() {
            return Cow::Owned(single(only, kind).into_owned());
        }
        let values = values.iter().map(|value| single(value, kind).into_owned());
        return Cow::Owned(Value::many(values).map(|value| value.to_cell()).unwrap_or_default());
    }
    single(cell, kind)
}

/// The value that an order states: booleans as `true` and `false`, everything else as it was mapped.
pub fn value(cell: &str, kind: AttributeType) -> Option<Value> {
    match kind {
        AttributeType::Boolean => Value::from_cell(&canonical(cell, kind)),
        _ => Value::from_cell(cell),
    }
}

/// The 64-bit digest of a cell's canonical spelling, as [`crate::model::link::Agreed`] keeps it; [`ABSENT`] where it
/// is empty.
pub fn digest(cell: &str, kind: AttributeType) -> u64 {
    let text = canonical(cell, kind);
    if text.is_empty() { ABSENT } else { xxh3_64(text.as_bytes()).max(NOTHING + 1) }
}

fn single(cell: &str, kind: AttributeType) -> Cow<'_, str> {
    match kind {
        AttributeType::Text => Cow::Borrowed(cell),
        AttributeType::CaselessText => caseless(cell),
        AttributeType::Boolean => boolean(cell),
        AttributeType::Number => number(cell),
        AttributeType::Time => time(cell),
    }
}

fn caseless(cell: &str) -> Cow<'_, str> {
    if cell.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(cell)
    } else {
        Cow::Owned(cell.to_lowercase())
    }
}

fn boolean(cell: &str) -> Cow<'_, str> {
    let text = cell.trim();
    let any = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if any(["true", "1", "yes"]) {
        Cow::Borrowed("true")
    } else if any(["false", "0", "no"]) {
        Cow::Borrowed("false")
    } else {
        Cow::Borrowed(cell)
    }
}

/// Plain decimals keep all their digits, however many; other spellings go through a float.
fn number(cell: &str) -> Cow<'_, str> {
    let text = cell.trim();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if digits.bytes().any(|b| b.is_ascii_digit()) && plain(whole) && plain(fraction) {
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        let sign = if negative && (whole, fraction) != ("0", "") { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        return Cow::Owned(format!("{sign}{whole}{point}{fraction}"));
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Cow::Owned(float.to_string()),
        _ => Cow::Borrowed(cell),
    }
}

fn time(cell: &str) -> Cow<'_, str> {
    match DateTime::parse_from_rfc3339(cell.trim()) {
        Ok(time) => Cow::Owned(time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        Err(_) => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_a_value() {
        use AttributeType::{Boolean, CaselessText, Number, Text, Time};
        for (kind, a, b, equal) in [
            (Boolean, "TRUE", "true", true),
            (Boolean, "1", "yes", true),
            (Boolean, "No", "0", true),
            (Boolean, "true", "false", false),
            (Boolean, "", "false", false),
            (CaselessText, "Ann@Corp", "ann@corp", true),
            (CaselessText, "ÄRGER", "ärger", true),
            (Text, "Ann", "ann", false),
            (Number, "007.50", "7.5", true),
            (Number, "-0", "0", true),
            (Number, "12345678901234567890123", "12345678901234567890124", false),
            (Number, "1e3", "1000", true),
            (Time, "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", true),
            (Text, r#"["b","a"]"#, r#"["a","b","a"]"#, true),
            (CaselessText, r#"["B"]"#, r#"["b"]"#, true),
        ] {
            assert_eq!(digest(a, kind) == digest(b, kind), equal, "{kind:?} {a} {b}");
        }
        assert_eq!(digest("", Text), ABSENT);
    }
}
