//! Filters (RFC 7644 §3.4.2.2): read from a query, written safely, checked against a definition, evaluated.

pub use scim_v2::filter::{AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter, ValuePath};
use serde_json::Value;

use super::matching;
use super::schema::{Definition, Kind};

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is no filter.
    #[error("the filter `{text}` cannot be read: {cause}")]
    Syntax {
        /// The filter.
        text: String,
        /// Where and why.
        cause: String,
    },
    /// The resource type has no such attribute.
    #[error("the filter names `{0}`, which the resource type does not have")]
    Unknown(String),
    /// The operator cannot be used with this type of attribute.
    #[error("`{op}` does not apply to `{attribute}`: its values have no order")]
    Unordered {
        /// The attribute.
        attribute: String,
        /// The operator.
        op: String,
    },
}

/// Reads a filter. Next to the grammar of the RFC it takes `emails[type eq "work"].value eq "x"`, which Entra and
/// others send, for `emails[(type eq "work") and value eq "x"]`. Operators may have any case; depth and number of terms
/// are limited, so that any text may come in.
///
/// # Errors
/// [`FilterError::Syntax`].
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    let wrong = |cause: String| FilterError::Syntax { text: text.to_owned(), cause };
    if text.trim().is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    plain_brackets(text).parse::<Filter>().map_err(|error| wrong(error.to_string().replace('\n', " ")))
}

/// Whether a resource matches; texts are compared by the definition's `caseExact`.
pub fn matches(filter: &Filter, resource: &Value, definition: &Definition) -> bool {
    matching::matches(filter, resource, definition)
}

/// Whether every attribute the filter names is defined and every operator applies to it.
///
/// # Errors
/// The first attribute that is unknown or has no order.
pub fn check(filter: &Filter, definition: &Definition) -> Result<(), FilterError> {
    match filter {
        Filter::And(terms) | Filter::Or(terms) => terms.iter().try_for_each(|term| check(term, definition)),
        Filter::Not(inner) => check(inner, definition),
        Filter::Attr(expression) => {
            let path = matching::attr_path(expression);
            check_term(expression, definition, path.uri.as_deref(), &path.name, path.sub_attr.as_deref())
        }
        Filter::ValuePath(path) => check_elements(&path.filter, definition, &path.attr),
    }
}

fn check_elements(filter: &ValFilter, definition: &Definition, parent: &AttrPath) -> Result<(), FilterError> {
    match filter {
        ValFilter::And(terms) | ValFilter::Or(terms) => {
            terms.iter().try_for_each(|term| check_elements(term, definition, parent))
        }
        ValFilter::Not(inner) => check_elements(inner, definition, parent),
        ValFilter::Attr(expression) => {
            let sub = &matching::attr_path(expression).name;
            check_term(expression, definition, parent.uri.as_deref(), &parent.name, Some(sub))
        }
    }
}

fn check_term(
    expression: &AttrExp,
    definition: &Definition,
    urn: Option<&str>,
    name: &str,
    sub: Option<&str>,
) -> Result<(), FilterError> {
    let shown = || AttrPath { uri: urn.map(str::to_owned), name: name.to_owned(), sub_attr: sub.map(str::to_owned) };
    let attribute =
        definition.attribute(urn, name, sub).ok_or_else(|| FilterError::Unknown(shown().to_string()))?.leaf();
    if let AttrExp::Comparison(_, op, _) = expression {
        let ordering = matches!(op, CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le);
        if ordering && matches!(attribute.kind, Kind::Boolean | Kind::Binary) {
            return Err(FilterError::Unordered { attribute: shown().to_string(), op: op.to_string() });
        }
    }
    Ok(())
}

/// `attr eq "value"`, the value as a JSON text, so that nothing in it can end the text. `attr` is a path as in
/// [`super::path`], from configuration, never from data.
pub fn eq(attr: &str, value: &str) -> String {
    term(attr, "eq", value)
}

/// `attr gt "value"`.
pub fn gt(attr: &str, value: &str) -> String {
    term(attr, "gt", value)
}

/// `attr ge "value"`: for increments that overlap.
pub fn ge(attr: &str, value: &str) -> String {
    term(attr, "ge", value)
}

/// Both filters; each is put in parentheses.
pub fn and(left: &str, right: &str) -> String {
    format!("({left}) and ({right})")
}

fn term(attr: &str, op: &str, value: &str) -> String {
    format!("{attr} {op} {}", Value::String(value.to_owned()))
}

