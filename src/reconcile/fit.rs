//! Whether the target would take a value, as far as it tells what it takes.

use chrono::DateTime;

use crate::model::capabilities::{AttributeShape, Form};
use crate::model::value::Value;

/// What an attribute takes, where a value is not that: half a sentence. A value of `canonicalValues` is a suggestion
/// (RFC 7643 section 7), so that another one is no misfit.
pub(crate) fn misfit(cell: &str, shape: &AttributeShape) -> Option<String> {
    let value = Value::from_cell(cell)?;
    let values: &[String] = match &value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::Many(values) if values.len() > 1 && !shape.multi_valued => {
            return Some(format!("takes one value, and these are {}", values.len()));
        }
        Value::Many(values) => values,
    };
    values.iter().find_map(|value| one(value, shape))
}

fn one(value: &str, shape: &AttributeShape) -> Option<String> {
    let is_object = || matches!(serde_json::from_str(value), Ok(serde_json::Value::Object(_)));
    let fits = match shape.form {
        // An element that is given as a whole object holds a value of this form, and more.
        Form::Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
        Form::Whole => value.parse::<i64>().is_ok(),
        Form::Decimal => serde_json::from_str::<serde_json::Number>(value).is_ok(),
        Form::Time => DateTime::parse_from_rfc3339(value).is_ok(),
        Form::Object => is_object(),
        Form::Text => true,
    };
    if !fits && !is_object() {
        let takes = match shape.form {
            Form::Boolean => "true or false",
            Form::Whole => "a whole number",
            Form::Decimal => "a number",
            Form::Time => "a date with its time, like 2026-01-31T08:30:00Z",
            Form::Object => {
                "an object of several parts; map its parts, like `name.familyName` or `addresses[type eq \"work\"].locality`"
            }
            Form::Text => return None,
        };
        return Some(format!("takes {takes}"));
    }
    let length = value.chars().count();
    let most = shape.max_length.filter(|most| length > *most && !is_object())?;
    Some(format!("takes {most} characters at most, and these are {length}"))
}

/// Values that the target suggests, where this is none of them: half a sentence.
pub(crate) fn unusual(cell: &str, shape: &AttributeShape) -> Option<String> {
    if shape.suggested.is_empty() {
        return None;
    }
    let value = Value::from_cell(cell)?;
    let values: &[String] = match &value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::Many(values) => values,
    };
    let is_known = |value: &String| shape.suggested.iter().any(|known| known.eq_ignore_ascii_case(value));
    let other = values.iter().find(|value| !is_known(value) && !value.starts_with('{'))?;
    Some(format!(
        "`{other}` is none of the values that its schema suggests ({})",
        super::reason::some(&shape.suggested)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_where_the_target_would_take_it() {
        let shape = |form, multi_valued| AttributeShape { form, multi_valued, ..AttributeShape::default() };
        for (form, fitting, other) in [
            (Form::Boolean, "TRUE", "maybe"),
            (Form::Whole, "-7", "7.5"),
            (Form::Decimal, "7.5", "7,5"),
            (Form::Time, "2026-01-31T08:30:00+01:00", "2026-01-31"),
            (Form::Object, r#"{"locality":"Ulm"}"#, "Ulm"),
        ] {
            assert_eq!(misfit(fitting, &shape(form, false)), None, "{fitting}");
            assert!(misfit(other, &shape(form, false)).is_some(), "{other}");
        }
        let two = r#"["a","b"]"#;
        assert_eq!(misfit(two, &shape(Form::Text, true)), None);
        assert_eq!(misfit(two, &shape(Form::Text, false)).as_deref(), Some("takes one value, and these are 2"));
        let short = AttributeShape { max_length: Some(2), ..AttributeShape::default() };
        assert_eq!(misfit("äö", &short), None);
        assert_eq!(misfit("äöü", &short).as_deref(), Some("takes 2 characters at most, and these are 3"));
    }
}
