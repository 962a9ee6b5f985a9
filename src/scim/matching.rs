//! Whether a resource matches a filter (RFC 7644 §3.4.2.2).

use chrono::{DateTime, FixedOffset};
use scim_v2::filter::{AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter};
use serde_json::Value;

use super::path::{Path, member};
use super::schema::{Attribute, Definition, Kind};

/// Whether the resource matches. Texts are compared by the attribute's `caseExact`, moments as moments; an attribute
/// that is not defined compares without regard to case. A complex attribute stands for its `value`, a list for any of
/// its elements; `ne` is the opposite of `eq`, so it holds where nothing is there.
pub(super) fn matches(filter: &Filter, resource: &Value, definition: &Definition) -> bool {
    match filter {
        Filter::And(terms) => terms.iter().all(|term| matches(term, resource, definition)),
        Filter::Or(terms) => terms.iter().any(|term| matches(term, resource, definition)),
        Filter::Not(inner) => !matches(inner, resource, definition),
        Filter::Attr(expression) => {
            let path = attr_path(expression);
            let attribute = definition.attribute(path.uri.as_deref(), &path.name, path.sub_attr.as_deref());
            let place =
                Path { urn: path.uri.clone(), attribute: path.name.clone(), filter: None, sub: path.sub_attr.clone() };
            holds(expression, &place.select(resource), attribute)
        }
        Filter::ValuePath(inner) => {
            let attribute = definition.attribute(inner.attr.uri.as_deref(), &inner.attr.name, None);
            let place = Path { urn: inner.attr.uri.clone(), ..Path::of(inner.attr.name.clone()) };
            match place.get(resource) {
                Some(Value::Array(elements)) => {
                    elements.iter().any(|element| element_matches(&inner.filter, element, attribute))
                }
                Some(single) => element_matches(&inner.filter, single, attribute),
                None => false,
            }
        }
    }
}

/// Whether one element of a multi-valued attribute matches the filter in brackets. In a list of plain texts `value`
/// is the text itself.
pub(super) fn element_matches(filter: &ValFilter, element: &Value, attribute: Option<&Attribute>) -> bool {
    match filter {
        ValFilter::And(terms) => terms.iter().all(|term| element_matches(term, element, attribute)),
        ValFilter::Or(terms) => terms.iter().any(|term| element_matches(term, element, attribute)),
        ValFilter::Not(inner) => !element_matches(inner, element, attribute),
        ValFilter::Attr(expression) => {
            let name = &attr_path(expression).name;
            if element.is_object() {
                let found: Vec<&Value> = member(element, name).into_iter().collect();
                return holds(expression, &found, attribute.and_then(|attribute| attribute.sub(name)));
            }
            name.eq_ignore_ascii_case("value") && holds(expression, &[element], attribute)
        }
    }
}

pub(super) fn attr_path(expression: &AttrExp) -> &AttrPath {
    match expression {
        AttrExp::Present(path) | AttrExp::Comparison(path, _, _) => path,
    }
}

fn holds(expression: &AttrExp, found: &[&Value], attribute: Option<&Attribute>) -> bool {
    match expression {
        AttrExp::Present(_) => found.iter().any(|value| is_present(value)),
        AttrExp::Comparison(_, CompareOp::Ne, wanted) => !any(found, &CompareOp::Eq, wanted, attribute),
        AttrExp::Comparison(_, op, wanted) => any(found, op, wanted, attribute),
    }
}

fn any(found: &[&Value], op: &CompareOp, wanted: &CompValue, attribute: Option<&Attribute>) -> bool {
    if matches!(wanted, CompValue::Null) {
        return *op == CompareOp::Eq && !found.iter().any(|value| is_present(value));
    }
    found.iter().any(|value| match value {
        Value::Array(elements) => any(&elements.iter().collect::<Vec<_>>(), op, wanted, attribute),
        Value::Object(_) => {
            member(value, "value").is_some_and(|value| compare(value, op, wanted, attribute.map(Attribute::leaf)))
        }
        simple => compare(simple, op, wanted, attribute),
    })
}

fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_present),
        Value::Object(members) => members.values().any(is_present),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare(found: &Value, op: &CompareOp, wanted: &CompValue, attribute: Option<&Attribute>) -> bool {
    match (found, wanted) {
        (Value::Bool(found), CompValue::True) => *op == CompareOp::Eq && *found,
        (Value::Bool(found), CompValue::False) => *op == CompareOp::Eq && !*found,
        // Entra asks for `active eq "True"`.
        (Value::Bool(found), CompValue::Str(text)) => {
            *op == CompareOp::Eq && text.eq_ignore_ascii_case(if *found { "true" } else { "false" })
        }
        (Value::Number(found), CompValue::Number(wanted)) => match (found.as_i64(), wanted.as_i64()) {
            (Some(found), Some(wanted)) => ordered(op, found.cmp(&wanted)),
            _ => match (found.as_f64(), wanted.as_f64()) {
                (Some(found), Some(wanted)) => found.partial_cmp(&wanted).is_some_and(|order| ordered(op, order)),
                _ => false,
            },
        },
        (Value::String(found), CompValue::Str(wanted)) => text(found, op, wanted, attribute),
        _ => false,
    }
}

fn text(found: &str, op: &CompareOp, wanted: &str, attribute: Option<&Attribute>) -> bool {
    if attribute.is_some_and(|attribute| attribute.kind == Kind::DateTime)
        && let (Some(found), Some(wanted)) = (moment(found), moment(wanted))
    {
        return ordered(op, found.cmp(&wanted));
    }
    if attribute.is_some_and(|attribute| attribute.case_exact) {
        text_holds(found, op, wanted)
    } else {
        text_holds(&found.to_lowercase(), op, &wanted.to_lowercase())
    }
}

fn text_holds(found: &str, op: &CompareOp, wanted: &str) -> bool {
    match op {
        CompareOp::Co => found.contains(wanted),
        CompareOp::Sw => found.starts_with(wanted),
        CompareOp::Ew => found.ends_with(wanted),
        other => ordered(other, found.cmp(wanted)),
    }
}

fn ordered(op: &CompareOp, order: std::cmp::Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Ne | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}

fn moment(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).ok()
}