/// Writes `a[f].b op v` as `a[(f) and b op v]`, which means the same: an element that matches `f` and has such a `b`.
fn plain_brackets(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    // Where, in `out`, the bracket that is open now was opened.
    let mut open = None;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = match letter {
            '"' => literal(rest),
            '[' => {
                open = Some(out.len() + 1);
                1
            }
            ']' => match (open.take(), condition(&rest[1..])) {
                (Some(start), Some(length)) => {
                    out.insert(start, '(');
                    out.push_str(") and ");
                    // The dot is left out, the bracket closes behind the condition.
                    out.push_str(&rest[2..=length]);
                    out.push(']');
                    rest = &rest[1 + length..];
                    continue;
                }
                _ => 1,
            },
            other => other.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

/// Length in bytes of a text in quotes at the start, with its quotes.
fn literal(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length in bytes of `.name op value` or `.name pr` at the start.
fn condition(text: &str) -> Option<usize> {
    let mut rest = text.strip_prefix('.')?;
    let word = |rest: &str| rest.find(|c: char| c.is_whitespace() || "()[]".contains(c)).unwrap_or(rest.len());
    rest = rest[word(rest)..].trim_start();
    let op = word(rest);
    let presence = rest[..op].eq_ignore_ascii_case("pr");
    rest = &rest[op..];
    if !presence {
        rest = rest.trim_start();
        rest = &rest[if rest.starts_with('"') { literal(rest) } else { word(rest) }..];
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(text: &str) -> bool {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": "Aa", "userName": "Jane@x", "active": true, "title": "",
            "name": {"familyName": "O\"Hara]"},
            "emails": [{"type": "work", "value": "w@x", "primary": true}, {"type": "home", "value": "h@x"}],
            "meta": {"lastModified": "2026-01-02T03:04:05.5Z"},
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "007", "manager": {"value": "B"}}
        });
        let (filter, definition) = (parse(text).unwrap(), Definition::user());
        check(&filter, &definition).unwrap();
        matches(&filter, &user, &definition)
    }

    #[test]
    fn filters_hold_where_they_should() {
        for text in [
            r#"userName eq "JANE@X""#,
            r#"USERNAME EQ "jane@x" AND not (active eq false)"#,
            r#"id eq "Aa" and id ne "aa""#,
            r#"active eq "True""#,
            r#"emails[type eq "work" and value ew "x"]"#,
            r#"emails[type eq "work"].value eq "W@x" and (emails[type eq "home"].value sw "h")"#,
            r#"emails[type eq "home"].primary ne true or userName pr"#,
            r#"not (emails[type eq "other"].value pr)"#,
            r#"emails co "h@""#,
            r#"emails.type eq "home""#,
            r#"meta.lastModified gt "2026-01-02T05:04:05+02:00""#,
            r#"not (meta.lastModified gt "2026-01-02T03:04:05.500Z")"#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq "007""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "B""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "j""#,
            r#"nickName eq null and not (title pr)"#,
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [r#"emails[type eq "home"].value eq "w@x""#, r#"emails[type eq "home" and primary eq true]"#] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn written_values_cannot_break_out() {
        assert!(holds(&eq("name.familyName", "o\"hara]")));
        assert_eq!(eq("userName", "a\" or userName pr or \"\\"), r#"userName eq "a\" or userName pr or \"\\""#);
        assert!(!holds(&eq("userName", "x\" or userName pr or userName eq \"")));
        assert!(holds(&and(&eq("emails[type eq \"work\"].value", "w@x"), "userName pr")));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for text in
            ["", "userName", "userName eq", "userName eq jane", "emails[type eq \"x\"].", "a eq \"", "]", "é[.b eq é"]
        {
            assert!(matches!(parse(text), Err(FilterError::Syntax { .. })), "{text}");
        }
        assert!(parse(&"(".repeat(100_000)).is_err());
        let check_text = |text: &str| check(&parse(text).unwrap(), &Definition::user());
        assert_eq!(check_text("emails[kind pr]"), Err(FilterError::Unknown("emails.kind".to_owned())));
        assert!(matches!(check_text("active gt true"), Err(FilterError::Unordered { .. })));
    }

    proptest::proptest! {
        /// Filters and paths come from other people: whatever they are, they are read or refused.
        #[test]
        fn no_text_is_too_odd(text in r#"[a-c.é \[\]()"\\]{0,24}( eq "?[a-c"]{0,3})?"#) {
            let _ = parse(&text);
            let _ = crate::scim::path::Path::parse(&text);
        }

        /// The plain form of `a[f].b eq v` means the same as the one that is sent.
        #[test]
        fn written_values_come_back(value in ".{0,12}") {
            let sent = eq("emails[type eq \"work\"].value", &value);
            let filter = parse(&sent).unwrap();
            let user = json!({"emails": [{"type": "home", "value": "other"}, {"type": "work", "value": value}]});
            proptest::prop_assert!(matches(&filter, &user, &Definition::user()), "{}", sent);
        }
    }
}
